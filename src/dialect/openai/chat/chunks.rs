//! A streamed answer to a client that speaks OpenAI's dialect.
//!
//! Source: OpenAI API reference, "The chat completion chunk object" and `stream_options.include_usage`. What was thought
//! is written as DeepSeek does (`reasoning_content`), its signature as OpenRouter does (`reasoning_details`).

use super::write_answer::{write_head, write_number, write_stop_sequence, write_usage};
use crate::dialect::chat::{Face, Finish, Piece};
use crate::dialect::json::write_string;
use crate::dialect::openai::stream::error_event;
use crate::dialect::usage::Usage;

/// Writes pieces as events.
#[derive(Debug)]
pub struct ChunkWriter {
    model: String,
    created: u64,
    include_usage: bool,
    /// What every chunk starts with.
    head: Vec<u8>,
    /// The choices that have begun.
    begun: Vec<u32>,
    /// The last that came: some providers count again in every chunk, and the client is told once.
    usage: Option<Usage>,
    /// Stop texts of choices that are about to end.
    stops: Vec<(u32, String)>,
}

impl ChunkWriter {
    /// A writer at the start of a stream; `include_usage` is what the client asked for.
    #[must_use]
    pub fn new(face: &Face<'_>, include_usage: bool) -> Self {
        let mut writer = Self {
            model: face.model.to_owned(),
            created: face.created,
            include_usage,
            head: Vec::new(),
            begun: Vec::new(),
            usage: None,
            stops: Vec::new(),
        };
        writer.set_id(face.id);
        writer
    }

    /// Appends the events that a piece makes.
    pub fn write(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Start { id, .. } => {
                if !id.is_empty() {
                    self.set_id(id);
                }
                self.begin(0, out);
            }
            Piece::Text { choice, text } => self.delta(*choice, "content", text, out),
            Piece::Reasoning { choice, text } => self.delta(*choice, "reasoning_content", text, out),
            Piece::Refusal { choice, text } => self.delta(*choice, "refusal", text, out),
            Piece::Signature { choice, signature } => {
                self.chunk(*choice, out, |out| {
                    out.extend_from_slice(
                        b"\"reasoning_details\":[{\"type\":\"reasoning.text\",\"signature\":",
                    );
                    write_string(out, signature);
                    out.extend_from_slice(b"}]");
                });
            }
            Piece::Call { choice, index, id, name } => {
                self.chunk(*choice, out, |out| {
                    out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
                    write_number(u64::from(*index), out);
                    out.extend_from_slice(b",\"id\":");
                    write_string(out, id);
                    out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
                    write_string(out, name);
                    out.extend_from_slice(b",\"arguments\":\"\"}}]");
                });
            }
            Piece::Arguments { choice, index, json } => {
                self.chunk(*choice, out, |out| {
                    out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
                    write_number(u64::from(*index), out);
                    out.extend_from_slice(b",\"function\":{\"arguments\":");
                    write_string(out, json);
                    out.extend_from_slice(b"}}]");
                });
            }
            Piece::Annotations { choice, json } => {
                self.chunk(*choice, out, |out| {
                    out.extend_from_slice(b"\"annotations\":");
                    out.extend_from_slice(json.as_bytes());
                });
            }
            Piece::Logprobs { choice, json } => {
                self.begin(*choice, out);
                self.choice(*choice, |_| {}, json, None, out);
            }
            Piece::StopSequence { choice, text } => self.stops.push((*choice, (**text).to_owned())),
            Piece::Finish { choice, reason } => {
                self.begin(*choice, out);
                self.choice(*choice, |_| {}, "null", Some(*reason), out);
            }
            Piece::Usage(usage) => self.usage = Some(*usage),
            Piece::Error(error) => error_event(&error.message, error.kind, error.code, out),
            Piece::Done => self.end(out),
        }
    }

    fn set_id(&mut self, id: &str) {
        self.head.clear();
        self.head.extend_from_slice(b"data: ");
        write_head(id, "chat.completion.chunk", self.created, &self.model, &mut self.head);
    }

    /// Opens a choice that has not begun: its first chunk has its role.
    fn begin(&mut self, choice: u32, out: &mut Vec<u8>) {
        if self.begun.contains(&choice) {
            return;
        }
        self.begun.push(choice);
        let role = b"\"role\":\"assistant\",\"content\":\"\",\"refusal\":null";
        self.choice(choice, |out| out.extend_from_slice(role), "null", None, out);
    }

    fn delta(&mut self, choice: u32, member: &str, text: &str, out: &mut Vec<u8>) {
        self.chunk(choice, out, |out| {
            write_string(out, member);
            out.push(b':');
            write_string(out, text);
        });
    }

    fn chunk(&mut self, choice: u32, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
        self.begin(choice, out);
        self.choice(choice, delta, "null", None, out);
    }

    fn choice(
        &self,
        choice: u32,
        delta: impl FnOnce(&mut Vec<u8>),
        logprobs: &str,
        finish: Option<Finish>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"{\"index\":");
        write_number(u64::from(choice), out);
        out.extend_from_slice(b",\"delta\":{");
        delta(out);
        out.extend_from_slice(b"},\"logprobs\":");
        out.extend_from_slice(logprobs.as_bytes());
        out.extend_from_slice(b",\"finish_reason\":");
        match finish {
            Some(reason) => {
                write_string(out, reason.name());
                let stop = self.stops.iter().find(|(of, _)| *of == choice);
                write_stop_sequence(stop.map(|(_, text)| &**text), out);
            }
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b"}]");
        if self.include_usage {
            out.extend_from_slice(b",\"usage\":null");
        }
        out.extend_from_slice(b"}\n\n");
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.take()
            && self.include_usage
        {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"],\"usage\":");
            write_usage(&usage, out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::provider_error::ProviderError;

    const FACE: Face<'_> = Face { id: "chatcmpl-1", model: "claude:opus", created: 17 };

    fn written(include_usage: bool, pieces: &[Piece<'_>]) -> String {
        let mut writer = ChunkWriter::new(&FACE, include_usage);
        let mut out = Vec::new();
        for piece in pieces {
            writer.write(piece, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    fn usage(completion_tokens: u64) -> Piece<'static> {
        Piece::Usage(Usage {
            prompt_tokens: 1,
            completion_tokens,
            total_tokens: 1 + completion_tokens,
            ..Usage::default()
        })
    }

    #[test]
    fn the_chunks_of_the_reference() {
        let start = Piece::Start { id: "".into(), model: "claude-opus".into() };
        let text = Piece::Text { choice: 0, text: "Hi".into() };
        let finish = Piece::Finish { choice: 0, reason: Finish::Stop };
        let pieces = [start, text, usage(1), finish, usage(2), Piece::Done];
        let head = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":17,\
                    \"model\":\"claude:opus\",\"choices\":[";
        let chunk = |delta: &str, finish: &str, usage: &str| {
            format!(
                "{head}{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{finish}}}]{usage}}}\n\n"
            )
        };
        let chunks = |usage: &str| {
            [
                chunk("\"role\":\"assistant\",\"content\":\"\",\"refusal\":null", "null", usage),
                chunk("\"content\":\"Hi\"", "null", usage),
                chunk("", "\"stop\"", usage),
            ]
            .concat()
        };
        assert_eq!(written(false, &pieces), chunks("") + "data: [DONE]\n\n");
        let counted = format!(
            "{head}],\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,\
             \"prompt_tokens_details\":{{\"cached_tokens\":0}},\
             \"completion_tokens_details\":{{\"reasoning_tokens\":0}}}}}}\n\ndata: [DONE]\n\n"
        );
        assert_eq!(written(true, &pieces), chunks(",\"usage\":null") + &counted);
    }

    #[test]
    fn an_error_ends_the_stream_without_done() {
        let error = ProviderError {
            status: 529,
            kind: "server_error",
            code: None,
            param: None,
            message: "Overloaded".to_owned(),
        };
        assert_eq!(
            written(true, &[Piece::Error(error)]),
            "data: {\"error\":{\"message\":\"Overloaded\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"
        );
    }

    #[test]
    fn every_choice_begins_with_its_role() {
        let text = |choice| Piece::Text { choice, text: "x".into() };
        let out =
            written(false, &[Piece::Start { id: "a".into(), model: "".into() }, text(1), text(0), text(1)]);
        let told: Vec<_> = out
            .split("\n\n")
            .filter_map(|event| event.split_once("\"index\":")?.1.split_once(",\"logprobs\""))
            .map(|(choice, _)| choice)
            .collect();
        let role = "\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}";
        let content = "\"delta\":{\"content\":\"x\"}";
        let wanted = [
            format!("0,{role}"),
            format!("1,{role}"),
            format!("1,{content}"),
            format!("0,{content}"),
            format!("1,{content}"),
        ];
        assert_eq!(told, wanted);
        assert!(out.starts_with("data: {\"id\":\"a\","));
    }

    #[test]
    fn the_stop_text_comes_with_the_end() {
        let stop = Piece::StopSequence { choice: 0, text: "#\"".into() };
        let finish = Piece::Finish { choice: 0, reason: Finish::Stop };
        let text = written(false, &[stop, finish, Piece::Done]);
        assert!(
            text.contains("\"finish_reason\":\"stop\",\"stop_reason\":\"#\\\"\"}]}\n\ndata: [DONE]"),
            "{text}"
        );
        assert_eq!(text.matches("stop_reason").count(), 1);
    }
}
