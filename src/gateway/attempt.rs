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

use super::{account::Account, failure, learn, shard::Shard};
use crate::{
    config::snapshot::{ProviderId, Upstream},
    dialect::openai::{
        error::{GatewayError, UpstreamFault},
        splice::Splice,
    },
};

/// What is to be sent, and to whom.
pub struct Outgoing<'a> {
    /// The client's request.
    pub request: &'a Request,
    /// The prepared start of the provider's request head.
    pub prepared: &'a [u8],
    /// The client's body with what must change.
    pub splice: &'a Splice<'a>,
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

/// Sends the request and waits for the head of the answer.
///
/// A connection that the provider had closed while it lay idle is replaced once: the provider cannot have seen
/// the request then (RFC 9112 §9.5).
///
/// # Errors
/// The error to answer with.
pub async fn send<'a>(
    shard: &Shard,
    outgoing: &Outgoing<'a>,
    model: &str,
    account: &mut Account,
) -> Result<Answer<'a>, GatewayError> {
    let provider = &outgoing.upstream.id;
    let refused = |account: &mut Account, error: ConnectError| {
        account.detail = Some(error.to_string());
        failure::of_connecting(&error, provider, model)
    };
    let mut connection =
        shard.pool.checkout(outgoing.provider).await.map_err(|error| refused(account, error))?;
    loop {
        account.sending();
        account.attempts += 1;
        let exchanged = connection
            .exchange(&Method::POST, outgoing.written(), shard.first_byte(account), shard.upstream_head)
            .await;
        match exchanged {
            Ok(head) if head.status == StatusCode::UNAUTHORIZED => {
                account.refused = true;
                // It is our key that was refused, not the client's; and the message would show part of ours.
                return Err(failure::upstream(provider, UpstreamFault::Auth));
            }
            Ok(head) => {
                account.first_byte();
                learn::from(shard, outgoing, account, &connection, &head);
                return Ok(Answer { connection, head, upstream: outgoing.upstream });
            }
            Err(failed) if failed.replayable => {
                drop(connection);
                connection = Box::pin(shard.pool.open(outgoing.provider))
                    .await
                    .map_err(|error| refused(account, error))?;
                // A fresh connection has served nothing, so a second failure is not replayable.
            }
            Err(failed) => {
                account.detail = Some(failed.kind.to_string());
                let began = matches!(failed.kind, FailureKind::Violation(_));
                return Err(failure::upstream(provider, failure::of_exchange(&failed.kind, began)));
            }
        }
    }
}

impl Outgoing<'_> {
    /// The request as the provider gets it.
    fn written(&self) -> Buf {
        let head = self.request.head_bytes();
        let mut request =
            Buf::with_capacity(self.prepared.len() + self.request.head.len + self.splice.len() + 64);
        let out = request.vec_mut();
        out.extend_from_slice(self.prepared);
        for field in &self.request.head.fields {
            if self.forwards(field, head) {
                out.extend_from_slice(field.line(head));
                out.extend_from_slice(b"\r\n");
            }
        }
        encode::number_field(out, "content-length", self.splice.len() as u64);
        out.extend_from_slice(b"\r\n");
        self.splice.write_into(out);
        request
    }

    /// Whether a client's header field goes on: end-to-end, no credential, nothing that the prepared head says.
    fn forwards(&self, field: &Field, head: &[u8]) -> bool {
        if field.known != Known::Other || field.nominated {
            return false;
        }
        let name = field.name(head);
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
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
