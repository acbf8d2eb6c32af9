//! Voyage AI's API (https://docs.voyageai.com/reference): from a request's bytes to an answer.
//!
//! `vectors` is embedding and ranking; `errors` is what both share.

mod errors;
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
    gate,
    reply::{Body, Reply},
};
use errors::ApiError;

/// Where it stands: `/v1/embeddings` is OpenAI's too.
pub(crate) const ROOT: &str = "/voyage/v1";

/// The answer to a request in this format.
pub(crate) fn answer(call: &Call<'_>, wait: Duration) -> Reply {
    match route(call, wait) {
        Ok(reply) => reply,
        Err(error) => {
            let mut body = Buf::with_capacity(LARGE_BYTES);
            error.write(body.vec_mut());
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
    let path = call.path.strip_prefix(ROOT).unwrap_or_default();
    match (path, call.method) {
        ("/embeddings", &Method::POST) => vectors::embed(call, wait),
        ("/rerank", &Method::POST) => vectors::rerank(call, wait),
        ("/embeddings" | "/rerank", _) => Err(ApiError::new(405, "Method Not Allowed")),
        _ => Err(ApiError::new(404, "Not Found")),
    }
}

/// A whole JSON answer.
fn whole(body: Buf, wait: Duration, fault: Option<Fault>) -> Reply {
    Reply {
        status: StatusCode::OK,
        headers: Buf::empty(),
        body: Body::Json(body),
        wait,
        fault,
        prompt_tokens: 0,
        completion_tokens: 0,
    }
}
