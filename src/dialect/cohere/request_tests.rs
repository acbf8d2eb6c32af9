//! What Cohere is asked, for what a client asks.

use serde_json::{Value, json};

use super::*;
use crate::dialect::claude::inbound;
use crate::dialect::openai::chat::read_request;

fn written(body: &Value, model: &str, losses: &mut Losses) -> Result<Value, Refused> {
    let body = body.to_string();
    let request = read_request(body.as_bytes())?;
    let mut out = Vec::new();
    write_request(&request, model, losses, &mut out)?;
    Ok(serde_json::from_slice(&out).unwrap())
}

/// A request of one message and these members.
fn with(members: Value) -> Value {
    let mut body = json!({"model": "x", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// What is sent beside the model and that message.
fn members(body: Value, model: &str) -> Result<Value, Refused> {
    let mut sent = written(&with(body), model, &mut Losses::new(false))?;
    let members = sent.as_object_mut().unwrap();
    assert_eq!(members.remove("model"), Some(model.into()));
    assert_eq!(members.remove("messages"), Some(json!([{"role": "user", "content": "hi"}])));
    Ok(sent)
}

fn messages(messages: Value, model: &str) -> Result<Value, Refused> {
    written(&json!({"model": "x", "messages": messages}), model, &mut Losses::new(false))
}

const PLAIN: &str = "command-a-03-2025";
const THINKING: &str = "command-a-reasoning-08-2025";

#[test]
fn parameters_have_coheres_names_and_scales() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "strict": true}});
    let bare = json!({"type": "object", "properties": {}});
    let sent_tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": bare}});
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    for (asked, model, sent) in [
        (json!({"stream": true, "stream_options": {"include_usage": true}}), PLAIN, json!({"stream": true})),
        (
            json!({"max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.5, "top_k": 4, "seed": -7,
                "frequency_penalty": 1, "presence_penalty": 0, "stop": ["a", "b"], "logprobs": true}),
            PLAIN,
            json!({"max_tokens": 9, "temperature": 0.5, "p": 0.5, "k": 4, "seed": 7, "frequency_penalty": 1,
                "presence_penalty": 0, "stop_sequences": ["a", "b"], "logprobs": true}),
        ),
        (
            json!({"top_p": 1, "n": 1, "store": false, "logprobs": false, "stop": "x"}),
            PLAIN,
            json!({"p": 0.99, "stop_sequences": ["x"]}),
        ),
        (json!({"top_p": 0}), PLAIN, json!({"p": 0.01})),
        (json!({"response_format": {"type": "text"}}), PLAIN, json!({})),
        (
            json!({"response_format": {"type": "json_object"}}),
            PLAIN,
            json!({"response_format": {"type": "json_object"}}),
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}),
            PLAIN,
            json!({"response_format": {"type": "json_object", "json_schema": schema}}),
        ),
        (
            json!({"tools": [tool("f"), tool("g")], "tool_choice": "required"}),
            PLAIN,
            json!({"tools": [sent_tool("f"), sent_tool("g")], "strict_tools": true, "tool_choice": "REQUIRED"}),
        ),
        (
            json!({"tools": [tool("f")], "tool_choice": "none"}),
            PLAIN,
            json!({"tools": [sent_tool("f")], "strict_tools": true, "tool_choice": "NONE"}),
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}, tool("g")],
                "tool_choice": {"type": "function", "function": {"name": "f"}}}),
            PLAIN,
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
                "tool_choice": "REQUIRED"}),
        ),
        (json!({"tools": [], "tool_choice": "auto"}), PLAIN, json!({})),
        (json!({"reasoning_effort": "none"}), PLAIN, json!({})),
        (json!({"reasoning_effort": "none"}), THINKING, json!({"thinking": {"type": "disabled"}})),
        (
            json!({"reasoning_effort": "low"}),
            THINKING,
            json!({"thinking": {"type": "enabled", "token_budget": 1024}}),
        ),
        (json!({"reasoning_effort": "high"}), THINKING, json!({"thinking": {"type": "enabled"}})),
        (
            json!({"reasoning": {"max_tokens": 99}}),
            THINKING,
            json!({"thinking": {"type": "enabled", "token_budget": 99}}),
        ),
        (
            json!({"documents": [{"data": {"text": "t"}}], "citation_options": {"mode": "FAST"},
                "safety_mode": "STRICT", "priority": 3}),
            PLAIN,
            json!({"documents": [{"data": {"text": "t"}}], "citation_options": {"mode": "FAST"},
                "safety_mode": "STRICT", "priority": 3}),
        ),
    ] {
        assert_eq!(members(asked.clone(), model), Ok(sent), "{asked}");
    }
}

#[test]
fn what_cohere_lacks_is_named() {
    let tools = json!([{"type": "function", "function": {"name": "f", "strict": true}},
        {"type": "function", "function": {"name": "g"}}]);
    let cases = [
        (json!({"temperature": 1.5}), "temperature"),
        (json!({"top_p": 1.5}), "top_p"),
        (json!({"top_k": 501}), "top_k"),
        (json!({"frequency_penalty": -0.5}), "frequency_penalty"),
        (json!({"presence_penalty": 2}), "presence_penalty"),
        (json!({"logprobs": true, "top_logprobs": 2}), "top_logprobs"),
        (json!({"stop": ["1", "2", "3", "4", "5", "6"]}), "stop"),
        (json!({"reasoning_effort": "low"}), "reasoning_effort"),
        (json!({"logit_bias": {"1": 2}}), "logit_bias"),
        (json!({"service_tier": "flex"}), "service_tier"),
        (json!({"tools": tools}), "tools[0].function.strict"),
        (
            json!({"tools": tools, "tool_choice": {"type": "function", "function": {"name": "g"}},
            "parallel_tool_calls": false}),
            "parallel_tool_calls",
        ),
        (json!({"tools": [tools[0]], "response_format": {"type": "json_object"}}), "response_format"),
    ];
    let mut losses = Losses::new(false);
    written(&with(json!({"user": "u"})), PLAIN, &mut losses).unwrap();
    assert_eq!(losses.dropped(), ["user"]);
    for (asked, param) in cases {
        assert_eq!(members(asked.clone(), PLAIN).unwrap_err().param, param, "{asked}");
        let mut losses = Losses::new(true);
        written(&with(asked.clone()), PLAIN, &mut losses).unwrap();
        assert_eq!(losses.dropped(), [param], "{asked}");
    }
    for (asked, param) in [
        (json!({"n": 2}), "n"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (
            json!({"tools": tools, "tool_choice": {"type": "function", "function": {"name": "h"}}}),
            "tool_choice",
        ),
        (json!({"documents": "x"}), "documents"),
    ] {
        let refused = written(&with(asked.clone()), PLAIN, &mut Losses::new(true)).unwrap_err();
        assert_eq!(refused.param, param, "{asked}");
    }
}

#[test]
fn conversations_keep_their_order_and_forms() {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let asked = json!([
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [
            {"type": "text", "text": "what"},
            {"type": "text", "text": ""},
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAAA", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
            {"type": "file", "file": {"file_data": "data:text/csv;base64,YSxi", "filename": "t.csv"}}]},
        {"role": "assistant", "content": null, "reasoning_content": "I will call.",
         "tool_calls": [call("a b", "{\"x\": 1}"), call("2", "")]},
        {"role": "tool", "tool_call_id": "a b", "content": "{\"sky\": \"clear\"}"},
        {"role": "tool", "tool_call_id": "2", "content": ""},
        {"role": "assistant", "content": "Clear.", "refusal": "No more."},
        {"role": "user", "content": ""},
        {"role": "user", "content": "thanks"},
    ]);
    let said = json!([
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [
            {"type": "text", "text": "what"},
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]},
        {"role": "assistant", "tool_plan": "I will call.", "tool_calls": [call("a b", "{\"x\": 1}"), call("2", "{}")]},
        {"role": "tool", "tool_call_id": "a b", "content": "{\"sky\": \"clear\"}"},
        {"role": "tool", "tool_call_id": "2", "content": "{}"},
        {"role": "assistant", "content": [{"type": "text", "text": "Clear."}, {"type": "text", "text": "No more."}]},
        {"role": "user", "content": "thanks"},
    ]);
    let sent = messages(asked.clone(), PLAIN).unwrap();
    assert_eq!(sent["messages"], said);
    assert_eq!(sent["documents"], json!([{"data": {"title": "t.csv", "text": "a,b"}}]));
    let sent = messages(asked, THINKING).unwrap();
    let thought = json!([{"type": "thinking", "thinking": "I will call."}]);
    assert_eq!(
        (&sent["messages"][2]["content"], &sent["messages"][2]["tool_plan"]),
        (&thought, &Value::Null)
    );
}

#[test]
fn content_that_cannot_be_sent_is_refused() {
    let user = |part: Value| json!([{"role": "user", "content": [{"type": "text", "text": "a"}, part]}]);
    let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "[1"}});
    for (asked, param) in [
        (
            user(json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}})),
            "messages[0].content[1]",
        ),
        (user(json!({"type": "file", "file": {"file_id": "f"}})), "messages[0].content[1]"),
        (
            user(
                json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "f"}}),
            ),
            "messages[0].content[1]",
        ),
        (
            json!([{"role": "user", "content":
                [{"type": "file", "file": {"file_data": "data:text/plain;base64,YQ==", "filename": "f"}}]}]),
            "messages[0].content",
        ),
        (json!([{"role": "user", "content": ""}]), "messages"),
        (
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [call]}]),
            "messages[1].tool_calls[0].function.arguments",
        ),
    ] {
        assert_eq!(messages(asked.clone(), PLAIN).unwrap_err().param, param, "{asked}");
    }
}

#[test]
fn anthropics_clients_are_heard_too() {
    let body = json!({"model": "x", "max_tokens": 2000, "system": "s", "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [{"role": "user", "content": "a"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "is_error": true,
                "content": [{"type": "text", "text": "no"}]}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"}})
    .to_string();
    let request = inbound::read_request(body.as_bytes()).unwrap();
    let mut out = Vec::new();
    write_request(&request, THINKING, &mut Losses::new(false), &mut out).unwrap();
    let sent: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "s"}));
    let result = json!([{"type": "text", "text": "The call failed."}, {"type": "text", "text": "no"}]);
    assert_eq!(sent["messages"][3], json!({"role": "tool", "tool_call_id": "1", "content": result}));
    assert_eq!(sent["thinking"], json!({"type": "enabled", "token_budget": 1024}));
    assert_eq!((&sent["max_tokens"], &sent["tool_choice"]), (&2000.into(), &"REQUIRED".into()));
}
