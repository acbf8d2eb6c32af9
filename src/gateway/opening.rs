//! How a stream begins, as far as is known while it is held.

use std::time::Duration;

use http::StatusCode;

use super::attempt::{self, Why};

/// A provider that sends comments to keep a client waiting, and no event, is believed after this: held back longer,
/// they would not keep the client from giving up.
const HELD: Duration = Duration::from_secs(1);
/// Most bytes held back for a first event; a longer one passes as it comes.
const HELD_BYTES: usize = 512 * 1024;

/// What is known of how a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Nothing yet.
    Awaited,
    /// With an answer.
    Begun,
    /// With an error, for the client if nobody else can be asked.
    Error(Why),
    /// It ended before its first event.
    Broken,
}

/// What a stream shows of itself while it is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// Events so far.
    pub(super) events: u64,
    /// The status that the first event stands for.
    pub(super) status: Option<u16>,
    /// Bytes that are held.
    pub(super) held_bytes: usize,
    /// For how long it has been held when the last piece came.
    pub(super) held: Duration,
    /// Whether all has come.
    pub(super) over: bool,
}

/// Judges how a stream begins.
pub(super) fn judge(shown: Shown) -> Opening {
    let failure = shown.status.and_then(|status| StatusCode::from_u16(status).ok()).and_then(attempt::why);
    match failure {
        // It has answered 200: whatever it refuses, it is not the key.
        Some(why) if why != Why::Revoked => Opening::Error(why),
        _ if shown.events > 0 => Opening::Begun,
        _ if shown.over => Opening::Broken,
        _ if shown.held_bytes > HELD_BYTES || shown.held >= HELD => Opening::Begun,
        _ => Opening::Awaited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_stream_begins() {
        let silent = Shown { events: 0, status: None, held_bytes: 200, held: Duration::ZERO, over: false };
        let long = Duration::from_secs(2);
        for (shown, wanted) in [
            (silent, Opening::Awaited),
            (Shown { held: Duration::from_millis(999), ..silent }, Opening::Awaited),
            (Shown { held: long, ..silent }, Opening::Begun),
            (Shown { held_bytes: HELD_BYTES + 1, ..silent }, Opening::Begun),
            (Shown { events: 1, ..silent }, Opening::Begun),
            (Shown { events: 1, over: true, ..silent }, Opening::Begun),
            (Shown { over: true, ..silent }, Opening::Broken),
            (Shown { over: true, held: long, ..silent }, Opening::Broken),
            (Shown { events: 1, status: Some(429), ..silent }, Opening::Error(Why::Limited)),
            (Shown { events: 3, status: Some(529), held: long, ..silent }, Opening::Error(Why::Limited)),
            (Shown { events: 1, status: Some(503), over: true, ..silent }, Opening::Error(Why::Failed)),
            (Shown { events: 1, status: Some(400), ..silent }, Opening::Begun),
            (Shown { events: 1, status: Some(401), ..silent }, Opening::Begun),
        ] {
            assert_eq!(judge(shown), wanted, "{shown:?}");
        }
    }
}
