//! The processes of a run: a simulator for each provider, and the gateway in front of them.

use std::{
    fmt::Write as _,
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use super::{
    scenario::{ANSWER_TOKENS, AT_FAULT, HEALTH, LATENCY, Scenario, TOKENS_PER_S, Trouble},
    sight::Arrival,
};
use crate::{
    simulate::Record,
    versus::{
        process::{Process, TempDir, Usage, allowed_cpus, free_port},
        request,
    },
};

/// The keys that clients send: of the one that all load comes from, and of a second one.
pub(super) const CLIENT_KEYS: [&str; 2] = ["sk-client-0123456789", "sk-other-0123456789"];
/// The model that clients ask for: an alias of all providers' models.
pub(super) const ALIAS: &str = "fast";
/// Shards of the gateway: more than one, so that what one of them finds out must reach the others.
const SHARDS: usize = 2;
/// Requests that each provider keeps a record of: more than any run sends.
const RECORDS: usize = 1_000_000;
/// How long the gateway is to wait for one answer before it asks somewhere else: far longer than any of these
/// providers takes while it is well.
const ATTEMPT: &str = "1s";
/// How long it is to wait before that: well below what may be added to the latency.
const INTERVAL: &str = "10ms";
/// Connections that wait at an address that may become a black hole: few, so that they are soon all there are.
const BACKLOG: usize = 64;
/// A connection to this machine that is not made by then is not going to be.
const DROPPED: Duration = Duration::from_millis(100);
const NAMES: [&str; 3] = ["one", "two", "three"];

/// The key numbered `key` of the provider numbered `provider`.
pub(super) fn provider_key(provider: usize, key: usize) -> String {
    let letter = ["a", "b", "c"].get(key).unwrap_or(&"z");
    format!("sk-{}-{letter}", name(provider))
}

fn name(provider: usize) -> &'static str {
    NAMES.get(provider).unwrap_or(&"more")
}

/// A provider, or one of its addresses.
#[derive(Debug)]
struct Provider {
    number: usize,
    /// Which of its addresses.
    nth: usize,
    may_vanish: bool,
    port: u16,
    capacity: Option<usize>,
    /// `None` while it is dead.
    process: Option<Process>,
    /// What it had on record when it was killed.
    before: Vec<Record>,
    /// What waits to be accepted, so that nothing else can.
    waiting: Vec<TcpStream>,
}

impl Provider {
    /// Starts its process and waits until it can be asked.
    fn launch(&mut self, dir: &TempDir) -> io::Result<()> {
        let mut args = vec![
            "simulate".to_owned(),
            format!("--listen={}", self.addr()),
            format!("--latency={LATENCY}"),
            format!("--answer-tokens={ANSWER_TOKENS}"),
            format!("--tokens-per-s={TOKENS_PER_S}"),
            format!("--record={RECORDS}"),
        ];
        args.extend(self.capacity.map(|seats| format!("--capacity={seats}")));
        args.extend(self.may_vanish.then(|| format!("--backlog={BACKLOG}")));
        let log = dir.path(&format!("{}-{}.out", name(self.number), self.nth));
        let mut process = Process::start(&allowed_cpus(), &std::env::current_exe()?, &args, log)?;
        let ready = process.wait_for(self.addr());
        ready.map_err(|error| io::Error::other(format!("provider {}: {error}", name(self.number))))?;
        self.process = Some(process);
        Ok(())
    }

    fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    fn order(&self, body: &str) -> io::Result<()> {
        match request::post(self.port, "/__sim/set", body)? {
            (200, _) => Ok(()),
            (status, answer) => {
                let answer = String::from_utf8_lossy(&answer).into_owned();
                Err(io::Error::other(format!("the simulator answers {body} with {status} {answer}")))
            }
        }
    }

    /// What it has on record since it was started.
    fn record(&self) -> io::Result<Vec<Record>> {
        let (_, body) = request::get(self.port, "/__sim/record?format=ndjson")?;
        let lines = body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
    }

    fn kill(&mut self) -> io::Result<()> {
        self.before = self.record()?;
        self.process.take().map_or(Ok(()), |process| process.signal("KILL"))
    }

    /// Stops its process, and fills the queue of connections that wait for it, so that the kernel drops all others.
    fn vanish(&mut self) -> io::Result<()> {
        self.signal("STOP")?;
        while let Ok(one) = TcpStream::connect_timeout(&self.addr(), DROPPED) {
            self.waiting.push(one);
            if self.waiting.len() > 2 * BACKLOG {
                return Err(io::Error::other("a stopped process takes connections without end"));
            }
        }
        Ok(())
    }

    fn appear(&mut self) -> io::Result<()> {
        self.waiting.clear();
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> io::Result<()> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(name))
    }
}

/// Everything a run starts, ended when dropped.
#[derive(Debug)]
pub(super) struct Fleet {
    providers: Vec<Provider>,
    gateway: Process,
    /// Where the gateway listens.
    pub(super) addr: SocketAddr,
    // After the processes, which have files in it.
    dir: TempDir,
}

impl Fleet {
    /// Starts the providers of `scenario` and the gateway `program`.
    pub(super) fn start(scenario: &Scenario, program: &Path) -> io::Result<Self> {
        let dir = TempDir::new()?;
        let mut providers = Vec::new();
        for number in 0..scenario.providers {
            let may_vanish = scenario.trouble == Trouble::BlackHoles && number == AT_FAULT;
            for nth in 0..if number == AT_FAULT { scenario.addresses } else { 1 } {
                let (port, capacity) = (free_port()?, scenario.capacity);
                let (before, waiting) = (Vec::new(), Vec::new());
                let mut provider =
                    Provider { number, nth, may_vanish, port, capacity, process: None, before, waiting };
                provider.launch(&dir)?;
                providers.push(provider);
            }
        }
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let of = |number| providers.iter().filter(move |one| one.number == number).map(|one| one.port);
        let ports: Vec<Vec<u16>> = (0..scenario.providers).map(|number| of(number).collect()).collect();
        let file = dir.write("gateway.yaml", &config(scenario, addr, &ports))?;
        let args = ["serve".to_owned(), "--config".into(), file.display().to_string()];
        let mut gateway = Process::start(&allowed_cpus(), program, &args, dir.path("gateway.out"))?;
        gateway.wait_for(addr).map_err(|error| io::Error::other(format!("gateway: {error}")))?;
        Ok(Self { providers, gateway, addr, dir })
    }

    /// Makes `trouble`.
    pub(super) fn begin(&mut self, trouble: Trouble) -> io::Result<()> {
        if trouble == Trouble::BlackHoles {
            return self.black_holes().try_for_each(Provider::vanish);
        }
        let faulty = |provider: &&mut Provider| provider.number == AT_FAULT;
        match (trouble, self.providers.iter_mut().find(faulty)) {
            (Trouble::Stalls, Some(provider)) => provider.signal("STOP"),
            (Trouble::Dies, Some(provider)) => provider.kill(),
            _ => self.order(trouble, true),
        }
    }

    /// Ends it.
    pub(super) fn mend(&mut self, trouble: Trouble) -> io::Result<()> {
        if trouble == Trouble::BlackHoles {
            return self.black_holes().try_for_each(Provider::appear);
        }
        let faulty = |provider: &&mut Provider| provider.number == AT_FAULT;
        match (trouble, self.providers.iter_mut().find(faulty)) {
            (Trouble::Stalls, Some(provider)) => provider.signal("CONT"),
            (Trouble::Dies, Some(provider)) => provider.launch(&self.dir),
            _ => self.order(trouble, false),
        }
    }

    /// Every other address of the provider at fault.
    fn black_holes(&mut self) -> impl Iterator<Item = &mut Provider> {
        self.providers.iter_mut().filter(|one| one.may_vanish && one.nth % 2 == 1)
    }

    fn order(&self, trouble: Trouble, begin: bool) -> io::Result<()> {
        // With one provider, it is one of its keys that is at fault.
        let alone = self.providers.len() == 1;
        let Some((on, off)) = trouble.orders(&provider_key(0, AT_FAULT)) else { return Ok(()) };
        let concerns = |one: &&Provider| alone || trouble == Trouble::Outage || one.number == AT_FAULT;
        self.providers.iter().filter(concerns).try_for_each(|one| one.order(if begin { &on } else { &off }))
    }

    /// What the providers saw, and whether they have all of it on record.
    pub(super) fn arrivals(&self) -> io::Result<(Vec<Arrival>, bool)> {
        let (mut arrivals, mut whole) = (Vec::new(), true);
        for provider in &self.providers {
            let (_, stats) = request::get(provider.port, "/__sim/stats")?;
            let stats: serde_json::Value = serde_json::from_slice(&stats)?;
            let record = provider.record()?;
            whole &= stats.get("requests").and_then(serde_json::Value::as_u64) <= Some(record.len() as u64);
            // Checks of the gateway's own are no requests.
            let asked = |one: &&Record| one.endpoint.ends_with("/completions");
            let all = provider.before.iter().chain(&record).filter(asked);
            arrivals.extend(all.map(|one| Arrival {
                at_s: one.unix_s,
                provider: provider.number,
                key: one.key.clone(),
            }));
        }
        Ok((arrivals, whole))
    }

    /// What the gateway uses.
    pub(super) fn usage(&self) -> Usage {
        self.gateway.usage()
    }

    /// An error where the gateway has ended.
    pub(super) fn still_runs(&mut self) -> io::Result<()> {
        self.gateway.still_runs().map_err(|error| io::Error::other(format!("gateway: {error}")))
    }
}

/// The gateway's configuration, with providers that listen on `ports`, each on one or on several.
fn config(scenario: &Scenario, addr: SocketAddr, ports: &[Vec<u16>]) -> String {
    let choice = match scenario.trouble {
        Trouble::KeySlow => "strategy: performance_optimized",
        _ => "algorithm: round_robin",
    };
    // What cannot be served soon is to be refused at once: few may wait for their turn.
    let wait = if matches!(scenario.trouble, Trouble::Overload { .. }) { ", budget_queue: 3" } else { "" };
    let seconds = HEALTH.as_secs();
    let mut config = format!(
        "version: \"1.0\"\nserver: {{listen: \"{addr}\", worker_threads: {SHARDS}}}\n\
         logging: {{access: {{enabled: false}}}}\n\
         policy: {{{choice}, retry: {{max_attempts: 3, timeout: {ATTEMPT}, interval: {INTERVAL}}}, \
         fallback: {{enabled: true, max_providers: 2}}, health_check_interval: {seconds}s, \
         latency_threshold_ms: 1000{wait}}}\n\
         load_balancer: {{key_rotation: {{strategy: smart, cooldown_period: {seconds}s, \
         max_keys_per_provider: 10}}}}\nllm_providers:\n"
    );
    for (provider, ports) in ports.iter().enumerate() {
        let port = ports.first().copied().unwrap_or_default();
        let addresses: Vec<_> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let addresses = match addresses.as_slice() {
            [_] => String::new(),
            several => format!(", addresses: [{}]", several.join(", ")),
        };
        let keys: Vec<_> = (0..scenario.keys).map(|key| provider_key(provider, key)).collect();
        let limits =
            scenario.told().map_or_else(String::new, |most| format!(", limits: {{max_concurrent: {most}}}"));
        let _ = writeln!(
            config,
            "  - {{id: {}, type: custom, api_keys: [{}], base_url: \"http://127.0.0.1:{port}/v1\"{addresses}{limits}}}",
            name(provider),
            keys.join(", ")
        );
    }
    config.push_str("api_keys:\n");
    for (client, key) in CLIENT_KEYS.iter().enumerate() {
        let _ = writeln!(config, "  - {{id: client-{client}, key: {key}, allowed_providers: [\"*\"]}}");
    }
    let targets: Vec<_> = (0..ports.len()).map(|one| format!("\"{}:gpt-4o-mini\"", name(one))).collect();
    let targets = match targets.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let _ = writeln!(config, "model_aliases: {{{ALIAS}: {targets}}}");
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::scenario;

    #[test]
    fn the_alias_stands_for_all_providers_and_limits_are_told_where_they_should_be() {
        let of = |name: &str, ports: &[u16]| {
            let scenario = scenario::all().into_iter().find(|one| one.name == name).unwrap();
            let ports: Vec<_> = ports.iter().map(|&port| vec![port]).collect();
            config(&scenario, SocketAddr::from(([127, 0, 0, 1], 9)), &ports)
        };
        let three = of("one-of-three-fails", &[1, 2, 3]);
        let alias = "fast: [\"one:gpt-4o-mini\", \"two:gpt-4o-mini\", \"three:gpt-4o-mini\"]";
        assert!(three.contains(alias) && three.contains("round_robin"), "{three}");
        let keys = of("bimodal", &[1]);
        assert!(keys.contains("[sk-one-a, sk-one-b, sk-one-c]") && keys.contains("performance_optimized"));
        assert!(keys.contains("fast: \"one:gpt-4o-mini\""), "{keys}");
        assert!(!of("overload", &[1]).contains("max_concurrent"));
        assert!(of("overload-told", &[1]).contains("max_concurrent: 8") && !keys.contains("budget_queue"));
    }
}
