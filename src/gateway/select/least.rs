//! The fewest requests in flight, among all or among the cheapest.

use super::{
    Candidate, Rng,
    strategy::{Field, Route, ramp, takes_turn},
    turns,
};

/// The one with the fewest requests in flight; equals take turns.
///
/// One that starts slowly may have its ramp's share of what the others have, and is never taken for less
/// loaded than they are: being new it has nothing in flight, and would get everything.
pub(super) fn loaded(
    route: &mut Route,
    candidates: &[Candidate],
    may: impl Fn(&Candidate) -> bool,
    rng: &mut Rng,
) -> Option<usize> {
    // The measure is the least of those that have started the furthest.
    let (mut most_ramp, mut least) = (0.0_f32, u32::MAX);
    for candidate in candidates.iter().filter(|candidate| may(candidate)) {
        let ramp = ramp(candidate);
        if ramp > most_ramp {
            (most_ramp, least) = (ramp, candidate.in_flight);
        } else if ramp == most_ramp {
            least = least.min(candidate.in_flight);
        }
    }
    let chosen = turns::next(candidates, route.next, |candidate| {
        let ramp = ramp(candidate);
        let fits = if ramp == most_ramp {
            candidate.in_flight == least
        } else {
            candidate.in_flight as f32 * most_ramp <= least as f32 * ramp
        };
        fits && may(candidate) && takes_turn(ramp, most_ramp, rng)
    })?;
    route.next = chosen + 1;
    Some(chosen)
}

/// The cheapest; of several equally cheap the least loaded.
pub(super) fn costly<P: Fn(&Candidate) -> bool>(
    route: &mut Route,
    candidates: &[Candidate],
    field: &Field<P>,
    rng: &mut Rng,
) -> Option<usize> {
    let costs = candidates.iter().filter(|candidate| field.has(candidate)).map(|candidate| candidate.cost);
    let cheapest = costs.min()?;
    loaded(route, candidates, |candidate| candidate.cost == cheapest && field.may(candidate), rng)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Algorithm::{CostOptimized, LeastLoaded},
        gateway::select::tests::{grid, shares, strategies},
    };

    #[test]
    fn the_least_loaded_is_chosen_and_equals_take_turns() {
        let mut all = grid(&[2, 2]);
        for (candidate, in_flight) in all.iter_mut().zip([3, 1, 2, 1]) {
            candidate.in_flight = in_flight;
        }
        assert_eq!(shares(LeastLoaded, &all, 100), [0, 50, 0, 50]);
        all[1].available = false;
        assert_eq!(shares(LeastLoaded, &all, 100), [0, 0, 0, 100]);
        all[3].in_flight = 7;
        assert_eq!(shares(LeastLoaded, &all, 100), [0, 0, 100, 0]);
        assert_eq!(shares(LeastLoaded, &grid(&[2, 3]), 100), [20; 5]);
    }

    #[test]
    fn load_in_flight_evens_out() {
        let mut all = grid(&[4, 4]);
        let mut strategies = strategies(9);
        // The first key is four times as slow: requests stay four times as long.
        let mut ends = Vec::new();
        let mut counts = [0_u32; 8];
        for now in 0..10_000 {
            ends.retain(|(end, at)| {
                let ended = *end <= now;
                let candidate: &mut Candidate = &mut all[*at];
                candidate.in_flight -= u32::from(ended);
                !ended
            });
            let at = strategies.choose(LeastLoaded, 0, &all).unwrap();
            all[at].in_flight += 1;
            counts[at] += 1;
            ends.push((now + if at == 0 { 400 } else { 100 }, at));
            let least = all.iter().map(|candidate| candidate.in_flight).min().unwrap();
            let most = all.iter().map(|candidate| candidate.in_flight).max().unwrap();
            assert!(now < 1000 || most - least <= 4, "{least} to {most}");
        }
        let others = f64::from(counts[1..].iter().sum::<u32>()) / 7.0;
        assert!((0.2..0.3).contains(&(f64::from(counts[0]) / others)), "{counts:?}");
    }

    #[test]
    fn the_cheapest_that_is_able_is_chosen() {
        type Change = fn(&mut Candidate);
        // Targets of two keys each, the second the cheapest, then the first.
        for (what, change, expected) in [
            ("able", (|_| {}) as Change, [0, 0, 50, 50, 0, 0]),
            ("failing", |it| it.error = 0.7, [50, 50, 0, 0, 0, 0]),
            ("failing a little", |it| it.error = 0.3, [0, 0, 50, 50, 0, 0]),
            ("out of tokens", |it| it.tokens_left = 0.0, [50, 50, 0, 0, 0, 0]),
            ("out of requests", |it| it.requests_left = 0.0, [50, 50, 0, 0, 0, 0]),
            ("away", |it| it.available = false, [50, 50, 0, 0, 0, 0]),
            ("as dear as another", |it| it.cost = 30, [25, 25, 25, 25, 0, 0]),
        ] {
            let mut all = grid(&[2, 2, 2]);
            for (candidate, cost) in all.iter_mut().zip([30, 30, 20, 20, 40, 40]) {
                candidate.cost = cost;
            }
            all[2..4].iter_mut().for_each(change);
            assert_eq!(shares(CostOptimized, &all, 100), expected, "{what}");
        }
    }

    #[test]
    fn where_none_is_able_the_cheapest_available_is_chosen() {
        let mut all = grid(&[1, 1]);
        for (candidate, cost) in all.iter_mut().zip([30, 20]) {
            (candidate.error, candidate.cost) = (0.9, cost);
        }
        assert_eq!(shares(CostOptimized, &all, 10), [0, 10]);
    }

    #[test]
    fn of_equally_cheap_keys_the_least_loaded_is_chosen() {
        let mut all = grid(&[3, 1]);
        for (candidate, in_flight) in all.iter_mut().zip([3, 1, 2, 0]) {
            candidate.in_flight = in_flight;
        }
        all[3].cost = 1;
        assert_eq!(shares(CostOptimized, &all, 10), [0, 10, 0, 0]);
    }
}
