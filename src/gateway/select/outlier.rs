//! Whether a provider works: out of use after failures, for longer each time, and back by a probe.
//!
//! After Envoy's outlier detection: consecutive failures and a share of failures, a time out that grows with
//! each one and shrinks with good time, and *panic*: where all are out, all are in, since sending nowhere
//! helps nobody.

use coo_shards::budget::Millis;

use super::{
    Rng,
    probe::{Probe, jittered, ramp},
};

/// When a provider is ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EjectionRules {
    /// Failures in a row.
    pub consecutive: u32,
    /// Or more than this share of a window's requests, 0 to 1,
    pub error_share: f32,
    /// if it had so many.
    pub min_requests: u32,
    /// The window's length.
    pub window: Millis,
    /// The first ejection; the n-th takes n times as long, and every such time without one makes n one less.
    pub base: Millis,
    /// The longest (up to a quarter is added to each, so that shards do not probe together).
    pub max: Millis,
    /// From coming back to full load.
    pub slow_start: Millis,
    /// A probe of which nothing is heard for so long no longer stands in the way of another.
    pub patience: Millis,
}

impl Default for EjectionRules {
    fn default() -> Self {
        // Envoy's, but for the share: its 85 % of 50 requests is meant for hosts among many alike, and for
        // far more requests than a shard sends to a provider.
        Self {
            consecutive: 5,
            error_share: 0.5,
            min_requests: 20,
            window: 10_000,
            base: 30_000,
            max: 300_000,
            slow_start: 30_000,
            patience: 60_000,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In use since then; 0 is from the start.
    In { since: Millis },
    /// Ejected until then, and after that until a probe works.
    Out { probe: Probe },
}

/// One provider, or one of its addresses, as one shard sees it.
#[derive(Clone, Copy, Debug)]
pub struct Ejection {
    state: State,
    /// Ejections not made up for by good time.
    times: u32,
    consecutive: u32,
    window_began: Millis,
    requests: u32,
    failures: u32,
}

impl Default for Ejection {
    fn default() -> Self {
        Self::new()
    }
}

impl Ejection {
    /// One that is in use.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::In { since: 0 },
            times: 0,
            consecutive: 0,
            window_began: 0,
            requests: 0,
            failures: 0,
        }
    }

    /// Whether a request may be sent there; where this holds for none of a route, see [`all_out`].
    #[must_use]
    pub fn is_available(&self, now: Millis, rules: &EjectionRules) -> bool {
        match &self.state {
            State::In { .. } => true,
            State::Out { probe } => probe.is_free(now, rules.patience),
        }
    }

    /// Whether it is ejected, or not known to work since.
    #[must_use]
    pub fn is_out(&self) -> bool {
        matches!(self.state, State::Out { .. })
    }

    /// Since when it is in use again; 0 where it is not, or always was.
    #[must_use]
    pub fn in_since(&self) -> Millis {
        match self.state {
            State::In { since } => since,
            State::Out { .. } => 0,
        }
    }

    /// Another shard found that it does not work.
    pub fn heard(&mut self, until: Millis) {
        if let State::In { .. } = self.state {
            self.state = State::Out { probe: Probe::after(until) };
            self.consecutive = 0;
            (self.requests, self.failures) = (0, 0);
        }
    }

    /// A check, or a request on another shard, found that it works again. That is not a request of this shard's:
    /// if the first one fails, it is out again.
    pub fn reinstate(&mut self, now: Millis, rules: &EjectionRules) {
        if self.is_out() {
            self.state = State::In { since: now.max(1) };
            self.consecutive = rules.consecutive.saturating_sub(1);
            (self.requests, self.failures) = (0, 0);
        }
    }

    /// The share of its load that it is to get, above 0 to 1: to be multiplied with that of a key.
    #[must_use]
    pub fn ramp(&self, now: Millis, rules: &EjectionRules) -> f32 {
        match self.state {
            State::In { since: 0 } => 1.0,
            State::In { since } => ramp(since, now, rules.slow_start),
            State::Out { .. } => ramp(now, now, rules.slow_start.max(1)),
        }
    }

    /// A request was sent there. Where it is a probe, no other goes until one of the following is told.
    pub fn sent(&mut self, now: Millis) {
        if let State::Out { probe } = &mut self.state {
            probe.send(now);
        }
    }

    /// A request ended and says nothing of the provider.
    pub fn cancelled(&mut self) {
        if let State::Out { probe } = &mut self.state {
            probe.end();
        }
    }

    /// The provider answered; a refusal is an answer.
    pub fn success(&mut self, now: Millis, rules: &EjectionRules) {
        self.count(now, rules, false);
        self.consecutive = 0;
        if let State::Out { probe } = self.state
            && probe.is_sent()
        {
            self.state = State::In { since: now.max(1) };
            // What was counted before says nothing of how it is now.
            (self.requests, self.failures) = (0, 0);
        }
    }

    /// The provider failed: 5xx, no connection, no answer in time, a stream cut.
    pub fn failure(&mut self, now: Millis, rules: &EjectionRules, rng: &mut Rng) {
        self.count(now, rules, true);
        self.consecutive = self.consecutive.saturating_add(1);
        match self.state {
            State::In { since } => {
                let too_many = self.requests >= rules.min_requests.max(1)
                    && self.failures as f32 > rules.error_share * self.requests as f32;
                if too_many || self.consecutive >= rules.consecutive.max(1) {
                    let good_time = now.saturating_sub(since);
                    let made_up = good_time.checked_div(rules.base).unwrap_or(0);
                    self.times = self.times.saturating_sub(u32::try_from(made_up).unwrap_or(u32::MAX));
                    self.eject(now, rules, rng);
                }
            }
            State::Out { probe } if probe.is_sent() => self.eject(now, rules, rng),
            // Of those that were under way when it was ejected, or sent in a panic.
            State::Out { .. } => {}
        }
    }

    fn eject(&mut self, now: Millis, rules: &EjectionRules, rng: &mut Rng) {
        self.times = self.times.saturating_add(1);
        let time = rules.base.saturating_mul(u64::from(self.times)).min(rules.max.max(rules.base));
        self.state = State::Out { probe: Probe::after(now.saturating_add(jittered(time, rng))) };
        self.consecutive = 0;
        (self.requests, self.failures) = (0, 0);
    }

    fn count(&mut self, now: Millis, rules: &EjectionRules, failed: bool) {
        if now.saturating_sub(self.window_began) >= rules.window {
            (self.window_began, self.requests, self.failures) = (now, 0, 0);
        }
        self.requests = self.requests.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(failed));
    }
}

/// Whether none of a route's providers is available. Then all are to be taken for available: Envoy's panic
/// mode, with its threshold at none rather than at half, since a provider's keys are not to bear another's
/// load.
#[must_use]
pub fn all_out<'a>(
    mut providers: impl Iterator<Item = &'a Ejection>,
    now: Millis,
    rules: &EjectionRules,
) -> bool {
    !providers.any(|provider| provider.is_available(now, rules))
}

#[cfg(test)]
mod tests;
