//! Line plots as inline SVG. Colours come from the page's style, so that it can follow a light or dark theme.

use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;
const TICKS: usize = 5;

/// A line.
pub(super) struct Line {
    pub(super) name: &'static str,
    /// Ascending in x.
    pub(super) points: Vec<(f64, f64)>,
}

/// A plot.
pub(super) struct Plot {
    pub(super) lines: Vec<Line>,
    /// Where to mark the x axis, and with what; chosen here where empty.
    pub(super) x_marks: Vec<(f64, String)>,
    /// Labels of the y axis.
    pub(super) y_label: fn(f64) -> String,
    pub(super) x_label: fn(f64) -> String,
}

impl Plot {
    /// The SVG element; empty where there is no point.
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x_low = points().map(|&(x, _)| x).fold(f64::INFINITY, f64::min);
        let x_high = points().map(|&(x, _)| x).fold(f64::NEG_INFINITY, f64::max);
        if !x_low.is_finite() {
            return String::new();
        }
        let y_marks = round_marks(0.0, points().map(|&(_, y)| y).fold(0.0, f64::max).max(1e-9));
        let y_high = y_marks.last().copied().unwrap_or(1.0);
        let x_span = (x_high - x_low).max(1e-9);
        let x_at = |x: f64| LEFT + (x - x_low) / x_span * (WIDTH - LEFT - RIGHT);
        let y_at = |y: f64| HEIGHT - BOTTOM - y / y_high * (HEIGHT - TOP - BOTTOM);

        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
        for y in y_marks {
            let (at, label) = (y_at(y), escape(&(self.y_label)(y)));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0
            );
        }
        let chosen;
        let x_marks = if self.x_marks.is_empty() {
            let marks = round_marks(x_low, x_high);
            chosen = marks.into_iter().map(|x| (x, (self.x_label)(x))).collect();
            &chosen
        } else {
            &self.x_marks
        };
        for (x, label) in x_marks.iter().filter(|(x, _)| (x_low..=x_high).contains(x)) {
            let (at, bottom) = (x_at(*x), HEIGHT - BOTTOM);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\
                 <text class=\"x\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
                bottom + 20.0,
                escape(label)
            );
        }
        for (n, line) in self.lines.iter().enumerate() {
            let path: Vec<_> =
                line.points.iter().map(|&(x, y)| format!("{:.1},{:.1}", x_at(x), y_at(y))).collect();
            let _ = write!(svg, "<polyline class=\"line c{n}\" points=\"{}\"/>", path.join(" "));
        }
        svg.push_str("</svg><p class=\"legend\">");
        for (n, line) in self.lines.iter().enumerate() {
            let _ = write!(svg, "<span class=\"c{n}\">{}</span> ", escape(line.name));
        }
        svg.push_str("</p>");
        svg
    }
}

/// Round values that cover `low..=high`: multiples of 1, 2 or 5 times a power of ten.
fn round_marks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low).max(1e-9) / TICKS as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= rough);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((low / step).floor(), (high / step - 1e-9).ceil());
    (0..=(last - first) as usize).map(|n| (first + n as f64) * step).collect()
}

/// Text for HTML and SVG, in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }

    #[test]
    fn marks_are_round_and_cover_the_range() {
        assert_eq!(round_marks(0.0, 9.7), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(round_marks(0.0, 100.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        for high in [1e-9, 0.3, 1.0, 7.0, 12_345.0, 1e9] {
            let marks = round_marks(0.0, high);
            assert!(
                (2..=8).contains(&marks.len()) && marks.last().is_some_and(|&last| last >= high),
                "{high}"
            );
        }
    }

    #[test]
    fn lines_stay_within_the_picture() {
        let points = vec![(0.0, 5.0), (1.0, 0.0), (2.0, 9.9)];
        let label = |value: f64| value.to_string();
        let plot = Plot {
            lines: vec![Line { name: "a<b", points }],
            x_marks: Vec::new(),
            y_label: label,
            x_label: label,
        };
        let svg = plot.svg();
        assert!(svg.contains("a&lt;b") && !svg.contains("NaN"), "{svg}");
        let path = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        for point in path.split(' ') {
            let (x, y) = point.split_once(',').unwrap();
            assert!(
                (0.0..=WIDTH).contains(&x.parse().unwrap()) && (0.0..=HEIGHT).contains(&y.parse().unwrap())
            );
        }
        assert_eq!(Plot { lines: Vec::new(), ..plot }.svg(), "");
    }
}
