//! A simulator run from the command line.

use std::{io, net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{KeyLimits, Latency, RecordSettings, Settings, Tokens, start};

/// What to simulate.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Shards
    #[arg(long, default_value_t = 1)]
    shards: usize,
    /// CPUs to pin the shards to, in order
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Time to an answer: 0, 5ms, uniform:5ms..20ms, lognormal:50ms,0.5 or bimodal:10ms,100ms,0.9
    #[arg(long, default_value = "0")]
    latency: Latency,
    /// Further time to a stream's first content, written as --latency
    #[arg(long, default_value = "0")]
    first_token: Latency,
    /// Pace of streams; 0 is as fast as clients take them
    #[arg(long, default_value_t = 0.0)]
    tokens_per_s: f64,
    /// Tokens of an answer: 32 or 10..200
    #[arg(long, default_value = "32")]
    answer_tokens: Tokens,
    /// Tokens in each chunk of a stream
    #[arg(long, default_value_t = 1)]
    chunk_tokens: usize,
    /// Share of requests answered with an error, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    error_rate: f64,
    /// The status of those errors
    #[arg(long, default_value_t = 500)]
    error_status: u16,
    /// Share of requests answered 429, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    rate_limit_rate: f64,
    /// An accepted key with its limits per minute, KEY[:REQUESTS[:TOKENS]]; repeatable. Without any, every key is
    /// accepted
    #[arg(long = "key", value_parser = key)]
    keys: Vec<KeyLimits>,
    /// Requests served at a time; the others wait
    #[arg(long)]
    capacity: Option<usize>,
    /// Connections that wait to be accepted
    #[arg(long)]
    backlog: Option<i32>,
    /// Requests kept in the record, per shard
    #[arg(long, default_value_t = 0)]
    record: usize,
    /// PEM certificate chain; with --tls-key the simulator speaks TLS
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM private key
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

fn key(text: &str) -> Result<KeyLimits, String> {
    let mut parts = text.split(':');
    let key = parts.next().filter(|key| !key.is_empty()).ok_or("a key is missing")?.to_owned();
    let mut limit = || match parts.next() {
        None | Some("") => Ok(None),
        Some(number) => number.parse().map(Some).map_err(|_| format!("'{number}' is no limit")),
    };
    let (req_per_min, tokens_per_min) = (limit()?, limit()?);
    Ok(KeyLimits { key, req_per_min, tokens_per_min })
}

/// Simulates until the process is ended.
///
/// # Errors
/// The error of starting.
pub fn run(args: &SimulateArgs) -> io::Result<()> {
    let settings = Settings {
        listen: args.listen,
        shards: args.shards,
        pin: (!args.cpus.is_empty()).then(|| args.cpus.clone()),
        backlog: args.backlog,
        tls: args.tls_cert.clone().zip(args.tls_key.clone()),
        record: RecordSettings::keep(args.record),
        latency: args.latency,
        first_token: args.first_token,
        tokens_per_s: args.tokens_per_s,
        answer_tokens: args.answer_tokens,
        chunk_tokens: args.chunk_tokens,
        error_rate: args.error_rate,
        error_status: args.error_status,
        rate_limit_rate: args.rate_limit_rate,
        keys: args.keys.clone(),
        capacity: args.capacity,
        ..Settings::default()
    };
    let simulator = start(settings)?;
    eprintln!("simulating a provider at {}", simulator.base_url());
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_carry_their_limits() {
        let of = |text: &str| key(text).map(|limits| (limits.key, limits.req_per_min, limits.tokens_per_min));
        assert_eq!(of("sk"), Ok(("sk".into(), None, None)));
        assert_eq!(of("sk:3"), Ok(("sk".into(), Some(3), None)));
        assert_eq!(of("sk::9"), Ok(("sk".into(), None, Some(9))));
        assert!(of(":3").is_err() && of("sk:x").is_err());
    }
}
