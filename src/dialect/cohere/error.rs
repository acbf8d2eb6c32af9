//! What Cohere says went wrong.
//!
//! Source: Cohere API reference, "Errors": `{"id", "message"}` with the status of its table, of which 498 and 499 are
//! Cohere's own.

use serde::Deserialize;

use crate::dialect::chat::fields::Str;
use crate::dialect::provider_error::{ProviderError, shown};

/// Cohere's fields and what OpenAI's clients call them.
const PARAMS: [(&str, &str); 22] = [
    ("documents", "documents"),
    ("embedding_types", "encoding_format"),
    ("frequency_penalty", "frequency_penalty"),
    ("input_type", "input_type"),
    ("k", "top_k"),
    ("logprobs", "logprobs"),
    ("max_tokens", "max_tokens"),
    ("max_tokens_per_doc", "max_tokens_per_doc"),
    ("messages", "messages"),
    ("model", "model"),
    ("output_dimension", "dimensions"),
    ("p", "top_p"),
    ("presence_penalty", "presence_penalty"),
    ("query", "query"),
    ("response_format", "response_format"),
    ("seed", "seed"),
    ("stop_sequences", "stop"),
    ("temperature", "temperature"),
    ("texts", "input"),
    ("thinking", "reasoning_effort"),
    ("tool_choice", "tool_choice"),
    ("tools", "tools"),
];

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    message: Option<Str<'a>>,
}

/// Reads the body of an answer with this status.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> ProviderError {
    let said = serde_json::from_slice::<Body<'_>>(body).ok().and_then(|body| body.message);
    let message = match said {
        Some(Str(message)) if !message.is_empty() => message.into_owned(),
        _ => shown(status, body),
    };
    let (status, kind, code) = in_openai_words(status, &message);
    let param = match code {
        Some("model_not_found") => Some("model"),
        _ => param(&message),
    };
    ProviderError { status, kind, code, param: param.map(str::to_owned), message }
}

/// A stream that ends in an error, of which nothing but this is told.
pub(super) fn failed(message: &str) -> ProviderError {
    ProviderError { status: 500, kind: "server_error", code: None, param: None, message: message.to_owned() }
}

/// OpenAI's status, `type` and `code`.
fn in_openai_words(status: u16, message: &str) -> (u16, &'static str, Option<&'static str>) {
    const REQUEST: &str = "invalid_request_error";
    const QUOTA: (u16, &str, Option<&str>) = (429, "insufficient_quota", Some("insufficient_quota"));
    let says = |words: &str| message.contains(words);
    match status {
        // "too many tokens: the total number of tokens in the prompt cannot exceed 128000 - received 128001."
        400 | 413 | 422 if says("too many tokens") => (400, REQUEST, Some("context_length_exceeded")),
        401 => (401, "authentication_error", Some("invalid_api_key")),
        402 => QUOTA,
        403 => (403, "permission_error", None),
        // "model 'x' not found, make sure the correct model ID was used and that you have access to the model."
        404 if says("model") => (404, REQUEST, Some("model_not_found")),
        422 => (400, REQUEST, None),
        // "You are using a Trial key, which is limited to 1000 API calls / month."
        429 if says("/ month") => QUOTA,
        429 => (429, "rate_limit_error", Some("rate_limit_exceeded")),
        // Input or output was blocked.
        498 => (400, REQUEST, Some("content_filter")),
        400..=499 => (status, REQUEST, None),
        500..=599 => (status, "server_error", None),
        _ => (502, "server_error", None),
    }
}

/// The field that a message names: `parameter 'p' is ...`, `invalid request: p must be ...`.
fn param(message: &str) -> Option<&'static str> {
    let quoted = message.split_once("parameter '").and_then(|(_, rest)| rest.split_once('\''));
    let named = quoted.map(|(name, _)| name).or_else(|| {
        let rest = message.strip_prefix("invalid request: ").unwrap_or(message);
        rest.split_whitespace().next()
    })?;
    let field = named.split(['[', '.', ':']).next()?;
    PARAMS.iter().find(|(coheres, _)| *coheres == field).map(|(_, openais)| *openais)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_openais() {
        let (bad, limit, server) = ("invalid_request_error", "rate_limit_error", "server_error");
        let quota = (429, "insufficient_quota", Some("insufficient_quota"));
        for (status, message, wanted, param) in [
            (
                400,
                "invalid request: temperature must be between 0 and 1.0 inclusive.",
                (400, bad, None),
                Some("temperature"),
            ),
            (
                400,
                "invalid request: messages[0] must be at least 1 token long",
                (400, bad, None),
                Some("messages"),
            ),
            (422, "unknown field: parameter 'x' is not a valid field", (400, bad, None), None),
            (
                422,
                "invalid type: parameter 'p' is of type string but should be of type float32.",
                (400, bad, None),
                Some("top_p"),
            ),
            (
                400,
                "too many tokens: the total number of tokens in the prompt cannot exceed 128000 - received 128001.",
                (400, bad, Some("context_length_exceeded")),
                None,
            ),
            (401, "invalid api token", (401, "authentication_error", Some("invalid_api_key")), None),
            (402, "Please add or update your payment method", quota, None),
            (403, "no", (403, "permission_error", None), None),
            (404, "model 'x' not found, make sure", (404, bad, Some("model_not_found")), Some("model")),
            (404, "not found", (404, bad, None), None),
            (
                429,
                "You are using a Trial key, which is limited to 40 API calls / minute.",
                (429, limit, Some("rate_limit_exceeded")),
                None,
            ),
            (429, "You are using a Trial key, which is limited to 1000 API calls / month.", quota, None),
            (498, "blocked input: this request was blocked", (400, bad, Some("content_filter")), None),
            (499, "request cancelled", (499, bad, None), None),
            (500, "internal server error", (500, server, None), None),
            (503, "unavailable", (503, server, None), None),
        ] {
            let body = serde_json::json!({"id": "1", "message": message}).to_string();
            let (status_wanted, kind, code) = wanted;
            let wanted = ProviderError {
                status: status_wanted,
                kind,
                code,
                param: param.map(str::to_owned),
                message: message.to_owned(),
            };
            assert_eq!(read_error(status, body.as_bytes()), wanted);
        }
    }

    #[test]
    fn what_is_not_coheres_is_told_by_its_status() {
        for (status, body, wanted, message) in [
            (502, "<html>Bad gateway</html>", 502, "The provider answered with status 502."),
            (503, "upstream connect error", 503, "upstream connect error"),
            (200, "{}", 502, "The provider answered with status 200."),
        ] {
            let error = read_error(status, body.as_bytes());
            assert_eq!((error.status, error.message.as_str()), (wanted, message));
        }
    }
}
