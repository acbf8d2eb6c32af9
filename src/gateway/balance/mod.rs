//! Which provider and key a request goes to: what this shard knows of them, and the choice.
//!
//! The strategies and what a key's health is are in [`super::select`], pure; here they meet requests. Each shard
//! knows what it saw itself, and when it finds that a key or a provider is to rest it tells the others.

mod checks;
mod rules;
mod tried;

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use coo_shards::budget::Millis;

use super::{
    budget::Budget,
    overload::Gates,
    route::Plan,
    select::{
        Candidate, Rng, Strategies,
        check::{Schedule, Telling},
        health::{Failure, HealthRules, KeyHealth, Standing},
        outlier::Ejection,
        retry::{RetryBudget, backoff},
        speed::{Ask, Speed},
    },
};
use crate::config::{
    Algorithm,
    snapshot::{ProviderId, Snapshot, Upstream},
};
pub use checks::Check;
pub use rules::Rules;
pub use tried::Tried;

/// How fast a key was is forgotten to 1/e after this.
const SPEED_MEMORY: Millis = 10_000;
/// Of requests, the share that may be tried again.
const RETRY_SHARE: f32 = 0.1;
/// And so many a second in any case, on each shard.
const RETRIES_PER_S: f32 = 1.0;
/// The longest pause before a retry.
const MAX_BACKOFF: Millis = 10_000;
/// A token is about so many bytes of a request, to compare prices.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens of an answer, to compare prices and times, where its request does not ask for fewer.
pub const OUTPUT_TOKENS: u32 = 256;

/// What an attempt showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer began; one that refuses the client's request is an answer.
    Answered,
    /// The provider failed, or could not be reached.
    Failed,
    /// The key's limit is reached, for so long.
    Limited,
    /// The provider does not know the key (any more).
    Revoked,
    /// It says nothing: the client left.
    Cancelled,
}

/// Who might serve a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hope {
    /// A key that was not tried.
    Other,
    /// Only one that failed it already.
    Same,
    /// Nobody: all that could are known to fail.
    None,
}

/// What other shards should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A key is to rest until then; 0: it works again.
    Key(ProviderId, usize, Millis),
    /// A key was refused, and is to rest until then.
    Revoked(ProviderId, usize, Millis),
    /// A provider is ejected until then; 0: it works again.
    Provider(ProviderId, Millis),
    /// Whether checks tell how a provider is.
    Checks(ProviderId, Telling),
}

/// A request under way with a key.
#[derive(Clone, Copy, Debug)]
pub struct Underway {
    provider: ProviderId,
    key: usize,
    ask: Ask,
    began: Millis,
    /// When, where the algorithm looks at speed.
    sent: Option<Instant>,
    /// How long it took until something came that counts: of a stream its first token, else the head.
    first: Option<Duration>,
    /// Whether its outcome is known already; only its end is not.
    told: bool,
}

#[derive(Debug)]
struct KeyState {
    health: KeyHealth,
    checks: Schedule,
    in_flight: u32,
    speed: Speed,
}

#[derive(Debug)]
struct ProviderState {
    ejection: Ejection,
    checks: Schedule,
    telling: Telling,
    weight: u32,
    keys: Vec<KeyState>,
}

#[derive(Debug)]
struct State {
    providers: Vec<ProviderState>,
    strategies: Strategies,
    retries: RetryBudget,
    rng: Rng,
    /// Reused from choice to choice.
    candidates: Vec<Candidate>,
}

/// What a shard knows of providers and keys.
pub struct Balance {
    /// The ways to providers, which may be full.
    pub gates: Rc<Gates>,
    rules: Rules,
    state: RefCell<State>,
}

impl Balance {
    /// Nothing known yet.
    #[must_use]
    pub fn new(snapshot: &Snapshot, rules: Rules, shard: usize, now: Millis) -> Self {
        let keys = |provider: &Upstream| provider.keys.len().min(rules.max_keys);
        let routes = snapshot.routes.all().map(|route| {
            let choices = route.targets.iter().take(route.choices);
            choices.filter_map(|target| snapshot.providers.get(target.provider)).map(keys).sum()
        });
        let counts: Vec<usize> = routes.chain(snapshot.providers.iter().map(keys)).collect();
        let seed = shard as u64 + 1;
        let key = || KeyState {
            health: KeyHealth::new(),
            checks: Schedule::default(),
            in_flight: 0,
            speed: Speed::new(SPEED_MEMORY),
        };
        // A provider without a weight among some that have one gets none.
        let weight = |id: &str| match rules.weights.iter().find(|(name, _)| name == id) {
            Some((_, weight)) => *weight,
            None => u32::from(rules.weights.is_empty()),
        };
        let providers = snapshot
            .providers
            .iter()
            .map(|provider| ProviderState {
                ejection: Ejection::new(),
                checks: Schedule::default(),
                telling: if provider.lists_models { Telling::default() } else { Telling::Never },
                weight: weight(&provider.id),
                keys: provider.keys.iter().map(|_| key()).collect(),
            })
            .collect();
        Self {
            gates: Gates::new(snapshot.providers.len()),
            state: RefCell::new(State {
                providers,
                strategies: Strategies::new(counts, rules.hybrid, seed),
                retries: RetryBudget::new(RETRY_SHARE, RETRIES_PER_S, now),
                rng: Rng::new(seed ^ now),
                candidates: Vec::new(),
            }),
            rules,
        }
    }

    /// The policy.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The target and the key to try next: of those to choose among while one of them is left, then of those to
    /// fall back to in order. `None` where all were tried or are resting on their provider's word.
    #[must_use]
    pub fn choose(
        &self,
        plan: &Plan<'_>,
        tried: &Tried,
        budget: &Budget,
        bytes: usize,
        ask: Ask,
    ) -> Option<(usize, usize)> {
        if plan.len() == 1 && plan.upstream(0).is_some_and(|(_, upstream)| upstream.keys.len() == 1) {
            // There is nothing to choose, whatever is known of it.
            let rests = budget.rests(plan.get(0)?.0, 0);
            return (tried.is_empty() && (rests == 0 || rests <= budget.now())).then_some((0, 0));
        }
        let mut state = self.state.borrow_mut();
        let own = |target: usize| Some(plan.snapshot.routes.len() + plan.get(target)?.0);
        let route = plan.route.or_else(|| own(0))?;
        let chosen = self.among(&mut state, plan, route, 0..plan.choices(), tried, budget, (bytes, ask));
        chosen.or_else(|| {
            (plan.choices()..plan.len()).find_map(|target| {
                self.among(&mut state, plan, own(target)?, target..target + 1, tried, budget, (bytes, ask))
            })
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn among(
        &self,
        state: &mut State,
        plan: &Plan<'_>,
        route: usize,
        targets: std::ops::Range<usize>,
        tried: &Tried,
        budget: &Budget,
        (bytes, ask): (usize, Ask),
    ) -> Option<(usize, usize)> {
        let State { providers, strategies, candidates, .. } = state;
        candidates.clear();
        // What the algorithm does not look at is not worked out.
        let algorithm = self.rules.algorithm;
        let looks_at_limits = matches!(algorithm, Algorithm::Hybrid | Algorithm::CostOptimized);
        let looks_at_threshold = algorithm == Algorithm::PerformanceOptimized;
        let looks_at_speed = self.looks_at_speed();
        let now = budget.now();
        let may_fall_back = targets.start == 0 && plan.len() > plan.choices() && tried.is_empty();
        let none_tried = tried.is_empty();
        let possible = |target, rests: &[Millis], key| {
            (none_tried || !tried.has(target, key)) && rests.get(key).is_none_or(|rests| *rests <= now)
        };
        let (mut any, mut well, mut room) = (false, false, false);
        for target in targets {
            let Some((provider, upstream)) = plan.upstream(target) else { continue };
            let Some(known) = providers.get(provider) else { continue };
            let model = plan.get(target).map_or("", |(_, model)| model);
            let (allows, rests) = (plan.allows(provider), budget.rests_of(provider));
            let in_use = known.in_use(now, &self.rules);
            let has_room = !self.gates.is_full(provider);
            let price = |tokens: u64, price: u64| tokens.saturating_mul(price);
            let input = bytes as u64 / BYTES_PER_TOKEN;
            let rates = looks_at_limits.then(|| upstream.prices.of(model)).flatten().map(|of| *of.at(input));
            let cost = rates.map_or(0, |rates| {
                price(input, rates.input.0).saturating_add(price(OUTPUT_TOKENS.into(), rates.output.0))
            });
            let ramp = known.ejection.ramp(now, &self.rules.ejection);
            for (key, state) in known.keys.iter().enumerate().take(self.rules.max_keys) {
                let possible = allows && possible(target, &rests, key);
                let works = in_use && state.works(now, known.telling, &self.rules);
                any |= possible;
                well |= possible && works;
                room |= possible && works && has_room;
                let (requests_left, tokens_left) = match upstream.keys.get(key) {
                    Some(key) if looks_at_limits => budget.shares_left(plan.snapshot, &key.budget),
                    _ => (1.0, 1.0),
                };
                let latency_us = if looks_at_speed { state.speed.expected_us(ask, now) } else { 0.0 };
                let first_us =
                    if looks_at_threshold { state.speed.first_us(ask.is_stream, now) } else { 0.0 };
                candidates.push(Candidate {
                    target: target as u16,
                    key: key as u16,
                    // What only seems not to work, or would have to wait, is told apart below.
                    available: possible && works && has_room,
                    slow: first_us > self.rules.slow_us,
                    weight: known.weight,
                    in_flight: state.in_flight,
                    latency_us,
                    error: if looks_at_limits { state.health.error(now, &self.rules.health) } else { 0.0 },
                    tokens_left,
                    requests_left,
                    cost,
                    ramp: ramp * state.health.ramp(now, &self.rules.health),
                });
            }
        }
        if !any {
            return None;
        }
        if !room {
            // All that may be used have too much to do or seem not to work: refusing for that reason helps nobody.
            // But where there is something to fall back to, that is better.
            if may_fall_back {
                return None;
            }
            for candidate in candidates.iter_mut() {
                let (target, key) = (usize::from(candidate.target), usize::from(candidate.key));
                let provider = plan.get(target).map_or(0, |(provider, _)| provider);
                candidate.available =
                    plan.allows(provider) && possible(target, &budget.rests_of(provider), key);
                if !well {
                    candidate.ramp = 1.0;
                } else if let Some(known) = providers.get(provider)
                    && let Some(state) = known.keys.get(key)
                {
                    candidate.available &=
                        known.in_use(now, &self.rules) && state.works(now, known.telling, &self.rules);
                }
            }
        }
        let chosen = strategies.choose(self.rules.algorithm, route, candidates)?;
        candidates.get(chosen).map(|chosen| (usize::from(chosen.target), usize::from(chosen.key)))
    }

    /// What a request that failed may hope for: keys that rest on their provider's word, or that were found not to
    /// work, are no hope.
    #[must_use]
    pub fn hope(&self, plan: &Plan<'_>, tried: &Tried, budget: &Budget) -> Hope {
        let now = budget.now();
        let state = self.state.borrow();
        let mut hope = Hope::None;
        for target in 0..plan.len() {
            let Some((provider, _)) = plan.get(target).filter(|_| !tried.is_ruled_out(target)) else {
                continue;
            };
            let Some(known) = state.providers.get(provider).filter(|_| plan.allows(provider)) else {
                continue;
            };
            if known.ejection.is_out() {
                continue;
            }
            for (key, of_key) in known.keys.iter().enumerate().take(self.rules.max_keys) {
                if !of_key.works(now, known.telling, &self.rules) {
                    continue;
                }
                if tried.has(target, key) {
                    hope = Hope::Same;
                } else if budget.rests(provider, key) <= now {
                    return Hope::Other;
                }
            }
        }
        hope
    }

    /// Notes that a request came, which earns its share of a retry.
    pub fn came(&self) {
        self.state.borrow_mut().retries.deposit();
    }

    /// Whether one more may be tried again.
    #[must_use]
    pub fn may_retry(&self, now: Millis) -> bool {
        self.state.borrow_mut().retries.withdraw(now)
    }

    /// How long to wait before the retry `attempt`, from 0, with a key that failed already.
    #[must_use]
    pub fn pause(&self, attempt: u32) -> Duration {
        let mut state = self.state.borrow_mut();
        Duration::from_millis(backoff(attempt, self.rules.interval, MAX_BACKOFF, &mut state.rng))
    }

    fn looks_at_speed(&self) -> bool {
        matches!(self.rules.algorithm, Algorithm::Hybrid | Algorithm::PerformanceOptimized)
    }

    /// Notes that a request is sent with a key.
    #[must_use]
    pub fn sent(&self, provider: ProviderId, key: usize, ask: Ask, now: Millis) -> Underway {
        let mut state = self.state.borrow_mut();
        if let Some(known) = state.providers.get_mut(provider) {
            known.ejection.sent(now);
            if let Some(key) = known.keys.get_mut(key) {
                key.in_flight += 1;
                key.health.sent(now);
            }
        }
        let sent = self.looks_at_speed().then(Instant::now);
        Underway { provider, key, ask, began: now, sent, first: None, told: false }
    }

    /// Takes what an attempt showed; what other shards should know.
    pub fn told(&self, underway: &mut Underway, outcome: Outcome, now: Millis) -> Vec<News> {
        underway.told = true;
        let &mut Underway { provider, key, ask, began, sent, .. } = underway;
        let mut state = self.state.borrow_mut();
        let State { providers, rng, .. } = &mut *state;
        let Some(known) = providers.get_mut(provider) else { return Vec::new() };
        // Where all of a provider's keys fail, the provider does, and that is for it to rest.
        let others = known.keys.iter().enumerate().filter(|(other, _)| *other != key);
        let blame_key = others.map(|(_, other)| other).any(|other| other.health.consecutive() == 0);
        let Some(of_key) = known.keys.get_mut(key) else { return Vec::new() };
        let (health, ejection) = (&self.rules.health, &self.rules.ejection);
        let was = (of_key.health.standing(now, health), known.ejection.is_out());
        match outcome {
            // One that was sent before it came back, and took until now to fail, says what was known.
            Outcome::Failed if began < known.ejection.in_since().max(of_key.health.up_since()) => {}
            Outcome::Answered => {
                if !ask.is_stream {
                    underway.first = sent.map(|sent| sent.elapsed());
                    of_key.speed.whole_began(micros(underway.first), now);
                }
                of_key.health.success(now, health);
                known.ejection.success(now, ejection);
            }
            Outcome::Failed => {
                let consecutive = if blame_key { health.consecutive } else { u32::MAX };
                let rules = HealthRules { consecutive, ..*health };
                of_key.health.failure(now, Failure::Upstream, &rules, rng);
                known.ejection.failure(now, ejection, rng);
            }
            Outcome::Limited => {
                of_key.health.rate_limited(now, 0, health);
                known.ejection.success(now, ejection);
            }
            Outcome::Revoked => {
                of_key.health.revoked(now, health, rng);
                known.ejection.success(now, ejection);
            }
            Outcome::Cancelled => {
                of_key.health.cancelled();
                known.ejection.cancelled();
            }
        }
        let rests = |standing| matches!(standing, Standing::Resting | Standing::Revoked);
        let is = of_key.health.standing(now, health);
        let mut news = Vec::new();
        if is == Standing::Revoked && was.0 != Standing::Revoked {
            news.push(News::Revoked(provider, key, of_key.health.rests_until()));
        } else if rests(is) && !rests(was.0) {
            news.push(News::Key(provider, key, of_key.health.rests_until()));
        } else if matches!(was.0, Standing::Probing) && !rests(is) && outcome == Outcome::Answered {
            news.push(News::Key(provider, key, 0));
        }
        match (was.1, known.ejection.is_out()) {
            (false, true) => {
                known.telling = known.telling.anew();
                news.push(News::Provider(provider, now + self.rules.ejection.base));
            }
            (true, false) => news.push(News::Provider(provider, 0)),
            _ => {}
        }
        news
    }

    /// Notes that the first token of a stream has come.
    pub fn first_token(&self, underway: &mut Underway, now: Millis) {
        let mut state = self.state.borrow_mut();
        let known = state.providers.get_mut(underway.provider);
        if let Some(key) = known.and_then(|known| known.keys.get_mut(underway.key))
            && underway.ask.is_stream
        {
            underway.first = underway.sent.map(|sent| sent.elapsed());
            key.speed.stream_began(micros(underway.first), now);
        }
    }

    /// Notes that a request is over; `tokens` are those of its answer, where that is whole and says so.
    pub fn over(&self, mut underway: Underway, tokens: Option<u32>, now: Millis) {
        if !underway.told {
            let _ = self.told(&mut underway, Outcome::Cancelled, now);
        }
        let mut state = self.state.borrow_mut();
        let known = state.providers.get_mut(underway.provider);
        if let Some(key) = known.and_then(|known| known.keys.get_mut(underway.key)) {
            key.in_flight = key.in_flight.saturating_sub(1);
            let took = underway.sent.map(|sent| sent.elapsed());
            match (underway.first, tokens) {
                (Some(first), Some(tokens)) if underway.ask.is_stream => {
                    let rest = took.map(|took| took.saturating_sub(first));
                    key.speed.stream_ended(micros(Some(first)), micros(rest), tokens, now);
                }
                // One that was answered whole all the same.
                (None, Some(_)) if underway.ask.is_stream => key.speed.stream_began(micros(took), now),
                (first @ Some(_), Some(tokens)) => key.speed.whole_ended(micros(first), tokens, now),
                _ => {}
            }
        }
    }

    /// For metrics: each key's requests in flight, whether it is in use, and its share of failures; and whether
    /// its provider is in use.
    #[must_use]
    pub fn look(&self, now: Millis) -> Vec<KeyLook> {
        let state = self.state.borrow();
        let mut out = Vec::new();
        for (provider, known) in state.providers.iter().enumerate() {
            let in_use = known.in_use(now, &self.rules);
            for (key, state) in known.keys.iter().enumerate() {
                out.push(KeyLook {
                    provider,
                    key,
                    in_flight: state.in_flight,
                    error: state.health.error(now, &self.rules.health),
                    is_up: in_use && state.works(now, known.telling, &self.rules),
                });
            }
        }
        out
    }
}

/// In µs, for [`Speed`]; 0, which says nothing, where it was not measured.
fn micros(took: Option<Duration>) -> f32 {
    took.map_or(0.0, |took| took.as_secs_f32() * 1e6)
}

/// One key as one shard sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyLook {
    /// Its provider.
    pub provider: ProviderId,
    /// Its place among the provider's keys.
    pub key: usize,
    /// Requests under way with it.
    pub in_flight: u32,
    /// Share of recent requests that failed.
    pub error: f32,
    /// Whether it and its provider are in use.
    pub is_up: bool,
}
