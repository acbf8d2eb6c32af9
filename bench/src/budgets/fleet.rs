//! The processes of a run: the provider that records, the instances under judgement, their Redis.

use std::{
    fmt::Write as _,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use super::{
    redis::Redis,
    scenario::{Scenario, WINDOW},
};
use crate::{
    judge::Measure,
    rival,
    simulate::{self, KeyLimits, RecordSettings, Simulator, Tokens},
    versus::process::{Process, TempDir, allowed_cpus, free_port},
};

/// The key that clients send.
pub(super) const CLIENT_KEY: &str = "sk-client-0123456789";
/// Lengths of the provider's answers: less than the requests' `max_tokens`, so that a worst case is not the case.
const ANSWER_TOKENS: Tokens = Tokens { min: 10, max: 100 };
/// Requests that the provider keeps a record of; a run that sends more is reported as not judged.
const RECORDS: usize = 4_000_000;

/// What is judged.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    /// The gateway, by its program.
    Gateway(PathBuf),
    /// A limiter of another kind.
    Rival(rival::Kind),
    /// The provider itself, which counts exactly: what is best possible, and the judge's own check.
    Provider,
}

impl Subject {
    /// Its name in tables.
    pub(super) fn name(&self) -> String {
        match self {
            Subject::Gateway(program) => {
                program.file_name().unwrap_or_default().to_string_lossy().into_owned()
            }
            Subject::Rival(kind) => kind.name().into(),
            Subject::Provider => "provider".into(),
        }
    }

    /// Whether it needs a Redis there.
    pub(super) fn uses_redis(&self, scenario: &Scenario) -> bool {
        match self {
            Subject::Gateway(_) => scenario.instances > 1,
            Subject::Rival(kind) => kind.uses_redis(),
            Subject::Provider => false,
        }
    }

    /// Why it cannot be held to a scenario.
    pub(super) fn cannot(&self, scenario: &Scenario) -> Option<&'static str> {
        match self {
            Subject::Provider if scenario.fault.is_some() => Some("there is no gateway that could fail"),
            Subject::Rival(_) if scenario.measure == Measure::Tokens => Some("it counts requests only"),
            Subject::Rival(kind) if !kind.uses_redis() && scenario.name == "redis-killed" => {
                Some("it uses no Redis")
            }
            _ => None,
        }
    }
}

/// The name of the provider whose limit is `limit`, and the first part of its models' names.
pub(super) fn provider(limit: u64) -> String {
    format!("r{limit}")
}

/// The key of that provider.
pub(super) fn provider_key(limit: u64) -> String {
    format!("sk-r{limit}")
}

/// An instance under judgement.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) port: u16,
    /// `None` where it is the provider itself, or was killed.
    pub(super) process: Option<Process>,
}

/// Everything a run starts, ended when dropped.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) simulator: Simulator,
    pub(super) redis: Option<Redis>,
    pub(super) instances: Vec<Instance>,
    // After the processes, which have files in it.
    dir: TempDir,
}

impl Fleet {
    /// Starts what `scenario` needs around `subject`.
    pub(super) fn start(scenario: &Scenario, subject: &Subject) -> io::Result<Self> {
        let cpus = allowed_cpus();
        let dir = TempDir::new()?;
        let simulator = simulate::start(simulate::Settings {
            record: RecordSettings { requests: RECORDS, raw: 0 },
            answer_tokens: ANSWER_TOKENS,
            keys: if matches!(subject, Subject::Provider) { enforced(scenario) } else { Vec::new() },
            window: WINDOW,
            ..simulate::Settings::default()
        })?;
        let redis = subject.uses_redis(scenario).then(|| Redis::start(&cpus, dir.path(""))).transpose()?;
        let mut fleet = Self { simulator, redis, instances: Vec::new(), dir };
        for n in 0..scenario.instances {
            let instance = fleet.instance(n, scenario, subject, &cpus)?;
            fleet.instances.push(instance);
        }
        Ok(fleet)
    }

    fn instance(&self, n: usize, scenario: &Scenario, subject: &Subject, cpus: &str) -> io::Result<Instance> {
        let (program, args, port) = match subject {
            Subject::Provider => return Ok(Instance { port: self.simulator.addr().port(), process: None }),
            Subject::Gateway(program) => {
                let port = free_port()?;
                let config = self.dir.write(&format!("gateway-{n}.yaml"), &self.config(scenario, port))?;
                let args = vec!["serve".into(), "--config".into(), config.display().to_string()];
                (program.clone(), args, port)
            }
            Subject::Rival(kind) => {
                let port = free_port()?;
                let args = kind.args(&rival::Instance {
                    port,
                    upstream: self.simulator.addr(),
                    redis: self.redis.as_ref().map(Redis::addr),
                    instances: scenario.instances,
                    limits: scenario.limits.iter().map(|&limit| (provider(limit), limit)).collect(),
                });
                (std::env::current_exe()?, args, port)
            }
        };
        let mut process = Process::start(cpus, &program, &args, self.dir.path(&format!("instance-{n}.out")))?;
        process
            .wait_for(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .map_err(|error| io::Error::other(format!("instance {n}: {error}")))?;
        Ok(Instance { port, process: Some(process) })
    }

    /// The gateway's configuration: one provider, with one key, for each limit.
    fn config(&self, scenario: &Scenario, port: u16) -> String {
        let mut config = format!(
            "version: \"1.0\"\nserver: {{listen: \"127.0.0.1:{port}\", worker_threads: {}}}\n\
             logging: {{access: {{enabled: false}}}}\n",
            scenario.shards
        );
        if let Some(redis) = &self.redis {
            let _ = writeln!(config, "storage: {{runtime: {{type: redis, addr: \"{}\"}}}}", redis.addr());
        }
        if scenario.measure == Measure::Tokens {
            config.push_str("policy: {token_reserve: worst_case}\n");
        }
        config.push_str("llm_providers:\n");
        let name = match scenario.measure {
            Measure::Requests => "req_per_min",
            Measure::Tokens => "tokens_per_min",
        };
        for &limit in &scenario.limits {
            let (id, key, url) = (provider(limit), provider_key(limit), self.simulator.base_url());
            let _ = writeln!(
                config,
                "  - {{id: {id}, type: custom, api_keys: [{key}], base_url: \"{url}\", limits: {{{name}: {limit}}}}}"
            );
        }
        let _ =
            writeln!(config, "api_keys:\n  - {{id: client, key: {CLIENT_KEY}, allowed_providers: [\"*\"]}}");
        config
    }
}

/// The limits for the provider to enforce.
fn enforced(scenario: &Scenario) -> Vec<KeyLimits> {
    let of = |&limit: &u64| {
        let (requests, tokens) = match scenario.measure {
            Measure::Requests => (Some(limit), None),
            Measure::Tokens => (None, Some(limit)),
        };
        KeyLimits { key: provider_key(limit), req_per_min: requests, tokens_per_min: tokens }
    };
    scenario.limits.iter().map(of).collect()
}
