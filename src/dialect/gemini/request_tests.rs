use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::dialect::chat::{AssistantMessage, Audio, Call, File, Image, Source};

const NEW: &str = "gemini-3-flash-preview";
const OLD: &str = "gemini-2.5-flash";

fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).unwrap()
}

fn text(text: &str) -> Vec<Part<'_>> {
    vec![Part::Text(text.into())]
}

fn call<'a>(id: &'a str, name: &'a str, arguments: &'a str) -> Call<'a> {
    Call { id: id.into(), name: name.into(), arguments: arguments.into() }
}

fn result<'a>(id: &'a str, said: &'a str) -> Message<'a> {
    Message::Tool { call_id: id.into(), parts: text(said), is_error: false }
}

fn chat(messages: Vec<Message<'_>>) -> Request<'_> {
    Request { messages, ..Request::default() }
}

fn hello() -> Request<'static> {
    chat(vec![Message::User(text("Hello"))])
}

fn written(request: &Request<'_>, model: &str, losses: &mut Losses) -> Result<Value, Refused> {
    let mut out = Vec::new();
    write_request(request, model, losses, &mut out)?;
    Ok(serde_json::from_slice(&out)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out))))
}

fn write(request: &Request<'_>, model: &str) -> Value {
    written(request, model, &mut Losses::new(false)).unwrap()
}

fn refused(request: &Request<'_>, model: &str) -> String {
    written(request, model, &mut Losses::new(true)).unwrap_err().param.into_owned()
}

#[test]
fn roles_and_instructions() {
    let request = chat(vec![
        Message::System(text("Be \"short\".")),
        Message::User(text("Hi")),
        Message::User(text("there")),
        Message::Assistant(AssistantMessage { parts: text("Hello!"), ..AssistantMessage::default() }),
        Message::System(text("In German.")),
        Message::User(text("Bye")),
    ]);
    assert_eq!(
        write(&request, OLD),
        json!({
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}, {"text": "there"}]},
                {"role": "model", "parts": [{"text": "Hello!"}]},
                {"role": "user", "parts": [{"text": "Bye"}]},
            ],
            "systemInstruction": {"parts": [{"text": "Be \"short\"."}, {"text": "In German."}]},
            "generationConfig": {},
        })
    );
    let alone = write(&chat(vec![Message::System(text("Say hi."))]), OLD);
    assert_eq!(alone["contents"], json!([{"role": "user", "parts": [{"text": "Say hi."}]}]));
    assert_eq!(alone.get("systemInstruction"), None);
}

#[test]
fn files_and_where_they_are() {
    let image = |source| Part::Image(Image { source, detail: None });
    let parts = vec![
        image(Source::Data { media_type: "image/png".into(), data: "iVBO".into() }),
        image(Source::Url("https://example.com/a.JPG?b=c.png".into())),
        image(Source::Url("https://example.com/a".into())),
        Part::Audio(Audio { data: "UklG".into(), format: "wav".into() }),
        Part::File(File {
            source: Source::Data { media_type: "application/pdf".into(), data: "JVBE".into() },
            name: Some("a.pdf".into()),
        }),
        Part::File(File { source: Source::Id("files/abc-123".into()), name: None }),
    ];
    let mut request = chat(vec![Message::User(parts)]);
    assert_eq!(
        write(&request, OLD)["contents"][0]["parts"],
        json!([
            {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/a.JPG?b=c.png"}},
            {"fileData": {"fileUri": "https://example.com/a"}},
            {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc-123"}},
        ])
    );
    assert_eq!(refused(&request, "gemini-2.0-flash"), "messages[0].content[1]");
    for source in [Source::Url("ftp://example.com/a".into()), Source::Id("file-abc".into())] {
        request.messages = vec![Message::User(vec![image(source.clone())])];
        assert_eq!(refused(&request, OLD), "messages[0].content[0]");
        request.messages = vec![Message::System(vec![image(source)]), Message::User(text("a"))];
        assert_eq!(refused(&request, OLD), "messages[0].content[0]");
    }
}

fn conversation() -> Request<'static> {
    chat(vec![
        Message::User(text("Weather in Paris and London?")),
        Message::Assistant(AssistantMessage {
            parts: text(""),
            calls: vec![
                call("call_R1_0_0__thought__SigA+/==", "weather", r#"{"city": "Paris"}"#),
                call("k8f2", "weather", ""),
            ],
            ..AssistantMessage::default()
        }),
        result("k8f2", "12°C"),
        result("call_R1_0_0__thought__SigA+/==", r#" {"temp": 15} "#),
        Message::User(text("And?")),
    ])
}

#[test]
fn calls_and_their_results() {
    assert_eq!(
        write(&conversation(), NEW)["contents"],
        json!([
            {"role": "user", "parts": [{"text": "Weather in Paris and London?"}]},
            {"role": "model", "parts": [
                {"functionCall": {"id": "call_R1_0_0", "name": "weather", "args": {"city": "Paris"}},
                 "thoughtSignature": "SigA+/=="},
                {"functionCall": {"id": "k8f2", "name": "weather", "args": {}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "call_R1_0_0", "name": "weather", "response": {"temp": 15}}},
                {"functionResponse": {"id": "k8f2", "name": "weather", "response": {"result": "12°C"}}},
            ]},
            {"role": "user", "parts": [{"text": "And?"}]},
        ])
    );
    // Models before the third generation have no ids for calls.
    let old = write(&conversation(), OLD);
    assert_eq!(old["contents"][2]["parts"][1]["functionResponse"].get("id"), None);
    assert_eq!(old["contents"][1]["parts"][0]["thoughtSignature"], "SigA+/==");
}

#[test]
fn calls_of_others_and_bad_ones() {
    let mut request = conversation();
    let foreign = |id: &'static str, arguments: &'static str| {
        let calls = vec![call(id, "f", arguments), call("call_2", "f", "{}")];
        Message::Assistant(AssistantMessage { calls, ..AssistantMessage::default() })
    };
    request.messages.truncate(1);
    request.messages.push(foreign("call_abc", "{}"));
    let parts = |model| write(&request, model)["contents"][1]["parts"].clone();
    assert_eq!(parts(NEW)[0]["thoughtSignature"], "skip_thought_signature_validator");
    assert_eq!(parts(NEW)[1].get("thoughtSignature"), None);
    assert_eq!(parts(OLD)[0].get("thoughtSignature"), None);
    for arguments in ["[1]", "{\"a\":", "null"] {
        request.messages[1] = foreign("call_abc", arguments);
        assert_eq!(refused(&request, NEW), "messages[1].tool_calls[0].function.arguments");
    }
    request.messages[1] = result("call_none", "x");
    assert_eq!(refused(&request, NEW), "messages[1].tool_call_id");
}

#[test]
fn results_that_failed_and_results_with_images() {
    let mut request = conversation();
    let image =
        Image { source: Source::Data { media_type: "image/png".into(), data: "iVBO".into() }, detail: None };
    let parts = vec![Part::Text("{\"a\":1}".into()), Part::Image(image)];
    request.messages.truncate(2);
    request.messages.push(Message::Tool { call_id: "k8f2".into(), parts, is_error: true });
    assert_eq!(
        write(&request, NEW)["contents"][2]["parts"][0]["functionResponse"],
        json!({"id": "k8f2", "name": "weather", "response": {"error": "{\"a\":1}"},
               "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBO"}}]})
    );
    assert_eq!(refused(&request, OLD), "messages[2].content[1]");
}

#[test]
fn signatures_of_text_come_back_where_they_are_ours() {
    let message = |signature: &'static str| {
        Message::Assistant(AssistantMessage {
            parts: vec![Part::Text("a".into()), Part::Text("b".into())],
            reasoning: vec![("Hm.".into(), None), ("".into(), Some(signature.into()))],
            refusal: Some("No.".into()),
            ..AssistantMessage::default()
        })
    };
    let parts = |signature| write(&chat(vec![message(signature)]), NEW)["contents"][0]["parts"].clone();
    assert_eq!(
        parts("gemini:c2ln"),
        json!([{"text": "a"}, {"text": "b", "thoughtSignature": "c2ln"}, {"text": "No."}])
    );
    assert_eq!(parts("EqQBclaude"), json!([{"text": "a"}, {"text": "b"}, {"text": "No."}]));
}

#[test]
fn functions() {
    let schema =
        r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"additionalProperties":false}"##;
    let tool = |strict| Tool {
        name: "f".into(),
        description: Some("Does f.".into()),
        parameters: Some(Cow::Borrowed(raw(schema))),
        strict,
    };
    let bare = Tool { name: "g".into(), description: None, parameters: None, strict: None };
    let mut request = Request { tools: vec![tool(None), bare], ..hello() };
    let body = write(&request, OLD);
    let schema: Value = serde_json::from_str(schema).unwrap();
    assert_eq!(
        body["tools"],
        json!([{"functionDeclarations": [
            {"name": "f", "description": "Does f.", "parametersJsonSchema": schema}, {"name": "g"}]}])
    );
    assert_eq!(body.get("toolConfig"), None);
    for (choice, strict, wanted) in [
        (Some(ToolChoice::Auto), None, json!({"mode": "AUTO"})),
        (Some(ToolChoice::Auto), Some(true), json!({"mode": "VALIDATED"})),
        (None, Some(true), json!({"mode": "VALIDATED"})),
        (Some(ToolChoice::None), Some(true), json!({"mode": "NONE"})),
        (Some(ToolChoice::Required), Some(true), json!({"mode": "ANY"})),
        (Some(ToolChoice::Function("f".into())), None, json!({"mode": "ANY", "allowedFunctionNames": ["f"]})),
    ] {
        request.tool_choice = choice;
        request.tools = vec![tool(strict)];
        assert_eq!(write(&request, OLD)["toolConfig"], json!({"functionCallingConfig": wanted}));
    }
    request.tools.clear();
    let body = write(&request, OLD);
    assert_eq!((body.get("tools"), body.get("toolConfig")), (None, None));
}

#[test]
fn settings() {
    let request = Request {
        temperature: Some(0.5),
        top_p: Some(0.25),
        top_k: Some(40),
        max_tokens: Some(100),
        presence_penalty: Some(-1.5),
        frequency_penalty: Some(1.0),
        n: Some(2),
        seed: Some(0x1_0000_0007),
        stop: vec!["a".into(), "\"".into()],
        logprobs: Some(true),
        top_logprobs: Some(3),
        ..hello()
    };
    assert_eq!(
        write(&request, OLD)["generationConfig"],
        json!({
            "temperature": 0.5, "topP": 0.25, "topK": 40, "maxOutputTokens": 100, "presencePenalty": -1.5,
            "frequencyPenalty": 1.0, "candidateCount": 2, "seed": 7, "stopSequences": ["a", "\""],
            "responseLogprobs": true, "logprobs": 3,
        })
    );
    let nothing = Request { n: Some(1), logprobs: Some(false), parallel_tool_calls: Some(true), ..hello() };
    assert_eq!(write(&nothing, OLD)["generationConfig"], json!({}));
}

#[test]
fn formats() {
    let schema = |description: Option<&'static str>, schema: &'static str| ResponseFormat::JsonSchema {
        name: "answer".into(),
        description: description.map(Into::into),
        schema: Some(Cow::Borrowed(raw(schema))),
        strict: Some(true),
    };
    let json_type = json!("application/json");
    for (format, wanted) in [
        (ResponseFormat::Text, json!({})),
        (ResponseFormat::JsonObject, json!({"responseMimeType": json_type})),
        (
            schema(None, r#"{"type": "object"}"#),
            json!({"responseMimeType": json_type, "responseJsonSchema": {"type": "object"}}),
        ),
        (
            schema(Some("D"), r#"{"type": "object"}"#),
            json!({"responseMimeType": json_type, "responseJsonSchema": {"description": "D", "type": "object"}}),
        ),
        (
            schema(Some("D"), r#"{"description": "E"}"#),
            json!({"responseMimeType": json_type, "responseJsonSchema": {"description": "E"}}),
        ),
        (
            schema(Some("D"), "{ }"),
            json!({"responseMimeType": json_type, "responseJsonSchema": {"description": "D"}}),
        ),
    ] {
        let request = Request { response_format: Some(format), ..hello() };
        assert_eq!(write(&request, OLD)["generationConfig"], wanted);
    }
}

#[test]
fn thinking() {
    let shown = |key: &str, value: Value| json!({"includeThoughts": true, key: value});
    for (effort, model, wanted) in [
        (Effort::Minimal, OLD, shown("thinkingBudget", 1024.into())),
        (Effort::Low, OLD, shown("thinkingBudget", 1024.into())),
        (Effort::Medium, OLD, shown("thinkingBudget", 8192.into())),
        (Effort::High, OLD, shown("thinkingBudget", 24_576.into())),
        (Effort::XHigh, OLD, shown("thinkingBudget", 24_576.into())),
        (Effort::None, OLD, json!({"thinkingBudget": 0})),
        (Effort::Minimal, NEW, shown("thinkingLevel", "minimal".into())),
        (Effort::Minimal, "gemini-3.1-pro", shown("thinkingLevel", "low".into())),
        (Effort::Low, NEW, shown("thinkingLevel", "low".into())),
        (Effort::Medium, NEW, shown("thinkingLevel", "medium".into())),
        (Effort::High, NEW, shown("thinkingLevel", "high".into())),
        (Effort::XHigh, NEW, shown("thinkingLevel", "high".into())),
    ] {
        let request = Request { reasoning_effort: Some(effort), ..hello() };
        assert_eq!(
            write(&request, model)["generationConfig"]["thinkingConfig"],
            wanted,
            "{effort:?} {model}"
        );
    }
    let request = Request { reasoning_tokens: Some(2000), reasoning_effort: Some(Effort::High), ..hello() };
    let config = write(&request, NEW)["generationConfig"]["thinkingConfig"].clone();
    assert_eq!(config, shown("thinkingBudget", 2000.into()));
    // The third generation always thinks.
    let request = Request { reasoning_effort: Some(Effort::None), ..hello() };
    assert_eq!(written(&request, NEW, &mut Losses::new(false)).unwrap_err().param, "reasoning_effort");
    let least = written(&request, NEW, &mut Losses::new(true)).unwrap();
    assert_eq!(least["generationConfig"]["thinkingConfig"], json!({"thinkingLevel": "minimal"}));
}

#[test]
fn how_closely_images_are_looked_at() {
    let image = |detail: Option<&'static str>| {
        let source = Source::Data { media_type: "image/png".into(), data: "iVBO".into() };
        Part::Image(Image { source, detail: detail.map(Into::into) })
    };
    for (details, wanted, lost) in [
        (vec![Some("high"), Some("high")], json!("MEDIA_RESOLUTION_HIGH"), false),
        (vec![Some("low")], json!("MEDIA_RESOLUTION_LOW"), false),
        (vec![None, Some("auto")], Value::Null, false),
        (vec![Some("low"), None], Value::Null, true),
        (vec![Some("original")], Value::Null, true),
    ] {
        let request = chat(vec![Message::User(details.iter().copied().map(image).collect())]);
        let mut losses = Losses::new(true);
        let body = written(&request, OLD, &mut losses).unwrap();
        assert_eq!(body["generationConfig"]["mediaResolution"], wanted, "{details:?}");
        assert_eq!(!losses.dropped().is_empty(), lost, "{details:?}");
    }
}

#[test]
fn the_web_is_searched() {
    let mut request = Request {
        other: vec![("web_search_options".into(), raw(r#"{"search_context_size":"medium"}"#))],
        ..hello()
    };
    assert_eq!(write(&request, OLD)["tools"], json!([{"googleSearch": {}}]));
    request.other =
        vec![("web_search_options".into(), raw(r#"{"search_context_size":"low","user_location":{}}"#))];
    let mut losses = Losses::new(true);
    written(&request, OLD, &mut losses).unwrap();
    let lost = ["web_search_options.search_context_size", "web_search_options.user_location"];
    assert_eq!(losses.dropped(), lost);
}

#[test]
fn what_gemini_has_under_other_names() {
    let settings = r#"[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}]"#;
    let request = Request {
        other: vec![
            ("safety_settings".into(), raw(settings)),
            ("cached_content".into(), raw("\"cachedContents/a\"")),
            ("service_tier".into(), raw("\"flex\"")),
            ("store".into(), raw("false")),
            ("metadata".into(), raw("null")),
            ("stream_options".into(), raw("{}")),
            ("modalities".into(), raw("[\"text\"]")),
        ],
        ..hello()
    };
    let body = write(&request, OLD);
    assert_eq!(body["safetySettings"], serde_json::from_str::<Value>(settings).unwrap());
    assert_eq!((&body["cachedContent"], &body["serviceTier"]), (&json!("cachedContents/a"), &json!("flex")));
}

#[test]
fn what_gemini_cannot_is_named() {
    let tool = Tool { name: "f".into(), description: None, parameters: None, strict: None };
    let stop: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(Into::into).into();
    let request = Request {
        tools: vec![tool],
        parallel_tool_calls: Some(false),
        user: Some("u".into()),
        stop,
        other: vec![
            ("logit_bias".into(), raw(r#"{"50256":-100}"#)),
            ("store".into(), raw("true")),
            ("service_tier".into(), raw("\"scale\"")),
        ],
        ..hello()
    };
    let mut losses = Losses::new(true);
    let body = written(&request, OLD, &mut losses).unwrap();
    assert_eq!(
        losses.dropped(),
        ["user", "logit_bias", "store", "service_tier", "parallel_tool_calls", "stop"]
    );
    assert_eq!(body["generationConfig"]["stopSequences"], json!(["a", "b", "c", "d", "e"]));
    assert_eq!(written(&request, OLD, &mut Losses::new(false)).unwrap_err().param, "logit_bias");
}
