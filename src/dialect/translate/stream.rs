//! A stream on its way from one dialect to another, or through a gateway that only watches it.

use super::Wire;
use crate::dialect::{
    bedrock,
    chat::{Answer, Face, Finish, Malformed, Piece},
    claude, cohere, gemini,
    openai::{
        self,
        request::Endpoint,
        stream::{StreamFilter, error_event},
    },
    provider_error::ProviderError,
    replicate,
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
    Replicate(replicate::stream::StreamReader),
    Bedrock(bedrock::StreamReader),
}

enum Writer {
    /// Both sides speak the same: what is said at this endpoint.
    Through(Endpoint),
    Chat(openai::chat::ChunkWriter),
    Messages(claude::inbound::EventWriter),
    Responses(openai::responses::EventWriter),
    Cohere(cohere::inbound::EventWriter),
    Google(gemini::inbound::EventWriter),
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
            Self::Replicate(reader) => reader.feed(input, each),
            Self::Bedrock(reader) => reader.feed(input, each),
        }
    }

    fn finish(&mut self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        match self {
            Self::OpenAi(reader) => reader.finish(each),
            Self::Claude(reader) => reader.finish(each),
            Self::Gemini(reader) => reader.finish(each),
            Self::Cohere(reader) => reader.finish(each),
            Self::Replicate(reader) => reader.finish(each),
            Self::Bedrock(reader) => reader.finish(each),
        }
    }
}

impl Writer {
    fn to(endpoint: Endpoint, face: &Face<'_>, include_usage: bool) -> Self {
        match endpoint {
            Endpoint::Messages => Self::Messages(claude::inbound::EventWriter::new(face)),
            Endpoint::Responses => Self::Responses(openai::responses::EventWriter::new(face)),
            Endpoint::CohereChat => Self::Cohere(cohere::inbound::EventWriter::new(face)),
            endpoint if endpoint.is_googles() => Self::Google(gemini::inbound::EventWriter::new(face)),
            _ => Self::Chat(openai::chat::ChunkWriter::new(face, include_usage)),
        }
    }

    fn write(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Through(_) => {}
            Self::Chat(writer) => writer.write(piece, out),
            Self::Messages(writer) => writer.write(piece, out),
            Self::Responses(writer) => writer.write(piece, out),
            Self::Cohere(writer) => writer.write(piece, out),
            Self::Google(writer) => writer.write(piece, out),
        }
    }
}

/// Appends an answer that came whole as the events of a stream.
pub fn write_whole(
    answer: &Answer<'_>,
    endpoint: Endpoint,
    face: &Face<'_>,
    include_usage: bool,
    out: &mut Vec<u8>,
) {
    let mut writer = Writer::to(endpoint, face, include_usage);
    let mut write = |piece: Piece<'_>| writer.write(&piece, out);
    write(Piece::Start { id: (*answer.id).into(), model: (*answer.model).into() });
    for (choice, said) in (0..).zip(&answer.choices) {
        for (text, signature) in &said.reasoning {
            write(Piece::Reasoning { choice, text: (**text).into() });
            if let Some(signature) = signature {
                write(Piece::Signature { choice, signature: (**signature).into() });
            }
        }
        if let Some(text) = &said.text {
            write(Piece::Text { choice, text: (**text).into() });
        }
        if let Some(text) = &said.refusal {
            write(Piece::Refusal { choice, text: (**text).into() });
        }
        for (index, call) in (0..).zip(&said.calls) {
            write(Piece::Call { choice, index, id: (*call.id).into(), name: (*call.name).into() });
            write(Piece::Arguments { choice, index, json: (*call.arguments).into() });
        }
        if let Some(text) = &said.stop_sequence {
            write(Piece::StopSequence { choice, text: (**text).into() });
        }
        write(Piece::Finish { choice, reason: said.finish });
    }
    if let Some(usage) = answer.usage {
        write(Piece::Usage(usage));
    }
    write(Piece::Done);
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
            Wire::Replicate => Reader::Replicate(replicate::stream::StreamReader::new()),
            Wire::Bedrock => Reader::Bedrock(bedrock::StreamReader::new()),
        };
        let writer = match endpoint {
            _ if wire.is_spoken_at(endpoint) => Writer::Through(endpoint),
            _ => Writer::to(endpoint, face, include_usage),
        };
        Self { reader, writer, seen: Seen::default(), finished: false }
    }

    fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let Self { reader, writer, seen, .. } = self;
        if matches!(writer, Writer::Through(_)) {
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

    /// Whether all has been said but what was used, which such a stream does not tell.
    #[must_use]
    pub fn lacks_usage(&self) -> bool {
        matches!(self, Self::Other(other)
            if matches!(&other.reader, Reader::Replicate(reader) if reader.is_finished()) && !other.finished)
    }

    /// Takes what was used where the stream does not tell.
    pub fn tell_usage(&mut self, usage: Usage, out: &mut Vec<u8>) {
        if let Self::Other(other) = self {
            let piece = Piece::Usage(usage);
            other.seen.note(&piece);
            other.writer.write(&piece, out);
        }
    }

    /// Appends an event that says that the stream failed.
    pub fn write_error(&mut self, error: &ProviderError, out: &mut Vec<u8>) {
        match self {
            Self::Same(_) => error_event(&error.message, error.kind, error.code, out),
            Self::Other(other) => match &mut other.writer {
                Writer::Through(Endpoint::CohereChat) => {
                    cohere::inbound::write_error_event(&error.message, out);
                }
                Writer::Through(endpoint) if endpoint.is_googles() => {
                    gemini::inbound::write_error_event(error, out);
                }
                Writer::Through(_) => {
                    out.extend_from_slice(b"event: error\ndata: ");
                    claude::inbound::write_provider_error(error, None, out);
                    out.extend_from_slice(b"\n\n");
                }
                writer => writer.write(&Piece::Error(error.clone()), out),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::chat::{Call, Choice};

    /// What is written as a stream reads as what it was.
    #[test]
    fn an_answer_that_came_whole_is_a_stream() {
        let answer = Answer {
            id: "a".into(),
            model: "m".into(),
            choices: vec![Choice {
                text: Some("Hi".into()),
                reasoning: vec![("Hm".into(), Some("s".into()))],
                calls: vec![Call { id: "c".into(), name: "f".into(), arguments: "{}".into() }],
                finish: Finish::ToolCalls,
                ..Choice::default()
            }],
            usage: Some(Usage {
                prompt_tokens: 1,
                completion_tokens: 2,
                total_tokens: 3,
                ..Usage::default()
            }),
            ..Answer::default()
        };
        let face = Face { id: "i", model: "m", created: 1 };
        for endpoint in [
            Endpoint::ChatCompletions,
            Endpoint::Messages,
            Endpoint::Responses,
            Endpoint::CohereChat,
            Endpoint::StreamGenerateContent,
        ] {
            let mut out = Vec::new();
            write_whole(&answer, endpoint, &face, true, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(
                text.ends_with(["\n\n", "\r\n\r\n"][usize::from(endpoint.is_googles())])
                    && text.contains("\"Hi\""),
                "{text}"
            );
            let wire = match endpoint {
                Endpoint::ChatCompletions => Wire::OpenAi,
                Endpoint::Messages => Wire::Claude,
                Endpoint::CohereChat => Wire::Cohere,
                Endpoint::StreamGenerateContent => Wire::Gemini,
                _ => continue,
            };
            let mut read = Other::new(wire, Endpoint::ChatCompletions, &face, true);
            read.feed(text.as_bytes(), &mut Vec::new());
            read.finish(&mut Vec::new());
            assert!(read.seen.done && !read.seen.error && read.seen.malformed.is_none(), "{text}");
            assert_eq!(read.seen.usage, answer.usage);
        }
    }
}
