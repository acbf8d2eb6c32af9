//! The choice of a key, and the state that it needs.

use super::{Candidate, Rng, candidate::share, hybrid::Terms, least, peak, smooth, turns};
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
}

/// The turns of one route.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// Where the search for the next candidate begins: after the last one chosen. At first anywhere, also far
    /// beyond the last.
    pub(super) next: usize,
    /// One for each candidate.
    pub(super) slots: Vec<Slot>,
}

/// What is remembered of one candidate, and, with the first one of a target, of that target.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    /// How much the candidate is owed ([`smooth`]).
    pub(super) credit: i64,
    /// How much the target is owed ([`smooth`]).
    pub(super) target_credit: i64,
    /// The target's key whose turn it is, counted from its first; at first anything.
    pub(super) next_key: usize,
    /// The candidate's score in the choice being made, as [`super::hybrid`] keeps it.
    pub(super) score: i32,
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
        let (mut any, mut any_preferred, mut starting) = (false, false, false);
        for candidate in candidates {
            any |= candidate.available;
            any_preferred |= candidate.available && prefers(candidate);
            starting |= candidate.available && ramp(candidate) < 1.0;
        }
        let mut field = Self { prefers, preferred_only: any_preferred, least_ramp: 0.0, most_ramp: 1.0 };
        if starting {
            field.draw(candidates, rng);
        }
        any.then_some(field)
    }

    /// Draws who takes part, as some start slowly.
    fn draw(&mut self, candidates: &[Candidate], rng: &mut Rng) {
        let ramps = candidates.iter().filter(|candidate| self.may(candidate)).map(ramp);
        self.most_ramp = ramps.fold(0.0, f32::max);
        self.least_ramp = (1.0 - rng.unit()) * self.most_ramp;
    }

    /// Whether a candidate may be chosen at all.
    pub(super) fn may(&self, candidate: &Candidate) -> bool {
        candidate.available && (!self.preferred_only || (self.prefers)(candidate))
    }

    /// Whether it may, and has started far enough for this choice.
    pub(super) fn has(&self, candidate: &Candidate) -> bool {
        self.may(candidate) && (self.least_ramp == 0.0 || ramp(candidate) >= self.least_ramp)
    }
}

/// Whether one with this ramp takes its turn, among others of which the furthest has `most_ramp`.
pub(super) fn takes_turn(ramp: f32, most_ramp: f32, rng: &mut Rng) -> bool {
    ramp >= most_ramp || rng.unit() * most_ramp < ramp
}

/// A candidate's ramp, within bounds.
pub(super) fn ramp(candidate: &Candidate) -> f32 {
    share(candidate.ramp).max(LEAST_RAMP)
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
        Self { routes, rng, terms: Terms::new(weights) }
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
            Algorithm::Hybrid => {
                let field = Field::new(candidates, any, rng)?;
                self.terms.choose(route, candidates, &field)
            }
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
        let slot = |rng: &mut Rng| Slot {
            // Less than one unit of weight: it says who begins among equals, and nothing else.
            credit: i64::from(rng.below(smooth::UNIT)),
            target_credit: i64::from(rng.below(smooth::UNIT)),
            next_key: rng.below(u32::MAX) as usize,
            score: 0,
        };
        self.slots.resize_with(candidates, || slot(rng));
    }
}

/// Whether one can be expected to answer: it mostly does, and has something left of its limits.
fn able(candidate: &Candidate) -> bool {
    candidate.error < ABLE_ERROR && candidate.requests_left > 0.0 && candidate.tokens_left > 0.0
}
