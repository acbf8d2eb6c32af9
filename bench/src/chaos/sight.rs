//! What was seen of a run, by clients and by providers, and the figures in it.

use std::{collections::BTreeMap, ops::Range};

use crate::load::{Outcome, stats::Fate};

/// Fewest successful requests that a 99th percentile is taken of: with fewer it is the longest of them.
const LEAST_FOR_P99: usize = 100;

/// A request as its client saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// When it was due, in seconds since 1970.
    pub(super) at_s: f64,
    /// From then to its end.
    pub(super) latency_ms: f64,
    pub(super) status: Option<u16>,
    pub(super) fate: Fate,
}

/// A request as a provider saw it.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// When it had come, in seconds since 1970.
    pub(super) at_s: f64,
    /// The provider's number.
    pub(super) provider: usize,
    pub(super) key: String,
}

/// The requests of a load, in the order they were due.
pub(super) fn calls(outcome: &Outcome) -> Vec<Call> {
    let begun = outcome.begun.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let of = |entry: &crate::load::stats::Entry| Call {
        at_s: (begun + entry.due).as_secs_f64(),
        latency_ms: entry.latency.as_secs_f64() * 1e3,
        status: entry.status,
        fate: entry.fate,
    };
    outcome.log.iter().map(of).collect()
}

/// The calls due in `span`.
pub(super) fn within<'a>(calls: &'a [Call], span: &Range<f64>) -> impl Iterator<Item = &'a Call> {
    let span = span.clone();
    calls.iter().filter(move |call| span.contains(&call.at_s))
}

/// How many failed of those due in `span`; those never sent have failed too.
pub(super) fn errors(calls: &[Call], span: &Range<f64>) -> usize {
    within(calls, span).filter(|call| call.fate != Fate::Ok).count()
}

/// How many a second succeeded of those due in `span`.
pub(super) fn goodput(calls: &[Call], span: &Range<f64>) -> f64 {
    within(calls, span).filter(|call| call.fate == Fate::Ok).count() as f64 / (span.end - span.start)
}

/// The time within which 99 % of the successful ones of those due in `span` ended.
pub(super) fn p99_ms(calls: &[Call], span: &Range<f64>) -> Option<f64> {
    quantile_99(within(calls, span).filter(|call| call.fate == Fate::Ok))
}

/// The 99th percentile of latencies, by nearest rank; `None` where there are too few.
pub(super) fn quantile_99<'a>(calls: impl Iterator<Item = &'a Call>) -> Option<f64> {
    let mut times: Vec<f64> = calls.map(|call| call.latency_ms).collect();
    times.sort_by(f64::total_cmp);
    let rank = (times.len() * 99).div_ceil(100);
    if times.len() < LEAST_FOR_P99 { None } else { times.get(rank.saturating_sub(1)).copied() }
}

/// Share of the arrivals in `span` that `wanted` holds for; `None` where there are none.
pub(super) fn share(
    arrivals: &[Arrival],
    span: &Range<f64>,
    wanted: impl Fn(&Arrival) -> bool,
) -> Option<f64> {
    let all = || arrivals.iter().filter(|arrival| span.contains(&arrival.at_s));
    let count = all().count();
    (count > 0).then(|| all().filter(|arrival| wanted(arrival)).count() as f64 / count as f64)
}

/// What became of the requests due in `span` that did not succeed, by name.
pub(super) fn failures(calls: &[Call], span: &Range<f64>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for call in within(calls, span).filter(|call| call.fate != Fate::Ok) {
        let name = match (call.fate, call.status) {
            (Fate::Failed(crate::load::stats::Failure::Status), Some(status)) => status.to_string(),
            (fate, _) => fate.name().to_owned(),
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::stats::Failure;

    /// A call that is due at `at_s` and takes `latency_ms`; 200 where `status` says so.
    pub(in crate::chaos) fn call(at_s: f64, latency_ms: f64, status: u16) -> Call {
        let fate = if status < 400 { Fate::Ok } else { Fate::Failed(Failure::Status) };
        Call { at_s, latency_ms, status: Some(status), fate }
    }

    #[test]
    fn figures_are_those_of_their_span() {
        let mut calls: Vec<_> = (0..1000).map(|n| call(f64::from(n) / 100.0, f64::from(n), 200)).collect();
        calls.push(call(5.0, 1e6, 503));
        calls.push(Call { fate: Fate::Missed, status: None, ..call(5.5, 0.0, 200) });
        assert_eq!(p99_ms(&calls, &(0.0..10.0)), Some(989.0));
        assert_eq!(p99_ms(&calls, &(0.0..1.0)), Some(98.0));
        assert_eq!(p99_ms(&calls, &(0.0..0.99)), None, "too few");
        assert_eq!((errors(&calls, &(0.0..5.0)), errors(&calls, &(5.0..6.0))), (0, 2));
        assert_eq!(goodput(&calls, &(5.0..7.0)), 100.0);
        let want = BTreeMap::from([("503".to_owned(), 1), ("missed".to_owned(), 1)]);
        assert_eq!(failures(&calls, &(0.0..10.0)), want);
    }

    #[test]
    fn shares_are_of_what_arrived_in_the_span() {
        let arrival = |n: usize| Arrival { at_s: n as f64, provider: n % 3, key: String::new() };
        let arrivals: Vec<_> = (0..30).map(arrival).collect();
        assert_eq!(share(&arrivals, &(0.0..30.0), |one| one.provider == 1), Some(1.0 / 3.0));
        assert_eq!(share(&arrivals, &(0.0..1.0), |one| one.provider == 1), Some(0.0));
        assert_eq!(share(&arrivals, &(40.0..50.0), |_| true), None);
    }
}
