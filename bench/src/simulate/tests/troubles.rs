//! What befalls all requests, or those with one key, as it is switched on and off.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::*;

fn set(simulator: &Simulator, body: &str) {
    assert_eq!(post(simulator, "/__sim/set", body).status, 200, "{body}");
}

/// How long each of so many requests at once took, the quickest first.
fn times(simulator: &Simulator, requests: usize) -> Vec<Duration> {
    let mut times: Vec<_> = thread::scope(|scope| {
        let ask = || {
            let start = Instant::now();
            assert_eq!(post(simulator, "/v1/chat/completions", PLAIN).status, 200);
            start.elapsed()
        };
        let threads: Vec<_> = (0..requests).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    times.sort();
    times
}

#[test]
fn what_is_beyond_the_capacity_waits_and_errors_do_not() {
    let latency = Duration::from_millis(200);
    let simulator = simulator(|settings| settings.latency = Latency::Fixed(latency));
    set(&simulator, r#"{"capacity":2}"#);
    let times = times(&simulator, 4);
    assert!(times[1] < times[2] && times[2] >= latency * 2, "{times:?}");
    set(&simulator, r#"{"fault":"error-503","latency":"0"}"#);
    let start = Instant::now();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
            let extra = "connection: close\r\nx-sim: fault=echo, latency=3s\r\n";
            exchange(&simulator, &request("POST", "/v1/chat/completions", extra, body)).status
        });
        assert_eq!(post(&simulator, "/v1/chat/completions", PLAIN).status, 503);
        assert!(start.elapsed() < Duration::from_secs(3));
        assert_eq!(waiting.join().unwrap(), 200);
    });
}

#[test]
fn a_seat_is_free_again_when_its_client_leaves() {
    let simulator = simulator(|settings| settings.capacity = Some(1));
    for _ in 0..3 {
        let mut socket = connect(&simulator);
        let extra = "x-sim: fault=stall\r\n";
        socket.write_all(request("POST", "/v1/chat/completions", extra, PLAIN).as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    assert!(times(&simulator, 1)[0] < Duration::from_secs(5));
}

#[test]
fn one_key_is_slow_or_revoked_and_the_others_are_not() {
    let simulator = simulator(|settings| settings.latency = Latency::Fixed(Duration::from_millis(50)));
    set(&simulator, r#"{"slow_keys":{"sk-test":20}}"#);
    assert!(times(&simulator, 1)[0] >= Duration::from_secs(1));
    set(&simulator, r#"{"slow_keys":{"sk-other":20},"slowdown":3}"#);
    let took = times(&simulator, 1)[0];
    assert!(took >= Duration::from_millis(150) && took < Duration::from_secs(1), "{took:?}");
    set(&simulator, r#"{"revoked":["sk-test"]}"#);
    for answer in [post(&simulator, "/v1/chat/completions", PLAIN), get(&simulator, "/v1/models")] {
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (401, &"invalid_api_key".into()));
    }
    set(&simulator, r#"{"revoked":["sk-other"]}"#);
    assert_eq!(get(&simulator, "/v1/models").status, 200);
}

#[test]
fn a_fault_that_flaps_comes_and_goes() {
    let simulator = simulator(|_| {});
    set(&simulator, r#"{"fault":"error-429","retry_after":"3s"}"#);
    let answer = get(&simulator, "/v1/models");
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("3")));
    set(&simulator, r#"{"fault":"error-500","flap":"300ms"}"#);
    let mut seen = vec![0];
    let end = Instant::now() + Duration::from_secs(10);
    while seen.len() < 5 && Instant::now() < end {
        let status = post(&simulator, "/v1/chat/completions", PLAIN).status;
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(seen, [0, 500, 200, 500, 200]);
}
