//! One instance: shards and homes with delayed messages between them, stalls included.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

use super::{Asked, WINDOW, ideal, rng::Rng, seeds, worst};
use crate::budget::{
    Answer, Limit, LimitId, Millis, Period, Report,
    home::{Home, home_of},
    wallet::{Lack, Take, Ticket, Wallet},
};
use crate::fair::Flow;

const TICK: Millis = 20;
/// The client that sends little.
const SMALL: Flow = Flow { who: 9, class: 1 };
/// A start that is no multiple of anything.
pub(super) const START: Millis = 1_795_594_226_123;

enum Event {
    Arrive,
    Tick(usize),
    Reports(usize, usize, Vec<Report>),
    Answers(usize, Vec<Answer>),
    Settle(usize, Vec<(Take, i64)>, Millis),
    GiveUp(usize, Ticket),
}

struct Shard {
    wallet: Wallet,
    home: Home,
    waiting: HashMap<Ticket, (LimitId, Asked)>,
    /// While stalled it does nothing; what comes waits.
    until: Millis,
}

/// What is tried.
pub(super) struct Case {
    pub(super) shards: usize,
    pub(super) limits: Vec<Limit>,
    /// Per second.
    pub(super) rate: f64,
    /// Percent of arrivals that come to shard 0.
    pub(super) skew: u64,
    /// For so long at first, all of them do.
    pub(super) split_after: Millis,
    /// Whether all comes from one client but for so many of a thousand, which come from another that sends little.
    pub(super) small: Option<u64>,
    /// Of each limit: least and most that a request takes.
    pub(super) takes: Vec<(u64, u64)>,
    /// Percent of a taken amount that turns out to be used, at least.
    pub(super) used: u64,
    /// Longest request.
    pub(super) duration: Millis,
    /// Longest delay of a message.
    pub(super) delay: Millis,
    /// Percent of ticks that stall a shard.
    pub(super) stalls: u64,
    pub(super) length: Millis,
    pub(super) patience: Millis,
}

pub(super) struct World {
    case: Case,
    rng: Rng,
    now: Millis,
    events: BinaryHeap<(Reverse<Millis>, Reverse<u64>, usize)>,
    slots: Vec<Option<Event>>,
    order: u64,
    shards: Vec<Shard>,
    /// The last time a message from one shard to another arrives: they do not overtake each other.
    lanes: HashMap<(usize, usize), Millis>,
    /// By limit: what was really spent, when.
    spends: Vec<Vec<(Millis, i64)>>,
    arrivals: Vec<Vec<(Millis, i64)>>,
    /// What whole milliseconds left out of the times between arrivals.
    lag: f64,
    held: i64,
    most_held: i64,
    /// What was taken, when and on which shard; of the last limit.
    pub(super) served: Vec<(Millis, usize, i64)>,
    /// How long requests of the client that sends little waited, those that gave up included.
    pub(super) small_waited: Vec<Millis>,
    /// So many units were held for so many milliseconds; of the last limit, since the split.
    pub(super) in_use: i64,
    last_change: Millis,
}

impl World {
    pub(super) fn new(case: Case, seed: u64) -> Self {
        let limits: Arc<[Limit]> = case.limits.clone().into();
        let shard = |index| Shard {
            wallet: Wallet::new(limits.clone()),
            home: Home::new(&limits, index, case.shards, false),
            waiting: HashMap::new(),
            until: 0,
        };
        let mut world = Self {
            rng: Rng(seed),
            now: START,
            events: BinaryHeap::new(),
            slots: Vec::new(),
            order: 0,
            shards: (0..case.shards).map(shard).collect(),
            lanes: HashMap::new(),
            spends: vec![Vec::new(); limits.len()],
            arrivals: vec![Vec::new(); limits.len()],
            lag: 0.0,
            held: 0,
            most_held: 0,
            served: Vec::new(),
            small_waited: Vec::new(),
            in_use: 0,
            last_change: START,
            case,
        };
        for shard in 0..world.case.shards {
            let phase = world.rng.below(TICK);
            world.at(START + phase, Event::Tick(shard));
        }
        world.at(START, Event::Arrive);
        world
    }

    fn at(&mut self, when: Millis, event: Event) {
        self.order += 1;
        self.events.push((Reverse(when), Reverse(self.order), self.slots.len()));
        self.slots.push(Some(event));
    }

    fn deliver(&mut self, from: usize, to: usize, event: Event) {
        let mut when = self.now + if from == to { 0 } else { self.rng.below(self.case.delay + 1) };
        let lane = self.lanes.entry((from, to)).or_insert(0);
        when = when.max(*lane);
        *lane = when;
        self.at(when, event);
    }

    pub(super) fn run(&mut self) {
        while let Some((Reverse(when), _, slot)) = self.events.pop() {
            self.now = when;
            if when > START + self.case.length {
                return;
            }
            let event = self.slots[slot].take().unwrap();
            let stalled = match &event {
                Event::Arrive => None,
                Event::Tick(s) | Event::Reports(_, s, _) | Event::Answers(s, _) => Some(*s),
                Event::Settle(s, ..) | Event::GiveUp(s, _) => Some(*s),
            };
            if let Some(until) = stalled.map(|s| self.shards[s].until)
                && until > when
            {
                self.at(until, event);
                continue;
            }
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Arrive => {
                let gap = -self.rng.unit().max(1e-9).ln() * 1000.0 / self.case.rate;
                self.lag += gap;
                self.at(now + self.lag as u64, Event::Arrive);
                self.lag = self.lag.fract();
                let skewed = now < START + self.case.split_after || self.rng.chance(self.case.skew);
                let shard = if skewed { 0 } else { self.rng.below(self.case.shards as u64) as usize };
                let takes: Vec<Take> = (0..self.case.takes.len())
                    .map(|limit| {
                        let (least, most) = self.case.takes[limit];
                        Take { limit: limit as LimitId, amount: self.rng.between(least, most) as i64 }
                    })
                    .collect();
                for take in &takes {
                    self.arrivals[take.limit as usize].push((now, take.amount));
                }
                if self.shards[shard].until <= now {
                    let flow = self.rng.flow();
                    let flow = match self.case.small {
                        None => flow,
                        Some(part) => {
                            if self.rng.below(1_000) < part {
                                SMALL
                            } else {
                                Flow { who: 0, class: 1 }
                            }
                        }
                    };
                    let until = now + self.case.patience;
                    self.attempt(shard, Asked { takes, until, flow }, None);
                }
            }
            Event::Tick(shard) => {
                let mut answers = Vec::new();
                let s = &mut self.shards[shard];
                s.wallet.tick(now);
                s.home.tick(now, &mut answers);
                self.answer(shard, answers);
                self.report(shard, true);
                if self.rng.below(10_000) < self.case.stalls {
                    self.shards[shard].until = now + self.rng.between(100, 5_000);
                }
                self.at(now + TICK, Event::Tick(shard));
            }
            Event::Reports(from, home, reports) => {
                let mut answers = Vec::new();
                self.shards[home].home.receive(from, &reports, now, &mut answers);
                self.answer(home, answers);
            }
            Event::Answers(shard, answers) => {
                let mut wake = Vec::new();
                self.shards[shard].wallet.answers(&answers, now, &mut wake);
                self.wake(shard, wake);
                self.report_urgent(shard);
            }
            Event::Settle(shard, uses, taken) => {
                let mut wake = Vec::new();
                for (take, used) in uses {
                    let period = self.case.limits[take.limit as usize].period;
                    let change = if period == Period::Held { -take.amount } else { used - take.amount };
                    if period == Period::Held {
                        self.hold(-take.amount);
                    }
                    wake.extend(self.shards[shard].wallet.settle(take.limit, change, taken, now));
                }
                self.wake(shard, wake);
                self.report_urgent(shard);
            }
            Event::GiveUp(shard, ticket) => {
                if let Some((limit, asked)) = self.shards[shard].waiting.remove(&ticket) {
                    if asked.flow == SMALL {
                        self.small_waited.push(self.case.patience);
                    }
                    let wallet = &mut self.shards[shard].wallet;
                    let mut wake = wallet.leave(limit, ticket, false, now).into_iter().collect();
                    wallet.stop(ticket, now, &mut wake);
                    self.wake(shard, wake);
                }
            }
        }
    }

    fn attempt(&mut self, shard: usize, asked: Asked, ticket: Option<(LimitId, Ticket)>) {
        let Asked { takes, until, flow } = asked;
        let now = self.now;
        let wallet = &mut self.shards[shard].wallet;
        let result = wallet.take(takes.iter().copied(), ticket.map(|(_, ticket)| ticket), now);
        let mut wake = Vec::new();
        let had = ticket.map(|(limit, ticket)| {
            wake.extend(wallet.leave(limit, ticket, result.is_ok(), now));
            ticket
        });
        let waits = match result {
            Ok(()) => None,
            Err(Lack::Wait(limit)) => Some(limit).filter(|_| now < until),
            Err(Lack::Later(limit, at)) => Some(limit).filter(|_| at <= until),
            Err(Lack::Never(_)) => None,
        };
        if let Some(ticket) = had
            && (waits.is_none() || matches!(result, Err(Lack::Later(..))))
        {
            wallet.stop(ticket, now, &mut wake);
        }
        if flow == SMALL && waits.is_none() {
            self.small_waited.push(now + self.case.patience - until);
        }
        match result {
            Ok(()) => {
                let uses: Vec<_> = takes
                    .into_iter()
                    .map(|take| {
                        let percent = self.rng.between(self.case.used, 100);
                        (take, (take.amount * percent as i64 / 100).max(1))
                    })
                    .collect();
                for (take, used) in &uses {
                    self.spends[take.limit as usize].push((now, *used));
                    if self.case.limits[take.limit as usize].period == Period::Held {
                        self.hold(take.amount);
                        self.served.push((now, shard, take.amount));
                    }
                }
                let ends = now + self.rng.below(self.case.duration + 1);
                self.at(ends, Event::Settle(shard, uses, now));
            }
            Err(_) => {
                if let Some(limit) = waits {
                    let ticket =
                        self.shards[shard].wallet.wait(takes.iter().copied(), limit, (now, until), flow, had);
                    self.shards[shard].waiting.insert(ticket, (limit, Asked { takes, until, flow }));
                    self.at(until, Event::GiveUp(shard, ticket));
                    if self.shards[shard].wallet.next(limit, now) == Some(ticket) {
                        wake.push(ticket);
                    }
                    self.report(shard, false);
                }
            }
        }
        self.wake(shard, wake);
    }

    fn wake(&mut self, shard: usize, tickets: Vec<Ticket>) {
        for ticket in tickets {
            if let Some((limit, asked)) = self.shards[shard].waiting.remove(&ticket) {
                self.attempt(shard, asked, Some((limit, ticket)));
            }
        }
    }

    fn hold(&mut self, change: i64) {
        let since = self.last_change.max(START + self.case.split_after);
        self.in_use += self.held * self.now.saturating_sub(since) as i64;
        self.last_change = self.now;
        self.held += change;
        self.most_held = self.most_held.max(self.held);
    }

    fn report_urgent(&mut self, shard: usize) {
        if self.shards[shard].wallet.is_urgent() {
            self.report(shard, false);
        }
    }

    fn report(&mut self, shard: usize, ticked: bool) {
        let mut out = vec![Vec::new(); self.case.shards];
        self.shards[shard].wallet.reports(ticked, &mut out);
        for (home, reports) in out.into_iter().enumerate().filter(|(_, reports)| !reports.is_empty()) {
            self.deliver(shard, home, Event::Reports(shard, home, reports));
        }
    }

    fn answer(&mut self, home: usize, answers: Vec<(usize, Answer)>) {
        let mut by: HashMap<usize, Vec<Answer>> = HashMap::new();
        for (shard, answer) in answers {
            by.entry(shard).or_default().push(answer);
        }
        let mut by: Vec<_> = by.into_iter().collect();
        by.sort_by_key(|(shard, _)| *shard);
        for (shard, answers) in by {
            self.deliver(home, shard, Event::Answers(shard, answers));
        }
    }

    /// B1 for each limit; what was spent of `binding`, and what 98 % of the limit could have served.
    pub(super) fn judge(&self, seed: u64, binding: usize) -> (i64, i64) {
        for (limit, spends) in self.case.limits.iter().zip(&self.spends) {
            if let Period::Sliding(window) = limit.period {
                let worst = worst(spends, window);
                assert!(
                    worst <= limit.amount,
                    "seed {seed}: {worst} spent within a window, limit {}",
                    limit.amount
                );
            }
            if limit.period == Period::Held {
                let most = self.most_held;
                assert!(most <= limit.amount, "seed {seed}: {most} held, limit {}", limit.amount);
            }
        }
        let limit = self.case.limits[binding];
        let used: i64 = self.spends[binding].iter().map(|(_, amount)| amount).sum();
        (
            used,
            ideal(
                Default::default(),
                self.arrivals[binding].iter().copied(),
                limit.amount,
                WINDOW * 100 / 98,
            ),
        )
    }
}

fn sliding(name: &str, amount: u64, shards: usize) -> Limit {
    Limit { amount: amount as i64, period: Period::Sliding(WINDOW), home: home_of(name, shards) }
}

fn case(rng: &mut Rng) -> Case {
    let shards = [1, 2, 3, 8][rng.below(4) as usize];
    Case {
        shards,
        limits: Vec::new(),
        rate: 0.0,
        skew: [0, 50, 100][rng.below(3) as usize],
        split_after: 0,
        small: None,
        takes: Vec::new(),
        used: 100,
        duration: 3_000,
        delay: rng.below(6),
        stalls: 0,
        length: 3 * WINDOW + 10_000,
        // The least is a few round trips to the home: a refusal needs its word.
        patience: [50, 500, 2_000][rng.below(3) as usize],
    }
}

/// A limit on requests alone, at any size and skew.
#[test]
fn requests_are_never_over_and_hardly_under() {
    seeds(400, |seed| {
        let mut rng = Rng(seed);
        let mut case = case(&mut rng);
        let amount = [3, 10, 60, 500, 3_000][rng.below(5) as usize];
        case.rate = (amount as f64 / 60.0 * (1.3 + rng.unit() * 4.0)).max(30.0);
        case.limits = vec![sliding("requests", amount, case.shards)];
        case.takes = vec![(1, 1)];
        let what = format!(
            "seed {seed}: {amount}/min at {:.1}/s, {} shards, {} % on one, patience {} ms",
            case.rate, case.shards, case.skew, case.patience
        );
        let mut world = World::new(case, seed);
        world.run();
        let (used, least) = world.judge(seed, 0);
        assert!(used >= least, "{what}: {used} used of at least {least}");
    });
}

/// Tokens of very different amounts, partly refunded later, with limits on requests and concurrency as well.
#[test]
fn tokens_reserved_at_worst_are_never_over() {
    seeds(400, |seed| {
        let mut rng = Rng(seed ^ 0x5555);
        let mut case = case(&mut rng);
        case.used = rng.between(10, 100);
        case.rate = 3.0 + rng.unit() * 30.0;
        case.stalls = [0, 0, 20][rng.below(3) as usize];
        case.duration = [100, 3_000, 70_000][rng.below(3) as usize];
        case.limits = vec![
            sliding("requests", rng.between(5, 1_000), case.shards),
            sliding("tokens", rng.between(5_000, 100_000), case.shards),
            Limit {
                amount: rng.between(1, 50) as i64,
                period: Period::Held,
                home: home_of("held", case.shards),
            },
        ];
        case.takes = vec![(1, 1), (10, 5_000), (1, 1)];
        let mut world = World::new(case, seed);
        world.run();
        world.judge(seed, 1);
    });
}

/// Amounts that do not fit what single shards hold must still be found together.
#[test]
fn large_amounts_use_the_limit_too() {
    seeds(200, |seed| {
        let mut rng = Rng(seed ^ 0xAAAA);
        let mut case = case(&mut rng);
        case.patience = 2_000;
        case.duration = 50;
        case.rate = 20.0;
        case.limits = vec![sliding("tokens", 100_000, case.shards)];
        case.takes = vec![(200, 1_000)];
        let what = format!("seed {seed}: {} shards, {} % on one", case.shards, case.skew);
        let mut world = World::new(case, seed);
        world.run();
        let (used, least) = world.judge(seed, 0);
        assert!(used >= least, "{what}: {used} used of at least {least}");
    });
}
