//! The way back: one request at a time, then slowly more.

use coo_shards::budget::Millis;

/// The share of load that one gets that has just come back.
const FIRST_SHARE: f32 = 0.1;

/// Out of use until a time, then a pass for one request at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    until: Millis,
    sent: Option<Millis>,
}

impl Probe {
    /// Nothing may go until then.
    pub(super) fn after(until: Millis) -> Self {
        Self { until, sent: None }
    }

    /// Until when nothing may go.
    pub(super) fn until(&self) -> Millis {
        self.until
    }

    /// Whether a request may go. One of which nothing was heard for `patience` no longer stands in the way:
    /// its client may have left.
    pub(super) fn is_free(&self, now: Millis, patience: Millis) -> bool {
        now >= self.until && self.sent.is_none_or(|sent| now.saturating_sub(sent) >= patience)
    }

    /// A request goes. One that went before its time is none of these.
    pub(super) fn send(&mut self, now: Millis) {
        if now >= self.until {
            self.sent = Some(now);
        }
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
