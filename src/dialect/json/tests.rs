//! The scanner against the grammar and against another parser.

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn at(text: &str) -> (usize, &'static str) {
    let error = validate(text.as_bytes()).unwrap_err();
    (error.at, error.expected)
}

#[test]
fn takes_every_form_of_the_grammar() {
    for text in [
        "{}",
        "[]",
        " \t\r\n{ \"a\" : [ 1 , {} , [] ] } ",
        "0",
        "-0",
        "-1.5e+10",
        "1E-2",
        "\"\"",
        "true",
        "false",
        "null",
        r#""\" \\ \/ \b \f \n \r \t \u00e9 \ud83d\ude00 \ud800""#,
        "\"é€😀\"",
        "\"\u{7f}\"",
    ] {
        assert_eq!(validate(text.as_bytes()), Ok(()), "{text}");
    }
}

#[test]
fn says_where_it_stops_and_what_it_wants() {
    assert_eq!(at(""), (0, "a value"));
    assert_eq!(at("{"), (1, "a member name in double quotes"));
    assert_eq!(at("{\"a\""), (4, "':'"));
    assert_eq!(at("{\"a\":}"), (5, "a value"));
    assert_eq!(at("{\"a\":1"), (6, "',' or '}'"));
    assert_eq!(at("{\"a\":1,}"), (7, "a member name in double quotes"));
    assert_eq!(at("[1"), (2, "',' or ']'"));
    assert_eq!(at("[1,]"), (3, "a value"));
    assert_eq!(at("[1}"), (2, "',' or ']'"));
    assert_eq!(at("[]]"), (2, "the end of the text"));
    assert_eq!(at("01"), (1, "the end of the text"));
    assert_eq!(at("-"), (1, "a digit"));
    assert_eq!(at("1."), (2, "a digit"));
    assert_eq!(at("1e"), (2, "a digit"));
    assert_eq!(at("+1"), (0, "a value"));
    assert_eq!(at("nul"), (0, "a value"));
    assert_eq!(at("\u{feff}{}"), (0, "a value"));
    assert_eq!(at("\"a"), (2, "'\"' to end the string"));
    assert_eq!(at("\"a\nb\""), (2, "an escape in place of a control character"));
    assert_eq!(at(r#""\x""#), (2, r#"one of " \ / b f n r t u after the backslash"#));
    assert_eq!(at(r#""\u12g4""#), (5, "a hexadecimal digit"));
    assert_eq!(validate(b"\"abc\xff\"").unwrap_err().to_string(), "expected UTF-8 at byte 4");
    assert_eq!(validate(b"[1,\xff]").unwrap_err().at, 3);
    assert_eq!(validate(b"\0").unwrap_err().at, 0);
}

#[test]
fn bounds_the_depth() {
    let nested = |n: usize| ["[".repeat(n), "]".repeat(n)].concat();
    let objects = |n: usize| ["{\"a\":".repeat(n), "1".into(), "}".repeat(n)].concat();
    assert_eq!(validate(nested(128).as_bytes()), Ok(()));
    assert_eq!(validate(objects(128).as_bytes()), Ok(()));
    assert_eq!(at(&nested(129)).0, 128);
    assert_eq!(at(&objects(129)).0, 128 * 5);
    // Walking members counts the same.
    let text = objects(128);
    let mut cursor = Cursor::new(text.as_bytes());
    assert!(cursor.begin_object().unwrap());
    cursor.key().unwrap();
    assert!(cursor.value().is_ok());
    let text = objects(129);
    let mut cursor = Cursor::new(text.as_bytes());
    assert!(cursor.begin_object().unwrap());
    cursor.key().unwrap();
    assert!(cursor.value().is_err());
}

#[test]
fn a_special_byte_is_found_at_every_offset_and_length() {
    for len in 0..200 {
        for special in [b'"', b'\\', 0x00, 0x1f] {
            let mut text = vec![b'x'; len];
            text.push(special);
            text.extend_from_slice(&b"y\"\\\x01\xff\x7f".repeat(20));
            assert_eq!(Cursor::new(&text).plain_until(0), len);
        }
        assert_eq!(Cursor::new(&vec![b'\x7f'; len]).plain_until(0), len);
        // Neighbours of special bytes are plain.
        let near = [0x20, 0x21, 0x23, 0x5b, 0x5d, 0x80, 0xa2, 0xdc, 0xff].repeat(len);
        assert_eq!(Cursor::new(&near).plain_until(0), near.len());
    }
}

#[test]
fn counts() {
    for (raw, wanted) in [
        ("12", Some(12)),
        ("12.0", Some(12)),
        ("1.5", Some(1)),
        ("1e3", Some(1000)),
        ("-5", Some(0)),
        ("18446744073709551616", Some(u64::MAX)),
        ("1e400", Some(u64::MAX)),
        ("null", None),
        ("\"12\"", None),
        ("true", None),
        ("", None),
    ] {
        assert_eq!(count(raw.as_bytes()), wanted, "{raw}");
    }
}

/// Any JSON value.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[ -~é€😀\n\"\\\\]{0,200}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What serde_json takes without building it, its blind spots filled in.
fn reference(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

proptest! {
    #[test]
    fn takes_what_another_parser_takes(value in json(), pretty: bool) {
        let text = if pretty {
            serde_json::to_vec_pretty(&value).unwrap()
        } else {
            serde_json::to_vec(&value).unwrap()
        };
        prop_assert_eq!(validate(&text), Ok(()));
    }

    #[test]
    fn refuses_what_another_parser_refuses(
        value in json(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3, any::<u8>()), 1..4),
    ) {
        let mut text = serde_json::to_vec(&value).unwrap();
        for (place, kind, byte) in edits {
            // Half of the bytes are ones that mean something.
            let byte = *b"{}[]:,\"\\u0eE.-+ tfn".get(usize::from(byte)).unwrap_or(&byte);
            let place = place.index(text.len() + 1);
            match kind {
                0 => text.insert(place, byte),
                1 if place < text.len() => text[place] = byte,
                _ if place < text.len() => drop(text.remove(place)),
                _ => {}
            }
        }
        prop_assert_eq!(validate(&text).is_ok(), reference(&text));
    }

    #[test]
    fn refuses_every_beginning(value in json()) {
        let text = serde_json::to_vec(&serde_json::json!([value])).unwrap();
        for end in 0..text.len() {
            prop_assert!(validate(&text[..end]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_judged_alike(text in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(validate(&text).is_ok(), reference(&text));
    }

}
