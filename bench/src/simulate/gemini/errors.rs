//! Errors in Google's form (https://google.aip.dev/193 and https://ai.google.dev/gemini-api/docs/troubleshooting):
//! `{"error": {"code", "message", "status", "details"}}`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::simulate::{
    gate::Trouble,
    limits::{Refused, Which},
};

/// An error answer.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    message: String,
    details: Vec<Value>,
}

impl ApiError {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), details: Vec::new() }
    }

    /// 400 about the request as a whole.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// 400 about what stands at `path`, such as `generation_config`, in a payload that does not fit the API's types.
    pub(super) fn payload(path: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let violation = if path.is_empty() {
            json!({"description": message})
        } else {
            json!({"field": path, "description": message})
        };
        let details = json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]
        });
        Self { details: vec![details], ..Self::new(400, message) }
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(404, "Requested entity was not found.")
    }

    /// How Google words what any provider may refuse.
    pub(super) fn of(trouble: Trouble, version: &str, model: &str) -> Self {
        match trouble {
            Trouble::NoKey => Self::new(
                403,
                "Method doesn't allow unregistered callers (callers without established identity). Please use \
                 API Key or other form of API consumer identity to call this API.",
            ),
            // A wrong key is an invalid argument, not a missing authentication.
            Trouble::WrongKey => {
                let info = json!({
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
                    "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}
                });
                Self {
                    details: vec![info],
                    ..Self::invalid("API key not valid. Please pass a valid API key.")
                }
            }
            Trouble::NoModel => Self::no_such_model(version, model),
            Trouble::Quota => Self::new(429, QUOTA),
            Trouble::Context => Self::invalid(
                "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
            ),
            Trouble::Limited(refused) => Self::limited(model, &refused),
            Trouble::Status(status, retry_after) => {
                let mut error = Self::injected(status, version, model);
                error.details.extend(retry_after.map(retry_info));
                error
            }
        }
    }

    fn no_such_model(version: &str, model: &str) -> Self {
        let message = format!(
            "models/{model} is not found for API version {version}, or is not supported for generateContent. Call \
             ListModels to see the list of available models and their supported methods."
        );
        Self::new(404, message)
    }

    /// https://ai.google.dev/gemini-api/docs/rate-limits. When to come back is not in the header.
    fn limited(model: &str, refused: &Refused) -> Self {
        let (metric, id) = match refused.which {
            Which::Requests => ("requests", "GenerateRequestsPerMinutePerProjectPerModel"),
            Which::Tokens => ("input_token_count", "GenerateContentInputTokensPerModelPerMinute"),
        };
        let metric = format!("generativelanguage.googleapis.com/generate_content_paid_tier_{metric}");
        let mut message = format!(
            "{QUOTA}\n* Quota exceeded for metric: {metric}, limit: {}, model: {model}",
            refused.limit
        );
        let mut details = vec![json!({
            "@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
                "quotaMetric": metric, "quotaId": id, "quotaValue": refused.limit.to_string(),
                "quotaDimensions": {"location": "global", "model": model}
            }]
        })];
        if let Some(after) = refused.retry_after {
            message.push_str(&format!("\nPlease retry in {}s.", after.as_secs_f64()));
            details.push(retry_info(after));
        }
        Self { details, ..Self::new(429, message) }
    }

    /// The error that Google answers with `status`.
    fn injected(status: u16, version: &str, model: &str) -> Self {
        let message = match status {
            401 => {
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                 other valid authentication credential."
            }
            403 => "The caller does not have permission",
            404 => return Self::no_such_model(version, model),
            413 => "Request payload size exceeds the limit: 20971520 bytes.",
            500 => {
                "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting"
            }
            503 => "The model is overloaded. Please try again later.",
            504 => "Deadline expired before operation could complete.",
            501..=599 => "Simulated: the server failed.",
            _ => "Request contains an invalid argument.",
        };
        Self::new(status, message)
    }

    /// The name of its status (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto).
    fn name(&self) -> &'static str {
        match self.status {
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            409 => "ABORTED",
            429 => "RESOURCE_EXHAUSTED",
            499 => "CANCELLED",
            500 => "INTERNAL",
            501 => "UNIMPLEMENTED",
            503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            400..=498 => "INVALID_ARGUMENT",
            _ => "UNKNOWN",
        }
    }

    /// Appends the body; in an array where the answer would have been one.
    pub(super) fn write(&self, out: &mut Vec<u8>, array: bool) {
        let (message, status) = (&self.message, self.name());
        let mut body = if self.details.is_empty() {
            json!({"error": {"code": self.status, "message": message, "status": status}})
        } else {
            json!({"error": {"code": self.status, "message": message, "status": status, "details": self.details}})
        };
        if array {
            body = json!([body]);
        }
        out.extend_from_slice(format!("{body:#}\n").as_bytes());
    }
}

const QUOTA: &str = "You exceeded your current quota, please check your plan and billing details. For more information \
    on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.";

fn retry_info(after: Duration) -> Value {
    let delay = format!("{}s", after.as_secs_f64());
    json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
}
