//! `POST /v1/messages` (https://docs.anthropic.com/en/api/messages), the whole answer.

use std::time::Duration;

use coo_shards::buf::{Buf, LARGE_BYTES};
use http::StatusCode;

use super::{
    ApiError, headers,
    request::{self, Chat, Thinking},
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

/// The suffix of dated snapshots.
const DATED: &str = "-20251101";

/// A message to be answered, whole or in events.
pub(super) struct Message {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) blocks: Vec<Block>,
    pub(super) finish: Finish,
    pub(super) prompt_tokens: usize,
    pub(super) thinking_tokens: usize,
    /// Those of the thoughts too.
    pub(super) tokens: usize,
}

/// A block of its content.
pub(super) enum Block {
    /// Text and signature.
    Thinking(&'static str, String),
    Text(std::borrow::Cow<'static, str>),
    ToolUse(ToolCall),
}

pub(super) fn answer(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let chat = request::read(call.body)?;
    call.named(&chat.model, chat.stream);
    let fault = super::fault_or_error(call, &chat.model)?;
    let message = plan(call, &chat, fault == Some(Fault::Echo));
    let (prompt, completion) = (message.prompt_tokens, message.tokens);
    let left = super::spend(call, &chat.model, prompt + completion)?;
    let mut head = Buf::with_capacity(LARGE_BYTES);
    headers::write(head.vec_mut(), &headers::request_id(&call.shard.rng), left.as_ref());
    let body = if chat.stream {
        Body::Events(Box::new(Stream::new(message, fault, gate::chunk_tokens(call), gate::pace(call))))
    } else {
        let mut body = Buf::with_capacity(LARGE_BYTES);
        message.write(body.vec_mut());
        Body::Json(body)
    };
    Ok(Reply {
        status: StatusCode::OK,
        headers: head,
        body,
        wait,
        fault,
        prompt_tokens: prompt as u64,
        completion_tokens: completion as u64,
    })
}

fn plan(call: &Call<'_>, chat: &Chat, echo: bool) -> Message {
    let rng = &call.shard.rng;
    let thinking_tokens = if chat.thinking == Thinking::Off { 0 } else { text::count(THOUGHT) };
    let max_tokens = Some(chat.max_tokens.saturating_sub(thinking_tokens));
    let ask = Ask { n: 1, max_tokens, seed: None, rare: Some(&chat.rare) };
    let mut blocks = Vec::new();
    if chat.thinking != Thinking::Off {
        let shown = if chat.thinking == Thinking::Shown { THOUGHT } else { "" };
        blocks.push(Block::Thinking(shown, headers::identifier("EqQBCgIYAhIk", rng) + "=="));
    }
    let choice = plan::choices(ask, gate::length(call), echo, rng).into_iter().next();
    let (mut finish, mut tokens) = (Finish::Stop, thinking_tokens);
    if let Some(Choice { content, calls, finish: why, tokens: n }) = choice {
        if !content.is_empty() {
            blocks.push(Block::Text(content));
        }
        blocks.extend(calls.into_iter().map(Block::ToolUse));
        (finish, tokens) = (why, tokens + n);
    }
    let dated = if call.live.settings.dated_models { DATED } else { "" };
    Message {
        id: headers::identifier("msg_01", rng),
        model: format!("{}{dated}", chat.model),
        blocks,
        finish,
        prompt_tokens: chat.prompt_tokens,
        thinking_tokens,
        tokens,
    }
}

impl Message {
    /// Appends the fields up to the content.
    pub(super) fn open(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        json::string(out, &self.id);
        out.extend_from_slice(b",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
        json::string(out, &self.model);
        out.extend_from_slice(b",\"content\":[");
    }

    /// Appends why it ended: `"stop_reason":…,"stop_sequence":…`.
    pub(super) fn stop(&self, out: &mut Vec<u8>) {
        let reason = match &self.finish {
            Finish::Stop => "end_turn",
            Finish::Sequence(_) => "stop_sequence",
            Finish::Length => "max_tokens",
            Finish::Calls => "tool_use",
        };
        out.extend_from_slice(b"\"stop_reason\":");
        json::string(out, reason);
        out.extend_from_slice(b",\"stop_sequence\":");
        match &self.finish {
            Finish::Sequence(stop) => json::string(out, stop),
            _ => out.extend_from_slice(b"null"),
        }
    }

    /// Appends the usage of an answer that has so many tokens by now.
    pub(super) fn usage(&self, out: &mut Vec<u8>, tokens: usize) {
        out.extend_from_slice(b"{\"input_tokens\":");
        json::number(out, self.prompt_tokens);
        out.extend_from_slice(
            b",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"cache_creation\":\
            {\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},\"output_tokens\":",
        );
        json::number(out, tokens);
        self.details(out);
        out.extend_from_slice(b",\"service_tier\":\"standard\"}");
    }

    /// Appends how much of the output was thinking, where there was any.
    pub(super) fn details(&self, out: &mut Vec<u8>) {
        if self.thinking_tokens > 0 {
            out.extend_from_slice(b",\"output_tokens_details\":{\"thinking_tokens\":");
            json::number(out, self.thinking_tokens);
            out.push(b'}');
        }
    }

    /// Appends the whole answer.
    fn write(&self, out: &mut Vec<u8>) {
        self.open(out);
        for (at, block) in self.blocks.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            block.write(out);
        }
        out.extend_from_slice(b"],");
        self.stop(out);
        out.extend_from_slice(b",\"usage\":");
        self.usage(out, self.tokens);
        out.push(b'}');
    }
}

impl Block {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Block::Thinking(text, signature) => {
                out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":");
                json::string(out, text);
                out.extend_from_slice(b",\"signature\":");
                json::string(out, signature);
            }
            Block::Text(text) => {
                out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
                json::string(out, text);
            }
            Block::ToolUse(call) => {
                tool_use(out, call);
                out.extend_from_slice(call.arguments.as_bytes());
            }
        }
        out.push(b'}');
    }
}

/// Appends the start of a call, up to its input.
pub(super) fn tool_use(out: &mut Vec<u8>, call: &ToolCall) {
    out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":\"toolu_");
    out.extend_from_slice(call.id.as_bytes());
    out.extend_from_slice(b"\",\"name\":");
    json::string(out, &call.name);
    out.extend_from_slice(b",\"input\":");
}
