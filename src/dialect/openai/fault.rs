//! What an error that comes inside a stream would have been as an HTTP status.
//!
//! Source: OpenAI API reference, "Error codes"; OpenRouter, "Errors" (`code` is
//! the status, in a stream too); Anthropic, "Errors" (`type`); Google, "Errors"
//! (`status`); Groq and vLLM, which send `status_code` and a numeric `code`.

use crate::dialect::json::{self, Cursor, JsonError};

/// What providers call a failure that another attempt might not have, and the
/// status that means the same.
const NAMES: [(&str, u16); 24] = [
    ("rate_limit_exceeded", 429),
    ("rate_limit_error", 429),
    ("rate_limited", 429),
    ("too_many_requests", 429),
    ("insufficient_quota", 429),
    ("resource_exhausted", 429),
    ("requests", 429),
    ("tokens", 429),
    ("overloaded", 529),
    ("overloaded_error", 529),
    ("engine_overloaded", 529),
    ("server_error", 500),
    ("internal", 500),
    ("internal_error", 500),
    ("internal_server_error", 500),
    ("internalservererror", 500),
    ("api_error", 500),
    ("bad_gateway", 502),
    ("upstream_error", 502),
    ("provider_error", 502),
    ("unavailable", 503),
    ("service_unavailable", 503),
    ("timeout", 504),
    ("timeout_error", 504),
];

/// The status that an error object stands for. `None` where it does not tell:
/// most often the request is at fault then.
///
/// A number is believed before a name, and `code` before `type`, which is often
/// only the family that the code belongs to.
pub fn status(error: &[u8]) -> Option<u16> {
    let said = Said::read(error).ok()?;
    let number = [said.status_code, said.code, said.status].into_iter().find_map(number);
    number.or_else(|| [said.code, said.kind, said.status].into_iter().find_map(named))
}

/// The members that tell, each as its JSON; empty where it is not there.
#[derive(Debug, Default)]
struct Said<'a> {
    code: &'a [u8],
    kind: &'a [u8],
    status: &'a [u8],
    status_code: &'a [u8],
}

impl<'a> Said<'a> {
    fn read(error: &'a [u8]) -> Result<Self, JsonError> {
        let mut said = Said::default();
        let mut cursor = Cursor::new(error);
        let mut more = cursor.begin_object()?;
        while more {
            let key = cursor.key()?;
            let value = cursor.value()?.of(error);
            match key.span.of(error) {
                b"code" => said.code = value,
                b"type" => said.kind = value,
                b"status" => said.status = value,
                b"status_code" => said.status_code = value,
                _ => {}
            }
            more = cursor.next_member()?;
        }
        Ok(said)
    }
}

/// A status as a number or as the text of one.
fn number(value: &[u8]) -> Option<u16> {
    let status = u16::try_from(json::count(unquoted(value).unwrap_or(value))?).ok()?;
    (400..600).contains(&status).then_some(status)
}

/// The status of a name.
fn named(value: &[u8]) -> Option<u16> {
    let name = unquoted(value)?;
    NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, status)| *status)
}

fn unquoted(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_as_providers_send_them() {
        for (error, wanted) in [
            (r#"{"message":"Provider returned error","code":502,"metadata":{"code":400}}"#, Some(502)),
            (r#"{"code":429,"message":"slow down"}"#, Some(429)),
            (r#"{"code":"429"}"#, Some(429)),
            (r#"{"code":"server_error","message":"Provider disconnected unexpectedly"}"#, Some(500)),
            (r#"{"message":"x","type":"server_error","param":null,"code":null}"#, Some(500)),
            (r#"{"message":"x","type":"tokens","param":null,"code":"rate_limit_exceeded"}"#, Some(429)),
            (r#"{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}"#, Some(429)),
            (r#"{"type":"overloaded_error","message":"Overloaded"}"#, Some(529)),
            (r#"{"code":503,"message":"x","status":"UNAVAILABLE"}"#, Some(503)),
            (r#"{"message":"x","status":"RESOURCE_EXHAUSTED"}"#, Some(429)),
            (r#"{"message":"x","type":"InternalServerError","code":500}"#, Some(500)),
            (r#"{"message":"x","type":"server_error","code":"y","status_code":400}"#, Some(400)),
            (r#"{"message":"x","type":"invalid_request_error","code":"context_length_exceeded"}"#, None),
            (r#"{"message":"x","code":"content_filter"}"#, None),
            (r#"{"code":0}"#, None),
            (r#"{"code":70000}"#, None),
            (r#"{"code":{"code":500}}"#, None),
            (r#"{"code":500"#, None),
            (r#""overloaded""#, None),
            ("", None),
        ] {
            assert_eq!(status(error.as_bytes()), wanted, "{error}");
        }
    }
}
