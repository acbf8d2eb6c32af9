//! `coo-llm check FILE`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::config::{self, ProcessEnv};

/// Options of `check`.
#[derive(Args)]
pub struct Options {
    /// The file; without it the usual places are searched.
    file: Option<PathBuf>,
    /// Treat warnings (such as unknown keys) as errors.
    #[arg(long)]
    strict: bool,
}

/// Prints the report; the exit code is 0 when the file can be served.
pub fn run(options: &Options) -> ExitCode {
    let path = match super::find(options.file.as_ref()) {
        Ok(path) => path,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let report = config::check(&path, options.strict, &ProcessEnv);
    println!("{report}");
    ExitCode::from(report.exit_code())
}
