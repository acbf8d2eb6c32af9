//! Programs that people point at a gateway: curl, ab (HTTP/1.0) and hey. `tests/run` installs them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{io::Write as _, path::PathBuf, process::Command};

use common::*;

/// Runs a program and returns what it printed; it must exist and succeed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| {
        panic!("{program}: {error}; run `make test` or `tests/run --install`, which installs it")
    });
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {} {text}", output.status);
    text
}

/// The number behind `before`, up to the next space.
fn number(text: &str, before: &str) -> Option<u64> {
    text.split_once(before)?.1.split_whitespace().next()?.parse().ok()
}

fn url(gateway: &Gateway) -> String {
    format!("http://{}/v1/chat/completions", gateway.addr)
}

const AUTHORIZATION: &str = "Authorization: Bearer sk-client-0123456789";

/// A file that holds a request's body.
fn body_file(gateway: &Gateway, body: &str) -> PathBuf {
    let path = gateway.folder.join("body.json");
    std::fs::File::create(&path).unwrap().write_all(body.as_bytes()).unwrap();
    path
}

/// Streams "a", "b", "c", usage and the end.
fn streaming() -> Provider {
    Provider::start(|seen, stream| {
        if seen.json()["stream"] != true {
            return respond(stream, COMPLETION);
        }
        stream_head(stream);
        for text in ["a", "b", "c"] {
            write_chunk(stream, &delta(text));
        }
        write_chunk(stream, USAGE_EVENT);
        write_chunk(stream, DONE);
        stream.write_all(b"0\r\n\r\n").is_ok()
    })
}

#[test]
fn curl_gets_answers_streams_and_errors() {
    let provider = streaming();
    let gateway = Gateway::start(&provider.at(), "");
    let url = url(&gateway);
    let json = "Content-Type: application/json";
    let curl = |more: &[&str]| {
        let mut arguments = vec!["--silent", "--show-error", "--max-time", "20", "--noproxy", "*"];
        arguments.extend(more);
        run("curl", &arguments)
    };
    let plain = chat_body("openai:gpt-4o-mini");
    for version in ["--http1.1", "--http1.0"] {
        let text = curl(&[version, "-H", AUTHORIZATION, "-H", json, "-d", &plain, &url]);
        assert_eq!(text, COMPLETION, "{version}");
    }
    let stream = stream_body("openai:gpt-4o-mini");
    for version in ["--http1.1", "--http1.0"] {
        let text = curl(&[version, "--no-buffer", "-H", AUTHORIZATION, "-H", json, "-d", &stream, &url]);
        assert_eq!(text, format!("{}{}{}{DONE}", delta("a"), delta("b"), delta("c")), "{version}");
    }
    // A body of this size makes curl wait for 100 Continue.
    let large = plain.replace("hi", &"x".repeat(2 * 1024 * 1024));
    let path = body_file(&gateway, &large);
    let data = format!("@{}", path.display());
    let text = curl(&["-v", "-H", AUTHORIZATION, "-H", json, "--data-binary", &data, &url]);
    assert!(text.contains("Expect: 100-continue") && text.contains("HTTP/1.1 100 Continue"), "{text}");
    assert!(text.contains(COMPLETION), "{text}");
    assert_eq!(provider.seen().last().unwrap().body.len(), large.len() - "openai:".len());
    let text = curl(&["-H", json, "-d", &plain, "-w", "%{http_code}", &url]);
    assert!(text.ends_with("401") && text.contains("missing_api_key"), "{text}");
    // Two requests over one connection.
    let text = curl(&["-v", "-H", AUTHORIZATION, "-d", &plain, &url, &url]);
    assert!(text.contains("Re-using existing connection") && text.matches(COMPLETION).count() == 2, "{text}");
    let text = curl(&["-I", "-H", AUTHORIZATION, &url.replace("chat/completions", "models")]);
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
}

#[test]
fn ab_loses_no_request_with_and_without_keep_alive() {
    let provider = Provider::plain();
    let gateway = Gateway::start(&provider.at(), "");
    let path = body_file(&gateway, &chat_body("openai:gpt-4o-mini"));
    let (path, url) = (path.to_str().unwrap(), url(&gateway));
    for keep_alive in [false, true] {
        let mut arguments = vec!["-n", "2000", "-c", "16", "-s", "20", "-p", path, "-T", "application/json"];
        arguments.extend(["-H", AUTHORIZATION]);
        if keep_alive {
            arguments.push("-k");
        }
        arguments.push(&url);
        let text = run("ab", &arguments);
        assert_eq!(number(&text, "Complete requests:"), Some(2000), "{text}");
        assert_eq!(number(&text, "Failed requests:"), Some(0), "{text}");
        assert!(!text.contains("Non-2xx responses"), "{text}");
        assert_eq!(number(&text, "HTML transferred:"), Some(2000 * COMPLETION.len() as u64), "{text}");
        let kept = if keep_alive { Some(2000) } else { None };
        assert_eq!(number(&text, "Keep-Alive requests:"), kept, "{text}");
    }
    assert_eq!(gateway.metric("coo_llm_requests_total", &["status=\"200\""]), 4000.0);
    assert_eq!(provider.seen().len(), 4000, "each reached the provider exactly once");
}

#[test]
fn hey_loses_no_request() {
    let provider = streaming();
    let gateway = Gateway::start(&provider.at(), "");
    let url = url(&gateway);
    for (body, more) in [
        (chat_body("openai:gpt-4o-mini"), &[][..]),
        (chat_body("openai:gpt-4o-mini"), &["-disable-keepalive"][..]),
        (stream_body("openai:gpt-4o-mini"), &[][..]),
    ] {
        let mut arguments =
            vec!["-n", "2000", "-c", "20", "-t", "20", "-m", "POST", "-T", "application/json"];
        arguments.extend(["-H", AUTHORIZATION, "-d", &body]);
        arguments.extend(more);
        arguments.push(&url);
        let text = run("hey", &arguments);
        assert_eq!(number(&text, "[200]"), Some(2000), "{text}");
        assert!(!text.contains("Error distribution") && text.matches(" responses").count() == 1, "{text}");
    }
    assert_eq!(provider.seen().len(), 6000, "each reached the provider exactly once");
}
