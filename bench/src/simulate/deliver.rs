//! Putting an answer on the wire as it should be; [`misbehave`](super::misbehave) does it as it should not.

use std::{io, time::Instant};

use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    http1::{
        encode::{self, LAST_CHUNK, chunk_with, date_field, number_field, status_line},
        head::Version,
        server::Responder,
    },
};
use http::StatusCode;

use super::{
    exchange::wait,
    faults::Fault,
    misbehave,
    record::Trace,
    reply::{Body, Event, Events, Reply},
    shard::Shard,
};

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It persists.
    Keep,
    /// It ends in good order.
    Linger,
    /// It is dropped as it is.
    Drop,
    /// The client left it.
    Gone,
}

/// How the client may be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) version: Version,
    pub(crate) keep_alive: bool,
    pub(crate) head_only: bool,
}

impl Terms {
    pub(crate) fn end(self) -> End {
        if self.keep_alive { End::Keep } else { End::Linger }
    }
}

/// How an answer's head says where its body ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    Known(usize),
    Chunked,
    UntilClose,
}

/// Appends a head.
pub(crate) fn head(
    out: &mut Vec<u8>,
    status: StatusCode,
    fields: &[u8],
    kind: &str,
    length: Length,
    terms: Terms,
) {
    status_line(out, status);
    date_field(out);
    encode::field(out, "content-type", kind.as_bytes());
    match length {
        Length::Known(bytes) => number_field(out, "content-length", bytes as u64),
        Length::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Length::UntilClose => {}
    }
    match (terms.keep_alive, terms.version) {
        (false, _) => out.extend_from_slice(b"connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, Version::Http11) => {}
    }
    out.extend_from_slice(fields);
    out.extend_from_slice(b"\r\n");
}

/// The content type of a JSON body.
pub(crate) const JSON: &str = "application/json";
/// The content type of a text.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
/// The content type of an event stream.
pub(crate) const EVENTS: &str = "text/event-stream; charset=utf-8";

/// Sends an answer of the control plane.
pub(crate) async fn control(
    responder: &mut Responder,
    (status, body): (StatusCode, Vec<u8>),
    terms: Terms,
) -> End {
    let mut out = Buf::with_capacity(LARGE_BYTES);
    head(out.vec_mut(), status, b"", JSON, Length::Known(body.len()), terms);
    if !terms.head_only {
        out.put(&body);
    }
    match responder.send(out).await {
        Ok(_) => terms.end(),
        Err(_) => End::Gone,
    }
}

/// Sends an answer; says what becomes of the connection, and whether the whole answer went out as it should.
pub(crate) async fn reply(
    shard: &Shard,
    responder: &mut Responder,
    reply: Reply,
    terms: Terms,
    trace: &Trace<'_>,
) -> (End, bool) {
    let (status, fault) = (reply.status, reply.fault);
    let sent = match reply.body {
        Body::Json(body) => match fault {
            Some(fault) if !terms.head_only => {
                misbehave::whole(responder, status, &reply.headers, &body, fault, terms).await
            }
            _ => whole(responder, status, &reply.headers, JSON, &body, terms).await,
        },
        Body::Text(body) => whole(responder, status, &reply.headers, TEXT, &body, terms).await,
        Body::Events(events) => {
            shard.count(|counters| &counters.streams, 1);
            let (error, comment) = (events.error(), events.comment());
            let mut stream = Stream { shard, responder, terms, trace, fault, error, comment };
            stream.run(status, &reply.headers, events).await
        }
    };
    match sent {
        Ok((end, complete)) => {
            if complete {
                trace.sent_tokens.set(reply.completion_tokens);
            }
            (end, complete)
        }
        Err(_) => (End::Gone, false),
    }
}

/// How an answer ended, and whether it was whole.
pub(crate) type Sent = io::Result<(End, bool)>;

/// Sends a whole answer with its length in one piece.
pub(crate) async fn whole(
    responder: &mut Responder,
    status: StatusCode,
    fields: &[u8],
    kind: &str,
    body: &[u8],
    terms: Terms,
) -> Sent {
    let mut out = Buf::with_capacity(LARGE_BYTES);
    head(out.vec_mut(), status, fields, kind, Length::Known(body.len()), terms);
    if !terms.head_only {
        out.put(body);
    }
    responder.send(out).await?;
    Ok((terms.end(), true))
}

/// A stream being sent.
pub(crate) struct Stream<'a> {
    pub(crate) shard: &'a Shard,
    pub(crate) responder: &'a mut Responder,
    pub(crate) terms: Terms,
    pub(crate) trace: &'a Trace<'a>,
    pub(crate) fault: Option<Fault>,
    /// What it says where it fails in the middle.
    pub(crate) error: &'static [u8],
    /// What may stand between two events.
    pub(crate) comment: &'static [u8],
}

impl Stream<'_> {
    async fn run(&mut self, status: StatusCode, fields: &[u8], mut events: Box<dyn Events>) -> Sent {
        let until_close = self.terms.version == Version::Http10 || self.fault == Some(Fault::CloseDelimited);
        let length = if until_close { Length::UntilClose } else { Length::Chunked };
        if until_close {
            self.terms.keep_alive = false;
        }
        let mut out = Buf::with_capacity(LARGE_BYTES);
        if let Some(ended) = misbehave::before_head(self, out.vec_mut()).await? {
            return Ok(ended);
        }
        head(out.vec_mut(), status, fields, events.kind(), length, self.terms);
        misbehave::pad_head(self.fault, out.vec_mut());
        let half = events.content_events() / 2;
        let (start, pace) = (Instant::now(), events.pace());
        let (mut tokens, mut contents) = (0u64, 0usize);
        loop {
            let mut event = Event::Frame;
            if until_close {
                event = events.next(out.vec_mut());
            } else {
                chunk_with(out.vec_mut(), |out| event = events.next(out));
            }
            match event {
                Event::Frame => {}
                Event::Content(n) => {
                    // Due by the clock, so that late wake-ups do not add up.
                    let due =
                        pace.first + pace.per_token.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX));
                    wait(due.saturating_sub(start.elapsed())).await;
                    if contents == half
                        && let Some(ended) = misbehave::midway(self, &mut out).await?
                    {
                        return Ok(ended);
                    }
                    tokens += n as u64;
                    contents += 1;
                }
                Event::Last => {
                    if !until_close {
                        out.put(LAST_CHUNK);
                    }
                    misbehave::send(self, out).await?;
                    self.shard.count(|counters| &counters.chunks, 1);
                    let end =
                        if self.fault == Some(Fault::CloseAfter) { End::Drop } else { self.terms.end() };
                    return Ok((end, true));
                }
            }
            out = match self.fault {
                None => self.responder.send(out).await?,
                Some(Fault::Burst) => continue,
                Some(_) => misbehave::send(self, out).await?,
            };
            if !until_close {
                self.responder.between_events();
            }
            self.shard.count(|counters| &counters.chunks, 1);
            self.trace.sent_tokens.set(tokens);
        }
    }
}
