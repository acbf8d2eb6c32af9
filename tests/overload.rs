//! More requests than a provider, or the gateway, can serve: who waits, who goes first, who is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::*;
use coo_bench::simulate::{self, Settings};

const GREEDY: &str = "sk-greedy-0123456789";
const SMALL: &str = "sk-small-0123456789";
const URGENT: &str = "sk-urgent-0123456789";

/// One shard with one provider, whose key has `limits`, and three clients.
fn gateway(provider: &str, server: &str, limits: &str, policy: &str) -> Gateway {
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1{server}}}
logging: {{access: {{path: FOLDER/access.log}}}}
llm_providers:
  - {{id: openai, type: openai, base_url: 'http://{provider}/v1', api_keys: [sk-upstream], limits: {{{limits}}}}}
api_keys:
  - {{id: greedy, key: {GREEDY}}}
  - {{id: small, key: {SMALL}}}
  - {{id: urgent, key: {URGENT}, priority: high}}
policy: {{{policy}}}
"
        ),
        &[],
    )
}

/// Sends a request whose model is `name`, without waiting for its answer.
fn send(gateway: &Gateway, key: &str, name: &str, more: &str) -> Client {
    let body = chat_body(&format!("openai:{name}"));
    let mut client = gateway.connect();
    client.send(&format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client
}

/// Answers after a time in which all that a test sends have come.
fn slow() -> Provider {
    Provider::start(|_, stream| {
        thread::sleep(Duration::from_millis(150));
        respond(stream, COMPLETION)
    })
}

/// The models that a provider was asked for, in order.
fn order(provider: &Provider) -> Vec<String> {
    provider.seen().iter().map(|seen| seen.json()["model"].as_str().unwrap().to_owned()).collect()
}

/// So long that what was sent before is in line before what is sent after.
fn settle() {
    thread::sleep(Duration::from_millis(20));
}

#[test]
fn a_client_that_sends_little_does_not_wait_behind_one_that_sends_much() {
    let provider = slow();
    let gateway = gateway(&provider.at(), "", "max_concurrent: 1", "budget_wait: 10s");
    let mut clients = Vec::new();
    for n in 0..6 {
        clients.push(send(&gateway, GREEDY, &format!("a{n}"), ""));
        settle();
    }
    for n in 0..2 {
        clients.push(send(&gateway, SMALL, &format!("b{n}"), ""));
        settle();
    }
    assert!(clients.iter_mut().all(|client| client.reply().status == 200));
    // By then one or two had been served; from there on they take turns.
    let order = order(&provider);
    let of_small: Vec<usize> = (0..8).filter(|&at| order[at].starts_with('b')).collect();
    assert!(of_small[0] <= 4 && of_small[1] <= of_small[0] + 2, "{order:?}");
    let of_greedy: Vec<&String> = order.iter().filter(|name| name.starts_with('a')).collect();
    assert!(of_greedy.is_sorted(), "{order:?}");
}

#[test]
fn urgent_requests_go_first_and_a_header_can_only_make_them_less_so() {
    let provider = slow();
    let gateway = gateway(&provider.at(), "", "max_concurrent: 1", "budget_wait: 10s");
    let mut clients = vec![send(&gateway, GREEDY, "first", "")];
    settle();
    for (key, name, more) in [
        (URGENT, "4-later", "X-Priority: low\r\n"),
        (GREEDY, "2-normal", ""),
        (GREEDY, "3-not-raised", "X-Priority: high\r\n"),
        (URGENT, "1-urgent", ""),
    ] {
        clients.push(send(&gateway, key, name, more));
        settle();
    }
    assert!(clients.iter_mut().all(|client| client.reply().status == 200));
    assert_eq!(order(&provider), ["first", "1-urgent", "2-normal", "3-not-raised", "4-later"]);
}

#[test]
fn a_full_line_makes_room_for_who_has_less_in_it() {
    let provider = slow();
    let gateway = gateway(&provider.at(), "", "max_concurrent: 1", "budget_wait: 10s, budget_queue: 3");
    let mut greedy = Vec::new();
    for n in 0..4 {
        greedy.push(send(&gateway, GREEDY, &format!("a{n}"), ""));
        settle();
    }
    let mut more = send(&gateway, GREEDY, "a4", "");
    assert_eq!(more.reply().status, 429, "no room for another of its own");
    let mut small = send(&gateway, SMALL, "b", "");
    let turned_away = greedy[3].reply();
    assert_eq!((turned_away.status, turned_away.error_code()), (429, "rate_limit_exceeded".to_owned()));
    assert!(turned_away.header("retry-after").is_some());
    assert_eq!(small.reply().status, 200);
    assert!(greedy[..3].iter_mut().all(|client| client.reply().status == 200));
}

#[test]
fn the_last_places_of_the_gateway_are_for_clients_that_hold_few() {
    let provider = slow();
    let gateway = gateway(&provider.at(), ", max_concurrent_requests: 32", "", "");
    let mut greedy: Vec<Client> = (0..40).map(|n| send(&gateway, GREEDY, &format!("a{n}"), "")).collect();
    settle();
    let mut small = send(&gateway, SMALL, "b", "");
    assert_eq!(small.reply().status, 200);
    let replies: Vec<Reply> = greedy.iter_mut().map(Client::reply).collect();
    let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert_eq!(refused.len(), 12, "of 32 places it gets 28");
    assert!(refused.iter().all(|reply| reply.error_code() == "no_capacity"));
    assert!(refused.iter().all(|reply| reply.header("retry-after") == Some("1")));
}

/// Nobody says that the provider serves four at a time: it only answers the later the more it is asked.
#[test]
fn a_provider_that_has_too_much_to_do_is_found_out_and_given_less() {
    let simulator = simulate::start(Settings {
        capacity: Some(4),
        latency: "uniform:18ms..22ms".parse().unwrap(),
        ..Settings::default()
    })
    .unwrap();
    let gateway = gateway(&simulator.addr().to_string(), "", "", "");
    let limit = || gateway.metric("coo_llm_provider_concurrency_limit", &["provider=\"openai\""]);
    let body = chat_body("openai:gpt-4o-mini");
    let ask = |client: &mut Client| {
        client.send(&chat_request(&body).replace(KEY, GREEDY));
        client.reply()
    };
    let mut alone = gateway.connect();
    for _ in 0..60 {
        assert_eq!(ask(&mut alone).status, 200);
    }
    // Twice as many as it can serve come, whatever becomes of them.
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let (stop, served, gateway) = (&stop, &served, &gateway);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_micros(2500));
                scope.spawn(move || {
                    let reply = ask(&mut gateway.connect());
                    match reply.status {
                        200 => {
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        503 => {
                            assert_eq!(reply.error_code(), "no_capacity");
                            assert_eq!(reply.header("retry-after"), Some("1"));
                        }
                        _ => panic!("{reply:?}"),
                    }
                });
            }
        });
        eventually("a limit near what it serves", || (2.0..=8.0).contains(&limit()));
        let (began, before) = (Instant::now(), served.load(Ordering::Relaxed));
        thread::sleep(Duration::from_secs(1));
        let rate = (served.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        // It serves 200 a second; the machine may be busy with other tests.
        assert!(rate > 50.0, "{rate} a second");
    });
    assert!(gateway.metric("coo_llm_provider_shed_total", &["provider=\"openai\""]) > 0.0);
    // And afterwards everybody is served.
    for _ in 0..5 {
        assert_eq!(ask(&mut alone).status, 200);
    }
}
