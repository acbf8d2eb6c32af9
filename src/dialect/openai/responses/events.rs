//! An answer that streams, in the events of the Responses API.
//!
//! Source: OpenAI API reference, "Streaming events": `response.created`, then items one after the other, each added,
//! filled and done, and `response.completed` (or `.incomplete`, `.failed`) with all of them. Each event has its number.

use serde_json::value::RawValue;

use super::object::{self, Annotation, Failure, Item, Part, Response, annotations, kept, logprobs};
use super::wire::{
    AnnotationAdded, ArgumentsDelta, ArgumentsDone, ItemEvent, Lifecycle, PartEvent, Place, RefusalDelta,
    RefusalDone, SummaryDelta, SummaryDone, SummaryPart, SummaryPlace, TextDelta, TextDone, event,
};
use crate::dialect::chat::{Face, Finish, Piece};
use crate::dialect::usage::Usage;

/// Turns pieces into events.
///
/// The last event repeats the whole answer, so all of it is held until then. Only the first answer is shown.
/// Probabilities come with the end of their text. An error ends the stream; what comes after an end is passed over.
#[derive(Debug)]
pub struct EventWriter {
    /// The id of the answer where the provider has none, and then the one shown.
    id: String,
    /// What the items' ids have in common.
    name: String,
    model: String,
    created: u64,
    stage: Stage,
    /// Events so far.
    number: u64,
    /// Items that are done.
    items: Vec<Box<RawValue>>,
    open: Option<Open>,
    /// Of the text that is open, or comes.
    logprobs: Vec<Box<RawValue>>,
    refused: bool,
    finish: Finish,
    usage: Option<Usage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    Within,
    After,
}

/// The item that was added and is not done.
#[derive(Debug)]
struct Open {
    id: String,
    filled: Filled,
}

#[derive(Debug)]
enum Filled {
    Reasoning { text: String, signature: Option<String> },
    Message { parts: Vec<Box<RawValue>>, part: Option<OpenPart> },
    Call { index: u32, call_id: String, name: String, arguments: String },
}

#[derive(Debug, Default)]
struct OpenPart {
    refusal: bool,
    text: String,
    annotations: Vec<Annotation>,
}

impl EventWriter {
    /// A writer at the start of a stream.
    #[must_use]
    pub fn new(face: &Face<'_>) -> Self {
        Self {
            id: face.id.to_owned(),
            name: String::new(),
            model: face.model.to_owned(),
            created: face.created,
            stage: Stage::Before,
            number: 0,
            items: Vec::new(),
            open: None,
            logprobs: Vec::new(),
            refused: false,
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
            Piece::Text { choice: 0, text } if !text.is_empty() => self.text(false, text, out),
            Piece::Refusal { choice: 0, text } if !text.is_empty() => self.text(true, text, out),
            Piece::Reasoning { choice: 0, text } if !text.is_empty() => self.reasoning(text, out),
            Piece::Signature { choice: 0, signature } => self.signature(signature, out),
            Piece::Call { choice: 0, index, id, name } => self.call(*index, id, name, out),
            Piece::Arguments { choice: 0, index, json } if !json.is_empty() => {
                self.arguments(*index, json, out)
            }
            Piece::Annotations { choice: 0, json } => self.annotations(json, out),
            Piece::Logprobs { choice: 0, json } => self.logprobs.extend(logprobs(json)),
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
        self.name = object::id("", id, &self.id);
        self.id = object::id("resp_", id, &self.id);
        for name in ["response.created", "response.in_progress"] {
            let response = Response::new(&self.id, &self.model, self.created, &[]);
            event(&mut self.number, name, &Lifecycle { response }, out);
        }
    }

    /// More of a message's text or refusal.
    fn text(&mut self, refusal: bool, text: &str, out: &mut Vec<u8>) {
        self.begin("", out);
        if !matches!(self.open, Some(Open { filled: Filled::Message { .. }, .. })) {
            self.add("msg_", Filled::Message { parts: Vec::new(), part: None }, out);
        }
        self.refused |= refusal;
        let output_index = self.items.len();
        let Some(Open { id: item_id, filled: Filled::Message { parts, part } }) = &mut self.open else {
            return;
        };
        if let Some(other) = part.take_if(|part| part.refusal != refusal) {
            let at = Place { item_id, output_index, content_index: parts.len() };
            parts.push(end_part(other, at, &mut self.logprobs, &mut self.number, out));
        }
        let at = Place { item_id, output_index, content_index: parts.len() };
        if part.is_none() {
            let part = empty_part(refusal);
            event(&mut self.number, "response.content_part.added", &PartEvent { at, part }, out);
        }
        part.get_or_insert_with(|| OpenPart { refusal, ..OpenPart::default() }).text.push_str(text);
        if refusal {
            event(&mut self.number, "response.refusal.delta", &RefusalDelta { at, delta: text }, out);
        } else {
            let delta = TextDelta { at, delta: text, logprobs: [] };
            event(&mut self.number, "response.output_text.delta", &delta, out);
        }
    }

    fn reasoning(&mut self, thought: &str, out: &mut Vec<u8>) {
        self.begin("", out);
        if !matches!(self.open, Some(Open { filled: Filled::Reasoning { .. }, .. })) {
            self.add("rs_", Filled::Reasoning { text: String::new(), signature: None }, out);
        }
        let output_index = self.items.len();
        let Some(Open { id: item_id, filled: Filled::Reasoning { text, .. } }) = &mut self.open else {
            return;
        };
        let at = SummaryPlace { item_id, output_index, summary_index: 0 };
        if text.is_empty() {
            let part = Part::SummaryText { text: "" };
            event(&mut self.number, "response.reasoning_summary_part.added", &SummaryPart { at, part }, out);
        }
        text.push_str(thought);
        let delta = SummaryDelta { at, delta: thought };
        event(&mut self.number, "response.reasoning_summary_text.delta", &delta, out);
    }

    /// The signature of the thought before, which is done with it; one without a thought to see is an item too.
    fn signature(&mut self, signed: &str, out: &mut Vec<u8>) {
        self.begin("", out);
        if !matches!(self.open, Some(Open { filled: Filled::Reasoning { .. }, .. })) {
            self.add("rs_", Filled::Reasoning { text: String::new(), signature: None }, out);
        }
        if let Some(Open { filled: Filled::Reasoning { signature, .. }, .. }) = &mut self.open {
            *signature = Some(signed.to_owned());
        }
        self.close(out);
    }

    fn call(&mut self, index: u32, id: &str, name: &str, out: &mut Vec<u8>) {
        self.begin("", out);
        if self.calls(index) {
            return;
        }
        self.close(out);
        let call_id =
            if id.is_empty() { format!("call_{}_{}", self.name, self.items.len()) } else { id.to_owned() };
        let call = Filled::Call { index, call_id, name: name.to_owned(), arguments: String::new() };
        self.add("fc_", call, out);
    }

    fn arguments(&mut self, index: u32, json: &str, out: &mut Vec<u8>) {
        if !self.calls(index) {
            // Items come one after the other, and a call without the rest of its arguments must not be made.
            return self.fail(502, "The provider mixed the arguments of several calls. Try again.", out);
        }
        let output_index = self.items.len();
        let Some(Open { id: item_id, filled: Filled::Call { arguments, .. } }) = &mut self.open else {
            return;
        };
        arguments.push_str(json);
        let delta = ArgumentsDelta { item_id, output_index, delta: json };
        event(&mut self.number, "response.function_call_arguments.delta", &delta, out);
    }

    /// Whether this call is the open item.
    fn calls(&self, wanted: u32) -> bool {
        matches!(self.open, Some(Open { filled: Filled::Call { index, .. }, .. }) if index == wanted)
    }

    /// Sources of the text that is open.
    fn annotations(&mut self, json: &str, out: &mut Vec<u8>) {
        let output_index = self.items.len();
        let Some(Open { id: item_id, filled: Filled::Message { parts, part: Some(part) } }) = &mut self.open
        else {
            return;
        };
        if part.refusal {
            return;
        }
        let at = Place { item_id, output_index, content_index: parts.len() };
        for annotation in annotations(json) {
            let added =
                AnnotationAdded { at, annotation_index: part.annotations.len(), annotation: &annotation };
            event(&mut self.number, "response.output_text.annotation.added", &added, out);
            part.annotations.push(annotation);
        }
    }

    /// Begins an item, after the one that is open.
    fn add(&mut self, prefix: &str, filled: Filled, out: &mut Vec<u8>) {
        self.close(out);
        let output_index = self.items.len();
        let id = format!("{prefix}{}_{output_index}", self.name);
        let item = filled.item(&id, "in_progress", &[]);
        event(&mut self.number, "response.output_item.added", &ItemEvent { output_index, item }, out);
        self.open = Some(Open { id, filled });
    }

    /// Ends the item that is open.
    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(Open { id, mut filled }) = self.open.take() else { return };
        let (output_index, item_id) = (self.items.len(), &*id);
        let mut content = Vec::new();
        match &mut filled {
            Filled::Reasoning { text, .. } if text.is_empty() => {}
            Filled::Reasoning { text, .. } => {
                let at = SummaryPlace { item_id, output_index, summary_index: 0 };
                let done = SummaryDone { at, text };
                event(&mut self.number, "response.reasoning_summary_text.done", &done, out);
                let part = Part::SummaryText { text };
                content.push(kept(&part));
                event(
                    &mut self.number,
                    "response.reasoning_summary_part.done",
                    &SummaryPart { at, part },
                    out,
                );
            }
            Filled::Message { parts, part } => {
                content = std::mem::take(parts);
                if let Some(part) = part.take() {
                    let at = Place { item_id, output_index, content_index: content.len() };
                    content.push(end_part(part, at, &mut self.logprobs, &mut self.number, out));
                }
            }
            Filled::Call { arguments, .. } => {
                if arguments.is_empty() {
                    arguments.push_str("{}");
                }
                let done = ArgumentsDone { item_id, output_index, arguments };
                event(&mut self.number, "response.function_call_arguments.done", &done, out);
            }
        }
        let item = filled.item(&id, "completed", &content);
        let kept = kept(&item);
        event(&mut self.number, "response.output_item.done", &ItemEvent { output_index, item }, out);
        self.items.push(kept);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin("", out);
        self.close(out);
        let response = Response::new(&self.id, &self.model, self.created, &self.items);
        let response = response.ended(self.finish, self.refused, self.usage);
        let name = match response.status {
            "incomplete" => "response.incomplete",
            _ => "response.completed",
        };
        event(&mut self.number, name, &Lifecycle { response }, out);
        self.stage = Stage::After;
    }

    fn fail(&mut self, status: u16, message: &str, out: &mut Vec<u8>) {
        self.begin("", out);
        let code = match status {
            429 => "rate_limit_exceeded",
            400..=499 => "invalid_prompt",
            _ => "server_error",
        };
        let mut response = Response::new(&self.id, &self.model, self.created, &self.items);
        response.status = "failed";
        response.error = Some(Failure { code, message });
        event(&mut self.number, "response.failed", &Lifecycle { response }, out);
        self.stage = Stage::After;
    }
}

impl Filled {
    fn item<'a>(&'a self, id: &'a str, status: &'static str, content: &'a [Box<RawValue>]) -> Item<'a> {
        match self {
            Self::Reasoning { signature, .. } => {
                Item::Reasoning { id, summary: content, encrypted_content: signature.as_deref() }
            }
            Self::Message { .. } => Item::Message { id, status, role: "assistant", content },
            Self::Call { call_id, name, arguments, .. } => {
                Item::FunctionCall { id, status, call_id, name, arguments }
            }
        }
    }
}

fn empty_part(refusal: bool) -> Part<'static> {
    if refusal {
        Part::Refusal { refusal: "" }
    } else {
        Part::OutputText { text: "", annotations: &[], logprobs: &[] }
    }
}

/// Ends a part of a message, and returns it as the item repeats it.
fn end_part(
    part: OpenPart,
    at: Place<'_>,
    logprobs: &mut Vec<Box<RawValue>>,
    number: &mut u64,
    out: &mut Vec<u8>,
) -> Box<RawValue> {
    let text = &*part.text;
    let logprobs = if part.refusal { Vec::new() } else { std::mem::take(logprobs) };
    let part = if part.refusal {
        event(number, "response.refusal.done", &RefusalDone { at, refusal: text }, out);
        Part::Refusal { refusal: text }
    } else {
        event(number, "response.output_text.done", &TextDone { at, text, logprobs: &logprobs }, out);
        Part::OutputText { text, annotations: &part.annotations, logprobs: &logprobs }
    };
    let kept = kept(&part);
    event(number, "response.content_part.done", &PartEvent { at, part }, out);
    kept
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
