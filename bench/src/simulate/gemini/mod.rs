//! Google's Gemini API (https://ai.google.dev/api): from a request's bytes to an answer.
//!
//! `request` reads what is to be generated with Google's validation, `generate` and `stream` write it; `embed` and
//! `models` are the other endpoints; `errors` and `proto` are what all share.

mod contents;
mod embed;
mod errors;
mod generate;
mod models;
mod proto;
mod request;
mod schema;
mod stream;
mod tools;

#[cfg(test)]
mod tests;

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use http::{Method, StatusCode};

use super::{
    exchange::{Call, parameter},
    faults::Fault,
    gate::{self, Trouble},
    limits::Left,
    reply::{Body, Reply},
};
use errors::ApiError;

/// What every answer says of itself.
const HEADERS: &[u8] =
    b"server: scaffolding on HTTPServer2\r\nx-xss-protection: 0\r\nx-frame-options: SAMEORIGIN\r\n\
    x-content-type-options: nosniff\r\n";

/// The answer to a request in this format.
pub(crate) fn answer(call: &Call<'_>, wait: Duration) -> Reply {
    match route(call, wait) {
        Ok(reply) => reply,
        Err(error) => refusal(call, &error, wait),
    }
}

/// An answer that carries an error.
fn refusal(call: &Call<'_>, error: &ApiError, wait: Duration) -> Reply {
    // A stream that is not of events is an array, even where it has failed.
    let array = call.path.ends_with(":streamGenerateContent") && !is_sse(call);
    let mut body = Buf::with_capacity(LARGE_BYTES);
    error.write(body.vec_mut(), array);
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Reply { status, fault: call.chosen_fault(None), ..whole(body, wait, None) }
}

/// The answer to a request for a model whose path and key are those of somebody else who has it.
pub(crate) fn of_model(call: &Call<'_>, model: &str, method: &str, wait: Duration) -> Reply {
    let answer = match method {
        "generateContent" => generate::answer(call, model, false, wait),
        "streamGenerateContent" => generate::answer(call, model, true, wait),
        "countTokens" => generate::count(call, model, wait),
        _ => Err(ApiError::no_such_path()),
    };
    answer.unwrap_or_else(|error| refusal(call, &error, wait))
}

/// Whether a stream is to be one of events; otherwise it is a JSON array.
fn is_sse(call: &Call<'_>) -> bool {
    parameter(call.query, "alt") == Some(b"sse")
}

/// What can be done with a model.
const METHODS: &[&str] =
    &["generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents"];

/// Whether a path ends in something to do with a model of Google's.
pub(crate) fn is_method(path: &str) -> bool {
    path.rsplit_once(':').is_some_and(|(_, method)| METHODS.contains(&method))
}

/// The version of the API in the path (https://ai.google.dev/gemini-api/docs/api-versions), and what follows it.
fn version(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    let at = path.find('/')?;
    Some((path.get(..at)?, path.get(at..)?))
}

/// How Google words what any provider may refuse.
fn worded(call: &Call<'_>, trouble: Trouble, model: &str) -> ApiError {
    ApiError::of(trouble, version(call.path).map_or("v1beta", |(version, _)| version), model)
}

fn route(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    gate::authenticate(call).map_err(|trouble| worded(call, trouble, ""))?;
    let get = call.method == Method::GET || call.method == Method::HEAD;
    let post = call.method == Method::POST;
    let Some(rest) = version(call.path).and_then(|(_, rest)| rest.strip_prefix("/models")) else {
        return Err(ApiError::no_such_path());
    };
    if rest.is_empty() && get {
        return models::list(call, wait);
    }
    let Some(name) = rest.strip_prefix('/') else { return Err(ApiError::no_such_path()) };
    match name.split_once(':') {
        None if get => models::one(call, name, wait),
        Some((model, "generateContent")) if post => generate::answer(call, model, false, wait),
        Some((model, "streamGenerateContent")) if post => generate::answer(call, model, true, wait),
        Some((model, "countTokens")) if post => generate::count(call, model, wait),
        Some((model, "embedContent")) if post => embed::one(call, model, wait),
        Some((model, "batchEmbedContents")) if post => embed::batch(call, model, wait),
        _ => Err(ApiError::no_such_path()),
    }
}

/// The fault chosen for a request for `model`, which must exist.
fn fault_or_error(call: &Call<'_>, model: &str) -> Result<Option<Fault>, ApiError> {
    gate::fault(call, model).map_err(|trouble| worded(call, trouble, model))
}

/// Spends a request of `tokens` from its key's limits, and draws the random errors. Google does not tell what is
/// left.
fn spend(call: &Call<'_>, model: &str, tokens: usize) -> Result<Option<Left>, ApiError> {
    gate::spend(call, tokens).map_err(|trouble| worded(call, trouble, model))
}

/// A whole JSON answer.
fn whole(body: Buf, wait: Duration, fault: Option<Fault>) -> Reply {
    Reply {
        status: StatusCode::OK,
        headers: headers(),
        body: Body::Json(body),
        wait,
        fault,
        prompt_tokens: 0,
        completion_tokens: 0,
    }
}

fn headers() -> Buf {
    let mut headers = Buf::with_capacity(LARGE_BYTES);
    headers.put(HEADERS);
    headers
}
