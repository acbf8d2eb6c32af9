//! A chat as every dialect can say it: what stands in the middle when client and provider speak differently.
//!
//! A client's request is read into a [`Request`] by the dialect that the client speaks, and written by the one that
//! the provider speaks; the answer goes the same way back as an [`Answer`], or as [`Piece`]s while it streams. The
//! names are those of OpenAI's chat completions, which most clients mean. Where both sides speak the same dialect
//! nothing of this is used: the client's own bytes go through.
//!
//! What a dialect cannot express is never left out in silence: writers name it to [`Losses`].

pub mod answer;
pub mod fields;
pub mod idle;
pub mod losses;
pub mod request;
#[cfg(test)]
pub mod samples;
pub mod schema;
pub mod turns;

pub use answer::{Answer, Choice, Finish, Piece, ToolCall};
pub use losses::{Losses, Refused};
pub use request::{
    AssistantMessage, Audio, Call, Effort, File, Image, Message, Part, Request, ResponseFormat, Source, Tool,
    ToolChoice,
};

/// What a client is shown where the provider does not say it, or says it in its own way.
#[derive(Clone, Copy, Debug)]
pub struct Face<'a> {
    /// The id of an answer that has none.
    pub id: &'a str,
    /// The model, as the client is to see it.
    pub model: &'a str,
    /// Seconds since 1970.
    pub created: u64,
}

/// An answer that is not what its dialect says: the provider's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}
