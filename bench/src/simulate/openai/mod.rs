//! OpenAI's wire format (https://platform.openai.com/docs/api-reference): from a request's bytes to an answer.
//!
//! `request` reads a chat request, `plan` decides what is answered, `chat` and `stream` write it; `embeddings`
//! and `models` are the other endpoints; `errors` and `headers` are what all share.

mod chat;
mod embeddings;
mod errors;
mod headers;
mod models;
mod plan;
mod request;
mod stream;
mod validate;

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use http::{Method, StatusCode};

use super::{
    exchange::Call,
    faults::Fault,
    limits::{Left, Verdict},
    reply::{Body, Reply},
};
#[cfg(test)]
pub(crate) use embeddings::base64_encode;
pub(crate) use errors::ApiError;
pub(crate) use stream::{Event, Events};

/// The answer to any request outside `/__sim/`.
pub(crate) fn answer(call: &Call<'_>) -> Reply {
    let latency = call.knobs.latency.unwrap_or(call.live.settings.latency);
    let wait = call.stretched(latency.sample(&call.shard.rng));
    match route(call, wait) {
        Ok(reply) => reply,
        Err(error) => refusal(call, &error, wait),
    }
}

/// An answer that carries an error.
pub(crate) fn refusal(call: &Call<'_>, error: &ApiError, wait: Duration) -> Reply {
    let mut body = Buf::with_capacity(LARGE_BYTES);
    error.write(body.vec_mut());
    let mut headers = Buf::with_capacity(LARGE_BYTES);
    headers::write(headers.vec_mut(), &call.shard.rng, wait, error.left.as_deref());
    headers::retry_after(headers.vec_mut(), error);
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fault = call.chosen_fault(None);
    Reply { status, headers, body: Body::Json(body), wait, fault, prompt_tokens: 0, completion_tokens: 0 }
}

fn route(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    authenticate(call)?;
    let path = call.path;
    match (path, call.method) {
        ("/v1/chat/completions", &Method::POST) => chat::answer(call, wait),
        ("/v1/embeddings", &Method::POST) => embeddings::answer(call, wait),
        ("/v1/models", &Method::GET | &Method::HEAD) => models::list(call, wait),
        ("/v1/chat/completions" | "/v1/embeddings" | "/v1/models", method) => {
            Err(ApiError::method_not_allowed(method, path))
        }
        (_, method) => match path.strip_prefix("/v1/models/") {
            Some(id) if method == Method::GET || method == Method::HEAD => models::one(call, id, wait),
            _ => Err(ApiError::unknown_url(method, path)),
        },
    }
}

/// https://platform.openai.com/docs/api-reference/authentication
fn authenticate(call: &Call<'_>) -> Result<(), ApiError> {
    let Some(key) = call.key else {
        let open = call.live.ledger.is_none() && !call.live.settings.require_key;
        return if open { Ok(()) } else { Err(ApiError::missing_key()) };
    };
    if call.live.settings.revoked.iter().any(|revoked| revoked.as_bytes() == key) {
        return Err(ApiError::wrong_key(key));
    }
    match &call.live.ledger {
        Some(ledger) if !ledger.knows(key) => Err(ApiError::wrong_key(key)),
        _ => Ok(()),
    }
}

/// The fault chosen for a request that names `model`: an error answer where it is one, the fault itself
/// otherwise.
fn fault_of(call: &Call<'_>, model: &str) -> Result<Option<Fault>, ApiError> {
    match call.chosen_fault(Some(model)) {
        Some(Fault::Error(status)) => Err(injected(call, status, model)),
        Some(Fault::Quota) => Err(ApiError::quota()),
        Some(Fault::Context) => Err(ApiError::context_length()),
        fault => Ok(fault),
    }
}

/// The error that was asked for by its status.
fn injected(call: &Call<'_>, status: u16, model: &str) -> ApiError {
    let mut error = ApiError::injected(status, model);
    if matches!(status, 429 | 503) {
        error.retry_after = call.live.settings.retry_after.or(error.retry_after);
    }
    error
}

/// Like [`fault_of`]; also checks that the model exists.
fn fault_or_error(call: &Call<'_>, model: &str) -> Result<Option<Fault>, ApiError> {
    let fault = fault_of(call, model)?;
    if !models::exists(call, model) {
        return Err(ApiError::no_such_model(model));
    }
    Ok(fault)
}

/// Spends a request of `tokens` from its key's limits, and draws the random errors.
fn spend(call: &Call<'_>, model: &str, tokens: usize) -> Result<Option<Left>, ApiError> {
    let settings = &call.live.settings;
    if call.shard.rng.chance(settings.rate_limit_rate) {
        return Err(injected(call, 429, model));
    }
    if call.shard.rng.chance(settings.error_rate) {
        return Err(injected(call, settings.error_status, model));
    }
    let (Some(ledger), Some(key)) = (&call.live.ledger, call.key) else { return Ok(None) };
    match ledger.admit(key, tokens as u64, || call.shard.shared.now_us()) {
        Some(Verdict::Admitted(left)) => Ok(Some(left)),
        Some(Verdict::Refused(refused)) => Err(ApiError::limited(model, &refused)),
        None => Err(ApiError::wrong_key(key)),
    }
}

/// A whole JSON answer.
fn json(call: &Call<'_>, body: Buf, wait: Duration, fault: Option<Fault>, left: Option<&Left>) -> Reply {
    let mut headers = Buf::with_capacity(LARGE_BYTES);
    headers::write(headers.vec_mut(), &call.shard.rng, wait, left);
    Reply {
        status: StatusCode::OK,
        headers,
        body: Body::Json(body),
        wait,
        fault,
        prompt_tokens: 0,
        completion_tokens: 0,
    }
}
