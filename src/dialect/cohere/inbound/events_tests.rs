use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::chat::Malformed;
use crate::dialect::chat::samples::{any_piece, arguments, call_f as call, text};
use crate::dialect::cohere::StreamReader;
use crate::dialect::provider_error::ProviderError;

const FACE: Face<'_> = Face { id: "7", model: "fast", created: 1 };

fn written(pieces: &[Piece<'_>]) -> String {
    let mut writer = EventWriter::new(&FACE);
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| writer.write(piece, &mut out));
    String::from_utf8(out).unwrap()
}

/// The events' data, without the last word; their names are checked to be their data's type.
fn events(stream: &str) -> Vec<Value> {
    let stream = stream.strip_suffix("data: [DONE]\n\n").unwrap_or(stream);
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

/// What the provider's reader makes of a stream that comes in pieces of so many bytes.
fn read(stream: &str, size: usize) -> Result<Vec<Piece<'static>>, Malformed> {
    let mut reader = StreamReader::new();
    let mut pieces = Vec::new();
    let mut each = |piece: Piece<'_>| {
        pieces.push(match piece {
            Piece::Text { choice, text } => Piece::Text { choice, text: text.into_owned().into() },
            Piece::Reasoning { choice, text } => Piece::Reasoning { choice, text: text.into_owned().into() },
            Piece::Call { choice, index, id, name } => {
                Piece::Call { choice, index, id: id.into_owned().into(), name: name.into_owned().into() }
            }
            Piece::Arguments { choice, index, json } => {
                Piece::Arguments { choice, index, json: json.into_owned().into() }
            }
            Piece::Start { id, model } => {
                Piece::Start { id: id.into_owned().into(), model: model.into_owned().into() }
            }
            Piece::Annotations { choice, json } => {
                Piece::Annotations { choice, json: json.into_owned().into() }
            }
            Piece::Logprobs { choice, json } => Piece::Logprobs { choice, json: json.into_owned().into() },
            Piece::Finish { choice, reason } => Piece::Finish { choice, reason },
            Piece::Usage(usage) => Piece::Usage(usage),
            Piece::Error(error) => Piece::Error(error),
            Piece::Done => Piece::Done,
            other => panic!("{other:?}"),
        });
    };
    for part in stream.as_bytes().chunks(size) {
        reader.feed(part, &mut each)?;
    }
    reader.finish(&mut each)?;
    Ok(pieces)
}

#[test]
fn thought_text_and_calls() {
    let usage = Usage {
        prompt_tokens: 10,
        completion_tokens: 4,
        total_tokens: 14,
        cached_tokens: 3,
        ..Usage::default()
    };
    let stream = written(&[
        Piece::Start { id: "chatcmpl-1".into(), model: "gpt".into() },
        text(""),
        Piece::Reasoning { choice: 0, text: "Hm".into() },
        Piece::Signature { choice: 0, signature: "sig".into() },
        text("He\n"),
        Piece::Logprobs { choice: 0, json: r#"{"content":[{"token":"He\n","logprob":-0.5}]}"#.into() },
        Piece::Text { choice: 1, text: "other".into() },
        text("llo"),
        Piece::Annotations {
            choice: 0,
            json: r#"[{"type":"url_citation","url_citation":{"start_index":0,"end_index":2,"url":"u","title":"t"}}]"#
                .into(),
        },
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
        stream.starts_with("event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"chatcmpl-1\"")
    );
    assert!(stream.ends_with("}\n\ndata: [DONE]\n\n"));
    let said = |kind: &str, index: u32, content: Value| json!({"type": kind, "index": index, "delta": {"message": {"content": content}}});
    let called = |kind: &str, index: u32, calls: Value| json!({"type": kind, "index": index, "delta": {"message": {"tool_calls": calls}}});
    let function = |arguments: &str| json!({"function": {"arguments": arguments}});
    let start = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": ""}});
    let ended = |kind: &str, index: u32| json!({"type": kind, "index": index});
    let empty =
        json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    let tokens = json!({"input_tokens": 10, "output_tokens": 4});
    let mut rated = said("content-delta", 1, json!({"text": ""}));
    rated["logprobs"] = json!({"text": "He\n", "token_ids": [], "logprobs": [-0.5]});
    let source = json!({"type": "document", "id": "u", "document": {"url": "u", "title": "t"}});
    let citation = json!({"start": 0, "end": 2, "text": "He", "sources": [source], "content_index": 1, "type": "TEXT_CONTENT"});
    let wanted = [
        json!({"type": "message-start", "id": "chatcmpl-1", "delta": {"message": empty}}),
        said("content-start", 0, json!({"type": "thinking", "thinking": ""})),
        said("content-delta", 0, json!({"thinking": "Hm"})),
        said("content-delta", 0, json!({"thinking": "", "signature": "sig"})),
        ended("content-end", 0),
        said("content-start", 1, json!({"type": "text", "text": ""})),
        said("content-delta", 1, json!({"text": "He\n"})),
        rated,
        said("content-delta", 1, json!({"text": "llo"})),
        json!({"type": "citation-start", "index": 0, "delta": {"message": {"citations": citation}}}),
        ended("citation-end", 0),
        ended("content-end", 1),
        called("tool-call-start", 0, start("call_1")),
        called("tool-call-delta", 0, function("{\"a\"")),
        called("tool-call-delta", 0, function(":1}")),
        ended("tool-call-end", 0),
        called("tool-call-start", 1, start("chatcmpl-1_1")),
        called("tool-call-delta", 1, function("{}")),
        ended("tool-call-end", 1),
        json!({
            "type": "message-end", "id": "chatcmpl-1",
            "delta": {
                "finish_reason": "TOOL_CALL",
                "usage": {"billed_units": tokens, "tokens": tokens, "cached_tokens": 3},
            },
        }),
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
    for (pieces, last) in [
        (vec![error.clone()], "Overloaded"),
        (vec![text("a"), error, Piece::Done], "Overloaded"),
        (
            vec![call(0, "x"), call(1, "y"), arguments(0, "{}"), text("b")],
            "The provider mixed the arguments of several calls. Try again.",
        ),
    ] {
        let stream = written(&pieces);
        assert_eq!(
            events(&stream).last().unwrap(),
            &json!({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": last}})
        );
        assert!(!stream.contains("[DONE]"));
    }
    // Cut: nothing says that it is whole.
    assert!(!written(&[text("a")]).contains("message-end"));
    let empty = events(&written(&[Piece::Done]));
    assert_eq!(
        empty.iter().map(|event| &event["type"]).collect::<Vec<_>>(),
        ["message-start", "message-end"]
    );
    let stopped = written(&[
        Piece::StopSequence { choice: 0, text: "END".into() },
        Piece::Finish { choice: 0, reason: Finish::Stop },
        Piece::Done,
    ]);
    assert!(stopped.contains("\"finish_reason\":\"STOP_SEQUENCE\""), "{stopped}");
}

/// The provider's reader and this writer are two sides of one format, wherever a stream is cut.
#[test]
fn what_is_written_reads_as_what_it_was() {
    let pieces = [
        Piece::Start { id: "i".into(), model: "".into() },
        Piece::Reasoning { choice: 0, text: "Hm é".into() },
        text("a\"\\\n😀"),
        call(0, "c"),
        arguments(0, "{\"a\":1}"),
        call(1, "d"),
        arguments(1, "{}"),
        Piece::Finish { choice: 0, reason: Finish::ToolCalls },
        Piece::Usage(Usage { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3, ..Usage::default() }),
        Piece::Done,
    ];
    let stream = written(&pieces);
    for size in 1..stream.len() {
        assert_eq!(read(&stream, size).unwrap(), pieces, "{size}");
    }
}

/// Places count from the beginning of the text, and from that of the block at Cohere.
#[test]
fn what_is_cited_stands_in_its_block() {
    let page = r#"[{"url_citation":{"start_index":4,"end_index":6,"url":"u","title":"t"}}]"#;
    let events = events(&written(&[
        text("Größ"),
        Piece::Reasoning { choice: 0, text: "Hm".into() },
        text("e é"),
        Piece::Annotations { choice: 0, json: page.into() },
        Piece::Done,
    ]));
    let citation = events.iter().find(|event| event["type"] == "citation-start").unwrap();
    let citation = &citation["delta"]["message"]["citations"];
    assert_eq!(
        (&citation["start"], &citation["end"], &citation["content_index"], &citation["text"]),
        (&0.into(), &2.into(), &2.into(), &"e ".into())
    );
}

const ANNOTATIONS: &str = r#"[{"url_citation":{"start_index":1,"end_index":0,"url":"u"}},{}]"#;
const LOGPROBS: &str = r#"{"content":[{"token":"a","logprob":-1}]}"#;

proptest! {
    /// Whatever comes, blocks and calls are dense, one after the other, each with its start and its end, and all ends
    /// once.
    #[test]
    fn any_pieces_are_well_formed_events(pieces in prop::collection::vec(any_piece(ANNOTATIONS, LOGPROBS), 0..40)) {
        let stream = written(&pieces);
        let (mut next, mut open, mut stage) = ([0, 0, 0], None, "before");
        for event in &events(&stream) {
            let (kind, index) = (event["type"].as_str().unwrap(), event["index"].as_u64());
            let (what, step) = kind.rsplit_once('-').unwrap();
            let at = ["content", "tool-call", "citation"].iter().position(|known| *known == what);
            match (at, step, stage) {
                (None, "start", "before") => stage = "within",
                // Sources are told within a text.
                (Some(2), "start", "within") => {
                    prop_assert_eq!(index, Some(next[2]));
                    next[2] += 1;
                }
                (Some(2), "end", "within") => prop_assert_eq!(index, Some(next[2] - 1)),
                (Some(at), "start", "within") => {
                    prop_assert_eq!((open, index), (None, Some(next[at])));
                    open = Some((at, index));
                    next[at] += 1;
                }
                (Some(at), "delta", "within") => prop_assert_eq!(open, Some((at, index))),
                (Some(at), "end", "within") => {
                    prop_assert_eq!(open, Some((at, index)));
                    open = None;
                }
                (None, "end", _) => {
                    let failed = event["delta"]["finish_reason"] == "ERROR";
                    prop_assert!(failed || stage == "within" && open.is_none());
                    stage = "after";
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
        let ends = pieces.iter().any(|piece| matches!(piece, Piece::Done | Piece::Error(_)));
        prop_assert!(!ends || stage == "after");
        prop_assert!(read(&stream, 7).is_ok());
    }
}
