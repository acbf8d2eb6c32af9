//! Amazon Bedrock's Converse API (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html):
//! from a request's bytes to an answer; and `InvokeModel`, as far as embeddings go (`embed`).
//!
//! `auth` checks signatures and keys, `request` reads a conversation, `converse` and `stream` write what is answered,
//! the latter in the messages of `frame`; `errors` and `fields` are what all share.

mod auth;
mod converse;
mod embed;
mod errors;
mod fields;
mod frame;
mod request;
mod stream;

#[cfg(test)]
mod tests;

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use http::{Method, StatusCode};

use super::{
    exchange::Call,
    faults::Fault,
    gate,
    reply::{Body, Reply},
    rng::Rng,
};
pub(crate) use auth::key;
use errors::ApiError;

/// The answer to a request in this format.
pub(crate) fn answer(call: &Call<'_>, wait: Duration) -> Reply {
    match route(call, wait) {
        Ok(reply) => reply,
        Err(error) => {
            let mut body = Buf::with_capacity(LARGE_BYTES);
            error.write(body.vec_mut());
            let mut reply = whole(body, wait, call.chosen_fault(None), &call.shard.rng);
            reply.headers.put(error.type_field().as_bytes());
            reply.status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            reply
        }
    }
}

fn route(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let is_signed = auth::is_signed(call.request);
    gate::authenticate(call).map_err(|trouble| ApiError::of(trouble, is_signed))?;
    if is_signed {
        auth::verify(call)?;
    }
    let unknown = || ApiError::new(404, "UnknownOperationException", "");
    let rest = call.path.strip_prefix("/model/").ok_or_else(unknown)?;
    let (model, operation) = rest.split_once('/').ok_or_else(unknown)?;
    if call.method != Method::POST {
        return Err(unknown());
    }
    match operation {
        "converse" => converse::answer(call, &decoded(model), false, wait),
        "converse-stream" => converse::answer(call, &decoded(model), true, wait),
        "invoke" => embed::answer(call, &decoded(model), wait),
        _ => Err(unknown()),
    }
}

/// A part of a path without its escapes (RFC 3986 section 2.1).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The fault chosen for a request that names `model`, which must exist.
fn fault_or_error(call: &Call<'_>, model: &str) -> Result<Option<Fault>, ApiError> {
    gate::fault(call, model).map_err(|trouble| ApiError::of(trouble, true))
}

/// Spends a request of `tokens` from its key's limits, and draws the random errors. Bedrock does not tell what is left.
fn spend(call: &Call<'_>, tokens: usize) -> Result<(), ApiError> {
    gate::spend(call, tokens).map(|_| ()).map_err(|trouble| ApiError::of(trouble, true))
}

/// A whole JSON answer.
fn whole(body: Buf, wait: Duration, fault: Option<Fault>, rng: &Rng) -> Reply {
    let mut headers = Buf::with_capacity(LARGE_BYTES);
    headers.put(format!("x-amzn-requestid: {}\r\n", uuid(rng)).as_bytes());
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
