//! The wire format, and the errors in it.

use serde_json::{Value, json};

use super::*;
use crate::simulate::{text, vector};

#[test]
fn a_chat_answer_is_in_openais_form() {
    let simulator = simulator(|_| {});
    let answer = post(&simulator, "/v1/chat/completions", PLAIN);
    assert_eq!(answer.status, 200);
    for (name, start) in [
        ("content-type", "application/json"),
        ("openai-processing-ms", ""),
        ("openai-version", "2020-10-01"),
        ("x-request-id", "req_"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-reset-tokens", "0s"),
    ] {
        assert!(answer.header(name).is_some_and(|value| value.starts_with(start)), "{name}: {}", answer.head);
    }
    let value = answer.json();
    assert!(value["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!((&value["object"], &value["model"]), (&json!("chat.completion"), &json!("gpt-4o")));
    let choice = &value["choices"][0];
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["message"]["refusal"], Value::Null);
    assert_eq!(choice["message"]["annotations"], json!([]));
    let usage = &value["usage"];
    assert_eq!(usage["completion_tokens"], 32);
    assert_eq!(text::count(choice["message"]["content"].as_str().unwrap()), 32);
    assert_eq!(
        usage["total_tokens"].as_u64(),
        Some(usage["prompt_tokens"].as_u64().unwrap() + 32),
        "{usage}"
    );
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 0);
}

#[test]
fn a_stream_has_role_content_finish_usage_and_done() {
    let simulator = simulator(|settings| settings.chunk_tokens = 3);
    let plain = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let mut with_usage = plain.clone();
    with_usage["stream_options"] = json!({"include_usage": true});
    for (body, usage) in [(plain, false), (with_usage, true)] {
        let answer = chat(&simulator, &body);
        assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let mut chunks = answer.chunks();
        assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
        assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
        if usage {
            let last = chunks.pop().unwrap();
            assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(32)));
        }
        assert!(chunks.iter().all(|chunk| chunk.get("usage") == usage.then_some(&Value::Null)));
        let delta = |at: usize| &chunks[at]["choices"][0]["delta"];
        assert_eq!(delta(0), &json!({"role": "assistant", "content": "", "refusal": null}));
        let finish = chunks.last().unwrap();
        assert_eq!(
            (&finish["choices"][0]["finish_reason"], &finish["choices"][0]["delta"]),
            (&json!("stop"), &json!({}))
        );
        assert_eq!(chunks.len(), 1 + 11 + 1, "32 tokens in threes");
        let content: String =
            chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text::count(&content), 32);
    }
    assert_eq!(simulator.stats().streams, 2);
}

#[test]
fn several_choices_interleave_and_logprobs_match() {
    let simulator = simulator(|_| {});
    let mut body = json!({"model": "m", "n": 2, "max_tokens": 5, "logprobs": true, "top_logprobs": 2,
        "messages": [{"role": "user", "content": "hi"}]});
    let whole = chat(&simulator, &body).json();
    assert_eq!(whole["choices"][1]["finish_reason"], "length");
    let tokens = whole["choices"][1]["logprobs"]["content"].as_array().unwrap();
    assert_eq!((tokens.len(), tokens[0]["top_logprobs"].as_array().unwrap().len()), (5, 2));
    body["stream"] = json!(true);
    let chunks = chat(&simulator, &body).chunks();
    let order: Vec<_> = chunks.iter().map(|chunk| chunk["choices"][0]["index"].as_u64().unwrap()).collect();
    assert_eq!(order, [0, 1].repeat(7));
    assert_eq!(
        chunks[2]["choices"][0]["logprobs"]["content"][0]["token"],
        chunks[2]["choices"][0]["delta"]["content"]
    );
}

#[test]
fn tools_are_called_whole_and_in_fragments() {
    let simulator = simulator(|_| {});
    let parameters = json!({"type": "object", "required": ["city", "unit"], "properties": {
        "city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}, "days": {"type": "integer"}}});
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    let mut body = json!({"model": "m", "tools": [tool("get_weather"), tool("get_tide")],
        "messages": [{"role": "user", "content": "get_weather and get_tide for Paris"}]});
    let whole = chat(&simulator, &body).json();
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(whole["choices"][0]["message"]["content"], Value::Null);
    let calls = whole["choices"][0]["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), 2);
    let arguments: Value = serde_json::from_str(calls[1]["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"city": "Paris", "unit": "celsius", "days": 7}));

    body["stream"] = json!(true);
    let chunks = chat(&simulator, &body).chunks();
    let mut names = Vec::new();
    let mut fragments = [String::new(), String::new()];
    for chunk in &chunks {
        for call in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap() as usize;
            if let Some(name) = call["function"]["name"].as_str() {
                assert!(call["id"].as_str().unwrap().starts_with("call_"));
                names.push(name);
            }
            fragments[index].push_str(call["function"]["arguments"].as_str().unwrap());
        }
    }
    assert_eq!(names, ["get_weather", "get_tide"]);
    for fragment in fragments {
        assert_eq!(serde_json::from_str::<Value>(&fragment).unwrap(), arguments);
    }
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn images_and_echo_are_answered() {
    let simulator = simulator(|_| {});
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "what?"}, image]}]});
    let content = chat(&simulator, &body).json()["choices"][0]["message"]["content"].clone();
    assert!(content.as_str().unwrap().starts_with("I see 1 image."), "{content}");
    let body = json!({"model": "sim-echo", "messages": [{"role": "user", "content": "a \"b\"\nc"}]});
    assert_eq!(chat(&simulator, &body).json()["choices"][0]["message"]["content"], "a \"b\"\nc");
}

#[test]
fn embeddings_are_the_same_in_both_encodings() {
    let simulator = simulator(|_| {});
    let ask = |format: &str| {
        let body = json!({"model": "text-embedding-3-small", "input": ["one", "two"], "dimensions": 16, "encoding_format": format});
        post(&simulator, "/v1/embeddings", &body.to_string()).json()
    };
    let (float, text) = (ask("float"), ask("base64"));
    assert_eq!(
        (float["data"].as_array().unwrap().len(), float["data"][0]["embedding"].as_array().unwrap().len()),
        (2, 16)
    );
    assert_eq!(text["data"][1]["embedding"].as_str().unwrap().len(), (16 * 4usize).div_ceil(3) * 4);
    assert!(float["usage"]["prompt_tokens"].as_u64().unwrap() > 0);
    let first = float["data"][0]["embedding"][0].as_f64().unwrap() as f32;
    let mut encoded = Vec::new();
    vector::base64_encode(&mut encoded, &first.to_le_bytes()[..3]);
    assert!(
        text["data"][0]["embedding"].as_str().unwrap().starts_with(std::str::from_utf8(&encoded).unwrap())
    );
    assert_eq!(post(&simulator, "/v1/embeddings", r#"{"model":"e"}"#).json()["error"]["param"], "input");
}

#[test]
fn errors_have_their_status_and_form() {
    let simulator = simulator(|_| {});
    let named = |model: &str| {
        chat(&simulator, &json!({"model": model, "messages": [{"role": "user", "content": "x"}]}))
    };
    for status in [400, 401, 403, 404, 409, 422, 429, 500, 503] {
        let answer = named(&format!("sim-error-{status}"));
        assert_eq!(answer.status, status);
        assert!(answer.json()["error"]["message"].is_string());
        assert_eq!(answer.header("retry-after-ms"), (status == 429).then_some("20"));
    }
    assert_eq!(named("no-such-model").json()["error"]["code"], "model_not_found");
    assert_eq!(named("sim-error-quota").json()["error"]["code"], "insufficient_quota");
    assert_eq!(named("sim-error-context").json()["error"]["code"], "context_length_exceeded");
    assert_eq!(get(&simulator, "/v1/nothing").status, 404);
    assert_eq!(get(&simulator, "/v1/chat/completions").status, 405);
    assert_eq!(post(&simulator, "/v1/chat/completions", "{").status, 400);
    let no_key = exchange(&simulator, "GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!((no_key.status, no_key.json()["error"]["code"].clone()), (401, Value::Null));
    assert_eq!(exchange(&simulator, "GET /v1/models HTTP/1.1\r\n\r\n").status, 400, "no Host");
    assert!(get(&simulator, "/v1/models").json()["data"].as_array().unwrap().len() > 3);
    assert_eq!(get(&simulator, "/v1/models/gpt-4o").json()["id"], "gpt-4o");
    assert_eq!(get(&simulator, "/v1/models/no-such-model").status, 404);
}
