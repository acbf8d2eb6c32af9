//! Anthropic's Messages API (https://docs.anthropic.com/en/api/messages): from a request's bytes to an answer.
//!
//! `request` reads a request with Anthropic's validation, `message` and `stream` write what is answered; `models`
//! is the other endpoint; `errors` and `headers` are what all share.

mod blocks;
mod errors;
mod headers;
mod message;
mod models;
mod request;
mod stream;
mod tools;
mod validate;

#[cfg(test)]
mod tests;

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use http::{Method, StatusCode};

use super::{
    exchange::Call,
    faults::Fault,
    gate, json,
    limits::Left,
    reply::{Body, Reply},
};
use errors::ApiError;

/// Largest request (https://docs.anthropic.com/en/api/errors#request-size-limits).
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// The answer to a request in this format.
pub(crate) fn answer(call: &Call<'_>, wait: Duration) -> Reply {
    match route(call, wait) {
        Ok(reply) => reply,
        Err(error) => refusal(call, &error, wait),
    }
}

/// The answer to a request whose path and key are those of somebody else who has the model; `counts` says that only
/// its tokens are wanted.
pub(crate) fn published(call: &Call<'_>, counts: bool, wait: Duration) -> Reply {
    let answer = if counts { count_tokens(call, wait) } else { message::answer(call, wait) };
    answer.unwrap_or_else(|error| refusal(call, &error, wait))
}

/// An answer that carries an error.
fn refusal(call: &Call<'_>, error: &ApiError, wait: Duration) -> Reply {
    let id = headers::request_id(&call.shard.rng);
    let mut body = Buf::with_capacity(LARGE_BYTES);
    error.write(body.vec_mut(), &id);
    let mut head = Buf::with_capacity(LARGE_BYTES);
    headers::write(head.vec_mut(), &id, error.left.as_deref());
    headers::retry(head.vec_mut(), error);
    Reply {
        status: StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        headers: head,
        body: Body::Json(body),
        wait,
        fault: call.chosen_fault(None),
        prompt_tokens: 0,
        completion_tokens: 0,
    }
}

fn route(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    gate::authenticate(call).map_err(|trouble| ApiError::of(trouble, ""))?;
    if call.version.is_none() {
        return Err(ApiError::invalid("anthropic-version: header is required"));
    }
    if call.body.len() > MAX_BODY_BYTES {
        return Err(ApiError::too_large());
    }
    let get = call.method == Method::GET || call.method == Method::HEAD;
    match call.path {
        "/v1/messages" if call.method == Method::POST => message::answer(call, wait),
        "/v1/messages/count_tokens" if call.method == Method::POST => count_tokens(call, wait),
        "/v1/models" if get => models::list(call, wait),
        "/v1/messages" | "/v1/messages/count_tokens" | "/v1/models" => Err(ApiError::method_not_allowed()),
        path => match path.strip_prefix("/v1/models/") {
            Some(id) if get => models::one(call, id, wait),
            _ => Err(ApiError::not_found("Not Found")),
        },
    }
}

/// `POST /v1/messages/count_tokens` (https://docs.anthropic.com/en/api/messages-count-tokens): what
/// `usage.input_tokens` of the answer would be.
fn count_tokens(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let (model, tokens) = request::counted(call.body)?;
    call.named(&model, false);
    let fault = fault_or_error(call, &model)?;
    let left = spend(call, &model, 0)?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    let out = body.vec_mut();
    out.extend_from_slice(b"{\"input_tokens\":");
    json::number(out, tokens);
    out.push(b'}');
    Ok(whole(call, body, wait, fault, left.as_ref()))
}

/// The fault chosen for a request that names `model`, which must exist.
fn fault_or_error(call: &Call<'_>, model: &str) -> Result<Option<Fault>, ApiError> {
    gate::fault(call, model).map_err(|trouble| ApiError::of(trouble, model))
}

/// Spends a request of `tokens` from its key's limits, and draws the random errors.
fn spend(call: &Call<'_>, model: &str, tokens: usize) -> Result<Option<Left>, ApiError> {
    gate::spend(call, tokens).map_err(|trouble| ApiError::of(trouble, model))
}

/// A whole JSON answer.
fn whole(call: &Call<'_>, body: Buf, wait: Duration, fault: Option<Fault>, left: Option<&Left>) -> Reply {
    let mut head = Buf::with_capacity(LARGE_BYTES);
    headers::write(head.vec_mut(), &headers::request_id(&call.shard.rng), left);
    Reply {
        status: StatusCode::OK,
        headers: head,
        body: Body::Json(body),
        wait,
        fault,
        prompt_tokens: 0,
        completion_tokens: 0,
    }
}
