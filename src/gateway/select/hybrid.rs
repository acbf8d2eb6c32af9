//! The best score over several facts.

use super::{
    Candidate, Rng,
    candidate::larger,
    smooth::UNIT,
    strategy::{Route, least_ramp, ramp},
};
use crate::config::HybridWeights;

/// How far below the best score one may be and still get some requests: with even weights, a quarter less of
/// the tokens left.
const MARGIN: f32 = 0.05;

/// The rank of one that does not take part. As the bits of a number it is none.
const NOT_IN: i32 = -1;

/// 2²³: numbers from here to twice as large have no fraction.
const ROUNDS: f32 = 8_388_608.0;

/// The bits of infinity.
const INFINITE: i32 = f32::INFINITY.to_bits() as i32;

/// The weights of the terms of a score; their sum is 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    tokens: f32,
    requests: f32,
    error: f32,
    latency: f32,
    cost: f32,
}

/// What a choice works out of each candidate, each fact in a row of its own: so the compiler handles four
/// candidates at a time. Kept from choice to choice only for its memory.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The sum of the terms that need no comparison with others.
    alone: Vec<f32>,
    /// Time, infinite where not known and asked already.
    latency_us: Vec<f32>,
    cost: Vec<f32>,
    ramp: Vec<f32>,
    /// At first 0, or [`NOT_IN`]. Then the score, as the bits of a number that is not negative, read as an
    /// integer: these compare alike, and integers have a maximum of four at a time. Then the credit of those
    /// that are good enough.
    rank: Vec<i32>,
}

impl Rows {
    /// Makes room for so many candidates.
    pub(super) fn hold(&mut self, candidates: usize) {
        for row in [&mut self.alone, &mut self.latency_us, &mut self.cost, &mut self.ramp] {
            row.resize(candidates, 0.0);
        }
        self.rank.resize(candidates, 0);
    }
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
    ///
    /// Slow start is decided by one draw for all ([`super::strategy::Field`]).
    pub(super) fn choose(
        &self,
        route: &mut Route,
        rows: &mut Rows,
        candidates: &[Candidate],
        rng: &mut Rng,
    ) -> Option<usize> {
        self.lay_out(rows, candidates);
        let scale = self.over(highest(&rows.latency_us, &rows.rank), highest(&rows.cost, &rows.rank));
        if is_starting(rows) {
            let least = least_ramp(highest(&rows.ramp, &rows.rank), rng);
            for (ramp, rank) in rows.ramp.iter().zip(&mut rows.rank) {
                *rank |= rank_of(*ramp >= least);
            }
        }
        let best = scale.rank(rows);
        take_turns(rows, &mut route.credits, best)
    }

    /// Lays the facts out in rows, of all that are available.
    ///
    /// Nothing here is a branch that could not be foretold: what does not count is masked.
    fn lay_out(&self, rows: &mut Rows, candidates: &[Candidate]) {
        rows.hold(candidates.len());
        let Rows { alone, latency_us, cost, ramp: ramps, rank } = rows;
        let to = alone.iter_mut().zip(latency_us).zip(cost).zip(ramps).zip(rank);
        for (candidate, ((((alone, latency_us), cost), of_ramp), rank)) in candidates.iter().zip(to) {
            // Not known counts as the best, so that it becomes known: by one request, not by all that come
            // before its first answer.
            let unknown = f32::from_bits(INFINITE as u32 * candidate.in_flight.min(1));
            *latency_us = if candidate.latency_us > 0.0 { candidate.latency_us } else { unknown };
            *cost = float(candidate.cost);
            *alone = self.alone(candidate);
            *of_ramp = ramp(candidate);
            *rank = rank_of(candidate.available);
        }
    }

    /// The terms that need no comparison with others, and all that the others can give.
    fn alone(&self, candidate: &Candidate) -> f32 {
        let most = self.error + self.latency + self.cost;
        let sum = self.tokens * candidate.tokens_left + self.requests * candidate.requests_left;
        // Not a number becomes 0 too.
        larger(0.0, sum + most - self.error * candidate.error)
    }

    /// The terms where this is the worst latency and this the highest cost; 0 where there is none.
    fn over(&self, worst_us: f32, highest_cost: f32) -> Scale {
        // Where no latency is known, one that has been asked is still worse than one that has not.
        let worst_us = if worst_us > 0.0 { worst_us } else { 1.0 };
        Scale {
            worst_us,
            latency_per_us: self.latency / worst_us,
            per_cost: if highest_cost > 0.0 { self.cost / highest_cost } else { 0.0 },
        }
    }
}

/// What is subtracted from a score, in relation to the worst facts of the candidates that are available.
struct Scale {
    worst_us: f32,
    latency_per_us: f32,
    per_cost: f32,
}

impl Scale {
    /// Works out the ranks; the highest.
    fn rank(&self, rows: &mut Rows) -> i32 {
        let Rows { alone, latency_us, cost, rank, .. } = rows;
        let mut best = NOT_IN;
        for (((alone, latency_us), cost), rank) in alone.iter().zip(latency_us).zip(cost).zip(rank) {
            *rank |= self.score(*alone, *latency_us, *cost).to_bits() as i32;
            best = best.max(*rank);
        }
        best
    }

    /// From 0 to 1; higher is better.
    fn score(&self, alone: f32, latency_us: f32, cost: f32) -> f32 {
        let latency_us = if latency_us < self.worst_us { latency_us } else { self.worst_us };
        larger(0.0, alone - latency_us * self.latency_per_us - cost * self.per_cost)
    }
}

/// Whether one of those that take part has not started fully.
fn is_starting(rows: &Rows) -> bool {
    rows.ramp.iter().zip(&rows.rank).fold(false, |any, (ramp, rank)| any | ((*ramp < 1.0) & (*rank == 0)))
}

/// The highest finite number of those that take part, none of which is negative; 0 where there is none.
fn highest(row: &[f32], rank: &[i32]) -> f32 {
    let bits = row.iter().zip(rank).map(|(x, rank)| x.to_bits() as i32 & !rank);
    let most = bits.map(|bits| if bits < INFINITE { bits } else { 0 }).fold(0, i32::max);
    f32::from_bits(most as u32)
}

/// The rank to begin with: 0 or [`NOT_IN`].
fn rank_of(is_in: bool) -> i32 {
    i32::from(is_in) - 1
}

/// Gives each one its weight of credit that is within the margin; the one with the most has the turn.
fn take_turns(rows: &mut Rows, credits: &mut [i32], best: i32) -> Option<usize> {
    let best = f32::from_bits(best as u32);
    let least = larger(0.0, best - MARGIN).to_bits() as i32;
    let (mut total, mut most) = (0, i32::MIN);
    for (rank, credit) in rows.rank.iter_mut().zip(credits.iter_mut()) {
        let weight = weight(best - f32::from_bits(*rank as u32));
        total += weight;
        *credit += weight;
        *rank = if *rank >= least { *credit } else { i32::MIN };
        most = most.max(*rank);
    }
    if most == i32::MIN {
        return None;
    }
    let at = rows.rank.iter().position(|rank| *rank == most)?;
    *credits.get_mut(at)? -= total;
    Some(at)
}

/// A cost as a number with a fraction; 9 million USD is the most. Signed numbers convert in one step.
fn float(cost: u64) -> f32 {
    i64::try_from(cost).unwrap_or(i64::MAX) as f32
}

/// The weight of one that lacks so much of the best score; 0 from the margin on. Rounded, so that equals stay
/// equal whatever the rounding errors of their scores.
fn weight(lack: f32) -> i32 {
    let near = larger(0.0, 1.0 - lack * (1.0 / MARGIN));
    // Beside so large a number there is no room for a fraction: its bits end in the integer.
    (near * UNIT as f32 + ROUNDS).to_bits() as i32 - ROUNDS.to_bits() as i32
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
            let mut rows = Rows::default();
            terms.lay_out(&mut rows, &[candidate]);
            let best = terms.over(4e3, 100.0).rank(&mut rows);
            let score = f32::from_bits(best as u32);
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
