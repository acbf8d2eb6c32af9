//! The programs compared, each configured to do the same: replace the client's key and forward to one upstream
//! over kept-alive connections.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use super::{
    Settings,
    process::{Process, TempDir, Usage, free_port},
    request,
};

/// The answer of the mock provider: a short completion, 468 bytes.
const ANSWER: &str = r#"{"id":"chatcmpl-123456789012345678901234567","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Hello! I am a mock provider and this is the answer to your question, with enough text to look like a short but real completion from a chat model."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":21,"completion_tokens":32,"total_tokens":53},"system_fingerprint":"fp_mock"}"#;

/// One program under measurement.
#[derive(Debug)]
pub(super) struct Rival {
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) usage: Usage,
    /// `None` for one that was running before.
    process: Option<Process>,
}

/// What the proxies forward to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upstream {
    /// The mock provider: nginx with a fixed answer, started here.
    Mock,
    /// The provider simulator, streaming, started here.
    Streams,
}

/// Everything that a comparison runs, stopped when dropped.
#[derive(Debug)]
pub(super) struct Fleet {
    /// Rivals in the order of measurement; the first is the upstream itself, `direct`.
    pub(super) rivals: Vec<Rival>,
    /// The script that makes wrk send chat completions.
    pub(super) script: PathBuf,
    // After the processes, which have files in it.
    dir: TempDir,
}

impl Fleet {
    /// Starts the upstream and the rivals that `settings` select.
    pub(super) fn start(settings: &Settings, upstream: Upstream) -> io::Result<Self> {
        let dir = TempDir::new()?;
        let script = dir.write("post.lua", &request::wrk_script())?;
        let mut fleet = Self { rivals: Vec::new(), script, dir };
        let direct = fleet.upstream(settings, upstream)?;
        let port = direct.port;
        fleet.rivals.push(direct);
        for name in &settings.only {
            match name.as_str() {
                "direct" => {}
                "nginx" => fleet.nginx(settings, "nginx", &settings.proxy_cpus, 1, port)?,
                "haproxy" => fleet.haproxy(settings, port)?,
                "floor" => fleet.floor(settings, port)?,
                "gateway" => {
                    for (n, program) in settings.gateways()?.iter().enumerate() {
                        let name = if n == 0 { "gateway".into() } else { format!("gateway-{}", n + 1) };
                        fleet.gateway(&name, program, &settings.proxy_cpus, 1, port)?;
                    }
                }
                "limited" => fleet.gateway("limited", &settings.gateway()?, &settings.proxy_cpus, 1, port)?,
                other => return Err(io::Error::other(format!("no rival is named {other}"))),
            }
        }
        for other in &settings.proxies {
            let (name, port, pid) = (other.name.clone(), other.port, other.pid);
            fleet.rivals.push(Rival { name, port, usage: Usage { pid }, process: None });
        }
        Ok(fleet)
    }

    /// Only the upstream; proxies are added by the caller.
    pub(super) fn upstream_only(settings: &Settings) -> io::Result<Self> {
        let none = Settings { only: Vec::new(), proxies: Vec::new(), ..settings.clone() };
        Self::start(&none, Upstream::Mock)
    }

    /// The upstream's port.
    pub(super) fn upstream_port(&self) -> u16 {
        self.rivals.first().map_or(0, |direct| direct.port)
    }

    fn upstream(&mut self, settings: &Settings, upstream: Upstream) -> io::Result<Rival> {
        let port = free_port()?;
        let (cpus, config) = (&settings.load_cpus, self.nginx_config("mock", 1));
        match upstream {
            Upstream::Mock => {
                let server = format!("location / {{ return 200 '{ANSWER}'; }}");
                let path = self.dir.write("mock.conf", &config(port, "", &server))?;
                let args = ["-c".to_owned(), path.display().to_string()];
                self.spawn("direct", port, cpus, Path::new("nginx"), &args)
            }
            Upstream::Streams => {
                let args = request::simulator_args(settings, port);
                self.spawn("direct", port, cpus, &std::env::current_exe()?, &args)
            }
        }
    }

    /// Starts nginx with so many workers on `cpus`.
    pub(super) fn nginx(
        &mut self,
        settings: &Settings,
        name: &str,
        cpus: &str,
        workers: usize,
        upstream: u16,
    ) -> io::Result<()> {
        let port = free_port()?;
        let group = format!(
            "upstream u {{ server 127.0.0.1:{upstream}; keepalive 4096; keepalive_requests 100000000; }}"
        );
        let server = "location / { proxy_pass http://u; proxy_http_version 1.1; proxy_buffering BUFFERING;
            proxy_set_header Connection \"\"; proxy_set_header Authorization \"Bearer sk-upstream\"; }";
        let buffering = if settings.mode.streams() { "off" } else { "on" };
        let server = server.replace("BUFFERING", buffering);
        let file = name.replace(' ', "-");
        let config = self.nginx_config(&file, workers)(port, &group, &server);
        let path = self.dir.write(&format!("{file}.conf"), &config)?;
        let args = ["-c".to_owned(), path.display().to_string()];
        let rival = self.spawn(name, port, cpus, Path::new("nginx"), &args)?;
        self.rivals.push(rival);
        Ok(())
    }

    /// An nginx configuration for a server that listens on a port. One worker is the process itself; of several,
    /// each has a listening socket of its own, as shards have.
    fn nginx_config(&self, name: &str, workers: usize) -> impl Fn(u16, &str, &str) -> String + use<> {
        let (pid, log) = (self.dir.path(&format!("{name}.pid")), self.dir.path(&format!("{name}.err")));
        let temp = self.dir.path(&format!("{name}.tmp"));
        let (master, reuse) = if workers > 1 { ("on", " reuseport") } else { ("off", "") };
        move |port, group, server| {
            format!(
                "worker_processes {workers}; daemon off; master_process {master};
                events {{ worker_connections 16384; }} pid {pid}; error_log {log};
                http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
                  default_type application/json; {group}
                  client_body_temp_path {temp}; proxy_temp_path {temp}; fastcgi_temp_path {temp};
                  uwsgi_temp_path {temp}; scgi_temp_path {temp};
                  server {{ listen 127.0.0.1:{port} backlog=4096{reuse}; {server} }} }}\n",
                pid = pid.display(),
                log = log.display(),
                temp = temp.display(),
            )
        }
    }

    fn haproxy(&mut self, settings: &Settings, upstream: u16) -> io::Result<()> {
        let port = free_port()?;
        // Without it HAProxy holds the pieces of a stream back to fill packets.
        let no_delay = if settings.mode.streams() { "  option http-no-delay\n" } else { "" };
        let config = format!(
            "global\n  nbthread 1\n  maxconn 8192\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n  http-reuse always\n{no_delay}\
             frontend f\n  bind 127.0.0.1:{port} backlog 4096\n  default_backend b\n\
             backend b\n  http-request set-header Authorization \"Bearer sk-upstream\"\n  server s 127.0.0.1:{upstream}\n"
        );
        let path = self.dir.write("haproxy.cfg", &config)?;
        let args = ["-f".to_owned(), path.display().to_string(), "-db".into()];
        let rival = self.spawn("haproxy", port, &settings.proxy_cpus, Path::new("haproxy"), &args)?;
        self.rivals.push(rival);
        Ok(())
    }

    fn floor(&mut self, settings: &Settings, upstream: u16) -> io::Result<()> {
        let port = free_port()?;
        let args = [
            "floor".to_owned(),
            format!("--listen=127.0.0.1:{port}"),
            format!("--upstream=127.0.0.1:{upstream}"),
        ];
        let rival = self.spawn("floor", port, &settings.proxy_cpus, &std::env::current_exe()?, &args)?;
        self.rivals.push(rival);
        Ok(())
    }

    /// Starts the gateway with `shards` shards on `cpus` and waits until it is ready.
    pub(super) fn gateway(
        &mut self,
        name: &str,
        program: &Path,
        cpus: &str,
        shards: usize,
        upstream: u16,
    ) -> io::Result<()> {
        let (port, args) = self.gateway_args(name, shards, upstream)?;
        let rival = self.spawn(name, port, cpus, program, &args)?;
        self.rivals.push(rival);
        Ok(())
    }

    /// Writes a gateway's configuration; the port it will listen on, and its arguments.
    pub(super) fn gateway_args(
        &self,
        name: &str,
        shards: usize,
        upstream: u16,
    ) -> io::Result<(u16, [String; 3])> {
        let port = free_port()?;
        let log = self.dir.path(&format!("{name}.access.log"));
        // Every limit there is, on the key and on the client, none of which is reached.
        let most = "req_per_min: 1000000000, tokens_per_min: 1000000000000, session_limit: 1000000000000, \
                    max_concurrent: 100000";
        let (of_key, of_client) = if name == "limited" {
            (
                format!(", limits: {{{most}}}"),
                format!(", limits: {{{most}, spend_per_day: 100000000, spend_per_month: 1000000000}}"),
            )
        } else {
            (String::new(), String::new())
        };
        let config = format!(
            "version: \"1.0\"
server: {{listen: \"127.0.0.1:{port}\", worker_threads: {shards}}}
logging: {{access: {{enabled: true, path: \"{log}\"}}}}
llm_providers:
  - {{id: openai, name: openai, type: openai, api_keys: [sk-upstream], base_url: \"http://127.0.0.1:{upstream}/v1\", pricing: {{input_token_cost: 0.15, output_token_cost: 0.60}}{of_key}}}
api_keys:
  - {{id: client, key: {key}, allowed_providers: [\"*\"]{of_client}}}
",
            log = log.display(),
            key = request::KEY,
        );
        let path = self.dir.write(&format!("{name}.yaml"), &config)?;
        Ok((port, ["serve".into(), "--config".into(), path.display().to_string()]))
    }

    /// Starts `program` and waits until it accepts on `port`.
    fn spawn(&self, name: &str, port: u16, cpus: &str, program: &Path, args: &[String]) -> io::Result<Rival> {
        let process = self.start_process(name, port, cpus, program, args)?;
        Ok(Rival { name: name.into(), port, usage: process.usage(), process: Some(process) })
    }

    fn start_process(
        &self,
        name: &str,
        port: u16,
        cpus: &str,
        program: &Path,
        args: &[String],
    ) -> io::Result<Process> {
        let mut process = self.launch(name, cpus, program, args)?;
        process
            .wait_for(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        Ok(process)
    }

    /// Starts `program` without waiting for it.
    pub(super) fn launch(
        &self,
        name: &str,
        cpus: &str,
        program: &Path,
        args: &[String],
    ) -> io::Result<Process> {
        Process::start(cpus, program, args, self.dir.path(&format!("{name}.out")))
            .map_err(|error| io::Error::other(format!("cannot start {name}: {error}")))
    }
}

impl Rival {
    /// Sends one chat completion; an error that shows the program's output where it is not answered with 200.
    pub(super) fn check(&self) -> io::Result<()> {
        let answered = request::chat(self.port);
        if matches!(answered, Ok(200)) {
            return Ok(());
        }
        let what = match answered {
            Ok(status) => format!("answers {status}"),
            Err(error) => format!("does not answer: {error}"),
        };
        let error =
            self.process.as_ref().map_or_else(|| io::Error::other(what.clone()), |p| p.failure(&what));
        Err(io::Error::other(format!("{}: {error}", self.name)))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_mock_answers_json_that_its_configuration_can_quote() {
        assert!(serde_json::from_str::<serde_json::Value>(super::ANSWER).is_ok());
        assert!(super::ANSWER.len() == 468 && !super::ANSWER.contains(['\'', '$', '\\']));
    }
}
