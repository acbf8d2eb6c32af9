//! The requests of a simulated cluster: they come, wait, are sent some time after they reserved, and end.

use super::{
    Asked,
    cluster::{Event, Spend, World},
    rng::Rng,
};
use crate::budget::{
    LimitId,
    stalls::Sent,
    wallet::{Lack, Take, Ticket},
    window::TRANSIT_MS,
};

impl World {
    /// The gateway's `sending`.
    pub(super) fn sending(&mut self, me: usize, shard: usize, mut spend: Spend) -> Spend {
        let late = self.local(me).saturating_sub(spend.taken) > TRANSIT_MS / 2;
        if late || self.instances[me].shards[shard].stalls.may_be_late(spend.sent) {
            self.redate(me, shard, &mut spend);
        }
        spend.sent = self.instances[me].shards[shard].stalls.dated();
        spend
    }

    /// Its `sent`.
    pub(super) fn sent(&mut self, me: usize, shard: usize, mut spend: Spend) -> Spend {
        let sent = self.instances[me].shards[shard].stalls.sent(spend.sent);
        spend.sent = sent.unwrap_or_else(|| {
            self.redate(me, shard, &mut spend);
            Sent::Before
        });
        spend
    }

    /// Its `answered`.
    pub(super) fn answered(&mut self, me: usize, shard: usize, mut spend: Spend) -> Spend {
        if self.instances[me].shards[shard].stalls.may_be_late(spend.sent) {
            self.redate(me, shard, &mut spend);
            spend.sent = Sent::Before;
        }
        spend
    }

    fn redate(&mut self, me: usize, shard: usize, spend: &mut Spend) {
        let now = self.local(me);
        for (take, _) in &spend.uses {
            self.instances[me].shards[shard].wallet.redate(*take, spend.taken, now);
        }
        spend.taken = now;
    }

    pub(super) fn arrive(&mut self) {
        let gap = -self.rng.unit().max(1e-9).ln() * 1000.0 / self.case.rate;
        self.at(self.now + gap as u64, usize::MAX, Event::Arrive);
        let there: Vec<usize> = (0..self.case.instances)
            .filter(|&me| !self.instances[me].dead && self.instances[me].paused <= self.now)
            .collect();
        let Some(&first) = there.first() else { return };
        let skewed = self.rng.chance(self.case.skew);
        let me = if skewed { first } else { there[self.rng.below(there.len() as u64) as usize] };
        let shard = self.rng.below(self.case.shards as u64) as usize;
        let amount = |rng: &mut Rng, (least, most)| rng.between(least, most) as i64;
        let takes: Vec<Take> = (0..self.case.takes.len())
            .map(|limit| Take {
                limit: limit as LimitId,
                amount: amount(&mut self.rng, self.case.takes[limit]),
            })
            .collect();
        for take in &takes {
            self.arrivals[take.limit as usize].push((self.now, take.amount));
        }
        let until = self.local(me) + self.case.patience;
        let flow = self.rng.flow();
        self.attempt(me, shard, Asked { takes, until, flow }, None);
    }

    pub(super) fn attempt(
        &mut self,
        me: usize,
        shard: usize,
        asked: Asked,
        ticket: Option<(LimitId, Ticket)>,
    ) {
        let Asked { takes, until, flow } = asked;
        let now = self.local(me);
        let at = &mut self.instances[me].shards[shard];
        let result = at.wallet.take(takes.iter().copied(), ticket.map(|(_, ticket)| ticket), now);
        let mut wake = Vec::new();
        let had = ticket.map(|(limit, ticket)| {
            wake.extend(at.wallet.leave(limit, ticket, result.is_ok(), now));
            ticket
        });
        if !matches!(result, Ok(()) | Err(Lack::Wait(_))) {
            self.stop(me, shard, had, &mut wake);
        }
        let at = &mut self.instances[me].shards[shard];
        match result {
            Ok(()) => {
                let sent = at.stalls.dated();
                let used = |rng: &mut Rng, take: Take| {
                    let percent = rng.between(self.case.used, 100) as i64;
                    (take, (take.amount * percent / 100).max(1))
                };
                let uses = takes.into_iter().map(|take| used(&mut self.rng, take)).collect();
                let most = [0, 3, 90][self.rng.below(3) as usize];
                let sending = self.now + self.rng.below(most + 1);
                self.at(sending, me, Event::Send(shard, Spend { uses, taken: now, sent, began: self.now }));
            }
            Err(Lack::Wait(limit) | Lack::Later(limit, _))
                if now < until && !matches!(result, Err(Lack::Later(_, at)) if at > until) =>
            {
                let ticket = at.wallet.wait(takes.iter().copied(), limit, (now, until), flow, had);
                at.waiting.insert(ticket, (limit, Asked { takes, until, flow }));
                self.at(self.now + until - now, me, Event::GiveUp(shard, ticket));
                self.report(me, shard, false);
            }
            Err(_) => self.stop(me, shard, had, &mut wake),
        }
        self.wake(me, shard, wake);
    }

    /// One that waited does so no more, and does not get what it wanted.
    pub(super) fn stop(&mut self, me: usize, shard: usize, had: Option<Ticket>, wake: &mut Vec<Ticket>) {
        let now = self.local(me);
        if let Some(ticket) = had {
            self.instances[me].shards[shard].wallet.stop(ticket, now, wake);
        }
    }

    pub(super) fn wake(&mut self, me: usize, shard: usize, tickets: Vec<Ticket>) {
        for ticket in tickets {
            if let Some((limit, asked)) = self.instances[me].shards[shard].waiting.remove(&ticket) {
                self.attempt(me, shard, asked, Some((limit, ticket)));
            }
        }
    }
}
