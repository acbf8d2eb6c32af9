//! Server-sent events: where they begin and end in a stream of bytes, and what
//! they carry.
//!
//! Source: WHATWG HTML, section 9.2 "Server-sent events", parsing and
//! interpreting an event stream.

pub mod events;

use memchr::memchr2;

const LF: u8 = b'\n';
const CR: u8 = b'\r';
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Cuts a stream into events, wherever its pieces are cut.
///
/// An event reaches from its first field's line to the end of its blank line.
/// Blank lines and comments before that line stand between events, so that a
/// comment sent to keep a connection alive need not wait for the next event. A
/// byte order mark belongs to the event it stands before.
#[derive(Debug)]
pub struct Splitter {
    place: Place,
    /// The last byte was CR: an LF that follows belongs to the same line end.
    after_cr: bool,
    /// Lines of the current event that have begun.
    lines: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start of a line, with no field since the last event.
    Between,
    /// In a comment with no field since the last event.
    Comment,
    /// In a line of an event.
    Line,
    /// At the start of a line, in an event.
    LineStart,
}

/// What a run of bytes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Blank lines and comments outside events.
    Between,
    /// The LF of a CRLF whose CR ended the part before: it shares its fate.
    LineFeed,
    /// The start or middle of an event.
    Inside,
    /// The end of an event, or all of it.
    End,
}

impl Default for Splitter {
    fn default() -> Self {
        Splitter::new()
    }
}

impl Splitter {
    /// A splitter at the start of a stream.
    pub fn new() -> Self {
        Splitter { place: Place::Between, after_cr: false, lines: 0 }
    }

    /// Lines of the event that last ended, its blank line not counted.
    pub fn lines(&self) -> u32 {
        self.lines
    }

    /// Takes the first part off `input`, which is not empty, and returns what it
    /// is and how long.
    pub fn next(&mut self, input: &[u8]) -> (Part, usize) {
        let outside = matches!(self.place, Place::Between | Place::Comment);
        if self.after_cr {
            self.after_cr = false;
            if input.first() == Some(&LF) {
                return (if outside { Part::LineFeed } else { Part::Inside }, 1);
            }
        }
        if outside { self.between(input) } else { self.event(input, 0) }
    }

    fn between(&mut self, input: &[u8]) -> (Part, usize) {
        let mut at = 0;
        loop {
            match (self.place, input.get(at)) {
                (_, None) => return (Part::Between, at),
                (Place::Comment, Some(_)) => match self.line_end(input, at) {
                    None => return (Part::Between, input.len()),
                    Some(end) => {
                        at = end;
                        self.place = Place::Between;
                    }
                },
                (_, Some(&LF)) => at += 1,
                (_, Some(&CR)) => {
                    at += 1;
                    self.after_cr = true;
                }
                (_, Some(b':')) => self.place = Place::Comment,
                (_, Some(_)) if at > 0 => return (Part::Between, at),
                (_, Some(_)) => {
                    self.place = Place::Line;
                    self.lines = 1;
                    return self.event(input, 0);
                }
            }
            if self.after_cr {
                return (Part::Between, at);
            }
        }
    }

    fn event(&mut self, input: &[u8], mut at: usize) -> (Part, usize) {
        loop {
            if self.place == Place::Line {
                let Some(end) = self.line_end(input, at) else { return (Part::Inside, input.len()) };
                at = end;
                self.place = Place::LineStart;
                if self.after_cr {
                    match input.get(at) {
                        Some(&LF) => at += 1,
                        Some(_) => {}
                        None => return (Part::Inside, at),
                    }
                    self.after_cr = false;
                }
            }
            match input.get(at) {
                None => return (Part::Inside, at),
                Some(&(LF | CR)) => {
                    self.after_cr = input.get(at) == Some(&CR);
                    self.place = Place::Between;
                    return (Part::End, at + 1);
                }
                Some(_) => {
                    self.place = Place::Line;
                    self.lines = self.lines.saturating_add(1);
                }
            }
        }
    }

    /// Offset after the CR or LF that ends the line; notes whether it is a CR.
    fn line_end(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let end = at + memchr2(LF, CR, input.get(at..)?)?;
        self.after_cr = input.get(end) == Some(&CR);
        Some(end + 1)
    }
}

/// What an event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event` field; empty when there is none.
    pub kind: &'a [u8],
    /// The `data` fields' values, joined by LF.
    pub data: &'a [u8],
}

impl<'a> Event<'a> {
    /// Reads the bytes of one event of so many lines. `None` when it has no data
    /// field: such a block is not an event to its reader. `joined` is room for
    /// data of several lines.
    pub fn parse(block: &'a [u8], lines: u32, joined: &'a mut Vec<u8>) -> Option<Event<'a>> {
        if lines == 1
            && let Some(data) = block.strip_prefix(b"data:")
        {
            return Some(Event { kind: b"", data: value(trim_line_ends(data)) });
        }
        let mut kind: &[u8] = b"";
        let mut first: Option<&[u8]> = None;
        joined.clear();
        let mut rest = block;
        while !rest.is_empty() {
            let end = memchr2(LF, CR, rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at_checked(end)?;
            // An empty line between CR and LF reads like any other empty line.
            rest = after.get(1..).unwrap_or_default();
            if let Some(data) = line.strip_prefix(b"data:").or((line == b"data").then_some(b"")) {
                if let Some(first) = first {
                    if joined.is_empty() {
                        joined.extend_from_slice(first);
                    }
                    joined.push(LF);
                    joined.extend_from_slice(value(data));
                } else {
                    first = Some(value(data));
                }
            } else if let Some(name) = line.strip_prefix(b"event:") {
                kind = value(name);
            } else if line == b"event" {
                kind = b"";
            }
        }
        let first = first?;
        Some(Event { kind, data: if joined.is_empty() { first } else { joined } })
    }
}

/// `block` without the byte order mark that a stream may start with.
pub fn strip_bom(block: &[u8]) -> &[u8] {
    block.strip_prefix(BOM).unwrap_or(block)
}

/// One space after the colon is not part of the value.
fn value(field: &[u8]) -> &[u8] {
    field.strip_prefix(b" ").unwrap_or(field)
}

fn trim_line_ends(mut line: &[u8]) -> &[u8] {
    while let [before @ .., LF | CR] = line {
        line = before;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pieces: &[&str]) -> Vec<(Part, String)> {
        let mut splitter = Splitter::new();
        let mut parts = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (part, len) = splitter.next(rest.as_bytes());
                let (text, after) = rest.split_at(len);
                parts.push((part, text.to_owned()));
                rest = after;
            }
        }
        parts
    }

    #[test]
    fn splits() {
        use Part::{Between, End, Inside, LineFeed};
        for (pieces, wanted) in [
            (vec!["data: 1\n\ndata: 2\n\n"], vec![(End, "data: 1\n\n"), (End, "data: 2\n\n")]),
            (
                vec!["data: 1\r\n\r\nx\r\ry\n\r"],
                vec![(End, "data: 1\r\n\r"), (LineFeed, "\n"), (End, "x\r\r"), (End, "y\n\r")],
            ),
            (
                vec!["\n\n: c\n\nx\n: in\n\n: d"],
                vec![(Between, "\n\n: c\n\n"), (End, "x\n: in\n\n"), (Between, ": d")],
            ),
            (
                vec!["x", "\r", "\n", "\r", "\n", "\n"],
                vec![
                    (Inside, "x"),
                    (Inside, "\r"),
                    (Inside, "\n"),
                    (End, "\r"),
                    (LineFeed, "\n"),
                    (Between, "\n"),
                ],
            ),
            (
                vec!["x\r", "y\r", "\r", "\n"],
                vec![(Inside, "x\r"), (Inside, "y\r"), (End, "\r"), (LineFeed, "\n")],
            ),
            (vec!["\r", "\nx"], vec![(Between, "\r"), (LineFeed, "\n"), (Inside, "x")]),
        ] {
            let wanted: Vec<_> = wanted.into_iter().map(|(part, text)| (part, text.to_owned())).collect();
            assert_eq!(parts(&pieces), wanted, "{pieces:?}");
        }
    }

    #[test]
    fn reads_fields() {
        for (block, kind, data) in [
            ("data: a\n\n", "", Some("a")),
            ("data:a\r\n\r", "", Some("a")),
            ("data:  a ", "", Some(" a ")),
            ("data\n\n", "", Some("")),
            ("data:\ndata:\n\n", "", Some("\n")),
            ("data: a\r\ndata:b\rdata\n\n", "", Some("a\nb\n")),
            ("event: error\nid: 1\ndata: a\n\n", "error", Some("a")),
            ("event: x\nevent\ndata: a\n\n", "", Some("a")),
            ("datax: a\n dataa: b\n: data: c\n\n", "", None),
            ("event: error\n\n", "", None),
        ] {
            let lines =
                block.replace("\r\n", "\n").replace('\r', "\n").trim_end_matches('\n').split('\n').count();
            let mut joined = vec![b'?'];
            let event = Event::parse(block.as_bytes(), lines as u32, &mut joined);
            let wanted = data.map(|data| Event { kind: kind.as_bytes(), data: data.as_bytes() });
            assert_eq!(event, wanted, "{block:?}");
        }
    }
}
