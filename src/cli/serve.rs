//! `coo-llm serve`: builds the planes from a configuration and runs them until told to stop.

use std::{
    net::TcpListener,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use coo_shards::{
    cpu,
    executor::{self, Driver},
    http1::{head::HeadLimits, server},
    inbox,
    listen::{self, Spread},
    mesh,
    pool::{self, Origin},
    tls,
};
use rustls::pki_types::ServerName;

use crate::{
    config::{self, Config, ProcessEnv, Scheme, ServiceAccount, snapshot::Snapshot},
    control::{self, Control, Order, Plane, redis_sync},
    gateway::{
        access_log::AccessLog,
        balance,
        budget::{self, Clock, MESH_MESSAGES, Rules},
        shard::{self, Setup},
    },
    journal,
};

/// Messages that may wait for a shard: mostly handed-over connections in a burst of new ones.
const MAILBOX: usize = 4096;

/// Options of `serve`.
#[derive(Args)]
pub struct Options {
    /// The configuration file; without it $CONFIG_PATH, then configs/config.local.yaml, configs/config.yaml,
    /// config.local.yaml and config.yaml.
    #[arg(long, short)]
    pub config: Option<PathBuf>,
    /// The I/O driver; `auto` takes the best the kernel allows.
    #[arg(long, value_enum, default_value_t = DriverChoice::Auto)]
    pub driver: DriverChoice,
}

/// Which I/O driver to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DriverChoice {
    /// io_uring with all flags the kernel takes, else epoll.
    Auto,
    /// epoll, where io_uring must not be used.
    Epoll,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps the gateway from starting, for a person to read.
pub fn run(options: &Options) -> Result<(), String> {
    let path = super::find(options.config.as_ref())?;
    let loaded = config::load_file(&path, &ProcessEnv).map_err(|failed| failed.to_string())?;
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    for notice in &loaded.notices {
        eprintln!("notice: {notice}");
    }
    serve(&loaded.config, options.driver, |addresses| {
        eprintln!("listening on {addresses}");
    })
}

/// Runs the planes of `config`; `ready` hears the addresses once clients can connect.
///
/// # Errors
/// As [`run`].
pub fn serve(config: &Config, driver: DriverChoice, ready: impl FnOnce(&str)) -> Result<(), String> {
    let started = Instant::now();
    let text = |error: std::io::Error| error.to_string();
    let _ = listen::raise_nofile();
    let cpus = cpu::usable().unwrap_or_default();
    let shards = config.server.worker_threads.unwrap_or(cpus.len()).max(1);
    let driver = match driver {
        DriverChoice::Auto => Driver::detect(),
        DriverChoice::Epoll => Driver::Epoll,
    };
    let mut sockets = listeners(config, shards)?;
    let addresses = sockets
        .iter()
        .filter_map(|copies| copies.first()?.local_addr().ok())
        .map(|address| address.to_string())
        .collect::<Vec<_>>()
        .join(", ");

    let snapshot = Arc::new(Snapshot::new(config, shards));
    let origins = origins(config, &snapshot)?;
    let is_secure = |account: &ServiceAccount| account.token_uri.scheme == Scheme::Https;
    let token_tls = if snapshot.providers.iter().filter_map(|up| up.account.as_ref()).any(is_secure) {
        Some(tls::client_config(config.upstream.ca_file.as_deref()).map_err(text)?)
    } else {
        None
    };
    let server_tls = match &config.server.tls {
        Some(files) => Some(tls::server_config(&files.cert_file, &files.key_file).map_err(text)?),
        None => None,
    };
    let log = journal::access_log::start(&config.logging.access).map_err(text)?;
    let spread = Spread::new(shards);
    let (orders, order_queue) = control::queue();
    let mut outboxes = Vec::with_capacity(shards);
    let mut inboxes = Vec::with_capacity(shards);
    for _ in 0..shards {
        let (outbox, inbox) = inbox::inbox(MAILBOX).map_err(text)?;
        outboxes.push(outbox);
        inboxes.push(inbox);
    }
    let clock = Clock::start();
    let redis = config.storage.runtime.redis.clone().filter(|_| !snapshot.budgets.limits.is_empty());
    let mut mesh = mesh::mesh(shards + usize::from(redis.is_some()), MESH_MESSAGES).map_err(text)?;
    let sync = redis.as_ref().and_then(|settings| {
        let port = mesh.pop()?;
        let (settings, snapshot) = (settings.clone(), Arc::clone(&snapshot));
        Some(redis_sync::Setup { settings, snapshot, port, clock })
    });
    // A shard gets a CPU of its own where there are enough; oversubscribed shards are left to the scheduler.
    let pinned = shards <= cpus.len();
    let mut threads = Vec::with_capacity(shards);
    for (index, (inbox, port)) in inboxes.into_iter().zip(mesh).enumerate() {
        let orders = orders.clone();
        let setup = Setup {
            index,
            snapshot: Arc::clone(&snapshot),
            listeners: sockets.iter_mut().filter_map(Vec::pop).collect(),
            spread: spread.clone(),
            inbox,
            shards: outboxes.clone(),
            tls: server_tls.clone(),
            origins: origins.clone(),
            limits: server_limits(config),
            max_body_bytes: config.server.limits.max_body_bytes,
            pool: pool_limits(config, shards),
            timeouts: config.upstream.timeouts,
            max_connections: config.server.max_connections,
            max_in_flight: config.server.max_concurrent_requests.div_ceil(shards),
            metrics_path: if config.logging.prometheus.enabled {
                config.logging.prometheus.endpoint.clone()
            } else {
                String::new()
            },
            log: AccessLog::new(log.as_ref().map(journal::access_log::Writer::target)),
            ask_metrics: Box::new(move |shard, ticket| {
                orders.try_send(Order::Metrics(shard, ticket)).is_ok()
            }),
            drain: config.server.timeouts.drain,
            balance: balance::Rules::new(&config.policy, &config.key_rotation),
            budget: budget::Setup {
                limits: Arc::clone(&snapshot.budgets.limits),
                keys: snapshot.providers.iter().map(|upstream| upstream.keys.len()).collect(),
                clock,
                port,
                rules: Rules {
                    wait: config.policy.budget_wait,
                    queue: config.policy.budget_queue,
                    tokens: config.policy.token_reserve,
                },
                shared: redis.as_ref().map(|redis| redis.sync_interval),
            },
        };
        let cpu = if pinned { cpus.get(index).copied() } else { None };
        threads.push(executor::spawn(index, cpu, driver, false, move || shard::run(setup)).map_err(text)?);
    }
    eprintln!(
        "coo-llm {}: {shards} shard{} on {driver}, {} providers, {} clients, started in {:.1} ms",
        env!("CARGO_PKG_VERSION"),
        if shards == 1 { "" } else { "s" },
        snapshot.providers.len(),
        snapshot.clients.len(),
        started.elapsed().as_secs_f64() * 1e3
    );
    let control = Control::new().map_err(text)?;
    ready(&addresses);
    let log_queue = log.as_ref().map(|log| log.queue());
    let plane = Plane { snapshot, shards: outboxes, spread, tls: token_tls, log: log_queue };
    control.run(plane, order_queue, sync).map_err(text)?;

    let mut failed = None;
    for thread in threads {
        match thread.join() {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error)) | Err(error)) => failed = Some(error.to_string()),
            Err(_) => failed = Some("a shard ended by a panic".to_owned()),
        }
    }
    if let Some(log) = log {
        log.finish();
    }
    failed.map_or(Ok(()), Err)
}

/// For each address one socket per shard; those passed by systemd where there are any.
fn listeners(config: &Config, shards: usize) -> Result<Vec<Vec<TcpListener>>, String> {
    let passed = listen::passed_by_systemd(shards).map_err(|error| error.to_string())?;
    if !passed.is_empty() {
        return Ok(passed);
    }
    config
        .server
        .listen
        .iter()
        .map(|&address| {
            listen::bind(address, shards).or_else(|error| {
                // "Every address" on a host without IPv6 is every IPv4 address.
                let v4 = std::net::SocketAddr::from(([0, 0, 0, 0], address.port()));
                if address.is_ipv6() && address.ip().is_unspecified() {
                    listen::bind(v4, shards).map_err(|_| error.to_string())
                } else {
                    Err(error.to_string())
                }
            })
        })
        .collect()
}

fn origins(config: &Config, snapshot: &Snapshot) -> Result<Vec<Origin>, String> {
    let mut client_tls = None;
    snapshot
        .origins()
        .map(|origin| {
            let (upstream, url) = (origin.upstream, origin.url);
            let tls = if origin.is_tls() {
                if client_tls.is_none() {
                    let loaded = tls::client_config(config.upstream.ca_file.as_deref());
                    client_tls = Some(loaded.map_err(|error| error.to_string())?);
                }
                let name = ServerName::try_from(url.host.clone())
                    .map_err(|_| format!("provider {}: '{}' is not a host name", upstream.id, url.host))?;
                client_tls.clone().zip(Some(name))
            } else {
                None
            };
            // Names are resolved by the control plane; an address needs no resolving.
            let mut addresses = origin.addresses.to_vec();
            if addresses.is_empty() {
                addresses.extend(url.host.parse().ok().map(|ip| std::net::SocketAddr::new(ip, url.port)));
            }
            Ok(Origin { tls, addresses })
        })
        .collect()
}

fn server_limits(config: &Config) -> server::Limits {
    let (limits, timeouts) = (&config.server.limits, &config.server.timeouts);
    server::Limits {
        head: HeadLimits { bytes: limits.max_header_bytes, headers: limits.max_headers },
        head_timeout: timeouts.head,
        body_timeout: timeouts.body,
        idle_timeout: timeouts.idle,
        write_timeout: timeouts.write,
    }
}

fn pool_limits(config: &Config, shards: usize) -> pool::Limits {
    let pool = &config.upstream.pool;
    pool::Limits {
        max_connections: pool.max_per_host.div_ceil(shards),
        max_idle: if pool.keep_alive {
            pool.max_idle_per_host.min(pool.max_idle).div_ceil(shards)
        } else {
            0
        },
        idle_timeout: pool.idle_timeout,
        connect_timeout: config.upstream.timeouts.connect.max(Duration::from_millis(1)),
    }
}
