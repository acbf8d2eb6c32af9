//! Limits of provider keys and of clients, over several shards, as a client meets them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

use common::*;

const KEY_A: &str = "sk-upstream-key-aaaaaaaaaa";
const KEY_B: &str = "sk-upstream-key-bbbbbbbbbb";

/// A gateway on `shards` shards with two provider keys, the given limits of each and of the client.
fn gateway(provider: &Provider, shards: usize, of_key: &str, of_client: &str, policy: &str) -> Gateway {
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: {shards}}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
llm_providers:
  - {{id: openai, type: openai, base_url: 'http://{}/v1', api_keys: [{KEY_A}, {KEY_B}],
     pricing: {{input_token_cost: 1000, output_token_cost: 1000}}, limits: {{{of_key}}}}}
api_keys: [{{id: tester, key: {KEY}, limits: {{{of_client}}}}}]
policy: {{{policy}}}
",
            provider.at()
        ),
        &[],
    )
}

/// Requests that the provider saw with a key.
fn with_key(provider: &Provider, key: &str) -> usize {
    let bearer = format!("Bearer {key}");
    provider.seen().iter().filter(|seen| seen.header("authorization").as_ref() == Some(&bearer)).count()
}

/// Sends `count` requests, each on a connection of its own, so that they spread over the shards.
fn spread(gateway: &Gateway, count: usize) -> Vec<Reply> {
    let mut clients: Vec<Client> = (0..count).map(|_| gateway.connect()).collect();
    clients.iter_mut().map(|client| client.chat(&chat_body("openai:m"))).collect()
}

fn statuses(replies: &[Reply]) -> (usize, usize) {
    let count = |status| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!(count(200) + count(429), replies.len(), "{replies:?}");
    (count(200), count(429))
}

#[test]
fn a_keys_limit_holds_over_all_shards_and_every_key_is_used_up() {
    let provider = Provider::plain();
    let gateway = gateway(&provider, 8, "req_per_min: 7", "", "budget_wait: 0s");
    let replies = spread(&gateway, 40);
    assert_eq!(statuses(&replies), (14, 26));
    assert_eq!((with_key(&provider, KEY_A), with_key(&provider, KEY_B)), (7, 7));
    let refused = replies.iter().find(|reply| reply.status == 429).unwrap();
    assert_eq!(refused.error_code(), "rate_limit_exceeded");
    // The oldest spend leaves the window a minute after it was made, which was moments ago.
    let after_ms: u64 = refused.header("retry-after-ms").unwrap().parse().unwrap();
    assert!((50_000..=60_300).contains(&after_ms), "{after_ms}");
    let after_s: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(after_s, after_ms.div_ceil(1000));
    // Shards tell the homes within a tick, and the homes show it.
    thread::sleep(Duration::from_millis(100));
    assert_eq!(gateway.metric("coo_llm_budget_spent", &["requests_per_minute", "provider=\"openai\""]), 14.0);
    assert_eq!(gateway.metric("coo_llm_budget_limit", &["requests_per_minute"]), 14.0);
    assert_eq!(gateway.metric("coo_llm_budget_free", &["requests_per_minute"]), 0.0);
}

#[test]
fn a_clients_limit_is_told_in_headers_and_the_providers_is_not() {
    let provider = Provider::start(|_, stream| {
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-RateLimit-Remaining-Requests: 77\r\n";
        stream
            .write_all(format!("{head}Content-Length: {}\r\n\r\n{COMPLETION}", COMPLETION.len()).as_bytes())
            .is_ok()
    });
    let gateway = gateway(&provider, 2, "", "req_per_min: 3, tokens_per_min: 1000000", "budget_wait: 0s");
    let mut client = gateway.connect();
    for left in ["2", "1", "0"] {
        let reply = client.chat(&chat_body("openai:m"));
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("x-ratelimit-limit-requests"), Some("3"));
        assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some(left), "{}", reply.head);
        assert_eq!(reply.header("x-ratelimit-limit-tokens"), Some("1000000"));
        assert!(reply.header("x-ratelimit-reset-tokens").is_some());
    }
    let refused = client.chat(&chat_body("openai:m"));
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining-requests")), (429, Some("0")));
    assert_eq!(provider.seen().len(), 3);
}

#[test]
fn a_request_waits_for_a_place_and_gives_it_back() {
    let provider = Provider::start(|_, stream| {
        thread::sleep(Duration::from_millis(300));
        respond(stream, COMPLETION)
    });
    let gateway = gateway(&provider, 2, "", "max_concurrent: 1", "budget_wait: 5s");
    let started = Instant::now();
    thread::scope(|scope| {
        let calls: Vec<_> =
            (0..4).map(|_| scope.spawn(|| gateway.chat(&chat_body("openai:m")).status)).collect();
        assert!(calls.into_iter().all(|call| call.join().unwrap() == 200));
    });
    assert!(started.elapsed() >= Duration::from_millis(1200), "{:?}", started.elapsed());
    let reply = gateway.chat(&chat_body("openai:m"));
    assert_eq!(reply.status, 200, "the place of each was given back");
}

#[test]
fn one_who_leaves_the_line_lets_others_in() {
    let provider = Provider::start(|_, stream| {
        thread::sleep(Duration::from_millis(400));
        respond(stream, COMPLETION)
    });
    let gateway = gateway(&provider, 1, "", "max_concurrent: 1", "budget_wait: 5s");
    thread::scope(|scope| {
        let first = scope.spawn(|| gateway.chat(&chat_body("openai:m")).status);
        thread::sleep(Duration::from_millis(100));
        let mut leaver = gateway.connect();
        leaver.send(&chat_request(&chat_body("openai:m")));
        thread::sleep(Duration::from_millis(50));
        drop(leaver);
        let last = scope.spawn(|| gateway.chat(&chat_body("openai:m")).status);
        assert_eq!((first.join().unwrap(), last.join().unwrap()), (200, 200));
    });
    assert_eq!(provider.seen().len(), 2, "who left was never sent");
}

#[test]
fn tokens_are_reserved_and_settled_by_what_the_provider_counted() {
    let provider = Provider::plain();
    // Each answer says 53 tokens; at worst a request could use some hundreds.
    let gateway =
        gateway(&provider, 4, "", "tokens_per_min: 1000", "budget_wait: 1s, token_reserve: worst_case");
    let body = |most: u32| {
        format!(r#"{{"model":"openai:m","max_tokens":{most},"messages":[{{"role":"user","content":"Hi"}}]}}"#)
    };
    let (mut passed, mut refused) = (0, 0);
    while refused < 3 {
        let reply = gateway.chat(&body(300));
        if reply.status == 200 {
            passed += 1;
        } else {
            assert_eq!((reply.status, reply.error_code()), (429, "rate_limit_exceeded".into()));
            refused += 1;
            // On a busy machine a refund may take more than a tick.
            thread::sleep(Duration::from_millis(200));
        }
    }
    // 12 × 53 = 636 are used, and a thirteenth could need more than what is left.
    assert!((10..=13).contains(&passed), "{passed}");
    let never = gateway.chat(&body(2_000));
    assert_eq!(never.status, 429);
    assert!(never.text().contains("Request too large") && never.text().contains("limit 1000"), "{never:?}");
}

#[test]
fn money_is_counted_and_its_end_is_insufficient_quota() {
    let provider = Provider::plain();
    // 53 tokens at 1000 USD a million cost 5.3 cents.
    let gateway = gateway(&provider, 2, "", "spend_per_day: 0.5", "budget_wait: 0s");
    let mut replies = spread(&gateway, 20);
    let (passed, _) = statuses(&replies);
    assert!((5..=10).contains(&passed), "{passed}");
    let refused = replies.pop().unwrap();
    assert_eq!(refused.error_code(), "insufficient_quota");
    assert!(refused.header("retry-after").is_some());
    thread::sleep(Duration::from_millis(100));
    let spent = gateway.metric("coo_llm_budget_spent", &["micro_usd_per_day", "client=\"tester\""]);
    assert_eq!(spent, passed as f64 * 53_000.0);
}

#[test]
fn a_key_that_its_provider_refuses_rests_on_every_shard() {
    let provider = Provider::start(|seen, stream| {
        if seen.head.contains(KEY_A) {
            let body = r#"{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
            let head =
                "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 30\r\n";
            return stream
                .write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
                .is_ok();
        }
        respond(stream, COMPLETION)
    });
    let gateway = gateway(&provider, 4, "", "", "");
    let replies = spread(&gateway, 24);
    assert_eq!(with_key(&provider, KEY_A), 1, "one refusal is enough for all shards");
    assert_eq!(statuses(&replies), (24, 0), "and the client does not see it");
}

#[test]
fn no_more_output_is_asked_for_than_is_allowed() {
    let provider = Provider::plain();
    let gateway = gateway(&provider, 1, "max_tokens: 100", "", "");
    let body = r#"{"model":"openai:m","max_tokens":101,"messages":[{"role":"user","content":"Hi"}]}"#;
    let reply = gateway.chat(body);
    assert_eq!((reply.status, reply.error_code()), (400, "invalid_value".into()));
    assert_eq!(gateway.chat(&chat_body("openai:m")).status, 200);
}

#[test]
fn without_patience_one_too_many_at_a_time_is_refused_at_once() {
    let provider = Provider::start(|_, stream| {
        thread::sleep(Duration::from_millis(1500));
        respond(stream, COMPLETION)
    });
    let gateway = gateway(&provider, 1, "max_concurrent: 1", "", "budget_wait: 0s");
    // Both keys have one each.
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let mut client = gateway.connect();
            client.send(&chat_request(&chat_body("openai:m")));
            thread::sleep(Duration::from_millis(60));
            client
        })
        .collect();
    for _ in 0..5 {
        let begun = std::time::Instant::now();
        assert_eq!(gateway.chat(&chat_body("openai:m")).status, 429);
        assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    }
    for mut client in busy {
        assert_eq!(client.reply().status, 200);
    }
    thread::sleep(Duration::from_millis(100));
    assert_eq!(gateway.chat(&chat_body("openai:m")).status, 200, "and it is known when one is free again");
}
