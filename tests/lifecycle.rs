//! Starting, stopping, draining, other drivers, socket activation, and the other commands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers too

mod common;

use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::AsRawFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::*;

#[test]
fn sigterm_finishes_what_runs_and_exits_0() {
    let provider = Provider::start(|seen, stream| {
        if seen.json()["stream"] == true {
            stream_head(stream);
            for n in 0..10 {
                write_chunk(stream, &delta(&n.to_string()));
                thread::sleep(Duration::from_millis(50));
            }
            write_chunk(stream, DONE);
            return stream.write_all(b"0\r\n\r\n").is_ok();
        }
        thread::sleep(Duration::from_millis(400));
        respond(stream, COMPLETION)
    });
    let mut gateway = Gateway::start(&provider.at(), "server: {listen: '127.0.0.1:0', worker_threads: 2}\n");
    let mut idle = gateway.connect();
    assert_eq!(idle.chat(&chat_body("openai:m")).status, 200);
    let (mut plain, mut stream) = (gateway.connect(), gateway.connect());
    plain.send(&chat_request(&chat_body("openai:m")));
    stream.send(&chat_request(&stream_body("openai:m")));
    stream.head();
    let first = stream.chunk().unwrap();
    gateway.signal(libc::SIGTERM);
    assert!(idle.is_closed(), "idle connections end at once");
    eventually("no new connection is accepted", || TcpStream::connect(gateway.addr).is_err());
    let reply = plain.reply();
    assert_eq!((reply.status, reply.text()), (200, COMPLETION.into()));
    let mut text = String::from_utf8(first).unwrap();
    while let Some(chunk) = stream.chunk() {
        text.push_str(&String::from_utf8(chunk).unwrap());
    }
    assert!(text.ends_with(DONE), "{text}");
    let status = gateway.ended(PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(0));
    let lines = std::fs::read_to_string(gateway.folder.join("access.log")).unwrap();
    assert_eq!(lines.lines().count(), 3, "every request is in the log: {lines}");
}

#[test]
fn draining_is_bounded() {
    let provider = Provider::start(|_, _| {
        thread::sleep(Duration::from_secs(8));
        false
    });
    let mut gateway = Gateway::start(
        &provider.at(),
        "server: {listen: '127.0.0.1:0', worker_threads: 1, timeouts: {drain: 300ms}}\n",
    );
    let mut stuck = gateway.connect();
    stuck.send(&chat_request(&chat_body("openai:m")));
    eventually("it is under way", || !provider.seen().is_empty());
    let start = Instant::now();
    gateway.signal(libc::SIGTERM);
    assert!(gateway.ended(Duration::from_secs(5)).is_some_and(|status| status.success()));
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn epoll_serves_as_io_uring_does() {
    let provider = Provider::start(|seen, stream| {
        if seen.json()["stream"] == true {
            stream_head(stream);
            write_chunk(stream, &delta("a"));
            write_chunk(stream, DONE);
            return stream.write_all(b"0\r\n\r\n").is_ok();
        }
        respond(stream, COMPLETION)
    });
    let mut gateway = Gateway::with(
        &provider.at(),
        "server: {listen: '127.0.0.1:0', worker_threads: 2, timeouts: {head: 300ms}}\n",
        &["--driver", "epoll"],
    );
    let mut client = gateway.connect();
    for _ in 0..20 {
        assert_eq!(client.chat(&chat_body("openai:m")).text(), COMPLETION);
        assert!(client.chat(&stream_body("openai:m")).text().ends_with(DONE));
    }
    let mut slow = gateway.connect();
    slow.send("GET /");
    assert_eq!(slow.reply().status, 408);
    assert!(gateway.metric("coo_llm_requests_total", &["status=\"200\""]) >= 40.0);
    drop(client);
    gateway.signal(libc::SIGTERM);
    assert!(gateway.ended(PATIENCE).is_some_and(|status| status.success()));
    assert!(gateway.stderr.lock().unwrap().contains("on epoll"));
}

#[test]
fn sockets_passed_by_systemd_are_used() {
    let provider = Provider::plain();
    let folder = folder();
    let path = folder.join("config.yaml");
    let text = config(&provider.at(), "server: {listen: '127.0.0.1:1', worker_threads: 2}\n");
    std::fs::write(&path, text.replace("FOLDER", folder.to_str().unwrap())).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let fd = listener.as_raw_fd();
    // What systemd does: descriptor 3, LISTEN_FDS, LISTEN_PID of the process itself (exec keeps the shell's pid).
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg("LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --config \"$1\"")
        .arg(env!("CARGO_BIN_EXE_coo-llm"))
        .arg(&path);
    unsafe {
        command.pre_exec(move || {
            if fd == 3 {
                let flags = libc::fcntl(3, libc::F_GETFD);
                libc::fcntl(3, libc::F_SETFD, flags & !libc::FD_CLOEXEC);
            } else if libc::dup2(fd, 3) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let gateway = Gateway::spawn(command, folder);
    drop(listener);
    assert_eq!(gateway.addr, addr);
    for _ in 0..20 {
        assert_eq!(gateway.chat(&chat_body("openai:m")).status, 200);
    }
}

#[test]
fn readiness_follows_the_drain() {
    let provider = Provider::start(|_, stream| {
        thread::sleep(Duration::from_millis(500));
        respond(stream, COMPLETION)
    });
    let gateway = Gateway::start(&provider.at(), "");
    for path in ["/health", "/livez", "/readyz"] {
        assert_eq!(gateway.get(path).status, 200);
    }
    let mut client = gateway.connect();
    client.send(&chat_request(&chat_body("openai:m")));
    client.send("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    thread::sleep(Duration::from_millis(100));
    gateway.signal(libc::SIGTERM);
    let reply = client.reply();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
}

fn run(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_coo-llm")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let folder = folder();
    let path = folder.join("bad.yaml");
    std::fs::write(&path, "server: {lissten: ':1'}\nllm_providers: [{id: a, type: opnai, api_keys: [sk-abcdefghijklmnopqrst]}]\n").unwrap();
    let (code, text) = run(&["check", path.to_str().unwrap()]);
    assert_ne!(code, 0);
    assert!(text.contains("bad.yaml:2") && text.contains("opnai"), "{text}");
    assert!(text.contains("lissten") && text.contains("listen"), "{text}");
    assert!(!text.contains("sk-abcdefghijklmnopqrst"), "{text}");
    let (code, text) = run(&["serve", "--config", path.to_str().unwrap()]);
    assert_ne!(code, 0);
    assert!(text.contains("bad.yaml:2"), "{text}");
    let (code, text) = run(&["check", concat!(env!("CARGO_MANIFEST_DIR"), "/docs/example.yaml")]);
    assert_eq!(code, 0, "{text}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_taken_address_and_a_missing_config_are_clear_errors() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = folder();
    let path = folder.join("c.yaml");
    let text = config("127.0.0.1:1", &format!("server: {{listen: '{}'}}\n", taken.local_addr().unwrap()));
    std::fs::write(&path, text.replace("FOLDER", folder.to_str().unwrap())).unwrap();
    let (code, text) = run(&["serve", "--config", path.to_str().unwrap()]);
    assert!(code == 1 && text.contains("cannot listen on"), "{text}");
    let (code, text) = run(&["serve", "--config", "/nowhere.yaml"]);
    assert!(code == 1 && text.contains("/nowhere.yaml"), "{text}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// The demo, and its address once it says that it is running.
fn demo() -> (Child, SocketAddr) {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_coo-llm"))
        .args(["demo", "--port", "0", "--tokens-per-s", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(demo.stdout.take().unwrap()));
    let addr = loop {
        let line = lines.next().unwrap().unwrap();
        if let Some(rest) = line.strip_prefix("COO-LLM is running at http://") {
            break rest.split('/').next().unwrap().parse().unwrap();
        }
    };
    // Closing the pipe would fail what it prints next.
    thread::spawn(move || lines.count());
    (demo, addr)
}

#[test]
fn the_demo_answers_with_nothing_set_up() {
    let (mut demo, addr) = demo();
    let mut client = Client::new(addr);
    let body = stream_body("fast");
    client.send(&chat_request(&body).replace(KEY, "sk-demo-0123456789"));
    let reply = client.reply();
    assert_eq!(reply.status, 200);
    assert!(reply.text().ends_with(DONE), "{}", reply.text());
    let _ = client.stream.flush();
    unsafe { libc::kill(demo.id() as i32, libc::SIGTERM) };
    assert!(demo.wait().unwrap().success());
}

#[test]
fn sigterm_is_heard_as_soon_as_it_says_that_it_runs() {
    for _ in 0..10 {
        let (mut demo, _) = demo();
        unsafe { libc::kill(demo.id() as i32, libc::SIGTERM) };
        let status = demo.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}
