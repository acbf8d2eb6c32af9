//! Errors in Anthropic's form (https://docs.anthropic.com/en/api/errors):
//! `{"type": "error", "error": {"type", "message"}, "request_id"}`.

use std::time::Duration;

use crate::simulate::{
    gate::Trouble,
    json,
    limits::{Left, Refused, Which},
};

/// An error answer.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    kind: &'static str,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    pub(super) left: Option<Box<Left>>,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), retry_after: None, left: None }
    }

    /// 400.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// 400 about what stands at `path`, such as `messages.0.content`.
    pub(super) fn at(path: &str, message: &str) -> Self {
        Self::invalid(format!("{path}: {message}"))
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "not_found_error", message)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(405, "invalid_request_error", "Method Not Allowed")
    }

    pub(super) fn too_large() -> Self {
        Self::new(413, "request_too_large", "Request exceeds the maximum size")
    }

    /// How Anthropic words what any provider may refuse.
    pub(super) fn of(trouble: Trouble, model: &str) -> Self {
        match trouble {
            Trouble::NoKey => Self::new(401, "authentication_error", "x-api-key header is required"),
            Trouble::WrongKey => Self::new(401, "authentication_error", "invalid x-api-key"),
            Trouble::NoModel => Self::not_found(format!("model: {model}")),
            // An account without credit is told so with status 400.
            Trouble::Quota => Self::invalid(
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to \
                 upgrade or purchase credits.",
            ),
            Trouble::Context => Self::invalid("prompt is too long: 200001 tokens > 200000 maximum"),
            Trouble::Limited(refused) => Self::limited(model, &refused),
            Trouble::Status(status, retry_after) => Self { retry_after, ..Self::injected(status, model) },
        }
    }

    fn limited(model: &str, refused: &Refused) -> Self {
        let unit = match refused.which {
            Which::Requests => "requests",
            Which::Tokens => "input tokens",
        };
        let message = format!(
            "This request would exceed your organization's rate limit of {} {unit} per minute (org: \
             00000000-0000-4000-8000-000000000000, model: {model}). For details, refer to: \
             https://docs.claude.com/en/api/rate-limits. You can see the response headers for current usage. \
             Please reduce the prompt length or the maximum tokens requested, or try again later.",
            refused.limit
        );
        Self {
            retry_after: refused.retry_after,
            left: Some(Box::new(refused.left)),
            ..Self::new(429, "rate_limit_error", message)
        }
    }

    /// The error that Anthropic answers with `status`.
    fn injected(status: u16, model: &str) -> Self {
        let (kind, message) = match status {
            401 => ("authentication_error", "invalid x-api-key"),
            402 => {
                ("billing_error", "Simulated: there is an issue with your billing or payment information.")
            }
            403 => {
                ("permission_error", "Simulated: your API key does not have permission to use this resource.")
            }
            404 => return Self::not_found(format!("model: {model}")),
            413 => return Self::too_large(),
            504 => ("timeout_error", "Simulated: the request timed out while processing."),
            529 => ("overloaded_error", "Overloaded"),
            500..=599 => ("api_error", "Internal server error"),
            _ => ("invalid_request_error", "Simulated: the request is invalid."),
        };
        Self::new(status, kind, message)
    }

    /// Whether asking again may help.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self.status, 408 | 409 | 429 | 500..)
    }

    /// Appends the body.
    pub(super) fn write(&self, out: &mut Vec<u8>, request_id: &str) {
        out.extend_from_slice(b"{\"type\":\"error\",\"error\":{\"type\":\"");
        out.extend_from_slice(self.kind.as_bytes());
        out.extend_from_slice(b"\",\"message\":");
        json::string(out, &self.message);
        out.extend_from_slice(b"},\"request_id\":");
        json::string(out, request_id);
        out.push(b'}');
    }
}
