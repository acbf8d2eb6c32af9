//! An answer that streams, in Cohere's events.
//!
//! Source: Cohere API reference, "Chat with Streaming", and the guide "Streaming": `message-start`; for each content
//! block its start, deltas and end; for each call the same; `citation-start` and `-end`; `message-end`, and `[DONE]`
//! behind it.

use super::answer::{call_id, finish_reason, logprobs, pages, write_call, write_usage};
use super::error::write_error_event;
use crate::dialect::chat::{Face, Finish, Piece};
use crate::dialect::json::{write, write_value};
use crate::dialect::usage::Usage;

/// The most text kept to tell what of it is cited. Answers with sources are far shorter.
const KEPT_BYTES: usize = 64 * 1024;
/// The most blocks of text of which it is kept where they begin. Answers have one or two.
const MAX_BLOCKS: usize = 1024;

/// Turns pieces into events.
///
/// - Only the first answer is shown. What a whole answer shows otherwise than its provider does, stands at the head of
///   [`answer`](super::answer).
/// - What a citation cites is told as far as the text is kept.
/// - Arguments go out as they come. Where the model's JSON is not valid, the client finds out.
/// - An error ends the stream; what comes after an end is passed over.
#[derive(Debug)]
pub struct EventWriter {
    /// The id of the answer where the provider has none, and then the one shown.
    id: String,
    stage: Stage,
    /// What has begun and not ended.
    open: Option<Open>,
    /// Content blocks that have begun.
    blocks: usize,
    /// Those of text, each with the characters of text before it.
    texts: Vec<(usize, usize)>,
    /// Characters of text so far, and the text, until it is [`KEPT_BYTES`] long.
    length: usize,
    text: String,
    /// Calls that have begun.
    calls: usize,
    /// Sources that were told.
    citations: usize,
    /// Whether a stop text ended it.
    stopped: bool,
    finish: Finish,
    usage: Option<Usage>,
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
    /// By the provider's number, and whether it has no arguments yet.
    Call(u32, bool),
}

impl EventWriter {
    /// A writer at the start of a stream.
    #[must_use]
    pub fn new(face: &Face<'_>) -> Self {
        Self {
            id: face.id.to_owned(),
            stage: Stage::Before,
            open: None,
            blocks: 0,
            texts: Vec::new(),
            length: 0,
            text: String::new(),
            calls: 0,
            citations: 0,
            stopped: false,
            finish: Finish::Stop,
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
                self.block(Open::Text, out);
                self.length += text.chars().count();
                if self.text.len() + text.len() <= KEPT_BYTES {
                    self.text.push_str(text);
                }
                self.delta("text", text, out);
            }
            Piece::Reasoning { choice: 0, text } if !text.is_empty() => {
                self.block(Open::Thinking, out);
                self.delta("thinking", text, out);
            }
            Piece::Signature { choice: 0, signature } => {
                self.block(Open::Thinking, out);
                event("content-delta", Some(self.blocks.saturating_sub(1)), out);
                out.extend_from_slice(b",\"delta\":{\"message\":{\"content\":{\"thinking\":\"\"");
                write::string(out, "signature", signature);
                out.extend_from_slice(b"}}}");
                end(out);
                // A thought that follows has its own.
                self.close(out);
            }
            Piece::Call { choice: 0, index, id, name } => self.call(*index, id, name, out),
            Piece::Arguments { choice: 0, index, json } if !json.is_empty() => match self.open {
                Some(Open::Call(open, _)) if open == *index => {
                    self.open = Some(Open::Call(open, false));
                    self.arguments(json, out);
                }
                // A call that has ended cannot be added to, and one without the rest of its arguments must not be made.
                _ => self.fail("The provider mixed the arguments of several calls. Try again.", out),
            },
            Piece::Annotations { choice: 0, json } => self.cite(json, out),
            // Those of a text, which they come behind: others have no place.
            Piece::Logprobs { choice: 0, json } if self.open == Some(Open::Text) => {
                if let Some(item) = logprobs(json) {
                    self.content("content-delta", "text", "", out);
                    write::name(out, "logprobs");
                    write_value(out, &item);
                    end(out);
                }
            }
            Piece::StopSequence { choice: 0, .. } => self.stopped = true,
            Piece::Finish { choice: 0, reason } => {
                self.finish = *reason;
                self.close(out);
            }
            Piece::Usage(usage) => self.usage = Some(*usage),
            Piece::Error(error) => self.fail(&error.message, out),
            Piece::Done => self.done(out),
            _ => {}
        }
    }

    fn begin(&mut self, id: &str, out: &mut Vec<u8>) {
        if self.stage != Stage::Before {
            return;
        }
        self.stage = Stage::Within;
        if !id.is_empty() {
            id.clone_into(&mut self.id);
        }
        event("message-start", None, out);
        write::string(out, "id", &self.id);
        out.extend_from_slice(
            b",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[],\"tool_plan\":\"\",\"tool_calls\":[],\
              \"citations\":[]}}",
        );
        end(out);
    }

    /// Makes a content block the open one.
    fn block(&mut self, open: Open, out: &mut Vec<u8>) {
        self.begin("", out);
        if self.open == Some(open) {
            return;
        }
        self.close(out);
        self.open = Some(open);
        self.blocks += 1;
        let kind = if open == Open::Thinking { "thinking" } else { "text" };
        if open == Open::Text && self.texts.len() < MAX_BLOCKS {
            self.texts.push((self.blocks - 1, self.length));
        }
        event("content-start", Some(self.blocks - 1), out);
        out.extend_from_slice(b",\"delta\":{\"message\":{\"content\":{");
        write::string(out, "type", kind);
        write::string(out, kind, "");
        out.extend_from_slice(b"}}}");
        end(out);
    }

    /// More of the open block.
    fn delta(&mut self, kind: &'static str, text: &str, out: &mut Vec<u8>) {
        self.content("content-delta", kind, text, out);
        end(out);
    }

    /// The start of an event about the open block.
    fn content(&self, name: &str, kind: &'static str, text: &str, out: &mut Vec<u8>) {
        event(name, Some(self.blocks.saturating_sub(1)), out);
        out.extend_from_slice(b",\"delta\":{\"message\":{\"content\":{");
        write::string(out, kind, text);
        out.extend_from_slice(b"}}}");
    }

    fn call(&mut self, index: u32, id: &str, name: &str, out: &mut Vec<u8>) {
        self.begin("", out);
        self.close(out);
        self.open = Some(Open::Call(index, true));
        event("tool-call-start", Some(self.calls), out);
        out.extend_from_slice(b",\"delta\":{\"message\":{\"tool_calls\":");
        write_call(&call_id(id, &self.id, index), name, "", out);
        out.extend_from_slice(b"}}");
        end(out);
        self.calls += 1;
    }

    /// More of the open call's.
    fn arguments(&mut self, json: &str, out: &mut Vec<u8>) {
        event("tool-call-delta", Some(self.calls.saturating_sub(1)), out);
        out.extend_from_slice(b",\"delta\":{\"message\":{\"tool_calls\":{\"function\":{");
        write::string(out, "arguments", json);
        out.extend_from_slice(b"}}}}");
        end(out);
    }

    fn cite(&mut self, annotations: &str, out: &mut Vec<u8>) {
        self.begin("", out);
        for page in pages(annotations) {
            event("citation-start", Some(self.citations), out);
            out.extend_from_slice(b",\"delta\":{\"message\":{\"citations\":");
            let of_block = self.texts.iter().rev().find(|(_, before)| *before <= page.start());
            page.write(of_block.copied().unwrap_or_default(), &self.text, out);
            out.extend_from_slice(b"}}");
            end(out);
            event("citation-end", Some(self.citations), out);
            end(out);
            self.citations += 1;
        }
    }

    /// Ends what is open. A call that takes nothing has an empty object.
    fn close(&mut self, out: &mut Vec<u8>) {
        match self.open.take() {
            None => {}
            Some(Open::Call(_, bare)) => {
                if bare {
                    self.arguments("{}", out);
                }
                event("tool-call-end", Some(self.calls.saturating_sub(1)), out);
                end(out);
            }
            Some(Open::Text | Open::Thinking) => {
                event("content-end", Some(self.blocks.saturating_sub(1)), out);
                end(out);
            }
        }
    }

    fn done(&mut self, out: &mut Vec<u8>) {
        self.begin("", out);
        self.close(out);
        event("message-end", None, out);
        write::string(out, "id", &self.id);
        write::name(out, "delta");
        out.push(b'{');
        write::string(out, "finish_reason", finish_reason(self.finish, self.calls > 0, self.stopped));
        if let Some(usage) = &self.usage {
            write::name(out, "usage");
            write_usage(usage, out);
        }
        out.push(b'}');
        end(out);
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.stage = Stage::After;
    }

    fn fail(&mut self, message: &str, out: &mut Vec<u8>) {
        write_error_event(message, out);
        self.stage = Stage::After;
    }
}

/// Appends the start of an event. JSON of ours has no line ends.
fn event(name: &str, index: Option<usize>, out: &mut Vec<u8>) {
    for part in ["event: ", name, "\ndata: {\"type\":\"", name, "\""] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(index) = index {
        write::plain(out, "index", index);
    }
}

fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n\n");
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
