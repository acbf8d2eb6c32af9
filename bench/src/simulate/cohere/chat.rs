//! `POST /v2/chat` (https://docs.cohere.com/reference/chat), the whole answer.

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};

use super::{
    ApiError,
    request::{self, Chat},
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

/// What the model says ahead of its calls.
pub(super) const TOOL_PLAN: &str = "I will call what was offered.";

/// An answer, whole or in events.
pub(super) struct Message {
    pub(super) id: String,
    pub(super) choice: Choice,
    pub(super) thinking: bool,
    pub(super) prompt_tokens: usize,
    /// Those of the thoughts too.
    pub(super) tokens: usize,
}

pub(super) fn answer(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let chat = request::read(call.body)?;
    call.named(&chat.model, chat.stream);
    let fault = super::fault_or_error(call, &chat.model)?;
    let message = plan(call, &chat, fault == Some(Fault::Echo))?;
    let (prompt, completion) = (message.prompt_tokens, message.tokens);
    super::spend(call, &chat.model, prompt + completion)?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    let body = if chat.stream {
        Body::Events(Box::new(Stream::new(message, fault, gate::chunk_tokens(call), gate::pace(call))))
    } else {
        message.write(body.vec_mut());
        Body::Json(body)
    };
    Ok(Reply {
        prompt_tokens: prompt as u64,
        completion_tokens: completion as u64,
        body,
        ..super::whole(Buf::with_capacity(LARGE_BYTES), wait, fault)
    })
}

fn plan(call: &Call<'_>, chat: &Chat, echo: bool) -> Result<Message, ApiError> {
    let rng = &call.shard.rng;
    let thoughts = if chat.thinking { text::count(THOUGHT) } else { 0 };
    let max_tokens = chat.max_tokens.map(|max| max.saturating_sub(thoughts));
    let ask = Ask { n: 1, max_tokens, seed: chat.seed, rare: Some(&chat.rare) };
    let Some(choice) = plan::choices(ask, gate::length(call), echo, rng).into_iter().next() else {
        return Err(ApiError::new(500, "internal server error"));
    };
    let plan = if choice.calls.is_empty() { 0 } else { text::count(TOOL_PLAN) };
    Ok(Message {
        id: super::uuid(rng),
        thinking: chat.thinking,
        prompt_tokens: chat.prompt_tokens,
        tokens: thoughts + plan + choice.tokens,
        choice,
    })
}

impl Message {
    /// The reason as Cohere calls it.
    pub(super) fn finish(&self) -> &'static str {
        match self.choice.finish {
            Finish::Stop => "COMPLETE",
            Finish::Sequence(_) => "STOP_SEQUENCE",
            Finish::Length => "MAX_TOKENS",
            Finish::Calls => "TOOL_CALL",
        }
    }

    /// Appends the usage. Cohere bills less than it counts: its own part of the prompt is free.
    pub(super) fn usage(&self, out: &mut Vec<u8>) {
        let (prompt, tokens) = (self.prompt_tokens, self.tokens);
        let text = format!(
            "{{\"billed_units\":{{\"input_tokens\":{},\"output_tokens\":{tokens}}},\"tokens\":{{\"input_tokens\":\
             {prompt},\"output_tokens\":{tokens}}},\"cached_tokens\":0}}",
            prompt.saturating_sub(3)
        );
        out.extend_from_slice(text.as_bytes());
    }

    /// Appends the whole answer.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        json::string(out, &self.id);
        out.extend_from_slice(b",\"finish_reason\":");
        json::string(out, self.finish());
        out.extend_from_slice(b",\"message\":{\"role\":\"assistant\"");
        let Choice { content, calls, .. } = &self.choice;
        if !calls.is_empty() {
            out.extend_from_slice(b",\"tool_plan\":");
            json::string(out, TOOL_PLAN);
            out.extend_from_slice(b",\"tool_calls\":[");
            for (at, call) in calls.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                tool_call(out, call, &call.arguments);
            }
            out.push(b']');
        }
        if self.thinking || calls.is_empty() {
            out.extend_from_slice(b",\"content\":[");
            if self.thinking {
                out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":");
                json::string(out, THOUGHT);
                out.extend_from_slice(if calls.is_empty() { b"}," } else { b"}" });
            }
            if calls.is_empty() {
                out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
                json::string(out, content);
                out.push(b'}');
            }
            out.push(b']');
        }
        out.extend_from_slice(b"},\"usage\":");
        self.usage(out);
        out.push(b'}');
    }
}

/// Appends a call with these arguments, which may come later.
pub(super) fn tool_call(out: &mut Vec<u8>, call: &ToolCall, arguments: &str) {
    out.extend_from_slice(b"{\"id\":");
    let tail = call.id.get(..12).unwrap_or_default().to_ascii_lowercase();
    json::string(out, &format!("{}_{tail}", call.name));
    out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
    json::string(out, &call.name);
    out.extend_from_slice(b",\"arguments\":");
    json::string(out, arguments);
    out.extend_from_slice(b"}}");
}
