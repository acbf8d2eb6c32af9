//! Limits, records, pace and life cycle.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::*;

#[test]
fn limits_are_exact_over_shards_and_connections() {
    let simulator = simulator(|settings| {
        settings.shards = 2;
        settings.keys =
            vec![KeyLimits { key: "sk-test".into(), req_per_min: Some(10), tokens_per_min: None }];
    });
    let statuses: Vec<u16> = thread::scope(|scope| {
        let ask = || post(&simulator, "/v1/chat/completions", PLAIN).status;
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(move || [(); 8].map(|()| ask()))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 10, "{statuses:?}");
    let refused = post(&simulator, "/v1/chat/completions", PLAIN);
    assert_eq!(refused.status, 429);
    assert_eq!(
        (&refused.json()["error"]["type"], &refused.json()["error"]["code"]),
        (&json!("requests"), &json!("rate_limit_exceeded"))
    );
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after));
    let state = &simulator.stats().keys[0];
    assert_eq!((state.admitted, state.refused, state.peak_requests), (10, 23, 10));
    let wrong = exchange(
        &simulator,
        &request("GET", "/v1/models", "connection: close\r\n", "").replace("sk-test", "sk-wrong-key-1234"),
    );
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("sk-wr********1234"), "{}", wrong.body);
    simulator.reset();
    assert_eq!(post(&simulator, "/v1/chat/completions", PLAIN).status, 200, "a reset empties the windows");
}

#[test]
fn what_happened_is_on_record() {
    let simulator = simulator(|settings| settings.shards = 2);
    post(&simulator, "/v1/chat/completions", PLAIN);
    chat(&simulator, &json!({"model": "sim-error-500", "messages": [{"role": "user", "content": "x"}]}));
    let record = get(&simulator, "/__sim/record").json();
    let seen: Vec<_> = record
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["model"].as_str().unwrap(), r["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(seen, [("gpt-4o", 200), ("sim-error-500", 500)]);
    assert_eq!((&record[0]["key"], &record[0]["completion_tokens"]), (&json!("sk-test"), &json!(32)));
    assert_eq!(get(&simulator, "/__sim/record?format=ndjson").body.lines().count(), 2);
    let last = get(&simulator, "/__sim/last").json();
    assert_eq!(last[0]["body"], PLAIN);
    assert!(last[0]["headers"].as_array().unwrap().contains(&json!(["authorization", "Bearer sk-test"])));
    let stats = get(&simulator, "/__sim/stats").json();
    assert_eq!((&stats["requests"], &stats["errors"]), (&json!(2), &json!(1)));
    assert_eq!(post(&simulator, "/__sim/set", r#"{"error_rate":1,"error_status":503}"#).status, 200);
    for _ in 0..4 {
        assert_eq!(post(&simulator, "/v1/chat/completions", PLAIN).status, 503, "every shard at once");
    }
    assert_eq!(post(&simulator, "/__sim/set", r#"{"nonsense":1}"#).status, 400);
    assert_eq!(post(&simulator, "/__sim/reset", "").status, 200);
    assert!(simulator.record().is_empty());
}

#[test]
fn a_client_that_leaves_is_on_record_with_what_it_got() {
    let simulator = simulator(|settings| settings.tokens_per_s = 50.0);
    let body = json!({"model": "m", "stream": true, "max_tokens": 500, "messages": [{"role": "user", "content": "hi"}]});
    let mut socket = connect(&simulator);
    let extra = "x-sim: tokens=500\r\n";
    socket.write_all(request("POST", "/v1/chat/completions", extra, &body.to_string()).as_bytes()).unwrap();
    let mut some = [0; 600];
    socket.read_exact(&mut some).unwrap();
    thread::sleep(Duration::from_millis(100));
    drop(socket);
    let end = Instant::now() + Duration::from_secs(5);
    while simulator.stats().closed_early == 0 && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    let record = simulator.record().remove(0);
    assert!(record.closed_early && !record.complete && record.stream, "{record:?}");
    assert!((1..400).contains(&record.completion_tokens), "{record:?}");
}

#[test]
fn keep_alive_pipelining_and_http_10() {
    let simulator = simulator(|_| {});
    let mut socket = connect(&simulator);
    let one = request("POST", "/v1/chat/completions", "", PLAIN);
    let last = request("POST", "/v1/chat/completions", "connection: close\r\n", PLAIN);
    socket.write_all(format!("{one}{one}{last}").as_bytes()).unwrap();
    let (out, _) = rest(&mut socket);
    assert_eq!(String::from_utf8(out).unwrap().matches("HTTP/1.1 200 OK").count(), 3);
    assert!(simulator.record().iter().all(|record| record.connection == 0));

    let old = |extra: &str, body: &str| {
        let text = request("POST", "/v1/chat/completions", extra, body).replace("HTTP/1.1", "HTTP/1.0");
        let mut socket = connect(&simulator);
        socket.write_all(text.as_bytes()).unwrap();
        if extra.contains("keep-alive") {
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        }
        let (out, error) = rest(&mut socket);
        (answer(&out), error)
    };
    let (kept, error) = old("connection: keep-alive\r\n", PLAIN);
    assert_eq!(kept.header("connection"), Some("keep-alive"));
    assert_eq!(error, Some(ErrorKind::WouldBlock), "still open");
    let stream = PLAIN.replace("\"model\"", "\"stream\":true,\"model\"");
    let (answer, error) = old("", &stream);
    assert!(answer.header("transfer-encoding").is_none() && error.is_none());
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(answer.chunks().len() > 30);
}

#[test]
fn headers_choose_faults_and_shape() {
    let simulator = simulator(|_| {});
    let ask = |sim: &str| {
        let extra = format!("connection: close\r\nx-sim: {sim}\r\n");
        exchange(&simulator, &request("POST", "/v1/chat/completions", &extra, PLAIN))
    };
    assert_eq!(ask("fault=error-418").status, 418);
    assert_eq!(ask("tokens=5").json()["usage"]["completion_tokens"], 5);
    let started = Instant::now();
    ask("latency=60ms");
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[test]
fn streams_keep_their_pace() {
    let simulator = simulator(|settings| {
        settings.tokens_per_s = 200.0;
        settings.first_token = Latency::Fixed(Duration::from_millis(50));
        settings.answer_tokens = Tokens::exactly(41);
    });
    let started = Instant::now();
    let stream = PLAIN.replace("\"model\"", "\"stream\":true,\"model\"");
    let answer = post(&simulator, "/v1/chat/completions", &stream);
    let took = started.elapsed();
    assert_eq!(answer.chunks().len(), 43);
    assert!(took >= Duration::from_millis(250) && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_thousand_streams_at_once() {
    let simulator = simulator(|settings| {
        settings.shards = 2;
        settings.answer_tokens = Tokens::exactly(200);
        settings.latency = Latency::Fixed(Duration::from_millis(20));
    });
    let stream = PLAIN.replace("\"model\"", "\"stream\":true,\"model\"");
    let text = request("POST", "/v1/chat/completions", "connection: close\r\n", &stream);
    let mut sockets: Vec<_> = (0..1000).map(|_| connect(&simulator)).collect();
    for socket in &mut sockets {
        socket.write_all(text.as_bytes()).unwrap();
    }
    for socket in &mut sockets {
        let (out, error) = rest(socket);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(answer(&out).chunks().len(), 202);
    }
    let stats = simulator.stats();
    assert_eq!((stats.streams, stats.closed_early), (1000, 0));
}

#[test]
fn stopping_finishes_what_runs_and_frees_the_port() {
    let simulator = simulator(|settings| settings.latency = Latency::Fixed(Duration::from_millis(200)));
    let addr = simulator.addr();
    let mut idle = connect(&simulator);
    let mut busy = connect(&simulator);
    busy.write_all(request("POST", "/v1/chat/completions", "", PLAIN).as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    simulator.stop();
    assert!(started.elapsed() < Duration::from_millis(1900), "{:?}", started.elapsed());
    let (out, error) = rest(&mut busy);
    assert_eq!((answer(&out).status, error), (200, None));
    assert_eq!(rest(&mut idle), (Vec::new(), None));
    assert!(TcpStream::connect(addr).is_err());
}
