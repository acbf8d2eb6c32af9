use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::chat::samples::{any_piece, arguments, call_f as call, text};
use crate::dialect::provider_error::ProviderError;

const FACE: Face<'_> = Face { id: "7", model: "fast", created: 1 };

fn written(pieces: &[Piece<'_>]) -> String {
    let mut writer = EventWriter::new(&FACE);
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| writer.write(piece, &mut out));
    String::from_utf8(out).unwrap()
}

/// The events' data; their names are checked to be their data's type.
fn events(stream: &str) -> Vec<Value> {
    let blocks = stream
        .strip_suffix("\n\n")
        .map(|stream| stream.split("\n\n").collect::<Vec<_>>())
        .unwrap_or_default();
    let read = |block: &str| {
        let (name, data) = block.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["type"], name);
        data
    };
    blocks.into_iter().map(read).collect()
}

#[test]
fn thought_text_and_calls() {
    let usage = usage::Usage {
        prompt_tokens: 10,
        completion_tokens: 4,
        total_tokens: 14,
        cached_tokens: 3,
        cache_write_tokens: 0,
        reasoning_tokens: 0,
        ..usage::Usage::default()
    };
    let stream = written(&[
        Piece::Start { id: "chatcmpl-1".into(), model: "gpt".into() },
        text(""),
        Piece::Reasoning { choice: 0, text: "Hm".into() },
        Piece::Reasoning { choice: 0, text: ".".into() },
        Piece::Signature { choice: 0, signature: "sig".into() },
        text("He\n"),
        Piece::Text { choice: 1, text: "other".into() },
        text("llo"),
        call(0, "call_1"),
        arguments(0, ""),
        arguments(0, "{\"a\""),
        arguments(0, ":1}"),
        call(1, ""),
        Piece::Finish { choice: 0, reason: Finish::ToolCalls },
        Piece::Usage(usage),
        Piece::Done,
        text("late"),
        Piece::Done,
    ]);
    assert!(
        stream.starts_with(
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_"
        )
    );
    let zero = json!({"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0});
    let start = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let delta =
        |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
    let wanted = [
        json!({"type": "message_start", "message": {
            "id": "msg_chatcmpl-1", "type": "message", "role": "assistant", "model": "fast", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": zero,
        }}),
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "Hm"})),
        delta(0, json!({"type": "thinking_delta", "thinking": "."})),
        delta(0, json!({"type": "signature_delta", "signature": "sig"})),
        stop(0),
        start(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "He\n"})),
        delta(1, json!({"type": "text_delta", "text": "llo"})),
        stop(1),
        start(2, json!({"type": "tool_use", "id": "call_1", "name": "f", "input": {}})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "{\"a\""})),
        delta(2, json!({"type": "input_json_delta", "partial_json": ":1}"})),
        stop(2),
        start(3, json!({"type": "tool_use", "id": "toolu_chatcmpl-1_1", "name": "f", "input": {}})),
        stop(3),
        json!({
            "type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null},
            "usage": {
                "input_tokens": 7, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 3, "output_tokens": 4,
            },
        }),
        json!({"type": "message_stop"}),
    ];
    assert_eq!(events(&stream), wanted);
}

#[test]
fn ends_that_are_not_well() {
    let error = Piece::Error(ProviderError {
        status: 529,
        kind: "server_error",
        code: None,
        param: None,
        message: "Overloaded".into(),
    });
    for (pieces, last, blocks) in [
        (vec![error.clone()], json!({"type": "overloaded_error", "message": "Overloaded"}), 0),
        (
            vec![text("a"), error, Piece::Done],
            json!({"type": "overloaded_error", "message": "Overloaded"}),
            1,
        ),
        (
            vec![call(0, "x"), call(1, "y"), arguments(0, "{}"), text("b")],
            json!({"type": "api_error", "message": "The provider mixed the arguments of several calls. Try again."}),
            2,
        ),
    ] {
        let events = events(&written(&pieces));
        assert_eq!(events.last().unwrap()["error"], last);
        assert_eq!(events.iter().filter(|event| event["type"] == "content_block_start").count(), blocks);
    }
    // Cut: nothing says that it is whole.
    assert!(!written(&[text("a")]).contains("message_stop"));
    let empty = events(&written(&[Piece::Done]));
    assert_eq!(
        empty.iter().map(|event| &event["type"]).collect::<Vec<_>>(),
        ["message_start", "message_delta", "message_stop"]
    );
    let refused = events(&written(&[
        Piece::Refusal { choice: 0, text: "No.".into() },
        Piece::Finish { choice: 0, reason: Finish::Stop },
        Piece::Done,
    ]));
    assert_eq!(refused[2]["delta"], json!({"type": "text_delta", "text": "No."}));
    assert_eq!(refused[4]["delta"]["stop_reason"], "refusal");
}

const ANNOTATIONS: &str = "[]";
const LOGPROBS: &str = "{}";

proptest! {
    /// Whatever comes, blocks are dense, one after the other, each with its start and its end, and all ends once.
    #[test]
    fn any_pieces_are_well_formed_events(pieces in prop::collection::vec(any_piece(ANNOTATIONS, LOGPROBS), 0..40)) {
        let events = events(&written(&pieces));
        let (mut next, mut open, mut stage) = (0, None, "before");
        for event in &events {
            let index = event["index"].as_u64();
            match (event["type"].as_str().unwrap(), stage) {
                ("message_start", "before") => stage = "within",
                ("content_block_start", "within") => {
                    prop_assert_eq!((open, index), (None, Some(next)));
                    open = index;
                    next += 1;
                }
                ("content_block_delta", "within") => prop_assert!(open.is_some() && open == index),
                ("content_block_stop", "within") => {
                    prop_assert!(open.is_some() && open == index);
                    open = None;
                }
                ("message_delta", "within") => {
                    prop_assert_eq!(open, None);
                    stage = "ended";
                }
                ("message_stop", "ended") => stage = "after",
                ("error", "before" | "within") => stage = "after",
                (other, stage) => prop_assert!(false, "{other} {stage}"),
            }
        }
        let ends = pieces.iter().any(|piece| matches!(piece, Piece::Done | Piece::Error(_)));
        prop_assert!(!ends || stage == "after");
    }
}

#[test]
fn the_stop_text_is_told_at_the_end() {
    let stream = written(&[
        Piece::Start { id: "1".into(), model: "m".into() },
        Piece::StopSequence { choice: 0, text: "END".into() },
        Piece::Finish { choice: 0, reason: Finish::Stop },
        Piece::Done,
    ]);

    assert!(stream.contains(r#""stop_reason":"stop_sequence","stop_sequence":"END""#), "{stream}");
}
