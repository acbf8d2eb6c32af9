//! What Replicate says went wrong.
//!
//! Source: Replicate HTTP API reference, "Errors": problem details (RFC 9457) with `title`, `detail`, `status` and, of a
//! 422, `invalid_fields`; a prediction whose `status` is `failed` tells its `error`.

use std::borrow::Cow;

use serde::Deserialize;

use super::answer::Prediction;
use crate::dialect::{chat::fields::Str, provider_error::ProviderError};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem<'a> {
    #[serde(borrow)]
    title: Option<Str<'a>>,
    #[serde(borrow)]
    detail: Option<Str<'a>>,
    #[serde(borrow)]
    invalid_fields: Vec<Invalid<'a>>,
}

#[derive(Deserialize)]
struct Invalid<'a> {
    /// `input.prompt`
    #[serde(borrow)]
    field: Cow<'a, str>,
}

/// The status of a prediction that failed.
const FAILED: u16 = 502;

/// Reads an error's body: of a request that was refused, or a prediction that failed.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> ProviderError {
    if let Ok(prediction) = serde_json::from_slice::<Prediction<'_>>(body) {
        return of_prediction(&prediction);
    }
    let problem: Problem<'_> = serde_json::from_slice(body).unwrap_or_default();
    let said = problem.detail.or(problem.title).map(|Str(said)| said).filter(|said| !said.is_empty());
    let message = match said {
        Some(said) => said.into_owned(),
        None => format!("Replicate answered with status {status} and did not say why."),
    };
    let field = problem.invalid_fields.first().map(|invalid| &*invalid.field);
    let param = field.map(|field| field.strip_prefix("input.").unwrap_or(field).to_owned());
    let (status, kind, code) = in_openai_words(status);
    ProviderError { status, kind, code, param, message }
}

fn of_prediction(prediction: &Prediction<'_>) -> ProviderError {
    let said = prediction.error.as_ref().map(|Str(said)| &**said).filter(|said| !said.is_empty());
    match said {
        Some(said) => failed(said),
        None => failed(&format!("The prediction is {}.", prediction.status)),
    }
}

/// What it means that a prediction failed and `message` says why.
pub(super) fn failed(message: &str) -> ProviderError {
    // "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"
    let (status, kind, code) = match message.contains("flagged as sensitive") || message.contains("NSFW") {
        true => (400, "invalid_request_error", Some("content_policy_violation")),
        false => (FAILED, "server_error", None),
    };
    ProviderError { status, kind, code, param: None, message: message.to_owned() }
}

/// OpenAI's status, `type` and `code`.
fn in_openai_words(status: u16) -> (u16, &'static str, Option<&'static str>) {
    const REQUEST: &str = "invalid_request_error";
    match status {
        401 => (401, REQUEST, Some("invalid_api_key")),
        // "You have insufficient credit to run this model."
        402 => (429, "insufficient_quota", Some("insufficient_quota")),
        404 => (404, REQUEST, Some("model_not_found")),
        // Its word for inputs that a model does not take.
        422 => (400, REQUEST, None),
        429 => (429, "rate_limit_error", Some("rate_limit_exceeded")),
        400..=499 => (status, REQUEST, None),
        500..=599 => (status, "server_error", None),
        _ => (FAILED, "server_error", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_in_openais_words() {
        let failed = |status: &str, error: &str| {
            format!(r#"{{"id":"a","status":"{status}","output":null,"error":{error}}}"#)
        };
        let invalid = r#"{"title":"Input validation failed","detail":"- input.prompt: prompt is required\n","status":422,"invalid_fields":[{"type":"required","field":"input.prompt","description":"prompt is required"}]}"#;
        for (sent, body, status, code, param) in [
            (
                401,
                r#"{"title":"Unauthenticated","detail":"No.","status":401}"#.to_owned(),
                401,
                Some("invalid_api_key"),
                None,
            ),
            (
                402,
                r#"{"title":"Insufficient credit","detail":"Pay.","status":402}"#.to_owned(),
                429,
                Some("insufficient_quota"),
                None,
            ),
            (404, r#"{"detail":"Not found.","status":404}"#.to_owned(), 404, Some("model_not_found"), None),
            (422, invalid.to_owned(), 400, None, Some("prompt")),
            (
                429,
                r#"{"detail":"Request was throttled.","status":429}"#.to_owned(),
                429,
                Some("rate_limit_exceeded"),
                None,
            ),
            (503, "<html>".to_owned(), 503, None, None),
            (502, failed("failed", "\"CUDA out of memory\""), 502, None, None),
            (502, failed("canceled", "null"), 502, None, None),
            (
                502,
                failed("failed", "\"The output was flagged as sensitive. (E005)\""),
                400,
                Some("content_policy_violation"),
                None,
            ),
        ] {
            let read = read_error(sent, body.as_bytes());
            assert_eq!((read.status, read.code, read.param.as_deref()), (status, code, param), "{body}");
            assert!(!read.message.is_empty());
        }
    }
}
