//! Errors in Bedrock's form (https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html):
//! `{"message"}`, and which one it is in the field `x-amzn-errortype`.

use crate::simulate::{gate::Trouble, json};

/// An error answer.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    name: &'static str,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: u16, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into() }
    }

    /// 400: the request says something wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    /// How AWS words what any provider may refuse, of a request that is signed or has a key.
    pub(super) fn of(trouble: Trouble, is_signed: bool) -> Self {
        match trouble {
            Trouble::NoKey => {
                Self::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
            }
            Trouble::WrongKey if is_signed => Self::new(
                403,
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            ),
            Trouble::WrongKey => Self::new(
                403,
                "AccessDeniedException",
                "Authentication failed: Please make sure your API Key is valid.",
            ),
            Trouble::NoModel => Self::invalid("The provided model identifier is invalid."),
            Trouble::Context => Self::invalid("Input is too long for requested model."),
            Trouble::Quota => Self::new(
                429,
                "ThrottlingException",
                "Too many tokens per day, please wait before trying again.",
            ),
            Trouble::Limited(_) => {
                Self::new(429, "ThrottlingException", "Too many requests, please wait before trying again.")
            }
            Trouble::Status(status, _) => Self::injected(status),
        }
    }

    /// The error that Bedrock answers with `status`.
    fn injected(status: u16) -> Self {
        let (name, message) = match status {
            400 => (
                "ValidationException",
                "Malformed input request: simulated, please reformat your input and try again.",
            ),
            401 | 403 => {
                ("AccessDeniedException", "You don't have access to the model with the specified model ID.")
            }
            404 => (
                "ResourceNotFoundException",
                "Could not resolve the foundation model from the provided model identifier.",
            ),
            408 => ("ModelTimeoutException", "Model processing timeout. Try your request again."),
            424 => ("ModelErrorException", "The system encountered an unexpected error during processing."),
            503 => ("ServiceUnavailableException", "Bedrock is unable to process your request."),
            500..=599 => {
                ("InternalServerException", "The system encountered an unexpected error during processing.")
            }
            _ => ("ValidationException", "simulated"),
        };
        Self::new(status, name, message)
    }

    /// The field that says which one it is.
    pub(super) fn type_field(&self) -> String {
        format!("x-amzn-errortype: {}:http://internal.amazon.com/coral/com.amazon.bedrock/\r\n", self.name)
    }

    /// Appends the body.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"message\":");
        json::string(out, &self.message);
        out.push(b'}');
    }
}
