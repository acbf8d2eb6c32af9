use std::fmt::Write as _;

use super::*;
use crate::dialect::chat::Source;

/// Messages in short, one a line.
fn outline(request: &Request<'_>) -> String {
    fn parts(parts: &[Part<'_>]) -> String {
        let source = |source: &Source<'_>| match source {
            Source::Url(url) => format!("url {url}"),
            Source::Data { media_type, data } => format!("{media_type} {data}"),
            Source::Id(id) => format!("id {id}"),
        };
        let part = |part: &Part<'_>| match part {
            Part::Text(text) => format!("{text:?}"),
            Part::Image(image) => format!("image({}, {:?})", source(&image.source), image.detail.as_deref()),
            Part::File(file) => {
                format!("file({}, {:?})", source(&file.source), file.name.as_deref().unwrap_or(""))
            }
            Part::Audio(audio) => format!("audio({} {})", audio.format, audio.data),
        };
        parts.iter().map(part).collect::<Vec<_>>().join(" ")
    }
    let mut lines = String::new();
    for message in &request.messages {
        let line = match message {
            Message::System(said) => format!("system {}", parts(said)),
            Message::User(said) => format!("user {}", parts(said)),
            Message::Tool { call_id, parts: said, is_error } => {
                format!("tool {call_id} {is_error} {}", parts(said))
            }
            Message::Assistant(message) => {
                let mut line = format!("assistant {}", parts(&message.parts));
                for (thought, signature) in &message.reasoning {
                    write!(line, " thought({thought}, {signature:?})").unwrap();
                }
                for call in &message.calls {
                    write!(line, " call({}, {}, {})", call.id, call.name, call.arguments).unwrap();
                }
                line
            }
        };
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

/// A body with these members beside `contents`.
fn with(members: &str) -> String {
    format!(r#"{{"contents":[{{"parts":[{{"text":"hi"}}]}}]{members}}}"#)
}

fn configured(config: &str) -> String {
    with(&format!(r#","generationConfig":{{{config}}}"#))
}

#[test]
fn conversations() {
    for (body, wanted) in [
        (
            r#"{"contents":[{"role":"user","parts":[{"text":"Hi"},{"text":"there\n"}]}],"system_instruction":{"parts":[{"text":"Be brief."}]}}"#,
            "system \"Be brief.\"\nuser \"Hi\" \"there\\n\"\n",
        ),
        // By the SDK's other alphabet of base64.
        (
            r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"__-A"}},{"inline_data":{"mime_type":"audio/mpeg","data":"AA"}},{"fileData":{"mimeType":"application/pdf","fileUri":"https://x/a.pdf","displayName":"a"}}]}],"generationConfig":{"mediaResolution":"MEDIA_RESOLUTION_LOW"}}"#,
            "user image(image/png //+A, Some(\"low\")) audio(mp3 AA==) file(url https://x/a.pdf, \"a\")\n",
        ),
        // By id, then by name in order; results before what is said.
        (
            r#"{"contents":[{"parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1}}},{"functionCall":{"id":"x","name":"f"}},{"functionCall":{"name":"g","args":{}}}]},{"role":"user","parts":[{"text":"b"},{"functionResponse":{"id":"x","name":"f","response":{"result":"1"}}},{"functionResponse":{"name":"g","response":{"a":[1]}}},{"functionResponse":{"name":"f","response":{"error":"no"}}}]}]}"#,
            "user \"a\"\nassistant  call(call_0, f, {\"a\":1}) call(x, f, {}) call(call_2, g, {})\ntool x false \"1\"\ntool call_2 false \"{\\\"a\\\":[1]}\"\ntool call_0 true \"no\"\nuser \"b\"\n",
        ),
        // The events of a stream, each kept as a turn.
        (
            r#"{"contents":[{"role":"model","parts":[{"text":"Hm","thought":true}]},{"role":"model","parts":[{"text":".","thought":true}]},{"role":"model","parts":[{"text":"","thought":true,"thoughtSignature":"Y29vOnNpZw=="}]},{"role":"model","parts":[{"text":"He"}]},{"role":"model","parts":[{"text":"llo","thoughtSignature":"AAAA"}]},{"role":"model","parts":[{"text":""}]},{"role":"function","parts":[{"text":"x"}]}]}"#,
            "assistant \"Hello\" thought(Hm., Some(\"sig\"))\nuser \"x\"\n",
        ),
        (
            r#"{"contents":[{"role":"model","parts":[{"text":"t","thought":true,"thought_signature":"CiQBVKhc"}]},{"parts":null}]}"#,
            "assistant  thought(t, None)\n",
        ),
    ] {
        let request = read_request(body.as_bytes(), false).unwrap();
        assert_eq!(outline(&request), wanted, "{body}");
    }
}

#[test]
fn configuration() {
    let body = configured(
        r#""temperature":0.5,"topP":0.25,"top_k":40.0,"candidateCount":2,"maxOutputTokens":7,"stopSequences":["x"],"seed":-3,"presencePenalty":1,"frequencyPenalty":-1,"responseLogprobs":true,"logprobs":3,"responseModalities":["TEXT"],"thinkingConfig":{"thinkingBudget":1024,"includeThoughts":true}"#,
    );
    let request = read_request(body.as_bytes(), true).unwrap();
    assert!(request.stream && request.include_usage && request.other.is_empty(), "{:?}", request.other);
    assert_eq!((request.temperature, request.top_p, request.top_k), (Some(0.5), Some(0.25), Some(40)));
    assert_eq!((request.n, request.max_tokens, request.seed), (Some(2), Some(7), Some(-3)));
    assert_eq!((request.presence_penalty, request.frequency_penalty), (Some(1.0), Some(-1.0)));
    assert_eq!((request.logprobs, request.top_logprobs), (Some(true), Some(3)));
    assert_eq!((request.stop.as_slice(), request.reasoning_tokens), (&["x".into()][..], Some(1024)));
    for (thinking, tokens, effort) in [
        (r#""thinkingBudget":0"#, None, None),
        (r#""thinkingBudget":-1"#, None, None),
        (r#""thinking_level":"LOW""#, None, Some(Effort::Low)),
        (r#""thinkingLevel":"minimal""#, None, Some(Effort::Minimal)),
    ] {
        let body = configured(&format!(r#""thinkingConfig":{{{thinking}}}"#));
        let request = read_request(body.as_bytes(), false).unwrap();
        assert_eq!((request.reasoning_tokens, request.reasoning_effort), (tokens, effort), "{thinking}");
    }
}

#[test]
fn forms_of_the_answer() {
    let form = |config: &str| {
        let body = configured(config);
        let request = read_request(body.as_bytes(), false).unwrap();
        match request.response_format {
            None => "none".to_owned(),
            Some(ResponseFormat::Text) => "text".to_owned(),
            Some(ResponseFormat::JsonObject) => "object".to_owned(),
            Some(ResponseFormat::JsonSchema { schema, .. }) => schema.unwrap().get().to_owned(),
        }
    };
    for (config, wanted) in [
        ("", "none"),
        (r#""responseMimeType":"text/plain""#, "none"),
        (r#""responseMimeType":"application/json""#, "object"),
        (
            r#""response_mime_type":"application/json","responseSchema":{"type":"OBJECT"}"#,
            r#"{"type":"object"}"#,
        ),
        (r#""responseJsonSchema":{"type":"OBJECT"}"#, r#"{"type":"OBJECT"}"#),
    ] {
        assert_eq!(form(config), wanted, "{config}");
    }
}

#[test]
fn tools_and_which_of_them() {
    let tools = r#","tools":[{"functionDeclarations":[{"name":"f","description":"F.","parameters":{"type":"OBJECT"}},{"name":"g","parametersJsonSchema":{"type":"object"}}]},{"function_declarations":[{"name":"h"}]}]"#;
    for (calling, choice, names) in [
        ("{}", None, "f g h"),
        (r#"{"mode":"AUTO"}"#, Some(ToolChoice::Auto), "f g h"),
        (r#"{"mode":"NONE"}"#, Some(ToolChoice::None), "f g h"),
        (r#"{"mode":"ANY"}"#, Some(ToolChoice::Required), "f g h"),
        (r#"{"mode":"ANY","allowedFunctionNames":["g"]}"#, Some(ToolChoice::Function("g".into())), "f g h"),
        (r#"{"mode":"ANY","allowed_function_names":["g","h"]}"#, Some(ToolChoice::Required), "g h"),
    ] {
        let body = with(&format!(r#"{tools},"toolConfig":{{"functionCallingConfig":{calling}}}"#));
        let request = read_request(body.as_bytes(), false).unwrap();
        let got: Vec<&str> = request.tools.iter().map(|tool| &*tool.name).collect();
        assert_eq!((request.tool_choice, got.join(" ").as_str()), (choice, names), "{calling}");
    }
    let body = with(tools);
    let request = read_request(body.as_bytes(), false).unwrap();
    let schemas: Vec<_> =
        request.tools.iter().map(|tool| tool.parameters.as_deref().map(RawValue::get)).collect();
    let object = Some(r#"{"type":"object"}"#);
    assert_eq!(schemas, [object, object, None]);
    let alone = with(r#","toolConfig":{"functionCallingConfig":{"mode":"ANY"}}"#);
    assert_eq!(read_request(alone.as_bytes(), false).unwrap().tool_choice, None);
}

#[test]
fn what_others_lack_is_kept_to_be_named() {
    let body = with(
        r#","safety_settings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_LOW_AND_ABOVE"}],"cachedContent":"cachedContents/x","tools":[{"functionDeclarations":[{"name":"f"}]}],"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"},"retrievalConfig":{}},"generationConfig":{"speechConfig":{},"responseMimeType":"text/x.enum"},"model":"x""#,
    );
    let request = read_request(body.as_bytes(), false).unwrap();
    let mut names: Vec<&str> = request.other.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "cachedContent",
            "generationConfig.responseMimeType",
            "generationConfig.speechConfig",
            "safetySettings",
            "toolConfig.functionCallingConfig.mode",
            "toolConfig.retrievalConfig",
        ]
    );
    let passes = with(
        r#","safetySettings":[{"category":"c","threshold":"BLOCK_NONE"},{"threshold":"OFF"}],"labels":{}"#,
    );
    assert!(read_request(passes.as_bytes(), false).unwrap().other.is_empty());
}

#[test]
fn refusals_name_their_place() {
    let part = |part: &str| format!(r#"{{"contents":[{{"parts":[{part}]}}]}}"#);
    for (body, param) in [
        ("{}".to_owned(), "contents"),
        (r#"{"contents":[{"role":"system","parts":[]}]}"#.to_owned(), "contents[0].role"),
        (part("{}"), "contents[0].parts[0]"),
        (part(r#"{"executableCode":{"code":"x"}}"#), "contents[0].parts[0]"),
        (part(r#"{"inlineData":{"data":"AAAA"}}"#), "contents[0].parts[0].inlineData.mimeType"),
        (part(r#"{"inlineData":{"mimeType":"video/mp4","data":"AAAA"}}"#), "contents[0].parts[0].inlineData"),
        (
            part(r#"{"fileData":{"mimeType":"image/png","fileUri":"gs://b/x.png"}}"#),
            "contents[0].parts[0].fileData",
        ),
        (
            part(
                r#"{"fileData":{"mimeType":"image/png","fileUri":"https://generativelanguage.googleapis.com/v1beta/files/x"}}"#,
            ),
            "contents[0].parts[0].fileData",
        ),
        (part(r#"{"functionResponse":{"name":"f"}}"#), "contents[0].parts[0].functionResponse"),
        (with(r#","tools":[{"googleSearch":{}}]"#), "tools[0].googleSearch"),
        (
            with(r#","tools":[{"functionDeclarations":[{"name":"f","parameters":{"properties":1}}]}]"#),
            "tools[0].functionDeclarations[0].parameters",
        ),
        (
            with(
                r#","tools":[{"functionDeclarations":[{"name":"f"}]}],"toolConfig":{"functionCallingConfig":{"mode":"SOME"}}"#,
            ),
            "toolConfig.functionCallingConfig.mode",
        ),
        (with(r#","systemInstruction":{"parts":[{"inlineData":{}}]}"#), "systemInstruction.parts[0]"),
        (configured(r#""topP":"x""#), "generationConfig.topP"),
        (configured(r#""responseSchema":{"anyOf":1}"#), "generationConfig.responseSchema"),
        (
            configured(r#""thinkingConfig":{"thinkingLevel":"DEEP"}"#),
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (with(r#","generationConfig":[]"#), "generationConfig"),
    ] {
        assert_eq!(read_request(body.as_bytes(), false).unwrap_err().param, param, "{body}");
    }
}

#[test]
fn counts_are_of_contents_or_of_a_whole_request() {
    for body in [
        r#"{"contents":[{"parts":[{"text":"a"}]}]}"#,
        r#"{"generateContentRequest":{"model":"models/m","contents":[{"parts":[{"text":"a"}]}]}}"#,
    ] {
        assert_eq!(outline(&read_count(body.as_bytes()).unwrap()), "user \"a\"\n");
    }
}
