//! Replicate's predictions: asked for until they are over, read as streams, and given up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{
    io::Read,
    sync::{Mutex, mpsc},
    time::Duration,
};

use common::*;

const ONCE: &str = "policy: {retry: {max_attempts: 1}}";

const PREDICTION: &str = r#"{"id":"abc123","model":"meta/llama","status":"STATUS","output":OUTPUT,"error":ERROR,"metrics":{"input_token_count":9,"output_token_count":3},"urls":{"get":"https://api.replicate.com/v1/predictions/abc123","stream":"STREAM"}}"#;

fn prediction(status: &str) -> String {
    let (output, error) = match status {
        "succeeded" => (r#"["Hel","lo!"]"#, "null"),
        "failed" => ("null", r#""CUDA out of memory""#),
        _ => ("null", "null"),
    };
    PREDICTION.replace("STATUS", status).replace("OUTPUT", output).replace("ERROR", error)
}

/// One that begins, with its stream at `url`.
fn begun(url: &str) -> String {
    prediction("starting").replace("STREAM", url)
}

/// A gateway before `provider` as Replicate's API, whose streams are at `streams`.
fn replicate(provider: &Provider, streams: &Provider, more: &str) -> Gateway {
    let (at, streams) = (provider.at(), streams.at());
    Gateway::from_config(
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
llm_providers:
  - {{id: replicate, type: replicate, base_url: 'http://{at}/v1', stream_base_url: 'http://{streams}', api_keys: [r8-upstream]}}
  - {{id: other, type: openai, base_url: 'http://{at}/other/v1', api_keys: [sk-upstream]}}
api_keys: [{{id: tester, key: {KEY}}}]
{more}
"
        ),
        &[],
    )
}

#[test]
fn a_prediction_is_asked_for_until_it_is_over() {
    let provider = Provider::start(|seen, stream| {
        let status = match seen.nth {
            0 => "starting",
            1 => "processing",
            _ => "succeeded",
        };
        respond(stream, &prediction(status))
    });
    let gateway = replicate(&provider, &provider, ONCE);
    let reply = gateway.chat(&chat_body("replicate:meta/llama"));
    let answer = reply.json();
    assert_eq!(
        (reply.status, &answer["choices"][0]["message"]["content"]),
        (200, &"Hello!".into()),
        "{}",
        reply.text()
    );
    assert_eq!(
        (&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"]),
        (&9.into(), &3.into())
    );
    let seen = provider.seen();
    assert_eq!(seen.len(), 3);
    assert!(
        seen[0].head.starts_with("POST /v1/models/meta/llama/predictions HTTP/1.1\r\n"),
        "{}",
        seen[0].head
    );
    assert!(seen[0].header("prefer").unwrap().starts_with("wait="), "{}", seen[0].head);
    assert_eq!(seen[0].header("authorization").as_deref(), Some("Bearer r8-upstream"));
    assert_eq!(seen[0].json(), serde_json::json!({"input": {"prompt": "hi"}}));
    for get in &seen[1..] {
        assert!(get.head.starts_with("GET /v1/predictions/abc123 HTTP/1.1\r\n"), "{}", get.head);
        assert_eq!(get.header("authorization").as_deref(), Some("Bearer r8-upstream"));
    }
    assert_eq!(gateway.metric("coo_llm_tokens_total", &["type=\"output\""]), 3.0);
}

#[test]
fn a_prediction_that_came_whole_is_streamed_to_who_asks_for_that() {
    let provider = Provider::start(|_, stream| respond(stream, &prediction("succeeded")));
    let gateway = replicate(&provider, &provider, ONCE);
    let reply = gateway.chat(&stream_body("replicate:meta/llama"));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(reply.head.to_ascii_lowercase().matches("content-type:").count(), 1, "{}", reply.head);
    let text = reply.text();
    assert!(text.contains("\"content\":\"Hello!\"") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(!text.contains("\"usage\":{"), "nobody asked for it: {text}");
}

#[test]
fn a_prediction_that_failed_is_an_error() {
    let provider = Provider::start(|_, stream| respond(stream, &prediction("failed")));
    let gateway = replicate(&provider, &provider, ONCE);
    for body in [chat_body("replicate:meta/llama"), stream_body("replicate:meta/llama")] {
        let reply = gateway.chat(&body);
        assert_eq!(
            (reply.status, &reply.json()["error"]["type"]),
            (502, &"server_error".into()),
            "{}",
            reply.text()
        );
        assert!(reply.text().contains("CUDA out of memory"), "{}", reply.text());
    }
    let named = gateway.chat(&chat_body("replicate:llama"));
    assert_eq!((named.status, &named.json()["error"]["param"]), (400, &"model".into()), "{}", named.text());
}

/// Replicate's API, with predictions that have their stream at `streams` and are over when they are asked for.
fn api(streams: &Provider) -> Provider {
    let begun = begun(&format!("http://{}/v1/files/abc-1?x=y", streams.at()));
    Provider::start(move |seen, stream| {
        respond(
            stream,
            if seen.head.starts_with("POST") {
                &begun
            } else {
                SUCCEEDED.get_or_init(|| prediction("succeeded"))
            },
        )
    })
}

static SUCCEEDED: std::sync::OnceLock<String> = std::sync::OnceLock::new();

const FIRST: &str = ": hi\n\nevent: output\nid: 1:0\ndata: Hel\n\n";
const LAST: &str = "event: output\nid: 1:1\ndata: lo!\n\nevent: done\nid: 2:0\ndata: {}\n\n";

/// A host of streams, each of these pieces and then its end.
fn streams(pieces: &'static [&'static str]) -> Provider {
    Provider::start(move |_, stream| {
        stream_head(stream);
        pieces.iter().all(|piece| write_chunk(stream, piece)) && write_end(stream)
    })
}

fn write_end(stream: &mut std::net::TcpStream) -> bool {
    std::io::Write::write_all(stream, b"0\r\n\r\n").is_ok()
}

/// What the API was asked, without the first.
fn asked_after(provider: &Provider) -> Vec<String> {
    let line = |seen: &Seen| seen.head.lines().next().unwrap().to_owned();
    provider.seen().iter().skip(1).map(line).collect()
}

#[test]
fn a_stream_comes_as_it_is_produced_and_from_its_own_host_without_the_key() {
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let streams = Provider::start(move |_, stream| {
        stream_head(stream);
        let sent = write_chunk(stream, FIRST);
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        // The connection stays open behind the last event.
        sent && write_chunk(stream, LAST)
    });
    let provider = api(&streams);
    let gateway = replicate(&provider, &streams, ONCE);
    let mut client = gateway.connect();
    client.send(&chat_request(
        &stream_body("replicate:meta/llama")
            .replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
    ));
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut text = String::new();
    while !text.contains("\"content\":\"Hel\"") {
        text.push_str(&String::from_utf8(client.chunk().unwrap()).unwrap());
    }
    assert!(asked_after(&provider).is_empty());
    go.send(()).unwrap();
    while let Some(chunk) = client.chunk() {
        text.push_str(&String::from_utf8(chunk).unwrap());
    }
    assert!(text.contains("\"content\":\"lo!\"") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(text.contains("\"prompt_tokens\":9,\"completion_tokens\":3"), "{text}");
    let first = &provider.seen()[0];
    assert_eq!((first.header("prefer"), &first.json()["stream"]), (None, &true.into()));
    assert_eq!(asked_after(&provider), ["GET /v1/predictions/abc123 HTTP/1.1"]);
    let asked = streams.seen();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].head.starts_with("GET /v1/files/abc-1?x=y HTTP/1.1\r\n"), "{}", asked[0].head);
    assert_eq!(asked[0].header("accept").as_deref(), Some("text/event-stream"));
    assert_eq!(asked[0].header("host"), Some(streams.at()));
    assert!(!asked[0].head.contains("r8-upstream"), "{}", asked[0].head);
    let log = gateway.log(1);
    assert_eq!((&log[0]["status"], &log[0]["attempts"]), (&200.into(), &1.into()), "{log:?}");
    assert_eq!(gateway.metric("coo_llm_tokens_total", &["type=\"output\""]), 3.0);
}

#[test]
fn every_client_gets_a_stream_in_its_dialect() {
    let streams = streams(&[FIRST, LAST]);
    let provider = api(&streams);
    let gateway = replicate(&provider, &streams, ONCE);
    let ask = |path: &str, body: &str| {
        let mut client = gateway.connect();
        let length = body.len();
        client.send(&format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {length}\r\n\r\n{body}"));
        client.reply().text()
    };
    let message = r#"{"model":"replicate:meta/llama","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let text = ask("/v1/messages", message);
    assert!(text.contains(r#""text":"Hel""#) && text.contains(r#""text":"lo!""#), "{text}");
    assert!(text.contains(r#""output_tokens":3"#) && text.contains("event: message_stop"), "{text}");
    let text = ask("/v1/responses", r#"{"model":"replicate:meta/llama","stream":true,"input":"hi"}"#);
    assert!(text.contains(r#""delta":"lo!""#) && text.contains("event: response.completed"), "{text}");
    assert!(text.contains(r#""output_tokens":3"#), "{text}");
}

#[test]
fn a_stream_elsewhere_is_not_asked_and_one_that_is_none_is_not_needed() {
    let elsewhere = Provider::plain();
    let none = Provider::start(|_, stream| respond(stream, "{}"));
    for (url, streams) in [
        (format!("http://{}/v1/files/a", elsewhere.at()), &none),
        (format!("http://{}/v1/files/a", none.at()), &none),
        (String::new(), &none),
    ] {
        let begun = begun(&url);
        let provider = Provider::start(move |seen, stream| {
            respond(
                stream,
                if seen.head.starts_with("POST") {
                    &begun
                } else {
                    SUCCEEDED.get_or_init(|| prediction("succeeded"))
                },
            )
        });
        let gateway = replicate(&provider, streams, ONCE);
        let reply = gateway.chat(&stream_body("replicate:meta/llama"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.text().contains("\"content\":\"Hello!\""), "{}", reply.text());
        assert!(reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
        assert_eq!(asked_after(&provider), ["GET /v1/predictions/abc123 HTTP/1.1"], "{url}");
    }
    assert_eq!((elsewhere.seen().len(), none.seen().len()), (0, 1));
}

#[test]
fn a_stream_that_fails_at_once_is_tried_elsewhere_and_one_that_fails_later_says_so() {
    const ERROR: &str = "event: error\ndata: {\"detail\":\"CUDA out of memory\"}\n\nevent: done\ndata: {\"reason\":\"error\"}\n\n";
    let broken = streams(&[ERROR]);
    let begun = begun(&format!("http://{}/v1/files/a", broken.at()));
    let provider = Provider::start(move |seen, stream| {
        if seen.head.contains("/other/") {
            stream_head(stream);
            return write_chunk(stream, &delta("Hi")) && write_chunk(stream, DONE) && write_end(stream);
        }
        respond(stream, &begun)
    });
    let gateway = replicate(&provider, &broken, "model_aliases: {m: ['replicate:meta/llama', 'other:m']}");
    // They take turns.
    for _ in 0..2 {
        let reply = gateway.chat(&stream_body("m"));
        assert_eq!((reply.status, reply.header("x-coo-provider")), (200, Some("other")), "{}", reply.text());
    }
    assert_eq!(broken.seen().len(), 1);
    let alone = gateway.chat(&stream_body("replicate:meta/llama"));
    assert!(alone.text().contains("CUDA out of memory"), "{}", alone.text());
    // It is over, and there is nothing to cancel.
    std::thread::sleep(Duration::from_millis(200));
    assert!(
        !asked_after(&provider).iter().any(|line| line.contains("/cancel")),
        "{:?}",
        asked_after(&provider)
    );

    let later = streams(&[FIRST, ERROR]);
    let provider = api(&later);
    let gateway = replicate(&provider, &later, ONCE);
    let reply = gateway.chat(&stream_body("replicate:meta/llama"));
    let text = reply.text();
    assert!(
        text.contains("\"Hel\"") && text.contains("CUDA out of memory") && !text.contains("[DONE]"),
        "{text}"
    );
}

#[test]
fn a_stream_that_is_cut_is_reported_and_its_prediction_canceled() {
    let cut = streams(&[FIRST]);
    let provider = api(&cut);
    let gateway = replicate(&provider, &cut, ONCE);
    let reply = gateway.chat(&stream_body("replicate:meta/llama"));
    assert!(reply.text().contains("\"Hel\"") && !reply.text().contains("[DONE]"), "{}", reply.text());
    assert!(reply.text().contains("upstream"), "{}", reply.text());
    eventually("it is canceled", || {
        asked_after(&provider) == ["POST /v1/predictions/abc123/cancel HTTP/1.1"]
    });
    let cancel = provider.seen().pop().unwrap();
    assert_eq!(cancel.header("authorization").as_deref(), Some("Bearer r8-upstream"));
    assert_eq!(cancel.header("content-length").as_deref(), Some("0"));
}

#[test]
fn a_prediction_is_canceled_when_its_client_leaves() {
    let streams = Provider::start(|_, stream| {
        stream_head(stream);
        write_chunk(stream, FIRST);
        // Until the gateway hangs up.
        let _ = stream.read(&mut [0; 1]);
        false
    });
    let canceled = |provider: &Provider| {
        asked_after(provider).iter().any(|line| line == "POST /v1/predictions/abc123/cancel HTTP/1.1")
    };
    let provider = api(&streams);
    let gateway = replicate(&provider, &streams, ONCE);
    let mut client = gateway.connect();
    client.send(&chat_request(&stream_body("replicate:meta/llama")));
    client.head();
    client.chunk().unwrap();
    assert!(!canceled(&provider));
    drop(client);
    eventually("it is canceled", || canceled(&provider));

    // One that is asked for until it is over, too.
    let slow = Provider::start(|_, stream| respond(stream, &prediction("processing")));
    let gateway = replicate(&slow, &streams, ONCE);
    let mut client = gateway.connect();
    client.send(&chat_request(&chat_body("replicate:meta/llama")));
    eventually("it is asked for", || slow.seen().len() > 1);
    drop(client);
    eventually("it is canceled", || canceled(&slow));
}

#[test]
fn a_stream_that_is_late_is_overtaken_and_its_prediction_canceled() {
    let silent = Provider::start(|_, stream| {
        stream_head(stream);
        // Until the gateway hangs up.
        let _ = stream.read(&mut [0; 1]);
        false
    });
    let begun = begun(&format!("http://{}/v1/files/a", silent.at()));
    let provider = Provider::start(move |seen, stream| {
        if seen.head.contains("/other/") {
            stream_head(stream);
            return write_chunk(stream, &delta("Hi")) && write_chunk(stream, DONE) && write_end(stream);
        }
        respond(stream, &begun)
    });
    let more = "model_aliases: {m: ['replicate:meta/llama', 'other:m']}\npolicy: {hedge: 200ms}";
    let gateway = replicate(&provider, &silent, more);
    // They take turns.
    for _ in 0..2 {
        let reply = gateway.chat(&stream_body("m"));
        assert_eq!((reply.status, reply.header("x-coo-provider")), (200, Some("other")), "{}", reply.text());
    }
    assert_eq!(silent.seen().len(), 1);
    eventually("it is canceled", || {
        asked_after(&provider).iter().any(|line| line == "POST /v1/predictions/abc123/cancel HTTP/1.1")
    });
}
