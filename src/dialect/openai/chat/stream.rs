//! A streamed answer of a provider that speaks OpenAI's dialect, as pieces.
//!
//! Source: OpenAI API reference, "The chat completion chunk object".

use super::error::read_error_object;
use super::read_answer::{
    AnswerWire, CallWire, ChoiceWire, Thought, read_annotations, read_arguments, read_content, read_finish,
    read_thoughts, text_or_empty,
};
use super::wire::Str;
use crate::dialect::chat::{Malformed, Piece};
use crate::dialect::sse::{Event, events::Events};

/// Reads a stream, wherever it is cut.
#[derive(Debug, Default)]
pub struct StreamReader {
    events: Events,
    chunks: Chunks,
}

/// What has to be known of the chunks before to understand the next.
#[derive(Debug, Default)]
struct Chunks {
    started: bool,
    done: bool,
    calls: Vec<OpenCall>,
}

/// A call that has begun.
#[derive(Debug)]
struct OpenCall {
    choice: u32,
    /// The index that the provider gives it.
    said: u32,
    /// Which of the choice's calls it is, from 0.
    index: u32,
    id: String,
}

impl StreamReader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and gives the pieces that they complete.
    ///
    /// # Errors
    /// Where an event is not a chunk, or too long. Nothing is read after that.
    pub fn feed(&mut self, input: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let Self { events, chunks } = self;
        events.feed(input, &mut |event| chunks.read(event, each))
    }

    /// Ends the stream: an event without its blank line counts too.
    ///
    /// # Errors
    /// As [`StreamReader::feed`].
    pub fn finish(&mut self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let Self { events, chunks } = self;
        events.finish(&mut |event| chunks.read(event, each))
    }
}

impl Chunks {
    fn read(&mut self, event: &Event<'_>, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let data = event.data.trim_ascii();
        if self.done || data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            self.done = true;
            each(Piece::Done);
            return Ok(());
        }
        if event.kind == b"error" {
            each(Piece::Error(read_error_object(None, data)));
            return Ok(());
        }
        let chunk: AnswerWire<'_> =
            serde_json::from_slice(data).map_err(|_| Malformed("an event is not a chat completion chunk"))?;
        let usage = chunk.usage();
        let choices = chunk.choices.unwrap_or_default();
        if !self.started && (!choices.is_empty() || usage.is_some()) {
            self.started = true;
            each(Piece::Start { id: text_or_empty(chunk.id), model: text_or_empty(chunk.model) });
        }
        let failed = chunk.error.is_some() || chunk.object.is_some_and(|object| object.get() == "\"error\"");
        let mut failure = None;
        for choice in choices {
            failure = failure.or_else(|| choice.failure());
            self.read_choice(choice, failed || failure.is_some(), each)?;
        }
        if let Some(usage) = usage {
            each(Piece::Usage(usage));
        }
        if failed {
            failure = Some(read_error_object(None, data));
        }
        if let Some(error) = failure {
            each(Piece::Error(error));
        }
        Ok(())
    }

    fn read_choice(
        &mut self,
        wire: ChoiceWire<'_>,
        failed: bool,
        each: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), Malformed> {
        let choice = wire.index.unwrap_or(0);
        let stop_sequence = wire.stop_sequence();
        let said = wire.delta.unwrap_or_default();
        let (text, thought) = read_content(said.content);
        let reasoning = said.reasoning_content.or(said.reasoning).or(thought.map(Str));
        for Thought { text, signature } in read_thoughts(said.reasoning_details, reasoning) {
            if !text.is_empty() {
                each(Piece::Reasoning { choice, text });
            }
            if let Some(signature) = signature {
                each(Piece::Signature { choice, signature });
            }
        }
        let text = text.or(said.audio.and_then(|audio| audio.transcript).map(|Str(text)| text));
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            each(Piece::Text { choice, text });
        }
        if let Some(Str(text)) = said.refusal.filter(|Str(text)| !text.is_empty()) {
            each(Piece::Refusal { choice, text });
        }
        for call in said.tool_calls.unwrap_or_default() {
            self.read_call(choice, call, each)?;
        }
        if let Some(json) = said.annotations.and_then(read_annotations) {
            each(Piece::Annotations { choice, json });
        }
        if let Some(logprobs) = wire.logprobs {
            each(Piece::Logprobs { choice, json: logprobs.get().into() });
        }
        // Beside an error the reason says only that there is one.
        if let Some(Str(reason)) = wire.finish_reason.filter(|Str(reason)| !failed && !reason.is_empty()) {
            if let Some(text) = stop_sequence {
                each(Piece::StopSequence { choice, text });
            }
            each(Piece::Finish { choice, reason: read_finish(&reason) });
        }
        Ok(())
    }

    /// A call begins where its index is new. Some providers give several calls the same index and tell them by their
    /// ids, some give no index at all, and some repeat id and name in every chunk.
    fn read_call(
        &mut self,
        choice: u32,
        wire: CallWire<'_>,
        each: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), Malformed> {
        let id = text_or_empty(wire.id);
        let (name, arguments) = match wire.function {
            Some(function) => (function.name, function.arguments),
            None => (None, None),
        };
        let name = name.filter(|Str(name)| !name.is_empty());
        let open = self
            .calls
            .iter()
            .rev()
            .find(|open| open.choice == choice && wire.index.is_none_or(|said| said == open.said))
            .filter(|open| name.is_none() || id.is_empty() || *id == *open.id)
            // Without an index or an id to tell by, a name begins a call.
            .filter(|_| name.is_none() || wire.index.is_some() || !id.is_empty())
            .map(|open| open.index);
        let index = match (open, name) {
            (Some(index), _) => index,
            (None, Some(Str(name))) => {
                let index = self.calls.iter().filter(|open| open.choice == choice).count();
                let index = u32::try_from(index).map_err(|_| Malformed("there are too many tool calls"))?;
                let said = wire.index.unwrap_or(index);
                self.calls.push(OpenCall { choice, said, index, id: (*id).to_owned() });
                each(Piece::Call { choice, index, id, name });
                index
            }
            (None, None) => return Err(Malformed("a tool call has no name")),
        };
        let json = read_arguments(arguments)?;
        if !json.is_empty() {
            each(Piece::Arguments { choice, index, json });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
