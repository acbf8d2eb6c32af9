//! Section `upstream`, and the older `http` and `http_client` that mean the same things.

use std::time::Duration;

use crate::config::duration;
use crate::config::field::Section;
use crate::config::limits::*;
use crate::config::schema::{Pool, Upstream, UpstreamTimeouts};

pub(super) fn read(root: &Section<'_>) -> Upstream {
    let section = root.section("upstream");
    let (http, client) = (root.section("http"), root.section("http_client"));
    let version = http.choice("version", &[("1.1", false), ("1", false), ("2", true), ("2.0", true)]);
    http.count("max_concurrent_streams", 1..=MAX_CONNECTIONS, 1);
    http.truth("header_compression", true);
    // Both are read, so that both are checked; the nearer one wins.
    let (http_total, client_total) = (http.timeout("timeout"), client.timeout("timeout"));
    Upstream {
        timeouts: timeouts(&section.section("timeouts"), client_total.or(http_total)),
        pool: pool(&http, &client),
        ca_file: section.section("tls").get("ca_file").and_then(|field| field.existing_file()),
        http2: version.unwrap_or(false),
    }
}

/// `total` is `upstream.timeouts.total`, else `http_client.timeout`, else `http.timeout`, else
/// the default. A part that is not set is at most `total`; one that is set beyond it is wrong.
fn timeouts(section: &Section<'_>, older_total: Option<Duration>) -> UpstreamTimeouts {
    let total = section.timeout("total").or(older_total).unwrap_or(DEFAULT_TOTAL_TIMEOUT);
    let part = |key: &str, default: Duration| {
        let Some(value) = section.timeout(key) else {
            return default.min(total);
        };
        if value > total
            && let Some(field) = section.get(key)
        {
            let total = duration::show(total);
            field.error(format!("must not be longer than the total of {total}"), None);
        }
        value
    };
    UpstreamTimeouts {
        connect: part("connect", DEFAULT_CONNECT_TIMEOUT),
        first_byte: part("first_byte", DEFAULT_FIRST_BYTE_TIMEOUT),
        between_bytes: part("between_bytes", DEFAULT_BETWEEN_BYTES_TIMEOUT),
        total,
    }
}

fn pool(http: &Section<'_>, client: &Section<'_>) -> Pool {
    let range = 1..=MAX_CONNECTIONS;
    let idle = 0..=MAX_CONNECTIONS;
    Pool {
        keep_alive: client.truth("keep_alive", true),
        max_per_host: client.size("max_conns_per_host", range, DEFAULT_MAX_CONNS_PER_HOST),
        max_idle_per_host: http.size(
            "max_idle_conns_per_host",
            idle.clone(),
            DEFAULT_MAX_IDLE_CONNS_PER_HOST,
        ),
        max_idle: http.size("max_idle_conns", idle, DEFAULT_MAX_IDLE_CONNS),
        idle_timeout: http.timeout("idle_conn_timeout").unwrap_or(DEFAULT_IDLE_CONN_TIMEOUT),
    }
}
