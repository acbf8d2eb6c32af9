//! Requests of OpenAI's clients as Converse gets them.

use serde_json::{Value, json};

use super::*;
use crate::dialect::chat::Message;
use crate::dialect::openai::chat::read_request;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const NOVA: &str = "amazon.nova-lite-v1:0";
const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";

fn write(body: &Value, model: &str, drop: bool) -> Result<(Value, Vec<String>), Refused> {
    let body = body.to_string();
    let request = read_request(body.as_bytes()).unwrap();
    let (mut losses, mut out) = (Losses::new(drop), Vec::new());
    write_request(&request, model, 4096, &mut losses, &mut out)?;
    let dropped = losses.dropped().iter().map(ToString::to_string).collect();
    Ok((serde_json::from_slice(&out).unwrap(), dropped))
}

/// `more` beside a message of the user.
fn with(more: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[test]
fn messages_become_turns_of_blocks() {
    let png = "data:image/png;base64,iVBORw0KGgo=";
    let body = json!({"model": "m", "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": png}},
            {"type": "image_url", "image_url": {"url": "s3://bucket/a.jpg"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a_b.pdf"}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]},
        {"role": "assistant", "content": "I'll look.", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1.50}"}},
            {"id": "not one/of theirs", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "23 degrees"},
        {"role": "tool", "tool_call_id": "not one/of theirs", "content": ""},
        {"role": "developer", "content": [{"type": "text", "text": "In English."}]},
        {"role": "user", "content": " \n"},
        {"role": "user", "content": "And now?"}],
        "tools": [{"type": "function", "function": {"name": "f"}}]});
    let (sent, _) = write(&body, CLAUDE, false).unwrap();
    assert_eq!(sent["system"], json!([{"text": "Be brief."}, {"text": "In English."}]));
    let other = sent["messages"][1]["content"][2]["toolUse"]["toolUseId"].clone();
    assert!(other.as_str().unwrap().starts_with("call_") && other != "call_1", "{other}");
    let wanted = json!([
        {"role": "user", "content": [
            {"text": "What is it?"},
            {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}},
            {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.jpg"}}}},
            {"document": {"format": "pdf", "name": "a b", "source": {"bytes": "JVBERi0="}}},
            {"audio": {"format": "wav", "source": {"bytes": "UklGRg=="}}}]},
        {"role": "assistant", "content": [
            {"text": "I'll look."},
            {"toolUse": {"toolUseId": "call_1", "name": "f", "input": {"a": 1.5}}},
            {"toolUse": {"toolUseId": other, "name": "g", "input": {}}}]},
        {"role": "user", "content": [
            {"toolResult": {"toolUseId": "call_1", "content": [{"text": "23 degrees"}]}},
            {"toolResult": {"toolUseId": other, "content": []}},
            {"text": "And now?"}]},
    ]);
    assert_eq!(sent["messages"], wanted);
}

#[test]
fn thoughts_go_back_with_their_signatures() {
    let mut said = crate::dialect::claude::inbound::read_request(
        br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[
            {"type":"thinking","thinking":"t","signature":"s"},
            {"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[
            {"type":"tool_result","tool_use_id":"c","content":"no","is_error":true}]}],
            "tools":[{"name":"f","input_schema":{"type":"object"}}]}"#,
    )
    .unwrap();
    if let Some(Message::Assistant(said)) = said.messages.get_mut(1) {
        said.reasoning.push(("".into(), Some("redacted_thinking:AAEC".into())));
    }
    let mut out = Vec::new();
    write_request(&said, CLAUDE, 4096, &mut Losses::new(false), &mut out).unwrap();
    let sent: Value = serde_json::from_slice(&out).unwrap();
    let wanted = json!([
        {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "AAEC"}},
        {"toolUse": {"toolUseId": "c", "name": "f", "input": {}}}]);
    assert_eq!(sent["messages"][1]["content"], wanted);
    let wanted = json!([{"toolResult": {"toolUseId": "c", "content": [{"text": "no"}], "status": "error"}}]);
    assert_eq!(sent["messages"][2]["content"], wanted);
}

#[test]
fn parameters_go_where_the_model_has_them() {
    let tools = json!([{"type": "function", "function": {"name": "f", "description": "d",
        "parameters": {"properties": {"a": {}}}, "strict": true}}]);
    let spec = |strict: bool| {
        let mut spec = json!({"name": "f", "description": "d",
            "inputSchema": {"json": {"type": "object", "properties": {"a": {}}}}});
        if strict {
            spec["strict"] = true.into();
        }
        json!([{"toolSpec": spec}])
    };
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}});
    let text_format = json!({"type": "json_schema",
        "structure": {"jsonSchema": {"name": "n", "schema": "{\"type\":\"object\"}"}}});
    for (model, asked, wanted, dropped) in [
        (NOVA, json!({}), json!({}), vec![]),
        (
            NOVA,
            json!({"max_tokens": 5, "temperature": 1, "top_p": 0.5, "stop": ["x", " "], "top_k": 3, "n": 1,
                "stream_options": {"include_usage": true}, "stream": true, "store": false, "seed": null}),
            json!({"inferenceConfig": {"maxTokens": 5, "temperature": 1, "topP": 0.5, "stopSequences": ["x", " "]},
                "additionalModelRequestFields": {"inferenceConfig": {"topK": 3}}}),
            vec![],
        ),
        (
            CLAUDE,
            json!({"temperature": 1.0, "top_p": 0.5, "stop": ["x", " "], "top_k": 3, "parallel_tool_calls": true}),
            json!({"inferenceConfig": {"topP": 0.5, "stopSequences": ["x"]},
                "additionalModelRequestFields": {"top_k": 3}}),
            vec!["stop"],
        ),
        (
            CLAUDE,
            json!({"temperature": 0.2, "top_p": 0.5}),
            json!({"inferenceConfig": {"temperature": 0.2}}),
            vec!["top_p"],
        ),
        (LLAMA, json!({"temperature": 1.5, "top_k": 3}), json!({}), vec!["temperature", "top_k"]),
        (
            "mistral.mistral-large-2407-v1:0",
            json!({"top_k": 3}),
            json!({"additionalModelRequestFields": {"top_k": 3}}),
            vec![],
        ),
        (
            "cohere.command-r-v1:0",
            json!({"top_k": 3}),
            json!({"additionalModelRequestFields": {"k": 3}}),
            vec![],
        ),
        (
            CLAUDE,
            json!({"reasoning_effort": "low", "max_tokens": 10_000}),
            json!({"inferenceConfig": {"maxTokens": 10_000},
                "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2000}}}),
            vec![],
        ),
        (
            "global.anthropic.claude-opus-4-7-v1",
            json!({"reasoning_effort": "xhigh", "response_format": format}),
            json!({"additionalModelRequestFields": {"thinking": {"type": "adaptive", "display": "summarized"}},
                "outputConfig": {"effort": "xhigh", "textFormat": text_format}}),
            vec![],
        ),
        (
            "us.amazon.nova-2-lite-v1:0",
            json!({"reasoning_effort": "high"}),
            json!({"additionalModelRequestFields": {"reasoningConfig":
                {"type": "enabled", "maxReasoningEffort": "high"}}}),
            vec![],
        ),
        (
            "openai.gpt-oss-120b-1:0",
            json!({"reasoning_effort": "minimal", "response_format": format}),
            json!({"additionalModelRequestFields": {"reasoning_effort": "low"},
                "outputConfig": {"textFormat": text_format}}),
            vec![],
        ),
        (NOVA, json!({"reasoning_effort": "low"}), json!({}), vec!["reasoning_effort"]),
        (LLAMA, json!({"response_format": format}), json!({}), vec!["response_format"]),
        (CLAUDE, json!({"response_format": {"type": "json_object"}}), json!({}), vec!["response_format"]),
        (CLAUDE, json!({"tools": tools}), json!({"toolConfig": {"tools": spec(true)}}), vec![]),
        (
            NOVA,
            json!({"tools": tools, "tool_choice": "required"}),
            json!({"toolConfig": {"tools": spec(false), "toolChoice": {"any": {}}}}),
            vec!["tools[0].function.strict"],
        ),
        (
            CLAUDE,
            json!({"tools": tools, "tool_choice": {"type": "function", "function": {"name": "f"}},
                "parallel_tool_calls": false}),
            json!({"toolConfig": {"tools": spec(true), "toolChoice": {"tool": {"name": "f"}}}}),
            vec!["parallel_tool_calls"],
        ),
        (
            CLAUDE,
            json!({"tools": tools, "tool_choice": "auto"}),
            json!({"toolConfig": {"tools": spec(true)}}),
            vec![],
        ),
        (CLAUDE, json!({"tools": tools, "tool_choice": "none"}), json!({}), vec![]),
        (
            NOVA,
            json!({"seed": 1, "logprobs": true, "frequency_penalty": 1, "presence_penalty": 0, "logit_bias": {"1": 1}}),
            json!({}),
            vec!["frequency_penalty", "seed", "logprobs", "logit_bias"],
        ),
        (
            NOVA,
            json!({"user": "u-1", "service_tier": "flex",
                "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}),
            json!({"requestMetadata": {"user": "u-1"}, "serviceTier": {"type": "flex"},
                "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}),
            vec![],
        ),
        (
            NOVA,
            json!({"user": "u", "requestMetadata": {"team": "a"}, "service_tier": "auto"}),
            json!({"requestMetadata": {"team": "a"}}),
            vec!["user"],
        ),
        (NOVA, json!({"user": "ü"}), json!({}), vec!["user"]),
    ] {
        let (mut sent, lost) = write(&with(&asked), model, true).unwrap();
        let messages = sent.as_object_mut().unwrap().remove("messages");
        assert_eq!(messages, Some(json!([{"role": "user", "content": [{"text": "hi"}]}])));
        assert_eq!(
            (sent, lost),
            (wanted, dropped.iter().map(ToString::to_string).collect()),
            "{model} {asked}"
        );
        if let [first, ..] = dropped[..] {
            assert_eq!(write(&with(&asked), model, false).is_err(), first != "user", "{first}");
        }
    }
}

#[test]
fn what_cannot_be_sent_is_refused_by_name() {
    let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    let called = json!([{"role": "user", "content": "a"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "[]"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "r"}]);
    let mut fine = called.clone();
    fine[1]["tool_calls"][0]["function"]["arguments"] = "{}".into();
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for (asked, param) in [
        (
            part(json!({"type": "image_url", "image_url": {"url": "https://a.example/a.png"}})),
            "messages[0].content[0]",
        ),
        (part(json!({"type": "image_url", "image_url": {"url": "s3://b/a"}})), "messages[0].content[0]"),
        (
            part(json!({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}})),
            "messages[0].content[0]",
        ),
        (part(json!({"type": "file", "file": {"file_id": "file-1"}})), "messages[0].content[0]"),
        (
            part(json!({"type": "file", "file": {"file_data": "data:application/zip;base64,AAAA"}})),
            "messages[0].content[0]",
        ),
        (json!({"messages": called, "tools": tools}), "messages[1].tool_calls[0].function.arguments"),
        (json!({"messages": fine}), "tools"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"n": 2}), "n"),
        (json!({"messages": [{"role": "user", "content": ""}]}), "messages"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}),
            "tools[0].function.parameters",
        ),
    ] {
        assert_eq!(write(&with(&asked), CLAUDE, true).unwrap_err().param, param, "{asked}");
    }
    for model in [".", ".."] {
        assert_eq!(write(&with(&json!({})), model, true).unwrap_err().param, "model");
    }
    // It cannot be forbidden what was done before.
    let asked = json!({"messages": fine, "tools": tools, "tool_choice": "none"});
    assert_eq!(write(&with(&asked), CLAUDE, true).unwrap().1, ["tool_choice"]);
}
