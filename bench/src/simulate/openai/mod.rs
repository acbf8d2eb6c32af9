//! OpenAI's wire format (https://platform.openai.com/docs/api-reference): from a request's bytes to an answer.
//!
//! `request` reads a chat request, `chat` and `stream` write what is answered; `embeddings`, `audio` and `models` are the other endpoints; `errors` and `headers` are what all share.

mod audio;
pub(super) mod azure;
mod chat;
mod embeddings;
mod errors;
pub(super) mod family;
mod headers;
mod models;
mod request;
mod stream;
mod validate;

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use http::{Method, StatusCode};

use super::{
    exchange::Call,
    faults::Fault,
    gate,
    limits::Left,
    reply::{Body, Reply},
};
use errors::ApiError;

/// The answer to a request in this format.
pub(crate) fn answer(call: &Call<'_>, wait: Duration) -> Reply {
    match route(call, wait) {
        Ok(reply) => reply,
        Err(error) => refusal(call, &error, wait),
    }
}

/// An answer that carries an error.
fn refusal(call: &Call<'_>, error: &ApiError, wait: Duration) -> Reply {
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
    gate::authenticate(call).map_err(|trouble| ApiError::of(trouble, call, ""))?;
    let path = call.path;
    match (path, call.method) {
        ("/v1/chat/completions", &Method::POST) => chat::answer(call, wait),
        ("/v1/embeddings", &Method::POST) => embeddings::answer(call, wait),
        ("/v1/audio/transcriptions" | "/v1/audio/translations", &Method::POST) => audio::answer(call, wait),
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

/// The fault chosen for a request that names `model`, which must exist.
fn fault_or_error(call: &Call<'_>, model: &str) -> Result<Option<Fault>, ApiError> {
    gate::fault(call, model).map_err(|trouble| ApiError::of(trouble, call, model))
}

/// Spends a request of `tokens` from its key's limits, and draws the random errors.
fn spend(call: &Call<'_>, model: &str, tokens: usize) -> Result<Option<Left>, ApiError> {
    gate::spend(call, tokens).map_err(|trouble| ApiError::of(trouble, call, model))
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
