//! Those who speak OpenAI's format each in their own way: Mistral, xAI, OpenRouter, Together, Fireworks, Hugging Face's
//! router, and Text Generation Inference.
//!
//! A request is checked for what its provider refuses (`checks`) and answered as OpenAI would; `answers` makes of that
//! answer what the provider would have said, and `errors` of an error. A prompt can ask for what comes seldom:
//! `sim-model-length` of Mistral, that an answer ends where its context does; `sim-failed` of OpenRouter, that a
//! provider fails whose answer has begun.
//!
//! Source: Mistral, "Chat Completion API" and the types of `mistralai`; xAI, "REST API reference" and "Reasoning";
//! OpenRouter, "API overview", "Streaming" and "Errors"; Together, "Create chat completion" and the types of `together`;
//! Fireworks, "Create Chat Completion" and the types of `fireworks-ai`; Hugging Face, "Inference Providers" and the API of Text Generation Inference.

mod answers;
mod checks;
mod errors;

#[cfg(test)]
mod tests;

use std::time::Duration;

use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    http1::encode::field,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    ApiError, chat, embeddings, headers, models,
    validate::{self, Fields},
};
use crate::simulate::{
    exchange::Call,
    gate,
    reply::{Body, Reply},
};
use answers::Manner;
use errors::Refusal;

/// Whose ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Mistral,
    Grok,
    OpenRouter,
    Together,
    Fireworks,
    /// Hugging Face's router.
    HuggingFace,
    /// Text Generation Inference.
    Tgi,
}

/// Where each stands: the paths behind it are OpenAI's.
const ROOTS: [(&str, Family); 7] = [
    ("/mistral/v1", Family::Mistral),
    ("/grok/v1", Family::Grok),
    ("/openrouter/api/v1", Family::OpenRouter),
    ("/together/v1", Family::Together),
    ("/fireworks/inference/v1", Family::Fireworks),
    ("/huggingface/v1", Family::HuggingFace),
    ("/tgi/v1", Family::Tgi),
];

/// What the header fields that say what is left are called. Those that are not here are not sent.
const LEFT_OF_MISTRAL: [(&str, &str); 4] = [
    ("x-ratelimit-limit-requests", "x-ratelimit-limit-req-minute"),
    ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-req-minute"),
    ("x-ratelimit-limit-tokens", "x-ratelimit-limit-tokens-minute"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-remaining-tokens-minute"),
];
const LEFT_OF_GROK: [(&str, &str); 4] = [
    ("x-ratelimit-limit-requests", "x-ratelimit-limit-requests"),
    ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-requests"),
    ("x-ratelimit-limit-tokens", "x-ratelimit-limit-tokens"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-remaining-tokens"),
];
const LEFT_OF_TOGETHER: [(&str, &str); 4] = [
    ("x-ratelimit-limit-requests", "x-ratelimit-limit"),
    ("x-ratelimit-remaining-requests", "x-ratelimit-remaining"),
    ("x-ratelimit-limit-tokens", "x-tokenlimit-limit"),
    ("x-ratelimit-remaining-tokens", "x-tokenlimit-remaining"),
];
const LEFT_OF_FIREWORKS: [(&str, &str); 4] = [
    ("x-ratelimit-limit-requests", "x-ratelimit-limit-requests"),
    ("x-ratelimit-remaining-requests", "x-ratelimit-remaining-requests"),
    ("x-ratelimit-limit-tokens", "x-ratelimit-limit-tokens-prompt"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-remaining-tokens-prompt"),
];

impl Family {
    /// Whose this path is, and what stands behind where they stand.
    pub(crate) fn of(path: &str) -> Option<(Self, &str)> {
        ROOTS.iter().find_map(|(root, family)| {
            let rest = path.strip_prefix(root)?;
            rest.starts_with('/').then_some((*family, rest))
        })
    }

    /// What it calls the header fields that OpenAI has.
    fn left(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Mistral => &LEFT_OF_MISTRAL,
            Self::Grok => &LEFT_OF_GROK,
            Self::Together => &LEFT_OF_TOGETHER,
            Self::Fireworks => &LEFT_OF_FIREWORKS,
            Self::OpenRouter | Self::HuggingFace | Self::Tgi => &[],
        }
    }

    /// Whether a stream ends with its usage though nobody asked.
    fn tells_usage(self) -> bool {
        !matches!(self, Self::HuggingFace | Self::Tgi)
    }

    /// Whether a model thinks before it answers.
    fn thinks(self, model: &str, fields: &Fields) -> bool {
        let asked = |name: &str| {
            validate::present(fields, name)
                .is_some_and(|value| *value != json!("none") && *value != json!(false))
        };
        match self {
            Self::Mistral => model.starts_with("magistral") || asked("reasoning_effort"),
            Self::Grok => checks::grok_thinks(model),
            Self::OpenRouter => asked("reasoning") || asked("reasoning_effort"),
            Self::Together | Self::Fireworks => model.contains("eepSeek-R1") || model.contains("deepseek-r1"),
            Self::HuggingFace | Self::Tgi => false,
        }
    }
}

/// The answer to a request in this format.
pub(crate) fn answer(family: Family, call: &Call<'_>, wait: Duration) -> Reply {
    route(family, call, wait).unwrap_or_else(|refusal| {
        let mut body = Buf::with_capacity(LARGE_BYTES);
        body.put(refusal.body.to_string().as_bytes());
        let mut fields = Buf::with_capacity(LARGE_BYTES);
        headers::write(fields.vec_mut(), &call.shard.rng, wait, refusal.error.left.as_deref());
        let mut fields = named(family, &fields);
        headers::retry_after(fields.vec_mut(), &refusal.error);
        let status = StatusCode::from_u16(refusal.error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let fault = call.chosen_fault(None);
        Reply {
            status,
            headers: fields,
            body: Body::Json(body),
            wait,
            fault,
            prompt_tokens: 0,
            completion_tokens: 0,
        }
    })
}

fn route(family: Family, call: &Call<'_>, wait: Duration) -> Result<Reply, Refusal> {
    let path = Family::of(call.path).map_or("", |(_, rest)| rest);
    let refused = |error: ApiError| Refusal::of(family, error);
    gate::authenticate(call).map_err(|trouble| refused(ApiError::of(trouble, call, "")))?;
    let get = matches!(*call.method, Method::GET | Method::HEAD);
    let mut reply = match path {
        "/chat/completions" if call.method == Method::POST => {
            let mut fields = validate::object(call.body).map_err(refused)?;
            let model = validate::model(&fields).map_err(refused)?.to_owned();
            // An error that is asked for comes first: it is about the answer, whatever the request says.
            gate::fault(call, &model).map_err(|trouble| refused(ApiError::of(trouble, call, &model)))?;
            checks::check(family, &model, &fields)?;
            let manner = Manner::of(family, &model, &fields);
            understood(family, &mut fields);
            let body = Value::Object(fields).to_string();
            let reply = chat::answer(&call.with_body(body.as_bytes()), wait).map_err(refused)?;
            manner.told(reply)
        }
        "/embeddings" if call.method == Method::POST => {
            answers::vectors(family, embeddings::answer(call, wait).map_err(refused)?)
        }
        "/models" if get => models::list(call, wait).map_err(refused)?,
        _ => return Err(refused(ApiError::unknown_url(call.method, path))),
    };
    reply.headers = named(family, &reply.headers);
    Ok(reply)
}

/// Puts a request into OpenAI's words.
fn understood(family: Family, fields: &mut Fields) {
    if let Some(seed) = fields.remove("random_seed") {
        fields.insert("seed".into(), seed);
    }
    if fields.get("tool_choice").is_some_and(|choice| *choice == json!("any")) {
        fields.insert("tool_choice".into(), json!("required"));
    }
    // Text Generation Inference's own form of a schema, which Hugging Face's client sends.
    if let Some(schema) = fields.get("response_format").and_then(|format| format.get("value")) {
        let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
        fields.insert("response_format".into(), format);
    }
    if family.tells_usage() {
        match fields.get("stream") {
            Some(Value::Bool(true)) => fields.insert("stream_options".into(), json!({"include_usage": true})),
            _ => fields.remove("stream_options"),
        };
    }
    let messages = fields.get_mut("messages").and_then(Value::as_array_mut);
    for parts in
        messages.into_iter().flatten().filter_map(|message| message.get_mut("content")?.as_array_mut())
    {
        parts.retain(|part| part["type"] != "thinking");
        for part in parts {
            // Mistral's, of which the first may be OpenAI's as well.
            if part["type"] == "image_url" && part["image_url"].is_string() {
                *part = json!({"type": "image_url", "image_url": {"url": part["image_url"]}});
            } else if part["type"] == "document_url" {
                *part = json!({"type": "file"});
            }
        }
    }
}

/// OpenAI's header fields under the names of the family.
fn named(family: Family, lines: &[u8]) -> Buf {
    let mut out = Buf::with_capacity(LARGE_BYTES);
    let lines = String::from_utf8_lossy(lines);
    for (name, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
        if let Some((_, own)) = family.left().iter().find(|(known, _)| *known == name) {
            field(out.vec_mut(), own, value.as_bytes());
        } else if !name.starts_with("openai-") && !name.starts_with("x-ratelimit-") {
            field(out.vec_mut(), name, value.as_bytes());
        }
    }
    out
}
