//! Their answers, made of OpenAI's.

use serde_json::{Map, Value, json};

use super::{Family, Fields, checks::CALL_ID_CHARS, errors, validate::present};
use crate::simulate::{
    plan::THOUGHT,
    reply::{Body, Event, Events, Pace, Reply},
    text,
};

/// What a prompt says for what comes seldom.
const MODEL_LENGTH: &str = "sim-model-length";
const FAILED: &str = "sim-failed";

/// What OpenRouter sends while it waits for whom it asked.
const PROCESSING: &[u8] = b": OPENROUTER PROCESSING\n\n";

/// How a request is to be answered.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    family: Family,
    /// Whether the model thinks first.
    thinks: bool,
    /// Whether a text was named that ends the answer.
    stops: bool,
    /// Whether the answer ends where the model's context does.
    model_length: bool,
    /// Whether who was asked fails.
    fails: bool,
}

/// Takes a member of an object away.
fn take(object: &mut Value, name: &str) {
    if let Value::Object(fields) = object {
        fields.remove(name);
    }
}

/// Sets a member of an object.
fn set(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(name.to_owned(), value);
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

impl Manner {
    pub(super) fn of(family: Family, model: &str, fields: &Fields) -> Self {
        let says =
            |words: &str| fields.get("messages").is_some_and(|messages| messages.to_string().contains(words));
        Self {
            family,
            thinks: family.thinks(model, fields),
            stops: present(fields, "stop").is_some(),
            model_length: family == Family::Mistral && says(MODEL_LENGTH),
            fails: family == Family::OpenRouter && says(FAILED),
        }
    }

    /// The answer as the family has it.
    pub(super) fn told(self, mut reply: Reply) -> Reply {
        if self.thinks {
            reply.completion_tokens += thought_tokens();
        }
        reply.body = match reply.body {
            Body::Json(mut body) => {
                if let Ok(mut answer) = serde_json::from_slice::<Value>(&body) {
                    self.whole(&mut answer);
                    body.clear();
                    body.put(answer.to_string().as_bytes());
                }
                Body::Json(body)
            }
            Body::Text(text) => Body::Text(text),
            Body::Events(events) => Body::Events(Box::new(Told {
                manner: self,
                events,
                begun: false,
                calls: Map::new(),
                held: None,
                event: Vec::new(),
            })),
        };
        reply
    }

    fn whole(self, answer: &mut Value) {
        if self.fails {
            *answer = errors::failed();
            return;
        }
        self.outer(answer);
        for choice in answer.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
            self.choice(choice);
            let Some(message) = choice.get_mut("message") else { continue };
            take(message, "refusal");
            take(message, "annotations");
            self.calls(message);
            if self.family == Family::Mistral && message.get("content").is_some_and(Value::is_null) {
                set(message, "content", json!(""));
            }
            if self.thinks {
                self.thought(message);
            }
        }
    }

    /// What stands around the choices.
    fn outer(self, answer: &mut Value) {
        take(answer, "service_tier");
        take(answer, "system_fingerprint");
        let id = answer.get("id").and_then(Value::as_str).and_then(|id| id.strip_prefix("chatcmpl-"));
        let id = id.unwrap_or_default().to_ascii_lowercase();
        match self.family {
            Family::OpenRouter => {
                set(answer, "id", format!("gen-{id}").into());
                set(answer, "provider", "Simulated".into());
            }
            Family::Together => {
                set(answer, "id", id.into());
                set(answer, "prompt", json!([]));
            }
            Family::Tgi => {
                set(answer, "id", "".into());
                set(answer, "system_fingerprint", "3.3.4-native".into());
            }
            _ => set(answer, "id", id.into()),
        }
        if let Some(usage) = answer.get_mut("usage").filter(|usage| usage.is_object()) {
            self.usage(usage);
        }
    }

    fn usage(self, usage: &mut Value) {
        let (prompt, mut completion) = (number(usage, "prompt_tokens"), number(usage, "completion_tokens"));
        let thought = if self.thinks { thought_tokens() } else { 0 };
        // xAI counts thought apart, and only in the sum.
        if self.family != Family::Grok {
            completion += thought;
        }
        let total = prompt + completion + if self.family == Family::Grok { thought } else { 0 };
        *usage = json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total});
        match self.family {
            Family::Grok | Family::OpenRouter => {
                set(usage, "prompt_tokens_details", json!({"cached_tokens": 0, "audio_tokens": 0}));
                set(usage, "completion_tokens_details", json!({"reasoning_tokens": thought}));
            }
            _ => {}
        }
        if self.family == Family::OpenRouter {
            set(usage, "cost", json!(0.000_125));
            set(usage, "is_byok", json!(false));
        }
    }

    /// Why a choice ends, and how probable it was.
    fn choice(self, choice: &mut Value) {
        if choice.get("logprobs").is_some_and(Value::is_null) {
            take(choice, "logprobs");
        }
        if self.family == Family::Mistral {
            number_tokens(choice.pointer_mut("/logprobs/content"));
        }
        let Some(reason) = choice.get("finish_reason").and_then(Value::as_str).map(str::to_owned) else {
            return;
        };
        let own = match (self.family, reason.as_str()) {
            (Family::Mistral, "stop" | "length") if self.model_length => "model_length",
            (Family::Together, "stop") if !self.stops => "eos",
            (_, same) => same,
        };
        set(choice, "finish_reason", own.into());
        if self.family == Family::OpenRouter {
            set(
                choice,
                "native_finish_reason",
                if reason == "stop" { "completed".into() } else { reason.into() },
            );
        }
    }

    /// The calls of a message or of a piece of one.
    fn calls(self, message: &mut Value) {
        let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
        for (at, call) in calls.into_iter().flatten().enumerate() {
            if self.family == Family::Mistral
                && let Some(id) = call.get("id").and_then(Value::as_str)
            {
                let id: String = id.trim_start_matches("call_").chars().take(CALL_ID_CHARS).collect();
                set(call, "id", id.into());
            }
            if call.get("index").is_none() && matches!(self.family, Family::Mistral | Family::Together) {
                set(call, "index", at.into());
            }
        }
    }

    /// Puts what the model thought into a message, or into a piece of one.
    fn thought(self, message: &mut Value) {
        match self.family {
            Family::Mistral => {
                let mut parts =
                    vec![json!({"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]})];
                if let Some(text) =
                    message.get("content").filter(|text| text.as_str().is_some_and(|t| !t.is_empty()))
                {
                    parts.push(json!({"type": "text", "text": text}));
                }
                set(message, "content", parts.into());
            }
            Family::OpenRouter => {
                set(message, "reasoning", THOUGHT.into());
                let detail =
                    json!({"type": "reasoning.text", "text": THOUGHT, "format": "unknown", "index": 0});
                set(message, "reasoning_details", json!([detail]));
            }
            Family::Together => set(message, "reasoning", THOUGHT.into()),
            _ => set(message, "reasoning_content", THOUGHT.into()),
        }
    }

    /// Whether calls come whole in a stream.
    fn calls_whole(self) -> bool {
        matches!(self.family, Family::Mistral | Family::Grok)
    }

    /// Whether a stream's usage stands in the chunk that says why the answer ended.
    fn usage_last(self) -> bool {
        matches!(self.family, Family::Mistral | Family::Together | Family::Fireworks)
    }
}

/// Gives each token with a probability its number, which Mistral tells.
fn number_tokens(tokens: Option<&mut Value>) {
    for token in tokens.and_then(Value::as_array_mut).into_iter().flatten() {
        set(token, "token_id", json!(1));
        number_tokens(token.get_mut("top_logprobs"));
    }
}

/// Vectors as the family has them: Mistral's have an id.
pub(super) fn vectors(family: Family, mut reply: Reply) -> Reply {
    if family == Family::Mistral
        && let Body::Json(body) = &mut reply.body
        && let Ok(mut answer) = serde_json::from_slice::<Value>(body)
    {
        set(&mut answer, "id", "simulated".into());
        body.clear();
        body.put(answer.to_string().as_bytes());
    }
    reply
}

fn thought_tokens() -> u64 {
    text::count(THOUGHT) as u64
}

/// The rest of a stream.
struct Told {
    manner: Manner,
    events: Box<dyn Events>,
    begun: bool,
    /// The calls so far of each choice, where they come whole.
    calls: Map<String, Value>,
    /// The last chunk, which usage may be put into.
    held: Option<Value>,
    event: Vec<u8>,
}

impl Told {
    /// Writes what is held, then `chunk`.
    fn write(&mut self, out: &mut Vec<u8>, chunk: &Value) {
        self.flush(out);
        out.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if let Some(held) = self.held.take() {
            out.extend_from_slice(format!("data: {held}\n\n").as_bytes());
        }
    }

    /// Keeps the pieces of calls of a choice, and gives them back with its end.
    fn gather(&mut self, choice: &mut Value) {
        let index = number(choice, "index").to_string();
        let ends = choice.get("finish_reason").is_some_and(Value::is_string);
        let Some(delta) = choice.get_mut("delta") else { return };
        if let Some(Value::Array(pieces)) = delta.get("tool_calls").cloned() {
            take(delta, "tool_calls");
            let calls = self.calls.entry(index.clone()).or_insert_with(|| json!([]));
            for piece in pieces {
                match calls
                    .as_array_mut()
                    .and_then(|calls| calls.iter_mut().find(|call| call.get("index") == piece.get("index")))
                {
                    Some(call) => {
                        let arguments = |call: &Value| {
                            call.pointer("/function/arguments")
                                .and_then(Value::as_str)
                                .unwrap_or_default()
                                .to_owned()
                        };
                        let whole = arguments(call) + &arguments(&piece);
                        if let Some(function) = call.get_mut("function") {
                            set(function, "arguments", whole.into());
                        }
                    }
                    None => {
                        if let Some(calls) = calls.as_array_mut() {
                            calls.push(piece);
                        }
                    }
                }
            }
        }
        if ends && let Some(calls) = self.calls.remove(&index) {
            set(delta, "tool_calls", calls);
        }
    }

    /// Appends a chunk as the family has it; `false` where nothing was to be said yet.
    fn chunk(&mut self, mut chunk: Value, out: &mut Vec<u8>) -> bool {
        let manner = self.manner;
        manner.outer(&mut chunk);
        take(&mut chunk, "prompt");
        let used = chunk.get("usage").filter(|usage| usage.is_object()).cloned();
        if used.is_none() {
            take(&mut chunk, "usage");
        }
        let mut choices = match chunk.get_mut("choices") {
            Some(Value::Array(choices)) => std::mem::take(choices),
            _ => Vec::new(),
        };
        if choices.is_empty() {
            if manner.usage_last()
                && let (Some(held), Some(used)) = (&mut self.held, used)
            {
                set(held, "usage", used);
                self.flush(out);
            } else {
                self.write(out, &chunk);
            }
            return true;
        }
        let with = |choices: Value| {
            let mut with = chunk.clone();
            set(&mut with, "choices", choices);
            with
        };
        let mut said = false;
        for choice in &mut choices {
            manner.choice(choice);
            let begins = choice.pointer("/delta/role").is_some();
            if let Some(delta) = choice.get_mut("delta") {
                take(delta, "refusal");
                manner.calls(delta);
                // Together says in each piece who speaks.
                if begins || manner.family == Family::Together {
                    set(delta, "role", "assistant".into());
                }
            }
            if begins && manner.thinks {
                let mut delta = json!({"role": "assistant", "content": ""});
                manner.thought(&mut delta);
                let index = number(choice, "index");
                let thought = json!([{"index": index, "delta": delta, "finish_reason": null}]);
                self.write(out, &with(thought));
                said = true;
            }
            if manner.calls_whole() {
                self.gather(choice);
                let empty = choice.get("delta").and_then(Value::as_object).is_none_or(Map::is_empty);
                if empty && choice.get("finish_reason").is_some_and(Value::is_null) {
                    continue;
                }
            }
            let ends = choice.get("finish_reason").is_some_and(Value::is_string);
            let one = with(json!([choice]));
            if ends && manner.usage_last() {
                self.flush(out);
                self.held = Some(one);
            } else {
                self.write(out, &one);
                said = true;
            }
        }
        said
    }
}

impl Events for Told {
    fn next(&mut self, out: &mut Vec<u8>) -> Event {
        if !self.begun && self.manner.family == Family::OpenRouter {
            out.extend_from_slice(PROCESSING);
        }
        self.begun = true;
        loop {
            self.event.clear();
            let mut event = std::mem::take(&mut self.event);
            let kind = self.events.next(&mut event);
            let data = event.strip_prefix(b"data: ").and_then(|data| data.strip_suffix(b"\n\n"));
            let said = match data.and_then(|data| serde_json::from_slice::<Value>(data).ok()) {
                Some(chunk) => self.chunk(chunk, out),
                None => {
                    self.flush(out);
                    out.extend_from_slice(&event);
                    true
                }
            };
            self.event = event;
            if kind == Event::Last {
                self.flush(out);
            }
            if said || kind == Event::Last {
                return kind;
            }
        }
    }

    fn content_events(&self) -> usize {
        self.events.content_events()
    }

    fn pace(&self) -> Pace {
        self.events.pace()
    }

    fn error(&self) -> &'static [u8] {
        match self.manner.family {
            Family::OpenRouter => {
                b"data: {\"id\":\"gen-simulated\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"simulated\",\
                  \"provider\":\"Simulated\",\"error\":{\"code\":502,\"message\":\"Provider disconnected unexpectedly\"},\
                  \"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n"
            }
            Family::Mistral => {
                b"data: {\"object\":\"error\",\"message\":\"Service unavailable.\",\"type\":\"internal_server_error\",\
                  \"param\":null,\"code\":\"1000\"}\n\n"
            }
            Family::HuggingFace | Family::Tgi => {
                b"data: {\"error\":\"Request failed during generation: simulated\",\"error_type\":\"generation\"}\n\n"
            }
            _ => self.events.error(),
        }
    }
}
