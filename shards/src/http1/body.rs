//! Decoding message bodies: by length, chunked (RFC 9112 §7.1), or until close.
//!
//! A [`Decoder`] is fed the unread bytes of a connection and says how many framing bytes to skip and how many
//! content bytes follow, so content is never copied to be decoded.

use super::head::{Framing, Violation};

/// Most bytes of chunk extensions on one chunk: nobody uses them, attackers do (RFC 9112 §7.1.1).
const MAX_EXTENSION_BYTES: u32 = 256;
/// Most bytes of a trailer section; trailers are read and dropped.
const MAX_TRAILER_BYTES: u32 = 8 * 1024;

/// What the next bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Framing bytes to discard first.
    pub skip: usize,
    /// Content bytes that follow them.
    pub data: usize,
}

/// Decodes one message body.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    Size {
        value: u64,
        digits: u8,
    },
    /// In a chunk extension: the chunk's size, extension bytes seen.
    Extension {
        value: u64,
        seen: u32,
    },
    SizeLf {
        value: u64,
    },
    Data(u64),
    DataCr,
    DataLf,
    /// In the trailer section: bytes seen, bytes of the current line.
    Trailer {
        seen: u32,
        line: u32,
    },
    TrailerLf {
        seen: u32,
        line: u32,
    },
    Done,
}

impl Decoder {
    /// A decoder for a body framed so.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size { value: 0, digits: 0 },
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the connection is a proper end of this body.
    #[must_use]
    pub fn may_end_here(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Looks at the next unread `bytes`. The caller discards `skip` bytes, uses `data` bytes and discards them,
    /// then calls again with what follows. `data` is 0 only when more bytes are needed or the body is done.
    ///
    /// # Errors
    /// [`Violation::Chunk`] where the bytes are not chunked coding.
    pub fn step(&mut self, bytes: &[u8]) -> Result<Step, Violation> {
        let mut skip = 0;
        loop {
            match self.state {
                State::Length(left) => {
                    let data = clamp(left, bytes.len());
                    let left = left - data as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(Step { skip, data });
                }
                State::UntilClose => return Ok(Step { skip, data: bytes.len() }),
                State::Data(left) => {
                    let data = clamp(left, bytes.len() - skip);
                    if data > 0 || left > 0 {
                        let left = left - data as u64;
                        self.state = if left == 0 { State::DataCr } else { State::Data(left) };
                        return Ok(Step { skip, data });
                    }
                    self.state = State::DataCr;
                }
                State::Done => return Ok(Step { skip, data: 0 }),
                _ => {
                    let Some(&byte) = bytes.get(skip) else { return Ok(Step { skip, data: 0 }) };
                    self.state = self.framing_byte(byte)?;
                    skip += 1;
                }
            }
        }
    }

    fn framing_byte(&self, byte: u8) -> Result<State, Violation> {
        Ok(match (self.state, byte) {
            (State::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < 15 => {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                };
                State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (State::Size { value, digits: 1.. }, b'\r') => State::SizeLf { value },
            (State::Size { value, digits: 1.. }, b';' | b' ' | b'\t') => State::Extension { value, seen: 1 },
            (State::Extension { value, .. }, b'\r') => State::SizeLf { value },
            (State::Extension { value, seen }, byte) if seen < MAX_EXTENSION_BYTES && byte != b'\n' => {
                State::Extension { value, seen: seen + 1 }
            }
            (State::SizeLf { value: 0 }, b'\n') => State::Trailer { seen: 0, line: 0 },
            (State::SizeLf { value }, b'\n') => State::Data(value),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { value: 0, digits: 0 },
            (State::Trailer { seen, line }, b'\r') => State::TrailerLf { seen, line },
            (State::Trailer { seen, line }, byte) if seen < MAX_TRAILER_BYTES && byte != b'\n' => {
                State::Trailer { seen: seen + 1, line: line + 1 }
            }
            (State::TrailerLf { line: 0, .. }, b'\n') => State::Done,
            (State::TrailerLf { seen, .. }, b'\n') => State::Trailer { seen: seen + 1, line: 0 },
            _ => return Err(Violation::Chunk),
        })
    }
}

fn clamp(left: u64, available: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(available)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes `bytes` delivered in the given pieces; the content, whether it ended, and what was left.
    fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>), Violation> {
        let mut decoder = Decoder::new(framing);
        let (mut pending, mut content) = (Vec::new(), Vec::new());
        for piece in pieces {
            pending.extend_from_slice(piece);
            loop {
                let step = decoder.step(&pending)?;
                content.extend_from_slice(&pending[step.skip..step.skip + step.data]);
                pending.drain(..step.skip + step.data);
                if step.data == 0 {
                    break;
                }
            }
        }
        Ok((content, decoder.is_done(), pending))
    }

    #[test]
    fn chunked_bodies_with_extensions_and_trailers_are_decoded() {
        let body = b"5;a=b\r\nhello\r\n6 \r\n world\r\n0\r\nX-Trailer: 1\r\nY: 2\r\n\r\nGET /";
        let (content, done, rest) = decode(Framing::Chunked, &[body]).unwrap();
        assert_eq!((&content[..], done, &rest[..]), (&b"hello world"[..], true, &b"GET /"[..]));
    }

    #[test]
    fn malformed_chunking_is_refused() {
        for body in [
            &b"\r\n"[..],
            b"g\r\n",
            b"5\nhello",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"-1\r\n",
            b"0x5\r\n",
            b"1111111111111111\r\n",
            b"0\r\nX: 1\n\r\n",
            b";ext\r\n",
        ] {
            assert_eq!(decode(Framing::Chunked, &[body]), Err(Violation::Chunk), "{body:?}");
        }
        let long = [b"5;".to_vec(), vec![b'a'; 400]].concat();
        assert_eq!(decode(Framing::Chunked, &[&long]), Err(Violation::Chunk));
        let trailers = [b"0\r\nX: ".to_vec(), vec![b'a'; 9000]].concat();
        assert_eq!(decode(Framing::Chunked, &[&trailers]), Err(Violation::Chunk));
    }

    #[test]
    fn lengths_leave_the_next_message_alone() {
        let (content, done, rest) = decode(Framing::Length(3), &[b"ab", b"cdef"]).unwrap();
        assert_eq!((&content[..], done, &rest[..]), (&b"abc"[..], true, &b"def"[..]));
    }

    proptest! {
        #[test]
        fn any_content_survives_any_chunking_and_any_cutting(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            cut in prop::collection::vec(1usize..9, 1..100),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                super::super::encode::chunk(&mut wire, chunk);
            }
            wire.extend_from_slice(super::super::encode::LAST_CHUNK);
            let (mut pieces, mut at, mut cuts) = (Vec::new(), 0, cut.iter().cycle());
            while at < wire.len() {
                let end = (at + cuts.next().unwrap()).min(wire.len());
                pieces.push(&wire[at..end]);
                at = end;
            }
            let (content, done, rest) = decode(Framing::Chunked, &pieces).unwrap();
            prop_assert_eq!(content, chunks.concat());
            prop_assert!(done && rest.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(Framing::Chunked, &[&bytes]);
        }
    }
}
