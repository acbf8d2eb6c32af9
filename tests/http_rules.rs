//! Every HTTP/1.1 rule of the listener, on the wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{io::Write, net::Shutdown, thread, time::Duration};

use common::*;

fn gateway() -> (Provider, Gateway) {
    let provider = Provider::plain();
    let gateway = Gateway::start(
        &provider.at(),
        "server: {listen: '127.0.0.1:0', worker_threads: 1, limits: {max_body_bytes: 100000}, timeouts: {head: 400ms, body: 400ms, idle: 2s}}\n",
    );
    (provider, gateway)
}

#[test]
fn each_broken_rule_is_answered_with_its_status_and_the_connection_closes() {
    let (provider, gateway) = gateway();
    let auth = format!("Authorization: Bearer {KEY}\r\n");
    let post = |headers: &str, body: &str| {
        format!("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{auth}{headers}\r\n{body}")
    };
    for (name, request, status) in [
        ("CL and TE", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400),
        ("differing CL", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400),
        ("CL list that differs", post("Content-Length: 5, 6\r\n", "hello"), 400),
        ("negative CL", post("Content-Length: -5\r\n", "hello"), 400),
        ("signed CL", post("Content-Length: +5\r\n", "hello"), 400),
        ("unknown coding", post("Transfer-Encoding: gzip\r\n", ""), 501),
        ("coding twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 501),
        ("obs-fold", post("X-Long: a\r\n b\r\nContent-Length: 2\r\n", "{}"), 400),
        ("space before colon", post("Content-Length : 2\r\n", "{}"), 400),
        ("bare LF", "GET /v1/models HTTP/1.1\nHost: x\n\n".into(), 400),
        ("bare CR", "GET /v1/models HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n".into(), 400),
        ("NUL", "GET /v1/models HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n".into(), 400),
        ("no Host", "GET /v1/models HTTP/1.1\r\n\r\n".into(), 400),
        ("two Hosts", "GET /v1/models HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".into(), 400),
        ("bad Host", "GET /v1/models HTTP/1.1\r\nHost: a b\r\n\r\n".into(), 400),
        ("version 2.0", "GET /v1/models HTTP/2.0\r\nHost: x\r\n\r\n".into(), 505),
        ("not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".into(), 400),
        ("header flood", format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(150)), 431),
        ("long header", format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(40_000)), 431),
        ("endless header", format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}", "b".repeat(40_000)), 431),
        ("unknown expectation", post("Expect: tea\r\nContent-Length: 2\r\n", "{}"), 417),
        ("declared body too large", post("Content-Length: 100001\r\n", ""), 413),
        (
            "chunked body too large",
            post("Transfer-Encoding: chunked\r\n", &format!("186a1\r\n{}\r\n0\r\n\r\n", "a".repeat(100_001))),
            413,
        ),
        ("bad chunk size", post("Transfer-Encoding: chunked\r\n", "zz\r\n"), 400),
        ("chunk without CRLF", post("Transfer-Encoding: chunked\r\n", "2\r\n{}X\r\n0\r\n\r\n"), 400),
    ] {
        let mut client = gateway.connect();
        client.send(&request);
        let reply = client.reply();
        // httparse names some malformed versions as malformed lines; refusing is what counts.
        assert!(reply.status == status || (status == 505 && reply.status == 400), "{name}: {reply:?}");
        assert!(!reply.json()["error"]["message"].as_str().unwrap().is_empty(), "{name}");
        assert_eq!(reply.header("connection"), Some("close"), "{name}");
        assert!(client.is_closed(), "{name}");
    }
    assert!(provider.seen().is_empty(), "nothing of it reached the provider");
    assert_eq!(gateway.chat(&chat_body("openai:gpt-4o-mini")).status, 200, "nobody else is affected");
}

#[test]
fn a_slow_head_and_a_slow_body_time_out() {
    let (_provider, gateway) = gateway();
    let mut slow = gateway.connect();
    for byte in "POST /v1/chat".bytes() {
        // Until the gateway has given up.
        if slow.stream.write_all(&[byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let reply = slow.reply();
    assert_eq!((reply.status, reply.error_code()), (408, "request_timeout".into()));

    let mut slow = gateway.connect();
    let body = chat_body("openai:gpt-4o-mini");
    let request = chat_request(&body);
    slow.send(&request[..request.len() - 20]);
    for byte in body.as_bytes()[body.len() - 20..].iter().take(15) {
        if slow.stream.write_all(&[*byte]).is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(slow.reply().status, 408);
    assert!(slow.is_closed());
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let (_provider, gateway) = gateway();
    let mut client = gateway.connect();
    assert_eq!(client.chat(&chat_body("openai:gpt-4o-mini")).status, 200);
    assert!(client.is_closed());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let provider = Provider::start(|seen, stream| {
        let model = seen.json()["model"].as_str().unwrap().to_owned();
        // The first takes longest.
        thread::sleep(Duration::from_millis(if model == "m0" { 100 } else { 1 }));
        respond(stream, &format!("{{\"model\":\"{model}\"}}"))
    });
    let gateway = Gateway::start(&provider.at(), "");
    let mut client = gateway.connect();
    let all: String = (0..20).map(|n| chat_request(&chat_body(&format!("openai:m{n}")))).collect();
    client.send(&all);
    for n in 0..20 {
        let reply = client.reply();
        assert_eq!((reply.status, reply.text()), (200, format!("{{\"model\":\"m{n}\"}}")));
    }
}

#[test]
fn requests_split_at_every_byte_are_understood() {
    let (provider, gateway) = gateway();
    let request = chat_request(&chat_body("openai:gpt-4o-mini"));
    let mut client = gateway.connect();
    for cut in (1..request.len()).step_by(7) {
        client.send(&request[..cut]);
        thread::sleep(Duration::from_millis(1));
        client.send(&request[cut..]);
        assert_eq!(client.reply().status, 200, "cut at {cut}");
    }
    assert!(provider.seen().iter().all(|seen| seen.json()["model"] == "gpt-4o-mini"));
}

#[test]
fn http_1_0_is_served_with_and_without_keep_alive() {
    let (_provider, gateway) = gateway();
    let body = chat_body("openai:gpt-4o-mini");
    let request = |extra: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut client = gateway.connect();
    client.send(&request(""));
    let reply = client.reply();
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-length").is_some() && client.is_closed());

    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send(&request("Connection: Keep-Alive\r\n"));
        let reply = client.reply();
        assert_eq!((reply.status, reply.header("connection")), (200, Some("keep-alive")));
    }
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    let (provider, gateway) = gateway();
    let body = chat_body("openai:gpt-4o-mini");
    let head = |key: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
    };
    let mut client = gateway.connect();
    client.send(&head(KEY));
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(&body);
    assert_eq!(client.reply().status, 200);

    // One that would be refused is refused before it sends its body.
    let mut client = gateway.connect();
    client.send(&head("sk-wrong"));
    assert!(client.head().starts_with("HTTP/1.1 401 "));
    assert_eq!(provider.seen().len(), 1);
}

#[test]
fn chunked_requests_with_extensions_and_trailers_arrive_whole() {
    let (provider, gateway) = gateway();
    let body = chat_body("openai:gpt-4o-mini");
    let (a, b) = body.split_at(10);
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send(&format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n{:x};ext=1\r\n{a}\r\n",
            a.len()
        ));
        thread::sleep(Duration::from_millis(5));
        client.send(&format!("{:X}\r\n{b}\r\n0\r\nX-T: 1\r\n\r\n", b.len()));
        assert_eq!(client.reply().status, 200);
    }
    for seen in provider.seen() {
        assert_eq!(String::from_utf8(seen.body.clone()).unwrap(), body.replace("openai:", ""));
        assert!(seen.header("x-t").is_none() && seen.header("trailer").is_none());
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let (_provider, gateway) = gateway();
    let mut client = gateway.connect();
    for path in ["/livez", "/v1/models", "/metrics", "/nowhere"] {
        client.send(&format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"));
        let reply = client.reply_to(true);
        assert_eq!(reply.status, if path == "/nowhere" { 404 } else { 200 });
        assert_ne!(reply.header("content-length"), Some("0"), "{path}");
    }
}

#[test]
fn the_absolute_form_of_a_target_is_understood() {
    let (_provider, gateway) = gateway();
    let mut client = gateway.connect();
    client.send(&format!("GET http://gateway.example/v1/models HTTP/1.1\r\nHost: gateway.example\r\nAuthorization: Bearer {KEY}\r\n\r\n"));
    assert_eq!(client.reply().status, 200);
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let provider = Provider::start(|_, stream| {
        thread::sleep(Duration::from_millis(300));
        respond(stream, COMPLETION)
    });
    let gateway = Gateway::start(&provider.at(), "");
    let mut client = gateway.connect();
    client.send(&chat_request(&chat_body("openai:gpt-4o-mini")));
    client.stream.shutdown(Shutdown::Write).unwrap();
    let reply = client.reply();
    assert_eq!((reply.status, reply.text()), (200, COMPLETION.into()));
    assert!(client.is_closed());
}

#[test]
fn wrong_methods_and_paths_are_named() {
    let (_provider, gateway) = gateway();
    let mut client = gateway.connect();
    for (request, status, code) in [
        ("GET /v1/chat/completions", 405, "method_not_supported"),
        ("DELETE /v1/models", 405, "method_not_supported"),
        ("GET /v1/nothing", 404, "unknown_url"),
        ("GET /", 404, "unknown_url"),
        ("OPTIONS *", 404, "unknown_url"),
        ("CONNECT example.com:443", 404, "unknown_url"),
    ] {
        client.send(&format!("{request} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"));
        let reply = client.reply();
        assert_eq!((reply.status, reply.error_code().as_str()), (status, code), "{request}");
        if status == 405 {
            assert!(reply.header("allow").is_some());
        }
    }
}
