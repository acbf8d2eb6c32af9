//! Vertex AI: Google's own models as Gemini's API has them, and Anthropic's, each below its publisher.
//!
//! Source: Vertex AI REST reference, `projects.locations.publishers.models` (`generateContent`,
//! `streamGenerateContent`, `predict`, `rawPredict`, `streamRawPredict`); "Use Anthropic's Claude models"; "Text
//! embeddings API". The Anthropic client library for Vertex says which fields of a request change.

pub mod embeddings;

use super::openai::request::Endpoint;
use super::path;
use super::translate::Wire;

/// What stands in a request for one of Anthropic's models in the place of the model's name, which is in the path. The
/// later `2026-10-21`, as Anthropic's library says it, takes the sampling parameters away from every model.
pub const ANTHROPIC_VERSION: &[u8] = b"\"anthropic_version\":\"vertex-2023-10-16\"";

/// Where the tokens of a prompt for one of Anthropic's models are counted.
pub const COUNT_PATH: &str = "/publishers/anthropic/models/count-tokens:rawPredict";

/// What a model speaks: those of Anthropic their own dialect, the others Gemini's.
#[must_use]
pub fn wire(model: &str) -> Wire {
    let name = model.strip_prefix("publishers/").unwrap_or(model);
    if name.starts_with("anthropic/") || name.starts_with("claude-") { Wire::Claude } else { Wire::Gemini }
}

/// The path of a chat below the location.
#[must_use]
pub fn chat_path(model: &str, stream: bool) -> String {
    let method = match (wire(model), stream) {
        (Wire::Claude, false) => "rawPredict",
        (Wire::Claude, true) => "streamRawPredict",
        (_, false) => "generateContent",
        (_, true) => "streamGenerateContent?alt=sse",
    };
    format!("{}:{method}", resource(model))
}

/// The path of one of Google's own requests.
#[must_use]
pub fn path_to(model: &str, endpoint: Endpoint) -> String {
    format!("{}{}", resource(model), endpoint.path())
}

/// The path of a request for embeddings.
#[must_use]
pub fn embeddings_path(model: &str) -> String {
    format!("{}:predict", resource(model))
}

/// `/publishers/google/models/{model}`. A model may name its publisher (`anthropic/claude-...`), and what is tuned or
/// deployed is an endpoint (`endpoints/123`).
fn resource(model: &str) -> String {
    if model.starts_with("endpoints/") || model.starts_with("publishers/") {
        return format!("/{}", path::segments(model));
    }
    let (publisher, name) = match model.split_once('/') {
        Some(("models", name)) => ("google", name),
        Some((publisher, name)) => (publisher, name),
        None if wire(model) == Wire::Claude => ("anthropic", model),
        None => ("google", model),
    };
    format!("/publishers/{}/models/{}", path::segment(publisher), path::segment(name))
}

/// The model's name without its publisher.
#[must_use]
pub fn name(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

/// Makes a body that was written for Anthropic's own API one for Vertex: without the model, with the version.
///
/// `body` begins with `{"model":"...",`, as `claude::write_request` writes it.
pub fn claude_body(model: &str, body: &mut Vec<u8>) {
    let mut member = b"\"model\":".to_vec();
    crate::dialect::json::write_string(&mut member, model);
    if body.get(1..).is_some_and(|rest| rest.starts_with(&member)) {
        body.splice(1..=member.len(), ANTHROPIC_VERSION.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_is_below_its_publisher() {
        for (model, stream, wanted) in [
            ("gemini-2.5-flash", false, "/publishers/google/models/gemini-2.5-flash:generateContent"),
            (
                "gemini-2.5-flash",
                true,
                "/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
            ),
            ("models/gemini-2.5-pro", false, "/publishers/google/models/gemini-2.5-pro:generateContent"),
            (
                "claude-opus-4-5@20251101",
                false,
                "/publishers/anthropic/models/claude-opus-4-5@20251101:rawPredict",
            ),
            ("anthropic/claude-x", true, "/publishers/anthropic/models/claude-x:streamRawPredict"),
            (
                "publishers/anthropic/models/claude-x",
                true,
                "/publishers/anthropic/models/claude-x:streamRawPredict",
            ),
            ("endpoints/123", false, "/endpoints/123:generateContent"),
            ("x y\r\n", false, "/publishers/google/models/x%20y%0D%0A:generateContent"),
        ] {
            assert_eq!(chat_path(model, stream), wanted);
        }
        assert_eq!(
            embeddings_path("text-embedding-005"),
            "/publishers/google/models/text-embedding-005:predict"
        );
    }

    #[test]
    fn the_model_gives_way_to_the_version() {
        let mut body = br#"{"model":"claude-\"x","max_tokens":5}"#.to_vec();
        claude_body("claude-\"x", &mut body);
        assert_eq!(body, br#"{"anthropic_version":"vertex-2023-10-16","max_tokens":5}"#);
    }
}
