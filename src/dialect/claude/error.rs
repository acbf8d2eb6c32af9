//! What Claude says went wrong.
//!
//! Source: Claude API reference, "Errors": `{"type":"error","error":{"type","message"},"request_id"}` with the status
//! of its table, or without one in a stream.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::provider_error::{ProviderError, shown};

/// The status to give for an error in a stream, which has none.
pub const IN_STREAM: u16 = 0;

/// Claude's `type`, and the status that its table gives it.
const KINDS: [(&str, u16); 11] = [
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("conflict_error", 409),
    ("request_too_large", 413),
    ("rate_limit_error", 429),
    ("api_error", 500),
    ("timeout_error", 504),
    ("overloaded_error", 529),
];

/// Claude's fields and what OpenAI's clients call them.
const PARAMS: [(&str, &str); 12] = [
    ("max_tokens", "max_tokens"),
    ("messages", "messages"),
    ("metadata", "user"),
    ("model", "model"),
    ("stop_sequences", "stop"),
    ("system", "messages"),
    ("temperature", "temperature"),
    ("thinking", "reasoning_effort"),
    ("tool_choice", "tool_choice"),
    ("tools", "tools"),
    ("top_k", "top_k"),
    ("top_p", "top_p"),
];

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    error: Said<'a>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

/// Reads the body of an answer with this status, or the data of an `error` event ([`IN_STREAM`]).
///
/// In a stream the `type` tells what the status would have been; otherwise the status itself does, since only it is
/// there where something before Claude answered.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> ProviderError {
    let read = serde_json::from_slice::<Body<'_>>(body).ok();
    let said = read.map(|body| body.error).unwrap_or_else(|| Said { kind: "".into(), message: "".into() });
    let named = KINDS.iter().find(|(kind, _)| *kind == said.kind).map(|(_, status)| *status);
    let status = if status == IN_STREAM { named.unwrap_or(500) } else { status };
    let message = if said.message.is_empty() { shown(status, body) } else { said.message.into_owned() };
    let (status, kind, code) = in_openai_words(status, &message);
    let param = param(&message).map(str::to_owned);
    ProviderError { status, kind, code, param, message }
}

/// OpenAI's status, `type` and `code`.
fn in_openai_words(status: u16, message: &str) -> (u16, &'static str, Option<&'static str>) {
    let says = |words: &str| message.contains(words);
    match status {
        // "prompt is too long: 210000 tokens > 200000 maximum", "input length and `max_tokens` exceed context limit".
        400 | 413 if says("prompt is too long") || says("exceed context limit") => {
            (400, "invalid_request_error", Some("context_length_exceeded"))
        }
        // "Your credit balance is too low to access the Anthropic API."
        400 if says("credit balance is too low") => (429, "insufficient_quota", Some("insufficient_quota")),
        402 => (429, "insufficient_quota", Some("insufficient_quota")),
        401 => (401, "authentication_error", Some("invalid_api_key")),
        403 => (403, "permission_error", None),
        // "model: claude-9"
        404 if message.starts_with("model:") => (404, "invalid_request_error", Some("model_not_found")),
        429 => (429, "rate_limit_error", Some("rate_limit_exceeded")),
        // OpenAI's word for an engine that is overloaded.
        529 => (503, "server_error", None),
        400..=499 => (status, "invalid_request_error", None),
        500..=599 => (status, "server_error", None),
        _ => (502, "server_error", None),
    }
}

/// The field that a message begins with: `messages.0.content: Field required`.
fn param(message: &str) -> Option<&'static str> {
    let (path, _) = message.split_once(": ")?;
    let field = path.split('.').next()?;
    PARAMS.iter().find(|(claudes, _)| *claudes == field).map(|(_, openais)| *openais)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_openais() {
        let (bad, limit, server) = ("invalid_request_error", "rate_limit_error", "server_error");
        for (status, kind, message, wanted, param) in [
            (400, bad, "max_tokens: Field required", (400, bad, None), Some("max_tokens")),
            (
                400,
                bad,
                "messages.1.content.0.type: Input should be 'text'",
                (400, bad, None),
                Some("messages"),
            ),
            (400, bad, "Be good: really", (400, bad, None), None),
            (
                400,
                bad,
                "prompt is too long: 210000 tokens > 200000 maximum",
                (400, bad, Some("context_length_exceeded")),
                None,
            ),
            (
                400,
                bad,
                "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
                (400, bad, Some("context_length_exceeded")),
                None,
            ),
            (
                400,
                bad,
                "Your credit balance is too low to access the Anthropic API.",
                (429, "insufficient_quota", Some("insufficient_quota")),
                None,
            ),
            (
                401,
                "authentication_error",
                "invalid x-api-key",
                (401, "authentication_error", Some("invalid_api_key")),
                None,
            ),
            (402, "billing_error", "Pay.", (429, "insufficient_quota", Some("insufficient_quota")), None),
            (403, "permission_error", "No.", (403, "permission_error", None), None),
            (404, "not_found_error", "model: claude-9", (404, bad, Some("model_not_found")), Some("model")),
            (404, "not_found_error", "Not found", (404, bad, None), None),
            (413, "request_too_large", "Request exceeds the maximum size", (413, bad, None), None),
            (429, limit, "Number of tokens", (429, limit, Some("rate_limit_exceeded")), None),
            (500, "api_error", "Internal server error", (500, server, None), None),
            (504, "timeout_error", "Timed out", (504, server, None), None),
            (529, "overloaded_error", "Overloaded", (503, server, None), None),
        ] {
            let body = serde_json::json!({"type": "error", "error": {"type": kind, "message": message},
                                          "request_id": "req_1"});
            let body = body.to_string();
            let (status_wanted, kind_wanted, code) = wanted;
            let wanted = ProviderError {
                status: status_wanted,
                kind: kind_wanted,
                code,
                param: param.map(str::to_owned),
                message: message.to_owned(),
            };
            for status in [status, IN_STREAM] {
                assert_eq!(read_error(status, body.as_bytes()), wanted, "{kind} {message}");
            }
        }
    }

    #[test]
    fn what_is_not_claudes_is_told_by_its_status() {
        let nothing = |status| format!("The provider answered with status {status}.");
        for (status, body, wanted, message) in [
            (502, "<html>Bad gateway</html>", 502, nothing(502)),
            (529, "", 503, nothing(529)),
            (503, "upstream connect error", 503, "upstream connect error".to_owned()),
            (400, "{\"error\":\"no\"}", 400, nothing(400)),
            (200, "", 502, nothing(200)),
            (
                IN_STREAM,
                "{\"type\":\"error\",\"error\":{\"type\":\"new\",\"message\":\"m\"}}",
                500,
                "m".to_owned(),
            ),
        ] {
            let error = read_error(status, body.as_bytes());
            assert_eq!((error.status, error.message), (wanted, message));
        }
        assert_eq!(read_error(500, "é".repeat(1000).as_bytes()).message.chars().count(), 300);
    }
}
