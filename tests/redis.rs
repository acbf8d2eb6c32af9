//! Limits shared by several instances through a real Redis, which may also go away.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{thread, time::Duration};

use common::{
    redis::{Redis, alternate},
    *,
};

fn instance(provider: &Provider, redis: &Redis, limits: &str) -> Gateway {
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 2}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
storage: {{runtime: {{type: redis, addr: '127.0.0.1:{}'}}}}
llm_providers:
  - {{id: openai, type: openai, base_url: 'http://{}/v1', api_keys: [sk-upstream-key-0000000001], limits: {{{limits}}}}}
api_keys: [{{id: tester, key: {KEY}}}]
policy: {{budget_wait: 1s}}
",
            redis.port,
            provider.at()
        ),
        &[],
    )
}

#[test]
fn instances_share_one_limit_however_the_load_falls() {
    let (provider, redis) = (Provider::plain(), Redis::start());
    let gateways =
        [instance(&provider, &redis, "req_per_min: 30"), instance(&provider, &redis, "req_per_min: 30")];
    let passed = alternate(&gateways, 10);
    assert_eq!(passed.iter().sum::<usize>(), 20);
    // The rest of it, all at one, once the other has returned what it no longer needs.
    let rest: usize = (0..8)
        .map(|_| {
            thread::sleep(Duration::from_millis(150));
            alternate(&gateways[..1], 3)[0]
        })
        .sum();
    assert_eq!(rest, 10);
    let refused = gateways[1].chat(&chat_body("openai:m"));
    assert_eq!(refused.status, 429);
    let after_ms: u64 = refused.header("retry-after-ms").unwrap().parse().unwrap();
    assert!((30_000..=60_500).contains(&after_ms), "{after_ms}");
    assert_eq!(provider.seen().len(), 30);
    // None of it waited for Redis: what it heard of is rounds, not requests.
    assert!(gateways[0].stderr.lock().unwrap().lines().all(|line| !line.contains("redis:")), "complaints");
    assert!(redis.exchanges() > 0);
}

#[test]
fn an_idle_instance_hardly_speaks() {
    let (provider, redis) = (Provider::plain(), Redis::start());
    let _gateway = instance(&provider, &redis, "req_per_min: 30");
    thread::sleep(Duration::from_millis(500));
    let before = redis.exchanges();
    thread::sleep(Duration::from_secs(2));
    let rate = (redis.exchanges() - before) as f64 / 2.0;
    assert!((1.0..=3.0).contains(&rate), "{rate} a second");
}

#[test]
fn a_redis_that_comes_back_empty_is_told_what_was_spent() {
    let (provider, mut redis) = (Provider::plain(), Redis::start());
    let gateways =
        [instance(&provider, &redis, "req_per_min: 40"), instance(&provider, &redis, "req_per_min: 40")];
    assert_eq!(alternate(&gateways, 8).iter().sum::<usize>(), 16);
    redis.kill();
    thread::sleep(Duration::from_millis(300));
    redis.restart_empty();
    // At once: nobody may be granted anything before both have told.
    let passed: usize = alternate(&gateways, 20).iter().sum();
    assert_eq!(provider.seen().len(), 16 + passed);
    assert!(16 + passed <= 40, "{passed}");
    thread::sleep(Duration::from_millis(500));
    let more: usize = alternate(&gateways, 20).iter().sum();
    assert_eq!(16 + passed + more, 40, "and all of it can be used");
}

#[test]
fn while_redis_is_down_each_instance_spends_its_own_part_again_and_no_more() {
    let (provider, mut redis) = (Provider::plain(), Redis::start());
    let gateways =
        [instance(&provider, &redis, "req_per_min: 10"), instance(&provider, &redis, "req_per_min: 10")];
    assert_eq!(alternate(&gateways, 3), [3, 3]);
    redis.kill();
    thread::sleep(Duration::from_secs(3));
    // What each holds is at most the four that were left.
    let passed: usize = alternate(&gateways, 5).iter().sum();
    assert!(passed <= 4, "{passed}");
    let log = gateways[0].stderr.lock().unwrap().clone();
    assert!(log.contains("redis: down; going on"), "{log}");
    redis.restart_empty();
    thread::sleep(Duration::from_secs(1));
    let more: usize = alternate(&gateways, 10).iter().sum();
    let log = gateways[0].stderr.lock().unwrap().clone();
    assert_eq!(passed + more, 4, "{log}");
    assert_eq!(provider.seen().len(), 10);
}
