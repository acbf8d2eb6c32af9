//! Two at random, and the better one of them.
//!
//! Choosing the best of all sends every request to it until news of its load comes in; choosing between two
//! picked at random does nearly as well without that (Mitzenmacher, "The Power of Two Choices in Randomized
//! Load Balancing", 2001). Load is Finagle's for its `p2cPeakEwma`: latency × (requests in flight + 1).

use super::{
    Candidate, Rng,
    strategy::{Field, ramp},
};

/// What the latency of one counts as that has answered nothing yet and has been asked: worse than any that
/// answers, in µs. So a new one is tried with one request, not with all that come before its first answer.
const NO_ANSWER_US: f32 = 600e6;

/// The less loaded of two candidates picked at random.
pub(super) fn better_of_two<P: Fn(&Candidate) -> bool>(
    candidates: &[Candidate],
    field: &Field<P>,
    rng: &mut Rng,
) -> Option<usize> {
    let count = candidates.iter().filter(|candidate| field.has(candidate)).count();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let one = rng.below(count);
    // Any but the first.
    let other = match rng.below(count.saturating_sub(1)) {
        other if other < one => other,
        other => other + 1,
    };
    let mut ranks = 0..;
    let mut best: Option<(f32, usize)> = None;
    for (at, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| field.has(candidate)) {
        let rank = ranks.next();
        if rank == Some(one) || rank == Some(other) {
            let load = load(candidate, field.most_ramp);
            // Of equals the one picked first, which may stand first or second.
            if best.is_none_or(|(least, _)| load < least || (load == least && rank == Some(one))) {
                best = Some((load, at));
            }
        }
    }
    best.map(|(_, at)| at)
}

/// How long a request sent there would take, roughly, in µs.
fn load(candidate: &Candidate, most_ramp: f32) -> f32 {
    // One that starts slowly has its ramp's share of the others' requests when it is loaded as they are.
    let requests = candidate.in_flight as f32 * most_ramp / ramp(candidate) + 1.0;
    let known = candidate.latency_us > 0.0;
    match candidate.in_flight {
        _ if known => candidate.latency_us * requests,
        0 => 0.0,
        _ => NO_ANSWER_US * requests,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Algorithm::PerformanceOptimized,
        gateway::select::tests::{chi_square, grid, shares},
    };

    #[test]
    fn equals_are_chosen_equally_often() {
        let mut all = grid(&[3, 4]);
        all[2].available = false;
        let counts = shares(PerformanceOptimized, &all, 60_000);
        assert_eq!(counts[2], 0);
        let counts: Vec<_> = counts.into_iter().filter(|count| *count > 0).collect();
        chi_square(&counts, &[1.0 / 6.0; 6]);
    }

    #[test]
    fn the_rank_decides_how_often_one_is_chosen() {
        let mut all = grid(&[2, 3]);
        for (candidate, latency) in all.iter_mut().zip([5e3, 1e3, 3e3, 4e3, 2e3]) {
            candidate.latency_us = latency;
        }
        let counts = shares(PerformanceOptimized, &all, 50_000);
        assert_eq!(counts[0], 0, "the worst never wins");
        // Of the pairs of five, the best wins the four it is in, the next three, and so on.
        chi_square(&[counts[1], counts[4], counts[2], counts[3]], &[0.4, 0.3, 0.2, 0.1]);
    }

    #[test]
    fn load_is_latency_times_requests() {
        for (latency, in_flight, ramp, expected) in [
            (2e3, 0, 1.0, 2e3),
            (2e3, 3, 1.0, 8e3),
            (2e3, 3, 0.5, 14e3),
            (0.0, 0, 1.0, 0.0),
            (0.0, 1, 1.0, 2.0 * NO_ANSWER_US),
            (f32::NAN, 0, 1.0, 0.0),
        ] {
            let candidate = Candidate { latency_us: latency, in_flight, ramp, ..Candidate::default() };
            assert_eq!(load(&candidate, 1.0), expected, "{candidate:?}");
        }
    }

    #[test]
    fn slow_ones_wait_until_no_other_is_left() {
        let mut all = grid(&[2, 2]);
        all[..2].iter_mut().for_each(|candidate| candidate.slow = true);
        let counts = shares(PerformanceOptimized, &all, 1000);
        assert_eq!(counts[..2], [0, 0]);
        all[2..].iter_mut().for_each(|candidate| candidate.available = false);
        let counts = shares(PerformanceOptimized, &all, 10_000);
        chi_square(&counts[..2], &[0.5; 2]);
    }
}
