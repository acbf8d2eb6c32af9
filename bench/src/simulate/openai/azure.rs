//! Azure OpenAI (https://learn.microsoft.com/azure/ai-foundry/openai/reference): OpenAI's format below `/openai/v1`,
//! or for each deployment a path of its own and a dated `api-version`; what its content filter says, and errors in
//! other words.
//!
//! A prompt that says `sim-filtered` is refused by the content filter.

use std::time::Duration;

use coo_shards::{
    buf::{Buf, LARGE_BYTES},
    http1::encode::number_field,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{ApiError, chat, embeddings, models};
use crate::simulate::{
    exchange::{Call, parameter},
    gate::{self, Trouble},
    limits::{Left, Which},
    reply::{Body, Event, Events, Pace, Reply},
};

/// What a prompt says that the content filter refuses.
const FILTERED: &str = "sim-filtered";

/// What the filter says of harmless content.
fn safe() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}

/// Sets a member of an object.
fn set(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(name.to_owned(), value);
    }
}

fn of_prompt() -> Value {
    let mut results = safe();
    set(&mut results, "jailbreak", json!({"filtered": false, "detected": false}));
    json!([{"prompt_index": 0, "content_filter_results": results}])
}

/// An error answer: its status, the `error` object, and when to come back.
struct Refusal {
    status: u16,
    error: Value,
    retry_after: Option<Duration>,
    left: Option<Left>,
}

impl Refusal {
    fn new(status: u16, code: &str, message: &str) -> Self {
        let error = json!({"code": code, "message": message});
        Self { status, error, retry_after: None, left: None }
    }

    fn not_found() -> Self {
        Self::new(404, "404", "Resource not found")
    }

    /// How Azure words what any provider may refuse; the rest is as OpenAI has it.
    fn of(trouble: Trouble, call: &Call<'_>, model: &str) -> Self {
        match trouble {
            Trouble::NoKey | Trouble::WrongKey | Trouble::Status(401, _) => Self::new(
                401,
                "401",
                "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid \
                 key for an active subscription and use a correct regional API endpoint for your resource.",
            ),
            Trouble::NoModel | Trouble::Status(404, _) => Self::new(
                404,
                "DeploymentNotFound",
                "The API deployment for this resource does not exist. If you created the deployment within the last \
                 5 minutes, please wait a moment and try again.",
            ),
            Trouble::Limited(refused) => {
                let which = if refused.which == Which::Requests { "call" } else { "token" };
                let after = refused.retry_after.map_or(60, |after| after.as_secs().max(1));
                let message = format!(
                    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version {} have exceeded \
                     {which} rate limit of your current OpenAI S0 pricing tier. Please retry after {after} seconds. \
                     Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the \
                     default rate limit.",
                    version(call).unwrap_or("v1")
                );
                Self {
                    retry_after: refused.retry_after,
                    left: Some(refused.left),
                    ..Self::new(429, "429", &message)
                }
            }
            other => Self::from(ApiError::of(other, call, model)),
        }
    }

    /// https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter, "Configurability".
    fn filtered() -> Self {
        let mut results = safe();
        set(&mut results, "violence", json!({"filtered": true, "severity": "medium"}));
        let error = json!({
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management \
                policy. Please modify your prompt and retry. To learn more about our content filtering policies \
                please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
            "type": null, "param": "prompt", "code": "content_filter", "status": 400,
            "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": results}
        });
        Self { status: 400, error, retry_after: None, left: None }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let ApiError { status, message, kind, param, code, retry_after, left } = error;
        let error = json!({"message": message, "type": kind, "param": param, "code": code});
        Self { status, error, retry_after, left: left.map(|left| *left) }
    }
}

fn version<'a>(call: &Call<'a>) -> Option<&'a str> {
    parameter(call.query, "api-version").and_then(|version| std::str::from_utf8(version).ok())
}

/// The answer to a request to Azure.
pub(crate) fn answer(call: &Call<'_>, wait: Duration) -> Reply {
    match route(call, wait) {
        Ok(reply) => reply,
        Err(refusal) => {
            let mut body = Buf::with_capacity(LARGE_BYTES);
            body.put(json!({"error": refusal.error}).to_string().as_bytes());
            let mut headers = Buf::with_capacity(LARGE_BYTES);
            fields(headers.vec_mut(), call, refusal.left.as_ref());
            if let Some(after) = refusal.retry_after {
                let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                number_field(headers.vec_mut(), "retry-after", ms.div_ceil(1000));
                number_field(headers.vec_mut(), "retry-after-ms", ms);
            }
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let fault = call.chosen_fault(None);
            Reply {
                status,
                headers,
                body: Body::Json(body),
                wait,
                fault,
                prompt_tokens: 0,
                completion_tokens: 0,
            }
        }
    }
}

fn route(call: &Call<'_>, wait: Duration) -> Result<Reply, Refusal> {
    gate::authenticate(call).map_err(|trouble| Refusal::of(trouble, call, ""))?;
    let rest = call.path.strip_prefix("/openai").unwrap_or_default();
    let dated = version(call).is_some_and(|version| version.starts_with("20"));
    if let Some(rest) = rest.strip_prefix("/v1") {
        // Its versions are words.
        if dated {
            return Err(Refusal::new(400, "BadRequest", "API version not supported"));
        }
        return operation(call, rest, call.body, wait);
    }
    if !dated {
        return Err(Refusal::not_found());
    }
    if rest == "/models" {
        return operation(call, rest, call.body, wait);
    }
    let named = rest.strip_prefix("/deployments/").and_then(|rest| rest.split_once('/'));
    let (deployment, rest) = named.ok_or_else(Refusal::not_found)?;
    let deployment = decoded(deployment);
    let Ok(mut body) = serde_json::from_slice::<Value>(call.body) else {
        return operation(call, &format!("/{rest}"), call.body, wait);
    };
    // Whatever the body says: the path decides.
    if let Value::Object(fields) = &mut body {
        fields.insert("model".to_owned(), deployment.into());
    }
    operation(call, &format!("/{rest}"), body.to_string().as_bytes(), wait)
}

fn operation(call: &Call<'_>, path: &str, body: &[u8], wait: Duration) -> Result<Reply, Refusal> {
    let call = &call.with_body(body);
    let model = || {
        let body: Option<Value> = serde_json::from_slice(body).ok();
        body.and_then(|body| Some(body.get("model")?.as_str()?.to_owned())).unwrap_or_default()
    };
    let get = matches!(*call.method, Method::GET | Method::HEAD);
    let post = call.method == Method::POST;
    if post && matches!(path, "/chat/completions" | "/embeddings") {
        let model = model();
        call.named(&model, false);
        gate::fault(call, &model).map_err(|trouble| Refusal::of(trouble, call, &model))?;
        if memchr::memmem::find(body, FILTERED.as_bytes()).is_some() {
            return Err(Refusal::filtered());
        }
    }
    let reply = match path {
        "/chat/completions" if post => chat::answer(call, wait).map(annotated),
        "/embeddings" if post => embeddings::answer(call, wait),
        "/models" if get => models::list(call, wait),
        _ => return Err(Refusal::not_found()),
    };
    let mut reply = reply.map_err(|error| match error.status {
        429 if error.code == Some("rate_limit_exceeded") => {
            let ApiError { retry_after, left, message, .. } = error;
            Refusal { retry_after, left: left.map(|left| *left), ..Refusal::new(429, "429", &message) }
        }
        _ => error.into(),
    })?;
    reply.headers.vec_mut().extend_from_slice(b"apim-request-id: 00000000-0000-4000-8000-000000000000\r\n");
    Ok(reply)
}

/// The header fields of an error: what is left, with resets in seconds.
fn fields(out: &mut Vec<u8>, call: &Call<'_>, left: Option<&Left>) {
    if let Some(left) = left {
        number_field(out, "x-ratelimit-remaining-requests", left.remaining_requests);
        number_field(out, "x-ratelimit-remaining-tokens", left.remaining_tokens);
        number_field(out, "x-ratelimit-reset-requests", left.reset_requests.as_secs());
        number_field(out, "x-ratelimit-reset-tokens", left.reset_tokens.as_secs());
    }
    out.extend_from_slice(b"x-ms-region: Simulated\r\napim-request-id: ");
    call.shard.rng.hex(out, 32);
    out.extend_from_slice(b"\r\n");
}

/// An answer with what the content filter says.
fn annotated(mut reply: Reply) -> Reply {
    reply.body = match reply.body {
        Body::Json(mut body) => {
            if let Ok(mut answer) = serde_json::from_slice::<Value>(&body) {
                annotate(&mut answer);
                set(&mut answer, "prompt_filter_results", of_prompt());
                body.clear();
                body.put(answer.to_string().as_bytes());
            }
            Body::Json(body)
        }
        Body::Text(text) => Body::Text(text),
        Body::Events(events) => Body::Events(Box::new(Annotated { events, begun: false, event: Vec::new() })),
    };
    reply
}

/// Says of each choice that it is harmless.
fn annotate(answer: &mut Value) {
    for choice in answer.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        set(choice, "content_filter_results", safe());
    }
}

/// A stream whose first chunk is about the prompt and has no choices.
struct Annotated {
    events: Box<dyn Events>,
    begun: bool,
    event: Vec<u8>,
}

impl Events for Annotated {
    fn next(&mut self, out: &mut Vec<u8>) -> Event {
        if !self.begun {
            self.begun = true;
            let first = json!({
                "choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": of_prompt()
            });
            out.extend_from_slice(format!("data: {first}\n\n").as_bytes());
            return Event::Frame;
        }
        self.event.clear();
        let event = self.events.next(&mut self.event);
        let data = self.event.strip_prefix(b"data: ").and_then(|data| data.strip_suffix(b"\n\n"));
        match data.and_then(|data| serde_json::from_slice::<Value>(data).ok()) {
            Some(mut chunk) => {
                annotate(&mut chunk);
                out.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
            }
            None => out.extend_from_slice(&self.event),
        }
        event
    }

    fn content_events(&self) -> usize {
        self.events.content_events()
    }

    fn pace(&self) -> Pace {
        self.events.pace()
    }

    fn error(&self) -> &'static [u8] {
        self.events.error()
    }
}

/// A segment of a path without its percent-encoding.
fn decoded(segment: &str) -> String {
    let mut out = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if first == b'%' => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::simulate::tests::{exchange, request, simulator};

    const CLOSE: &str = "connection: close\r\n";
    const DATED: &str = "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21";

    fn said(words: &str) -> serde_json::Value {
        json!({"model": "ignored", "messages": [{"role": "user", "content": words}]})
    }

    #[test]
    fn a_deployment_is_named_by_the_path() {
        let simulator = simulator(|_| {});
        let answer = exchange(&simulator, &request("POST", DATED, CLOSE, &said("x").to_string()));
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = answer.json();
        assert_eq!(body["model"], "my gpt");
        assert_eq!(body["choices"][0]["content_filter_results"]["hate"]["severity"], "safe");
        assert_eq!(body["prompt_filter_results"][0]["prompt_index"], 0);
        let v1 = exchange(
            &simulator,
            &request("POST", "/openai/v1/chat/completions", CLOSE, &said("x").to_string()),
        );
        assert_eq!((v1.status, &v1.json()["model"]), (200, &"ignored".into()), "{v1:?}");
        for path in [
            "/openai/deployments/a/chat/completions",
            "/openai/v2/chat/completions",
            "/openai/x?api-version=2024-10-21",
        ] {
            let lost = exchange(&simulator, &request("POST", path, CLOSE, &said("x").to_string()));
            assert_eq!((lost.status, &lost.json()["error"]["code"]), (404, &"404".into()), "{path}");
        }
    }

    #[test]
    fn errors_are_worded_as_azures() {
        let simulator = simulator(|settings| {
            settings.keys = vec![
                crate::simulate::KeyLimits { key: "sk-test".into(), ..Default::default() },
                crate::simulate::KeyLimits {
                    key: "tight".into(),
                    req_per_min: Some(1),
                    ..Default::default()
                },
            ];
        });
        let with = |head: &str, path: &str, words: &str| {
            let request = request("POST", path, &format!("{CLOSE}{head}"), &said(words).to_string());
            exchange(&simulator, &request.replace("authorization: Bearer sk-test\r\n", ""))
        };
        let refused = with("api-key: wrong\r\n", DATED, "x");
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (401, &"401".into()));
        let lost = with("api-key: sk-test\r\n", &DATED.replace("my%20gpt", "no-such-model"), "x");
        assert_eq!((lost.status, &lost.json()["error"]["code"]), (404, &"DeploymentNotFound".into()));
        let filtered = with("api-key: sk-test\r\n", DATED, "sim-filtered");
        let error = filtered.json()["error"].clone();
        assert_eq!((filtered.status, &error["code"]), (400, &"content_filter".into()));
        assert_eq!(error["innererror"]["content_filter_result"]["violence"]["filtered"], true);
        assert_eq!(with("api-key: tight\r\n", DATED, "x").status, 200);
        let limited = with("api-key: tight\r\n", DATED, "x");
        assert_eq!((limited.status, &limited.json()["error"]["code"]), (429, &"429".into()));
        assert_eq!(limited.header("x-ratelimit-remaining-requests"), Some("0"));
        assert!(limited.header("retry-after-ms").is_some());
    }

    #[test]
    fn a_stream_begins_with_what_the_filter_says_of_the_prompt() {
        let simulator = simulator(|_| {});
        let mut body = said("x");
        body["stream"] = true.into();
        let answer = exchange(&simulator, &request("POST", DATED, CLOSE, &body.to_string()));
        let first = answer.body.split("\n\n").next().unwrap().strip_prefix("data: ").unwrap();
        let first: serde_json::Value = serde_json::from_str(first).unwrap();
        assert_eq!((&first["choices"], &first["id"]), (&json!([]), &"".into()));
        assert!(first["prompt_filter_results"].is_array() && answer.body.ends_with("data: [DONE]\n\n"));
        assert!(answer.body.contains("content_filter_results"));
    }
}
