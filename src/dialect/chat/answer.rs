//! What is answered, at once or piece by piece.

use std::borrow::Cow;

use crate::dialect::usage::Usage;

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer<'a> {
    /// The provider's id of it; empty where it has none.
    pub id: Cow<'a, str>,
    /// The model that answered, as the provider names it; empty where it does not.
    pub model: Cow<'a, str>,
    /// Seconds since 1970; 0 where the provider does not say.
    pub created: u64,
    /// Usually one.
    pub choices: Vec<Choice<'a>>,
    /// Tokens used.
    pub usage: Option<Usage>,
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice<'a> {
    /// What is said; `None` where there is only something else.
    pub text: Option<Cow<'a, str>>,
    /// Functions to call.
    pub calls: Vec<ToolCall<'a>>,
    /// That it refuses.
    pub refusal: Option<Cow<'a, str>>,
    /// What it thought, where the provider shows it, with its signature over it.
    pub reasoning: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
    /// Why it ended.
    pub finish: Finish,
    /// The stop text that ended it, where the provider tells.
    pub stop_sequence: Option<Cow<'a, str>>,
    /// Probabilities, as OpenAI's `logprobs` object, as JSON.
    pub logprobs: Option<Cow<'a, str>>,
    /// Sources quoted, as OpenAI's `annotations` array, as JSON.
    pub annotations: Option<Cow<'a, str>>,
}

/// A function to call.
pub type ToolCall<'a> = super::request::Call<'a>;

/// Why an answer ended: OpenAI's `finish_reason`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Finish {
    /// It was done, or came to a stop text.
    #[default]
    Stop,
    /// It came to `max_tokens`, or to the end of the model's context.
    Length,
    /// It calls functions.
    ToolCalls,
    /// It was cut by the provider's safety rules, or refused.
    ContentFilter,
}

impl Finish {
    /// OpenAI's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// A piece of an answer that streams. `choice` is which of the answers, from 0.
///
/// Of one answer: first [`Piece::Start`]; then any of the others; then [`Piece::Finish`] for each choice,
/// [`Piece::Usage`], and [`Piece::Done`], without which it is not complete.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece<'a> {
    /// It begins.
    Start {
        /// The provider's id of it; empty where it has none.
        id: Cow<'a, str>,
        /// The model that answers.
        model: Cow<'a, str>,
    },
    /// More text.
    Text {
        /// Which answer.
        choice: u32,
        /// The text.
        text: Cow<'a, str>,
    },
    /// More of what it thinks.
    Reasoning {
        /// Which answer.
        choice: u32,
        /// The thought.
        text: Cow<'a, str>,
    },
    /// The provider's signature over the thought that came before.
    Signature {
        /// Which answer.
        choice: u32,
        /// The signature.
        signature: Cow<'a, str>,
    },
    /// More of a refusal.
    Refusal {
        /// Which answer.
        choice: u32,
        /// The text.
        text: Cow<'a, str>,
    },
    /// A call begins.
    Call {
        /// Which answer.
        choice: u32,
        /// Which of its calls, from 0.
        index: u32,
        /// The call's id.
        id: Cow<'a, str>,
        /// The function.
        name: Cow<'a, str>,
    },
    /// More of a call's arguments.
    Arguments {
        /// Which answer.
        choice: u32,
        /// Which of its calls.
        index: u32,
        /// A part of a JSON object as text.
        json: Cow<'a, str>,
    },
    /// Sources quoted, as OpenAI's `annotations` array, as JSON.
    Annotations {
        /// Which answer.
        choice: u32,
        /// The array.
        json: Cow<'a, str>,
    },
    /// Probabilities of text that came, as OpenAI's `logprobs` object, as JSON.
    Logprobs {
        /// Which answer.
        choice: u32,
        /// The object.
        json: Cow<'a, str>,
    },
    /// The stop text that is about to end an answer, where the provider tells: before its [`Piece::Finish`].
    StopSequence {
        /// Which answer.
        choice: u32,
        /// The stop text.
        text: Cow<'a, str>,
    },
    /// An answer ends.
    Finish {
        /// Which answer.
        choice: u32,
        /// Why.
        reason: Finish,
    },
    /// Tokens used, all so far.
    Usage(Usage),
    /// The provider reports that it failed.
    Error(super::super::provider_error::ProviderError),
    /// The provider's own sign that all has come.
    Done,
}
