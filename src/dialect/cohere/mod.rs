//! Cohere's API, version 2, as a provider speaks it: `POST /v2/chat`, `/v2/embed` and `/v2/rerank`. How clients speak
//! it stands in [`inbound`].
//!
//! Source: Cohere API reference, "Chat", "Chat with Streaming", "Embed", "Rerank", "Errors"; the guides "Tool use",
//! "Structured outputs", "Reasoning", "Image inputs", "Documents and citations"; and the types of the official SDK.
//!
//! What goes over where OpenAI's dialect has no field for it, or another one:
//!
//! - The plan that a model makes before it calls tools (`tool_plan`) is a thought. A thought that a client sends back
//!   beside calls is a plan again, or a thought where the model thinks.
//! - One function that must be called is the only one offered, and a call is required: Cohere cannot name it.
//! - A text file of the user is one of the `documents`, which the model cites; the client's own `documents`,
//!   `citation_options`, `safety_mode` and `priority` go along as they are.
//! - What is cited has a place in OpenAI's dialect where its document, or what a tool returned, says its `url`.
//! - Tokens are counted as they are billed: the prompt without what Cohere adds to it.

pub mod answer;
mod citations;
pub mod embeddings;
pub mod error;
pub mod inbound;
mod logprobs;
mod messages;
pub mod request;
pub mod rerank;
pub mod stream;

pub use answer::{read_answer, read_usage};
pub use error::read_error;
pub use request::write_request;
pub use stream::StreamReader;

/// How [`Losses`](crate::dialect::chat::Losses) name this dialect.
pub const PROVIDER: &str = "cohere";

/// Families that never think, by how their names begin. All later ones do.
const THOUGHTLESS: [&str; 7] = [
    "c4ai-aya",
    "command-a-03-2025",
    "command-a-translate",
    "command-a-vision",
    "command-light",
    "command-nightly",
    "command-r",
];

/// Whether a model has thoughts that can be turned on and off.
fn thinks(model: &str) -> bool {
    !THOUGHTLESS.iter().any(|family| model.starts_with(family))
}
