//! Replicate's predictions, as far as language models go: `POST /v1/models/{owner}/{name}/predictions`.
//!
//! Source: Replicate HTTP API reference, "Create a prediction using an official model", "Create a prediction", "Get a
//! prediction", "Cancel a prediction", and the guides "Sync mode" (`Prefer: wait`) and "Streaming output"; the types of
//! the official SDK for Python (1.0.7). [`request::write_request`] makes the body, [`answer::read_answer`] reads a
//! prediction that is over, [`answer::progress`] one that may not be, [`stream::StreamReader`] what comes of it meanwhile,
//! [`error::read_error`] what goes wrong.
//!
//! A model is a function from its own inputs to its own output there. What chats have is given to the inputs that
//! Replicate's language models have; all else that a client sends goes on as inputs of the same name.

pub mod answer;
pub mod error;
pub mod request;
pub mod stream;

use crate::dialect::path;

/// How [`Losses`](crate::dialect::chat::Losses) name this dialect.
pub const PROVIDER: &str = "replicate";

/// The longest that a request is held until its prediction is over, in seconds ("Sync mode").
pub const MOST_WAIT_S: u64 = 60;

/// The path of a request below the API's version: of an official model `owner/name`, or of a version,
/// `owner/name:version`, which the body names.
#[must_use]
pub fn path(model: &str) -> String {
    match version(model) {
        Some(_) => "/predictions".to_owned(),
        None => format!("/models/{}/predictions", path::segments(model)),
    }
}

/// The version that a model's name ends in.
fn version(model: &str) -> Option<&str> {
    model.split_once(':').map(|(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (model, wanted) in [
            ("meta/meta-llama-3-70b-instruct", "/models/meta/meta-llama-3-70b-instruct/predictions"),
            ("me/mine:5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa", "/predictions"),
            ("a/b c\r\n", "/models/a/b%20c%0D%0A/predictions"),
        ] {
            assert_eq!(path(model), wanted);
        }
    }
}
