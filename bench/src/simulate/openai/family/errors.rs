//! An error in the words of each of them.

use serde_json::{Value, json};

use super::{ApiError, Family};

/// An error answer.
pub(super) struct Refusal {
    /// As OpenAI has it: its status, what is left, and when to come back.
    pub(super) error: ApiError,
    pub(super) body: Value,
}

/// xAI's words for a status.
const GROK: [(u16, &str); 5] = [
    (401, "Unauthenticated"),
    (403, "The caller does not have permission to execute the specified operation"),
    (404, "Some requested entity was not found"),
    (429, "Some resource has been exhausted"),
    (503, "The service is currently unavailable"),
];

/// Mistral's type and code for a status.
const MISTRAL: [(u16, &str, &str); 5] = [
    (404, "invalid_model", "1500"),
    (429, "rate_limited", "1300"),
    (500, "internal_server_error", "1000"),
    (502, "unreachable_backend", "1100"),
    (503, "unreachable_backend", "1100"),
];

impl Refusal {
    /// What OpenAI would have said.
    pub(super) fn of(family: Family, mut error: ApiError) -> Self {
        let code = error.code.unwrap_or_default();
        let wrong_key = code == "invalid_api_key";
        // OpenAI's words name its own site.
        let said = match (error.status, code) {
            (_, "insufficient_quota") => "You have no credits left. Add more to go on.".to_owned(),
            (429, _) => "Too many requests. Please try again later.".to_owned(),
            (401, _) if family == Family::Grok && wrong_key => {
                // Not a 401.
                error.status = 400;
                let key = error.message.split(": ").nth(1).and_then(|rest| rest.split(". ").next());
                let key = key.unwrap_or_default();
                format!(
                    "Incorrect API key provided: {key}. You can obtain an API key from https://console.x.ai."
                )
            }
            (401, _) => "Invalid API key provided.".to_owned(),
            (500.., _) => "The service is not available at the moment.".to_owned(),
            _ => error.message.clone(),
        };
        if code == "insufficient_quota"
            && matches!(family, Family::OpenRouter | Family::Together | Family::HuggingFace)
        {
            error.status = 402;
        }
        let status = error.status;
        let body = match family {
            Family::Mistral if status == 401 => json!({"detail": "Unauthorized"}),
            Family::Mistral if code == "model_not_found" => {
                // Not a 404.
                error.status = 400;
                let model = error.message.split('`').nth(1).unwrap_or_default();
                mistral(&format!("Invalid model: {model}"), "invalid_model", "1500")
            }
            Family::Mistral => {
                let (_, kind, code) = MISTRAL
                    .iter()
                    .find(|(known, ..)| *known == status)
                    .copied()
                    .unwrap_or((status, "invalid_request_error", "3000"));
                mistral(&said, kind, code)
            }
            Family::Grok => {
                let known = GROK.iter().find(|(known, _)| *known == status).map(|(_, words)| *words);
                let other =
                    if status >= 500 { "Internal error" } else { "Client specified an invalid argument" };
                json!({"code": known.unwrap_or(other), "error": said})
            }
            Family::OpenRouter => {
                let metadata = match (status, &error.left) {
                    (429, Some(left)) => json!({"headers": {
                        "X-RateLimit-Limit": left.limit_requests.unwrap_or_default().to_string(),
                        "X-RateLimit-Remaining": left.remaining_requests.to_string(),
                    }}),
                    (502, _) => return Self::passed_on(error),
                    _ => json!({}),
                };
                let inner = json!({"code": status, "message": said, "metadata": metadata});
                json!({"error": inner, "user_id": "user_simulated"})
            }
            Family::Together => {
                let (kind, code) = match status {
                    401 => ("invalid_request_error", Some("invalid_api_key")),
                    402 => ("credit_limit", Some("insufficient_credits")),
                    404 => ("invalid_request_error", Some("model_not_available")),
                    429 => ("rate_limit", Some("rate_limit_exceeded")),
                    500.. => ("server_error", None),
                    _ => ("invalid_request_error", None),
                };
                json!({"id": "simulated", "error": {"message": said, "type": kind, "param": error.param, "code": code}})
            }
            Family::Fireworks => {
                let (kind, code) = match status {
                    404 => ("invalid_request_error", "NOT_FOUND"),
                    429 => ("rate_limit_exceeded", "RATE_LIMIT_EXCEEDED"),
                    500.. => ("internal_server_error", "INTERNAL_SERVER_ERROR"),
                    _ => ("invalid_request_error", "invalid_request_error"),
                };
                json!({"error": {"object": "error", "type": kind, "code": code, "message": said}})
            }
            Family::HuggingFace if code == "model_not_found" => {
                error.status = 400;
                let model = error.message.split('`').nth(1).unwrap_or_default();
                let said = format!("The requested model '{model}' does not exist");
                json!({"error": {"message": said, "type": "invalid_request_error", "param": "model", "code": code}})
            }
            Family::HuggingFace | Family::Tgi => match status {
                401 | 402 => json!({"error": said}),
                429 => json!({"error": "Model is overloaded", "error_type": "overloaded"}),
                500.. => json!({"error": "Incomplete generation", "error_type": "incomplete_generation"}),
                _ => json!({"error": said, "error_type": "validation"}),
            },
        };
        Self { error, body }
    }

    /// A 400 about what the request says.
    pub(super) fn invalid(family: Family, said: &str) -> Self {
        Self::of(family, ApiError::invalid(said))
    }

    /// OpenRouter's, where who it asked failed.
    fn passed_on(error: ApiError) -> Self {
        Self { body: failed(), error }
    }

    /// Mistral's, with its words for what is wrong.
    pub(super) fn mistral(status: u16, said: &str, kind: &str, code: &str) -> Self {
        Self { error: ApiError::new(status, "", said), body: mistral(said, kind, code) }
    }

    /// Mistral's list of what a check found.
    pub(super) fn found(found: Vec<Value>) -> Self {
        Self { error: ApiError::new(422, "", "Extra inputs"), body: json!({"detail": found}) }
    }

    /// Text Generation Inference's, which says 422.
    pub(super) fn validation(said: &str) -> Self {
        Self { error: ApiError::new(422, "", said), body: json!({"error": said, "error_type": "validation"}) }
    }
}

fn mistral(said: &str, kind: &str, code: &str) -> Value {
    json!({"object": "error", "message": said, "type": kind, "param": null, "code": code})
}

/// What OpenRouter says where who it asked failed: an error, although an answer may have begun.
pub(super) fn failed() -> Value {
    let raw = json!({"error": {"message": "The model crashed."}}).to_string();
    let metadata = json!({"raw": raw, "provider_name": "Simulated"});
    json!({
        "error": {"code": 502, "message": "Provider returned error", "metadata": metadata}, "user_id": "user_simulated"
    })
}
