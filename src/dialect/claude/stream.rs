//! An answer that streams.
//!
//! Source: Claude documentation, "Streaming messages": `message_start`; for each content block its start, deltas and
//! stop; `message_delta`; `message_stop`; `ping` and `error` anywhere. Events of types that are not known are passed
//! over ("Versions": types may be added).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{self, Block, Citation, Counts, Message, StopDetails, Text, text};
use super::error;
use crate::dialect::chat::{Finish, Malformed, Piece};
use crate::dialect::sse::{Event, events::Events};
use crate::dialect::usage::Usage;

/// Reads a stream, wherever its pieces are cut.
#[derive(Debug, Default)]
pub struct StreamReader {
    events: Events,
    state: State,
}

/// What has come of the message.
#[derive(Debug, Default)]
struct State {
    counts: Option<Counts>,
    open: Open,
    /// Calls that have begun.
    calls: u32,
    /// Characters of text so far.
    length: u64,
    finished: bool,
    done: bool,
}

/// The content block that is open: they come one after the other.
#[derive(Debug, Default)]
enum Open {
    #[default]
    None,
    Text {
        /// Characters of the answer before it.
        start: u64,
        sources: Vec<Vec<u8>>,
    },
    Call {
        index: u32,
        /// Whether any of its arguments came.
        begun: bool,
    },
    Other,
}

/// An event's data; which members it has depends on `kind`.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    usage: Option<Counts>,
}

/// The `delta` of a content block, or of the message.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    partial_json: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
    #[serde(borrow)]
    citation: Option<Citation<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    stop_sequence: Option<Text<'a>>,
    #[serde(borrow)]
    stop_details: Option<StopDetails<'a>>,
}

impl StreamReader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the stream and gives what it says.
    ///
    /// # Errors
    /// Where an event is not Claude's, or too long. Nothing more can be read then.
    pub fn feed(&mut self, input: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let Self { events, state } = self;
        events.feed(input, &mut |event| state.read(event, each))
    }

    /// Ends the stream. An event without its blank line counts too.
    ///
    /// # Errors
    /// Where that event is not Claude's.
    pub fn finish(&mut self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let Self { events, state } = self;
        events.finish(&mut |event| state.read(event, each))
    }

    /// Tokens used so far, also of a stream that ended early: those read are told at its start.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.state.counts.map(Counts::usage)
    }
}

impl State {
    fn read(&mut self, event: &Event<'_>, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        if self.done {
            return Ok(());
        }
        if event.kind == b"error" {
            each(Piece::Error(error::read_error(error::IN_STREAM, event.data)));
            return Ok(());
        }
        let frame: Frame<'_> = serde_json::from_slice(event.data)
            .map_err(|_| Malformed("an event of the stream is not Claude's"))?;
        match frame.kind.as_ref() {
            "message_start" => {
                let message = frame.message.ok_or(Malformed("a message starts without a message"))?;
                self.count(message.usage);
                each(Piece::Start { id: text(message.id), model: text(message.model) });
            }
            "content_block_start" => {
                let block = frame.content_block.ok_or(Malformed("a block starts without a block"))?;
                self.close(each);
                self.start(block, each);
            }
            "content_block_delta" => {
                self.delta(frame.delta.ok_or(Malformed("a delta comes without a delta"))?, each);
            }
            "content_block_stop" => self.close(each),
            "message_delta" => {
                self.count(frame.usage);
                if let Some(delta) = frame.delta {
                    self.stop(delta, each);
                }
            }
            "message_stop" => {
                self.close(each);
                if let Some(usage) = self.counts.map(Counts::usage) {
                    each(Piece::Usage(usage));
                }
                each(Piece::Done);
                self.done = true;
            }
            // The event may go without its name.
            "error" => each(Piece::Error(error::read_error(error::IN_STREAM, event.data))),
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, counts: Option<Counts>) {
        if let Some(counts) = counts {
            self.counts = Some(counts.or(self.counts.unwrap_or_default()));
        }
    }

    /// A block begins; servers other than Anthropic's may put all of it there.
    fn start(&mut self, block: Block<'_>, each: &mut dyn FnMut(Piece<'_>)) {
        self.open = match block.kind.as_ref() {
            "text" => Open::Text {
                start: self.length,
                sources: block.citations.iter().flatten().filter_map(answer::source).collect(),
            },
            "tool_use" => {
                let index = self.calls;
                self.calls += 1;
                each(Piece::Call { choice: 0, index, id: text(block.id), name: text(block.name) });
                Open::Call { index, begun: false }
            }
            _ => Open::Other,
        };
        match block.kind.as_ref() {
            "text" => self.text(text(block.text), each),
            "tool_use" => {
                let input = block.input.map_or("", RawValue::get);
                let is_empty = input.chars().all(|c| matches!(c, '{' | '}') || c.is_ascii_whitespace());
                self.arguments(if is_empty { "" } else { input }.into(), each);
            }
            "thinking" => think(text(block.thinking), text(block.signature), each),
            "redacted_thinking" => think("".into(), answer::redacted(block.data), each),
            _ => {}
        }
    }

    fn delta(&mut self, delta: Delta<'_>, each: &mut dyn FnMut(Piece<'_>)) {
        match text(delta.kind).as_ref() {
            "text_delta" => self.text(text(delta.text), each),
            "input_json_delta" => self.arguments(text(delta.partial_json), each),
            "thinking_delta" => think(text(delta.thinking), "".into(), each),
            "signature_delta" => think("".into(), text(delta.signature), each),
            "citations_delta" => {
                if let Open::Text { sources, .. } = &mut self.open {
                    sources.extend(delta.citation.as_ref().and_then(answer::source));
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: Cow<'_, str>, each: &mut dyn FnMut(Piece<'_>)) {
        if !text.is_empty() {
            self.length += answer::characters(&text);
            each(Piece::Text { choice: 0, text });
        }
    }

    /// Of the calls of Claude's own tools nothing is told.
    fn arguments(&mut self, json: Cow<'_, str>, each: &mut dyn FnMut(Piece<'_>)) {
        if let Open::Call { index, begun } = &mut self.open
            && !json.is_empty()
        {
            *begun = true;
            each(Piece::Arguments { choice: 0, index: *index, json });
        }
    }

    /// The open block ends: what is cited in it, and the arguments of a call without any.
    fn close(&mut self, each: &mut dyn FnMut(Piece<'_>)) {
        match std::mem::take(&mut self.open) {
            Open::Text { start, sources } if !sources.is_empty() => {
                let mut json = b"[".to_vec();
                for source in &sources {
                    answer::write_annotation(&mut json, source, start, self.length);
                }
                json.push(b']');
                each(Piece::Annotations { choice: 0, json: String::from_utf8_lossy(&json) });
            }
            Open::Call { index, begun: false } => {
                each(Piece::Arguments { choice: 0, index, json: "{}".into() });
            }
            _ => {}
        }
    }

    /// The message says why it ends.
    fn stop(&mut self, delta: Delta<'_>, each: &mut dyn FnMut(Piece<'_>)) {
        let Some(reason) = delta.stop_reason else { return };
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.close(each);
        let reason = answer::finish(&reason.0);
        if reason == Finish::ContentFilter
            && let Some(explanation) = delta.stop_details.and_then(|details| details.explanation)
        {
            each(Piece::Refusal { choice: 0, text: explanation.0 });
        }
        if let Some(Text(text)) = delta.stop_sequence {
            each(Piece::StopSequence { choice: 0, text });
        }
        each(Piece::Finish { choice: 0, reason });
    }
}

fn think(thought: Cow<'_, str>, signature: Cow<'_, str>, each: &mut dyn FnMut(Piece<'_>)) {
    if !thought.is_empty() {
        each(Piece::Reasoning { choice: 0, text: thought });
    }
    if !signature.is_empty() {
        each(Piece::Signature { choice: 0, signature });
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
