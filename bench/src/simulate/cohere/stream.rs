//! A streamed answer (https://docs.cohere.com/v2/docs/streaming), one event at a time.

use super::chat::{Message, TOOL_PLAN, tool_call};
use crate::simulate::{
    faults::Fault,
    json,
    plan::THOUGHT,
    reply::{Event, Events, Pace},
    text,
};

/// Where a stream stands: content blocks and calls by number, texts by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    MessageStart,
    Plan(usize),
    ContentStart(usize),
    Content(usize, usize),
    ContentEnd(usize),
    CallStart(usize),
    Arguments(usize, usize),
    CallEnd(usize),
    MessageEnd,
    Done,
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

    /// The content block of this number: whether it is a thought, and its text.
    fn block(&self, index: usize) -> Option<(bool, &str)> {
        let thoughts = usize::from(self.message.thinking);
        if index < thoughts {
            return Some((true, THOUGHT));
        }
        let text = self.message.choice.content.as_ref();
        (index == thoughts && self.message.choice.calls.is_empty()).then_some((false, text))
    }

    fn block_or_calls(&self, index: usize) -> At {
        match (self.block(index), self.message.choice.calls.is_empty()) {
            (Some(_), _) => At::ContentStart(index),
            (None, true) => At::MessageEnd,
            (None, false) => At::Plan(0),
        }
    }

    /// The next tokens of a text from a byte, where they end, and what the event counts.
    fn piece<'a>(&self, text: &'a str, start: usize) -> (&'a str, usize, Event) {
        let end = text::tokens_end(text, start, self.chunk_tokens);
        let piece = text.get(start..end).unwrap_or_default();
        let tokens = if end < text.len() { self.chunk_tokens } else { text::count(piece) };
        (piece, end, Event::Content(tokens))
    }

    fn append(&mut self, out: &mut Vec<u8>) -> Event {
        let mut event = Event::Frame;
        self.at = match self.at {
            At::MessageStart => {
                open(out, "message-start", None);
                out.extend_from_slice(b",\"id\":");
                json::string(out, &self.message.id);
                out.extend_from_slice(
                    b",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[],\"tool_plan\":\"\",\
                    \"tool_calls\":[],\"citations\":[]}}}",
                );
                self.block_or_calls(0)
            }
            At::Plan(start) => {
                let (piece, end, content) = self.piece(TOOL_PLAN, start);
                open(out, "tool-plan-delta", None);
                out.extend_from_slice(b",\"delta\":{\"message\":{\"tool_plan\":");
                json::string(out, piece);
                out.extend_from_slice(b"}}}");
                event = content;
                if end < TOOL_PLAN.len() { At::Plan(end) } else { At::CallStart(0) }
            }
            At::ContentStart(index) => {
                open(out, "content-start", Some(index));
                let thought = self.block(index).is_some_and(|(thought, _)| thought);
                out.extend_from_slice(b",\"delta\":{\"message\":{\"content\":");
                out.extend_from_slice(if thought {
                    b"{\"type\":\"thinking\",\"thinking\":\"\"}".as_slice()
                } else {
                    b"{\"type\":\"text\",\"text\":\"\"}".as_slice()
                });
                out.extend_from_slice(b"}}}");
                At::Content(index, 0)
            }
            At::Content(index, start) => {
                let (thought, text) = self.block(index).unwrap_or_default();
                let (piece, end, content) = self.piece(text, start);
                open(out, "content-delta", Some(index));
                out.extend_from_slice(b",\"delta\":{\"message\":{\"content\":{\"");
                out.extend_from_slice(if thought { b"thinking" } else { b"text" });
                out.extend_from_slice(b"\":");
                json::string(out, piece);
                out.extend_from_slice(b"}}}}");
                event = content;
                if end < text.len() { At::Content(index, end) } else { At::ContentEnd(index) }
            }
            At::ContentEnd(index) => {
                open(out, "content-end", Some(index));
                out.push(b'}');
                self.block_or_calls(index + 1)
            }
            At::CallStart(number) => {
                open(out, "tool-call-start", Some(number));
                out.extend_from_slice(b",\"delta\":{\"message\":{\"tool_calls\":");
                if let Some(call) = self.message.choice.calls.get(number) {
                    tool_call(out, call, "");
                }
                out.extend_from_slice(b"}}}");
                At::Arguments(number, 0)
            }
            At::Arguments(number, start) => {
                let arguments = self.message.choice.calls.get(number).map_or("", |call| &call.arguments);
                let (piece, end, content) = self.piece(arguments, start);
                open(out, "tool-call-delta", Some(number));
                out.extend_from_slice(
                    b",\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"arguments\":",
                );
                json::string(out, piece);
                out.extend_from_slice(b"}}}}}");
                event = content;
                if end < arguments.len() { At::Arguments(number, end) } else { At::CallEnd(number) }
            }
            At::CallEnd(number) => {
                open(out, "tool-call-end", Some(number));
                out.push(b'}');
                let more = number + 1 < self.message.choice.calls.len();
                if more { At::CallStart(number + 1) } else { At::MessageEnd }
            }
            At::MessageEnd => {
                open(out, "message-end", None);
                out.extend_from_slice(b",\"delta\":{\"finish_reason\":");
                json::string(out, self.message.finish());
                out.extend_from_slice(b",\"usage\":");
                self.message.usage(out);
                out.extend_from_slice(b"}}");
                At::Done
            }
            At::Done => {
                if self.fault == Some(Fault::NoDone) {
                    return Event::Last;
                }
                out.extend_from_slice(b"data: [DONE]");
                event = Event::Last;
                At::Done
            }
        };
        out.extend_from_slice(b"\n\n");
        event
    }
}

/// Appends the name of an event and the start of its data.
fn open(out: &mut Vec<u8>, name: &str, index: Option<usize>) {
    out.extend_from_slice(format!("event: {name}\ndata: {{\"type\":\"{name}\"").as_bytes());
    if let Some(index) = index {
        out.extend_from_slice(b",\"index\":");
        json::number(out, index);
    }
}

impl Events for Stream {
    fn next(&mut self, out: &mut Vec<u8>) -> Event {
        let event = self.append(out);
        match self.fault {
            Some(Fault::NoBlank) if event == Event::Last => {
                out.pop();
            }
            // Right behind the usage.
            Some(Fault::NoBlankUsage) if event != Event::Last && self.at == At::Done => {
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
        b"event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\
          \"internal server error\"}}\n\n"
    }
}
