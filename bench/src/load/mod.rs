//! A load generator on the gateway's own engine.
//!
//! Open loop: requests start by a schedule fixed before the run, however slow the answers are, and latency
//! counts from the moment a request was due. A server that stalls is charged for every request that should
//! have started meanwhile (a generator that waits for answers first would leave them out: coordinated
//! omission). Closed loop: so many clients, each sending its next request when it has its answer.
//!
//! [`args`] reads the command line into a [`Plan`], [`run`] starts the shards ([`worker`] paces, [`exchange`]
//! performs one request, [`recorder`] counts), [`crate::report`] tells the outcome.

pub mod args;
mod exchange;
pub mod profile;
mod recorder;
pub mod sse;
pub mod stats;
pub mod target;
pub mod units;
mod worker;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    time::{Duration, Instant, SystemTime},
};

use coo_shards::executor::{self, Driver};
use http::Method;

use profile::Profile;
use stats::{Entry, Second, Stats};

/// Time from starting the shards until the first request is due, so that all of them are ready.
const LEAD: Duration = Duration::from_millis(50);

/// When requests start.
#[derive(Clone, Debug)]
pub enum Pace {
    /// At a rate per second, fixed in advance.
    Open {
        /// The rate.
        rate: Profile,
        /// Connections at most; a request that is due while all are busy waits for one.
        connections: usize,
        /// Requests under way or waiting at most; one that is due beyond is counted as missed.
        max_in_flight: usize,
    },
    /// When a client has its answer.
    Closed {
        /// The number of clients, each with one connection.
        clients: Profile,
        /// Requests in all; unlimited where `None`.
        requests: Option<u64>,
        /// Pause of each client between requests.
        pause: Duration,
    },
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to.
    pub address: SocketAddr,
    /// The request's method, which decides how its response is framed.
    pub method: Method,
    /// The request's bytes.
    pub request: Vec<u8>,
    /// When.
    pub pace: Pace,
    /// Read answers as event streams.
    pub stream: bool,
    /// Use connections again.
    pub keep_alive: bool,
    /// Longest wait for a connection, for the first byte, and between bytes.
    pub timeout: Duration,
    /// Requests due in this time at the start are not counted.
    pub warmup: Duration,
    /// One shard for each, pinned where a CPU is named.
    pub cpus: Vec<Option<usize>>,
    /// Keep what became of each request, the warm-up included.
    pub log: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Counts of the whole run, without the warm-up.
    pub stats: Stats,
    /// Counts by second, with the warm-up.
    pub seconds: Vec<Second>,
    /// From the end of the warm-up to the last answer.
    pub elapsed: Duration,
    /// When the first request was due.
    pub begun: SystemTime,
    /// What became of each request, in the order they were due; empty where the plan does not ask for it.
    pub log: Vec<Entry>,
}

impl Plan {
    /// How long requests are started.
    #[must_use]
    pub fn length(&self) -> Duration {
        match &self.pace {
            Pace::Open { rate, .. } => rate.length(),
            Pace::Closed { clients, .. } => clients.length(),
        }
    }

    /// Shards that have something to do: one without a client would sit on its share of the requests.
    fn busy_shards(&self) -> usize {
        match &self.pace {
            Pace::Open { .. } => self.cpus.len(),
            Pace::Closed { clients, .. } => self.cpus.len().min(clients.peak().ceil() as usize).max(1),
        }
    }
}

/// Runs `plan` to its end. `progress` hears of each second when all shards have finished it.
///
/// # Errors
/// The error of starting a shard, or of its driver.
pub fn run(mut plan: Plan, mut progress: impl FnMut(&Second)) -> io::Result<Outcome> {
    let _ = coo_shards::listen::raise_nofile();
    let driver = Driver::detect();
    plan.cpus.truncate(plan.busy_shards());
    let shards = plan.cpus.len().max(1);
    let plan = Arc::new(plan);
    let (start, begun) = (Instant::now() + LEAD, SystemTime::now() + LEAD);
    let (sender, receiver) = mpsc::channel();
    let mut threads = Vec::with_capacity(shards);
    for index in 0..shards {
        let cpu = plan.cpus.get(index).copied().flatten();
        let (plan, sender) = (Arc::clone(&plan), sender.clone());
        threads.push(executor::spawn(index, cpu, driver, false, move || {
            worker::shard(plan, index, start, sender)
        })?);
    }
    drop(sender);

    let mut open: BTreeMap<u64, (usize, Second)> = BTreeMap::new();
    let mut seconds = Vec::new();
    for second in receiver {
        let at = second.at;
        let (parts, sum) = open.entry(at).or_insert_with(|| (0, Second::new(at)));
        *parts += 1;
        sum.add(&second);
        if *parts == shards
            && let Some((_, whole)) = open.remove(&at)
        {
            progress(&whole);
            seconds.push(whole);
        }
    }
    seconds.extend(open.into_values().map(|(_, part)| part));
    seconds.sort_by_key(|second: &Second| second.at);

    let mut stats = Stats::default();
    let mut log = Vec::new();
    let mut end = start;
    for thread in threads {
        let (part, entries, ended) =
            thread.join().map_err(|_| io::Error::other("a shard ended abnormally"))???;
        stats.add(&part);
        log.extend(entries);
        end = end.max(ended);
    }
    log.sort_by_key(|entry: &Entry| entry.due);
    let elapsed = end.saturating_duration_since(start + plan.warmup);
    Ok(Outcome { stats, seconds, elapsed, begun, log })
}

#[cfg(test)]
mod tests;
