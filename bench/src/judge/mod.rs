//! The judge of rate limits: what a provider would have counted, over every sliding window, and how much of what
//! was allowed got used. Pure functions over the simulator's records, so that the judge shares nothing with what
//! it judges: not the gateway's clock, not its windows, not its idea of when a request happened.
//!
//! - A request is *spent* when the provider had received it, whatever came of it later. One that the provider
//!   refused with 429 was not. Its tokens count from then, too, although the answer's come later.
//! - A window of length W is half-open: what was spent at `t` is in no window that begins after `t`, and in none
//!   with what is spent at `t + W` or later. More than the limit in *any* window is [over](Ruling::over).
//! - [`tightest`] tells a bug from jitter: it is the shortest time in which more than the limit was spent. A few
//!   milliseconds less than W are the network's; half of W is a limiter that counts in fixed minutes.
//!
//! **Use** is what was spent against the most that a limit allows. A limit allows `L·(⌊T/W⌋ + 1)` in a burst at
//! the start of each window, but only `L·T/W` in the long run, so the two are compared in the steady part: the
//! first window is left out, and `use = spent / (L·(T − W)/W)` over the rest. A limiter may spend a window's
//! allowance in a burst and then wait, and where in a window its bursts lie is up to it, so only a part that is
//! whole windows long tells its use exactly; one of another length is off by at most one burst. Where something
//! goes wrong in between, or demand is not always there, what was spent is held against what an [`ideal`] limiter
//! would have let through of the same arrivals.

use std::{collections::VecDeque, ops::Range};

use serde::Serialize;

use crate::simulate::Record;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Requests.
    Requests,
    /// Tokens of prompt and answer.
    Tokens,
}

/// A limit in any sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// What is counted.
    pub measure: Measure,
    /// The most that a window may hold.
    pub limit: u64,
    /// Length of the window.
    pub window_us: u64,
}

/// Something that counts against a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    /// When the provider had received it, in µs since the simulator started.
    pub at_us: u64,
    /// How much: 1 for a request, or its tokens.
    pub amount: u64,
}

/// The fullest window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Worst {
    /// What it holds.
    pub amount: u64,
    /// When its first was spent.
    pub from_us: u64,
    /// When its last was spent.
    pub until_us: u64,
}

/// What is found about one key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ruling {
    /// The rule it was held against.
    pub rule: Rule,
    /// All that was spent.
    pub spent: u64,
    /// The fullest window.
    pub worst: Worst,
    /// By how much that is over the limit.
    pub overshoot: u64,
    /// The shortest time in which more than the limit was spent; `None` where that much never was.
    pub tightest_us: Option<u64>,
    /// Share used of what is allowed in the steady part; `None` where the run was no longer than a window.
    pub steady_use: Option<f64>,
}

impl Ruling {
    /// Whether any window was over the limit by more than `jitter_us` of unsteady delivery explains.
    #[must_use]
    pub fn over(&self, jitter_us: u64) -> bool {
        self.tightest_us.is_some_and(|span| span + jitter_us < self.rule.window_us)
    }
}

/// What `key` spent, oldest first.
#[must_use]
pub fn spends(records: &[Record], key: &str, measure: Measure) -> Vec<Spend> {
    let mut spends: Vec<Spend> = records
        .iter()
        .filter(|record| record.key == key && record.status != 429)
        .map(|record| Spend {
            at_us: record.time_us,
            amount: match measure {
                Measure::Requests => 1,
                Measure::Tokens => record.prompt_tokens + record.completion_tokens,
            },
        })
        .collect();
    spends.sort_by_key(|spend| spend.at_us);
    spends
}

/// The fullest window of `window_us`; the first of them where several are. `spends` are in order of time.
#[must_use]
pub fn worst(spends: &[Spend], window_us: u64) -> Worst {
    let (mut worst, mut amount) = (Worst::default(), 0);
    let mut oldest = spends.iter().peekable();
    for spend in spends {
        amount += spend.amount;
        while let Some(old) = oldest.next_if(|old| old.at_us.saturating_add(window_us) <= spend.at_us) {
            amount -= old.amount;
        }
        if amount > worst.amount {
            let from_us = oldest.peek().map_or(spend.at_us, |old| old.at_us);
            worst = Worst { amount, from_us, until_us: spend.at_us };
        }
    }
    worst
}

/// The shortest time in which more than `limit` was spent. `spends` are in order of time.
///
/// A window of length W is over the limit exactly where this is less than W.
#[must_use]
pub fn tightest(spends: &[Spend], limit: u64) -> Option<u64> {
    let (mut shortest, mut amount) = (None, 0);
    let mut oldest = spends.iter().peekable();
    for spend in spends {
        amount += spend.amount;
        while let Some(old) = oldest.next_if(|old| amount - old.amount > limit) {
            amount -= old.amount;
        }
        if amount > limit {
            let span = oldest.peek().map_or(0, |old| spend.at_us - old.at_us);
            shortest = Some(shortest.map_or(span, |least: u64| least.min(span)));
        }
    }
    shortest
}

/// Share used of what `rule` allows in `part`; `None` where that is empty.
#[must_use]
pub fn share(spends: &[Spend], rule: Rule, part: Range<u64>) -> Option<f64> {
    let length_us = part.end.saturating_sub(part.start);
    let used: u64 = spends.iter().filter(|spend| part.contains(&spend.at_us)).map(|spend| spend.amount).sum();
    let allowed = rule.limit as f64 * length_us as f64 / rule.window_us as f64;
    (allowed > 0.0).then(|| used as f64 / allowed)
}

/// What a limiter that knows all at once would have let through of requests that arrived at these times, in order.
#[must_use]
pub fn ideal(arrivals_us: &[u64], rule: Rule) -> u64 {
    let mut within = VecDeque::new();
    let mut passed = 0;
    for &at_us in arrivals_us {
        while within.front().is_some_and(|then| then + rule.window_us <= at_us) {
            within.pop_front();
        }
        if (within.len() as u64) < rule.limit {
            within.push_back(at_us);
            passed += 1;
        }
    }
    passed
}

/// The steady part: from a window after the first spend to `end_us`, when demand ended.
#[must_use]
pub fn steady(spends: &[Spend], window_us: u64, end_us: u64) -> Range<u64> {
    let first_us = spends.first().map_or(end_us, |spend| spend.at_us);
    first_us.saturating_add(window_us).min(end_us)..end_us
}

/// Holds `spends` against `rule`. Demand ended at `end_us`.
#[must_use]
pub fn rule_on(spends: &[Spend], rule: Rule, end_us: u64) -> Ruling {
    let worst = worst(spends, rule.window_us);
    Ruling {
        rule,
        spent: spends.iter().map(|spend| spend.amount).sum(),
        worst,
        overshoot: worst.amount.saturating_sub(rule.limit),
        tightest_us: tightest(spends, rule.limit),
        steady_use: share(spends, rule, steady(spends, rule.window_us, end_us)),
    }
}

#[cfg(test)]
mod tests;
