//! Counting the events of a stream as they arrive, however the bytes are cut.

/// What an event is, as far as a client's statistics care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It carries text of the answer.
    Token,
    /// Any other data: the role, a tool call, the finish reason, usage.
    Other,
    /// An error in the stream.
    Error,
    /// `[DONE]`, the proper end.
    Done,
}

/// Splits a stream into events.
#[derive(Debug, Default)]
pub struct Events {
    /// The start of a line whose end has not come.
    partial: Vec<u8>,
    /// The event whose blank line has not come.
    pending: Option<Event>,
    done: bool,
}

impl Events {
    /// Takes received `bytes`; `found` gets each event that they complete.
    pub fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(Event)) {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let piece = bytes.get(from..end).unwrap_or_default();
            from = end + 1;
            if self.partial.is_empty() {
                self.line(piece, &mut found);
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(piece);
                self.line(&line, &mut found);
                line.clear();
                self.partial = line;
            }
        }
        self.partial.extend_from_slice(bytes.get(from..).unwrap_or_default());
    }

    /// The stream has ended: an event without its blank line counts too.
    pub fn end(&mut self, mut found: impl FnMut(Event)) {
        let line = std::mem::take(&mut self.partial);
        self.line(&line, &mut found);
        self.line(b"", &mut found);
    }

    /// Whether `[DONE]` was seen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    fn line(&mut self, line: &[u8], found: &mut impl FnMut(Event)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if let Some(event) = self.pending.take() {
                self.done |= event == Event::Done;
                found(event);
            }
        } else if let Some(data) = line.strip_prefix(b"data:") {
            self.pending = Some(classify(data));
        }
    }
}

fn classify(data: &[u8]) -> Event {
    let data = data.trim_ascii();
    if data == b"[DONE]" {
        return Event::Done;
    }
    if data.starts_with(b"{\"error\"") {
        return Event::Error;
    }
    let has_text = |key: &[u8]| {
        memchr::memmem::find_iter(data, key).any(|at| {
            let value = data.get(at + key.len()..).unwrap_or_default().trim_ascii_start();
            let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
            value.first() == Some(&b'"') && !matches!(value.get(1), None | Some(b'"'))
        })
    };
    if has_text(b"content\"") || has_text(b"\"text\"") { Event::Token } else { Event::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b": hello\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\r\n\r\n\
        event: message\ndata:{\"choices\":[{\"delta\":{\"reasoning_content\": \"so\"}}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"content\":null}}\n\ndata: [DONE]\n\n";

    fn events(pieces: &[&[u8]]) -> (Vec<Event>, bool) {
        let (mut parser, mut all) = (Events::default(), Vec::new());
        for piece in pieces {
            parser.feed(piece, |event| all.push(event));
        }
        parser.end(|event| all.push(event));
        (all, parser.is_done())
    }

    #[test]
    fn events_are_found_however_the_bytes_are_cut() {
        use Event::{Done, Other, Token};
        let want = (vec![Other, Token, Token, Other, Done], true);
        assert_eq!(events(&[STREAM]), want);
        for size in 1..60 {
            assert_eq!(events(&STREAM.chunks(size).collect::<Vec<_>>()), want, "pieces of {size}");
        }
    }

    #[test]
    fn a_cut_stream_is_not_done_and_its_last_event_counts() {
        assert_eq!(events(&[b"data: {\"choices\":[{\"text\":\"a\"}]}"]), (vec![Event::Token], false));
        assert_eq!(events(&[b"data: [DONE]"]), (vec![Event::Done], true));
        assert_eq!(events(&[b"data: {\"error\":{\"message\":\"x\"}}\n\n"]), (vec![Event::Error], false));
        assert_eq!(events(&[b""]), (vec![], false));
    }
}
