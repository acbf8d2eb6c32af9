//! Requests as each of them gets what Anthropic's clients and those of responses ask.

use serde_json::{Value, json};

use super::*;
use crate::dialect::chat::{
    AssistantMessage, Audio, Call, File, Image, Losses, Message, Part, Refused, Request, Source, Tool,
    ToolChoice,
};
use crate::dialect::openai::chat::{Target, write_request};

fn target(family: Family, model: &str) -> Target<'_> {
    Target {
        model,
        provider: "p",
        ask_usage: family != Family::Mistral,
        max_completion_tokens: false,
        family,
    }
}

fn written(request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) -> Result<Value, Refused> {
    let mut out = Vec::new();
    write_request(request, to, losses, &mut out)?;
    Ok(serde_json::from_slice(&out).unwrap())
}

fn user(text: &'static str) -> Message<'static> {
    Message::User(vec![Part::Text(text.into())])
}

fn tool(call_id: &'static str, parts: Vec<Part<'static>>) -> Message<'static> {
    Message::Tool { call_id: call_id.into(), parts, is_error: false }
}

fn said(text: &'static str) -> Message<'static> {
    Message::Assistant(AssistantMessage {
        parts: vec![Part::Text(text.into())],
        ..AssistantMessage::default()
    })
}

#[test]
fn what_is_said_in_other_words() {
    let seed = Request { seed: Some(5), ..Request::default() };
    let top_k = Request { top_k: Some(5), ..Request::default() };
    let must = Request { tool_choice: Some(ToolChoice::Required), ..Request::default() };
    let one = Request { tool_choice: Some(ToolChoice::Function("f".into())), ..Request::default() };
    let streams = Request { stream: true, max_tokens: Some(7), ..Request::default() };
    let bare = Tool { name: "f".into(), description: None, parameters: None, strict: Some(true) };
    let tools = Request { tools: vec![bare], parallel_tool_calls: Some(false), ..Request::default() };
    let thinks =
        |reasoning_tokens| Request { reasoning_tokens: Some(reasoning_tokens), ..Request::default() };
    let effort = |effort| Request { reasoning_effort: Some(effort), ..Request::default() };
    let probable = Request { logprobs: Some(true), top_logprobs: Some(2), ..Request::default() };
    let stop = Request { stop: vec!["x".into()], presence_penalty: Some(0.5), ..Request::default() };
    let unpenalized = Request { presence_penalty: Some(0.0), ..Request::default() };
    let function = json!({"type": "function", "function": {"name": "f"}});
    for (family, model, request, wanted) in [
        (Family::OpenAi, "m", &seed, json!({"seed": 5})),
        (Family::Mistral, "m", &seed, json!({"random_seed": 5})),
        (Family::OpenAi, "m", &must, json!({"tool_choice": "required"})),
        (Family::Mistral, "m", &must, json!({"tool_choice": "any"})),
        (Family::Mistral, "m", &one, json!({"tool_choice": function})),
        (
            Family::OpenAi,
            "m",
            &streams,
            json!({"stream": true, "max_tokens": 7, "stream_options": {"include_usage": true}}),
        ),
        (Family::Mistral, "m", &streams, json!({"stream": true, "max_tokens": 7})),
        (
            Family::Mistral,
            "m",
            &tools,
            json!({"parallel_tool_calls": false, "tools": [{"type": "function",
                "function": {"name": "f", "parameters": {}, "strict": true}}]}),
        ),
        (Family::Mistral, "m", &probable, json!({"logprobs": true, "top_logprobs": 2})),
        (Family::Mistral, "m", &top_k, json!({"top_k": 5})),
        (Family::OpenRouter, "m", &top_k, json!({"top_k": 5})),
        (Family::Fireworks, "m", &top_k, json!({"top_k": 5})),
        (Family::Together, "m", &top_k, json!({"top_k": 5})),
        (Family::OpenAi, "m", &thinks(6000), json!({"reasoning_effort": "medium"})),
        (Family::OpenRouter, "m", &thinks(6000), json!({"reasoning": {"max_tokens": 6000}})),
        (Family::OpenRouter, "m", &thinks(0), json!({"reasoning_effort": "none"})),
        (Family::OpenRouter, "m", &effort(Effort::Minimal), json!({"reasoning_effort": "minimal"})),
        (Family::Mistral, "mistral-small-latest", &thinks(0), json!({"reasoning_effort": "none"})),
        (Family::Mistral, "mistral-small-latest", &effort(Effort::Low), json!({"reasoning_effort": "high"})),
        (Family::Mistral, "mistral-large-4-0", &effort(Effort::Minimal), json!({"reasoning_effort": "low"})),
        (Family::Grok, "grok-3-mini", &effort(Effort::Medium), json!({"reasoning_effort": "high"})),
        (Family::Grok, "grok-4.5", &effort(Effort::XHigh), json!({"reasoning_effort": "high"})),
        (Family::Grok, "grok-3", &stop, json!({"stop": ["x"], "presence_penalty": 0.5})),
        (Family::Grok, "grok-4-fast-non-reasoning", &stop, json!({"stop": ["x"], "presence_penalty": 0.5})),
        (Family::Grok, "grok-4", &unpenalized, json!({})),
        (Family::OpenAi, "m", &unpenalized, json!({"presence_penalty": 0.0})),
    ] {
        let mut whole = json!({"model": model, "messages": []});
        whole.as_object_mut().unwrap().extend(wanted.as_object().unwrap().clone());
        let got = written(request, &target(family, model), &mut Losses::new(false)).unwrap();
        assert_eq!(got, whole, "{family:?} {model}");
    }
}

#[test]
fn what_cannot_be_said_is_named() {
    let raw = |json| serde_json::from_str(json).unwrap();
    let other =
        |member: &'static str| Request { other: vec![(member.into(), raw("{}"))], ..Request::default() };
    let effort = |effort| Request { reasoning_effort: Some(effort), ..Request::default() };
    let stop = || Request { stop: vec!["x".into()], ..Request::default() };
    for (family, model, request, param) in [
        (Family::Mistral, "m", Request { seed: Some(-5), ..Request::default() }, "seed"),
        (Family::Mistral, "m", other("logit_bias"), "logit_bias"),
        (Family::Mistral, "m", other("store"), "store"),
        (Family::Mistral, "magistral-medium-latest", effort(Effort::High), "reasoning_effort"),
        (Family::OpenAi, "m", Request { top_k: Some(2), ..Request::default() }, "top_k"),
        (Family::OpenAi, "m", other("safe_prompt"), "safe_prompt"),
        (Family::Fireworks, "m", other("verbosity"), "verbosity"),
        (Family::Grok, "grok-4-0709", stop(), "stop"),
        (Family::Grok, "grok-code-fast-1", stop(), "stop"),
        (
            Family::Grok,
            "grok-3-mini",
            Request { frequency_penalty: Some(1.0), ..Request::default() },
            "frequency_penalty",
        ),
        (
            Family::Grok,
            "grok-4",
            Request { presence_penalty: Some(1.0), ..Request::default() },
            "presence_penalty",
        ),
        (Family::Grok, "grok-4", effort(Effort::Low), "reasoning_effort"),
        (Family::Grok, "grok-4-fast-reasoning", effort(Effort::Low), "reasoning_effort"),
        (Family::Grok, "grok-3-mini", effort(Effort::None), "reasoning_effort"),
    ] {
        let to = target(family, model);
        let refused = written(&request, &to, &mut Losses::new(false)).unwrap_err();
        assert_eq!(refused.param, param, "{family:?} {model}");
        let mut losses = Losses::new(true);
        let got = written(&request, &to, &mut losses).unwrap();
        assert_eq!(got, json!({"model": model, "messages": []}), "{family:?} {model}");
        assert_eq!(losses.dropped(), [param]);
    }
    let known = Request {
        other: vec![("metadata".into(), raw("{}")), ("safe_prompt".into(), raw("true"))],
        ..Request::default()
    };
    let got = written(&known, &target(Family::Mistral, "m"), &mut Losses::new(false)).unwrap();
    assert_eq!(got, json!({"model": "m", "messages": [], "metadata": {}, "safe_prompt": true}));
}

#[test]
fn ids_of_calls_fit_and_stay_apart() {
    for (family, id) in
        [(Family::Mistral, "aB3xK9mP2"), (Family::OpenAi, "toolu_01ABC"), (Family::Together, "")]
    {
        assert_eq!(family.call_id(id), id);
    }
    let ids: Vec<_> =
        ["", "call_1", "call_2", "toolu_01A09q90qw90lq917835lq9", "aB3xK9mP_", "é😀", "aB3xK9mP22"]
            .map(|id| Family::Mistral.call_id(id).into_owned())
            .into();
    for (index, id) in ids.iter().enumerate() {
        assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert_eq!(ids.iter().position(|other| other == id), Some(index), "{ids:?}");
    }
}

#[test]
fn a_conversation_as_mistral_takes_it() {
    let call = Call { id: "toolu_1".into(), name: "f".into(), arguments: "{}".into() };
    let png = Source::Data { media_type: "image/png".into(), data: "AAAA".into() };
    let image = Part::Image(Image { source: png, detail: None });
    let pdf = || Source::Data { media_type: "application/pdf".into(), data: "JVBE".into() };
    let file = |source, name: Option<&'static str>| Part::File(File { source, name: name.map(Into::into) });
    let called = || AssistantMessage { calls: vec![call.clone()], ..AssistantMessage::default() };
    let refused = AssistantMessage { refusal: Some("No.".into()), ..AssistantMessage::default() };
    let id = Family::Mistral.call_id("toolu_1").into_owned();
    let calls = json!([{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let bridge = json!({"role": "assistant", "content": "OK."});
    let result = |text: &str| json!({"role": "tool", "tool_call_id": id, "content": text});
    let hi = json!({"role": "user", "content": "Hi"});
    for (messages, wanted) in [
        (
            vec![
                user("Hi"),
                Message::Assistant(called()),
                tool("toolu_1", vec![Part::Text("r".into())]),
                user("Hi"),
            ],
            json!([hi, {"role": "assistant", "content": null, "tool_calls": calls}, result("r"), bridge, hi]),
        ),
        (
            vec![tool("toolu_1", vec![Part::Text("r".into())]), said("Yes."), user("Hi")],
            json!([result("r"), {"role": "assistant", "content": "Yes."}, hi]),
        ),
        (
            vec![tool("toolu_1", vec![image]), user("Hi")],
            json!([result("The rest of the result follows in the next message of the user."), bridge,
                {"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}, hi]),
        ),
        // The start of the answer.
        (vec![user("Hi"), said("{")], json!([hi, {"role": "assistant", "content": "{", "prefix": true}])),
        (vec![Message::Assistant(refused), user("Hi")], json!([{"role": "assistant", "content": "No."}, hi])),
        (
            vec![Message::User(vec![
                Part::Audio(Audio { data: "UklG".into(), format: "wav".into() }),
                file(pdf(), Some("a.pdf")),
                file(Source::Url("https://x/y.pdf".into()), None),
                file(Source::Id("file-1".into()), None),
            ])],
            json!([{"role": "user", "content": [
                {"type": "input_audio", "input_audio": "UklG"},
                {"type": "document_url", "document_url": "data:application/pdf;base64,JVBE", "document_name": "a.pdf"},
                {"type": "document_url", "document_url": "https://x/y.pdf"},
                {"type": "file", "file_id": "file-1"}]}]),
        ),
    ] {
        let request = Request { messages, ..Request::default() };
        let got = written(&request, &target(Family::Mistral, "m"), &mut Losses::new(false)).unwrap();
        assert_eq!(got["messages"], wanted);
    }
}

#[test]
fn a_wrong_key_of_xais_is_known_by_its_words() {
    for (error, wrong) in [
        ("Incorrect API key provided: sk***am. You can obtain an API key from https://console.x.ai.", true),
        ("Incorrect%20API%20key%20provided:%20ba***na.", true),
        ("Argument not supported on this model: presencePenalty", false),
        ("The tool said: Incorrect API key provided", false),
    ] {
        let body = json!({"code": "Client specified an invalid argument", "error": error}).to_string();
        assert_eq!(refuses_key(body.as_bytes()), wrong, "{error}");
    }
    assert!(!refuses_key(b"") && !refuses_key(b"<html>"));
}

#[test]
fn instructions_that_mistral_would_refuse_go_to_the_front() {
    let system = |text: &'static str| Message::System(vec![Part::Text(text.into())]);
    let result = || tool("aB3xK9mP2", vec![Part::Text("r".into())]);
    let roles = |family, messages: Vec<Message<'static>>| -> Result<Vec<String>, Refused> {
        let request = Request { messages, ..Request::default() };
        let got = written(&request, &target(family, "m"), &mut Losses::new(true))?;
        let said =
            |one: &Value| format!("{} {}", one["role"].as_str().unwrap(), one["content"].as_str().unwrap());
        Ok(got["messages"].as_array().unwrap().iter().map(said).collect())
    };
    let talk = || {
        let late = [system("b"), system("c"), user("d"), system("e"), result(), system("f"), user("g")];
        [vec![system("a"), user("Hi"), said("Yes.")], late.into()].concat()
    };
    assert_eq!(
        roles(Family::Mistral, talk()).unwrap(),
        [
            "system a",
            "system b",
            "system c",
            "system f",
            "user Hi",
            "assistant Yes.",
            "user d",
            "system e",
            "tool r",
            "assistant OK.",
            "user g",
        ]
    );
    let kept = ["a", "Hi", "Yes.", "b", "c", "d", "e", "r", "f", "g"];
    let others = roles(Family::OpenAi, talk()).unwrap();
    assert!(others.iter().zip(kept).all(|(one, text)| one.ends_with(text)), "{others:?}");
    // Of what ends with them an answer would be gone on with that was over; a result is answered.
    let ends = || vec![user("Hi"), said("Yes."), system("b")];
    assert_eq!(roles(Family::Mistral, ends()).unwrap_err().param, "messages[2]");
    assert_eq!(roles(Family::OpenAi, ends()).unwrap().len(), 3);
    let ends = vec![user("Hi"), result(), system("b")];
    assert_eq!(roles(Family::Mistral, ends).unwrap(), ["system b", "user Hi", "tool r"]);
}
