//! A problem with its place, as compilers print it, and the error made of all of them.

use std::error::Error;
use std::fmt;

/// Whether a problem keeps the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Cannot be used.
    Error,
    /// Can be used, but is hardly what was meant; an error under `check --strict`.
    Warning,
}

/// One problem. Holds no secret: values that may be secret are masked before they come here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// File name as given, or the environment variable that is wrong.
    pub file: String,
    /// From 1; 0 when there is no place in a file.
    pub line: usize,
    /// From 1, in characters; 0 when there is no place in a file.
    pub column: usize,
    /// The key, as in `llm_providers[0].api_keys[1]`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would be right, if we know.
    pub suggestion: Option<String>,
    /// The source line.
    pub snippet: Option<Snippet>,
}

/// A source line with secrets masked, and the part of it that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The line, or a part of a long one.
    pub text: String,
    /// Characters before the marked part.
    pub offset: usize,
    /// Characters marked, at least 1.
    pub width: usize,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        if self.line > 0 {
            write!(f, "\n{margin}--> {}:{number}:{}", self.file, self.column)?;
        } else {
            write!(f, "\n --> {}", self.file)?;
        }
        if let Some(snippet) = &self.snippet {
            let indent = " ".repeat(snippet.offset);
            let carets = "^".repeat(snippet.width);
            write!(f, "\n{margin} |\n{number} | {}", snippet.text)?;
            write!(f, "\n{margin} | {indent}{carets}")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "\n{margin} = help: {suggestion}")?;
        }
        Ok(())
    }
}

/// Why a configuration cannot be used: every error found, and the warnings beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// In the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            write!(f, "{diagnostic}\n\n")?;
        }
        f.write_str(&summary(&self.diagnostics))
    }
}

impl Error for Failed {}

/// `2 errors, 1 warning`.
pub(super) fn summary(diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let errors = counted(count(Severity::Error), "error");
    let warnings = counted(count(Severity::Warning), "warning");
    format!("{errors}, {warnings}")
}

/// `1 error`, `2 errors`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_like_a_compiler() {
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            file: "config.yaml".into(),
            line: 12,
            column: 11,
            path: "llm_providers[0].type".into(),
            message: "`opnai` is not a provider type".into(),
            suggestion: Some("did you mean `openai`?".into()),
            snippet: Some(Snippet { text: "    type: opnai".into(), offset: 10, width: 5 }),
        };
        let expected = "\
error: llm_providers[0].type: `opnai` is not a provider type
  --> config.yaml:12:11
   |
12 |     type: opnai
   |           ^^^^^
   = help: did you mean `openai`?";
        assert_eq!(diagnostic.to_string(), expected);
        let failed = Failed { diagnostics: vec![diagnostic] };
        assert!(failed.to_string().ends_with("\n\n1 error, 0 warnings"));
    }
}
