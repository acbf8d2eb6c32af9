//! Against recorded counts of a real tokenizer, and that the bound holds.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};

use super::*;

/// How far `expected` may be off, on any text of the corpus: relative.
const TOLERANCE: f64 = 0.20;
/// And on average over those that the costs were not fitted to.
const MEAN_TOLERANCE: f64 = 0.10;
/// What one message and the beginning of the answer add in a chat: 3 + 1 (the role) + 3.
const AROUND_ONE: u64 = 7;

/// `(file, text, tokens)` of the corpus.
fn corpus() -> Vec<(&'static str, String, u64)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/estimator/");
    let rows = include_str!("../../../bench/estimator/tokens.tsv").lines().map(|row| {
        let [file, bytes, tokens] = row.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let text = std::fs::read_to_string(format!("{folder}corpus/{file}")).unwrap();
        assert_eq!(text.len().to_string(), bytes, "{file} changed: run `npm run count` in bench/estimator");
        (file, text, tokens.parse().unwrap())
    });
    rows.collect()
}

fn chat(content: impl Into<Value>) -> String {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": content.into()}]}).to_string()
}

/// The same JSON in ASCII, as Python writes it unless told otherwise.
fn ascii(body: &str) -> String {
    let mut out = String::new();
    for character in body.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            let mut units = [0; 2];
            character
                .encode_utf16(&mut units)
                .iter()
                .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

fn of(body: &str) -> Estimate {
    prompt_tokens(body.as_bytes())
}

#[test]
fn near_the_tokenizer_and_never_below_its_count() {
    let mut wrong = Vec::new();
    let mut errors = Vec::new();
    for (file, text, tokens) in corpus() {
        let actual = tokens + AROUND_ONE;
        let found = of(&chat(text.as_str()));
        let error = found.expected as f64 / actual as f64 - 1.0;
        if file.starts_with("held-out/") {
            errors.push(error.abs());
        }
        if error.abs() > TOLERANCE || found.upper < actual {
            wrong.push(format!("{file}: {found:?}, actually {actual} ({:+.1} %)", error * 100.0));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    assert!(mean <= MEAN_TOLERANCE, "{mean}");
}

/// Every text at once, as the turns of one conversation and as a batch of embeddings.
#[test]
fn many_messages_add_up() {
    let corpus = corpus();
    let total: u64 = corpus.iter().map(|(_, _, tokens)| tokens).sum();
    let messages: Vec<Value> =
        corpus.iter().map(|(_, text, _)| json!({"role": "assistant", "content": text})).collect();
    let found = of(&json!({"model": "m", "messages": messages}).to_string());
    let actual = total + 4 * corpus.len() as u64 + 3;
    assert!(found.upper >= actual && found.expected.abs_diff(actual) * 10 <= actual, "{found:?} {actual}");

    let texts: Vec<&str> = corpus.iter().map(|(_, text, _)| text.as_str()).collect();
    let found = of(&json!({"model": "m", "input": texts}).to_string());
    assert!(found.upper >= total && found.expected.abs_diff(total) * 10 <= total, "{found:?} {total}");
}

/// "Hello!" is two tokens; nine with what is around it.
#[test]
fn a_short_chat_is_not_all_framing() {
    let found = of(&chat("Hello!"));
    assert!((7..=12).contains(&found.expected), "{found:?}");
    let padded = of(
        "{ \"temperature\": 0.7, \"max_tokens\": 100, \"user\": \"somebody with a long name\",\n \
                      \"model\": \"gpt-4o\", \"messages\": [ {\"content\": \"Hello!\", \"role\": \"user\"} ] }",
    );
    assert_eq!(padded.expected, found.expected);
}

#[test]
fn an_escape_is_what_it_stands_for() {
    for (_, text, tokens) in corpus() {
        let (plain, escaped) = (of(&chat(text.as_str())), of(&ascii(&chat(text.as_str()))));
        assert_eq!(plain.expected, escaped.expected);
        assert_eq!(plain.upper, escaped.upper);
        assert!(escaped.upper >= tokens + AROUND_ONE);
    }
    for (body, upper) in [
        (r#"["\u0041"]"#, 5),
        (r#"["\u00e9"]"#, 6),
        (r#"["\u4f60"]"#, 7),
        (r#"["\ud83d\ude80"]"#, 8),
        (r#"["\uD83D\uDE80"]"#, 8),
        (r#"["\n\"\\\/"]"#, 8),
        // Halves of a pair become U+FFFD.
        (r#"["\ud83d"]"#, 7),
        (r#"["\ude80\u0041"]"#, 8),
        (r#"["\ud83dx"]"#, 8),
    ] {
        assert_eq!(of(body).upper, upper, "{body}");
    }
}

#[test]
fn images_are_not_text() {
    let data = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(10_000));
    let text = chat(json!([{"type": "text", "text": "What is this?"}]));
    let without = of(&text);
    for part in [
        json!({"type": "image_url", "image_url": {"url": data, "detail": "high"}}),
        json!({"image_url": {"detail": "high", "url": data}, "type": "image_url"}),
        json!({"type": "image_url", "image_url": data}),
        json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
    ] {
        let body = chat(json!([{"type": "text", "text": "What is this?"}, part, part]));
        for body in [body.replace("image_url", "im\\u0061ge_url"), body] {
            let found = of(&body);
            assert_eq!(found.expected, without.expected + 2 * IMAGE_EXPECTED, "{part}");
            let more = found.upper - without.upper - 2 * IMAGE_UPPER;
            assert!(more < 200, "{part}: {more}");
        }
    }
}

#[test]
fn images_that_are_embedded_are_not_text() {
    let data = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(10_000));
    let content = json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": data}}]);
    for body in [
        json!({"model": "m", "input_type": "image", "images": [data]}),
        json!({"model": "m", "input_type": "search_query", "inputs": [{"content": content}]}),
    ] {
        let found = of(&body.to_string());
        assert!((IMAGE_EXPECTED..IMAGE_EXPECTED + 20).contains(&found.expected), "{found:?}");
        assert!((IMAGE_UPPER..IMAGE_UPPER + 200).contains(&found.upper), "{found:?}");
    }
}

/// What only looks like an image counts as the text it is.
#[test]
fn nobody_hides_text_in_an_image() {
    let text = "Ignore this. ".repeat(1000);
    for body in [
        chat(format!("data:image/png;base64,{text}")),
        chat(json!([{"type": "text", "text": text, "url": "x"}])),
        chat(json!([{"type": "text", "url": text}])),
        chat(json!([{"type": "image_url", "image_url": [text]}])),
        chat(json!([{"type": "image_url", "image_url": {"other": {"url": text}}}])),
        json!({"messages": [], "tools": [{"image_url": {"url": text}}]}).to_string(),
        json!({"input": [{"image_url": {"url": text}}]}).to_string(),
    ] {
        let found = of(&body);
        assert!(found.upper >= text.len() as u64 && found.expected > 2000, "{found:?}");
    }
}

#[test]
fn sound_and_documents_are_not_text() {
    let data = "A".repeat(64_000);
    for part in [
        json!({"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}}),
        json!({"type": "file", "file": {"file_data": data}}),
    ] {
        let found = of(&chat(json!([part])));
        assert!((1000..1020).contains(&found.expected), "{found:?}");
        assert!(found.upper > 64_000);
    }
}

#[test]
fn tokens_are_counted_as_they_are() {
    let body = json!({"model": "m", "input": [[1, 22, 333], [100_257, 5]], "dimensions": 256}).to_string();
    assert_eq!(of(&body).expected, 5);
    assert!(of(&body).upper >= 5);
}

#[test]
fn tools_count() {
    let function = json!({"name": "get_weather", "description": "Current weather of a city.", "parameters":
        {"type": "object", "properties": {"city": {"type": "string", "description": "Name of the city"}},
         "required": ["city"]}});
    let with = json!({"messages": [], "tools": [{"type": "function", "function": function}]}).to_string();
    let without = json!({"messages": []}).to_string();
    let more = of(&with).expected - of(&without).expected;
    assert!((20..=70).contains(&more), "{more}");
}

#[test]
fn nothing_is_nothing() {
    for body in ["", "{}", "[", "\"", "\"\\", "\"\\u", "\"\\u12", "{\"a", "]]]}", "\\"] {
        let found = of(body);
        assert!(found.expected <= found.upper && found.upper <= body.len() as u64, "{body}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let found = prompt_tokens(&bytes);
        prop_assert!(found.expected <= found.upper);
    }

    #[test]
    fn no_pieces_make_it_panic(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u", "\\ud83d", "\\ude00", "d8", "\"messages\":", "\"image_url\":",
        "\"url\":", "\"role\":", "\"input\":", "x y", "1.5e9", " ", "é", "好",
    ]), 0..60)) {
        let body = pieces.concat();
        let found = prompt_tokens(body.as_bytes());
        prop_assert!(found.expected <= found.upper);
        if let Some(rough) = rough_upper(body.as_bytes(), body.contains("\\u")) {
            prop_assert!(rough >= found.upper, "{} < {}: {}", rough, found.upper, body);
        }
    }

    /// The bound rests on this: whatever the text, the body it comes in counts no less than its bytes, and
    /// the message around it leaves room for what a provider puts there.
    #[test]
    fn the_bound_is_at_least_the_bytes_of_the_text(text in "\\PC{0,100}|[\\s\\S]{0,100}") {
        let body = chat(text.as_str());
        prop_assert!(of(&body).upper >= text.len() as u64 + AROUND_ONE);
        prop_assert_eq!(of(&ascii(&body)).upper, of(&body).upper);
    }
}

/// `chat_tokens` of a body in Anthropic's words.
fn of_claude(body: &Value) -> Estimate {
    let body = body.to_string();
    chat_tokens(&crate::dialect::claude::inbound::read_count(body.as_bytes()).unwrap())
}

#[test]
fn a_chat_that_was_read_counts_as_its_body() {
    for (file, text, tokens) in corpus() {
        let messages = json!([{"role": "user", "content": text}]);
        let (read, body) =
            (of_claude(&json!({"model": "m", "messages": messages})), of(&chat(text.as_str())));
        assert!(read.expected.abs_diff(body.expected) <= 1, "{file}: {read:?} {body:?}");
        assert!(read.upper >= tokens + AROUND_ONE, "{file}: {read:?}");
    }
    let schema =
        json!({"type": "object", "properties": {"city": {"type": "string", "description": "A town."}}});
    let messages = json!([{"role": "user", "content": "Hello!"}]);
    let read = of_claude(&json!({
        "model": "m", "messages": messages,
        "tools": [{"name": "weather", "description": "Tells the weather.", "input_schema": schema}],
    }));
    let body = of(&json!({
        "model": "m", "messages": messages,
        "tools": [{"type": "function", "function": {
            "name": "weather", "description": "Tells the weather.", "parameters": schema,
        }}],
    })
    .to_string());
    assert!(read.expected.abs_diff(body.expected) <= 5, "{read:?} {body:?}");
    assert!(read.upper <= body.upper, "{read:?} {body:?}");
}

#[test]
fn an_image_that_was_read_is_no_text() {
    let data = "iVBORw0KGgo".repeat(20_000);
    let part = |kind: &str, source: Value| {
        of_claude(
            &json!({"model": "m", "messages": [{"role": "user", "content": [{"type": kind, "source": source}]}]}),
        )
    };
    let image = part("image", json!({"type": "base64", "media_type": "image/png", "data": data}));
    assert_eq!(image, part("image", json!({"type": "url", "url": "https://x/y.png"})));
    assert!((IMAGE_EXPECTED..IMAGE_EXPECTED + 20).contains(&image.expected), "{image:?}");
    let pdf = part("document", json!({"type": "base64", "media_type": "application/pdf", "data": data}));
    assert!(pdf.expected < data.len() as u64 / 50 && pdf.upper >= data.len() as u64, "{pdf:?}");
    // What is sent as text is text, whatever it looks like.
    let text = part("document", json!({"type": "text", "media_type": "text/plain", "data": data}));
    assert!(text.expected > data.len() as u64 / 6 && text.upper >= data.len() as u64, "{text:?}");
}
