//! The loader as a whole: documents in, configurations or located problems out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod accepts;
mod budgets;
mod errors;
mod files;
mod hostile;
mod places;

use std::collections::HashMap;

use super::*;

/// A fixed environment.
#[derive(Default)]
struct Vars(HashMap<&'static str, &'static str>);

impl Env for Vars {
    fn var(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| (*value).to_owned())
    }
}

fn vars<const N: usize>(pairs: [(&'static str, &'static str); N]) -> Vars {
    Vars(pairs.into())
}

/// A provider named `openai`, for documents about something else. Eight lines of the file are
/// never needed to understand a test, so it stands on one line at the end.
const PROVIDER: &str = "llm_providers: [{id: openai, type: openai, api_keys: [sk-1]}]\n";

fn with_provider(text: &str) -> String {
    format!("{text}{PROVIDER}")
}

fn load(text: &str) -> Loaded {
    load_str("t.yaml", text, &Vars::default()).unwrap_or_else(|failed| panic!("{text}\n{failed}"))
}

fn fail(text: &str) -> Failed {
    match load_str("t.yaml", text, &Vars::default()) {
        Ok(_) => panic!("accepted: {text}"),
        Err(failed) => failed,
    }
}

/// `line:column path: message [| help]` of each diagnostic.
fn brief(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics
        .iter()
        .map(|d| {
            let help = d.suggestion.as_ref();
            let help = help.map(|help| format!(" | {help}")).unwrap_or_default();
            format!("{}:{} {}: {}{help}", d.line, d.column, d.path, d.message)
        })
        .collect()
}
