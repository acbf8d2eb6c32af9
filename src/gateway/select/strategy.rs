//! The choice of a key, and the state that it needs.

use super::{
    Candidate, Rng,
    candidate::{larger, share},
    hybrid::{Rows, Terms},
    least, peak, smooth, turns,
};
use crate::config::{Algorithm, HybridWeights};

/// The least share of load of one that may be chosen at all. One that got nothing would never prove itself.
const LEAST_RAMP: f32 = 0.01;
/// With more than this share of failures a target is not the cheapest that is able, however cheap it is.
const ABLE_ERROR: f32 = 0.5;

/// What a shard remembers from one choice to the next.
///
/// A *route* is what has its own turns: an alias, a provider asked for by name. Its candidates must be the
/// same, in the same order, each time; one that may not be chosen now is there, and not available.
#[derive(Debug)]
pub struct Strategies {
    routes: Vec<Route>,
    rng: Rng,
    terms: Terms,
    rows: Rows,
}

/// The turns of one route.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// Where the search for the next candidate begins: after the last one chosen. At first anywhere, also far
    /// beyond the last.
    pub(super) next: usize,
    /// One for each candidate.
    pub(super) slots: Vec<Slot>,
    /// How much each candidate is owed ([`super::hybrid`]). In a row of its own, of 32 bits, to be added to four
    /// at a time; nobody is owed more than a choice's weights together, which are [`smooth::UNIT`] each at most.
    pub(super) credits: Vec<i32>,
}

/// What is remembered of a target with its first candidate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    /// How much the target is owed ([`smooth`]).
    pub(super) target_credit: i64,
    /// The target's key whose turn it is, counted from its first; at first anything.
    pub(super) next_key: usize,
}

/// Those among which one choice is made: the available ones that the strategy prefers, or all available ones
/// where it prefers none.
///
/// Slow start is decided here, in one of two ways. Where turns are taken ([`turns`]), one with ramp r
/// passes its turn on in all but a share r of cases ([`takes_turn`]). Everywhere else one random number is
/// drawn for a choice, and who has a lower ramp does not take part ([`Field::has`]): one number for all, so
/// that the keys of a provider that starts slowly take part together, and it gets r of its share whatever
/// their number. Ramps count in relation to the highest: where all start slowly, all take part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<P> {
    prefers: P,
    preferred_only: bool,
    least_ramp: f32,
    /// The ramp of the one that has started the furthest.
    pub(super) most_ramp: f32,
}

impl<P: Fn(&Candidate) -> bool> Field<P> {
    /// `None` where no candidate is available.
    pub(super) fn new(candidates: &[Candidate], prefers: P, rng: &mut Rng) -> Option<Self> {
        let (mut any, mut any_preferred, mut any_other, mut starting) = (false, false, false, false);
        for candidate in candidates {
            let is_preferred = prefers(candidate);
            any |= candidate.available;
            any_preferred |= candidate.available & is_preferred;
            any_other |= candidate.available & !is_preferred;
            starting |= candidate.available & !is_full(candidate);
        }
        // Where all are preferred there is nothing to tell apart.
        let preferred_only = any_preferred && any_other;
        let mut field = Self { prefers, preferred_only, least_ramp: 0.0, most_ramp: 1.0 };
        if starting {
            field.draw(candidates, rng);
        }
        any.then_some(field)
    }

    /// Draws who takes part, as some start slowly.
    fn draw(&mut self, candidates: &[Candidate], rng: &mut Rng) {
        let ramps =
            candidates.iter().map(|candidate| if self.may(candidate) { ramp(candidate) } else { 0.0 });
        self.most_ramp = ramps.fold(0.0, larger);
        self.least_ramp = least_ramp(self.most_ramp, rng);
    }

    /// Whether a candidate may be chosen at all.
    pub(super) fn may(&self, candidate: &Candidate) -> bool {
        candidate.available && (!self.preferred_only || (self.prefers)(candidate))
    }

    /// Whether it may, and has started far enough for this choice.
    pub(super) fn has(&self, candidate: &Candidate) -> bool {
        self.may(candidate) && (self.least_ramp == 0.0 || candidate.ramp >= self.least_ramp)
    }
}

/// Whether one with this ramp takes its turn, among others of which the furthest has `most_ramp`.
pub(super) fn takes_turn(ramp: f32, most_ramp: f32, rng: &mut Rng) -> bool {
    ramp >= most_ramp || rng.unit() * most_ramp < ramp
}

/// Draws the least ramp of those that take part in a choice; 0 where all do.
pub(super) fn least_ramp(most_ramp: f32, rng: &mut Rng) -> f32 {
    let least = (1.0 - rng.unit()) * most_ramp;
    // Nobody has less than that.
    if least > LEAST_RAMP { least } else { 0.0 }
}

/// Whether it has started. What is not a number is a ramp of 0.
fn is_full(candidate: &Candidate) -> bool {
    candidate.ramp >= 1.0
}

/// A candidate's ramp, within bounds.
pub(super) fn ramp(candidate: &Candidate) -> f32 {
    larger(LEAST_RAMP, share(candidate.ramp))
}

impl Strategies {
    /// For routes with so many candidates each. `seed` is the shard's: shards that start together must not
    /// all begin with the same key.
    #[must_use]
    pub fn new(candidates: impl IntoIterator<Item = usize>, weights: HybridWeights, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut routes: Vec<_> =
            candidates.into_iter().map(|candidates| Route::new(candidates, &mut rng)).collect();
        if routes.is_empty() {
            routes.push(Route::default());
        }
        let mut rows = Rows::default();
        rows.hold(routes.iter().map(|route| route.slots.len()).max().unwrap_or(0));
        Self { routes, rng, terms: Terms::new(weights), rows }
    }

    /// The index of the candidate to use next; `None` if none is available.
    ///
    /// Allocates nothing, unless there are more candidates than [`Strategies::new`] was told of. A route it
    /// was not told of shares the turns of another.
    pub fn choose(&mut self, algorithm: Algorithm, route: usize, candidates: &[Candidate]) -> Option<usize> {
        let place = route.checked_rem(self.routes.len())?;
        let (route, rng) = (self.routes.get_mut(place)?, &mut self.rng);
        if route.slots.len() < candidates.len() {
            route.grow(candidates.len(), rng);
        }
        let any = |_: &Candidate| true;
        match algorithm {
            Algorithm::RoundRobin => {
                let field = Field::new(candidates, any, rng)?;
                turns::targets(route, candidates, &field, rng)
            }
            Algorithm::WeightedRoundRobin => {
                let field = Field::new(candidates, |it: &Candidate| it.weight > 0, rng)?;
                smooth::targets(route, candidates, &field, rng)
            }
            Algorithm::LeastLoaded => {
                let field = Field::new(candidates, any, rng)?;
                least::loaded(route, candidates, |candidate| field.may(candidate), rng)
            }
            Algorithm::Hybrid => self.terms.choose(route, &mut self.rows, candidates, rng),
            Algorithm::CostOptimized => {
                let field = Field::new(candidates, able, rng)?;
                least::costly(route, candidates, &field, rng)
            }
            Algorithm::PerformanceOptimized => {
                let field = Field::new(candidates, |it: &Candidate| !it.slow, rng)?;
                peak::better_of_two(candidates, &field, rng)
            }
        }
    }
}

impl Route {
    fn new(candidates: usize, rng: &mut Rng) -> Self {
        let mut route = Self::default();
        route.grow(candidates, rng);
        route.next = rng.below(u32::MAX) as usize;
        route
    }

    #[cold]
    fn grow(&mut self, candidates: usize, rng: &mut Rng) {
        // Credits are less than one unit of weight: they say who begins among equals, and nothing else.
        let slot = |rng: &mut Rng| Slot {
            target_credit: i64::from(rng.below(smooth::UNIT)),
            next_key: rng.below(u32::MAX) as usize,
        };
        self.slots.resize_with(candidates, || slot(rng));
        self.credits.resize_with(candidates, || rng.below(smooth::UNIT) as i32);
    }
}

/// Whether one can be expected to answer: it mostly does, and has something left of its limits.
fn able(candidate: &Candidate) -> bool {
    (candidate.error < ABLE_ERROR) & (candidate.requests_left > 0.0) & (candidate.tokens_left > 0.0)
}
