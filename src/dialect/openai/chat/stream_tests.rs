use super::*;
use crate::dialect::chat::Finish;
use crate::dialect::chat::samples::call;
use crate::dialect::sse::events::MAX_EVENT_BYTES;
use crate::dialect::usage::Usage;

/// Pieces in words, so that they can outlive the bytes they borrow from.
type Told = Result<Vec<String>, Malformed>;

/// Reads a stream that comes in these cuts.
fn read<'i>(cuts: impl IntoIterator<Item = &'i [u8]>) -> Told {
    let mut reader = StreamReader::new();
    let mut told = Vec::new();
    let mut each = |piece: Piece<'_>| told.push(format!("{piece:?}"));
    for cut in cuts {
        reader.feed(cut, &mut each)?;
    }
    reader.finish(&mut each)?;
    Ok(told)
}

fn whole(stream: &str) -> Told {
    read([stream.as_bytes()])
}

fn told(pieces: &[Piece<'_>]) -> Told {
    Ok(pieces.iter().map(|piece| format!("{piece:?}")).collect())
}

fn start(id: &'static str, model: &'static str) -> Piece<'static> {
    Piece::Start { id: id.into(), model: model.into() }
}

fn text(text: &'static str) -> Piece<'static> {
    Piece::Text { choice: 0, text: text.into() }
}

fn arguments(index: u32, json: &'static str) -> Piece<'static> {
    Piece::Arguments { choice: 0, index, json: json.into() }
}

const STOP: Piece<'_> = Piece::Finish { choice: 0, reason: Finish::Stop };

const OPENAI_ID: &str = "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT";
const MINI: &str = "gpt-4o-mini-2024-07-18";

/// Streams as providers send them, shared with the tests of the filter.
const FIXTURES: [&str; 17] = [
    include_str!("../fixtures/azure.sse"),
    include_str!("../fixtures/cut.sse"),
    include_str!("../fixtures/error_event.sse"),
    include_str!("../fixtures/error_object.sse"),
    include_str!("../fixtures/every_field.sse"),
    include_str!("../fixtures/fireworks.sse"),
    include_str!("../fixtures/groq.sse"),
    include_str!("../fixtures/mistral.sse"),
    include_str!("../fixtures/no_done.sse"),
    include_str!("../fixtures/no_final_blank_line.sse"),
    include_str!("../fixtures/openai_refusal_logprobs.sse"),
    include_str!("../fixtures/openai_tools.sse"),
    include_str!("../fixtures/openai_usage.sse"),
    include_str!("../fixtures/openrouter.sse"),
    include_str!("../fixtures/openrouter_error.sse"),
    include_str!("../fixtures/together.sse"),
    include_str!("../fixtures/usage_before_content.sse"),
];

#[test]
fn where_a_stream_is_cut_changes_nothing() {
    for fixture in FIXTURES {
        let wanted = whole(fixture);
        let bytes = fixture.as_bytes();
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            assert_eq!(read([first, second]), wanted, "cut at {at}: {fixture}");
        }
        assert_eq!(read(bytes.chunks(1)), wanted, "{fixture}");
    }
}

#[test]
fn line_ends_change_nothing() {
    for fixture in FIXTURES {
        let wanted = whole(fixture);
        for end in ["\r\n", "\r"] {
            let stream = fixture.replace('\n', end);
            assert_eq!(whole(&stream), wanted);
            assert_eq!(read(stream.as_bytes().chunks(1)), wanted);
        }
    }
}

#[test]
fn tools() {
    let told = whole(include_str!("../fixtures/openai_tools.sse")).unwrap();
    let begin = [start(OPENAI_ID, MINI), call(0, "call_DdmO9pD3xa9XTPNJ32zg2hcA", "get_weather")];
    assert_eq!(told[..2], self::told(&begin).unwrap());
    assert_eq!(told.last().unwrap(), "Done");
    assert_eq!(told.iter().filter(|piece| piece.starts_with("Call")).count(), 1);
    assert_eq!(told.iter().filter(|piece| piece.contains("ToolCalls")).count(), 1);
}

#[test]
fn usage_comes_from_wherever_it_is() {
    let usage = |prompt_tokens, completion_tokens, total_tokens| {
        Piece::Usage(Usage { prompt_tokens, completion_tokens, total_tokens, ..Usage::default() })
    };
    assert_eq!(
        whole(include_str!("../fixtures/fireworks.sse")),
        told(&[
            start("0a2", "accounts/fireworks/models/llama"),
            text("Paris"),
            STOP,
            usage(23, 8, 31),
            Piece::Done
        ])
    );
    assert_eq!(
        whole(include_str!("../fixtures/groq.sse")),
        told(&[start(OPENAI_ID, MINI), text("Paris"), STOP, usage(41, 5, 46), usage(41, 5, 46), Piece::Done])
    );
    let details = Usage {
        prompt_tokens: 19,
        completion_tokens: 10,
        total_tokens: 29,
        cached_tokens: 8,
        cache_write_tokens: 0,
        reasoning_tokens: 4,
        ..Usage::default()
    };
    assert_eq!(
        whole(include_str!("../fixtures/azure.sse")),
        told(&[start(OPENAI_ID, MINI), text("Paris"), STOP, Piece::Usage(details), Piece::Done])
    );
    assert_eq!(
        whole(include_str!("../fixtures/no_done.sse")),
        told(&[start(OPENAI_ID, MINI), text("Paris"), STOP, Piece::Usage(details)])
    );
}

#[test]
fn errors_come_as_pieces() {
    let error = |status, kind, message: &str| {
        Piece::Error(crate::dialect::provider_error::ProviderError {
            status,
            kind,
            code: None,
            param: None,
            message: message.to_owned(),
        })
    };
    assert_eq!(
        whole(include_str!("../fixtures/error_object.sse")),
        told(&[start(OPENAI_ID, MINI), text("Par"), error(500, "server_error", "The server had an error")])
    );
    assert_eq!(
        whole(include_str!("../fixtures/error_event.sse")),
        told(&[start(OPENAI_ID, MINI), text("Par"), error(500, "server_error", "overloaded")])
    );
    assert_eq!(
        whole(include_str!("../fixtures/openrouter_error.sse")),
        told(&[
            start("gen-1745-abc", "openai/gpt-4o-mini"),
            text("Pa"),
            error(502, "server_error", "Provider disconnected unexpectedly")
        ])
    );
    // As the first event, and as vLLM once sent it.
    for stream in [
        r#"{"error":{"message":"slow down","code":429}}"#,
        r#"{"object":"error","message":"slow down","type":"x","code":429}"#,
    ] {
        assert_eq!(
            whole(&format!("data: {stream}\n\n")),
            told(&[error(429, "rate_limit_error", "slow down")])
        );
    }
}

#[test]
fn an_end_by_an_error_is_none() {
    for (last, status, message) in [
        // Mistral.
        (
            r#"{"index":0,"delta":{"content":""},"finish_reason":"error"}"#,
            502,
            "The provider ended the answer with an error.",
        ),
        // OpenRouter, which sends it beside the choices too.
        (
            r#"{"index":0,"delta":{"content":""},"finish_reason":"error","error":{"code":429,"message":"slow down"}}"#,
            429,
            "slow down",
        ),
    ] {
        let stream = format!(
            "data: {{\"id\":\"1\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"Hi\"}}}}]}}\n\n\
             data: {{\"id\":\"1\",\"model\":\"m\",\"choices\":[{last}]}}\n\n"
        );
        let told = whole(&stream).unwrap();
        assert_eq!(told.len(), 3, "{told:?}");
        let error = told.last().unwrap();
        assert!(error.starts_with("Error") && error.contains(message), "{error}");
        assert!(error.contains(&format!("status: {status}")), "{error}");
    }
    // Text Generation Inference, and Ollama.
    for stream in
        [r#"{"error":"Model is overloaded","error_type":"overloaded"}"#, r#"{"error":"Model is overloaded"}"#]
    {
        let told = whole(&format!("data: {stream}\n\n")).unwrap();
        assert!(told.len() == 1 && told[0].contains("Model is overloaded"), "{told:?}");
    }
}

/// A stream of one choice with these deltas.
fn deltas(deltas: &[&str]) -> Told {
    let stream: String = deltas
        .iter()
        .map(|delta| {
            format!(
                "data: {{\"id\":\"1\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n"
            )
        })
        .collect();
    whole(&stream)
}

#[test]
fn deltas_as_providers_send_them() {
    let thought = || Piece::Reasoning { choice: 0, text: "Hm".into() };
    let signature = || Piece::Signature { choice: 0, signature: "c2ln".into() };
    for (sent, wanted) in [
        (vec![r#"{"role":"assistant","content":""}"#, r#"{"content":"Hi"}"#], vec![text("Hi")]),
        // DeepSeek, vLLM, OpenRouter, Mistral.
        (vec![r#"{"reasoning_content":"Hm","content":null}"#], vec![thought()]),
        (vec![r#"{"reasoning":"Hm","reasoning_content":"Hm"}"#], vec![thought()]),
        (
            vec![
                r#"{"content":"","reasoning":"Hm","reasoning_details":[{"type":"reasoning.text","text":"Hm","index":0}]}"#,
                r#"{"content":"","reasoning":null,"reasoning_details":[{"type":"reasoning.text","signature":"c2ln","index":0}]}"#,
            ],
            vec![thought(), signature()],
        ),
        (
            vec![r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]}]}"#],
            vec![thought()],
        ),
        (vec![r#"{"refusal":"No."}"#], vec![Piece::Refusal { choice: 0, text: "No.".into() }]),
        (
            vec![r#"{"annotations":[{"type":"url_citation"}]}"#, r#"{"annotations":[]}"#],
            vec![Piece::Annotations { choice: 0, json: r#"[{"type":"url_citation"}]"#.into() }],
        ),
        // Two calls as OpenAI sends them.
        (
            vec![
                r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}"#,
                r#"{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}]}"#,
                r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}"#,
            ],
            vec![
                call(0, "a", "f"),
                arguments(0, "{"),
                arguments(0, "}"),
                call(1, "b", "g"),
                arguments(1, "{}"),
            ],
        ),
        // Id and name again in every chunk.
        (
            vec![
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"}"}}]}"#,
            ],
            vec![call(0, "a", "f"), arguments(0, "{"), arguments(0, "}")],
        ),
        // All calls with the same index, and with none.
        (
            vec![
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]}"#,
            ],
            vec![call(0, "a", "f"), arguments(0, "{}"), call(1, "b", "f"), arguments(1, "{}")],
        ),
        (
            vec![
                r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"f","arguments":"{"}}]}"#,
                r#"{"tool_calls":[{"function":{"arguments":"}"}}]}"#,
            ],
            vec![
                call(0, "a", "f"),
                arguments(0, "{}"),
                call(1, "b", "f"),
                arguments(1, "{"),
                arguments(1, "}"),
            ],
        ),
        (
            vec![r#"{"tool_calls":[{"index":0,"id":"","function":{"name":"f","arguments":{"a":1}}}]}"#],
            vec![call(0, "", "f"), arguments(0, r#"{"a":1}"#)],
        ),
    ] {
        let mut pieces = vec![start("1", "m")];
        pieces.extend(wanted);
        assert_eq!(deltas(&sent), told(&pieces), "{sent:?}");
    }
}

#[test]
fn what_is_no_chunk_is_malformed() {
    for stream in [
        "data: {\n\n",
        "data: hello\n\n",
        "data: {\"choices\":5}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\"}}]}}]}\n\n",
    ] {
        assert!(whole(stream).is_err(), "{stream}");
    }
    assert_eq!(whole(""), Ok(Vec::new()));
    assert_eq!(whole(": ping\n\nevent: ping\ndata\n\n"), Ok(Vec::new()));
}

#[test]
fn an_event_without_end_is_not_held() {
    let mut reader = StreamReader::new();
    let line = [b'x'; 64 * 1024];
    let fed = (0..=MAX_EVENT_BYTES / line.len()).try_for_each(|_| reader.feed(&line, &mut |_| {}));
    assert_eq!(fed, Err(Malformed("an event is too long")));
}

#[test]
fn after_done_nothing_comes() {
    assert_eq!(whole("data: [DONE]\n\ndata: {\n\ndata: [DONE]\n\n"), told(&[Piece::Done]));
}
