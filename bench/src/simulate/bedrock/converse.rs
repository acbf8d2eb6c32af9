//! `Converse`, the whole answer.

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};

use super::{
    errors::ApiError,
    request::{self, Chat},
    stream::Stream,
};
use crate::simulate::{
    exchange::Call,
    faults::Fault,
    gate, json,
    plan::{self, Ask, Choice, Finish, THOUGHT},
    reply::{Body, Reply},
    text,
};

/// The signature over a thought.
pub(super) const SIGNATURE: &str = "EqQBCkgIARABGAIiQMSimulated==";

/// An answer, whole or in events.
pub(super) struct Message {
    pub(super) choice: Choice,
    pub(super) thinking: bool,
    prompt_tokens: usize,
    /// Those of the thoughts too.
    pub(super) tokens: usize,
}

pub(super) fn answer(call: &Call<'_>, model: &str, stream: bool, wait: Duration) -> Result<Reply, ApiError> {
    call.named(model, stream);
    let chat = request::read(call.body)?;
    let fault = super::fault_or_error(call, model)?;
    let message = plan(call, &chat, fault == Some(Fault::Echo))?;
    let (prompt, completion) = (message.prompt_tokens, message.tokens);
    super::spend(call, prompt + completion)?;
    let mut body = Buf::with_capacity(LARGE_BYTES);
    let body = if stream {
        Body::Events(Box::new(Stream::new(message, fault, gate::chunk_tokens(call), gate::pace(call))))
    } else {
        message.write(body.vec_mut());
        Body::Json(body)
    };
    Ok(Reply {
        prompt_tokens: prompt as u64,
        completion_tokens: completion as u64,
        body,
        ..super::whole(Buf::with_capacity(LARGE_BYTES), wait, fault, &call.shard.rng)
    })
}

fn plan(call: &Call<'_>, chat: &Chat, echo: bool) -> Result<Message, ApiError> {
    let thoughts = if chat.thinking { text::count(THOUGHT) } else { 0 };
    let max_tokens = chat.max_tokens.map(|max| max.saturating_sub(thoughts));
    let ask = Ask { n: 1, max_tokens, seed: None, rare: Some(&chat.rare) };
    let choice = plan::choices(ask, gate::length(call), echo, &call.shard.rng).into_iter().next();
    let choice = choice.ok_or_else(|| ApiError::new(500, "InternalServerException", "No answer."))?;
    Ok(Message {
        thinking: chat.thinking,
        prompt_tokens: chat.prompt_tokens,
        tokens: thoughts + choice.tokens,
        choice,
    })
}

impl Message {
    /// The reason as Bedrock calls it.
    pub(super) fn finish(&self) -> &'static str {
        match self.choice.finish {
            Finish::Stop => "end_turn",
            Finish::Sequence(_) => "stop_sequence",
            Finish::Length => "max_tokens",
            Finish::Calls => "tool_use",
        }
    }

    /// Appends usage and metrics.
    pub(super) fn usage(&self, out: &mut Vec<u8>) {
        let (prompt, tokens) = (self.prompt_tokens, self.tokens);
        let text = format!(
            "\"usage\":{{\"inputTokens\":{prompt},\"outputTokens\":{tokens},\"totalTokens\":{},\
             \"cacheReadInputTokens\":0,\"cacheWriteInputTokens\":0}},\"metrics\":{{\"latencyMs\":7}}",
            prompt + tokens
        );
        out.extend_from_slice(text.as_bytes());
    }

    /// Appends the whole answer.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[");
        let Choice { content, calls, .. } = &self.choice;
        if self.thinking {
            out.extend_from_slice(b"{\"reasoningContent\":{\"reasoningText\":{\"text\":");
            json::string(out, THOUGHT);
            out.extend_from_slice(b",\"signature\":");
            json::string(out, SIGNATURE);
            out.extend_from_slice(b"}}},");
        }
        if calls.is_empty() {
            out.extend_from_slice(b"{\"text\":");
            json::string(out, content);
            out.push(b'}');
        }
        for (at, call) in calls.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"toolUse\":{\"toolUseId\":");
            json::string(out, &tool_use_id(&call.id));
            out.extend_from_slice(b",\"name\":");
            json::string(out, &call.name);
            out.extend_from_slice(b",\"input\":");
            out.extend_from_slice(call.arguments.as_bytes());
            out.extend_from_slice(b"}}");
        }
        out.extend_from_slice(b"]}},\"stopReason\":");
        json::string(out, self.finish());
        out.push(b',');
        self.usage(out);
        out.push(b'}');
    }
}

pub(super) fn tool_use_id(id: &str) -> String {
    format!("tooluse_{}", id.get(..22).unwrap_or(id))
}
