//! Errors in Cohere's words.
//!
//! Source: Cohere API reference, "Errors": the status says which it is, and the body why: `{"message"}`. A stream ends
//! with the error in its `message-end` ("Chat with Streaming").

use crate::dialect::json::write;
use crate::dialect::provider_error::ProviderError;

/// Appends the body of an error. What field is wrong is named, for which Cohere's errors have no place but the message.
pub fn write_error(error: &ProviderError, out: &mut Vec<u8>) {
    out.push(b'{');
    match &error.param {
        Some(param) if !error.message.contains(&**param) => {
            write::string(out, "message", &format!("{param}: {}", error.message));
        }
        _ => write::string(out, "message", &error.message),
    }
    out.push(b'}');
}

/// Appends the event that tells a client that its stream failed.
pub fn write_error_event(message: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{");
    write::string(out, "finish_reason", "ERROR");
    write::string(out, "error", message);
    out.extend_from_slice(b"}}\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_their_field() {
        for (param, message, wanted) in [
            (None, "Say \"x\".", r#"{"message":"Say \"x\"."}"#),
            (Some("messages[0]"), "No sound.", r#"{"message":"messages[0]: No sound."}"#),
            (Some("p"), "'p' is too much.", r#"{"message":"'p' is too much."}"#),
        ] {
            let error = ProviderError {
                status: 400,
                kind: "invalid_request_error",
                code: None,
                param: param.map(str::to_owned),
                message: message.to_owned(),
            };
            let mut out = Vec::new();
            write_error(&error, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }
}
