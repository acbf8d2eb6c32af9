//! Tables: aligned for a terminal, Markdown for a document, and numbers for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::host::Host;

/// One figure.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Cell {
    /// A number and the decimals to show.
    Number {
        /// The value.
        value: f64,
        /// Decimals shown.
        #[serde(skip)]
        decimals: usize,
    },
    /// Text.
    Text(String),
    /// Not measured.
    Missing,
}

impl Cell {
    /// A number shown with so many decimals; missing where it is not finite.
    pub(crate) fn number(value: f64, decimals: usize) -> Self {
        if value.is_finite() { Cell::Number { value, decimals } } else { Cell::Missing }
    }

    /// A number that may be missing.
    pub(crate) fn maybe(value: Option<f64>, decimals: usize) -> Self {
        value.map_or(Cell::Missing, |value| Cell::number(value, decimals))
    }

    /// Text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Cell::Text(text.into())
    }

    fn show(&self) -> String {
        match self {
            Cell::Number { value, decimals } => group(&format!("{value:.decimals$}")),
            Cell::Text(text) => text.clone(),
            Cell::Missing => "-".into(),
        }
    }
}

/// `1234567.8` as `1,234,567.8`.
fn group(number: &str) -> String {
    let (whole, rest) = number.find('.').map_or((number, ""), |at| number.split_at(at));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::from(sign);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// A titled table; the first column names the row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Table {
    /// What was measured, in one sentence.
    pub(crate) title: String,
    /// Names of the columns.
    pub(crate) columns: Vec<String>,
    /// Rows, as wide as `columns`.
    pub(crate) rows: Vec<Vec<Cell>>,
    /// Remarks below the table.
    pub(crate) notes: Vec<String>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&name| name.to_owned()).collect();
        Self { title: title.into(), columns, rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, name: &str, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(std::iter::once(Cell::text(name)).chain(cells).collect());
    }

    /// Adds a remark.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn lines(&self) -> (Vec<Vec<String>>, Vec<usize>) {
        let mut lines = vec![self.columns.clone()];
        lines.extend(self.rows.iter().map(|row| row.iter().map(Cell::show).collect()));
        let width = |n: usize| {
            lines.iter().filter_map(|line: &Vec<String>| line.get(n)).map(|text| text.chars().count()).max()
        };
        let widths = (0..self.columns.len()).map(|n| width(n).unwrap_or(0)).collect();
        (lines, widths)
    }

    /// Aligned columns: the first to the left, figures to the right.
    pub(crate) fn aligned(&self) -> String {
        let (lines, widths) = self.lines();
        let mut out = format!("{}\n", self.title);
        for line in lines {
            for (n, (text, &width)) in line.iter().zip(&widths).enumerate() {
                let _ = if n == 0 { write!(out, "{text:width$}") } else { write!(out, "  {text:>width$}") };
            }
            out.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(out, "{note}");
        }
        out
    }

    /// A Markdown table headed by the command and the machine.
    pub(crate) fn markdown(&self, host: &Host) -> String {
        let (lines, widths) = self.lines();
        let mut out = format!("### {}\n\n```sh\n{}\n```\n\n", self.title, host.command);
        for (at, line) in lines.iter().enumerate() {
            for (n, (text, &width)) in line.iter().zip(&widths).enumerate() {
                let _ =
                    if n == 0 { write!(out, "| {text:width$} |") } else { write!(out, " {text:>width$} |") };
            }
            out.push('\n');
            if at == 0 {
                for (n, &width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width);
                    let _ = if n == 0 { write!(out, "|-{dashes}-|") } else { write!(out, "-{dashes}:|") };
                }
                out.push('\n');
            }
        }
        out.push('\n');
        for note in &self.notes {
            let _ = writeln!(out, "{note}  ");
        }
        out + &host.line()
    }
}

/// The middle value; of an even number of values, the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match (sorted.get(low), sorted.get(high)) {
        (Some(a), Some(b)) => f64::midpoint(*a, *b),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new("CPU per request", &["proxy", "req/s", "ratio"]);
        table.row("nginx", [Cell::number(51_402.5, 0), Cell::number(1.0, 2)]);
        table.row("a", [Cell::number(1.0, 0), Cell::number(f64::NAN, 2)]);
        table.note("note");
        table
    }

    #[test]
    fn columns_are_aligned() {
        let text = sample().aligned();
        assert_eq!(
            text,
            "CPU per request\nproxy   req/s  ratio\nnginx  51,402   1.00\na           1      -\nnote\n"
        );
    }

    #[test]
    fn markdown_names_the_command_and_the_machine() {
        let host = Host {
            command: "coo-bench versus".into(),
            kernel: "6.18".into(),
            cpu: "2 × X".into(),
            busy_percent: 0.5,
            programs: vec!["nginx/1".into()],
        };
        let text = sample().markdown(&host);
        assert!(
            text.contains("coo-bench versus\n")
                && text.contains("Kernel 6.18, 2 × X, 0.5 % busy before; nginx/1."),
            "{text}"
        );
        assert!(text.contains("| nginx | 51,402 |  1.00 |"), "{text}");
    }

    #[test]
    fn medians() {
        for (values, middle) in [(&[3.0, 1.0, 2.0][..], 2.0), (&[1.0, 2.0, 4.0, 9.0], 3.0), (&[5.0], 5.0)] {
            assert_eq!(median(values), middle);
        }
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[f64::NAN, 4.0]), 4.0);
    }

    #[test]
    fn thousands_are_grouped() {
        for (plain, grouped) in
            [("1", "1"), ("1000", "1,000"), ("-1234567.89", "-1,234,567.89"), ("12.5", "12.5")]
        {
            assert_eq!(group(plain), grouped);
        }
    }
}
