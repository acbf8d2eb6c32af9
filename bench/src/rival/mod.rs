//! Other ways to keep a rate limit, each as a small forwarding server on the gateway's engine, so that
//! `coo-bench budgets` can judge them by the same record and the difference is the way and not the server.
//!
//! They are what gateways commonly do: [`Kind`] lists them. [`limiter`] decides, [`serve`] forwards.

mod limiter;
mod serve;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

use clap::Args;
use coo_shards::{
    executor::{self, Driver},
    listen,
};

/// A way to keep a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `INCR` and `EXPIRE` of a counter for each calendar minute in Redis, for each request.
    RedisCounter,
    /// A Lua script over a sorted set of the last minute's requests in Redis, for each request.
    RedisLog,
    /// Each process keeps the whole limit by itself.
    LocalCounters,
    /// Each process keeps an equal share of the limit by itself.
    LocalShare,
}

/// The kinds by name.
const KINDS: [(&str, Kind); 4] = [
    ("redis-counter", Kind::RedisCounter),
    ("redis-log", Kind::RedisLog),
    ("local-counters", Kind::LocalCounters),
    ("local-share", Kind::LocalShare),
];

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = KINDS.iter().find(|(name, _)| *name == text).map(|&(_, kind)| kind);
        found.ok_or_else(|| {
            format!("no rival is named {text}; there are {}", KINDS.map(|(name, _)| name).join(", "))
        })
    }
}

impl Kind {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|&&(_, kind)| kind == self).map_or("", |&(name, _)| name)
    }

    /// Whether it keeps its counts in Redis.
    #[must_use]
    pub fn uses_redis(self) -> bool {
        matches!(self, Kind::RedisCounter | Kind::RedisLog)
    }

    /// The command line of `instance`.
    pub(crate) fn args(self, instance: &Instance) -> Vec<String> {
        let mut args = vec![
            "rival".to_owned(),
            self.name().to_owned(),
            format!("--listen={}", SocketAddr::from((Ipv4Addr::LOCALHOST, instance.port))),
            format!("--upstream={}", instance.upstream),
            format!("--instances={}", instance.instances),
        ];
        args.extend(instance.redis.map(|addr| format!("--redis={addr}")));
        args.extend(instance.limits.iter().map(|(name, limit)| format!("--limit={name}={limit}")));
        args
    }
}

/// One of several processes that share limits.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) port: u16,
    pub(crate) upstream: SocketAddr,
    pub(crate) redis: Option<SocketAddr>,
    pub(crate) instances: usize,
    /// Names of providers and their requests per minute.
    pub(crate) limits: Vec<(String, u64)>,
}

/// How a rival runs.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// redis-counter, redis-log, local-counters or local-share
    pub kind: Kind,
    /// Address to accept on
    #[arg(long)]
    pub listen: SocketAddr,
    /// Address to forward to
    #[arg(long)]
    pub upstream: SocketAddr,
    /// Requests a minute for models named PROVIDER:...; they are forwarded with the key sk-PROVIDER; repeatable
    #[arg(long = "limit", value_name = "PROVIDER=N", value_parser = limit)]
    pub limits: Vec<(String, u64)>,
    /// Address of Redis
    #[arg(long)]
    pub redis: Option<SocketAddr>,
    /// Processes that share the limits
    #[arg(long, default_value_t = 1)]
    pub instances: usize,
}

fn limit(text: &str) -> Result<(String, u64), String> {
    let parts = text.split_once('=').and_then(|(name, limit)| Some((name.to_owned(), limit.parse().ok()?)));
    parts.ok_or_else(|| format!("{text} is not PROVIDER=N"))
}

/// Forwards until the process is ended.
///
/// # Errors
/// Settings that do not fit together, or the error of listening or of starting the shard.
pub fn run(settings: &Settings) -> io::Result<()> {
    let _ = listen::raise_nofile();
    let listener = listen::bind(settings.listen, 1)?.pop().ok_or(io::ErrorKind::AddrNotAvailable)?;
    if settings.kind.uses_redis() && settings.redis.is_none() {
        return Err(io::Error::other("--redis is missing"));
    }
    let settings = settings.clone();
    let shard = executor::spawn(0, None, Driver::detect(), false, move || serve::serve(listener, settings))?;
    shard.join().map_err(|_| io::Error::other("the shard ended abnormally"))??
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_limits_are_named() {
        for (name, kind) in KINDS {
            assert_eq!((name.parse::<Kind>(), kind.name()), (Ok(kind), name));
        }
        assert!("redis".parse::<Kind>().is_err());
        assert_eq!(limit("r60=60"), Ok(("r60".into(), 60)));
        assert!(limit("r60").is_err() && limit("r=x").is_err());
    }
}
