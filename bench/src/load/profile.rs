//! How a rate or a number of connections changes over a run: straight lines between targets. All of it is known
//! before the run starts, so that a slow server cannot slow the schedule down.

use std::time::Duration;

use super::units;

/// The ramp of common k6 scripts: 2 minutes up to 50, 5 minutes at 50, 2 minutes up to 100, 5 minutes at 100.
pub const K6: &str = "2m:50,5m:50,2m:100,5m:100";

/// A line from the target before to `target`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stage {
    length_s: f64,
    from: f64,
    to: f64,
}

/// A sequence of stages.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    stages: Vec<Stage>,
}

impl Profile {
    /// The same `value` for `length`.
    #[must_use]
    pub fn constant(value: f64, length: Duration) -> Self {
        Self { stages: vec![Stage { length_s: length.as_secs_f64(), from: value, to: value }] }
    }

    /// Ramps from 0 to `value` in `ramp` and holds it for `hold`.
    #[must_use]
    pub fn ramped(value: f64, ramp: Duration, hold: Duration) -> Self {
        let mut profile = Self::constant(value, hold);
        if !ramp.is_zero() {
            profile.stages.insert(0, Stage { length_s: ramp.as_secs_f64(), from: 0.0, to: value });
        }
        profile
    }

    /// `value` in turn `index` of every `turns` turns of `turn`, else 0, for `length`.
    #[must_use]
    pub fn in_turns(value: f64, turn: Duration, (index, turns): (usize, usize), length: Duration) -> Self {
        let (mut left_s, turn_s) = (length.as_secs_f64(), turn.as_secs_f64().max(1e-3));
        let mut stages = Vec::new();
        for n in 0.. {
            if left_s <= 0.0 {
                break;
            }
            let now = if n % turns.max(1) == index { value } else { 0.0 };
            stages.push(Stage { length_s: turn_s.min(left_s), from: now, to: now });
            left_s -= turn_s;
        }
        Self { stages }
    }

    /// Parses `DURATION:TARGET,...`; the first stage starts at 0.
    ///
    /// # Errors
    /// The stage that is not so.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut from = 0.0;
        let mut stages = Vec::new();
        for part in text.split(',') {
            let wrong = || format!("{part} is not a stage such as 2m:50");
            let (length, target) = part.trim().split_once(':').ok_or_else(wrong)?;
            let to: f64 = target.parse().map_err(|_| wrong())?;
            if !to.is_finite() || to < 0.0 {
                return Err(wrong());
            }
            stages.push(Stage { length_s: units::duration(length)?.as_secs_f64(), from, to });
            from = to;
        }
        Ok(Self { stages })
    }

    /// How long it lasts.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::try_from_secs_f64(self.stages.iter().map(|stage| stage.length_s).sum())
            .unwrap_or(Duration::MAX)
    }

    /// The highest value.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.stages.iter().map(|stage| stage.from.max(stage.to)).fold(0.0, f64::max)
    }

    /// The value `at` this time; 0 after the end.
    #[must_use]
    pub fn value_at(&self, at: Duration) -> f64 {
        let mut at = at.as_secs_f64();
        for stage in &self.stages {
            if at < stage.length_s {
                return stage.from + (stage.to - stage.from) * at / stage.length_s;
            }
            at -= stage.length_s;
        }
        0.0
    }

    /// Read as a rate per second: when event `n` (from 0) is due. `None` where the profile ends before.
    #[must_use]
    pub fn time_of(&self, n: u64) -> Option<Duration> {
        let mut left = n as f64;
        let mut start_s = 0.0;
        for &Stage { length_s, from, to } in &self.stages {
            let area = length_s * f64::midpoint(from, to);
            if left < area {
                // left = from·t + slope·t²/2, solved for t in the form that does not cancel.
                let slope = (to - from) / length_s;
                let root = (from * from + 2.0 * slope * left).max(0.0).sqrt();
                let t = if left > 0.0 { 2.0 * left / (from + root) } else { 0.0 };
                return Duration::try_from_secs_f64(start_s + t.min(length_s)).ok();
            }
            left -= area;
            start_s += length_s;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    #[test]
    fn a_constant_rate_spaces_events_evenly_and_ends() {
        let profile = Profile::constant(10.0, seconds(1.0));
        let due: Vec<_> = (0..12).map(|n| profile.time_of(n).map(|at| at.as_millis())).collect();
        let want: Vec<_> = (0..10).map(|n| Some(n * 100)).chain([None, None]).collect();
        assert_eq!(due, want);
    }

    #[test]
    fn stages_ramp_linearly() {
        let profile = Profile::parse("10s:100,5s:100,10s:0").unwrap();
        assert_eq!((profile.length(), profile.peak()), (seconds(25.0), 100.0));
        for (at, value) in [(0.0, 0.0), (5.0, 50.0), (10.0, 100.0), (14.0, 100.0), (20.0, 50.0), (25.0, 0.0)]
        {
            assert_eq!(profile.value_at(seconds(at)), value, "{at}");
        }
        // 500 events on the way up, 500 at the top, 500 on the way down.
        for (n, at) in [(0, 0.0), (125, 5.0), (500, 10.0), (700, 12.0), (1000, 15.0), (1375, 20.0)] {
            let due = profile.time_of(n).unwrap().as_secs_f64();
            assert!((due - at).abs() < 1e-6, "{n}: {due} {at}");
        }
        assert_eq!(profile.time_of(1500), None);
    }

    #[test]
    fn events_are_in_order_over_any_profile() {
        let profile = Profile::parse("1s:0,2s:37.5,500ms:3,1s:900,0s:20,1s:20").unwrap();
        let mut last = Duration::ZERO;
        let mut n = 0;
        while let Some(at) = profile.time_of(n) {
            assert!(at >= last && at <= profile.length(), "{n}");
            (last, n) = (at, n + 1);
        }
        assert!(n > 500);
    }

    #[test]
    fn the_k6_ramp_and_mistakes() {
        assert_eq!(Profile::parse(K6).unwrap().length(), Duration::from_secs(14 * 60));
        for wrong in ["", "2m", "2m:x", "x:5", "2m:-1", "2m:5,,"] {
            assert!(Profile::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn turns_add_up_to_a_constant_rate() {
        let (turn, length) = (seconds(2.0), seconds(9.0));
        let turns: Vec<_> = (0..3).map(|n| Profile::in_turns(10.0, turn, (n, 3), length)).collect();
        for at in [0.5, 2.5, 4.5, 6.5, 8.5] {
            let sum: f64 = turns.iter().map(|profile| profile.value_at(seconds(at))).sum();
            assert_eq!(sum, 10.0, "{at}");
        }
        let due = |n| turns[1].time_of(n).map(|at| at.as_secs_f64());
        assert_eq!((due(0), due(19), due(20)), (Some(2.0), Some(3.9), Some(8.0)));
        assert_eq!((due(29), due(30)), (Some(8.9), None));
    }

    #[test]
    fn a_ramp_before_a_hold() {
        let profile = Profile::ramped(10.0, seconds(2.0), seconds(3.0));
        assert_eq!((profile.value_at(seconds(1.0)), profile.value_at(seconds(4.0))), (5.0, 10.0));
        assert_eq!(
            Profile::ramped(10.0, Duration::ZERO, seconds(3.0)),
            Profile::constant(10.0, seconds(3.0))
        );
    }
}
