//! COO-LLM next to nginx, HAProxy and the floor, measured in one run by the same method.
//!
//! Proxies are pinned to one CPU, the mock provider and the client to another; all of it is on 127.0.0.1 and is
//! stopped at the end. [`rivals`] starts the programs, one file per mode measures, [`table`] prints.

pub(crate) mod driver;
pub(crate) mod host;
mod memory;
mod openloop;
mod plain;
pub(crate) mod process;
pub(crate) mod request;
mod rivals;
pub(crate) mod shards;
mod startup;
mod stream;
pub(crate) mod table;
mod wrk;

use std::{fs, io, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::runner;
use host::Host;
use table::Table;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// CPU per request that is not streamed
    Plain,
    /// CPU per chunk of many concurrent streams
    Stream,
    /// Added latency at a constant rate
    Openloop,
    /// One shard against two
    Shards,
    /// Memory of idle keep-alive connections
    Idle,
    /// Memory over millions of requests
    Soak,
    /// Time until ready
    Startup,
}

impl Mode {
    fn streams(self) -> bool {
        self == Mode::Stream
    }
}

/// A proxy that is running already.
#[derive(Clone, Debug)]
pub struct Running {
    name: String,
    port: u16,
    pid: u32,
}

impl FromStr for Running {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(name, rest)| Some((name, rest.split_once(':')?)));
        let (name, (port, pid)) = parts.ok_or("expected NAME=PORT:PID")?;
        let port = port.parse().map_err(|_| format!("{port} is not a port"))?;
        let pid = pid.parse().map_err(|_| format!("{pid} is not a process id"))?;
        Ok(Self { name: name.into(), port, pid })
    }
}

/// How to compare.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// What to compare
    #[arg(long, value_enum, default_value = "plain")]
    pub mode: Mode,
    /// The gateway's program; repeat it to compare builds [default: coo-llm beside this program]
    #[arg(long = "gateway", value_name = "PATH")]
    pub gateway: Vec<PathBuf>,
    /// Rivals to run, of nginx, haproxy, floor, gateway, and limited: the gateway with every limit set
    #[arg(long, value_delimiter = ',', default_value = "nginx,haproxy,floor,gateway")]
    pub only: Vec<String>,
    /// Which of them the others are compared with (plain)
    #[arg(long, value_name = "RIVAL", default_value = "nginx")]
    pub against: String,
    /// A proxy that is running already and forwards to the upstream of your choice
    #[arg(long = "proxy", value_name = "NAME=PORT:PID")]
    pub proxies: Vec<Running>,
    /// Rounds; figures are medians over them
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Seconds per rival and round
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Keep-alive connections of the client
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// CPUs of the proxies
    #[arg(long, default_value = "0")]
    pub proxy_cpus: String,
    /// CPUs of the mock provider and the client
    #[arg(long, default_value = "1")]
    pub load_cpus: String,
    /// CPUs of the gateway's shards (shards)
    #[arg(long, default_value = "0,1")]
    pub shard_cpus: String,
    /// Concurrent streams (stream)
    #[arg(long, default_value_t = 1000)]
    pub streams: usize,
    /// Chunks of each stream (stream)
    #[arg(long, default_value_t = 200)]
    pub chunks: usize,
    /// Chunks a second of each stream (stream)
    #[arg(long, default_value_t = 20.0)]
    pub chunk_rate: f64,
    /// Requests a second (openloop)
    #[arg(long, default_value_t = 10_000.0)]
    pub rate: f64,
    /// Idle connections (idle)
    #[arg(long, default_value_t = 5000)]
    pub idle: usize,
    /// Requests, in millions (soak)
    #[arg(long, default_value_t = 2.0)]
    pub millions: f64,
    /// Write the figures as JSON to this file
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Print Markdown instead of aligned text
    #[arg(long)]
    pub markdown: bool,
}

impl Settings {
    /// The first gateway program.
    fn gateway(&self) -> io::Result<PathBuf> {
        self.gateways()?.into_iter().next().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The gateway programs to run.
    fn gateways(&self) -> io::Result<Vec<PathBuf>> {
        runner::gateways(&self.gateway, ", or leave it out with --only")
    }
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report<'a> {
    host: &'a Host,
    table: &'a Table,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// A program that cannot be started or does not answer, naming it and showing its output.
pub fn run(settings: &Settings) -> io::Result<()> {
    let _ = coo_shards::listen::raise_nofile();
    let host = Host::look(&[("nginx", "-v"), ("haproxy", "-v"), ("wrk", "-v")]);
    let table = match settings.mode {
        Mode::Plain => plain::run(settings)?,
        Mode::Stream => stream::run(settings)?,
        Mode::Openloop => openloop::run(settings)?,
        Mode::Shards => shards::run(settings)?,
        Mode::Idle => memory::idle(settings)?,
        Mode::Soak => memory::soak(settings)?,
        Mode::Startup => startup::run(settings)?,
    };
    if settings.markdown {
        print!("{}", table.markdown(&host));
    } else {
        print!("{}{}", table.aligned(), host.line());
    }
    if let Some(path) = &settings.json {
        fs::write(path, serde_json::to_vec_pretty(&Report { host: &host, table: &table })?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_proxies_are_named_on_the_command_line() {
        let proxy: Running = "mine=8080:123".parse().unwrap();
        assert_eq!((proxy.name.as_str(), proxy.port, proxy.pid), ("mine", 8080, 123));
        for wrong in ["mine", "mine=8080", "mine=x:1", "mine=1:x"] {
            assert!(wrong.parse::<Running>().is_err(), "{wrong}");
        }
    }
}
