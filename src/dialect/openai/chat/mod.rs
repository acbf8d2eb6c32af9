//! Chat completions as a dialect to translate from and to.
//!
//! Source: OpenAI API reference, "Create chat completion", "The chat completion object" and "The chat completion chunk
//! object", as of the types of OpenAI's own client libraries. Where client and provider both speak it, nothing of this
//! is used and the client's bytes go through.
//!
//! A client that speaks it is read by [`read_request`] and answered by [`write_answer`] or [`ChunkWriter`]; a provider
//! that speaks it is asked by [`write_request`] and read by [`read_answer`], [`StreamReader`] and [`read_error`].

mod chunks;
mod error;
mod family;
mod read_answer;
mod read_messages;
mod read_request;
mod stream;
mod wire;
mod write_answer;
mod write_request;

pub use chunks::ChunkWriter;
pub use error::{read_error, write_error};
pub use family::{Family, refuses_key};
pub use read_answer::{read_answer, read_failure};
pub use read_request::read_request;
pub use stream::StreamReader;
pub use write_answer::write_answer;
pub use write_request::{Target, write_request};

#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod tests;
