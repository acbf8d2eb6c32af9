//! A validating JSON scanner (RFC 8259): it finds where values are, and copies
//! nothing.
//!
//! [`Cursor`] walks a byte slice once, without recursion and without
//! allocating. Objects that matter are walked member by member; every other
//! value is crossed, and checked, by [`Cursor::value`]. Strings, which are most
//! of a prompt, are crossed a block at a time.
//!
//! Offsets are in bytes from the start of the slice.

mod find;
mod text;
pub mod write;

use std::fmt;

pub use find::MemberFinder;
pub use text::{Escaped, Text, escaped, write_string, write_value};

/// How many arrays and objects may be open at once. RFC 8259 section 9 lets a
/// parser bound this; 128 is also what the common parsers behind us accept, and
/// one bit each fits the machine's widest integer.
pub const MAX_DEPTH: u32 = 128;

/// A range of bytes in the text that was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes of this span; empty when `bytes` is not the text it came from.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// A span of no bytes, a place to insert at.
    pub fn empty(at: usize) -> Span {
        Span { start: at, end: at }
    }
}

/// Why a text is not JSON: what should have stood where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Offset of the first byte that does not fit.
    pub at: usize,
    /// What the grammar wants there.
    pub expected: &'static str,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.at)
    }
}

impl std::error::Error for JsonError {}

/// Checks that `bytes` is one JSON text (RFC 8259) and nothing else.
pub fn validate(bytes: &[u8]) -> Result<(), JsonError> {
    let mut cursor = Cursor::new(bytes);
    cursor.value()?;
    cursor.finish()
}

/// A position in a JSON text, moving forward only.
///
/// ```text
/// let mut more = cursor.begin_object()?;
/// while more {
///     let key = cursor.key()?;
///     let value = cursor.value()?;      // or begin_object() again
///     more = cursor.next_member()?;
/// }
/// cursor.finish()?;
/// ```
#[derive(Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
    /// Objects entered by `begin_object` and not yet left.
    depth: u32,
    /// All string words seen, or-ed: a set high bit says that UTF-8 must be checked.
    seen: u64,
    hex_escapes: bool,
}

impl<'a> Cursor<'a> {
    /// A cursor before the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, pos: 0, depth: 0, seen: 0, hex_escapes: false }
    }

    /// Offset of the next byte to be read.
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// Whether a string so far had a `\u`: only then can a name be written in other letters than its own.
    pub fn hex_escapes(&self) -> bool {
        self.hex_escapes
    }

    /// The next byte that is not white space; 0, which starts no value, at the end.
    pub fn peek(&mut self) -> u8 {
        self.skip_space();
        self.byte(self.pos)
    }

    /// Enters an object; false when it is empty, and then it is left again.
    pub fn begin_object(&mut self) -> Result<bool, JsonError> {
        if self.peek() != b'{' {
            return fail(self.pos, "an object");
        }
        if self.depth >= MAX_DEPTH {
            return fail(self.pos, "no more than 128 open arrays and objects");
        }
        self.pos += 1;
        if self.peek() == b'}' {
            self.pos += 1;
            return Ok(false);
        }
        self.depth += 1;
        Ok(true)
    }

    /// Reads a member's name and its colon.
    #[inline(always)]
    pub fn key(&mut self) -> Result<Text, JsonError> {
        if self.peek() != b'"' {
            return fail(self.pos, "a member name in double quotes");
        }
        let key = self.string()?;
        if self.peek() != b':' {
            return fail(self.pos, "':'");
        }
        self.pos += 1;
        Ok(key)
    }

    /// After a member's value: true when another member follows, false when the
    /// object ended and was left.
    #[inline]
    pub fn next_member(&mut self) -> Result<bool, JsonError> {
        match self.peek() {
            b',' => {
                self.pos += 1;
                Ok(true)
            }
            b'}' => {
                self.pos += 1;
                self.depth = self.depth.saturating_sub(1);
                Ok(false)
            }
            _ => fail(self.pos, "',' or '}'"),
        }
    }

    /// Reads a string.
    pub fn text(&mut self) -> Result<Text, JsonError> {
        if self.peek() != b'"' {
            return fail(self.pos, "a string");
        }
        self.string()
    }

    /// Crosses one value of any kind, checking all of it, and says where it was.
    pub fn value(&mut self) -> Result<Span, JsonError> {
        self.skip_space();
        let start = self.pos;
        // The open containers, innermost in the lowest bit: 1 is an object.
        let mut kinds: u128 = 0;
        let mut open = 0;
        let limit = MAX_DEPTH.saturating_sub(self.depth);
        let mut name_first = false;
        'value: loop {
            if name_first {
                self.key()?;
            }
            self.skip_space();
            let first = self.byte(self.pos);
            match first {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    if open >= limit {
                        return fail(self.pos, "no more than 128 open arrays and objects");
                    }
                    self.pos += 1;
                    // '}' and ']' each stand two after their opening byte.
                    if self.peek() == first + 2 {
                        self.pos += 1;
                    } else {
                        open += 1;
                        name_first = first == b'{';
                        kinds = kinds << 1 | u128::from(name_first);
                        continue 'value;
                    }
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => return fail(self.pos, "a value"),
            }
            // A value ended: leave every container that ends with it.
            while open > 0 {
                let in_object = kinds & 1 == 1;
                match (self.peek(), in_object) {
                    (b',', _) => {
                        self.pos += 1;
                        name_first = in_object;
                        continue 'value;
                    }
                    (b'}', true) | (b']', false) => {
                        self.pos += 1;
                        open -= 1;
                        kinds >>= 1;
                    }
                    (_, true) => return fail(self.pos, "',' or '}'"),
                    (_, false) => return fail(self.pos, "',' or ']'"),
                }
            }
            return Ok(Span { start, end: self.pos });
        }
    }

    /// Checks that only white space is left, and that the whole text is UTF-8.
    pub fn finish(&mut self) -> Result<(), JsonError> {
        self.skip_space();
        if self.pos < self.bytes.len() {
            return fail(self.pos, "the end of the text");
        }
        // Outside strings the grammar is ASCII, so this covers every byte.
        if self.seen & HIGH != 0
            && let Err(error) = simdutf8::compat::from_utf8(self.bytes)
        {
            return fail(error.valid_up_to(), "UTF-8");
        }
        Ok(())
    }

    /// The byte at `at`, or 0 past the end: no rule of the grammar takes a 0,
    /// so every loop stops there.
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        while matches!(self.byte(self.pos), b' ' | b'\n' | b'\r' | b'\t') {
            self.pos += 1;
        }
    }

    /// Crosses a string, from its opening quote to after its closing one.
    #[inline(always)]
    fn string(&mut self) -> Result<Text, JsonError> {
        let start = self.pos + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at = self.plain_until(at);
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.pos = at + 1;
                    return Ok(Text { span: Span { start, end: at }, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    at = self.escape(at)?;
                }
                Some(_) => return fail(at, "an escape in place of a control character"),
                None => return fail(at, "'\"' to end the string"),
            }
        }
    }

    /// Offset of the first byte at or after `at` that is a quote, a backslash or
    /// a control character; the text's length when there is none.
    #[inline(always)]
    fn plain_until(&mut self, mut at: usize) -> usize {
        let mut rest = self.bytes.get(at..).unwrap_or_default();
        // Names and short values end within the first words. What is longer is
        // probably much longer: cross it in blocks, which compile to vector code.
        let mut seen = self.seen;
        let mut words = WORDS_BEFORE_BLOCKS;
        while let Some((word, after)) = rest.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            seen |= word;
            let special = special_bytes(word);
            if special != 0 {
                self.seen = seen;
                return at + (special.trailing_zeros() / 8) as usize;
            }
            rest = after;
            at += 8;
            words -= 1;
            if words == 0 {
                while let Some((block, after)) = rest.split_first_chunk::<BLOCK>() {
                    let (special, high) = inspect(block);
                    if special {
                        break;
                    }
                    seen |= u64::from(high) << 56;
                    rest = after;
                    at += BLOCK;
                }
                words = BLOCK / 8;
            }
        }
        for &byte in rest {
            seen |= u64::from(byte) << 56;
            if byte < 0x20 || byte == b'"' || byte == b'\\' {
                break;
            }
            at += 1;
        }
        self.seen = seen;
        at
    }

    /// Crosses the escape whose backslash is at `at`.
    fn escape(&mut self, at: usize) -> Result<usize, JsonError> {
        match self.byte(at + 1) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
            b'u' => {
                self.hex_escapes = true;
                for digit in at + 2..at + 6 {
                    if !self.byte(digit).is_ascii_hexdigit() {
                        return fail(digit, "a hexadecimal digit");
                    }
                }
                Ok(at + 6)
            }
            _ => fail(at + 1, "one of \" \\ / b f n r t u after the backslash"),
        }
    }

    /// Crosses `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
    fn number(&mut self) -> Result<(), JsonError> {
        let mut at = self.pos;
        if self.byte(at) == b'-' {
            at += 1;
        }
        at = if self.byte(at) == b'0' { at + 1 } else { self.digits(at)? };
        if self.byte(at) == b'.' {
            at = self.digits(at + 1)?;
        }
        if matches!(self.byte(at), b'e' | b'E') {
            at += 1;
            if matches!(self.byte(at), b'+' | b'-') {
                at += 1;
            }
            at = self.digits(at)?;
        }
        self.pos = at;
        Ok(())
    }

    /// Crosses one digit or more.
    fn digits(&self, mut at: usize) -> Result<usize, JsonError> {
        if !self.byte(at).is_ascii_digit() {
            return fail(at, "a digit");
        }
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        Ok(at)
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), JsonError> {
        if self.bytes.get(self.pos..).is_some_and(|rest| rest.starts_with(word)) {
            self.pos += word.len();
            return Ok(());
        }
        fail(self.pos, "a value")
    }
}

#[cold]
#[inline(never)]
fn fail<T>(at: usize, expected: &'static str) -> Result<T, JsonError> {
    Err(JsonError { at, expected })
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
/// Strings up to 32 bytes never pay for starting a block.
const WORDS_BEFORE_BLOCKS: usize = 4;
/// Bytes looked at together in a long string: four 16-byte vectors.
const BLOCK: usize = 64;

/// Marks the high bit of bytes that are a quote, a backslash or a control
/// character. The lowest mark is exact; a borrow can mark bytes above it.
#[inline(always)]
fn special_bytes(word: u64) -> u64 {
    // Flipping bit 1 moves '"' (0x22) next to the control characters, to 0x20,
    // and leaves them below it: one "less than 0x21" finds both.
    let quote_or_control = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
    // Bytes of 0x80 and above are never special, and 0x5c flips no high bit.
    (quote_or_control | backslash) & !word & HIGH
}

/// Whether a block holds a special byte, and its bytes or-ed together.
#[inline(always)]
fn inspect(block: &[u8; BLOCK]) -> (bool, u8) {
    let mut special = 0;
    let mut high = 0;
    for &byte in block {
        special |= u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
        high |= byte;
    }
    (special != 0, high)
}

/// A number's value as a count: fractions are cut off, negatives are 0, and what
/// is too large is `u64::MAX`. `None` when `raw` is not a number.
pub fn count(raw: &[u8]) -> Option<u64> {
    if !matches!(raw.first(), Some(b'-' | b'0'..=b'9')) {
        return None;
    }
    if raw.iter().all(u8::is_ascii_digit) {
        return Some(
            raw.iter()
                .fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
        );
    }
    // Casting saturates at both ends (Rust reference, numeric casts).
    let number: f64 = std::str::from_utf8(raw).ok()?.parse().ok()?;
    Some(number as u64)
}

/// `text` without the white space it starts with.
pub fn skip_space(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let [b' ' | b'\n' | b'\r' | b'\t', after @ ..] = rest {
        rest = after;
    }
    rest
}

#[cfg(test)]
mod tests;
