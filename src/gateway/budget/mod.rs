//! What a shard may spend: its leases, the limits that live here, and the messages that keep them true.
//!
//! A request spends from leases in this shard's memory ([`reserve`]) and never waits for another shard while
//! there is something in hand. What was spent is told to the limits' homes once a tick, over the mesh. The rules
//! are [`coo_shards::budget`]'s; here they meet the clock, the mesh and the requests that wait.

pub mod headers;
pub mod reserve;
pub mod settle;

use std::{
    cell::{Cell, Ref, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use coo_shards::{
    budget::{
        Answer, Limit, LimitId, Millis, Report, Standing,
        home::{Home, To},
        relay::{StoreAnswer, StoreReport},
        stalls::Stalls,
        wallet::{Ticket, Wallet},
    },
    fair::Flow,
    mesh::Port,
    time,
};

use super::{
    balance::News,
    waiter::{Heard, Waiter},
};
use crate::config::{
    TokenReserve,
    budgets::{Counts, KeyBudget},
    snapshot::{ProviderId, Snapshot},
};

/// Messages between two shards that may be under way. One of each kind per tick is usual.
pub const MESH_MESSAGES: usize = 256;

/// What shards tell each other about limits.
#[derive(Debug)]
pub enum Note {
    /// What a shard spent, returns and wants; to the limits' home.
    Reports(Vec<Report>),
    /// What a home grants.
    Answers(Vec<Answer>),
    /// A provider's key is to rest until then, on all shards.
    Rest(ProviderId, usize, Millis),
    /// What a home tells the store that instances share; to the party beside the shards.
    Sync(Vec<StoreReport>),
    /// The same, as the answer to [`Note::Ledger`] and [`Note::Rejoin`], also where it is empty.
    Ready(Vec<StoreReport>),
    /// What the store answers.
    Store(Vec<StoreAnswer>),
    /// Leases of the store are valid until then, and so many instances are there.
    Valid(Millis, i64),
    /// The store lost its memory: tell all.
    Ledger,
    /// The store is down; so many instances are known, and whether all of them knew as many. Go on alone.
    Leave(i64, bool),
    /// The store is back.
    Rejoin,
    /// What a shard found out about a provider or one of its keys.
    News(News),
    /// A provider said how much it will still take of a limit until then; to the limit's home.
    Close(LimitId, i64, Millis),
}

/// Milliseconds since 1970 that never jump: the wall clock at the start, and what has passed since. Time in which
/// the machine was suspended has passed, too: for a provider it has.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Duration,
    unix_ms: Millis,
}

impl Clock {
    /// A clock that starts now. All shards use copies of one.
    #[must_use]
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: time::since_boot(), unix_ms: millis(unix) }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Millis {
        // Whole seconds and the rest apart, which is cheaper than a count of nanoseconds in 128 bits.
        let since = time::since_boot().saturating_sub(self.start);
        self.unix_ms + since.as_secs() * 1000 + Millis::from(since.subsec_millis())
    }
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// How requests wait and reserve.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How long a request may wait.
    pub wait: Duration,
    /// How many may, on one shard.
    pub queue: usize,
    /// What is taken for tokens that nobody knows yet.
    pub tokens: TokenReserve,
}

/// What a shard's [`Budget`] is built from.
pub struct Setup {
    /// All limits.
    pub limits: Arc<[Limit]>,
    /// How many keys each provider has.
    pub keys: Vec<usize>,
    /// The clock of all shards.
    pub clock: Clock,
    /// This shard's end of the mesh.
    pub port: Port<Note>,
    /// How requests wait and reserve.
    pub rules: Rules,
    /// Between two exchanges with the store that several instances share; `None` where there is no other.
    pub shared: Option<Duration>,
}

/// One shard's part in all limits.
pub struct Budget {
    index: usize,
    clock: Clock,
    rules: Rules,
    wallet: RefCell<Wallet>,
    home: RefCell<Home>,
    port: Rc<Port<Note>>,
    /// What a full queue would not take, by shard; it goes first on the next tick.
    unsent: RefCell<Vec<VecDeque<Note>>>,
    waiters: RefCell<HashMap<Ticket, Rc<Waiter>>>,
    /// Until when each key of each provider rests.
    rests: RefCell<Vec<Vec<Millis>>>,
    means: settle::Means,
    /// Ticks of one round of exchanges with the store; 0 where there is none.
    round: u64,
    ticks: Cell<u64>,
    stalls: RefCell<Stalls>,
}

impl Budget {
    /// The budget of shard `index` among `shards`.
    #[must_use]
    pub fn new(setup: Setup, index: usize, shards: usize) -> Self {
        let mut wallet = Wallet::new(Arc::clone(&setup.limits));
        if setup.shared.is_some() {
            wallet.valid(0, setup.clock.now());
        }
        Self {
            index,
            rules: setup.rules,
            wallet: RefCell::new(wallet),
            home: RefCell::new(Home::new(&setup.limits, index, shards, setup.shared.is_some())),
            round: setup.shared.map_or(0, |every| (millis(every) / time::TICK_MS).max(1)),
            ticks: Cell::new(0),
            unsent: RefCell::new((0..setup.port.parties()).map(|_| VecDeque::new()).collect()),
            waiters: RefCell::default(),
            rests: RefCell::new(setup.keys.iter().map(|&keys| vec![0; keys]).collect()),
            means: settle::Means::default(),
            stalls: RefCell::new(Stalls::new(setup.clock.now())),
            clock: setup.clock,
            port: Rc::new(setup.port),
        }
    }

    /// This shard's end of the mesh, to receive from.
    #[must_use]
    pub fn port(&self) -> Rc<Port<Note>> {
        Rc::clone(&self.port)
    }

    /// Now, in the time that limits are counted in.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The time of the last tick, for what need not know it closer: reading the clock costs more than most of it.
    #[must_use]
    pub fn about_now(&self) -> Millis {
        self.stalls.borrow().last_tick()
    }

    /// How long a request may wait for what it needs.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.rules.wait
    }

    /// Takes a message from shard `from`.
    pub fn handle(&self, from: usize, note: Note) {
        let now = self.now();
        match note {
            Note::Reports(reports) => {
                let mut answers = Vec::new();
                self.home.borrow_mut().receive(from, &reports, now, &mut answers);
                self.answer(answers, now);
            }
            Note::Answers(answers) => self.take_answers(&answers, now),
            Note::Rest(provider, key, until) => self.rest_here(provider, key, until),
            Note::Close(limit, left, until) => self.home.borrow_mut().close(limit, left, until, now),
            Note::Store(answers) => {
                let mut out = Vec::new();
                self.home.borrow_mut().store_answers(&answers, now, &mut out);
                self.answer(out, now);
            }
            Note::Valid(until, instances) => {
                self.home.borrow_mut().valid(until, instances);
                self.wallet.borrow_mut().valid(until, now);
            }
            Note::Ledger => {
                let ledger = self.home.borrow_mut().ledger(now);
                self.send(from, Note::Ready(ledger));
            }
            Note::Leave(instances, agreed) => self.home.borrow_mut().leave(instances, agreed, now),
            Note::Rejoin => {
                let reports = {
                    let mut home = self.home.borrow_mut();
                    home.rejoin();
                    home.store_reports(false)
                };
                self.send(from, Note::Ready(reports));
            }
            // For the party beside the shards, and for the shard itself.
            Note::Sync(_) | Note::Ready(_) | Note::News(_) => {}
        }
    }

    /// A tick has passed: what was spent is reported, what has become free is granted.
    pub fn tick(&self) {
        let now = self.now();
        self.stalls.borrow_mut().tick(now);
        self.resend();
        let mut answers = Vec::new();
        self.home.borrow_mut().tick(now, &mut answers);
        self.answer(answers, now);
        self.wallet.borrow_mut().tick(now);
        self.report(true, now);
        if self.round > 0 {
            let tick = self.ticks.get().wrapping_add(1);
            self.ticks.set(tick);
            let reports = self.home.borrow_mut().store_reports(tick.is_multiple_of(self.round));
            if !reports.is_empty() {
                self.send(self.port.parties() - 1, Note::Sync(reports));
            }
        }
    }

    /// Sends what homes should hear now.
    fn report(&self, ticked: bool, now: Millis) {
        let mut out = vec![Vec::new(); self.shards()];
        self.wallet.borrow_mut().reports(ticked, &mut out);
        for (home, reports) in out.into_iter().enumerate().filter(|(_, reports)| !reports.is_empty()) {
            if home == self.index {
                let mut answers = Vec::new();
                self.home.borrow_mut().receive(home, &reports, now, &mut answers);
                self.answer(answers, now);
            } else {
                self.send(home, Note::Reports(reports));
            }
        }
    }

    /// The same where a home waits for what was given back.
    fn report_urgent(&self) {
        if self.wallet.borrow().is_urgent() {
            self.report(false, self.now());
        }
    }

    fn answer(&self, mut answers: Vec<To>, now: Millis) {
        answers.sort_by_key(|(shard, _)| *shard);
        for group in answers.chunk_by(|(a, _), (b, _)| a == b) {
            let Some(&(shard, _)) = group.first() else { continue };
            let answers: Vec<Answer> = group.iter().map(|(_, answer)| *answer).collect();
            if shard == self.index {
                self.take_answers(&answers, now);
            } else {
                self.send(shard, Note::Answers(answers));
            }
        }
    }

    fn take_answers(&self, answers: &[Answer], now: Millis) {
        let mut wake = Vec::new();
        self.wallet.borrow_mut().answers(answers, now, &mut wake);
        self.wake(wake);
        self.report_urgent();
    }

    fn send(&self, to: usize, note: Note) {
        let mut unsent = self.unsent.borrow_mut();
        let Some(behind) = unsent.get_mut(to) else { return };
        if behind.is_empty() {
            if let Err(note) = self.port.send(to, note) {
                behind.push_back(note);
            }
        } else {
            behind.push_back(note);
        }
    }

    fn resend(&self) {
        for (to, behind) in self.unsent.borrow_mut().iter_mut().enumerate() {
            while let Some(note) = behind.pop_front() {
                if let Err(note) = self.port.send(to, note) {
                    behind.push_front(note);
                    break;
                }
            }
        }
    }

    /// Lets a provider's key rest, here and on all other shards.
    pub fn rest(&self, provider: ProviderId, key: usize, until: Millis) {
        self.rest_here(provider, key, until);
        for shard in (0..self.shards()).filter(|&shard| shard != self.index) {
            self.send(shard, Note::Rest(provider, key, until));
        }
    }

    /// Tells all other shards what this one found out.
    pub fn tell(&self, news: News) {
        for shard in (0..self.shards()).filter(|&shard| shard != self.index) {
            self.send(shard, Note::News(news));
        }
    }

    /// What is left of a limit, as far as this shard knows.
    #[must_use]
    pub fn remaining(&self, limit: LimitId) -> i64 {
        self.wallet.borrow().remaining(limit)
    }

    /// The least shares that are left of a key's limits on requests and on tokens, as far as this shard knows.
    #[must_use]
    pub fn shares_left(&self, snapshot: &Snapshot, key: &KeyBudget) -> (f32, f32) {
        let left = |counts: Counts| {
            let id = key.limit(counts)?;
            let most = snapshot.budgets.limits.get(id as usize)?.amount.max(1);
            Some(self.remaining(id) as f32 / most as f32)
        };
        let least = |one: Counts, other: Counts| left(one).unwrap_or(1.0).min(left(other).unwrap_or(1.0));
        (least(Counts::Requests, Counts::Held), least(Counts::Tokens, Counts::SessionTokens))
    }

    /// The shards; with a store there is one party more.
    fn shards(&self) -> usize {
        self.port.parties() - usize::from(self.round > 0)
    }

    fn rest_here(&self, provider: ProviderId, key: usize, until: Millis) {
        if let Some(slot) = self.rests.borrow_mut().get_mut(provider).and_then(|keys| keys.get_mut(key)) {
            *slot = until.max(*slot);
        }
    }

    /// Until when a key rests; 0 or a time that has passed where it does not.
    #[must_use]
    pub fn rests(&self, provider: ProviderId, key: usize) -> Millis {
        self.rests.borrow().get(provider).and_then(|keys| keys.get(key)).copied().unwrap_or(0)
    }

    /// The same of each key of a provider.
    #[must_use]
    pub fn rests_of(&self, provider: ProviderId) -> Ref<'_, [Millis]> {
        Ref::map(self.rests.borrow(), |rests| rests.get(provider).map_or(&[][..], Vec::as_slice))
    }

    /// Tells a limit's home that the provider will take no more than `left` until then, if that is news.
    pub fn close(&self, limit: LimitId, home: usize, left: i64, until: Millis) {
        if left >= self.remaining(limit) {
            return;
        }
        if home == self.index {
            self.home.borrow_mut().close(limit, left, until, self.now());
        } else {
            self.send(home, Note::Close(limit, left, until));
        }
    }

    /// How the limits kept here stand.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.home.borrow_mut().standings(self.now())
    }

    /// By limit, what this shard found spent beyond what was reserved.
    #[must_use]
    pub fn excesses(&self) -> Vec<i64> {
        self.wallet.borrow().excesses().collect()
    }

    fn wake(&self, tickets: impl IntoIterator<Item = Ticket>) {
        let waiters = self.waiters.borrow();
        for ticket in tickets {
            if let Some(waiter) = waiters.get(&ticket) {
                waiter.hear(Heard::Come);
            }
        }
    }

    /// Gets in line for `limit`; `None` where too many are waiting already, and none of them for one who has more
    /// waiting than this.
    fn get_in_line(
        &self,
        reservation: &reserve::Reservation,
        limit: LimitId,
        until: Millis,
        flow: Flow,
        collecting: Option<&Collecting<'_>>,
    ) -> Option<Line<'_>> {
        let mut waiters = self.waiters.borrow_mut();
        let mut wallet = self.wallet.borrow_mut();
        if waiters.len() >= self.rules.queue {
            if self.rules.queue == 0 {
                return None;
            }
            let turned_away = wallet.make_room(limit, flow)?;
            if let Some(waiter) = waiters.get(&turned_away) {
                waiter.hear(Heard::TurnedAway);
            }
        }
        let had = collecting.map(|collecting| collecting.ticket);
        let takes = reservation.takes().map(|(take, _)| take);
        let now = self.now();
        let ticket = wallet.wait(takes, limit, (now, until), flow, had);
        let waiter = Rc::<Waiter>::default();
        if wallet.next(limit, now) == Some(ticket) {
            waiter.hear(Heard::Come);
        }
        waiters.insert(ticket, Rc::clone(&waiter));
        drop((waiters, wallet));
        self.report(false, now);
        Some(Line { budget: self, limit, ticket, waiter, served: Cell::new(false) })
    }
}

/// A place in line, left when dropped, however that comes.
struct Line<'a> {
    budget: &'a Budget,
    limit: LimitId,
    ticket: Ticket,
    waiter: Rc<Waiter>,
    /// Whether what it waited for was taken.
    served: Cell<bool>,
}

/// What a request keeps that waits for the rest of what it needs, given up when dropped.
struct Collecting<'a> {
    budget: &'a Budget,
    ticket: Ticket,
}

impl Drop for Collecting<'_> {
    fn drop(&mut self) {
        let mut wake = Vec::new();
        self.budget.wallet.borrow_mut().stop(self.ticket, self.budget.now(), &mut wake);
        self.budget.wake(wake);
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let now = self.budget.now();
        self.budget.waiters.borrow_mut().remove(&self.ticket);
        let next = self.budget.wallet.borrow_mut().leave(self.limit, self.ticket, self.served.get(), now);
        self.budget.wake(next);
    }
}
