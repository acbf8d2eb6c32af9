//! Whether the process may have been stopped between taking from a limit and sending the request.
//!
//! A spend is dated when it is taken, as its request is sent right after. A process that is stopped in between
//! (suspended, its machine frozen) sends it later than that, and its spend must be dated anew. One that is stopped
//! while it waits for the answer must not: what went out before the stop counts from then, and dated later it
//! would keep its place for longer than the provider does.
//!
//! A stop shows as a tick that is late; it happened somewhere between the tick before and that one.

use super::Millis;

/// A tick this late, and the process was not running: requests caught in it may have been sent much later than
/// they were dated. With less than this, and half of [`TRANSIT_MS`](super::window::TRANSIT_MS) that waiting may
/// take before a request is dated anew, none goes out later than that after its date.
const STALL_MS: Millis = 60;
/// Stops remembered. What was under way for longer than that many is dated anew.
const KEPT: usize = 8;

/// The stops of this process.
#[derive(Clone, Debug)]
pub struct Stalls {
    count: u32,
    last_tick: Millis,
    /// The last tick before each of the latest, by their number.
    before: [Millis; KEPT],
}

/// What is known of the sending of one spend's request. Stops are told by how many there had been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing yet.
    NotKnown {
        /// Stops until the spend was dated.
        stalls: u32,
    },
    /// It was seen to be sent after this tick, and no stop was noticed since it was dated.
    After {
        /// When it ticked.
        tick: Millis,
        /// Stops until then.
        stalls: u32,
    },
    /// It was sent before the date of the spend.
    Before,
}

impl Stalls {
    /// None so far.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        Self { count: 0, last_tick: now, before: [0; KEPT] }
    }

    /// When it last ticked.
    #[must_use]
    pub fn last_tick(&self) -> Millis {
        self.last_tick
    }

    /// A tick.
    pub fn tick(&mut self, now: Millis) {
        let before = std::mem::replace(&mut self.last_tick, now);
        if now.saturating_sub(before) > STALL_MS {
            if let Some(place) = self.before.get_mut(self.count as usize % KEPT) {
                *place = before;
            }
            self.count = self.count.wrapping_add(1);
        }
    }

    /// A spend is dated now, and its request not sent yet.
    #[must_use]
    pub fn dated(&self) -> Sent {
        Sent::NotKnown { stalls: self.count }
    }

    /// A request is seen to be sent just now. `None` where that may be long after its spend's date.
    #[must_use]
    pub fn sent(&self, was: Sent) -> Option<Sent> {
        match was {
            Sent::NotKnown { stalls } if stalls != self.count => None,
            Sent::NotKnown { stalls } => Some(Sent::After { tick: self.last_tick, stalls }),
            Sent::After { .. } | Sent::Before => Some(was),
        }
    }

    /// Whether the process may have been stopped between the date of a spend and the sending of its request.
    #[must_use]
    pub fn may_be_late(&self, sent: Sent) -> bool {
        match sent {
            Sent::NotKnown { stalls } => stalls != self.count,
            // A stop that began in the interval in which it was seen to be sent may have come before that.
            Sent::After { tick, stalls } => {
                let since = self.count.wrapping_sub(stalls) as usize;
                since > 0 && (since > KEPT || self.before.contains(&tick))
            }
            Sent::Before => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const STOP: Millis = 10_000;

    fn ticking() -> Stalls {
        let mut stalls = Stalls::new(1_000);
        stalls.tick(1_020);
        stalls
    }

    #[test]
    fn what_was_sent_ticks_before_a_stop_keeps_its_date() {
        let mut stalls = ticking();
        let spend = stalls.sent(stalls.dated()).unwrap();
        stalls.tick(1_040);
        stalls.tick(1_040 + STOP);
        assert!(!stalls.may_be_late(spend));
    }

    #[test]
    fn what_was_not_known_to_be_sent_does_not() {
        let mut stalls = ticking();
        let spend = stalls.dated();
        stalls.tick(1_020 + STOP);
        assert!(stalls.may_be_late(spend));
        assert_eq!(stalls.sent(spend), None);
        assert!(!stalls.may_be_late(Sent::Before));
    }

    /// The stop may have come between its being taken and sent, both seen after the same tick.
    #[test]
    fn what_was_sent_in_the_interval_of_a_stop_does_not() {
        let mut stalls = ticking();
        let spend = stalls.sent(stalls.dated()).unwrap();
        stalls.tick(1_020 + STOP);
        assert!(stalls.may_be_late(spend));
        stalls.tick(1_040 + STOP);
        stalls.tick(1_040 + 2 * STOP);
        assert!(stalls.may_be_late(spend), "whatever comes after");
    }

    #[test]
    fn more_stops_than_are_remembered_leave_nothing_certain() {
        let mut stalls = ticking();
        let spend = stalls.sent(stalls.dated()).unwrap();
        stalls.tick(1_040);
        for n in 1..=KEPT as u64 {
            stalls.tick(1_040 + n * STOP);
            assert!(!stalls.may_be_late(spend), "{n}");
        }
        stalls.tick(1_040 + 100 * STOP);
        assert!(stalls.may_be_late(spend));
    }
}
