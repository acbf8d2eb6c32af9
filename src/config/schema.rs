//! The configuration as the rest of the program sees it: plain, resolved, checked.
//!
//! Absent keys have become defaults, variables and files their contents, paths absolute or
//! relative to the configuration file. Keys whose feature is not built are here too: `notices`
//! lists them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::money::MicroUsd;
use super::policy::{KeyRotation, Policy, SemanticCache, Urgency};
use super::provider::{KeyLimits, Provider};
use super::redis::{OnOutage, RedisAddr, RedisMode};
use super::secret::Secret;

/// One checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The listener and its bounds.
    pub server: Server,
    /// How providers are reached.
    pub upstream: Upstream,
    /// What is written where.
    pub logging: Logging,
    /// Where state outlives the process.
    pub storage: Storage,
    /// In the order of the file; at least one.
    pub providers: Vec<Provider>,
    /// In the order of the file.
    pub clients: Vec<Client>,
    /// Each alias with its targets, a provider's id and a model; in the order of the file.
    pub aliases: Vec<(String, Vec<(String, String)>)>,
    /// How a provider and key are chosen.
    pub policy: Policy,
    /// Not built yet.
    pub key_rotation: KeyRotation,
    /// Not built yet.
    pub semantic_cache: SemanticCache,
}

/// Section `server`.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// At least one. A host left out in the file is `[::]`, meant for a dual-stack socket.
    pub listen: Vec<SocketAddr>,
    /// Shards; `None` is the CPUs this process may use.
    pub worker_threads: Option<usize>,
    /// Open client connections, all shards together.
    pub max_connections: usize,
    /// Requests in progress, all shards together.
    pub max_concurrent_requests: usize,
    /// TLS on the listener; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// Bounds of one request.
    pub limits: HttpLimits,
    /// Patience with clients.
    pub timeouts: ServerTimeouts,
    /// Bearer key of the admin API; `None` closes it.
    pub admin_api_key: Option<Secret>,
    /// Not built yet.
    pub cors: Cors,
    /// Not built yet.
    pub webui: WebUi,
}

/// `server.tls`: both files exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM chain, leaf first.
    pub cert_file: PathBuf,
    /// PEM private key.
    pub key_file: PathBuf,
}

/// `server.limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Request line and headers.
    pub max_header_bytes: usize,
    /// Count of headers.
    pub max_headers: usize,
    /// Request body.
    pub max_body_bytes: usize,
}

/// `server.timeouts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTimeouts {
    /// First byte of a request to the end of its head.
    pub head: Duration,
    /// Between two reads of a request body.
    pub body: Duration,
    /// A kept-alive connection without a request.
    pub idle: Duration,
    /// One write to a client that does not read.
    pub write: Duration,
    /// Requests in progress at shutdown.
    pub drain: Duration,
}

/// `server.cors`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the headers they fill
pub struct Cors {
    pub enabled: bool,
    pub allowed_origins: Vec<String>,
    pub allowed_methods: Vec<String>,
    pub allowed_headers: Vec<String>,
    pub allow_credentials: bool,
    pub max_age: Duration,
}

/// `server.webui`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUi {
    /// Served at `/ui`.
    pub enabled: bool,
    /// Login name; `ADMIN_ID` in the environment wins.
    pub admin_id: String,
    /// `None` closes the login; `ADMIN_PASSWORD` in the environment wins.
    pub admin_password: Option<Secret>,
    /// A UI build to serve in place of the built-in one.
    pub path: Option<PathBuf>,
}

/// Sections `upstream`, `http` and `http_client`, resolved into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Patience with providers.
    pub timeouts: UpstreamTimeouts,
    /// Connections kept and opened.
    pub pool: Pool,
    /// PEM file of further root certificates; exists.
    pub ca_file: Option<PathBuf>,
    /// HTTP/2 was asked for. Not built yet.
    pub http2: bool,
}

/// `upstream.timeouts`; none is longer than `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// TCP and TLS handshakes.
    pub connect: Duration,
    /// Request sent to first byte of the answer.
    pub first_byte: Duration,
    /// Between two reads of the answer.
    pub between_bytes: Duration,
    /// Connect to last byte.
    pub total: Duration,
}

/// Upstream connections, all shards together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Reuse connections at all.
    pub keep_alive: bool,
    /// Open, to one provider.
    pub max_per_host: usize,
    /// Idle, to one provider.
    pub max_idle_per_host: usize,
    /// Idle, to all providers.
    pub max_idle: usize,
    /// An idle connection is closed after this.
    pub idle_timeout: Duration,
}

/// Section `logging`.
#[derive(Clone, Debug, PartialEq)]
pub struct Logging {
    /// One line per request.
    pub access: AccessLog,
    /// The metrics endpoint.
    pub prometheus: Prometheus,
    /// Not built yet.
    pub providers: Vec<LogProvider>,
}

/// `logging.access`, with path and rotation taken over from `logging.file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Write it at all.
    pub enabled: bool,
    /// Where to.
    pub target: LogTarget,
    /// When the target is a file.
    pub rotation: Rotation,
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Written as `-`.
    Stdout,
    /// A file, whose folder may not exist yet.
    File(PathBuf),
}

/// Rotation of a log file by size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Rotate beyond this size.
    pub max_bytes: u64,
    /// Rotated files kept; 0 keeps none.
    pub max_backups: usize,
}

/// `logging.prometheus`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// Serve metrics.
    pub enabled: bool,
    /// Path, begins with `/`.
    pub endpoint: String,
}

/// One entry of `logging.providers`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // not built yet; the original's names
pub struct LogProvider {
    pub name: String,
    pub kind: String,
    /// May carry a token in its path.
    pub endpoint: Option<Secret>,
    pub headers: Vec<(String, Secret)>,
    pub batch: bool,
    pub batch_size: u64,
    pub batch_interval: Duration,
}

/// Section `storage`.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// Where a configuration changed over the admin API is kept.
    pub config: ConfigStore,
    /// Where usage and budgets are kept.
    pub runtime: RuntimeStore,
}

/// `storage.config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigStore {
    /// Nothing is kept.
    None,
    /// A file.
    File(PathBuf),
    /// An HTTP service, by URL.
    Http(Secret),
}

/// Kinds of runtime store; the original's are all accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum RuntimeStoreType {
    Memory,
    Sql,
    Redis,
    Http,
    MongoDb,
    DynamoDb,
    InfluxDb,
}

/// `storage.runtime` of type `redis`, resolved: what a URL says and what the keys say are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// At least one; exactly one in standalone mode.
    pub addrs: Vec<RedisAddr>,
    /// How they belong together.
    pub mode: RedisMode,
    /// The name sentinels know the server by; set exactly in sentinel mode.
    pub master_name: Option<String>,
    /// Connect over TLS.
    pub tls: bool,
    /// PEM root certificates to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// `None` is the default user.
    pub username: Option<String>,
    /// `None` logs in nowhere.
    pub password: Option<Secret>,
    /// Number of the database.
    pub database: u32,
    /// What happens to budgets while Redis is away.
    pub on_outage: OnOutage,
    /// Between two exchanges.
    pub sync_interval: Duration,
    /// How long a connection is used before it is replaced by a new one; `None` for as long as it works.
    pub max_lifetime: Option<Duration>,
    /// What our keys begin with.
    pub prefix: String,
}

/// `storage.runtime`.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeStore {
    /// Which store.
    pub kind: RuntimeStoreType,
    /// `Some` exactly for type `redis`, which reads `addr`, `password` and `database` into it.
    pub redis: Option<Redis>,
    /// Address, file or connection string; may carry a password.
    pub addr: Option<Secret>,
    /// Password or token.
    pub password: Option<Secret>,
    /// Key of an HTTP store.
    pub api_key: Option<Secret>,
    /// Database name.
    pub database: Option<String>,
    /// Connections.
    pub pool_size: Option<u64>,
    /// Idle connections kept at least.
    pub min_idle_conns: Option<u64>,
    /// Idle connections kept at most.
    pub max_idle_conns: Option<u64>,
    /// A connection is replaced after this.
    pub conn_max_lifetime: Option<Duration>,
    /// Memory the store may use, in bytes.
    pub max_memory_bytes: Option<u64>,
}

/// One entry of `api_keys`: who may call us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Unique; `client-<n>` (from 1) when the file names none.
    pub id: String,
    /// The bearer key; unique.
    pub key: Secret,
    /// Which providers this client reaches.
    pub allowed: Allowed,
    /// For people.
    pub description: Option<String>,
    /// What this client may use.
    pub limits: ClientLimits,
    /// Of its requests.
    pub urgency: Urgency,
}

/// `api_keys[].limits`; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// The same limits as those of a provider's key.
    pub requests: KeyLimits,
    /// Cost of a day's requests.
    pub spend_per_day: Option<MicroUsd>,
    /// Cost of a month's requests.
    pub spend_per_month: Option<MicroUsd>,
}

/// Providers a client may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// `["*"]`, or nothing said.
    All,
    /// Provider ids; at least one.
    Only(Vec<String>),
}

impl Allowed {
    /// Whether the provider with this id may be used.
    pub fn permits(&self, provider_id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.iter().any(|id| id == provider_id),
        }
    }
}
