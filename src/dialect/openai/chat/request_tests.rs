//! Requests as clients send them, and as providers get them.

use serde_json::{Value, json};

use super::{Family, Target, read_request, write_request};
use crate::dialect::chat::{
    AssistantMessage, Effort, Losses, Message, Part, Refused, Request, Source, ToolChoice,
};

const OPENAI: Target<'_> = Target {
    model: "gpt-5",
    provider: "openai",
    ask_usage: true,
    max_completion_tokens: true,
    family: Family::OpenAi,
};
const CUSTOM: Target<'_> = Target {
    model: "qwen",
    provider: "mine",
    ask_usage: false,
    max_completion_tokens: false,
    family: Family::OpenAi,
};

fn body(messages: &str, members: &str) -> String {
    format!(r#"{{"model":"m","messages":{messages}{members}}}"#)
}

fn written(request: &Request<'_>, to: &Target<'_>, losses: &mut Losses) -> Result<Value, Refused> {
    let mut out = Vec::new();
    write_request(request, to, losses, &mut out)?;
    Ok(serde_json::from_slice(&out).unwrap())
}

fn translated(body: &str) -> Value {
    written(&read_request(body.as_bytes()).unwrap(), &OPENAI, &mut Losses::default()).unwrap()
}

#[test]
fn what_can_be_said_is_said_in_the_words_of_today() {
    let user = r#"[{"role":"user","content":"Hi"}]"#;
    for (members, wanted) in [
        ("", json!({})),
        (r#","max_tokens":5"#, json!({"max_completion_tokens": 5})),
        (r#","max_tokens":5,"max_completion_tokens":6"#, json!({"max_completion_tokens": 6})),
        (r#","max_tokens":null,"seed":null,"tools":null,"stop":null"#, json!({})),
        (r#","stop":"\n""#, json!({"stop": ["\n"]})),
        (r#","stop":["a","b"]"#, json!({"stop": ["a", "b"]})),
        (
            r#","temperature":1,"top_p":0.5,"seed":-3,"n":2"#,
            json!({"temperature": 1.0, "top_p": 0.5, "seed": -3, "n": 2}),
        ),
        (
            r#","frequency_penalty":-0.5,"presence_penalty":2"#,
            json!({"frequency_penalty": -0.5, "presence_penalty": 2.0}),
        ),
        (r#","logprobs":true,"top_logprobs":3"#, json!({"logprobs": true, "top_logprobs": 3})),
        (r#","reasoning_effort":"high""#, json!({"reasoning_effort": "high"})),
        (r#","reasoning_effort":"max""#, json!({"reasoning_effort": "xhigh"})),
        (r#","reasoning":{"effort":"low","exclude":false}"#, json!({"reasoning_effort": "low"})),
        (r#","reasoning":{"max_tokens":6000}"#, json!({"reasoning_effort": "medium"})),
        (r#","reasoning":{"max_tokens":0}"#, json!({"reasoning_effort": "none"})),
        (r#","reasoning":{"enabled":false}"#, json!({"reasoning_effort": "none"})),
        (r#","user":"u"}"#.trim_end_matches('}'), json!({"user": "u"})),
        (r#","user":"u","safety_identifier":"s""#, json!({"user": "s"})),
        (
            r#","stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}"#,
            json!({"stream": true, "stream_options": {"include_usage": true}}),
        ),
        (
            r#","stream":false,"store":false,"service_tier":"auto","modalities":["text"],"logit_bias":{}"#,
            json!({}),
        ),
        (
            r#","logit_bias":{"50256":-100},"verbosity":"low","store":true"#,
            json!({"logit_bias": {"50256": -100}, "verbosity": "low", "store": true}),
        ),
        (
            r#","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},
             "strict":true}}],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false"#,
            json!({"tools": [{"type": "function", "function": {"name": "f", "description": "d",
                  "parameters": {"type": "object"}, "strict": true}}],
                "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false}),
        ),
        (
            r#","functions":[{"name":"f"}],"function_call":{"name":"f"}"#,
            json!({"tools": [{"type": "function", "function": {"name": "f"}}],
                "tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ),
        (
            r#","functions":[{"name":"f"}],"function_call":"none""#,
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none"}),
        ),
        (r#","response_format":{"type":"text"}"#, json!({"response_format": {"type": "text"}})),
        (r#","response_format":{"type":"json_object"}"#, json!({"response_format": {"type": "json_object"}})),
        (
            r#","response_format":{"json_schema":{"schema":{"a":[1]},"name":"n","strict":true},"type":"json_schema"}"#,
            json!({"response_format": {"type": "json_schema",
                "json_schema": {"name": "n", "schema": {"a": [1]}, "strict": true}}}),
        ),
    ] {
        let mut whole = json!({"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]});
        whole.as_object_mut().unwrap().extend(wanted.as_object().unwrap().clone());
        assert_eq!(translated(&body(user, members)), whole, "{members}");
    }
}

#[test]
fn messages_of_every_role() {
    for (messages, wanted) in [
        (
            r#"[{"role":"developer","content":"Be nice."},{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#,
            json!([{"role": "system", "content": "Be nice."},
                   {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]),
        ),
        (
            r#"[{"role":"user","content":[{"type":"text","text":"a\"\u00e9"},
                {"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}},
                {"type":"image_url","image_url":{"url":"data:image\/png;base64,iVBO\/w=="}},
                {"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}},
                {"type":"file","file":{"file_data":"data:application/pdf;base64,JVBE","filename":"a.pdf"}},
                {"type":"file","file":{"file_id":"file-1"}}]}]"#,
            json!([{"role": "user", "content": [{"type": "text", "text": "a\"é"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO/w=="}},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_id": "file-1"}}]}]),
        ),
        // As OpenAI's own client sends an answer back.
        (
            r#"[{"role":"assistant","content":"","refusal":null,"annotations":[],"audio":null,"function_call":null,
                 "reasoning_content":"Hm",
                 "tool_calls":[{"id":"call_1","type":"function","index":0,"function":{"name":"f","arguments":"{}"}}]},
                {"role":"tool","tool_call_id":"call_1","content":"ok"}]"#,
            json!([{"role": "assistant", "content": null, "tool_calls": [
                      {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                   {"role": "tool", "tool_call_id": "call_1", "content": "ok"}]),
        ),
        (
            r#"[{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"refusal","refusal":"No."}]}]"#,
            json!([{"role": "assistant", "content": "a", "refusal": "No."}]),
        ),
        // The deprecated way: ids are given.
        (
            r#"[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"a\":1}"}},
                {"role":"function","name":"f","content":"ok"}]"#,
            json!([{"role": "assistant", "content": null, "tool_calls": [
                      {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
                   {"role": "tool", "tool_call_id": "call_0", "content": "ok"}]),
        ),
    ] {
        assert_eq!(translated(&body(messages, ""))["messages"], wanted, "{messages}");
    }
}

#[test]
fn what_a_client_gets_wrong_is_named_by_its_path() {
    let user = |content: &str| {
        body(&format!(r#"[{{"role":"user","content":"a"}},{{"role":"user","content":{content}}}]"#), "")
    };
    let with = |members: &str| body(r#"[{"role":"user","content":"a"}]"#, members);
    for (body, param, said) in [
        ("[]".to_owned(), "", "expected an object"),
        ("{".to_owned(), "", "EOF"),
        (r#"{"messages":[]}"#.to_owned(), "model", "is missing"),
        (r#"{"model":"m"}"#.to_owned(), "messages", "is missing"),
        (body("[]", ""), "messages", "is empty"),
        (body("[5]", ""), "messages[0]", "expected an object"),
        (body(r#"[{"content":"a"}]"#, ""), "messages[0].role", "is missing"),
        (body(r#"[{"role":"bot","content":"a"}]"#, ""), "messages[0].role", "'bot'"),
        (body(r#"[{"role":"user"}]"#, ""), "messages[0].content", "is missing"),
        (body(r#"[{"role":"assistant","content":null}]"#, ""), "messages[0].content", "says nothing"),
        (body(r#"[{"role":"tool","content":"a"}]"#, ""), "messages[0].tool_call_id", "is missing"),
        (
            body(r#"[{"role":"function","name":"f","content":"a"}]"#, ""),
            "messages[0].name",
            "no message before",
        ),
        (
            body(r#"[{"role":"system","content":[{"type":"image_url"}]}]"#, ""),
            "messages[0].content[0].type",
            "Use 'text'",
        ),
        (
            body(
                r#"[{"role":"assistant","tool_calls":[{"id":"1","type":"custom","custom":{"name":"x"}}]}]"#,
                "",
            ),
            "messages[0].tool_calls[0].type",
            "'custom'",
        ),
        (
            body(r#"[{"role":"assistant","tool_calls":[{"id":"1","function":{"name":5}}]}]"#, ""),
            "messages[0].tool_calls[0].function.name",
            "expected a string",
        ),
        (body(r#"[{"role":"assistant","audio":{"id":"audio_1"}}]"#, ""), "messages[0].audio", "transcript"),
        (user("5"), "messages[1].content", "expected a string or an array"),
        (user(r#"[{"type":"video"}]"#), "messages[1].content[0].type", "'video'"),
        (
            user(r#"[{"type":"text","text":"a"},{"type":"text"}]"#),
            "messages[1].content[1].text",
            "is missing",
        ),
        (
            user(r#"[{"type":"image_url","image_url":{}}]"#),
            "messages[1].content[0].image_url.url",
            "is missing",
        ),
        (
            user(r#"[{"type":"image_url","image_url":{"url":"data:image/svg+xml,<svg/>"}}]"#),
            "messages[1].content[0].image_url.url",
            "base64",
        ),
        (
            user(r#"[{"type":"file","file":{"filename":"x"}}]"#),
            "messages[1].content[0].file.file_data",
            "is missing",
        ),
        (with(r#","temperature":"hot""#), "temperature", "string \"hot\""),
        (with(r#","max_tokens":-1"#), "max_tokens", "-1"),
        (with(r#","n":1,"n":2"#), "n", "twice"),
        (with(r#","stop":5"#), "stop", "a string or an array"),
        (with(r#","stop":["a",5]"#), "stop[1]", "a string"),
        (with(r#","tools":[{"type":"custom","custom":{"name":"x"}}]"#), "tools[0].type", "'custom'"),
        (with(r#","tools":[{"type":"function"}]"#), "tools[0].function", "is missing"),
        (with(r#","tools":[{"type":"function","function":{}}]"#), "tools[0].function.name", "is missing"),
        (with(r#","tool_choice":"maybe""#), "tool_choice", "'maybe'"),
        (with(r#","tool_choice":{"type":"function"}"#), "tool_choice.function.name", "is missing"),
        (with(r#","tool_choice":{"type":"custom","custom":{"name":"x"}}"#), "tool_choice.type", "'custom'"),
        (
            with(r#","tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}"#),
            "tool_choice.allowed_tools",
            "only those that are allowed",
        ),
        (with(r#","response_format":{"type":"grammar"}"#), "response_format.type", "'grammar'"),
        (with(r#","response_format":{"type":"json_schema"}"#), "response_format.json_schema", "is missing"),
        (with(r#","reasoning_effort":"huge""#), "reasoning_effort", "'huge'"),
        (with(r#","stream_options":true"#), "stream_options", "expected an object"),
    ] {
        let refused = read_request(body.as_bytes()).unwrap_err();
        assert_eq!(refused.param, param, "{body}");
        assert!(refused.message.contains(said), "{said:?}: {}", refused.message);
        assert!(refused.message.ends_with('.') && !refused.message.contains('\u{1}'), "{}", refused.message);
    }
    let long = format!(r#"{{"model":"m","messages":"{}"}}"#, "x".repeat(100_000));
    let refused = read_request(long.as_bytes()).unwrap_err();
    assert!(refused.message.len() < 400, "{}", refused.message);
    assert!(read_request(b"{\"model\":\"\xff\"}").unwrap_err().message.contains("UTF-8"));
}

#[test]
fn nothing_is_left_out_in_silence() {
    let body = r#"{"model":"m","messages":[{"role":"user","name":"bob","content":[{"type":"text","text":"a",
        "cache_control":{"type":"ephemeral"}}]}],"min_p":0.1,"top_k":40,"stream_options":{"continuous_usage_stats":true},
        "reasoning":{"effort":"low","exclude":true}}"#;
    let request = read_request(body.as_bytes()).unwrap();
    let mut losses = Losses::new(true);
    written(&request, &OPENAI, &mut losses).unwrap();
    let mut dropped = losses.dropped().to_vec();
    dropped.sort();
    assert_eq!(
        dropped,
        [
            "messages[0].content[0].cache_control",
            "messages[0].name",
            "min_p",
            "reasoning.exclude",
            "stream_options.continuous_usage_stats",
            "top_k",
        ]
    );
    let refused = written(&request, &OPENAI, &mut Losses::new(false)).unwrap_err();
    assert!(refused.message.contains("(openai)"), "{}", refused.message);
}

#[test]
fn what_a_provider_can_not_be_sent_is_refused() {
    let image = |source| Part::Image(crate::dialect::chat::Image { source, detail: None });
    let file = |source| Part::File(crate::dialect::chat::File { source, name: None });
    for message in [
        Message::User(vec![image(Source::Id("file_1".into()))]),
        Message::User(vec![file(Source::Url("https://x/y.pdf".into()))]),
        Message::System(vec![image(Source::Url("https://x/y.png".into()))]),
        Message::Assistant(AssistantMessage {
            parts: vec![image(Source::Url("https://x/y.png".into()))],
            ..AssistantMessage::default()
        }),
        Message::Tool {
            call_id: "1".into(),
            parts: vec![image(Source::Id("file_1".into()))],
            is_error: false,
        },
    ] {
        let request = Request { messages: vec![message], ..Request::default() };
        let refused = written(&request, &OPENAI, &mut Losses::new(true)).unwrap_err();
        assert_eq!(refused.param, "messages[0].content[0]");
    }
}

#[test]
fn images_that_functions_return_follow_their_results() {
    let messages = r#"[{"role":"tool","tool_call_id":"1","content":[{"type":"image_url","image_url":{"url":"https://x/1"}}]},
        {"role":"tool","tool_call_id":"2","content":[{"type":"text","text":"a"},
            {"type":"image_url","image_url":{"url":"https://x/2"}}]},
        {"role":"user","content":"Well?"},
        {"role":"tool","tool_call_id":"3","content":[{"type":"image_url","image_url":{"url":"https://x/3"}}]}]"#;
    let image = |url| json!({"type": "image_url", "image_url": {"url": url}});
    let rest = "The rest of the result follows in the next message of the user.";
    assert_eq!(
        translated(&body(messages, ""))["messages"],
        json!([
            {"role": "tool", "tool_call_id": "1", "content": rest},
            {"role": "tool", "tool_call_id": "2", "content": [
                {"type": "text", "text": "a"}, {"type": "text", "text": rest}]},
            {"role": "user", "content": [image("https://x/1"), image("https://x/2")]},
            {"role": "user", "content": "Well?"},
            {"role": "tool", "tool_call_id": "3", "content": rest},
            {"role": "user", "content": [image("https://x/3")]},
        ])
    );
}

#[test]
fn providers_differ_in_names() {
    let request = Request {
        max_tokens: Some(5),
        stream: true,
        include_usage: true,
        reasoning_tokens: Some(20_000),
        reasoning_effort: Some(Effort::Low),
        tool_choice: Some(ToolChoice::Required),
        messages: vec![
            Message::Tool {
                call_id: "1".into(),
                parts: vec![Part::Text("No such file".into())],
                is_error: true,
            },
            Message::User(vec![Part::File(crate::dialect::chat::File {
                source: Source::Data { media_type: "application/pdf".into(), data: "JVBE".into() },
                name: None,
            })]),
        ],
        ..Request::default()
    };
    assert_eq!(
        written(&request, &CUSTOM, &mut Losses::default()).unwrap(),
        json!({"model": "qwen", "max_tokens": 5, "stream": true, "reasoning_effort": "low",
            "tool_choice": "required",
            "messages": [
                {"role": "tool", "tool_call_id": "1", "content": [
                    {"type": "text", "text": "The call failed."}, {"type": "text", "text": "No such file"}]},
                {"role": "user", "content": [{"type": "file", "file": {
                    "file_data": "data:application/pdf;base64,JVBE", "filename": "document.pdf"}}]}]})
    );
}

#[test]
fn text_is_not_copied() {
    let body = body(
        r#"[{"role":"user","content":[{"type":"text","text":"plain"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO"}}]}]"#,
        "",
    );
    let request = read_request(body.as_bytes()).unwrap();
    let [Message::User(parts)] = &request.messages[..] else { panic!("{:?}", request.messages) };
    let [Part::Text(text), Part::Image(image)] = &parts[..] else { panic!("{parts:?}") };
    let Source::Data { media_type, data } = &image.source else { panic!("{image:?}") };
    for (text, wanted) in [(text, "plain"), (media_type, "image/png"), (data, "iVBO")] {
        assert!(matches!(text, std::borrow::Cow::Borrowed(text) if *text == wanted), "{text}");
    }
}
