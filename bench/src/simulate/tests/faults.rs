//! How each fault looks from outside, for a whole answer and for a stream.

use std::{
    io::{ErrorKind, Write},
    time::{Duration, Instant},
};

use serde_json::json;

use super::*;

#[test]
fn faults_spoil_answers_as_they_say() {
    let simulator = simulator(|settings| settings.answer_tokens = Tokens::exactly(10));
    let spoiled = |model: &str, stream: bool| {
        let body = json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
        let mut socket = connect(&simulator);
        // What stalls is cut off by the client.
        let patience = if model.contains("stall") || model.contains("lying") { 300 } else { 8000 };
        socket.set_read_timeout(Some(Duration::from_millis(patience))).unwrap();
        let extra = if model.contains("lying") { "" } else { "connection: close\r\n" };
        socket
            .write_all(request("POST", "/v1/chat/completions", extra, &body.to_string()).as_bytes())
            .unwrap();
        let (out, error) = rest(&mut socket);
        (String::from_utf8_lossy(&out).into_owned(), error)
    };
    let length = |text: &str| -> usize {
        text.split_once("content-length: ").unwrap().1.split_once('\r').unwrap().0.parse().unwrap()
    };
    let body = |text: &str| text.split_once("\r\n\r\n").map(|(_, body)| body.len()).unwrap_or(0);
    let open = Some(ErrorKind::WouldBlock);

    for stream in [false, true] {
        let (text, error) = spoiled("sim-reset", stream);
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert_eq!(error, Some(ErrorKind::ConnectionReset));
        assert_eq!(spoiled("sim-stall", stream), (String::new(), open));
        let (text, error) = spoiled("sim-stall-mid", stream);
        assert!(text.starts_with("HTTP/1.1 200") && !text.contains("[DONE]") && error == open);
        let (text, error) = spoiled("sim-cut", stream);
        assert!(!text.contains("[DONE]") && !text.ends_with("0\r\n\r\n") && error.is_none());
        assert!(stream || body(&text) < length(&text));
        assert!(!spoiled("sim-garbage", stream).0.starts_with("HTTP"));
        let (text, _) = spoiled("sim-huge-head", stream);
        assert!(text.find("\r\n\r\n").unwrap() > 128 * 1024);
        answer(text.as_bytes());
        let (text, _) = spoiled("sim-close-delimited", stream);
        assert!(!text.contains("content-length") && !text.contains("chunked"));
        let (text, _) = spoiled("sim-100", stream);
        assert!(text.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"));
        assert!(text.contains("\r\n\r\nHTTP/1.1 200 OK\r\n"));
        assert_eq!(answer(spoiled("sim-split", stream).0.as_bytes()).status, 200);
        assert_eq!(answer(spoiled("sim-burst", stream).0.as_bytes()).status, 200);
        let (text, error) = spoiled("sim-close-after", stream);
        assert!(!text.contains("connection: close") || stream, "{text}");
        assert!(error.is_none() && answer(text.as_bytes()).status == 200);
        let started = Instant::now();
        assert_eq!(answer(spoiled("sim-slow", stream).0.as_bytes()).status, 200);
        assert!(started.elapsed() > Duration::from_millis(900));
    }

    let (text, error) = spoiled("sim-lying-length", false);
    assert!(length(&text) > body(&text) && error == open);
    let (text, _) = spoiled("sim-lying-short", false);
    assert!(length(&text) < body(&text));
    let (text, _) = spoiled("sim-chunked", false);
    assert!(text.contains("transfer-encoding: chunked") && text.contains("\r\n0\r\nx-sim-trailer: one\r\n"));
    assert!(answer(text.as_bytes()).json()["usage"].is_object());

    let stream = |model: &str| answer(spoiled(model, true).0.as_bytes());
    assert!(!stream("sim-no-done").body.contains("[DONE]"));
    assert!(stream("sim-no-blank").body.ends_with("data: [DONE]\n"));
    assert!(stream("sim-no-blank-usage").body.ends_with("\"finish_reason\":\"stop\"}]}"));
    let usage = stream("sim-usage-last-choice").chunks();
    assert!(usage.last().unwrap()["usage"]["total_tokens"].is_u64());
    assert_eq!(usage.last().unwrap()["choices"][0]["finish_reason"], "stop");
    assert!(stream("sim-comments").body.contains("\n\n: OPENROUTER PROCESSING\n\ndata: "));
    let broken = stream("sim-stream-error");
    assert!(broken.events().last().unwrap().starts_with("{\"error\"") && !broken.body.contains("[DONE]"));
}
