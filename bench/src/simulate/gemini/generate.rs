//! `models/{model}:generateContent` and `:countTokens` (https://ai.google.dev/api/generate-content), the whole answer.

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};

use super::{
    ApiError,
    request::{self, Generate},
    stream::Stream,
};
use crate::simulate::{
    exchange::Call,
    faults::Fault,
    gate, json,
    plan::{self, Ask, Choice, Finish, THOUGHT, ToolCall},
    reply::{Body, Reply},
    text,
};

/// What is put into the signature of every thought: base64 of nothing in particular.
const SIGNATURE: &str = "CiQBVKhc7nzhhbFkZoZKbQvWjKbRcLhKT2c9fXd1ZzS5bWFkZQ==";

/// An answer to be generated, whole or in pieces.
pub(super) struct Response {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) choices: Vec<Choice>,
    /// Whether the thoughts are shown.
    pub(super) thoughts: bool,
    pub(super) prompt_tokens: usize,
    pub(super) thought_tokens: usize,
    /// Those of the candidates, without thoughts.
    pub(super) tokens: usize,
}

pub(super) fn answer(call: &Call<'_>, model: &str, stream: bool, wait: Duration) -> Result<Reply, ApiError> {
    call.named(model, stream);
    let fault = super::fault_or_error(call, model)?;
    let asked = request::read(call.body)?;
    let response = plan(call, &asked, model, fault == Some(Fault::Echo));
    let (prompt, completion) = (response.prompt_tokens, response.tokens + response.thought_tokens);
    super::spend(call, model, prompt + completion)?;
    let body = if stream {
        let (tokens, pace) = (gate::chunk_tokens(call), gate::pace(call));
        Body::Events(Box::new(Stream::new(response, super::is_sse(call), fault, tokens, pace)))
    } else {
        let mut body = Buf::with_capacity(LARGE_BYTES);
        response.write(body.vec_mut());
        Body::Json(body)
    };
    Ok(Reply {
        prompt_tokens: prompt as u64,
        completion_tokens: completion as u64,
        body,
        ..super::whole(Buf::with_capacity(LARGE_BYTES), wait, fault)
    })
}

/// `models/{model}:countTokens` (https://ai.google.dev/api/tokens).
pub(super) fn count(call: &Call<'_>, model: &str, wait: Duration) -> Result<Reply, ApiError> {
    call.named(model, false);
    let fault = super::fault_or_error(call, model)?;
    let tokens = request::counted(call.body)?;
    super::spend(call, model, 0)?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    let text = format!(
        "{{\"totalTokens\":{tokens},\"promptTokensDetails\":[{{\"modality\":\"TEXT\",\"tokenCount\":{tokens}}}]}}"
    );
    body.put(text.as_bytes());
    Ok(super::whole(body, wait, fault))
}

fn plan(call: &Call<'_>, asked: &Generate, model: &str, echo: bool) -> Response {
    let rng = &call.shard.rng;
    let thought_tokens = if asked.thinking { text::count(THOUGHT) } else { 0 };
    // Thoughts count against the most tokens.
    let max_tokens = asked.max_tokens.map(|max| max.saturating_sub(thought_tokens));
    let ask = Ask { n: asked.candidates, max_tokens, seed: asked.seed, rare: Some(&asked.rare) };
    let choices = plan::choices(ask, gate::length(call), echo, rng);
    let mut id = Vec::with_capacity(24);
    rng.alphanumeric(&mut id, 23);
    Response {
        id: String::from_utf8_lossy(&id).into_owned(),
        model: model.to_owned(),
        tokens: choices.iter().map(|choice| choice.tokens).sum(),
        choices,
        thoughts: asked.thoughts,
        prompt_tokens: asked.prompt_tokens,
        thought_tokens,
    }
}

/// The reason as Google calls it; calls are no reason of their own.
pub(super) fn finish(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Sequence(_) | Finish::Calls => "STOP",
        Finish::Length => "MAX_TOKENS",
    }
}

impl Response {
    /// Appends what follows the candidates, once there are so many tokens of theirs and of thoughts.
    pub(super) fn close(&self, out: &mut Vec<u8>, tokens: usize, thoughts: usize) {
        out.extend_from_slice(b"],\"usageMetadata\":{\"promptTokenCount\":");
        json::number(out, self.prompt_tokens);
        if tokens > 0 {
            out.extend_from_slice(b",\"candidatesTokenCount\":");
            json::number(out, tokens);
        }
        out.extend_from_slice(b",\"totalTokenCount\":");
        json::number(out, self.prompt_tokens + tokens + thoughts);
        out.extend_from_slice(b",\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":");
        json::number(out, self.prompt_tokens);
        out.extend_from_slice(b"}]");
        if thoughts > 0 {
            out.extend_from_slice(b",\"thoughtsTokenCount\":");
            json::number(out, thoughts);
        }
        out.extend_from_slice(b"},\"modelVersion\":");
        json::string(out, &self.model);
        out.extend_from_slice(b",\"responseId\":");
        json::string(out, &self.id);
        out.push(b'}');
    }

    /// Appends a call as a part.
    pub(super) fn call(&self, out: &mut Vec<u8>, call: &ToolCall) {
        out.extend_from_slice(b"{\"functionCall\":{\"name\":");
        json::string(out, &call.name);
        out.extend_from_slice(b",\"args\":");
        out.extend_from_slice(call.arguments.as_bytes());
        out.extend_from_slice(b",\"id\":");
        json::string(out, &call.id);
        out.push(b'}');
        if self.thought_tokens > 0 {
            out.extend_from_slice(b",\"thoughtSignature\":");
            json::string(out, SIGNATURE);
        }
        out.push(b'}');
    }

    /// Appends the whole answer.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"candidates\":[");
        for (index, choice) in self.choices.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"content\":{\"parts\":[");
            let thoughts = self.thoughts && index == 0;
            if thoughts {
                part(out, THOUGHT, true);
            }
            if choice.calls.is_empty() {
                if thoughts {
                    out.push(b',');
                }
                part(out, &choice.content, false);
            }
            for (at, call) in choice.calls.iter().enumerate() {
                if at > 0 || thoughts {
                    out.push(b',');
                }
                self.call(out, call);
            }
            out.extend_from_slice(b"],\"role\":\"model\"},\"finishReason\":");
            json::string(out, finish(&choice.finish));
            out.extend_from_slice(b",\"index\":");
            json::number(out, index);
            out.push(b'}');
        }
        self.close(out, self.tokens, self.thought_tokens);
    }
}

/// Appends a part of text.
pub(super) fn part(out: &mut Vec<u8>, text: &str, thought: bool) {
    out.extend_from_slice(b"{\"text\":");
    json::string(out, text);
    if thought {
        out.extend_from_slice(b",\"thought\":true");
    }
    out.push(b'}');
}
