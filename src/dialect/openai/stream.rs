//! A streamed chat completion on its way to the client: counted, and relieved of
//! the usage chunk when the client did not ask for it.
//!
//! Source: OpenAI API reference, "The chat completion chunk object" and
//! `stream_options.include_usage`: the usage chunk comes before `data: [DONE]`
//! and its `choices` is always an empty array.

use std::sync::LazyLock;

use crate::dialect::json::{self, Cursor, JsonError, MemberFinder};
use crate::dialect::openai::error::write_error_object;
use crate::dialect::openai::fault;
use crate::dialect::sse::{self, Event, Part, Splitter};
use crate::dialect::usage::{USAGE_MEMBER, Usage, UsageScanner};

/// The longest event that is held or looked into, in bytes. Chunks have some
/// hundred; one this long carries an image or a sound, never the usage alone. It
/// passes as it comes and counts as an event with content.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;

static CHOICES_MEMBER: LazyLock<MemberFinder> = LazyLock::new(|| MemberFinder::new("\"choices\""));
static DELTA_MEMBER: LazyLock<MemberFinder> = LazyLock::new(|| MemberFinder::new("\"delta\""));
static ERROR_MEMBER: LazyLock<MemberFinder> = LazyLock::new(|| MemberFinder::new("\"error\""));

/// Passes a stream on and notes what goes by.
///
/// With `hide_usage` an event waits for its own end, and exactly the usage chunk
/// is taken out. Without it every byte passes at once. Where the stream is cut
/// into pieces changes neither what comes out in all nor what is counted.
#[derive(Debug)]
pub struct StreamFilter {
    hide_usage: bool,
    splitter: Splitter,
    /// The current event as far as it came, when a piece ended inside it.
    held: Vec<u8>,
    /// The current event is longer than `MAX_EVENT_BYTES`.
    oversized: bool,
    /// No event and no byte between events yet.
    at_start: bool,
    /// The last event was taken out.
    dropped: bool,
    joined: Vec<u8>,
    seen: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    usage: Option<Usage>,
    done: bool,
    error: bool,
    /// The status that the first event stands for, where it is an error that tells.
    first_status: Option<u16>,
    events: u64,
    content_events: u64,
}

impl StreamFilter {
    /// A filter at the start of a stream. Give `hide_usage` when the gateway
    /// asked for the usage chunk and the client did not.
    pub fn new(hide_usage: bool) -> Self {
        StreamFilter {
            hide_usage,
            splitter: Splitter::new(),
            held: Vec::new(),
            oversized: false,
            at_start: true,
            dropped: false,
            joined: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Takes the next piece and appends to `out` what the client gets now.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if !self.hide_usage {
            out.extend_from_slice(input);
        }
        let mut rest = input;
        while !rest.is_empty() {
            let (part, len) = self.splitter.next(rest);
            let Some((bytes, after)) = rest.split_at_checked(len) else { return };
            rest = after;
            match part {
                Part::Between => {
                    self.at_start = false;
                    self.dropped = false;
                    self.pass(bytes, out);
                }
                Part::LineFeed if self.dropped => {}
                Part::LineFeed => self.pass(bytes, out),
                Part::Inside => self.hold(bytes, out),
                Part::End => self.end(bytes, out),
            }
        }
    }

    /// Ends the stream. An event without its blank line counts too, and what was
    /// held goes out.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.oversized || !self.held.is_empty() {
            self.end(b"", out);
        }
    }

    /// The last usage that counted something.
    pub fn usage(&self) -> Option<Usage> {
        self.seen.usage
    }

    /// Whether `data: [DONE]` came: the stream is complete.
    pub fn done(&self) -> bool {
        self.seen.done
    }

    /// Events so far, `[DONE]` and a hidden usage chunk included.
    pub fn events(&self) -> u64 {
        self.seen.events
    }

    /// Events whose `choices` were not empty.
    pub fn content_events(&self) -> u64 {
        self.seen.content_events
    }

    /// The HTTP status that the first event stands for, where it is an error that
    /// tells: the provider began to answer and had none.
    pub fn first_status(&self) -> Option<u16> {
        self.seen.first_status
    }

    /// Whether the provider reported an error inside the stream.
    pub fn error_seen(&self) -> bool {
        self.seen.error
    }

    fn pass(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.hide_usage {
            out.extend_from_slice(bytes);
        }
    }

    /// A part of an event that has not ended.
    fn hold(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.oversized && self.held.len() + bytes.len() <= MAX_EVENT_BYTES {
            self.held.extend_from_slice(bytes);
            return;
        }
        let held = std::mem::take(&mut self.held);
        self.oversized = true;
        self.pass(&held, out);
        self.pass(bytes, out);
    }

    /// The end of an event.
    fn end(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.oversized || self.held.len() + bytes.len() > MAX_EVENT_BYTES {
            self.hold(bytes, out);
            self.oversized = false;
            self.dropped = false;
            self.seen.events += 1;
            self.seen.content_events += 1;
        } else if self.held.is_empty() {
            self.whole(bytes, out);
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(bytes);
            self.whole(&held, out);
            // The room is kept for the next event.
            held.clear();
            self.held = held;
        }
        self.at_start = false;
    }

    /// An event with all of its bytes.
    fn whole(&mut self, block: &[u8], out: &mut Vec<u8>) {
        let content = if self.at_start { sse::strip_bom(block) } else { block };
        let event = Event::parse(content, self.splitter.lines(), &mut self.joined);
        let is_usage_chunk = event.is_some_and(|event| self.seen.note(&event));
        self.dropped = is_usage_chunk && self.hide_usage;
        if !self.dropped {
            self.pass(block, out);
        }
    }
}

impl Seen {
    /// Counts an event and says whether it is the usage chunk.
    ///
    /// Most chunks have no usage object and no error: three byte searches tell,
    /// and only the others are parsed.
    fn note(&mut self, event: &Event<'_>) -> bool {
        self.events += 1;
        self.error |= event.kind == b"error";
        let data = event.data;
        if data.trim_ascii() == b"[DONE]" {
            self.done = true;
            return false;
        }
        // Other endpoints name their pieces: `transcript.text.delta`, `speech.audio.delta`.
        let text = |value: &[u8]| value.starts_with(b"\"");
        if CHOICES_MEMBER.values(data).any(is_filled_array) || DELTA_MEMBER.values(data).any(text) {
            self.content_events += 1;
        }
        let has_usage = USAGE_MEMBER.values(data).any(|value| value.starts_with(b"{"));
        if has_usage {
            let mut scanner = UsageScanner::new();
            scanner.feed(data);
            self.usage = scanner.finish().or(self.usage);
        }
        let has_error = ERROR_MEMBER.values(data).next().is_some();
        let named = event.kind == b"error";
        if !has_usage && !has_error && !named {
            return false;
        }
        let Ok(members) = Members::read(data) else { return false };
        self.error |= members.error.is_some();
        if self.events == 1 {
            // An event that is named an error may be the error object itself.
            let error = members.error.or(named.then_some(data));
            self.first_status = error.and_then(fault::status);
        }
        members.usage_object && members.empty_choices
    }
}

/// What stands at the top level of a chunk.
#[derive(Debug, Default)]
struct Members<'a> {
    empty_choices: bool,
    usage_object: bool,
    error: Option<&'a [u8]>,
}

impl<'a> Members<'a> {
    fn read(data: &'a [u8]) -> Result<Self, JsonError> {
        let mut members = Members::default();
        let mut cursor = Cursor::new(data);
        let mut more = cursor.begin_object()?;
        while more {
            let key = cursor.key()?;
            let value = cursor.value()?.of(data);
            match key.span.of(data) {
                b"choices" => members.empty_choices = is_empty_array(value),
                b"usage" => members.usage_object = value.starts_with(b"{"),
                b"error" => members.error = (value != b"null").then_some(value),
                _ => {}
            }
            more = cursor.next_member()?;
        }
        cursor.finish()?;
        Ok(members)
    }
}

/// Whether an array with an element begins here.
fn is_filled_array(value: &[u8]) -> bool {
    value.starts_with(b"[") && !is_empty_array(value)
}

/// Whether `[]` stands here.
fn is_empty_array(value: &[u8]) -> bool {
    match value {
        [b'[', elements @ ..] => json::skip_space(elements).starts_with(b"]"),
        _ => false,
    }
}

/// Appends the event that tells a client its stream failed: after the first byte
/// there is no status code left to say it with.
pub fn error_event(message: &str, kind: &str, code: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    write_error_object(message, kind, None, code, out);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
