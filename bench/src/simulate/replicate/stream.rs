//! The stream of a prediction (https://replicate.com/docs/topics/predictions/streaming): `output` events, then `done`; of
//! one that fails, `error` and `done` with the reason.

use crate::simulate::{
    json,
    reply::{Event, Events, Pace},
    text,
};

/// The rest of a stream.
pub(super) struct Outputs {
    text: String,
    /// Why it fails, if it does.
    error: Option<&'static str>,
    at: usize,
    number: u64,
    chunk_tokens: usize,
    pace: Pace,
}

impl Outputs {
    pub(super) fn new(text: String, error: Option<&'static str>, chunk_tokens: usize, pace: Pace) -> Self {
        Self { text, error, at: 0, number: 0, chunk_tokens, pace }
    }
}

impl Outputs {
    fn begin(&mut self, kind: &str, out: &mut Vec<u8>) {
        self.number += 1;
        for part in [b"event: ", kind.as_bytes(), b"\nid: "] {
            out.extend_from_slice(part);
        }
        json::number(out, self.number);
        out.extend_from_slice(b":0\n");
    }
}

impl Events for Outputs {
    fn next(&mut self, out: &mut Vec<u8>) -> Event {
        if let (Some(error), 0) = (self.error, self.number) {
            self.begin("error", out);
            out.extend_from_slice(format!("data: {{\"detail\":\"{error}\"}}\n\n").as_bytes());
            return Event::Frame;
        }
        if self.at >= self.text.len() {
            self.begin("done", out);
            let data = if self.error.is_some() { "{\"reason\":\"error\"}" } else { "{}" };
            out.extend_from_slice(format!("data: {data}\n\n").as_bytes());
            return Event::Last;
        }
        self.begin("output", out);
        let end = text::tokens_end(&self.text, self.at, self.chunk_tokens);
        // Each line of the text has its own.
        for line in self.text.get(self.at..end).unwrap_or_default().split('\n') {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
        out.push(b'\n');
        self.at = end;
        Event::Content(self.chunk_tokens)
    }

    fn content_events(&self) -> usize {
        text::count(&self.text).div_ceil(self.chunk_tokens)
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn error(&self) -> &'static [u8] {
        b"event: error\nid: 0:0\ndata: {\"detail\":\"An unexpected error occurred\"}\n\n"
    }
}
