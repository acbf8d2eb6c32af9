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
            Part::Image(image) => {
                format!("image({}, {})", source(&image.source), image.detail.as_deref().unwrap_or(""))
            }
            Part::File(file) => {
                format!("file({}, {})", source(&file.source), file.name.as_deref().unwrap_or(""))
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
            Message::Tool { call_id, parts: said, .. } => format!("tool {call_id} {}", parts(said)),
            Message::Assistant(message) => {
                let mut line = format!("assistant {}", parts(&message.parts));
                for (thought, signature) in &message.reasoning {
                    write!(line, " thought({thought:?}, {signature:?})").unwrap();
                }
                for call in &message.calls {
                    write!(line, " call({}, {}, {})", call.id, call.name, call.arguments).unwrap();
                }
                line + &message.refusal.as_ref().map(|text| format!(" refusal({text})")).unwrap_or_default()
            }
        };
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

fn body(members: &str) -> String {
    let input = if members.contains("\"input\"") { "" } else { r#","input":"Hi""# };
    format!(r#"{{"model":"m"{input},{members}}}"#)
}

#[test]
fn conversations() {
    for (members, wanted) in [
        (r#""input":"Hi""#, "user \"Hi\"\n"),
        (r#""input":"Hi","instructions":"Be brief.""#, "system \"Be brief.\"\nuser \"Hi\"\n"),
        (
            r#""input":[{"role":"developer","content":"D"},{"role":"system","content":[{"type":"input_text","text":"S"}]},
                {"type":"message","role":"user","content":[
                    {"type":"input_text","text":"What?"},
                    {"type":"input_image","image_url":"data:image/png;base64,iVBO","detail":"low"},
                    {"type":"input_image","image_url":"https://x/y.png","detail":"auto"},
                    {"type":"input_image","file_id":"file_1"},
                    {"type":"input_file","filename":"a.pdf","file_data":"data:application\/pdf;base64,JVBE"},
                    {"type":"input_file","file_data":"JVBE"},{"type":"input_file","file_url":"https://x/y.pdf"},
                    {"type":"input_file","file_id":"file_2"},
                    {"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}]}]"#,
            "system \"D\"\nsystem \"S\"\nuser \"What?\" image(image/png iVBO, low) image(url https://x/y.png, auto) \
             image(id file_1, ) file(application/pdf JVBE, a.pdf) file(application/pdf JVBE, ) \
             file(url https://x/y.pdf, ) file(id file_2, ) audio(wav UklG)\n",
        ),
        (
            r#""input":[
                {"role":"user","content":"Go"},
                {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}],
                 "encrypted_content":"sig"},
                {"type":"reasoning","id":"rs_2","summary":[],"content":[{"type":"reasoning_text","text":"whole"}]},
                {"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[
                    {"type":"output_text","text":"Let me see.","annotations":[],"logprobs":[]}]},
                {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"a\":1}","status":"completed"},
                {"type":"function_call","call_id":"c2","name":"g","arguments":""},
                {"type":"function_call_output","call_id":"c1","output":"one"},
                {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
                {"role":"assistant","content":[{"type":"refusal","refusal":"No."}]},
                {"role":"user","content":"Why?"},{"role":"assistant","content":"So."}]"#,
            "user \"Go\"\nassistant \"Let me see.\" thought(\"a\\n\\nb\", Some(\"sig\")) thought(\"whole\", None) \
             call(c1, f, {\"a\":1}) call(c2, g, )\ntool c1 \"one\"\ntool c2 \"two\"\nassistant  refusal(No.)\n\
             user \"Why?\"\nassistant \"So.\"\n",
        ),
    ] {
        assert_eq!(outline(&read_request(body(members).as_bytes()).unwrap()), wanted, "{members}");
    }
}

#[test]
fn parameters() {
    let body = body(
        r#""max_output_tokens":5,"temperature":0.5,"top_p":0.9,"top_logprobs":2,"parallel_tool_calls":false,"stream":true,
           "user":"u","store":true,"previous_response_id":null,"background":false,"truncation":"disabled","metadata":{},
           "service_tier":"auto","prompt_cache_key":"k","include":["reasoning.encrypted_content","message.output_text.logprobs"],
           "tools":[{"type":"function","name":"f","description":"does","parameters":{"type": "object"},"strict":true},
                    {"type":"function","name":"g","parameters":null}],
           "tool_choice":{"type":"function","name":"f"},"reasoning":{"effort":"max","summary":"auto"},
           "text":{"format":{"type":"json_schema","name":"n","schema":{"type": "object"},"strict":true},"verbosity":"low"},
           "moderation":{"model":"x"}"#,
    );
    let request = read_request(body.as_bytes()).unwrap();
    assert_eq!(
        (&*request.model, request.max_tokens, request.stream, request.include_usage),
        ("m", Some(5), true, true)
    );
    assert_eq!((request.temperature, request.top_p), (Some(0.5), Some(0.9)));
    assert_eq!((request.logprobs, request.top_logprobs), (Some(true), Some(2)));
    assert_eq!((request.user.as_deref(), request.parallel_tool_calls), (Some("u"), Some(false)));
    assert_eq!(request.reasoning_effort, Some(Effort::XHigh));
    assert_eq!(request.tool_choice, Some(ToolChoice::Function("f".into())));
    let tools: Vec<_> = request
        .tools
        .iter()
        .map(|t| (&*t.name, t.parameters.as_deref().map(RawValue::get), t.strict))
        .collect();
    assert_eq!(tools, [("f", Some(r#"{"type": "object"}"#), Some(true)), ("g", None, None)]);
    assert!(matches!(
        request.response_format,
        Some(ResponseFormat::JsonSchema { schema: Some(schema), strict: Some(true), .. })
            if schema.get() == r#"{"type": "object"}"#
    ));
    let other: Vec<_> = request.other.iter().map(|(name, raw)| (&**name, raw.get())).collect();
    assert_eq!(other, [("verbosity", "\"low\""), ("moderation", r#"{"model":"x"}"#)]);
}

#[test]
fn choices() {
    for (choice, wanted, tools) in [
        ("\"auto\"", ToolChoice::Auto, 2),
        ("\"none\"", ToolChoice::None, 2),
        ("\"required\"", ToolChoice::Required, 2),
        (r#"{"type":"function","name":"g"}"#, ToolChoice::Function("g".into()), 2),
        (
            r#"{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"g"}]}"#,
            ToolChoice::Required,
            1,
        ),
    ] {
        let body = body(&format!(
            r#""tool_choice":{choice},"tools":[{{"type":"function","name":"f"}},{{"type":"function","name":"g"}}]"#
        ));
        let request = read_request(body.as_bytes()).unwrap();
        assert_eq!((request.tool_choice, request.tools.len()), (Some(wanted), tools), "{choice}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_name() {
    for (members, param, says) in [
        (r#""previous_response_id":"resp_1""#, "previous_response_id", "keeps no responses"),
        (r#""conversation":"conv_1""#, "conversation", "keeps no responses"),
        (r#""prompt":{"id":"p"}"#, "prompt", "keeps no responses"),
        (r#""background":true"#, "background", "keeps no responses"),
        (r#""tools":[{"type":"web_search"}]"#, "tools[0]", "'web_search'"),
        (r#""tools":[{"type":"function"}]"#, "tools[0].name", "required"),
        (r#""tool_choice":"some""#, "tool_choice", "'some'"),
        (r#""tool_choice":{"type":"mcp"}"#, "tool_choice", "'mcp'"),
        (r#""text":{"format":{"type":"xml"}}"#, "text.format", "'xml'"),
        (r#""text":{"format":{"type":"json_schema","schema":{}}}"#, "text.format.name", "required"),
        (r#""reasoning":{"effort":"huge"}"#, "reasoning.effort", "'huge'"),
        (r#""input":{}"#, "input", "array of items"),
        (r#""input":[{"type":"item_reference","id":"x"}]"#, "input[0]", "keeps no items"),
        (r#""input":[{"type":"web_search_call","id":"x"}]"#, "input[0]", "web_search_call"),
        (r#""input":[{"content":"x"}]"#, "input[0].role", "required"),
        (r#""input":[{"role":"tool","content":"x"}]"#, "input[0].role", "'tool'"),
        (r#""input":[{"role":"user","content":[{"type":"x"}]}]"#, "input[0].content[0]", "'x'"),
        (
            r#""input":[{"role":"user","content":[{"type":"input_image"}]}]"#,
            "input[0].content[0].image_url",
            "required",
        ),
        (r#""input":[{"type":"function_call","name":"f","arguments":""}]"#, "input[0].call_id", "required"),
        (r#""input":[{"type":"function_call_output","call_id":"x"}]"#, "input[0].output", "required"),
        (r#""temperature":"hot""#, "temperature", "expected f64"),
        (r#""input":null"#, "input", "required"),
    ] {
        let refused = read_request(body(members).as_bytes()).map(|_| ()).unwrap_err();
        assert_eq!(refused.param, param, "{members}: {refused}");
        assert!(refused.message.contains(says), "{refused}");
        assert!(refused.message.ends_with('.'), "{refused}");
    }
    assert_eq!(read_request(br#"{"input":"x"}"#).map(|_| ()).unwrap_err().param, "model");
}
