//! What `check FILE` prints and exits with.

use std::fmt;
use std::path::Path;

use super::diagnostic::{Diagnostic, Severity, counted, summary};
use super::load::{Env, load_file};
use super::notices::Notice;

/// The outcome of checking one file. `Display` ends in `OK: 2 providers, 1 client` or
/// `1 error, 0 warnings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// Everything found, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// Empty when the file cannot be used.
    pub notices: Vec<Notice>,
    /// Providers and clients, when the file can be used.
    pub counts: Option<(usize, usize)>,
}

impl CheckReport {
    /// 0 when the file can be used, else 1.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.counts.is_none())
    }
}

/// Checks a file; `strict` makes every warning an error.
pub fn check(path: &Path, strict: bool, env: &dyn Env) -> CheckReport {
    let mut report = match load_file(path, env) {
        Ok(loaded) => CheckReport {
            diagnostics: loaded.warnings,
            notices: loaded.notices,
            counts: Some((loaded.config.providers.len(), loaded.config.clients.len())),
        },
        Err(failed) => CheckReport { diagnostics: failed.diagnostics, notices: Vec::new(), counts: None },
    };
    if strict && !report.diagnostics.is_empty() {
        for diagnostic in &mut report.diagnostics {
            diagnostic.severity = Severity::Error;
        }
        report.counts = None;
    }
    report
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            write!(f, "{diagnostic}\n\n")?;
        }
        for notice in &self.notices {
            writeln!(f, "{notice}")?;
        }
        match self.counts {
            Some((providers, clients)) => {
                write!(f, "OK: {}, {}", counted(providers, "provider"), counted(clients, "client"))
            }
            None => f.write_str(&summary(&self.diagnostics)),
        }
    }
}
