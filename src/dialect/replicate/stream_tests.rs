//! Streams, cut everywhere, and the addresses that they are at.

use super::*;
use crate::dialect::chat::samples::{printed, read_with, text as said};
use crate::dialect::sse::events::MAX_EVENT_BYTES;

/// As Replicate's guide shows them, with a text of several lines and what need not be understood.
const STREAM: &str = "\
: hi\n\n\
event: output\nid: 1690212292:0\ndata: Once\n\n\
event: logs\nid: 1690212292:1\ndata: Prompt: tell me\n\n\
event: output\nid: 1690212293:0\ndata:  upon a \"time\" in Köln,\ndata: \ndata: there\n\n\
event: output\nid: 1690212293:1\ndata: \n\n\
event: new\nid: 1690212294:0\ndata: {}\n\n\
event: done\nid: 1690212295:0\ndata: {}\n\n";

/// What a stream says, each piece as it prints.
fn pieces<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, Malformed> {
    let mut reader = StreamReader::new();
    read_with(parts, |input, each| match input {
        Some(input) => reader.feed(input, each),
        None => reader.finish(each),
    })
}

fn start() -> Piece<'static> {
    Piece::Start { id: "".into(), model: "".into() }
}

fn end() -> [Piece<'static>; 2] {
    [Piece::Finish { choice: 0, reason: Finish::Stop }, Piece::Done]
}

#[test]
fn a_stream_says_the_same_wherever_it_is_cut() {
    let mut wanted = vec![start(), said("Once"), said(" upon a \"time\" in Köln,\n\nthere")];
    wanted.extend(end());
    let wanted = printed(&wanted);
    for stream in [STREAM.to_owned(), STREAM.replace('\n', "\r\n")] {
        let bytes = stream.as_bytes();
        assert_eq!(pieces([bytes]).unwrap(), wanted);
        for cut in 0..=bytes.len() {
            let (before, after) = bytes.split_at(cut);
            assert_eq!(pieces([before, after]).unwrap(), wanted, "cut at {cut}");
        }
        assert_eq!(pieces(bytes.chunks(1)).unwrap(), wanted);
    }
}

#[test]
fn a_stream_that_lacks_its_end_is_not_done() {
    let done = STREAM.find("event: done").unwrap();
    for end in 0..done {
        // In the middle of a letter it is nothing.
        let said = pieces([&STREAM.as_bytes()[..end]]).unwrap_or_default();
        assert!(!said.iter().any(|piece| piece.contains("Done") || piece.contains("Finish")), "{end}");
    }
    // The last event counts without its blank line, if all of it is there.
    let whole = STREAM.trim_end();
    assert_eq!(pieces([whole.as_bytes()]).unwrap().pop().unwrap(), "Done");
    assert!(pieces([&whole.as_bytes()[..whole.len() - 1]]).is_err());
}

#[test]
fn failures_are_told_once_and_end_it() {
    for (event, status, code, message) in [
        ("event: error\ndata: {\"detail\":\"CUDA out of memory\"}\n\n", 502, None, "CUDA out of memory"),
        ("event: error\ndata: out of luck\n\n", 502, None, "out of luck"),
        (
            "event: error\ndata: {\"detail\":\"was flagged as sensitive. (E005)\"}\n\n",
            400,
            Some("content_policy_violation"),
            "was flagged as sensitive. (E005)",
        ),
        ("event: done\ndata: {\"reason\":\"error\"}\n\n", 502, None, "The prediction failed."),
        ("event: done\ndata: {\"reason\":\"canceled\"}\n\n", 502, None, "The prediction is canceled."),
    ] {
        let stream = format!(
            "event: output\ndata: a\n\n{event}event: done\ndata: {{\"reason\":\"error\"}}\n\nevent: output\ndata: b\n\n"
        );
        let mut told = Vec::new();
        let mut reader = StreamReader::new();
        let mut each = |piece: Piece<'_>| {
            told.push(match piece {
                Piece::Error(error) => Some((error.status, error.code, error.message)),
                _ => None,
            });
        };
        reader.feed(stream.as_bytes(), &mut each).unwrap();
        reader.finish(&mut each).unwrap();
        assert_eq!(told, [None, None, Some((status, code, message.to_owned()))], "{event}");
        assert!(!reader.is_finished());
    }
}

#[test]
fn odd_streams_are_read_or_refused() {
    let empty = [&[start()][..], &end()].concat();
    assert_eq!(pieces([&b"event: done\ndata: {}\n\n"[..]]).unwrap(), printed(&empty));
    assert_eq!(pieces([&b"event: done\ndata: {}\n\ndata: x\n\n"[..]]).unwrap(), printed(&empty));
    assert!(pieces([&b"event: done\ndata: ?\n\n"[..]]).is_err());
    assert!(pieces([&b"event: output\ndata: \xff\n\n"[..]]).is_err());
    let long = format!("event: output\ndata: {}\n\n", "x".repeat(MAX_EVENT_BYTES));
    assert!(pieces([long.as_bytes()]).is_err());
}

#[test]
fn only_a_stream_where_it_is_expected_is_read() {
    let root = "https://stream.replicate.com";
    let at = |url: &str| stream_path(format!(r#"{{"id":"a","urls":{{"stream":"{url}"}}}}"#).as_bytes(), root);
    assert_eq!(
        at("https://stream.replicate.com/v1/files/bcwr-g6?a=b").as_deref(),
        Some("/v1/files/bcwr-g6?a=b")
    );
    for elsewhere in [
        "https://stream.replicate.com",
        "https://stream.replicate.com.example.com/v1",
        "https://stream.replicate.com@example.com/v1",
        "https://stream.replicate.com:444/v1",
        "http://stream.replicate.com/v1",
        "https://example.com/https://stream.replicate.com/v1",
        "https://stream.replicate.com/a b",
        "https://stream.replicate.com/a\\r\\nhost: b",
        "https://stream.replicate.com/ü",
        "https://stream.replicate.com/a#b",
        "/v1/files/a",
        "",
    ] {
        assert_eq!(at(elsewhere), None, "{elsewhere}");
    }
    assert_eq!(at(&format!("{root}/{}", "x".repeat(MAX_PATH_BYTES))), None);
    for body in [r#"{"urls":{"stream":null}}"#, r#"{"urls":{}}"#, "{}", "[]", "<html>"] {
        assert_eq!(stream_path(body.as_bytes(), root), None, "{body}");
    }
}
