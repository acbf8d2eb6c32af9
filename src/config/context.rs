//! Where problems are collected while reading goes on.

use std::cell::{Cell, RefCell};
use std::path::Path;

use super::diagnostic::{Diagnostic, Severity};
use super::limits;
use super::source::Source;
use super::yaml::Span;

/// What all getters share: the text, the folder paths are relative to, and the problems so far.
pub(super) struct Context<'a> {
    source: &'a Source,
    folder: &'a Path,
    diagnostics: RefCell<Vec<Diagnostic>>,
    unreported: Cell<usize>,
}

impl<'a> Context<'a> {
    pub(super) fn new(source: &'a Source, folder: &'a Path) -> Self {
        Self { source, folder, diagnostics: RefCell::default(), unreported: Cell::new(0) }
    }

    pub(super) fn folder(&self) -> &'a Path {
        self.folder
    }

    pub(super) fn error(&self, at: Span, path: &str, message: String, help: Option<String>) {
        self.report(Severity::Error, at, path, message, help);
    }

    pub(super) fn warn(&self, at: Span, path: &str, message: String, help: Option<String>) {
        self.report(Severity::Warning, at, path, message, help);
    }

    /// A problem that stands in no file, such as an environment variable's.
    pub(super) fn error_outside(&self, origin: &str, message: String) {
        if !self.make_room(Severity::Error) {
            return;
        }
        self.diagnostics.borrow_mut().push(Diagnostic {
            severity: Severity::Error,
            file: origin.to_owned(),
            line: 0,
            column: 0,
            path: String::new(),
            message,
            suggestion: None,
            snippet: None,
        });
    }

    fn report(&self, severity: Severity, at: Span, path: &str, message: String, suggestion: Option<String>) {
        if !self.make_room(severity) {
            return;
        }
        self.diagnostics.borrow_mut().push(Diagnostic {
            severity,
            file: self.source.name.clone(),
            line: at.line,
            column: at.column,
            path: printable(path),
            message: printable(&message),
            suggestion: suggestion.map(|text| printable(&text)),
            snippet: self.source.snippet(at),
        });
    }

    /// Whether another warning would be kept: a guess at what was meant is only worth its work then.
    pub(super) fn has_room(&self) -> bool {
        self.diagnostics.borrow().len() < limits::MAX_DIAGNOSTICS
    }

    /// Whether one more problem may be kept, which is asked before the work of describing it. An error
    /// takes the place of a warning if need be: it decides whether the file is used.
    fn make_room(&self, severity: Severity) -> bool {
        let mut all = self.diagnostics.borrow_mut();
        if all.len() < limits::MAX_DIAGNOSTICS {
            return true;
        }
        self.unreported.set(self.unreported.get() + 1);
        if severity == Severity::Warning {
            return false;
        }
        let warning = all.iter().rposition(|d| d.severity == Severity::Warning);
        warning.map(|place| all.remove(place)).is_some()
    }

    /// All problems in the order of the file.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut all = self.diagnostics.into_inner();
        all.sort_by_key(|d| (d.line, d.column));
        let unreported = self.unreported.get();
        if let (true, Some(last)) = (unreported > 0, all.last_mut()) {
            let more = format!("{unreported} more problems are not listed");
            last.suggestion = Some(match last.suggestion.take() {
                Some(help) => format!("{help} ({more})"),
                None => more,
            });
        }
        all
    }
}

/// Without control characters, which could forge lines or colours on a terminal.
fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}
