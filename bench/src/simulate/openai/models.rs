//! `GET /v1/models` and `/v1/models/{id}` (https://platform.openai.com/docs/api-reference/models).

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};

use super::ApiError;
use crate::simulate::{exchange::Call, gate, json, reply::Reply};

/// The models listed where none are configured.
const LISTED: &[&str] = &[
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-5",
    "gpt-5-mini",
    "o4-mini",
    "text-embedding-3-small",
    "text-embedding-3-large",
];

pub(super) fn list(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let fault = gate::fault_of(call, "").map_err(|trouble| ApiError::of(trouble, call, ""))?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    let out = body.vec_mut();
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (at, id) in gate::models(call, LISTED).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        model(out, id);
    }
    out.extend_from_slice(b"]}");
    Ok(super::json(call, body, wait, fault, None))
}

pub(super) fn one(call: &Call<'_>, id: &str, wait: Duration) -> Result<Reply, ApiError> {
    let fault = super::fault_or_error(call, id)?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    model(body.vec_mut(), id);
    Ok(super::json(call, body, wait, fault, None))
}

fn model(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(b"{\"id\":");
    json::string(out, id);
    out.extend_from_slice(b",\"object\":\"model\",\"created\":1715367049,\"owned_by\":\"system\"}");
}
