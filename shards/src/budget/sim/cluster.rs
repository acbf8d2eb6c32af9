//! Several instances that share limits through a store, with faults in between: the store refuses, forgets, is
//! replaced by an older copy of itself or out of reach; messages are lost; instances are killed and stopped;
//! their clocks differ and drift.
//!
//! Times of events are real ones, and the store's clock shows them. What was spent is judged by when it left,
//! in real time, whatever an instance thinks the time was.

use std::{cmp::Ordering, collections::BinaryHeap, collections::HashMap, sync::Arc};

use super::{
    Asked, WINDOW,
    faults::Fault,
    rng::Rng,
    store::{Call, Memory, Reply, VALIDITY_MS},
    sync::{Question, Sync, Tell, Told},
};
use crate::budget::{
    Answer, Limit, LimitId, Millis, Report,
    home::Home,
    relay::StoreAnswer,
    stalls::{Sent, Stalls},
    wallet::{Take, Ticket, Wallet},
};

pub(super) const START: Millis = 1_795_594_226_123;
const TICK: Millis = 20;
pub(super) const ROUND: Millis = 100;
pub(super) const TIMEOUT: Millis = 700;

pub(super) enum Note {
    Reports(usize, Vec<Report>),
    Answers(Vec<Answer>),
    Store(Vec<StoreAnswer>),
    Valid(Millis, i64),
    Leave(i64, bool),
    Ask(Question),
}

pub(super) struct Spend {
    pub(super) uses: Vec<(Take, i64)>,
    pub(super) taken: Millis,
    pub(super) sent: Sent,
    /// When it was really taken.
    pub(super) began: Millis,
}

pub(super) enum Event {
    Arrive,
    Tick(usize),
    /// To a shard of an instance.
    Note(usize, Note),
    ToSync(usize, Told),
    Round,
    Opened(u64),
    Reply(u64, Reply),
    Broken(u64),
    TimedOut(u64),
    /// The request is about to be sent, is sent, is seen to be sent, has ended.
    Send(usize, Spend),
    Leaves(usize, Spend),
    Sent(usize, Spend),
    Ends(usize, Spend),
    GiveUp(usize, Ticket),
    /// At the store: a call over a connection opened in that many-th time of its being up.
    Call(u64, u64, Call),
    Fault(usize),
    /// The store ends.
    Stop,
    Over(usize),
}

struct At {
    when: Millis,
    order: u64,
    instance: usize,
    event: Event,
}

impl PartialEq for At {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for At {}
impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for At {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.when, other.order).cmp(&(self.when, self.order))
    }
}

pub(super) struct Shard {
    pub(super) wallet: Wallet,
    home: Home,
    pub(super) waiting: HashMap<Ticket, (LimitId, Asked)>,
    pub(super) stalls: Stalls,
    ticks: u64,
}

pub(super) struct Instance {
    pub(super) shards: Vec<Shard>,
    pub(super) sync: Sync,
    /// What its clock is ahead by, in ms, and gains per 1,000,000.
    pub(super) skew: i64,
    ppm: i64,
    pub(super) dead: bool,
    pub(super) paused: Millis,
    /// When the last message from one party to another arrives: they do not overtake each other.
    lanes: HashMap<(usize, usize), Millis>,
    pub(super) token: u64,
    pub(super) connection: u64,
    pub(super) round_began: Millis,
}

/// What is tried.
pub(super) struct Case {
    pub(super) instances: usize,
    pub(super) shards: usize,
    pub(super) limits: Vec<Limit>,
    /// Per second.
    pub(super) rate: f64,
    /// Percent of arrivals that come to instance 0.
    pub(super) skew: u64,
    /// Of each limit: least and most that a request takes.
    pub(super) takes: Vec<(u64, u64)>,
    /// Percent of a taken amount that turns out to be used, at least.
    pub(super) used: u64,
    pub(super) duration: Millis,
    /// Longest way between an instance and the store.
    pub(super) delay: Millis,
    /// In 1000 messages between them, that many are lost.
    pub(super) loss: u64,
    pub(super) patience: Millis,
    pub(super) length: Millis,
    pub(super) faults: Vec<Fault>,
}

pub(super) struct World {
    pub(super) case: Case,
    pub(super) rng: Rng,
    pub(super) now: Millis,
    events: BinaryHeap<At>,
    order: u64,
    pub(super) instances: Vec<Instance>,
    pub(super) memory: Memory,
    pub(super) copy: Option<Memory>,
    pub(super) run: u64,
    /// Times that the store came up; connections do not outlive one.
    pub(super) ups: u64,
    pub(super) refuses: bool,
    /// Until when it cannot be reached, by instance.
    pub(super) cut: Vec<Millis>,
    pub(super) tokens: u64,
    /// By limit: what was really spent, when, and what was wanted.
    pub(super) spends: Vec<Vec<(Millis, i64)>>,
    pub(super) arrivals: Vec<Vec<(Millis, i64)>>,
    pub(super) trace: bool,
}

impl World {
    pub(super) fn new(case: Case, seed: u64) -> Self {
        let limits: Arc<[Limit]> = case.limits.clone().into();
        let mut rng = Rng(seed ^ 0xC1A5_7E12);
        let instances = (0..case.instances).map(|me| Instance {
            shards: (0..case.shards).map(|shard| shard_of(&limits, shard, case.shards)).collect(),
            sync: Sync::new(me, case.shards, case.limits.clone()),
            skew: rng.below(1_001) as i64 - 500,
            ppm: rng.below(101) as i64 - 50,
            dead: false,
            paused: 0,
            lanes: HashMap::new(),
            token: 0,
            connection: 0,
            round_began: 0,
        });
        let mut world = Self {
            instances: instances.collect(),
            rng,
            now: START,
            events: BinaryHeap::new(),
            order: 0,
            memory: Memory::default(),
            copy: None,
            run: 1,
            ups: 1,
            refuses: false,
            cut: vec![0; case.instances],
            tokens: 0,
            spends: vec![Vec::new(); limits.len()],
            arrivals: vec![Vec::new(); limits.len()],
            trace: std::env::var("BUDGET_TRACE").is_ok(),
            case,
        };
        for me in 0..world.case.instances {
            let begins = START + world.rng.below(2_000);
            for shard in 0..world.case.shards {
                let phase = world.rng.below(TICK);
                world.at(begins + phase, me, Event::Tick(shard));
            }
            world.at(begins, me, Event::Round);
        }
        for index in 0..world.case.faults.len() {
            let fault = world.case.faults[index];
            world.at(fault.begins, usize::MAX, Event::Fault(index));
            world.at(fault.ends, usize::MAX, Event::Over(index));
        }
        world.at(START, usize::MAX, Event::Arrive);
        world
    }

    pub(super) fn at(&mut self, when: Millis, instance: usize, event: Event) {
        self.order += 1;
        self.events.push(At { when, order: self.order, instance, event });
    }

    pub(super) fn local(&self, me: usize) -> Millis {
        let Instance { skew, ppm, .. } = self.instances[me];
        self.now.saturating_add_signed(skew + (self.now - START) as i64 * ppm / 1_000_000)
    }

    /// Between parties of one instance; the one after the shards exchanges with the store.
    fn deliver(&mut self, me: usize, from: usize, to: usize, event: Event) {
        let delay = if from == to { 0 } else { self.rng.below(6) };
        let lane = self.instances[me].lanes.entry((from, to)).or_insert(0);
        let when = (self.now + delay).max(*lane);
        *lane = when;
        self.at(when, me, event);
    }

    pub(super) fn run(&mut self) {
        while let Some(At { when, instance, event, .. }) = self.events.pop() {
            self.now = when;
            if when > START + self.case.length {
                return;
            }
            if let Some(at) = self.instances.get(instance) {
                if at.dead && !matches!(event, Event::Call(..)) {
                    continue;
                }
                if at.paused > when && !matches!(event, Event::Call(..)) {
                    self.at(self.instances[instance].paused, instance, event);
                    continue;
                }
            }
            self.handle(instance, event);
        }
    }

    fn handle(&mut self, me: usize, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::Tick(shard) => self.tick(me, shard),
            Event::Note(shard, note) => self.note(me, shard, note),
            Event::ToSync(from, told) => {
                self.instances[me].sync.inbox.push_back((from, told));
                let now = self.local(me);
                if let Some(next) = self.instances[me].sync.told(now) {
                    self.follow(me, next);
                }
            }
            Event::Round => {
                self.instances[me].round_began = self.now;
                let now = self.local(me);
                let next = self.instances[me].sync.round(now);
                self.follow(me, next);
            }
            Event::Send(shard, spend) => {
                let spend = self.sending(me, shard, spend);
                let wire = self.now + self.rng.below(6);
                self.at(wire, me, Event::Leaves(shard, spend));
            }
            Event::Leaves(shard, spend) => {
                // A process stopped for so long between taking and sending that its permission lapsed meanwhile
                // cannot know: what was under way then comes on top.
                let lapsed = self.now > spend.began + VALIDITY_MS + WINDOW;
                for (take, used) in spend.uses.iter().filter(|_| !lapsed) {
                    self.spends[take.limit as usize].push((self.now, *used));
                }
                let seen = self.now + self.rng.below(3);
                self.at(seen, me, Event::Sent(shard, spend));
            }
            Event::Sent(shard, spend) => {
                let spend = self.sent(me, shard, spend);
                let ends = self.now + self.rng.below(self.case.duration + 1);
                self.at(ends, me, Event::Ends(shard, spend));
            }
            Event::Ends(shard, spend) => {
                let spend = self.answered(me, shard, spend);
                let now = self.local(me);
                let mut wake = Vec::new();
                for (take, used) in &spend.uses {
                    let wallet = &mut self.instances[me].shards[shard].wallet;
                    wake.extend(wallet.settle(take.limit, used - take.amount, spend.taken, now));
                }
                self.wake(me, shard, wake);
            }
            Event::GiveUp(shard, ticket) => {
                let now = self.local(me);
                let at = &mut self.instances[me].shards[shard];
                if let Some((limit, _)) = at.waiting.remove(&ticket) {
                    let mut wake = at.wallet.leave(limit, ticket, false, now).into_iter().collect();
                    self.stop(me, shard, Some(ticket), &mut wake);
                    self.wake(me, shard, wake);
                }
            }
            Event::Call(token, connection, call) => self.call(me, token, connection, &call),
            Event::Opened(..) | Event::Reply(..) | Event::Broken(_) | Event::TimedOut(_) => {
                self.heard(me, event)
            }
            Event::Fault(index) => self.begin(index),
            Event::Stop => self.refuses = true,
            Event::Over(index) => self.end(index),
        }
    }

    pub(super) fn report(&mut self, me: usize, shard: usize, ticked: bool) {
        let mut out = vec![Vec::new(); self.case.shards];
        self.instances[me].shards[shard].wallet.reports(ticked, &mut out);
        for (home, reports) in out.into_iter().enumerate().filter(|(_, reports)| !reports.is_empty()) {
            self.deliver(me, shard, home, Event::Note(home, Note::Reports(shard, reports)));
        }
    }

    fn answer(&mut self, me: usize, home: usize, mut answers: Vec<(usize, Answer)>) {
        answers.sort_by_key(|(shard, _)| *shard);
        for group in answers.chunk_by(|(a, _), (b, _)| a == b) {
            let answers = group.iter().map(|(_, answer)| *answer).collect();
            self.deliver(me, home, group[0].0, Event::Note(group[0].0, Note::Answers(answers)));
        }
    }

    fn tick(&mut self, me: usize, shard: usize) {
        let now = self.local(me);
        let at = &mut self.instances[me].shards[shard];
        at.stalls.tick(now);
        at.ticks += 1;
        let mut answers = Vec::new();
        at.home.tick(now, &mut answers);
        at.wallet.tick(now);
        self.answer(me, shard, answers);
        self.report(me, shard, true);
        let at = &mut self.instances[me].shards[shard];
        let reports = at.home.store_reports(at.ticks.is_multiple_of(ROUND / TICK));
        if !reports.is_empty() {
            self.deliver(me, shard, self.case.shards, Event::ToSync(shard, Told::Sync(reports)));
        }
        self.at(self.now + TICK, me, Event::Tick(shard));
    }

    pub(super) fn ask(&mut self, me: usize, shard: usize, question: Question) {
        self.deliver(me, self.case.shards, shard, Event::Note(shard, Note::Ask(question)));
    }

    pub(super) fn tell_shard(&mut self, me: usize, shard: usize, tell: &Tell) {
        let note = match tell {
            Tell::Valid(until, live) => Note::Valid(*until, *live),
            Tell::Leave(instances, agreed) => Note::Leave(*instances, *agreed),
            Tell::Store(home, answers) if *home == shard => Note::Store(answers.clone()),
            Tell::Store(..) => return,
        };
        self.deliver(me, self.case.shards, shard, Event::Note(shard, note));
    }

    fn note(&mut self, me: usize, shard: usize, note: Note) {
        let now = self.local(me);
        let at = &mut self.instances[me].shards[shard];
        let mut out = Vec::new();
        match note {
            Note::Reports(from, reports) => at.home.receive(from, &reports, now, &mut out),
            Note::Answers(answers) => {
                let mut wake = Vec::new();
                at.wallet.answers(&answers, now, &mut wake);
                self.wake(me, shard, wake);
            }
            Note::Store(answers) => at.home.store_answers(&answers, now, &mut out),
            Note::Valid(until, live) => {
                at.home.valid(until, live);
                at.wallet.valid(until, now);
            }
            Note::Leave(instances, agreed) => at.home.leave(instances, agreed, now),
            Note::Ask(question) => {
                let reports = match question {
                    Question::Ledger => at.home.ledger(now),
                    Question::Rejoin => {
                        at.home.rejoin();
                        at.home.store_reports(false)
                    }
                };
                self.deliver(me, shard, self.case.shards, Event::ToSync(shard, Told::Ready(reports)));
            }
        }
        self.answer(me, shard, out);
    }
}

fn shard_of(limits: &Arc<[Limit]>, shard: usize, shards: usize) -> Shard {
    let mut wallet = Wallet::new(limits.clone());
    wallet.valid(0, START);
    let home = Home::new(limits, shard, shards, true);
    Shard { wallet, home, waiting: HashMap::new(), stalls: Stalls::new(0), ticks: 0 }
}
