//! An answer that streams: `streamGenerateContent` with `alt=sse`.
//!
//! Source: Gemini API reference, "Generating content" (`models.streamGenerateContent`): each event is a whole
//! `GenerateContentResponse` with the next part of the text. Function calls come whole. Nothing says that all has come
//! but a `finishReason` of each candidate.

use super::answer::{End, FAILED, blocked, read_call, show};
use super::error::read_error;
use super::wire::{Candidate, Response, UsageMetadata};
use super::{grounding, logprobs, signature};
use crate::dialect::chat::{Finish, Malformed, Piece};
use crate::dialect::provider_error::ProviderError;
use crate::dialect::sse::events::Events;
use crate::dialect::usage::Usage;

/// The most text kept to tell where sources belong to. Answers are far shorter; what comes later has no annotations.
const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;

/// Reads a stream piece by piece, cut anywhere.
#[derive(Debug, Default)]
pub struct StreamReader {
    events: Events,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    /// The response's id, for calls that have none.
    id: String,
    choices: Vec<Candidating>,
    /// The prompt was blocked: there is no answer to wait for.
    blocked: bool,
    failed: bool,
    usage: Option<Usage>,
}

/// A candidate so far.
#[derive(Debug)]
struct Candidating {
    index: u32,
    /// What was said, for the places of its sources.
    text: String,
    calls: u32,
    finished: bool,
}

impl StreamReader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and hands out the pieces that they complete.
    ///
    /// # Errors
    /// Where an event is not what it should be, or is too long.
    pub fn feed(&mut self, input: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let Self { events, state } = self;
        events.feed(input, &mut |event| state.apply(event.data, each))
    }

    /// Ends the stream: an event without its blank line counts too, and it is complete if every candidate finished.
    ///
    /// # Errors
    /// Where the last event is not what it should be.
    pub fn finish(&mut self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let Self { events, state } = self;
        events.finish(&mut |event| state.apply(event.data, each))?;
        if let Some(usage) = state.usage.take() {
            each(Piece::Usage(usage));
        }
        if state.complete() {
            each(Piece::Done);
        }
        Ok(())
    }
}

impl State {
    fn complete(&self) -> bool {
        let finished = self.choices.iter().all(|choice| choice.finished);
        !self.failed && finished && (self.blocked || !self.choices.is_empty())
    }

    fn apply(&mut self, data: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        if data.trim_ascii().is_empty() {
            return Ok(());
        }
        let response: Response<'_> = serde_json::from_slice(data)
            .map_err(|_| Malformed("An event of the stream is not a GenerateContentResponse."))?;
        if response.error.is_some() {
            self.failed = true;
            each(Piece::Error(read_error(500, data)));
            return Ok(());
        }
        if !self.started {
            self.started = true;
            self.id = response.response_id.clone().into_owned();
            each(Piece::Start { id: response.response_id, model: response.model_version });
        }
        self.usage = response.usage_metadata.map(UsageMetadata::usage).or(self.usage);
        let block_reason = response.prompt_feedback.and_then(|feedback| feedback.block_reason);
        if let Some(reason) = block_reason.filter(|_| response.candidates.is_empty() && !self.blocked) {
            self.blocked = true;
            each(Piece::Refusal { choice: 0, text: blocked(&reason.0).into() });
            each(Piece::Finish { choice: 0, reason: Finish::ContentFilter });
        }
        for candidate in response.candidates {
            self.candidate(candidate, each);
        }
        Ok(())
    }

    fn candidate(&mut self, candidate: Candidate<'_>, each: &mut dyn FnMut(Piece<'_>)) {
        let choice = candidate.index;
        if !self.choices.iter().any(|known| known.index == choice) {
            self.choices.push(Candidating { index: choice, text: String::new(), calls: 0, finished: false });
        }
        let Some(state) = self.choices.iter_mut().find(|known| known.index == choice) else { return };
        for part in candidate.content.parts {
            let signature = part.thought_signature.map(|signature| signature.0);
            if let Some(call) = part.function_call {
                let index = state.calls;
                state.calls += 1;
                let call = read_call(call, signature.as_deref(), &self.id, choice, index);
                each(Piece::Call { choice, index, id: call.id, name: call.name });
                each(Piece::Arguments { choice, index, json: call.arguments });
                continue;
            }
            match part.text {
                Some(text) if part.thought => each(Piece::Reasoning { choice, text: text.0 }),
                Some(text) if !text.0.is_empty() => {
                    state.keep(&text.0);
                    each(Piece::Text { choice, text: text.0 });
                }
                _ => {}
            }
            if let Some(signature) = signature {
                each(Piece::Signature { choice, signature: signature::mark(&signature) });
            }
            if let Some(blob) = part.inline_data {
                let text = show(&blob);
                state.keep(&text);
                each(Piece::Text { choice, text: text.into() });
            }
        }
        if let Some(json) = candidate.logprobs_result.and_then(|result| logprobs::openai(&result)) {
            each(Piece::Logprobs { choice, json: json.into() });
        }
        let grounding = candidate.grounding_metadata;
        if let Some(json) = grounding.and_then(|metadata| grounding::annotations(&metadata, &state.text, &[]))
        {
            each(Piece::Annotations { choice, json: json.into() });
        }
        let Some(reason) = candidate.finish_reason.filter(|_| !state.finished) else { return };
        match End::of(&reason.0).finish(!state.text.is_empty(), state.calls > 0) {
            Ok(reason) => {
                state.finished = true;
                each(Piece::Finish { choice, reason });
            }
            Err(_) => {
                self.failed = true;
                each(Piece::Error(failed(&reason.0)));
            }
        }
    }
}

impl Candidating {
    fn keep(&mut self, text: &str) {
        if self.text.len() + text.len() <= MAX_TEXT_BYTES {
            self.text.push_str(text);
        }
    }
}

fn failed(reason: &str) -> ProviderError {
    ProviderError {
        status: 502,
        kind: "server_error",
        code: None,
        param: None,
        message: format!("{FAILED} ({reason})"),
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
