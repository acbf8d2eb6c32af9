//! An answer that streams.
//!
//! Source: Amazon Bedrock API reference, "ConverseStream": `messageStart`; for each content block its start (of calls
//! only), deltas and stop; `messageStop`; `metadata`. Exceptions may come anywhere. Events that are not known are passed
//! over.

use std::borrow::Cow;

use serde::Deserialize;

use super::answer::{self, Counts, ToolUse, text};
use super::error;
use super::frame::{Frame, Frames, Kind};
use crate::dialect::chat::{Malformed, Piece, fields::Str};

/// Reads a stream, wherever its pieces are cut.
#[derive(Debug, Default)]
pub struct StreamReader {
    frames: Frames,
    state: State,
}

/// What has come of the message.
#[derive(Debug, Default)]
struct State {
    started: bool,
    /// The call that is open, if one is: content blocks come one after the other.
    open: Option<Open>,
    /// Calls that have begun.
    calls: u32,
    finished: bool,
    done: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    index: u32,
    /// Whether any of its arguments came.
    begun: bool,
}

/// An event's payload; which members it has depends on its name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    start: Option<Start<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Str<'a>>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
}

/// The `delta` of a content block, which has one of these members.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    tool_use: Option<Arguments<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Reasoning<'a>>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    input: Option<Str<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    signature: Option<Str<'a>>,
    #[serde(borrow)]
    redacted_content: Option<Str<'a>>,
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
    /// Where a message is not as its checksums say, an event is not Bedrock's, or too long. Nothing more can be read
    /// then.
    pub fn feed(&mut self, input: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let Self { frames, state } = self;
        frames.feed(input, &mut |frame| state.read(frame, each))
    }

    /// Ends the stream. One that has told why it ended is complete also without its usage; a message that was cut in the
    /// middle is none.
    ///
    /// # Errors
    /// None.
    pub fn finish(&mut self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        if self.state.finished {
            self.state.end(None, each);
        }
        Ok(())
    }
}

impl State {
    fn read(&mut self, frame: &Frame<'_>, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        if self.done {
            return Ok(());
        }
        match frame.kind {
            Kind::Event => {}
            Kind::Exception => {
                each(Piece::Error(error::read_exception(frame.name, frame.payload)));
                return Ok(());
            }
            Kind::Error => {
                each(Piece::Error(error::read_error(500, frame.message)));
                return Ok(());
            }
        }
        if !matches!(
            frame.name,
            b"messageStart"
                | b"contentBlockStart"
                | b"contentBlockDelta"
                | b"contentBlockStop"
                | b"messageStop"
                | b"metadata"
        ) {
            return Ok(());
        }
        let event: Event<'_> = serde_json::from_slice(frame.payload)
            .map_err(|_| Malformed("an event of the stream is not Bedrock's"))?;
        if !std::mem::replace(&mut self.started, true) {
            each(Piece::Start { id: "".into(), model: "".into() });
        }
        match frame.name {
            b"contentBlockStart" => {
                self.close(each);
                if let Some(call) = event.start.and_then(|start| start.tool_use) {
                    self.call(call, each);
                }
            }
            b"contentBlockDelta" => {
                self.delta(event.delta.ok_or(Malformed("a delta comes without a delta"))?, each)
            }
            b"contentBlockStop" => self.close(each),
            b"messageStop" => {
                self.close(each);
                if !std::mem::replace(&mut self.finished, true) {
                    let reason = answer::finish(&text(event.stop_reason));
                    each(Piece::Finish { choice: 0, reason });
                }
            }
            b"metadata" => self.end(event.usage, each),
            _ => {}
        }
        Ok(())
    }

    fn call(&mut self, call: ToolUse<'_>, each: &mut dyn FnMut(Piece<'_>)) {
        if call.kind.is_some() {
            // Of the service's own tools, which is its own affair.
            return;
        }
        let index = self.calls;
        self.calls += 1;
        each(Piece::Call { choice: 0, index, id: text(call.tool_use_id), name: text(call.name) });
        self.open = Some(Open { index, begun: false });
    }

    fn delta(&mut self, delta: Delta<'_>, each: &mut dyn FnMut(Piece<'_>)) {
        if let Some(text) = some(delta.text) {
            each(Piece::Text { choice: 0, text });
        }
        if let Some(json) = delta.tool_use.and_then(|call| some(call.input))
            && let Some(open) = &mut self.open
        {
            open.begun = true;
            each(Piece::Arguments { choice: 0, index: open.index, json });
        }
        if let Some(Reasoning { text, signature, redacted_content }) = delta.reasoning_content {
            if let Some(text) = some(text) {
                each(Piece::Reasoning { choice: 0, text });
            }
            if let Some(signature) = some(signature) {
                each(Piece::Signature { choice: 0, signature });
            }
            if let Some(data) = some(redacted_content) {
                each(Piece::Signature { choice: 0, signature: answer::redacted(&data) });
            }
        }
    }

    /// The open call ends; one without arguments has an empty object of them.
    fn close(&mut self, each: &mut dyn FnMut(Piece<'_>)) {
        if let Some(Open { index, begun: false }) = self.open.take() {
            each(Piece::Arguments { choice: 0, index, json: "{}".into() });
        }
    }

    fn end(&mut self, counts: Option<Counts>, each: &mut dyn FnMut(Piece<'_>)) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        if let Some(counts) = counts {
            each(Piece::Usage(counts.usage()));
        }
        each(Piece::Done);
    }
}

/// The text, where it says something.
fn some(text: Option<Str<'_>>) -> Option<Cow<'_, str>> {
    text.map(|text| text.0).filter(|text| !text.is_empty())
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
