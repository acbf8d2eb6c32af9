//! `/v1/responses`: OpenAI's Responses API as a client speaks it, in front of any provider. Without state: what needs
//! an earlier response, or a tool that OpenAI's own servers run, is refused.
//!
//! Source: OpenAI API reference, "Responses" and "Streaming events", and the types of the official `openai` package
//! for Python.

pub mod answer;
pub mod events;
mod items;
mod object;
pub mod request;
mod wire;

pub use answer::write_answer;
pub use events::EventWriter;
pub use request::read_request;
