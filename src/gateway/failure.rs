//! How failures are answered: the OpenAI error object with the head that fits it.

use coo_shards::{
    buf::{Buf, SMALL_BYTES},
    http1::{
        client::FailureKind,
        encode,
        head::{Version, Violation},
        server::Failure,
    },
    pool::ConnectError,
};
use http::StatusCode;

use super::shard::Shard;
use crate::{
    config::snapshot::ClientId,
    dialect::{
        openai::{
            error::{GatewayError, UpstreamFault},
            request::Endpoint,
        },
        provider_error::ProviderError,
        translate,
    },
};

/// Seconds after which a client may try again when this process has no room.
const RETRY_AFTER_S: u64 = 1;

/// The error for a request that could not be received.
#[must_use]
pub fn of_receiving(failure: &Failure, shard: &Shard) -> GatewayError {
    match failure {
        Failure::Timeout | Failure::Gone => {
            let limit = shard.limits.head_timeout.max(shard.limits.body_timeout);
            GatewayError::RequestTimeout { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
        }
        Failure::Violation(Violation::BodyTooLarge) => {
            GatewayError::BodyTooLarge { limit_bytes: shard.max_body_bytes as u64 }
        }
        Failure::Violation(Violation::HeadTooLarge | Violation::TooManyHeaders) => {
            GatewayError::HeadTooLarge { limit_bytes: shard.limits.head.bytes as u64 }
        }
        Failure::Violation(violation) => GatewayError::MalformedHead { rule: violation.rule() },
    }
}

/// The status where the broken rule has one of its own (501 for a transfer coding, 505 for a version, …).
#[must_use]
pub fn status_of(failure: &Failure) -> Option<StatusCode> {
    match failure {
        Failure::Violation(violation) => Some(violation.status()),
        Failure::Timeout | Failure::Gone => None,
    }
}

/// The error for a provider that could not be reached.
#[must_use]
pub fn of_connecting(error: &ConnectError, provider: &str, model: &str) -> GatewayError {
    match error {
        ConnectError::Exhausted => GatewayError::NoCapacity { model: model.to_owned() },
        ConnectError::Connect(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            upstream(provider, UpstreamFault::Timeout)
        }
        ConnectError::Unresolved | ConnectError::Connect(_) | ConnectError::Tls(_) => {
            upstream(provider, UpstreamFault::Connect)
        }
    }
}

/// The fault of an exchange that failed; `began` says that bytes of the answer had come.
#[must_use]
pub fn of_exchange(kind: &FailureKind, began: bool) -> UpstreamFault {
    match kind {
        FailureKind::Timeout => UpstreamFault::Timeout,
        FailureKind::Violation(_) => UpstreamFault::Garbage,
        FailureKind::Closed | FailureKind::Io(_) if began => UpstreamFault::Cut,
        FailureKind::Closed | FailureKind::Io(_) => UpstreamFault::Reset,
    }
}

/// The error of a provider's fault.
#[must_use]
pub fn upstream(provider: &str, fault: UpstreamFault) -> GatewayError {
    GatewayError::Upstream { provider: provider.to_owned(), fault }
}

/// An error of ours as if a provider had told it, for dialects other than OpenAI's.
#[must_use]
pub fn as_of_provider(error: &GatewayError) -> ProviderError {
    let kind = error.kind();
    let param = error.param().map(str::to_owned);
    ProviderError { status: kind.status, kind: kind.kind, code: kind.code, param, message: error.to_string() }
}

/// The status of an answer: the rule's own where there is one.
#[must_use]
pub fn status(error: &GatewayError, own: Option<StatusCode>) -> StatusCode {
    own.or_else(|| StatusCode::from_u16(error.kind().status).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The whole answer; to a known `client` it says what is left of its limits.
#[must_use]
pub fn answer(
    error: &GatewayError,
    own: Option<StatusCode>,
    version: Version,
    persist: bool,
    head_only: bool,
    client: Option<(&Shard, ClientId)>,
    endpoint: Option<Endpoint>,
) -> Buf {
    let mut body = Vec::with_capacity(256);
    match endpoint {
        Some(endpoint)
            if endpoint == Endpoint::Messages || endpoint.is_coheres() || endpoint.is_googles() =>
        {
            translate::write_error(&as_of_provider(error), endpoint, &mut body)
        }
        _ => error.write_body(&mut body),
    }
    let mut answer = Buf::with_capacity(SMALL_BYTES);
    let out = answer.vec_mut();
    encode::status_line(out, status(error, own));
    encode::field(out, "content-type", b"application/json");
    encode::date_field(out);
    match error {
        GatewayError::MethodNotAllowed { allow, .. } => encode::field(out, "allow", allow.as_bytes()),
        GatewayError::MissingApiKey | GatewayError::InvalidApiKey => {
            encode::field(out, "www-authenticate", b"Bearer");
        }
        GatewayError::RateLimited { retry_after_ms, .. } => {
            encode::number_field(out, "retry-after", retry_after_ms.div_ceil(1000));
            // What the OpenAI SDKs look at first.
            encode::number_field(out, "retry-after-ms", *retry_after_ms);
        }
        GatewayError::BudgetSpent { retry_after_ms, .. } if *retry_after_ms < u64::MAX => {
            encode::number_field(out, "retry-after", retry_after_ms.div_ceil(1000));
        }
        GatewayError::NoCapacity { .. } | GatewayError::NoToken { .. } | GatewayError::Draining => {
            encode::number_field(out, "retry-after", RETRY_AFTER_S);
        }
        _ => {}
    }
    if let Some((shard, client)) = client {
        shard.write_limits(client, out);
    }
    encode::number_field(out, "content-length", body.len() as u64);
    connection(out, version, persist);
    out.extend_from_slice(b"\r\n");
    if !head_only {
        out.extend_from_slice(&body);
    }
    answer
}

/// Appends the Connection field where the version's default is not what is meant.
pub fn connection(out: &mut Vec<u8>, version: Version, persist: bool) {
    match (version, persist) {
        (Version::Http11, false) => encode::field(out, "connection", b"close"),
        (Version::Http10, true) => encode::field(out, "connection", b"keep-alive"),
        _ => {}
    }
}
