//! One limit at its home where several instances share it: a store that all of them reach is the authority, and
//! the home holds a lease from it for all shards of its process.
//!
//! A report to the store states what is held as a whole, not how it changed, so that one that is sent twice, or
//! whose answer is lost, does no harm: the store adds what it granted and this home has not acknowledged.
//!
//! While the store is down (not merely out of reach) the home goes on alone with the part of the limit that is
//! its own already: what it spent within the window and what it holds. Those parts of all instances are disjoint
//! and together within the limit, so each may spend its part again as it ages out. Each time the store is found
//! down, that permission is good for as long as a lease: one that was stopped meanwhile, or cut off from a store
//! that may be back, does not go on.

use super::{
    Ask, Dated, Limit, LimitId, Millis, Period, Report, Standing, date,
    demand::Demand,
    queue::{Queue, To},
    window::{TRANSIT_MS, Window},
};

/// Rounds of exchanges without demand after which an instance returns all it holds.
const IDLE_ROUNDS: u32 = 3;

/// What all idle instances keep in hand together, as a part of the limit: enough for the first requests after a
/// pause not to wait for the store, and a quarter of what may stand idle at all.
const KEPT_PARTS: i64 = 200;

/// Apart from each other by at most this much do instances notice that the store is down.
const NOTICE_MS: Millis = 5_000;

/// What the home tells the store of one limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreReport {
    /// Which limit.
    pub limit: LimitId,
    /// Spends since the last report, and corrections; those of the whole window in a ledger.
    pub changes: Vec<Dated>,
    /// All that is held and not spent, here and by the shards.
    pub hold: i64,
    /// All that was granted since the process began, as far as it is part of `hold`.
    pub acknowledged: i64,
    /// What is wanted.
    pub ask: Option<Ask>,
}

impl StoreReport {
    /// One report for this and a `later` one: the later one's state, the changes of both.
    pub fn merge(&mut self, later: Self) {
        for (bucket, amount) in later.changes {
            date(&mut self.changes, bucket, amount);
        }
        self.hold = later.hold;
        self.acknowledged = later.acknowledged;
        self.ask = later.ask.or(self.ask);
    }
}

/// What the store answers of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreAnswer {
    /// Which limit.
    pub limit: LimitId,
    /// Added to what is held; `None` where the lease had lapsed and nothing is held any more.
    pub granted: Option<i64>,
    /// What the store could still grant.
    pub free: i64,
    /// Nothing will be granted before, in this process's time; 0 where that is not known.
    pub not_before: Millis,
    /// Held by instances that have not renewed their leases: it counts as spent, and nobody can spend it.
    pub expired: i64,
}

/// A limit that several instances share, at its home in one of them.
#[derive(Clone, Debug)]
pub struct Relay {
    id: LimitId,
    limit: Limit,
    available: i64,
    outstanding: i64,
    /// Of what shards hold, the part that has lapsed: they give it back for nothing.
    void: i64,
    acknowledged: i64,
    demand: Demand,
    /// What each shard lately wanted beyond what it got.
    unmet: Vec<i64>,
    asked: bool,
    free: i64,
    expired: i64,
    not_before: Millis,
    own: Window,
    changes: Vec<Dated>,
    reported: i64,
    queue: Queue,
    alone: Option<Alone>,
}

/// When more will be free: what the store said or, `alone`, when that much of what was spent here has aged out.
fn frees(alone: Option<&Window>, not_before: Millis, now: Millis) -> impl Fn(i64) -> Option<Millis> + '_ {
    move |more| match alone {
        Some(own) => own.frees(more),
        None => (not_before > now).then_some(not_before),
    }
}

/// Going on without the store.
#[derive(Clone, Copy, Debug)]
struct Alone {
    part: i64,
    since: Millis,
    instances: i64,
    agreed: bool,
}

impl Relay {
    /// Nothing held yet.
    #[must_use]
    pub fn new(id: LimitId, limit: Limit, holders: usize) -> Self {
        Self {
            id,
            limit,
            available: 0,
            outstanding: 0,
            void: 0,
            acknowledged: 0,
            demand: Demand::new(IDLE_ROUNDS),
            unmet: vec![0; holders],
            asked: false,
            free: 0,
            expired: 0,
            not_before: 0,
            own: Window::new(limit.period),
            changes: Vec::new(),
            reported: 0,
            queue: Queue::new(id, holders),
            alone: None,
        }
    }

    /// What may be granted now, given until when leases of the store are valid.
    #[must_use]
    pub fn free(&self, now: Millis, valid_until: Millis) -> i64 {
        match self.alone {
            _ if now >= valid_until => 0,
            Some(alone) => self.part(alone, now) - self.own.total() - self.outstanding,
            None => self.available,
        }
    }

    /// The part of the limit that is this instance's while the store is down. After a window all instances come
    /// down to an even share, and once the last has, those that had less go up to it, if all agree how many they are.
    fn part(&self, alone: Alone, now: Millis) -> i64 {
        let Period::Sliding(window) = self.limit.period else { return alone.part };
        let share = self.limit.amount / alone.instances.max(1);
        let gone = now.saturating_sub(alone.since);
        if gone < window + TRANSIT_MS {
            alone.part
        } else if !alone.agreed || gone < 2 * (window + TRANSIT_MS) + NOTICE_MS {
            alone.part.min(share)
        } else {
            share
        }
    }

    /// How the limit stands, as far as this instance knows.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            limit: self.id,
            spent: self.own.total(),
            granted: self.outstanding + self.available,
            free: (self.free + self.available).max(0),
            expired: self.expired,
        }
    }

    /// Takes a shard's report.
    pub fn receive(
        &mut self,
        holder: usize,
        report: &Report,
        now: Millis,
        valid_until: Millis,
        out: &mut Vec<To>,
    ) {
        for &(bucket, amount) in &report.spent {
            self.outstanding -= amount;
            self.change(bucket, amount);
        }
        for &(bucket, amount) in &report.corrections {
            self.change(bucket, amount);
        }
        self.outstanding -= report.returned;
        let void = self.void.min(report.returned);
        self.void = (self.void - void).min(self.outstanding).max(0);
        if self.alone.is_none() {
            self.available += report.returned - void;
        }
        if report.returned > 0 || !report.spent.is_empty() || !report.corrections.is_empty() {
            self.queue.stir(now);
        }
        self.own.advance(now);
        if let Some(ask) = report.ask {
            self.demand.took(ask.need);
            let free = self.free(now, valid_until);
            let frees = frees(self.alone.map(|_| &self.own), self.not_before, now);
            let granted = self.queue.ask(holder, ask, free, frees, now, out);
            self.lend(granted);
            if let Some(unmet) = self.unmet.get_mut(holder) {
                *unmet = (ask.want - granted).max(0);
            }
        }
        self.serve(now, valid_until, out);
    }

    fn change(&mut self, bucket: u64, amount: i64) {
        self.own.add(bucket, amount);
        if self.limit.period == Period::Held {
            return;
        }
        date(&mut self.changes, bucket, amount);
    }

    fn lend(&mut self, granted: i64) {
        self.outstanding += granted;
        self.demand.took(granted);
        if self.alone.is_none() {
            self.available -= granted;
        }
    }

    fn serve(&mut self, now: Millis, valid_until: Millis, out: &mut Vec<To>) {
        if self.queue.is_empty() {
            return;
        }
        let free = self.free(now, valid_until);
        let frees = frees(self.alone.map(|_| &self.own), self.not_before, now);
        let granted = self.queue.serve(free, frees, now, out);
        self.lend(granted);
    }

    /// A tick has passed.
    pub fn tick(&mut self, now: Millis, valid_until: Millis, out: &mut Vec<To>) {
        self.own.advance(now);
        self.serve(now, valid_until, out);
    }

    /// What the store should hear now; `None` where there is nothing to say. `round` is true once per round of
    /// exchanges with it, when demand is reckoned up.
    #[must_use]
    pub fn report(&mut self, round: bool, instances: i64) -> Option<StoreReport> {
        if self.alone.is_some() {
            return None;
        }
        if round {
            self.demand.tick();
        }
        // Who still wants it says so again until the next round.
        let looks_ahead = round && !self.asked;
        let unmet: i64 = if looks_ahead { self.unmet.iter_mut().map(std::mem::take).sum() } else { 0 };
        let target = self.demand.target().saturating_add(unmet);
        let kept = self.kept(instances);
        let mut ask = None;
        match self.queue.waiting() {
            Some(waiting) if waiting.need > self.available && !self.asked => {
                // As with shards: pieces kept while waiting for more would add up to what nobody can use.
                self.available = 0;
                ask = Some(Ask { want: waiting.want.max(waiting.need + target), ..waiting });
            }
            Some(_) => {}
            // Others may have returned something since this one was told to wait.
            None if !self.asked && round && self.queue.turned_away().is_some() => {
                ask = self.queue.turned_away();
            }
            None if self.available > (2 * target).max(kept) && round => self.available = target.max(kept),
            // Once a round, and not sooner with less: an ask that is under way keeps a larger one from following.
            None if looks_ahead && self.available < (target + 1) / 2 => {
                ask = Some(Ask { need: 0, want: target - self.available, until: 0, urgent: false });
            }
            None => {}
        }
        self.asked |= ask.is_some();
        let hold = self.available + self.outstanding;
        if ask.is_none() && self.changes.is_empty() && hold == self.reported {
            return None;
        }
        self.reported = hold;
        Some(StoreReport {
            limit: self.id,
            changes: std::mem::take(&mut self.changes),
            hold,
            acknowledged: self.acknowledged,
            ask,
        })
    }

    /// What is kept without demand.
    fn kept(&self, instances: i64) -> i64 {
        if self.limit.period == Period::Held {
            0
        } else {
            self.limit.amount / (KEPT_PARTS * instances.max(1))
        }
    }

    /// All that the store must know of this instance, for one that has lost its memory. What was not reported
    /// before is part of it.
    #[must_use]
    pub fn ledger(&mut self, now: Millis) -> Option<StoreReport> {
        self.own.advance(now);
        self.changes.clear();
        self.asked = false;
        self.reported = self.available + self.outstanding;
        let changes: Vec<Dated> = self.own.buckets().collect();
        (!changes.is_empty() || self.reported > 0).then_some(StoreReport {
            limit: self.id,
            changes,
            hold: self.reported,
            acknowledged: self.acknowledged,
            ask: None,
        })
    }

    /// Takes the store's answer.
    pub fn answered(&mut self, answer: &StoreAnswer, now: Millis, valid_until: Millis, out: &mut Vec<To>) {
        self.asked = false;
        match answer.granted {
            Some(granted) => {
                self.acknowledged += granted;
                self.available += granted;
            }
            None => (self.available, self.void) = (0, self.outstanding),
        }
        (self.free, self.expired) = (answer.free, answer.expired);
        self.not_before = answer.not_before;
        self.serve(now, valid_until, out);
        if self.not_before > now {
            self.queue.dismiss(self.not_before, out);
        }
    }

    /// The store is down: go on with the part that is this instance's. `instances` are known; `agreed` where all of
    /// them knew as many.
    pub fn leave(&mut self, instances: i64, agreed: bool, now: Millis) {
        if self.alone.is_none() {
            self.own.advance(now);
            let part = self.own.total() + self.outstanding + self.available;
            self.available = 0;
            self.asked = false;
            self.alone = Some(Alone { part, since: now, instances, agreed });
        }
    }

    /// The store is back. What shards hold is what is held of it; what was spent meanwhile is reported.
    pub fn rejoin(&mut self) {
        if self.alone.take().is_some() {
            self.not_before = 0;
            // Whatever it was told before it went away, it is told again.
            self.reported = -1;
        }
    }

    /// Whether there is nothing to do for it until someone comes.
    #[must_use]
    pub fn is_dormant(&self, instances: i64) -> bool {
        self.queue.is_empty()
            && self.changes.is_empty()
            && self.demand.is_idle()
            && !self.asked
            && self.available <= self.kept(instances)
            && self.reported == self.available + self.outstanding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reports_become_one() {
        let ask = Ask { need: 1, want: 2, until: 3, urgent: false };
        let mut first =
            StoreReport { limit: 4, changes: vec![(1, 5)], hold: 9, acknowledged: 1, ask: Some(ask) };
        first.merge(StoreReport {
            limit: 4,
            changes: vec![(1, -2), (2, 7)],
            hold: 3,
            acknowledged: 2,
            ask: None,
        });
        let want =
            StoreReport { limit: 4, changes: vec![(1, 3), (2, 7)], hold: 3, acknowledged: 2, ask: Some(ask) };
        assert_eq!(first, want);
    }
}
