//! An answer that streams.
//!
//! Source: Cohere API reference, "Chat with Streaming", and the guide "Streaming": `message-start`; for each content
//! block its start, deltas and end; `tool-plan-delta`; for each call its start, deltas and end; `citation-start` and
//! `-end`; `message-end`, and `[DONE]` behind it. Events of types that are not known are passed over.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Call, Content, Counts, characters, finish, text};
use super::{citations, error, logprobs};
use crate::dialect::chat::{Malformed, Piece, fields::Str};
use crate::dialect::sse::{Event, events::Events};

/// The most content blocks of which it is kept where in the text they begin. Answers have one or two.
const MAX_BLOCKS: usize = 1024;

/// Reads a stream, wherever its pieces are cut.
#[derive(Debug, Default)]
pub struct StreamReader {
    events: Events,
    state: State,
}

/// What has come of the message.
#[derive(Debug, Default)]
struct State {
    /// Where in the text each content block begins.
    starts: Vec<u64>,
    /// Characters of text so far.
    length: u64,
    /// Calls that have begun.
    calls: u32,
    /// The last of them is open, and has no arguments yet.
    bare: bool,
    done: bool,
}

/// An event's data. What is in `delta` depends on `kind`: what comes as an object later is an empty list at first.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    id: Option<Str<'a>>,
    index: Option<usize>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<logprobs::Item<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    message: Option<Part<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Str<'a>>,
    #[serde(borrow)]
    error: Option<Str<'a>>,
    usage: Option<Counts>,
}

#[derive(Default, Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    tool_plan: Option<Str<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Call<'a>>,
    #[serde(borrow)]
    citations: Option<citations::Citation<'a>>,
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
    /// Where an event is not Cohere's, or too long. Nothing more can be read then.
    pub fn feed(&mut self, input: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let Self { events, state } = self;
        events.feed(input, &mut |event| state.read(event, each))
    }

    /// Ends the stream. An event without its blank line counts too.
    ///
    /// # Errors
    /// Where that event is not Cohere's.
    pub fn finish(&mut self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let Self { events, state } = self;
        events.finish(&mut |event| state.read(event, each))
    }
}

impl State {
    fn read(&mut self, event: &Event<'_>, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        if self.done || event.data == b"[DONE]" {
            return Ok(());
        }
        const NOT_COHERES: Malformed = Malformed("an event of the stream is not Cohere's");
        let frame: Frame<'_> = serde_json::from_slice(event.data).map_err(|_| NOT_COHERES)?;
        let Some(Str(kind)) = frame.kind else {
            // An error as it comes without a stream.
            each(Piece::Error(error::read_error(500, event.data)));
            return Ok(());
        };
        if kind == "message-start" {
            each(Piece::Start { id: text(frame.id), model: "".into() });
            return Ok(());
        }
        if kind == "tool-call-end" {
            self.close(each);
        }
        let known = matches!(
            kind.as_ref(),
            "content-start"
                | "content-delta"
                | "tool-plan-delta"
                | "tool-call-start"
                | "tool-call-delta"
                | "citation-start"
                | "message-end"
        );
        let Some(delta) = frame.delta.filter(|_| known) else { return Ok(()) };
        let delta: Delta<'_> = serde_json::from_str(delta.get()).map_err(|_| NOT_COHERES)?;
        if kind == "message-end" {
            self.end(delta, each);
            return Ok(());
        }
        let part = delta.message.unwrap_or_default();
        match kind.as_ref() {
            "content-start" | "content-delta" => {
                if kind == "content-start" {
                    self.start(frame.index);
                }
                self.content(part.content, each);
                if let Some(json) = frame.logprobs.and_then(|item| logprobs::openai(&[item])) {
                    each(Piece::Logprobs { choice: 0, json: json.into() });
                }
            }
            "tool-plan-delta" => think(text(part.tool_plan), each),
            "tool-call-start" | "tool-call-delta" => {
                if let Some(call) = part.tool_calls {
                    self.call(call, kind == "tool-call-start", each);
                }
            }
            _ => {
                let annotations =
                    part.citations.and_then(|citation| citations::annotations(&[citation], &self.starts));
                if let Some(json) = annotations {
                    each(Piece::Annotations { choice: 0, json: json.into() });
                }
            }
        }
        Ok(())
    }

    /// A content block begins.
    fn start(&mut self, index: Option<usize>) {
        let index = index.unwrap_or(self.starts.len());
        if index < MAX_BLOCKS {
            self.starts.resize(index, self.length);
            self.starts.push(self.length);
        }
    }

    fn content(&mut self, content: Option<Content<'_>>, each: &mut dyn FnMut(Piece<'_>)) {
        let Some(content) = content else { return };
        think(text(content.thinking), each);
        let text = text(content.text);
        if !text.is_empty() {
            self.length += characters(&text);
            each(Piece::Text { choice: 0, text });
        }
    }

    /// A call begins or goes on: they come one after the other.
    fn call(&mut self, call: Call<'_>, begins: bool, each: &mut dyn FnMut(Piece<'_>)) {
        let function = call.function.unwrap_or_default();
        if begins {
            self.close(each);
            let index = self.calls;
            self.calls += 1;
            self.bare = true;
            each(Piece::Call { choice: 0, index, id: text(call.id), name: text(function.name) });
        }
        let json = text(function.arguments);
        if !json.is_empty()
            && let Some(index) = self.calls.checked_sub(1)
        {
            self.bare = false;
            each(Piece::Arguments { choice: 0, index, json });
        }
    }

    /// The open call ends: one without arguments has none.
    fn close(&mut self, each: &mut dyn FnMut(Piece<'_>)) {
        if std::mem::take(&mut self.bare)
            && let Some(index) = self.calls.checked_sub(1)
        {
            each(Piece::Arguments { choice: 0, index, json: "{}".into() });
        }
    }

    fn end(&mut self, delta: Delta<'_>, each: &mut dyn FnMut(Piece<'_>)) {
        self.close(each);
        let reason = match finish(&text(delta.finish_reason)) {
            Ok(reason) if delta.error.is_none() => reason,
            failed => {
                let why = failed.err().map_or("the model failed to answer", |Malformed(why)| why);
                let said = text(delta.error);
                each(Piece::Error(error::failed(if said.is_empty() { why } else { &said })));
                return;
            }
        };
        each(Piece::Finish { choice: 0, reason });
        if let Some(usage) = delta.usage.and_then(Counts::usage) {
            each(Piece::Usage(usage));
        }
        each(Piece::Done);
        self.done = true;
    }
}

fn think(text: Cow<'_, str>, each: &mut dyn FnMut(Piece<'_>)) {
    if !text.is_empty() {
        each(Piece::Reasoning { choice: 0, text });
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
