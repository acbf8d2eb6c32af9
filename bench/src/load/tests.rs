//! Load against a small server on the standard library.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use super::*;

/// Answers each request on each connection with what `answer` writes; `false` closes the connection.
fn serve(answer: impl Fn(usize, &mut TcpStream) -> bool + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, answer, count) = (socket.unwrap(), answer.clone(), count.clone());
            socket.set_nodelay(true).unwrap();
            thread::spawn(move || {
                let mut reader = BufReader::new(socket.try_clone().unwrap());
                loop {
                    let (mut line, mut length) = (String::new(), 0);
                    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                        if let Some(value) = line.strip_prefix("content-length: ") {
                            length = value.trim().parse().unwrap();
                        }
                        line.clear();
                    }
                    if line.is_empty() || reader.read_exact(&mut vec![0; length]).is_err() {
                        return;
                    }
                    if !answer(count.fetch_add(1, Relaxed), &mut socket) {
                        return;
                    }
                }
            });
        }
    });
    addr
}

fn plan(address: SocketAddr, pace: Pace) -> Plan {
    let url = target::Url { authority: address.to_string(), path: "/v1/chat/completions".into() };
    Plan {
        address,
        method: Method::POST,
        request: target::request(&Method::POST, &url, &[], b"{}", true),
        pace,
        stream: false,
        keep_alive: true,
        timeout: Duration::from_secs(5),
        warmup: Duration::ZERO,
        cpus: vec![None, None],
        log: false,
    }
}

fn closed(clients: f64, requests: u64) -> Pace {
    let clients = Profile::constant(clients, Duration::from_secs(60));
    Pace::Closed { clients, requests: Some(requests), pause: Duration::ZERO }
}

fn respond(socket: &mut TcpStream, status: &str, body: &str) -> bool {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    socket.write_all(head.as_bytes()).is_ok()
}

#[test]
fn a_closed_loop_sends_what_it_was_told_and_counts_statuses() {
    let server = serve(|n, socket| respond(socket, if n % 10 == 9 { "429 No" } else { "200 OK" }, "hello"));
    let outcome = run(plan(server, closed(4.0, 100)), |_| {}).unwrap();
    let stats = &outcome.stats;
    assert_eq!((stats.ok, stats.failed(), stats.bytes, stats.connects), (90, 10, 500, 4));
    assert_eq!(stats.statuses, BTreeMap::from([(200, 90), (429, 10)]));
    assert_eq!(outcome.seconds.iter().map(|second| second.ok + second.failed).sum::<u64>(), 100);
}

#[test]
fn an_open_loop_charges_a_stall_to_every_request_that_was_due() {
    // One connection, 100 requests a second, and the 20th answer takes half a second.
    let server = serve(|n, socket| {
        if n == 20 {
            thread::sleep(Duration::from_millis(500));
        }
        respond(socket, "200 OK", "")
    });
    let rate = Profile::constant(100.0, Duration::from_secs(1));
    let mut one = plan(server, Pace::Open { rate: rate.clone(), connections: 1, max_in_flight: 1 });
    one.cpus = vec![None];
    let stats = run(one, |_| {}).unwrap().stats;
    assert_eq!(stats.ok + stats.missed, 100);
    assert!((30..=75).contains(&stats.missed), "{}", stats.missed);
    let many = plan(server, Pace::Open { rate: rate.clone(), connections: 1000, max_in_flight: 1000 });
    let stats = run(many, |_| {}).unwrap().stats;
    assert_eq!((stats.ok, stats.missed), (100, 0));
    assert!(stats.latency.quantile_us(0.5) < 20_000.0, "{}", stats.latency.quantile_us(0.5));
}

#[test]
fn a_request_that_waits_for_a_connection_is_charged_the_wait() {
    let server = serve(|n, socket| {
        if n == 20 {
            thread::sleep(Duration::from_millis(500));
        }
        respond(socket, "200 OK", "")
    });
    let rate = Profile::constant(100.0, Duration::from_secs(1));
    let mut plan = plan(server, Pace::Open { rate, connections: 1, max_in_flight: 1000 });
    plan.cpus = vec![None];
    let stats = run(plan, |_| {}).unwrap().stats;
    assert_eq!((stats.ok, stats.missed, stats.connects), (100, 0, 1));
    // About 50 requests were due during the stall and waited 250 ms on average; one was slow by itself.
    let (charged, sent) = (stats.latency.quantile_us(0.7), stats.service.quantile_us(0.9));
    assert!(charged > 100_000.0 && sent < 50_000.0, "{charged} {sent}");
}

#[test]
fn streams_are_measured_by_token_and_a_cut_one_is_an_error() {
    let server = serve(|n, socket| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut sent = socket.write_all(head.as_bytes()).is_ok();
        let mut chunk = |data: &str| {
            thread::sleep(Duration::from_millis(20));
            let event = format!("data: {data}\n\n");
            sent &= socket.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).is_ok();
        };
        for _ in 0..5 {
            chunk(r#"{"choices":[{"delta":{"content":"a"}}]}"#);
        }
        if n % 2 == 1 {
            return false;
        }
        chunk("[DONE]");
        sent && socket.write_all(b"0\r\n\r\n").is_ok()
    });
    let mut plan = plan(server, closed(2.0, 4));
    plan.stream = true;
    let stats = run(plan, |_| {}).unwrap().stats;
    assert_eq!((stats.streams_done, stats.tokens, stats.events), (2, 20, 20));
    assert_eq!(stats.failures, BTreeMap::from([(stats::Failure::Closed, 2)]));
    assert_eq!((stats.first_token.count(), stats.between_tokens.count()), (4, 16));
    let gap = stats.between_tokens.quantile_us(0.5);
    assert!((15_000.0..100_000.0).contains(&gap), "{gap}");
}

#[test]
fn a_log_tells_what_became_of_each_request_in_the_order_they_were_due() {
    let server = serve(|n, socket| {
        if n == 10 {
            thread::sleep(Duration::from_millis(200));
        }
        respond(socket, if n % 2 == 1 { "503 No" } else { "200 OK" }, "")
    });
    let rate = Profile::constant(100.0, Duration::from_millis(500));
    let mut plan = plan(server, Pace::Open { rate, connections: 1, max_in_flight: 2 });
    (plan.cpus, plan.log, plan.warmup) = (vec![None], true, Duration::from_secs(10));
    let outcome = run(plan, |_| {}).unwrap();
    let log = &outcome.log;
    assert_eq!((log.len(), outcome.stats.ok), (50, 0), "the warm-up is logged, and not counted");
    assert!(log.windows(2).all(|two| two[0].due < two[1].due));
    let with = |fate: stats::Fate| log.iter().filter(move |entry| entry.fate == fate);
    let failed = stats::Fate::Failed(stats::Failure::Status);
    let (ok, refused) = (with(stats::Fate::Ok).count(), with(failed).count());
    assert!(ok > 8 && refused > 8 && with(stats::Fate::Missed).count() == 50 - ok - refused);
    assert!(with(failed).all(|entry| entry.status == Some(503)));
    let longest = log.iter().max_by_key(|entry| entry.latency).unwrap();
    assert!(longest.latency >= Duration::from_millis(190) && longest.fate == stats::Fate::Ok);
    assert!(log[0].json().contains("\"fate\":\"ok\""), "{}", log[0].json());
}

#[test]
fn connections_closed_between_requests_are_replaced() {
    let server = serve(|_, socket| {
        respond(socket, "200 OK", "x");
        false
    });
    let stats = run(plan(server, closed(1.0, 20)), |_| {}).unwrap().stats;
    assert_eq!((stats.ok, stats.failed()), (20, 0));
}

#[test]
fn a_server_that_is_not_there_is_reported() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stats = run(plan(gone, closed(2.0, 6)), |_| {}).unwrap().stats;
    assert_eq!(stats.failures, BTreeMap::from([(stats::Failure::Connect, 6)]));
}
