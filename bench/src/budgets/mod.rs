//! Rate limits held end to end: real processes, a provider that accepts and records everything, load beyond the
//! limits, and the [judge](crate::judge) over the record.
//!
//! [`scenario`] is the list of what is tried, [`fleet`] starts the processes, [`course`] runs one scenario,
//! [`finding`] says whether it passes.

mod course;
mod finding;
mod fleet;
mod redis;
mod scenario;

use std::{io, path::PathBuf, time::Duration};

use clap::Args;

use crate::{load::units, rival, runner, versus::host::Host};
use finding::{Finding, Terms};
use fleet::Subject;

/// What to try.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Scenarios to run [default: all]; see --list
    #[arg(long = "scenario", value_name = "NAME", value_delimiter = ',')]
    pub scenarios: Vec<String>,
    /// Name the scenarios and end
    #[arg(long)]
    pub list: bool,
    /// Minutes of each scenario, at least 2; one with a fault takes longer by the fault
    #[arg(long, default_value_t = 3)]
    pub minutes: u32,
    /// Limits per minute, all loaded at once, in scenarios that sweep them
    #[arg(long, value_delimiter = ',', default_values_t = scenario::LIMITS)]
    pub limits: Vec<u64>,
    /// Demand as a multiple of the limit [default: as the scenario has it, 1.35 or more]
    #[arg(long)]
    pub demand: Option<f64>,
    /// Least share of a limit that must be used while demand is above it
    #[arg(long, default_value_t = 0.98)]
    pub least_use: f64,
    /// How much less than a minute the time may be in which more than a limit was spent, for unsteady delivery
    #[arg(long, value_parser = units::duration, default_value = "0s")]
    pub jitter: Duration,
    /// The gateway's program; repeat it to compare builds [default: coo-llm beside this program]
    #[arg(long = "gateway", value_name = "PATH")]
    pub gateways: Vec<PathBuf>,
    /// Judge these in place of the gateway: redis-counter, redis-log, local-counters, local-share, or provider (the provider
    /// enforces its limits itself: what is best possible)
    #[arg(long = "rival", value_name = "KIND", value_delimiter = ',')]
    pub rivals: Vec<String>,
    /// Write the findings as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Settings {
    fn subjects(&self) -> io::Result<Vec<Subject>> {
        if !self.rivals.is_empty() {
            let of = |name: &String| match name.as_str() {
                "provider" => Ok(Subject::Provider),
                name => name.parse::<rival::Kind>().map(Subject::Rival).map_err(io::Error::other),
            };
            return self.rivals.iter().map(of).collect();
        }
        let gateways = runner::gateways(&self.gateways, "")?;
        Ok(gateways.into_iter().map(Subject::Gateway).collect())
    }

    fn selected(&self) -> io::Result<Vec<scenario::Scenario>> {
        let all = scenario::all(&self.limits);
        let mut selected = runner::selected(all, &self.scenarios, |scenario| scenario.name)?;
        for scenario in &mut selected {
            scenario.demand = self.demand.unwrap_or(scenario.demand);
        }
        Ok(selected)
    }
}

/// Runs the scenarios and prints what was found; whether all limits held and were used.
///
/// # Errors
/// A scenario that is not known, a program that cannot be started or ends, naming it and showing its output.
pub fn run(settings: &Settings) -> io::Result<bool> {
    let selected = settings.selected()?;
    if settings.list {
        for scenario in &selected {
            println!("{}", scenario.name);
        }
        return Ok(true);
    }
    let _ = coo_shards::listen::raise_nofile();
    let jitter_us = u64::try_from(settings.jitter.as_micros()).unwrap_or(u64::MAX);
    let terms = Terms { least_use: settings.least_use, jitter_us };
    let host = Host::look(&[("redis-server", "--version")]);
    let mut findings = Vec::new();
    let mut skipped = Vec::new();
    for subject in settings.subjects()? {
        for scenario in &selected {
            let name = format!("{} {}", subject.name(), scenario.name);
            let no_redis = (subject.uses_redis(scenario) && !redis::installed())
                .then_some("redis-server and redis-cli are not installed");
            if let Some(why) = subject.cannot(scenario).or(no_redis) {
                eprintln!("{name}: skipped: {why}");
                skipped.push(format!("{name} was skipped: {why}."));
                continue;
            }
            eprintln!("{name} ...");
            for finding in course::run(scenario, &subject, settings.minutes, terms)? {
                eprintln!("{}", finding.line());
                findings.push(finding);
            }
        }
    }
    let mut table = finding::table(&findings, settings.minutes, terms);
    for note in skipped {
        table.note(note);
    }
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

    fn settings(args: &str) -> Settings {
        let args = ["budgets"].into_iter().chain(args.split_whitespace());
        Cli::try_parse_from(args).map(|cli| cli.settings).unwrap()
    }

    #[test]
    fn scenarios_and_subjects_are_selected_by_name() {
        let chosen = settings("--scenario shards-skewed,tokens --scenario shards-1 --limits 5,7 --demand 3");
        let selected = chosen.selected().unwrap();
        let names: Vec<_> = selected.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names, ["shards-1", "shards-skewed", "tokens"]);
        assert_eq!((selected[0].limits.as_slice(), selected[1].demand), (&[5, 7][..], 3.0));
        assert!(settings("--scenario shards-3").selected().is_err());
        assert_eq!(settings("").selected().unwrap().len(), 12);
        let subjects = settings("--rival provider,redis-counter").subjects().unwrap();
        let names: Vec<_> = subjects.iter().map(Subject::name).collect();
        assert_eq!(names, ["provider", "redis-counter"]);
        assert!(settings("--rival nobody").subjects().is_err());
        assert_eq!(settings("--gateway /a --gateway /b").subjects().unwrap().len(), 2);
    }
}
