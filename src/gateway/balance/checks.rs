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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{ProcessEnv, load_str, snapshot::Snapshot},
        gateway::{
            balance::{Outcome, Underway},
            select::speed::Ask,
        },
    };

    const ASK: Ask = Ask { is_stream: false, tokens: 100 };

    const CONFIG: &str = "
llm_providers:
  - {id: a, type: custom, base_url: 'http://127.0.0.1:1/v1', api_keys: [k1, k2]}
  - {id: b, type: custom, base_url: 'http://127.0.0.1:2/v1', api_keys: [k3]}
policy: {health_check_interval: 10s}
";

    /// What two shards know, and the news from one to the other.
    struct Two([Balance; 2]);

    impl Two {
        fn new() -> Self {
            let config = load_str("test.yaml", CONFIG, &ProcessEnv).unwrap().config;
            let snapshot = Snapshot::new(&config, 2);
            let rules = Rules::new(&config.policy, &config.key_rotation);
            Self([0, 1].map(|shard| Balance::new(&snapshot, rules.clone(), shard, 0)))
        }

        fn spread(&self, from: usize, news: Vec<News>, now: Millis) {
            news.into_iter().for_each(|one| self.0[1 - from].heard(one, now));
        }

        fn tell(&self, shard: usize, mut underway: Underway, outcome: Outcome, now: Millis) {
            self.spread(shard, self.0[shard].told(&mut underway, outcome, now), now);
        }

        fn ask(&self, shard: usize, key: usize, outcome: Outcome, now: Millis) {
            self.tell(shard, self.0[shard].sent(0, key, ASK, now), outcome, now);
        }

        /// Whether the first provider's keys are in use, on each shard.
        fn up(&self, now: Millis) -> [[bool; 2]; 2] {
            [0, 1].map(|shard| {
                let look = self.0[shard].look(now);
                [0, 1].map(|key| look[key].is_up)
            })
        }

        /// The first check that is due after `now` on a shard, and when.
        fn check(&self, shard: usize, now: Millis) -> (Check, Millis) {
            let due = |now| self.0[shard].checks_due(now, |provider| provider % 2 == shard).pop();
            (now..now + 200_000).find_map(|now| Some((due(now)?, now))).expect("a check")
        }

        fn checked(&self, shard: usize, check: Check, finding: Finding, now: Millis) {
            self.spread(shard, self.0[shard].checked(check, finding, now), now);
        }
    }

    const ALL: [[bool; 2]; 2] = [[true; 2]; 2];
    const NONE: [[bool; 2]; 2] = [[false; 2]; 2];

    /// Two shards of which the second, which does not check, found that the first provider fails.
    fn failed() -> Two {
        let two = Two::new();
        assert!(two.0[0].checks_due(50, |_| true).is_empty(), "what works is not checked");
        for n in 0..5 {
            two.ask(1, n % 2, Outcome::Failed, 100);
        }
        assert_eq!(two.up(100), NONE);
        two
    }

    #[test]
    fn one_shard_checks_and_all_know_what_it_found() {
        let two = failed();
        let (check, now) = two.check(0, 100);
        assert!(!check.of_key && now <= 5100, "{check:?} {now}");
        two.checked(0, check, Finding::Fails, now);
        assert_eq!(two.up(now + 60_000), NONE, "no request is risked, however long it takes");
        let (check, now) = two.check(0, now);
        two.checked(0, check, Finding::Works, now);
        assert_eq!(two.up(now), ALL);
        two.checked(0, check, Finding::Works, now);
        assert_eq!(two.up(now), ALL, "what is known already changes nothing");
    }

    #[test]
    fn requests_find_out_where_checks_cannot() {
        for finding in [Finding::NoEndpoint, Finding::Limited, Finding::Refused] {
            let two = failed();
            let (check, now) = two.check(0, 100);
            two.checked(0, check, finding, now);
            let now = now + 20_000;
            assert_eq!(two.up(now), ALL, "{finding:?}: one request may go on each shard");
            two.ask(1, 0, Outcome::Answered, now);
            two.ask(0, 0, Outcome::Answered, now);
            assert_eq!(two.up(now), ALL);
            for _ in 0..5 {
                two.ask(1, 0, Outcome::Failed, now);
            }
            let requests_find_out = two.up(now + 40_000) == ALL;
            assert_eq!(requests_find_out, finding == Finding::NoEndpoint, "{finding:?}: the next time");
        }
    }

    #[test]
    fn a_request_from_before_it_came_back_does_not_throw_it_out() {
        let two = failed();
        let late = two.0[0].sent(0, 0, ASK, 90);
        let (check, now) = two.check(0, 100);
        two.checked(0, check, Finding::Works, now);
        two.tell(0, late, Outcome::Failed, now + 1);
        assert_eq!(two.up(now + 1), ALL);
        two.ask(0, 0, Outcome::Failed, now + 2);
        assert_eq!(two.up(now + 2), NONE, "one sent since then does");
    }

    #[test]
    fn a_refused_key_is_checked_for_itself() {
        let two = Two::new();
        two.ask(1, 1, Outcome::Revoked, 100);
        assert_eq!(two.up(100), [[true, false]; 2]);
        let (check, now) = two.check(0, 100);
        assert!(check.of_key && check.key == 1, "{check:?}");
        two.checked(0, check, Finding::Refused, now);
        assert_eq!(two.up(now + 60_000), [[true, false]; 2]);
        let (check, now) = two.check(0, now);
        two.checked(0, check, Finding::Works, now);
        assert_eq!(two.up(now), ALL);
    }

    #[test]
    fn a_key_that_rests_is_checked_when_its_rest_is_over() {
        let two = Two::new();
        for _ in 0..3 {
            two.ask(0, 1, Outcome::Failed, 100);
            two.ask(0, 0, Outcome::Answered, 100);
        }
        assert_eq!(two.up(100), [[true, false]; 2]);
        let (check, now) = two.check(0, 100);
        assert!(check.of_key && now >= 60_100, "{now}");
        two.checked(0, check, Finding::Fails, now);
        let (check, later) = two.check(0, now);
        assert!(later >= now + 120_000, "twice as long: {}", later - now);
        assert_eq!(two.up(later), [[true, false]; 2]);
        two.checked(0, check, Finding::Works, later);
        assert_eq!(two.up(later), ALL);
    }
}
