//! What is counted. Every shard counts for itself; the counts are added at the end and once a second.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

/// Longest time a histogram holds, in ns; longer ones count as this.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// Significant digits of the totals, and of one second (which is only drawn).
const DIGITS: u8 = 3;
const SECOND_DIGITS: u8 = 2;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// No connection.
    Connect,
    /// Nothing came in time.
    Timeout,
    /// The connection was closed or reset before the response was complete.
    Closed,
    /// The response is not HTTP.
    Protocol,
    /// A status other than 2xx and 3xx.
    Status,
    /// A stream without `[DONE]`.
    Cut,
    /// An error event in a stream.
    StreamError,
}

impl Failure {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Failure::Connect => "connect",
            Failure::Timeout => "timeout",
            Failure::Closed => "closed",
            Failure::Protocol => "protocol",
            Failure::Status => "status",
            Failure::Cut => "stream cut",
            Failure::StreamError => "stream error",
        }
    }
}

/// A distribution of times.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self::with_digits(DIGITS)
    }
}

impl Times {
    fn with_digits(digits: u8) -> Self {
        let mut histogram = Histogram::new(digits).unwrap_or_else(|_| unreachable!("digits are at most 5"));
        histogram.auto(true);
        Self(histogram)
    }

    /// Adds one.
    pub fn record(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(LONGEST_NS).min(LONGEST_NS);
        // An automatic histogram grows to hold any value.
        let _ = self.0.record(ns);
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: &Self) {
        let _ = self.0.add(&other.0);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that the fraction `quantile` of all stays within, in µs.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// The mean in µs.
    #[must_use]
    pub fn mean_us(&self) -> f64 {
        self.0.mean() / 1000.0
    }

    /// The least and the most, in µs.
    #[must_use]
    pub fn range_us(&self) -> (f64, f64) {
        if self.0.is_empty() {
            return (0.0, 0.0);
        }
        (self.0.min() as f64 / 1000.0, self.0.max() as f64 / 1000.0)
    }

    fn clear(&mut self) {
        self.0.reset();
    }
}

/// One finished request.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// From the moment it should have started to its last byte.
    pub latency: Duration,
    /// From the moment it did start to its last byte.
    pub service: Duration,
    /// From the moment it should have started to the first text of a stream.
    pub first_token: Option<Duration>,
    /// The status, where one came.
    pub status: Option<u16>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Whether `[DONE]` came.
    pub done: bool,
    /// Bytes of the body.
    pub bytes: u64,
    /// Whether a connection was opened for it.
    pub connected: bool,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It succeeded.
    Ok,
    /// It failed.
    Failed(Failure),
    /// It was due while all allowed connections were in use, and never sent.
    Missed,
}

impl Fate {
    /// Its name in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fate::Ok => "ok",
            Fate::Failed(failure) => failure.name(),
            Fate::Missed => "missed",
        }
    }
}

/// A request in the log of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was due, from when the first one was.
    pub due: Duration,
    /// From then to its last byte or its failure; zero where it was missed.
    pub latency: Duration,
    /// From when it was sent to its last byte or its failure.
    pub service: Duration,
    /// From when it was due to the first text of a stream.
    pub first_token: Option<Duration>,
    /// The status, where one came.
    pub status: Option<u16>,
    /// How it ended.
    pub fate: Fate,
}

impl Entry {
    /// As a line of JSON: times in µs.
    #[must_use]
    pub fn json(&self) -> String {
        let first_token_us = self.first_token.map(|time| time.as_micros() as u64);
        serde_json::json!({
            "due_us": self.due.as_micros() as u64,
            "latency_us": self.latency.as_micros() as u64,
            "service_us": self.service.as_micros() as u64,
            "first_token_us": first_token_us,
            "status": self.status,
            "fate": self.fate.name(),
        })
        .to_string()
    }
}

/// Counts of a whole run.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Times of successful requests from their intended start (free of coordinated omission).
    pub latency: Times,
    /// Times of successful requests from when they were sent.
    pub service: Times,
    /// Times to the first text of streams.
    pub first_token: Times,
    /// Times between texts of streams.
    pub between_tokens: Times,
    /// Requests that succeeded.
    pub ok: u64,
    /// Failures by class.
    pub failures: BTreeMap<Failure, u64>,
    /// Responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests that were due while all allowed connections were in use: never sent.
    pub missed: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Events of streams, without `[DONE]`.
    pub events: u64,
    /// Events with text.
    pub tokens: u64,
    /// Streams that ended with `[DONE]`.
    pub streams_done: u64,
    /// Connections opened.
    pub connects: u64,
}

impl Stats {
    /// Counts a finished request.
    pub fn finish(&mut self, finished: &Finished) {
        self.bytes += finished.bytes;
        self.connects += u64::from(finished.connected);
        self.streams_done += u64::from(finished.done);
        if let Some(status) = finished.status {
            *self.statuses.entry(status).or_default() += 1;
        }
        if let Some(first) = finished.first_token {
            self.first_token.record(first);
        }
        if let Some(failure) = finished.failure {
            *self.failures.entry(failure).or_default() += 1;
            return;
        }
        self.ok += 1;
        self.latency.record(finished.latency);
        self.service.record(finished.service);
    }

    /// All failed requests.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Adds the counts of another shard.
    pub fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency);
        self.service.add(&other.service);
        self.first_token.add(&other.first_token);
        self.between_tokens.add(&other.between_tokens);
        for (&failure, count) in &other.failures {
            *self.failures.entry(failure).or_default() += count;
        }
        for (&status, count) in &other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.ok += other.ok;
        self.missed += other.missed;
        self.bytes += other.bytes;
        self.events += other.events;
        self.tokens += other.tokens;
        self.streams_done += other.streams_done;
        self.connects += other.connects;
    }
}

/// Counts of one second.
#[derive(Clone, Debug)]
pub struct Second {
    /// Seconds since the start.
    pub at: u64,
    /// Times of the requests that succeeded in it.
    pub latency: Times,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests missed.
    pub missed: u64,
    /// Events with text.
    pub tokens: u64,
    /// Requests under way at its end.
    pub in_flight: u64,
}

impl Second {
    /// An empty second.
    #[must_use]
    pub fn new(at: u64) -> Self {
        let latency = Times::with_digits(SECOND_DIGITS);
        Self { at, latency, ok: 0, failed: 0, missed: 0, tokens: 0, in_flight: 0 }
    }

    /// Empties it for the second `at`.
    pub fn restart(&mut self, at: u64) {
        let mut latency = std::mem::take(&mut self.latency);
        latency.clear();
        *self = Self { at, latency, ok: 0, failed: 0, missed: 0, tokens: 0, in_flight: 0 };
    }

    /// Adds the same second of another shard.
    pub fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency);
        self.ok += other.ok;
        self.failed += other.failed;
        self.missed += other.missed;
        self.tokens += other.tokens;
        self.in_flight += other.in_flight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(ms: u64, failure: Option<Failure>) -> Finished {
        let latency = Duration::from_millis(ms);
        Finished {
            latency,
            service: latency / 2,
            first_token: None,
            status: Some(if failure.is_some() { 503 } else { 200 }),
            failure,
            done: false,
            bytes: 10,
            connected: ms == 1,
        }
    }

    #[test]
    fn shards_add_up_to_what_one_would_have_counted() {
        let (mut one, mut parts) = (Stats::default(), [Stats::default(), Stats::default()]);
        for ms in 1..=1000 {
            let request = finished(ms, (ms % 100 == 0).then_some(Failure::Status));
            one.finish(&request);
            parts[ms as usize % 2].finish(&request);
        }
        let mut sum = Stats::default();
        parts.iter().for_each(|part| sum.add(part));
        for quantile in [0.0, 0.5, 0.9, 0.99, 0.999, 1.0] {
            assert_eq!(sum.latency.quantile_us(quantile), one.latency.quantile_us(quantile));
        }
        let p50 = sum.latency.quantile_us(0.5);
        assert!((p50 - 500_000.0).abs() < 1_500.0, "{p50}");
        assert_eq!((sum.ok, sum.failed(), sum.bytes, sum.connects), (990, 10, 10_000, 1));
        assert_eq!(sum.statuses, BTreeMap::from([(200, 990), (503, 10)]));
        assert_eq!(sum.latency.count(), 990, "failures do not make latency look better");
    }

    #[test]
    fn times_beyond_the_longest_are_kept_as_the_longest() {
        let mut times = Times::default();
        times.record(Duration::from_secs(1_000_000));
        times.record(Duration::ZERO);
        assert_eq!(times.count(), 2);
        assert!(times.range_us().1 >= 3.59e9);
        assert_eq!(Times::default().range_us(), (0.0, 0.0));
    }
}
