//! What whole-system tests share: a gateway process, a scripted provider, and a raw HTTP client.
//!
//! The gateway is the real binary with a real configuration file; the provider is a plain socket whose every byte
//! a test decides, for the faults that no well-behaved server can show.

#![allow(dead_code)] // each test binary uses its part

pub mod redis;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

pub const KEY: &str = "sk-client-0123456789";
pub const PATIENCE: Duration = Duration::from_secs(10);

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A fresh folder for one test.
pub fn folder() -> PathBuf {
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("coo-test-{}-{n}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}

/// Files of a certificate for `localhost` and of the authority that signed it, in a folder of their own.
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Of the authority, which nobody trusts by himself.
    pub ca: PathBuf,
}

impl Certificate {
    pub fn new() -> Self {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
        let issuer =
            rcgen::CertifiedIssuer::self_signed(authority, rcgen::KeyPair::generate().unwrap()).unwrap();
        let leaf_key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
        let folder = folder();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        Self {
            cert: write("cert.pem", &leaf.pem()),
            key: write("key.pem", &leaf_key.serialize_pem()),
            ca: write("ca.pem", &issuer.pem()),
        }
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.ca.parent().unwrap());
    }
}

/// A running gateway; stopped when dropped.
pub struct Gateway {
    pub addr: SocketAddr,
    pub child: Child,
    pub folder: PathBuf,
    pub stderr: Arc<Mutex<String>>,
}

impl Gateway {
    /// Starts a gateway in front of `provider` (an `host:port`), with more configuration (YAML) appended.
    pub fn start(provider: &str, more: &str) -> Self {
        Self::with(provider, more, &[])
    }

    pub fn with(provider: &str, more: &str, arguments: &[&str]) -> Self {
        Self::from_config(&config(provider, more), arguments)
    }

    /// Starts a gateway with a whole configuration; `FOLDER` in it is this test's folder.
    pub fn from_config(config: &str, arguments: &[&str]) -> Self {
        let folder = folder();
        let path = folder.join("config.yaml");
        fs::write(&path, config.replace("FOLDER", folder.to_str().unwrap())).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_coo-llm"));
        command.arg("serve").arg("--config").arg(&path).args(arguments);
        Self::spawn(command, folder)
    }

    /// Starts a prepared command and waits until it listens.
    pub fn spawn(mut command: Command, folder: PathBuf) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let stderr = Arc::new(Mutex::new(String::new()));
        let (ready, listening) = mpsc::channel();
        let sink = Arc::clone(&stderr);
        thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|n| n > 0) {
                if let Some(addr) = line.trim().strip_prefix("listening on ") {
                    let _ = ready.send(addr.to_owned());
                }
                sink.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let addr = match listening.recv_timeout(PATIENCE) {
            Ok(addr) => addr.parse().unwrap(),
            Err(_) => panic!("the gateway did not start: {}", stderr.lock().unwrap()),
        };
        Self { addr, child, folder, stderr }
    }

    pub fn connect(&self) -> Client {
        Client::new(self.addr)
    }

    /// POSTs a chat completion on a connection of its own.
    pub fn chat(&self, body: &str) -> Reply {
        self.connect().chat(body)
    }

    pub fn get(&self, path: &str) -> Reply {
        let mut client = self.connect();
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"));
        client.reply()
    }

    /// The value of a metric line that starts with `name` and contains all of `parts`.
    pub fn metric(&self, name: &str, parts: &[&str]) -> f64 {
        let text = self.get("/metrics").text();
        text.lines()
            .filter(|line| line.starts_with(name) && parts.iter().all(|part| line.contains(part)))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// The access log's lines, once there are at least `n`.
    pub fn log(&self, n: usize) -> Vec<serde_json::Value> {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(self.folder.join("access.log")).unwrap_or_default();
            let lines: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            if lines.len() >= n || Instant::now() > until {
                return lines;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, signal: i32) {
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Waits for the process to end.
    pub fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Open descriptors of the process.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub fn config(provider: &str, more: &str) -> String {
    let base = format!(
        "llm_providers:
  - {{id: openai, type: openai, base_url: 'http://{provider}/v1', api_keys: [sk-upstream-key-0000000001], models: [gpt-4o-mini], pricing: {{input_token_cost: 0.15, output_token_cost: 0.6}}}}
api_keys:
  - {{id: tester, key: {KEY}}}
  - {{id: limited, key: sk-limited-0123456789, allowed_providers: [other]}}
"
    );
    let server =
        if more.contains("server:") { "" } else { "server: {listen: '127.0.0.1:0', worker_threads: 1}\n" };
    let logging = if more.contains("logging:") {
        ""
    } else {
        "logging: {access: {enabled: true, path: FOLDER/access.log}}\n"
    };
    let base = if more.contains("llm_providers:") { String::new() } else { base };
    let base = if base.contains("[other]") {
        base.replace(
            "api_keys:\n",
            "  - {id: other, type: custom, base_url: 'http://127.0.0.1:9/v1', api_keys: [x-other-key]}\n  - {id: anthropic, type: claude, api_keys: [x-claude-key]}\n  - {id: replicate, type: replicate, api_keys: [x-replicate-key]}\napi_keys:\n",
        )
    } else {
        base
    };
    format!("{server}{logging}{base}{more}")
}

/// A raw HTTP/1.1 connection.
pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Whether the body's own terminator came.
    pub complete: bool,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?} {}", self.text()))
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
    pub fn error_code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub fn chat_body(model: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#)
}

pub fn stream_body(model: &str) -> String {
    format!(r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"hi"}}]}}"#)
}

pub fn chat_request(body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Client {
    pub fn new(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    pub fn chat(&mut self, body: &str) -> Reply {
        self.send(&chat_request(body));
        self.reply()
    }

    fn more(&mut self) -> usize {
        let mut piece = [0; 64 * 1024];
        let n = match self.stream.read(&mut piece) {
            Ok(n) => n,
            // A signal, such as the one by which a ring in this process tells of its work.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return self.more(),
            // Closed with bytes of ours unread.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("neither bytes nor the end came: {error}"),
        };
        self.buffer.extend_from_slice(&piece[..n]);
        n
    }

    /// Whether the server has closed the connection (waits for it).
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && self.more() == 0
    }

    /// All bytes until the server closes the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() > 0 {}
        std::mem::take(&mut self.buffer)
    }

    /// The head of the next response, interim ones included.
    pub fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(
                self.more() > 0,
                "closed before a response head; got {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    /// Some decoded bytes of a chunked body: the next chunk, `None` at its end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let size =
                    usize::from_str_radix(std::str::from_utf8(&self.buffer[..end]).unwrap(), 16).unwrap();
                if self.buffer.len() >= end + 2 + size + 2 {
                    let chunk = self.buffer[end + 2..end + 2 + size].to_vec();
                    self.buffer.drain(..end + 2 + size + 2);
                    return (size > 0).then_some(chunk);
                }
            }
            assert!(
                self.more() > 0,
                "cut inside a chunked body: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    /// The next final response; a HEAD request's has no body.
    pub fn reply(&mut self) -> Reply {
        self.reply_to(false)
    }

    pub fn reply_to(&mut self, head_only: bool) -> Reply {
        let head = loop {
            let head = self.head();
            if !head.starts_with("HTTP/1.1 1") {
                break head;
            }
        };
        let status = head[9..12].parse().unwrap();
        let mut reply = Reply { status, head, body: Vec::new(), complete: true };
        if head_only {
            return reply;
        }
        if let Some(length) = reply.header("content-length") {
            let length: usize = length.parse().unwrap();
            while self.buffer.len() < length {
                if self.more() == 0 {
                    reply.complete = false;
                    break;
                }
            }
            let length = length.min(self.buffer.len());
            reply.body = self.buffer.drain(..length).collect();
        } else if reply.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk() {
                reply.body.extend(chunk);
            }
        } else {
            while self.more() > 0 {}
            reply.body = std::mem::take(&mut self.buffer);
        }
        reply
    }
}

/// A request as a scripted provider saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
    /// Which connection, and which request on it, both from 0.
    pub connection: usize,
    pub nth: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A provider whose answers a closure writes; returning false closes the connection.
pub struct Provider {
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Provider {
    pub fn start(answer: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (sink, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (sink, answer) = (Arc::clone(&sink), Arc::clone(&answer));
                let Ok(stream) = stream else { return };
                thread::spawn(move || converse(stream, connection, &sink, &*answer));
            }
        });
        Self { addr, seen }
    }

    /// One that answers every request with [`COMPLETION`].
    pub fn plain() -> Self {
        Self::start(|_, stream| respond(stream, COMPLETION))
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
    pub fn at(&self) -> String {
        self.addr.to_string()
    }
}

fn converse(
    mut stream: TcpStream,
    connection: usize,
    sink: &Mutex<Vec<Seen>>,
    answer: &dyn Fn(&Seen, &mut TcpStream) -> bool,
) {
    let mut buffer = Vec::new();
    for nth in 0.. {
        let mut piece = [0; 64 * 1024];
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read(&mut piece) {
                Ok(n) if n > 0 => buffer.extend_from_slice(&piece[..n]),
                _ => return,
            }
        };
        let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
        let mut seen = Seen { head, body: Vec::new(), connection, nth };
        let length: usize = seen.header("content-length").map_or(0, |n| n.parse().unwrap());
        while buffer.len() < length {
            match stream.read(&mut piece) {
                Ok(n) if n > 0 => buffer.extend_from_slice(&piece[..n]),
                _ => return,
            }
        }
        seen.body = buffer.drain(..length).collect();
        sink.lock().unwrap().push(seen.clone());
        if !answer(&seen, &mut stream) {
            return;
        }
    }
}

pub const COMPLETION: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Hello!"},"finish_reason":"stop"}],"usage":{"prompt_tokens":21,"completion_tokens":32,"total_tokens":53}}"#;

/// Writes a 200 with a length; the connection stays open.
pub fn respond(stream: &mut TcpStream, body: &str) -> bool {
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).is_ok()
}

/// Writes the head of an event stream.
pub fn stream_head(stream: &mut TcpStream) {
    let _ = stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
}

/// Writes one chunk.
pub fn write_chunk(stream: &mut TcpStream, data: &str) -> bool {
    stream.write_all(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes()).is_ok()
}

pub fn delta(text: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}],\"usage\":null}}\n\n"
    )
}

pub const USAGE_EVENT: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12,\"prompt_tokens_details\":{\"cached_tokens\":0}}}\n\n";
pub const DONE: &str = "data: [DONE]\n\n";

/// Waits until `check` holds.
pub fn eventually(what: &str, check: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < until, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub fn exists(path: &Path) -> bool {
    path.exists()
}
