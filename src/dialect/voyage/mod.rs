//! Voyage AI's API, as a provider speaks it: `POST /v1/embeddings` and `/v1/rerank`. It has no chat.
//!
//! Source: Voyage AI documentation, API reference, "Text embedding models", "Rerankers" and "Error codes", and the
//! types of the official SDK.

pub mod embeddings;
pub mod error;
pub mod rerank;

pub use error::read_error;

/// How [`Losses`](crate::dialect::chat::Losses) name this dialect.
pub const PROVIDER: &str = "voyage";
