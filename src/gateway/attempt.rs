//! One attempt: the request written for the provider, sent over a pooled connection, up to the answer's head.

use std::{rc::Rc, time::Duration};

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
    account::Account,
    balance::Outcome,
    events::Stream,
    failure, learn, poll,
    prediction::Prediction,
    respond,
    shard::Shard,
    translate::{Prepared, family},
};
use crate::{
    config::{
        ProviderType,
        snapshot::{ProviderId, Upstream},
    },
    dialect::{
        openai::error::{GatewayError, UpstreamFault},
        translate::{Wire, error_of_key},
    },
};

/// Most bytes of an error that are read to know what it says of the key; real ones have about a thousand.
const MOST_ERROR_BYTES: usize = 64 * 1024;

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
    /// What it speaks.
    pub wire: Wire,
    /// The bytes of the head and what has come of the body, where that was read already.
    pub(super) read: Option<Box<(Vec<u8>, Vec<u8>)>>,
    /// What this is the stream of, where that goes on without it.
    pub(super) prediction: Option<Box<Prediction>>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(
        connection: Pooled,
        head: ResponseHead,
        (upstream, wire): (&'a Upstream, Wire),
    ) -> Self {
        Self { connection, head, upstream, wire, read: None, prediction: None }
    }

    /// The head's bytes, until [`Answer::begin_body`].
    #[must_use]
    pub fn head_bytes(&self) -> &[u8] {
        match &self.read {
            Some(read) => &read.0,
            None => self.connection.head_bytes(),
        }
    }

    /// Goes on behind the head; what has been read of the body.
    pub fn begin_body(&mut self) -> Vec<u8> {
        match self.read.take() {
            Some(read) => read.1,
            None => {
                self.connection.consume_head(&self.head);
                Vec::new()
            }
        }
    }

    /// Reads the body of an error that says of the key what its head does not: the status that it stands for, and how
    /// long the key is to rest. One that is cut or too long says nothing; who passes it on finds out.
    async fn of_key(&mut self, wire: Wire, shard: &Shard, account: &Account) -> (u16, Option<Duration>) {
        let status = self.head.status.as_u16();
        let body = self.read_body(MOST_ERROR_BYTES, shard, account).await;
        let (status, rest) = error_of_key(wire, status, body);
        (status, rest.map(Duration::from_millis))
    }

    /// Whether it is an error that says of the key in its body what its head does not, and in which dialect.
    fn tells_in_body(&self) -> Option<Wire> {
        let (wire, status) = (self.wire, self.head.status.as_u16());
        let tells = || wire.tells_in_body(family(self.upstream.kind), status);
        (status >= 400 && tells() && !respond::is_event_stream(self)).then_some(wire)
    }

    /// Reads the body, or about so many bytes of it; what has come. One that is cut is found out by who reads on.
    pub(super) async fn read_body(&mut self, most: usize, shard: &Shard, account: &Account) -> &[u8] {
        let head = self.connection.head_bytes().get(..self.head.len).unwrap_or_default().to_vec();
        self.connection.consume_head(&self.head);
        let mut body = Vec::new();
        while let Ok(content) = self.connection.content()
            && body.len() < most
        {
            let n = content.len();
            body.extend_from_slice(content);
            self.connection.consume(n);
            let all = self.connection.is_complete();
            if all
                || (n == 0
                    && !matches!(self.connection.receive(shard.between_bytes(account)).await, Ok(true)))
            {
                break;
            }
        }
        let read = self.read.insert(Box::new((head, body)));
        &read.1
    }

    /// Gives an answer up that nobody is to see. Its connection is kept where all of it has come.
    pub fn discard(mut self) {
        self.begin_body();
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
    /// There is no access token to send.
    NoToken,
}

impl Why {
    /// What it shows of key and provider.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Failed | Self::Unreachable => Outcome::Failed,
            Self::Limited => Outcome::Limited,
            Self::Revoked => Outcome::Revoked,
            Self::NoRoom | Self::NoToken => Outcome::Cancelled,
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

/// What a 403 of AWS means, which has no 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    /// The key is not accepted. The message may show what was signed, and so parts of the key.
    Key,
    /// The key is, but not for this model.
    Model,
}

/// Sends the request and waits for the head of the answer.
///
/// A connection that the provider had closed while it lay idle is replaced once: the provider cannot have seen
/// the request then (RFC 9112 §9.5).
///
/// # Errors
/// Why it failed; with the provider's answer, where there is one.
pub async fn send<'a>(
    shard: &Rc<Shard>,
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
    let token = shard.tokens.of(outgoing.provider);
    if outgoing.upstream.wants_token && token.is_none() {
        let error = GatewayError::NoToken { provider: provider.clone() };
        return Err(Failed { why: Why::NoToken, instead: Instead::Error(error) });
    }
    let mut connection =
        shard.pool.checkout(outgoing.provider).await.map_err(|error| unreachable(account, error))?;
    loop {
        account.sending();
        account.attempts += 1;
        let (request, first_byte) = (outgoing.written(token.as_deref()), shard.first_byte(account));
        let exchanged = connection
            .exchange(&Method::POST, request, first_byte, shard.upstream_head, || account.is_sent())
            .await;
        match exchanged {
            Ok(head) => {
                connection.answered();
                account.first_byte();
                let wire = outgoing.prepared.wire;
                let mut answer = Answer::new(connection, head, (outgoing.upstream, wire));
                if answer.head.status.is_success() && wire == Wire::Replicate {
                    // On the heap: its waiting would burden every request's future.
                    answer = Box::pin(poll::until_over(shard, outgoing, answer, account)).await?;
                }
                let told = match answer.tells_in_body() {
                    // On the heap, as above.
                    Some(wire) => Box::pin(answer.of_key(wire, shard, account)).await,
                    None => (answer.head.status.as_u16(), None),
                };
                learn::from(shard, outgoing, account, &answer, told);
                let of_aws = outgoing.denial(account, &answer, told.0);
                let why = match of_aws {
                    Some(Denial::Model) => None,
                    _ => StatusCode::from_u16(told.0).ok().and_then(why),
                };
                account.refused = answer.head.status.as_u16() >= 400;
                let hidden = told.0 == 401 || of_aws == Some(Denial::Key);
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
    /// What an answer means that is a 403 of AWS. Of a key that is sent as it is, both have the same name, and its body
    /// tells for which status it stands.
    fn denial(&self, account: &Account, answer: &Answer<'_>, told: u16) -> Option<Denial> {
        let (head, bytes) = (&answer.head, answer.head_bytes());
        if head.status != StatusCode::FORBIDDEN || self.upstream.kind != ProviderType::Bedrock {
            return None;
        }
        let is_named = |field: &&Field| field.name(bytes).eq_ignore_ascii_case(b"x-amzn-errortype");
        let named = head.fields.iter().find(is_named);
        if !named.is_some_and(|field| field.value(bytes).starts_with(b"AccessDeniedException")) {
            return Some(Denial::Key);
        }
        let signs = account.key.and_then(|key| self.upstream.keys.get(key)?.access_key.as_ref());
        Some(if signs.is_none() && told == 401 { Denial::Key } else { Denial::Model })
    }

    /// The request as the provider gets it, with a field for the token where there is one.
    fn written(&self, token: Option<&[u8]>) -> Buf {
        let head = self.request.head_bytes();
        let Prepared { head: prepared, body, .. } = self.prepared;
        let token = token.unwrap_or_default();
        let heads = prepared.len() + token.len() + self.request.head.len;
        let mut request = Buf::with_capacity(heads + body.len() + 64);
        let out = request.vec_mut();
        out.extend_from_slice(prepared);
        out.extend_from_slice(token);
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
            // The last is whom Google sends the bill, where our account may.
            19 => is("openai-organization") || is("x-goog-user-project"),
            _ => false,
        };
        !private && !self.upstream.extra_headers.iter().any(|extra| is(extra))
    }
}
