//! An event stream: held until the provider has really begun to answer, then passed on as it comes.
//!
//! A head says little: some providers send one before they know whether they can answer. Nothing of the answer is
//! with the client until its first event, so until then a stream that breaks, stalls or begins with an error is a
//! failed attempt like any other. From then on each piece that arrives is sent before more is waited for.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    http1::{
        client::FailureKind,
        encode::{self, LAST_CHUNK},
        head::{Known, Version},
        server::Responder,
    },
    join,
};
use http::StatusCode;

use super::{
    account::Account,
    attempt::{self, Answer, Failed, Instead, Why},
    balance::Outcome,
    failure, learn,
    request::Context,
    respond,
    shard::Shard,
    translate,
};
use crate::dialect::{
    openai::{
        error::{GatewayError, UpstreamFault},
        stream::StreamFilter,
    },
    translate::{
        Wire,
        stream::{Filter, Other},
    },
};

/// A provider that sends comments to keep a client waiting, and no event, is believed after this: held back longer,
/// they would not keep the client from giving up.
const HELD: Duration = Duration::from_secs(1);
/// Most bytes held back for a first event; a longer one passes as it comes.
const HELD_BYTES: usize = 512 * 1024;

/// An event stream on its way to the client.
pub struct Stream<'a> {
    answer: Answer<'a>,
    filter: Filter,
    /// What the client gets next: at first the head.
    out: Buf,
    /// All that will come has come.
    ended: bool,
    /// How it ended, if not well.
    fault: Option<UpstreamFault>,
    /// The usage chunk is ours alone.
    hide_usage: bool,
    chunked: bool,
    persist: bool,
}

/// What is known of how a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// Nothing yet.
    Awaited,
    /// With an answer.
    Begun,
    /// With an error, for the client if nobody else can be asked.
    Error(Why),
    /// It ended before its first event.
    Broken,
}

/// What a stream shows of itself while it is held.
#[derive(Clone, Copy, Debug)]
struct Shown {
    events: u64,
    /// The status that the first event stands for.
    status: Option<u16>,
    held_bytes: usize,
    /// For how long it has been held when the last piece came.
    held: Duration,
    over: bool,
}

/// Judges how a stream begins.
fn judge(shown: Shown) -> Opening {
    let failure = shown.status.and_then(|status| StatusCode::from_u16(status).ok()).and_then(attempt::why);
    match failure {
        // It has answered 200: whatever it refuses, it is not the key.
        Some(why) if why != Why::Revoked => Opening::Error(why),
        _ if shown.events > 0 => Opening::Begun,
        _ if shown.over => Opening::Broken,
        _ if shown.held_bytes > HELD_BYTES || shown.held >= HELD => Opening::Begun,
        _ => Opening::Awaited,
    }
}

/// Waits until a stream has begun and passes it on; whether the client's connection may persist.
///
/// # Errors
/// Why the attempt failed, while nothing has been sent.
pub async fn pass_on<'a>(
    shard: &Rc<Shard>,
    context: &Context,
    answer: Answer<'a>,
    asks_usage: bool,
    responder: &mut Responder,
    account: &mut Account,
) -> Result<bool, Failed<'a>> {
    let mut stream = Stream::new(shard, context, answer, asks_usage, account);
    match stream.begin(shard, account).await {
        Ok(()) => {
            account.told(Outcome::Answered);
            account.answered(stream.status());
            let flowed = stream.flow(shard, responder, account).await;
            Ok(flowed && send(stream.end(account), responder, account).await)
        }
        Err((why, Some(error))) => Err(Failed { why, instead: Instead::Error(error) }),
        Err((why, None)) => Err(Failed { why, instead: Instead::Stream(Box::new(stream)) }),
    }
}

/// Waits until a stream has begun.
///
/// # Errors
/// Why the attempt failed.
pub async fn begun<'a>(
    shard: &Rc<Shard>,
    context: &Context,
    answer: Answer<'a>,
    asks_usage: bool,
    account: &mut Account,
) -> Result<Box<Stream<'a>>, Failed<'a>> {
    let mut stream = Box::new(Stream::new(shard, context, answer, asks_usage, account));
    match stream.begin(shard, account).await {
        Ok(()) => Ok(stream),
        Err((why, Some(error))) => Err(Failed { why, instead: Instead::Error(error) }),
        Err((why, None)) => Err(Failed { why, instead: Instead::Stream(stream) }),
    }
}

/// Sends the last bytes; whether the client's connection may persist.
async fn send((out, persist): (Buf, bool), responder: &mut Responder, account: &mut Account) -> bool {
    let sent = responder.send(out).await;
    account.sent(responder.take_sent(), sent.is_ok());
    sent.is_ok() && persist
}

impl<'a> Stream<'a> {
    /// A stream whose head has come, written for the client.
    pub fn new(
        shard: &Shard,
        context: &Context,
        mut answer: Answer<'a>,
        asks_usage: bool,
        account: &Account,
    ) -> Self {
        let chunked = context.version == Version::Http11;
        let persist = context.persists(shard) && chunked;
        let mut out = Buf::with_capacity(LARGE_BYTES);
        respond::begin(out.vec_mut(), &answer, shard, context, account);
        respond::finish_head(out.vec_mut(), None, context, persist);
        answer.begin_body();
        let hide_usage = answer.upstream.ask_usage && !asks_usage;
        let other = |wire, endpoint| {
            translate::with_face(endpoint, account, |face| Other::new(wire, endpoint, face, asks_usage))
        };
        let filter = match (answer.wire, context.endpoint()) {
            (wire, Some(endpoint)) if wire != Wire::OpenAi || !wire.is_spoken_at(endpoint) => {
                Filter::Other(Box::new(other(wire, endpoint)))
            }
            _ => Filter::Same(StreamFilter::new(hide_usage)),
        };
        Self { answer, filter, out, ended: false, fault: None, hide_usage, chunked, persist }
    }

    /// The status that the provider answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer.head.status
    }

    /// Gives up a stream that nobody is to see.
    pub fn discard(self) {
        self.answer.discard_body();
    }

    /// Waits until it has begun; or why it failed, and the error where the stream itself tells none.
    async fn begin(
        &mut self,
        shard: &Shard,
        account: &mut Account,
    ) -> Result<(), (Why, Option<GatewayError>)> {
        let Answer { head, .. } = &self.answer;
        // What is compressed cannot be read, and what is no success is not an answer to wait for.
        let readable = head.status == StatusCode::OK
            && head.fields.iter().all(|field| field.known != Known::ContentEncoding);
        let opening = if readable { self.open(shard, account).await } else { Opening::Begun };
        match opening {
            Opening::Awaited | Opening::Begun => Ok(()),
            Opening::Error(why) => {
                account.refused = true;
                if why == Why::Limited {
                    learn::from_event(shard, account);
                }
                Err((why, None))
            }
            Opening::Broken => {
                let fault = self.fault.unwrap_or(UpstreamFault::Cut);
                Err((Why::Failed, Some(failure::upstream(&self.answer.upstream.id, fault))))
            }
        }
    }

    /// Waits for the first event.
    async fn open(&mut self, shard: &Shard, account: &mut Account) -> Opening {
        // Usually it has come with the head, and no clock is read.
        let mut since = None;
        loop {
            self.take(account);
            let over = self.ended || self.fault.is_some();
            if over && self.fault.is_none() && self.filter.events() == 0 {
                // It may lack its blank line.
                self.put(|filter, out| filter.finish(out));
            }
            let opening = judge(Shown {
                events: self.filter.events(),
                status: self.filter.first_status(),
                held_bytes: self.out.len(),
                held: since.map_or(Duration::ZERO, |since: Instant| since.elapsed()),
                over,
            });
            if opening != Opening::Awaited {
                return opening;
            }
            since.get_or_insert_with(Instant::now);
            let wait = shard.first_byte(account).min(shard.between_bytes(account));
            self.receive(wait, account).await;
        }
    }

    /// Passes all of it on, begun or not; whether the client's connection may persist.
    pub async fn pass_on(
        mut self: Box<Self>,
        shard: &Shard,
        responder: &mut Responder,
        account: &mut Account,
    ) -> bool {
        account.answered(self.status());
        // One that begins with an error has used nothing.
        account.refused |= self.filter.first_status().is_some();
        self.flow(shard, responder, account).await && send(self.end(account), responder, account).await
    }

    /// Passes on what comes until all has come; whether the client is still there.
    async fn flow(&mut self, shard: &Shard, responder: &mut Responder, account: &mut Account) -> bool {
        loop {
            self.take(account);
            if self.ended || self.fault.is_some() {
                return true;
            }
            let wait = shard.between_bytes(account);
            if self.out.is_empty() {
                self.receive(wait, account).await;
                continue;
            }
            // The piece goes to the client in the same submission that waits for the next one.
            // Google's events end otherwise, and its own client takes a comment for a part of one.
            let between = self.chunked && self.out.ends_with(b"\n\n\r\n");
            let out = std::mem::replace(&mut self.out, Buf::empty());
            let sending = async {
                let sent = responder.send(out).await;
                if between {
                    responder.between_events();
                }
                sent
            };
            let (sent, received) = join(sending, self.answer.connection.receive(wait)).await;
            let Ok(empty) = sent else {
                account.stream_ended(&self.filter);
                account.sent(responder.take_sent(), false);
                return false;
            };
            self.out = empty;
            self.received(received, account);
        }
    }

    /// The last bytes for the client, and whether its connection may persist. The provider's is free before the
    /// client has taken them.
    fn end(mut self, account: &mut Account) -> (Buf, bool) {
        // The last event counts even without its blank line. After [DONE] the stream is complete, however it ends.
        if self.fault.is_none() && self.filter.must_be_done() {
            // Some say only then that all has come.
            self.put(|filter, out| filter.finish(out));
        }
        let id = &self.answer.upstream.id;
        let cut = || (self.filter.must_be_done() && !self.filter.error_seen()).then_some(UpstreamFault::Cut);
        let fault = self.fault.or_else(cut).filter(|_| !self.filter.done());
        let error = fault.map(|fault| failure::upstream(id, fault));
        let hide_usage = self.hide_usage;
        self.put(|filter, out| {
            if error.is_none() || !hide_usage {
                filter.finish(out);
            }
            if let Some(error) = &error {
                // An event cut in the middle must not swallow the one that says so. One that was held back is
                // dropped: half of it would only be a parse error at the client.
                if !hide_usage {
                    out.extend_from_slice(b"\n\n");
                }
                filter.write_error(&failure::as_of_provider(error), out);
            }
        });
        let Self { answer, filter, mut out, chunked, persist, .. } = self;
        if chunked {
            out.put(LAST_CHUNK);
        }
        account.stream_ended(&filter);
        match &error {
            Some(error) => {
                account.told(Outcome::Failed);
                account.failed(error, StatusCode::OK);
            }
            None => answer.connection.release(),
        }
        (out, persist)
    }

    /// Takes what has been received.
    fn take(&mut self, account: &mut Account) {
        if self.fault.is_some() || self.answer.connection.is_complete() {
            self.ended |= self.answer.connection.is_complete();
            return;
        }
        let before = self.filter.content_events();
        let Self { answer: Answer { connection, .. }, filter, out, fault, chunked, .. } = self;
        let mut fill = |out: &mut Vec<u8>| {
            loop {
                match connection.content() {
                    Ok([]) => break,
                    Ok(content) => {
                        let n = content.len();
                        filter.feed(content, out);
                        connection.consume(n);
                        if filter.malformed().is_some() {
                            *fault = Some(UpstreamFault::Garbage);
                            break;
                        }
                    }
                    Err(_) => {
                        *fault = Some(UpstreamFault::Garbage);
                        break;
                    }
                }
            }
        };
        if *chunked {
            encode::chunk_with(out.vec_mut(), &mut fill);
        } else {
            fill(out.vec_mut());
        }
        self.ended |= self.answer.connection.is_complete();
        if before == 0 && self.filter.content_events() > 0 {
            account.first_token();
        }
    }

    /// Appends what `fill` does, framed for the client.
    fn put(&mut self, fill: impl FnOnce(&mut Filter, &mut Vec<u8>)) {
        let Self { filter, out, chunked, .. } = self;
        if *chunked {
            encode::chunk_with(out.vec_mut(), |out| fill(filter, out));
        } else {
            fill(filter, out.vec_mut());
        }
    }

    async fn receive(&mut self, wait: Duration, account: &mut Account) {
        let received = self.answer.connection.receive(wait).await;
        self.received(received, account);
    }

    fn received(&mut self, received: Result<bool, FailureKind>, account: &mut Account) {
        match received {
            Ok(more) => self.ended |= !more,
            Err(kind) => {
                account.detail = Some(kind.to_string());
                self.fault = Some(failure::of_exchange(&kind, true));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_stream_begins() {
        let silent = Shown { events: 0, status: None, held_bytes: 200, held: Duration::ZERO, over: false };
        let long = Duration::from_secs(2);
        for (shown, wanted) in [
            (silent, Opening::Awaited),
            (Shown { held: Duration::from_millis(999), ..silent }, Opening::Awaited),
            (Shown { held: long, ..silent }, Opening::Begun),
            (Shown { held_bytes: HELD_BYTES + 1, ..silent }, Opening::Begun),
            (Shown { events: 1, ..silent }, Opening::Begun),
            (Shown { events: 1, over: true, ..silent }, Opening::Begun),
            (Shown { over: true, ..silent }, Opening::Broken),
            (Shown { over: true, held: long, ..silent }, Opening::Broken),
            (Shown { events: 1, status: Some(429), ..silent }, Opening::Error(Why::Limited)),
            (Shown { events: 3, status: Some(529), held: long, ..silent }, Opening::Error(Why::Limited)),
            (Shown { events: 1, status: Some(503), over: true, ..silent }, Opening::Error(Why::Failed)),
            (Shown { events: 1, status: Some(400), ..silent }, Opening::Begun),
            (Shown { events: 1, status: Some(401), ..silent }, Opening::Begun),
        ] {
            assert_eq!(judge(shown), wanted, "{shown:?}");
        }
    }
}
