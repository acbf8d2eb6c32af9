//! What the figures were measured on.

use std::{env, fs, process::Command, thread, time::Duration};

use serde::Serialize;

/// For how long the machine is looked at before a run.
const LOOK: Duration = Duration::from_millis(500);

/// The machine and the programs of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Host {
    /// The command line that made the figures.
    pub(crate) command: String,
    /// Kernel release.
    pub(crate) kernel: String,
    /// CPU model and count.
    pub(crate) cpu: String,
    /// How busy all CPUs were before the run began, in percent. More than a few mean that others were measured too.
    pub(crate) busy_percent: f64,
    /// First line that each rival prints about its version.
    pub(crate) programs: Vec<String>,
}

impl Host {
    /// Looks at this machine and asks `programs` for their version, each with its flag.
    pub(crate) fn look(programs: &[(&str, &str)]) -> Self {
        Self {
            command: command_line(env::args()),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            cpu: cpu_model(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            busy_percent: busy_percent(),
            programs: programs.iter().filter_map(|(name, flag)| version(name, flag)).collect(),
        }
    }

    /// All of it but the command, in a line.
    pub(crate) fn line(&self) -> String {
        let Self { kernel, cpu, busy_percent, programs, .. } = self;
        let programs: String = programs.iter().map(|program| format!("; {program}")).collect();
        format!("Kernel {kernel}, {cpu}, {busy_percent:.1} % busy before{programs}.\n")
    }
}

/// The command line without the directories of this machine and without `--json FILE`.
fn command_line(mut args: impl Iterator<Item = String>) -> String {
    let mut words = Vec::new();
    while let Some(arg) = args.next() {
        if arg == "--json" {
            args.next();
        } else if !arg.starts_with("--json=") {
            let absolute = words.is_empty() || arg.starts_with('/');
            words.push(if absolute { arg.rsplit('/').next().unwrap_or_default().to_owned() } else { arg });
        }
    }
    words.join(" ")
}

/// `2 × AMD EPYC` from the text of /proc/cpuinfo.
fn cpu_model(cpuinfo: &str) -> String {
    let mut models = cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':').filter(|(name, _)| name.trim() == "model name"))
        .map(|(_, model)| model.trim());
    let first = models.next().unwrap_or("unknown");
    format!("{} × {first}", 1 + models.count())
}

/// How busy the machine is now, over [`LOOK`].
fn busy_percent() -> f64 {
    let times = || cpu_times(&fs::read_to_string("/proc/stat").unwrap_or_default());
    let before = times();
    thread::sleep(LOOK);
    match (before, times()) {
        (Some((busy, all)), Some((busy_now, all_now))) if all_now > all => {
            (busy_now - busy) as f64 / (all_now - all) as f64 * 100.0
        }
        _ => f64::NAN,
    }
}

/// Busy ticks and all ticks of the first line of /proc/stat.
fn cpu_times(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    // user nice system idle iowait irq softirq steal; what follows is counted in user already.
    let ticks: Vec<u64> = fields.take(8).map_while(|field| field.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((all - idle, all))
}

fn version(program: &str, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    // nginx writes its version to standard error, wrk exits with 1: take the first line of either.
    let text = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&text).lines().next()?.trim().to_owned();
    let end = [" Copyright", " - http", " sha="].iter().filter_map(|rest| line.find(rest)).min();
    let end = end.unwrap_or(line.len());
    Some(line.get(..end)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described_without_its_paths() {
        let args =
            ["/a/b/coo-bench", "versus", "--json", "/x", "--gateway", "/a/b/coo-llm"].map(String::from);
        assert_eq!(command_line(args.into_iter()), "coo-bench versus --gateway coo-llm");
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t: x\n\nmodel name\t: AMD EPYC\n";
        assert_eq!(cpu_model(cpuinfo), "2 × AMD EPYC");
        assert_eq!(cpu_times("cpu  10 1 5 70 4 0 2 8 3 0\ncpu0 1\n"), Some((26, 100)));
        assert_eq!(cpu_times("intr 1"), None);
    }
}
