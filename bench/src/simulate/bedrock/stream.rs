//! `ConverseStream`, one event at a time.

use std::sync::LazyLock;

use super::{
    converse::{Message, SIGNATURE, tool_use_id},
    frame,
};
use crate::simulate::{
    faults::Fault,
    json,
    plan::THOUGHT,
    reply::{Event, Events, Pace},
    text,
};

/// What the stream says where it fails in the middle.
static ERROR: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut out = Vec::new();
    let headers = [
        (":exception-type", "modelStreamErrorException"),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ];
    frame::write(&mut out, &headers, b"{\"message\":\"An error occurred while streaming the response.\"}");
    out
});

/// What every event stream may begin with, and SDKs pass over.
static NOTHING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut out = Vec::new();
    frame::event(&mut out, "initial-response", b"{}");
    out
});

/// Where a stream stands: calls by number, texts by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    MessageStart,
    Thought(usize),
    Signature,
    ThoughtStop,
    Content(usize),
    ContentStop,
    CallStart(usize),
    Arguments(usize, usize),
    CallStop(usize),
    MessageStop,
    Metadata,
}

/// The rest of a stream.
pub(super) struct Stream {
    message: Message,
    at: At,
    chunk_tokens: usize,
    fault: Option<Fault>,
    pace: Pace,
}

impl Stream {
    pub(super) fn new(message: Message, fault: Option<Fault>, chunk_tokens: usize, pace: Pace) -> Self {
        Self { message, at: At::MessageStart, chunk_tokens, fault, pace }
    }

    fn content_or_calls(&self) -> At {
        match self.message.choice.calls.is_empty() {
            true => At::Content(0),
            false => At::CallStart(0),
        }
    }

    /// The next tokens of a text from a byte, where they end, and what the event counts.
    fn piece<'a>(&self, text: &'a str, start: usize) -> (&'a str, usize, Event) {
        let end = text::tokens_end(text, start, self.chunk_tokens);
        let piece = text.get(start..end).unwrap_or_default();
        let tokens = if end < text.len() { self.chunk_tokens } else { text::count(piece) };
        (piece, end, Event::Content(tokens))
    }

    /// Appends a delta of a block: `{"reasoningContent":{"text":` and its like, a text, and as many brackets.
    fn delta(&self, out: &mut Vec<u8>, block: usize, before: &str, text: &str) {
        let mut payload = format!("{{\"contentBlockIndex\":{block},\"delta\":{before}").into_bytes();
        json::string(&mut payload, text);
        payload.extend(before.bytes().filter(|&byte| byte == b'{').map(|_| b'}'));
        // Padding against eavesdroppers who look at lengths.
        payload.extend_from_slice(b",\"p\":\"abcdefghijk\"}");
        frame::event(out, "contentBlockDelta", &payload);
    }

    fn stop(&self, out: &mut Vec<u8>, block: usize) {
        frame::event(out, "contentBlockStop", format!("{{\"contentBlockIndex\":{block}}}").as_bytes());
    }

    fn append(&mut self, out: &mut Vec<u8>) -> Event {
        let mut event = Event::Frame;
        let thoughts = usize::from(self.message.thinking);
        self.at = match self.at {
            At::MessageStart => {
                frame::event(out, "messageStart", b"{\"role\":\"assistant\",\"p\":\"abcd\"}");
                if self.message.thinking { At::Thought(0) } else { self.content_or_calls() }
            }
            At::Thought(start) => {
                let (piece, end, content) = self.piece(THOUGHT, start);
                self.delta(out, 0, "{\"reasoningContent\":{\"text\":", piece);
                event = content;
                if end < THOUGHT.len() { At::Thought(end) } else { At::Signature }
            }
            At::Signature => {
                self.delta(out, 0, "{\"reasoningContent\":{\"signature\":", SIGNATURE);
                At::ThoughtStop
            }
            At::ThoughtStop => {
                self.stop(out, 0);
                self.content_or_calls()
            }
            At::Content(start) => {
                let (piece, end, content) = self.piece(&self.message.choice.content, start);
                self.delta(out, thoughts, "{\"text\":", piece);
                event = content;
                if end < self.message.choice.content.len() { At::Content(end) } else { At::ContentStop }
            }
            At::ContentStop => {
                self.stop(out, thoughts);
                At::MessageStop
            }
            At::CallStart(number) => {
                let mut payload = format!("{{\"contentBlockIndex\":{}", thoughts + number).into_bytes();
                payload.extend_from_slice(b",\"start\":{\"toolUse\":{\"toolUseId\":");
                if let Some(call) = self.message.choice.calls.get(number) {
                    json::string(&mut payload, &tool_use_id(&call.id));
                    payload.extend_from_slice(b",\"name\":");
                    json::string(&mut payload, &call.name);
                }
                payload.extend_from_slice(b"}}}");
                frame::event(out, "contentBlockStart", &payload);
                At::Arguments(number, 0)
            }
            At::Arguments(number, start) => {
                let arguments =
                    self.message.choice.calls.get(number).map_or("", |call| call.arguments.as_str());
                let (piece, end, content) = self.piece(arguments, start);
                self.delta(out, thoughts + number, "{\"toolUse\":{\"input\":", piece);
                event = content;
                if end < arguments.len() { At::Arguments(number, end) } else { At::CallStop(number) }
            }
            At::CallStop(number) => {
                self.stop(out, thoughts + number);
                let more = number + 1 < self.message.choice.calls.len();
                if more { At::CallStart(number + 1) } else { At::MessageStop }
            }
            At::MessageStop => {
                if self.fault == Some(Fault::NoDone) {
                    return Event::Last;
                }
                let payload = format!("{{\"stopReason\":\"{}\"}}", self.message.finish());
                frame::event(out, "messageStop", payload.as_bytes());
                At::Metadata
            }
            At::Metadata => {
                let mut payload = vec![b'{'];
                self.message.usage(&mut payload);
                payload.push(b'}');
                frame::event(out, "metadata", &payload);
                event = Event::Last;
                At::Metadata
            }
        };
        event
    }
}

impl Events for Stream {
    fn next(&mut self, out: &mut Vec<u8>) -> Event {
        self.append(out)
    }

    fn content_events(&self) -> usize {
        self.message.tokens.div_ceil(self.chunk_tokens)
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn error(&self) -> &'static [u8] {
        &ERROR
    }

    fn kind(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }

    fn comment(&self) -> &'static [u8] {
        &NOTHING
    }
}
