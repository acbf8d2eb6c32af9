//! Requests, field by field.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::dialect::chat::{AssistantMessage, Audio, Call, Effort, File, Image, Message, Part, Source};

fn written(request: &Request<'_>, model: &str, losses: &mut Losses) -> Result<Value, Refused> {
    let mut out = Vec::new();
    write_request(request, model, 4096, losses, &mut out)?;
    Ok(serde_json::from_slice(&out).unwrap())
}

/// What is written for a model that takes most, and what is lost.
fn body(request: &Request<'_>) -> (Value, Vec<Cow<'static, str>>) {
    let mut losses = Losses::new(true);
    let body = written(request, "claude-sonnet-4-5", &mut losses).unwrap();
    (body, losses.dropped().to_vec())
}

fn refused(request: &Request<'_>) -> Refused {
    written(request, "claude-sonnet-4-5", &mut Losses::new(true)).unwrap_err()
}

fn text(text: &str) -> Vec<Part<'_>> {
    vec![Part::Text(text.into())]
}

fn asking<'a>() -> Request<'a> {
    Request { messages: vec![Message::User(text("Hi"))], ..Request::default() }
}

fn data<'a>(media_type: &'a str, data: &'a str) -> Source<'a> {
    Source::Data { media_type: media_type.into(), data: data.into() }
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

#[test]
fn the_least() {
    let (body, lost) = body(&asking());
    assert_eq!(
        body,
        json!({"model": "claude-sonnet-4-5", "max_tokens": 4096,
               "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]})
    );
    assert!(lost.is_empty());
}

#[test]
fn a_conversation_alternates() {
    let call = |id, arguments| Call { id, name: "f".into(), arguments };
    let request = Request {
        messages: vec![
            Message::System(text("Be kind.")),
            Message::User(text("One")),
            Message::User(vec![Part::Text("".into()), Part::Text("two \"q\"".into())]),
            Message::Assistant(AssistantMessage {
                parts: text(" \n"),
                calls: vec![call("call:1".into(), "{\"a\": 1}".into()), call("call_2".into(), "".into())],
                reasoning: vec![
                    ("hm".into(), Some("c2ln".into())),
                    ("".into(), Some("redacted_thinking:ZGF0".into())),
                ],
                refusal: None,
            }),
            Message::User(text("And?")),
            Message::System(text("Be brief.")),
            Message::Tool { call_id: "call:1".into(), parts: text("fine"), is_error: false },
            Message::Tool { call_id: "call_2".into(), parts: vec![], is_error: true },
            Message::User(text(" ")),
            Message::Assistant(AssistantMessage {
                refusal: Some("No.".into()),
                ..AssistantMessage::default()
            }),
            Message::Assistant(AssistantMessage { parts: text("Never."), ..AssistantMessage::default() }),
            Message::User(text("Why?")),
        ],
        ..Request::default()
    };
    let (body, lost) = body(&request);
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be brief."}])
    );
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two \"q\""}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "ZGF0"},
                {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "call_2", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "fine"},
                {"type": "tool_result", "tool_use_id": "call_2", "is_error": true},
                {"type": "text", "text": "And?"},
            ]},
            {"role": "assistant", "content": [{"type": "text", "text": "No."}, {"type": "text", "text": "Never."}]},
            {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
        ])
    );
    assert!(lost.is_empty());
}

#[test]
fn pictures_and_documents() {
    let picture = |source| Part::Image(Image { source, detail: Some("auto".into()) });
    let file = |source| Part::File(File { source, name: Some("a".into()) });
    for (part, wanted) in [
        (
            picture(data("image/jpg", "/9j/")),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}}),
        ),
        (
            picture(Source::Url("https://a/b.png".into())),
            json!({"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}),
        ),
        (
            picture(Source::Id("file_1".into())),
            json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
        ),
        (
            file(data("application/pdf", "JVBERi0=")),
            json!({"type": "document", "title": "a", "source":
                {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}),
        ),
        (
            file(data("text/csv; charset=utf-8", "YSxiCg==")),
            json!({"type": "document", "title": "a", "source":
                {"type": "text", "media_type": "text/plain", "data": "a,b\n"}}),
        ),
        (
            file(data("image/png", "iVBO")),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}),
        ),
        (
            file(Source::Url("https://a/b.pdf".into())),
            json!({"type": "document", "title": "a", "source": {"type": "url", "url": "https://a/b.pdf"}}),
        ),
        (
            file(Source::Id("file_1".into())),
            json!({"type": "document", "title": "a", "source": {"type": "file", "file_id": "file_1"}}),
        ),
    ] {
        let parts = vec![Part::Text("See".into()), part];
        let result = Message::Tool { call_id: "1".into(), parts: parts.clone(), is_error: false };
        let request = Request { messages: vec![result, Message::User(parts)], ..Request::default() };
        let (body, lost) = body(&request);
        assert_eq!(body["messages"][0]["content"][2], wanted);
        assert_eq!(
            body["messages"][0]["content"][0]["content"],
            json!([{"type": "text", "text": "See"}, wanted])
        );
        assert!(lost.is_empty());
    }
}

#[test]
fn content_that_cannot_be_sent_is_refused() {
    let user = |part| Message::User(vec![Part::Text("See".into()), part]);
    let said = |message| Message::Assistant(message);
    let image = |source| Part::Image(Image { source, detail: None });
    let file = |source| Part::File(File { source, name: None });
    let call = Call { id: "1".into(), name: "f".into(), arguments: "{\"a\":".into() };
    let list = Call { arguments: "[]".into(), ..call.clone() };
    let audio = || Part::Audio(Audio { data: "".into(), format: "wav".into() });
    for (message, param) in [
        (user(audio()), "messages[0].content[1]"),
        (user(image(data("image/tiff", ""))), "messages[0].content[1]"),
        (user(file(data("application/zip", ""))), "messages[0].content[1]"),
        (user(file(data("text/plain", "/w=="))), "messages[0].content[1]"),
        (Message::System(vec![image(data("image/png", ""))]), "messages[0].content[0]"),
        (
            said(AssistantMessage { parts: vec![audio()], ..AssistantMessage::default() }),
            "messages[0].content[0]",
        ),
        (
            said(AssistantMessage { calls: vec![list.clone()], ..AssistantMessage::default() }),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            said(AssistantMessage {
                calls: vec![Call { arguments: "{}".into(), ..list.clone() }, call.clone()],
                ..AssistantMessage::default()
            }),
            "messages[0].tool_calls[1].function.arguments",
        ),
        (Message::User(text("")), "messages"),
    ] {
        let request = Request { messages: vec![message], ..Request::default() };
        let refused = refused(&request);
        assert_eq!(refused.param, param);
        assert!(refused.message.ends_with('.'), "{refused}");
    }
    assert_eq!(refused(&Request { n: Some(2), ..asking() }).param, "n");
    assert_eq!(
        refused(&Request { tool_choice: Some(ToolChoice::Required), ..asking() }).param,
        "tool_choice"
    );
}

#[test]
fn tools() {
    let schema = raw("{\"type\":\"object\",\"properties\":{\"a\":{}}}");
    let (untyped, empty, null, list) = (raw("{\"properties\":{}}"), raw("{ }"), raw("null"), raw("[]"));
    for (parameters, wanted) in [
        (None, json!({"type": "object", "properties": {}})),
        (Some(&*null), json!({"type": "object", "properties": {}})),
        (Some(&*empty), json!({"type": "object"})),
        (Some(&*untyped), json!({"type": "object", "properties": {}})),
        (Some(&*schema), json!({"type": "object", "properties": {"a": {}}})),
    ] {
        let parameters = parameters.map(Cow::Borrowed);
        let described =
            Tool { name: "f".into(), description: Some("F.".into()), parameters, strict: Some(true) };
        let request = Request { tools: vec![described], ..asking() };
        let (body, _) = body(&request);
        let tools = json!([{"name": "f", "description": "F.", "input_schema": wanted, "strict": true}]);
        assert_eq!(body["tools"], tools);
        assert_eq!(body["tool_choice"], Value::Null);
    }
    let plain = Tool { name: "f".into(), description: None, parameters: None, strict: None };
    let broken = Tool { parameters: Some(Cow::Borrowed(&list)), ..plain.clone() };
    let refused = refused(&Request { tools: vec![broken], ..asking() });
    assert_eq!(refused.param, "tools[0].function.parameters");
    for (choice, parallel, wanted) in [
        (None, Some(true), Value::Null),
        (None, Some(false), json!({"type": "auto", "disable_parallel_tool_use": true})),
        (Some(ToolChoice::Auto), None, json!({"type": "auto"})),
        (Some(ToolChoice::None), Some(false), json!({"type": "none"})),
        (Some(ToolChoice::Required), Some(false), json!({"type": "any", "disable_parallel_tool_use": true})),
        (Some(ToolChoice::Function("f".into())), None, json!({"type": "tool", "name": "f"})),
    ] {
        let request = Request {
            tools: vec![plain.clone()],
            tool_choice: choice,
            parallel_tool_calls: parallel,
            ..asking()
        };
        assert_eq!(body(&request).0["tool_choice"], wanted);
    }
    let request = Request { tools: vec![plain], tool_choice: Some(ToolChoice::Required), ..asking() };
    let mut losses = Losses::new(true);
    let body = written(&request, "claude-opus-5-5", &mut losses).unwrap();
    assert_eq!(body["tool_choice"], json!({"type": "auto"}));
    assert_eq!(losses.dropped(), ["tool_choice"]);
}

#[test]
fn the_form_of_the_answer() {
    let schema = raw("{\"type\":\"object\",\"additionalProperties\":false}");
    let form = |schema: Option<&'_ RawValue>, description| ResponseFormat::JsonSchema {
        name: "a".into(),
        description,
        schema: schema.map(|schema| Cow::Owned(schema.to_owned())),
        strict: Some(true),
    };
    let format = json!({"type": "json_schema", "schema": {"type": "object", "additionalProperties": false}});
    for (model, effort, form, wanted, lost) in [
        ("claude-opus-4-1", None, ResponseFormat::Text, Value::Null, None),
        ("claude-opus-4-1", None, ResponseFormat::JsonObject, Value::Null, Some("response_format")),
        ("claude-opus-4-1", None, form(Some(&*schema), None), json!({"format": format}), None),
        (
            "claude-opus-5-5",
            Some(Effort::High),
            form(Some(&*schema), Some("d".into())),
            json!({"effort": "high", "format": {"type": "json_schema",
                "schema": {"description": "d", "type": "object", "additionalProperties": false}}}),
            None,
        ),
        ("claude-sonnet-4-0", None, form(Some(&*schema), None), Value::Null, Some("response_format")),
    ] {
        let request = Request { response_format: Some(form.clone()), reasoning_effort: effort, ..asking() };
        let mut losses = Losses::new(true);
        let body = written(&request, model, &mut losses).unwrap();
        assert_eq!(body["output_config"], wanted, "{model} {form:?}");
        assert_eq!(losses.dropped().first().map(AsRef::as_ref), lost);
    }
    let request = Request { response_format: Some(form(None, None)), ..asking() };
    assert_eq!(refused(&request).param, "response_format.json_schema.schema");
}

#[test]
fn sampling_is_what_the_model_takes() {
    let t = "temperature";
    for (model, effort, temperature, top_p, top_k, wanted, lost) in [
        ("claude-3-7-sonnet", None, Some(0.5), Some(0.5), Some(5), json!([0.5, 0.5, 5]), vec![]),
        ("claude-sonnet-4-5", None, Some(0.0), Some(0.5), Some(5), json!([0, null, 5]), vec!["top_p"]),
        ("claude-sonnet-4-5", None, Some(1.0), Some(0.5), None, json!([null, 0.5, null]), vec![]),
        ("claude-sonnet-4-5", None, Some(1.1), Some(1.0), None, json!([null, null, null]), vec![t]),
        ("claude-opus-4-7", None, Some(1.0), Some(1.0), None, json!([null, null, null]), vec![]),
        (
            "claude-opus-4-7",
            None,
            Some(0.9),
            Some(0.9),
            Some(1),
            json!([null, null, null]),
            vec![t, "top_p", "top_k"],
        ),
        (
            "claude-sonnet-4-5",
            Some(Effort::Low),
            Some(1.0),
            Some(0.96),
            None,
            json!([null, 0.96, null]),
            vec![],
        ),
        (
            "claude-sonnet-4-5",
            Some(Effort::Low),
            Some(0.1),
            Some(0.5),
            Some(5),
            json!([null, null, null]),
            vec![t, "top_p", "top_k"],
        ),
    ] {
        let request = Request { temperature, top_p, top_k, reasoning_effort: effort, ..asking() };
        let mut losses = Losses::new(true);
        let body = written(&request, model, &mut losses).unwrap();
        assert_eq!(json!([body["temperature"], body["top_p"], body["top_k"]]), wanted, "{model}");
        assert_eq!(losses.dropped(), lost, "{model}");
    }
}

#[test]
fn the_rest() {
    let others = [
        ("store", "false"),
        ("store", "true"),
        ("modalities", "[ \"text\" ]"),
        ("prediction", "null"),
        ("service_tier", "\"default\""),
        ("service_tier", "\"flex\""),
        ("cache_control", "{\"type\":\"ephemeral\"}"),
        ("verbosity", "\"low\""),
    ];
    let raws = others.map(|(_, value)| raw(value));
    let other = others.iter().zip(&raws).map(|((name, _), value)| ((*name).into(), &**value)).collect();
    let request = Request {
        stop: vec!["\n\n".into(), "END".into()],
        max_tokens: Some(7),
        frequency_penalty: Some(0.0),
        presence_penalty: Some(0.5),
        seed: Some(1),
        n: Some(1),
        logprobs: Some(false),
        top_logprobs: Some(2),
        reasoning_effort: None,
        stream: true,
        include_usage: true,
        user: Some("u1".into()),
        other,
        ..asking()
    };
    let (body, lost) = body(&request);
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!(body["max_tokens"], 7);
    assert_eq!(body["stream"], true);
    assert_eq!(body["metadata"], json!({"user_id": "u1"}));
    assert_eq!(body["service_tier"], "standard_only");
    assert_eq!(body["cache_control"], json!({"type": "ephemeral"}));
    assert_eq!(
        lost,
        ["presence_penalty", "seed", "top_logprobs", "stop", "store", "service_tier", "verbosity"]
    );
    let strict = written(&request, "claude-sonnet-4-5", &mut Losses::new(false)).unwrap_err();
    assert_eq!(strict.param, "presence_penalty");
}

#[test]
fn thinking_is_written() {
    for (model, wanted) in [
        ("claude-sonnet-4-5", json!([{"type": "enabled", "budget_tokens": 2048}, null])),
        ("claude-opus-5", json!([{"type": "adaptive", "display": "summarized"}, {"effort": "medium"}])),
    ] {
        let request = Request { reasoning_effort: Some(Effort::Medium), ..asking() };
        let body = written(&request, model, &mut Losses::new(false)).unwrap();
        assert_eq!(json!([body["thinking"], body["output_config"]]), wanted);
    }
    let request = Request { reasoning_effort: Some(Effort::None), ..asking() };
    let body = written(&request, "claude-opus-5", &mut Losses::new(false)).unwrap();
    assert_eq!(body["thinking"], json!({"type": "disabled"}));
    let unsigned = AssistantMessage { reasoning: vec![("hm".into(), None)], ..AssistantMessage::default() };
    let mut request = asking();
    request.messages.push(Message::Assistant(unsigned));
    let (body, lost) = self::body(&request);
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);
    assert_eq!(lost, ["messages[1].reasoning_content"]);
}
