//! A report in one file: figures, plots as inline SVG, no scripts and nothing fetched.

use std::fmt::Write as _;

use super::{
    Distribution, Moment, Summary,
    plot::{Line, Plot, escape},
    text::time,
};

const STYLE: &str = "
:root { color-scheme: light dark; --back: #fff; --text: #1c2024; --soft: #6b7280; --grid: #e5e7eb;
  --c0: #2563eb; --c1: #d97706; --c2: #dc2626; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e5e7eb; --soft: #9ca3af; --grid: #2c3138;
  --c0: #6ea8fe; --c1: #f0b45b; --c2: #f87171; } }
body { margin: 2rem auto; max-width: 900px; padding: 0 1rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 2rem 0 .3rem; }
table { border-collapse: collapse; } th, td { padding: .2rem .9rem .2rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 500; }
td { font-variant-numeric: tabular-nums; border-top: 1px solid var(--grid); }
.scroll { overflow-x: auto; } .soft { color: var(--soft); }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
text.x { text-anchor: middle; } text.y { text-anchor: end; }
.grid { stroke: var(--grid); } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
polyline.c0 { stroke: var(--c0); } polyline.c1 { stroke: var(--c1); } polyline.c2 { stroke: var(--c2); }
.legend { margin: 0 0 0 78px; } .legend span { margin-right: 1.2rem; font-weight: 500; }
span.c0 { color: var(--c0); } span.c1 { color: var(--c1); } span.c2 { color: var(--c2); }
";

/// The page.
#[must_use]
pub fn page(summary: &Summary) -> String {
    let about = &summary.about;
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Load on {url}</title>\
         <style>{STYLE}</style>\n<h1>Load on {url}</h1>\n<p class=\"soft\">{pace}; {shards} shard(s), requests of \
         {bytes} bytes, {planned:.1} s of which {warmup:.1} s warm-up.</p>\n",
        url = escape(&about.url),
        pace = escape(&about.pace),
        shards = about.shards,
        bytes = about.request_bytes,
        planned = about.planned_s,
        warmup = about.warmup_s,
    );
    counts(&mut out, summary);
    let mut rows = vec![("latency", &summary.latency)];
    let mut curves = vec![("latency", &summary.latency)];
    if about.open_loop {
        rows =
            vec![("latency, from when due", &summary.latency), ("service, from when sent", &summary.service)];
        curves = vec![("from when due", &summary.latency), ("from when sent", &summary.service)];
    }
    if let Some(streams) = &summary.streams {
        rows.push(("to the first token", &streams.first_token));
        rows.push(("between tokens", &streams.between_tokens));
    }
    distributions(&mut out, &rows);
    section(&mut out, "Latency by percentile", &percentiles(&curves));
    let moments = whole_seconds(&summary.moments);
    let over_time = |name, of: fn(&Moment) -> f64| Line {
        name,
        points: moments.iter().map(|moment| (moment.at_s as f64, of(moment))).collect(),
    };
    let mut throughput = vec![over_time("ok", |m| m.ok as f64)];
    if summary.failed + summary.missed > 0 {
        throughput.push(over_time("missed", |m| m.missed as f64));
        throughput.push(over_time("failed", |m| m.failed as f64));
    }
    section(&mut out, "Requests per second", &timeline(throughput, count));
    let latency =
        vec![over_time("p50", |m| m.p50_us), over_time("p99", |m| m.p99_us), over_time("max", |m| m.max_us)];
    section(&mut out, "Latency over time", &timeline(latency, time));
    if let Some(streams) = &summary.streams {
        section(
            &mut out,
            "Tokens per second",
            &timeline(vec![over_time("tokens", |m| m.tokens as f64)], count),
        );
        let curves =
            [("to the first token", &streams.first_token), ("between tokens", &streams.between_tokens)];
        section(&mut out, "Time to the first token and between tokens", &percentiles(&curves));
    }
    section(
        &mut out,
        "Requests under way",
        &timeline(vec![over_time("under way", |m| m.in_flight as f64)], count),
    );
    out.push_str("</html>\n");
    out
}

fn counts(out: &mut String, summary: &Summary) {
    let mut rows = vec![
        ("succeeded".to_owned(), format!("{} ({:.1}/s)", summary.ok, summary.ok_per_s)),
        ("failed".to_owned(), summary.failed.to_string()),
        ("missed".to_owned(), summary.missed.to_string()),
        ("connections opened".to_owned(), summary.connects.to_string()),
    ];
    rows.extend(summary.statuses.iter().map(|(status, n)| (format!("status {status}"), n.to_string())));
    rows.extend(summary.failures.iter().map(|(failure, n)| (format!("failed, {failure}"), n.to_string())));
    if let Some(streams) = &summary.streams {
        rows.push(("complete streams".to_owned(), streams.complete.to_string()));
        rows.push(("tokens".to_owned(), format!("{} ({:.1}/s)", streams.tokens, streams.tokens_per_s)));
    }
    out.push_str("<table>");
    for (name, value) in rows {
        let _ = write!(out, "<tr><td>{}<td>{}", escape(&name), escape(&value));
    }
    out.push_str("</table>\n");
}

fn distributions(out: &mut String, rows: &[(&str, &Distribution)]) {
    let names: Vec<_> = super::NAMED
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| rows.iter().any(|(_, times)| times.quantile(name).is_some()))
        .collect();
    out.push_str("<div class=\"scroll\"><table><tr><th><th>mean");
    for name in &names {
        let _ = write!(out, "<th>{name}");
    }
    out.push_str("<th>max");
    for (name, times) in rows {
        let _ = write!(out, "<tr><td>{}<td>{}", escape(name), time(times.mean_us));
        for quantile in &names {
            let _ = write!(out, "<td>{}", times.quantile(quantile).map_or("-".into(), time));
        }
        let _ = write!(out, "<td>{}", time(times.max_us));
    }
    out.push_str("</table></div>\n");
}

fn section(out: &mut String, title: &str, svg: &str) {
    if !svg.is_empty() {
        let _ = writeln!(out, "<h2>{title}</h2>{svg}");
    }
}

/// Percentile curves, with as much room for each further nine.
fn percentiles(curves: &[(&'static str, &Distribution)]) -> String {
    let nines = |quantile: f64| -(1.0 - quantile).log10();
    let lines = curves
        .iter()
        .map(|(name, times)| Line {
            name,
            points: times.curve.iter().map(|&(quantile, us)| (nines(quantile), us)).collect(),
        })
        .collect();
    let marks = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999_999];
    // Rounded: 1 - 0.9 is not exactly 0.1, and the label should not show it.
    let label = |quantile: f64| format!("{}%", (quantile * 1e8).round() / 1e6);
    let x_marks = marks.map(|quantile| (nines(quantile), label(quantile))).to_vec();
    Plot { lines, x_marks, y_label: time, x_label: count }.svg()
}

fn timeline(lines: Vec<Line>, y_label: fn(f64) -> String) -> String {
    Plot { lines, x_marks: Vec::new(), y_label, x_label: |s| count(s) + " s" }.svg()
}

/// A count without the noise of binary fractions.
fn count(value: f64) -> String {
    format!("{}", (value * 1e6).round() / 1e6)
}

/// All but the last second, which was not whole.
fn whole_seconds(moments: &[Moment]) -> &[Moment] {
    let whole = moments.len().saturating_sub(1).max(1);
    moments.get(..whole).unwrap_or(moments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_stands_alone_and_escapes_what_it_was_given() {
        for stream in [false, true] {
            let page = page(&super::super::tests::sample(stream));
            assert!(page.contains("/&lt;script&gt;") && !page.contains("<script"), "{page}");
            assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("NaN"));
            assert!(page.matches("<svg").count() >= 3, "{page}");
            assert_eq!(page.contains("Tokens per second"), stream);
        }
    }
}
