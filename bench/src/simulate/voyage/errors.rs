//! Errors in Voyage's form (https://docs.voyageai.com/docs/error-codes): `{"detail"}`.

use std::time::Duration;

use crate::simulate::{gate::Trouble, json};

/// An error answer.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    detail: String,
    pub(super) retry_after: Option<Duration>,
}

impl ApiError {
    pub(super) fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    /// 400: the request says something wrong.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(400, detail)
    }

    /// A field has a value that it cannot have.
    pub(super) fn value(name: &str, accepted: &str) -> Self {
        Self::invalid(format!("Value supplied for argument '{name}' is not valid -- accepted: {accepted}."))
    }

    /// How Voyage words what any provider may refuse.
    pub(super) fn of(trouble: Trouble, model: &str) -> Self {
        match trouble {
            Trouble::NoKey | Trouble::WrongKey => Self::new(401, "Provided API key is invalid."),
            Trouble::NoModel => Self::invalid(format!(
                "Model {model} is not supported. Supported models are ['voyage-3.5', 'voyage-3.5-lite', 'rerank-2.5']."
            )),
            Trouble::Quota => Self::new(
                429,
                "You have not yet added your payment method in the billing page and will have reduced rate limits.",
            ),
            Trouble::Context => Self::invalid(
                "The example at index 0 in your batch has too many tokens and does not fit into the model's context \
                 window of 32000 tokens. Please lower the number of tokens in the listed example(s) or use truncation.",
            ),
            Trouble::Limited(refused) => Self {
                retry_after: refused.retry_after,
                ..Self::new(
                    429,
                    format!("You have exceeded your limit of {} requests per minute.", refused.limit),
                )
            },
            Trouble::Status(status, retry_after) => {
                let detail =
                    if status >= 500 { "Server error: simulated." } else { "Invalid request: simulated." };
                Self { retry_after, ..Self::new(status, detail) }
            }
        }
    }

    /// Appends the body.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"detail\":");
        json::string(out, &self.detail);
        out.push(b'}');
    }
}
