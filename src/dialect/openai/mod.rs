//! OpenAI's HTTP dialect, which every client of ours speaks.
//!
//! Source: the OpenAI API reference (chat completions, embeddings, models,
//! streaming, error codes).

pub mod error;
pub mod fault;
pub mod models;
pub mod request;
pub mod splice;
pub mod stream;
