//! Latency that each proxy adds at a constant rate, against the same load sent directly.

use std::{io, time::Duration};

use super::{
    Settings, driver,
    rivals::{Fleet, Upstream},
    table::{Cell, Table, median},
};
use crate::load::{self, Pace, profile::Profile, stats::Stats};

/// Time over which the rate rises; not counted. Connections are opened then, as few as it takes.
const WARMUP: Duration = Duration::from_secs(2);
/// Requests under way or waiting at most: a second's worth or more, so that no stall goes uncounted.
const MAX_IN_FLIGHT: usize = 1_000_000;

/// Runs the comparison.
pub(super) fn run(settings: &Settings) -> io::Result<Table> {
    let fleet = Fleet::start(settings, Upstream::Mock)?;
    for rival in &fleet.rivals {
        rival.check()?;
    }
    let quantiles = [0.5, 0.9, 0.99, 0.999];
    // By rival and round: the quantiles in µs.
    let mut samples = vec![Vec::new(); fleet.rivals.len()];
    let mut lost = vec![(0, 0); fleet.rivals.len()];
    for round in 1..=settings.rounds {
        for ((rival, samples), lost) in fleet.rivals.iter().zip(&mut samples).zip(&mut lost) {
            let rate = Profile::ramped(settings.rate, WARMUP, Duration::from_secs(settings.seconds));
            let pace = Pace::Open { rate, connections: settings.connections, max_in_flight: MAX_IN_FLIGHT };
            let mut plan = driver::plan(settings, rival.port, pace, false)?;
            plan.warmup = WARMUP;
            let stats: Stats = load::run(plan, |_| {})?.stats;
            let times @ [p50, _, p99, _] = quantiles.map(|quantile| stats.latency.quantile_us(quantile));
            eprintln!(
                "round {round}  {:10}  p50 {p50:6.1} µs  p99 {p99:7.1} µs  {} connections opened",
                rival.name, stats.connects
            );
            samples.push(times);
            *lost = (lost.0 + stats.failed(), lost.1 + stats.missed);
        }
    }
    let title = format!(
        "Latency at {} requests/s on a fixed schedule, medians of {} rounds of {} s",
        settings.rate, settings.rounds, settings.seconds
    );
    let columns =
        ["", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "added p50", "added p99", "failed", "missed"];
    let mut table = Table::new(title, &columns);
    let direct = samples.first().cloned().unwrap_or_default();
    for ((rival, samples), lost) in fleet.rivals.iter().zip(&samples).zip(&lost) {
        let middle = |n: usize| median(&column(samples, n));
        let added = |n: usize| {
            let differences: Vec<_> =
                column(samples, n).iter().zip(column(&direct, n)).map(|(own, direct)| own - direct).collect();
            if rival.name == "direct" { Cell::Missing } else { Cell::number(median(&differences), 1) }
        };
        let figures = (0..quantiles.len()).map(|n| Cell::number(middle(n), 1));
        let rest = [added(0), added(2), Cell::number(lost.0 as f64, 0), Cell::number(lost.1 as f64, 0)];
        table.row(&rival.name, figures.chain(rest));
    }
    table.note(format!(
        "Latency counts from when a request was due, on at most {} connections. Proxies on CPU {}, mock provider and load on CPU {}. What is \
         added is the median of each round's difference to direct.",
        settings.connections, settings.proxy_cpus, settings.load_cpus
    ));
    Ok(table)
}

fn column<const N: usize>(samples: &[[f64; N]], n: usize) -> Vec<f64> {
    samples.iter().filter_map(|times| times.get(n).copied()).collect()
}
