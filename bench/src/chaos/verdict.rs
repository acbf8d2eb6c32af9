//! What must hold, and whether it does: functions of what was seen alone.

use std::ops::Range;

use serde::Serialize;

use super::{
    scenario::{AT_FAULT, HEALTH},
    sight::{Arrival, Call, errors, goodput, p99_ms, quantile_99, share, within},
};
use crate::load::stats::{Failure, Fate};

/// At the start of a load, connections are opened: its latencies are not those of a steady state.
const WARM_S: f64 = 1.0;
/// The 99th percentile while all is well must not be more: twice what a provider takes and a little. With more, the
/// machine is too busy for a comparison with it to say anything.
const MOST_QUIET_MS: f64 = 50.0;
/// How long after a fault clients may see it. A request that was under way may have nowhere else to go.
const GRACE_S: f64 = 1.0;
/// By when a provider at fault is no longer asked, or rarely enough that a 99th percentile does not show it: two
/// attempts that wait a second each for nothing, and one more to conclude from them.
const SETTLED_S: f64 = 3.0;
/// Most that may be added to the 99th percentile then: a second attempt, with the wait before it and its answer,
/// but not the wait for one that does not come.
const MOST_ADDED_MS: f64 = 50.0;
/// Health intervals within which a provider has its share again after its return: one to look, one to act.
const RETURN_INTERVALS: f64 = 2.0;
/// Of what is its share when all are well, a provider must have so much. Round robin over shards and connections is
/// not exact in a span of seconds.
const OF_SHARE: f64 = 0.8;
/// Most of all requests that may go to a revoked key once that is known: enough to ask now and then, too little
/// to show in a 99th percentile.
const MOST_REVOKED: f64 = 0.01;
/// Most upstream requests for each of a client's while nothing works: a tenth is what retry budgets usually allow.
const MOST_AMPLIFIED: f64 = 1.10;
/// The 99th percentile with one slow key, against that with none.
const MOST_BIMODAL: f64 = 1.3;
/// Goodput at 3 × capacity, against that at 0.9 × capacity.
const LEAST_GOODPUT: f64 = 0.9;
/// The 99th percentile of those let through at 3 × capacity, against that without load.
const MOST_QUEUED: f64 = 2.0;
/// A refusal needs nothing from a provider, so it is to be as quick as the gateway. The 99th percentile: the
/// longest of tens of thousands is the machine's.
const MOST_REFUSAL_MS: f64 = 5.0;
/// Memory that the gateway may take for overload, in MiB: hundreds of requests under way, not what was refused.
const MOST_GROWTH_MIB: f64 = 64.0;
/// The 99th percentile beside a client that wants a hundred times as much, against that alone.
const MOST_UNFAIR: f64 = 1.2;

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    /// Less than this.
    Below(f64),
    /// This at most.
    AtMost(f64),
    /// This at least.
    AtLeast(f64),
}

/// One figure of a run, and what it must be.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
    /// What it is, with its unit.
    pub(super) what: String,
    /// `None` where too little was seen to tell, which does not hold.
    pub(super) measured: Option<f64>,
    pub(super) bound: Bound,
    /// Decimals worth showing.
    #[serde(skip)]
    pub(super) decimals: usize,
}

impl Check {
    fn new(what: &str, measured: Option<f64>, bound: Bound, decimals: usize) -> Self {
        Self { what: what.to_owned(), measured, bound, decimals }
    }

    fn quiet(p99_ms: Option<f64>) -> Self {
        Self::new("p99 while all is well, ms", p99_ms, Bound::AtMost(MOST_QUIET_MS), 1)
    }

    fn none(what: &str, count: usize) -> Self {
        Self::new(what, Some(count as f64), Bound::AtMost(0.0), 0)
    }

    /// Whether it is what it must be.
    pub(super) fn holds(&self) -> bool {
        self.measured.is_some_and(|measured| match self.bound {
            Bound::Below(bound) => measured < bound,
            Bound::AtMost(bound) => measured <= bound,
            Bound::AtLeast(bound) => measured >= bound,
        })
    }
}

/// When what happened in a run with a fault, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    pub(super) begun_s: f64,
    /// Just before the fault.
    pub(super) fault_s: f64,
    /// Just after its end.
    pub(super) mended_s: f64,
    /// When the last request was due.
    pub(super) ended_s: f64,
}

impl Moments {
    /// All well, before the fault.
    pub(super) fn quiet(&self) -> Range<f64> {
        self.begun_s + WARM_S..self.fault_s
    }

    /// While clients may see the fault.
    pub(super) fn grace(&self) -> Range<f64> {
        self.fault_s..self.fault_s + GRACE_S
    }

    fn settled(&self) -> Range<f64> {
        self.fault_s + SETTLED_S..self.mended_s
    }

    /// From the end of the grace to the end of the run.
    pub(super) fn late(&self) -> Range<f64> {
        self.grace().end..f64::INFINITY
    }

    fn returned(&self) -> Range<f64> {
        self.mended_s + RETURN_INTERVALS * HEALTH.as_secs_f64()..self.ended_s
    }

    /// Before the fault, with the warm-up.
    fn before(&self) -> Range<f64> {
        f64::NEG_INFINITY..self.fault_s
    }
}

/// What every run with a fault must show while there is none: what it is compared with.
fn baseline(calls: &[Call], arrivals: &[Arrival], moments: &Moments, choices: usize) -> Vec<Check> {
    let least = least_share(arrivals, &moments.quiet(), choices);
    vec![
        Check::none("errors before the fault", errors(calls, &moments.before())),
        Check::new("least share before", least, Bound::AtLeast(OF_SHARE / choices as f64), 3),
    ]
}

/// The share of the one that got the least of so many providers, or keys of the one provider there is.
fn least_share(arrivals: &[Arrival], span: &Range<f64>, choices: usize) -> Option<f64> {
    let several = arrivals.iter().any(|arrival| arrival.provider > 0);
    let of = |choice: usize| {
        let key = super::fleet::provider_key(0, choice);
        share(arrivals, span, |one| if several { one.provider == choice } else { one.key == key })
    };
    (0..choices).map(of).try_fold(f64::INFINITY, |least, share| share.map(|share| least.min(share)))
}

/// Of three providers, one was at fault and then well again.
pub(super) fn one_of_three(calls: &[Call], arrivals: &[Arrival], moments: &Moments) -> Vec<Check> {
    let mut checks = baseline(calls, arrivals, moments, 3);
    let (quiet, settled) = (p99_ms(calls, &moments.quiet()), p99_ms(calls, &moments.settled()));
    let added = settled.zip(quiet).map(|(settled, quiet)| settled - quiet);
    let back = share(arrivals, &moments.returned(), |one| one.provider == AT_FAULT);
    checks.extend([
        Check::quiet(quiet),
        Check::none("errors from 1 s after it", errors(calls, &moments.late())),
        Check::new("p99 added from 3 s after it, ms", added, Bound::Below(MOST_ADDED_MS), 1),
        Check::new("share after 2 health intervals", back, Bound::AtLeast(OF_SHARE / 3.0), 3),
    ]);
    checks
}

/// Of three providers, one lost half of its addresses for a while, but not its share.
pub(super) fn black_holes(calls: &[Call], arrivals: &[Arrival], moments: &Moments) -> Vec<Check> {
    let mut checks = one_of_three(calls, arrivals, moments);
    let kept = share(arrivals, &moments.settled(), |one| one.provider == AT_FAULT);
    checks.push(Check::new("share from 3 s after it", kept, Bound::AtLeast(OF_SHARE / 3.0), 3));
    checks
}

/// All of three providers failed and were then well again.
pub(super) fn outage(calls: &[Call], arrivals: &[Arrival], moments: &Moments) -> Vec<Check> {
    let mut checks = baseline(calls, arrivals, moments, 3);
    let fault = moments.fault_s..moments.mended_s;
    let asked = within(calls, &fault).count();
    let upstream = arrivals.iter().filter(|arrival| fault.contains(&arrival.at_s)).count();
    let amplified = (asked > 0).then(|| upstream as f64 / asked as f64);
    let unanswered = within(calls, &fault).filter(|call| call.status.is_none()).count();
    let late = errors(calls, &(moments.returned().start..f64::INFINITY));
    let least = least_share(arrivals, &moments.returned(), 3);
    checks.extend([
        Check::new("upstream requests per request", amplified, Bound::AtMost(MOST_AMPLIFIED), 3),
        Check::none("requests without an answer", unanswered),
        Check::none("errors after 2 health intervals", late),
        Check::new("least share after them", least, Bound::AtLeast(OF_SHARE / 3.0), 3),
    ]);
    checks
}

/// One of three keys was refused from the fault on.
pub(super) fn key_revoked(calls: &[Call], arrivals: &[Arrival], moments: &Moments, key: &str) -> Vec<Check> {
    let mut checks = baseline(calls, arrivals, moments, 3);
    let late = moments.late();
    let asked = share(arrivals, &late, |one| one.key == key);
    checks.extend([
        Check::none("errors from 1 s after it", errors(calls, &late)),
        Check::new("share of the revoked key then", asked, Bound::AtMost(MOST_REVOKED), 4),
    ]);
    checks
}

/// One of three keys was slow from the fault on.
pub(super) fn bimodal(calls: &[Call], moments: &Moments) -> Vec<Check> {
    let (fast, slow) = (p99_ms(calls, &moments.quiet()), p99_ms(calls, &moments.settled()));
    let ratio = slow.zip(fast).map(|(slow, fast)| slow / fast);
    vec![
        Check::quiet(fast),
        Check::none("errors", errors(calls, &(f64::NEG_INFINITY..f64::INFINITY))),
        Check::new("p99 from 3 s after, of that before", ratio, Bound::AtMost(MOST_BIMODAL), 2),
    ]
}

/// Three loads on one provider: little, nearly its capacity, and three times that.
#[derive(Clone, Debug)]
pub(super) struct Loads {
    pub(super) idle: (Vec<Call>, Range<f64>),
    pub(super) peak: (Vec<Call>, Range<f64>),
    pub(super) over: (Vec<Call>, Range<f64>),
    /// What the gateway's memory grew by from the end of the second to the peak of the third.
    pub(super) growth_mib: f64,
}

/// More was asked of a provider than it can serve.
pub(super) fn overload(loads: &Loads) -> Vec<Check> {
    let warm = |span: &Range<f64>| span.start + WARM_S..span.end;
    let (idle, peak) = (&loads.idle, &loads.peak);
    let (over, span) = (&loads.over.0, &loads.over.1);
    let settled = span.start + SETTLED_S..span.end;
    let good = goodput(over, &settled) / goodput(&peak.0, &warm(&peak.1));
    let (unloaded, loaded) = (p99_ms(&idle.0, &warm(&idle.1)), p99_ms(over, &settled));
    let queued = loaded.zip(unloaded).map(|(loaded, unloaded)| loaded / unloaded);
    let refused =
        |call: &&Call| call.fate == Fate::Failed(Failure::Status) && matches!(call.status, Some(429 | 503));
    let refusals = quantile_99(within(over, &settled).filter(refused));
    let others = over.iter().filter(|call| call.fate != Fate::Ok && !refused(call)).count();
    let below = errors(&idle.0, &idle.1) + errors(&peak.0, &peak.1);
    vec![
        Check::quiet(unloaded),
        Check::none("errors below capacity", below),
        Check::new(
            "goodput at 3 x, of that at 0.9 x",
            Some(good).filter(|good| good.is_finite()),
            Bound::AtLeast(LEAST_GOODPUT),
            3,
        ),
        Check::new("p99 of those let through, of unloaded", queued, Bound::AtMost(MOST_QUEUED), 2),
        Check::new("p99 of refusals, ms", refusals, Bound::Below(MOST_REFUSAL_MS), 2),
        Check::none("neither served nor refused", others),
        Check::new("memory grown, MiB", Some(loads.growth_mib), Bound::AtMost(MOST_GROWTH_MIB), 1),
    ]
}

/// A client was alone in one load, and beside one that wants a hundred times as much in the other.
pub(super) fn unfair(alone: &(Vec<Call>, Range<f64>), beside: &(Vec<Call>, Range<f64>)) -> Vec<Check> {
    let warm = |span: &Range<f64>| span.start + WARM_S..span.end;
    let (own, other) = (p99_ms(&alone.0, &warm(&alone.1)), p99_ms(&beside.0, &warm(&beside.1)));
    let ratio = other.zip(own).map(|(other, own)| other / own);
    vec![
        Check::quiet(own),
        Check::none("errors alone", errors(&alone.0, &alone.1)),
        Check::none("errors beside the other", errors(&beside.0, &beside.1)),
        Check::new("p99 beside the other, of that alone", ratio, Bound::AtMost(MOST_UNFAIR), 2),
    ]
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
