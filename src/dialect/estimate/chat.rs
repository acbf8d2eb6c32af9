//! The same of a request that was read into the form in the middle: for dialects whose bodies [`prompt_tokens`]
//! cannot tell text from images in, as Anthropic's and the Responses API's.
//!
//! [`prompt_tokens`]: super::prompt_tokens

use serde_json::value::RawValue;

use super::text::{TOKEN, Text};
use super::{
    Estimate, IMAGE_EXPECTED, IMAGE_UPPER, OPAQUE_BYTES, PER_ANSWER, PER_FUNCTION, PER_MESSAGE, Section, Walk,
};
use crate::dialect::chat::{Message, Part, Request, ResponseFormat, Source};

/// At most so many tokens are around a message, a function or a call: the bytes of `{"role":"","content":""}`, by the
/// reasoning at the head of [`super`].
const AROUND_UPPER: u64 = 24;
/// A role, as all providers have them.
const ROLE: u64 = 1;

/// Estimates the prompt of a request. What `upper` bounds and what not is what [`super`] says.
pub fn chat_tokens(request: &Request<'_>) -> Estimate {
    let mut sum = Sum::default();
    sum.around(PER_ANSWER);
    for message in &request.messages {
        sum.around(PER_MESSAGE + ROLE);
        match message {
            Message::System(parts) | Message::User(parts) => sum.parts(parts),
            Message::Tool { parts, call_id, .. } => {
                sum.upper(call_id.len());
                sum.parts(parts);
            }
            Message::Assistant(message) => {
                sum.parts(&message.parts);
                for (thought, signature) in &message.reasoning {
                    sum.text(thought);
                    sum.upper(signature.as_ref().map_or(0, |signature| signature.len()));
                }
                for call in &message.calls {
                    sum.around(PER_FUNCTION);
                    sum.upper(call.id.len());
                    sum.text(&call.name);
                    sum.text(&call.arguments);
                }
                sum.text(message.refusal.as_deref().unwrap_or_default());
            }
        }
    }
    for tool in &request.tools {
        sum.around(PER_FUNCTION);
        sum.text(&tool.name);
        sum.text(tool.description.as_deref().unwrap_or_default());
        sum.schema(tool.parameters.as_deref());
    }
    if let Some(ResponseFormat::JsonSchema { name, description, schema, .. }) = &request.response_format {
        sum.around(PER_FUNCTION);
        sum.text(name);
        sum.text(description.as_deref().unwrap_or_default());
        sum.schema(schema.as_deref());
    }
    let expected = sum.cost.saturating_add(TOKEN / 2) / TOKEN;
    Estimate { expected: expected.min(sum.upper), upper: sum.upper }
}

#[derive(Default)]
struct Sum {
    /// Expected, in parts of a token.
    cost: u64,
    /// At most, in tokens.
    upper: u64,
}

impl Sum {
    fn expected(&mut self, tokens: u64) {
        self.cost = self.cost.saturating_add(tokens.saturating_mul(TOKEN));
    }

    fn upper(&mut self, bytes: usize) {
        self.upper = self.upper.saturating_add(bytes as u64);
    }

    fn around(&mut self, tokens: u64) {
        self.expected(tokens);
        self.upper = self.upper.saturating_add(AROUND_UPPER);
    }

    fn text(&mut self, text: &str) {
        let mut read = Text::new();
        let mut rest = text.as_bytes();
        // A run ends at quotes and backslashes, which would be escaped in JSON.
        while let Some(after) = rest.get(read.run(rest)..) {
            let Some((byte, after)) = after.split_first() else { break };
            read.byte(*byte);
            rest = after;
        }
        self.cost = self.cost.saturating_add(read.cost);
        self.upper(text.len());
    }

    fn schema(&mut self, schema: Option<&RawValue>) {
        let Some(schema) = schema else { return };
        // One deep, as it would be in a body.
        let mut walk = Walk { depth: 1, ..Walk::new(schema.get().as_bytes(), Section::Other) };
        walk.run();
        self.cost = self.cost.saturating_add(walk.cost);
        self.upper = self.upper.saturating_add((schema.get().len() as u64).saturating_sub(walk.saved));
    }

    fn parts(&mut self, parts: &[Part<'_>]) {
        for part in parts {
            match part {
                Part::Text(text) => self.text(text),
                Part::Image(_) => {
                    self.expected(IMAGE_EXPECTED);
                    self.upper = self.upper.saturating_add(IMAGE_UPPER);
                }
                Part::Audio(audio) => self.opaque(&audio.data),
                Part::File(file) => {
                    self.text(file.name.as_deref().unwrap_or_default());
                    if let Source::Data { data, .. } = &file.source {
                        self.opaque(data);
                    }
                }
            }
        }
    }

    fn opaque(&mut self, data: &str) {
        self.expected(data.len() as u64 / OPAQUE_BYTES);
        self.upper(data.len());
    }
}
