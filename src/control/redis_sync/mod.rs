//! Keeps limits true over several instances: what homes spent and want goes to Redis, what it grants comes back.
//!
//! All of it is one script call per round (100 ms by default), and none where nothing has changed but for a sign
//! of life. Nothing on a request's path waits for it: shards spend what they have been granted, and a grant is
//! good for [`VALIDITY_MS`] after the last exchange. `budget.lua` is the store's side.
//!
//! What happens when Redis is away depends on how. If it cannot be reached (it does not answer) another instance
//! may still reach it, so this one stops when its leases end. If it is *down* (it refuses connections, or broke
//! them off) no instance can, and each goes on with its own part of the limits, as `on_outage` says. After that,
//! and whenever Redis lost its memory, nothing is granted until all instances have told what they spent.

mod connect;
mod wire;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use coo_shards::{
    budget::{LimitId, Millis, relay::StoreReport},
    mesh::Port,
};
use redis::{RedisError, Script};

use self::{
    connect::Connection,
    wire::{Done, Kind, Reply},
};
use crate::{
    config::{OnOutage, Redis, snapshot::Snapshot},
    gateway::budget::{Clock, Note},
};

/// How long a lease is good for after an exchange. Short, so that what a dead instance held is soon there again;
/// long enough to ride out some lost exchanges.
pub const VALIDITY_MS: Millis = 2_000;
/// Where nothing changes, Redis hears of this instance this often: leases are renewed thereby.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);
/// Redis must be down for this long before instances go on alone.
const DOWN_FOR: Duration = Duration::from_secs(1);
/// An instance is counted as there for this long after it spoke; as `LIVE_MS` in `budget.lua`.
const AGREED_FOR: Duration = Duration::from_secs(5);
/// Between two tries to connect.
const RECONNECT: Duration = Duration::from_millis(100);
/// The store's clock is compared with ours again after this: clocks drift apart by some ms an hour.
const COMPARE_CLOCKS: Duration = Duration::from_secs(60);

/// What the synchroniser works with.
pub struct Setup {
    /// Where Redis is, and the rules.
    pub settings: Redis,
    /// The limits and their names.
    pub snapshot: Arc<Snapshot>,
    /// Its end of the mesh; shards are the parties before it.
    pub port: Port<Note>,
    /// The clock of all shards.
    pub clock: Clock,
}

struct Batch {
    seq: u64,
    kind: Kind,
    reports: Vec<StoreReport>,
    /// When it was first sent of the times whose outcome is not known: the store answers a repeated question as
    /// it did the first time, with the time that it was then.
    sent: Option<Millis>,
}

struct Synchroniser {
    setup: Setup,
    script: Script,
    key: String,
    me: String,
    connection: Option<Connection>,
    tried: Option<Instant>,
    epoch: String,
    seq: u64,
    answered: u64,
    /// What is being told, until it is answered.
    batch: Option<Batch>,
    /// What came since.
    next: BTreeMap<LimitId, StoreReport>,
    members: String,
    live: i64,
    /// How far ahead the store's clock may be, in ms, and when that was found.
    offset: Option<(i64, Instant)>,
    spoke: Option<Instant>,
    down_since: Option<Instant>,
    alone: bool,
    /// Redis was down since the epoch began, perhaps for long enough for others to have gone on alone.
    was_down: bool,
    complained: bool,
}

/// Synchronises for as long as the process runs. One that ends needs no farewell: what it held it returned when
/// its requests were done, and the rest lapses like that of one that died.
pub async fn run(setup: Setup) {
    let interval = setup.settings.sync_interval;
    let mut this = Synchroniser::new(setup);
    let mut rounds = tokio::time::interval(interval);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        this.round().await;
    }
}

impl Synchroniser {
    fn new(setup: Setup) -> Self {
        let process = (std::process::id(), setup.clock.now());
        Self {
            script: Script::new(include_str!("budget.lua")),
            // Begins with the prefix, as access rules go by; the tag in braces keeps a cluster from spreading the keys.
            key: format!("{0}:{{{0}}}:budget", setup.settings.prefix),
            // Unique among instances, and readable for whoever looks into Redis.
            me: format!("{}.{:x}.{:x}", host(), process.0, process.1),
            connection: None,
            tried: None,
            epoch: String::new(),
            seq: 0,
            answered: 0,
            batch: None,
            next: BTreeMap::new(),
            members: String::new(),
            live: 1,
            offset: None,
            spoke: None,
            down_since: None,
            alone: false,
            was_down: false,
            complained: false,
            setup,
        }
    }

    fn shards(&self) -> usize {
        self.setup.port.index()
    }

    /// Tells a shard; a queue that is full empties within a turn of its shard.
    async fn tell(&mut self, shard: usize, mut note: Note) {
        while let Err(back) = self.setup.port.send(shard, note) {
            note = back;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn tell_all(&mut self, note: impl Fn() -> Note) {
        for shard in 0..self.shards() {
            self.tell(shard, note()).await;
        }
    }

    /// Takes what homes have sent; how many answered a question. `anew`: an answer replaces what the same home sent
    /// before, since it says all.
    fn collect(&mut self, anew: bool) -> usize {
        let limits = Arc::clone(&self.setup.snapshot.budgets.limits);
        let home = |limit: LimitId| limits.get(limit as usize).map(|limit| limit.home);
        let mut ready = 0;
        loop {
            let next = &mut self.next;
            let handled = self.setup.port.drain(|from, note| match note {
                Note::Sync(reports) => add(next, reports),
                Note::Ready(reports) => {
                    ready += 1;
                    if anew {
                        next.retain(|limit, _| home(*limit) != Some(from));
                    }
                    add(next, reports);
                }
                _ => {}
            });
            if handled == 0 {
                return ready;
            }
        }
    }

    /// Asks every home with `note`, and waits until all have answered with [`Note::Ready`].
    async fn ask_homes(&mut self, note: impl Fn() -> Note, anew: bool) {
        self.tell_all(note).await;
        let mut ready = self.collect(anew);
        while ready < self.shards() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            ready += self.collect(anew);
        }
    }

    async fn round(&mut self) {
        self.collect(false);
        // `tried` is when it was opened.
        if let (Some(lifetime), Some(opened)) = (self.setup.settings.max_lifetime, self.tried)
            && opened.elapsed() >= lifetime
        {
            self.connection = None;
        }
        if self.connection.is_none() && self.connect().await.is_none() {
            return;
        }
        if self.alone {
            // What was spent meanwhile must be known to the store before it grants anything again.
            self.alone = false;
            if let Some(batch) = &mut self.batch {
                batch.kind = Kind::Before;
            }
            self.ask_homes(|| Note::Rejoin, false).await;
        }
        // A store that begins a new epoch wants to hear things again, at most once as they are and once in full.
        for _ in 0..3 {
            if !self.exchange().await {
                break;
            }
        }
    }

    async fn connect(&mut self) -> Option<()> {
        if self.tried.is_some_and(|tried| tried.elapsed() < RECONNECT) {
            return None;
        }
        self.tried = Some(Instant::now());
        let began = self.setup.clock.now();
        match Connection::open(&self.setup.settings).await {
            Ok(connection) => {
                self.connection = Some(connection);
                Some(())
            }
            Err(error) => {
                self.failed(&error, began).await;
                None
            }
        }
    }

    /// One exchange, if there is something to say; whether another one is to follow at once.
    async fn exchange(&mut self) -> bool {
        if self.batch.is_none() {
            let silent = self.spoke.is_none_or(|spoke| spoke.elapsed() >= SIGN_OF_LIFE);
            if self.next.is_empty() && !silent {
                return false;
            }
            self.seq += 1;
            let reports = std::mem::take(&mut self.next).into_values().collect();
            self.batch = Some(Batch { seq: self.seq, kind: Kind::Sync, reports, sent: None });
        }
        let Some(args) = self.args() else { return false };
        let Some(connection) = &mut self.connection else { return false };
        let now = self.setup.clock.now();
        let sent = self.batch.as_mut().map_or(now, |batch| *batch.sent.get_or_insert(now));
        match connection.run(&self.script, &self.key, &args).await {
            Ok(text) => match Reply::read(&text) {
                Some(Reply::Done(done)) => {
                    self.done(&done, sent, now).await;
                    false
                }
                Some(Reply::Sync(epoch)) => {
                    (self.epoch, self.was_down) = (epoch, false);
                    // Known to have had no effect, however often it was sent.
                    if let Some(batch) = &mut self.batch {
                        batch.sent = None;
                    }
                    true
                }
                Some(Reply::Register(epoch)) => {
                    (self.epoch, self.was_down) = (epoch, false);
                    self.ask_homes(|| Note::Ledger, true).await;
                    self.seq += 1;
                    let reports = std::mem::take(&mut self.next).into_values().collect();
                    self.batch = Some(Batch { seq: self.seq, kind: Kind::Register, reports, sent: None });
                    true
                }
                None => {
                    self.complain(&format!("unexpected reply {text:?}"));
                    false
                }
            },
            Err(error) => {
                self.failed(&error, now).await;
                false
            }
        }
    }

    /// The arguments of the script for the batch.
    fn args(&self) -> Option<Vec<String>> {
        let batch = self.batch.as_ref()?;
        let mut args = vec![
            self.me.clone(),
            batch.seq.to_string(),
            self.answered.to_string(),
            self.epoch.clone(),
            VALIDITY_MS.to_string(),
            self.members.clone(),
            batch.kind.name().to_owned(),
            u8::from(self.was_down).to_string(),
        ];
        let budgets = &self.setup.snapshot.budgets;
        // Before the first answer only a sign of life goes out: without the store's time nothing can be dated.
        let offset = self.offset.map_or(0, |(offset, _)| offset);
        for report in &batch.reports {
            let at = report.limit as usize;
            let (limit, described) = (budgets.limits.get(at)?, budgets.described.get(at)?);
            wire::report(&mut args, &described.name, limit, report, offset);
        }
        Some(args)
    }

    /// `done` answers what was sent at `sent`, and again at `again`.
    async fn done(&mut self, done: &Done, sent: Millis, again: Millis) {
        let Some(batch) = self.batch.take() else { return };
        if self.complained {
            eprintln!("redis: synchronised");
        }
        (self.complained, self.down_since, self.spoke) = (false, None, Some(Instant::now()));
        self.answered = batch.seq;
        (self.members, self.live) = (done.members.clone(), done.live);
        // The store read its clock after this was sent, so it may be ahead by no more than this. A later look
        // that finds less is nearer to the truth; one after a while is as well, whatever it finds.
        let as_signed = |time: Millis| i64::try_from(time).unwrap_or(0);
        let found = as_signed(done.now) - as_signed(sent);
        // Of one sent more than once it is not known how long it took.
        let fresh = |at: Instant| sent == again && at.elapsed() > COMPARE_CLOCKS;
        // It read it before this came, so it is ahead by no less than that, unless one of the clocks was set.
        let least = as_signed(done.now) - as_signed(self.setup.clock.now());
        if self.offset.is_none_or(|(known, at)| found < known || known < least || fresh(at)) {
            self.offset = Some((found, Instant::now()));
        }
        let offset = self.offset.map_or(0, |(offset, _)| offset);
        let budgets = &self.setup.snapshot.budgets;
        let mut by_home = vec![Vec::new(); self.shards()];
        for (report, limit) in batch.reports.iter().zip(&done.limits) {
            let home = budgets.limits.get(report.limit as usize).map_or(0, |limit| limit.home);
            if let Some(answers) = by_home.get_mut(home) {
                answers.push(wire::answer(report, limit, offset));
            }
        }
        for (home, answers) in by_home.into_iter().enumerate().filter(|(_, answers)| !answers.is_empty()) {
            self.tell(home, Note::Store(answers)).await;
        }
        // After the answers, which may say that what was held is no longer. From when it was sent: the store began
        // to count later.
        let until = sent + done.valid_until.saturating_sub(done.now);
        let live = self.live;
        self.tell_all(|| Note::Valid(until, live)).await;
    }

    /// What was begun at `began` failed.
    async fn failed(&mut self, error: &RedisError, began: Millis) {
        self.complain(&error.to_string());
        if !is_down(error) {
            // Out of reach, which says nothing of the others; a connection that is merely slow is kept.
            if !error.is_timeout() {
                self.connection = None;
            }
            self.down_since = None;
            return;
        }
        (self.connection, self.was_down) = (None, true);
        let since = *self.down_since.get_or_insert_with(Instant::now);
        let alone = self.setup.settings.on_outage == OnOutage::LocalShare && self.answered > 0;
        if alone && !self.alone && since.elapsed() >= DOWN_FOR {
            self.alone = true;
            // What was being told and was not answered is told again when it is back, as part of all else.
            // Those not seen lately may go on alone as well. All know of the same ones if all were there lately, and
            // so was this one.
            let known = i64::try_from(self.members.split(',').count()).unwrap_or(i64::MAX);
            let agreed = self.live == known && self.spoke.is_some_and(|spoke| spoke.elapsed() < AGREED_FOR);
            eprintln!("redis: down; going on with this instance's part of the limits");
            self.tell_all(|| Note::Leave(known, agreed)).await;
        }
        if self.alone {
            // Whoever is stopped now, or cut off, will not know when it is back.
            let live = self.live;
            self.tell_all(|| Note::Valid(began + VALIDITY_MS, live)).await;
        }
    }

    fn complain(&mut self, what: &str) {
        if !std::mem::replace(&mut self.complained, true) {
            eprintln!("redis: {what}");
        }
    }
}

fn add(next: &mut BTreeMap<LimitId, StoreReport>, reports: Vec<StoreReport>) {
    for report in reports {
        match next.get_mut(&report.limit) {
            Some(known) => known.merge(report),
            None => {
                next.insert(report.limit, report);
            }
        }
    }
}

/// Whether nobody listens where Redis should be, which is the same for every instance: refused or broken off,
/// in contrast to an answer that does not come.
fn is_down(error: &RedisError) -> bool {
    error.is_connection_refusal() || error.is_connection_dropped()
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // It stands in lists that commas, slashes and spaces separate.
    name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect()
}
