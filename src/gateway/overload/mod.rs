//! The way to a provider: how many requests it is sent at a time, and who waits when there are more.
//!
//! The number is found out ([`limit`]) from how long answers take beside what is usual ([`usual`]); until a provider
//! shows that it has too much to do there is none. Beyond it a few requests wait, in a line that is fair between
//! clients and knows priorities ([`coo_shards::fair`]); so few that none waits much longer than an answer takes
//! anyway. The others are refused at once: what cannot be served soon is better told so than kept.

pub mod limit;
pub mod usual;

use std::{cell::RefCell, rc::Rc, time::Duration};

use coo_shards::{
    budget::Millis,
    fair::{Flow, Line},
    time,
};

use super::waiter::{Heard, Waiter};
use crate::config::snapshot::ProviderId;
use limit::{Limit, Sample, Verdict};
use usual::{Kind, Usual};

/// The ways to all providers, of one shard.
pub struct Gates {
    gates: Vec<RefCell<Gate>>,
}

#[derive(Default)]
struct Gate {
    limit: Limit,
    usual: Usual,
    in_flight: u32,
    line: Line<Rc<Waiter>>,
    refused: u64,
}

impl Gate {
    fn is_full(&self) -> bool {
        self.limit.most().is_some_and(|most| self.in_flight >= most || !self.line.is_empty())
    }

    /// Lets in who may come.
    fn serve(&mut self) {
        while self.limit.most().is_none_or(|most| self.in_flight < most)
            && let Some(waiter) = self.line.pop_front()
        {
            self.in_flight += 1;
            waiter.hear(Heard::Come);
        }
    }
}

/// How one provider's way stands, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateLook {
    /// Which provider.
    pub provider: ProviderId,
    /// Most under way, where that is limited.
    pub most: Option<u32>,
    /// Requests that wait.
    pub waiting: usize,
    /// Requests refused since the process began.
    pub refused: u64,
}

impl Gates {
    /// Ways to so many providers, without limits.
    #[must_use]
    pub fn new(providers: usize) -> Rc<Self> {
        Rc::new(Self { gates: (0..providers).map(|_| RefCell::default()).collect() })
    }

    /// Whether one more would have to wait.
    #[must_use]
    pub fn is_full(&self, provider: ProviderId) -> bool {
        self.gates.get(provider).is_some_and(|gate| gate.borrow().is_full())
    }

    /// A place for one more request, if it need not wait.
    #[must_use]
    pub fn enter(self: &Rc<Self>, provider: ProviderId) -> Option<Slot> {
        let mut gate = self.gates.get(provider)?.borrow_mut();
        if gate.is_full() {
            return None;
        }
        gate.in_flight += 1;
        Some(self.slot(provider, &gate))
    }

    fn slot(self: &Rc<Self>, provider: ProviderId, gate: &Gate) -> Slot {
        Slot { gates: Rc::clone(self), provider, in_flight: gate.in_flight, epoch: gate.limit.epoch() }
    }

    /// Waits for a place; `None` where too many wait already, or it takes longer than `patience`. While a limit is on
    /// trial, the request may wait for as long as for its answer.
    pub async fn wait(
        self: &Rc<Self>,
        provider: ProviderId,
        flow: Flow,
        (mut patience, time_left): (Duration, Duration),
        now: Millis,
    ) -> Option<Slot> {
        let place = {
            let mut gate = self.gates.get(provider)?.borrow_mut();
            gate.limit.held_back(now);
            patience = if gate.limit.is_on_trial() && !patience.is_zero() {
                time_left
            } else {
                patience.min(time_left)
            };
            if patience.is_zero() {
                gate.refused += 1;
                return None;
            }
            if gate.line.len() >= gate.limit.room() {
                gate.refused += 1;
                gate.line.make_room(flow)?.hear(Heard::TurnedAway);
            }
            let waiter = Rc::<Waiter>::default();
            gate.line.push(flow, 1, Rc::clone(&waiter));
            // The limit may have been lifted meanwhile.
            gate.serve();
            Place { gates: self, provider, waiter }
        };
        match time::timeout(patience, place.waiter.called()).await {
            Some(Heard::Come) => {
                // From here on the slot gives the place back.
                place.waiter.hear(Heard::TurnedAway);
                let gate = self.gates.get(provider)?.borrow();
                Some(self.slot(provider, &gate))
            }
            Some(_) => None,
            None => {
                self.gates.get(provider)?.borrow_mut().refused += 1;
                None
            }
        }
    }

    fn leave(&self, provider: ProviderId) {
        if let Some(gate) = self.gates.get(provider) {
            let mut gate = gate.borrow_mut();
            gate.in_flight = gate.in_flight.saturating_sub(1);
            gate.serve();
        }
    }

    /// How all stand.
    #[must_use]
    pub fn look(&self) -> Vec<GateLook> {
        let look = |(provider, gate): (ProviderId, &RefCell<Gate>)| {
            let gate = gate.borrow();
            GateLook { provider, most: gate.limit.most(), waiting: gate.line.len(), refused: gate.refused }
        };
        self.gates.iter().enumerate().map(look).collect()
    }
}

/// A place in the line, left when dropped, however that comes.
struct Place<'a> {
    gates: &'a Rc<Gates>,
    provider: ProviderId,
    waiter: Rc<Waiter>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        match self.waiter.heard() {
            Heard::Nothing => {
                if let Some(gate) = self.gates.gates.get(self.provider) {
                    gate.borrow_mut().line.remove(|waiter| Rc::ptr_eq(waiter, &self.waiter), false);
                }
            }
            // It was given a place and never came.
            Heard::Come => self.gates.leave(self.provider),
            Heard::TurnedAway => {}
        }
    }
}

/// A request's place on the way to a provider; dropping it frees the place.
pub struct Slot {
    gates: Rc<Gates>,
    provider: ProviderId,
    in_flight: u32,
    epoch: u32,
}

impl Slot {
    /// Notes how long its answer took.
    pub fn answered(&self, model: &str, kind: Kind, took: Duration, now: Millis) {
        let Some(gate) = self.gates.gates.get(self.provider) else { return };
        let mut gate = gate.borrow_mut();
        let Gate { limit, usual, .. } = &mut *gate;
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let Some(over) = usual.compare(model, kind, took_us, limit.is_usual(), now) else { return };
        let took = took_us / 1000;
        let sample = Sample { over, in_flight: self.in_flight, epoch: self.epoch, took };
        match limit.observe(sample, now) {
            Verdict::Same => {}
            Verdict::Changed => gate.serve(),
            Verdict::Slower(log2) => {
                usual.slower(log2);
                gate.serve();
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.gates.leave(self.provider);
    }
}
