//! The commands, one file each.

mod check;
mod demo;
mod serve;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// COO-LLM, an LLM gateway: the OpenAI API in front, any provider behind, one shard per core.
#[derive(Parser)]
#[command(name = "coo-llm", version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the gateway (the default).
    Serve(serve::Options),
    /// Serve the gateway with a simulated provider behind it: no config, account or network needed.
    Demo(demo::Options),
    /// Check a configuration file and say what is wrong with it.
    Check(check::Options),
}

/// Runs the command of this process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => serve::run(&serve::Options { config: None, driver: serve::DriverChoice::Auto }),
        Some(Command::Serve(options)) => serve::run(&options),
        Some(Command::Demo(options)) => demo::run(&options),
        Some(Command::Check(options)) => return check::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A configuration given on the command line or found in the usual places.
fn find(config: Option<&PathBuf>) -> Result<PathBuf, String> {
    crate::config::find(config.map(PathBuf::as_path), &crate::config::ProcessEnv)
        .map_err(|error| error.to_string())
}
