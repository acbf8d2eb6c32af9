//! A streamed answer (https://platform.openai.com/docs/api-reference/chat/streaming), one event at a time.
//!
//! Nothing is built ahead: a thousand streams hold a thousand positions, not their texts.

use super::{
    chat::{Identity, log_probabilities, usage},
    request::Chat,
};
use crate::simulate::{
    faults::Fault,
    json,
    plan::Choice,
    reply::{Event, Events, Pace},
    text,
};

/// Where in a choice its stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Role,
    /// In the content, at a byte.
    Content(usize),
    /// Before the call of this number is announced.
    Call(usize),
    /// In the arguments of a call: call, byte.
    Arguments(usize, usize),
    Finish,
    Done,
}

struct Cursor {
    choice: Choice,
    at: At,
}

/// The rest of a stream.
pub(super) struct Chunks {
    /// `data: {"id":…` up to the choices' index.
    open: Vec<u8>,
    cursors: Vec<Cursor>,
    turn: usize,
    include_usage: bool,
    usage_sent: bool,
    logprobs: Option<usize>,
    prompt_tokens: usize,
    completion_tokens: usize,
    chunk_tokens: usize,
    fault: Option<Fault>,
    pace: Pace,
}

impl Chunks {
    pub(super) fn new(
        chat: &Chat<'_>,
        choices: Vec<Choice>,
        identity: &Identity,
        dated: bool,
        fault: Option<Fault>,
        chunk_tokens: usize,
        pace: Pace,
    ) -> Self {
        let mut open = b"data: ".to_vec();
        identity.open(&mut open, b"chat.completion.chunk", &chat.model, dated);
        open.extend_from_slice(
            b",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_51e1070cf2\",\"choices\":[",
        );
        Self {
            open,
            completion_tokens: choices.iter().map(|choice| choice.tokens).sum(),
            cursors: choices.into_iter().map(|choice| Cursor { choice, at: At::Role }).collect(),
            turn: 0,
            include_usage: chat.include_usage,
            usage_sent: false,
            logprobs: chat.rare.as_ref().and_then(|rare| rare.logprobs),
            prompt_tokens: chat.prompt_tokens,
            chunk_tokens,
            fault,
            pace,
        }
    }

    /// Whether only `[DONE]` is left.
    fn is_over(&self) -> bool {
        self.cursors.iter().all(|cursor| cursor.at == At::Done) && (self.usage_sent || !self.include_usage)
    }

    fn append(&mut self, out: &mut Vec<u8>) -> Event {
        let choices = self.cursors.len();
        for _ in 0..choices {
            let index = self.turn % choices.max(1);
            self.turn = index + 1;
            if self.cursors.get(index).is_some_and(|cursor| cursor.at != At::Done) {
                return self.chunk(out, index);
            }
        }
        if self.include_usage && !self.usage_sent {
            self.usage_sent = true;
            out.extend_from_slice(&self.open);
            out.extend_from_slice(b"],\"usage\":");
            usage(out, self.prompt_tokens, self.completion_tokens);
            out.extend_from_slice(b"}\n\n");
            return Event::Frame;
        }
        if self.fault != Some(Fault::NoDone) {
            out.extend_from_slice(b"data: [DONE]\n\n");
        }
        Event::Last
    }

    /// Appends the next chunk of the choice `index`.
    fn chunk(&mut self, out: &mut Vec<u8>, index: usize) -> Event {
        let tail_usage = if self.include_usage { &b",\"usage\":null"[..] } else { b"" };
        let Some(Cursor { choice, at }) = self.cursors.get_mut(index) else { return Event::Frame };
        out.extend_from_slice(&self.open);
        out.extend_from_slice(b"{\"index\":");
        json::number(out, index);
        out.extend_from_slice(b",\"delta\":{");
        let mut event = Event::Frame;
        let mut logprobs = None;
        let mut finish = None;
        *at = match *at {
            At::Role => {
                let text = choice.calls.is_empty();
                out.extend_from_slice(b"\"role\":\"assistant\",\"content\":");
                out.extend_from_slice(if text { b"\"\"" } else { b"null" });
                if let Some(call) = choice.calls.first() {
                    out.push(b',');
                    announce(out, 0, &call.id, &call.name);
                }
                out.extend_from_slice(b",\"refusal\":null");
                match (text, choice.content.is_empty()) {
                    (true, true) => At::Finish,
                    (true, false) => At::Content(0),
                    (false, _) => At::Arguments(0, 0),
                }
            }
            At::Content(start) => {
                let end = text::tokens_end(&choice.content, start, self.chunk_tokens);
                let piece = choice.content.get(start..end).unwrap_or_default();
                out.extend_from_slice(b"\"content\":");
                json::string(out, piece);
                logprobs = self.logprobs.map(|top| (piece, top));
                let last = end >= choice.content.len();
                // Counting is for the last chunk alone; all others are full.
                event = Event::Content(if last { text::count(piece) } else { self.chunk_tokens });
                if last { At::Finish } else { At::Content(end) }
            }
            At::Call(number) => {
                if let Some(call) = choice.calls.get(number) {
                    announce(out, number, &call.id, &call.name);
                }
                At::Arguments(number, 0)
            }
            At::Arguments(number, start) => {
                let arguments = choice.calls.get(number).map_or("", |call| &call.arguments);
                let end = text::tokens_end(arguments, start, self.chunk_tokens);
                out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
                json::number(out, number);
                out.extend_from_slice(b",\"function\":{\"arguments\":");
                json::string(out, arguments.get(start..end).unwrap_or_default());
                out.extend_from_slice(b"}}]");
                event = Event::Content(self.chunk_tokens);
                if end < arguments.len() {
                    At::Arguments(number, end)
                } else if number + 1 < choice.calls.len() {
                    At::Call(number + 1)
                } else {
                    At::Finish
                }
            }
            At::Finish | At::Done => {
                finish = Some(super::chat::finish(&choice.finish));
                At::Done
            }
        };
        out.extend_from_slice(b"},\"logprobs\":");
        match logprobs {
            Some((piece, top)) => log_probabilities(out, piece, top),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"finish_reason\":");
        match finish {
            Some(reason) => json::string(out, reason),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b"}]");
        if finish.is_some() && self.fault == Some(Fault::UsageLastChoice) && index + 1 == self.cursors.len() {
            out.extend_from_slice(b",\"usage\":");
            usage(out, self.prompt_tokens, self.completion_tokens);
            self.usage_sent = true;
        } else {
            out.extend_from_slice(tail_usage);
        }
        out.extend_from_slice(b"}\n\n");
        event
    }
}

impl Events for Chunks {
    fn content_events(&self) -> usize {
        self.completion_tokens.div_ceil(self.chunk_tokens)
    }

    fn next(&mut self, out: &mut Vec<u8>) -> Event {
        let event = self.append(out);
        match self.fault {
            Some(Fault::NoBlank) if event == Event::Last => {
                out.pop();
            }
            Some(Fault::NoBlankUsage) if event != Event::Last && self.is_over() => {
                out.truncate(out.trim_ascii_end().len());
                return Event::Last;
            }
            _ => {}
        }
        event
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn error(&self) -> &'static [u8] {
        b"data: {\"error\":{\"message\":\"The server had an error while processing your request. Sorry about \
            that!\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"
    }
}

/// Appends the start of a call: its number, id, type and name, with empty arguments.
fn announce(out: &mut Vec<u8>, number: usize, id: &str, name: &str) {
    out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
    json::number(out, number);
    out.extend_from_slice(b",\"id\":\"call_");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b"\",\"type\":\"function\",\"function\":{\"name\":");
    json::string(out, name);
    out.extend_from_slice(b",\"arguments\":\"\"}}]");
}
