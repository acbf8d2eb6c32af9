//! `coo-bench`: a provider simulator, a load generator and comparison runs.

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};
use coo_bench::{budgets, chaos, floor, load, mesh, rival, simulate, versus};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates providers, makes load and compares proxies.
#[derive(Parser)]
#[command(name = "coo-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Simulate a provider
    Simulate(Box<simulate::args::SimulateArgs>),
    /// Make load and measure it
    Load(Box<load::args::Settings>),
    /// Compare nginx, HAProxy, the floor and the gateway
    Versus(versus::Settings),
    /// Judge whether rate limits hold and are used
    Budgets(budgets::Settings),
    /// Judge what clients notice when providers fail
    Chaos(chaos::Settings),
    /// Forward requests within a limit, kept in another way than the gateway's
    Rival(rival::Settings),
    /// Forward bytes without looking at them
    Floor(floor::Settings),
    /// Measure what a message between two shards costs
    Mesh(mesh::Settings),
}

fn main() -> ExitCode {
    let outcome: io::Result<ExitCode> = match Cli::parse().command {
        Command::Simulate(args) => simulate::args::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Load(settings) => {
            load::args::run(&settings).map(|kept| if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Versus(settings) => versus::run(&settings).map(|()| ExitCode::SUCCESS),
        Command::Budgets(settings) => {
            budgets::run(&settings).map(|held| if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Chaos(settings) => {
            chaos::run(&settings).map(|held| if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Rival(settings) => rival::run(&settings).map(|()| ExitCode::SUCCESS),
        Command::Floor(settings) => floor::run(&settings).map(|()| ExitCode::SUCCESS),
        Command::Mesh(settings) => mesh::run(&settings).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("coo-bench: {error}");
        ExitCode::FAILURE
    })
}
