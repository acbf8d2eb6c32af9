use serde_json::json;

use super::*;
use crate::dialect::chat::{Losses, Message, Part, Source};
use crate::dialect::openai::chat::{Family, Target, write_request};

fn refused(body: &serde_json::Value) -> Refused {
    read_request(body.to_string().as_bytes()).unwrap_err()
}

/// A request with these members beside the required ones.
fn with(more: serde_json::Value) -> serde_json::Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn a_conversation_with_tools() {
    let body = include_bytes!("../fixtures/conversation.json");
    let request = read_request(body).unwrap();
    assert_eq!(request.model, "command-a-03-2025");
    assert!(request.stream && request.include_usage);
    let [system, user, said, first, second] = &request.messages[..] else { panic!("{:?}", request.messages) };
    assert!(
        matches!(system, Message::System(parts) if matches!(&parts[..], [Part::Text(text)] if text == "Be brief."))
    );
    let Message::User(parts) = user else { panic!("{user:?}") };
    let [Part::Text(text), Part::Image(url), Part::Image(data)] = &parts[..] else { panic!("{parts:?}") };
    assert_eq!(text, "What's this? é");
    assert!(matches!(&url.source, Source::Url(url) if url == "https://x.example/a.png"));
    assert_eq!(url.detail.as_deref(), Some("low"));
    assert!(
        matches!(&data.source, Source::Data { media_type, data } if media_type == "image/png" && data == "AAAA")
    );
    let Message::Assistant(said) = said else { panic!("{said:?}") };
    assert_eq!(said.reasoning, [("I will look.".into(), None), ("Hm.".into(), Some("s".into()))]);
    assert!(matches!(&said.parts[..], [Part::Text(text)] if text == "Wait."));
    let calls: Vec<_> = said.calls.iter().map(|call| (&*call.id, &*call.name, &*call.arguments)).collect();
    assert_eq!(calls, [("c1", "get_weather", "{\"city\":\"Paris\"}"), ("c2", "now", "")]);
    let Message::Tool { call_id, parts, is_error: false } = first else { panic!("{first:?}") };
    assert_eq!(call_id, "c1");
    let texts: Vec<_> = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => &**text,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["rain", r#"{"sky": "grey", "t": 1.50}"#, "plain"]);
    assert!(matches!(second, Message::Tool { call_id, parts, .. } if call_id == "c2" && parts.len() == 1));
    let [tool] = &request.tools[..] else { panic!("{:?}", request.tools) };
    assert_eq!(
        (&*tool.name, tool.description.as_deref(), tool.strict),
        ("get_weather", Some("d"), Some(true))
    );
    assert_eq!(request.tool_choice, Some(ToolChoice::Required));
    assert_eq!((request.max_tokens, request.seed), (Some(99), Some(7)));
    assert_eq!((request.temperature, request.top_p, request.top_k), (Some(0.3), Some(0.75), Some(40)));
    assert_eq!((request.frequency_penalty, request.presence_penalty), (Some(0.5), Some(0.25)));
    assert_eq!(request.stop, ["END"]);
    assert_eq!(request.logprobs, Some(true));
    assert_eq!(request.reasoning_tokens, Some(2048));
    assert!(request.other.is_empty(), "{:?}", request.other);
}

#[test]
fn forms_of_the_answer_and_thinking() {
    for (format, wanted) in [
        (json!({"type": "text"}), "Text"),
        (json!({"type": "json_object"}), "JsonObject"),
        (json!({"type": "json_object", "json_schema": null}), "JsonObject"),
        (json!({"type": "json_object", "json_schema": {"type": "object"}}), "JsonSchema"),
        (json!({"type": "json_object", "schema": {"type": "object"}}), "JsonSchema"),
    ] {
        let body = with(json!({"response_format": format})).to_string();
        let read = format!("{:?}", read_request(body.as_bytes()).unwrap().response_format.unwrap());
        assert_eq!(read.split(' ').next(), Some(wanted), "{format}");
    }
    for (thinking, effort, tokens) in [
        (json!({"type": "disabled"}), None, None),
        (json!({"type": "enabled"}), Some(Effort::High), None),
        (json!({"type": "enabled", "token_budget": 5}), None, Some(5)),
    ] {
        let body = with(json!({"thinking": thinking})).to_string();
        let request = read_request(body.as_bytes()).unwrap();
        assert_eq!((request.reasoning_effort, request.reasoning_tokens), (effort, tokens), "{thinking}");
    }
    let body = with(json!({"k": 0, "logprobs": false, "strict_tools": false, "seed": null})).to_string();
    let request = read_request(body.as_bytes()).unwrap();
    assert_eq!((request.top_k, request.logprobs, request.seed), (None, None, None));
}

#[test]
fn what_is_coheres_own_is_named_where_it_asks_for_something() {
    for (member, value, named) in [
        ("documents", json!([]), false),
        ("documents", json!(["a"]), true),
        ("citation_options", json!({"mode": "OFF"}), false),
        ("citation_options", json!({"mode": "FAST"}), true),
        ("safety_mode", json!("CONTEXTUAL"), false),
        ("safety_mode", json!("STRICT"), true),
        ("priority", json!(0), false),
        ("priority", json!(3), true),
        ("k", json!(5), true),
    ] {
        let body = with(json!({member: value})).to_string();
        let request = read_request(body.as_bytes()).unwrap();
        let to = Target {
            model: "m",
            provider: "p",
            ask_usage: false,
            max_completion_tokens: true,
            family: Family::OpenAi,
        };
        let write = |drop| {
            let mut losses = Losses::new(drop).with_names(super::super::NAMES);
            write_request(&request, &to, &mut losses, &mut Vec::new()).map(|()| losses)
        };
        assert_eq!(write(false).err().map(|refused| refused.param), named.then(|| member.into()), "{body}");
        assert_eq!(write(true).unwrap().dropped().len(), usize::from(named), "{body}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let message = |message: serde_json::Value| with(json!({"messages": [message]}));
    for (body, param) in [
        (json!({"messages": []}), "model"),
        (json!({"model": "m"}), "messages"),
        (with(json!({"p": "x"})), "p"),
        (with(json!({"tool_choice": "AUTO"})), "tool_choice"),
        (with(json!({"thinking": {"type": "some"}})), "thinking"),
        (with(json!({"response_format": {"type": "xml"}})), "response_format"),
        (with(json!({"response_format": {"type": "text", "json_schema": {}}})), "response_format"),
        (with(json!({"tools": [{"type": "search"}]})), "tools[0]"),
        (with(json!({"tools": [{"type": "function", "function": {}}]})), "tools[0].function.name"),
        (message(json!({"role": "robot", "content": "a"})), "messages[0].role"),
        (message(json!({"role": "user"})), "messages[0].content"),
        (message(json!({"role": "user", "content": {}})), "messages[0].content"),
        (message(json!({"role": "tool", "content": "a"})), "messages[0].tool_call_id"),
        (message(json!({"role": "user", "content": [{"type": "text"}]})), "messages[0].content[0].text"),
        (
            message(json!({"role": "user", "content": [{"type": "document", "document": {"data": "a"}}]})),
            "messages[0].content[0]",
        ),
        (
            message(json!({"role": "assistant", "tool_calls": [{"id": "c"}]})),
            "messages[0].tool_calls[0].function",
        ),
    ] {
        assert_eq!(refused(&body).param, param, "{body}");
    }
}
