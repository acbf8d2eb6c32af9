//! Errors in OpenAI's form (https://platform.openai.com/docs/guides/error-codes):
//! `{"error": {"message", "type", "param", "code"}}`.

use std::time::Duration;

use http::Method;

use super::headers::go_duration;
use crate::simulate::{
    exchange::Call,
    gate::Trouble,
    json,
    limits::{Left, Refused, Which},
};

/// An error answer.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) kind: &'static str,
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
    pub(super) retry_after: Option<Duration>,
    pub(super) left: Option<Box<Left>>,
}

const INVALID: &str = "invalid_request_error";

impl ApiError {
    pub(super) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), kind, param: None, code: None, retry_after: None, left: None }
    }

    /// How OpenAI words what any provider may refuse.
    pub(super) fn of(trouble: Trouble, call: &Call<'_>, model: &str) -> Self {
        match trouble {
            Trouble::NoKey => Self::missing_key(),
            // https://platform.openai.com/docs/api-reference/authentication
            Trouble::WrongKey => Self::wrong_key(call.key.unwrap_or_default()),
            Trouble::NoModel => Self::no_such_model(model),
            Trouble::Quota => Self::quota(),
            Trouble::Context => Self::context_length(),
            Trouble::Limited(refused) => Self::limited(model, &refused),
            Trouble::Status(status, retry_after) => Self { retry_after, ..Self::injected(status, model) },
        }
    }

    /// 400 about a parameter.
    pub(super) fn param(param: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param.to_owned()), code: Some(code), ..Self::new(400, INVALID, message) }
    }

    /// 400 about the request as a whole.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, INVALID, message)
    }

    fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    pub(super) fn not_json() -> Self {
        Self::invalid(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using \
             your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not \
             valid JSON. If you have trouble figuring out how to fix this, please contact us through our \
             help center at help.openai.com.)",
        )
    }

    pub(super) fn missing(param: &str) -> Self {
        let message = format!("Missing required parameter: '{param}'.");
        Self::param(param, "missing_required_parameter", message)
    }

    pub(super) fn missing_key() -> Self {
        let message = "You didn't provide an API key. You need to provide your API key in an Authorization \
            header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with \
            blank username) if you're accessing the API from your browser and are prompted for a username \
            and password. You can obtain an API key from https://platform.openai.com/account/api-keys.";
        Self::new(401, INVALID, message)
    }

    pub(super) fn wrong_key(key: &[u8]) -> Self {
        let message = format!(
            "Incorrect API key provided: {}. You can find your API key at \
             https://platform.openai.com/account/api-keys.",
            masked(key)
        );
        Self::new(401, INVALID, message).code("invalid_api_key")
    }

    pub(super) fn no_such_model(model: &str) -> Self {
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        Self::new(404, INVALID, message).code("model_not_found")
    }

    pub(super) fn unknown_url(method: &Method, path: &str) -> Self {
        Self::new(404, INVALID, format!("Invalid URL ({method} {path})"))
    }

    pub(super) fn method_not_allowed(method: &Method, path: &str) -> Self {
        Self::new(405, INVALID, format!("Not allowed to {method} on {path}."))
    }

    pub(super) fn limited(model: &str, refused: &Refused) -> Self {
        let Refused { which, limit, used, requested, retry_after, left } = *refused;
        let (kind, unit) = match which {
            Which::Requests => ("requests", "requests per min (RPM)"),
            Which::Tokens => ("tokens", "tokens per min (TPM)"),
        };
        let message = match retry_after {
            None => format!(
                "Request too large for {model} in organization org-simulated on {unit}: Limit {limit}, \
                 Requested {requested}. The input or output tokens must be reduced in order to run \
                 successfully. Visit https://platform.openai.com/account/rate-limits to learn more."
            ),
            Some(after) => format!(
                "Rate limit reached for {model} in organization org-simulated on {unit}: Limit {limit}, \
                 Used {used}, Requested {requested}. Please try again in {}. Visit \
                 https://platform.openai.com/account/rate-limits to learn more.",
                go_duration(after)
            ),
        };
        Self {
            retry_after,
            left: Some(Box::new(left)),
            code: Some("rate_limit_exceeded"),
            ..Self::new(429, kind, message)
        }
    }

    pub(super) fn quota() -> Self {
        let message = "You exceeded your current quota, please check your plan and billing details. For more \
            information on this error, read the docs: \
            https://platform.openai.com/docs/guides/error-codes/api-errors.";
        Self::new(429, "insufficient_quota", message).code("insufficient_quota")
    }

    pub(super) fn context_length() -> Self {
        let message = "This model's maximum context length is 128000 tokens. However, your messages resulted \
            in 128001 tokens. Please reduce the length of the messages.";
        Self::param("messages", "context_length_exceeded", message)
    }

    /// The error that OpenAI answers with `status`.
    pub(super) fn injected(status: u16, model: &str) -> Self {
        match status {
            400 => Self::invalid("Simulated: the request is invalid."),
            401 => Self::wrong_key(b"sk-simulated-key-abcd"),
            403 => {
                let message = format!("Project `proj_simulated` does not have access to model `{model}`.");
                Self::new(403, INVALID, message).code("model_not_found")
            }
            404 => Self::no_such_model(model),
            409 => Self::new(409, "conflict", "Simulated: the resource was changed by another request."),
            422 => Self::new(422, INVALID, "Simulated: the request was well formed but cannot be processed."),
            503 => Self::new(
                503,
                "server_error",
                "That model is currently overloaded with other requests. You can retry your request, or \
                 contact us through our help center at help.openai.com if the error persists.",
            ),
            500..=599 => Self::new(
                status,
                "server_error",
                "The server had an error while processing your request. Sorry about that!",
            ),
            _ => Self::new(status, INVALID, format!("Simulated error {status}.")),
        }
    }

    /// Appends the body.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\n    \"error\": {\n        \"message\": ");
        json::string(out, &self.message);
        out.extend_from_slice(b",\n        \"type\": ");
        json::string(out, self.kind);
        out.extend_from_slice(b",\n        \"param\": ");
        optional(out, self.param.as_deref());
        out.extend_from_slice(b",\n        \"code\": ");
        optional(out, self.code);
        out.extend_from_slice(b"\n    }\n}\n");
    }
}

fn optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => json::string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// A key as OpenAI repeats it: its first five and last four characters.
fn masked(key: &[u8]) -> String {
    let text: Vec<char> = String::from_utf8_lossy(key).chars().collect();
    if text.len() <= 9 {
        return "*".repeat(text.len());
    }
    let stars = text.len() - 9;
    text.iter().enumerate().map(|(at, &c)| if at < 5 || at >= 5 + stars { c } else { '*' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_masked() {
        for (key, shown) in [
            ("sk-abcdefghijklwxyz", "sk-ab**********wxyz"),
            ("short", "*****"),
            ("", ""),
            ("sk-schlüssel-1", "sk-sc*****el-1"),
        ] {
            assert_eq!(masked(key.as_bytes()), shown);
        }
    }

    #[test]
    fn bodies_are_json_with_all_four_fields() {
        for status in [400, 401, 403, 404, 409, 422, 500, 503, 529] {
            let error = ApiError::injected(status, "m \"quoted\"");
            assert_eq!(error.status, status);
            let mut out = Vec::new();
            error.write(&mut out);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            let fields = value["error"].as_object().unwrap();
            assert!(["message", "type", "param", "code"].iter().all(|name| fields.contains_key(*name)));
        }
    }
}
