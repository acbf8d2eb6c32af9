//! The text of JSON strings, both ways (RFC 8259 section 7).

use std::borrow::Cow;
use std::str::Chars;

use super::{Cursor, Span};

/// A string's contents, between its quotes and still escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// The contents without the quotes.
    pub span: Span,
    /// Whether a backslash occurs, so that the bytes are not the text itself.
    pub escaped: bool,
}

impl Text {
    /// Whether the text this string stands for is `name`.
    pub fn is(self, bytes: &[u8], name: &str) -> bool {
        let raw = self.span.of(bytes);
        if !self.escaped {
            return raw == name.as_bytes();
        }
        std::str::from_utf8(raw).is_ok_and(|raw| Unescape(raw.chars()).eq(name.chars()))
    }

    /// The text this string stands for. A surrogate without its pair, which the
    /// grammar allows and Unicode does not, reads as U+FFFD.
    pub fn get(self, bytes: &[u8]) -> Cow<'_, str> {
        let raw = self.span.of(bytes);
        // Nearly always it is text: looking for what is none, piece by piece, costs ten times as much.
        let raw = std::str::from_utf8(raw).map_or_else(|_| String::from_utf8_lossy(raw), Cow::Borrowed);
        if self.escaped { Cow::Owned(Unescape(raw.chars()).collect()) } else { raw }
    }
}

/// Characters of an escaped text. Its escapes were checked when it was scanned.
struct Unescape<'a>(Chars<'a>);

impl Iterator for Unescape<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self.0.next()? {
            '\\' => Some(match self.0.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => self.code_point(),
                other => other,
            }),
            plain => Some(plain),
        }
    }
}

impl Unescape<'_> {
    /// The character of `\uXXXX`, or of the surrogate pair it starts.
    fn code_point(&mut self) -> char {
        let first = hex4(&mut self.0);
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        let mut ahead = self.0.clone();
        if ahead.next() == Some('\\') && ahead.next() == Some('u') {
            let second = hex4(&mut ahead);
            if (0xdc00..0xe000).contains(&second) {
                self.0 = ahead;
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
        }
        char::REPLACEMENT_CHARACTER
    }
}

fn hex4(chars: &mut Chars<'_>) -> u32 {
    chars.by_ref().take(4).fold(0, |code, digit| code << 4 | digit.to_digit(16).unwrap_or(0))
}

/// The pieces of `text` escaped as a JSON string's contents: runs of plain bytes
/// borrowed from it, and escapes.
#[derive(Debug, Clone)]
pub struct Escaped<'a>(&'a [u8]);

/// Escapes `text` without copying it.
pub fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text.as_bytes())
}

impl<'a> Iterator for Escaped<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let first = self.0.first()?;
        if let Some(escape) = escape_of(*first) {
            self.0 = self.0.get(1..).unwrap_or_default();
            return Some(escape);
        }
        let end = Cursor::new(self.0).plain_until(0);
        let (plain, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        Some(plain)
    }
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for piece in escaped(text) {
        out.extend_from_slice(piece);
    }
    out.push(b'"');
}

/// Appends `value` as JSON. Writing to memory does not fail, and nothing of ours refuses to be written.
pub fn write_value(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok(), "{written:?}");
}

fn escape_of(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b'"' => Some(b"\\\""),
        b'\\' => Some(b"\\\\"),
        b'\n' => Some(b"\\n"),
        b'\r' => Some(b"\\r"),
        b'\t' => Some(b"\\t"),
        _ => CONTROL_ESCAPES.get(usize::from(byte)).map(|escape| escape.as_slice()),
    }
}

/// `\u0000` to `\u001f`.
const CONTROL_ESCAPES: [[u8; 6]; 32] = {
    let hex = *b"0123456789abcdef";
    let mut table = [*b"\\u0000"; 32];
    let mut code = 0;
    while code < 32 {
        // Evaluated when compiling: an index out of range would not build.
        #[allow(clippy::indexing_slicing)]
        {
            table[code][4] = hex[code >> 4];
            table[code][5] = hex[code & 15];
        }
        code += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unescapes() {
        let get = |raw: &str| {
            let span = Span { start: 0, end: raw.len() };
            Text { span, escaped: raw.contains('\\') }.get(raw.as_bytes()).into_owned()
        };
        assert_eq!(get("plain é"), "plain é");
        assert_eq!(get(r#"\"\\\/\b\f\n\r\t"#), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(get(r"\u0041\u00E9\ud83d\ude00z"), "Aé😀z");
        assert_eq!(get(r"\ud800"), "\u{fffd}");
        assert_eq!(get(r"\ud800\u0041"), "\u{fffd}A");
        assert_eq!(get(r"\udc00x"), "\u{fffd}x");
    }

    proptest! {
        #[test]
        fn writes_strings_that_read_back(text: String) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text.clone());
            prop_assert_eq!(Cursor::new(&out).text().unwrap().get(&out), text);
        }
    }
}
