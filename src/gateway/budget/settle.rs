//! Making good what was taken once it is known what was used.

use std::{cell::RefCell, collections::HashMap};

use coo_shards::budget::window::TRANSIT_MS;

use super::{Budget, reserve::Reservation};
use crate::{config::budgets::Counts, config::snapshot::ProviderId};

/// Output tokens expected of a model that has not answered yet.
const FIRST_GUESS: u64 = 256;
/// Models of one provider whose outputs are remembered; names come from clients.
const MAX_MODELS: usize = 1000;
/// The weight of the past in the mean of a model's outputs, against 1 for the last.
const MEMORY: u64 = 7;

/// How much models give, on average and lately.
#[derive(Debug, Default)]
pub struct Outputs {
    means: RefCell<HashMap<ProviderId, HashMap<String, u64>>>,
}

impl Outputs {
    /// Tokens to expect.
    #[must_use]
    pub fn expected(&self, provider: ProviderId, model: &str) -> u64 {
        self.means
            .borrow()
            .get(&provider)
            .and_then(|models| models.get(model))
            .copied()
            .unwrap_or(FIRST_GUESS)
    }

    fn learn(&self, provider: ProviderId, model: &str, tokens: u64) {
        let mut means = self.means.borrow_mut();
        let models = means.entry(provider).or_default();
        if let Some(mean) = models.get_mut(model) {
            *mean = mean.saturating_mul(MEMORY).saturating_add(tokens).div_ceil(MEMORY + 1);
        } else if models.len() < MAX_MODELS {
            models.insert(model.to_owned(), tokens);
        }
    }
}

/// What became of a request that had something reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was never sent.
    Unsent,
    /// The provider refused it or failed: it counts as a request and used nothing.
    Refused,
    /// It was sent, and what it used is not known: what was reserved counts.
    Unknown,
    /// Tokens and micro-USD that it used.
    Used(i64, i64),
}

impl Budget {
    /// Notes what a model gave.
    pub fn learn(&self, provider: ProviderId, model: &str, output_tokens: u64) {
        self.outputs.learn(provider, model, output_tokens);
    }

    /// Dates the spends of `reservation` to now where much time has passed since it was made: it waited for a
    /// connection, or the process was stopped. Permission once given can only be used later than it was, which
    /// takes nothing from anybody.
    pub fn redate(&self, reservation: &mut Reservation, sent: bool) {
        let stalled = reservation.stalls != self.stalls.get();
        let now = self.now();
        let late = now.saturating_sub(reservation.taken) > TRANSIT_MS / 2;
        if !(stalled || (late && !sent)) {
            return;
        }
        let mut wallet = self.wallet.borrow_mut();
        for &(take, counts) in reservation.takes() {
            if counts != Counts::Held && take.amount > 0 {
                let _ = wallet.settle(take.limit, -take.amount, reservation.taken, now);
                let _ = wallet.settle(take.limit, take.amount, now, now);
            }
        }
        drop(wallet);
        reservation.taken = now;
        reservation.stalls = self.stalls.get();
    }

    /// Settles what was reserved.
    pub fn settle(&self, reservation: &Reservation, outcome: Outcome) {
        let now = self.now();
        let mut wake = Vec::new();
        let mut wallet = self.wallet.borrow_mut();
        for &(take, counts) in reservation.takes() {
            let used = match (counts, outcome) {
                (_, Outcome::Unsent) => {
                    wake.extend(wallet.put_back(take, reservation.taken, now));
                    continue;
                }
                (Counts::Held, _) => 0,
                (Counts::Requests, _) | (_, Outcome::Unknown) => take.amount,
                (_, Outcome::Refused) => 0,
                (Counts::Day | Counts::Month, Outcome::Used(_, micro_usd)) => micro_usd,
                (Counts::Tokens | Counts::SessionTokens, Outcome::Used(tokens, _)) => tokens,
            };
            wake.extend(wallet.settle(take.limit, used - take.amount, reservation.taken, now));
        }
        drop(wallet);
        self.wake(wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_what_a_model_gives() {
        let outputs = Outputs::default();
        assert_eq!(outputs.expected(0, "m"), FIRST_GUESS);
        for _ in 0..50 {
            outputs.learn(0, "m", 1000);
        }
        assert_eq!(outputs.expected(0, "m"), 1000);
        outputs.learn(0, "m", 0);
        assert_eq!(outputs.expected(0, "m"), 875);
        assert_eq!(outputs.expected(1, "m"), FIRST_GUESS);
        for n in 0..2 * MAX_MODELS {
            outputs.learn(2, &n.to_string(), 1);
        }
        assert_eq!(outputs.means.borrow()[&2].len(), MAX_MODELS);
    }
}
