//! Section `storage`. Of it, `runtime` of type `redis` is built; the rest is accepted as the original has it.

use std::time::Duration;

use super::redis;
use crate::config::duration::Bare;
use crate::config::field::Section;
use crate::config::limits::{MAX_CACHE_TTL, MAX_CONNECTIONS};
use crate::config::schema::{ConfigStore, RuntimeStore, RuntimeStoreType, Storage};
use crate::config::secret::Secret;

const RUNTIME: [(&str, RuntimeStoreType); 7] = [
    ("memory", RuntimeStoreType::Memory),
    ("sql", RuntimeStoreType::Sql),
    ("redis", RuntimeStoreType::Redis),
    ("http", RuntimeStoreType::Http),
    ("mongodb", RuntimeStoreType::MongoDb),
    ("dynamodb", RuntimeStoreType::DynamoDb),
    ("influxdb", RuntimeStoreType::InfluxDb),
];

pub(super) fn read(section: &Section<'_>) -> Storage {
    Storage { config: config(&section.section("config")), runtime: runtime(&section.section("runtime")) }
}

fn config(section: &Section<'_>) -> ConfigStore {
    let is_http = section.choice("type", &[("file", false), ("http", true)]).unwrap_or(false);
    let Some(path) = section.get("path") else {
        return ConfigStore::None;
    };
    let store = if is_http {
        path.text().map(|url| ConfigStore::Http(Secret::new(url)))
    } else {
        path.file().map(ConfigStore::File)
    };
    store.unwrap_or(ConfigStore::None)
}

fn runtime(section: &Section<'_>) -> RuntimeStore {
    let count = |key: &str| section.get(key)?.integer(0..=MAX_CONNECTIONS);
    for table in ["table_usage", "table_cache", "table_history"] {
        section.text(table);
    }
    let kind = section.choice("type", &RUNTIME).unwrap_or(RuntimeStoreType::Memory);
    let is_redis = kind == RuntimeStoreType::Redis;
    if !is_redis {
        redis::check_unused(section);
    }
    let conn_max_lifetime = section
        .get("conn_max_lifetime")
        .and_then(|field| field.duration(Bare::Seconds, Duration::ZERO..=MAX_CACHE_TTL));
    RuntimeStore {
        kind,
        redis: is_redis.then(|| redis::read(section, conn_max_lifetime)),
        addr: if is_redis { None } else { section.secret("addr") },
        password: optional_secret(section, "password"),
        api_key: optional_secret(section, "api_key"),
        database: section.text("database"),
        pool_size: count("pool_size"),
        min_idle_conns: count("min_idle_conns"),
        max_idle_conns: count("max_idle_conns"),
        conn_max_lifetime,
        // Micro-gigabytes to bytes.
        max_memory_bytes: section
            .get("max_memory_gb")
            .and_then(|field| field.micro_units(1 << 20))
            .map(|micro| micro.saturating_mul(1 << 30) / 1_000_000),
    }
}

/// Files say `password: ""` for a store without one.
pub(super) fn optional_secret(section: &Section<'_>, key: &str) -> Option<Secret> {
    let field = section.get(key)?;
    if field.is_empty_text() { None } else { field.secret() }
}
