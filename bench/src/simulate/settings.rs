//! What a simulator is told to do.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use super::{faults::Fault, latency::Latency, limits::KeyLimits};

/// How a simulator listens and answers. Everything from `latency` on can be changed while it runs, through
/// `POST /__sim/set` or [`Simulator::change`](super::Simulator::change).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Shards, each one thread.
    pub shards: usize,
    /// CPU of each shard; unpinned where `None` or too short.
    pub pin: Option<Vec<usize>>,
    /// Connections that wait to be accepted, beyond which the kernel drops more; as many as for a gateway where
    /// `None`.
    pub backlog: Option<i32>,
    /// PEM files of a certificate chain and its key; plain HTTP where `None`.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What is kept of the requests received.
    pub record: RecordSettings,
    /// From a request's last byte to the head of its answer.
    pub latency: Latency,
    /// In a stream, further from its head to its first content.
    pub first_token: Latency,
    /// Pace of a stream after its first content; 0 sends as fast as the client takes it.
    pub tokens_per_s: f64,
    /// Length of an answer where the request does not say.
    pub answer_tokens: Tokens,
    /// Tokens in each content chunk of a stream.
    pub chunk_tokens: usize,
    /// Share of requests answered with an error, 0 to 1.
    pub error_rate: f64,
    /// The status of those errors.
    pub error_status: u16,
    /// Share of requests answered 429, 0 to 1, whatever the limits.
    pub rate_limit_rate: f64,
    /// A fault for every request that does not choose its own.
    pub fault: Option<Fault>,
    /// That fault is there for so long, then not for as long, and so on, from the last change of a setting.
    pub flap: Option<Duration>,
    /// What `retry-after` says in errors 429 and 503 that were asked for by status or rate.
    pub retry_after: Option<Duration>,
    /// All waits are so many times as long.
    pub slowdown: f64,
    /// Those of requests with these keys further so many times.
    pub slow_keys: Vec<(String, f64)>,
    /// Keys that are refused with 401, though they may be among `keys`.
    pub revoked: Vec<String>,
    /// Requests served at a time, evenly over the shards; the others wait. Errors are answered at once.
    pub capacity: Option<usize>,
    /// Accepted keys and their limits; empty accepts any key without limits.
    pub keys: Vec<KeyLimits>,
    /// Length of the sliding window of the limits; providers use a minute, a test may want less.
    pub window: Duration,
    /// Whether a request without a key is refused where `keys` is empty.
    pub require_key: bool,
    /// How long an access token is good that a service account gets at `/token`.
    pub token_lifetime: Duration,
    /// Models that exist; empty accepts any name without `no-such-model` in it.
    pub models: Vec<String>,
    /// Whether answers name a dated snapshot of the model asked for, as OpenAI does for its aliases.
    pub dated_models: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            shards: 1,
            pin: None,
            backlog: None,
            tls: None,
            record: RecordSettings::default(),
            latency: Latency::None,
            first_token: Latency::None,
            tokens_per_s: 0.0,
            answer_tokens: Tokens::exactly(32),
            chunk_tokens: 1,
            error_rate: 0.0,
            error_status: 500,
            rate_limit_rate: 0.0,
            fault: None,
            flap: None,
            retry_after: None,
            slowdown: 1.0,
            slow_keys: Vec::new(),
            revoked: Vec::new(),
            capacity: None,
            keys: Vec::new(),
            window: Duration::from_secs(60),
            require_key: true,
            token_lifetime: Duration::from_secs(3600),
            models: Vec::new(),
            dated_models: false,
        }
    }
}

/// What is kept of the requests received. Nothing by default: the path that load tests measure records nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordSettings {
    /// Latest requests of which a [`Record`](super::Record) is kept, per shard.
    pub requests: usize,
    /// Latest requests of which head and body are kept, per shard.
    pub raw: usize,
}

impl RecordSettings {
    /// Keeps records of the latest `requests` per shard, and the bytes of the latest 64.
    #[must_use]
    pub fn keep(requests: usize) -> Self {
        Self { requests, raw: requests.min(64) }
    }
}

/// An inclusive range of token counts. As text: `16` or `10..200`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The fewest.
    pub min: usize,
    /// The most.
    pub max: usize,
}

impl Tokens {
    /// Always `n`.
    #[must_use]
    pub const fn exactly(n: usize) -> Self {
        Self { min: n, max: n }
    }
}

/// The longest answer that can be asked for: beyond every model's context, within reason for memory.
pub(crate) const MAX_ANSWER_TOKENS: usize = 1_000_000;

impl FromStr for Tokens {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse::<usize>().ok().filter(|&n| n <= MAX_ANSWER_TOKENS);
        let range = match text.split_once("..") {
            Some((min, max)) => number(min).zip(number(max)),
            None => number(text).map(|n| (n, n)),
        };
        match range {
            Some((min, max)) if min <= max => Ok(Self { min, max }),
            _ => Err(format!("{text:?} is not a number of tokens: write for instance 16 or 10..200")),
        }
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{}..{}", self.min, self.max) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_ranges_are_read_and_written_back() {
        for (text, min, max) in [("16", 16, 16), ("10..200", 10, 200), ("0", 0, 0)] {
            let tokens: Tokens = text.parse().unwrap();
            assert_eq!(tokens, Tokens { min, max });
            assert_eq!(tokens.to_string(), text);
        }
        for text in ["", "x", "5..", "9..3", "-1", "99999999999"] {
            assert!(text.parse::<Tokens>().is_err(), "{text}");
        }
    }
}
