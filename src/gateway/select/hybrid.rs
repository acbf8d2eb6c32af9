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

/// In place of the score of one that does not take part. Scores are kept as the bits of a number that is not
/// negative, read as an integer: these compare alike, and comparing integers takes half as long.
const NO_SCORE: i32 = -1;

/// The weights of the terms of a score; their sum is 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    tokens: f32,
    requests: f32,
    error: f32,
    latency: f32,
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
    /// Were it always the best one, every request would go to the same key until what is known of it
    /// changes, and then to the next. So all within [`MARGIN`] of the best take smooth turns
    /// ([`super::smooth`]), weighted by how little they lack: the best has 1, one at the margin 0. Equals
    /// take exact turns, and a small change of a fact changes shares a little.
    pub(super) fn choose<P: Fn(&Candidate) -> bool>(
        &self,
        route: &mut Route,
        candidates: &[Candidate],
        field: &Field<P>,
    ) -> Option<usize> {
        let (mut latency_us, mut cost) = (0, 0);
        for candidate in candidates {
            let counts = candidate.available;
            latency_us = latency_us.max(if counts { candidate.latency_us.to_bits() as i32 } else { 0 });
            cost = cost.max(if counts { candidate.cost } else { 0 });
        }
        let terms = self.over(f32::from_bits(latency_us as u32), cost);
        let mut best = NO_SCORE;
        for (candidate, slot) in candidates.iter().zip(&mut route.slots) {
            slot.score = NO_SCORE;
            if field.has(candidate) {
                slot.score = terms.score(candidate).to_bits() as i32;
                best = best.max(slot.score);
            }
        }
        let least = (f32::from_bits(best as u32) - MARGIN).max(0.0).to_bits() as i32;
        let (mut total, mut chosen) = (0, None::<(i64, usize)>);
        for (at, slot) in route.slots.iter_mut().enumerate().take(candidates.len()) {
            if slot.score >= least {
                let weight = weight(f32::from_bits(best as u32) - f32::from_bits(slot.score as u32));
                total += weight;
                slot.credit += weight;
                if chosen.is_none_or(|(credit, _)| slot.credit > credit) {
                    chosen = Some((slot.credit, at));
                }
            }
        }
        let (_, at) = chosen?;
        let Slot { credit, .. } = route.slots.get_mut(at)?;
        *credit -= total;
        Some(at)
    }

    /// The terms where this is the worst latency and this the highest cost; 0 where there is none.
    fn over(&self, worst_latency_us: f32, highest_cost: u64) -> Scale {
        let over = |weight: f32, most: f32| if most > 0.0 { weight / most } else { 0.0 };
        Scale {
            terms: *self,
            latency_per_us: over(self.latency, worst_latency_us),
            per_cost: over(self.cost, float(highest_cost)),
        }
    }
}

/// Terms in relation to the worst facts of the candidates that are available.
struct Scale {
    terms: Terms,
    latency_per_us: f32,
    per_cost: f32,
}

impl Scale {
    /// From 0 to 1; higher is better.
    fn score(&self, candidate: &Candidate) -> f32 {
        let Terms { tokens, requests, error, latency, cost } = self.terms;
        // Not known counts as the best, so that it becomes known: by one request, not by all that come
        // before its first answer.
        let unknown = if candidate.in_flight == 0 { 0.0 } else { latency };
        let known = candidate.latency_us * self.latency_per_us;
        let slowness = if candidate.latency_us > 0.0 { known } else { unknown };
        let score =
            tokens * candidate.tokens_left + requests * candidate.requests_left + (error + latency + cost)
                - error * candidate.error
                - slowness
                - float(candidate.cost) * self.per_cost;
        // Not a number becomes 0 too.
        score.max(0.0)
    }
}

/// A cost as a number with a fraction; 9 million USD is the most. Signed numbers convert in one step.
fn float(cost: u64) -> f32 {
    i64::try_from(cost).unwrap_or(i64::MAX) as f32
}

/// The weight of one that lacks so much of the best score. Rounded, so that equals stay equal whatever the
/// rounding errors of their scores.
fn weight(lack: f32) -> i64 {
    i64::from((share(1.0 - lack * (1.0 / MARGIN)) * UNIT as f32 + 0.5) as i32)
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
        let unknown = Candidate { latency_us: 0.0, ..one };
        let asked = Candidate { in_flight: 1, ..unknown };
        let over = Candidate { tokens_left: -1.0, requests_left: 0.0, error: 1.0, ..one };
        let odd = Candidate { tokens_left: f32::NAN, ..one };
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
            (terms(1.0, 1.0, 1.0, 0.0, 0.0), over, 0.0),
            (terms(1.0, 1.0, 1.0, 0.0, 0.0), odd, 0.0),
            (terms(0.0, 0.0, 0.0, 0.0, 0.0), one, 0.0),
        ] {
            let score = terms.over(4e3, 100).score(&candidate);
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
