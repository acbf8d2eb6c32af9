//! The binary framing of AWS's event streams (`application/vnd.amazon.eventstream`).
//!
//! Source: Smithy, "Amazon Event Stream" specification. A message is, in network byte order: its length and that of its
//! headers, the CRC-32 of these eight bytes, the headers, the payload, the CRC-32 of all before it. A header is a
//! name's length and the name, a type, and a value.

use crate::dialect::chat::Malformed;
use crate::dialect::sse::events::MAX_EVENT_BYTES;

/// Two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
/// What a message has beside headers and payload.
const LEAST_BYTES: usize = PRELUDE_BYTES + 4;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An event of the stream.
    Event,
    /// An error that the service's model knows (`exception`).
    Exception,
    /// Another error (`error`).
    Error,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// `:event-type`, `:exception-type` or `:error-code`.
    pub name: &'a [u8],
    /// `:error-message`; empty for others than [`Kind::Error`].
    pub message: &'a [u8],
    /// Mostly JSON.
    pub payload: &'a [u8],
}

/// Gives each message whole, wherever the stream is cut. One that comes in one piece is not copied.
#[derive(Debug, Default)]
pub struct Frames {
    /// The current message as far as it came.
    held: Vec<u8>,
}

impl Frames {
    /// Takes the next bytes and gives the messages that they complete to `each`.
    ///
    /// # Errors
    /// That of `each`, or that a message is too long or not as its checksums say. Nothing more can be read then.
    pub fn feed(
        &mut self,
        input: &[u8],
        each: &mut dyn FnMut(&Frame<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut rest = input;
        while !rest.is_empty() {
            if self.held.is_empty()
                && let Some(length) = length(rest)?
                && let Some((message, after)) = rest.split_at_checked(length)
            {
                each(&Frame::read(message)?)?;
                rest = after;
                continue;
            }
            // The prelude tells how much to wait for; what stands behind the message is not copied.
            let wanted = length(&self.held)?.unwrap_or(PRELUDE_BYTES);
            let missing = wanted.saturating_sub(self.held.len()).min(rest.len());
            let (more, after) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
            self.held.extend_from_slice(more);
            rest = after;
            if length(&self.held)?.is_some_and(|length| self.held.len() == length) {
                let mut held = std::mem::take(&mut self.held);
                let read = Frame::read(&held).and_then(|frame| each(&frame));
                // The room is kept for the next message.
                held.clear();
                self.held = held;
                read?;
            }
        }
        Ok(())
    }
}

/// The length of the message that `bytes` begin with, once its prelude is there.
fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some((prelude, sum)) = bytes.get(..8).zip(number(bytes, 8)) else { return Ok(None) };
    if crc32(prelude) != sum {
        return Err(Malformed("the prelude of a message is not as its checksum says"));
    }
    let length = number(bytes, 0).map_or(0, |length| length as usize);
    let headers = number(bytes, 4).map_or(0, |length| length as usize);
    if length > MAX_EVENT_BYTES {
        return Err(Malformed("an event is too long"));
    }
    if length < LEAST_BYTES || headers > length - LEAST_BYTES {
        return Err(Malformed("the lengths of a message do not fit"));
    }
    Ok(Some(length))
}

impl<'a> Frame<'a> {
    /// Reads a whole message, whose prelude is right.
    fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        const WRONG: Malformed = Malformed("a message is not as its checksum says");
        const HEADER: Malformed = Malformed("a header of a message is not as it should be");
        let (body, sum) =
            bytes.len().checked_sub(4).and_then(|end| bytes.split_at_checked(end)).ok_or(WRONG)?;
        if number(sum, 0) != Some(crc32(body)) {
            return Err(WRONG);
        }
        let length = number(bytes, 4).ok_or(HEADER)? as usize;
        let content = body.get(PRELUDE_BYTES..).ok_or(HEADER)?;
        let (mut headers, payload) = content.split_at_checked(length).ok_or(HEADER)?;
        let (mut kind, mut name, mut message): (_, &[u8], &[u8]) = (Kind::Event, b"", b"");
        while !headers.is_empty() {
            let ((key, value), rest) = header(headers).ok_or(HEADER)?;
            headers = rest;
            match key {
                b":message-type" => {
                    kind = match value {
                        b"event" => Kind::Event,
                        b"exception" => Kind::Exception,
                        _ => Kind::Error,
                    }
                }
                b":event-type" | b":exception-type" | b":error-code" => name = value,
                b":error-message" => message = value,
                _ => {}
            }
        }
        Ok(Self { kind, name, message, payload })
    }
}

/// Name and value.
type Header<'a> = (&'a [u8], &'a [u8]);

/// The header that `bytes` begin with, name and value, and what follows. Values that are no text are shown as they are.
fn header(bytes: &[u8]) -> Option<(Header<'_>, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let (&kind, rest) = rest.split_first()?;
    let (length, rest) = match kind {
        // True, false.
        0 | 1 => (0, rest),
        // A byte, integers of 2, 4 and 8 bytes.
        2 => (1, rest),
        3 => (2, rest),
        4 => (4, rest),
        5 => (8, rest),
        // Bytes and text, with their length before them.
        6 | 7 => {
            let (&[high, low], rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes([high, low])), rest)
        }
        // A time, and an identifier.
        8 => (8, rest),
        9 => (16, rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some(((name, value), rest))
}

/// The number of four bytes that stands at `at`.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The CRC-32 of gzip and others (RFC 1952 section 8): polynomial 0xEDB88320, from and to all ones.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        let at = usize::from(sum as u8 ^ byte);
        // A byte is always an index of the table.
        CRC.get(at).copied().unwrap_or_default() ^ (sum >> 8)
    })
}

const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { 0xEDB8_8320 ^ (sum >> 1) } else { sum >> 1 };
            bit += 1;
        }
        // Evaluated when compiling: an index out of range would not build.
        #[allow(clippy::indexing_slicing)]
        {
            table[byte] = sum;
        }
        byte += 1;
    }
    table
};

/// A message as the service writes it, for tests.
#[cfg(test)]
pub(in crate::dialect) fn write(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    for (name, value) in headers {
        written.push(name.len() as u8);
        written.extend_from_slice(name.as_bytes());
        written.push(7);
        written.extend_from_slice(&(value.len() as u16).to_be_bytes());
        written.extend_from_slice(value.as_bytes());
    }
    let mut out = Vec::new();
    out.extend_from_slice(&((LEAST_BYTES + written.len() + payload.len()) as u32).to_be_bytes());
    out.extend_from_slice(&(written.len() as u32).to_be_bytes());
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out.extend_from_slice(&written);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From botocore's and the Smithy specification's tests of the framing.
    const EMPTY: &[u8] = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff";
    const PAYLOAD: &[u8] = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfd\x52\x8c\x5a{'foo':'bar'}\xc3\x65\x39\x36";
    const INTEGER: &[u8] =
        b"\x00\x00\x00\x2d\x00\x00\x00\x10\x41\xc4\x24\xb8\x0aevent-type\x04\x00\x00\xa0\x0c\
        {'foo':'bar'}\x36\xf4\x80\xa0";

    fn read(parts: &[&[u8]]) -> Result<Vec<String>, Malformed> {
        let mut frames = Frames::default();
        let mut all = Vec::new();
        for part in parts {
            frames.feed(part, &mut |frame| {
                all.push(format!("{frame:?}"));
                Ok(())
            })?;
        }
        Ok(all)
    }

    #[test]
    fn sums_are_the_usual_ones() {
        for (bytes, sum) in [(&b""[..], 0), (b"123456789", 0xCBF4_3926), (b"\0", 0xD202_EF8D)] {
            assert_eq!(crc32(bytes), sum);
        }
    }

    #[test]
    fn published_messages_are_read() {
        for (bytes, payload) in [(EMPTY, ""), (PAYLOAD, "{'foo':'bar'}"), (INTEGER, "{'foo':'bar'}")] {
            let frame = Frame::read(bytes).unwrap();
            assert_eq!((frame.payload, frame.kind), (payload.as_bytes(), Kind::Event));
            assert_eq!(length(bytes), Ok(Some(bytes.len())));
        }
        let written =
            write(&[(":message-type", "exception"), (":exception-type", "throttlingException")], b"{}");
        let frame = Frame::read(&written).unwrap();
        assert_eq!(
            (frame.kind, frame.name, frame.payload),
            (Kind::Exception, &b"throttlingException"[..], &b"{}"[..])
        );
        let written =
            write(&[(":message-type", "error"), (":error-code", "500"), (":error-message", "m")], b"");
        let frame = Frame::read(&written).unwrap();
        assert_eq!((frame.kind, frame.name, frame.message), (Kind::Error, &b"500"[..], &b"m"[..]));
    }

    #[test]
    fn it_may_be_cut_anywhere() {
        let stream = [EMPTY, PAYLOAD, INTEGER, EMPTY].concat();
        let whole = read(&[&stream]).unwrap();
        assert_eq!(whole.len(), 4);
        for cut in 0..=stream.len() {
            let (first, second) = stream.split_at(cut);
            assert_eq!(read(&[first, second]).as_ref(), Ok(&whole), "{cut}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&bytes), Ok(whole));
    }

    #[test]
    fn what_is_not_as_it_says_is_malformed() {
        for at in 0..INTEGER.len() {
            let mut spoilt = INTEGER.to_vec();
            spoilt[at] ^= 0x10;
            let whole = read(&[&spoilt]);
            assert!(whole.is_err(), "{at}");
            let bytes: Vec<&[u8]> = spoilt.chunks(1).collect();
            assert_eq!(read(&bytes), whole, "{at}");
        }
        for (length, headers) in [(15u32, 0u32), (16, 1), (u32::MAX, 0), (9 << 20, 0), (32, u32::MAX)] {
            let mut prelude = [length.to_be_bytes(), headers.to_be_bytes()].concat();
            let sum = crc32(&prelude);
            prelude.extend_from_slice(&sum.to_be_bytes());
            assert!(read(&[&prelude]).is_err(), "{length} {headers}");
        }
        // Headers that end too early.
        for headers in [
            &b"\x05abc"[..],
            b"\x01a",
            b"\x01a\x07\x00",
            b"\x01a\x07\x00\x05abc",
            b"\x01a\x0c",
            b"\x01a\x05\0\0",
        ] {
            assert_eq!(header(headers), None);
        }
    }
}
