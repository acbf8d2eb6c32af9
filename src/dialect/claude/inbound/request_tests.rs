use std::fmt::Write as _;

use super::*;
use crate::dialect::chat::{Part, Source};

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
            Part::Image(image) => format!("image({})", source(&image.source)),
            Part::File(file) => {
                format!("file({}, {:?})", source(&file.source), file.name.as_deref().unwrap_or(""))
            }
            Part::Audio(_) => "audio".to_owned(),
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

fn body(members: &str) -> String {
    let messages = if members.contains("\"messages\"") { "" } else { r#","messages":[]"# };
    let comma = if members.is_empty() { "" } else { "," };
    format!(r#"{{"model":"m","max_tokens":5{messages}{comma}{members}}}"#)
}

#[test]
fn conversations() {
    for (members, wanted) in [
        (r#""messages":[{"role":"user","content":"Hi"}]"#, "user \"Hi\"\n"),
        (
            r#""system":"Be brief.","messages":[{"role":"user","content":"Hi\n"}]"#,
            "system \"Be brief.\"\nuser \"Hi\\n\"\n",
        ),
        (
            r#""system":[{"type":"text","text":"A","cache_control":{"type":"ephemeral"}},{"type":"text","text":"B"}],
               "messages":[{"role":"system","content":"C"},{"role":"user","content":[]}]"#,
            "system \"A\" \"B\"\nsystem \"C\"\n",
        ),
        (
            r#""messages":[{"role":"user","content":[
                {"type":"image","source":{"data":"iVBO","media_type":"image/png","type":"base64"}},
                {"type":"image","source":{"type":"url","url":"https://x/y.png"}},
                {"type":"image","source":{"type":"file","file_id":"file_1"},"transformations":null},
                {"type":"text","text":"What?","citations":null}]}]"#,
            "user image(image/png iVBO) image(url https://x/y.png) image(id file_1) \"What?\"\n",
        ),
        (
            r#""messages":[{"role":"user","content":[
                {"type":"document","title":"T","context":"C","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}},
                {"type":"document","title":"T","source":{"type":"text","media_type":"text/plain","data":"plain"}},
                {"type":"document","source":{"type":"content","content":"inner"}},
                {"type":"document","source":{"type":"content","content":[{"type":"text","text":"a"},
                    {"type":"image","source":{"type":"url","url":"u"}}]}},
                {"type":"document","source":{"type":"url","url":"https://x/y.pdf"}},
                {"type":"search_result","title":"S","source":"https://s","content":[{"type":"text","text":"found"}],
                 "citations":{"enabled":false}}]}]"#,
            "user \"C\" file(application/pdf JVBE, \"T\") \"T\" \"plain\" \"inner\" \"a\" image(url u) \
             file(url https://x/y.pdf, \"\") \"S\\nhttps://s\" \"found\"\n",
        ),
        (
            r#""messages":[
                {"role":"assistant","content":[{"type":"thinking","thinking":"Hm","signature":"sig"},
                    {"type":"thinking","thinking":"So","signature":""},{"type":"redacted_thinking","data":"xx"},
                    {"type":"text","text":"Let me see."},
                    {"type":"tool_use","id":"t1","name":"f","input":{"a": "\u00e9"}},
                    {"type":"tool_use","id":"t2","name":"g","input":{}}]},
                {"role":"user","content":[{"type":"text","text":"and"},
                    {"type":"tool_result","tool_use_id":"t1","content":"one"},
                    {"type":"tool_result","tool_use_id":"t2","is_error":true,"content":[{"type":"text","text":"no"},
                        {"type":"image","source":{"type":"url","url":"u"}}]},
                    {"type":"tool_result","tool_use_id":"t3"}]},
                {"role":"assistant","content":"Pre"}]"#,
            "assistant \"Let me see.\" thought(Hm, Some(\"sig\")) thought(So, None) \
             call(t1, f, {\"a\": \"\\u00e9\"}) call(t2, g, {})\n\
             tool t1 false \"one\"\ntool t2 true \"no\" image(url u)\ntool t3 false\nuser \"and\"\n\
             assistant \"Pre\"\n",
        ),
    ] {
        assert_eq!(outline(&read_request(body(members).as_bytes()).unwrap()), wanted, "{members}");
    }
}

#[test]
fn large_texts_are_not_copied() {
    let body = body(
        r#""messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}},
            {"type":"text","text":"plain"}]},{"role":"user","content":"plain"}]"#,
    );
    let request = read_request(body.as_bytes()).unwrap();
    let Message::User(parts) = &request.messages[0] else { panic!() };
    let Part::Image(image) = &parts[0] else { panic!() };
    assert!(matches!(&image.source, Source::Data { data: Cow::Borrowed("iVBO"), .. }));
    assert!(matches!(&parts[1], Part::Text(Cow::Borrowed("plain"))));
    let Message::User(parts) = &request.messages[1] else { panic!() };
    assert!(matches!(&parts[0], Part::Text(Cow::Borrowed("plain"))));
}

#[test]
fn parameters() {
    let body = body(
        r#""stop_sequences":["a","b\n"],"temperature":0.5,"top_p":0.9,"top_k":40,"stream":true,
           "metadata":{"user_id":"u"},"thinking":{"type":"enabled","budget_tokens":2048,"display":"summarized"},
           "tools":[{"name":"f","description":"does","input_schema":{"type": "object"},"strict":true},
                    {"type":"custom","name":"g","input_schema":{},"input_examples":[{}],"cache_control":null}],
           "tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},
           "output_config":{"effort":"max","format":{"type":"json_schema","schema":{"type": "object"}}},
           "service_tier":"auto","speed":"standard","cache_control":{"type":"ephemeral"},"mcp_servers":[],
           "container":null,"inference_geo":"us","service\u005ftier2":1"#,
    );
    let request = read_request(body.as_bytes()).unwrap();
    assert_eq!(
        (&*request.model, request.max_tokens, request.stream, request.include_usage),
        ("m", Some(5), true, true)
    );
    assert_eq!(request.stop, ["a", "b\n"]);
    assert_eq!((request.temperature, request.top_p, request.top_k), (Some(0.5), Some(0.9), Some(40)));
    assert_eq!((request.user.as_deref(), request.reasoning_tokens), (Some("u"), Some(2048)));
    assert_eq!((request.reasoning_effort, request.parallel_tool_calls), (Some(Effort::XHigh), Some(false)));
    assert_eq!(request.tool_choice, Some(ToolChoice::Function("f".into())));
    let tools: Vec<_> = request
        .tools
        .iter()
        .map(|t| (&*t.name, t.parameters.as_deref().map(RawValue::get), t.strict))
        .collect();
    assert_eq!(tools, [("f", Some(r#"{"type": "object"}"#), Some(true)), ("g", Some("{}"), None)]);
    assert!(matches!(
        request.response_format,
        Some(ResponseFormat::JsonSchema { schema: Some(schema), strict: Some(true), .. })
            if schema.get() == r#"{"type": "object"}"#
    ));
    let other: Vec<_> = request.other.iter().map(|(name, raw)| (&**name, raw.get())).collect();
    assert_eq!(other, [("input_examples", "[{}]"), ("inference_geo", "\"us\""), ("service_tier2", "1")]);
}

#[test]
fn choices_thoughts_and_citations() {
    for (choice, wanted) in [
        (r#"{"type":"auto"}"#, ToolChoice::Auto),
        (r#"{"type":"any"}"#, ToolChoice::Required),
        (r#"{"type":"none"}"#, ToolChoice::None),
    ] {
        let body = body(&format!(r#""tool_choice":{choice}"#));
        let request = read_request(body.as_bytes()).unwrap();
        assert_eq!((request.tool_choice, request.parallel_tool_calls), (Some(wanted), None));
    }
    for (members, other) in [
        (r#""thinking":{"type":"disabled"}"#, &[][..]),
        (r#""thinking":{"type":"adaptive"}"#, &[]),
        (r#""thinking":{"type":"between_tools"}"#, &["thinking"]),
        (r#""service_tier":"standard_only""#, &["service_tier"]),
        (
            r#""messages":[{"role":"user","content":[{"type":"document","citations":{"enabled":true},
                "source":{"type":"url","url":"u"}}]},{"role":"user","content":"x"}]"#,
            &["citations"],
        ),
    ] {
        let body = body(members);
        let request = read_request(body.as_bytes()).unwrap();
        assert_eq!((request.reasoning_effort, request.reasoning_tokens), (None, None));
        assert_eq!(request.other.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), other, "{members}");
    }
    let body = r#"{"model":"m","messages":[],"output_format":{"type":"json_schema","schema":{}}}"#;
    assert!(read_count(body.as_bytes()).unwrap().response_format.is_some());
}

#[test]
fn what_cannot_be_is_refused_with_its_name() {
    let user = |block: &str| {
        format!(r#""messages":[{{"role":"user","content":"x"}},{{"role":"user","content":[{block}]}}]"#)
    };
    for (members, param, says) in [
        (
            r#""tools":[{"type":"web_search_20250305","name":"web_search"}]"#.to_owned(),
            "tools[0]",
            "web_search_20250305",
        ),
        (r#""tools":[{"type":"bash_20250124","name":"bash"}]"#.to_owned(), "tools[0]", "bash"),
        (r#""tools":[{"name":"f"}]"#.to_owned(), "tools[0].input_schema", "required"),
        (r#""tool_choice":{"type":"some"}"#.to_owned(), "tool_choice.type", "some"),
        (r#""tool_choice":{"type":"tool"}"#.to_owned(), "tool_choice.name", "required"),
        (r#""thinking":{"type":"enabled"}"#.to_owned(), "thinking.budget_tokens", "required"),
        (r#""output_config":{"effort":"huge"}"#.to_owned(), "output_config.effort", "huge"),
        (r#""output_config":{"format":{"type":"xml"}}"#.to_owned(), "output_config.format", "xml"),
        (r#""mcp_servers":[{"url":"x"}]"#.to_owned(), "mcp_servers", "MCP"),
        (r#""temperature":"hot""#.to_owned(), "temperature", "expected f64"),
        (r#""max_tokens":-1"#.to_owned(), "max_tokens", "-1"),
        (r#""messages":[{"role":"tool","content":"x"}]"#.to_owned(), "messages[0].role", "tool"),
        (r#""messages":[{"role":"user"}]"#.to_owned(), "messages", "content"),
        (r#""messages":[{"role":"user","content":{}}]"#.to_owned(), "messages[0].content", "array of blocks"),
        (r#""messages":[{"role":"user","content":3}]"#.to_owned(), "messages", "a string or an array"),
        (user(r#"{"type":"text"}"#), "messages[1].content[0].text", "required"),
        (user(r#"{"type":"image"}"#), "messages[1].content[0].source", "source"),
        (user(r#"{"type":"image","source":{"type":"x"}}"#), "messages[1].content[0].source", "'x'"),
        (
            user(r#"{"type":"image","source":{"type":"base64","data":"x"}}"#),
            "messages[1].content[0].source.media_type",
            "",
        ),
        (user(r#"{"type":"thinking","thinking":""}"#), "messages[1].content[0]", "thinking"),
        (user(r#"{"type":"tool_result"}"#), "messages[1].content[0].tool_use_id", "required"),
        (
            user(
                r#"{"type":"tool_result","tool_use_id":"x","content":[{"type":"tool_reference","tool_name":"x"}]}"#,
            ),
            "messages[1].content[0].content[0]",
            "tool_reference",
        ),
        (
            user(r#"{"type":"web_search_tool_result","tool_use_id":"x","content":{"type":"error"}}"#),
            "messages[1].content[0]",
            "web_search_tool_result",
        ),
    ] {
        let refused = read_request(body(&members).as_bytes()).map(|_| ()).unwrap_err();
        assert_eq!(refused.param, param, "{members}: {refused}");
        assert!(refused.message.contains(says), "{refused}");
        assert!(refused.message.ends_with('.'), "{refused}");
    }
    for (body, param) in [
        (r#"{"model":"m","messages":[]}"#, "max_tokens"),
        (r#"{"model":null,"messages":[],"max_tokens":1}"#, "model"),
        (r#"{"model":"m","max_tokens":1}"#, "messages"),
        ("[]", "body"),
    ] {
        assert_eq!(read_request(body.as_bytes()).map(|_| ()).unwrap_err().param, param);
    }
    assert!(read_count(br#"{"model":"m","messages":[]}"#).is_ok());
}
