//! Amazon Bedrock's Converse API: `POST /model/{modelId}/converse` and `/converse-stream`; and its
//! [`embeddings`].
//!
//! Source: Amazon Bedrock API reference, "Converse", "ConverseStream", "Common errors"; the service's model
//! (`bedrock-runtime`, 2023-09-30) as botocore has it. One form for models of many makers: what few of them take goes
//! into `additionalModelRequestFields` ([`model`] says where). [`request::write_request`] makes the body,
//! [`answer::read_answer`] and [`stream::StreamReader`] read what comes back, the latter out of binary
//! [`frame`]s; [`error::read_error`] reads what goes wrong, [`sigv4`] signs.

pub mod answer;
mod blocks;
pub mod embeddings;
pub mod error;
pub mod frame;
mod inference;
mod media;
pub mod model;
pub mod request;
pub mod sigv4;
pub mod stream;

pub use answer::read_answer;
pub use error::read_error;
pub use model::path;
pub use request::write_request;
pub use stream::StreamReader;

/// How [`Losses`](crate::dialect::chat::Losses) name this dialect.
pub const PROVIDER: &str = "bedrock";
