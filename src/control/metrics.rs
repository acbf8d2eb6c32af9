//! The metrics of all shards, merged and written in the Prometheus text format 0.0.4.

use std::{collections::BTreeMap, fmt::Write};

use hdrhistogram::Histogram;

use super::{
    Plane,
    budgets::{self, Budget},
    process,
};
use crate::{
    config::snapshot::Snapshot,
    gateway::{
        balance::KeyLook,
        metrics::{Labels, Metrics, Series},
        overload::GateLook,
        shard::Sample,
    },
};

/// Upper bounds of the latency buckets, in microseconds: from a local answer to the longest generation.
const BUCKETS_US: [u64; 16] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// Provider, key, client, model: as they are shown.
type Names = (String, String, String, String);

#[derive(Default)]
struct Merged {
    series: BTreeMap<Names, Series>,
    latency: BTreeMap<(String, String), (Spread, Spread)>,
}

/// A histogram merged over shards.
#[derive(Default)]
struct Spread {
    buckets: [u64; BUCKETS_US.len()],
    count: u64,
    sum_us: u64,
}

impl Spread {
    fn add(&mut self, histogram: &Histogram<u32>, sum_us: u64) {
        let mut below = 0;
        let mut from = 0;
        for (bucket, &bound) in self.buckets.iter_mut().zip(&BUCKETS_US) {
            below += histogram.count_between(from, bound);
            *bucket += below;
            from = histogram.next_non_equivalent(bound);
        }
        self.count += histogram.len();
        self.sum_us += sum_us;
    }
}

fn names(labels: &Labels, metrics: &Metrics, snapshot: &Snapshot) -> Names {
    let upstream = labels.provider.and_then(|provider| snapshot.providers.get(provider));
    let key = upstream.zip(labels.key).and_then(|(upstream, key)| upstream.keys.get(key));
    let client = labels.client.and_then(|client| snapshot.clients.get(client));
    let model = metrics.models.get(labels.model as usize);
    (
        upstream.map(|upstream| upstream.id.clone()).unwrap_or_default(),
        key.map(|key| key.masked.clone()).unwrap_or_default(),
        client.map(|client| client.id.clone()).unwrap_or_default(),
        model.cloned().unwrap_or_default(),
    )
}

fn merge(samples: &[Sample], snapshot: &Snapshot) -> Merged {
    let mut merged = Merged::default();
    for Sample { metrics, .. } in samples {
        for (labels, series) in &metrics.series {
            let into = merged.series.entry(names(labels, metrics, snapshot)).or_default();
            for &(status, count) in &series.by_status {
                sum(&mut into.by_status, status, count);
            }
            for &(code, count) in &series.by_error {
                sum(&mut into.by_error, code, count);
            }
            into.input_tokens += series.input_tokens;
            into.cached_tokens += series.cached_tokens;
            into.cache_write_tokens += series.cache_write_tokens;
            into.seconds += series.seconds;
            into.searches += series.searches;
            into.output_tokens += series.output_tokens;
            into.reasoning_tokens += series.reasoning_tokens;
            into.cost += series.cost;
            into.unpriced += series.unpriced;
        }
        for ((provider, model), latency) in &metrics.latency {
            let provider = snapshot.providers.get(*provider).map(|up| up.id.clone()).unwrap_or_default();
            let model = metrics.models.get(*model as usize).cloned().unwrap_or_default();
            let (total, first) = merged.latency.entry((provider, model)).or_default();
            total.add(&latency.total, latency.total_sum_us);
            first.add(&latency.first_token, latency.first_token_sum_us);
        }
    }
    merged
}

fn sum<K: PartialEq>(counts: &mut Vec<(K, u64)>, key: K, count: u64) {
    match counts.iter_mut().find(|(known, _)| *known == key) {
        Some((_, total)) => *total += count,
        None => counts.push((key, count)),
    }
}

/// A label value as the text format quotes it.
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn labels((provider, key, client, model): &Names, more: &[(&str, &str)]) -> String {
    let mut out = format!(
        "provider=\"{}\",model=\"{}\",key=\"{}\",client=\"{}\"",
        quoted(provider),
        quoted(model),
        quoted(key),
        quoted(client)
    );
    for (name, value) in more {
        let _ = write!(out, ",{name}=\"{}\"", quoted(value));
    }
    out
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Renders everything.
#[must_use]
pub fn render(plane: &Plane, samples: &[Sample]) -> String {
    let merged = merge(samples, &plane.snapshot);
    let mut out = String::with_capacity(16 * 1024);
    counters(&mut out, &merged);
    histogram(
        &mut out,
        "coo_llm_latency_seconds",
        "Time from a request's head to the last byte of its answer.",
        merged.latency.iter().map(|(names, (total, _))| (names, total)),
    );
    histogram(
        &mut out,
        "coo_llm_first_token_seconds",
        "Time from a streamed request's head to the first content of its answer.",
        merged.latency.iter().map(|(names, (_, first))| (names, first)),
    );
    gauges(&mut out, plane, samples);
    process::write(&mut out);
    out
}

fn counters(out: &mut String, merged: &Merged) {
    family(out, "coo_llm_requests_total", "counter", "Requests answered, by status.");
    for (names, series) in &merged.series {
        for (status, count) in &series.by_status {
            let labels = labels(names, &[("status", &status.to_string())]);
            let _ = writeln!(out, "coo_llm_requests_total{{{labels}}} {count}");
        }
    }
    family(out, "coo_llm_errors_total", "counter", "Requests that failed, by error code.");
    for (names, series) in &merged.series {
        for (code, count) in &series.by_error {
            let _ = writeln!(out, "coo_llm_errors_total{{{}}} {count}", labels(names, &[("code", code)]));
        }
    }
    family(out, "coo_llm_tokens_total", "counter", "Tokens used, as providers counted them.");
    for (names, series) in merged.series.iter().filter(|(names, _)| !names.0.is_empty()) {
        for (kind, count) in [
            ("input", series.input_tokens),
            ("output", series.output_tokens),
            ("cached_input", series.cached_tokens),
            ("cache_write_input", series.cache_write_tokens),
            ("reasoning_output", series.reasoning_tokens),
        ] {
            let _ = writeln!(out, "coo_llm_tokens_total{{{}}} {count}", labels(names, &[("type", kind)]));
        }
    }
    let help = "Seconds of sound transcribed, where providers counted those and not tokens.";
    family(out, "coo_llm_audio_seconds_total", "counter", help);
    for (names, series) in merged.series.iter().filter(|(_, series)| series.seconds > 0) {
        let _ = writeln!(out, "coo_llm_audio_seconds_total{{{}}} {}", labels(names, &[]), series.seconds);
    }
    family(
        out,
        "coo_llm_searches_total",
        "counter",
        "Searches that providers counted of reranking, and not tokens.",
    );
    for (names, series) in merged.series.iter().filter(|(_, series)| series.searches > 0) {
        let _ = writeln!(out, "coo_llm_searches_total{{{}}} {}", labels(names, &[]), series.searches);
    }
    family(out, "coo_llm_cost_total", "counter", "Cost in USD.");
    for (names, series) in merged.series.iter().filter(|(names, _)| !names.0.is_empty()) {
        let _ = writeln!(out, "coo_llm_cost_total{{{}}} {}", labels(names, &[]), series.cost);
    }
    let help = "Requests with tokens that cost nothing here because the model's price is not known.";
    family(out, "coo_llm_unpriced_requests_total", "counter", help);
    for (names, series) in merged.series.iter().filter(|(_, series)| series.unpriced > 0) {
        let _ =
            writeln!(out, "coo_llm_unpriced_requests_total{{{}}} {}", labels(names, &[]), series.unpriced);
    }
}

fn histogram<'a>(
    out: &mut String,
    name: &str,
    help: &str,
    rows: impl Iterator<Item = (&'a (String, String), &'a Spread)>,
) {
    family(out, name, "histogram", help);
    for ((provider, model), spread) in rows.filter(|(_, spread)| spread.count > 0) {
        let labels = format!("provider=\"{}\",model=\"{}\"", quoted(provider), quoted(model));
        for (count, bound) in spread.buckets.iter().zip(&BUCKETS_US) {
            let seconds = *bound as f64 / 1e6;
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{seconds}\"}} {count}");
        }
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", spread.count);
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", spread.sum_us as f64 / 1e6);
        let _ = writeln!(out, "{name}_count{{{labels}}} {}", spread.count);
    }
}

fn gauges(out: &mut String, plane: &Plane, samples: &[Sample]) {
    family(out, "coo_llm_active_connections", "gauge", "Open client connections, by shard.");
    for (shard, open) in plane.spread.counts().enumerate() {
        let _ = writeln!(out, "coo_llm_active_connections{{shard=\"{shard}\"}} {open}");
    }
    family(out, "coo_llm_active_requests", "gauge", "Requests being forwarded, by shard.");
    for Sample { shard, in_flight, .. } in samples {
        let _ = writeln!(out, "coo_llm_active_requests{{shard=\"{shard}\"}} {in_flight}");
    }
    family(out, "coo_llm_upstream_connections", "gauge", "Connections to providers, by shard and state.");
    for Sample { shard, upstream: (open, idle), .. } in samples {
        let used = open - idle;
        let _ = writeln!(out, "coo_llm_upstream_connections{{shard=\"{shard}\",state=\"active\"}} {used}");
        let _ = writeln!(out, "coo_llm_upstream_connections{{shard=\"{shard}\",state=\"idle\"}} {idle}");
    }
    hedges(out, samples);
    budgets(out, plane, samples);
    keys(out, plane, samples);
    gates(out, plane, samples);
    if let Some(log) = &plane.log {
        let help = "Access log lines dropped because the writer fell behind.";
        family(out, "coo_llm_access_log_dropped_total", "counter", help);
        let _ = writeln!(out, "coo_llm_access_log_dropped_total {}", log.dropped());
    }
    family(out, "coo_llm_build_info", "gauge", "The version that runs.");
    let _ = writeln!(out, "coo_llm_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
}

/// Second attempts beside late ones.
fn hedges(out: &mut String, samples: &[Sample]) {
    type Family = (&'static str, &'static str, fn(&Metrics) -> u64);
    const FAMILIES: [Family; 2] = [
        (
            "coo_llm_hedges_sent_total",
            "Second attempts sent beside a first whose answer was late.",
            |metrics| metrics.hedges_sent,
        ),
        ("coo_llm_hedges_won_total", "Of these, those that answered first.", |metrics| metrics.hedges_won),
    ];
    for (name, help, value) in FAMILIES {
        family(out, name, "counter", help);
        let _ = writeln!(out, "{name} {}", samples.iter().map(|sample| value(&sample.metrics)).sum::<u64>());
    }
}

/// Providers' keys as each shard sees them.
fn keys(out: &mut String, plane: &Plane, samples: &[Sample]) {
    type Family = (&'static str, &'static str, fn(&KeyLook) -> String);
    const FAMILIES: [Family; 3] = [
        ("coo_llm_key_up", "Whether a shard uses a provider's key.", |key| u8::from(key.is_up).to_string()),
        ("coo_llm_key_errors", "Share of a key's recent requests that failed, 0 to 1.", |key| {
            format!("{:.3}", key.error)
        }),
        ("coo_llm_key_in_flight", "Requests under way with a key.", |key| key.in_flight.to_string()),
    ];
    for (name, help, value) in FAMILIES {
        family(out, name, "gauge", help);
        for Sample { shard, keys, .. } in samples {
            for look in keys {
                let Some(upstream) = plane.snapshot.providers.get(look.provider) else { continue };
                let Some(key) = upstream.keys.get(look.key) else { continue };
                let _ = writeln!(
                    out,
                    "{name}{{shard=\"{shard}\",provider=\"{}\",key=\"{}\"}} {}",
                    quoted(&upstream.id),
                    quoted(&key.masked),
                    value(look)
                );
            }
        }
    }
}

/// The ways to providers, as each shard limits its own.
fn gates(out: &mut String, plane: &Plane, samples: &[Sample]) {
    type Family = (&'static str, &'static str, &'static str, fn(&GateLook) -> Option<u64>);
    const FAMILIES: [Family; 3] = [
        (
            "coo_llm_provider_concurrency_limit",
            "gauge",
            "Requests that a shard sends a provider at a time; absent while it is not overloaded.",
            |gate| gate.most.map(u64::from),
        ),
        ("coo_llm_provider_waiting", "gauge", "Requests that wait because of it.", |gate| {
            Some(gate.waiting as u64)
        }),
        ("coo_llm_provider_shed_total", "counter", "Requests refused because of it.", |gate| {
            Some(gate.refused)
        }),
    ];
    for (name, kind, help, value) in FAMILIES {
        family(out, name, kind, help);
        for Sample { shard, gates, .. } in samples {
            for gate in gates {
                let upstream = plane.snapshot.providers.get(gate.provider);
                if let Some((upstream, value)) = upstream.zip(value(gate)) {
                    let id = quoted(&upstream.id);
                    let _ = writeln!(out, "{name}{{shard=\"{shard}\",provider=\"{id}\"}} {value}");
                }
            }
        }
    }
}

/// The limits of keys and clients.
fn budgets(out: &mut String, plane: &Plane, samples: &[Sample]) {
    type Family = (&'static str, &'static str, &'static str, fn(&Budget<'_>) -> i64);
    const FAMILIES: [Family; 6] = [
        ("coo_llm_budget_limit", "gauge", "The limit: requests, tokens or micro-USD.", |budget| budget.limit),
        ("coo_llm_budget_spent", "gauge", "Spent within the limit's window.", |budget| budget.spent),
        ("coo_llm_budget_granted", "gauge", "Granted to shards and not reported as spent yet.", |budget| {
            budget.granted
        }),
        ("coo_llm_budget_free", "gauge", "Left to grant.", |budget| budget.free),
        (
            "coo_llm_budget_expired",
            "gauge",
            "Held by instances that no longer renew their leases: wasted until it ages out.",
            |budget| budget.expired,
        ),
        (
            "coo_llm_budget_excess_total",
            "counter",
            "Spent beyond what was reserved: answers that were longer than expected.",
            |budget| budget.excess,
        ),
    ];
    let standings = budgets::standings(&plane.snapshot, samples);
    if standings.is_empty() {
        return;
    }
    for (name, kind, help, value) in FAMILIES {
        family(out, name, kind, help);
        for budget in &standings {
            let _ = writeln!(
                out,
                "{name}{{provider=\"{}\",key=\"{}\",client=\"{}\",limit=\"{}\"}} {}",
                quoted(budget.provider),
                quoted(budget.key),
                quoted(budget.client),
                budget.counts,
                value(budget)
            );
        }
    }
}
