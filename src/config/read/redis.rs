//! Section `storage.runtime` of type `redis`.

use std::{path::PathBuf, time::Duration};

use super::storage::optional_secret;
use crate::config::duration::Bare;
use crate::config::field::{Field, Section};
use crate::config::limits::*;
use crate::config::redis::{self, MAX_DATABASE, OnOutage, RedisAddr, RedisMode, Target};
use crate::config::schema::Redis;

/// Keys that only this type of store has.
const OWN: [&str; 8] =
    ["mode", "master_name", "tls", "ca_file", "username", "on_outage", "sync_interval", "prefix"];

/// Where the original's client looks when no address is set.
const DEFAULT_HOST: &str = "localhost";

/// An address with its place.
type Placed<'a> = (Field<'a>, Target);

/// Doubts keys that another type of store does not read.
pub(super) fn check_unused(section: &Section<'_>) {
    for field in OWN.iter().filter_map(|key| section.get(key)) {
        field.warn("without effect: only a store of type `redis` reads this", None);
    }
}

pub(super) fn read(section: &Section<'_>, conn_max_lifetime: Option<Duration>) -> Redis {
    let mode = section.choice("mode", &RedisMode::CHOICES).unwrap_or(RedisMode::Standalone);
    let targets = targets(section, mode);
    let username = section.text("username").filter(|name| !name.is_empty());
    let password = optional_secret(section, "password");
    let tls = tls(section, &targets);
    Redis {
        mode,
        master_name: master_name(section, mode),
        tls,
        ca_file: ca_file(section, tls),
        username: agreed("username", username, &targets, |target| target.username.as_ref()),
        password: agreed("password", password, &targets, |target| target.password.as_ref()),
        database: database(section, mode, &targets),
        on_outage: section.choice("on_outage", &OnOutage::CHOICES).unwrap_or(OnOutage::LocalShare),
        sync_interval: section
            .get("sync_interval")
            .and_then(|field| field.duration(Bare::Seconds, MIN_SYNC_INTERVAL..=MAX_SYNC_INTERVAL))
            .unwrap_or(DEFAULT_SYNC_INTERVAL),
        max_lifetime: conn_max_lifetime.filter(|lifetime| !lifetime.is_zero()),
        prefix: prefix(section),
        addrs: addrs(mode, targets),
    }
}

/// The addresses, each with what its URL says. A single text is split at commas; it may come from
/// a file, as it may hold a password.
fn targets<'a>(section: &Section<'a>, mode: RedisMode) -> Vec<Placed<'a>> {
    let Some(field) = section.get("addr") else {
        return Vec::new();
    };
    let written: Vec<(Field<'a>, String)> = if field.is_list() {
        field.secrets().into_iter().map(|(item, secret)| (item, secret.expose().to_owned())).collect()
    } else {
        let secret = field.secret();
        let texts = secret.iter().flat_map(|secret| secret.expose().split(','));
        texts.map(|text| (field.clone(), text.to_owned())).collect()
    };
    let count = written.len();
    if field.is_list() && field.is_empty_list() || count > MAX_REDIS_ADDRS {
        field.error(format!("expected 1 to {MAX_REDIS_ADDRS} addresses"), None);
    }
    if mode == RedisMode::Standalone && count > 1 {
        let help = "for several servers add `mode: cluster` or `mode: sentinel`".to_owned();
        field.error("a standalone server has one address", Some(help));
    }
    let mut out: Vec<Placed<'a>> = Vec::new();
    for (index, (item, text)) in written.into_iter().enumerate() {
        match redis::parse(&text, mode.default_port()) {
            Ok(target) => out.push((item, target)),
            Err(error) if count > 1 && !field.is_list() => {
                item.error(format!("address {} of {count}: {error}", index + 1), None);
            }
            Err(error) => item.error(error.to_string(), None),
        }
    }
    out
}

fn addrs(mode: RedisMode, targets: Vec<Placed<'_>>) -> Vec<RedisAddr> {
    let mut out: Vec<RedisAddr> = Vec::new();
    for (field, Target { addr, .. }) in targets {
        if out.contains(&addr) {
            field.warn("an address is listed twice", None);
        } else {
            out.push(addr);
        }
    }
    if out.is_empty() {
        out.push(RedisAddr { host: DEFAULT_HOST.to_owned(), port: mode.default_port() });
    }
    out
}

/// A value that a key and the addresses may all say, if they say the same.
fn agreed<T: Clone + PartialEq>(
    name: &str,
    key: Option<T>,
    targets: &[Placed<'_>],
    part: impl Fn(&Target) -> Option<&T>,
) -> Option<T> {
    let mut agreed = key;
    for (field, target) in targets {
        match (&agreed, part(target)) {
            (Some(one), Some(other)) if one != other => {
                let message = format!("this names another {name} than the key `{name}` or another address");
                field.error(message, None);
            }
            (None, Some(value)) => agreed = Some(value.clone()),
            _ => {}
        }
    }
    agreed
}

/// TLS if `tls` or any scheme says so.
fn tls(section: &Section<'_>, targets: &[Placed<'_>]) -> bool {
    let key = section.get("tls").and_then(|field| field.truth());
    let any = |wanted: bool| targets.iter().find(|(_, target)| target.tls == Some(wanted));
    let secure = any(true);
    if let Some((field, _)) = secure {
        if key == Some(false) {
            field.error("rediss:// means TLS, and `tls` is false", None);
        } else if key.is_none() && any(false).is_some() {
            let help = "`tls: true` means all of them".to_owned();
            field.error("redis:// and rediss:// are mixed", Some(help));
        }
    }
    key.unwrap_or(secure.is_some())
}

fn ca_file(section: &Section<'_>, tls: bool) -> Option<PathBuf> {
    let field = section.get("ca_file")?;
    if !tls {
        let help = "for TLS add `tls: true`, or write rediss:// in `addr`".to_owned();
        field.warn("without effect: the connection is not over TLS", Some(help));
        return None;
    }
    field.existing_file()
}

fn master_name(section: &Section<'_>, mode: RedisMode) -> Option<String> {
    let field = section.get("master_name");
    if mode != RedisMode::Sentinel {
        if let Some(field) = field {
            field.warn("without effect: only `mode: sentinel` reads this", None);
        }
        return None;
    }
    let Some(field) = field else {
        section.missing("master_name", Some("the name the sentinels know the server by".to_owned()));
        return None;
    };
    field.parse("a name", |text| {
        let clean = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        clean.then(|| text.to_owned()).ok_or("a name is visible ASCII without spaces")
    })
}

fn database(section: &Section<'_>, mode: RedisMode, targets: &[Placed<'_>]) -> u32 {
    let field = section.get("database").filter(|field| !field.is_empty_text());
    let key = field.as_ref().and_then(|field| {
        field.parse("a number", |text| {
            redis::database(text)
                .ok_or_else(|| format!("expected the number of a database, 0 to {MAX_DATABASE}"))
        })
    });
    let database = agreed("database", key, targets, |target| target.database.as_ref()).unwrap_or(0);
    if mode == RedisMode::Cluster && database != 0 {
        let place = field.as_ref().or(targets.first().map(|(field, _)| field));
        if let Some(place) = place {
            place.error("a cluster has database 0 only", None);
        }
    }
    database
}

/// In a cluster, braces in a key choose its node: they are ours to set.
fn prefix(section: &Section<'_>) -> String {
    let given = section.get("prefix").and_then(|field| {
        field.parse("a text", |text| {
            let allowed = |b: u8| b.is_ascii_graphic() && b != b'{' && b != b'}';
            let fits = (1..=MAX_REDIS_PREFIX_CHARS).contains(&text.len()) && text.bytes().all(allowed);
            fits.then(|| text.to_owned()).ok_or_else(|| {
                format!(
                    "a prefix is 1 to {MAX_REDIS_PREFIX_CHARS} visible ASCII characters, without {{ and }}"
                )
            })
        })
    });
    given.unwrap_or_else(|| DEFAULT_REDIS_PREFIX.to_owned())
}
