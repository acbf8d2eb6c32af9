//! A stream on its way from one dialect to another, or through a gateway that only watches it.

use super::Wire;
use crate::dialect::{
    chat::{Face, Finish, Malformed, Piece},
    claude, cohere, gemini,
    openai::{
        self,
        request::Endpoint,
        stream::{StreamFilter, error_event},
    },
    provider_error::ProviderError,
    usage::Usage,
};

/// What becomes of a provider's stream.
pub enum Filter {
    /// OpenAI's to an OpenAI client: passed on, but for the usage chunk perhaps.
    Same(StreamFilter),
    /// Between other dialects.
    Other(Box<Other>),
}

/// A stream that is read, and written in another dialect or passed on as it is.
pub struct Other {
    reader: Reader,
    writer: Writer,
    seen: Seen,
    finished: bool,
}

enum Reader {
    OpenAi(openai::chat::StreamReader),
    Claude(claude::StreamReader),
    Gemini(gemini::stream::StreamReader),
    Cohere(cohere::StreamReader),
}

enum Writer {
    /// Both sides speak the same.
    Through,
    Chat(openai::chat::ChunkWriter),
    Messages(claude::inbound::EventWriter),
    Responses(openai::responses::EventWriter),
}

/// What is known of a stream so far.
#[derive(Debug, Default)]
struct Seen {
    usage: Option<Usage>,
    events: u64,
    content: u64,
    done: bool,
    /// The status that its first event stands for, where that is an error.
    first_status: Option<u16>,
    error: bool,
    malformed: Option<Malformed>,
}

impl Seen {
    fn note(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Usage(usage) => self.usage = Some(*usage),
            Piece::Done => self.done = true,
            Piece::Error(error) => {
                if self.events == 0 {
                    self.first_status = Some(error.status);
                }
                self.error = true;
            }
            Piece::Start { .. }
            | Piece::StopSequence { .. }
            | Piece::Finish { reason: Finish::Stop | Finish::Length, .. } => {}
            _ => self.content += 1,
        }
        self.events += 1;
    }
}

impl Reader {
    fn feed(&mut self, input: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        match self {
            Self::OpenAi(reader) => reader.feed(input, each),
            Self::Claude(reader) => reader.feed(input, each),
            Self::Gemini(reader) => reader.feed(input, each),
            Self::Cohere(reader) => reader.feed(input, each),
        }
    }

    fn finish(&mut self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        match self {
            Self::OpenAi(reader) => reader.finish(each),
            Self::Claude(reader) => reader.finish(each),
            Self::Gemini(reader) => reader.finish(each),
            Self::Cohere(reader) => reader.finish(each),
        }
    }
}

impl Writer {
    fn write(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Through => {}
            Self::Chat(writer) => writer.write(piece, out),
            Self::Messages(writer) => writer.write(piece, out),
            Self::Responses(writer) => writer.write(piece, out),
        }
    }
}

impl Other {
    /// From a provider that speaks `wire` to a client at `endpoint`, who asked for the usage or did not.
    #[must_use]
    pub fn new(wire: Wire, endpoint: Endpoint, face: &Face<'_>, include_usage: bool) -> Self {
        let reader = match wire {
            // Voyage streams nothing: what comes as a stream would be some other server's.
            Wire::OpenAi | Wire::Voyage => Reader::OpenAi(openai::chat::StreamReader::new()),
            Wire::Claude => Reader::Claude(claude::StreamReader::new()),
            Wire::Gemini => Reader::Gemini(gemini::stream::StreamReader::new()),
            Wire::Cohere => Reader::Cohere(cohere::StreamReader::new()),
        };
        let writer = match endpoint {
            _ if wire.is_spoken_at(endpoint) => Writer::Through,
            Endpoint::Messages => Writer::Messages(claude::inbound::EventWriter::new(face)),
            Endpoint::Responses => Writer::Responses(openai::responses::EventWriter::new(face)),
            _ => Writer::Chat(openai::chat::ChunkWriter::new(face, include_usage)),
        };
        Self { reader, writer, seen: Seen::default(), finished: false }
    }

    fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let Self { reader, writer, seen, .. } = self;
        if matches!(writer, Writer::Through) {
            out.extend_from_slice(input);
        }
        let mut each = |piece: Piece<'_>| {
            seen.note(&piece);
            writer.write(&piece, out);
        };
        if let Err(malformed) = reader.feed(input, &mut each) {
            seen.malformed.get_or_insert(malformed);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let Self { reader, writer, seen, .. } = self;
        let mut each = |piece: Piece<'_>| {
            seen.note(&piece);
            writer.write(&piece, out);
        };
        if let Err(malformed) = reader.finish(&mut each) {
            seen.malformed.get_or_insert(malformed);
        }
    }
}

impl Filter {
    /// Takes what came; what the client gets of it is appended to `out`.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Same(filter) => filter.feed(input, out),
            Self::Other(other) => other.feed(input, out),
        }
    }

    /// Takes the end of the stream: its last event counts even without its blank line.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Same(filter) => filter.finish(out),
            Self::Other(other) => other.finish(out),
        }
    }

    /// Tokens used, as far as the stream has told.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Self::Same(filter) => filter.usage(),
            Self::Other(other) => other.seen.usage,
        }
    }

    /// Whether the provider has said that all has come.
    #[must_use]
    pub fn done(&self) -> bool {
        match self {
            Self::Same(filter) => filter.done(),
            Self::Other(other) => other.seen.done,
        }
    }

    /// Events so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        match self {
            Self::Same(filter) => filter.events(),
            Self::Other(other) => other.seen.events,
        }
    }

    /// Those among them that carry something of the answer.
    #[must_use]
    pub fn content_events(&self) -> u64 {
        match self {
            Self::Same(filter) => filter.content_events(),
            Self::Other(other) => other.seen.content,
        }
    }

    /// The status that the first event stands for, where that is an error.
    #[must_use]
    pub fn first_status(&self) -> Option<u16> {
        match self {
            Self::Same(filter) => filter.first_status(),
            Self::Other(other) => other.seen.first_status,
        }
    }

    /// Whether the provider has reported an error.
    #[must_use]
    pub fn error_seen(&self) -> bool {
        match self {
            Self::Same(filter) => filter.error_seen(),
            Self::Other(other) => other.seen.error,
        }
    }

    /// What was wrong with the stream, where it was not what its dialect says.
    #[must_use]
    pub fn malformed(&self) -> Option<Malformed> {
        match self {
            Self::Same(_) => None,
            Self::Other(other) => other.seen.malformed,
        }
    }

    /// Whether a stream that ends without the provider's last word was cut. OpenAI-compatible servers often leave
    /// `[DONE]` out.
    #[must_use]
    pub fn must_be_done(&self) -> bool {
        matches!(self, Self::Other(other) if !matches!(other.reader, Reader::OpenAi(_)))
    }

    /// Appends an event that says that the stream failed.
    pub fn write_error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        match self {
            Self::Same(_) => error_event(&error.message, error.kind, error.code, out),
            Self::Other(other) => match &mut other.writer {
                Writer::Through => {
                    out.extend_from_slice(b"event: error\ndata: ");
                    claude::inbound::write_provider_error(error, None, out);
                    out.extend_from_slice(b"\n\n");
                }
                writer => writer.write(&Piece::Error(error.clone()), out),
            },
        }
    }
}
