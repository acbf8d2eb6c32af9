//! Which provider and key a request goes to, and what happens when one of them fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::*;

const REFUSED: &str = r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#;

/// An answer with a status other than 200.
fn error(stream: &mut std::net::TcpStream, status: u16, more: &str, body: &str) -> bool {
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .is_ok()
}

fn failing(status: u16) -> Provider {
    Provider::start(move |_, stream| error(stream, status, "", r#"{"error":{"message":"down"}}"#))
}

/// A gateway of one shard with these providers, by id, each with its keys; the alias `fast` means all of them.
fn gateway(providers: &[(&str, &str, &str)], policy: &str) -> Gateway {
    sharded(1, providers, policy)
}

fn sharded(shards: usize, providers: &[(&str, &str, &str)], policy: &str) -> Gateway {
    let list: Vec<_> = providers
        .iter()
        .map(|(id, at, keys)| {
            format!("  - {{id: {id}, type: custom, base_url: 'http://{at}/v1', api_keys: [{keys}], models: [m]}}\n")
        })
        .collect();
    let targets: Vec<_> = providers.iter().map(|(id, ..)| format!("'{id}:m'")).collect();
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: {shards}}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
llm_providers:
{}api_keys: [{{id: tester, key: {KEY}}}]
model_aliases: {{fast: [{}]}}
policy: {{{policy}}}
",
            list.concat(),
            targets.join(", ")
        ),
        &[],
    )
}

/// Sends so many requests for `model`; how many were served by whom.
fn served(gateway: &Gateway, model: &str, count: usize) -> BTreeMap<String, usize> {
    let mut served = BTreeMap::new();
    let mut client = gateway.connect();
    for _ in 0..count {
        let reply = client.chat(&chat_body(model));
        assert_eq!(reply.status, 200, "{reply:?}");
        *served.entry(reply.header("x-coo-provider").unwrap().to_owned()).or_insert(0) += 1;
    }
    served
}

#[test]
fn targets_of_an_alias_take_turns() {
    let providers = [Provider::plain(), Provider::plain(), Provider::plain()];
    let at: Vec<_> = providers.iter().map(Provider::at).collect();
    let gateway = gateway(&[("a", &at[0], "k1"), ("b", &at[1], "k2"), ("c", &at[2], "k3")], "");
    let served = served(&gateway, "fast", 30);
    assert_eq!(served, BTreeMap::from([("a".into(), 10), ("b".into(), 10), ("c".into(), 10)]));
    let reply = gateway.chat(&chat_body("b:m"));
    assert_eq!((reply.header("x-coo-provider"), reply.header("x-coo-attempts")), (Some("b"), Some("1")));
}

#[test]
fn weights_are_kept() {
    let providers = [Provider::plain(), Provider::plain()];
    let at: Vec<_> = providers.iter().map(Provider::at).collect();
    let policy = "algorithm: weighted_round_robin, weights: {a: 3, b: 1}";
    let gateway = gateway(&[("a", &at[0], "k1"), ("b", &at[1], "k2")], policy);
    assert_eq!(served(&gateway, "fast", 40), BTreeMap::from([("a".into(), 30), ("b".into(), 10)]));
}

#[test]
fn a_provider_that_fails_is_left_out_and_no_client_sees_it() {
    let works = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&works);
    let bad = Provider::start(move |_, stream| {
        if switch.load(Ordering::Relaxed) {
            respond(stream, COMPLETION)
        } else {
            error(stream, 500, "", r#"{"error":{"message":"down"}}"#)
        }
    });
    let good = Provider::plain();
    let gateway = gateway(
        &[("bad", &bad.at(), "k1"), ("good", &good.at(), "k2")],
        "health_check_interval: 1s, retry: {interval: 10ms}",
    );
    assert_eq!(served(&gateway, "fast", 60), BTreeMap::from([("good".into(), 60)]));
    assert!((3..=6).contains(&bad.seen().len()), "{} tries before it was left out", bad.seen().len());
    // Two intervals after it works again it has its share.
    works.store(true, Ordering::Relaxed);
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        served(&gateway, "fast", 1);
        thread::sleep(Duration::from_millis(5));
    }
    let share = served(&gateway, "fast", 40);
    assert_eq!(share.get("bad"), Some(&20), "{share:?}");
}

/// A provider that fails at everything until it is told to work; asked for its models it answers with `models`
/// then, and with 404 before where it never does. How often it was asked for each.
struct Patient {
    provider: Provider,
    works: Arc<AtomicBool>,
    /// Chats that came while it worked, before it had said that it does.
    early: Arc<AtomicUsize>,
}

impl Patient {
    fn new(lists_models: bool) -> Self {
        let (works, early) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (switch, count, said) = (Arc::clone(&works), Arc::clone(&early), AtomicBool::new(false));
        let provider = Provider::start(move |seen, stream| {
            let works = switch.load(Ordering::Relaxed);
            let check = seen.head.starts_with("GET /v1/models HTTP/1.1\r\n");
            match (check, works) {
                (true, _) if !lists_models => error(stream, 404, "", "{}"),
                (_, false) => error(stream, 500, "", r#"{"error":{"message":"down"}}"#),
                (true, true) => {
                    said.store(true, Ordering::Relaxed);
                    respond(stream, r#"{"object":"list","data":[]}"#)
                }
                (false, true) => {
                    count.fetch_add(usize::from(!said.load(Ordering::Relaxed)), Ordering::Relaxed);
                    respond(stream, COMPLETION)
                }
            }
        });
        Self { provider, works, early }
    }

    /// Chats and checks that it got.
    fn seen(&self) -> (usize, usize) {
        let seen = self.provider.seen();
        let checks = seen.iter().filter(|one| one.head.starts_with("GET ")).count();
        (seen.len() - checks, checks)
    }
}

/// Sends requests for `time`, each on a connection of its own, so that all shards get some.
fn keep_asking(gateway: &Gateway, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        served(gateway, "fast", 1);
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn no_request_reaches_a_provider_that_is_out_until_a_check_works() {
    let (bad, good) = (Patient::new(true), Provider::plain());
    let gateway = sharded(
        2,
        &[("bad", &bad.provider.at(), "k1"), ("good", &good.at(), "k2")],
        "health_check_interval: 1s, retry: {interval: 10ms}",
    );
    keep_asking(&gateway, Duration::from_millis(500));
    let (chats, _) = bad.seen();
    assert!(chats <= 12, "{chats} before it was left out");
    keep_asking(&gateway, Duration::from_secs(3));
    let (later, checks) = bad.seen();
    assert_eq!(later, chats, "no request was risked");
    assert!((3..=6).contains(&checks), "{checks} checks in 3.5 s");
    let heads = bad.provider.seen();
    let check = heads.iter().find(|one| one.head.starts_with("GET ")).unwrap();
    assert!(check.head.contains("authorization: Bearer k1\r\n"), "{}", check.head);
    bad.works.store(true, Ordering::Relaxed);
    keep_asking(&gateway, Duration::from_secs(2));
    assert_eq!(bad.early.load(Ordering::Relaxed), 0);
    let (_, checks) = bad.seen();
    let share = served(&gateway, "fast", 40);
    assert_eq!(share.get("bad"), Some(&20), "{share:?}");
    keep_asking(&gateway, Duration::from_millis(1500));
    assert_eq!(bad.seen().1, checks, "one that works is not checked");
}

#[test]
fn where_models_are_not_listed_a_request_finds_out() {
    let (bad, good) = (Patient::new(false), Provider::plain());
    let gateway = gateway(
        &[("bad", &bad.provider.at(), "k1"), ("good", &good.at(), "k2")],
        "health_check_interval: 1s, retry: {interval: 10ms}",
    );
    keep_asking(&gateway, Duration::from_secs(3));
    let (chats, checks) = bad.seen();
    assert_eq!(checks, 1, "it is asked once");
    assert!((6..=12).contains(&chats), "{chats}: five at first, then one at a time");
    bad.works.store(true, Ordering::Relaxed);
    keep_asking(&gateway, Duration::from_secs(2));
    let share = served(&gateway, "fast", 40);
    assert_eq!(share.get("bad"), Some(&20), "{share:?}");
}

#[test]
fn a_refused_key_is_checked_and_comes_back() {
    let accepted = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&accepted);
    let provider = Provider::start(move |seen, stream| {
        if seen.head.contains("Bearer new-key") && !switch.load(Ordering::Relaxed) {
            error(stream, 401, "", REFUSED)
        } else {
            respond(stream, COMPLETION)
        }
    });
    let gateway = sharded(2, &[("a", &provider.at(), "old-key, new-key")], "health_check_interval: 1s");
    let with_new = |method: &str| {
        let seen = provider.seen();
        seen.iter().filter(|one| one.head.starts_with(method) && one.head.contains("new-key")).count()
    };
    keep_asking(&gateway, Duration::from_secs(2));
    assert!((1..=2).contains(&with_new("POST ")), "{}: one of each shard at most", with_new("POST "));
    assert!((1..=3).contains(&with_new("GET ")), "{}", with_new("GET "));
    accepted.store(true, Ordering::Relaxed);
    let before = with_new("POST ");
    let until = Instant::now() + PATIENCE;
    while with_new("POST ") < before + 10 {
        assert!(Instant::now() < until, "the key did not come back");
        keep_asking(&gateway, Duration::from_millis(50));
    }
    assert!(with_new("GET ") >= 2);
}

#[test]
fn a_key_that_is_refused_is_taken_out() {
    let provider = Provider::start(|seen, stream| {
        if seen.head.contains("Bearer bad-key") {
            error(stream, 401, "", REFUSED)
        } else {
            respond(stream, COMPLETION)
        }
    });
    let gateway = gateway(&[("a", &provider.at(), "good-key-1, bad-key, good-key-2")], "");
    served(&gateway, "a:m", 30);
    let bad = provider.seen().iter().filter(|seen| seen.head.contains("bad-key")).count();
    assert_eq!(bad, 1);
    assert_eq!(provider.seen().len(), 31);
}

#[test]
fn a_key_whose_limit_is_reached_rests_while_others_serve() {
    let provider = Provider::start(|seen, stream| {
        if seen.head.contains("Bearer spent") {
            error(
                stream,
                429,
                "retry-after: 60\r\n",
                r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
            )
        } else {
            respond(stream, COMPLETION)
        }
    });
    let gateway = gateway(&[("a", &provider.at(), "spent, fresh")], "");
    served(&gateway, "a:m", 20);
    assert_eq!(provider.seen().iter().filter(|seen| seen.head.contains("spent")).count(), 1);
}

#[test]
fn where_nobody_else_can_be_asked_the_providers_own_answer_goes_on() {
    let provider = Provider::start(|_, stream| {
        error(stream, 429, "", r#"{"error":{"message":"no quota","code":"insufficient_quota"}}"#)
    });
    let one = gateway(&[("a", &provider.at(), "k")], "retry: {interval: 10ms}");
    let reply = one.chat(&chat_body("a:m"));
    assert_eq!((reply.status, reply.error_code().as_str()), (429, "insufficient_quota"));
    assert_eq!(provider.seen().len(), 1);

    let provider = failing(503);
    let one = gateway(&[("a", &provider.at(), "k")], "retry: {interval: 10ms, max_attempts: 3}");
    let reply = one.chat(&chat_body("a:m"));
    assert_eq!((reply.status, reply.header("x-coo-attempts")), (503, Some("3")));
    assert_eq!(provider.seen().len(), 3, "with the same key, after a pause");

    let provider = failing(400);
    let one = gateway(&[("a", &provider.at(), "k1, k2")], "");
    assert_eq!(one.chat(&chat_body("a:m")).status, 400);
    assert_eq!(provider.seen().len(), 1, "it is the request's fault");
}

#[test]
fn others_that_list_the_model_are_fallen_back_to() {
    let good = Provider::plain();
    // Nobody listens there.
    let gateway = gateway(
        &[("first", "127.0.0.1:9", "k1"), ("second", &good.at(), "k2")],
        "fallback: {enabled: true}, retry: {interval: 10ms}",
    );
    for _ in 0..10 {
        let reply = gateway.chat(&chat_body("first:m"));
        assert_eq!((reply.status, reply.header("x-coo-provider")), (200, Some("second")), "{reply:?}");
    }
    let attempts: Vec<_> = gateway.log(10).iter().map(|line| line["provider"].clone()).collect();
    assert!(attempts.iter().all(|provider| provider == "second"), "{attempts:?}");
}

#[test]
fn a_stream_that_has_not_begun_moves_on() {
    let bad = Provider::start(|_, _| false);
    let good = Provider::start(|_, stream| {
        stream_head(stream);
        write_chunk(stream, &delta("hello"));
        write_chunk(stream, DONE);
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let gateway = gateway(&[("bad", &bad.at(), "k1"), ("good", &good.at(), "k2")], "retry: {interval: 10ms}");
    for _ in 0..8 {
        let reply = gateway.chat(&stream_body("fast"));
        assert_eq!(reply.status, 200);
        assert!(reply.text().contains("hello") && reply.text().contains("[DONE]"), "{reply:?}");
    }
    assert!(!bad.seen().is_empty());
}

#[test]
fn a_client_says_how_long_it_will_wait() {
    let stalls = Provider::start(|_, _| {
        thread::sleep(Duration::from_secs(5));
        false
    });
    let gateway = gateway(&[("a", &stalls.at(), "k1")], "");
    for (said, least, most) in [("0.3", 300, 1500), ("400ms", 400, 1500)] {
        let begun = Instant::now();
        let mut client = gateway.connect();
        let body = chat_body("a:m");
        client.send(&format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\nx-request-timeout: {said}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(client.reply().status, 504);
        let took = begun.elapsed().as_millis();
        assert!((least..most).contains(&took), "{said}: {took} ms");
    }
}

#[test]
fn an_outage_is_not_made_worse() {
    let bad = [failing(500), failing(500), failing(500)];
    let at: Vec<_> = bad.iter().map(Provider::at).collect();
    let gateway = gateway(
        &[("a", &at[0], "k1"), ("b", &at[1], "k2"), ("c", &at[2], "k3")],
        "retry: {interval: 1ms, max_attempts: 3}",
    );
    let mut client = gateway.connect();
    for _ in 0..400 {
        assert_eq!(client.chat(&chat_body("fast")).status, 500);
    }
    let seen: usize = bad.iter().map(|provider| provider.seen().len()).sum();
    // A tenth, and the reserve of ten and one a second.
    assert!((401..=400 + 40 + 10 + 10).contains(&seen), "{seen}");
}
