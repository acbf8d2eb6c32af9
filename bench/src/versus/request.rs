//! The request that every rival gets, as wrk, the load generator and a plain socket send it.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::Settings;

/// The client key the gateway is configured with.
pub(super) const KEY: &str = "sk-client-0123456789";
/// The model asked for.
pub(super) const MODEL: &str = "openai:gpt-4o-mini";
/// `max_tokens` of a request that is not streamed.
const MAX_TOKENS: usize = 128;
/// How long a single request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The body: about 300 bytes, a chat of two short messages, streamed or not.
pub(super) fn body(stream: bool, max_tokens: usize) -> String {
    let stream = if stream { ",\"stream\":true" } else { "" };
    format!(
        "{{\"model\":\"{MODEL}\",\"messages\":[{{\"role\":\"system\",\"content\":\"You are a helpful assistant that \
         answers briefly and exactly.\"}},{{\"role\":\"user\",\"content\":\"What is the capital of France, and how \
         many people live in it today? Answer in one sentence please.\"}}],\"temperature\":0.2,\"max_tokens\":{max_tokens}\
         {stream}}}"
    )
}

/// A script that makes wrk send it.
pub(super) fn wrk_script() -> String {
    format!(
        "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\n\
         wrk.headers[\"Authorization\"] = \"Bearer {KEY}\"\nwrk.body = '{}'\n",
        body(false, MAX_TOKENS)
    )
}

/// Arguments of the simulator for streams of `settings.chunks` chunks at `settings.chunk_rate` a second.
pub(super) fn simulator_args(settings: &Settings, port: u16) -> Vec<String> {
    vec![
        "simulate".into(),
        format!("--listen=127.0.0.1:{port}"),
        format!("--answer-tokens={}", settings.chunks),
        format!("--tokens-per-s={}", settings.chunk_rate),
    ]
}

/// Sends a chat completion to `port` on a connection of its own and returns the status.
pub(crate) fn chat(port: u16) -> io::Result<u16> {
    exchange(&mut connect(port)?).map(|(status, _)| status)
}

/// A connection to `port` of 127.0.0.1.
pub(super) fn connect(port: u16) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Sends a chat completion and reads the whole answer, leaving the connection open.
pub(super) fn exchange(socket: &mut TcpStream) -> io::Result<(u16, Vec<u8>)> {
    let body = body(false, MAX_TOKENS);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         authorization: Bearer {KEY}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + &body).as_bytes())?;
    answer(socket)
}

/// GETs `path` from `port` on a connection of its own.
pub(crate) fn get(port: u16, path: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut socket = connect(port)?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes())?;
    answer(&mut socket)
}

/// POSTs `body`, which is JSON, to `path` of `port` on a connection of its own.
pub(crate) fn post(port: u16, path: &str, body: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut socket = connect(port)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + body).as_bytes())?;
    answer(&mut socket)
}

/// Reads one response whose body has a length or ends with the connection or with the last chunk; chunk framing
/// is left in the body.
fn answer(socket: &mut TcpStream) -> io::Result<(u16, Vec<u8>)> {
    let mut received = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(answer) = complete(&received, false) {
            return Ok(answer);
        }
        let n = socket.read(&mut piece)?;
        received.extend_from_slice(piece.get(..n).unwrap_or_default());
        if n == 0 {
            return complete(&received, true).ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn complete(received: &[u8], ended: bool) -> Option<(u16, Vec<u8>)> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let (head, body) = received.split_at(end);
    let head = std::str::from_utf8(head).ok()?.to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let field = |name| head.lines().find_map(|line: &str| line.strip_prefix(name)).map(str::trim);
    let whole = match (field("content-length:"), field("transfer-encoding:")) {
        (Some(length), _) => body.len() >= length.parse().ok()?,
        (None, Some(_)) => ended || body.ends_with(b"\r\n0\r\n\r\n"),
        (None, None) => ended,
    };
    whole.then(|| (status, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_complete_when_their_framing_says_so() {
        let cases: [(&[u8], bool, Option<u16>); 6] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false, Some(200)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false, None),
            (b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false, Some(503)),
            (b"HTTP/1.1 200 OK\r\n\r\nok", false, None),
            (b"HTTP/1.1 200 OK\r\n\r\nok", true, Some(200)),
            (b"HTTP/1.1 200", true, None),
        ];
        for (bytes, ended, status) in cases {
            assert_eq!(complete(bytes, ended).map(|(status, _)| status), status);
        }
    }

    #[test]
    fn the_body_is_json_of_about_300_bytes() {
        for stream in [false, true] {
            let body = body(stream, MAX_TOKENS);
            assert!((290..=360).contains(&body.len()), "{}", body.len());
            assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok());
        }
    }
}
