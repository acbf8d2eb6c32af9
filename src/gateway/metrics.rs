//! One shard's counters and histograms: plain memory, merged with those of other shards when read.

use std::{collections::HashMap, time::Duration};

use hdrhistogram::Histogram;

use super::account::Account;
use crate::dialect::usage::PicoUsd;

/// Distinct model names kept per shard. Names come from clients, so they must be bounded; later ones count as
/// [`OTHER`].
const MAX_MODELS: usize = 1000;
/// Stands for all model names beyond the bound.
pub const OTHER: &str = "other";
/// Highest latency told apart: an hour, in microseconds.
const MAX_US: u64 = 3_600_000_000;
/// Significant decimal digits of a histogram: within 1 %.
const DIGITS: u8 = 2;

/// Labels of a series; `None` is the empty label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Labels {
    /// Provider.
    pub provider: Option<usize>,
    /// The provider's key.
    pub key: Option<usize>,
    /// Client.
    pub client: Option<usize>,
    /// Index into [`Metrics::models`].
    pub model: u32,
}

/// Counters of one series.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Requests by status.
    pub by_status: Vec<(u16, u64)>,
    /// Errors by code: ours, or `http_NNN` of the provider.
    pub by_error: Vec<(&'static str, u64)>,
    /// Tokens sent, of which cached.
    pub input_tokens: u64,
    /// Of `input_tokens`, those the provider had cached.
    pub cached_tokens: u64,
    /// Of `input_tokens`, those the provider wrote to its cache.
    pub cache_write_tokens: u64,
    /// Seconds of sound that were counted instead of tokens.
    pub seconds: u64,
    /// Searches that a provider counted instead.
    pub searches: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Of `output_tokens`, those spent on reasoning.
    pub reasoning_tokens: u64,
    /// Cost.
    pub cost: PicoUsd,
    /// Requests that used tokens of a model whose price nobody knows.
    pub unpriced: u64,
}

/// Latency histograms of one provider and model, in microseconds.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Head of the request received to last byte sent.
    pub total: Histogram<u32>,
    /// To the first content of a stream.
    pub first_token: Histogram<u32>,
    /// Exact sums, in microseconds: the histograms round.
    pub total_sum_us: u64,
    /// See `total_sum_us`.
    pub first_token_sum_us: u64,
}

/// One shard's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Counters.
    pub series: HashMap<Labels, Series>,
    /// Histograms, by provider and model.
    pub latency: HashMap<(usize, u32), Latency>,
    /// Model names by their index; the first is the empty one.
    pub models: Vec<String>,
    /// Second attempts sent beside a first one.
    pub hedges_sent: u64,
    /// Of these, those that answered first.
    pub hedges_won: u64,
    by_model: HashMap<String, u32>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            series: HashMap::new(),
            latency: HashMap::new(),
            models: vec![String::new()],
            hedges_sent: 0,
            hedges_won: 0,
            by_model: HashMap::from([(String::new(), 0)]),
        }
    }
}

fn add<K: PartialEq + Copy>(counts: &mut Vec<(K, u64)>, key: K) {
    match counts.iter_mut().find(|(known, _)| *known == key) {
        Some((_, count)) => *count += 1,
        None => counts.push((key, 1)),
    }
}

fn histogram() -> Histogram<u32> {
    // The bounds are constants that hdrhistogram accepts; the fallback only satisfies the type.
    Histogram::new_with_bounds(1, MAX_US, DIGITS).unwrap_or_else(|_| fallback())
}

fn fallback() -> Histogram<u32> {
    match Histogram::new(1) {
        Ok(histogram) => histogram,
        Err(_) => unreachable!("one significant digit is always accepted"),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(MAX_US).clamp(1, MAX_US)
}

impl Metrics {
    fn model(&mut self, name: &str, succeeded: bool) -> u32 {
        if let Some(&index) = self.by_model.get(name) {
            return index;
        }
        // Only a model that a provider served gets a label: names that do not exist are endless.
        let name = if succeeded && self.models.len() < MAX_MODELS { name } else { OTHER };
        if let Some(&index) = self.by_model.get(name) {
            return index;
        }
        let index = u32::try_from(self.models.len()).unwrap_or(0);
        self.models.push(name.to_owned());
        self.by_model.insert(name.to_owned(), index);
        index
    }

    /// Counts a settled request.
    pub fn record(&mut self, account: &Account, took: Duration) {
        let succeeded = (200..300).contains(&account.status);
        let model = self.model(&account.model, succeeded);
        let labels = Labels { provider: account.provider, key: account.key, client: account.client, model };
        let series = self.series.entry(labels).or_default();
        add(&mut series.by_status, account.status);
        if let Some(code) = account.error {
            add(&mut series.by_error, code);
        } else if account.status >= 400 {
            add(&mut series.by_error, "upstream_error_status");
        }
        if let Some(usage) = &account.usage {
            series.input_tokens += usage.prompt_tokens;
            series.cached_tokens += usage.cached_tokens;
            series.cache_write_tokens += usage.cache_write_tokens;
            series.seconds += usage.seconds;
            series.searches += usage.searches;
            series.output_tokens += usage.output_tokens();
            series.reasoning_tokens += usage.reasoning_tokens;
            series.cost += account.cost();
            series.unpriced += u64::from(account.price().is_none());
        }
        if let Some(provider) = account.provider {
            let latency = self.latency.entry((provider, model)).or_insert_with(|| Latency {
                total: histogram(),
                first_token: histogram(),
                total_sum_us: 0,
                first_token_sum_us: 0,
            });
            let us = micros(took);
            latency.total.saturating_record(us);
            latency.total_sum_us += us;
            if let Some(first) = account.first_token {
                let us = micros(first);
                latency.first_token.saturating_record(us);
                latency.first_token_sum_us += us;
            }
        }
    }
}
