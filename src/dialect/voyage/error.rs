//! What Voyage says went wrong.
//!
//! Source: Voyage AI documentation, "Error codes": `{"detail": ...}` with the status of its table. The detail is a
//! text, or where a field is of the wrong form the list that FastAPI makes of it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::{
    chat::fields::{Str, TextOr},
    provider_error::{ProviderError, shown},
};

/// Voyage's fields and what OpenAI's clients call them.
const PARAMS: [(&str, &str); 10] = [
    ("documents", "documents"),
    ("encoding_format", "encoding_format"),
    ("input", "input"),
    ("input_type", "input_type"),
    ("model", "model"),
    ("output_dimension", "dimensions"),
    ("output_dtype", "output_dtype"),
    ("query", "query"),
    ("top_k", "top_n"),
    ("truncation", "truncation"),
];

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    detail: TextOr<'a, Detail<'a>>,
}

/// What is wrong with a field: where it is, in names and numbers, and a sentence.
#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow, default)]
    loc: Vec<&'a RawValue>,
    #[serde(borrow)]
    msg: Option<Str<'a>>,
}

/// Reads the body of an answer with this status.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> ProviderError {
    let detail = serde_json::from_slice::<Body<'_>>(body).ok().map(|body| body.detail);
    let (message, param) = match detail {
        Some(TextOr::Text(text)) if !text.is_empty() => {
            let param = named(&text);
            (text.into_owned(), param)
        }
        Some(TextOr::List(details)) => match details.into_iter().next() {
            Some(Detail { loc, msg: Some(Str(message)) }) => {
                let name = |step: &&RawValue| {
                    serde_json::from_str::<Str<'_>>(step.get()).ok().and_then(|Str(name)| openais(&name))
                };
                let param = loc.iter().find_map(name);
                (message.into_owned(), param)
            }
            _ => (shown(status, b""), None),
        },
        _ => (shown(status, body), None),
    };
    let (status, kind, code) = in_openai_words(status, &message);
    ProviderError { status, kind, code, param: param.map(str::to_owned), message }
}

/// OpenAI's status, `type` and `code`.
fn in_openai_words(status: u16, message: &str) -> (u16, &'static str, Option<&'static str>) {
    const REQUEST: &str = "invalid_request_error";
    let says = |words: &str| message.contains(words);
    match status {
        // "Model x is not supported. Supported models are [...]."
        400 if says("Model ") && says(" is not supported") => (404, REQUEST, Some("model_not_found")),
        401 => (401, "authentication_error", Some("invalid_api_key")),
        403 => (403, "permission_error", None),
        422 => (400, REQUEST, None),
        429 => (429, "rate_limit_error", Some("rate_limit_exceeded")),
        400..=499 => (status, REQUEST, None),
        500..=599 => (status, "server_error", None),
        _ => (502, "server_error", None),
    }
}

fn openais(field: &str) -> Option<&'static str> {
    PARAMS.iter().find(|(voyages, _)| *voyages == field).map(|(_, openais)| *openais)
}

/// The field that a sentence names between quotes, or a model that it says is not supported.
fn named(message: &str) -> Option<&'static str> {
    if message.starts_with("Model ") {
        return Some("model");
    }
    message.split(['\'', '`', '"']).skip(1).step_by(2).find_map(openais)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_openais() {
        let (bad, nothing) = ("invalid_request_error", "The provider answered with status 400.");
        let unsupported = "Model m is not supported. Supported models are ['voyage-3.5'].";
        let fields = r#"{"detail":[{"type":"int_parsing","loc":["body","output_dimension",0],"msg":"Input should be a valid integer","input":"x"}]}"#;
        for (status, body, wanted, param, message) in [
            (400, r#"{"detail":"no"}"#, (400, bad, None), None, "no"),
            (
                400,
                r#"{"detail":"Value 3 supplied for argument 'output_dimension' is not valid."}"#,
                (400, bad, None),
                Some("dimensions"),
                "Value 3 supplied for argument 'output_dimension' is not valid.",
            ),
            (
                400,
                &format!("{{\"detail\":\"{unsupported}\"}}"),
                (404, bad, Some("model_not_found")),
                Some("model"),
                unsupported,
            ),
            (
                401,
                r#"{"detail":"Provided API key is invalid."}"#,
                (401, "authentication_error", Some("invalid_api_key")),
                None,
                "Provided API key is invalid.",
            ),
            (422, fields, (400, bad, None), Some("dimensions"), "Input should be a valid integer"),
            (
                429,
                r#"{"detail":"slow down"}"#,
                (429, "rate_limit_error", Some("rate_limit_exceeded")),
                None,
                "slow down",
            ),
            (503, "busy", (503, "server_error", None), None, "busy"),
            (400, r#"{"detail":{}}"#, (400, bad, None), None, nothing),
            (400, r#"{"detail":[]}"#, (400, bad, None), None, nothing),
            (400, "<html>", (400, bad, None), None, nothing),
        ] {
            let error = read_error(status, body.as_bytes());
            let found = (error.status, error.kind, error.code);
            assert_eq!((found, error.param.as_deref(), &*error.message), (wanted, param, message), "{body}");
        }
    }
}
