//! The stream of a prediction (https://replicate.com/docs/topics/predictions/streaming): `output` events, then `done`.

use crate::simulate::{
    json,
    reply::{Event, Events, Pace},
    text,
};

/// The rest of a stream.
pub(super) struct Outputs {
    text: String,
    at: usize,
    number: u64,
    chunk_tokens: usize,
    pace: Pace,
}

impl Outputs {
    pub(super) fn new(text: String, chunk_tokens: usize, pace: Pace) -> Self {
        Self { text, at: 0, number: 0, chunk_tokens, pace }
    }
}

impl Events for Outputs {
    fn next(&mut self, out: &mut Vec<u8>) -> Event {
        self.number += 1;
        let done = self.at >= self.text.len();
        out.extend_from_slice(if done { b"event: done\nid: " } else { b"event: output\nid: " });
        json::number(out, self.number);
        if done {
            out.extend_from_slice(b":0\ndata: {}\n\n");
            return Event::Last;
        }
        let end = text::tokens_end(&self.text, self.at, self.chunk_tokens);
        out.extend_from_slice(b":0\ndata: ");
        out.extend_from_slice(self.text.get(self.at..end).unwrap_or_default().as_bytes());
        out.extend_from_slice(b"\n\n");
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
