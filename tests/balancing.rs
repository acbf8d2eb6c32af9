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

/// A provider whose streams begin with `pieces`; then they end well, or break.
fn begins_with(pieces: &'static [&'static str], then: Then) -> Provider {
    Provider::start(move |_, stream| {
        stream_head(stream);
        for piece in pieces {
            write_chunk(stream, piece);
            thread::sleep(Duration::from_millis(5));
        }
        match then {
            Then::Ends => stream.write_all(b"0\r\n\r\n").is_ok(),
            Then::Breaks => false,
            Then::Babbles => {
                let _ = stream.write_all(b"this is no chunk\r\n");
                thread::sleep(Duration::from_millis(50));
                false
            }
            Then::Stalls => {
                thread::sleep(Duration::from_secs(3));
                false
            }
        }
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Ends,
    Breaks,
    Babbles,
    Stalls,
}

const PING: &str = ": keep-alive\n\n";
const BUSY: &str = "data: {\"error\":{\"message\":\"Provider returned error\",\"code\":502}}\n\n";
const LIMITED: &str =
    "data: {\"error\":{\"message\":\"slow down\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}\n\n";
const WRONG: &str = "data: {\"error\":{\"message\":\"too long\",\"code\":\"context_length_exceeded\"}}\n\n";

fn streams() -> Provider {
    begins_with(
        &[
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\n",
            DONE,
        ],
        Then::Ends,
    )
}

#[test]
fn a_stream_that_fails_before_its_first_event_moves_on() {
    for (name, pieces, then) in [
        ("close", &[][..], Then::Breaks),
        ("no chunk", &[], Then::Babbles),
        ("stall", &[], Then::Stalls),
        ("nothing", &[], Then::Ends),
        ("comments", &[PING, PING], Then::Breaks),
        ("half an event", &[PING, "data: {\"choices\":"], Then::Breaks),
        ("error", &[BUSY], Then::Breaks),
        ("error and end", &[BUSY, DONE], Then::Ends),
        ("error without its blank line", &["data: {\"error\":{\"code\":503}}"], Then::Ends),
        ("limit", &[PING, LIMITED], Then::Stalls),
    ] {
        let (bad, good) = (begins_with(pieces, then), streams());
        let gateway = gateway(
            &[("bad", &bad.at(), "k1"), ("good", &good.at(), "k2")],
            "retry: {interval: 10ms, timeout: 300ms}",
        );
        let mut client = gateway.connect();
        for _ in 0..4 {
            let reply = client.chat(&stream_body("fast"));
            assert_eq!(
                (reply.status, reply.header("x-coo-provider")),
                (200, Some("good")),
                "{name}: {reply:?}"
            );
            let text = reply.text();
            assert!(
                text.contains("hello") && text.ends_with(DONE) && !text.contains("error"),
                "{name}: {text}"
            );
        }
        assert!(!bad.seen().is_empty(), "{name}");
        let log = gateway.log(4);
        assert!(log.iter().any(|line| line["attempts"] == 2), "{name}: {log:?}");
        assert!(log.iter().all(|line| line.get("error").is_none()), "{name}: {log:?}");
    }
}

#[test]
fn a_stream_that_nobody_else_can_begin_is_an_error() {
    for (pieces, then, status, code) in [
        (&[PING][..], Then::Breaks, 502, "upstream_incomplete_response"),
        (&[], Then::Babbles, 502, "upstream_invalid_response"),
        (&[], Then::Ends, 502, "upstream_incomplete_response"),
        (&["data: {"], Then::Stalls, 504, "upstream_timeout"),
    ] {
        let bad = begins_with(pieces, then);
        let gateway =
            gateway(&[("a", &bad.at(), "k")], "retry: {interval: 1ms, timeout: 200ms, max_attempts: 2}");
        let mut client = gateway.connect();
        let reply = client.chat(&stream_body("a:m"));
        assert_eq!((reply.status, reply.error_code().as_str()), (status, code), "{}", reply.text());
        assert_eq!(bad.seen().len(), 2, "{code}");
        assert_eq!(gateway.metric("coo_llm_errors_total", &[code]), 1.0);
        assert_eq!(client.chat(&stream_body("a:m")).status, status, "the connection goes on");
    }
    // What a provider says itself goes on as it said it.
    for (event, times) in [(BUSY, 2), (LIMITED, 1), (WRONG, 1)] {
        let pieces: &'static [&'static str] = Box::leak(Box::new([event, DONE]));
        let bad = begins_with(pieces, Then::Ends);
        let gateway = gateway(&[("a", &bad.at(), "k")], "retry: {interval: 1ms, max_attempts: 2}");
        let reply = gateway.chat(&stream_body("a:m"));
        assert_eq!((reply.status, reply.text()), (200, format!("{event}{DONE}")));
        assert_eq!(reply.header("x-coo-attempts"), Some(times.to_string().as_str()));
        assert_eq!(bad.seen().len(), times);
        assert_eq!(gateway.log(1)[0]["error"], "upstream_stream_error");
    }
    // And one that blames the request goes to nobody else.
    let (bad, good) = (begins_with(&[WRONG, DONE], Then::Ends), streams());
    let gateway = gateway(&[("bad", &bad.at(), "k1"), ("good", &good.at(), "k2")], "");
    let replies: Vec<_> = (0..4).map(|_| gateway.chat(&stream_body("fast"))).collect();
    assert_eq!(replies.iter().filter(|reply| reply.text() == format!("{WRONG}{DONE}")).count(), 2);
    assert_eq!(bad.seen().len(), 2);
}

#[test]
fn a_key_whose_stream_says_that_its_limit_is_reached_rests() {
    let provider = Provider::start(|seen, stream| {
        stream_head(stream);
        write_chunk(stream, if seen.head.contains("Bearer spent") { LIMITED } else { DONE });
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let gateway = gateway(&[("a", &provider.at(), "spent, fresh")], "");
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(gateway.chat(&stream_body("a:m")).text(), DONE);
    }
    let spent = provider.seen().iter().filter(|seen| seen.head.contains("spent")).count();
    // A second each time.
    assert!((1..=1 + begun.elapsed().as_secs() as usize).contains(&spent), "{spent}");
}

#[test]
fn a_stream_that_moved_on_counts_as_what_became_of_it() {
    // One that says that it failed has used a request; what one used that broke nobody knows.
    for (pieces, then, uses_tokens) in [(&[BUSY][..], Then::Ends, false), (&[PING], Then::Breaks, true)] {
        let (bad, good) = (begins_with(pieces, then), streams());
        let gateway = Gateway::from_config(
            &format!(
                "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
llm_providers:
  - {{id: bad, type: custom, base_url: 'http://{}/v1', api_keys: [k1], limits: {{req_per_min: 100, tokens_per_min: 100000}}}}
  - {{id: good, type: custom, base_url: 'http://{}/v1', api_keys: [k2], limits: {{req_per_min: 100, tokens_per_min: 100000}}}}
api_keys: [{{id: tester, key: {KEY}}}]
model_aliases: {{fast: ['bad:m', 'good:m']}}
policy: {{algorithm: weighted_round_robin, weights: {{bad: 1, good: 0}}}}
",
                bad.at(),
                good.at()
            ),
            &[],
        );
        assert_eq!(gateway.chat(&stream_body("fast")).header("x-coo-provider"), Some("good"));
        let spent = |limit| gateway.metric("coo_llm_budget_spent", &[limit, "provider=\"bad\""]);
        eventually("the request is counted", || spent("requests_per_minute") == 1.0);
        eventually("the tokens are", || (spent("tokens_per_minute") > 0.0) == uses_tokens);
    }
}

/// A provider whose first token comes after `first_ms` and each other one after `token_us`, of as many as the
/// request allows up to 40.
fn paced(first_ms: u64, token_us: u64) -> Provider {
    Provider::start(move |seen, stream| {
        let asked = seen.json();
        let tokens = asked["max_tokens"].as_u64().unwrap_or(40).min(40);
        let usage =
            format!(r#""usage":{{"prompt_tokens":9,"completion_tokens":{tokens},"total_tokens":49}}"#);
        let rest = Duration::from_micros(token_us * (tokens - 1));
        thread::sleep(Duration::from_millis(first_ms));
        if asked["stream"] != true {
            thread::sleep(rest);
            let body = format!(r#"{{"id":"c","object":"chat.completion","choices":[],{usage}}}"#);
            return respond(stream, &body);
        }
        stream_head(stream);
        write_chunk(stream, &delta("hello"));
        thread::sleep(rest);
        write_chunk(
            stream,
            &format!(
                "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[],{usage}}}\n\n"
            ),
        );
        write_chunk(stream, DONE);
        stream.write_all(b"0\r\n\r\n").is_ok()
    })
}

#[test]
fn streams_go_where_the_first_token_comes_soonest_and_others_where_the_last_does() {
    // The second is done first with 40 tokens, and even with 256 as are expected.
    let providers = [paced(10, 10_000), paced(150, 500)];
    let at: Vec<_> = providers.iter().map(Provider::at).collect();
    let gateway =
        gateway(&[("eager", &at[0], "k1"), ("steady", &at[1], "k2")], "algorithm: performance_optimized");
    let mut client = gateway.connect();
    let mut eager_of_ten = |body: &str| {
        let served = (0..10).map(|_| client.chat(body)).filter(|reply| {
            assert_eq!(reply.status, 200, "{reply:?}");
            reply.header("x-coo-provider") == Some("eager")
        });
        served.count()
    };
    let long = chat_body("fast");
    let short = long.replacen('{', r#"{"max_tokens":1,"#, 1);
    // The first ten find out.
    eager_of_ten(&stream_body("fast"));
    let streams = eager_of_ten(&stream_body("fast"));
    let others = (eager_of_ten(&long), eager_of_ten(&short));
    assert!(streams >= 9 && others.0 <= 1 && others.1 >= 9, "{streams} {others:?}");
}

#[test]
fn what_a_gateway_behind_this_one_says_of_itself_stays_there() {
    let provider = Provider::start(|_, stream| {
        let more = "x-coo-provider: inner\r\nX-Coo-Attempts: 7\r\nx-cool: yes\r\n";
        error(stream, 200, more, COMPLETION)
    });
    let gateway = gateway(&[("outer", &provider.at(), "k")], "");
    let reply = gateway.chat(&chat_body("outer:m"));
    let all = |name: &str| {
        let fields = reply.head.lines().filter_map(|line| line.split_once(": "));
        fields
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    assert_eq!(all("x-coo-provider"), ["outer"]);
    assert_eq!(all("x-coo-attempts"), ["1"]);
    assert_eq!(all("x-cool"), ["yes"]);
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
