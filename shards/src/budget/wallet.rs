//! One shard's leases: a request takes from several at once, or waits, or is told when to come back.

use std::sync::Arc;

use super::{Answer, Ask, Limit, LimitId, Millis, Report, active::Active, lease::Lease};
use crate::fair::{Flow, Line};

/// An amount of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// Which limit.
    pub limit: LimitId,
    /// How much.
    pub amount: i64,
}

/// How often an amount must be in hand for there to be ample.
const AMPLE: i64 = 8;

/// While such come, one is left free on each shard for those who have little waiting beside others that have much:
/// for so long after each, of a limit on what is in use, where the shard has so many. So the most that stands idle is
/// an eighth.
const SPARE_MS: Millis = 5_000;
const SPARE_OF: i64 = 8;

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Nothing is known to stand against it but time: wait for this limit.
    Wait(LimitId),
    /// Not before this time.
    Later(LimitId, Millis),
    /// More than the limit allows at all.
    Never(LimitId),
}

/// A place in the line of those who wait for a limit.
pub type Ticket = u64;

#[derive(Clone, Copy, Debug)]
struct Waiter {
    ticket: Ticket,
    amount: i64,
    until: Millis,
}

/// A shard's leases and who waits for them.
#[derive(Debug)]
pub struct Wallet {
    limits: Arc<[Limit]>,
    leases: Vec<Lease>,
    waiting: Vec<Line<Waiter>>,
    /// By limit, until when one is left free for those who have little waiting.
    spare_until: Vec<Millis>,
    active: Active,
    tickets: Ticket,
    valid_until: Millis,
    collector: Option<Collector>,
    /// Whether a home waits for what was given back.
    urgent: bool,
}

/// One whose turn came for one limit while another one lacked. It keeps what is there of all that it needs, and is next
/// for what lacks: without that, requests that each give up one limit to wait for another might go on until their
/// time is over. There is one at a time, so none of them waits for another.
#[derive(Debug)]
struct Collector {
    ticket: Ticket,
    keeps: Vec<LimitId>,
}

impl Wallet {
    /// Empty leases of `limits`.
    #[must_use]
    pub fn new(limits: Arc<[Limit]>) -> Self {
        let ids = 0..LimitId::try_from(limits.len()).unwrap_or(LimitId::MAX);
        Self {
            leases: ids.zip(limits.iter()).map(|(id, limit)| Lease::new(id, limit.period)).collect(),
            waiting: vec![Line::default(); limits.len()],
            spare_until: vec![0; limits.len()],
            active: Active::new(limits.len()),
            limits,
            tickets: 0,
            valid_until: Millis::MAX,
            collector: None,
            urgent: false,
        }
    }

    fn lease(&mut self, limit: LimitId) -> Option<&mut Lease> {
        self.active.add(limit);
        self.leases.get_mut(limit as usize)
    }

    /// Takes all of `takes`, or nothing. A new request does not overtake those that wait; one that waited shows
    /// its ticket, and may become the one that collects: see [`Wallet::collects`].
    ///
    /// # Errors
    /// What lacks, the latest where several do.
    pub fn take(
        &mut self,
        takes: impl Iterator<Item = Take> + Clone,
        ticket: Option<Ticket>,
        now: Millis,
    ) -> Result<(), Lack> {
        if let Some(ticket) = ticket {
            self.release(ticket);
        }
        let there = now < self.valid_until
            && takes.clone().all(|take| {
                self.leases.get(take.limit as usize).is_none_or(|lease| {
                    lease.available() >= take.amount && (ticket.is_some() || !lease.is_awaited())
                })
            });
        if !there && let Some(lack) = self.lack(takes.clone(), ticket, now) {
            if let Some(ticket) = ticket
                && (matches!(lack, Lack::Wait(_)) || self.collects(ticket))
            {
                self.collect(ticket, takes);
            }
            return Err(lack);
        }
        if ticket.is_some_and(|ticket| self.collects(ticket)) {
            self.collector = None;
        }
        for take in takes {
            if let Some(lease) = self.lease(take.limit) {
                let taken = lease.take(take.amount, now);
                debug_assert!(taken, "what was checked above was not there");
            }
        }
        Ok(())
    }

    /// Whether this request keeps what there is of its limits while it waits for the rest. It should wait on at once,
    /// for the same, or end it with [`Wallet::stop`].
    #[must_use]
    pub fn collects(&self, ticket: Ticket) -> bool {
        self.collector.as_ref().is_some_and(|collector| collector.ticket == ticket)
    }

    /// Makes available what a request keeps that collects.
    fn release(&mut self, ticket: Ticket) {
        if self.collects(ticket) {
            self.release_all();
        }
    }

    /// The same of whichever does; the limits that it kept something of.
    fn release_all(&mut self) -> Vec<LimitId> {
        let collector = self.collector.as_mut();
        let kept = collector.map(|collector| std::mem::take(&mut collector.keeps)).unwrap_or_default();
        for &limit in &kept {
            if let Some(lease) = self.leases.get_mut(limit as usize) {
                lease.release();
            }
        }
        kept
    }

    #[cold]
    fn collect(&mut self, ticket: Ticket, takes: impl Iterator<Item = Take>) {
        let collector = self.collector.get_or_insert_with(|| Collector { ticket, keeps: Vec::new() });
        if collector.ticket == ticket {
            for take in takes {
                if let Some(lease) = self.leases.get_mut(take.limit as usize) {
                    lease.keep(take.amount);
                    collector.keeps.push(take.limit);
                }
            }
        }
    }

    /// Gives up what a request that [collects](Wallet::collects) keeps; adds to `wake` those who can be served now.
    pub fn stop(&mut self, ticket: Ticket, now: Millis, wake: &mut Vec<Ticket>) {
        if self.collects(ticket) {
            let kept = self.release_all();
            self.collector = None;
            wake.extend(kept.into_iter().filter_map(|limit| self.next(limit, now)));
        }
    }

    /// What stands against `takes`.
    #[cold]
    fn lack(
        &mut self,
        takes: impl Iterator<Item = Take> + Clone,
        ticket: Option<Ticket>,
        now: Millis,
    ) -> Option<Lack> {
        let mut lack: Option<Lack> = None;
        for take in takes.clone() {
            let at = take.limit as usize;
            let (Some(limit), Some(lease)) = (self.limits.get(at), self.leases.get(at)) else { continue };
            if take.amount > limit.amount {
                return Some(Lack::Never(take.limit));
            }
            let overtakes = ticket.is_none() && lease.is_awaited();
            if lease.available() >= take.amount && !overtakes && now < self.valid_until {
                continue;
            }
            let this = if lease.not_before() > now {
                Lack::Later(take.limit, lease.not_before())
            } else {
                Lack::Wait(take.limit)
            };
            lack = match (lack, this) {
                (None, this) | (Some(Lack::Wait(_)), this @ Lack::Later(..)) => Some(this),
                (Some(Lack::Later(_, known)), Lack::Later(_, at)) if at > known => Some(this),
                (known, _) => known,
            };
        }
        if let (Some(Lack::Wait(_)), None) = (lack, ticket) {
            // Demand counts where it cannot be met, too: it is what the next grant should be for. And with all
            // that the request needs: what it lacks beside this is to be there, and what is there is to stay.
            for take in takes {
                if let Some(lease) = self.lease(take.limit) {
                    lease.missed(take.amount);
                }
            }
        }
        lack
    }

    /// Whether there is so much of a limit that nobody need reckon closely: `amount` is in hand several times,
    /// and less than half of the limit is in use.
    #[must_use]
    pub fn is_ample(&self, limit: LimitId, amount: i64) -> bool {
        let at = limit as usize;
        let (Some(lease), Some(limit)) = (self.leases.get(at), self.limits.get(at)) else { return true };
        lease.available() >= amount.saturating_mul(AMPLE) && lease.remaining() >= limit.amount / 2
    }

    /// Undoes a take at `taken` whose spend never happened; whom to wake.
    pub fn put_back(&mut self, take: Take, taken: Millis, now: Millis) -> Option<Ticket> {
        let lease = self.lease(take.limit)?;
        lease.put_back(take.amount, taken);
        let urgent = lease.yields(take.amount);
        self.urgent |= urgent;
        self.next(take.limit, now)
    }

    /// Corrects a spend: `change` more, or less where negative, than what was taken at `taken`. A
    /// [`super::Period::Held`] ends with minus its amount. Whom to wake.
    pub fn settle(&mut self, limit: LimitId, change: i64, taken: Millis, now: Millis) -> Option<Ticket> {
        let lease = self.lease(limit)?;
        lease.settle(change, taken, now);
        let urgent = lease.yields(-change);
        self.urgent |= urgent;
        self.next(limit, now)
    }

    /// Whether something was given back that a home waits for: reports must be sent soon.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Dates what was taken at `taken` to now: it is used only now.
    pub fn redate(&mut self, take: Take, taken: Millis, now: Millis) {
        if let Some(lease) = self.lease(take.limit) {
            lease.redate(take.amount, taken, now);
        }
    }

    /// By limit, what settling found spent beyond what was taken.
    pub fn excesses(&self) -> impl Iterator<Item = i64> {
        self.leases.iter().map(Lease::excess)
    }

    /// What is left of a limit, as far as this shard knows.
    #[must_use]
    pub fn remaining(&self, limit: LimitId) -> i64 {
        let most = self.limits.get(limit as usize).map_or(0, |limit| limit.amount);
        self.leases.get(limit as usize).map_or(0, Lease::remaining).min(most)
    }

    /// When a limit's home last said something of it; 0 if it never did.
    #[must_use]
    pub fn answered_at(&self, limit: LimitId) -> Millis {
        self.leases.get(limit as usize).map_or(0, Lease::answered_at)
    }

    /// Until when asking for a limit is in vain, where that is known.
    #[must_use]
    pub fn not_before(&self, limit: LimitId) -> Millis {
        self.leases.get(limit as usize).map_or(0, Lease::not_before)
    }

    /// Waits in line for `limit`, one of `takes`, where what `flow` takes is weighed against what others do; `had` is
    /// the ticket of one that waited before, and it is next if it [collects](Wallet::collects). What else lacks is
    /// asked for as well. Reports must be sent soon after, and it may be [next](Wallet::next) at once.
    pub fn wait(
        &mut self,
        takes: impl Iterator<Item = Take>,
        limit: LimitId,
        (now, until): (Millis, Millis),
        flow: Flow,
        had: Option<Ticket>,
    ) -> Ticket {
        let mut amount = 0;
        for take in takes {
            let at = take.limit as usize;
            if take.limit == limit {
                amount = take.amount;
            } else if self.limits.get(at).is_some_and(|limit| limit.period != super::Period::Held)
                && let Some(lease) = self.lease(take.limit)
                && lease.available() < take.amount
            {
                lease.expect(Ask { need: take.amount, want: take.amount, until, urgent: false });
            }
        }
        let collects = had.filter(|&had| self.collects(had));
        let ticket = collects.unwrap_or_else(|| {
            self.tickets += 1;
            self.tickets
        });
        if let Some(line) = self.waiting.get_mut(limit as usize) {
            let waiter = Waiter { ticket, amount, until };
            if collects.is_some() {
                line.push_front(flow, waiter);
            } else {
                line.push(flow, amount.unsigned_abs(), waiter);
            }
            if line.is_light(flow)
                && let Some(spare_until) = self.spare_until.get_mut(limit as usize)
            {
                *spare_until = now + SPARE_MS;
            }
        }
        self.update(limit);
        ticket
    }

    /// Makes room for one of `flow` who wants to wait for `limit`: who is to be turned away for it, from that
    /// limit's line or else from the longest. `None` where it is the newcomer that has most waiting.
    pub fn make_room(&mut self, limit: LimitId, flow: Flow) -> Option<Ticket> {
        let own =
            self.waiting.get_mut(limit as usize)?.make_room(flow).map(|waiter| (limit as usize, waiter));
        let longest = || {
            let line = self.waiting.iter_mut().enumerate().max_by_key(|(_, line)| line.len());
            line.and_then(|(at, line)| Some((at, line.make_room(flow)?)))
        };
        let (at, waiter) = own.or_else(longest)?;
        self.update(at as LimitId);
        Some(waiter.ticket)
    }

    /// Leaves the line; `served` where it was its turn. Whom to wake next.
    pub fn leave(&mut self, limit: LimitId, ticket: Ticket, served: bool, now: Millis) -> Option<Ticket> {
        self.waiting.get_mut(limit as usize)?.remove(|waiter| waiter.ticket == ticket, served);
        self.update(limit);
        self.next(limit, now)
    }

    fn update(&mut self, limit: LimitId) {
        let ask = self.waiting.get(limit as usize).and_then(|line| {
            let first = line.front()?;
            let want = line.iter().map(|waiter| waiter.amount).fold(0, i64::saturating_add);
            let until = line.iter().map(|waiter| waiter.until).max().unwrap_or(first.until);
            Some(Ask { need: first.amount, want, until, urgent: line.is_front_light() })
        });
        if let Some(lease) = self.lease(limit) {
            lease.wait(ask);
        }
    }

    /// Who is first in line and can be served.
    #[must_use]
    pub fn next(&self, limit: LimitId, now: Millis) -> Option<Ticket> {
        let at = limit as usize;
        let lease = self.leases.get(at)?;
        if !lease.is_awaited() {
            return None;
        }
        let line = self.waiting.get(at)?;
        let first = line.front()?;
        let spares = self.spare_until.get(at).is_some_and(|&until| now < until)
            && self.limits.get(at).is_some_and(|limit| limit.period == super::Period::Held)
            && lease.holds() >= SPARE_OF
            && line.is_all_heavy();
        let served = lease.available() >= first.amount + i64::from(spares) && now < self.valid_until;
        served.then_some(first.ticket)
    }

    /// Takes answers of homes; adds to `wake` those who can be served now or will not be in time.
    pub fn answers(&mut self, answers: &[Answer], now: Millis, wake: &mut Vec<Ticket>) {
        for answer in answers {
            let Some(lease) = self.lease(answer.limit) else { continue };
            lease.answered(answer, now);
            // Where someone waits, what is in hand is that one's already.
            let urgent = !lease.is_awaited() && lease.yields(i64::MAX);
            self.urgent |= urgent;
            let Some(lease) = self.leases.get(answer.limit as usize) else { continue };
            let not_before = lease.not_before();
            wake.extend(self.next(answer.limit, now));
            if not_before > now {
                let line = self.waiting.get(answer.limit as usize);
                let late = line.into_iter().flat_map(Line::iter).filter(|waiter| waiter.until < not_before);
                wake.extend(late.map(|waiter| waiter.ticket));
            }
        }
    }

    /// What is in hand may be spent until `until`. Leases whose time was over are returned first: what is
    /// granted from now on belongs to the new time.
    pub fn valid(&mut self, until: Millis, now: Millis) {
        if now >= self.valid_until {
            self.surrender();
        }
        self.valid_until = until;
    }

    fn surrender(&mut self) {
        self.release_all();
        for limit in self.active.iter() {
            if let (Some(lease), Some(kind)) =
                (self.leases.get_mut(limit as usize), self.limits.get(limit as usize))
                && kind.period != super::Period::Held
            {
                lease.surrender();
            }
        }
    }

    /// A tick has passed.
    pub fn tick(&mut self, now: Millis) {
        if now >= self.valid_until {
            self.surrender();
        }
        let leases = &mut self.leases;
        self.active.retain(|limit| {
            let Some(lease) = leases.get_mut(limit as usize) else { return false };
            lease.tick();
            !lease.is_dormant()
        });
    }

    /// Adds what each home should hear now to its entry of `out`; `ticked` after a tick.
    pub fn reports(&mut self, ticked: bool, out: &mut [Vec<Report>]) {
        self.urgent = false;
        for limit in self.active.iter() {
            let at = limit as usize;
            if let (Some(lease), Some(kind)) = (self.leases.get_mut(at), self.limits.get(at))
                && let Some(to) = out.get_mut(kind.home)
            {
                to.extend(lease.report(ticked));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::Period, *};

    const A: Take = Take { limit: 0, amount: 5 };
    const B: Take = Take { limit: 1, amount: 5 };
    const UNTIL: Millis = 1_000;

    fn flow(who: u32) -> Flow {
        Flow { who, class: 1 }
    }

    fn wallet() -> Wallet {
        let limit = Limit { amount: 100, period: Period::Sliding(60_000), home: 0 };
        Wallet::new(Arc::new([limit; 2]))
    }

    /// A grant; who is called.
    fn granted(wallet: &mut Wallet, limit: LimitId, granted: i64) -> Vec<Ticket> {
        let mut wake = Vec::new();
        let answer =
            Answer { limit, granted, free: 0, not_before: 0, solicited: true, recall: 0, spare: false };
        wallet.answers(&[answer], 0, &mut wake);
        wake
    }

    /// Two need both limits; the first has got A and lacks B. Their tickets.
    fn one_collects() -> (Wallet, Ticket, Ticket) {
        let mut wallet = wallet();
        assert_eq!(wallet.take([A, B].into_iter(), None, 0), Err(Lack::Wait(0)));
        let first = wallet.wait([A, B].into_iter(), 0, (0, UNTIL), flow(1), None);
        let second = wallet.wait([A, B].into_iter(), 1, (0, UNTIL), flow(2), None);
        assert_eq!(granted(&mut wallet, 0, 5), [first]);
        assert_eq!(wallet.take([A, B].into_iter(), Some(first), 0), Err(Lack::Wait(1)));
        assert_eq!(wallet.leave(0, first, false, 0), None);
        assert!(wallet.collects(first));
        (wallet, first, second)
    }

    #[test]
    fn one_that_got_some_of_what_it_needs_keeps_that_and_is_next_for_the_rest() {
        let (mut wallet, first, second) = one_collects();
        assert_eq!(wallet.take([A].into_iter(), None, 0), Err(Lack::Wait(0)), "it is kept");
        assert_eq!(wallet.remaining(0), 5);
        assert_eq!(wallet.wait([A, B].into_iter(), 1, (0, UNTIL), flow(1), Some(first)), first);
        assert_eq!(granted(&mut wallet, 1, 5), [first]);
        assert_eq!(wallet.take([A, B].into_iter(), Some(first), 0), Ok(()));
        assert_eq!(wallet.leave(1, first, true, 0), None);
        assert!(!wallet.collects(first));
        assert_eq!(granted(&mut wallet, 1, 5), [second]);
        assert_eq!(wallet.take([B].into_iter(), Some(second), 0), Ok(()));
    }

    #[test]
    fn what_was_kept_is_others_once_it_gives_up() {
        let (mut wallet, first, _) = one_collects();
        let third = wallet.wait([A].into_iter(), 0, (0, UNTIL), flow(3), None);
        let mut wake = Vec::new();
        wallet.stop(first, 0, &mut wake);
        assert_eq!(wake, [third]);
        assert_eq!(wallet.take([A].into_iter(), Some(third), 0), Ok(()));
    }

    #[test]
    fn one_is_left_free_for_who_has_little_while_such_come() {
        let limit = Limit { amount: 100, period: Period::Held, home: 0 };
        let mut wallet = Wallet::new(Arc::new([limit]));
        let slot = [Take { limit: 0, amount: 1 }].into_iter();
        granted(&mut wallet, 0, SPARE_OF);
        for _ in 0..SPARE_OF {
            assert_eq!(wallet.take(slot.clone(), None, 0), Ok(()));
        }
        let wait = |wallet: &mut Wallet, who| wallet.wait(slot.clone(), 0, (0, UNTIL), flow(who), None);
        let greedy: Vec<_> = (0..12).map(|_| wait(&mut wallet, 1)).collect();
        let end = |wallet: &mut Wallet, now| {
            let next = wallet.settle(0, -1, 0, now)?;
            assert_eq!(wallet.take(slot.clone(), Some(next), now), Ok(()));
            wallet.leave(0, next, true, now);
            Some(next)
        };
        for one in &greedy[..4] {
            assert_eq!(end(&mut wallet, 0), Some(*one), "nobody with little was seen");
        }
        let light = wait(&mut wallet, 2);
        assert_eq!(end(&mut wallet, 0), Some(light));
        assert_eq!(end(&mut wallet, 1), None);
        assert_eq!(end(&mut wallet, 1), Some(greedy[4]), "one more than is left free");
        let light = wait(&mut wallet, 3);
        assert_eq!(wallet.next(0, 2), Some(light), "at once");
        assert_eq!(wallet.take(slot.clone(), Some(light), 2), Ok(()));
        wallet.leave(0, light, true, 2);
        assert_eq!(end(&mut wallet, 3), None);
        assert_eq!(wallet.next(0, SPARE_MS), Some(greedy[5]), "they come no more");
    }

    #[test]
    fn one_at_a_time_collects() {
        let (mut wallet, first, second) = one_collects();
        assert_eq!(granted(&mut wallet, 1, 5), [second]);
        assert_eq!(wallet.take([A, B].into_iter(), Some(second), 0), Err(Lack::Wait(0)));
        assert!(wallet.collects(first) && !wallet.collects(second));
        assert_ne!(wallet.wait([A, B].into_iter(), 0, (0, UNTIL), flow(2), Some(second)), second);
    }

    #[test]
    fn what_is_kept_is_not_spent_after_its_time() {
        let (mut wallet, first, _) = one_collects();
        wallet.valid(10, 0);
        wallet.tick(10);
        wallet.valid(20, 11);
        assert_eq!(wallet.take([A].into_iter(), Some(first), 12), Err(Lack::Wait(0)));
        let mut out = [Vec::new()];
        wallet.reports(false, &mut out);
        assert_eq!(out[0].iter().map(|report| report.returned).sum::<i64>(), 5);
    }
}
