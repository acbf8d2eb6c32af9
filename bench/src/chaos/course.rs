//! One run: start everything, make load, let go wrong what should, look at what clients and providers saw.

use std::{
    io,
    net::SocketAddr,
    ops::Range,
    path::Path,
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::Method;

use super::{
    finding::Finding,
    fleet::{ALIAS, CLIENT_KEYS, Fleet, provider_key},
    scenario::{AT_FAULT, Scenario, Timeline, Trouble},
    sight::{self, Call},
    verdict::{self, Loads, Moments},
};
use crate::load::{self, Outcome, Pace, Plan, profile::Profile, target};

/// Requests under way or waiting for a connection at most; what is due beyond is missed, and an error. A second
/// of the fastest load, several times over.
const IN_FLIGHT: usize = 8000;
/// Longest wait of a client: longer than every attempt that the gateway may make.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's prompt.
const PROMPT_BYTES: usize = 140;
/// Rates of the loads on a provider of bounded capacity, as multiples of it.
const IDLE: f64 = 0.2;
const PEAK: f64 = 0.9;
const OVER: f64 = 3.0;
/// How many phases the last of them lasts: what grows without bound must have the time to.
const OVER_PHASES: u32 = 6;
/// What the client that wants too much asks for, as a multiple of the capacity, and how much less the other does.
const GREEDY: f64 = 2.0;
const MODEST: f64 = 100.0;
/// Phases of each load with a modest client, which makes few requests.
const MODEST_PHASES: u32 = 2;

/// How a run is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    /// The gateway's program.
    pub(super) program: &'a Path,
    /// Length of each phase.
    pub(super) phase: Duration,
    /// Whether answers are streamed.
    pub(super) stream: bool,
}

/// Runs `scenario`; whether it could be run is part of the finding.
pub(super) fn run(scenario: &Scenario, terms: Terms<'_>) -> Finding {
    let mut finding = Finding::new(scenario, terms);
    let outcome = Fleet::start(scenario, terms.program).and_then(|mut fleet| {
        match scenario.trouble {
            Trouble::Overload { .. } => overloaded(scenario, &fleet, terms, &mut finding)?,
            Trouble::Unfair => contended(scenario, &fleet, terms, &mut finding)?,
            trouble => disturbed(scenario, trouble, &mut fleet, terms, &mut finding)?,
        }
        fleet.still_runs()
    });
    if let Err(error) = outcome {
        finding.problems.push(error.to_string());
    }
    finding
}

/// A constant load, and a fault in it.
fn disturbed(
    scenario: &Scenario,
    trouble: Trouble,
    fleet: &mut Fleet,
    terms: Terms<'_>,
    finding: &mut Finding,
) -> io::Result<()> {
    let line = Timeline::new(terms.phase, trouble);
    let begun = Instant::now();
    let load = Load::start(fleet.addr, 0, scenario.rate(), line.length, terms.stream);
    let mut fault = || {
        sleep_until(begun + line.fault);
        let fault_s = unix_s();
        fleet.begin(trouble)?;
        sleep_until(begun + line.mended);
        if trouble.ends() {
            fleet.mend(trouble)?;
        }
        Ok::<_, io::Error>((fault_s, unix_s()))
    };
    let happened = fault();
    // Even where the fault could not be made, the load must have ended before the next run.
    let (calls, span) = load.end()?;
    let (fault_s, mended_s) = happened?;
    let moments = Moments { begun_s: span.start, fault_s, mended_s, ended_s: span.end };
    let (arrivals, whole) = fleet.arrivals()?;
    if !whole {
        finding.problems.push("the providers' record is not complete".into());
    }
    finding.checks = match trouble {
        Trouble::Outage => verdict::outage(&calls, &arrivals, &moments),
        Trouble::KeyRevoked => verdict::key_revoked(&calls, &arrivals, &moments, &provider_key(0, AT_FAULT)),
        Trouble::KeySlow => verdict::bimodal(&calls, &moments),
        Trouble::BlackHoles => verdict::black_holes(&calls, &arrivals, &moments),
        _ => verdict::one_of_three(&calls, &arrivals, &moments),
    };
    finding.failed("before the fault", sight::failures(&calls, &(f64::NEG_INFINITY..fault_s)));
    finding.failed("in the first second of it", sight::failures(&calls, &moments.grace()));
    finding.failed("then", sight::failures(&calls, &(moments.grace().end..mended_s)));
    finding.failed("after it", sight::failures(&calls, &(mended_s..f64::INFINITY)));
    if let Some(share) = sight::share(&arrivals, &(moments.grace().end..mended_s), |one| {
        if scenario.providers > 1 { one.provider == AT_FAULT } else { one.key == provider_key(0, AT_FAULT) }
    }) {
        finding.notes.push(format!("{:.1} % of upstream requests went to what was at fault", share * 100.0));
    }
    Ok(())
}

/// Loads of a fraction of the capacity, nearly all of it, and a multiple of it.
fn overloaded(scenario: &Scenario, fleet: &Fleet, terms: Terms<'_>, finding: &mut Finding) -> io::Result<()> {
    let load = |share: f64, length: Duration| {
        Load::start(fleet.addr, 0, scenario.rate() * share, length, terms.stream).end()
    };
    let idle = load(IDLE, terms.phase)?;
    let peak = load(PEAK, terms.phase)?;
    let before_kib = fleet.usage().rss_kib()?;
    let over = load(OVER, terms.phase * OVER_PHASES)?;
    let grown_kib = fleet.usage().peak_rss_kib()?.saturating_sub(before_kib);
    finding.failed("below capacity", sight::failures(&peak.0, &peak.1));
    finding.failed("at 3 x capacity", sight::failures(&over.0, &over.1));
    let loads = Loads { idle, peak, over, growth_mib: grown_kib as f64 / 1024.0 };
    finding.checks = verdict::overload(&loads);
    Ok(())
}

/// The load of a modest client alone, and beside a greedy one.
fn contended(scenario: &Scenario, fleet: &Fleet, terms: Terms<'_>, finding: &mut Finding) -> io::Result<()> {
    let (greedy, length) = (scenario.rate() * GREEDY, terms.phase * MODEST_PHASES);
    let start = |client: usize, rate: f64| Load::start(fleet.addr, client, rate, length, terms.stream);
    let alone = start(1, greedy / MODEST).end()?;
    let (other, own) = (start(0, greedy), start(1, greedy / MODEST));
    let (other, beside) = (other.end(), own.end()?);
    let (calls, span) = other?;
    finding.checks = verdict::unfair(&alone, &beside);
    finding.failed("of the modest client", sight::failures(&beside.0, &beside.1));
    finding.failed("of the greedy client", sight::failures(&calls, &span));
    let used = sight::goodput(&calls, &span) / scenario.rate();
    finding.notes.push(format!("the greedy client got {:.0} % of the capacity", used * 100.0));
    Ok(())
}

/// A load being made.
struct Load {
    thread: JoinHandle<io::Result<Outcome>>,
    length: Duration,
}

impl Load {
    /// Starts `rate` requests a second of the client numbered `client`.
    fn start(addr: SocketAddr, client: usize, rate: f64, length: Duration, stream: bool) -> Self {
        let plan = plan(addr, client, Profile::constant(rate, length), stream);
        Self { thread: thread::spawn(move || load::run(plan, |_| {})), length }
    }

    /// What its client saw, and from when to when requests were due.
    fn end(self) -> io::Result<(Vec<Call>, Range<f64>)> {
        let outcome = self.thread.join().map_err(|_| io::Error::other("the load ended abnormally"))??;
        let begun = outcome.begun.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok((sight::calls(&outcome), begun.as_secs_f64()..(begun + self.length).as_secs_f64()))
    }
}

fn plan(addr: SocketAddr, client: usize, rate: Profile, stream: bool) -> Plan {
    let key = CLIENT_KEYS.get(client).copied().unwrap_or_default();
    let url = target::Url { authority: addr.to_string(), path: "/v1/chat/completions".into() };
    let fields = [
        ("content-type".to_owned(), "application/json".to_owned()),
        ("authorization".to_owned(), format!("Bearer {key}")),
    ];
    let body = target::chat(ALIAS, PROMPT_BYTES, stream);
    Plan {
        address: addr,
        method: Method::POST,
        request: target::request(&Method::POST, &url, &fields, body.as_bytes(), true),
        pace: Pace::Open { rate, connections: IN_FLIGHT, max_in_flight: IN_FLIGHT },
        stream,
        keep_alive: true,
        timeout: TIMEOUT,
        warmup: Duration::ZERO,
        cpus: vec![None],
        log: true,
    }
}

fn unix_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}
