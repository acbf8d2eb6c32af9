//! What is known of a key's speed.

use coo_shards::budget::Millis;

/// Time to the first byte: rises at once to a peak, and forgets it with time.
///
/// As in Finagle's `p2cPeakEwma` and linkerd after it: an average takes many slow answers to rise, and during
/// them sends more requests where they wait. So a sample above the value replaces it, and one below moves
/// it by as much as time has passed. Without samples the value sinks towards 0: one that was slow once
/// is tried again.
#[derive(Clone, Copy, Debug)]
pub struct PeakEwma {
    tau_ms: f32,
    value_us: f32,
    at: Millis,
}

impl PeakEwma {
    /// Knows nothing yet. A peak is forgotten to 1/e after `tau_ms`.
    #[must_use]
    pub fn new(tau_ms: Millis) -> Self {
        Self { tau_ms: tau_ms.max(1) as f32, value_us: 0.0, at: 0 }
    }

    /// Takes a sample, in µs. One that is not above 0 says nothing.
    pub fn observe(&mut self, sample_us: f32, now: Millis) {
        if !(sample_us > 0.0 && sample_us.is_finite()) {
            return;
        }
        if self.value_us == 0.0 || sample_us > self.value_us {
            self.value_us = sample_us;
        } else {
            let kept = decay(self.at, now, self.tau_ms);
            self.value_us = self.value_us * kept + sample_us * (1.0 - kept);
        }
        self.at = self.at.max(now);
    }

    /// The value now, in µs; 0 where nothing was observed, or so long ago that it says nothing.
    #[must_use]
    pub fn value(&self, now: Millis) -> f32 {
        if self.value_us == 0.0 { 0.0 } else { self.value_us * decay(self.at, now, self.tau_ms) }
    }
}

/// A plain average over the recent past, for the time per token: there a peak says little of the next answer.
#[derive(Clone, Copy, Debug)]
pub struct Ewma {
    tau_ms: f32,
    value_us: f32,
    at: Millis,
}

impl Ewma {
    /// Knows nothing yet. A sample is forgotten to 1/e after `tau_ms`.
    #[must_use]
    pub fn new(tau_ms: Millis) -> Self {
        Self { tau_ms: tau_ms.max(1) as f32, value_us: 0.0, at: 0 }
    }

    /// Takes a sample, in µs. One that is not above 0 says nothing.
    pub fn observe(&mut self, sample_us: f32, now: Millis) {
        if !(sample_us > 0.0 && sample_us.is_finite()) {
            return;
        }
        if self.value_us == 0.0 {
            self.value_us = sample_us;
        } else {
            // Several within a millisecond count too.
            let kept = decay(self.at, now.max(self.at.saturating_add(1)), self.tau_ms);
            self.value_us = self.value_us * kept + sample_us * (1.0 - kept);
        }
        self.at = self.at.max(now);
    }

    /// The average, in µs; 0 where nothing was observed.
    #[must_use]
    pub fn value(&self) -> f32 {
        self.value_us
    }
}

/// The share left after a time.
pub(super) fn decay(from: Millis, to: Millis, tau_ms: f32) -> f32 {
    match to.saturating_sub(from) {
        0 => 1.0,
        elapsed => half_to_the(elapsed as f32 * (std::f32::consts::LOG2_E / tau_ms)),
    }
}

/// 2⁻ˣ for an x from 0, within 20 millionths; 0 beyond what a normal number can be.
///
/// A choice among 64 keys needs it a hundred times, and the library's `exp` is a call each time.
fn half_to_the(x: f32) -> f32 {
    if !(0.0..126.0).contains(&x) {
        return 0.0;
    }
    let whole = (x + 0.5) as i32;
    // From -1/2 to 1/2, times ln 2; and the series of the exponential there.
    let rest = (whole as f32 - x) * std::f32::consts::LN_2;
    let series = 1.0 / 24.0 + rest * (1.0 / 120.0);
    let series = 1.0 + rest * (1.0 + rest * (0.5 + rest * (1.0 / 6.0 + rest * series)));
    // The exponent's bits are a power of two.
    f32::from_bits(((127 - whole) as u32) << 23) * series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f32, other: f32) -> bool {
        (one - other).abs() <= other.abs() * 1e-3
    }

    #[test]
    fn decay_is_that_of_the_exponential() {
        for elapsed in (0..200_000).step_by(7).chain([1, 2, 3, 873_000]) {
            let (kept, exact) = (decay(5, 5 + elapsed, 1e4), (-(elapsed as f64) / 1e4).exp());
            assert!((f64::from(kept) - exact).abs() <= exact * 2e-5, "{elapsed}: {kept} {exact}");
        }
        for (from, to, kept) in [(5, 5, 1.0), (6, 5, 1.0), (0, u64::MAX, 0.0), (0, 900_000, 0.0)] {
            assert_eq!(decay(from, to, 1e4), kept);
        }
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_with_time() {
        let mut latency = PeakEwma::new(10_000);
        assert_eq!(latency.value(5), 0.0);
        latency.observe(1000.0, 1_000_000);
        assert_eq!(latency.value(1_000_000), 1000.0);
        latency.observe(50_000.0, 1_000_001);
        assert_eq!(latency.value(1_000_001), 50_000.0);
        // Fast answers every 10 ms for as long as the time constant: 1/e of the peak is left.
        for n in 1..=1000 {
            latency.observe(1000.0, 1_000_001 + n * 10);
        }
        let expected = 1000.0 + 49_000.0 / std::f32::consts::E;
        assert!(near(latency.value(1_010_001), expected), "{}", latency.value(1_010_001));
        // And without answers likewise, towards 0.
        assert!(near(latency.value(1_020_001), expected / std::f32::consts::E));
    }

    #[test]
    fn an_average_moves_by_the_time_that_has_passed() {
        let mut per_token = Ewma::new(1000);
        assert_eq!(per_token.value(), 0.0);
        per_token.observe(20.0, 500);
        assert_eq!(per_token.value(), 20.0);
        per_token.observe(40.0, 1500);
        assert!(near(per_token.value(), 40.0 - 20.0 / std::f32::consts::E), "{}", per_token.value());
        let before = per_token.value();
        per_token.observe(1e6, 1500);
        assert!(per_token.value() > before);
        assert!(per_token.value() < before + 1500.0, "not at once: {}", per_token.value());
    }

    #[test]
    fn samples_that_say_nothing_change_nothing_and_time_may_stand_still() {
        let mut latency = PeakEwma::new(0);
        let mut per_token = Ewma::new(0);
        for sample in [7.0, f32::NAN, f32::INFINITY, 0.0, -1.0] {
            latency.observe(sample, 100);
            per_token.observe(sample, 100);
        }
        latency.observe(3.0, 50);
        assert_eq!((latency.value(100), latency.value(50), per_token.value()), (7.0, 7.0, 7.0));
        assert_eq!(latency.value(u64::MAX), 0.0);
    }
}
