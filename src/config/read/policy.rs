//! Sections `policy`, `load_balancer.key_rotation` and `cache.semantic`.

use std::time::Duration;

use crate::config::duration::{self, Bare};
use crate::config::field::{Field, Section};
use crate::config::limits::*;
use crate::config::policy::{
    Algorithm, Fallback, Hedge, HybridWeights, KeyRotation, Policy, Priority, ResponseCache, Retry,
    SemanticCache, Strategy, TokenReserve,
};
use crate::config::validate::Names;

pub(super) fn read<'a>(section: &Section<'a>, names: &mut Names<'a>) -> Policy {
    let strategy = section.choice("strategy", &Strategy::CHOICES);
    let algorithm = section.choice("algorithm", &Algorithm::CHOICES);
    let priority = section
        .choice("priority", &Priority::CHOICES)
        .or(strategy.map(Strategy::priority))
        .unwrap_or(Priority::Balanced);
    Policy {
        algorithm: algorithm.or(strategy.map(Strategy::algorithm)).unwrap_or(Algorithm::RoundRobin),
        weights: weights(&section.section("weights"), names),
        latency_threshold: section
            .get("latency_threshold_ms")
            .and_then(|field| field.duration(Bare::Milliseconds, MIN_TIMEOUT..=MAX_TIMEOUT))
            .unwrap_or(DEFAULT_LATENCY_THRESHOLD),
        health_check_interval: section
            .timeout("health_check_interval")
            .unwrap_or(DEFAULT_HEALTH_CHECK_INTERVAL),
        priority,
        hybrid_weights: hybrid_weights(&section.section("hybrid_weights"), priority),
        retry: retry(&section.section("retry")),
        hedge: section.get("hedge").and_then(|field| hedge(&field)),
        fallback: fallback(&section.section("fallback"), names),
        cache: cache(&section.section("cache")),
        token_reserve: section
            .choice("token_reserve", &TokenReserve::CHOICES)
            .unwrap_or(TokenReserve::Expected),
        budget_wait: section
            .get("budget_wait")
            .and_then(|field| field.duration(Bare::Seconds, Duration::ZERO..=MAX_BUDGET_WAIT))
            .unwrap_or(DEFAULT_BUDGET_WAIT),
        drop_unsupported_params: section.truth("drop_unsupported_params", false),
        budget_queue: section.size("budget_queue", 0..=MAX_BUDGET_QUEUE, DEFAULT_BUDGET_QUEUE),
    }
}

fn weights<'a>(section: &Section<'a>, names: &mut Names<'a>) -> Vec<(String, u32)> {
    let mut out = Vec::new();
    for (provider, field) in section.entries() {
        let weight = field.integer(0..=MAX_WEIGHT);
        names.uses(field.on_key(), provider.to_owned());
        if let Some(weight) = weight.and_then(|weight| u32::try_from(weight).ok()) {
            out.push((provider.to_owned(), weight));
        }
    }
    if !out.is_empty() && out.iter().all(|(_, weight)| *weight == 0) {
        section.error("at least one weight must be above 0", None);
    }
    out
}

fn hybrid_weights(section: &Section<'_>, priority: Priority) -> HybridWeights {
    let base = HybridWeights::of(priority);
    let weight =
        |key: &str, default: f64| section.get(key).and_then(|field| field.share()).unwrap_or(default);
    HybridWeights {
        token_ratio: weight("token_ratio", base.token_ratio),
        req_ratio: weight("req_ratio", base.req_ratio),
        error_score: weight("error_score", base.error_score),
        latency: weight("latency", base.latency),
        cost_ratio: weight("cost_ratio", base.cost_ratio),
    }
}

fn retry(section: &Section<'_>) -> Retry {
    let attempts = section.count("max_attempts", 1..=MAX_RETRY_ATTEMPTS, DEFAULT_RETRY_ATTEMPTS);
    Retry {
        max_attempts: u32::try_from(attempts).unwrap_or(1),
        timeout: section.timeout("timeout"),
        interval: section
            .get("interval")
            .and_then(|field| field.duration(Bare::Seconds, Duration::ZERO..=MAX_TIMEOUT))
            .unwrap_or(DEFAULT_RETRY_INTERVAL),
    }
}

fn hedge(field: &Field<'_>) -> Option<Hedge> {
    field.parse("p95 or a duration", |text| match duration::parse(text, Bare::Seconds) {
        _ if text == "p95" => Ok(Hedge::P95),
        Ok(after) if (MIN_TIMEOUT..=MAX_TIMEOUT).contains(&after) => Ok(Hedge::After(after)),
        _ => Err("expected p95, or a duration such as 800ms"),
    })
}

fn fallback<'a>(section: &Section<'a>, names: &mut Names<'a>) -> Fallback {
    let max = section.count("max_providers", 0..=MAX_FALLBACK_PROVIDERS, DEFAULT_FALLBACK_PROVIDERS);
    let mut providers = Vec::new();
    let listed = section.get("providers").map(|field| field.texts());
    for (item, name) in listed.unwrap_or_default() {
        names.uses(item, name.clone());
        providers.push(name);
    }
    Fallback {
        // As the original: asked for by writing the section.
        enabled: section.truth("enabled", !section.is_empty()),
        max_providers: u32::try_from(max).unwrap_or(0),
        providers,
    }
}

fn cache(section: &Section<'_>) -> ResponseCache {
    // The original's older place for what is now `cache.semantic`.
    section.truth("semantic_enabled", false);
    section.text("embedding_model");
    if let Some(field) = section.get("similarity_threshold") {
        field.share();
    }
    let megabytes = section.count("max_size_mb", 1..=MAX_CACHE_SIZE_MB, DEFAULT_CACHE_SIZE_MB);
    ResponseCache {
        enabled: section.truth("enabled", false),
        ttl: ttl(section, DEFAULT_CACHE_TTL),
        max_bytes: megabytes << 20,
    }
}

fn ttl(section: &Section<'_>, default: Duration) -> Duration {
    let second = Duration::from_secs(1);
    section
        .get("ttl_seconds")
        .and_then(|field| field.duration(Bare::Seconds, second..=MAX_CACHE_TTL))
        .unwrap_or(default)
}

pub(super) fn key_rotation(section: &Section<'_>) -> KeyRotation {
    let strategy = section.text("strategy").unwrap_or_else(|| "smart".to_owned());
    KeyRotation {
        strategy,
        cooldown: section.timeout("cooldown_period").unwrap_or(DEFAULT_KEY_COOLDOWN),
        max_keys_per_provider: section.count(
            "max_keys_per_provider",
            1..=MAX_KEYS_PER_PROVIDER,
            DEFAULT_KEYS_PER_PROVIDER,
        ),
    }
}

pub(super) fn semantic_cache(section: &Section<'_>) -> SemanticCache {
    SemanticCache {
        enabled: section.truth("enabled", false),
        similarity_threshold: section
            .get("similarity_threshold")
            .and_then(|field| field.share())
            .unwrap_or(DEFAULT_SIMILARITY_THRESHOLD),
        max_entries: section.count(
            "max_cache_size",
            1..=MAX_SEMANTIC_CACHE_ENTRIES,
            DEFAULT_SEMANTIC_CACHE_ENTRIES,
        ),
        ttl: ttl(section, DEFAULT_SEMANTIC_CACHE_TTL),
    }
}
