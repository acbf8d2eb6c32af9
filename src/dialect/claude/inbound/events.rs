//! An answer that streams, in Anthropic's events.
//!
//! Source: Anthropic API reference, "Streaming Messages": `message_start`, then blocks one after the other, each with
//! its `content_block_start`, deltas and `content_block_stop`, then `message_delta` and `message_stop`.

use std::borrow::Cow;

use serde::Serialize;

use super::answer::{Block, Input, Message, Usage, call_id, message_id, stop_reason};
use super::error;
use crate::dialect::chat::{Face, Finish, Piece};
use crate::dialect::json::write_value;
use crate::dialect::usage;

/// Turns pieces into events.
///
/// - How many tokens were read is not known when the stream begins: `message_start` says 0, and the usage of
///   `message_delta`, which is what counts, says it.
/// - Only the first answer is shown, and neither its probabilities nor its sources: see
///   [`write_answer`](super::write_answer).
/// - Arguments go out as they come. Where the model's JSON is not valid, the client finds out.
/// - An error ends the stream; what comes after an end is passed over.
#[derive(Debug)]
pub struct EventWriter {
    /// The id of the answer where the provider has none, and then the one shown.
    id: String,
    model: String,
    stage: Stage,
    /// The block that has begun and not ended.
    open: Option<Open>,
    /// Blocks that have begun.
    blocks: u32,
    /// Whether a call was among them.
    calls: bool,
    /// Whether a text was a refusal.
    refused: bool,
    finish: Finish,
    /// The stop text that ended it.
    stop: Option<String>,
    usage: Option<usage::Usage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    Within,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Call(u32),
}

impl EventWriter {
    /// A writer at the start of a stream.
    #[must_use]
    pub fn new(face: &Face<'_>) -> Self {
        Self {
            id: face.id.to_owned(),
            model: face.model.to_owned(),
            stage: Stage::Before,
            open: None,
            blocks: 0,
            calls: false,
            refused: false,
            finish: Finish::Stop,
            stop: None,
            usage: None,
        }
    }

    /// Appends the events that a piece is. Some are none, or come with a later piece.
    pub fn write(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        if self.stage == Stage::After {
            return;
        }
        match piece {
            Piece::Start { id, .. } => self.begin(id, out),
            Piece::Text { choice: 0, text } | Piece::Refusal { choice: 0, text } if !text.is_empty() => {
                self.refused |= matches!(piece, Piece::Refusal { .. });
                self.block(Open::Text, Block::Text { text: "" }, out);
                self.delta(Delta::Text { text }, out);
            }
            Piece::Reasoning { choice: 0, text } if !text.is_empty() => {
                self.block(Open::Thinking, Block::Thinking { thinking: "", signature: "" }, out);
                self.delta(Delta::Thinking { thinking: text }, out);
            }
            Piece::Signature { choice: 0, signature } => {
                self.block(Open::Thinking, Block::Thinking { thinking: "", signature: "" }, out);
                self.delta(Delta::Signature { signature }, out);
                // A thought that follows has its own.
                self.close(out);
            }
            Piece::Call { choice: 0, index, id, name } => {
                self.begin("", out);
                let id = call_id(id, &self.id, index).into_owned();
                self.calls = true;
                let block = Block::ToolUse { id: Cow::Owned(id), name, input: Input::Empty {} };
                self.block(Open::Call(*index), block, out);
            }
            Piece::Arguments { choice: 0, index, json } if !json.is_empty() => {
                if self.open == Some(Open::Call(*index)) {
                    self.delta(Delta::InputJson { partial_json: json }, out);
                } else {
                    // Blocks come one after the other: there is no way to add to one that has ended, and a call
                    // without the rest of its arguments must not be made.
                    self.fail(502, "The provider mixed the arguments of several calls. Try again.", out);
                }
            }
            Piece::StopSequence { choice: 0, text } => self.stop = Some((**text).to_owned()),
            Piece::Finish { choice: 0, reason } => {
                self.finish = *reason;
                self.close(out);
            }
            Piece::Usage(usage) => self.usage = Some(*usage),
            Piece::Error(error) => self.fail(error.status, &error.message, out),
            Piece::Done => self.end(out),
            _ => {}
        }
    }

    fn begin(&mut self, id: &str, out: &mut Vec<u8>) {
        if self.stage != Stage::Before {
            return;
        }
        self.stage = Stage::Within;
        self.id = message_id(id, &self.id);
        let message = Message {
            id: &self.id,
            kind: "message",
            role: "assistant",
            model: &self.model,
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage: Usage::of(self.usage),
        };
        event("message_start", &Event::MessageStart { message }, out);
    }

    /// Makes this block the open one.
    fn block(&mut self, open: Open, content_block: Block<'_>, out: &mut Vec<u8>) {
        self.begin("", out);
        if self.open == Some(open) {
            return;
        }
        self.close(out);
        event("content_block_start", &Event::ContentBlockStart { index: self.blocks, content_block }, out);
        self.open = Some(open);
        self.blocks += 1;
    }

    /// More of the open block.
    fn delta(&mut self, delta: Delta<'_>, out: &mut Vec<u8>) {
        let index = self.blocks.saturating_sub(1);
        event("content_block_delta", &Event::ContentBlockDelta { index, delta }, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            let index = self.blocks.saturating_sub(1);
            event("content_block_stop", &Event::ContentBlockStop { index }, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin("", out);
        self.close(out);
        let stop_sequence = self.stop.as_deref();
        let stop_reason = stop_reason(self.finish, self.calls, self.refused, stop_sequence);
        let delta = End { stop_reason, stop_sequence };
        event("message_delta", &Event::MessageDelta { delta, usage: Usage::of(self.usage) }, out);
        event("message_stop", &Event::MessageStop, out);
        self.stage = Stage::After;
    }

    fn fail(&mut self, status: u16, message: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: error\ndata: ");
        error::write_error(status, message, None, out);
        out.extend_from_slice(b"\n\n");
        self.stage = Stage::After;
    }
}

/// Appends an event. JSON of ours has no line ends.
fn event(name: &str, data: &Event<'_>, out: &mut Vec<u8>) {
    for part in ["event: ", name, "\ndata: "] {
        out.extend_from_slice(part.as_bytes());
    }
    write_value(out, data);
    out.extend_from_slice(b"\n\n");
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event<'a> {
    MessageStart { message: Message<'a> },
    ContentBlockStart { index: u32, content_block: Block<'a> },
    ContentBlockDelta { index: u32, delta: Delta<'a> },
    ContentBlockStop { index: u32 },
    MessageDelta { delta: End<'a>, usage: Usage },
    MessageStop,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

#[derive(Serialize)]
struct End<'a> {
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
