//! An answer before it is put on the wire: status, the provider's header fields, body, waits and fault.

use std::time::Duration;

use coo_shards::buf::Buf;

use super::{deliver::EVENTS, faults::Fault};

/// The content of an answer.
pub(crate) enum Body {
    /// All at once.
    Json(Buf),
    /// Plain text, all at once.
    Text(Buf),
    /// Event by event.
    Events(Box<dyn Events>),
}

/// What an event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The role, a finish reason, usage or the end: sent without waiting.
    Frame,
    /// So many tokens.
    Content(usize),
    /// The last one.
    Last,
}

/// The rest of a streamed answer, in a provider's wire format.
pub(crate) trait Events {
    /// Appends the next event. After [`Event::Last`] there is none.
    fn next(&mut self, out: &mut Vec<u8>) -> Event;

    /// About how many events with content the stream has.
    fn content_events(&self) -> usize;

    fn pace(&self) -> Pace;

    /// What the stream says where it fails in the middle.
    fn error(&self) -> &'static [u8];

    /// The content type.
    fn kind(&self) -> &'static str {
        EVENTS
    }

    /// What may stand between two events and says nothing.
    fn comment(&self) -> &'static [u8] {
        b": OPENROUTER PROCESSING\n\n"
    }
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
