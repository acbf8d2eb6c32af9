//! A provider with so many seats, in virtual time, behind shards that limit themselves.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::*;
use crate::gateway::{
    overload::usual::{Kind, Usual},
    select::Rng,
};

const SHARDS: usize = 2;
/// Clients that wait for their answers, and how long each takes to ask again.
const CLIENTS: usize = 20;
const THINK_MS: f64 = 5.0;

/// A part of a run.
#[derive(Clone, Copy)]
struct Phase {
    seconds: f64,
    /// Requests a second; 0.0 where they come from clients that each ask again once they have their answer.
    rate: f64,
    /// Seats of the provider, and how long an answer takes.
    seats: usize,
    service_ms: f64,
    /// The spread of that: the standard deviation of its natural logarithm.
    sigma: f64,
}

#[derive(Default)]
struct Seen {
    served: usize,
    refused: usize,
    /// From arrival to answer, of those that arrived in the last two thirds of the phase.
    ms: Vec<f64>,
    limited: usize,
}

impl Seen {
    fn p99(&mut self) -> f64 {
        self.ms.sort_by(f64::total_cmp);
        self.ms[self.ms.len() * 99 / 100]
    }
}

#[derive(Default)]
struct Shard {
    limit: Limit,
    usual: Usual,
    in_flight: u32,
    waiting: VecDeque<f64>,
}

/// Arrived, sent, and how it was then.
#[derive(Clone, Copy)]
struct Call {
    shard: usize,
    arrived: f64,
    sent: f64,
    in_flight: u32,
    epoch: u32,
    service_ms: f64,
}

/// In microseconds, so that times can be compared.
fn us(ms: f64) -> u64 {
    (ms * 1000.0) as u64
}

struct World {
    now: f64,
    shards: Vec<Shard>,
    busy: usize,
    queue: VecDeque<Call>,
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    /// When those clients ask that wait for their answers, and by which shard's connections.
    idle: BinaryHeap<Reverse<(u64, usize)>>,
    calls: Vec<Call>,
    rng: Rng,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            now: 0.0,
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            busy: 0,
            queue: VecDeque::new(),
            ends: BinaryHeap::new(),
            idle: BinaryHeap::new(),
            calls: Vec::new(),
            rng: Rng::new(seed),
        }
    }

    fn unit(&mut self) -> f64 {
        (self.rng.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (a, b) = (self.unit().max(1e-12), self.unit());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }

    fn send(&mut self, shard: usize, arrived: f64, phase: &Phase) {
        let service_ms = phase.service_ms * (self.normal() * phase.sigma).exp();
        let of = &mut self.shards[shard];
        of.in_flight += 1;
        let (in_flight, epoch) = (of.in_flight, of.limit.epoch());
        let call = Call { shard, arrived, sent: self.now, in_flight, epoch, service_ms };
        if self.busy < phase.seats {
            self.begin(call);
        } else {
            self.queue.push_back(call);
        }
    }

    fn begin(&mut self, call: Call) {
        self.busy += 1;
        self.ends.push(Reverse((us(self.now + call.service_ms), self.calls.len())));
        self.calls.push(call);
    }

    fn run(&mut self, phase: Phase) -> Seen {
        let (from, until) = (self.now, self.now + phase.seconds * 1000.0);
        let mut seen = Seen::default();
        let mut next = self.now;
        if phase.rate == 0.0 && self.idle.is_empty() && self.ends.is_empty() {
            self.idle =
                (0..CLIENTS).map(|client| Reverse((us(self.now + client as f64), client % SHARDS))).collect();
        }
        loop {
            let end = self.ends.peek().map_or(f64::INFINITY, |Reverse((at, _))| *at as f64 / 1000.0);
            if phase.rate == 0.0 {
                next = self.idle.peek().map_or(f64::INFINITY, |Reverse((at, _))| *at as f64 / 1000.0);
            }
            if next.min(end) >= until {
                self.now = until;
                return seen;
            }
            if next <= end {
                self.now = next;
                let shard = if phase.rate == 0.0 {
                    self.idle.pop().map_or(0, |Reverse((_, shard))| shard)
                } else {
                    next += -self.unit().max(1e-12).ln() * 1000.0 / phase.rate;
                    (self.rng.bits() % SHARDS as u64) as usize
                };
                let of = &mut self.shards[shard];
                match of.limit.most() {
                    Some(most) if of.in_flight >= most => {
                        of.limit.held_back(self.now as Millis);
                        seen.limited += 1;
                        if of.waiting.len() < of.limit.room() {
                            of.waiting.push_back(self.now);
                        } else {
                            seen.refused += 1;
                            self.idle.push(Reverse((us(self.now + THINK_MS), shard)));
                        }
                    }
                    _ => self.send(shard, self.now, &phase),
                }
            } else {
                let Some(Reverse((_, call))) = self.ends.pop() else { continue };
                self.now = end;
                self.busy -= 1;
                while self.busy < phase.seats
                    && let Some(call) = self.queue.pop_front()
                {
                    self.begin(call);
                }
                self.end(call, from + phase.seconds * 333.0, &phase, &mut seen);
            }
        }
    }

    fn end(&mut self, call: usize, counted: f64, phase: &Phase, seen: &mut Seen) {
        let Call { shard, arrived, sent, in_flight, epoch, .. } = self.calls[call];
        if arrived >= counted {
            seen.served += 1;
            seen.ms.push(self.now - arrived);
        }
        let (now, took_us) = (self.now as Millis, us(self.now - sent));
        let of = &mut self.shards[shard];
        of.in_flight -= 1;
        self.idle.push(Reverse((us(self.now + THINK_MS), shard)));
        let usual = of.limit.is_usual();
        if let Some(over) = of.usual.compare("m", Kind::whole(100, 100), took_us, usual, now)
            && let Verdict::Slower(log2) =
                of.limit.observe(Sample { over, in_flight, epoch, took: took_us / 1000 }, now)
        {
            of.usual.slower(log2);
        }
        while self.shards[shard].limit.most().is_none_or(|most| self.shards[shard].in_flight < most)
            && let Some(arrived) = self.shards[shard].waiting.pop_front()
        {
            self.send(shard, arrived, phase);
        }
    }
}

const CALM: Phase = Phase { seconds: 20.0, rate: 40.0, seats: 8, service_ms: 20.0, sigma: 0.06 };

/// Requests that were counted, by what could have been served meanwhile.
fn use_of(seen: &Seen, phase: &Phase) -> f64 {
    let capacity = phase.seats as f64 / phase.service_ms * 1000.0;
    seen.served as f64 / (capacity * phase.seconds * 2.0 / 3.0)
}

#[test]
fn three_times_what_can_be_served_costs_little_of_it_and_no_patience() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let calm = world.run(CALM).p99();
        let near = world.run(Phase { rate: 340.0, ..CALM });
        assert_eq!(near.refused, 0, "seed {seed}");
        let over = Phase { seconds: 60.0, rate: 1200.0, ..CALM };
        let mut seen = world.run(over);
        let (used, p99) = (use_of(&seen, &over), seen.p99());
        assert!(used > 0.9, "seed {seed}: {used}");
        assert!(p99 < 2.0 * calm, "seed {seed}: {p99} ms, {calm} before");
        world.run(CALM);
        assert_eq!(world.run(CALM).limited, 0, "seed {seed}: the limit stays");
    }
}

/// Answers of language models: seconds, and the slowest hundredth ten times as slow as the median.
#[test]
fn long_tails_are_not_overload() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        for rate in [5.0, 20.0, 40.0, 20.0, 60.0, 5.0, 60.0] {
            let phase = Phase { seconds: 120.0, rate, seats: 1000, service_ms: 2000.0, sigma: 1.0 };
            let seen = world.run(phase);
            assert_eq!(seen.limited, 0, "seed {seed}, {rate}/s");
        }
    }
}

#[test]
fn more_requests_alone_are_not_overload() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        for rate in [10.0, 2000.0, 20_000.0] {
            let seen = world.run(Phase { seconds: 5.0, rate, seats: 10_000, ..CALM });
            assert_eq!(seen.limited, 0, "seed {seed}, {rate}/s");
        }
    }
}

/// A server that works on all it has at once, each the slower: twice as slow with four times as many, and then it
/// answers twice as many.
#[test]
fn a_provider_that_answers_more_and_later_is_not_limited() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        for (rate, service_ms) in [(50.0, 100.0), (100.0, 200.0), (50.0, 100.0), (150.0, 300.0)] {
            let seen = world.run(Phase { seconds: 30.0, rate, seats: 10_000, service_ms, sigma: 0.2 });
            let refused = seen.refused as f64 / (rate * 30.0);
            assert!(refused < 0.1, "seed {seed}, {rate}/s: {refused}");
        }
    }
}

/// It takes three times as long from now on, with room for all.
#[test]
fn a_provider_that_becomes_slower_is_not_limited_for_long() {
    let mut all = 0.0;
    for seed in 0..20 {
        let mut world = World::new(seed);
        let before = Phase { seconds: 30.0, rate: 200.0, seats: 10_000, service_ms: 500.0, sigma: 0.4 };
        world.run(before);
        let slow = Phase { service_ms: 1500.0, ..before };
        let first = world.run(slow);
        let refused = first.refused as f64 / (slow.rate * slow.seconds);
        all += refused / 20.0;
        assert_eq!(world.run(slow).limited, 0, "seed {seed}");
    }
    assert!(all < 0.2, "{all}");
}

/// Little by little, so that it looks as if load ran away: more are under way the longer an answer takes.
#[test]
fn clients_that_wait_for_slower_answers_lose_none() {
    let mut tried = 0;
    for seed in 0..50 {
        let mut world = World::new(seed);
        for service_ms in [1.0, 1.0, 2.0, 12.0, 100.0] {
            let phase = Phase { seconds: 0.5, rate: 0.0, seats: 1000, service_ms, sigma: 0.3 };
            let seen = world.run(phase);
            assert_eq!(seen.refused, 0, "seed {seed}, {service_ms} ms");
            tried += seen.limited;
        }
        let seen = world.run(Phase { seconds: 5.0, rate: 0.0, seats: 1000, service_ms: 100.0, sigma: 0.3 });
        assert_eq!(seen.refused, 0, "seed {seed}");
        tried += seen.limited;
    }
    assert!(tried > 0, "none of them looked like overload");
}

#[test]
fn a_provider_that_loses_half_of_its_seats_is_limited_to_the_rest() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.run(CALM);
        world.run(Phase { rate: 300.0, ..CALM });
        let half = Phase { seconds: 60.0, rate: 300.0, seats: 4, ..CALM };
        let mut seen = world.run(half);
        let (used, p99) = (use_of(&seen, &half), seen.p99());
        assert!(used > 0.85, "seed {seed}: {used}");
        assert!(p99 < 60.0, "seed {seed}: {p99} ms");
    }
}
