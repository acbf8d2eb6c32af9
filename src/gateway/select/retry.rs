//! How often to try again, and when.

use coo_shards::budget::Millis;

use super::Rng;

/// One retry, in the budget's units.
const RETRY: u64 = 1_000_000;
/// As many retries as can be saved up from requests: a tenth of the last thousand. A provider that stops answering
/// is noticed when its requests run out of time, all at once, and each needs a retry then.
const MOST_SAVED: u64 = 100 * RETRY;
/// So much time's worth of the minimum can be saved up; Finagle's default time to live of credits.
const RESERVE_S: u64 = 10;

/// How many retries may be made: a share of the requests, and a few in any case.
///
/// Where a provider fails for all, retries multiply its load and hold it down. Finagle and Envoy bound them
/// by a budget: each request pays in a share of a retry, each retry takes a whole one, and a small reserve
/// fills with time so that rare traffic can retry too. Here the reserve is filled when it is asked for, by
/// the time that is passed in. Each shard has its own budget for its own requests.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget {
    /// What a request pays in.
    share: u64,
    saved: u64,
    per_second: u64,
    reserve: u64,
    at: Millis,
}

impl RetryBudget {
    /// `share` of requests may be retried (0.1 is usual), and `per_second` retries in any case; the reserve
    /// for those is full at the start.
    #[must_use]
    pub fn new(share: f32, per_second: f32, now: Millis) -> Self {
        let units = |x: f32| (f64::from(x.max(0.0)) * RETRY as f64) as u64;
        let per_second = units(per_second);
        Self { share: units(share), saved: 0, per_second, reserve: most_reserve(per_second), at: now }
    }

    /// A request came; its retries are not requests.
    pub fn deposit(&mut self) {
        self.saved = self.saved.saturating_add(self.share).min(MOST_SAVED);
    }

    /// Takes one retry; whether there was one to take.
    #[must_use]
    pub fn withdraw(&mut self, now: Millis) -> bool {
        let filled = now.saturating_sub(self.at).saturating_mul(self.per_second) / 1000;
        // Time too short to fill by a unit is not lost.
        if filled > 0 {
            self.reserve = self.reserve.saturating_add(filled).min(most_reserve(self.per_second));
            self.at = self.at.max(now);
        }
        for purse in [&mut self.saved, &mut self.reserve] {
            if let Some(left) = purse.checked_sub(RETRY) {
                *purse = left;
                return true;
            }
        }
        false
    }
}

/// At least one retry, if any: a rate below 1 in [`RESERVE_S`] must fill up to one.
fn most_reserve(per_second: u64) -> u64 {
    let most = per_second.saturating_mul(RESERVE_S);
    if per_second > 0 { most.max(RETRY) } else { 0 }
}

/// How long to wait before a retry, the first being attempt 0: anything up to `base` × 2^attempt, at most
/// `max`.
///
/// That is "full jitter" (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015): those that failed
/// together come back spread over the whole time.
#[must_use]
pub fn backoff(attempt: u32, base: Millis, max: Millis, rng: &mut Rng) -> Millis {
    rng.up_to(2_u64.saturating_pow(attempt).saturating_mul(base).min(max))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::*;
    use crate::gateway::select::tests::chi_square;

    #[test]
    fn a_tenth_of_requests_may_be_retried() {
        let mut budget = RetryBudget::new(0.1, 0.0, 0);
        let mut retries = 0;
        for _ in 0..1000 {
            assert!(!budget.withdraw(5) || retries > 0);
            budget.deposit();
            retries += u32::from(budget.withdraw(5));
        }
        assert!((99..=100).contains(&retries), "{retries}");
        // What is saved is bounded.
        for _ in 0..100_000 {
            budget.deposit();
        }
        assert_eq!((0..1000).filter(|_| budget.withdraw(5)).count(), 100);
    }

    #[test]
    fn rare_traffic_can_retry() {
        let mut budget = RetryBudget::new(0.1, 0.5, 1000);
        assert_eq!((0..100).filter(|_| budget.withdraw(1000)).count(), 5, "the reserve is full at first");
        assert!(!budget.withdraw(2999));
        assert!(budget.withdraw(3000));
        assert!(!budget.withdraw(3001));
        let mut budget = RetryBudget::new(0.0, 0.01, 0);
        assert!(budget.withdraw(0) && !budget.withdraw(99_000) && budget.withdraw(100_100));
        let mut none = RetryBudget::new(0.0, 0.0, 0);
        none.deposit();
        assert!(!none.withdraw(u64::MAX));
    }

    #[test]
    fn backoff_is_anything_up_to_a_bound_that_doubles() {
        let mut rng = Rng::new(1);
        for (attempt, most) in [(0, 100), (1, 200), (2, 400), (3, 500), (4, 500), (64, 500), (u32::MAX, 500)]
        {
            let mut counts = [0_u32; 4];
            for _ in 0..4000 {
                let wait = backoff(attempt, 100, 500, &mut rng);
                assert!(wait <= most);
                counts[(wait * 4 / (most + 1)) as usize] += 1;
            }
            chi_square(&counts, &[0.25; 4]);
        }
        assert_eq!(backoff(3, 0, 500, &mut rng), 0);
    }

    proptest! {
        #[test]
        fn retries_never_exceed_the_share_and_the_reserve(
            share in 0.0..1.0_f32,
            per_second in 0.0..20.0_f32,
            steps in prop::collection::vec((0..500_u64, 0..20_u32, 0..20_u32), 1..100),
        ) {
            let mut budget = RetryBudget::new(share, per_second, 0);
            let (mut now, mut requests, mut retries) = (0, 0, 0);
            for (pause, deposits, withdrawals) in steps {
                now += pause;
                for _ in 0..deposits {
                    budget.deposit();
                    requests += 1;
                }
                for _ in 0..withdrawals {
                    retries += u32::from(budget.withdraw(now));
                }
                let reserve = if per_second > 0.0 {
                    (per_second * 10.0).max(1.0) + per_second * now as f32 / 1000.0
                } else {
                    0.0
                };
                let most = f64::from(share) * f64::from(requests) + f64::from(reserve);
                prop_assert!(f64::from(retries) <= most + 1e-3, "{retries} of {most}");
            }
        }
    }
}
