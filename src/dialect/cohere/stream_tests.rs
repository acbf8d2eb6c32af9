//! Recorded streams, cut everywhere.

use super::*;
use crate::dialect::chat::Finish;
use crate::dialect::chat::samples::{arguments, call, read_with, text as said, thought};
use crate::dialect::provider_error::ProviderError;
use crate::dialect::sse::events::MAX_EVENT_BYTES;
use crate::dialect::usage::Usage;

/// What a stream says, each piece as it prints.
fn pieces<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, Malformed> {
    let mut reader = StreamReader::new();
    read_with(parts, |input, each| match input {
        Some(input) => reader.feed(input, each),
        None => reader.finish(each),
    })
}

fn start(id: &'static str) -> Piece<'static> {
    Piece::Start { id: id.into(), model: "".into() }
}

/// The end of a stream.
fn end(reason: Finish, prompt: u64, completion: u64, cached: u64) -> [Piece<'static>; 3] {
    let usage = Usage {
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: prompt + completion,
        cached_tokens: cached,
        reasoning_tokens: 0,
        ..Usage::default()
    };
    [Piece::Finish { choice: 0, reason }, Piece::Usage(usage), Piece::Done]
}

/// The recorded streams and what they say.
fn fixtures() -> Vec<(&'static str, Vec<Piece<'static>>)> {
    let with = |mut pieces: Vec<Piece<'static>>, end: [Piece<'static>; 3]| {
        pieces.extend(end);
        pieces
    };
    let logprobs =
        r#"{"content":[{"token":"LL","logprob":-0.5,"bytes":[76,76],"top_logprobs":[]}],"refusal":null}"#;
    let citation = r#"[{"type":"url_citation","url_citation":{"start_index":6,"end_index":10,"url":"https://d.example/","title":"D"}}]"#;
    let error = ProviderError {
        status: 500,
        kind: "server_error",
        code: None,
        param: None,
        message: "internal server error".to_owned(),
    };
    vec![
        (
            include_str!("fixtures/text.sse"),
            with(
                vec![
                    start("29f14a5a-11de-4cae-9800-25e4747408ea"),
                    said("LL"),
                    Piece::Logprobs { choice: 0, json: logprobs.into() },
                    said("Ms \"é\"\n"),
                ],
                end(Finish::Stop, 5, 6, 0),
            ),
        ),
        (
            include_str!("fixtures/tools.sse"),
            with(
                vec![
                    start("4a7f"),
                    thought("I will"),
                    thought(" look."),
                    call(0, "get_weather_8ah9", "get_weather"),
                    arguments(0, "{\"loc"),
                    arguments(0, "\":\"Madrid\"}"),
                    call(1, "now_2", "now"),
                    arguments(1, "{}"),
                ],
                end(Finish::ToolCalls, 37, 28, 0),
            ),
        ),
        (
            include_str!("fixtures/thinking.sse"),
            with(
                vec![
                    start("7"),
                    thought("Hm."),
                    said("Größe"),
                    said(" zwei"),
                    Piece::Annotations { choice: 0, json: citation.into() },
                ],
                end(Finish::Length, 9, 7, 4),
            ),
        ),
        (include_str!("fixtures/error.sse"), vec![start("9"), Piece::Error(error)]),
    ]
}

#[test]
fn streams_say_the_same_wherever_they_are_cut() {
    for (stream, wanted) in fixtures() {
        let wanted: Vec<String> = wanted.iter().map(|piece| format!("{piece:?}")).collect();
        let bytes = stream.as_bytes();
        assert_eq!(pieces([bytes]).unwrap(), wanted);
        for cut in 0..=bytes.len() {
            let (before, after) = bytes.split_at(cut);
            assert_eq!(pieces([before, after]).unwrap(), wanted, "cut at {cut}");
        }
        assert_eq!(pieces(bytes.chunks(1)).unwrap(), wanted);
        // Lines may end in CR LF too.
        let crlf = stream.replace('\n', "\r\n");
        assert_eq!(pieces(crlf.as_bytes().chunks(1)).unwrap(), wanted);
    }
}

#[test]
fn what_is_no_event_of_coheres_is_malformed() {
    for stream in
        ["data: x\n\n", "data: []\n\n", "data: {\"type\":\"message-end\",\"delta\":{\"usage\":1}}\n\n"]
    {
        assert!(pieces([stream.as_bytes()]).is_err(), "{stream}");
    }
    let long = format!("data: {}\n\n", "x".repeat(MAX_EVENT_BYTES));
    assert_eq!(pieces([long.as_bytes()]), Err(Malformed("an event is too long")));
}

#[test]
fn odd_streams_are_read() {
    for (stream, wanted) in [
        ("data: [DONE]\n\n", 0),
        ("data: {\"type\":\"new\"}\n\n", 0),
        // Arguments that belong to no call.
        (
            "data: {\"type\":\"tool-call-delta\",\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"arguments\":\"x\"}}}}}\n\n",
            0,
        ),
        // An error in the middle, as it comes without a stream.
        ("data: {\"id\":\"1\",\"message\":\"no\"}\n\n", 1),
        ("data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"TIMEOUT\"}}\n\n", 1),
        // Nothing comes after the end.
        ("data: {\"type\":\"message-end\",\"delta\":{}}\n\ndata: x\n\n", 2),
    ] {
        assert_eq!(pieces([stream.as_bytes()]).unwrap().len(), wanted, "{stream}");
    }
}
