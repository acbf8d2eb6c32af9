//! Making good what was taken once it is known what was used.

use std::{
    cell::{Cell, LazyCell, RefCell},
    collections::HashMap,
};

use coo_shards::{
    budget::{stalls::Sent, window::TRANSIT_MS},
    time::TICK_MS,
};

use super::{
    Budget,
    reserve::{Need, Reservation},
};
use crate::{config::budgets::Counts, config::snapshot::ProviderId, dialect::usage::Usage};

/// Output tokens expected of a model that has not answered yet.
const FIRST_GUESS: u64 = 256;
/// Models of one provider whose use is remembered; names come from clients.
const MAX_MODELS: usize = 1000;
/// The weight of the past in a model's means, against 1 for the last.
const MEMORY: u64 = 7;
/// Fixed point of [`Mean::density`].
const DENSITY: u64 = 1 << 16;

/// What is known of a model's use of tokens, on average and lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mean {
    /// Tokens of an answer.
    pub output: u64,
    /// Tokens of a prompt per byte of its request, times [`DENSITY`]; 0 where not known yet.
    density: u64,
}

impl Default for Mean {
    fn default() -> Self {
        Self { output: FIRST_GUESS, density: 0 }
    }
}

impl Mean {
    /// Tokens to expect of a prompt in a request of so many bytes; `None` where nothing is known.
    #[must_use]
    pub fn prompt_tokens(&self, bytes: usize) -> Option<u64> {
        (self.density > 0).then(|| self.density.saturating_mul(bytes as u64).div_ceil(DENSITY))
    }
}

#[derive(Debug)]
struct Known {
    provider: ProviderId,
    model: String,
    mean: Mean,
}

/// The means of all models.
#[derive(Debug, Default)]
pub struct Means {
    known: RefCell<Vec<Known>>,
    places: RefCell<HashMap<ProviderId, HashMap<String, usize>>>,
    /// What was found last: often the next to be asked for.
    last: Cell<usize>,
}

impl Means {
    /// What is known of a model, and where it is kept, if anywhere yet.
    #[must_use]
    pub fn find(&self, provider: ProviderId, model: &str) -> (Option<usize>, Mean) {
        let known = self.known.borrow();
        let is = |known: &&Known| known.provider == provider && known.model == model;
        if let Some(known) = known.get(self.last.get()).filter(is) {
            return (Some(self.last.get()), known.mean);
        }
        let place = self.places.borrow().get(&provider).and_then(|models| models.get(model)).copied();
        let Some(at) = place else { return (None, Mean::default()) };
        self.last.set(at);
        (place, known.get(at).map_or(Mean::default(), |known| known.mean))
    }

    /// Takes what an answer used, for a request of so many bytes; `place` is where [`Means::find`] found the model.
    fn learn(&self, place: Option<usize>, provider: ProviderId, model: &str, usage: &Usage, bytes: u64) {
        let density = usage.prompt_tokens.saturating_mul(DENSITY).div_ceil(bytes.max(1));
        let output = usage.output_tokens();
        let mut known = self.known.borrow_mut();
        let place = place.or_else(|| self.places.borrow().get(&provider)?.get(model).copied());
        if let Some(Known { mean, .. }) = place.and_then(|place| known.get_mut(place)) {
            let mix =
                |mean: u64, new: u64| mean.saturating_mul(MEMORY).saturating_add(new).div_ceil(MEMORY + 1);
            mean.output = mix(mean.output, output);
            mean.density = if mean.density == 0 { density } else { mix(mean.density, density) };
            return;
        }
        let mut places = self.places.borrow_mut();
        let models = places.entry(provider).or_default();
        if models.len() < MAX_MODELS {
            models.insert(model.to_owned(), known.len());
            known.push(Known { provider, model: model.to_owned(), mean: Mean { output, density } });
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
    /// It was sent, and what it used is not known: what was reckoned counts.
    Unknown,
    /// What it used.
    Used(Need),
}

impl Budget {
    /// Notes what a request for a model used.
    pub fn learn(
        &self,
        reservation: &Reservation,
        provider: ProviderId,
        model: &str,
        usage: &Usage,
        bytes: u64,
    ) {
        self.means.learn(reservation.model(), provider, model, usage, bytes);
    }

    /// A request is about to be sent. Where much time has passed since its reservation was made (it waited for a
    /// connection, or the process was stopped), what it spends is dated to now.
    pub fn sending(&self, reservation: &mut Reservation) {
        // By the last tick, which is no older than the next one: reading the clock costs more than all this.
        let at_most = self.about_now() + TICK_MS;
        let stalled = self.stalls.borrow().may_be_late(reservation.sent);
        if stalled || at_most.saturating_sub(reservation.taken) > TRANSIT_MS / 2 {
            self.redate(reservation);
        }
        reservation.sent = self.stalls.borrow().dated();
    }

    /// All of a request went out.
    pub fn sent(&self, reservation: &mut Reservation) {
        let sent = self.stalls.borrow().sent(reservation.sent);
        reservation.sent = sent.unwrap_or_else(|| {
            self.redate(reservation);
            Sent::Before
        });
    }

    /// A request was answered. Where nobody knows whether it went out before or after a stop of the process, what
    /// it spent is dated to now.
    pub fn answered(&self, reservation: &mut Reservation) {
        if self.stalls.borrow().may_be_late(reservation.sent) {
            self.redate(reservation);
            reservation.sent = Sent::Before;
        }
    }

    /// Dates what a reservation spends to now. Permission once given can only be used later than it was, which
    /// takes nothing from anybody.
    fn redate(&self, reservation: &mut Reservation) {
        let now = self.now();
        let mut wallet = self.wallet.borrow_mut();
        for (take, _) in reservation.takes() {
            wallet.redate(take, reservation.taken, now);
        }
        drop(wallet);
        reservation.taken = now;
    }

    /// Settles what was reserved.
    pub fn settle(&self, reservation: &Reservation, outcome: Outcome) {
        let now = LazyCell::new(|| self.now());
        let mut wake = Vec::new();
        let mut wallet = self.wallet.borrow_mut();
        let used = match outcome {
            Outcome::Used(used) => used,
            Outcome::Unknown => reservation.presumed(),
            Outcome::Unsent | Outcome::Refused => Need::default(),
        };
        for (take, counts) in reservation.takes() {
            if outcome == Outcome::Unsent {
                wake.extend(wallet.put_back(take, reservation.taken, *now));
                continue;
            }
            let used = match counts {
                Counts::Held => 0,
                Counts::Requests => take.amount,
                Counts::Day | Counts::Month => used.micro_usd,
                Counts::Tokens | Counts::SessionTokens => used.tokens,
            };
            match used - take.amount {
                0 => {}
                // What comes on top is dated, so the time must be right; otherwise it only tells who may go next.
                change @ 1.. => wake.extend(wallet.settle(take.limit, change, reservation.taken, *now)),
                change => {
                    let now = self.about_now();
                    wake.extend(wallet.settle(take.limit, change, reservation.taken, now));
                }
            }
        }
        drop(wallet);
        if !wake.is_empty() {
            self.wake(wake);
        }
        self.report_urgent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(prompt_tokens: u64, completion_tokens: u64) -> Usage {
        let total_tokens = prompt_tokens + completion_tokens;
        Usage { prompt_tokens, completion_tokens, total_tokens, ..Usage::default() }
    }

    #[test]
    fn means_follow_what_a_model_uses() {
        let means = Means::default();
        assert_eq!(means.find(0, "m"), (None, Mean::default()));
        assert_eq!(Mean::default().prompt_tokens(1000), None);
        for _ in 0..50 {
            means.learn(means.find(0, "m").0, 0, "m", &used(100, 1000), 400);
        }
        let (place, mean) = means.find(0, "m");
        assert_eq!((place, mean.output, mean.prompt_tokens(800)), (Some(0), 1000, Some(200)));
        means.learn(place, 0, "m", &used(100, 0), 400);
        assert_eq!(means.find(0, "m").1.output, 875);
        assert_eq!(means.find(1, "m").1.output, FIRST_GUESS);
    }

    #[test]
    fn models_are_told_apart_and_their_number_is_bounded() {
        let means = Means::default();
        for n in 0..2 * MAX_MODELS as u64 {
            means.learn(None, 2, &n.to_string(), &used(1, n), 4);
        }
        for n in [0, 5, 999, 5] {
            assert_eq!(means.find(2, &n.to_string()).1.output, n, "{n}");
        }
        assert_eq!(means.known.borrow().len(), MAX_MODELS);
        assert_eq!(means.find(2, "1500"), (None, Mean::default()));
        means.learn(None, 3, "1500", &used(1, 7), 4);
        assert_eq!(means.find(3, "1500").1.output, 7);
    }
}
