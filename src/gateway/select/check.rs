//! Checks of what is out: when the next one is due, and what it shows.

use coo_shards::budget::Millis;

use super::Rng;

/// A key that was refused is checked ever more rarely, up to this many intervals apart: a provider may take
/// offence at a key that is wrong again and again.
const MOST_REFUSED: u64 = 10;
/// After so many failed checks in a row, requests may probe until the next one, as where there are no checks:
/// there may be providers that serve requests and fail at being asked for their models.
const DOUBTED_AFTER: u32 = 10;

/// What a check showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It answered as it should.
    Works,
    /// It failed, or did not answer.
    Fails,
    /// It does not accept the key.
    Refused,
    /// Its limit is reached, which says nothing of what else it would do.
    Limited,
    /// It has no such endpoint, so checks will never tell.
    NoEndpoint,
}

impl Finding {
    /// What an answer with this status says; `None` is none in time.
    #[must_use]
    pub fn of(status: Option<u16>) -> Self {
        match status {
            Some(401 | 403) => Self::Refused,
            Some(429) => Self::Limited,
            Some(404 | 405 | 501) => Self::NoEndpoint,
            None | Some(408 | 500..) => Self::Fails,
            Some(_) => Self::Works,
        }
    }
}

/// Whether checks tell how a provider is. While they do, no request is risked on one that is out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Telling {
    /// They do, as far as is known.
    #[default]
    Tells,
    /// The last one did not.
    NotNow,
    /// They cannot.
    Never,
}

impl Telling {
    /// Where it is out again.
    #[must_use]
    pub fn anew(self) -> Self {
        if self == Self::Never { self } else { Self::Tells }
    }

    /// After one more check, of so many since it is out.
    #[must_use]
    pub fn after(self, finding: Finding, checks: u32) -> Self {
        match finding {
            _ if self == Self::Never => Self::Never,
            Finding::NoEndpoint => Self::Never,
            Finding::Refused | Finding::Limited => Self::NotNow,
            Finding::Fails if checks.is_multiple_of(DOUBTED_AFTER) => Self::NotNow,
            Finding::Works | Finding::Fails => Self::Tells,
        }
    }
}

/// What is checked, which decides how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Twice at half the interval, then once in each.
    Provider,
    /// At once, for it has rested, and then once in each interval.
    Rested,
    /// Once in an interval, then ever more rarely.
    Refused,
}

/// When one that is out is checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Schedule {
    /// When the next one is due, once the first is planned.
    at: Option<Millis>,
    sent: u32,
    under_way: bool,
}

impl Schedule {
    /// Whether a check is to be sent now; if so, it is under way until [`Schedule::done`].
    pub fn due(&mut self, now: Millis, pace: Pace, interval: Millis, rng: &mut Rng) -> bool {
        let at = *self.at.get_or_insert_with(|| now.saturating_add(wait(0, pace, interval, rng)));
        if self.under_way || now < at {
            return false;
        }
        self.sent = self.sent.saturating_add(1);
        self.under_way = true;
        self.at = Some(now.saturating_add(wait(self.sent, pace, interval, rng)));
        true
    }

    /// The check is over; how many there were.
    pub fn done(&mut self) -> u32 {
        self.under_way = false;
        self.sent
    }

    /// It is not out (any more).
    pub fn clear(&mut self) {
        // What is under way stays, so that there is never more than one.
        *self = Self { under_way: self.under_way, ..Self::default() };
    }
}

/// How long to wait after so many checks: up to a quarter less than what is meant, so that providers are not
/// checked together and none later than it should be.
fn wait(sent: u32, pace: Pace, interval: Millis, rng: &mut Rng) -> Millis {
    let wait = match (pace, sent) {
        (Pace::Provider, 0 | 1) => interval / 2,
        (Pace::Rested, 0) => 0,
        (Pace::Provider | Pace::Rested, _) => interval,
        (Pace::Refused, _) => {
            interval.saturating_mul(2_u64.saturating_pow(sent.saturating_sub(1)).min(MOST_REFUSED))
        }
    };
    wait - rng.up_to(wait / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_what_they_say() {
        for (status, finding) in [
            (None, Finding::Fails),
            (Some(200), Finding::Works),
            (Some(302), Finding::Works),
            (Some(400), Finding::Works),
            (Some(401), Finding::Refused),
            (Some(403), Finding::Refused),
            (Some(404), Finding::NoEndpoint),
            (Some(405), Finding::NoEndpoint),
            (Some(408), Finding::Fails),
            (Some(429), Finding::Limited),
            (Some(500), Finding::Fails),
            (Some(501), Finding::NoEndpoint),
            (Some(503), Finding::Fails),
            (Some(529), Finding::Fails),
        ] {
            assert_eq!(Finding::of(status), finding, "{status:?}");
        }
    }

    #[test]
    fn requests_probe_where_checks_do_not_tell() {
        use Telling::{Never, NotNow, Tells};
        for (before, finding, checks, after) in [
            (Tells, Finding::Fails, 1, Tells),
            (Tells, Finding::Fails, 10, NotNow),
            (NotNow, Finding::Fails, 11, Tells),
            (Tells, Finding::Limited, 1, NotNow),
            (Tells, Finding::Refused, 1, NotNow),
            (NotNow, Finding::Works, 2, Tells),
            (Tells, Finding::NoEndpoint, 1, Never),
            (Never, Finding::Works, 5, Never),
        ] {
            assert_eq!(before.after(finding, checks), after, "{before:?} {finding:?} {checks}");
        }
    }

    /// When so many checks are sent, each of which takes no time.
    fn times(pace: Pace, count: usize, rng: &mut Rng) -> Vec<Millis> {
        let mut schedule = Schedule::default();
        let mut times = Vec::new();
        for now in 0.. {
            if schedule.due(now, pace, 1000, rng) {
                times.push(now);
                schedule.done();
            }
            if times.len() == count {
                break;
            }
        }
        times
    }

    #[test]
    fn checks_come_at_their_pace_and_never_late() {
        let mut rng = Rng::new(1);
        for (pace, meant) in [
            (Pace::Provider, vec![500, 500, 1000, 1000]),
            (Pace::Rested, vec![0, 1000, 1000]),
            (Pace::Refused, vec![1000, 1000, 2000, 4000, 8000, 10_000, 10_000]),
        ] {
            for _ in 0..20 {
                let mut last = 0;
                for (at, meant) in times(pace, meant.len(), &mut rng).into_iter().zip(&meant) {
                    let waited = at - last;
                    assert!((meant * 3 / 4..=*meant).contains(&waited), "{pace:?}: {waited} for {meant}");
                    last = at;
                }
            }
        }
    }

    #[test]
    fn one_check_at_a_time() {
        let (mut schedule, mut rng) = (Schedule::default(), Rng::new(1));
        assert!(schedule.due(5, Pace::Rested, 1000, &mut rng));
        assert!(!schedule.due(9000, Pace::Rested, 1000, &mut rng));
        schedule.clear();
        assert!(!schedule.due(9000, Pace::Rested, 1000, &mut rng), "it may come back and go while one waits");
        assert_eq!(schedule.done(), 0);
        assert!(schedule.due(9000, Pace::Rested, 1000, &mut rng));
        assert_eq!(schedule.done(), 1);
    }
}
