//! What clients notice when providers fail: real processes, load at a constant rate, a fault while it runs.
//!
//! [`scenario`] is the list of what is tried, [`fleet`] starts the processes and makes the trouble, [`course`] runs
//! one scenario, [`sight`] has the figures in what clients and providers saw, [`verdict`] says what must hold,
//! [`finding`] tells it.

mod course;
mod finding;
mod fleet;
mod scenario;
mod sight;
mod verdict;

use std::{io, path::PathBuf, time::Duration};

use clap::Args;

use crate::{runner, versus::host::Host};
use course::Terms;
use finding::Finding;

/// What to try.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Scenarios to run [default: all]; see --list
    #[arg(long = "scenario", value_name = "NAME", value_delimiter = ',')]
    pub scenarios: Vec<String>,
    /// Name the scenarios and end
    #[arg(long)]
    pub list: bool,
    /// Seconds of each phase: all well, the fault, all well again; overload lasts six of them
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(5..))]
    pub seconds: u64,
    /// Ask for event streams
    #[arg(long)]
    pub stream: bool,
    /// The gateway's program; repeat it to compare builds [default: coo-llm beside this program]
    #[arg(long = "gateway", value_name = "PATH")]
    pub gateways: Vec<PathBuf>,
    /// Write the findings as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Settings {
    fn programs(&self) -> io::Result<Vec<PathBuf>> {
        runner::gateways(&self.gateways, "")
    }

    fn selected(&self) -> io::Result<Vec<scenario::Scenario>> {
        runner::selected(scenario::all(), &self.scenarios, |scenario| scenario.name)
    }
}

/// Runs the scenarios and prints what was found; whether everything held.
///
/// # Errors
/// A scenario that is not known, a gateway that is not there, a report that cannot be written.
pub fn run(settings: &Settings) -> io::Result<bool> {
    let selected = settings.selected()?;
    if settings.list {
        for scenario in &selected {
            println!("{:22} {}", scenario.name, scenario.about);
        }
        return Ok(true);
    }
    let _ = coo_shards::listen::raise_nofile();
    let host = Host::look(&[]);
    let mut findings = Vec::new();
    for program in settings.programs()? {
        let phase = Duration::from_secs(settings.seconds);
        let terms = Terms { program: &program, phase, stream: settings.stream };
        for scenario in &selected {
            eprintln!("{} {} ...", program.display(), scenario.name);
            let finding = course::run(scenario, terms);
            eprint!("{}", finding.lines());
            findings.push(finding);
        }
    }
    let table = finding::table(&findings, settings.seconds);
    runner::tell(&table, &host, &findings, settings.json.as_deref())?;
    Ok(findings.iter().all(Finding::passes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    fn settings(args: &str) -> Result<Settings, clap::Error> {
        let args = ["chaos"].into_iter().chain(args.split_whitespace());
        Cli::try_parse_from(args).map(|cli| cli.settings)
    }

    #[test]
    fn scenarios_and_programs_are_selected_by_name() {
        let chosen = settings("--scenario outage,bimodal --gateway /a --gateway /b").unwrap();
        let names: Vec<_> = chosen.selected().unwrap().iter().map(|scenario| scenario.name).collect();
        assert_eq!((names, chosen.programs().unwrap().len()), (vec!["outage", "bimodal"], 2));
        assert!(settings("--scenario one-of-four").unwrap().selected().is_err());
        assert_eq!(settings("").unwrap().selected().unwrap().len(), 13);
        assert!(settings("--seconds 4").is_err(), "too short to tell a fault's effect once it has settled");
    }
}
