//! One attempt: the request written for the provider, sent over a pooled connection, up to the answer's head.

use coo_shards::{
    buf::Buf,
    http1::{
        client::FailureKind,
        encode,
        head::{Field, Known, ResponseHead},
        server::Request,
    },
    pool::{ConnectError, Pooled},
};
use http::{Method, StatusCode};

use super::{
    account::Account, balance::Outcome, events::Stream, failure, learn, shard::Shard, translate::Prepared,
};
use crate::{
    config::snapshot::{ProviderId, Upstream},
    dialect::openai::error::{GatewayError, UpstreamFault},
};

/// What is to be sent, and to whom.
pub struct Outgoing<'r, 'a> {
    /// The client's request.
    pub request: &'r Request,
    /// As the provider gets it.
    pub prepared: &'r Prepared<'r>,
    /// The provider.
    pub upstream: &'a Upstream,
    /// Its number.
    pub provider: ProviderId,
}

/// An answer whose head has come.
pub struct Answer<'a> {
    /// The connection, which still holds the head's bytes.
    pub connection: Pooled,
    /// The head.
    pub head: ResponseHead,
    /// Who answers.
    pub upstream: &'a Upstream,
}

impl Answer<'_> {
    /// Gives an answer up that nobody is to see. Its connection is kept where all of it has come.
    pub fn discard(mut self) {
        self.connection.consume_head(&self.head);
        self.discard_body();
    }

    /// The same where the head is no longer among the connection's bytes.
    pub fn discard_body(mut self) {
        while let Ok(content) = self.connection.content() {
            let n = content.len();
            if n == 0 {
                break;
            }
            self.connection.consume(n);
        }
        if self.connection.is_complete() {
            self.connection.release();
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The provider failed, or said that it did.
    Failed,
    /// It could not be reached; it has seen nothing of the request.
    Unreachable,
    /// A limit of the key is reached (429, 529).
    Limited,
    /// The key is not accepted (401, 403).
    Revoked,
    /// No connection was free.
    NoRoom,
}

impl Why {
    /// What it shows of key and provider.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Failed | Self::Unreachable => Outcome::Failed,
            Self::Limited => Outcome::Limited,
            Self::Revoked => Outcome::Revoked,
            Self::NoRoom => Outcome::Cancelled,
        }
    }
}

/// An attempt that failed before any of its answer went to the client.
pub struct Failed<'a> {
    /// Why.
    pub why: Why,
    /// What the client gets where nobody else can be asked.
    pub instead: Instead<'a>,
}

/// What the client gets where nobody else can be asked.
pub enum Instead<'a> {
    /// The provider's own answer.
    Answer(Answer<'a>),
    /// The same, a stream that begins with an error.
    Stream(Box<Stream<'a>>),
    /// An error of ours.
    Error(GatewayError),
}

impl Instead<'_> {
    /// Gives it up: somebody else is asked.
    pub fn discard(self) {
        match self {
            Self::Answer(answer) => answer.discard(),
            Self::Stream(stream) => stream.discard(),
            Self::Error(_) => {}
        }
    }
}

/// Why an answer with this status is a failure that another attempt might not have.
pub(super) fn why(status: StatusCode) -> Option<Why> {
    match status.as_u16() {
        401 | 403 => Some(Why::Revoked),
        429 | 529 => Some(Why::Limited),
        // 408 as OpenAI's SDKs have it; 52x as Cloudflare, in front of many providers, has them.
        408 | 500 | 502 | 503 | 504 | 520..=527 => Some(Why::Failed),
        _ => None,
    }
}

/// Sends the request and waits for the head of the answer.
///
/// A connection that the provider had closed while it lay idle is replaced once: the provider cannot have seen
/// the request then (RFC 9112 §9.5).
///
/// # Errors
/// Why it failed; with the provider's answer, where there is one.
pub async fn send<'a>(
    shard: &Shard,
    outgoing: &Outgoing<'_, 'a>,
    model: &str,
    account: &mut Account,
) -> Result<Answer<'a>, Failed<'a>> {
    let provider = &outgoing.upstream.id;
    let unreachable = |account: &mut Account, error: ConnectError| {
        account.detail = Some(error.to_string());
        let why = if matches!(error, ConnectError::Exhausted) { Why::NoRoom } else { Why::Unreachable };
        Failed { why, instead: Instead::Error(failure::of_connecting(&error, provider, model)) }
    };
    account.tries += 1;
    let mut connection =
        shard.pool.checkout(outgoing.provider).await.map_err(|error| unreachable(account, error))?;
    loop {
        account.sending();
        account.attempts += 1;
        let (request, first_byte) = (outgoing.written(), shard.first_byte(account));
        let exchanged = connection
            .exchange(&Method::POST, request, first_byte, shard.upstream_head, || account.is_sent())
            .await;
        match exchanged {
            Ok(head) => {
                connection.answered();
                account.first_byte();
                learn::from(shard, outgoing, account, &connection, &head);
                let why = why(head.status);
                account.refused = head.status.as_u16() >= 400;
                let hidden = head.status == StatusCode::UNAUTHORIZED;
                let answer = Answer { connection, head, upstream: outgoing.upstream };
                let Some(why) = why else { return Ok(answer) };
                if hidden {
                    // It is our key that was refused, not the client's; and the message would show part of ours.
                    answer.discard();
                    return Err(Failed {
                        why,
                        instead: Instead::Error(failure::upstream(provider, UpstreamFault::Auth)),
                    });
                }
                return Err(Failed { why, instead: Instead::Answer(answer) });
            }
            Err(failed) if failed.replayable => {
                drop(connection);
                connection = Box::pin(shard.pool.open(outgoing.provider))
                    .await
                    .map_err(|error| unreachable(account, error))?;
                // A fresh connection has served nothing, so a second failure is not replayable.
            }
            Err(failed) => {
                connection.failed(&failed.kind);
                account.detail = Some(failed.kind.to_string());
                let began = matches!(failed.kind, FailureKind::Violation(_));
                let error = failure::upstream(provider, failure::of_exchange(&failed.kind, began));
                return Err(Failed { why: Why::Failed, instead: Instead::Error(error) });
            }
        }
    }
}

impl Outgoing<'_, '_> {
    /// The request as the provider gets it.
    fn written(&self) -> Buf {
        let head = self.request.head_bytes();
        let Prepared { head: prepared, body } = self.prepared;
        let mut request = Buf::with_capacity(prepared.len() + self.request.head.len + body.len() + 64);
        let out = request.vec_mut();
        out.extend_from_slice(prepared);
        for field in &self.request.head.fields {
            if self.forwards(field, head) {
                out.extend_from_slice(field.line(head));
                out.extend_from_slice(b"\r\n");
            }
        }
        encode::number_field(out, "content-length", body.len() as u64);
        out.extend_from_slice(b"\r\n");
        body.write_into(out);
        request
    }

    /// Whether a client's header field goes on: end-to-end, no credential, nothing that the prepared head says.
    fn forwards(&self, field: &Field, head: &[u8]) -> bool {
        if field.known != Known::Other || field.nominated {
            return false;
        }
        let name = field.name(head);
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if self.prepared.body.is_translated() {
            // What else a client says is for a provider that speaks its dialect.
            return is("traceparent") || is("tracestate") || is("x-request-id");
        }
        let private = match name.len() {
            7 => is("api-key"),
            9 => is("x-api-key"),
            14 => is("openai-project") || is("x-goog-api-key"),
            19 => is("openai-organization"),
            _ => false,
        };
        !private && !self.upstream.extra_headers.iter().any(|extra| is(extra))
    }
}
