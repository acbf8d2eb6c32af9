//! Recorded streams, cut everywhere.

use super::*;
use crate::dialect::chat::samples::{arguments, call, read_with, signature, text, thought};
use crate::dialect::provider_error::ProviderError;
use crate::dialect::sse::events::MAX_EVENT_BYTES;

/// What a stream says, each piece as it prints.
fn pieces<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, Malformed> {
    let mut reader = StreamReader::new();
    read_with(parts, |input, each| match input {
        Some(input) => reader.feed(input, each),
        None => reader.finish(each),
    })
}

fn start(id: &'static str, model: &'static str) -> Piece<'static> {
    Piece::Start { id: id.into(), model: model.into() }
}

/// The end of a stream.
fn end(
    reason: Finish,
    prompt: u64,
    completion: u64,
    (cached, written): (u64, u64),
    thought: u64,
) -> [Piece<'static>; 3] {
    let usage = Usage {
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: prompt + completion,
        cached_tokens: cached,
        cache_write_tokens: written,
        reasoning_tokens: thought,
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
    let citation = r#"[{"type":"url_citation","url_citation":{"start_index":7,"end_index":11,"url":"https://www.weather.com/nyc","title":"Weather in New York City"}}]"#;
    let error = ProviderError {
        status: 503,
        kind: "server_error",
        code: None,
        param: None,
        message: "Overloaded".to_owned(),
    };
    vec![
        (
            include_str!("fixtures/text.sse"),
            with(
                vec![
                    start("msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY", "claude-opus-4-6"),
                    text("Hello"),
                    text(" \"é\"\n!"),
                ],
                end(Finish::Stop, 25, 15, (0, 0), 0),
            ),
        ),
        (
            include_str!("fixtures/tools.sse"),
            with(
                vec![
                    start("msg_014p7gG3wDgGV9EUtLvnow3U", "claude-opus-4-6"),
                    text("Okay"),
                    call(0, "toolu_01T1x1fJ34qAmk2tNTrN7Up6", "get_weather"),
                    arguments(0, "{\"location\":"),
                    arguments(0, " \"San Francisco\"}"),
                    call(1, "toolu_02", "get_time"),
                    arguments(1, "{}"),
                ],
                end(Finish::ToolCalls, 582, 89, (100, 10), 0),
            ),
        ),
        (
            include_str!("fixtures/thinking.sse"),
            with(
                vec![
                    start("msg_01", "claude-opus-5-5"),
                    thought("I need to find the GCD of 1071 and 462."),
                    thought("\n1071 = 2 × 462 + 147"),
                    signature("EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"),
                    signature(
                        "redacted_thinking:EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP",
                    ),
                    text("The greatest common divisor is **21**."),
                ],
                end(Finish::Length, 41, 150, (0, 0), 120),
            ),
        ),
        (
            include_str!("fixtures/search.sse"),
            with(
                vec![
                    start("msg_01G", "claude-opus-4-8"),
                    text("Today: "),
                    text("20°C"),
                    Piece::Annotations { choice: 0, json: citation.into() },
                ],
                end(Finish::Length, 10682, 510, (0, 0), 0),
            ),
        ),
        (
            include_str!("fixtures/refusal.sse"),
            with(
                vec![
                    start("msg_01R", "claude-fable-5"),
                    text("Well"),
                    Piece::Refusal { choice: 0, text: "Could enable harm.".into() },
                ],
                end(Finish::ContentFilter, 20, 4, (0, 0), 0),
            ),
        ),
        (include_str!("fixtures/error.sse"), vec![start("msg_01E", "claude-opus-4-6"), Piece::Error(error)]),
        (
            include_str!("fixtures/lean.sse"),
            with(
                vec![
                    start("a", "m"),
                    call(0, "t", "f"),
                    arguments(0, "{\"a\":1}"),
                    thought("hm"),
                    signature("s"),
                ],
                end(Finish::ToolCalls, 3, 4, (0, 0), 0),
            ),
        ),
    ]
}

#[test]
fn recorded_streams_say_the_same_wherever_they_are_cut() {
    for (stream, wanted) in fixtures() {
        let wanted: Vec<_> = wanted.iter().map(|piece| format!("{piece:?}")).collect();
        for line_end in ["\n", "\r\n", "\r"] {
            let stream = stream.replace('\n', line_end);
            let bytes = stream.as_bytes();
            assert_eq!(pieces([bytes]).unwrap(), wanted);
            assert_eq!(pieces(bytes.chunks(1)).unwrap(), wanted);
            for at in 0..bytes.len() {
                let (before, after) = bytes.split_at(at);
                assert_eq!(pieces([before, after]).unwrap(), wanted, "cut at {at}");
            }
        }
    }
}

#[test]
fn a_stream_that_ends_early_has_no_end() {
    let stream = include_str!("fixtures/text.sse");
    let (before, _) = stream.split_once("event: message_delta").unwrap();
    let mut reader = StreamReader::new();
    let mut done = false;
    let mut each = |piece: Piece<'_>| done |= matches!(piece, Piece::Done | Piece::Finish { .. });
    reader.feed(before.as_bytes(), &mut each).unwrap();
    reader.finish(&mut each).unwrap();
    assert!(!done);
    assert_eq!(reader.usage().unwrap().prompt_tokens, 25);
}

#[test]
fn nothing_comes_after_the_end() {
    let stream = include_str!("fixtures/text.sse").as_bytes();
    assert_eq!(pieces([stream, b"data: what\n\n", stream]), pieces([stream]));
}

#[test]
fn what_is_not_claudes_is_malformed() {
    for stream in
        ["data: {\n\n", "data: {}\n\n", "data: [DONE]\n\n", "data: {\"type\":\"message_start\"}\n\n"]
    {
        assert!(pieces([stream.as_bytes()]).is_err(), "{stream}");
    }
    let endless = vec![b'a'; MAX_EVENT_BYTES / 2 + 1];
    assert!(pieces([&b"id: "[..], &endless[..]]).is_ok());
    assert!(pieces([&b"id: "[..], &endless[..], &endless[..]]).is_err());
}

#[test]
fn the_stop_text_is_told_before_the_end() {
    let mut reader = StreamReader::new();
    let mut pieces = Vec::new();
    let stream = b"data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1,\"cache_creation_input_tokens\":6}}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"END\"},\"usage\":{\"output_tokens\":2}}\n\ndata: {\"type\":\"message_stop\"}\n\n";
    let mut each = |piece: Piece<'_>| match piece {
        Piece::StopSequence { choice: 0, text } => pieces.push(text.into_owned()),
        Piece::Finish { reason, .. } => pieces.push(reason.name().to_owned()),
        Piece::Usage(usage) => {
            pieces.push(format!("{} of {}", usage.cache_write_tokens, usage.prompt_tokens));
        }
        _ => {}
    };
    reader.feed(stream, &mut each).unwrap();
    assert_eq!(pieces, ["END", "stop", "6 of 7"]);
}
