use proptest::prelude::*;

use super::*;
use crate::dialect::chat::Finish;
use crate::dialect::chat::samples::printed as debug;
use crate::dialect::sse::events::MAX_EVENT_BYTES;

const FIXTURES: [&[u8]; 7] = [
    include_bytes!("fixtures/text.sse"),
    include_bytes!("fixtures/tools.sse"),
    include_bytes!("fixtures/error.sse"),
    include_bytes!("fixtures/blocked.sse"),
    include_bytes!("fixtures/cut.sse"),
    include_bytes!("fixtures/malformed_call.sse"),
    include_bytes!("fixtures/candidates.sse"),
];

/// The pieces as their `Debug` texts: a piece does not outlive its event.
fn read<'i>(inputs: impl IntoIterator<Item = &'i [u8]>) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut each = |piece: Piece<'_>| pieces.push(format!("{piece:?}"));
    let mut reader = StreamReader::new();
    for input in inputs {
        reader.feed(input, &mut each).unwrap();
    }
    reader.finish(&mut each).unwrap();
    pieces
}

fn usage(
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    reasoning_tokens: u64,
) -> Piece<'static> {
    Piece::Usage(Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens,
        reasoning_tokens,
        ..Usage::default()
    })
}

fn start(id: &'static str, model: &'static str) -> Piece<'static> {
    Piece::Start { id: id.into(), model: model.into() }
}

fn text(choice: u32, text: &'static str) -> Piece<'static> {
    Piece::Text { choice, text: text.into() }
}

#[test]
fn thoughts_text_signature_and_sources() {
    let annotations = r#"[{"type":"url_citation","url_citation":{"start_index":7,"end_index":13,"title":"a","url":"https://a.example/"}}]"#;
    assert_eq!(
        read([FIXTURES[0]]),
        debug(&[
            start("S1", "gemini-3-flash-preview"),
            Piece::Reasoning { choice: 0, text: "**Überlegen**\n\n".into() },
            text(0, "Größe: "),
            text(0, "Zürich 😀"),
            Piece::Signature { choice: 0, signature: "gemini:EtwNCtkN".into() },
            Piece::Annotations { choice: 0, json: annotations.into() },
            Piece::Finish { choice: 0, reason: Finish::Stop },
            usage(8, 69, 77, 62),
            Piece::Done,
        ])
    );
}

#[test]
fn calls_are_counted_across_events() {
    let call = |index, id: &'static str, name: &'static str, json: &'static str| {
        [
            Piece::Call { choice: 0, index, id: id.into(), name: name.into() },
            Piece::Arguments { choice: 0, index, json: json.into() },
        ]
    };
    let mut wanted = vec![start("T1", "gemini-3-pro-preview")];
    wanted.extend(call(0, "call_T1_0_0__thought__CiQB0e2K", "check_flight", r#"{"flight": "AA100"}"#));
    wanted.extend(call(1, "k8f2", "check_flight", r#"{"flight": "AA101"}"#));
    wanted.extend(call(2, "call_T1_0_2", "book_taxi", "{}"));
    wanted.extend([
        Piece::Finish { choice: 0, reason: Finish::ToolCalls },
        usage(50, 27, 77, 0),
        Piece::Done,
    ]);
    assert_eq!(read([FIXTURES[1]]), debug(&wanted));
}

#[test]
fn a_stream_that_did_not_end_well_is_not_done() {
    let error = |status, message: &str| {
        Piece::Error(ProviderError {
            status,
            kind: "server_error",
            code: None,
            param: None,
            message: message.to_owned(),
        })
    };
    let overloaded = error(503, "The model is overloaded. Please try again later.");
    let no_call = error(502, "The model wrote no valid answer or function call. (MALFORMED_FUNCTION_CALL)");
    assert_eq!(read([FIXTURES[2]]), debug(&[start("E1", "gemini-2.5-flash"), text(0, "Once"), overloaded]));
    assert_eq!(
        read([FIXTURES[4]]),
        debug(&[start("C1", "gemini-2.5-flash"), text(0, "Once"), usage(4, 0, 5, 0)])
    );
    assert_eq!(read([FIXTURES[5]]), debug(&[start("M1", "gemini-2.5-flash"), no_call, usage(4, 0, 4, 0)]));
    assert_eq!(read([]), Vec::<String>::new());
}

#[test]
fn a_blocked_prompt_is_a_whole_answer() {
    assert_eq!(
        read([FIXTURES[3]]),
        debug(&[
            start("B1", "gemini-2.5-flash"),
            Piece::Refusal { choice: 0, text: "Gemini blocked this prompt (SAFETY).".into() },
            Piece::Finish { choice: 0, reason: Finish::ContentFilter },
            usage(4, 0, 4, 0),
            Piece::Done,
        ])
    );
}

#[test]
fn candidates_are_told_apart() {
    assert_eq!(
        read([FIXTURES[6]]),
        debug(&[
            start("N1", "gemini-2.0-flash"),
            text(0, "A"),
            text(1, "B"),
            Piece::Finish { choice: 1, reason: Finish::Length },
            text(0, "a"),
            Piece::Finish { choice: 0, reason: Finish::ContentFilter },
            Piece::Done,
        ])
    );
}

#[test]
fn cuts_change_nothing() {
    for fixture in FIXTURES {
        let whole = read([fixture]);
        assert_eq!(read(fixture.chunks(1)), whole);
        for at in 0..=fixture.len() {
            let (before, after) = fixture.split_at(at);
            assert_eq!(read([before, after]), whole, "cut at {at}");
        }
    }
}

proptest! {
    #[test]
    fn cuts_anywhere_change_nothing(which in 0..FIXTURES.len(), lengths in prop::collection::vec(1..400_usize, 1..40)) {
        let mut rest = FIXTURES[which];
        let mut inputs = Vec::new();
        for length in lengths {
            let (input, after) = rest.split_at(length.min(rest.len()));
            inputs.push(input);
            rest = after;
        }
        inputs.push(rest);
        prop_assert_eq!(read(inputs), read([FIXTURES[which]]));
    }
}

#[test]
fn what_is_no_event_is_the_providers_fault() {
    let feed = |input: &[u8]| StreamReader::new().feed(input, &mut |_| {});
    assert!(feed(b"data: {\"candidates\":\n\n").is_err());
    assert!(feed(b"data: [DONE]\n\n").is_err());
    assert!(feed(b": kept alive\n\ndata:\n\n").is_ok());
    let mut reader = StreamReader::new();
    let long = vec![b'x'; MAX_EVENT_BYTES];
    reader.feed(b"data: ", &mut |_| {}).unwrap();
    assert!(reader.feed(&long, &mut |_| {}).is_err());
}
