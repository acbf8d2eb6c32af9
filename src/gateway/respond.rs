//! Passing a provider's answer on to the client.
//!
//! An event stream goes on as it comes ([`super::events`]). Any other answer is held until it is whole (within a
//! bound), since half a JSON document is of no use to a client and a provider that fails in the middle can then be
//! reported with a proper status.

use std::rc::Rc;

use super::{
    account::Account,
    attempt::{Answer, Instead},
    balance::Outcome,
    events::Stream,
    failure,
    request::Context,
    shard::Shard,
    translate,
};
use crate::dialect::{
    openai::{
        error::{GatewayError, UpstreamFault},
        request::Endpoint,
    },
    translate::Wire,
    usage::UsageScanner,
};
use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    http1::{
        encode::{self, LAST_CHUNK},
        head::{Field, Framing, Known, Version},
        server::Responder,
    },
    join,
};

/// Most bytes of an answer that is not a stream held back until it is whole; a longer one passes as it comes.
const HELD_BYTES: usize = 512 * 1024;

/// The content type of server-sent events.
const EVENTS: &[u8] = b"text/event-stream";
/// That of the streams of AWS, which are always translated.
const AMAZON_EVENTS: &[u8] = b"application/vnd.amazon.eventstream";

/// Passes on what a failed attempt left, where nobody else can be asked; whether the client's connection may persist.
///
/// # Errors
/// The error to answer with, while nothing has been sent.
pub async fn pass_on_instead(
    shard: &Rc<Shard>,
    context: &Context,
    instead: Instead<'_>,
    responder: &mut Responder,
    account: &mut Account,
) -> Result<bool, GatewayError> {
    let stream = match instead {
        Instead::Error(error) => return Err(error),
        Instead::Answer(answer) if is_event_stream(&answer) => {
            Box::new(Stream::new(shard, context, answer, true, account))
        }
        Instead::Answer(answer) => return whole(shard, context, answer, responder, account).await,
        Instead::Stream(stream) => stream,
    };
    Ok(stream.pass_on(shard, responder, account).await)
}

/// Whether an answer is a stream of events.
pub(super) fn is_event_stream(answer: &Answer<'_>) -> bool {
    let bytes = answer.head_bytes();
    answer.head.fields.iter().any(|field| {
        field.known == Known::ContentType
            && [EVENTS, AMAZON_EVENTS].iter().any(|kind| begins(field.value(bytes), kind))
    })
}

/// Whether a field's value begins so, whatever the case.
fn begins(value: &[u8], start: &[u8]) -> bool {
    value.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// Appends status line and the end-to-end fields of the provider's answer.
pub(super) fn begin(
    out: &mut Vec<u8>,
    answer: &Answer<'_>,
    shard: &Shard,
    context: &Context,
    account: &Account,
) {
    encode::status_line(out, answer.head.status);
    fields(out, answer, shard, context, account, None);
}

/// Appends the end-to-end fields of the provider's answer, and ours. `kind` is what the body is, where it is no longer
/// what the provider says.
pub(super) fn fields(
    out: &mut Vec<u8>,
    answer: &Answer<'_>,
    shard: &Shard,
    context: &Context,
    account: &Account,
    kind: Option<&str>,
) {
    if let Some(kind) = kind {
        encode::field(out, "content-type", kind.as_bytes());
    }
    let bytes = answer.head_bytes();
    for field in &answer.head.fields {
        let is_kind = field.known == Known::ContentType;
        if is_kind && kind.is_some() {
            continue;
        }
        if is_kind && begins(field.value(bytes), AMAZON_EVENTS) {
            // Its framing goes no further.
            encode::field(out, "content-type", EVENTS);
        } else if forwards(field, bytes) {
            out.extend_from_slice(field.line(bytes));
            out.extend_from_slice(b"\r\n");
        }
    }
    if let Some(client) = context.client {
        shard.write_limits(client, out);
    }
    // Who answered, and after how many attempts.
    out.extend_from_slice(b"x-coo-provider: ");
    out.extend_from_slice(answer.upstream.id.as_bytes());
    out.extend_from_slice(b"\r\nx-coo-attempts: ");
    out.extend_from_slice(itoa::Buffer::new().format(account.tries).as_bytes());
    out.extend_from_slice(b"\r\n");
    if let Some(dropped) = &account.dropped {
        encode::field(out, "x-coo-dropped-params", dropped.as_bytes());
    }
}

/// Whether a provider's header field goes on: end-to-end, and about the answer, not about the provider's site
/// or our account there.
fn forwards(field: &Field, head: &[u8]) -> bool {
    match field.known {
        Known::Other if !field.nominated => {}
        Known::ContentType | Known::ContentEncoding => return true,
        _ => return false,
    }
    let name = field.name(head);
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    // What is left of our key's limits there is not what is left of the client's here.
    let limits = name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-ratelimit-"))
        || name.get(..20).is_some_and(|start| start.eq_ignore_ascii_case(b"anthropic-ratelimit-"));
    // Of a gateway like this one before the provider: who answered there is nobody whom the client knows.
    let ours = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"x-coo-"));
    !limits
        && !ours
        && !match name.len() {
            7 => is("alt-svc"),
            14 => is("openai-project"),
            19 => is("openai-organization"),
            25 => is("strict-transport-security"),
            _ => false,
        }
}

/// Passes on an answer that is not a stream; whether the client's connection may persist.
///
/// # Errors
/// The error to answer with, while nothing has been sent.
pub async fn whole(
    shard: &Rc<Shard>,
    context: &Context,
    mut answer: Answer<'_>,
    responder: &mut Responder,
    account: &mut Account,
) -> Result<bool, GatewayError> {
    if let Some(foreign) = translate::foreign(context, answer.wire) {
        // On the heap: what is translated can bear it, and its size would burden every request's future.
        return Box::pin(translate::whole(shard, context, answer, foreign, responder, account)).await;
    }
    account.answered(answer.head.status);
    let id = &answer.upstream.id;
    let persist = context.persists(shard);
    let mut out = Buf::with_capacity(LARGE_BYTES);
    begin(out.vec_mut(), &answer, shard, context, account);
    let mut scanner = match (answer.wire, context.endpoint()) {
        (Wire::Gemini, _) => UsageScanner::googles(),
        (Wire::Cohere, Some(Endpoint::CohereChat)) => UsageScanner::coheres(),
        (Wire::Cohere, _) => UsageScanner::of_meta(),
        _ => UsageScanner::new(),
    };
    let mut body = Buf::empty();
    let read = answer.begin_body();
    if !read.is_empty() {
        // An error that was looked into for what it says of the key.
        scanner.feed(&read);
        body.put(&read);
    }
    // Until it is whole or too long to hold.
    let complete = loop {
        let content =
            answer.connection.content().map_err(|_| failure::upstream(id, UpstreamFault::Garbage))?;
        let n = content.len();
        if n > 0 {
            scanner.feed(content);
            if answer.head.framing == Framing::Length(n as u64) && body.is_empty() {
                // The usual case: all of it came at once and goes behind the head without another copy.
                finish_head(out.vec_mut(), Some(n as u64), context, persist);
                out.put(content);
                answer.connection.consume(n);
                break None;
            }
            if body.is_empty() {
                body = Buf::with_capacity(n.max(LARGE_BYTES));
            }
            body.put(content);
            answer.connection.consume(n);
            continue;
        }
        if answer.connection.is_complete() {
            break Some(true);
        }
        if body.len() > HELD_BYTES {
            break Some(false);
        }
        match answer.connection.receive(shard.between_bytes(account)).await {
            Ok(true) => {}
            Ok(false) => break Some(true),
            Err(kind) => {
                account.told(Outcome::Failed);
                account.detail = Some(kind.to_string());
                return Err(failure::upstream(id, failure::of_exchange(&kind, true)));
            }
        }
    };
    match complete {
        None => {}
        Some(true) => {
            finish_head(out.vec_mut(), Some(body.len() as u64), context, persist);
            out.put(&body);
        }
        Some(false) => {
            return Box::pin(long(shard, context, answer, (out, body), scanner, responder, account)).await;
        }
    }
    account.usage = scanner.finish();
    // The provider's connection is free before the client has taken the answer.
    answer.connection.release();
    let sent = responder.send(out).await;
    account.sent(responder.take_sent(), sent.is_ok());
    Ok(sent.is_ok() && persist)
}

/// Appends framing and connection fields and the end of the head.
pub(super) fn finish_head(out: &mut Vec<u8>, length: Option<u64>, context: &Context, persist: bool) {
    match length {
        Some(length) => encode::number_field(out, "content-length", length),
        None if context.version == Version::Http11 => {
            encode::field(out, "transfer-encoding", b"chunked");
        }
        // HTTP/1.0: the close of the connection ends the body.
        None => {}
    }
    failure::connection(out, context.version, persist);
    out.extend_from_slice(b"\r\n");
}

/// The rest of an answer too long to hold, passed on as it comes.
async fn long(
    shard: &Rc<Shard>,
    context: &Context,
    mut answer: Answer<'_>,
    (mut out, body): (Buf, Buf),
    mut scanner: UsageScanner,
    responder: &mut Responder,
    account: &mut Account,
) -> Result<bool, GatewayError> {
    let length = match answer.head.framing {
        Framing::Length(length) => Some(length),
        _ => None,
    };
    let chunked = length.is_none() && context.version == Version::Http11;
    let persist = context.persists(shard) && (length.is_some() || chunked);
    finish_head(out.vec_mut(), length, context, persist);
    let put = |out: &mut Buf, content: &[u8]| {
        if chunked {
            encode::chunk(out.vec_mut(), content);
        } else {
            out.put(content);
        }
    };
    put(&mut out, &body);
    drop(body);
    let fault = loop {
        match answer.connection.content() {
            Ok([]) => {}
            Ok(content) => {
                let n = content.len();
                scanner.feed(content);
                put(&mut out, content);
                answer.connection.consume(n);
                continue;
            }
            Err(_) => break Some(UpstreamFault::Garbage),
        }
        if answer.connection.is_complete() {
            break None;
        }
        let wait = shard.between_bytes(account);
        let (sent, received) = join(responder.send(out), answer.connection.receive(wait)).await;
        match sent {
            Ok(empty) => out = empty,
            Err(_) => {
                account.sent(responder.take_sent(), false);
                return Ok(false);
            }
        }
        match received {
            Ok(true) => {}
            Ok(false) => break None,
            Err(kind) => {
                account.detail = Some(kind.to_string());
                break Some(failure::of_exchange(&kind, true));
            }
        }
    };
    account.usage = scanner.finish();
    if let Some(fault) = fault {
        // Half a document with a declared end: only closing early can say that it is incomplete.
        account.failed(&failure::upstream(&answer.upstream.id, fault), answer.head.status);
        let _ = responder.send(out).await;
        account.sent(responder.take_sent(), true);
        return Ok(false);
    }
    if chunked {
        out.put(LAST_CHUNK);
    }
    answer.connection.release();
    let sent = responder.send(out).await;
    account.sent(responder.take_sent(), sent.is_ok());
    Ok(sent.is_ok() && persist)
}
