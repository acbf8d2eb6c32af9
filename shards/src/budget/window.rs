//! What was spent, by when: coarse buckets that age out.

use std::{collections::VecDeque, ops::Range};

use super::{Dated, Millis, Period};
use crate::http1::encode::{civil, day_number};

/// Buckets of one sliding window. A spend counts until its bucket has aged out as a whole, so 1/600 of the
/// window is the most that counting in buckets can leave unused.
const BUCKETS: Millis = 600;

/// A spend is dated when its request is sent, and the provider dates it when it arrives. Two requests may
/// differ by this much in how long they travel before a window could hold more there than here. A six-hundredth
/// of a minute.
pub const TRANSIT_MS: Millis = 100;

/// A day.
pub const DAY_MS: Millis = 86_400_000;

/// Amounts by bucket, and their sum.
#[derive(Clone, Debug)]
pub struct Window {
    period: Period,
    /// By index, rising.
    buckets: VecDeque<Dated>,
    total: i64,
}

/// The bucket of `period` that `at` belongs to.
#[must_use]
pub fn bucket(period: Period, at: Millis) -> u64 {
    match period {
        Period::Sliding(length) => at / grain(length),
        Period::Day => at / DAY_MS,
        Period::Month => month(at / DAY_MS),
        Period::Held => 0,
    }
}

fn grain(length: Millis) -> Millis {
    (length / BUCKETS).max(1)
}

fn month(day: u64) -> u64 {
    let (year, month, _) = civil(day);
    year * 12 + month - 1
}

/// The times that belong to a bucket of `period`.
#[must_use]
pub fn span(period: Period, bucket: u64) -> Range<Millis> {
    let starts = |bucket: u64| match period {
        Period::Sliding(length) => bucket * grain(length),
        Period::Day => bucket * DAY_MS,
        Period::Month => day_number(bucket / 12, bucket % 12 + 1, 1) * DAY_MS,
        Period::Held => bucket * Millis::MAX,
    };
    starts(bucket)..starts(bucket + 1)
}

/// When a bucket of `period` no longer counts.
#[must_use]
pub fn ages_out(period: Period, bucket: u64) -> Millis {
    match period {
        Period::Sliding(length) => span(period, bucket).end + length + TRANSIT_MS.min(length),
        Period::Day | Period::Month => span(period, bucket).end,
        Period::Held => 0,
    }
}

impl Window {
    /// An empty window.
    #[must_use]
    pub fn new(period: Period) -> Self {
        Self { period, buckets: VecDeque::new(), total: 0 }
    }

    /// Counts `amount` in `bucket`; a negative one corrects what was counted there, down to nothing.
    pub fn add(&mut self, bucket: u64, amount: i64) {
        if self.period == Period::Held || amount == 0 {
            return;
        }
        let at = self.buckets.partition_point(|(index, _)| *index < bucket);
        match self.buckets.get_mut(at) {
            Some((index, counted)) if *index == bucket => {
                let change = amount.max(-*counted);
                *counted += change;
                self.total += change;
            }
            _ if amount > 0 => {
                self.buckets.insert(at, (bucket, amount));
                self.total += amount;
            }
            // A refund for what has aged out: it frees nothing any more.
            _ => {}
        }
    }

    /// Forgets what no longer counts.
    pub fn advance(&mut self, now: Millis) {
        while let Some(&(index, amount)) = self.buckets.front() {
            if ages_out(self.period, index) > now {
                return;
            }
            self.total -= amount;
            self.buckets.pop_front();
        }
    }

    /// The sum of what counts, as of the last [`Window::advance`].
    #[must_use]
    pub fn total(&self) -> i64 {
        self.total
    }

    /// When `amount` of it will have aged out; `None` where there is not as much.
    #[must_use]
    pub fn frees(&self, amount: i64) -> Option<Millis> {
        let mut freed = 0;
        self.buckets
            .iter()
            .find(|(_, counted)| {
                freed += counted;
                freed >= amount
            })
            .map(|(index, _)| ages_out(self.period, *index))
    }

    /// All buckets, oldest first.
    pub fn buckets(&self) -> impl Iterator<Item = Dated> + '_ {
        self.buckets.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Millis = 60_000;

    #[test]
    fn a_spend_counts_for_the_whole_window_and_little_longer() {
        let period = Period::Sliding(MINUTE);
        for at in [0, 1, 99, 100, 123_456_789] {
            let ends = ages_out(period, bucket(period, at));
            assert!(ends > at + MINUTE && ends <= at + MINUTE + 200, "{at}: {ends}");
        }
    }

    #[test]
    fn calendar_periods_end_at_midnight_utc() {
        // 2026-11-25T08:10:26Z
        let now = 1_795_594_226_000;
        let day = bucket(Period::Day, now);
        assert_eq!(ages_out(Period::Day, day) % DAY_MS, 0);
        assert_eq!(ages_out(Period::Day, day), 1_795_651_200_000);
        let month = bucket(Period::Month, now);
        // 2026-12-01T00:00:00Z
        assert_eq!(ages_out(Period::Month, month), 1_796_083_200_000);
        assert_eq!(bucket(Period::Month, 1_796_083_199_999), month);
        assert_eq!(bucket(Period::Month, 1_796_083_200_000), month + 1);
        // A leap year's February, 2028.
        let february = bucket(Period::Month, 1_833_000_000_000);
        assert_eq!(ages_out(Period::Month, february), 1_835_481_600_000);
    }

    #[test]
    fn refunds_free_what_still_counts_and_no_more() {
        let mut window = Window::new(Period::Sliding(MINUTE));
        window.add(10, 5);
        window.add(10, -2);
        window.add(11, 4);
        assert_eq!(window.total(), 7);
        window.add(10, -9);
        window.add(9, -1);
        assert_eq!(window.total(), 4);
        assert_eq!(window.frees(4), Some(ages_out(Period::Sliding(MINUTE), 11)));
        assert_eq!(window.frees(5), None);
    }

    proptest! {
        #[test]
        fn a_bucket_spans_the_times_that_belong_to_it(at in 0u64..4_000_000_000_000) {
            for period in [Period::Sliding(MINUTE), Period::Sliding(7), Period::Day, Period::Month, Period::Held] {
                let span = span(period, bucket(period, at));
                prop_assert!(span.contains(&at), "{:?}: {} in {:?}", period, at, span);
                if span.start > 0 {
                    prop_assert!(bucket(period, span.start - 1) < bucket(period, span.start));
                }
                if period != Period::Held {
                    prop_assert_eq!(bucket(period, span.end - 1) + 1, bucket(period, span.end));
                }
            }
        }

        #[test]
        fn the_total_is_the_sum_of_what_has_not_aged_out(
            spends in proptest::collection::vec((0u64..300_000, 1i64..100), 0..60), now in 0u64..500_000,
        ) {
            let period = Period::Sliding(MINUTE);
            let mut window = Window::new(period);
            for (at, amount) in &spends {
                window.add(bucket(period, *at), *amount);
            }
            window.advance(now);
            let want: i64 = spends.iter()
                .filter(|(at, _)| ages_out(period, bucket(period, *at)) > now).map(|(_, amount)| amount).sum();
            prop_assert_eq!(window.total(), want);
            prop_assert_eq!(window.buckets().map(|(_, amount)| amount).sum::<i64>(), want);
        }
    }
}
