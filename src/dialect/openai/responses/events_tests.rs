use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::chat::samples::{any_piece, arguments, call_f as call, text};
use crate::dialect::provider_error::ProviderError;

const FACE: Face<'_> = Face { id: "7", model: "fast", created: 5 };

fn written(pieces: &[Piece<'_>]) -> String {
    let mut writer = EventWriter::new(&FACE);
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| writer.write(piece, &mut out));
    String::from_utf8(out).unwrap()
}

/// The events' data. Their names are checked to be their data's type, and their numbers to be dense.
fn events(stream: &str) -> Vec<Value> {
    let blocks = stream
        .strip_suffix("\n\n")
        .map(|stream| stream.split("\n\n").collect::<Vec<_>>())
        .unwrap_or_default();
    let read = |(number, block): (usize, &str)| {
        let (name, data) = block.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!((&data["type"], &data["sequence_number"]), (&json!(name), &json!(number)));
        assert!(!block.contains('\r') && block.matches('\n').count() == 1, "{block}");
        data
    };
    blocks.into_iter().enumerate().map(read).collect()
}

#[test]
fn thought_text_refusal_and_calls() {
    let usage = Usage { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14, ..Usage::default() };
    let stream = written(&[
        Piece::Start { id: "chatcmpl-1".into(), model: "gpt".into() },
        text(""),
        Piece::Reasoning { choice: 0, text: "H".into() },
        Piece::Reasoning { choice: 0, text: "m".into() },
        Piece::Signature { choice: 0, signature: "sig".into() },
        text("He\n"),
        Piece::Logprobs { choice: 0, json: "{\"content\":[{\n\"token\":\"He\"}]}".into() },
        Piece::Text { choice: 1, text: "other".into() },
        text("llo"),
        Piece::Annotations {
            choice: 0,
            json: r#"[{"type":"url_citation","url_citation":{"start_index":0,"end_index":2,"url":"u","title":"t"}}]"#
                .into(),
        },
        Piece::Refusal { choice: 0, text: "No.".into() },
        call(0, "call_1"),
        arguments(0, "{\"a\""),
        arguments(0, ":1}"),
        call(1, ""),
        Piece::Finish { choice: 0, reason: Finish::ToolCalls },
        Piece::Usage(usage),
        Piece::Done,
        text("late"),
    ]);
    let events = events(&stream);
    let names: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.annotation.added",
            "response.output_text.done",
            "response.content_part.done",
            "response.content_part.added",
            "response.refusal.delta",
            "response.refusal.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(events[0]["response"]["status"], "in_progress");
    assert_eq!(
        events[9]["item"],
        json!({
            "type": "message", "id": "msg_1_1", "status": "in_progress", "role": "assistant", "content": [],
        })
    );
    assert_eq!(
        events[12],
        json!({
            "type": "response.output_text.delta", "sequence_number": 12, "item_id": "msg_1_1", "output_index": 1,
            "content_index": 0, "delta": "llo", "logprobs": [],
        })
    );
    assert_eq!(
        events[17],
        json!({
            "type": "response.refusal.delta", "sequence_number": 17, "item_id": "msg_1_1", "output_index": 1,
            "content_index": 1, "delta": "No.",
        })
    );
    let citation =
        json!({"type": "url_citation", "start_index": 0, "end_index": 2, "url": "u", "title": "t"});
    let response = &events[29]["response"];
    assert_eq!(
        response["output"],
        json!([
            {"type": "reasoning", "id": "rs_1_0", "summary": [{"type": "summary_text", "text": "Hm"}],
             "encrypted_content": "sig"},
            {"type": "message", "id": "msg_1_1", "status": "completed", "role": "assistant", "content": [
                {"type": "output_text", "text": "He\nllo", "annotations": [citation], "logprobs": [{"token": "He"}]},
                {"type": "refusal", "refusal": "No."},
            ]},
            {"type": "function_call", "id": "fc_1_2", "status": "completed", "call_id": "call_1", "name": "f",
             "arguments": "{\"a\":1}"},
            {"type": "function_call", "id": "fc_1_3", "status": "completed", "call_id": "call_1_3", "name": "f",
             "arguments": "{}"},
        ])
    );
    assert_eq!((&response["id"], &response["status"]), (&json!("resp_1"), &json!("completed")));
    assert_eq!(response["usage"]["total_tokens"], 14);
}

#[test]
fn ends_that_are_not_well() {
    let error = |status| {
        Piece::Error(ProviderError {
            status,
            kind: "server_error",
            code: None,
            param: None,
            message: "Overloaded".into(),
        })
    };
    let finish = |reason| Piece::Finish { choice: 0, reason };
    for (pieces, name, status, told) in [
        (
            vec![error(529)],
            "response.failed",
            "failed",
            json!({"code": "server_error", "message": "Overloaded"}),
        ),
        (
            vec![text("a"), error(429), Piece::Done],
            "response.failed",
            "failed",
            json!({"code": "rate_limit_exceeded", "message": "Overloaded"}),
        ),
        (
            vec![call(0, "x"), call(1, "y"), arguments(0, "{}"), text("b")],
            "response.failed",
            "failed",
            json!({
                "code": "server_error",
                "message": "The provider mixed the arguments of several calls. Try again.",
            }),
        ),
        (
            vec![text("a"), finish(Finish::Length), Piece::Done],
            "response.incomplete",
            "incomplete",
            json!({"reason": "max_output_tokens"}),
        ),
        (
            vec![finish(Finish::ContentFilter), Piece::Done],
            "response.incomplete",
            "incomplete",
            json!({"reason": "content_filter"}),
        ),
        (vec![Piece::Done], "response.completed", "completed", Value::Null),
    ] {
        let events = events(&written(&pieces));
        let last = events.last().unwrap();
        assert_eq!((&last["type"], &last["response"]["status"]), (&json!(name), &json!(status)));
        let told_by = if status == "failed" { "error" } else { "incomplete_details" };
        assert_eq!(last["response"][told_by], told);
    }
    // Cut: nothing says that it is whole.
    assert!(!written(&[text("a")]).contains("response.completed"));
}

const ANNOTATIONS: &str = r#"[{"url_citation":{"start_index":0,"end_index":2,"url":"u","title":"t"}}]"#;
const LOGPROBS: &str = "{\"content\":[{\n}]}";

proptest! {
    /// Whatever comes, items and their parts are dense and nested, what is done is what its deltas were, the last
    /// event has every item, and all ends once.
    #[test]
    fn any_pieces_are_well_formed_events(pieces in prop::collection::vec(any_piece(ANNOTATIONS, LOGPROBS), 0..40)) {
        let (mut items, mut stage) = (Vec::new(), 0);
        // The open item, its open part, and what the parts' deltas are so far.
        let (mut item, mut part, mut parts) = (None, None, 0);
        let mut deltas: BTreeMap<String, String> = BTreeMap::new();
        for event in events(&written(&pieces)) {
            let kind = event["type"].as_str().unwrap();
            let index = event.get("content_index").or(event.get("summary_index")).cloned();
            if let Some(at) = event.get("output_index") {
                prop_assert_eq!((stage, at), (2, &json!(items.len())));
                let id = event.get("item_id").cloned().unwrap_or_else(|| event["item"]["id"].clone());
                prop_assert!(item.is_none() || item == Some(id));
            }
            match kind.strip_prefix("response.").unwrap() {
                "created" => prop_assert_eq!(std::mem::replace(&mut stage, 1), 0),
                "in_progress" => prop_assert_eq!(std::mem::replace(&mut stage, 2), 1),
                "completed" | "incomplete" => {
                    prop_assert_eq!((std::mem::replace(&mut stage, 3), &item), (2, &None));
                    prop_assert_eq!(&event["response"]["output"], &json!(items));
                }
                "failed" => prop_assert_eq!(std::mem::replace(&mut stage, 3), 2),
                "output_item.added" => {
                    prop_assert!(item.is_none());
                    item = Some(event["item"]["id"].clone());
                    parts = 0;
                }
                "output_item.done" => {
                    prop_assert!(item.is_some() && part.is_none());
                    item = None;
                    items.push(event["item"].clone());
                }
                "content_part.added" | "reasoning_summary_part.added" => {
                    prop_assert!(item.is_some() && part.is_none());
                    prop_assert_eq!(&index, &Some(json!(parts)));
                    part = index;
                    parts += 1;
                }
                "content_part.done" | "reasoning_summary_part.done" => {
                    prop_assert!(item.is_some() && part.is_some() && part == index);
                    part = None;
                }
                "output_text.annotation.added" => prop_assert!(part.is_some() && part == index),
                other => {
                    prop_assert!(item.is_some() && part == index, "{other}");
                    let (of, what) = other.rsplit_once('.').unwrap();
                    let so_far = deltas.entry(of.to_owned()).or_default();
                    if what == "delta" {
                        so_far.push_str(event["delta"].as_str().unwrap());
                    } else {
                        let whole = ["text", "refusal", "arguments"].iter().find_map(|name| event[name].as_str());
                        let so_far = std::mem::take(so_far);
                        let whole = whole.filter(|whole| *whole != "{}").unwrap_or_default();
                        prop_assert_eq!(whole, so_far);
                    }
                }
            }
        }
        let ends = pieces.iter().any(|piece| matches!(piece, Piece::Done | Piece::Error(_)));
        prop_assert!(!ends || stage == 3);
    }
}
