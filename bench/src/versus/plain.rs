//! CPU per proxied request, not streamed: every rival in turn, several rounds.

use std::io;

use super::{
    Settings,
    rivals::{Fleet, Upstream},
    table::{Cell, Table, median},
    wrk::{self, Drive},
};

/// What one rival did in one round.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    requests_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
    instructions: Option<f64>,
    errors: u64,
}

/// Runs the comparison.
pub(super) fn run(settings: &Settings) -> io::Result<Table> {
    let fleet = Fleet::start(settings, Upstream::Mock)?;
    for rival in &fleet.rivals {
        rival.check()?;
    }
    let counts = wrk::counts_instructions();
    let mut samples = vec![Vec::new(); fleet.rivals.len()];
    for round in 1..=settings.rounds {
        let mut order: Vec<_> = fleet.rivals.iter().zip(&mut samples).collect();
        if round % 2 == 0 {
            // Whatever drifts over a round favours nobody.
            order.reverse();
        }
        for (rival, samples) in order {
            let drive = Drive {
                cpus: &settings.load_cpus,
                connections: settings.connections,
                seconds: 1,
                script: &fleet.script,
                watch: None,
            };
            drive.run(rival.port)?;
            let before = rival.usage.cpu_us()?;
            let measured =
                Drive { seconds: settings.seconds, watch: counts.then_some(rival.usage.pid), ..drive };
            let run = measured.run(rival.port)?;
            let requests = run.requests.max(1) as f64;
            let sample = Sample {
                requests_per_s: run.requests_per_s,
                p50_us: run.p50_us,
                p99_us: run.p99_us,
                cpu_us: (rival.usage.cpu_us()? - before) / requests,
                instructions: run.instructions.map(|count| count as f64 / requests),
                errors: run.errors,
            };
            eprintln!(
                "round {round}  {:10}  {:8.0} req/s  {:6.2} CPU µs/request",
                rival.name, sample.requests_per_s, sample.cpu_us
            );
            samples.push(sample);
        }
    }
    let against = format!("× {}", settings.against);
    let columns = [
        "",
        "req/s",
        "p50 µs",
        "p99 µs",
        "CPU µs/req",
        &against,
        "rounds",
        "instr/req",
        "peak RSS KiB",
        "errors",
    ];
    let title = format!(
        "CPU per request, {} connections, medians of {} rounds of {} s",
        settings.connections, settings.rounds, settings.seconds
    );
    let mut table = Table::new(title, &columns);
    let base = fleet.rivals.iter().zip(&samples).find(|(rival, _)| rival.name == settings.against);
    let base = base.map(|(_, samples)| samples);
    for (rival, samples) in fleet.rivals.iter().zip(&samples) {
        let middle = |of: fn(&Sample) -> f64| median(&samples.iter().map(of).collect::<Vec<_>>());
        let instructions: Vec<_> = samples.iter().filter_map(|sample| sample.instructions).collect();
        let against =
            base.filter(|_| rival.name != "direct").map(|base| ratios(samples, base)).unwrap_or_default();
        table.row(
            &rival.name,
            [
                Cell::number(middle(|s| s.requests_per_s), 0),
                Cell::number(middle(|s| s.p50_us), 0),
                Cell::number(middle(|s| s.p99_us), 0),
                Cell::number(middle(|s| s.cpu_us), 2),
                Cell::number(median(&against), 3),
                range(&against),
                Cell::number(median(&instructions), 0),
                Cell::maybe(rival.usage.peak_rss_kib().ok().map(|kib| kib as f64), 0),
                Cell::number(samples.iter().map(|s| s.errors as f64).sum(), 0),
            ],
        );
    }
    table.note(format!(
        "Proxies on CPU {}, mock provider and wrk on CPU {}. CPU from /proc/PID/stat. The ratio is the median of \
         each round's ratio.",
        settings.proxy_cpus, settings.load_cpus
    ));
    if !counts {
        table.note("Instructions cannot be counted on this machine.");
    }
    Ok(table)
}

/// The CPU used against `base` in the same round, by round.
fn ratios(samples: &[Sample], base: &[Sample]) -> Vec<f64> {
    samples.iter().zip(base).map(|(own, base)| own.cpu_us / base.cpu_us).collect()
}

/// Between which ratios the middle half of the rounds lies, to show how far they agree.
fn range(values: &[f64]) -> Cell {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quarter = sorted.len() / 4;
    match (sorted.get(quarter), sorted.iter().rev().nth(quarter)) {
        (Some(low), Some(high)) => Cell::text(format!("{low:.2}..{high:.2}")),
        _ => Cell::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_compared_with_another_of_the_same_round() {
        let rounds = |values: &[f64]| -> Vec<Sample> {
            values.iter().map(|&cpu_us| Sample { cpu_us, ..Sample::default() }).collect()
        };
        let ratios = ratios(&rounds(&[5.0, 20.0, 8.0]), &rounds(&[10.0, 20.0, 10.0]));
        assert_eq!(median(&ratios), 0.8);
        assert!(matches!(range(&ratios), Cell::Text(text) if text == "0.50..1.00"));
        let many: Vec<_> = (1..=9).map(f64::from).collect();
        assert!(matches!(range(&many), Cell::Text(text) if text == "3.00..7.00"));
    }
}
