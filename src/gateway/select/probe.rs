//! The way back: one request at a time, then slowly more.

use coo_shards::budget::Millis;

/// The share of load that one gets that has just come back.
const FIRST_SHARE: f32 = 0.1;

/// A pass for one request at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Probe {
    sent: Option<Millis>,
}

impl Probe {
    /// Whether a request may go. One of which nothing was heard for `patience` no longer stands in the way:
    /// its client may have left.
    pub(super) fn is_free(&self, now: Millis, patience: Millis) -> bool {
        self.sent.is_none_or(|sent| now.saturating_sub(sent) >= patience)
    }

    /// A request goes.
    pub(super) fn send(&mut self, now: Millis) {
        self.sent = Some(now);
    }

    /// Whether a request is under way, heard of or not.
    pub(super) fn is_sent(&self) -> bool {
        self.sent.is_some()
    }

    /// It is over.
    pub(super) fn end(&mut self) {
        self.sent = None;
    }
}

/// The share of load of one that came back at `since`: from [`FIRST_SHARE`] to 1 within `period`.
pub(super) fn ramp(since: Millis, now: Millis, period: Millis) -> f32 {
    let elapsed = now.saturating_sub(since);
    if elapsed >= period {
        return 1.0;
    }
    FIRST_SHARE + (1.0 - FIRST_SHARE) * (elapsed as f32 / period as f32)
}

/// A pause and up to a quarter more of it, so that what began to rest together does not come back together.
pub(super) fn jittered(pause: Millis, rng: &mut super::Rng) -> Millis {
    pause.saturating_add(rng.up_to(pause / 4))
}
