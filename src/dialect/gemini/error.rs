//! An error of Gemini's in OpenAI's words.
//!
//! Source: Gemini API guide "Troubleshooting"; `google.rpc.Status`, `google.rpc.Code` and the `error_details` types
//! `ErrorInfo`, `BadRequest` and `RetryInfo`, as JSON. A stream without `alt=sse` is an array, and so is its error.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::provider_error::ProviderError;

#[derive(Default, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    error: Status<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status<'a> {
    code: u16,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    details: Vec<Detail<'a>>,
}

/// All kinds of details in one: their fields have different names.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Detail<'a> {
    /// `ErrorInfo`.
    #[serde(borrow)]
    reason: Cow<'a, str>,
    /// `RetryInfo`: seconds, such as `36.5s`.
    #[serde(borrow)]
    retry_delay: Cow<'a, str>,
    /// `BadRequest`.
    #[serde(borrow)]
    field_violations: Vec<Violation<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Violation<'a> {
    #[serde(borrow)]
    field: Cow<'a, str>,
}

/// Reads an error's body. One that is not Gemini's, such as a page of a proxy, is told by its status.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> ProviderError {
    let error = parse(body).unwrap_or_default();
    let status = if error.code >= 400 { error.code } else { status };
    let (status, kind, code) = classify(status, &error);
    let param = error
        .details
        .iter()
        .flat_map(|detail| &detail.field_violations)
        .find(|field| !field.field.is_empty());
    let message = match error.message.is_empty() {
        true => format!("Gemini answered with status {status} and did not say why."),
        false => error.message.into_owned(),
    };
    ProviderError { status, kind, code, param: param.map(|field| field.field.clone().into_owned()), message }
}

/// Reads an error's body where it is one of Google's and of nobody else: it has a canonical code.
#[must_use]
pub fn read_status(status: u16, body: &[u8]) -> Option<ProviderError> {
    parse(body).filter(|error| !error.status.is_empty()).map(|_| read_error(status, body))
}

/// When to try again, in milliseconds, where the error says so.
#[must_use]
pub fn retry_after_ms(body: &[u8]) -> Option<u64> {
    parse(body)?.details.iter().find_map(|detail| milliseconds(&detail.retry_delay))
}

fn parse(body: &[u8]) -> Option<Status<'_>> {
    if body.trim_ascii_start().starts_with(b"[") {
        let bodies: Vec<Body<'_>> = serde_json::from_slice(body).ok()?;
        return bodies.into_iter().next().map(|body| body.error);
    }
    serde_json::from_slice::<Body<'_>>(body).ok().map(|body| body.error)
}

/// Status, type and code: first by what is known of the message, then by the canonical code, then by the status.
fn classify(status: u16, error: &Status<'_>) -> (u16, &'static str, Option<&'static str>) {
    const REQUEST: &str = "invalid_request_error";
    const SERVER: &str = "server_error";
    let says = |text: &str| error.message.contains(text);
    let reason = |text: &str| error.details.iter().any(|detail| detail.reason == text);
    let bad_key = reason("API_KEY_INVALID") || says("API key not valid") || says("API key expired");
    if bad_key {
        return (401, REQUEST, Some("invalid_api_key"));
    }
    if says("exceeds the maximum number of tokens") {
        return (400, REQUEST, Some("context_length_exceeded"));
    }
    if says("User location is not supported") {
        return (403, REQUEST, Some("unsupported_country_region_territory"));
    }
    match (error.status.as_ref(), status) {
        ("RESOURCE_EXHAUSTED", _) | (_, 429) => (429, "rate_limit_error", Some("rate_limit_exceeded")),
        ("UNAUTHENTICATED", _) | (_, 401) => (401, REQUEST, Some("invalid_api_key")),
        ("PERMISSION_DENIED", _) | (_, 403) => (403, REQUEST, None),
        ("NOT_FOUND", _) | (_, 404) => (404, REQUEST, says("models/").then_some("model_not_found")),
        ("UNAVAILABLE", _) => (503, SERVER, None),
        ("DEADLINE_EXCEEDED", _) => (504, SERVER, None),
        ("INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE", _) => (400, REQUEST, None),
        (_, 400..=499) => (status, REQUEST, None),
        (_, 500..=599) => (status, SERVER, None),
        _ => (502, SERVER, None),
    }
}

/// A `google.protobuf.Duration` as JSON: seconds with up to nine decimals and an `s`. Rounded up.
fn milliseconds(duration: &str) -> Option<u64> {
    let (seconds, decimals) =
        duration.strip_suffix('s').map(|text| text.split_once('.').unwrap_or((text, "")))?;
    let seconds: u64 = seconds.parse().ok()?;
    let nanos: u64 = if decimals.is_empty() { 0 } else { format!("{decimals:0<9}").parse().ok()? };
    seconds.checked_mul(1000)?.checked_add(nanos.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: &[u8] = include_bytes!("fixtures/error_quota.json");

    #[test]
    fn errors_are_told_in_openais_words() {
        let error = |code: u16, status: &str, message: &str| {
            format!(r#"{{"error":{{"code":{code},"message":"{message}","status":"{status}"}}}}"#)
        };
        let key = String::from_utf8_lossy(include_bytes!("fixtures/error_api_key.json")).into_owned();
        let too_long =
            "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).";
        let unknown = "models/gemini-9 is not found for API version v1beta";
        for (sent, body, status, kind, code) in [
            (400, key, 401, "invalid_request_error", Some("invalid_api_key")),
            (400, error(400, "INVALID_ARGUMENT", "No."), 400, "invalid_request_error", None),
            (
                400,
                format!("[{}]", error(400, "INVALID_ARGUMENT", too_long)),
                400,
                "invalid_request_error",
                Some("context_length_exceeded"),
            ),
            (
                400,
                error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
                403,
                "invalid_request_error",
                Some("unsupported_country_region_territory"),
            ),
            (403, error(403, "PERMISSION_DENIED", "No."), 403, "invalid_request_error", None),
            (404, error(404, "NOT_FOUND", unknown), 404, "invalid_request_error", Some("model_not_found")),
            (500, error(500, "INTERNAL", "Oh."), 500, "server_error", None),
            (503, error(503, "UNAVAILABLE", "The model is overloaded."), 503, "server_error", None),
            (504, error(504, "DEADLINE_EXCEEDED", "Slow."), 504, "server_error", None),
            (200, error(503, "UNAVAILABLE", "In a stream."), 503, "server_error", None),
            (502, "<html>".to_owned(), 502, "server_error", None),
            (429, String::new(), 429, "rate_limit_error", Some("rate_limit_exceeded")),
        ] {
            let read = read_error(sent, body.as_bytes());
            assert_eq!((read.status, read.kind, read.code), (status, kind, code), "{body}");
            assert!(!read.message.is_empty());
        }
    }

    #[test]
    fn a_quota_tells_when_to_come_back() {
        let read = read_error(429, QUOTA);
        assert_eq!((read.status, read.code), (429, Some("rate_limit_exceeded")));
        assert!(read.message.starts_with("You exceeded your current quota"));
        assert_eq!(retry_after_ms(QUOTA), Some(36_481));
        for (duration, wanted) in [
            ("30s", Some(30_000)),
            ("0.5s", Some(500)),
            ("1.000000001s", Some(1001)),
            ("1m", None),
            ("", None),
        ] {
            assert_eq!(milliseconds(duration), wanted, "{duration}");
        }
        assert_eq!(retry_after_ms(b"{}"), None);
    }

    #[test]
    fn the_field_is_named() {
        let read = read_error(400, include_bytes!("fixtures/error_field.json"));
        assert_eq!(read.param.as_deref(), Some("generation_config.top_k"));
    }
}
