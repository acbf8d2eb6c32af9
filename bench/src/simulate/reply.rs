//! An answer before it is put on the wire: status, the provider's header fields, body, waits and fault.

use std::time::Duration;

use coo_shards::buf::Buf;

use super::{faults::Fault, openai};

/// The content of an answer.
pub(crate) enum Body {
    /// All at once.
    Json(Buf),
    /// Event by event.
    Events(Box<openai::Events>),
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: http::StatusCode,
    /// Field lines other than those of the framing, the date and the content type.
    pub(crate) headers: Buf,
    pub(crate) body: Body,
    /// Wait before the head.
    pub(crate) wait: Duration,
    pub(crate) fault: Option<Fault>,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
}

/// How a stream is paced.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Before the first content.
    pub(crate) first: Duration,
    /// Between tokens.
    pub(crate) per_token: Duration,
}
