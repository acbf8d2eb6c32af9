//! A scanner over JSON objects that finds fields without building anything.
//!
//! For the hot path: it accepts a valid subset and says `None` to the rest, which then goes to the full parser
//! for a proper answer or a proper error. It checks what it skips for balance and strings for control
//! characters; the caller checks the values it uses.

/// Deepest nesting it follows.
const MAX_DEPTH: usize = 32;

fn space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The end of the string that starts (with its quote) at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut from = at + 1;
    loop {
        let hit = from + memchr::memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes.get(hit) == Some(&b'"') {
            let inside = bytes.get(at + 1..hit)?;
            return inside.iter().all(|&byte| byte >= 0x20).then_some(hit + 1);
        }
        match bytes.get(hit + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => from = hit + 2,
            b'u' if bytes.get(hit + 2..hit + 6)?.iter().all(u8::is_ascii_hexdigit) => from = hit + 6,
            _ => return None,
        }
    }
}

/// The end of the value at `at`.
fn value_end(bytes: &[u8], at: usize, depth: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' if depth < MAX_DEPTH => object_from(bytes, at, depth + 1, &mut |_, _| Some(())),
        b'[' if depth < MAX_DEPTH => array_from(bytes, at, depth + 1, &mut |_| Some(())),
        _ => {
            let rest = bytes.get(at..)?;
            let len = rest
                .iter()
                .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'))
                .unwrap_or(rest.len());
            let word = rest.get(..len)?;
            (matches!(word, b"true" | b"false" | b"null") || is_number(word)).then_some(at + len)
        }
    }
}

type OnField<'a, 'b> = &'a mut dyn FnMut(&'b [u8], &'b [u8]) -> Option<()>;
type OnItem<'a, 'b> = &'a mut dyn FnMut(&'b [u8]) -> Option<()>;

fn object_from<'b>(bytes: &'b [u8], at: usize, depth: usize, found: OnField<'_, 'b>) -> Option<usize> {
    let mut at = space(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(bytes, at)?;
        let key = bytes.get(at + 1..key_end - 1)?;
        at = space(bytes, key_end);
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        at = space(bytes, at + 1);
        let end = value_end(bytes, at, depth)?;
        found(key, bytes.get(at..end)?)?;
        at = space(bytes, end);
        match bytes.get(at)? {
            b',' => at = space(bytes, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn array_from<'b>(bytes: &'b [u8], at: usize, depth: usize, found: OnItem<'_, 'b>) -> Option<usize> {
    let mut at = space(bytes, at + 1);
    if bytes.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    loop {
        let end = value_end(bytes, at, depth)?;
        found(bytes.get(at..end)?)?;
        at = space(bytes, end);
        match bytes.get(at)? {
            b',' => at = space(bytes, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Calls `found` with each field's key (inside its quotes, escapes as they are) and value (as it is) of the
/// object that is all of `bytes`. `None` where it is not one, or as soon as `found` says so.
pub(crate) fn object<'b>(
    bytes: &'b [u8],
    mut found: impl FnMut(&'b [u8], &'b [u8]) -> Option<()>,
) -> Option<()> {
    let at = space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    let end = object_from(bytes, at, 0, &mut found)?;
    (space(bytes, end) == bytes.len()).then_some(())
}

/// Calls `found` with each item of the array that is all of `bytes`, like [`object`].
pub(crate) fn array<'b>(bytes: &'b [u8], mut found: impl FnMut(&'b [u8]) -> Option<()>) -> Option<()> {
    if bytes.first() != Some(&b'[') {
        return None;
    }
    let end = array_from(bytes, 0, 0, &mut found)?;
    (end == bytes.len()).then_some(())
}

/// The inside of a string value without escapes.
pub(crate) fn plain_string(value: &[u8]) -> Option<&[u8]> {
    let inside = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    memchr::memchr(b'\\', inside).is_none().then_some(inside)
}

/// Whether `word` is a JSON number.
pub(crate) fn is_number(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let digits = |part: &[u8]| part.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(word);
    if whole == 0 || (whole > 1 && word.first() == Some(&b'0')) {
        return false;
    }
    let mut rest = word.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let n = digits(fraction);
        if n == 0 {
            return false;
        }
        rest = fraction.get(n..).unwrap_or_default();
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let exponent =
            exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepts(text: &[u8]) -> bool {
        object(text, |_, _| Some(())).is_some()
    }

    #[test]
    fn fields_are_found() {
        let mut seen = Vec::new();
        let text = br#" {"a": "x\"y" , "b":[1,{"c":"]}"}], "d" :-1.5e3,"e":true,"f":{}} "#;
        object(text, |key, value| {
            seen.push((key, value));
            Some(())
        })
        .unwrap();
        let keys: Vec<_> = seen.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [b"a", b"b", b"d", b"e", b"f"]);
        assert_eq!(seen[0].1, br#""x\"y""#);
        assert_eq!(seen[1].1, br#"[1,{"c":"]}"}]"#);
        let mut items = 0;
        array(seen[1].1, |_| {
            items += 1;
            Some(())
        })
        .unwrap();
        assert_eq!(items, 2);
    }

    #[test]
    fn what_it_accepts_is_valid_json() {
        for text in [
            "{}",
            "{",
            "}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":tru}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\":[1,]}",
            "{\"a\":[}",
            "{} x",
            "[]",
            "{a:1}",
            "{\"a\" 1}",
            "{\"a\":-}",
            "{\"a\":1e}",
            "{\"a\":\"b}",
        ] {
            let valid = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
            assert_eq!(accepts(text.as_bytes()), valid, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_accepts_what_the_parser_refuses(text in "[{}\\[\\]\",:0-9a-z\\\\ .eE+-]{0,40}") {
            let text = format!("{{\"k\":{text}}}");
            if accepts(text.as_bytes()) {
                // A lone escape like \ud800 is the one thing only the full parser refuses.
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok() || text.contains("\\u"));
            }
        }

        #[test]
        fn accepts_what_the_parser_writes(keys in prop::collection::vec(".{0,8}", 0..5), n in any::<f64>()) {
            let map: serde_json::Map<_, _> =
                keys.iter().map(|key| (key.clone(), serde_json::json!([n, key, {"x": null}]))).collect();
            prop_assert!(accepts(serde_json::to_string(&map).unwrap().as_bytes()));
        }
    }
}
