//! Every key we know, in one table: what is unknown is found here, and so is what may be shown.

use super::context::Context;
use super::suggest;
use super::yaml::{Node, Span, Value};

/// In a row: the mapping's keys are the user's own (ids, aliases, header names).
const ANY: &[&str] = &["*"];

/// Each mapping by path (`[]` is any item, `*` any key of an [`ANY`] mapping) and its keys.
#[rustfmt::skip]
pub(super) const KEYS: &[(&str, &[&str])] = &[
    ("", &["version", "server", "upstream", "logging", "storage", "llm_providers", "providers",
           "api_keys", "model_aliases", "policy", "load_balancer", "cache", "http", "http_client"]),
    ("server", &["listen", "admin_api_key", "cors", "webui", "worker_threads", "worker_pool_size",
                 "max_connections", "max_concurrent_requests", "tls", "limits", "timeouts"]),
    ("server.cors", &["enabled", "allowed_origins", "allowed_methods", "allowed_headers",
                      "allow_credentials", "max_age"]),
    ("server.webui", &["enabled", "admin_id", "admin_password", "web_ui_path"]),
    ("server.tls", &["cert_file", "key_file"]),
    ("server.limits", &["max_header_bytes", "max_headers", "max_body_bytes"]),
    ("server.timeouts", &["head", "body", "idle", "write", "drain"]),
    ("upstream", &["timeouts", "tls"]),
    ("upstream.timeouts", &["connect", "first_byte", "between_bytes", "total"]),
    ("upstream.tls", &["ca_file"]),
    ("logging", &["file", "access", "prometheus", "providers"]),
    ("logging.file", &["enabled", "path", "max_size_mb", "max_backups"]),
    ("logging.access", &["enabled", "path"]),
    ("logging.prometheus", &["enabled", "endpoint"]),
    ("logging.providers[]", &["name", "type", "endpoint", "batch", "headers"]),
    ("logging.providers[].batch", &["enabled", "size", "interval_seconds"]),
    ("logging.providers[].headers", ANY),
    ("storage", &["config", "runtime"]),
    ("storage.config", &["type", "path"]),
    ("storage.runtime", &["type", "addr", "password", "api_key", "database", "pool_size",
                          "min_idle_conns", "max_idle_conns", "conn_max_lifetime", "max_memory_gb",
                          "table_usage", "table_cache", "table_history", "mode", "master_name",
                          "tls", "ca_file", "username", "on_outage", "sync_interval", "prefix"]),
    ("llm_providers[]", &["id", "name", "type", "enabled", "api_keys", "base_url", "stream_base_url", "addresses",
                          "api_version", "project", "location", "credentials",
                          "model", "models", "headers", "organization", "region", "pricing",
                          "limits"]),
    ("llm_providers[].headers", ANY),
    ("llm_providers[].pricing", &["input_token_cost", "cached_input_token_cost", "cache_write_token_cost", "output_token_cost",
                                  "audio_minute_cost", "search_cost", "currency", "models"]),
    ("llm_providers[].pricing.models", ANY),
    ("llm_providers[].pricing.models.*", &["input_token_cost", "cached_input_token_cost", "cache_write_token_cost",
                                           "output_token_cost", "audio_minute_cost", "search_cost"]),
    ("llm_providers[].limits", &["req_per_min", "tokens_per_min", "max_tokens", "session_limit",
                                 "session_type", "max_concurrent"]),
    ("api_keys[]", &["id", "key", "allowed_providers", "description", "limits",
                    "priority"]),
    ("api_keys[].limits", &["req_per_min", "tokens_per_min", "max_tokens", "session_limit",
                            "session_type", "max_concurrent", "spend_per_day", "spend_per_month"]),
    ("model_aliases", ANY),
    ("policy", &["strategy", "algorithm", "weights", "latency_threshold_ms",
                 "health_check_interval", "priority", "hybrid_weights", "retry", "hedge",
                 "fallback", "cache", "token_reserve", "budget_wait", "budget_queue",
                 "drop_unsupported_params"]),
    ("policy.weights", ANY),
    ("policy.hybrid_weights", &["token_ratio", "req_ratio", "error_score", "latency",
                                "cost_ratio"]),
    ("policy.retry", &["max_attempts", "timeout", "interval"]),
    ("policy.fallback", &["enabled", "max_providers", "providers"]),
    ("policy.cache", &["enabled", "ttl_seconds", "max_size_mb", "semantic_enabled",
                       "embedding_model", "similarity_threshold"]),
    ("load_balancer", &["key_rotation"]),
    ("load_balancer.key_rotation", &["strategy", "cooldown_period", "max_keys_per_provider"]),
    ("cache", &["semantic"]),
    ("cache.semantic", &["enabled", "similarity_threshold", "max_cache_size", "ttl_seconds"]),
    ("http", &["version", "max_concurrent_streams", "header_compression", "timeout",
               "max_idle_conns", "max_idle_conns_per_host", "idle_conn_timeout"]),
    ("http_client", &["keep_alive", "max_conns_per_host", "timeout"]),
];

/// Keys whose values are never shown.
const SECRET: &[&str] = &[
    "server.admin_api_key",
    "server.webui.admin_password",
    "storage.runtime.addr",
    "storage.runtime.password",
    "storage.runtime.api_key",
    "logging.providers[].endpoint",
    "logging.providers[].headers.*",
    "llm_providers[].api_keys",
    "llm_providers[].credentials",
    "llm_providers[].headers.*",
    "api_keys[].key",
];

/// Keys of older files that are not read, and what to do about them.
const RETIRED: &[(&str, &str)] =
    &[("providers", "the old list `providers` is not read; move its entries to `llm_providers`")];

/// Whether a word is one of our keys anywhere.
pub(super) fn is_key(word: &str) -> bool {
    KEYS.iter().any(|(_, keys)| keys.contains(&word) && word != "*")
}

/// Marks the scalars that may be quoted, and gives every range of the text that may or must not
/// be echoed. What is in no range is masked.
pub(super) fn mark(root: &mut Node) -> Vec<(Span, bool)> {
    let mut ranges = Vec::new();
    mark_node(root, "", &mut ranges);
    ranges
}

fn mark_node(node: &mut Node, path: &str, ranges: &mut Vec<(Span, bool)>) {
    let at = node.at;
    match &mut node.value {
        Value::Scalar(scalar) => {
            let raw = scalar.raw.as_deref().unwrap_or(&scalar.text);
            // A URL with a user name has a password too, wherever it stands.
            let login = raw.contains("://") && raw.contains('@');
            scalar.may_show = is_open(path) && !login;
            ranges.push((at, scalar.may_show));
        }
        Value::List(items) => {
            let path = format!("{path}[]");
            for item in items {
                mark_node(item, &path, ranges);
            }
        }
        Value::Map(entries) => {
            let row = row(path);
            for entry in entries {
                ranges.push((entry.key_at, row.is_some()));
                let path = match row {
                    Some(keys) if keys == ANY => join(path, "*"),
                    Some(keys) if keys.contains(&entry.key.as_str()) => join(path, &entry.key),
                    _ => "?".to_owned(),
                };
                mark_node(&mut entry.value, &path, ranges);
            }
        }
    }
}

/// Whether the scalar at this path is known and no secret.
fn is_open(path: &str) -> bool {
    let leaf = path.strip_suffix("[]").unwrap_or(path);
    let is_section = |path: &str| KEYS.iter().any(|(row, _)| *row == path);
    let (parent, key) = leaf.rsplit_once('.').unwrap_or(("", leaf));
    row(parent).is_some_and(|keys| keys.contains(&key))
        && !SECRET.contains(&leaf)
        && !is_section(leaf)
        && !is_section(&format!("{leaf}[]"))
        && !RETIRED.iter().any(|(key, _)| *key == leaf)
}

fn row(path: &str) -> Option<&'static [&'static str]> {
    KEYS.iter().find(|(row, _)| *row == path).map(|(_, keys)| *keys)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Warns of every key that is not in the table.
pub(super) fn check_unknown(root: &Node, cx: &Context<'_>) {
    check_node(root, "", "", cx);
}

/// `path` is the row's form of `shown`, which has real indexes and keys.
fn check_node(node: &Node, path: &str, shown: &str, cx: &Context<'_>) {
    match &node.value {
        Value::Scalar(_) => {}
        Value::List(items) => {
            let path = format!("{path}[]");
            for (index, item) in items.iter().enumerate() {
                check_node(item, &path, &format!("{shown}[{index}]"), cx);
            }
        }
        Value::Map(entries) => {
            // A mapping where none belongs is the reader's to report.
            let Some(keys) = row(path) else { return };
            for entry in entries {
                if keys == ANY {
                    check_node(&entry.value, &join(path, "*"), &join(shown, &entry.key), cx);
                    continue;
                }
                let shown = join(shown, &entry.key);
                let retired = RETIRED.iter().find(|(key, _)| *key == shown);
                if let Some((_, message)) = retired {
                    cx.warn(entry.key_at, &shown, (*message).to_owned(), None);
                } else if keys.contains(&entry.key.as_str()) {
                    check_node(&entry.value, &join(path, &entry.key), &shown, cx);
                } else {
                    let message = "unknown key: it is ignored".to_owned();
                    let help = cx.has_room().then(|| meant(&entry.key, keys)).flatten();
                    cx.warn(entry.key_at, &shown, message, help);
                }
            }
        }
    }
}

/// What an unknown key may have been meant as: a near one here, or the same one elsewhere.
fn meant(key: &str, keys: &[&'static str]) -> Option<String> {
    if let Some(near) = suggest::closest(key, keys.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let (elsewhere, _) = KEYS.iter().find(|(_, keys)| keys.contains(&key) && key != "*")?;
    Some(match *elsewhere {
        "" => format!("`{key}` belongs at the top level"),
        section => format!("`{key}` is a key of `{section}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_agree() {
        for (path, _) in KEYS.iter().skip(1) {
            let leaf = path.strip_suffix("[]").unwrap_or(path);
            let (parent, key) = leaf.rsplit_once('.').unwrap_or(("", leaf));
            assert!(row(parent).is_some_and(|keys| keys.contains(&key)), "{path}");
        }
        for path in SECRET {
            let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
            assert!(row(parent).is_some_and(|keys| keys.contains(&key)), "{path}");
            assert!(!is_open(path));
        }
    }

    #[test]
    fn only_known_harmless_leaves_are_open() {
        for path in ["server.listen", "server.listen[]", "model_aliases.*", "llm_providers[].id"] {
            assert!(is_open(path), "{path}");
        }
        for path in [
            "",
            "server",
            "api_keys",
            "api_keys[]",
            "api_keys[].key",
            "llm_providers",
            "llm_providers[].api_keys[]",
            "llm_providers[].apikeys",
            "server.listen.host",
            "providers",
            "?",
        ] {
            assert!(!is_open(path), "{path}");
        }
    }
}
