//! TLS on the listener and towards a provider, with session resumption.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use common::*;

/// A chain of two gateways: a plain client, a gateway that reaches its provider over TLS, and that "provider",
/// itself a gateway that listens with TLS.
#[test]
fn both_sides_speak_tls_and_unknown_authorities_are_refused() {
    let provider = Provider::start(|seen, stream| {
        if seen.json()["stream"] == true {
            stream_head(stream);
            for n in 0..50 {
                write_chunk(stream, &delta(&format!("{n}{}", "x".repeat(2000))));
            }
            write_chunk(stream, DONE);
            return std::io::Write::write_all(stream, b"0\r\n\r\n").is_ok();
        }
        respond(stream, COMPLETION)
    });
    let files = Certificate::new();
    let (cert, key, ca) = (&files.cert, &files.key, &files.ca);

    let inner = Gateway::start(
        &provider.at(),
        &format!(
            "server: {{listen: '127.0.0.1:0', worker_threads: 1, tls: {{cert_file: '{}', key_file: '{}'}}}}\n",
            cert.display(),
            key.display()
        ),
    );
    let outer = |ca: &str| {
        Gateway::from_config(
            &format!(
                "server: {{listen: '127.0.0.1:0', worker_threads: 1}}
logging: {{access: {{enabled: true, path: FOLDER/access.log}}}}
upstream: {{{ca} timeouts: {{connect: 2s}}}}
llm_providers: [{{id: inner, type: custom, base_url: 'https://localhost:{}/v1', api_keys: [{KEY}]}}]
api_keys: [{{id: tester, key: {KEY}}}]
",
                inner.addr.port()
            ),
            &[],
        )
    };
    let trusting = outer(&format!("tls: {{ca_file: '{}'}},", ca.display()));
    let mut client = trusting.connect();
    for _ in 0..5 {
        let reply = client.chat(&chat_body("inner:openai:m"));
        assert_eq!(reply.text(), COMPLETION, "{:?}", trusting.log(1));
        let streamed = client.chat(&stream_body("inner:openai:m"));
        let text = streamed.text();
        let end = text.get(text.len().saturating_sub(300)..).unwrap_or_default();
        assert!(
            text.ends_with(DONE) && text.len() > 100_000,
            "{} … {end} {:?}",
            streamed.head,
            trusting.log(1)
        );
    }
    let big = format!(
        r#"{{"model":"inner:openai:m","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "a".repeat(1_000_000)
    );
    assert_eq!(client.chat(&big).status, 200);
    assert!(provider.seen().iter().all(|seen| seen.json()["model"] == "m"));

    let wary = outer("");
    let reply = wary.chat(&chat_body("inner:openai:m"));
    assert_eq!((reply.status, reply.error_code()), (502, "upstream_connect_failed".into()));

    // Plain HTTP to a TLS listener is no harm.
    let mut plain = inner.connect();
    plain.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let alert = plain.rest();
    assert!(alert.is_empty() || alert.starts_with(&[21]), "a TLS alert (RFC 8446 §6) or nothing: {alert:?}");
    assert_eq!(client.chat(&chat_body("inner:openai:m")).status, 200);
}
