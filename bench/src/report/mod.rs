//! What came of a load, for people ([`text`], [`html`]) and programs (JSON of [`Summary`]).

pub mod html;
mod plot;
pub mod text;

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::load::{
    Outcome, Pace, Plan,
    stats::{Second, Times},
};

/// Quantiles that reports show by name.
const NAMED: [(&str, f64); 8] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
    ("p99.999", 0.99999),
];
/// Points of a percentile curve, in halvings of what is above: 20 halvings reach one in a million.
const CURVE_HALVINGS: u32 = 20;
const POINTS_PER_HALVING: u32 = 4;

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// The URL.
    pub url: String,
    /// The pace in words.
    pub pace: String,
    /// Whether the schedule was fixed in advance.
    pub open_loop: bool,
    /// Whether answers were read as streams.
    pub stream: bool,
    /// Bytes of a request.
    pub request_bytes: usize,
    /// Shards.
    pub shards: usize,
    /// For how long requests were started, in seconds.
    pub planned_s: f64,
    /// Of it not counted, in seconds.
    pub warmup_s: f64,
}

impl About {
    /// Describes `plan` against `url`.
    #[must_use]
    pub fn of(plan: &Plan, url: &str) -> Self {
        let length = plan.length().as_secs_f64();
        let pace = match &plan.pace {
            Pace::Open { rate, connections, .. } => {
                format!("open loop, up to {}/s on at most {connections} connections", rate.peak())
            }
            Pace::Closed { clients, requests: Some(requests), .. } => {
                format!("closed loop, {} connections, {requests} requests", clients.peak())
            }
            Pace::Closed { clients, .. } => format!("closed loop, up to {} connections", clients.peak()),
        };
        Self {
            url: url.to_owned(),
            pace,
            open_loop: matches!(plan.pace, Pace::Open { .. }),
            stream: plan.stream,
            request_bytes: plan.request.len(),
            shards: plan.cpus.len(),
            planned_s: length,
            warmup_s: plan.warmup.as_secs_f64(),
        }
    }
}

/// A distribution of times, in µs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Distribution {
    /// How many.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Least.
    pub min_us: f64,
    /// Most.
    pub max_us: f64,
    /// Quantiles by name, ascending.
    pub quantiles_us: Vec<(&'static str, f64)>,
    /// (quantile, µs), for drawing.
    pub curve: Vec<(f64, f64)>,
}

impl Distribution {
    /// Summarises `times`; quantiles that fewer values cannot tell are left out.
    #[must_use]
    pub fn of(times: &Times) -> Self {
        let count = times.count();
        let (min_us, max_us) = times.range_us();
        // A quantile beyond the last value but one only repeats the greatest.
        let told = |quantile: f64| count > 0 && (1.0 - quantile) * count as f64 >= 1.0;
        let quantiles_us = NAMED
            .iter()
            .filter(|(name, quantile)| told(*quantile) || (*name == "p50" && count > 0))
            .map(|&(name, quantile)| (name, times.quantile_us(quantile)))
            .collect();
        let points = 0..=CURVE_HALVINGS * POINTS_PER_HALVING;
        let curve = points
            .map(|n| 1.0 - 0.5f64.powf(f64::from(n) / f64::from(POINTS_PER_HALVING)))
            .take_while(|&quantile| quantile == 0.0 || told(quantile))
            .map(|quantile| (quantile, times.quantile_us(quantile)))
            .collect();
        let mean_us = if count == 0 { 0.0 } else { times.mean_us() };
        Self { count, mean_us, min_us, max_us, quantiles_us, curve }
    }

    /// The named quantile, where there is one.
    #[must_use]
    pub fn quantile(&self, name: &str) -> Option<f64> {
        self.quantiles_us.iter().find(|(other, _)| *other == name).map(|&(_, us)| us)
    }
}

/// One second.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// Seconds since the start.
    pub at_s: u64,
    /// Requests that succeeded, failed, were not sent.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were not sent.
    pub missed: u64,
    /// Texts of streams.
    pub tokens: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Median latency; 0 where nothing succeeded.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Greatest latency.
    pub max_us: f64,
}

impl From<&Second> for Moment {
    fn from(second: &Second) -> Self {
        Self {
            at_s: second.at,
            ok: second.ok,
            failed: second.failed,
            missed: second.missed,
            tokens: second.tokens,
            in_flight: second.in_flight,
            p50_us: second.latency.quantile_us(0.5),
            p99_us: second.latency.quantile_us(0.99),
            max_us: second.latency.range_us().1,
        }
    }
}

/// All that a report tells.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What was done.
    pub about: About,
    /// From the end of the warm-up to the last answer, in seconds.
    pub elapsed_s: f64,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were due while all allowed connections were in use.
    pub missed: u64,
    /// Requests that succeeded, per second.
    pub ok_per_s: f64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Connections opened.
    pub connects: u64,
    /// Responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Failures by class.
    pub failures: BTreeMap<&'static str, u64>,
    /// Latency of successful requests from when they were due.
    pub latency: Distribution,
    /// Their latency from when they were sent.
    pub service: Distribution,
    /// What streams did, where they were asked for.
    pub streams: Option<Streams>,
    /// By second.
    pub moments: Vec<Moment>,
}

/// What streams did.
#[derive(Clone, Debug, Serialize)]
pub struct Streams {
    /// Streams that ended with `[DONE]`.
    pub complete: u64,
    /// Events, without `[DONE]`.
    pub events: u64,
    /// Events with text.
    pub tokens: u64,
    /// Events with text, per second, over all streams.
    pub tokens_per_s: f64,
    /// From when a request was due to its first text.
    pub first_token: Distribution,
    /// Between texts of a stream.
    pub between_tokens: Distribution,
}

impl Summary {
    /// Summarises `outcome`.
    #[must_use]
    pub fn of(about: About, outcome: &Outcome) -> Self {
        let stats = &outcome.stats;
        let elapsed_s = outcome.elapsed.max(Duration::from_nanos(1)).as_secs_f64();
        let streams = about.stream.then(|| Streams {
            complete: stats.streams_done,
            events: stats.events,
            tokens: stats.tokens,
            tokens_per_s: stats.tokens as f64 / elapsed_s,
            first_token: Distribution::of(&stats.first_token),
            between_tokens: Distribution::of(&stats.between_tokens),
        });
        Self {
            about,
            elapsed_s,
            ok: stats.ok,
            failed: stats.failed(),
            missed: stats.missed,
            ok_per_s: stats.ok as f64 / elapsed_s,
            bytes: stats.bytes,
            connects: stats.connects,
            statuses: stats.statuses.clone(),
            failures: stats.failures.iter().map(|(failure, &count)| (failure.name(), count)).collect(),
            latency: Distribution::of(&stats.latency),
            service: Distribution::of(&stats.service),
            streams,
            moments: outcome.seconds.iter().map(Moment::from).collect(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::load::stats::{Failure, Finished, Stats};

    pub(crate) fn sample(stream: bool) -> Summary {
        let mut stats = Stats::default();
        for us in 1..=2000 {
            let latency = Duration::from_micros(us);
            let failure = (us > 1990).then_some(Failure::Status);
            let status = Some(if failure.is_some() { 503 } else { 200 });
            stats.finish(&Finished { latency, service: latency, status, failure, ..Finished::default() });
        }
        let mut second = Second::new(0);
        second.ok = 1990;
        second.latency.record(Duration::from_micros(700));
        let seconds = vec![second.clone(), Second { at: 1, ..second.clone() }, Second { at: 2, ..second }];
        let begun = std::time::SystemTime::UNIX_EPOCH;
        let outcome = Outcome { stats, seconds, elapsed: Duration::from_secs(2), begun, log: Vec::new() };
        let about = About {
            url: "http://127.0.0.1:1/<script>".into(),
            pace: "open loop".into(),
            open_loop: true,
            stream,
            request_bytes: 300,
            shards: 1,
            planned_s: 2.0,
            warmup_s: 0.0,
        };
        Summary::of(about, &outcome)
    }

    #[test]
    fn quantiles_that_the_values_cannot_tell_are_left_out() {
        let summary = sample(false);
        let names: Vec<_> = summary.latency.quantiles_us.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["p50", "p75", "p90", "p95", "p99", "p99.9"]);
        let p50 = summary.latency.quantile("p50").unwrap();
        assert!((994.0..997.0).contains(&p50), "{p50}");
        assert!(summary.latency.curve.windows(2).all(|two| two[0].1 <= two[1].1));
        assert!(Distribution::of(&Times::default()).curve.len() <= 1);
    }

    #[test]
    fn json_has_the_counts() {
        let json: serde_json::Value = serde_json::to_value(sample(true)).unwrap();
        assert_eq!(
            (&json["ok"], &json["failed"], &json["ok_per_s"]),
            (&1990.into(), &10.into(), &995.0.into())
        );
        assert_eq!(json["failures"]["status"], 10);
        assert_eq!(json["statuses"]["503"], 10);
        assert_eq!(json["streams"]["complete"], 0);
        assert_eq!(json["moments"][1]["at_s"], 1);
    }
}
