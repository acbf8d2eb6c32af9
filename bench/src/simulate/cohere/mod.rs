//! Cohere's API, version 2 (https://docs.cohere.com/reference/chat): from a request's bytes to an answer.
//!
//! `request` reads a chat, `chat` and `stream` write what is answered; `vectors` is embedding and ranking; `errors`
//! and `fields` are what all share.

mod chat;
mod errors;
mod fields;
mod request;
mod stream;
mod vectors;

#[cfg(test)]
mod tests;

use std::time::Duration;

use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    http1::encode::number_field,
};
use http::{Method, StatusCode};

use super::{
    exchange::Call,
    faults::Fault,
    gate::{self, Trouble},
    reply::{Body, Reply},
    rng::Rng,
};
use errors::ApiError;

/// The answer to a request in this format.
pub(crate) fn answer(call: &Call<'_>, wait: Duration) -> Reply {
    match route(call, wait) {
        Ok(reply) => reply,
        Err(error) => {
            let mut body = Buf::with_capacity(LARGE_BYTES);
            error.write(body.vec_mut(), &uuid(&call.shard.rng));
            let mut reply = whole(body, wait, call.chosen_fault(None));
            if let Some(after) = error.retry_after {
                let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
                number_field(reply.headers.vec_mut(), "retry-after", seconds);
            }
            reply.status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            reply
        }
    }
}

fn route(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    gate::authenticate(call).map_err(|trouble| ApiError::of(trouble, ""))?;
    match (call.path, call.method) {
        ("/v2/chat", &Method::POST) => chat::answer(call, wait),
        ("/v2/embed", &Method::POST) => vectors::embed(call, wait),
        ("/v2/rerank", &Method::POST) => vectors::rerank(call, wait),
        ("/v2/chat" | "/v2/embed" | "/v2/rerank", _) => Err(ApiError::new(405, "method not allowed")),
        _ => Err(ApiError::new(404, "not found")),
    }
}

/// The fault chosen for a request that names `model`, which must exist.
fn fault_or_error(call: &Call<'_>, model: &str) -> Result<Option<Fault>, ApiError> {
    gate::fault(call, model).map_err(|trouble| ApiError::of(trouble, model))
}

/// Spends a request of `tokens` from its key's limits, and draws the random errors. Cohere does not tell what is
/// left.
fn spend(call: &Call<'_>, model: &str, tokens: usize) -> Result<(), ApiError> {
    gate::spend(call, tokens).map(|_| ()).map_err(|trouble: Trouble| ApiError::of(trouble, model))
}

/// A whole JSON answer.
fn whole(body: Buf, wait: Duration, fault: Option<Fault>) -> Reply {
    let mut headers = Buf::with_capacity(LARGE_BYTES);
    headers.put(b"x-endpoint-monthly-call-limit: 1000\r\nserver: envoy\r\n");
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

/// A random identifier in the form of RFC 9562, version 4.
fn uuid(rng: &Rng) -> String {
    let mut digits = Vec::with_capacity(32);
    rng.hex(&mut digits, 32);
    let digits = String::from_utf8_lossy(&digits).into_owned();
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}
