//! Event streams: passed on as they come, counted, and ended honestly.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{
    io::{Read, Write},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use common::*;

#[test]
fn each_piece_is_passed_on_before_the_next_one_exists() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let provider = Provider::start(move |_, stream| {
        stream_head(stream);
        for text in ["a", "b", "c"] {
            wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            write_chunk(stream, &delta(text));
        }
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        write_chunk(stream, USAGE_EVENT);
        write_chunk(stream, DONE);
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let gateway = Gateway::start(&provider.at(), "");
    let mut client = gateway.connect();
    client.send(&chat_request(&stream_body("openai:gpt-4o-mini")));
    go.send(()).unwrap();
    let head = client.head();
    assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
    for text in ["a", "b", "c"] {
        if text != "a" {
            go.send(()).unwrap();
        }
        assert_eq!(String::from_utf8(client.chunk().unwrap()).unwrap(), delta(text));
    }
    go.send(()).unwrap();
    assert_eq!(client.chunk().unwrap(), DONE.as_bytes(), "the usage chunk was not asked for");
    assert_eq!(client.chunk(), None);

    let sent = provider.seen()[0].json();
    assert_eq!(sent["stream_options"]["include_usage"], true);
    assert_eq!(gateway.metric("coo_llm_tokens_total", &["type=\"input\""]), 9.0);
    let log = &gateway.log(1)[0];
    assert_eq!((&log["completion_tokens"], &log["stream"]), (&3.into(), &true.into()));
    assert!(log["first_token_us"].as_u64().unwrap() > 0);

    // The connection goes on.
    for _ in 0..4 {
        go.send(()).unwrap();
    }
    assert!(client.chat(&stream_body("openai:gpt-4o-mini")).text().ends_with(DONE));
}

#[test]
fn the_head_goes_out_with_the_first_event() {
    // A line of it first: half an event is none.
    let provider = Provider::start(|_, stream| {
        stream_head(stream);
        let first = delta("a");
        let (half, rest) = first.split_at(20);
        for piece in [": ping\n\n", half, rest] {
            thread::sleep(Duration::from_millis(50));
            write_chunk(stream, piece);
        }
        thread::sleep(Duration::from_millis(300));
        write_chunk(stream, DONE);
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let gateway = Gateway::start(&provider.at(), "");
    let mut client = gateway.connect();
    client.send(&chat_request(&stream_body("openai:m")));
    let mut piece = [0; 64 * 1024];
    let n = client.stream.read(&mut piece).unwrap();
    let text = String::from_utf8_lossy(&piece[..n]);
    assert!(text.starts_with("HTTP/1.1 200") && text.contains(": ping") && text.ends_with("\r\n"), "{text}");
    assert!(text.contains("\"usage\":null}\n\n"), "{text}");
}

#[test]
fn comments_instead_of_events_are_held_for_a_second() {
    let provider = Provider::start(|_, stream| {
        stream_head(stream);
        for _ in 0..12 {
            if !write_chunk(stream, ": ping\n\n") {
                break;
            }
            thread::sleep(Duration::from_millis(200));
        }
        false
    });
    let gateway = Gateway::start(&provider.at(), "");
    let mut client = gateway.connect();
    client.send(&chat_request(&stream_body("openai:m")));
    let begun = Instant::now();
    client.head();
    let held = begun.elapsed();
    assert!((900..2000).contains(&held.as_millis()), "{held:?}");
    let mut text = Vec::new();
    while let Some(chunk) = client.chunk() {
        text.extend(chunk);
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with(": ping\n\n: ping") && text.contains("upstream_incomplete_response"), "{text}");
    assert_eq!(provider.seen().len(), 1, "the answer had begun");
}

fn scripted(pieces: &'static [&'static str]) -> Provider {
    Provider::start(move |_, stream| {
        stream_head(stream);
        for piece in pieces {
            write_chunk(stream, piece);
            thread::sleep(Duration::from_millis(2));
        }
        stream.write_all(b"0\r\n\r\n").is_ok()
    })
}

#[test]
fn a_client_that_asks_for_usage_gets_it_exactly() {
    let provider =
        scripted(&["data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n", USAGE_EVENT, DONE]);
    let gateway = Gateway::start(&provider.at(), "");
    let body = r#"{"model":"openai:m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}"#;
    let reply = gateway.chat(body);
    assert!(reply.text().contains(USAGE_EVENT), "{}", reply.text());
    assert_eq!(provider.seen()[0].body, body.replace("openai:", "").as_bytes());
}

#[test]
fn usage_in_the_last_content_chunk_passes_untouched_and_is_counted() {
    const LAST: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"y\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7,\"completion_tokens_details\":{\"reasoning_tokens\":0}}}\n\n";
    let provider = scripted(&[LAST, DONE]);
    let gateway = Gateway::start(&provider.at(), "");
    assert_eq!(gateway.chat(&stream_body("openai:m")).text(), format!("{LAST}{DONE}"));
    assert_eq!(gateway.metric("coo_llm_tokens_total", &["type=\"output\""]), 2.0);
}

#[test]
fn the_last_event_counts_without_its_blank_line() {
    let provider = scripted(&[
        "data: {\"choices\":[{\"delta\":{\"content\":\"y\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}",
    ]);
    let gateway = Gateway::start(&provider.at(), "");
    let reply = gateway.chat(&stream_body("openai:m"));
    assert!(reply.text().ends_with("\"total_tokens\":7}}"), "{}", reply.text());
    assert_eq!(gateway.metric("coo_llm_tokens_total", &["type=\"output\""]), 2.0);
    assert_eq!(gateway.log(1)[0].get("error"), None);
}

#[test]
fn a_cut_stream_ends_with_an_error_event_and_is_counted_as_one() {
    for (name, cut) in [("close", false), ("garbage", true)] {
        let provider = Provider::start(move |_, stream| {
            stream_head(stream);
            write_chunk(stream, &delta("partial"));
            thread::sleep(Duration::from_millis(20));
            if cut {
                let _ = stream.write_all(b"this is no chunk\r\n");
                thread::sleep(Duration::from_millis(100));
            }
            false
        });
        let gateway = Gateway::start(&provider.at(), "");
        let mut client = gateway.connect();
        let reply = client.chat(&stream_body("openai:m"));
        let text = reply.text();
        let last = text.trim_end().rsplit("data: ").next().unwrap();
        let event: serde_json::Value =
            serde_json::from_str(last).unwrap_or_else(|_| panic!("{name}: {text}"));
        assert!(event["error"]["code"].as_str().unwrap().starts_with("upstream_"), "{name}: {text}");
        assert!(text.contains("partial") && !text.contains("[DONE]"), "{name}");
        assert_eq!(gateway.metric("coo_llm_errors_total", &["upstream_"]), 1.0, "{name}");
        assert_eq!(client.chat(&stream_body("openai:m")).status, 200, "the connection goes on");
    }
}

#[test]
fn a_stalled_stream_is_ended() {
    let provider = Provider::start(|_, stream| {
        stream_head(stream);
        write_chunk(stream, &delta("a"));
        thread::sleep(Duration::from_secs(5));
        false
    });
    let gateway = Gateway::start(&provider.at(), "upstream: {timeouts: {between_bytes: 200ms}}\n");
    let start = Instant::now();
    let reply = gateway.chat(&stream_body("openai:m"));
    assert!(reply.text().contains("upstream_timeout"), "{}", reply.text());
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn an_http_1_0_client_gets_a_stream_that_ends_with_the_connection() {
    let provider = scripted(&["data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n", DONE]);
    let gateway = Gateway::start(&provider.at(), "");
    let body = stream_body("openai:m");
    let mut client = gateway.connect();
    client.send(&format!(
        "POST /v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let reply = client.reply();
    assert_eq!(reply.header("transfer-encoding"), None);
    assert!(reply.text().ends_with(DONE));
}

/// Starts a provider that answers as `stream` says and then waits for its connection to be closed; the receiver
/// gets the moment of that.
fn watching(stream: bool) -> (Provider, Arc<Mutex<mpsc::Receiver<Instant>>>) {
    let (closed, when) = mpsc::channel();
    let provider = Provider::start(move |_, socket| {
        if stream {
            stream_head(socket);
            write_chunk(socket, &delta("a"));
        }
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = socket.read(&mut [0; 16]);
        let _ = closed.send(Instant::now());
        false
    });
    (provider, Arc::new(Mutex::new(when)))
}

#[test]
fn a_client_that_leaves_cancels_the_call_upstream_at_once() {
    for stream in [false, true] {
        let (provider, when) = watching(stream);
        let gateway = Gateway::start(&provider.at(), "");
        let mut slowest = Duration::ZERO;
        for _ in 0..5 {
            let mut client = gateway.connect();
            client.send(&chat_request(&if stream { stream_body("openai:m") } else { chat_body("openai:m") }));
            if stream {
                client.head();
                client.chunk();
            } else {
                let seen = provider.seen().len();
                eventually("the request reached the provider", || provider.seen().len() > seen - seen.min(1));
                thread::sleep(Duration::from_millis(50));
            }
            let left = Instant::now();
            drop(client);
            let cancelled = when.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            slowest = slowest.max(cancelled.saturating_duration_since(left));
        }
        assert!(slowest < Duration::from_millis(100), "stream {stream}: {slowest:?}");
        eventually("the account was settled", || {
            gateway.metric("coo_llm_errors_total", &["client_closed"]) >= 5.0
        });
        let log = gateway.log(5);
        assert!(log.iter().filter(|line| line["status"] == 499).count() >= 5, "{log:?}");
    }
}

#[test]
fn a_slow_reader_holds_nobody_up() {
    let provider = Provider::start(|_, stream| {
        stream_head(stream);
        let big = delta(&"x".repeat(10_000));
        for _ in 0..500 {
            if !write_chunk(stream, &big) {
                return false;
            }
        }
        write_chunk(stream, DONE);
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let gateway = Gateway::start(&provider.at(), "");
    let mut slow = gateway.connect();
    slow.send(&chat_request(&stream_body("openai:m")));
    slow.head();
    let other = gateway.chat(&stream_body("openai:m"));
    assert!(other.complete && other.text().ends_with(DONE));
    // The slow one gets all of it too, once it reads.
    let mut total = 0;
    while let Some(chunk) = slow.chunk() {
        total += chunk.len();
    }
    assert!(total > 5_000_000);
}
