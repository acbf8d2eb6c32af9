//! `/v1/messages` and `/v1/messages/count_tokens`: Anthropic's Messages API as a client speaks it, in front of any
//! provider.
//!
//! Source: Anthropic API reference, "Messages", "Count Message tokens", "Streaming Messages" and "Errors", and the
//! types of the official `anthropic` package for Python.

pub mod answer;
mod blocks;
pub mod error;
pub mod events;
pub mod request;

pub use answer::write_answer;
pub use error::{write_count, write_error, write_provider_error};
pub use events::EventWriter;
pub use request::{read_count, read_request};
