//! An answer that streams, which is at another address than the prediction.
//!
//! Source: Replicate's guide "Streaming output" (events `output`, `error` and `done`) and `stream.py` of the official
//! SDK for Python (1.0.7), which also knows `logs`. Events that are not known are passed over.
//!
//! The stream is at `urls.stream` of the prediction, whose last part nobody can guess: a browser reads it with an
//! `EventSource`, which sends no key, and the SDK for JavaScript sends none either.

use std::borrow::Cow;

use serde::Deserialize;

use super::error::failed;
use crate::dialect::{
    chat::{Finish, Malformed, Piece, fields::Str},
    sse::{Event, events::Events},
};

/// The longest path of a stream. Real ones have about eighty bytes.
const MAX_PATH_BYTES: usize = 1024;

/// The path of the stream of the prediction in `body`, query and all, where it is at `root` (`https://host`, perhaps
/// with the start of a path); what is elsewhere is not asked.
#[must_use]
pub fn stream_path(body: &[u8], root: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Look<'a> {
        #[serde(borrow)]
        urls: Urls<'a>,
    }
    #[derive(Deserialize)]
    struct Urls<'a> {
        #[serde(borrow)]
        stream: Option<Str<'a>>,
    }
    let Str(url) = serde_json::from_slice::<Look<'_>>(body).ok()?.urls.stream?;
    let below = url.strip_prefix(root)?;
    // It goes into the line of a request.
    let is_path = below.len() <= MAX_PATH_BYTES
        && below.starts_with('/')
        && below.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    is_path.then(|| below.to_owned())
}

/// Reads a stream, wherever its pieces are cut.
#[derive(Debug, Default)]
pub struct StreamReader {
    events: Events,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    started: bool,
    finished: bool,
    failed: bool,
}

impl StreamReader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the stream and gives what it says.
    ///
    /// # Errors
    /// Where an event is not Replicate's, or too long. Nothing more can be read then.
    pub fn feed(&mut self, input: &[u8], each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let Self { events, state } = self;
        events.feed(input, &mut |event| state.read(event, each))
    }

    /// Ends the stream. An event without its blank line counts too. What was used does not come with it: whoever knows
    /// says it before.
    ///
    /// # Errors
    /// Where that event is not Replicate's.
    pub fn finish(&mut self, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        let Self { events, state } = self;
        events.finish(&mut |event| state.read(event, each))?;
        if state.finished {
            each(Piece::Done);
        }
        Ok(())
    }

    /// Whether the prediction has ended well: all of its text has come.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state.finished
    }
}

impl State {
    fn read(&mut self, event: &Event<'_>, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        if self.finished || self.failed {
            return Ok(());
        }
        match event.kind {
            b"output" => {
                let text = std::str::from_utf8(event.data)
                    .map_err(|_| Malformed("a text of the stream is not UTF-8"))?;
                self.start(each);
                if !text.is_empty() {
                    each(Piece::Text { choice: 0, text: text.into() });
                }
            }
            b"error" => {
                #[derive(Deserialize)]
                struct Data<'a> {
                    #[serde(borrow)]
                    detail: Option<Str<'a>>,
                }
                let said = serde_json::from_slice::<Data<'_>>(event.data).ok().and_then(|data| data.detail);
                let said = match said {
                    Some(Str(said)) => said,
                    None => String::from_utf8_lossy(event.data),
                };
                self.fail(&said, each);
            }
            b"done" => {
                #[derive(Deserialize)]
                struct Data<'a> {
                    #[serde(borrow)]
                    reason: Option<Str<'a>>,
                }
                // Half of one that says that it failed must not be one that says that it did not.
                let data: Data<'_> = serde_json::from_slice(event.data)
                    .map_err(|_| Malformed("the end of the stream is not Replicate's"))?;
                match data.reason {
                    None => {
                        self.start(each);
                        self.finished = true;
                        // It does not tell why the answer ended.
                        each(Piece::Finish { choice: 0, reason: Finish::Stop });
                    }
                    Some(Str(reason)) if reason == "canceled" => {
                        self.fail("The prediction is canceled.", each)
                    }
                    Some(_) => self.fail("The prediction failed.", each),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, each: &mut dyn FnMut(Piece<'_>)) {
        if !std::mem::replace(&mut self.started, true) {
            each(Piece::Start { id: Cow::Borrowed(""), model: Cow::Borrowed("") });
        }
    }

    fn fail(&mut self, said: &str, each: &mut dyn FnMut(Piece<'_>)) {
        self.failed = true;
        each(Piece::Error(failed(said)));
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
