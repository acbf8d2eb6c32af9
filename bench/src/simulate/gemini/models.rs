//! `GET /v1beta/models` and `/v1beta/models/{model}` (https://ai.google.dev/api/models).

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};

use super::ApiError;
use crate::simulate::{
    exchange::{Call, parameter},
    gate, json,
    reply::Reply,
};

/// The models listed where none are configured.
const LISTED: &[&str] = &[
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemini-2.5-flash-lite",
    "gemini-3-pro-preview",
    "gemini-embedding-001",
];
/// Models in an answer where the request does not say, and at most.
const PAGE: usize = 50;
const MAX_PAGE: usize = 1000;

pub(super) fn list(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let fault = gate::fault_of(call, "").map_err(|trouble| super::worded(call, trouble, ""))?;
    let number =
        |name| parameter(call.query, name).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    let size = number("pageSize").unwrap_or(PAGE).clamp(1, MAX_PAGE);
    // The token of a page is where it starts.
    let start = number("pageToken").unwrap_or(0);
    let all: Vec<&str> = gate::models(call, LISTED).collect();
    let mut body = Buf::with_capacity(LARGE_BYTES);
    let out = body.vec_mut();
    out.extend_from_slice(b"{\"models\":[");
    for (at, id) in all.iter().skip(start).take(size).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        model(out, id);
    }
    out.push(b']');
    if start + size < all.len() {
        out.extend_from_slice(format!(",\"nextPageToken\":\"{}\"", start + size).as_bytes());
    }
    out.push(b'}');
    Ok(super::whole(body, wait, fault))
}

pub(super) fn one(call: &Call<'_>, id: &str, wait: Duration) -> Result<Reply, ApiError> {
    let fault = super::fault_or_error(call, id)?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    model(body.vec_mut(), id);
    Ok(super::whole(body, wait, fault))
}

fn model(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(b"{\"name\":\"models/");
    json::escaped(out, id);
    out.extend_from_slice(b"\",\"version\":\"001\",\"displayName\":");
    json::string(out, id);
    out.extend_from_slice(if id.contains("embedding") {
        b",\"inputTokenLimit\":2048,\"outputTokenLimit\":1,\"supportedGenerationMethods\":[\"embedContent\",\
          \"countTextTokens\",\"countTokens\"]}"
            .as_slice()
    } else {
        b",\"inputTokenLimit\":1048576,\"outputTokenLimit\":65536,\"supportedGenerationMethods\":\
          [\"generateContent\",\"countTokens\",\"createCachedContent\",\"batchGenerateContent\"],\
          \"temperature\":1,\"topP\":0.95,\"topK\":64,\"maxTemperature\":2,\"thinking\":true}"
            .as_slice()
    });
}
