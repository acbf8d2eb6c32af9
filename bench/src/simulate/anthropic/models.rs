//! `GET /v1/models` and `/v1/models/{id}` (https://docs.anthropic.com/en/api/models-list).

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};

use super::ApiError;
use crate::simulate::{
    exchange::{Call, parameter},
    gate, json,
    reply::Reply,
};

/// The models listed where none are configured.
const LISTED: &[&str] =
    &["claude-opus-5", "claude-sonnet-5", "claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"];
/// Most models in an answer, and how many there are where the request does not say.
const MAX_PAGE: usize = 1000;
const PAGE: usize = 20;

pub(super) fn list(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let fault = gate::fault_of(call, "").map_err(|trouble| ApiError::of(trouble, ""))?;
    let text = |name| parameter(call.query, name).and_then(|value| std::str::from_utf8(value).ok());
    let limit = match text("limit").map(str::parse) {
        None => PAGE,
        Some(Ok(limit)) if (1..=MAX_PAGE).contains(&limit) => limit,
        Some(_) => {
            return Err(ApiError::at("limit", "Input should be greater than or equal to 1 and at most 1000"));
        }
    };
    let all: Vec<&str> = gate::models(call, LISTED).collect();
    let position = |id: &str| all.iter().position(|one| *one == id);
    let (start, end) = match (text("after_id").and_then(position), text("before_id").and_then(position)) {
        (Some(after), _) => (after + 1, (after + 1 + limit).min(all.len())),
        (None, Some(before)) => (before.saturating_sub(limit), before),
        (None, None) => (0, limit.min(all.len())),
    };
    let page = all.get(start..end).unwrap_or_default();
    let more = if text("before_id").is_some() { start > 0 } else { end < all.len() };
    let mut body = Buf::with_capacity(LARGE_BYTES);
    let out = body.vec_mut();
    out.extend_from_slice(b"{\"data\":[");
    for (at, id) in page.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        model(out, id);
    }
    out.extend_from_slice(b"],\"has_more\":");
    out.extend_from_slice(if more { b"true" } else { b"false" });
    for (name, id) in [("first_id", page.first()), ("last_id", page.last())] {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        match id {
            Some(id) => json::string(out, id),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    Ok(super::whole(call, body, wait, fault, None))
}

pub(super) fn one(call: &Call<'_>, id: &str, wait: Duration) -> Result<Reply, ApiError> {
    let fault = super::fault_or_error(call, id)?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    model(body.vec_mut(), id);
    Ok(super::whole(call, body, wait, fault, None))
}

fn model(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(b"{\"type\":\"model\",\"id\":");
    json::string(out, id);
    out.extend_from_slice(b",\"display_name\":");
    json::string(out, id);
    out.extend_from_slice(
        b",\"created_at\":\"2025-11-01T00:00:00Z\",\"lifecycle\":\"active\",\"max_input_tokens\":200000,\
        \"max_tokens\":64000}",
    );
}
