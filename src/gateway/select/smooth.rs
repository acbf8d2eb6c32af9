//! Turns in proportion to weights, as evenly spaced as they can be.
//!
//! The smooth weighted round robin of nginx (`ngx_http_upstream_round_robin.c` since 1.3.1, described in
//! the commit "Upstream: smooth weighted round-robin balancing"): each time everyone's credit grows by its
//! weight, and the one with the most credit is chosen and pays the sum of all weights. Nobody is ever ahead
//! of its share by a whole turn, so a heavy target gets no burst; over as many choices as the sum of the
//! weights, everyone gets exactly its weight.

use super::{
    Candidate, Rng,
    strategy::{Field, Route},
    turns,
};

/// One of weight, in credit. Weights may have fractions, and equals start with different fractions of it.
pub(super) const UNIT: u32 = 1024;

/// Targets take turns by their weight, and the keys of each take turns. A weight of 0, where all have it,
/// is 1.
pub(super) fn targets<P: Fn(&Candidate) -> bool>(
    route: &mut Route,
    candidates: &[Candidate],
    field: &Field<P>,
    rng: &mut Rng,
) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<(i64, usize, &[Candidate])> = None;
    for (first, keys) in turns::by_target(candidates) {
        // All keys of a target belong to one provider, which has the weight.
        let Some(key) = keys.iter().find(|key| field.has(key)) else { continue };
        let Some(slot) = route.slots.get_mut(first) else { continue };
        let weight = i64::from(key.weight.max(1)) * i64::from(UNIT);
        total += weight;
        slot.target_credit = slot.target_credit.saturating_add(weight);
        if best.is_none_or(|(credit, ..)| slot.target_credit > credit) {
            best = Some((slot.target_credit, first, keys));
        }
    }
    let (_, first, keys) = best?;
    let slot = route.slots.get_mut(first)?;
    slot.target_credit = slot.target_credit.saturating_sub(total);
    turns::key(route, first, keys, |key| field.may(key), rng)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        config::Algorithm,
        gateway::select::{
            Strategies,
            tests::{grid, strategies},
        },
    };

    fn targets(weights: &[u32]) -> Vec<Candidate> {
        let mut candidates = grid(&vec![1; weights.len()]);
        for (candidate, weight) in candidates.iter_mut().zip(weights) {
            candidate.weight = *weight;
        }
        candidates
    }

    fn next(strategies: &mut Strategies, candidates: &[Candidate]) -> usize {
        strategies.choose(Algorithm::WeightedRoundRobin, 0, candidates).unwrap()
    }

    #[test]
    fn a_heavy_target_is_spread_over_the_cycle() {
        // The example of nginx's commit: a a b a c a a.
        let candidates = targets(&[5, 1, 1]);
        let mut strategies = strategies(1);
        let turns: Vec<_> = (0..7).map(|_| next(&mut strategies, &candidates)).collect();
        assert!([[0, 0, 1, 0, 2, 0, 0], [0, 0, 2, 0, 1, 0, 0]].contains(&turns[..].try_into().unwrap()));
    }

    #[test]
    fn a_weight_of_zero_is_the_last_resort() {
        let mut candidates = targets(&[0, 3, 0]);
        let mut strategies = strategies(1);
        for _ in 0..20 {
            assert_eq!(next(&mut strategies, &candidates), 1);
        }
        candidates[1].available = false;
        let mut counts = [0; 3];
        for _ in 0..20 {
            counts[next(&mut strategies, &candidates)] += 1;
        }
        assert_eq!(counts, [10, 0, 10]);
    }

    #[test]
    fn keys_take_turns_within_their_target() {
        let mut candidates = grid(&[2, 4]);
        for candidate in &mut candidates[..2] {
            candidate.weight = 3;
        }
        let mut strategies = strategies(5);
        let mut counts = [0; 6];
        for _ in 0..160 {
            counts[next(&mut strategies, &candidates)] += 1;
        }
        assert_eq!(counts, [60, 60, 10, 10, 10, 10]);
    }

    proptest! {
        #[test]
        fn shares_are_exact_over_a_cycle_and_never_ahead_within_it(
            weights in prop::collection::vec(1..50_u32, 1..9),
            seed: u64,
        ) {
            let candidates = targets(&weights);
            let total: u32 = weights.iter().sum();
            let mut strategies = strategies(seed);
            for _ in 0..3 {
                let mut counts = vec![0_u32; weights.len()];
                for n in 1..=total {
                    counts[next(&mut strategies, &candidates)] += 1;
                    for (count, weight) in counts.iter().zip(&weights) {
                        let due = f64::from(n * weight) / f64::from(total);
                        prop_assert!(f64::from(*count) < due + 1.0, "{counts:?} of {n}");
                    }
                }
                prop_assert_eq!(&counts, &weights);
            }
        }

        #[test]
        fn coming_and_going_leaves_nobody_with_a_claim_to_a_burst(
            weights in prop::collection::vec(1..50_u32, 2..6),
            away in prop::collection::vec(0..6_usize, 1..300),
            seed: u64,
        ) {
            let mut candidates = targets(&weights);
            let mut strategies = strategies(seed);
            for away in away {
                candidates.iter_mut().enumerate().for_each(|(at, candidate)| candidate.available = at != away);
                next(&mut strategies, &candidates);
            }
            candidates.iter_mut().for_each(|candidate| candidate.available = true);
            let total: u32 = weights.iter().sum();
            let mut counts = vec![0_u32; weights.len()];
            for _ in 0..20 * total {
                counts[next(&mut strategies, &candidates)] += 1;
            }
            for (count, weight) in counts.iter().zip(&weights) {
                let owed = weights.len() as u32;
                prop_assert!(count.abs_diff(20 * weight) <= owed, "{counts:?} for {weights:?}");
            }
        }
    }
}
