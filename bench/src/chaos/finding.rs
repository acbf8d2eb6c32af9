//! What a run found, and whether that passes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    course::Terms,
    scenario::Scenario,
    verdict::{Bound, Check},
};
use crate::versus::table::{Cell, Table};

const COLUMNS: [&str; 5] = ["", "what", "measured", "must be", "verdict"];

/// What was found in one run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) scenario: &'static str,
    pub(super) about: &'static str,
    pub(super) subject: String,
    pub(super) stream: bool,
    pub(super) checks: Vec<Check>,
    /// Why it could not be run or judged; empty where it could.
    pub(super) problems: Vec<String>,
    /// What else is worth knowing.
    pub(super) notes: Vec<String>,
}

impl Finding {
    /// One on a run that has not happened.
    pub(super) fn new(scenario: &Scenario, terms: Terms<'_>) -> Self {
        let program = terms.program.file_name().unwrap_or_default();
        Self {
            scenario: scenario.name,
            about: scenario.about,
            subject: program.to_string_lossy().into_owned(),
            stream: terms.stream,
            checks: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Notes which requests failed `when`, where some did.
    pub(super) fn failed(&mut self, when: &str, counts: BTreeMap<String, u64>) {
        if !counts.is_empty() {
            let counts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} × {count}")).collect();
            self.notes.push(format!("failed {when}: {}", counts.join(", ")));
        }
    }

    /// Whether it could be judged and everything held.
    pub(super) fn passes(&self) -> bool {
        self.problems.is_empty() && !self.checks.is_empty() && self.checks.iter().all(Check::holds)
    }

    /// Its name in the table.
    fn name(&self) -> String {
        let stream = if self.stream { " (streams)" } else { "" };
        format!("{} {}{stream}", self.subject, self.scenario)
    }

    /// In lines, while others still run.
    pub(super) fn lines(&self) -> String {
        let mut out = String::new();
        for check in &self.checks {
            let [what, measured, bound, verdict] = cells(check).map(|cell| show(&cell));
            out.push_str(&format!("  {what}: {measured}, must be {bound}: {verdict}\n"));
        }
        for problem in &self.problems {
            out.push_str(&format!("  fails: {problem}\n"));
        }
        for note in &self.notes {
            out.push_str(&format!("  {note}\n"));
        }
        out
    }

    fn rows(&self, table: &mut Table) {
        let mut name = self.name();
        for check in &self.checks {
            table.row(&std::mem::take(&mut name), cells(check));
        }
        for problem in &self.problems {
            let verdict = format!("fails: {}", gist(problem));
            let cells = [Cell::text("runs"), Cell::Missing, Cell::text("judged"), Cell::text(verdict)];
            table.row(&std::mem::take(&mut name), cells);
        }
        if !self.notes.is_empty() {
            table.note(format!("{}: {}.", self.name(), self.notes.join("; ")));
        }
    }
}

/// The line of a problem that says most: the first of a program's output that is an error, else the first.
fn gist(problem: &str) -> &str {
    let mut lines = problem.lines().map(str::trim);
    lines.clone().find(|line| line.starts_with("error")).or_else(|| lines.next()).unwrap_or_default()
}

fn cells(check: &Check) -> [Cell; 4] {
    let (sign, bound) = match check.bound {
        Bound::Below(bound) => ("< ", bound),
        Bound::AtMost(bound) if bound == 0.0 => ("", bound),
        Bound::AtMost(bound) => ("≤ ", bound),
        Bound::AtLeast(bound) => ("≥ ", bound),
    };
    let decimals = check.decimals;
    [
        Cell::text(check.what.clone()),
        Cell::maybe(check.measured, decimals),
        Cell::text(format!("{sign}{bound:.decimals$}")),
        Cell::text(if check.holds() { "holds" } else { "fails" }),
    ]
}

fn show(cell: &Cell) -> String {
    match cell {
        Cell::Number { value, decimals } => format!("{value:.decimals$}"),
        Cell::Text(text) => text.clone(),
        Cell::Missing => "-".into(),
    }
}

/// The table of all findings.
pub(super) fn table(findings: &[Finding], seconds: u64) -> Table {
    let mut table = Table::new(format!("What clients notice of trouble, in phases of {seconds} s"), &COLUMNS);
    for finding in findings {
        finding.rows(&mut table);
    }
    table.note(
        "Errors: requests that clients made and that did not succeed, those never sent included. p99: from when a \
         request was due to its last byte, of those that succeeded. Shares: of what the providers received, by \
         their own records. A figure of which too little was seen does not hold.",
    );
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::scenario;
    use std::{path::Path, time::Duration};

    fn finding(checks: Vec<Check>) -> Finding {
        let terms = Terms { program: Path::new("/x/coo-llm"), phase: Duration::from_secs(5), stream: true };
        Finding { checks, ..Finding::new(&scenario::all()[0], terms) }
    }

    fn check(measured: Option<f64>, bound: Bound) -> Check {
        Check { what: "errors".into(), measured, bound, decimals: 1 }
    }

    #[test]
    fn a_run_passes_only_where_it_was_judged_and_all_held() {
        assert!(!finding(Vec::new()).passes(), "nothing was judged");
        let good = check(Some(0.0), Bound::AtMost(0.0));
        assert!(finding(vec![good.clone()]).passes());
        assert!(!finding(vec![good.clone(), check(None, Bound::Below(5.0))]).passes());
        let mut ended = finding(vec![good]);
        ended.problems.push("gateway: it ended".into());
        assert!(!ended.passes());
    }

    #[test]
    fn a_problem_is_told_by_the_error_in_it() {
        assert_eq!(
            gist("gateway: it ended with 1:\n  note: x\n  error: no such key\n  more"),
            "error: no such key"
        );
        assert_eq!(gist("gateway: it ended\nwith this"), "gateway: it ended");
    }

    #[test]
    fn each_figure_has_a_row_and_each_row_all_columns() {
        let mut finding =
            finding(vec![check(Some(3.25), Bound::Below(5.0)), check(Some(6.0), Bound::AtMost(5.0))]);
        finding.problems.push("gateway: ended\nwith this".into());
        finding.failed("then", BTreeMap::from([("500".into(), 3), ("timeout".into(), 1)]));
        finding.failed("after it", BTreeMap::new());
        let table = table(&[finding.clone()], 10);
        assert!(table.rows.len() == 3 && table.rows.iter().all(|row| row.len() == table.columns.len()));
        let text = table.aligned();
        for part in ["coo-llm one-of-three-fails (streams)", "< 5.0", "fails: gateway: ended\n"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("failed then: 500 × 3, timeout × 1.\n"), "{text}");
        assert!(finding.lines().contains("errors: 6.0, must be ≤ 5.0: fails\n"), "{}", finding.lines());
    }
}
