//! What Bedrock says went wrong.
//!
//! Source: Amazon Bedrock API reference, "Converse" (errors), "ConverseStream" (exceptions of the stream), "Common
//! errors"; User Guide, "Troubleshooting Amazon Bedrock API error codes". The body is `{"message": ...}`, or
//! `{"Message": ...}` where it comes from before the service; what kind of error it is stands in the header
//! `x-amzn-ErrorType`, and is told by the status but for those that a stream has.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::provider_error::ProviderError;

/// The longest text of a body that is not Bedrock's that is shown, in characters.
const SHOWN: usize = 300;

/// Exceptions of a stream, by their names there, and the status that each has elsewhere.
const EXCEPTIONS: [(&[u8], u16); 9] = [
    (b"throttlingException", 429),
    (b"validationException", 400),
    (b"modelStreamErrorException", 424),
    (b"modelTimeoutException", 408),
    (b"internalServerException", 500),
    (b"serviceUnavailableException", 503),
    (b"accessDeniedException", 403),
    (b"resourceNotFoundException", 404),
    (b"modelNotReadyException", 429),
];

#[derive(Default, Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(borrow, default, rename = "Message")]
    capital: Cow<'a, str>,
}

/// Reads the body of an answer with this status.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> ProviderError {
    let said = serde_json::from_slice::<Body<'_>>(body).unwrap_or_default();
    let message = match (said.message, said.capital) {
        (said, capital) if said.is_empty() && capital.is_empty() => shown(status, body),
        (said, capital) if said.is_empty() => capital.into_owned(),
        (said, _) => said.into_owned(),
    };
    let (status, kind, code) = in_openai_words(status, &message);
    ProviderError { status, kind, code, param: None, message }
}

/// What stands in the words of a 403 where a key of Bedrock's own is not accepted, in small letters: a model that it may
/// not use is a 403 of the same name. "Authentication failed: Please make sure your API Key is valid.", "Bearer Token has
/// expired", "The security token included in the request is invalid", and where the key's user may not use keys.
const OF_KEY: [&str; 5] =
    ["authentication failed", "api key", "bearer token", "security token", "callwithbearertoken"];

/// Whether a 403 says that the key is not accepted, and not that it may not use this model ("You don't have access to the
/// model with the specified model ID.", "... is not authorized to perform: bedrock:InvokeModel on resource: ...").
#[must_use]
pub fn refuses_key(body: &[u8]) -> bool {
    let said = read_error(403, body).message.to_ascii_lowercase();
    OF_KEY.iter().any(|words| said.contains(words))
}

/// Reads an exception of a stream.
#[must_use]
pub fn read_exception(name: &[u8], payload: &[u8]) -> ProviderError {
    let known = EXCEPTIONS.iter().find(|(known, _)| *known == name);
    read_error(known.map_or(500, |(_, status)| *status), payload)
}

/// OpenAI's status, `type` and `code`.
fn in_openai_words(status: u16, message: &str) -> (u16, &'static str, Option<&'static str>) {
    const REQUEST: &str = "invalid_request_error";
    const SERVER: &str = "server_error";
    let says = |words: &str| message.contains(words);
    match status {
        // "Input is too long for requested model.", "prompt is too long: 210000 tokens > 200000 maximum", "Input Tokens
        // Exceeded: ...".
        400 | 413 if says("too long") || says("Input Tokens Exceeded") || says("exceed context limit") => {
            (400, REQUEST, Some("context_length_exceeded"))
        }
        // "The provided model identifier is invalid."
        400 if says("model identifier is invalid") => (404, REQUEST, Some("model_not_found")),
        401 => (401, "authentication_error", Some("invalid_api_key")),
        403 => (403, "permission_error", None),
        // "Could not resolve the foundation model from the provided model identifier."
        404 => (404, REQUEST, Some("model_not_found")),
        408 => (504, SERVER, None),
        // The model failed, or is not ready to be asked.
        424 => (502, SERVER, None),
        429 if says("is not ready") => (503, SERVER, None),
        429 => (429, "rate_limit_error", Some("rate_limit_exceeded")),
        400..=499 => (status, REQUEST, None),
        500..=599 => (status, SERVER, None),
        _ => (502, SERVER, None),
    }
}

/// What to show of a body that is not Bedrock's: its text, if it is one for people.
fn shown(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() || text.starts_with(['<', '{', '[']) {
        return format!("The provider answered with status {status}.");
    }
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_openais() {
        let (bad, server) = ("invalid_request_error", "server_error");
        for (status, message, wanted) in [
            (400, "Malformed input request: #: required key [messages] not found", (400, bad, None)),
            (400, "Input is too long for requested model.", (400, bad, Some("context_length_exceeded"))),
            (400, "The provided model identifier is invalid.", (404, bad, Some("model_not_found"))),
            (
                403,
                "You don't have access to the model with the specified model ID.",
                (403, "permission_error", None),
            ),
            (404, "Could not resolve the foundation model", (404, bad, Some("model_not_found"))),
            (408, "Model processing timeout.", (504, server, None)),
            (424, "The system encountered an unexpected error", (502, server, None)),
            (
                429,
                "Too many requests, please wait before trying again.",
                (429, "rate_limit_error", Some("rate_limit_exceeded")),
            ),
            (429, "Model is not ready for inference.", (503, server, None)),
            (500, "Internal", (500, server, None)),
            (503, "Bedrock is unable to process your request.", (503, server, None)),
        ] {
            for member in ["message", "Message"] {
                let error = read_error(status, serde_json::json!({member: message}).to_string().as_bytes());
                assert_eq!((error.status, error.kind, error.code), wanted, "{message}");
                assert_eq!(error.message, message);
            }
        }
        let error = read_exception(b"throttlingException", b"{\"message\":\"slow down\"}");
        assert_eq!((error.status, error.message.as_str()), (429, "slow down"));
        assert_eq!(read_exception(b"newException", b"{}").status, 500);
    }

    #[test]
    fn a_key_that_is_wrong_is_told_from_a_model_that_it_may_not_use() {
        for (message, of_key) in [
            ("Authentication failed: Please make sure your API Key is valid.", true),
            ("Bearer Token has expired", true),
            ("The security token included in the request is invalid.", true),
            (
                "User: arn:aws:iam::1:user/a is not authorized to perform: bedrock:CallWithBearerToken with an explicit deny",
                true,
            ),
            ("You don't have access to the model with the specified model ID.", false),
            (
                "User: arn:aws:iam::1:user/BedrockAPIKey-a is not authorized to perform: bedrock:InvokeModel on resource: m",
                false,
            ),
            ("Your account is not authorized to invoke this API operation.", false),
        ] {
            for member in ["message", "Message"] {
                let body = serde_json::json!({member: message}).to_string();
                assert_eq!(refuses_key(body.as_bytes()), of_key, "{message}");
            }
        }
        assert!(!refuses_key(b"<html>"));
    }

    #[test]
    fn what_is_not_bedrocks_is_told_by_its_status() {
        let nothing = |status| format!("The provider answered with status {status}.");
        for (status, body, wanted, message) in [
            (502, "<html>Bad gateway</html>", 502, nothing(502)),
            (503, "upstream connect error", 503, "upstream connect error".to_owned()),
            (400, "{\"message\":null}", 400, nothing(400)),
            (200, "", 502, nothing(200)),
        ] {
            let error = read_error(status, body.as_bytes());
            assert_eq!((error.status, error.message), (wanted, message));
        }
        assert_eq!(read_error(500, "é".repeat(1000).as_bytes()).message.chars().count(), SHOWN);
    }
}
