//! Section `server`, and the environment variables that override it.

use std::net::SocketAddr;
use std::time::Duration;

use super::header_secret;
use crate::config::duration::Bare;
use crate::config::field::Section;
use crate::config::limits::*;
use crate::config::listen;
use crate::config::load::Env;
use crate::config::schema::{Cors, HttpLimits, Server, ServerTimeouts, Tls, WebUi};
use crate::config::secret::Secret;

/// `outside` receives problems of environment variables, as (origin, message).
pub(super) fn read(section: &Section<'_>, env: &dyn Env, outside: &mut Vec<(String, String)>) -> Server {
    // Accepted and ignored, but still a number (`notices` says so).
    section.count("worker_pool_size", 0..=u64::MAX, 0);
    let workers = section.get("worker_threads");
    Server {
        listen: with_port(addresses(section), env, outside),
        worker_threads: workers
            .and_then(|field| field.integer(1..=MAX_WORKER_THREADS))
            .and_then(|count| usize::try_from(count).ok()),
        max_connections: section.size("max_connections", 1..=MAX_CONNECTIONS, DEFAULT_MAX_CONNECTIONS),
        max_concurrent_requests: section.size(
            "max_concurrent_requests",
            1..=MAX_CONNECTIONS,
            DEFAULT_MAX_CONCURRENT_REQUESTS,
        ),
        tls: tls(&section.section("tls")),
        limits: limits(&section.section("limits")),
        timeouts: timeouts(&section.section("timeouts")),
        admin_api_key: header_secret(
            section.get("admin_api_key").and_then(|field| field.secret().map(|secret| (field, secret))),
        ),
        cors: cors(&section.section("cors")),
        webui: webui(&section.section("webui"), env),
    }
}

fn addresses(section: &Section<'_>) -> Vec<SocketAddr> {
    let default = SocketAddr::new(listen::ANY, DEFAULT_PORT);
    let Some(field) = section.get("listen") else {
        return vec![default];
    };
    let items = if field.is_list() { field.items() } else { vec![field.clone()] };
    if items.is_empty() || items.len() > MAX_LISTENERS {
        field.error(format!("expected 1 to {MAX_LISTENERS} addresses"), None);
    }
    let mut out: Vec<SocketAddr> = Vec::new();
    for item in items {
        if let Some(address) = item.parse("an address such as :2906", listen::parse) {
            if address.port() != 0 && out.contains(&address) {
                item.error("this address is listed twice", None);
            }
            out.push(address);
        }
    }
    out
}

/// `PORT` replaces the port of every address and leaves the hosts: an instance bound to
/// 127.0.0.1 does not become public because a shell happens to export `PORT`.
fn with_port(
    addresses: Vec<SocketAddr>,
    env: &dyn Env,
    outside: &mut Vec<(String, String)>,
) -> Vec<SocketAddr> {
    let Some(text) = env.var("PORT").filter(|text| !text.is_empty()) else {
        return addresses;
    };
    let port = match listen::port(&text) {
        Ok(port) => port,
        Err(error) => {
            outside.push(("environment variable PORT".to_owned(), error.to_string()));
            return addresses;
        }
    };
    let mut out: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        let address = SocketAddr::new(address.ip(), port);
        if !out.contains(&address) {
            out.push(address);
        }
    }
    out
}

fn tls(section: &Section<'_>) -> Option<Tls> {
    if section.is_empty() {
        return None;
    }
    let file = |key: &str| {
        let field = section.get(key);
        if field.is_none() {
            section.missing(key, None);
        }
        field?.existing_file()
    };
    let (cert_file, key_file) = (file("cert_file"), file("key_file"));
    Some(Tls { cert_file: cert_file?, key_file: key_file? })
}

fn limits(section: &Section<'_>) -> HttpLimits {
    HttpLimits {
        max_header_bytes: section.size(
            "max_header_bytes",
            MIN_HEADER_BYTES..=MAX_HEADER_BYTES,
            DEFAULT_MAX_HEADER_BYTES,
        ),
        max_headers: section.size("max_headers", 1..=MAX_HEADERS, DEFAULT_MAX_HEADERS),
        max_body_bytes: section.size("max_body_bytes", 1..=MAX_BODY_BYTES, DEFAULT_MAX_BODY_BYTES),
    }
}

fn timeouts(section: &Section<'_>) -> ServerTimeouts {
    ServerTimeouts {
        head: section.timeout("head").unwrap_or(DEFAULT_HEAD_TIMEOUT),
        body: section.timeout("body").unwrap_or(DEFAULT_BODY_TIMEOUT),
        idle: section.timeout("idle").unwrap_or(DEFAULT_IDLE_TIMEOUT),
        write: section.timeout("write").unwrap_or(DEFAULT_WRITE_TIMEOUT),
        drain: section.timeout("drain").unwrap_or(DEFAULT_DRAIN_TIMEOUT),
    }
}

fn cors(section: &Section<'_>) -> Cors {
    let words = |key: &str, default: &[&str]| {
        let default = || default.iter().map(|word| (*word).to_owned()).collect();
        section.texts(key).unwrap_or_else(default)
    };
    let day = Duration::from_secs(86_400);
    Cors {
        enabled: section.truth("enabled", true),
        allowed_origins: words("allowed_origins", &["*"]),
        allowed_methods: words("allowed_methods", &["GET", "POST", "PUT", "DELETE", "OPTIONS"]),
        allowed_headers: words("allowed_headers", &["*"]),
        allow_credentials: section.truth("allow_credentials", true),
        max_age: section
            .get("max_age")
            .and_then(|field| field.duration(Bare::Seconds, Duration::ZERO..=MAX_CACHE_TTL))
            .unwrap_or(day),
    }
}

fn webui(section: &Section<'_>, env: &dyn Env) -> WebUi {
    let over = |name: &str| env.var(name).filter(|value| !value.is_empty());
    let id = section.text("admin_id");
    let password = section.secret("admin_password");
    WebUi {
        enabled: section.truth("enabled", true),
        admin_id: over("ADMIN_ID").or(id).unwrap_or_else(|| "admin".to_owned()),
        admin_password: over("ADMIN_PASSWORD").map(Secret::new).or(password),
        path: section.get("web_ui_path").and_then(|field| field.file()),
    }
}
