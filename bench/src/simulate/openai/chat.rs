//! `POST /v1/chat/completions` (https://platform.openai.com/docs/api-reference/chat/object), the whole answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coo_shards::buf::{Buf, LARGE_BYTES};
use http::StatusCode;

use super::{
    ApiError, headers,
    request::{self, Chat},
    stream::Chunks,
};
use crate::simulate::{
    exchange::Call,
    faults::Fault,
    gate, json,
    plan::{self, Ask, Choice, Finish},
    reply::{Body, Reply},
    text,
};

/// The suffix of dated snapshots.
const DATED: &str = "-2024-08-06";

/// What every chunk and the whole answer say of themselves.
pub(super) struct Identity {
    /// The part behind `chatcmpl-`.
    pub(super) id: [u8; 29],
    pub(super) created: u64,
}

impl Identity {
    /// Appends the fields up to the choices: `{"id":…,"object":…,"created":…,"model":…`.
    pub(super) fn open(&self, out: &mut Vec<u8>, object: &[u8], model: &str, dated: bool) {
        out.extend_from_slice(b"{\"id\":\"chatcmpl-");
        out.extend_from_slice(&self.id);
        out.extend_from_slice(b"\",\"object\":\"");
        out.extend_from_slice(object);
        out.extend_from_slice(b"\",\"created\":");
        json::number(out, self.created);
        out.extend_from_slice(b",\"model\":\"");
        json::escaped(out, model);
        if dated {
            out.extend_from_slice(DATED.as_bytes());
        }
        out.push(b'"');
    }
}

pub(super) fn answer(call: &Call<'_>, wait: Duration) -> Result<Reply, ApiError> {
    let mut chat = request::read(call.body)?;
    call.named(&chat.model, chat.stream);
    let fault = super::fault_or_error(call, &chat.model)?;
    let echo = fault == Some(Fault::Echo);
    if echo && chat.rare.is_none() {
        chat = request::parsed(call.body)?;
    }
    let settings = &call.live.settings;
    let Chat { n, max_tokens, seed, .. } = chat;
    let ask = Ask { n, max_tokens, seed, rare: chat.rare.as_deref() };
    let choices = plan::choices(ask, gate::length(call), echo, &call.shard.rng);
    let completion_tokens: usize = choices.iter().map(|choice| choice.tokens).sum();
    let left = super::spend(call, &chat.model, chat.prompt_tokens + completion_tokens)?;

    let mut id = Vec::with_capacity(29);
    call.shard.rng.alphanumeric(&mut id, 29);
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let identity = Identity { id: id.try_into().unwrap_or([b'0'; 29]), created };
    let mut head = Buf::with_capacity(LARGE_BYTES);
    headers::write(head.vec_mut(), &call.shard.rng, wait, left.as_ref());
    let (prompt, completion) = (chat.prompt_tokens as u64, completion_tokens as u64);
    let body = if chat.stream {
        Body::Events(Box::new(Chunks::new(
            &chat,
            choices,
            &identity,
            settings.dated_models,
            fault,
            gate::chunk_tokens(call),
            gate::pace(call),
        )))
    } else {
        let mut body = Buf::with_capacity(LARGE_BYTES);
        whole(body.vec_mut(), &chat, &choices, &identity, settings.dated_models);
        Body::Json(body)
    };
    Ok(Reply {
        status: StatusCode::OK,
        headers: head,
        body,
        wait,
        fault,
        prompt_tokens: prompt,
        completion_tokens: completion,
    })
}

/// The reason as OpenAI calls it.
pub(super) fn finish(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Sequence(_) => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
    }
}

/// Appends a whole answer.
fn whole(out: &mut Vec<u8>, chat: &Chat<'_>, choices: &[Choice], identity: &Identity, dated: bool) {
    identity.open(out, b"chat.completion", &chat.model, dated);
    out.extend_from_slice(b",\"choices\":[");
    let logprobs = chat.rare.as_ref().and_then(|rare| rare.logprobs);
    for (index, choice) in choices.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",{\"index\":" } else { b"{\"index\":" });
        json::number(out, index);
        out.extend_from_slice(b",\"message\":{\"role\":\"assistant\",\"content\":");
        if choice.calls.is_empty() {
            json::string(out, &choice.content);
        } else {
            out.extend_from_slice(b"null,\"tool_calls\":[");
            for (at, call) in choice.calls.iter().enumerate() {
                out.extend_from_slice(if at > 0 { b",{\"id\":\"call_" } else { b"{\"id\":\"call_" });
                out.extend_from_slice(call.id.as_bytes());
                out.extend_from_slice(b"\",\"type\":\"function\",\"function\":{\"name\":");
                json::string(out, &call.name);
                out.extend_from_slice(b",\"arguments\":");
                json::string(out, &call.arguments);
                out.extend_from_slice(b"}}");
            }
            out.push(b']');
        }
        out.extend_from_slice(b",\"refusal\":null,\"annotations\":[]},\"logprobs\":");
        match logprobs {
            Some(top) if choice.calls.is_empty() => log_probabilities(out, &choice.content, top),
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"finish_reason\":\"");
        out.extend_from_slice(finish(&choice.finish).as_bytes());
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b"],\"usage\":");
    let completion = choices.iter().map(|choice| choice.tokens).sum();
    usage(out, chat.prompt_tokens, completion);
    out.extend_from_slice(b",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_51e1070cf2\"}");
}

/// Appends a usage object.
pub(super) fn usage(out: &mut Vec<u8>, prompt: usize, completion: usize) {
    out.extend_from_slice(b"{\"prompt_tokens\":");
    json::number(out, prompt);
    out.extend_from_slice(b",\"completion_tokens\":");
    json::number(out, completion);
    out.extend_from_slice(b",\"total_tokens\":");
    json::number(out, prompt + completion);
    out.extend_from_slice(
        b",\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\
          \"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,\
          \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
    );
}

/// Appends a logprobs object for the tokens of `content`, with `top` alternatives each.
pub(super) fn log_probabilities(out: &mut Vec<u8>, content: &str, top: usize) {
    out.extend_from_slice(b"{\"content\":[");
    let mut at = 0;
    while at < content.len() {
        let end = text::token_end(content, at);
        let token = content.get(at..end).unwrap_or_default();
        out.extend_from_slice(if at > 0 { b",{" } else { b"{" });
        probability(out, token, -0.125);
        out.extend_from_slice(b",\"top_logprobs\":[");
        for rank in 0..top {
            out.extend_from_slice(if rank > 0 { b",{" } else { b"{" });
            let other = format!(" alternative{rank}");
            probability(out, if rank == 0 { token } else { &other }, -0.125 - 2.0 * rank as f64);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        at = end;
    }
    out.extend_from_slice(b"],\"refusal\":null}");
}

fn probability(out: &mut Vec<u8>, token: &str, log: f64) {
    out.extend_from_slice(b"\"token\":");
    json::string(out, token);
    out.extend_from_slice(format!(",\"logprob\":{log:?},\"bytes\":{:?}", token.as_bytes()).as_bytes());
}
