//! What holds for every strategy, and what the tests of each share.

use proptest::prelude::*;

use super::{Candidate, Strategies};
use crate::config::{Algorithm, HybridWeights, Priority};

const ALL: [Algorithm; 6] = [
    Algorithm::RoundRobin,
    Algorithm::WeightedRoundRobin,
    Algorithm::LeastLoaded,
    Algorithm::Hybrid,
    Algorithm::CostOptimized,
    Algorithm::PerformanceOptimized,
];

/// Candidates of targets with so many keys each, of which nothing is known.
pub(super) fn grid(keys: &[u16]) -> Vec<Candidate> {
    let keys_of = |(target, keys): (usize, &u16)| {
        let target = u16::try_from(target).unwrap();
        (0..*keys).map(move |key| Candidate { target, key, ..Candidate::default() })
    };
    keys.iter().enumerate().flat_map(keys_of).collect()
}

/// Strategies with two routes.
pub(super) fn strategies(seed: u64) -> Strategies {
    Strategies::new([64, 64], HybridWeights::of(Priority::Balanced), seed)
}

/// How often each candidate is chosen in so many choices.
pub(super) fn shares(algorithm: Algorithm, candidates: &[Candidate], choices: u32) -> Vec<u32> {
    let mut counts = vec![0; candidates.len()];
    let mut strategies = strategies(7);
    for _ in 0..choices {
        counts[strategies.choose(algorithm, 0, candidates).unwrap()] += 1;
    }
    counts
}

/// Pearson's chi-square test: fails where counts differ from the expected shares by more than chance makes
/// them in one of a thousand runs. Seeds are fixed, so that a run fails always or never.
pub(super) fn chi_square(counts: &[u32], shares: &[f64]) {
    assert_eq!(counts.len(), shares.len());
    let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
    let terms = counts.iter().zip(shares).map(|(count, share)| {
        let expected = total * share;
        assert!(expected >= 5.0, "too few for the test");
        (f64::from(*count) - expected).powi(2) / expected
    });
    let statistic: f64 = terms.sum();
    // Wilson and Hilferty's approximation of the quantile at 0.999, whose normal quantile is 3.09.
    let freedom = (counts.len() - 1) as f64;
    let spread = 2.0 / (9.0 * freedom);
    let limit = freedom * (1.0 - spread + 3.09 * spread.sqrt()).powi(3);
    assert!(statistic < limit, "{statistic} ≥ {limit}: {counts:?} for {shares:?}");
}

#[test]
fn the_chi_square_test_can_fail() {
    chi_square(&[500, 520, 480], &[1.0 / 3.0; 3]);
    for counts in [[700, 400, 400], [580, 460, 460]] {
        assert!(std::panic::catch_unwind(|| chi_square(&counts, &[1.0 / 3.0; 3])).is_err(), "{counts:?}");
    }
}

/// One that starts slowly, with what a strategy may prefer it for; its index and its share without slow
/// start.
fn slow_starters(ramp: f32) -> [(&'static str, Algorithm, Vec<Candidate>, usize, f32); 9] {
    let one_of_three = |change: fn(&mut Candidate)| {
        let mut all = grid(&[1, 1, 1]);
        change(&mut all[1]);
        all[1].ramp = ramp;
        all
    };
    let equal = one_of_three(|_| {});
    let mut heavy = one_of_three(|it| it.weight = 6);
    (heavy[0].weight, heavy[2].weight) = (2, 2);
    let mut cheap = equal.clone();
    (cheap[0].cost, cheap[2].cost) = (5, 5);
    let mut one_target = grid(&[2]);
    one_target[1].ramp = ramp;
    let third = 1.0 / 3.0;
    [
        ("turns", Algorithm::RoundRobin, equal.clone(), 1, third),
        ("a key's turns", Algorithm::RoundRobin, one_target, 1, 0.5),
        ("weights", Algorithm::WeightedRoundRobin, heavy, 1, 0.6),
        ("load", Algorithm::LeastLoaded, equal.clone(), 1, third),
        ("equal scores", Algorithm::Hybrid, equal.clone(), 1, third),
        ("the best score", Algorithm::Hybrid, cheap.clone(), 1, 1.0),
        ("equal costs", Algorithm::CostOptimized, equal.clone(), 1, third),
        ("the least cost", Algorithm::CostOptimized, cheap, 1, 1.0),
        ("two at random", Algorithm::PerformanceOptimized, equal, 1, third),
    ]
}

#[test]
fn one_that_starts_slowly_gets_its_share_of_a_share() {
    for ramp in [0.1, 0.25, 0.5, 0.9] {
        for (what, algorithm, candidates, at, full) in slow_starters(ramp) {
            let mut strategies = strategies(11);
            let choices = 20_000;
            let chosen =
                (0..choices).filter(|_| strategies.choose(algorithm, 0, &candidates) == Some(at)).count();
            let share = chosen as f32 / choices as f32;
            // Of its full share, or in relation to the others' shares where they get what it does not.
            let least = ramp * full;
            let most = ramp * full / (ramp * full + 1.0 - full).min(1.0);
            let most = if full < 1.0 { most } else { ramp };
            assert!((0.9 * least..1.1 * most).contains(&share), "{what}, {ramp}: {share} {least} {most}");
        }
    }
}

#[test]
fn a_provider_that_starts_slowly_gets_its_share_of_turns_with_any_number_of_keys() {
    let mut all = grid(&[4, 4]);
    all[4..].iter_mut().for_each(|candidate| candidate.ramp = 0.2);
    for algorithm in ALL {
        let counts = shares(algorithm, &all, 24_000);
        let starting: u32 = counts[4..].iter().sum();
        // From a fifth of a half to a fifth of what the other gets.
        assert!((2200..4200).contains(&starting), "{algorithm:?}: {counts:?}");
    }
}

#[test]
fn slow_start_holds_with_requests_in_flight() {
    for algorithm in [Algorithm::LeastLoaded, Algorithm::CostOptimized, Algorithm::PerformanceOptimized] {
        // With 2 and with 200 requests in flight on average, on four keys.
        for lasts in [2, 200] {
            let mut all = grid(&[4]);
            all.iter_mut().for_each(|candidate| candidate.latency_us = 100.0);
            all[0].ramp = 0.25;
            let mut strategies = strategies(5);
            let mut under_way = std::collections::VecDeque::new();
            let mut counts = [0_u32; 4];
            for _ in 0..20_000 {
                let at = strategies.choose(algorithm, 0, &all).unwrap();
                all[at].in_flight += 1;
                counts[at] += 1;
                under_way.push_back(at);
                if under_way.len() > lasts {
                    all[under_way.pop_front().unwrap()].in_flight -= 1;
                }
            }
            let others = f64::from(counts[1..].iter().sum::<u32>()) / 3.0;
            let share = f64::from(counts[0]) / others;
            assert!((0.15..0.5).contains(&share), "{algorithm:?} {lasts}: {share} {counts:?}");
        }
    }
}

#[test]
fn where_all_start_slowly_all_take_part() {
    let mut all = grid(&[3, 3]);
    all.iter_mut().for_each(|candidate| candidate.ramp = 0.1);
    for algorithm in [Algorithm::RoundRobin, Algorithm::WeightedRoundRobin, Algorithm::LeastLoaded] {
        assert_eq!(shares(algorithm, &all, 60), [10; 6]);
    }
}

#[test]
fn shards_begin_with_different_keys() {
    for algorithm in ALL {
        let mut counts = [0_u32; 6];
        for shard in 0..600 {
            counts[strategies(shard).choose(algorithm, 0, &grid(&[3, 3])).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (50..150).contains(count)), "{algorithm:?}: {counts:?}");
    }
}

#[test]
fn routes_and_candidates_that_were_not_announced_are_served() {
    let all = grid(&[3, 3]);
    let mut none = Strategies::new([], HybridWeights::of(Priority::Cost), 0);
    for algorithm in ALL {
        for route in [0, 1, usize::MAX] {
            assert!(none.choose(algorithm, route, &all).is_some());
            assert_eq!(none.choose(algorithm, route, &[]), None);
        }
    }
}

fn candidate() -> impl Strategy<Value = Candidate> {
    let share = prop_oneof![
        5 => 0.0..=1.0_f32,
        2 => Just(1.0_f32),
        1 => Just(0.0_f32),
        1 => any::<f32>(),
    ];
    let latency = prop_oneof![3 => 0.0..1e6_f32, 1 => Just(0.0_f32), 1 => any::<f32>()];
    let cost = prop_oneof![3 => 0..5_u64, 1 => any::<u64>()];
    let load = (prop_oneof![3 => 0..5_u32, 1 => any::<u32>()], latency, cost);
    (any::<(bool, bool)>(), 0..4_u32, load, [share.clone(), share.clone(), share.clone(), share]).prop_map(
        |(
            (available, slow),
            weight,
            (in_flight, latency_us, cost),
            [error, tokens_left, requests_left, ramp],
        )| {
            Candidate {
                available,
                slow,
                weight,
                in_flight,
                latency_us,
                cost,
                error,
                tokens_left,
                requests_left,
                ramp,
                ..Candidate::default()
            }
        },
    )
}

proptest! {
    #[test]
    fn one_is_chosen_if_and_only_if_one_is_available_and_only_such_a_one(
        rounds in prop::collection::vec(prop::collection::vec((candidate(), any::<bool>()), 0..70), 1..20),
        seed: u64,
    ) {
        let mut strategies = strategies(seed);
        for round in rounds {
            let mut target = 0;
            let candidates: Vec<_> = round
                .into_iter()
                .map(|(candidate, another)| {
                    target += u16::from(another);
                    Candidate { target, ..candidate }
                })
                .collect();
            for algorithm in ALL {
                let chosen = strategies.choose(algorithm, 0, &candidates);
                let any = candidates.iter().any(|candidate| candidate.available);
                prop_assert_eq!(chosen.is_some(), any, "{:?}", algorithm);
                prop_assert!(chosen.is_none_or(|at| candidates[at].available), "{:?}", algorithm);
            }
        }
    }
}
