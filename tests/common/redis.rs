//! Real Redis servers.

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Gateway, PATIENCE, chat_body, folder};

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A Redis server; killed when dropped.
pub struct Redis {
    pub port: u16,
    child: Child,
    folder: PathBuf,
    arguments: Vec<String>,
}

impl Redis {
    /// One that keeps nothing.
    pub fn start() -> Self {
        let port = free_port();
        Self::with(port, &["--port", &port.to_string(), "--save", "", "--appendonly", "no"])
    }

    /// One with these arguments, which make it listen on `port`. It has a folder of its own.
    pub fn with(port: u16, arguments: &[&str]) -> Self {
        let mut arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        arguments.extend(["--bind".to_owned(), "127.0.0.1".to_owned()]);
        let folder = folder();
        Self { port, child: Self::spawn(port, &folder, &arguments), folder, arguments }
    }

    fn spawn(port: u16, folder: &PathBuf, arguments: &[String]) -> Child {
        let child = Command::new("redis-server")
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server: {error}; run `make test`, which installs it"));
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "redis-server does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        child
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn restart_empty(&mut self) {
        self.child = Self::spawn(self.port, &self.folder, &self.arguments);
    }

    pub fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Calls of the script so far.
    pub fn exchanges(&self) -> u64 {
        let stats = self.cli(&["info", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap_or("0");
        line.split(',').next().unwrap().parse().unwrap()
    }

    /// Waits until what `redis-cli` prints for `arguments` satisfies `wanted`.
    pub fn wait_for(&self, arguments: &[&str], wanted: impl Fn(&str) -> bool) {
        let until = Instant::now() + 3 * PATIENCE;
        loop {
            let said = self.cli(arguments);
            if wanted(&said) {
                return;
            }
            assert!(Instant::now() < until, "redis-cli {arguments:?}: {said}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Sends `count` requests to each in turn; how many passed at each.
pub fn alternate(gateways: &[Gateway], count: usize) -> Vec<usize> {
    let mut passed = vec![0; gateways.len()];
    for _ in 0..count {
        for (gateway, passed) in gateways.iter().zip(&mut passed) {
            let reply = gateway.chat(&chat_body("openai:m"));
            assert!(reply.status == 200 || reply.error_code() == "rate_limit_exceeded", "{reply:?}");
            *passed += usize::from(reply.status == 200);
        }
    }
    passed
}
