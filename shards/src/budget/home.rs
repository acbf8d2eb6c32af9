//! The home of a limit: it alone knows the whole, and every permission to spend comes from it.

use std::sync::Arc;

use super::{
    Answer, Limit, LimitId, Millis, Period, Report, Standing,
    active::Active,
    even::Even,
    queue::Queue,
    relay::{Relay, StoreAnswer, StoreReport},
    window::Window,
};

pub use super::queue::To;

/// The authority over one limit, where there is no other instance to share it with.
///
/// What counts against the limit at any time is what was spent within the window, and what was granted and not
/// heard of again: a spend not yet reported can only be among those.
#[derive(Clone, Debug)]
pub struct Authority {
    amount: i64,
    window: Window,
    outstanding: i64,
    queue: Queue,
    closed: Closed,
    /// Who has what, of a limit on what is in use.
    even: Option<Even>,
}

/// A part of a limit that the provider says is used up, which its budget regains evenly until it is whole again.
#[derive(Clone, Copy, Debug, Default)]
struct Closed {
    amount: i64,
    from: Millis,
    until: Millis,
}

impl Closed {
    fn at(&self, now: Millis) -> i64 {
        let (left, whole) = (self.until.saturating_sub(now), self.until.saturating_sub(self.from).max(1));
        let share = i128::from(self.amount) * i128::from(left.min(whole)) / i128::from(whole);
        i64::try_from(share).unwrap_or(self.amount)
    }
}

impl Authority {
    /// An untouched limit, for so many holders.
    #[must_use]
    pub fn new(id: LimitId, limit: Limit, holders: usize) -> Self {
        Self {
            amount: limit.amount,
            window: Window::new(limit.period),
            outstanding: 0,
            queue: Queue::new(id, holders),
            closed: Closed::default(),
            even: (limit.period == Period::Held).then(|| Even::new(holders)),
        }
    }

    /// What may be granted now.
    #[must_use]
    pub fn free(&self, now: Millis) -> i64 {
        self.amount - self.window.total() - self.outstanding - self.closed.at(now)
    }

    /// How the limit stands.
    fn standing(&mut self, id: LimitId, now: Millis) -> Standing {
        self.window.advance(now);
        Standing {
            limit: id,
            spent: self.window.total(),
            granted: self.outstanding,
            free: self.free(now).max(0),
            expired: 0,
        }
    }

    /// Takes a holder's report.
    pub fn receive(&mut self, holder: usize, report: &Report, now: Millis, out: &mut Vec<To>) {
        for &(bucket, amount) in &report.spent {
            self.outstanding -= amount;
            self.window.add(bucket, amount);
        }
        for &(bucket, amount) in &report.corrections {
            self.window.add(bucket, amount);
        }
        self.outstanding -= report.returned;
        if let Some(even) = &mut self.even {
            even.returned(holder, report.returned);
        }
        if report.returned > 0 || !report.spent.is_empty() || !report.corrections.is_empty() {
            self.queue.stir(now);
        }
        self.window.advance(now);
        let from = out.len();
        if let Some(ask) = report.ask {
            let free = self.free(now);
            let window = &self.window;
            self.outstanding += self.queue.ask(holder, ask, free, |more| window.frees(more), now, out);
        }
        self.serve(now, out, from);
    }

    /// Grants what has become free.
    pub fn tick(&mut self, now: Millis, out: &mut Vec<To>) {
        self.window.advance(now);
        let from = out.len();
        self.serve(now, out, from);
        let free = self.free(now);
        if let Some(even) = &mut self.even {
            for (holder, recall) in even.tick(self.queue.waiting().is_some()) {
                let (to, news) = self.queue.news(holder, free);
                out.push((to, Answer { recall, spare: true, ..news }));
            }
        }
    }

    /// Grants what can be granted. `out` has answers of this limit since `from`.
    fn serve(&mut self, now: Millis, out: &mut Vec<To>, from: usize) {
        let free = self.free(now);
        let Some(even) = &mut self.even else {
            if !self.queue.is_empty() {
                let window = &self.window;
                self.outstanding += self.queue.serve(free, |more| window.frees(more), now, out);
            }
            return;
        };
        even.granted(out.get(from..).unwrap_or_default(), now);
        let before = out.len();
        let granted = self.queue.serve_evenly(free, |holder| even.rank(holder), now, out);
        self.outstanding += granted;
        even.granted(out.get(before..).unwrap_or_default(), now);
        even.level(self.queue.pending(), now);
        even.tell(out, from, |holder| self.queue.news(holder, free - granted));
    }

    /// Leaves at most `left` to grant, and evenly more until all of it is there again at `until`: what a provider
    /// said. The last word counts.
    pub fn close(&mut self, left: i64, until: Millis, now: Millis) {
        self.closed = Closed::default();
        let amount = (self.free(now) - left).max(0);
        self.closed = Closed { amount, from: now, until };
    }

    fn is_dormant(&self, now: Millis) -> bool {
        self.queue.is_empty() && self.closed.until <= now
    }
}

/// One limit at its home.
#[derive(Clone, Debug)]
enum Kept {
    Alone(Authority),
    Shared(Relay),
}

/// All limits that live on one shard.
#[derive(Debug)]
pub struct Home {
    kept: Vec<Option<Box<Kept>>>,
    active: Active,
    valid_until: Millis,
    instances: i64,
}

impl Home {
    /// The limits among `limits` whose home is `shard`, of `shards`; `shared` with other instances through a
    /// store, or not.
    #[must_use]
    pub fn new(limits: &Arc<[Limit]>, shard: usize, shards: usize, shared: bool) -> Self {
        let ids = 0..LimitId::try_from(limits.len()).unwrap_or(LimitId::MAX);
        let keep = |(id, limit): (LimitId, &Limit)| {
            (limit.home == shard).then(|| {
                Box::new(if shared {
                    Kept::Shared(Relay::new(id, *limit, shards))
                } else {
                    Kept::Alone(Authority::new(id, *limit, shards))
                })
            })
        };
        Self {
            kept: ids.zip(limits.iter()).map(keep).collect(),
            active: Active::new(limits.len()),
            valid_until: 0,
            instances: 1,
        }
    }

    fn kept(&mut self, limit: LimitId) -> Option<&mut Kept> {
        let kept = self.kept.get_mut(limit as usize)?.as_deref_mut()?;
        self.active.add(limit);
        Some(kept)
    }

    fn relays(&mut self) -> impl Iterator<Item = &mut Relay> {
        self.kept.iter_mut().filter_map(|kept| match kept.as_deref_mut() {
            Some(Kept::Shared(relay)) => Some(relay),
            _ => None,
        })
    }

    /// Takes the reports of a shard.
    pub fn receive(&mut self, from: usize, reports: &[Report], now: Millis, out: &mut Vec<To>) {
        let valid_until = self.valid_until;
        for report in reports {
            match self.kept(report.limit) {
                Some(Kept::Alone(authority)) => authority.receive(from, report, now, out),
                Some(Kept::Shared(relay)) => relay.receive(from, report, now, valid_until, out),
                None => {}
            }
        }
    }

    /// A tick has passed.
    pub fn tick(&mut self, now: Millis, out: &mut Vec<To>) {
        let (valid_until, instances) = (self.valid_until, self.instances);
        let kept = &mut self.kept;
        self.active.retain(|limit| {
            let Some(Some(kept)) = kept.get_mut(limit as usize) else { return false };
            match &mut **kept {
                Kept::Alone(authority) => {
                    authority.tick(now, out);
                    !authority.is_dormant(now)
                }
                Kept::Shared(relay) => {
                    relay.tick(now, valid_until, out);
                    !relay.is_dormant(instances)
                }
            }
        });
    }

    /// Leaves at most `left` of a limit to grant, as a provider said, until all of it is there again at `until`.
    /// Where instances share it, each hears of the provider itself, and only its key's rest is heeded.
    pub fn close(&mut self, limit: LimitId, left: i64, until: Millis, now: Millis) {
        if let Some(Kept::Alone(authority)) = self.kept(limit) {
            authority.close(left, until, now);
        }
    }

    /// What the store should hear now; `round` once per round of exchanges with it.
    pub fn store_reports(&mut self, round: bool) -> Vec<StoreReport> {
        let (kept, instances) = (&mut self.kept, self.instances);
        let report = |limit: LimitId| match kept.get_mut(limit as usize)?.as_deref_mut()? {
            Kept::Shared(relay) => relay.report(round, instances),
            Kept::Alone(_) => None,
        };
        self.active.iter().filter_map(report).collect()
    }

    /// All that the store must know of this instance, for one that has lost its memory.
    pub fn ledger(&mut self, now: Millis) -> Vec<StoreReport> {
        self.relays().filter_map(|relay| relay.ledger(now)).collect()
    }

    /// Takes the store's answers.
    pub fn store_answers(&mut self, answers: &[StoreAnswer], now: Millis, out: &mut Vec<To>) {
        let valid_until = self.valid_until;
        for answer in answers {
            if let Some(Kept::Shared(relay)) = self.kept(answer.limit) {
                relay.answered(answer, now, valid_until, out);
            }
        }
    }

    /// Until when the leases of the store are valid, and how many `instances` there are.
    pub fn valid(&mut self, until: Millis, instances: i64) {
        (self.valid_until, self.instances) = (until, instances);
    }

    /// The store is down; `instances` are known, `agreed` where all of them knew as many.
    pub fn leave(&mut self, instances: i64, agreed: bool, now: Millis) {
        self.relays().for_each(|relay| relay.leave(instances, agreed, now));
    }

    /// The store is back.
    pub fn rejoin(&mut self) {
        let ids = 0..LimitId::try_from(self.kept.len()).unwrap_or(LimitId::MAX);
        for id in ids {
            // Each has something to report.
            if let Some(Kept::Shared(relay)) = self.kept(id) {
                relay.rejoin();
            }
        }
    }

    /// How each limit kept here stands.
    pub fn standings(&mut self, now: Millis) -> Vec<Standing> {
        let kept = self.kept.iter_mut().enumerate();
        kept.filter_map(|(id, kept)| {
            Some(match &mut **kept.as_mut()? {
                Kept::Alone(authority) => authority.standing(LimitId::try_from(id).ok()?, now),
                Kept::Shared(relay) => relay.standing(),
            })
        })
        .collect()
    }
}

/// Which shard of `shards` keeps the limit called `name`: the same for every process of the same shape.
#[must_use]
pub fn home_of(name: &str, shards: usize) -> usize {
    (fnv1a(name) % (shards.max(1) as u64)) as usize
}

/// FNV-1a (Fowler, Noll, Vo): stable over versions, which the standard library's hasher is not.
#[must_use]
pub fn fnv1a(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Ask;

    #[test]
    fn what_a_provider_says_is_used_up_comes_back_evenly() {
        let limit = Limit { amount: 100, period: Period::Sliding(60_000), home: 0 };
        let mut authority = Authority::new(0, limit, 1);
        authority.close(20, 10_000, 0);
        assert_eq!(authority.free(0), 20);
        assert_eq!(authority.free(5_000), 60);
        assert_eq!(authority.free(10_000), 100);
        let ask = Ask { need: 30, want: 30, until: 60_000, urgent: false };
        let mut out = Vec::new();
        authority.receive(0, &Report { ask: Some(ask), ..Report::default() }, 0, &mut out);
        assert!(out.is_empty(), "{out:?}");
        authority.tick(1_300, &mut out);
        assert!(matches!(out[..], [(0, Answer { granted: 30, solicited: true, .. })]), "{out:?}");
    }

    #[test]
    fn homes_are_spread_and_stable() {
        assert_eq!(
            home_of("key:openai:1:tokens_per_minute", 8),
            home_of("key:openai:1:tokens_per_minute", 8)
        );
        let mut counts = [0; 8];
        for n in 0..8_000 {
            counts[home_of(&format!("client:{n}"), 8)] += 1;
        }
        assert!(counts.iter().all(|count| (700..1_300).contains(count)), "{counts:?}");
    }
}
