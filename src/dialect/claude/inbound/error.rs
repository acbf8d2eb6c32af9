//! Errors and counts in Anthropic's words.
//!
//! Source: Anthropic API reference, "Errors" (HTTP errors, error shapes) and "Count Message tokens".

use serde::Serialize;

use crate::dialect::json::write_value;
use crate::dialect::provider_error::ProviderError;

/// Appends the body of an error: `{"type":"error","error":{"type","message"},"request_id"}`.
pub fn write_error(status: u16, message: &str, request_id: Option<&str>, out: &mut Vec<u8>) {
    write_value(out, &Body { kind: "error", error: Inner { kind: kind(status), message }, request_id });
}

/// Appends the body of an error that a provider answered with.
pub fn write_provider_error(error: &ProviderError, request_id: Option<&str>, out: &mut Vec<u8>) {
    write_error(error.status, &error.message, request_id, out);
}

/// Appends `{"input_tokens":n}`, the answer of `count_tokens`.
pub fn write_count(input_tokens: u64, out: &mut Vec<u8>) {
    write_value(out, &Count { input_tokens });
}

/// The `type` of an error by its status: the table of "HTTP errors". 503 stands with 529, which means the same.
#[must_use]
pub fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        408 | 504 => "timeout_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Inner<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Inner<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct Count {
    input_tokens: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_counts() {
        for (status, kind) in [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (405, "invalid_request_error"),
            (408, "timeout_error"),
            (413, "request_too_large"),
            (422, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (503, "overloaded_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ] {
            let mut out = Vec::new();
            write_error(status, "Say \"x\".", Some("req_1"), &mut out);
            let wanted = format!(
                r#"{{"type":"error","error":{{"type":"{kind}","message":"Say \"x\"."}},"request_id":"req_1"}}"#
            );
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
        let mut out = Vec::new();
        write_count(12, &mut out);
        assert_eq!(out, br#"{"input_tokens":12}"#);
    }
}
