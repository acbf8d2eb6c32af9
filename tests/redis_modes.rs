//! Limits shared through Redis however it is set up: over TLS with a login, known by sentinels, as a cluster. The
//! servers are real, and fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use common::{
    redis::{Redis, alternate, free_port},
    *,
};

/// A gateway with `storage.runtime: {type: redis, ...}` and a limit on its provider's key.
fn instance(provider: &Provider, runtime: &str, limit: usize) -> Gateway {
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 2}}
storage: {{runtime: {{type: redis, {runtime}}}}}
llm_providers:
  - {{id: openai, type: openai, base_url: 'http://{}/v1', api_keys: [sk-upstream-key-0000000001], limits: {{req_per_min: {limit}}}}}
api_keys: [{{id: tester, key: {KEY}}}]
policy: {{budget_wait: 1s}}
",
            provider.at()
        ),
        &[],
    )
}

/// Waits until the gateway has said `what`.
fn wait_for_log(gateway: &Gateway, what: &str) {
    let until = Instant::now() + 3 * PATIENCE;
    while !gateway.stderr.lock().unwrap().contains(what) {
        assert!(Instant::now() < until, "no {what:?} in {}", gateway.stderr.lock().unwrap());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Spends what is left of `limit`: exactly that passes.
fn spend_the_rest(provider: &Provider, gateways: &[Gateway], limit: usize) {
    let until = Instant::now() + 2 * PATIENCE;
    while provider.seen().len() < limit && Instant::now() < until {
        alternate(gateways, 3);
        thread::sleep(Duration::from_millis(100));
    }
    alternate(gateways, 5);
    let logs: Vec<_> = gateways.iter().map(|gateway| gateway.stderr.lock().unwrap().clone()).collect();
    assert_eq!(provider.seen().len(), limit, "{logs:?}");
}

#[test]
fn over_tls_with_a_login_and_a_certificate_of_ones_own() {
    let files = Certificate::new();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (cert_file, key_file, ca_file) = (path(&files.cert), path(&files.key), path(&files.ca));
    let port = free_port();
    let _redis = Redis::with(
        port,
        &[
            "--port",
            "0",
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &cert_file,
            "--tls-key-file",
            &key_file,
            "--tls-ca-cert-file",
            &ca_file,
            "--tls-auth-clients",
            "no",
            "--save",
            "",
            "--user",
            "app",
            "on",
            ">a-password",
            "~coo-llm*",
            "+@all",
            "--user",
            "default",
            "off",
        ],
    );
    let provider = Provider::plain();
    let right = format!("addr: 'rediss://app:a-password@localhost:{port}/3', ca_file: {ca_file}");
    let gateways = [instance(&provider, &right, 20), instance(&provider, &right, 20)];
    spend_the_rest(&provider, &gateways, 20);
    assert!(gateways.iter().all(|gateway| !gateway.stderr.lock().unwrap().contains("redis:")));

    for (runtime, complaint) in [
        (format!("addr: 'rediss://app:a-password@localhost:{port}'"), "UnknownIssuer"),
        (
            format!("addr: 'rediss://app:wrong-secret@localhost:{port}', ca_file: {ca_file}"),
            "authentication failed",
        ),
    ] {
        let refused = instance(&provider, &runtime, 20);
        wait_for_log(&refused, complaint);
        assert_eq!(refused.chat(&chat_body("openai:m")).status, 429, "nothing may be spent unseen");
        assert!(!refused.stderr.lock().unwrap().contains("secret"));
    }
}

#[test]
fn sentinels_name_the_server_and_its_successor() {
    let mut first = Redis::start();
    let (first_port, second_port) = (first.port.to_string(), free_port());
    let second = Redis::with(
        second_port,
        &["--port", &second_port.to_string(), "--save", "", "--replicaof", "127.0.0.1", &first_port],
    );
    second.wait_for(&["info", "replication"], |said| said.contains("master_link_status:up"));
    let (folder, port) = (folder(), free_port());
    let config = folder.join("sentinel.conf");
    fs::write(
        &config,
        format!(
            "port {port}\nsentinel monitor main 127.0.0.1 {first_port} 1\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
        ),
    )
    .unwrap();
    let sentinel = Redis::with(port, &[config.to_str().unwrap(), "--sentinel"]);
    sentinel.wait_for(&["sentinel", "replicas", "main"], |said| said.contains(&second_port.to_string()));

    let provider = Provider::plain();
    let runtime = format!("addr: '127.0.0.1:{port}', mode: sentinel, master_name: main");
    let gateways = [instance(&provider, &runtime, 40), instance(&provider, &runtime, 40)];
    assert_eq!(alternate(&gateways, 8), [8, 8]);
    first.kill();
    second.wait_for(&["role"], |said| said.starts_with("master"));
    // Meanwhile, and after: never more than the limit, and in the end all of it.
    alternate(&gateways, 5);
    spend_the_rest(&provider, &gateways, 40);
    assert!(second.exchanges() > 0);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_cluster_is_one_store_and_may_fail_over() {
    let mut nodes: Vec<Redis> = (0..6)
        .map(|_| {
            let (port, bus) = (free_port(), free_port());
            Redis::with(
                port,
                &[
                    "--port",
                    &port.to_string(),
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus.to_string(),
                    "--cluster-node-timeout",
                    "1000",
                    "--save",
                    "",
                ],
            )
        })
        .collect();
    let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let made = Command::new("redis-cli")
        .args(["--cluster", "create", "--cluster-replicas", "1", "--cluster-yes"])
        .args(&addresses)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    for node in &nodes {
        node.wait_for(&["cluster", "info"], |said| said.contains("cluster_state:ok"));
        node.wait_for(&["info", "replication"], |said| {
            said.contains("role:master") || said.contains("master_link_status:up")
        });
    }

    let provider = Provider::plain();
    let runtime = format!("addr: '{},{}', mode: cluster", addresses[0], addresses[1]);
    let gateways = [instance(&provider, &runtime, 40), instance(&provider, &runtime, 40)];
    assert_eq!(alternate(&gateways, 8), [8, 8]);
    // All of it is on one node.
    let holds =
        |node: &Redis| node.cli(&["dbsize"]).trim() != "0" && node.cli(&["role"]).starts_with("master");
    let holders: Vec<usize> = (0..6).filter(|&index| holds(&nodes[index])).collect();
    assert_eq!(holders.len(), 1, "{holders:?}");
    nodes[holders[0]].kill();
    let left: Vec<&Redis> = (0..6).filter(|index| *index != holders[0]).map(|index| &nodes[index]).collect();
    let until = Instant::now() + 3 * PATIENCE;
    while !left.iter().any(|node| holds(node)) {
        assert!(Instant::now() < until, "no replica took over");
        thread::sleep(Duration::from_millis(50));
    }
    alternate(&gateways, 5);
    spend_the_rest(&provider, &gateways, 40);
}
