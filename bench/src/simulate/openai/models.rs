//! `GET /v1/models` and `/v1/models/{id}` (https://platform.openai.com/docs/api-reference/models).

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};

use super::ApiError;
use crate::simulate::{exchange::Call, json, reply::Reply};

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

/// Whether `model` exists.
pub(super) fn exists(call: &Call<'_>, model: &str) -> bool {
    let models = &call.live.settings.models;
    if models.is_empty() { !model.contains("no-such-model") } else { models.iter().any(|one| one == model) }
}

pub(super) fn list(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let fault = super::fault_of(call, "")?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    let out = body.vec_mut();
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    let configured = call.live.settings.models.iter().map(String::as_str);
    let listed = LISTED.iter().copied().filter(|_| call.live.settings.models.is_empty());
    for (at, id) in configured.chain(listed).enumerate() {
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
