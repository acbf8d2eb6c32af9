//! A deterministic simulation of limits in use: virtual time, random delays, stalls and demand, checked against
//! the two invariants. A failure prints its seed; `BUDGET_SEED=n` runs that one alone, `BUDGET_SEEDS=n` as many.

mod alone;
mod cluster;
mod even;
mod faults;
mod requests;
mod rng;
mod store;
mod sync;

use std::collections::VecDeque;

use super::{Millis, wallet::Take};
use crate::fair::Flow;

/// A minute, the window of most limits.
const WINDOW: Millis = 60_000;

/// A request that spends: what it takes, until when it waits, and whose it is, the same in each line.
struct Asked {
    takes: Vec<Take>,
    until: Millis,
    flow: Flow,
}

/// Runs `case` for many seeds.
fn seeds(default: u64, case: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("BUDGET_SEED") {
        return case(seed);
    }
    for seed in 0..number("BUDGET_SEEDS").unwrap_or(default) {
        case(seed);
    }
}

/// The most that was spent within any window; `spends` by rising time.
fn worst(spends: &[(Millis, i64)], window: Millis) -> i64 {
    let (mut first, mut sum, mut worst) = (0, 0, 0);
    for &(at, amount) in spends {
        sum += amount;
        while spends[first].0 + window <= at {
            sum -= spends[first].1;
            first += 1;
        }
        worst = worst.max(sum);
    }
    worst
}

/// What one limiter that knows everything at once would have let pass of the same demand, after what is still
/// `within` its window. B2 compares with one whose window is longer by 1/0.98: in whatever pattern demand comes, that
/// one uses 98 % of the limit.
fn ideal(
    mut within: VecDeque<(Millis, i64)>,
    arrivals: impl Iterator<Item = (Millis, i64)>,
    limit: i64,
    window: Millis,
) -> i64 {
    let mut sum: i64 = within.iter().map(|(_, amount)| amount).sum();
    let mut passed = 0;
    for (at, amount) in arrivals {
        while within.front().is_some_and(|(then, _)| then + window <= at) {
            sum -= within.pop_front().unwrap().1;
        }
        if sum + amount <= limit {
            within.push_back((at, amount));
            sum += amount;
            passed += amount;
        }
    }
    passed
}

#[test]
fn the_judge_is_right_about_windows() {
    let spends = [(0, 2), (59_999, 1), (60_000, 1), (60_001, 5)];
    assert_eq!(worst(&spends, WINDOW), 7);
    assert_eq!(ideal(VecDeque::new(), spends.into_iter(), 3, WINDOW), 4);
}
