//! For a terminal: one line a second while running, a summary at the end.

use std::fmt::Write as _;

use super::{Distribution, Moment, Summary};
use crate::load::stats::Second;

/// The line of one second.
#[must_use]
pub fn progress(second: &Second) -> String {
    let moment = Moment::from(second);
    let mut line = format!(
        "{:5} s {:8} ok/s  p50 {:>9}  p99 {:>9}  {:6} under way",
        moment.at_s + 1,
        moment.ok,
        time(moment.p50_us),
        time(moment.p99_us),
        moment.in_flight
    );
    for (count, name) in [(moment.tokens, "tokens/s"), (moment.failed, "failed"), (moment.missed, "missed")] {
        if count > 0 {
            let _ = write!(line, "  {count} {name}");
        }
    }
    line
}

/// The end of a run.
#[must_use]
pub fn summary(summary: &Summary) -> String {
    let mut out = String::new();
    let about = &summary.about;
    let _ = writeln!(out, "{} · {} · {} shard(s)", about.url, about.pace, about.shards);
    let _ = writeln!(
        out,
        "{} ok, {} failed, {} missed in {:.2} s: {:.1} ok/s, {:.1} KiB/s, {} connections opened",
        summary.ok,
        summary.failed,
        summary.missed,
        summary.elapsed_s,
        summary.ok_per_s,
        summary.bytes as f64 / 1024.0 / summary.elapsed_s,
        summary.connects,
    );
    for (status, count) in &summary.statuses {
        let _ = writeln!(out, "  status {status}: {count}");
    }
    for (failure, count) in &summary.failures {
        let _ = writeln!(out, "  failed, {failure}: {count}");
    }
    if about.open_loop {
        distribution(&mut out, "latency (from when due)", &summary.latency);
        distribution(&mut out, "service (from when sent)", &summary.service);
    } else {
        distribution(&mut out, "latency", &summary.latency);
    }
    if let Some(streams) = &summary.streams {
        let _ = writeln!(
            out,
            "streams: {} complete, {} events, {} tokens, {:.1} tokens/s",
            streams.complete, streams.events, streams.tokens, streams.tokens_per_s
        );
        distribution(&mut out, "first token", &streams.first_token);
        distribution(&mut out, "between tokens", &streams.between_tokens);
    }
    out
}

fn distribution(out: &mut String, name: &str, times: &Distribution) {
    if times.count == 0 {
        return;
    }
    let _ = write!(out, "{name:24}  mean {}", time(times.mean_us));
    for &(name, us) in &times.quantiles_us {
        let _ = write!(out, "  {name} {}", time(us));
    }
    let _ = writeln!(out, "  max {}", time(times.max_us));
}

/// A time with a fitting unit and three or four digits.
#[must_use]
pub fn time(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 1e3 => (us, "µs"),
        us if us < 1e6 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    let decimals = match value {
        value if value >= 100.0 || value == 0.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fitting_units() {
        let cases = [
            (0.0, "0 µs"),
            (1.234, "1.23 µs"),
            (85.0, "85.0 µs"),
            (1500.0, "1.50 ms"),
            (2e6, "2.00 s"),
            (250e3, "250 ms"),
        ];
        for (us, text) in cases {
            assert_eq!(time(us), text);
        }
    }

    #[test]
    fn a_summary_tells_failures_and_both_latencies() {
        let text = summary(&super::super::tests::sample(false));
        for part in ["1990 ok, 10 failed, 0 missed", "status 503: 10", "failed, status: 10", "from when sent"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
