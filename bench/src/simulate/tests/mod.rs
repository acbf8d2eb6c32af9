//! The simulator on the wire, as a client sees it.

mod behaviour;
mod faults;
mod format;
mod troubles;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use super::*;

const PLAIN: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Say hello"}]}"#;

pub(super) fn simulator(change: impl FnOnce(&mut Settings)) -> Simulator {
    let mut settings = Settings { record: RecordSettings::keep(1000), ..Settings::default() };
    change(&mut settings);
    start(settings).unwrap()
}

fn connect(simulator: &Simulator) -> TcpStream {
    let socket = TcpStream::connect(simulator.addr()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// A request as bytes; `extra` are header lines.
pub(super) fn request(method: &str, path: &str, extra: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer sk-test\r\n{extra}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Everything a connection gives until it ends, and how it ended.
fn rest(socket: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut out = Vec::new();
    let error = socket.read_to_end(&mut out).err().map(|error| error.kind());
    (out, error)
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The data of the events of a stream.
    fn events(&self) -> Vec<&str> {
        self.body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect()
    }

    /// The chunks of a stream, which must end in `[DONE]`.
    pub(super) fn chunks(&self) -> Vec<Value> {
        let mut events = self.events();
        assert_eq!(events.pop(), Some("[DONE]"), "{self:?}");
        events.into_iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    use coo_shards::http1::{body::Decoder, head::Framing};
    let (mut decoder, mut out) = (Decoder::new(Framing::Chunked), Vec::new());
    loop {
        let step = decoder.step(bytes).unwrap();
        out.extend_from_slice(&bytes[step.skip..step.skip + step.data]);
        bytes = &bytes[step.skip + step.data..];
        if step.data == 0 {
            assert!(decoder.is_done(), "cut: {}", String::from_utf8_lossy(&out));
            return out;
        }
    }
}

fn answer(bytes: &[u8]) -> Answer {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let chunked = head.contains("transfer-encoding: chunked");
    let body = if chunked { dechunk(&bytes[at..]) } else { bytes[at..].to_vec() };
    let status = head[9..12].parse().unwrap();
    Answer { status, head, body: String::from_utf8(body).unwrap() }
}

pub(super) fn exchange(simulator: &Simulator, bytes: &str) -> Answer {
    let mut socket = connect(simulator);
    socket.write_all(bytes.as_bytes()).unwrap();
    let (out, _) = rest(&mut socket);
    answer(&out)
}

pub(super) fn post(simulator: &Simulator, path: &str, body: &str) -> Answer {
    exchange(simulator, &request("POST", path, "connection: close\r\n", body))
}

fn get(simulator: &Simulator, path: &str) -> Answer {
    exchange(simulator, &request("GET", path, "connection: close\r\n", ""))
}

fn chat(simulator: &Simulator, body: &Value) -> Answer {
    post(simulator, "/v1/chat/completions", &body.to_string())
}
