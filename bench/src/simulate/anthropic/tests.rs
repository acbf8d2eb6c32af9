//! Anthropic's wire format as a client sees it.

use serde_json::{Value, json};

use crate::simulate::{
    KeyLimits, Simulator,
    tests::{Answer, exchange, request, simulator},
    text,
};

const HEADERS: &str = "connection: close\r\nx-api-key: sk-ant-1\r\nanthropic-version: 2023-06-01\r\n";

fn ask(simulator: &Simulator, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    exchange(simulator, &request(method, path, HEADERS, &body))
}

fn create(simulator: &Simulator, body: &Value) -> Answer {
    ask(simulator, "POST", "/v1/messages", body)
}

/// A request with the user's words, and more.
fn said(words: &str, extra: &Value) -> Value {
    let mut body = json!({"model": "claude-opus-5", "max_tokens": 2000,
        "messages": [{"role": "user", "content": words}]});
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The events of a stream: name and data.
fn events(answer: &Answer) -> Vec<(String, Value)> {
    let event = |text: &str| {
        let (name, data) = text.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        (name.to_owned(), serde_json::from_str(data).unwrap())
    };
    answer.body.split_terminator("\n\n").map(event).collect()
}

fn weather() -> Value {
    json!({"name": "get_weather", "input_schema": {"type": "object", "required": ["city"],
        "properties": {"city": {"type": "string"}}}})
}

#[test]
fn a_message_is_in_anthropics_form() {
    let simulator = simulator(|_| {});
    let answer = create(&simulator, &said("hi", &json!({})));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("request-id").unwrap().starts_with("req_01"));
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), Some("4000"));
    assert!(answer.header("anthropic-ratelimit-output-tokens-reset").unwrap().ends_with('Z'));
    let value = answer.json();
    assert!(value["id"].as_str().unwrap().starts_with("msg_01"));
    assert_eq!((&value["type"], &value["role"]), (&json!("message"), &json!("assistant")));
    assert_eq!((&value["model"], &value["stop_reason"]), (&json!("claude-opus-5"), &json!("end_turn")));
    assert_eq!(text::count(value["content"][0]["text"].as_str().unwrap()), 32);
    assert_eq!(value["usage"]["output_tokens"], 32);
    let record = &simulator.record()[0];
    assert_eq!((record.key.as_str(), record.model.as_str()), ("sk-ant-1", "claude-opus-5"));
    assert_eq!(Some(record.prompt_tokens), value["usage"]["input_tokens"].as_u64());
    assert_eq!(record.completion_tokens, 32);
    let mut counted = said("hi", &json!({}));
    counted.as_object_mut().unwrap().remove("max_tokens");
    let counted = ask(&simulator, "POST", "/v1/messages/count_tokens", &counted).json();
    assert_eq!(counted["input_tokens"], value["usage"]["input_tokens"]);
}

#[test]
fn a_stream_is_a_message_in_pieces() {
    let simulator = simulator(|settings| settings.chunk_tokens = 5);
    let thinking = json!({"stream": true, "thinking": {"type": "enabled", "budget_tokens": 1024}});
    for (extra, kinds) in [
        (json!({"stream": true}), &["text"][..]),
        (thinking, &["thinking", "text"]),
        (json!({"stream": true, "tools": [weather()]}), &["tool_use"]),
    ] {
        let answer = create(&simulator, &said("get_weather", &extra));
        assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let events = events(&answer);
        assert!(events.iter().all(|(name, data)| data["type"] == *name));
        assert_eq!(events[0].1["message"]["content"], json!([]));
        assert_eq!((events[2].0.as_str(), events.last().unwrap().0.as_str()), ("ping", "message_stop"));
        let mut blocks: Vec<(Value, String)> = Vec::new();
        for (name, data) in &events {
            match name.as_str() {
                "content_block_start" => {
                    assert_eq!(data["index"], blocks.len());
                    blocks.push((data["content_block"].clone(), String::new()));
                }
                "content_block_delta" => {
                    let delta = &data["delta"];
                    let text =
                        ["text", "thinking", "partial_json"].iter().find_map(|name| delta[*name].as_str());
                    blocks.last_mut().unwrap().1.push_str(text.unwrap_or_default());
                }
                _ => {}
            }
        }
        assert_eq!(
            blocks.iter().map(|(block, _)| block["type"].as_str().unwrap()).collect::<Vec<_>>(),
            kinds
        );
        let signed = events.iter().any(|(_, data)| data["delta"]["type"] == "signature_delta");
        assert_eq!(signed, kinds.contains(&"thinking"));
        let (last, text) = blocks.last().unwrap();
        let end = &events[events.len() - 2].1;
        if last["type"] == "tool_use" {
            assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({"city": "Paris"}));
            assert_eq!((&last["input"], &end["delta"]["stop_reason"]), (&json!({}), &json!("tool_use")));
        } else {
            assert_eq!(text::count(text), 32);
            assert_eq!(end["delta"]["stop_reason"], "end_turn");
        }
        assert_eq!(end["usage"]["output_tokens"], simulator.record().last().unwrap().completion_tokens);
    }
}

#[test]
fn tools_are_called_and_their_results_quoted() {
    let simulator = simulator(|_| {});
    let mut body = said("get_weather please", &json!({"tools": [weather()]}));
    let call = create(&simulator, &body).json();
    assert_eq!(call["stop_reason"], "tool_use");
    let block = &call["content"][0];
    assert_eq!((&block["name"], &block["input"]), (&json!("get_weather"), &json!({"city": "Paris"})));
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": call["content"]}));
    messages.push(json!({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": block["id"], "content": [{"type": "text", "text": "rain"}]}]}));
    let text = create(&simulator, &body).json();
    assert_eq!(text["stop_reason"], "end_turn");
    assert!(text["content"][0]["text"].as_str().unwrap().starts_with("The tool said: rain."), "{text}");
    body["messages"][2]["content"][0]["tool_use_id"] = json!("toolu_other");
    let error = create(&simulator, &body).json();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("messages.2.content.0: unexpected `tool_use_id`"), "{message}");
    body["messages"].as_array_mut().unwrap().pop();
    assert_eq!(create(&simulator, &body).status, 400, "a call without its result");
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let simulator = simulator(|_| {});
    let image = |source: Value| json!({"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]});
    for (extra, message) in [
        (json!({"max_tokens": 0}), "max_tokens: Input should be greater than or equal to 1"),
        (json!({"messages": []}), "messages: at least one message is required"),
        (json!({"frequency_penalty": 1}), "frequency_penalty: Extra inputs are not permitted"),
        (json!({"temperature": 1.5}), "temperature: range: 0..1"),
        (json!({"tool_choice": {"type": "any"}}), "tool_choice may only be specified while providing tools"),
        (
            json!({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}),
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
        ),
        (json!({"tools": [{"name": "a"}]}), "tools.0.custom.input_schema: Field required"),
        (
            json!({"tools": [{"name": "a", "parameters": {}}]}),
            "tools.0.custom.parameters: Extra inputs are not permitted",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x", "name": "y"}]}),
            "messages.0.name: Extra inputs are not permitted",
        ),
        (
            json!({"messages": [{"role": "tool", "content": "x"}]}),
            "messages.0.role: Input should be 'user' or 'assistant'",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}),
            "messages: text content blocks must be non-empty",
        ),
        (
            json!({"messages": [{"role": "user", "content": ""}]}),
            "messages.0: all messages must have non-empty content except for the optional final assistant message",
        ),
        (
            image(json!({"type": "base64", "media_type": "image/tiff", "data": "AAAA"})),
            "messages.0.content.0.image.source.base64.media_type: Input should be 'application/pdf', 'image/gif', 'image/jpeg', 'image/png' or 'image/webp'",
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 1}}),
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (json!({"stop_sequences": [" "]}), "stop_sequences: each stop sequence must contain non-whitespace"),
        (
            json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}),
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
        ),
    ] {
        let answer = create(&simulator, &said("hi", &extra));
        let value = answer.json();
        assert_eq!(answer.status, 400, "{extra}: {value}");
        assert_eq!(
            (&value["type"], &value["error"]["type"]),
            (&json!("error"), &json!("invalid_request_error"))
        );
        assert_eq!(value["error"]["message"], message, "{extra}");
        assert_eq!(value["request_id"].as_str(), answer.header("request-id"));
    }
    let mut body = said("hi", &json!({}));
    body.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(create(&simulator, &body).json()["error"]["message"], "max_tokens: Field required");
}

#[test]
fn lengths_stops_schemas_images_and_echo_are_respected() {
    let simulator = simulator(|_| {});
    let ends = |extra: Value| {
        let value = create(&simulator, &said("x", &extra)).json();
        (
            value["stop_reason"].clone(),
            value["stop_sequence"].clone(),
            value["usage"]["output_tokens"].clone(),
        )
    };
    assert_eq!(ends(json!({"max_tokens": 7})), (json!("max_tokens"), Value::Null, json!(7)));
    assert_eq!(
        ends(json!({"stop_sequences": ["comes"]})),
        (json!("stop_sequence"), json!("comes"), json!(3))
    );
    let text =
        |extra: Value| create(&simulator, &said("a \"b\"", &extra)).json()["content"][0]["text"].clone();
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["city"],
        "properties": {"city": {"type": "string"}}});
    assert_eq!(
        text(json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}})),
        "{\"city\":\"Paris\"}"
    );
    assert_eq!(text(json!({"model": "sim-echo"})), "a \"b\"");
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let seen =
        text(json!({"messages": [{"role": "user", "content": [image, {"type": "text", "text": "what?"}]}]}));
    assert!(seen.as_str().unwrap().starts_with("I see 1 image."), "{seen}");
}

#[test]
fn errors_have_their_status_type_and_headers() {
    let simulator = simulator(|settings| settings.retry_after = Some(std::time::Duration::from_secs(3)));
    for (status, kind, retry) in [
        (400, "invalid_request_error", "false"),
        (401, "authentication_error", "false"),
        (403, "permission_error", "false"),
        (404, "not_found_error", "false"),
        (413, "request_too_large", "false"),
        (429, "rate_limit_error", "true"),
        (500, "api_error", "true"),
        (529, "overloaded_error", "true"),
    ] {
        let answer = create(&simulator, &said("x", &json!({"model": format!("sim-error-{status}")})));
        assert_eq!((answer.status, answer.json()["error"]["type"].as_str()), (status, Some(kind)));
        assert_eq!(answer.header("x-should-retry"), Some(retry));
        assert_eq!(answer.header("retry-after"), (status == 429).then_some("3"));
    }
    let of = |model: &str| {
        create(&simulator, &said("x", &json!({"model": model}))).json()["error"]["message"].clone()
    };
    assert_eq!(of("no-such-model"), "model: no-such-model");
    assert!(of("sim-error-context").as_str().unwrap().starts_with("prompt is too long"));
    let body = said("x", &json!({})).to_string();
    let with = |fields: &str| {
        let bytes = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n{fields}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(&simulator, &bytes);
        (answer.status, answer.json()["error"]["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(with(""), (401, "x-api-key header is required".into()));
    assert_eq!(with("authorization: Bearer sk-1\r\n"), (400, "anthropic-version: header is required".into()));
    assert_eq!(with("x-api-key: k\r\n"), (400, "anthropic-version: header is required".into()));
}

#[test]
fn limits_faults_and_models_are_those_of_the_settings() {
    let key = KeyLimits { key: "sk-ant-1".into(), req_per_min: Some(2), ..KeyLimits::default() };
    let simulator = simulator(|settings| settings.keys = vec![key]);
    let first = create(&simulator, &said("x", &json!({})));
    assert_eq!(first.header("anthropic-ratelimit-requests-remaining"), Some("1"));
    let stream = create(&simulator, &said("x", &json!({"stream": true, "model": "sim-stream-error"})));
    assert_eq!(events(&stream).last().unwrap().1["error"]["type"], "overloaded_error");
    let refused = create(&simulator, &said("x", &json!({})));
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")));
    assert!(!simulator.record()[1].complete);
    let list = ask(&simulator, "GET", "/v1/models?limit=2", &Value::Null).json();
    assert_eq!((list["data"].as_array().unwrap().len(), &list["has_more"]), (2, &json!(true)));
    let path = format!("/v1/models?limit=99&after_id={}", list["last_id"].as_str().unwrap());
    let rest = ask(&simulator, "GET", &path, &Value::Null).json();
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["has_more"]), (3, &json!(false)));
    assert_eq!(
        ask(&simulator, "GET", "/v1/models/claude-x", &Value::Null).json()["display_name"],
        "claude-x"
    );
}

#[test]
fn ends_that_are_missing_are_missing() {
    let simulator = simulator(|_| {});
    let stream = |model: &str| create(&simulator, &said("x", &json!({"stream": true, "model": model}))).body;
    assert!(
        stream("sim-no-done").contains("message_delta") && !stream("sim-no-done").contains("message_stop")
    );
    assert!(stream("sim-no-blank").ends_with("{\"type\":\"message_stop\"}\n"));
    assert!(stream("sim-no-blank-usage").ends_with("}}"));
    assert!(stream("sim-comments").matches("event: ping").count() > 2);
}
