//! Azure OpenAI's URLs of deployments; all else is OpenAI's dialect.
//!
//! Source: Azure OpenAI REST API reference, data plane inference (2024-10-21):
//! `POST {endpoint}/openai/deployments/{deployment-id}/chat/completions?api-version=...`, and the same for the other
//! operations. What Azure adds to answers (`content_filter_results`, `prompt_filter_results`, `innererror`) is the
//! client's to read; a stream's first chunk may have them and no choices.

use super::path;
use crate::dialect::openai::request::Endpoint;

/// The path below `/openai` of an operation (`/chat/completions`) of a deployment.
#[must_use]
pub fn path(deployment: &str, operation: &str) -> String {
    format!("/deployments/{}{operation}", path::segment(deployment))
}

/// Whether Azure has this operation; what is translated is a chat there.
#[must_use]
pub fn has(endpoint: Endpoint) -> bool {
    !matches!(endpoint.operation(), Endpoint::Moderations | Endpoint::Rerank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployments_stand_in_the_path() {
        assert_eq!(path("my gpt/4", "/embeddings"), "/deployments/my%20gpt%2F4/embeddings");
        assert!(has(Endpoint::Speech) && !has(Endpoint::Rerank));
    }
}
