use super::*;
use serde_json::json;

fn error(body: &Value) -> ApiError {
    parsed(body.to_string().as_bytes()).unwrap_err()
}

#[test]
fn the_scan_reads_what_the_parser_reads() {
    for body in [
        r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#,
        r#" { "messages" : [ {"role":"system","content":"be \"brief\""}, {"content":"hi","role":"user","name":"x"} ],
            "model" : "m/1", "temperature": 0.5, "max_tokens": 7, "seed": -3, "n": 1, "top_p": 1 } "#,
        r#"{"model":"m","messages":[{"role":"user","content":"é"}],"stream":true,"stream_options":{"include_usage":true}}"#,
    ] {
        let fast = scanned(body.as_bytes()).unwrap();
        let full = parsed(body.as_bytes()).unwrap();
        assert_eq!(fast.model, full.model);
        assert_eq!(
            (fast.stream, fast.include_usage, fast.n, fast.max_tokens, fast.seed),
            (full.stream, full.include_usage, full.n, full.max_tokens, full.seed)
        );
        assert!(
            fast.prompt_tokens.abs_diff(full.prompt_tokens) <= 1,
            "escapes are counted as they are written"
        );
        assert!(fast.rare.is_none());
    }
}

#[test]
fn the_scan_leaves_the_rest_to_the_parser() {
    for body in [
        r#"{"messages":[{"role":"user","content":"hi"}]}"#,
        r#"{"model":5,"messages":[{"role":"user","content":"hi"}]}"#,
        r#"{"model":"m","messages":[]}"#,
        r#"{"model":"m","messages":[{"role":"king","content":"hi"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":["hi"]}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":3}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":0}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream_options":{"include_usage":true}}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}]"#,
        "",
    ] {
        assert!(scanned(body.as_bytes()).is_none(), "{body}");
    }
}

#[test]
fn faults_of_a_request_are_named_by_parameter() {
    let user = json!([{"role": "user", "content": "hi"}]);
    for (body, param, code) in [
        (json!({"messages": user}), None, None),
        (json!({"model": 5, "messages": user}), Some("model"), Some("invalid_type")),
        (json!({"model": "m"}), Some("messages"), Some("missing_required_parameter")),
        (json!({"model": "m", "messages": "hi"}), Some("messages"), Some("invalid_type")),
        (json!({"model": "m", "messages": []}), Some("messages"), Some("empty_array")),
        (json!({"model": "m", "messages": ["hi"]}), Some("messages[0]"), Some("invalid_type")),
        (
            json!({"model": "m", "messages": [{"role": "king", "content": "x"}]}),
            Some("messages[0].role"),
            Some("invalid_value"),
        ),
        (
            json!({"model": "m", "messages": [{"role": "user"}]}),
            Some("messages[0].content"),
            Some("missing_required_parameter"),
        ),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "smell"}]}]}),
            Some("messages[0].content[0].type"),
            Some("invalid_value"),
        ),
        (
            json!({"model": "m", "messages": [{"role": "tool", "content": "x"}]}),
            Some("messages[0].tool_call_id"),
            Some("missing_required_parameter"),
        ),
        (
            json!({"model": "m", "messages": user, "temperature": "hot"}),
            Some("temperature"),
            Some("invalid_type"),
        ),
        (
            json!({"model": "m", "messages": user, "temperature": 3}),
            Some("temperature"),
            Some("decimal_above_max_value"),
        ),
        (json!({"model": "m", "messages": user, "n": 0}), Some("n"), Some("integer_below_min_value")),
        (
            json!({"model": "m", "messages": user, "max_tokens": 1.5}),
            Some("max_tokens"),
            Some("invalid_type"),
        ),
        (json!({"model": "m", "messages": user, "stream": "yes"}), Some("stream"), Some("invalid_type")),
        (json!({"model": "m", "messages": user, "stream_options": {}}), Some("stream_options"), None),
        (json!({"model": "m", "messages": user, "top_logprobs": 2}), Some("top_logprobs"), None),
        (json!({"model": "m", "messages": user, "tool_choice": "auto"}), Some("tool_choice"), None),
        (
            json!({"model": "m", "messages": user, "tools": [{"type": "function", "function": {}}]}),
            Some("tools[0].function.name"),
            Some("missing_required_parameter"),
        ),
        (
            json!({"model": "m", "messages": user, "response_format": {"type": "xml"}}),
            Some("response_format.type"),
            Some("invalid_value"),
        ),
        (
            json!({"model": "m", "messages": user, "stop": ["a", "b", "c", "d", "e"]}),
            Some("stop"),
            Some("array_above_max_length"),
        ),
    ] {
        let error = error(&body);
        assert_eq!((error.status, error.param.as_deref(), error.code), (400, param, code), "{body}");
        assert_eq!(error.kind, "invalid_request_error");
    }
    assert!(parsed(b"{").unwrap_err().message.starts_with("We could not parse the JSON body"));
}

#[test]
fn tools_are_called_where_they_may_and_must() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let tools = json!([tool("get_weather"), tool("get_time")]);
    let user = |text: &str| json!([{"role": "user", "content": text}]);
    let after = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": []},
        {"role": "tool", "tool_call_id": "c", "content": "22 degrees"}]);
    for (messages, extra, called) in [
        (user("hi"), json!({}), vec!["get_weather"]),
        (user("use get_time"), json!({}), vec!["get_time"]),
        (user("get_time and get_weather"), json!({}), vec!["get_weather", "get_time"]),
        (user("get_time and get_weather"), json!({"parallel_tool_calls": false}), vec!["get_weather"]),
        (user("hi"), json!({"tool_choice": "none"}), vec![]),
        (after.clone(), json!({}), vec![]),
        (after.clone(), json!({"tool_choice": "required"}), vec!["get_weather"]),
        (
            after.clone(),
            json!({"tool_choice": {"type": "function", "function": {"name": "get_time"}}}),
            vec!["get_time"],
        ),
    ] {
        let mut body = json!({"model": "m", "messages": messages, "tools": tools});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let chat = parsed(body.to_string().as_bytes()).unwrap();
        let names: Vec<String> = match chat.rare.unwrap().wanted {
            Wanted::Calls(calls) => calls.into_iter().map(|(name, _)| name).collect(),
            Wanted::Preface(text) => {
                assert!(text.contains("22 degrees"));
                Vec::new()
            }
            _ => Vec::new(),
        };
        assert_eq!(names, called, "{body}");
    }
}
