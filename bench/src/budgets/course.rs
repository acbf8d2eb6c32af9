//! One run: start everything, make load, let the fault happen when it is due, judge what the provider saw.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::Method;

use super::{
    finding::{Finding, RedisUse, Terms},
    fleet::{CLIENT_KEY, Fleet, Subject, provider, provider_key},
    scenario::{Fault, Scenario, Skew, Timeline, WINDOW},
};
use crate::{
    judge::{self, Measure, Rule},
    load::{
        self, Pace, Plan,
        stats::Stats,
        target::{self, Url},
    },
    simulate::Record,
    versus::{request, shards},
};

/// Least demand on a key, in requests a second over all instances: what frees up is asked for soon, so that a
/// low limit's use is not lost between two requests.
const LEAST_RATE: f64 = 20.0;
/// What a request costs in tokens, for its demand: a little less than it does on average, to err on more demand.
const REQUEST_TOKENS: f64 = 110.0;
/// Bytes of a request's prompt.
const PROMPT_BYTES: usize = 140;
/// Requests under way or waiting for a connection, for each key and instance.
const IN_FLIGHT: usize = 512;
/// Longest wait for an answer: longer than any fault lasts.
const TIMEOUT: Duration = Duration::from_secs(30);
/// When the instances are asked where their connections are.
const LOOK: Duration = Duration::from_secs(10);

/// Runs `scenario` against `subject` for about `minutes`.
pub(super) fn run(
    scenario: &Scenario,
    subject: &Subject,
    minutes: u32,
    terms: Terms,
) -> io::Result<Vec<Finding>> {
    let mut fleet = Fleet::start(scenario, subject)?;
    let timeline = Timeline::new(minutes, scenario.fault);
    let redis_before = fleet.redis.as_ref().map(|redis| redis.calls()).transpose()?.unwrap_or_default();
    let plans = plans(scenario, subject, &fleet, timeline.length);
    let begun = (Instant::now(), unix_s());
    let loads: Vec<_> = plans
        .into_iter()
        .map(|(limit, plan)| (limit, thread::spawn(move || load::run(plan, |_| {}))))
        .collect();

    sleep_until(begun.0 + LOOK);
    let connections = fleet
        .instances
        .iter()
        .map(|instance| {
            request::get(instance.port, "/metrics").map_or(Vec::new(), |(_, page)| shards::connections(&page))
        })
        .collect::<Vec<_>>();
    if let (Some(fault), Some((begins, ends))) = (scenario.fault, timeline.fault) {
        sleep_until(begun.0 + begins);
        begin(&mut fleet, fault)?;
        sleep_until(begun.0 + ends);
        end(&mut fleet, fault)?;
    }

    let mut stats: BTreeMap<u64, Stats> = BTreeMap::new();
    for (limit, load) in loads {
        let outcome = load.join().map_err(|_| io::Error::other("the load ended abnormally"))??;
        stats.entry(limit).or_default().add(&outcome.stats);
    }
    for process in fleet.instances.iter_mut().filter_map(|instance| instance.process.as_mut()) {
        process.still_runs()?;
    }
    let records = fleet.simulator.record();
    let whole_record = records.len() as u64 == fleet.simulator.stats().requests;
    let answered: u64 = stats.values().map(answered).sum();
    let redis = fleet
        .redis
        .as_ref()
        .map(|redis| redis.calls())
        .transpose()?
        .map(|after| RedisUse::new(&redis_before, after, scenario.instances, timeline.length, answered));
    let moments = Moments::new(&records, begun.1, timeline);
    let findings = stats.iter().map(|(&limit, stats)| {
        let rule = Rule { measure: scenario.measure, limit, window_us: WINDOW.as_micros() as u64 };
        let spends = judge::spends(&records, &provider_key(limit), scenario.measure);
        let ruling = judge::rule_on(&spends, rule, moments.end_us);
        let of_ideal = scenario.fault.and_then(|fault| {
            let arrivals = moments.arrivals(scenario, demand(scenario, limit), fault);
            let ideal = judge::ideal(&arrivals, rule);
            (ideal > 0).then(|| ruling.spent as f64 / ideal as f64)
        });
        let each = ruling.spent as f64 / spends.len().max(1) as f64;
        let demand = self::answered(stats) as f64 * each
            / (limit as f64 * timeline.length.as_secs_f64() / WINDOW.as_secs_f64());
        let mut finding = Finding {
            scenario: scenario.name,
            subject: subject.name(),
            instances: scenario.instances,
            shards: scenario.shards,
            ruling,
            of_ideal,
            demand,
            refused: stats.statuses.get(&429).copied().unwrap_or(0),
            p50_ms: stats.service.quantile_us(0.5) / 1e3,
            p99_ms: stats.service.quantile_us(0.99) / 1e3,
            redis: redis.clone(),
            connections: connections.clone(),
            unexpected: unexpected(stats),
            problems: Vec::new(),
        };
        finding.decide(terms, scenario, whole_record);
        finding
    });
    Ok(findings.collect())
}

/// Requests a second on a key, over all instances.
fn demand(scenario: &Scenario, limit: u64) -> f64 {
    let cost = match scenario.measure {
        Measure::Requests => 1.0,
        Measure::Tokens => REQUEST_TOKENS,
    };
    (scenario.demand * limit as f64 / cost / WINDOW.as_secs_f64()).max(LEAST_RATE)
}

/// The load: for each limit and each instance, one plan.
fn plans(scenario: &Scenario, subject: &Subject, fleet: &Fleet, length: Duration) -> Vec<(u64, Plan)> {
    let mut plans = Vec::new();
    for &limit in &scenario.limits {
        let demand = demand(scenario, limit);
        let loaded = scenario.skew.loaded(scenario.instances);
        // Each of the load's shards keeps to its own connections, so as many as the gateway has put requests on
        // every shard of it even at a low rate.
        let (threads, connections) =
            if scenario.skew == Skew::OneShard { (1, 1) } else { (scenario.shards, scenario.shards * 4) };
        let key = match subject {
            Subject::Provider => provider_key(limit),
            _ => CLIENT_KEY.to_owned(),
        };
        for (index, instance) in fleet.instances.iter().take(loaded).enumerate() {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, instance.port));
            let url = Url { authority: address.to_string(), path: "/v1/chat/completions".into() };
            let fields = [
                ("content-type".to_owned(), "application/json".to_owned()),
                ("authorization".to_owned(), format!("Bearer {key}")),
            ];
            let body = target::chat(&format!("{}:gpt-4o-mini", provider(limit)), PROMPT_BYTES, false);
            let plan = Plan {
                address,
                method: Method::POST,
                request: target::request(&Method::POST, &url, &fields, body.as_bytes(), true),
                pace: Pace::Open {
                    rate: scenario.skew.profile(demand, index, scenario.instances, length),
                    connections,
                    max_in_flight: IN_FLIGHT,
                },
                stream: false,
                keep_alive: true,
                timeout: TIMEOUT,
                warmup: Duration::ZERO,
                log: false,
                cpus: vec![None; threads],
            };
            plans.push((limit, plan));
        }
    }
    plans
}

fn begin(fleet: &mut Fleet, fault: Fault) -> io::Result<()> {
    match (fault, fleet.redis.as_mut(), fleet.instances.first_mut()) {
        (Fault::RedisKilled, Some(redis), _) => redis.kill(),
        (Fault::InstanceKilled, _, Some(instance)) => match instance.process.take() {
            Some(process) => process.signal("KILL"),
            None => Ok(()),
        },
        (Fault::InstanceStopped, _, Some(instance)) => signal(instance.process.as_ref(), "STOP"),
        _ => Ok(()),
    }
}

fn end(fleet: &mut Fleet, fault: Fault) -> io::Result<()> {
    match (fault, fleet.redis.as_mut(), fleet.instances.first()) {
        (Fault::RedisKilled, Some(redis), _) => redis.launch(),
        (Fault::InstanceStopped, _, Some(instance)) => signal(instance.process.as_ref(), "CONT"),
        _ => Ok(()),
    }
}

fn signal(process: Option<&crate::versus::process::Process>, name: &str) -> io::Result<()> {
    process.map_or(Ok(()), |process| process.signal(name))
}

/// Requests that got an answer that counts: let through or refused for the limit.
fn answered(stats: &Stats) -> u64 {
    [200, 429].iter().filter_map(|status| stats.statuses.get(status)).sum()
}

/// What else became of requests, by name.
fn unexpected(stats: &Stats) -> BTreeMap<String, u64> {
    let statuses = stats
        .statuses
        .iter()
        .filter(|&(status, _)| ![200, 429].contains(status))
        .map(|(status, &count)| (status.to_string(), count));
    let failures = stats
        .failures
        .iter()
        .filter(|&(failure, _)| *failure != load::stats::Failure::Status)
        .map(|(failure, &count)| (failure.name().to_owned(), count));
    statuses.chain(failures).collect()
}

/// The run's moments on the provider's clock.
struct Moments {
    begin_us: u64,
    end_us: u64,
    fault: Option<Range<u64>>,
}

impl Moments {
    fn new(records: &[Record], begun_s: f64, timeline: Timeline) -> Self {
        // Any record tells the simulator's start; without one there is nothing to judge.
        let start_s = records.first().map_or(begun_s, |record| record.unix_s - record.time_us as f64 / 1e6);
        let at = |moment: Duration| ((begun_s - start_s + moment.as_secs_f64()).max(0.0) * 1e6) as u64;
        let fault = timeline.fault.map(|(begins, ends)| at(begins)..at(ends));
        Self { begin_us: at(Duration::ZERO), end_us: at(timeline.length), fault }
    }

    /// When requests of a `demand` a second, spread evenly over the instances, reach one that can serve them. What
    /// comes to an instance that was killed is lost; what comes to one that is stopped waits, as much as may be
    /// in flight.
    fn arrivals(&self, scenario: &Scenario, demand: f64, fault: Fault) -> Vec<u64> {
        let fault_us = self.fault.clone().unwrap_or(self.end_us..self.end_us);
        let step_us = scenario.instances as f64 / demand * 1e6;
        let mut arrivals = Vec::new();
        for instance in 0..scenario.instances {
            let mut waiting = 0;
            for n in 0.. {
                let at = self.begin_us + (f64::from(n) * step_us) as u64;
                if at >= self.end_us {
                    break;
                }
                match fault {
                    Fault::InstanceKilled if instance == 0 && at >= fault_us.start => break,
                    Fault::InstanceStopped if instance == 0 && fault_us.contains(&at) => {
                        if waiting < IN_FLIGHT {
                            arrivals.push(fault_us.end);
                        }
                        waiting += 1;
                    }
                    _ => arrivals.push(at),
                }
            }
        }
        arrivals.sort_unstable();
        arrivals
    }
}

fn unix_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::scenario;

    #[test]
    fn moments_are_on_the_providers_clock() {
        let record = Record { time_us: 2_500_000, unix_s: 1002.5, ..Record::default() };
        let timeline = Timeline::new(3, Some(Fault::InstanceStopped));
        let moments = Moments::new(&[record], 1001.0, timeline);
        assert_eq!(moments.fault, Some(131_000_000..141_000_000));
        assert_eq!((moments.begin_us, moments.end_us), (1_000_000, 201_000_000));
    }

    #[test]
    fn what_comes_to_an_instance_at_fault_waits_or_is_lost() {
        let scenario = scenario::all(&[10]).into_iter().find(|one| one.name == "instance-killed").unwrap();
        let moments = Moments { begin_us: 0, end_us: 10_000_000, fault: Some(4_000_000..6_000_000) };
        let of = |fault| moments.arrivals(&scenario, 30.0, fault);
        assert_eq!(of(Fault::RedisKilled).len(), 300);
        assert_eq!(of(Fault::InstanceKilled).len(), 240);
        let stopped = of(Fault::InstanceStopped);
        assert_eq!(stopped.len(), 300);
        assert_eq!(
            stopped.iter().filter(|&&at| at == 6_000_000).count(),
            23,
            "20 that waited, 3 that came then"
        );
        assert!(stopped.is_sorted());
    }

    #[test]
    fn refusals_for_the_limit_are_expected_and_nothing_else() {
        let mut stats = Stats::default();
        stats.statuses = BTreeMap::from([(200, 5), (429, 7), (503, 2)]);
        stats.failures =
            BTreeMap::from([(load::stats::Failure::Status, 9), (load::stats::Failure::Connect, 3)]);
        assert_eq!(answered(&stats), 12);
        assert_eq!(unexpected(&stats), BTreeMap::from([("503".into(), 2), ("connect".into(), 3)]));
    }
}
