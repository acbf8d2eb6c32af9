//! Measures the estimator of prompt tokens: its errors as the table of docs/tokens.md, and its speed.
//!
//! `cargo run --release --example estimate`

use std::{error::Error, fs, hint::black_box, time::Instant};

use coo_llm::dialect::estimate::prompt_tokens;
use serde_json::json;

/// What a chat of one message adds to its text.
const AROUND_ONE: u64 = 7;
/// How much text one speed is measured over.
const MEASURED_BYTES: usize = 1 << 27;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/estimator/");
    println!("| text | bytes | tokens | expected | error | upper / tokens | GB/s |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for row in fs::read_to_string(format!("{folder}tokens.tsv"))?.lines() {
        let Some((file, counts)) = row.split_once('\t') else { continue };
        let Some((bytes, tokens)) = counts.split_once('\t') else { continue };
        let tokens = tokens.parse::<u64>()? + AROUND_ONE;
        let text = fs::read_to_string(format!("{folder}corpus/{file}"))?;
        let found = prompt_tokens(&chat(&text));
        let error = (found.expected as f64 / tokens as f64 - 1.0) * 100.0;
        let ratio = found.upper as f64 / tokens as f64;
        let name = file.trim_end_matches(".txt");
        let speed = speed(&chat(&text.repeat(64)));
        println!(
            "| {name} | {bytes} | {tokens} | {} | {error:+.1} % | {ratio:.1} | {speed:.2} |",
            found.expected
        );
    }
    Ok(())
}

fn chat(text: &str) -> Vec<u8> {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).to_string().into_bytes()
}

/// In GB/s of body.
fn speed(body: &[u8]) -> f64 {
    let rounds = MEASURED_BYTES / body.len() + 1;
    let started = Instant::now();
    for _ in 0..rounds {
        black_box(prompt_tokens(black_box(body)));
    }
    (body.len() * rounds) as f64 / started.elapsed().as_secs_f64() / 1e9
}
