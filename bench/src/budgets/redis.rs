//! A Redis of its own for a run: started, killed, started again, and asked how much it was made to do.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use crate::versus::process::{Process, free_port};

/// Commands that only the measurement sends.
const OURS: [&str; 3] = ["info", "config|resetstat", "command"];

/// Whether there is a Redis to run.
pub(super) fn installed() -> bool {
    ["redis-server", "redis-cli"].iter().all(|name| Command::new(name).arg("--version").output().is_ok())
}

/// A running Redis without persistence, ended when dropped.
#[derive(Debug)]
pub(super) struct Redis {
    process: Option<Process>,
    port: u16,
    dir: PathBuf,
    cpus: String,
    /// Calls by command of the servers killed so far.
    before: BTreeMap<String, u64>,
}

impl Redis {
    /// Starts one on a free port, with its files in `dir`.
    pub(super) fn start(cpus: &str, dir: PathBuf) -> io::Result<Self> {
        let port = free_port()?;
        let mut redis = Self { process: None, port, dir, cpus: cpus.to_owned(), before: BTreeMap::new() };
        redis.launch()?;
        Ok(redis)
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Starts it, empty.
    pub(super) fn launch(&mut self) -> io::Result<()> {
        let port = self.port.to_string();
        let dir = self.dir.display().to_string();
        let args = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            &dir,
            "--daemonize",
            "no",
        ]
        .map(String::from);
        let log = self.dir.join("redis.out");
        let mut process = Process::start(&self.cpus, Path::new("redis-server"), &args, log)?;
        process.wait_for(self.addr()).map_err(|error| io::Error::other(format!("redis: {error}")))?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills it, with all that it held.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.before = self.calls()?;
        if let Some(process) = self.process.take() {
            process.signal("KILL")?;
        }
        Ok(())
    }

    /// Calls by command since the start, over every server that ran, without those of the measurement.
    pub(super) fn calls(&self) -> io::Result<BTreeMap<String, u64>> {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port, "info", "commandstats"]).output()?;
        let mut calls = self.before.clone();
        for (name, count) in commandstats(&String::from_utf8_lossy(&output.stdout)) {
            *calls.entry(name).or_default() += count;
        }
        Ok(calls)
    }
}

/// The lines `cmdstat_NAME:calls=N,…` of `INFO commandstats`.
fn commandstats(text: &str) -> impl Iterator<Item = (String, u64)> {
    text.lines().filter_map(|line| {
        let (name, rest) = line.trim().strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let count = rest.split(',').next()?.parse().ok()?;
        (!OURS.contains(&name)).then(|| (name.to_owned(), count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commandstats_are_read_without_our_own() {
        let text = "# Commandstats\r\ncmdstat_evalsha:calls=12,usec=50,usec_per_call=4.1,rejected_calls=0\r\n\
            cmdstat_info:calls=2,usec=9\r\ncmdstat_client|setname:calls=3,usec=1\r\nx:calls=1\r\n";
        let calls: Vec<_> = commandstats(text).collect();
        assert_eq!(calls, [("evalsha".to_owned(), 12), ("client|setname".to_owned(), 3)]);
    }
}
