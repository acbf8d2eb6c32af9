//! CPU per chunk of many concurrent streams, passed on as they arrive.

use std::{io, time::Duration};

use super::{
    Settings, driver,
    rivals::{Fleet, Upstream},
    table::{Cell, Table, median},
};
use crate::load::{self, Pace, profile::Profile};

/// Time over which the streams are started, so that their chunks do not come in step.
const RAMP: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    chunks_per_s: f64,
    cpu_us: f64,
    first_p50_us: f64,
    between_p50_us: f64,
    between_p99_us: f64,
    complete: u64,
    failed: u64,
}

/// Runs the comparison.
pub(super) fn run(settings: &Settings) -> io::Result<Table> {
    let fleet = Fleet::start(settings, Upstream::Streams)?;
    for rival in &fleet.rivals {
        rival.check()?;
    }
    let mut samples = vec![Vec::new(); fleet.rivals.len()];
    for round in 1..=settings.rounds {
        for (rival, samples) in fleet.rivals.iter().zip(&mut samples) {
            let clients =
                Profile::ramped(settings.streams as f64, RAMP, Duration::from_secs(settings.seconds));
            let pace = Pace::Closed { clients, requests: None, pause: Duration::ZERO };
            let plan = driver::plan(settings, rival.port, pace, true)?;
            let before = rival.usage.cpu_us()?;
            let outcome = load::run(plan, |_| {})?;
            let stats = outcome.stats;
            let sample = Sample {
                chunks_per_s: stats.events as f64 / outcome.elapsed.as_secs_f64(),
                cpu_us: (rival.usage.cpu_us()? - before) / stats.events.max(1) as f64,
                first_p50_us: stats.first_token.quantile_us(0.5),
                between_p50_us: stats.between_tokens.quantile_us(0.5),
                between_p99_us: stats.between_tokens.quantile_us(0.99),
                complete: stats.streams_done,
                failed: stats.failed(),
            };
            eprintln!(
                "round {round}  {:10}  {:8.0} chunks/s  {:6.2} CPU µs/chunk",
                rival.name, sample.chunks_per_s, sample.cpu_us
            );
            samples.push(sample);
        }
    }
    let title = format!(
        "CPU per chunk, {} concurrent streams of {} chunks at {} a second, medians of {} rounds of {} s",
        settings.streams, settings.chunks, settings.chunk_rate, settings.rounds, settings.seconds
    );
    let columns = [
        "",
        "chunks/s",
        "CPU µs/chunk",
        "× nginx",
        "first p50 ms",
        "between p50 ms",
        "between p99 ms",
        "peak RSS KiB",
        "complete",
        "failed",
    ];
    let mut table = Table::new(title, &columns);
    let cpu = |samples: &[Sample]| samples.iter().map(|s| s.cpu_us).collect::<Vec<_>>();
    let nginx =
        fleet.rivals.iter().zip(&samples).find(|(rival, _)| rival.name == "nginx").map(|(_, s)| cpu(s));
    for (rival, samples) in fleet.rivals.iter().zip(&samples) {
        let middle = |of: fn(&Sample) -> f64| median(&samples.iter().map(of).collect::<Vec<_>>());
        let ratio = nginx.as_ref().filter(|_| rival.name != "direct").map(|nginx| {
            median(&cpu(samples).iter().zip(nginx).map(|(own, nginx)| own / nginx).collect::<Vec<_>>())
        });
        table.row(
            &rival.name,
            [
                Cell::number(middle(|s| s.chunks_per_s), 0),
                Cell::number(middle(|s| s.cpu_us), 2),
                Cell::maybe(ratio, 3),
                Cell::number(middle(|s| s.first_p50_us) / 1e3, 2),
                Cell::number(middle(|s| s.between_p50_us) / 1e3, 2),
                Cell::number(middle(|s| s.between_p99_us) / 1e3, 2),
                Cell::maybe(rival.usage.peak_rss_kib().ok().map(|kib| kib as f64), 0),
                Cell::number(samples.iter().map(|s| s.complete as f64).sum(), 0),
                Cell::number(samples.iter().map(|s| s.failed as f64).sum(), 0),
            ],
        );
    }
    table.note(format!(
        "nginx with proxy_buffering off, HAProxy with http-no-delay. Proxies on CPU {}, provider simulator and load on CPU {}; the streams start \
         over {} s and repeat. CPU from /proc/PID/stat, the share of each request's head included.",
        settings.proxy_cpus,
        settings.load_cpus,
        RAMP.as_secs()
    ));
    Ok(table)
}
