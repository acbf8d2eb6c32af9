//! Whether a key works: rest after failures, a probe, and a slow start.
//!
//! ```text
//! healthy ──fails──▶ resting ──time──▶ one probe at a time ──works──▶ slow start ──time──▶ healthy
//!                       ▲                      │                          │
//!                       └────── twice as long ─┴────────── fails ─────────┘
//! ```

use coo_shards::budget::Millis;

use super::{
    Rng,
    latency::decay,
    probe::{Probe, jittered, ramp},
};

/// Successes that a key is credited with: a single failure is no verdict, and a key that nobody uses gets a
/// clean sheet with time.
const CREDIT: f32 = 4.0;

/// How keys rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthRules {
    /// The first rest.
    pub cooldown: Millis,
    /// The longest rest (up to a quarter is added to each, so that keys do not come back together).
    pub max_cooldown: Millis,
    /// Failures in a row that may be the provider's before the key rests.
    pub consecutive: u32,
    /// From coming back to full load.
    pub slow_start: Millis,
    /// Until a key that was refused is tried again.
    pub revoked: Millis,
    /// A probe of which nothing is heard for so long no longer stands in the way of another.
    pub patience: Millis,
    /// A failure is forgotten to 1/e after this.
    pub memory: Millis,
}

impl Default for HealthRules {
    fn default() -> Self {
        Self {
            cooldown: 60_000,
            max_cooldown: 15 * 60_000,
            // One may be chance, and where the provider fails, all its keys do: that is for `Ejection` to
            // find.
            consecutive: 3,
            slow_start: 30_000,
            revoked: 60 * 60_000,
            patience: 60_000,
            memory: 30_000,
        }
    }
}

/// What a failure is known to be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The key: its quota is used up, its account is closed.
    Key,
    /// The provider or the way there: 5xx, no connection, no answer in time, a stream cut.
    Upstream,
}

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Takes its full share.
    Healthy,
    /// Its limit was reached; until the time that the provider gave.
    Limited,
    /// Takes nothing.
    Resting,
    /// Has rested; one request at a time goes to find out whether it works.
    Probing,
    /// Works again, with a growing share.
    SlowStart,
    /// Was refused (401, 403), and takes nothing until told otherwise or a late probe works.
    Revoked,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In use, at a growing share since then; 0 is from the start.
    Up { since: Millis },
    /// Out of use until then.
    Down { probe: Probe, revoked: bool },
}

/// The health of one key, as one shard sees it.
#[derive(Clone, Copy, Debug)]
pub struct KeyHealth {
    state: State,
    /// Rests since it last worked for long, which double.
    rests: u32,
    consecutive: u32,
    limited_until: Millis,
    failures: f32,
    requests: f32,
    at: Millis,
}

impl Default for KeyHealth {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyHealth {
    /// A key of which nothing bad is known.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Up { since: 0 },
            rests: 0,
            consecutive: 0,
            limited_until: 0,
            failures: 0.0,
            requests: 0.0,
            at: 0,
        }
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self, now: Millis, rules: &HealthRules) -> Standing {
        match self.state {
            State::Down { probe, revoked: true } if now < probe.until() => Standing::Revoked,
            State::Down { probe, .. } if now < probe.until() => Standing::Resting,
            _ if now < self.limited_until => Standing::Limited,
            State::Down { .. } => Standing::Probing,
            State::Up { since } if is_starting(since, now, rules) => Standing::SlowStart,
            State::Up { .. } => Standing::Healthy,
        }
    }

    /// Whether it is out of use, and until it is known to work again.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self.state, State::Down { .. })
    }

    /// Since when it is in use again; 0 where it is not, or always was.
    #[must_use]
    pub fn up_since(&self) -> Millis {
        match self.state {
            State::Up { since } => since,
            State::Down { .. } => 0,
        }
    }

    /// Whether that is because it was refused (401, 403).
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        matches!(self.state, State::Down { revoked: true, .. })
    }

    /// Whether a request may be sent with it.
    #[must_use]
    pub fn is_available(&self, now: Millis, rules: &HealthRules) -> bool {
        now >= self.limited_until
            && match &self.state {
                State::Up { .. } => true,
                State::Down { probe, .. } => probe.is_free(now, rules.patience),
            }
    }

    /// When it may be available again, if it is not; what a client can be told to wait for.
    #[must_use]
    pub fn rests_until(&self) -> Millis {
        match self.state {
            State::Up { .. } => self.limited_until,
            State::Down { probe, .. } => probe.until().max(self.limited_until),
        }
    }

    /// The share of its load that it is to get, above 0 to 1: see [`super::Candidate::ramp`].
    #[must_use]
    pub fn ramp(&self, now: Millis, rules: &HealthRules) -> f32 {
        match self.state {
            State::Up { since: 0 } => 1.0,
            State::Up { since } => ramp(since, now, rules.slow_start),
            State::Down { .. } => ramp(now, now, rules.slow_start.max(1)),
        }
    }

    /// The share of recent requests that failed, from 0 to 1.
    #[must_use]
    pub fn error(&self, now: Millis, rules: &HealthRules) -> f32 {
        if self.failures == 0.0 {
            return 0.0;
        }
        let kept = decay(self.at, now, rules.memory.max(1) as f32);
        self.failures * kept / (self.requests * kept + CREDIT)
    }

    /// Failures since the last success.
    #[must_use]
    pub fn consecutive(&self) -> u32 {
        self.consecutive
    }

    /// A request was sent with it. Where it is a probe, no other goes until one of the following is told.
    pub fn sent(&mut self, now: Millis) {
        if let State::Down { probe, .. } = &mut self.state {
            probe.send(now);
        }
    }

    /// A request ended and says nothing of the key: its client left, or it was at fault.
    pub fn cancelled(&mut self) {
        if let State::Down { probe, .. } = &mut self.state {
            probe.end();
        }
    }

    /// A request was answered.
    pub fn success(&mut self, now: Millis, rules: &HealthRules) {
        self.count(now, rules, false);
        self.consecutive = 0;
        match self.state {
            State::Down { probe, .. } if probe.is_sent() => self.state = State::Up { since: now.max(1) },
            // The late answer of a request from before it rested says nothing new.
            State::Down { .. } => {}
            State::Up { since } if is_starting(since, now, rules) => {}
            State::Up { .. } => self.rests = 0,
        }
    }

    /// A request failed.
    pub fn failure(&mut self, now: Millis, failure: Failure, rules: &HealthRules, rng: &mut Rng) {
        self.count(now, rules, true);
        self.consecutive = self.consecutive.saturating_add(1);
        match self.state {
            // Of those that were under way when it began to rest, which fail together.
            State::Down { probe, .. } if !probe.is_sent() => {}
            State::Down { revoked: true, .. } => self.revoke(now, rules, rng),
            State::Down { .. } => self.rest(now, rules, rng),
            State::Up { since } => {
                let again = is_starting(since, now, rules);
                if again || failure == Failure::Key || self.consecutive >= rules.consecutive.max(1) {
                    self.rest(now, rules, rng);
                }
            }
        }
    }

    /// A request was refused because a limit of the key was reached, which lasts until then. The key works.
    pub fn rate_limited(&mut self, now: Millis, until: Millis, rules: &HealthRules) {
        self.success(now, rules);
        self.limited_until = self.limited_until.max(until);
    }

    /// The provider does not accept the key (401, 403).
    pub fn revoked(&mut self, now: Millis, rules: &HealthRules, rng: &mut Rng) {
        self.count(now, rules, true);
        self.consecutive = self.consecutive.saturating_add(1);
        self.revoke(now, rules, rng);
    }

    /// Somebody knows that the key is good: the configuration was read again, or another shard's probe
    /// worked.
    pub fn reinstate(&mut self, now: Millis) {
        if matches!(self.state, State::Down { .. }) {
            self.state = State::Up { since: now.max(1) };
        }
        self.consecutive = 0;
    }

    /// Another shard found that it is to rest, or was refused.
    pub fn heard(&mut self, until: Millis, revoked: bool) {
        let before = if self.is_down() { self.rests_until() } else { 0 };
        self.down(until.max(before), revoked || self.is_revoked());
    }

    /// A check found that it does not work yet.
    pub fn rest_again(&mut self, now: Millis, rules: &HealthRules, rng: &mut Rng) {
        self.rest(now, rules, rng);
    }

    fn rest(&mut self, now: Millis, rules: &HealthRules, rng: &mut Rng) {
        let doubled = 2_u64.saturating_pow(self.rests).saturating_mul(rules.cooldown);
        self.rests = self.rests.saturating_add(1);
        let pause = jittered(doubled.min(rules.max_cooldown.max(rules.cooldown)), rng);
        self.down(now.saturating_add(pause), false);
    }

    fn revoke(&mut self, now: Millis, rules: &HealthRules, rng: &mut Rng) {
        self.down(now.saturating_add(jittered(rules.revoked, rng)), true);
    }

    fn down(&mut self, until: Millis, revoked: bool) {
        self.state = State::Down { probe: Probe::after(until), revoked };
    }

    fn count(&mut self, now: Millis, rules: &HealthRules, failed: bool) {
        let kept = decay(self.at, now, rules.memory.max(1) as f32);
        self.failures = self.failures * kept + if failed { 1.0 } else { 0.0 };
        self.requests = self.requests * kept + 1.0;
        self.at = self.at.max(now);
    }
}

fn is_starting(since: Millis, now: Millis, rules: &HealthRules) -> bool {
    since > 0 && now.saturating_sub(since) < rules.slow_start
}

#[cfg(test)]
mod tests;
