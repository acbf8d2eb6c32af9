//! What the family's ways look like on the wire.

use serde_json::{Value, json};

use crate::simulate::{
    Simulator,
    tests::{Answer, post, simulator},
};

fn ask(simulator: &Simulator, root: &str, model: &str, more: Value) -> Answer {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Say hello"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    post(simulator, &format!("{root}/chat/completions"), &body.to_string())
}

const WEATHER: &str = r#"[{"type":"function","function":{"name":"f","parameters":{"type":"object","required":["city"],
    "properties":{"city":{"type":"string"}}}}}]"#;

fn tools() -> Value {
    serde_json::from_str(WEATHER).unwrap()
}

const MISTRAL: &str = "/mistral/v1";
const GROK: &str = "/grok/v1";
const OPENROUTER: &str = "/openrouter/api/v1";
const TOGETHER: &str = "/together/v1";
const FIREWORKS: &str = "/fireworks/inference/v1";
const HUGGINGFACE: &str = "/huggingface/v1";
const TGI: &str = "/tgi/v1";

#[test]
fn what_is_wrong_is_refused_in_their_words() {
    let simulator = simulator(|_| {});
    let calls =
        |id: &str| json!([{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let user = json!({"role": "user", "content": "x"});
    let loop_of = |id: &str| {
        vec![
            user.clone(),
            json!({"role": "assistant", "content": "", "tool_calls": calls(id)}),
            json!({"role": "tool", "tool_call_id": id, "content": "y"}),
        ]
    };
    let after_tool: Vec<Value> = loop_of("abcdefgh9").into_iter().chain([user.clone()]).collect();
    let said = |role: &str| json!({"role": role, "content": "x"});
    for (root, model, more, status, at, wanted) in [
        (MISTRAL, "m", json!({"seed": 1}), 422, "/detail/0/loc", json!(["body", "seed"])),
        (MISTRAL, "m", json!({"store": false}), 422, "/detail/0/type", json!("extra_forbidden")),
        (
            MISTRAL,
            "m",
            json!({"stream": true, "stream_options": {"include_usage": true}}),
            422,
            "/detail/0/loc",
            json!(["body", "stream_options", "include_usage"]),
        ),
        (
            MISTRAL,
            "m",
            json!({"messages": [{"role": "user", "content": "x", "name": "n"}]}),
            422,
            "/detail/0/loc",
            json!(["body", "messages", 0, "user", "name"]),
        ),
        (
            MISTRAL,
            "m",
            json!({"messages": [said("developer")]}),
            422,
            "/detail/0/type",
            json!("union_tag_invalid"),
        ),
        (MISTRAL, "m", json!({"tool_choice": "must"}), 422, "/detail/0/type", json!("enum")),
        (MISTRAL, "m", json!({"random_seed": -1}), 422, "/detail/0/type", json!("greater_than_equal")),
        (MISTRAL, "m", json!({"messages": loop_of("call_abc")}), 400, "/code", json!("3280")),
        (
            MISTRAL,
            "m",
            json!({"messages": after_tool}),
            400,
            "/message",
            json!("Unexpected role 'user' after role 'tool'"),
        ),
        (
            MISTRAL,
            "m",
            json!({"messages": [user, said("assistant"), said("system")]}),
            400,
            "/message",
            json!("Unexpected role 'system' after role 'assistant'"),
        ),
        (MISTRAL, "m", json!({"messages": [said("user"), said("assistant")]}), 400, "/code", json!("3230")),
        (MISTRAL, "no-such-model", json!({}), 400, "/type", json!("invalid_model")),
        (MISTRAL, "m-sim-error-429", json!({}), 429, "/type", json!("rate_limited")),
        (
            GROK,
            "grok-4",
            json!({"stop": ["a"]}),
            400,
            "/error",
            json!("Argument not supported on this model: stop"),
        ),
        (
            GROK,
            "grok-4-fast-reasoning",
            json!({"presence_penalty": 0}),
            400,
            "/error",
            json!("Argument not supported on this model: presencePenalty"),
        ),
        (
            GROK,
            "grok-4",
            json!({"reasoning_effort": "low"}),
            400,
            "/code",
            json!("Client specified an invalid argument"),
        ),
        (GROK, "no-such-model", json!({}), 404, "/code", json!("Some requested entity was not found")),
        (OPENROUTER, "a/m-sim-error-400", json!({}), 400, "/error/code", json!(400)),
        (
            OPENROUTER,
            "a/m-sim-error-429",
            json!({}),
            429,
            "/error/metadata/headers/X-RateLimit-Remaining",
            json!("0"),
        ),
        (OPENROUTER, "a/m-sim-error-502", json!({}), 502, "/error/message", json!("Provider returned error")),
        (TOGETHER, "a/m-sim-error-429", json!({}), 429, "/error/type", json!("rate_limit")),
        (
            FIREWORKS,
            "accounts/m",
            json!({"store": true}),
            400,
            "/error/message",
            json!("Extra inputs are not permitted, field: 'store', value: true"),
        ),
        (HUGGINGFACE, "no-such-model", json!({}), 400, "/error/code", json!("model_not_found")),
        (TGI, "tgi", json!({"top_p": 0}), 422, "/error_type", json!("validation")),
        (TGI, "tgi-sim-error-429", json!({}), 429, "/error_type", json!("overloaded")),
    ] {
        let answer = ask(&simulator, root, model, more.clone());
        assert_eq!(answer.status, status, "{root} {more}: {answer:?}");
        assert_eq!(answer.json().pointer(at), Some(&wanted), "{root} {more}: {answer:?}");
    }
}

#[test]
fn what_differs_is_taken() {
    let simulator = simulator(|_| {});
    let more = json!({"random_seed": 1, "tool_choice": "any", "tools": tools(), "safe_prompt": true});
    let answer = ask(&simulator, MISTRAL, "mistral-small-latest", more);
    let call = answer.json()["choices"][0]["message"]["tool_calls"][0].clone();
    assert_eq!(call["id"].as_str().map(str::len), Some(9), "{answer:?}");
    let answer = ask(&simulator, GROK, "grok-4-fast-non-reasoning", json!({"stop": ["a"]}));
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn answers_are_in_their_ways() {
    let simulator = simulator(|_| {});
    let thought = ask(&simulator, MISTRAL, "magistral-medium-latest", json!({})).json();
    let parts = &thought["choices"][0]["message"]["content"];
    assert_eq!((&parts[0]["type"], &parts[1]["type"]), (&json!("thinking"), &json!("text")), "{thought}");
    let more = json!({"messages": [{"role": "user", "content": "sim-model-length"}]});
    let cut = ask(&simulator, MISTRAL, "m", more).json();
    assert_eq!(cut["choices"][0]["finish_reason"], "model_length");
    let grok = ask(&simulator, GROK, "grok-3-mini", json!({"reasoning_effort": "low"}));
    let usage = grok.json()["usage"].clone();
    let count = |name: &str| usage[name].as_u64().unwrap();
    let reasoning = usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap();
    assert_eq!(count("total_tokens"), count("prompt_tokens") + count("completion_tokens") + reasoning);
    assert!(reasoning > 0 && grok.json()["choices"][0]["message"]["reasoning_content"].is_string());
    let routed = ask(&simulator, OPENROUTER, "a/m", json!({"reasoning": {"max_tokens": 100}})).json();
    assert_eq!(routed["provider"], "Simulated");
    assert_eq!(routed["choices"][0]["native_finish_reason"], "completed");
    assert_eq!(routed["choices"][0]["message"]["reasoning_details"][0]["type"], "reasoning.text");
    assert!(routed["usage"]["cost"].is_number());
    let more = json!({"messages": [{"role": "user", "content": "sim-failed"}]});
    let failed = ask(&simulator, OPENROUTER, "a/m", more);
    assert_eq!((failed.status, &failed.json()["error"]["code"]), (200, &json!(502)));
    let together = ask(&simulator, TOGETHER, "a/m", json!({}));
    assert_eq!(together.json()["choices"][0]["finish_reason"], "eos");
    assert!(together.header("x-ratelimit-limit").is_some() && together.header("openai-version").is_none());
}

#[test]
fn streams_are_in_their_ways() {
    let simulator = simulator(|_| {});
    let stream = |root: &str, model: &str, more: Value| {
        let mut asked = json!({"stream": true});
        for (name, value) in more.as_object().unwrap() {
            asked[name] = value.clone();
        }
        ask(&simulator, root, model, asked)
    };
    // Calls in one piece, usage with the end.
    let calls = stream(MISTRAL, "m", json!({"tools": tools(), "tool_choice": "any"})).chunks();
    let last = calls.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "tool_calls", "{calls:?}");
    assert_eq!(last["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"], r#"{"city":"Paris"}"#);
    assert!(last["usage"]["total_tokens"].as_u64() > Some(0), "{last}");
    let thought = stream(MISTRAL, "magistral-small", json!({})).chunks();
    assert_eq!(thought[0]["choices"][0]["delta"]["content"][0]["type"], "thinking");
    let grok = stream(GROK, "grok-4", json!({})).chunks();
    assert!(grok[0]["choices"][0]["delta"]["reasoning_content"].is_string());
    assert!(grok.last().unwrap()["usage"]["total_tokens"].as_u64() > Some(0));
    assert!(stream(OPENROUTER, "a/m", json!({})).body.starts_with(": OPENROUTER PROCESSING\n\ndata: {"));
    let cut = stream(OPENROUTER, "a/m-sim-stream-error", json!({}));
    assert!(cut.body.contains(r#""finish_reason":"error""#), "{cut:?}");
    let together = stream(TOGETHER, "a/m", json!({})).chunks();
    assert!(together.iter().all(|chunk| chunk["choices"][0]["delta"]["role"] == "assistant"));
    let last = together.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "eos");
    assert!(last["usage"].is_object());
    let told = |more: Value| {
        stream(TGI, "tgi", more).chunks().iter().filter(|chunk| chunk["usage"].is_object()).count()
    };
    assert_eq!(told(json!({})), 0);
    assert_eq!(told(json!({"stream_options": {"include_usage": true}})), 1);
}
