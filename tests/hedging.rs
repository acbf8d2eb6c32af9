//! A second attempt beside one whose answer is late.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use common::*;

const STALL: Duration = Duration::from_millis(700);

/// Providers `a` and `b` with more in their sections; `fast` is `a`, and `b` where `a` was tried.
fn gateway(a: (&Provider, &str), b: (&Provider, &str), policy: &str) -> Gateway {
    let provider = |id: &str, (provider, more): (&Provider, &str)| {
        format!(
            "  - {{id: {id}, type: custom, base_url: 'http://{}/v1', api_keys: [k-{id}], models: [m]{more}}}\n",
            provider.at()
        )
    };
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
llm_providers:
{}{}api_keys: [{{id: tester, key: {KEY}}}]
model_aliases: {{fast: ['a:m', 'b:m']}}
policy: {{algorithm: weighted_round_robin, weights: {{a: 1, b: 0}}, {policy}}}
",
            provider("a", a),
            provider("b", b)
        ),
        &[],
    )
}

/// Answers at once, but for the requests that `is_slow` picks by their number.
fn slow_at_times(is_slow: fn(usize) -> bool) -> Provider {
    let count = AtomicUsize::new(0);
    Provider::start(move |_, stream| {
        if is_slow(count.fetch_add(1, Ordering::Relaxed)) {
            thread::sleep(STALL);
        }
        respond(stream, COMPLETION)
    })
}

fn sent_and_won(gateway: &Gateway) -> (f64, f64) {
    (gateway.metric("coo_llm_hedges_sent_total", &[]), gateway.metric("coo_llm_hedges_won_total", &[]))
}

/// Sends a request; who answered, after how many attempts, and in what time.
fn ask(client: &mut Client, body: &str) -> (String, String, Duration) {
    let begun = Instant::now();
    let reply = client.chat(body);
    assert_eq!(reply.status, 200, "{reply:?}");
    let field = |name| reply.header(name).unwrap().to_owned();
    (field("x-coo-provider"), field("x-coo-attempts"), begun.elapsed())
}

#[test]
fn the_tail_is_cut() {
    let (a, b) = (slow_at_times(|n| n % 10 == 9), Provider::plain());
    let gateway = gateway((&a, ""), (&b, ""), "hedge: 100ms");
    let mut client = gateway.connect();
    for n in 0..50 {
        let (provider, attempts, took) = ask(&mut client, &chat_body("fast"));
        if n % 10 == 9 {
            assert_eq!((provider.as_str(), attempts.as_str()), ("b", "2"), "{n}");
            assert!((90..STALL.as_millis()).contains(&took.as_millis()), "{n}: {took:?}");
        } else {
            assert_eq!((provider.as_str(), attempts.as_str()), ("a", "1"), "{n}");
        }
    }
    let log = gateway.log(50);
    assert_eq!(log.len(), 50, "a request is logged once");
    assert_eq!(log.iter().filter(|line| line["attempts"] == 2 && line["provider"] == "b").count(), 5);
    assert_eq!(sent_and_won(&gateway), (5.0, 5.0));
    assert_eq!((a.seen().len(), b.seen().len()), (50, 5));
    assert_eq!(gateway.metric("coo_llm_requests_total", &["model=\"m\""]), 50.0);
    assert_eq!(gateway.metric("coo_llm_key_in_flight", &[]), 0.0);
}

#[test]
fn without_it_nothing_is_sent_twice() {
    let (a, b) = (slow_at_times(|n| n == 0), Provider::plain());
    let gateway = gateway((&a, ""), (&b, ""), "");
    let (provider, attempts, took) = ask(&mut gateway.connect(), &chat_body("fast"));
    assert_eq!((provider.as_str(), attempts.as_str()), ("a", "1"));
    assert!(took >= STALL && b.seen().is_empty(), "{took:?}");
}

/// How a provider begins an answer.
type Begin = fn(&mut TcpStream);

/// A provider that begins as `begin` does and then waits for its connection to be closed; the receiver gets when.
fn waits(begin: Begin) -> (Provider, Arc<Mutex<mpsc::Receiver<Instant>>>) {
    let (closed, when) = mpsc::channel();
    let provider = Provider::start(move |_, socket| {
        begin(socket);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = socket.read(&mut [0; 16]);
        let _ = closed.send(Instant::now());
        false
    });
    (provider, Arc::new(Mutex::new(when)))
}

#[test]
fn the_slower_ones_connection_is_closed_streams_too() {
    let b = Provider::start(|seen, stream| {
        if seen.json()["stream"] != true {
            return respond(stream, COMPLETION);
        }
        stream_head(stream);
        write_chunk(stream, &delta("hello"));
        write_chunk(stream, DONE);
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let cases: [(&str, Begin, String); 3] = [
        ("no head", |_| {}, chat_body("fast")),
        ("no head of a stream", |_| {}, stream_body("fast")),
        (
            "no event",
            |stream| {
                stream_head(stream);
                write_chunk(stream, ": keep-alive\n\n");
            },
            stream_body("fast"),
        ),
    ];
    for (name, begin, body) in cases {
        let (a, closed) = waits(begin);
        let gateway = gateway((&a, ""), (&b, ""), "hedge: 50ms");
        let reply = gateway.chat(&body);
        let answered = Instant::now();
        assert_eq!((reply.status, reply.header("x-coo-provider")), (200, Some("b")), "{name}: {reply:?}");
        assert!(reply.text().contains("ello") && !reply.text().contains("keep-alive"), "{name}: {reply:?}");
        let closed = closed.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        assert!(closed < answered + Duration::from_millis(300), "{name}");
        assert_eq!(sent_and_won(&gateway), (1.0, 1.0), "{name}");
    }
}

#[test]
fn one_that_still_answers_first_is_used() {
    let a = Provider::start(|_, stream| {
        thread::sleep(Duration::from_millis(300));
        respond(stream, COMPLETION)
    });
    let (b, closed) = waits(|_| {});
    let gateway = gateway((&a, ""), (&b, ""), "hedge: 50ms");
    let (provider, attempts, _) = ask(&mut gateway.connect(), &chat_body("fast"));
    assert_eq!((provider.as_str(), attempts.as_str()), ("a", "2"));
    closed.lock().unwrap().recv_timeout(PATIENCE).unwrap();
    assert_eq!(sent_and_won(&gateway), (1.0, 0.0));
}

#[test]
fn a_failure_of_one_is_waited_out_with_the_other() {
    let slow = |ms, works| {
        Provider::start(move |_, stream| {
            thread::sleep(Duration::from_millis(ms));
            works && respond(stream, COMPLETION)
        })
    };
    // The first fails while the second is under way, and the other way round; and both do.
    for (a, b, answers, attempts) in [
        (slow(200, false), slow(300, true), Some("b"), 2),
        (slow(500, true), slow(100, false), Some("a"), 2),
        (slow(300, false), slow(100, false), None, 2),
    ] {
        let gateway = gateway((&a, ""), (&b, ""), "hedge: 50ms, retry: {max_attempts: 2}");
        let reply = gateway.chat(&chat_body("fast"));
        assert_eq!(reply.status, if answers.is_some() { 200 } else { 502 }, "{answers:?}: {reply:?}");
        assert_eq!(reply.header("x-coo-provider"), answers);
        assert_eq!((a.seen().len(), b.seen().len()), (1, 1), "{answers:?}");
        assert_eq!(gateway.log(1)[0]["attempts"], attempts);
        assert_eq!(gateway.metric("coo_llm_key_in_flight", &[]), 0.0);
    }
}

#[test]
fn no_more_than_the_budget_of_retries_allows() {
    let slow = || {
        Provider::start(|_, stream| {
            thread::sleep(Duration::from_millis(150));
            respond(stream, COMPLETION)
        })
    };
    let (a, b) = (slow(), slow());
    let gateway = gateway((&a, ""), (&b, ""), "hedge: 20ms");
    let begun = Instant::now();
    let mut clients: Vec<_> = (0..40).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send(&chat_request(&chat_body("fast")));
    }
    for client in &mut clients {
        assert_eq!(client.reply().status, 200);
    }
    let (sent, _) = sent_and_won(&gateway);
    // A tenth of them, and ten saved up and one a second.
    let most = 4 + 10 + begun.elapsed().as_secs() as usize + 1;
    assert!((10..=most).contains(&(sent as usize)), "{sent}");
    eventually("all arrived", || a.seen().len() + b.seen().len() == 40 + sent as usize);
}

#[test]
fn limits_count_both_and_are_not_waited_for() {
    let (a, b) = (slow_at_times(|_| true), Provider::plain());
    let gateway = gateway(
        (&a, ", limits: {req_per_min: 100}"),
        (&b, ", limits: {req_per_min: 1}"),
        "hedge: 50ms, budget_wait: 5s",
    );
    let mut client = gateway.connect();
    assert_eq!(ask(&mut client, &chat_body("fast")).0, "b");
    let (provider, attempts, took) = ask(&mut client, &chat_body("fast"));
    assert_eq!((provider.as_str(), attempts.as_str()), ("a", "1"));
    assert!(took >= STALL, "{took:?}");
    assert_eq!(b.seen().len(), 1);
    assert_eq!(sent_and_won(&gateway), (1.0, 1.0));
    // The one that was overtaken counts: its provider has seen it.
    eventually("both are counted", || gateway.metric("coo_llm_budget_spent", &["provider=\"a\""]) == 2.0);
}

#[test]
fn late_is_later_than_nineteen_of_twenty() {
    let (a, b) = (slow_at_times(|n| n == 0 || n >= 40), Provider::plain());
    let gateway = gateway((&a, ""), (&b, ""), "hedge: p95");
    let mut client = gateway.connect();
    let (provider, _, took) = ask(&mut client, &chat_body("fast"));
    assert!(provider == "a" && took >= STALL, "nothing is known yet: {took:?}");
    for _ in 1..40 {
        ask(&mut client, &chat_body("fast"));
    }
    let before = sent_and_won(&gateway);
    let (provider, attempts, took) = ask(&mut client, &chat_body("fast"));
    assert_eq!((provider.as_str(), attempts.as_str()), ("b", "2"));
    assert!(took < STALL, "{took:?}");
    assert_eq!(sent_and_won(&gateway), (before.0 + 1.0, before.1 + 1.0));
    // Of streams nothing is known.
    let reply = gateway.chat(&stream_body("fast"));
    assert_eq!(reply.header("x-coo-attempts"), Some("1"));
}
