//! Errors in Cohere's form (https://docs.cohere.com/reference/errors): `{"id", "message"}`.

use std::time::Duration;

use crate::simulate::{gate::Trouble, json};

/// An error answer.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    message: String,
    pub(super) retry_after: Option<Duration>,
}

impl ApiError {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    /// 400: the request says something wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// 422: a field is not there, not known or not of its type.
    pub(super) fn field(message: impl Into<String>) -> Self {
        Self::new(422, message)
    }

    /// How Cohere words what any provider may refuse.
    pub(super) fn of(trouble: Trouble, model: &str) -> Self {
        match trouble {
            Trouble::NoKey => Self::new(401, "no api key supplied"),
            Trouble::WrongKey => Self::new(401, "invalid api token"),
            Trouble::NoModel => Self::no_such_model(model),
            Trouble::Quota => Self::new(
                402,
                "Please add or update your payment method at https://dashboard.cohere.com/billing?tab=payment to \
                 continue",
            ),
            Trouble::Context => Self::invalid(
                "too many tokens: the total number of tokens in the prompt cannot exceed 128000 - received 128001. \
                 Try using a shorter prompt.",
            ),
            Trouble::Limited(refused) => Self {
                retry_after: refused.retry_after,
                ..Self::new(
                    429,
                    format!(
                        "You are using a Trial key, which is limited to {} API calls / minute. You can continue to \
                         use the Trial key for free or upgrade to a Production key with higher rate limits at \
                         'https://dashboard.cohere.com/api-keys'.",
                        refused.limit
                    ),
                )
            },
            Trouble::Status(status, retry_after) => Self { retry_after, ..Self::injected(status, model) },
        }
    }

    fn no_such_model(model: &str) -> Self {
        let message = format!(
            "model '{model}' not found, make sure the correct model ID was used and that you have access to the model."
        );
        Self::new(404, message)
    }

    /// The error that Cohere answers with `status`.
    fn injected(status: u16, model: &str) -> Self {
        let message = match status {
            401 => "invalid api token",
            404 => return Self::no_such_model(model),
            498 => "blocked input: this request was blocked",
            499 => "request cancelled",
            500..=599 => "internal server error",
            _ => "invalid request: simulated",
        };
        Self::new(status, message)
    }

    /// Appends the body.
    pub(super) fn write(&self, out: &mut Vec<u8>, id: &str) {
        out.extend_from_slice(b"{\"id\":");
        json::string(out, id);
        out.extend_from_slice(b",\"message\":");
        json::string(out, &self.message);
        out.push(b'}');
    }
}
