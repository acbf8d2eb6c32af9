//! `/v2/chat`, and the forms of `/v2/embed` and `/v2/rerank`: version 2 of Cohere's API as a client speaks it, in front
//! of any provider.
//!
//! Source: Cohere API reference, "Chat", "Chat with Streaming", "Embed", "Rerank" and "Errors"; the guides "Tool use"
//! and "Streaming"; and the types of the official `cohere` package for Python.

pub mod answer;
pub mod embeddings;
pub mod error;
pub mod events;
mod messages;
pub mod request;

pub use answer::write_answer;
pub use error::{write_error, write_error_event};
pub use events::EventWriter;
pub use request::read_request;

/// Names of the form in the middle and what Cohere's clients call them, for messages to these.
pub const NAMES: &[(&str, &str)] = &[
    ("top_k", "k"),
    ("top_p", "p"),
    ("stop", "stop_sequences"),
    ("reasoning_effort", "thinking"),
    ("thinking.budget_tokens", "thinking.token_budget"),
    ("dimensions", "output_dimension"),
    ("truncation", "truncate"),
];
