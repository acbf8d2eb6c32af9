//! Every bound and default of the configuration, each with its unit and its reason.

use std::time::Duration;

// The file itself. It may also arrive over the admin API, so all of it is bounded.

/// A file with tens of thousands of clients is about 2 MiB; more is not a configuration.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// The deepest key we know is five levels down; the rest is room for anchors and mistakes.
pub const MAX_DEPTH: usize = 32;
/// What the tree may weigh once aliases and variables are expanded (see [`NODE_BYTES`]). Stops
/// an alias bomb long before memory does.
pub const MAX_TREE_BYTES: usize = 64 << 20;
/// What a node weighs beside its text.
pub const NODE_BYTES: usize = 64;
/// One scalar after `${VAR}`: Linux allows 128 KiB in one variable, no key of ours needs more.
pub const MAX_SCALAR_BYTES: usize = 128 << 10;
/// A secret read from `file:`: keys are tens of bytes, service tokens a few KiB.
pub const MAX_SECRET_BYTES: usize = 64 << 10;
/// Problems reported in one go. A person fixes a screen or two at a time.
pub const MAX_DIAGNOSTICS: usize = 200;
/// Characters of a source line echoed before and after the place of a problem.
pub const ECHO_CHARS: usize = 100;

// The listener.

/// The port of the original, so that clients need no change.
pub const DEFAULT_PORT: u16 = 2906;
/// Listeners of one process.
pub const MAX_LISTENERS: usize = 64;
/// More shards than any machine has CPUs.
pub const MAX_WORKER_THREADS: u64 = 1024;
/// Open client connections, all shards together. An idle one costs under 1 KiB.
pub const DEFAULT_MAX_CONNECTIONS: usize = 65_536;
/// Requests in progress, all shards together. Each may hold a body and an upstream connection.
pub const DEFAULT_MAX_CONCURRENT_REQUESTS: usize = 16_384;
/// Upper bound of both counts above: the kernel's own ceiling on descriptors (`fs.nr_open`).
pub const MAX_CONNECTIONS: u64 = 1_048_576;

/// Request line and headers: what the common servers and proxies accept.
pub const DEFAULT_MAX_HEADER_BYTES: usize = 32 << 10;
/// Below this a browser's request no longer fits.
pub const MIN_HEADER_BYTES: u64 = 1 << 10;
/// Above this a slow sender holds too much memory per connection.
pub const MAX_HEADER_BYTES: u64 = 1 << 20;
/// Headers of one request.
pub const DEFAULT_MAX_HEADERS: usize = 100;
/// What the head parser's table holds: it lives on the stack, so a larger count could not be kept.
pub const MAX_HEADERS: u64 = coo_shards::http1::head::MAX_HEADERS as u64;
/// A request body: several images as base64 in one chat request.
pub const DEFAULT_MAX_BODY_BYTES: usize = 64 << 20;
/// A body is held in memory while it is forwarded.
pub const MAX_BODY_BYTES: u64 = 1 << 30;

/// From the first byte of a request to the end of its head: stops slow-loris senders.
pub const DEFAULT_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two reads of a request's body.
pub const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A kept-alive client connection without a request: longer than the 60 s of common balancers.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// One write to a client that does not read.
pub const DEFAULT_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// At shutdown, for requests in progress.
pub const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

// Upstream.

/// A provider that does not accept in this time is down or far too loaded.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Reasoning models think for long before the first byte of an answer that is not streamed.
pub const DEFAULT_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(120);
/// A stream that pauses longer than this between two reads is dead.
pub const DEFAULT_BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(60);
/// One request to a provider, connect to last byte: what the OpenAI SDKs wait by default.
pub const DEFAULT_TOTAL_TIMEOUT: Duration = Duration::from_secs(600);
/// An idle upstream connection: the original's value, below the idle time of common providers.
pub const DEFAULT_IDLE_CONN_TIMEOUT: Duration = Duration::from_secs(90);
/// Connections to one provider, all shards together. A stream holds one for its whole length.
pub const DEFAULT_MAX_CONNS_PER_HOST: usize = 4_096;
/// Idle connections kept to one provider, all shards together.
pub const DEFAULT_MAX_IDLE_CONNS_PER_HOST: usize = 256;
/// Idle connections kept to all providers, all shards together.
pub const DEFAULT_MAX_IDLE_CONNS: usize = 1_024;

/// The shortest timeout: less is below the scheduling noise of a busy host.
pub const MIN_TIMEOUT: Duration = Duration::from_millis(1);
/// The longest timeout or interval; more is a unit mistaken.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

// Logging.

/// Where `logging.file` writes when it names no path (as the original).
pub const DEFAULT_LOG_PATH: &str = "./logs/llm.log";
/// Rotate at this size.
pub const DEFAULT_LOG_SIZE_MB: u64 = 100;
/// One terabyte: a larger single file serves nobody.
pub const MAX_LOG_SIZE_MB: u64 = 1_000_000;
/// Rotated files kept.
pub const DEFAULT_LOG_BACKUPS: u64 = 5;
/// Rotation renames each backup in turn.
pub const MAX_LOG_BACKUPS: u64 = 1_000;
/// Where Prometheus reads.
pub const DEFAULT_METRICS_PATH: &str = "/metrics";

// Providers and clients.

/// Provider and client ids are metric labels and part of `provider:model`.
pub const MAX_ID_CHARS: usize = 64;
/// Extra headers of one provider; they are sent with every request.
pub const MAX_EXTRA_HEADERS: usize = 32;
/// Addresses of one provider: more than any name resolves to.
pub const MAX_ADDRESSES: usize = 64;
/// A rate or token limit; beyond it the limit is no limit.
pub const MAX_RATE: u64 = 1_000_000_000_000;
/// The window of `session_limit` when `session_type` is absent.
pub const DEFAULT_SESSION_WINDOW: Duration = Duration::from_secs(3600);
/// Budgets keep a window as coarse buckets; a month of them is the most we hold.
pub const MAX_SESSION_WINDOW: Duration = Duration::from_secs(31 * 24 * 3600);
/// USD per 1M tokens. The dearest model today asks 600.
pub const MAX_PRICE_USD: u64 = 1_000_000;
/// USD a client may spend in a day or month; in micro-USD it is far from the end of an `i64`.
pub const MAX_SPEND_USD: u64 = 1_000_000_000;

// Storage.

/// Redis is asked for budget, and told what was spent, this often.
pub const DEFAULT_SYNC_INTERVAL: Duration = Duration::from_millis(100);
/// Below this an instance is busier talking to Redis than it gains in sharpness.
pub const MIN_SYNC_INTERVAL: Duration = Duration::from_millis(20);
/// Above this leases would be a good part of a limit per minute.
pub const MAX_SYNC_INTERVAL: Duration = Duration::from_secs(10);
/// What our keys in Redis begin with.
pub const DEFAULT_REDIS_PREFIX: &str = "coo-llm";
/// It is sent with every command.
pub const MAX_REDIS_PREFIX_CHARS: usize = 64;
/// Nodes or sentinels named in the configuration; a few are enough to find the others.
pub const MAX_REDIS_ADDRS: usize = 64;
/// Targets of one alias: more providers of the same model than anyone has accounts with.
pub const MAX_TARGETS: usize = 16;

// Policy.

/// A slow provider, in `policy.latency_threshold_ms`.
pub const DEFAULT_LATENCY_THRESHOLD: Duration = Duration::from_millis(1000);
/// Between two probes of one provider.
pub const DEFAULT_HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// Attempts of one request, the first included.
pub const DEFAULT_RETRY_ATTEMPTS: u64 = 3;
/// More would multiply an outage.
pub const MAX_RETRY_ATTEMPTS: u64 = 10;
/// Pause before the second attempt.
pub const DEFAULT_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Other providers tried after the first.
pub const DEFAULT_FALLBACK_PROVIDERS: u64 = 2;
/// As many as a request's deadline allows in practice.
pub const MAX_FALLBACK_PROVIDERS: u64 = 16;
/// A cached answer lives this long.
pub const DEFAULT_CACHE_TTL: Duration = Duration::from_secs(10);
/// A year; longer means "for ever", which a cache cannot promise.
pub const MAX_CACHE_TTL: Duration = Duration::from_secs(366 * 24 * 3600);
/// Memory for cached answers, all shards together.
pub const DEFAULT_CACHE_SIZE_MB: u64 = 256;
/// One terabyte of memory.
pub const MAX_CACHE_SIZE_MB: u64 = 1_000_000;
/// How alike two questions must be, 0 to 1.
pub const DEFAULT_SIMILARITY_THRESHOLD: f64 = 0.85;
/// Entries of the semantic cache.
pub const DEFAULT_SEMANTIC_CACHE_ENTRIES: u64 = 10_000;
/// Each entry holds a vector of some KiB.
pub const MAX_SEMANTIC_CACHE_ENTRIES: u64 = 10_000_000;
/// A semantically cached answer lives this long.
pub const DEFAULT_SEMANTIC_CACHE_TTL: Duration = Duration::from_secs(3600);
/// A key that failed rests this long.
pub const DEFAULT_KEY_COOLDOWN: Duration = Duration::from_secs(60);
/// Keys of one provider that rotation considers.
pub const DEFAULT_KEYS_PER_PROVIDER: u64 = 10;
/// Keys of one provider, at most.
pub const MAX_KEYS_PER_PROVIDER: u64 = 10_000;
/// A request waits this long for budget: long enough for a busy minute to let go of a little, short
/// enough that nobody takes it for a dead connection.
pub const DEFAULT_BUDGET_WAIT: Duration = Duration::from_secs(2);
/// The usual window of a provider's limit: one who waits longer should be told to come back.
pub const MAX_BUDGET_WAIT: Duration = Duration::from_secs(60);
/// Requests waiting for budget on one shard; each holds a client's connection and a body.
pub const DEFAULT_BUDGET_QUEUE: usize = 1_024;
/// Four times what may be in progress by default, on all shards together; more is a mistake.
pub const MAX_BUDGET_QUEUE: u64 = 65_536;
/// A weight of `policy.weights`; only the proportion matters.
pub const MAX_WEIGHT: u64 = 1_000_000;
