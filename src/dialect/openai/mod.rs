//! OpenAI's HTTP dialect, which every client of ours speaks.
//!
//! Source: the OpenAI API reference (chat completions, responses, embeddings, models,
//! streaming, error codes).

pub mod chat;
pub mod embeddings;
pub mod error;
pub mod fault;
pub mod form;
pub mod models;
pub mod request;
pub mod responses;
pub mod splice;
pub mod stream;
