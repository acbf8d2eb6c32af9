//! Recorded streams, cut everywhere.

use proptest::prelude::*;

use super::*;

/// What a stream comes to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    out: Vec<u8>,
    usage: Option<Usage>,
    done: bool,
    error: bool,
    events: u64,
    content_events: u64,
}

fn run<'a>(hide_usage: bool, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut filter = StreamFilter::new(hide_usage);
    let mut out = Vec::new();
    for piece in pieces {
        filter.feed(piece, &mut out);
    }
    filter.finish(&mut out);
    Outcome {
        out,
        usage: filter.usage(),
        done: filter.done(),
        error: filter.error_seen(),
        events: filter.events(),
        content_events: filter.content_events(),
    }
}

/// A recorded stream and what is in it.
struct Fixture {
    name: &'static str,
    text: &'static str,
    /// The index of the usage chunk among the stream's blocks.
    usage_chunk: Option<usize>,
    /// Total tokens of the last usage.
    total: Option<u64>,
    /// `done`, `error` or `cut`.
    ends: &'static str,
    events: u64,
    content_events: u64,
}

macro_rules! fixture {
    ($name:literal, $usage_chunk:expr, $total:expr, $ends:literal, $events:literal, $content:literal) => {
        Fixture {
            name: $name,
            text: include_str!(concat!("fixtures/", $name, ".sse")),
            usage_chunk: $usage_chunk,
            total: $total,
            ends: $ends,
            events: $events,
            content_events: $content,
        }
    };
}

const FIXTURES: [Fixture; 18] = [
    fixture!("openai_usage", Some(4), Some(29), "done", 6, 4),
    fixture!("openai_tools", Some(7), Some(29), "done", 9, 7),
    fixture!("openai_refusal_logprobs", None, None, "done", 5, 4),
    fixture!("azure", Some(3), Some(29), "done", 5, 2),
    fixture!("openrouter", None, Some(18), "done", 4, 3),
    fixture!("openrouter_error", None, None, "error", 2, 2),
    fixture!("groq", Some(3), Some(46), "done", 5, 3),
    fixture!("xai", None, Some(340), "done", 3, 2),
    fixture!("mistral", None, Some(50), "done", 3, 2),
    fixture!("together", None, Some(51), "done", 3, 2),
    fixture!("fireworks", None, Some(31), "done", 3, 2),
    fixture!("usage_before_content", Some(1), Some(5), "done", 4, 2),
    fixture!("no_done", Some(1), Some(29), "cut", 2, 1),
    fixture!("no_final_blank_line", Some(1), Some(29), "cut", 2, 1),
    fixture!("every_field", None, Some(7), "done", 4, 1),
    fixture!("error_event", None, None, "error", 2, 1),
    fixture!("error_object", None, None, "error", 2, 1),
    fixture!("cut", None, None, "cut", 2, 1),
];

/// The stream without its usage chunk, found by plain means.
fn hidden(fixture: &Fixture) -> String {
    if fixture.name == "every_field" {
        // The comment before the chunk has passed when the chunk begins.
        let (before, chunk) = fixture.text.split_once("id: 2\n").unwrap();
        let (_, after) = chunk.split_once("\n\n").unwrap();
        return format!("{before}{after}");
    }
    let blocks = fixture.text.split_inclusive("\n\n").enumerate();
    blocks.filter(|(index, _)| Some(*index) != fixture.usage_chunk).map(|(_, block)| block).collect()
}

/// Every fixture with each line end.
fn streams() -> impl Iterator<Item = (&'static Fixture, &'static str)> {
    FIXTURES.iter().flat_map(|fixture| ["\n", "\r\n", "\r"].map(|line_end| (fixture, line_end)))
}

#[test]
fn counts_what_is_in_a_stream() {
    for (fixture, line_end) in streams() {
        let text = fixture.text.replace('\n', line_end);
        for hide in [false, true] {
            let outcome = run(hide, [text.as_bytes()]);
            let name = fixture.name;
            assert_eq!(outcome.usage.map(|usage| usage.total_tokens), fixture.total, "{name}");
            assert_eq!(outcome.done, fixture.ends == "done", "{name}");
            assert_eq!(outcome.error, fixture.ends == "error", "{name}");
            assert_eq!(outcome.events, fixture.events, "{name}");
            assert_eq!(outcome.content_events, fixture.content_events, "{name}");
        }
    }
}

#[test]
fn hides_exactly_the_usage_chunk() {
    for (fixture, line_end) in streams() {
        let text = fixture.text.replace('\n', line_end);
        let wanted = hidden(fixture).replace('\n', line_end);
        let out = String::from_utf8(run(true, [text.as_bytes()]).out).unwrap();
        assert_eq!(out, wanted, "{}", fixture.name);
        assert_eq!(run(false, [text.as_bytes()]).out, text.as_bytes(), "{}", fixture.name);
    }
}

#[test]
fn where_a_stream_is_cut_does_not_matter() {
    for (fixture, line_end) in streams() {
        let text = fixture.text.replace('\n', line_end);
        let bytes = text.as_bytes();
        for hide in [false, true] {
            let whole = run(hide, [bytes]);
            assert_eq!(run(hide, bytes.chunks(1)), whole, "{}", fixture.name);
            for cut in 0..=bytes.len() {
                let (first, second) = bytes.split_at(cut);
                assert_eq!(run(hide, [first, second]), whole, "{} cut at {cut}", fixture.name);
            }
        }
    }
}

#[test]
fn every_byte_passes_at_once_when_nothing_is_hidden() {
    for fixture in &FIXTURES {
        let mut filter = StreamFilter::new(false);
        for byte in fixture.text.as_bytes().chunks(1) {
            let mut out = Vec::new();
            filter.feed(byte, &mut out);
            assert_eq!(out, byte);
        }
        let mut rest = Vec::new();
        filter.finish(&mut rest);
        assert_eq!(rest, b"");
    }
}

#[test]
fn an_event_waits_for_its_own_end_and_no_longer() {
    let mut filter = StreamFilter::new(true);
    let mut feed = |input: &str| {
        let mut out = Vec::new();
        filter.feed(input.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(feed(": pi"), ": pi");
    assert_eq!(feed("ng\n"), "ng\n");
    assert_eq!(feed("data: 1\n\ndata: 2\r"), "data: 1\n\n");
    assert_eq!(feed("\n"), "");
    assert_eq!(feed("\r"), "data: 2\r\n\r");
    assert_eq!(feed("\n: x"), "\n: x");
    assert_eq!(feed("\r\ndata: {\"choices\":[],\"usage\":{}}\r\n\r"), "\r\n");
    // The LF that belongs to the hidden chunk is hidden with it; the next is not.
    assert_eq!(feed("\n"), "");
    assert_eq!(feed("\n"), "\n");
    assert_eq!(feed("data: [DONE]\r\r"), "data: [DONE]\r\r");
    assert!(filter.done());
}

#[test]
fn only_the_usage_chunk_is_the_usage_chunk() {
    for data in [
        r#"{"choices":[],"usage":null}"#,
        r#"{"choices":[],"usage":7}"#,
        r#"{"choices":[]}"#,
        r#"{"choices":[{}],"usage":{"total_tokens":1}}"#,
        r#"{"choices":null,"usage":{"total_tokens":1}}"#,
        r#"{"usage":{"total_tokens":1}}"#,
        r#"{"choices":[],"x":{"usage":{"total_tokens":1}}}"#,
        r#"{"x":{"choices":[]},"usage":{"total_tokens":1}}"#,
        r#"{"choices":[],"usage":{"total_tokens":1}"#,
        r#"[{"choices":[],"usage":{"total_tokens":1}}]"#,
    ] {
        let text = format!("data: {data}\n\n");
        assert_eq!(run(true, [text.as_bytes()]).out, text.as_bytes(), "{data}");
    }
    for data in [
        r#"{"choices":[],"usage":{}}"#,
        r#" { "usage" : {"total_tokens":1} , "choices" : [ ] } "#,
        r#"{"x":{"usage":null},"choices":[],"usage":{"total_tokens":1}}"#,
    ] {
        let text = format!("data: {data}\n\n");
        assert_eq!(run(true, [text.as_bytes()]).out, b"", "{data}");
    }
}

#[test]
fn a_huge_event_passes_and_does_not_stay() {
    // Around the bound, with the blank line or without.
    for over in -3..=3_isize {
        let wrapping = "data: {\"choices\":[],\"usage\":{\"x\":\"\"}}\n\n".len();
        let padding = (MAX_EVENT_BYTES - wrapping).strict_add_signed(over);
        let event = format!("data: {{\"choices\":[],\"usage\":{{\"x\":\"{}\"}}}}\n\n", "y".repeat(padding));
        let text = format!("{event}data: [DONE]\n\n");
        let bytes = text.as_bytes();
        let wanted = run(true, [bytes]);
        assert_eq!(wanted.out.len(), if over > 0 { text.len() } else { "data: [DONE]\n\n".len() });
        assert_eq!((wanted.events, wanted.done), (2, true));
        for size in [1, 4096, MAX_EVENT_BYTES - 1, MAX_EVENT_BYTES, MAX_EVENT_BYTES + 1] {
            assert_eq!(run(true, bytes.chunks(size)), wanted, "{over} {size}");
        }
        assert_eq!(run(false, bytes.chunks(4096)).out, bytes);
    }
    let mut filter = StreamFilter::new(true);
    let mut out = Vec::new();
    filter.feed(b"data: ", &mut out);
    filter.feed(&vec![b'x'; MAX_EVENT_BYTES], &mut out);
    assert_eq!(out.len(), MAX_EVENT_BYTES + 6);
    filter.finish(&mut out);
    assert_eq!((out.len(), filter.events()), (MAX_EVENT_BYTES + 6, 1));
}

#[test]
fn writes_an_error_event() {
    let mut out = Vec::new();
    error_event(
        "The provider 'a\"b'\nstopped.",
        "server_error",
        Some("upstream_incomplete_response"),
        &mut out,
    );
    assert_eq!(
        String::from_utf8(out.clone()).unwrap(),
        "data: {\"error\":{\"message\":\"The provider 'a\\\"b'\\nstopped.\",\"type\":\"server_error\",\
         \"param\":null,\"code\":\"upstream_incomplete_response\"}}\n\n"
    );
    let outcome = run(true, [out.as_slice()]);
    assert!(outcome.error && outcome.out == out);
}

#[test]
fn a_first_event_that_is_an_error_tells_its_status() {
    let answer = "data: {\"choices\":[{\"delta\":{}}]}\n\n";
    for (text, wanted) in [
        ("data: {\"error\":{\"code\":502}}\n\n", Some(502)),
        (
            ": ping\n\ndata: {\"id\":\"x\",\"choices\":[{}],\"error\":{\"code\":\"server_error\"}}\n\n",
            Some(500),
        ),
        ("event: error\ndata: {\"error\":{\"type\":\"overloaded_error\"}}\n\n", Some(529)),
        ("event: error\ndata: {\"message\":\"x\",\"code\":429}\n\n", Some(429)),
        ("event: error\ndata: overloaded\n\n", None),
        ("data: {\"message\":\"x\",\"code\":429}\n\n", None),
        ("data: {\"error\":null,\"code\":429}\n\n", None),
        ("data: {\"error\":\"busy\"}\n\n", None),
        ("data: {\"error\":{\"code\":502}}", Some(502)),
    ] {
        let status = |text: &str| {
            let mut filter = StreamFilter::new(true);
            filter.feed(text.as_bytes(), &mut Vec::new());
            filter.finish(&mut Vec::new());
            filter.first_status()
        };
        assert_eq!(status(text), wanted, "{text}");
        assert_eq!(status(&format!("{answer}{text}")), None, "{text}");
        assert_eq!(status(&format!("{}\n\n{answer}", text.trim_end())), wanted, "{text}");
    }
}

proptest! {
    #[test]
    fn recorded_streams_cut_anywhere(
        index in 0..FIXTURES.len(),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        hide: bool,
    ) {
        let text = FIXTURES[index].text.replace('\n', line_end);
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        prop_assert_eq!(run(hide, pieces), run(hide, [bytes]));
    }

    /// Not only for well-formed streams, and against plain means.
    #[test]
    fn any_stream_cut_anywhere(
        tokens in prop::collection::vec(prop::sample::select(vec![
            "\n", "\r", "\r\n", "\n\n", ":", " ", "data:", "data: ", "data", "event: error", "x", "\u{feff}", "é",
            "data: {\"choices\":[],\"usage\":{\"total_tokens\":1}}", "[DONE]", "{\"choices\":[],\"usage\":{}}",
            "{\"choices\":[1],\"error\":{}}", "data: [DONE]\n\n",
        ]), 0..24),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        hide: bool,
    ) {
        let text = tokens.concat();
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let whole = run(hide, [bytes]);
        prop_assert_eq!(&run(hide, cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]])), &whole);
        prop_assert_eq!(&run(hide, bytes.chunks(1)), &whole);
        if !hide {
            prop_assert_eq!(&whole.out, bytes);
        }
        // As the standard's own parser would count, with the last event included.
        let lines = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
        let events = lines
            .split("\n\n")
            .filter(|block| block.split('\n').any(|line| line == "data" || line.starts_with("data:")))
            .count();
        prop_assert_eq!(whole.events, events as u64);
    }
}
