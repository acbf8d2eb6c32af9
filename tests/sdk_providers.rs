//! The official SDKs of other providers, unmodified, against the provider simulator alone: what it speaks is what
//! they understand, so that a gateway tested with it speaks to the providers.
//!
//! What they check is in `sdk/python`; `tests/run` installs the SDKs in the pinned versions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

#[path = "common/sdk.rs"]
mod sdk;

use std::process::Command;

use coo_bench::simulate::{self, KeyLimits, RecordSettings, SERVICE_ACCOUNT, Settings};

/// A key without limits, and one with a request a minute.
const KEY: &str = "sk-simulated";
const TIGHT_KEY: &str = "sk-tight";
/// One of AWS, which signs.
const AWS_KEY: &str = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Runs the tests in `script` against a simulator, which must be at least `least`. `streams` is whether any of its
/// answers do.
fn drive(script: &str, least: u32, streams: bool) {
    let python = sdk::installed("venv/bin/python");
    sdk::installed("venv/installed");
    let key = |key: &str, req_per_min| KeyLimits { key: key.into(), req_per_min, ..KeyLimits::default() };
    let keys = vec![key(KEY, None), key(TIGHT_KEY, Some(1)), key(SERVICE_ACCOUNT, None), key(AWS_KEY, None)];
    let record = RecordSettings::keep(1000);
    let simulator =
        simulate::start(Settings { keys, record, chunk_tokens: 4, ..Settings::default() }).unwrap();
    let output = Command::new(python)
        .arg(sdk::file("tests/sdk/python").join(script))
        .env("BASE_URL", format!("http://{}", simulator.addr()))
        .env("API_KEY", KEY)
        .env("TIGHT_KEY", TIGHT_KEY)
        .env("SERVICE_ACCOUNT", simulator.service_account())
        .env("AWS_KEY", AWS_KEY)
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(sdk::number(&text, "\nRan ").is_some_and(|n| n >= least), "too few tests ran: {text}");
    let record = simulator.record();
    let streamed = record.iter().any(|one| one.stream && one.complete && one.completion_tokens > 0);
    assert_eq!(streamed, streams, "{record:?}");
    simulator.stop();
}

#[test]
fn the_python_sdk_of_anthropic_understands_the_simulator() {
    drive("test_anthropic.py", 12, true);
}

#[test]
fn the_python_sdk_of_google_understands_the_simulator() {
    drive("test_gemini.py", 12, true);
}

#[test]
fn the_python_sdk_of_cohere_understands_the_simulator() {
    drive("test_cohere.py", 10, true);
}

#[test]
fn the_python_sdk_of_voyage_understands_the_simulator() {
    drive("test_voyage.py", 8, false);
}

#[test]
fn the_python_sdk_of_replicate_understands_the_simulator() {
    drive("test_replicate.py", 11, true);
}

#[test]
fn the_python_sdk_of_azure_understands_the_simulator() {
    drive("test_azure.py", 11, true);
}

#[test]
fn the_python_sdks_for_vertex_understand_the_simulator() {
    drive("test_vertex.py", 14, true);
}

#[test]
fn the_python_sdk_of_amazon_understands_the_simulator() {
    drive("test_bedrock.py", 18, true);
}

#[test]
fn the_python_sdk_of_mistral_understands_the_simulator() {
    drive("test_mistral.py", 15, true);
}

#[test]
fn the_python_sdk_of_together_understands_the_simulator() {
    drive("test_together.py", 9, true);
}

#[test]
fn the_python_sdk_of_hugging_face_understands_the_simulator() {
    drive("test_huggingface.py", 9, true);
}

#[test]
fn the_python_sdk_of_fireworks_understands_the_simulator() {
    drive("test_fireworks.py", 9, true);
}

/// xAI and OpenRouter tell their users to take OpenAI's.
#[test]
fn the_python_sdk_of_openai_understands_the_simulated_family() {
    drive("test_family.py", 11, true);
}
