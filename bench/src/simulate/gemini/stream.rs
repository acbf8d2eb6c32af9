//! A streamed answer (https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent), one piece at a
//! time: events with `alt=sse`, otherwise the elements of a JSON array. Nothing marks the end but a reason to finish.

use super::generate::{Response, finish, part};
use crate::simulate::{
    deliver::{EVENTS, JSON},
    faults::Fault,
    json,
    plan::THOUGHT,
    reply::{Event, Events, Pace},
    text,
};

/// Where in a candidate its stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the thoughts, at a byte.
    Thought(usize),
    Content(usize),
    /// Before the call of this number.
    Call(usize),
    Done,
}

/// The rest of a stream.
pub(super) struct Stream {
    response: Response,
    cursors: Vec<At>,
    turn: usize,
    sse: bool,
    begun: bool,
    /// Tokens sent, and those of thoughts.
    sent: usize,
    thought: usize,
    chunk_tokens: usize,
    fault: Option<Fault>,
    pace: Pace,
}

impl Stream {
    pub(super) fn new(
        response: Response,
        sse: bool,
        fault: Option<Fault>,
        chunk_tokens: usize,
        pace: Pace,
    ) -> Self {
        let cursors = response.choices.iter().enumerate().map(|(index, choice)| {
            match (response.thoughts && index == 0, choice.calls.is_empty()) {
                (true, _) => At::Thought(0),
                (false, true) => At::Content(0),
                (false, false) => At::Call(0),
            }
        });
        let cursors = cursors.collect();
        // Thoughts that are not shown are all thought before the first piece.
        let thought = if response.thoughts { 0 } else { response.thought_tokens };
        Self { response, cursors, turn: 0, sse, begun: false, sent: 0, thought, chunk_tokens, fault, pace }
    }

    /// The candidate whose turn it is; they take turns.
    fn next_index(&mut self) -> Option<usize> {
        let count = self.cursors.len();
        let turns = (0..count).map(|step| (self.turn + step) % count);
        let index =
            turns.into_iter().find(|index| self.cursors.get(*index).is_some_and(|at| *at != At::Done))?;
        self.turn = index + 1;
        Some(index)
    }

    fn append(&mut self, out: &mut Vec<u8>) -> Event {
        let Some(index) = self.next_index() else {
            if !self.sse {
                out.extend_from_slice(if self.begun { b"]" } else { b"[]" });
            }
            return Event::Last;
        };
        let start: &[u8] = match (self.sse, self.begun) {
            (true, _) => b"data: ",
            (false, false) => b"[",
            (false, true) => b",\r\n",
        };
        self.begun = true;
        out.extend_from_slice(start);
        out.extend_from_slice(b"{\"candidates\":[{\"content\":{\"parts\":[");
        let tokens = self.piece(out, index);
        out.extend_from_slice(b"],\"role\":\"model\"}");
        let done = self.cursors.get(index) == Some(&At::Done);
        if let Some(choice) =
            self.response.choices.get(index).filter(|_| done && self.fault != Some(Fault::NoDone))
        {
            out.extend_from_slice(b",\"finishReason\":");
            json::string(out, finish(&choice.finish));
        }
        out.extend_from_slice(b",\"index\":");
        json::number(out, index);
        out.push(b'}');
        self.response.close(out, self.sent, self.thought);
        if self.sse {
            out.extend_from_slice(b"\r\n\r\n");
        }
        Event::Content(tokens)
    }

    /// Appends the next part of a candidate and says how many tokens it has.
    fn piece(&mut self, out: &mut Vec<u8>, index: usize) -> usize {
        let (Some(at), Some(choice)) = (self.cursors.get_mut(index), self.response.choices.get(index)) else {
            return 0;
        };
        match *at {
            At::Thought(start) => {
                let end = text::tokens_end(THOUGHT, start, self.chunk_tokens);
                let piece = THOUGHT.get(start..end).unwrap_or_default();
                part(out, piece, true);
                *at = match (end < THOUGHT.len(), choice.calls.is_empty()) {
                    (true, _) => At::Thought(end),
                    (false, true) => At::Content(0),
                    (false, false) => At::Call(0),
                };
                let tokens = text::count(piece);
                self.thought += tokens;
                tokens
            }
            At::Content(start) => {
                let end = text::tokens_end(&choice.content, start, self.chunk_tokens);
                let piece = choice.content.get(start..end).unwrap_or_default();
                part(out, piece, false);
                let last = end >= choice.content.len();
                *at = if last { At::Done } else { At::Content(end) };
                let tokens = if last { text::count(piece) } else { self.chunk_tokens };
                self.sent += tokens;
                tokens
            }
            At::Call(number) => {
                let tokens = match choice.calls.get(number) {
                    Some(call) => {
                        self.response.call(out, call);
                        call.tokens()
                    }
                    None => 0,
                };
                *at = if number + 1 < choice.calls.len() { At::Call(number + 1) } else { At::Done };
                self.sent += tokens;
                tokens
            }
            At::Done => 0,
        }
    }
}

impl Events for Stream {
    fn next(&mut self, out: &mut Vec<u8>) -> Event {
        let event = self.append(out);
        let over = self.cursors.iter().all(|at| *at == At::Done);
        match self.fault {
            // The end of the last event, or of the array.
            Some(Fault::NoBlank) if over && event != Event::Last && self.sse => {
                out.truncate(out.len().saturating_sub(2));
            }
            Some(Fault::NoBlank) if event == Event::Last => {
                out.pop();
            }
            Some(Fault::NoBlankUsage) if over && event != Event::Last => {
                out.truncate(out.trim_ascii_end().len());
                return Event::Last;
            }
            _ => {}
        }
        event
    }

    fn content_events(&self) -> usize {
        let shown = if self.response.thoughts { self.response.thought_tokens } else { 0 };
        let calls: usize = self.response.choices.iter().map(|choice| choice.calls.len()).sum();
        if calls > 0 { calls } else { (self.response.tokens + shown).div_ceil(self.chunk_tokens) }
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn error(&self) -> &'static [u8] {
        if self.sse {
            b"data: {\"error\":{\"code\":503,\"message\":\"The model is overloaded. Please try again later.\",\
              \"status\":\"UNAVAILABLE\"}}\r\n\r\n"
        } else {
            b",\r\n{\"error\":{\"code\":503,\"message\":\"The model is overloaded. Please try again later.\",\
              \"status\":\"UNAVAILABLE\"}}]"
        }
    }

    fn kind(&self) -> &'static str {
        if self.sse { EVENTS } else { JSON }
    }

    fn comment(&self) -> &'static [u8] {
        if self.sse { b": ping\r\n\r\n" } else { b"\r\n" }
    }
}
