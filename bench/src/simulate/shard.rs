//! What shards share, and what each has for itself.

use std::{
    cell::{Cell, RefCell},
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use coo_shards::{inbox::Flag, listen::Spread, tls::Session};
use serde::Serialize;

use super::{
    faults::Fault,
    limits::{KeyState, Ledger},
    record::{Raw, Record, Recorder},
    rng::Rng,
    seats::{Seat, Seats},
    settings::Settings,
};

/// The settings in force, and the ledger that goes with them.
pub(crate) struct Live {
    pub(crate) settings: Settings,
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// When they were put in force, in µs since the start.
    since_us: u64,
}

impl Live {
    fn new(settings: Settings, since_us: u64) -> Self {
        let ledger =
            (!settings.keys.is_empty()).then(|| Arc::new(Ledger::new(&settings.keys, settings.window)));
        Self { settings, ledger, since_us }
    }

    /// The fault for every request at `now_us`.
    pub(crate) fn fault_at(&self, now_us: u64) -> Option<Fault> {
        let fault = self.settings.fault?;
        let periods =
            |flap: Duration| now_us.saturating_sub(self.since_us) / (flap.as_micros().max(1) as u64);
        self.settings.flap.is_none_or(|flap| periods(flap) % 2 == 0).then_some(fault)
    }
}

/// Makes the server side of a TLS session.
pub(crate) type NewSession = Box<dyn Fn() -> io::Result<Session> + Send + Sync>;

/// What all shards of a simulator share. A request reads one atomic of it, the version of the settings; it
/// takes a lock only where limits or records are asked for.
pub(crate) struct Shared {
    pub(crate) start: Instant,
    unix_start: Duration,
    version: AtomicU64,
    live: Mutex<Arc<Live>>,
    counters: Box<[Counters]>,
    recorders: Box<[Recorder]>,
    pub(crate) spread: Spread,
    pub(crate) tls: Option<NewSession>,
}

/// One shard's counts, written by it alone. On cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) streams: AtomicU64,
    pub(crate) chunks: AtomicU64,
    pub(crate) closed_early: AtomicU64,
    pub(crate) prompt_tokens: AtomicU64,
    pub(crate) completion_tokens: AtomicU64,
    pub(crate) connections: AtomicU64,
}

/// Adds to a counter that only this thread writes: no locked instruction.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// Totals since the start or the last reset.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// Seconds since the start.
    pub uptime_s: f64,
    /// Requests received (other than those to `/__sim/`).
    pub requests: u64,
    /// Answers with a status of 400 or more.
    pub errors: u64,
    /// Answers with status 429, whether by limit, rate or fault.
    pub rate_limited: u64,
    /// Streams begun.
    pub streams: u64,
    /// Events sent in streams.
    pub chunks: u64,
    /// Requests whose client left before the answer was complete.
    pub closed_early: u64,
    /// Prompt tokens of all requests answered 200.
    pub prompt_tokens: u64,
    /// Completion tokens of all requests answered 200.
    pub completion_tokens: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now, by shard.
    pub open_connections: Vec<usize>,
    /// State of each configured key.
    pub keys: Vec<KeyState>,
}

impl Shared {
    pub(crate) fn new(settings: Settings, tls: Option<NewSession>) -> Self {
        let shards = settings.shards.max(1);
        let record = settings.record;
        let recorders = if record.requests > 0 || record.raw > 0 { shards } else { 0 };
        Self {
            start: Instant::now(),
            unix_start: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            version: AtomicU64::new(0),
            counters: (0..shards).map(|_| Counters::default()).collect(),
            recorders: (0..recorders).map(|_| Recorder::new(record.requests, record.raw)).collect(),
            spread: Spread::new(shards),
            live: Mutex::new(Arc::new(Live::new(settings, 0))),
            tls,
        }
    }

    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Seconds since 1970 at `now_us`.
    pub(crate) fn unix_s(&self, now_us: u64) -> f64 {
        (self.unix_start + Duration::from_micros(now_us)).as_secs_f64()
    }

    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts changed settings in force for every request received from now on. The windows of the keys start
    /// anew only where the keys or the window changed.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings)) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut settings = live.settings.clone();
        change(&mut settings);
        let same = settings.keys == live.settings.keys && settings.window == live.settings.window;
        let since_us = self.now_us();
        *live = Arc::new(if same {
            Live { settings, ledger: live.ledger.clone(), since_us }
        } else {
            Live::new(settings, since_us)
        });
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Forgets records, counts and windows.
    pub(crate) fn reset(&self) {
        for recorder in &self.recorders {
            recorder.reset();
        }
        for counters in &self.counters {
            let Counters {
                requests,
                errors,
                rate_limited,
                streams,
                chunks,
                closed_early,
                prompt_tokens,
                completion_tokens,
                connections,
            } = counters;
            for counter in [
                requests,
                errors,
                rate_limited,
                streams,
                chunks,
                closed_early,
                prompt_tokens,
                completion_tokens,
                connections,
            ] {
                counter.store(0, Ordering::Relaxed);
            }
        }
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        *live = Arc::new(Live::new(live.settings.clone(), live.since_us));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Records of all shards in order of time.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut all: Vec<Record> = self.recorders.iter().flat_map(Recorder::records).collect();
        all.sort_by_key(|record| record.time_us);
        all
    }

    /// Raw requests of all shards in order of time.
    pub(crate) fn raws(&self) -> Vec<Raw> {
        let mut all: Vec<Raw> = self.recorders.iter().flat_map(Recorder::raws).collect();
        all.sort_by_key(|raw| raw.time_us);
        all
    }

    pub(crate) fn stats(&self) -> Stats {
        let sum = |get: fn(&Counters) -> &AtomicU64| -> u64 {
            self.counters.iter().map(|counters| get(counters).load(Ordering::Relaxed)).sum()
        };
        Stats {
            uptime_s: self.start.elapsed().as_secs_f64(),
            requests: sum(|c| &c.requests),
            errors: sum(|c| &c.errors),
            rate_limited: sum(|c| &c.rate_limited),
            streams: sum(|c| &c.streams),
            chunks: sum(|c| &c.chunks),
            closed_early: sum(|c| &c.closed_early),
            prompt_tokens: sum(|c| &c.prompt_tokens),
            completion_tokens: sum(|c| &c.completion_tokens),
            connections: sum(|c| &c.connections),
            open_connections: self.spread.counts().collect(),
            keys: self.live().ledger.as_ref().map(|ledger| ledger.states(self.now_us())).unwrap_or_default(),
        }
    }
}

/// One shard's own state.
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) rng: Rng,
    pub(crate) stop: Flag,
    seats: Seats,
    seen: Cell<u64>,
    live: RefCell<Arc<Live>>,
    connections: Cell<u64>,
}

impl Shard {
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> Self {
        let live = RefCell::new(shared.live());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self {
            index,
            shared,
            rng: Rng::new(now as u64 ^ (index as u64) << 56),
            stop: Flag::default(),
            seats: Seats::default(),
            seen: Cell::new(0),
            live,
            connections: Cell::new(0),
        }
    }

    /// The settings in force now.
    pub(crate) fn live(&self) -> Arc<Live> {
        let version = self.shared.version.load(Ordering::Acquire);
        if version != self.seen.get() {
            self.seen.set(version);
            self.live.replace(self.shared.live());
        }
        Arc::clone(&self.live.borrow())
    }

    /// A place in the queue for one of this shard's seats, where their number is bounded.
    pub(crate) fn seat(&self) -> Option<Seat<'_, impl Fn() -> usize>> {
        let shards = self.shared.counters.len();
        let own = move |all: usize| (all / shards + usize::from(self.index < all % shards)).max(1);
        let capacity = move || self.live().settings.capacity.map_or(usize::MAX, own);
        self.live().settings.capacity.map(|_| self.seats.queue(capacity))
    }

    /// A number for a new connection, unique over all shards.
    pub(crate) fn next_connection(&self) -> u64 {
        let n = self.connections.get();
        self.connections.set(n + 1);
        self.count(|counters| &counters.connections, 1);
        n * self.shared.counters.len() as u64 + self.index as u64
    }

    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        self.shared.recorders.get(self.index)
    }

    pub(crate) fn count(&self, get: impl FnOnce(&Counters) -> &AtomicU64, n: u64) {
        if let Some(counters) = self.shared.counters.get(self.index) {
            add(get(counters), n);
        }
    }
}
