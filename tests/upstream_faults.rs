//! Providers that fail in every way: a clear error each, nobody else affected, nothing leaked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

use common::*;

/// Closes with a reset instead of a FIN.
fn reset(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as u32,
        );
    }
}

#[test]
fn each_fault_is_a_clear_error_and_nobody_else_is_affected() {
    let provider = Provider::start(|seen, stream| {
        let body = seen.json();
        let put = |stream: &mut TcpStream, text: &str| {
            let _ = stream.write_all(text.as_bytes());
        };
        match body["model"].as_str().unwrap() {
            "reset" => reset(stream),
            "close" => {}
            "stall" => thread::sleep(Duration::from_secs(3)),
            "garbage" => put(stream, "\x01\x02 what is this\r\n\r\n"),
            "cut-head" => put(stream, "HTTP/1.1 200 OK\r\nContent-Le"),
            "cut-body" => put(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":"),
            "reset-body" => {
                put(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":");
                thread::sleep(Duration::from_millis(30));
                reset(stream);
            }
            "stall-body" => {
                put(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":");
                thread::sleep(Duration::from_secs(3));
            }
            "cut-chunks" => {
                put(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            }
            "bad-chunks" => {
                put(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n")
            }
            "two-lengths" => {
                put(stream, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")
            }
            "huge-head" => put(stream, &format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(100_000))),
            "auth" => put(
                stream,
                "HTTP/1.1 401 Unauthorized\r\nContent-Length: 25\r\n\r\n{\"error\":\"sk-upstream..\"}",
            ),
            "http2" => put(stream, "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
            _ => return respond(stream, COMPLETION),
        }
        false
    });
    let gateway =
        Gateway::start(&provider.at(), "upstream: {timeouts: {first_byte: 300ms, between_bytes: 300ms}}\n");
    let mut steady = gateway.connect();
    assert_eq!(steady.chat(&chat_body("openai:fine")).status, 200);
    let before = gateway.open_files();
    for round in 0..2 {
        for (model, status, code) in [
            ("reset", 502, "upstream_reset"),
            ("close", 502, "upstream_reset"),
            ("stall", 504, "upstream_timeout"),
            ("garbage", 502, "upstream_invalid_response"),
            ("cut-head", 502, "upstream_"),
            ("cut-body", 502, "upstream_incomplete_response"),
            ("reset-body", 502, "upstream_incomplete_response"),
            ("stall-body", 504, "upstream_timeout"),
            ("cut-chunks", 502, "upstream_incomplete_response"),
            ("bad-chunks", 502, "upstream_invalid_response"),
            ("two-lengths", 502, "upstream_invalid_response"),
            ("huge-head", 502, "upstream_invalid_response"),
            ("auth", 502, "upstream_auth_rejected"),
            ("http2", 502, "upstream_invalid_response"),
        ] {
            let mut client = gateway.connect();
            let reply = client.chat(&chat_body(&format!("openai:{model}")));
            assert_eq!(reply.status, status, "{model}: {}", reply.text());
            assert!(reply.error_code().starts_with(code), "{model}: {}", reply.text());
            assert!(!reply.text().contains("sk-upstream"), "{model}");
            assert_eq!(client.chat(&chat_body("openai:fine")).status, 200, "{model} {round}: same client");
            assert_eq!(steady.chat(&chat_body("openai:fine")).status, 200, "{model} {round}: other client");
        }
    }
    eventually("every descriptor is closed again", || gateway.open_files() <= before + 1);
}

#[test]
fn errors_of_the_provider_pass_with_status_and_body() {
    let provider = Provider::start(|seen, stream| {
        let status = seen.json()["model"].as_str().unwrap().to_owned();
        let body = format!(
            "{{\"error\":{{\"message\":\"no {status}\",\"type\":\"t\",\"param\":null,\"code\":\"c{status}\"}}}}"
        );
        let text = format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nRetry-After: 7\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).is_ok()
    });
    let mut gateway = Gateway::start(&provider.at(), "");
    for status in [400, 403, 404, 409, 422, 500, 503, 429, 529] {
        if matches!(status, 429 | 529) {
            // After 503 and 429 the key rests for the 7 seconds.
            gateway = Gateway::start(&provider.at(), "");
        }
        let reply = gateway.chat(&chat_body(&format!("openai:{status}")));
        assert_eq!((reply.status, reply.error_code()), (status, format!("c{status}")));
        assert_eq!(reply.header("retry-after"), Some("7"));
    }
}

#[test]
fn lengths_that_lie_harm_nobody() {
    // More bytes than announced: the rest must not become the answer to the next request.
    let provider = Provider::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
        thread::sleep(Duration::from_millis(50));
        true
    });
    let gateway = Gateway::start(&provider.at(), "");
    let mut client = gateway.connect();
    for _ in 0..5 {
        assert_eq!(client.chat(&chat_body("openai:m")).text(), "{}");
    }
}

#[test]
fn a_kept_connection_that_the_provider_had_closed_costs_the_client_nothing() {
    let provider = Provider::start(|seen, stream| {
        // Answers, and closes without saying so.
        respond(stream, &format!("{{\"nth\":{}}}", seen.nth));
        false
    });
    let gateway = Gateway::start(&provider.at(), "");
    let mut client = gateway.connect();
    for n in 0..30 {
        assert_eq!(client.chat(&chat_body("openai:m")).status, 200, "request {n}");
        // Both right after the close and long after.
        thread::sleep(Duration::from_millis(n % 3 * 30));
    }
    assert_eq!(provider.seen().len(), 30, "each was sent once");
}

#[test]
fn interim_responses_and_close_delimited_bodies_are_understood() {
    let provider = Provider::start(|_, stream| {
        let _ = stream.write_all(format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{COMPLETION}").as_bytes());
        false
    });
    let gateway = Gateway::start(&provider.at(), "");
    let mut client = gateway.connect();
    for _ in 0..2 {
        let reply = client.chat(&chat_body("openai:m"));
        assert_eq!((reply.status, reply.text()), (200, COMPLETION.into()));
    }
}

#[test]
fn a_provider_that_is_not_there_is_named() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(&nobody.to_string(), "");
    let reply = gateway.chat(&chat_body("openai:m"));
    assert_eq!((reply.status, reply.error_code()), (502, "upstream_connect_failed".into()));
    assert!(reply.text().contains("openai"), "{}", reply.text());
}

#[test]
fn an_address_that_drops_what_comes_costs_one_request_a_moment() {
    // A listener that nobody accepts from, with as much waiting as it takes: the kernel drops more.
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(unsafe { libc::listen(hole.as_raw_fd(), 0) }, 0);
    let at = hole.local_addr().unwrap();
    let patience = Duration::from_millis(200);
    let waiting: Vec<_> =
        std::iter::from_fn(|| TcpStream::connect_timeout(&at, patience).ok()).take(64).collect();
    assert!(waiting.len() < 64, "the queue is full");
    // Closes each connection, so that each request needs a new one.
    let provider = Provider::start(|_, stream| {
        respond(stream, COMPLETION);
        false
    });
    let gateway = Gateway::start(
        "",
        &format!(
            "llm_providers:
  - {{id: openai, type: custom, base_url: 'http://nowhere.invalid/v1', addresses: ['{at}', '{}'], api_keys: [k]}}
api_keys: [{{id: tester, key: {KEY}}}]
",
            provider.at()
        ),
    );
    let mut took = Vec::new();
    let mut client = gateway.connect();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let one = Instant::now();
        assert_eq!(client.chat(&chat_body("openai:m")).status, 200);
        took.push(one.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    took.sort();
    let (most, next) = (took[took.len() - 1], took[took.len() - 2]);
    assert!(most < Duration::from_secs(1), "{most:?} of a time-out of 5 s");
    assert!(next < Duration::from_millis(150), "{next:?}: the others are not sent there");
    let host = provider.seen()[0].header("host").unwrap();
    assert_eq!(host, "nowhere.invalid", "names are those of the URL, which is not resolved");
}

#[test]
fn a_full_gateway_answers_at_once() {
    let provider = Provider::start(|seen, stream| {
        if seen.json()["model"] == "slow" {
            thread::sleep(Duration::from_millis(600));
        }
        respond(stream, COMPLETION)
    });
    let gateway = Gateway::start(
        &provider.at(),
        "server: {listen: '127.0.0.1:0', worker_threads: 1, max_concurrent_requests: 2, max_connections: 6}\n",
    );
    let mut busy: Vec<_> = (0..2).map(|_| gateway.connect()).collect();
    for client in &mut busy {
        client.send(&chat_request(&chat_body("openai:slow")));
    }
    eventually("both are under way", || provider.seen().len() == 2);
    let reply = gateway.chat(&chat_body("openai:m"));
    assert_eq!((reply.status, reply.error_code()), (503, "no_capacity".into()));
    assert!(reply.header("retry-after").is_some());
    for client in &mut busy {
        assert_eq!(client.reply().status, 200);
    }
    let _more: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
    thread::sleep(Duration::from_millis(100));
    let reply = gateway.connect().reply();
    assert_eq!((reply.status, reply.error_code()), (503, "too_many_connections".into()));
}
