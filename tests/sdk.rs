//! The official OpenAI SDKs, unmodified, against a gateway with the provider simulator behind it.
//!
//! What they check is in `sdk/python` and `sdk/node`; `tests/run` installs the SDKs in the pinned versions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;
#[path = "common/sdk.rs"]
mod sdk;

use std::{fs, process::Command};

use common::*;
use coo_bench::simulate::{self, KeyLimits, SERVICE_ACCOUNT, Settings, Simulator};
use sdk::{file, installed, number};

fn start() -> (Simulator, Gateway) {
    let key = |key: &str, req_per_min| KeyLimits { key: key.into(), req_per_min, ..KeyLimits::default() };
    let keys = vec![key("sk-upstream-key-0000000001", None), key("sk-tight", Some(1))];
    let simulator = simulate::start(Settings { keys, ..Settings::default() }).unwrap();
    let at = simulator.addr();
    let gateway = Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{path: FOLDER/access.log}}}}
upstream: {{timeouts: {{first_byte: 1s, between_bytes: 1s}}}}
llm_providers:
  - {{id: openai, type: openai, base_url: 'http://{at}/v1', api_keys: [sk-upstream-key-0000000001], models: [gpt-4o-mini, text-embedding-3-small]}}
  - {{id: tight, type: custom, base_url: 'http://{at}/v1', api_keys: [sk-tight]}}
api_keys:
  - {{id: tester, key: {KEY}}}
  - {{id: limited, key: sk-limited-0123456789, allowed_providers: [tight]}}
  - {{id: small, key: sk-two-a-minute, limits: {{req_per_min: 2}}}}
model_aliases: {{fast: 'openai:gpt-4o-mini'}}
"
        ),
        &[],
    );
    (simulator, gateway)
}

/// Runs the SDK's tests; `count` finds how many ran in what they printed.
fn drive(command: &mut Command, count: impl Fn(&str) -> Option<u32>) {
    let (simulator, gateway) = start();
    command
        .env("BASE_URL", format!("http://{}/v1", gateway.addr))
        .env("API_KEY", KEY)
        .env("LIMITED_KEY", "sk-limited-0123456789")
        .env_remove("OPENAI_ORG_ID")
        .env_remove("OPENAI_PROJECT_ID")
        .env("NO_PROXY", "127.0.0.1");
    let output = command.output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}\nthe gateway said:\n{}", gateway.stderr.lock().unwrap());
    assert!(count(&text).is_some_and(|n| n > 10), "too few tests ran: {text}");
    assert_eq!(gateway.metric("coo_llm_active_requests", &[]), 0.0, "nothing is left running");
    simulator.stop();
}

#[test]
fn the_python_sdk_works_unmodified() {
    let python = installed("venv/bin/python");
    installed("venv/installed");
    drive(Command::new(python).arg(file("tests/sdk/python/test_openai.py")), |text| number(text, "\nRan "));
}

#[test]
fn the_node_sdk_works_unmodified() {
    // Modules are looked up from the script's own folder.
    installed("node/installed");
    let script = installed("node").join("test_openai.mjs");
    fs::copy(file("tests/sdk/node/test_openai.mjs"), &script).unwrap();
    drive(Command::new("node").args(["--test", "--test-reporter=tap"]).arg(script), |text| {
        number(text, "\n# pass ")
    });
}

/// Runs a script of the official clients against a gateway with a provider of each dialect behind it; it must have at
/// least so many tests.
fn drive_to_every_provider(script: &str, least: u32) {
    let tokens = "24".parse().unwrap();
    let key = |key: &str| KeyLimits { key: key.into(), ..KeyLimits::default() };
    let signs = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY:session+token==";
    // Those of its own clients too.
    let keys = ["sk-upstream-key-0000000001", KEY, SERVICE_ACCOUNT, signs].map(key).to_vec();
    let simulator = simulate::start(Settings { keys, answer_tokens: tokens, ..Settings::default() }).unwrap();
    let (at, account) = (simulator.addr(), simulator.service_account());
    let gateway = Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{path: FOLDER/access.log}}}}
llm_providers:
  - {{id: openai, type: openai, base_url: 'http://{at}/v1', api_keys: [sk-upstream-key-0000000001], models: [gpt-4o-mini]}}
  - {{id: claude, type: claude, base_url: 'http://{at}/v1', api_keys: [sk-upstream-key-0000000001]}}
  - {{id: gemini, type: gemini, base_url: 'http://{at}/v1beta', api_keys: [sk-upstream-key-0000000001]}}
  - {{id: cohere, type: cohere, base_url: 'http://{at}/v2', api_keys: [sk-upstream-key-0000000001]}}
  - {{id: voyage, type: voyage, base_url: 'http://{at}/voyage/v1', api_keys: [sk-upstream-key-0000000001]}}
  - {{id: replicate, type: replicate, base_url: 'http://{at}/v1', stream_base_url: 'http://{at}', api_keys: [sk-upstream-key-0000000001]}}
  - {{id: azure, type: azure, base_url: 'http://{at}', api_version: 2024-10-21, api_keys: [sk-upstream-key-0000000001]}}
  - {{id: vertex, type: vertex, base_url: 'http://{at}', credentials: '{account}'}}
  - {{id: mistral, type: mistral, base_url: 'http://{at}/mistral/v1', api_keys: [sk-upstream-key-0000000001]}}
  - {{id: grok, type: grok, base_url: 'http://{at}/grok/v1', api_keys: [sk-upstream-key-0000000001]}}
  - {{id: openrouter, type: openrouter, base_url: 'http://{at}/openrouter/api/v1', api_keys: [sk-upstream-key-0000000001]}}
  - {{id: together, type: together, base_url: 'http://{at}/together/v1', api_keys: [sk-upstream-key-0000000001]}}
  - {{id: fireworks, type: fireworks, base_url: 'http://{at}/fireworks/inference/v1', api_keys: [sk-upstream-key-0000000001]}}
  - {{id: huggingface, type: huggingface, base_url: 'http://{at}/huggingface/v1', api_keys: [sk-upstream-key-0000000001]}}
  - {{id: bedrock, type: bedrock, base_url: 'http://{at}', region: us-east-1, api_keys: ['{signs}']}}
api_keys: [{{id: tester, key: {KEY}}}]
policy: {{retry: {{max_attempts: 1}}}}
"
        ),
        &[],
    );
    eventually("there is an access token", || {
        gateway.chat(&chat_body("vertex:gemini-2.5-flash")).status == 200
    });
    let output = Command::new(installed("venv/bin/python"))
        .arg(file("tests/sdk/python").join(script))
        .env("GATEWAY", gateway.addr.to_string())
        .env("SIMULATOR", at.to_string())
        .env("API_KEY", KEY)
        .env_remove("OPENAI_ORG_ID")
        .env_remove("OPENAI_PROJECT_ID")
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{text}");
    assert!(output.status.success(), "{text}\nthe gateway said:\n{}", gateway.stderr.lock().unwrap());
    assert!(number(&text, "\nRan ").is_some_and(|n| n >= least), "too few tests ran: {text}");
    simulator.stop();
}

/// OpenAI's, Anthropic's, Google's and Cohere's clients and LangChain's, each to a provider that speaks OpenAI's,
/// Anthropic's, Google's, Cohere's, Replicate's and Amazon's dialect, and OpenAI's in its own way.
#[test]
fn every_client_speaks_to_every_provider() {
    drive_to_every_provider("test_matrix.py", 180);
}

/// Google's client in all its ways, to some of them.
#[test]
fn googles_client_keeps_chats_and_calls_functions() {
    drive_to_every_provider("test_google.py", 11);
}

/// The clients that embed and rank, to providers that have these and no OpenAI.
#[test]
fn every_client_embeds_and_ranks_at_every_provider() {
    drive_to_every_provider("test_vectors.py", 10);
}
