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
    attempt::{Answer, Failed, Instead, Why},
    balance::Outcome,
    failure, learn,
    opening::{Opening, Shown, judge},
    poll,
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
            let wait = match self.answer.prediction {
                Some(_) => self.patience(shard, account),
                None => shard.first_byte(account).min(shard.between_bytes(account)),
            };
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
                return match self.answer.prediction {
                    // On the heap: rare, and its size would burden every stream's future.
                    Some(_) => Box::pin(self.ask_usage(responder, account)).await,
                    None => true,
                };
            }
            let wait = self.patience(shard, account);
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

    /// How long to wait for more. A prediction that has not begun is waited for as long as one that is asked for until it
    /// is over: its model may have to be started first.
    fn patience(&self, shard: &Shard, account: &Account) -> Duration {
        match self.answer.prediction {
            Some(_) if self.filter.events() == 0 => shard.time_left(account).min(poll::LONGEST),
            _ => shard.between_bytes(account),
        }
    }

    /// Asks what a prediction used, which its stream does not tell, while its last text goes out; whether the client is
    /// still there.
    async fn ask_usage(&mut self, responder: &mut Responder, account: &mut Account) -> bool {
        if !self.filter.lacks_usage() {
            return true;
        }
        let out = std::mem::replace(&mut self.out, Buf::empty());
        let (prediction, upstream) = (&self.answer.prediction, self.answer.upstream);
        let asking = async {
            match prediction {
                Some(prediction) => prediction.usage(upstream, account).await,
                None => None,
            }
        };
        let (sent, usage) = join(responder.send(out), asking).await;
        let Ok(empty) = sent else {
            account.stream_ended(&self.filter);
            account.sent(responder.take_sent(), false);
            return false;
        };
        self.out = empty;
        if let Some(usage) = usage {
            self.put(|filter, out| filter.tell_usage(usage, out));
        }
        true
    }

    /// The last bytes for the client, and whether its connection may persist. The provider's is free before the
    /// client has taken them.
    fn end(mut self, account: &mut Account) -> (Buf, bool) {
        // The last event counts even without its blank line. After [DONE] the stream is complete, however it ends.
        if self.fault.is_none() && self.filter.must_be_done() {
            // Some say only then that all has come.
            self.put(|filter, out| filter.finish(out));
        }
        if let Some(prediction) = &mut self.answer.prediction
            && self.filter.done()
        {
            prediction.is_over();
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
        if let Some(prediction) = &mut self.answer.prediction
            && (self.filter.lacks_usage() || self.filter.error_seen())
        {
            prediction.is_over();
            // Its connection may stay open.
            self.ended = true;
        }
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
