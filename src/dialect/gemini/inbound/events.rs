//! An answer that streams: each event is a whole `GenerateContentResponse` with the next part of it.
//!
//! Source: Gemini API reference, "Generating content" (`models.streamGenerateContent` with `alt=sse`); lines end as
//! Google's servers end them.

use super::answer::{Candidate, close, finish_reason, write_call, write_text, write_thought};
use super::error::write_error_event;
use crate::dialect::chat::{Call, Face, Finish, Piece};
use crate::dialect::gemini::write::{Array, Object};
use crate::dialect::usage::Usage;

/// Turns pieces into events.
///
/// - Function calls come whole: their arguments are collected, and the last event has them, with why each answer ended
///   and the usage.
/// - An error ends the stream; what comes after an end is passed over.
#[derive(Debug)]
pub struct EventWriter {
    /// The id of the answer where the provider has none, and then the one shown.
    id: String,
    model: String,
    calls: Vec<Collected>,
    /// Answers that have ended, and why.
    ends: Vec<(u32, Finish)>,
    /// Answers that are refusals.
    refused: Vec<u32>,
    usage: Option<Usage>,
    over: bool,
}

/// A call so far.
#[derive(Debug)]
struct Collected {
    choice: u32,
    index: u32,
    call: Call<'static>,
}

impl EventWriter {
    /// A writer at the start of a stream.
    #[must_use]
    pub fn new(face: &Face<'_>) -> Self {
        Self {
            id: face.id.to_owned(),
            model: face.model.to_owned(),
            calls: Vec::new(),
            ends: Vec::new(),
            refused: Vec::new(),
            usage: None,
            over: false,
        }
    }

    /// Appends the events that a piece is. Some are none, or come with a later piece.
    pub fn write(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match piece {
            Piece::Start { id, .. } if !id.is_empty() => self.id = (**id).to_owned(),
            Piece::Text { choice, text } if !text.is_empty() => {
                self.part(*choice, None, |parts| write_text(text, parts.element()), out);
            }
            Piece::Refusal { choice, text } if !text.is_empty() => {
                if !self.refused.contains(choice) {
                    self.refused.push(*choice);
                }
                self.part(*choice, None, |parts| write_text(text, parts.element()), out);
            }
            Piece::Reasoning { choice, text } if !text.is_empty() => {
                self.part(*choice, None, |parts| write_thought(text, None, parts.element()), out);
            }
            Piece::Signature { choice, signature } => {
                self.part(*choice, None, |parts| write_thought("", Some(signature), parts.element()), out);
            }
            Piece::Logprobs { choice, json } => self.part(*choice, Some(json), |_| {}, out),
            Piece::Call { choice, index, id, name } => self.calls.push(Collected {
                choice: *choice,
                index: *index,
                call: Call {
                    id: (**id).to_owned().into(),
                    name: (**name).to_owned().into(),
                    arguments: String::new().into(),
                },
            }),
            Piece::Arguments { choice, index, json } => {
                let of = |known: &&mut Collected| known.choice == *choice && known.index == *index;
                if let Some(known) = self.calls.iter_mut().rev().find(of) {
                    known.call.arguments.to_mut().push_str(json);
                }
            }
            Piece::Finish { choice, reason } => self.ends.push((*choice, *reason)),
            Piece::Usage(usage) => self.usage = Some(*usage),
            Piece::Error(error) => {
                write_error_event(error, out);
                self.over = true;
            }
            Piece::Done => self.end(out),
            _ => {}
        }
    }

    /// Appends an event of one answer.
    fn part(
        &self,
        choice: u32,
        logprobs: Option<&str>,
        each: impl FnOnce(&mut Array<'_>),
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"data: ");
        let mut body = Object::begin(out);
        let mut candidates = Array::begin(body.key("candidates"));
        Candidate { index: choice, finish: None, logprobs }.write(candidates.element(), each);
        candidates.end();
        close(body, None, &self.model, &self.id);
        out.extend_from_slice(b"\r\n\r\n");
    }

    /// Appends the last event: calls, ends and usage.
    fn end(&mut self, out: &mut Vec<u8>) {
        self.over = true;
        let called: Vec<u32> = self.calls.iter().map(|call| call.choice).collect();
        for choice in called {
            // Calls are not lost where nobody said that their answer ended.
            if !self.ends.iter().any(|&(ended, _)| ended == choice) {
                self.ends.push((choice, Finish::Stop));
            }
        }
        if self.ends.is_empty() {
            self.ends.push((0, Finish::Stop));
        }
        out.extend_from_slice(b"data: ");
        let mut body = Object::begin(out);
        let mut candidates = Array::begin(body.key("candidates"));
        for &(index, finish) in &self.ends {
            let finish = Some(finish_reason(finish, self.refused.contains(&index)));
            Candidate { index, finish, logprobs: None }.write(candidates.element(), |parts| {
                for Collected { call, .. } in self.calls.iter().filter(|call| call.choice == index) {
                    write_call(call, parts.element());
                }
            });
        }
        candidates.end();
        close(body, self.usage, &self.model, &self.id);
        out.extend_from_slice(b"\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::gemini::stream::StreamReader;
    use crate::dialect::provider_error::ProviderError;

    const FACE: Face<'_> = Face { id: "7", model: "fast", created: 1 };

    fn events(pieces: &[Piece<'_>]) -> Vec<Value> {
        let mut writer = EventWriter::new(&FACE);
        let mut out = Vec::new();
        pieces.iter().for_each(|piece| writer.write(piece, &mut out));
        let stream = String::from_utf8(out).unwrap();
        let blocks = stream.split_terminator("\r\n\r\n");
        blocks.map(|block| serde_json::from_str(block.strip_prefix("data: ").unwrap()).unwrap()).collect()
    }

    fn call(index: u32) -> Piece<'static> {
        Piece::Call { choice: 0, index, id: format!("c{index}").into(), name: "f".into() }
    }

    fn arguments(index: u32, json: &str) -> Piece<'_> {
        Piece::Arguments { choice: 0, index, json: json.into() }
    }

    fn event(parts: Value) -> Value {
        json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}],
               "modelVersion": "fast", "responseId": "r"})
    }

    #[test]
    fn parts_come_one_by_one_and_calls_whole_at_the_end() {
        let usage = Usage { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12, ..Usage::default() };
        let got = events(&[
            Piece::Start { id: "r".into(), model: "m".into() },
            Piece::Reasoning { choice: 0, text: "Hm.".into() },
            Piece::Signature { choice: 0, signature: "sig".into() },
            Piece::Text { choice: 0, text: "Hé\n".into() },
            Piece::Text { choice: 0, text: "".into() },
            call(0),
            arguments(0, "{\"a\":\n"),
            call(1),
            arguments(1, "{"),
            arguments(0, "1}"),
            Piece::Finish { choice: 0, reason: Finish::ToolCalls },
            Piece::Usage(usage),
            Piece::Done,
            Piece::Done,
        ]);
        let mut last = event(json!([
            {"functionCall": {"id": "c0", "name": "f", "args": {"a": 1}}},
            {"functionCall": {"id": "c1", "name": "f", "args": {"_raw": "{"}}},
        ]));
        last["candidates"][0]["finishReason"] = "STOP".into();
        last["usageMetadata"] =
            json!({"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12});
        assert_eq!(
            got,
            [
                event(json!([{"text": "Hm.", "thought": true}])),
                event(json!([{"text": "", "thought": true, "thoughtSignature": "Y29vOnNpZw=="}])),
                event(json!([{"text": "Hé\n"}])),
                last,
            ]
        );
    }

    #[test]
    fn several_answers_end_in_one_event() {
        let got = events(&[
            Piece::Text { choice: 1, text: "b".into() },
            Piece::Refusal { choice: 0, text: "No.".into() },
            Piece::Logprobs { choice: 0, json: r#"{"content":[{"token":"a","logprob":-1}]}"#.into() },
            Piece::Finish { choice: 1, reason: Finish::Length },
            Piece::Finish { choice: 0, reason: Finish::Stop },
            Piece::Done,
        ]);
        assert_eq!(got[0]["candidates"][0]["index"], 1);
        assert_eq!(got[2]["candidates"][0]["logprobsResult"]["chosenCandidates"][0]["token"], "a");
        let ends: Vec<_> = got[3]["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|candidate| (&candidate["index"], &candidate["finishReason"]))
            .collect();
        assert_eq!(ends, [(&json!(1), &json!("MAX_TOKENS")), (&json!(0), &json!("SAFETY"))]);
        assert_eq!(events(&[Piece::Done])[0]["candidates"][0]["finishReason"], "STOP");
    }

    /// What is written is what Google's own events are read as, wherever they are cut.
    #[test]
    fn events_read_as_what_they_were_written_from() {
        let mut writer = EventWriter::new(&FACE);
        let mut out = Vec::new();
        for piece in [
            Piece::Start { id: "r".into(), model: "m".into() },
            Piece::Text { choice: 0, text: "Hé\n".into() },
            Piece::Text { choice: 0, text: "\"data: \r\n\r\n\"".into() },
            call(0),
            arguments(0, "{\"a\":"),
            arguments(0, "1}"),
            Piece::Finish { choice: 0, reason: Finish::ToolCalls },
            Piece::Usage(Usage {
                prompt_tokens: 9,
                completion_tokens: 3,
                total_tokens: 12,
                ..Usage::default()
            }),
            Piece::Done,
        ] {
            writer.write(&piece, &mut out);
        }
        for at in 0..=out.len() {
            let (mut text, mut calls, mut ends, mut usage) = (String::new(), String::new(), Vec::new(), None);
            let mut each = |piece: Piece<'_>| match piece {
                Piece::Text { text: more, .. } => text.push_str(&more),
                Piece::Call { id, name, .. } => calls.push_str(&format!("{id} {name} ")),
                Piece::Arguments { json, .. } => calls.push_str(&json),
                Piece::Finish { reason, .. } => ends.push(reason),
                Piece::Usage(told) => usage = Some(told.total_tokens),
                _ => {}
            };
            let mut reader = StreamReader::new();
            let (first, rest) = out.split_at(at);
            reader.feed(first, &mut each).unwrap();
            reader.feed(rest, &mut each).unwrap();
            reader.finish(&mut each).unwrap();
            assert_eq!(
                (text.as_str(), calls.as_str()),
                ("Hé\n\"data: \r\n\r\n\"", "c0 f {\"a\":1}"),
                "cut at {at}"
            );
            assert_eq!((ends, usage), (vec![Finish::ToolCalls], Some(12)));
        }
    }

    #[test]
    fn an_error_ends_the_stream() {
        let error = ProviderError {
            status: 503,
            kind: "server_error",
            code: None,
            param: None,
            message: "Busy.\n".into(),
        };
        let got = events(&[Piece::Text { choice: 0, text: "a".into() }, Piece::Error(error), Piece::Done]);
        assert_eq!(got.len(), 2);
        assert_eq!(got[1], json!({"error": {"code": 503, "message": "Busy.\n", "status": "UNAVAILABLE"}}));
    }
}
