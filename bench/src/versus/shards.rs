//! One shard of the gateway against two: CPU per request, and how connections spread.
//!
//! nginx with one worker and two, in the same rounds, shows what the machine itself takes away: with few CPUs the
//! second shard shares its own with the load.

use std::{io, thread, time::Duration};

use super::{
    Settings, driver, request,
    rivals::Fleet,
    table::{Cell, Table, median},
    wrk::Drive,
};

/// Runs the comparison.
pub(super) fn run(settings: &Settings) -> io::Result<Table> {
    let mut fleet = Fleet::upstream_only(settings)?;
    let program = settings.gateway()?;
    let upstream = fleet.upstream_port();
    let all = driver::cpus(&settings.shard_cpus)?;
    let list = |count: usize| all.iter().take(count).map(ToString::to_string).collect::<Vec<_>>().join(",");
    for count in [1, 2] {
        fleet.nginx(settings, &format!("nginx {count}"), &list(count), count, upstream)?;
    }
    for count in [1, 2] {
        fleet.gateway(&format!("gateway {count}"), &program, &list(count), count, upstream)?;
    }
    let mut samples = vec![Vec::new(); fleet.rivals.len()];
    let mut spread = vec![None; fleet.rivals.len()];
    for round in 1..=settings.rounds {
        for ((rival, samples), spread) in fleet.rivals.iter().zip(&mut samples).zip(&mut spread).skip(1) {
            rival.check()?;
            let drive = Drive {
                cpus: &settings.load_cpus,
                connections: settings.connections,
                seconds: 1,
                script: &fleet.script,
                watch: None,
            };
            drive.run(rival.port)?;
            let before = rival.usage.cpu_us()?;
            let run = thread::scope(|scope| {
                let running = scope.spawn(|| Drive { seconds: settings.seconds, ..drive }.run(rival.port));
                thread::sleep(Duration::from_millis(settings.seconds * 500));
                let seen = request::get(rival.port, "/metrics").ok().map(|(_, body)| connections(&body));
                *spread = seen.filter(|counts| !counts.is_empty()).or(spread.take());
                running.join().map_err(|_| io::Error::other("the client ended abnormally"))?
            })?;
            let cpu_us = (rival.usage.cpu_us()? - before) / run.requests.max(1) as f64;
            eprintln!(
                "round {round}  {}  {:.0} req/s  {cpu_us:.2} CPU µs/request",
                rival.name, run.requests_per_s
            );
            samples.push((run.requests_per_s, cpu_us, run.errors));
        }
    }
    let title = format!(
        "One shard and two, {} connections, medians of {} rounds of {} s",
        settings.connections, settings.rounds, settings.seconds
    );
    let columns = ["", "req/s", "CPU µs/req", "scaling", "connections by shard", "off even", "errors"];
    let mut table = Table::new(title, &columns);
    let cpu = |samples: &[(f64, f64, u64)]| median(&samples.iter().map(|s| s.1).collect::<Vec<_>>());
    let mut one: &[(f64, f64, u64)] = &[];
    for (n, ((rival, samples), spread)) in fleet.rivals.iter().zip(&samples).zip(&spread).enumerate().skip(1)
    {
        // Per CPU-second, two carry one/cpu as many requests as one; they have two.
        let count = if n % 2 == 1 { 1.0 } else { 2.0 };
        if n % 2 == 1 {
            one = samples;
        }
        let scaling: Vec<f64> = one.iter().zip(samples).map(|(one, these)| count * one.1 / these.1).collect();
        table.row(
            &rival.name,
            [
                Cell::number(median(&samples.iter().map(|s| s.0).collect::<Vec<_>>()), 0),
                Cell::number(cpu(samples), 2),
                Cell::number(median(&scaling), 2),
                spread.as_ref().map_or(Cell::Missing, |counts| Cell::text(format!("{counts:?}"))),
                spread
                    .as_ref()
                    .map_or(Cell::Missing, |counts| Cell::text(format!("{:.1} %", off_even(counts)))),
                Cell::number(samples.iter().map(|s| s.2 as f64).sum(), 0),
            ],
        );
    }
    table.note(format!(
        "Scaling is CPU-normalised: count × CPU µs/request of one / CPU µs/request, the median of each round's. \
         Shards and workers on CPUs {}, mock provider and wrk on CPU {}.",
        settings.shard_cpus, settings.load_cpus
    ));
    Ok(table)
}

/// The values of `coo_llm_active_connections{shard="N"}` in a metrics page, by shard.
pub(crate) fn connections(page: &[u8]) -> Vec<u64> {
    let page = String::from_utf8_lossy(page);
    let mut counts: Vec<(u64, u64)> = page
        .lines()
        .filter_map(|line| {
            let (labels, value) = line.strip_prefix("coo_llm_active_connections{")?.split_once("} ")?;
            let shard = labels.split(',').find_map(|label| label.strip_prefix("shard=\""))?;
            Some((shard.trim_end_matches('"').parse().ok()?, value.trim().parse::<f64>().ok()? as u64))
        })
        .collect();
    counts.sort_unstable();
    counts.into_iter().map(|(_, count)| count).collect()
}

/// How far the shard with most connections is above the mean, in percent.
fn off_even(counts: &[u64]) -> f64 {
    let mean = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    let most = counts.iter().max().copied().unwrap_or(0) as f64;
    (most / mean - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_by_shard_are_read_from_metrics() {
        let page = b"# TYPE coo_llm_active_connections gauge\ncoo_llm_active_connections{shard=\"1\"} 30\n\
            coo_llm_active_connections{a=\"b\",shard=\"0\"} 34\ncoo_llm_requests_total 5\n";
        assert_eq!(connections(page), [34, 30]);
        assert_eq!(connections(b"coo_llm_active_connections 5\n"), [0; 0]);
        assert!((off_even(&[33, 31]) - 3.125).abs() < 1e-9);
    }
}
