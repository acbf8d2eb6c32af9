//! A streamed answer (https://docs.anthropic.com/en/docs/build-with-claude/streaming), one event at a time.

use super::message::{Block, Message, tool_use};
use crate::simulate::{
    faults::Fault,
    json,
    reply::{Event, Events, Pace},
    text,
};

/// Where a stream stands; blocks by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    MessageStart,
    BlockStart(usize),
    /// The one ping, behind the start of the first block.
    Ping,
    /// In a block, at a byte.
    Delta(usize, usize),
    /// Behind the thoughts.
    Signature(usize),
    BlockStop(usize),
    MessageDelta,
    MessageStop,
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

    /// What comes behind the block `index`, or at the start.
    fn block_or_end(&self, index: usize) -> At {
        if index < self.message.blocks.len() { At::BlockStart(index) } else { At::MessageDelta }
    }

    fn append(&mut self, out: &mut Vec<u8>) -> Event {
        let mut event = Event::Frame;
        self.at = match self.at {
            At::MessageStart => {
                open(out, "message_start");
                out.extend_from_slice(b",\"message\":");
                self.message.open(out);
                out.extend_from_slice(b"],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
                self.message.usage(out, 1);
                out.extend_from_slice(b"}}");
                self.block_or_end(0)
            }
            At::BlockStart(index) => {
                about_block(out, "content_block_start", index);
                out.extend_from_slice(b",\"content_block\":");
                match self.message.blocks.get(index) {
                    Some(Block::Thinking(..)) => {
                        out.extend_from_slice(
                            b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}",
                        );
                    }
                    Some(Block::ToolUse(call)) => {
                        tool_use(out, call);
                        out.extend_from_slice(b"{}}}");
                    }
                    _ => out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"\"}}"),
                }
                if index == 0 { At::Ping } else { At::Delta(index, 0) }
            }
            At::Ping => {
                open(out, "ping");
                out.push(b'}');
                At::Delta(0, 0)
            }
            At::Delta(index, start) => {
                let (kind, name, text) = match self.message.blocks.get(index) {
                    Some(Block::Thinking(text, _)) => ("thinking_delta", "thinking", *text),
                    Some(Block::Text(text)) => ("text_delta", "text", text.as_ref()),
                    Some(Block::ToolUse(call)) => {
                        ("input_json_delta", "partial_json", call.arguments.as_str())
                    }
                    None => ("text_delta", "text", ""),
                };
                let end = text::tokens_end(text, start, self.chunk_tokens);
                let piece = text.get(start..end).unwrap_or_default();
                about_block(out, "content_block_delta", index);
                out.extend_from_slice(b",\"delta\":{\"type\":");
                json::string(out, kind);
                out.extend_from_slice(b",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                json::string(out, piece);
                out.extend_from_slice(b"}}");
                let last = end >= text.len();
                event = Event::Content(if last { text::count(piece) } else { self.chunk_tokens });
                match (last, kind) {
                    (false, _) => At::Delta(index, end),
                    (true, "thinking_delta") => At::Signature(index),
                    (true, _) => At::BlockStop(index),
                }
            }
            At::Signature(index) => {
                about_block(out, "content_block_delta", index);
                out.extend_from_slice(b",\"delta\":{\"type\":\"signature_delta\",\"signature\":");
                if let Some(Block::Thinking(_, signature)) = self.message.blocks.get(index) {
                    json::string(out, signature);
                }
                out.extend_from_slice(b"}}");
                At::BlockStop(index)
            }
            At::BlockStop(index) => {
                about_block(out, "content_block_stop", index);
                out.push(b'}');
                self.block_or_end(index + 1)
            }
            At::MessageDelta => {
                open(out, "message_delta");
                out.extend_from_slice(b",\"delta\":{");
                self.message.stop(out);
                out.extend_from_slice(b"},\"usage\":{\"input_tokens\":");
                json::number(out, self.message.prompt_tokens);
                out.extend_from_slice(
                    b",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":",
                );
                json::number(out, self.message.tokens);
                self.message.details(out);
                out.extend_from_slice(b"}}");
                At::MessageStop
            }
            At::MessageStop => {
                if self.fault == Some(Fault::NoDone) {
                    return Event::Last;
                }
                open(out, "message_stop");
                out.push(b'}');
                event = Event::Last;
                At::MessageStop
            }
        };
        out.extend_from_slice(b"\n\n");
        event
    }
}

/// Appends the name of an event and the start of its data.
fn open(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: {\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
}

/// The same of an event about a block.
fn about_block(out: &mut Vec<u8>, name: &str, index: usize) {
    open(out, name);
    out.extend_from_slice(b",\"index\":");
    json::number(out, index);
}

impl Events for Stream {
    fn next(&mut self, out: &mut Vec<u8>) -> Event {
        let event = self.append(out);
        match self.fault {
            Some(Fault::NoBlank) if event == Event::Last => {
                out.pop();
            }
            // Right behind the usage, which only `message_stop` follows.
            Some(Fault::NoBlankUsage) if event != Event::Last && self.at == At::MessageStop => {
                out.truncate(out.trim_ascii_end().len());
                return Event::Last;
            }
            _ => {}
        }
        event
    }

    fn content_events(&self) -> usize {
        self.message.tokens.div_ceil(self.chunk_tokens)
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn error(&self) -> &'static [u8] {
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
    }

    fn comment(&self) -> &'static [u8] {
        b"event: ping\ndata: {\"type\": \"ping\"}\n\n"
    }
}
