//! Errors in Google's words.
//!
//! Source: google.aip.dev/193 ("Errors"); `google/rpc/code.proto` for which code an HTTP status is, and
//! `google/rpc/error_details.proto` (`BadRequest`).

use crate::dialect::gemini::write::{Array, Object};
use crate::dialect::provider_error::ProviderError;

/// Appends the body of an error: `{"error":{"code","message","status"}}`, with the field that is wrong as a detail.
pub fn write_error(error: &ProviderError, out: &mut Vec<u8>) {
    let mut body = Object::begin(out);
    let mut inner = Object::begin(body.key("error"));
    inner.value("code", Some(error.status));
    inner.text("message", &error.message);
    inner.text("status", name(error.status));
    if let Some(field) = &error.param {
        let mut details = Array::begin(inner.key("details"));
        let mut detail = Object::begin(details.element());
        detail.text("@type", "type.googleapis.com/google.rpc.BadRequest");
        let mut violations = Array::begin(detail.key("fieldViolations"));
        let mut violation = Object::begin(violations.element());
        violation.text("field", field);
        violation.text("description", &error.message);
        violation.end();
        violations.end();
        detail.end();
        details.end();
    }
    inner.end();
    body.end();
}

/// Appends an event that says that a stream failed: as Google's servers send it after a 200.
pub fn write_error_event(error: &ProviderError, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    write_error(error, out);
    out.extend_from_slice(b"\r\n\r\n");
}

/// The canonical code of a status.
fn name(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        402 | 429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        405 | 501 => "UNIMPLEMENTED",
        502 | 503 | 529 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::gemini::error::read_error;

    #[test]
    fn errors_read_as_they_were() {
        for (status, name) in [
            (400, "INVALID_ARGUMENT"),
            (401, "UNAUTHENTICATED"),
            (403, "PERMISSION_DENIED"),
            (404, "NOT_FOUND"),
            (429, "RESOURCE_EXHAUSTED"),
            (500, "INTERNAL"),
            (503, "UNAVAILABLE"),
            (504, "DEADLINE_EXCEEDED"),
        ] {
            let error = ProviderError {
                status,
                kind: "",
                code: None,
                param: (status == 400).then(|| "generationConfig.seed".to_owned()),
                message: "Say \"x\".".into(),
            };
            let mut out = Vec::new();
            write_error(&error, &mut out);
            let written: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(
                (&written["error"]["code"], &written["error"]["status"]),
                (&json!(status), &json!(name))
            );
            let read = read_error(status, &out);
            assert_eq!((read.status, read.message, read.param), (status, error.message, error.param));
        }
    }
}
