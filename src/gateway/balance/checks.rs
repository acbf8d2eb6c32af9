//! What is checked while it is out, what checks show, and what other shards found.

use coo_shards::budget::Millis;

use super::{Balance, KeyState, News, ProviderState, Rules, State};
use crate::{
    config::snapshot::ProviderId,
    gateway::select::check::{Finding, Pace, Telling},
};

/// A check to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Of whom.
    pub provider: ProviderId,
    /// With which key.
    pub key: usize,
    /// Whether it is for the key's sake; else the provider is out.
    of_key: bool,
}

impl KeyState {
    /// Whether it works, as far as this shard and the others know. One that rests is not tried by requests where
    /// checks will tell; one that was refused is, once in a long time, for it may not be allowed to list models.
    pub(super) fn works(&self, now: Millis, telling: Telling, rules: &Rules) -> bool {
        let tried = telling != Telling::Tells || !self.health.is_down() || self.health.is_revoked();
        tried && self.health.is_available(now, &rules.health)
    }
}

impl ProviderState {
    /// Whether it is in use, as far as this shard and the others know; see [`KeyState::works`].
    pub(super) fn in_use(&self, now: Millis, rules: &Rules) -> bool {
        let tried = self.telling != Telling::Tells || !self.ejection.is_out();
        tried && self.ejection.is_available(now, &rules.ejection)
    }
}

impl Balance {
    /// The checks to send now, of providers that this shard looks after: where a provider is out, of itself, else
    /// of its keys that are.
    #[must_use]
    pub fn checks_due(&self, now: Millis, is_mine: impl Fn(ProviderId) -> bool) -> Vec<Check> {
        let mut state = self.state.borrow_mut();
        let State { providers, rng, .. } = &mut *state;
        let interval = self.rules.check_interval;
        let mut due = Vec::new();
        for (provider, known) in providers.iter_mut().enumerate().filter(|(provider, _)| is_mine(*provider)) {
            if known.telling == Telling::Never {
                continue;
            }
            if known.ejection.is_out() {
                if known.checks.due(now, Pace::Provider, interval, rng) {
                    let key = known.keys.iter().position(|key| !key.health.is_down()).unwrap_or(0);
                    due.push(Check { provider, key, of_key: false });
                }
                continue;
            }
            known.checks.clear();
            for (key, of_key) in known.keys.iter_mut().enumerate().take(self.rules.max_keys) {
                let pace = match (of_key.health.is_down(), of_key.health.is_revoked()) {
                    (false, _) => {
                        of_key.checks.clear();
                        continue;
                    }
                    (true, true) => Pace::Refused,
                    (true, false) => Pace::Rested,
                };
                let rests = pace == Pace::Rested && now < of_key.health.rests_until();
                if !rests && of_key.checks.due(now, pace, interval, rng) {
                    due.push(Check { provider, key, of_key: true });
                }
            }
        }
        due
    }

    /// Takes what a check showed; what other shards should know.
    pub fn checked(&self, check: Check, finding: Finding, now: Millis) -> Vec<News> {
        let Check { provider, key, of_key } = check;
        let mut state = self.state.borrow_mut();
        let State { providers, rng, .. } = &mut *state;
        let Some(known) = providers.get_mut(provider) else { return Vec::new() };
        let mut news = Vec::new();
        let mut telling = known.telling;
        if of_key {
            let Some(key_state) = known.keys.get_mut(key) else { return news };
            let checks = key_state.checks.done();
            let health = &mut key_state.health;
            if !health.is_down() {
                return news;
            }
            let revoked = health.is_revoked();
            if !revoked || finding == Finding::NoEndpoint {
                telling = telling.after(finding, checks);
            }
            if finding == Finding::Works {
                health.reinstate(now);
                news.push(News::Key(provider, key, 0));
            } else if finding == Finding::Fails && !revoked {
                health.rest_again(now, &self.rules.health, rng);
                news.push(News::Key(provider, key, health.rests_until()));
            }
        } else {
            let checks = known.checks.done();
            if !known.ejection.is_out() {
                return news;
            }
            telling = telling.after(finding, checks);
            if finding == Finding::Works {
                known.ejection.reinstate(now, &self.rules.ejection);
                news.push(News::Provider(provider, 0));
            }
        }
        if telling != known.telling {
            known.telling = telling;
            news.push(News::Checks(provider, telling));
        }
        news
    }

    /// Takes what another shard found.
    pub fn heard(&self, news: News, now: Millis) {
        let mut state = self.state.borrow_mut();
        let (News::Key(provider, ..)
        | News::Revoked(provider, ..)
        | News::Provider(provider, _)
        | News::Checks(provider, _)) = news;
        let Some(known) = state.providers.get_mut(provider) else { return };
        match news {
            News::Provider(_, 0) => known.ejection.reinstate(now, &self.rules.ejection),
            News::Provider(_, until) => {
                known.ejection.heard(until);
                known.telling = known.telling.anew();
            }
            News::Checks(_, telling) => known.telling = telling,
            News::Key(_, key, until) | News::Revoked(_, key, until) => {
                let Some(key) = known.keys.get_mut(key) else { return };
                match until {
                    0 => key.health.reinstate(now),
                    until => key.health.heard(until, matches!(news, News::Revoked(..))),
                }
            }
        }
    }
}
