//! The best score over several facts.

use super::{
    Candidate,
    candidate::share,
    smooth::UNIT,
    strategy::{Field, Route, Slot},
};
use crate::config::HybridWeights;

/// How far below the best score one may be and still get some requests: with even weights, a quarter less of
/// the tokens left.
const MARGIN: f32 = 0.05;

/// The weights of the terms of a score; their sum is 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    tokens: f32,
    requests: f32,
    error: f32,
    latency: f32,
    cost: f32,
}

/// What the terms are relative to.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    latency_us: f32,
    cost: f32,
}

impl Terms {
    pub(super) fn new(weights: HybridWeights) -> Self {
        let HybridWeights { token_ratio, req_ratio, error_score, latency, cost_ratio } = weights;
        let sum = token_ratio + req_ratio + error_score + latency + cost_ratio;
        let part = |weight: f64| if sum > 0.0 { (weight / sum) as f32 } else { 0.0 };
        Self {
            tokens: part(token_ratio),
            requests: part(req_ratio),
            error: part(error_score),
            latency: part(latency),
            cost: part(cost_ratio),
        }
    }

    /// One of those with about the best score.
    ///
    /// Were it always the best one, every request would go to the same key until what is known of it changes,
    /// and then to the next. So all within [`MARGIN`] of the best take smooth turns ([`super::smooth`]), weighted by how
    /// little they lack: the best has 1, one at the margin 0. Equals take exact turns, and a small change
    /// of a fact changes shares a little.
    pub(super) fn choose<P: Fn(&Candidate) -> bool>(
        &self,
        route: &mut Route,
        candidates: &[Candidate],
        field: &Field<P>,
    ) -> Option<usize> {
        let mut worst = Worst::default();
        for candidate in candidates.iter().filter(|candidate| field.has(candidate)) {
            worst.latency_us = worst.latency_us.max(candidate.latency_us);
            worst.cost = worst.cost.max(candidate.cost as f32);
        }
        let mut best = f32::NEG_INFINITY;
        for (candidate, slot) in candidates.iter().zip(&mut route.slots) {
            slot.score = f32::NEG_INFINITY;
            if field.has(candidate) {
                slot.score = self.score(candidate, worst);
                best = best.max(slot.score);
            }
        }
        let (mut total, mut chosen) = (0, None::<(i64, usize)>);
        for (at, slot) in route.slots.iter_mut().enumerate().take(candidates.len()) {
            let weight = weight(best - slot.score);
            if weight > 0 {
                total += weight;
                slot.credit = slot.credit.saturating_add(weight);
                if chosen.is_none_or(|(credit, _)| slot.credit > credit) {
                    chosen = Some((slot.credit, at));
                }
            }
        }
        let (_, at) = chosen?;
        let Slot { credit, .. } = route.slots.get_mut(at)?;
        *credit = credit.saturating_sub(total);
        Some(at)
    }

    /// From 0 to 1; higher is better.
    fn score(&self, candidate: &Candidate, worst: Worst) -> f32 {
        let latency = if candidate.latency_us > 0.0 {
            share(candidate.latency_us / worst.latency_us)
        } else if candidate.in_flight == 0 {
            // Not known counts as the best, so that it becomes known: by one request, not by all that come
            // before its first answer.
            0.0
        } else {
            1.0
        };
        let cost = if worst.cost > 0.0 { candidate.cost as f32 / worst.cost } else { 0.0 };
        self.tokens * share(candidate.tokens_left)
            + self.requests * share(candidate.requests_left)
            + self.error * (1.0 - share(candidate.error))
            + self.latency * (1.0 - latency)
            + self.cost * (1.0 - cost)
    }
}

/// The weight of one that lacks so much of the best score. Rounded, so that equals with different rounding errors are equal.
fn weight(lack: f32) -> i64 {
    (share(1.0 - lack / MARGIN) * UNIT as f32 + 0.5) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Algorithm::Hybrid, Priority},
        gateway::select::{
            Strategies,
            tests::{grid, shares},
        },
    };

    fn terms(tokens: f64, requests: f64, error: f64, latency: f64, cost: f64) -> Terms {
        Terms::new(HybridWeights {
            token_ratio: tokens,
            req_ratio: requests,
            error_score: error,
            latency,
            cost_ratio: cost,
        })
    }

    #[test]
    fn scores_are_weighted_sums_of_terms() {
        let one = Candidate {
            tokens_left: 0.5,
            requests_left: 0.25,
            error: 0.1,
            latency_us: 3e3,
            cost: 25,
            ..Candidate::default()
        };
        let worst = Worst { latency_us: 4e3, cost: 100.0 };
        let unknown = Candidate { latency_us: 0.0, ..one };
        let asked = Candidate { in_flight: 1, ..unknown };
        let odd = Candidate { tokens_left: f32::NAN, error: -1.0, requests_left: 7.0, ..one };
        for (terms, candidate, expected) in [
            (terms(1.0, 0.0, 0.0, 0.0, 0.0), one, 0.5),
            (terms(0.0, 0.3, 0.0, 0.0, 0.0), one, 0.25),
            (terms(0.0, 0.0, 1.0, 0.0, 0.0), one, 0.9),
            (terms(0.0, 0.0, 0.0, 1.0, 0.0), one, 0.25),
            (terms(0.0, 0.0, 0.0, 1.0, 0.0), unknown, 1.0),
            (terms(0.0, 0.0, 0.0, 1.0, 0.0), asked, 0.0),
            (terms(0.0, 0.0, 0.0, 0.0, 1.0), one, 0.75),
            (terms(0.2, 0.2, 0.2, 0.2, 0.2), one, (0.5 + 0.25 + 0.9 + 0.25 + 0.75) / 5.0),
            (terms(0.6, 0.1, 0.1, 0.1, 0.1), one, 0.6 * 0.5 + 0.1 * (0.25 + 0.9 + 0.25 + 0.75)),
            (terms(1.0, 1.0, 1.0, 0.0, 0.0), odd, 2.0 / 3.0),
            (terms(0.0, 0.0, 0.0, 0.0, 0.0), one, 0.0),
        ] {
            let score = terms.score(&candidate, worst);
            assert!((score - expected).abs() < 1e-6, "{score} {expected} {terms:?} {candidate:?}");
        }
    }

    #[test]
    fn equals_take_exact_turns() {
        let mut all = grid(&[3, 4]);
        for candidate in &mut all {
            (candidate.tokens_left, candidate.latency_us, candidate.cost) = (0.3, 123.4, 7);
        }
        assert_eq!(shares(Hybrid, &all, 70), [10; 7]);
        // As far as single precision tells.
        all[3].tokens_left = 0.300_000_1;
        assert_eq!(shares(Hybrid, &all, 7000), [1000; 7]);
    }

    #[test]
    fn one_clearly_best_gets_all_and_near_ones_get_a_share() {
        let mut all = grid(&[1, 1, 1]);
        all[0].tokens_left = 0.5;
        // The others are 0.1 better in the sum of five even terms.
        assert_eq!(shares(Hybrid, &all, 100), [0, 50, 50]);
        // Half the margin behind: half the weight.
        all[0].tokens_left = 1.0 - 2.5 * MARGIN;
        let counts = shares(Hybrid, &all, 500);
        assert!(counts[0].abs_diff(100) <= 1 && counts[1].abs_diff(200) <= 1, "{counts:?}");
    }

    #[test]
    fn a_key_that_is_new_gets_one_request_before_its_first_answer() {
        let mut all = grid(&[4]);
        for (candidate, latency_us) in all.iter_mut().zip([900.0, 100.0, 100.0, 0.0]) {
            candidate.latency_us = latency_us;
        }
        let mut strategies = Strategies::new([4], HybridWeights::of(Priority::Balanced), 3);
        let mut first = Vec::new();
        for _ in 0..20 {
            let at = strategies.choose(Hybrid, 0, &all).unwrap();
            first.push(at);
            all[at].in_flight += 1;
        }
        assert_eq!(first.iter().filter(|at| **at == 3).count(), 1, "{first:?}");
    }
}
