//! Recorded streams, cut everywhere.

use super::*;
use crate::dialect::bedrock::frame::write;
use crate::dialect::chat::Finish;
use crate::dialect::chat::samples::{arguments, call, read_with, signature, text};
use crate::dialect::provider_error::ProviderError;
use crate::dialect::usage::Usage;

/// An event as the service writes it.
fn event(name: &str, payload: &str) -> Vec<u8> {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    write(&headers, payload.as_bytes())
}

fn exception(name: &str, payload: &str) -> Vec<u8> {
    let headers =
        [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    write(&headers, payload.as_bytes())
}

fn stream(events: &[(&str, &str)]) -> Vec<u8> {
    events.iter().flat_map(|(name, payload)| event(name, payload)).collect()
}

/// What a stream says, each piece as it prints.
fn pieces<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, Malformed> {
    let mut reader = StreamReader::new();
    read_with(parts, |input, each| match input {
        Some(input) => reader.feed(input, each),
        None => reader.finish(each),
    })
}

const START: Piece<'static> = Piece::Start { id: Cow::Borrowed(""), model: Cow::Borrowed("") };

/// The streams, as the API reference and the User Guide show them, and what they say.
fn fixtures() -> Vec<(Vec<u8>, Vec<Piece<'static>>)> {
    let usage = |prompt, completion, (cached, written)| {
        Piece::Usage(Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt + completion,
            cached_tokens: cached,
            cache_write_tokens: written,
            ..Usage::default()
        })
    };
    let finish = |reason| Piece::Finish { choice: 0, reason };
    let plain = stream(&[
        ("messageStart", r#"{"p":"abcdefgh","role":"assistant"}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"Hello"},"p":"abcdefghijklmnop"}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":" \"\u00e9\"\n!"},"p":"abc"}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":""},"p":"abc"}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":0,"p":"abcdefghijklmnopqrstuvwxyz"}"#),
        ("messageStop", r#"{"p":"abcdefgh","stopReason":"end_turn"}"#),
        (
            "metadata",
            r#"{"metrics":{"latencyMs":523},"p":"ab","usage":{"cacheReadInputTokens":2,"cacheWriteInputTokens":1,"inputTokens":12,"outputTokens":8,"totalTokens":23}}"#,
        ),
    ]);
    let tools = stream(&[
        ("messageStart", r#"{"role":"assistant"}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"The user\nwants both."}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"EqQBCg=="}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"AAECAw=="}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":2,"start":{"toolUse":{"name":"get_weather","toolUseId":"tooluse_1"}}}"#,
        ),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"city\": \"Par"}}}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":2,"delta":{"toolUse":{"input":"is\"}"}}}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":3,"start":{"toolUse":{"name":"now","toolUseId":"tooluse_2"}}}"#,
        ),
        ("contentBlockDelta", r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":""}}}"#),
        ("contentBlockStop", r#"{"contentBlockIndex":3}"#),
        ("eventOfNextYear", "not JSON"),
        ("messageStop", r#"{"stopReason":"tool_use","additionalModelResponseFields":{"a":[1]}}"#),
        ("metadata", r#"{"usage":{"inputTokens":5,"outputTokens":6,"totalTokens":11}}"#),
    ]);
    let throttled = |status| ProviderError {
        status,
        kind: "rate_limit_error",
        code: Some("rate_limit_exceeded"),
        param: None,
        message: "Too many tokens".to_owned(),
    };
    let failed = [
        event("messageStart", r#"{"role":"assistant"}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"a"}}"#),
        exception("throttlingException", r#"{"message":"Too many tokens"}"#),
    ]
    .concat();
    let other = write(
        &[(":message-type", "error"), (":error-code", "InternalError"), (":error-message", "It broke")],
        b"",
    );
    let broke = ProviderError {
        status: 500,
        kind: "server_error",
        code: None,
        param: None,
        message: "It broke".into(),
    };
    vec![
        (
            plain,
            vec![
                START,
                text("Hello"),
                text(" \"é\"\n!"),
                finish(Finish::Stop),
                usage(15, 8, (2, 1)),
                Piece::Done,
            ],
        ),
        (
            tools,
            vec![
                START,
                Piece::Reasoning { choice: 0, text: "The user\nwants both.".into() },
                signature("EqQBCg=="),
                signature("redacted_thinking:AAECAw=="),
                call(0, "tooluse_1", "get_weather"),
                arguments(0, "{\"city\": \"Par"),
                arguments(0, "is\"}"),
                call(1, "tooluse_2", "now"),
                arguments(1, "{}"),
                finish(Finish::ToolCalls),
                usage(5, 6, (0, 0)),
                Piece::Done,
            ],
        ),
        (failed, vec![START, text("a"), Piece::Error(throttled(429))]),
        (other, vec![Piece::Error(broke)]),
        // It may leave its usage out, or be cut.
        (
            stream(&[("messageStart", "{}"), ("messageStop", r#"{"stopReason":"max_tokens"}"#)]),
            vec![START, finish(Finish::Length), Piece::Done],
        ),
        (stream(&[("messageStart", "{}")]), vec![START]),
        (Vec::new(), vec![]),
    ]
}

#[test]
fn streams_say_the_same_wherever_they_are_cut() {
    for (bytes, wanted) in fixtures() {
        let wanted: Vec<String> = wanted.iter().map(|piece| format!("{piece:?}")).collect();
        assert_eq!(pieces([&bytes[..]]).as_ref(), Ok(&wanted));
        assert_eq!(pieces(bytes.chunks(1)).as_ref(), Ok(&wanted));
        for cut in 0..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(pieces([first, second]).as_ref(), Ok(&wanted), "{cut}");
        }
    }
}

#[test]
fn what_is_no_stream_is_malformed() {
    let mut flipped = event("messageStart", "{}");
    let last = flipped.len() - 5;
    flipped[last] ^= 1;
    for bytes in [
        b"data: {}\n\ndata: {}\n\n".to_vec(),
        event("messageStart", "{"),
        event("contentBlockDelta", "{}"),
        flipped,
    ] {
        assert!(pieces([&bytes[..]]).is_err(), "{bytes:?}");
        assert!(pieces(bytes.chunks(1)).is_err());
    }
}
