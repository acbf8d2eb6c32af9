//! Verdicts over runs made up for them.

use super::*;
use crate::{
    chaos::{fleet::provider_key, sight::tests::call},
    load::stats::Fate,
};

/// All well from 0, a fault from 10 to 20, the end at 30.
const MOMENTS: Moments = Moments { begun_s: 0.0, fault_s: 10.0, mended_s: 20.0, ended_s: 30.0 };

/// Calls at 100 a second from 0 to `end_s`, each as `of` makes it of its time.
fn calls(end_s: f64, of: impl Fn(f64) -> Call) -> Vec<Call> {
    (0..(end_s * 100.0) as u32).map(|n| of(f64::from(n) / 100.0)).collect()
}

/// Arrivals at 300 a second, in turn at the providers that `at` lists for their time.
fn arrivals(at: impl Fn(f64) -> Vec<usize>) -> Vec<Arrival> {
    let of = |n: u32| {
        let at_s = f64::from(n) / 300.0;
        let choices = at(at_s);
        let choice = choices[n as usize % choices.len()];
        Arrival { at_s, provider: choice, key: provider_key(choice, 0) }
    };
    (0..9000).map(of).collect()
}

/// The same at the keys of one provider.
fn keyed(at: impl Fn(f64) -> Vec<usize>) -> Vec<Arrival> {
    let mut arrivals = arrivals(at);
    for one in &mut arrivals {
        (one.key, one.provider) = (provider_key(0, one.provider), 0);
    }
    arrivals
}

/// What does not hold.
fn failing(checks: &[Check]) -> Vec<&str> {
    checks.iter().filter(|check| !check.holds()).map(|check| check.what.as_str()).collect()
}

fn avoided(at_s: f64) -> Vec<usize> {
    if (10.0..21.5).contains(&at_s) { vec![0, 2] } else { vec![0, 1, 2] }
}

#[test]
fn a_provider_that_is_avoided_and_returns_is_not_noticed() {
    let calls = calls(30.0, |at_s| match at_s {
        // A second of errors, two of retries after a timeout.
        10.0..11.0 => call(at_s, 20.0, 500),
        11.0..13.0 => call(at_s, 1020.0, 200),
        13.0..20.0 => call(at_s, 65.0, 200),
        _ => call(at_s, 20.0, 200),
    });
    assert_eq!(failing(&one_of_three(&calls, &arrivals(avoided), &MOMENTS)), [""; 0]);
}

#[test]
fn a_provider_that_loses_addresses_must_keep_its_share() {
    let calls = calls(30.0, |at_s| call(at_s, 20.0, 200));
    assert_eq!(failing(&black_holes(&calls, &arrivals(avoided), &MOMENTS)), ["share from 3 s after it"]);
    let briefly = |at_s| if (11.0..13.0).contains(&at_s) { vec![0, 2] } else { vec![0, 1, 2] };
    assert_eq!(failing(&black_holes(&calls, &arrivals(briefly), &MOMENTS)), [""; 0]);
}

#[test]
fn errors_delays_and_a_share_that_is_not_given_back_are() {
    let well = |at_s| call(at_s, 20.0, 200);
    let late = calls(30.0, |at_s| if at_s == 25.0 { call(at_s, 20.0, 502) } else { well(at_s) });
    assert_eq!(failing(&one_of_three(&late, &arrivals(avoided), &MOMENTS)), ["errors from 1 s after it"]);
    let slow =
        calls(30.0, |at_s| if at_s > 19.0 && at_s < 19.1 { call(at_s, 71.0, 200) } else { well(at_s) });
    assert_eq!(
        failing(&one_of_three(&slow, &arrivals(avoided), &MOMENTS)),
        ["p99 added from 3 s after it, ms"]
    );
    let calls = calls(30.0, well);
    let gone = |at_s| if at_s < 10.0 { vec![0, 1, 2] } else { vec![0, 2] };
    assert_eq!(failing(&one_of_three(&calls, &arrivals(gone), &MOMENTS)), ["share after 2 health intervals"]);
    let preferred = |at_s| if at_s < 10.0 { vec![0, 0, 0, 1, 2] } else { vec![0, 1, 2] };
    assert_eq!(failing(&one_of_three(&calls, &arrivals(preferred), &MOMENTS)), ["least share before"]);
    assert_eq!(
        failing(&one_of_three(&calls, &[], &MOMENTS)),
        ["least share before", "share after 2 health intervals"],
        "without a record nothing is known"
    );
    let one_target = keyed(|_| vec![0]);
    assert!(failing(&one_of_three(&calls, &one_target, &MOMENTS)).contains(&"least share before"));
}

#[test]
fn what_is_compared_with_a_busy_machine_does_not_hold() {
    let calls = calls(30.0, |at_s| call(at_s, 60.0, 200));
    let names = ["p99 while all is well, ms"];
    assert_eq!(failing(&one_of_three(&calls, &arrivals(avoided), &MOMENTS)), names);
    assert_eq!(failing(&bimodal(&calls, &MOMENTS)), names);
    let load = (calls, 0.0..30.0);
    assert_eq!(failing(&unfair(&load, &load)), names);
}

#[test]
fn a_request_that_was_never_sent_is_an_error() {
    let calls = calls(30.0, |at_s| {
        let fate = if at_s == 15.0 { Fate::Missed } else { Fate::Ok };
        Call { fate, ..call(at_s, 20.0, 200) }
    });
    assert_eq!(failing(&one_of_three(&calls, &arrivals(avoided), &MOMENTS)), ["errors from 1 s after it"]);
}

#[test]
fn in_an_outage_retries_must_not_multiply_the_load() {
    let failed =
        |end_s: f64| move |at_s: f64| call(at_s, 5.0, if (10.0..end_s).contains(&at_s) { 503 } else { 200 });
    // 300 arrivals a second, for 100 calls a second.
    let all = |_| vec![0, 1, 2];
    let names = ["upstream requests per request"];
    assert_eq!(failing(&outage(&calls(30.0, failed(21.9)), &arrivals(all), &MOMENTS)), names);
    let within = |one: &Arrival| (10.0..20.0).contains(&one.at_s);
    let mut few = arrivals(all);
    let mut n = 0;
    few.retain(|one| {
        n += 1;
        !within(one) || n % 3 == 0
    });
    assert_eq!(failing(&outage(&calls(30.0, failed(21.9)), &few, &MOMENTS)), [""; 0]);
    assert_eq!(
        failing(&outage(&calls(30.0, failed(23.0)), &few, &MOMENTS)),
        ["errors after 2 health intervals"]
    );
    let hanging = calls(30.0, |at_s| {
        let call = failed(20.0)(at_s);
        if call.fate == Fate::Ok { call } else { Call { status: None, fate: Fate::Missed, ..call } }
    });
    assert_eq!(failing(&outage(&hanging, &few, &MOMENTS)), ["requests without an answer"]);
}

#[test]
fn a_revoked_key_is_hardly_used() {
    let moments = Moments { mended_s: 30.0, ..MOMENTS };
    let calls = calls(30.0, |at_s| call(at_s, 20.0, if (10.0..10.5).contains(&at_s) { 401 } else { 200 }));
    let judge = |arrivals: &[Arrival]| -> Vec<String> {
        let checks = key_revoked(&calls, arrivals, &moments, &provider_key(0, 1));
        failing(&checks).into_iter().map(str::to_owned).collect()
    };
    let known = keyed(|at_s| if at_s < 10.9 { vec![0, 1, 2] } else { vec![0, 2] });
    assert_eq!(judge(&known), [""; 0]);
    let asked =
        keyed(|at_s| if at_s < 10.9 || (at_s * 10.0) as u32 % 10 < 1 { vec![0, 1, 2] } else { vec![0] });
    assert_eq!(judge(&asked), ["share of the revoked key then"]);
}

#[test]
fn a_slow_key_must_not_show() {
    let moments = Moments { mended_s: 20.0, ended_s: 20.0, ..MOMENTS };
    let every = |n: u32| {
        calls(20.0, move |at_s| {
            let slow = at_s > 10.0 && (at_s * 100.0).round() as u32 % n < 1;
            call(at_s, if slow { 200.0 } else { 22.0 }, 200)
        })
    };
    assert_eq!(failing(&bimodal(&every(200), &moments)), [""; 0]);
    assert_eq!(failing(&bimodal(&every(50), &moments)), ["p99 from 3 s after, of that before"]);
}

/// Overload in which so many of ten requests are served in `served_ms`, the others refused in `refused_ms`.
fn loads(served: u32, served_ms: f64, refused_ms: f64) -> Loads {
    let over = calls(60.0, |at_s| {
        let served = (at_s * 100.0).round() as u32 % 10 < served;
        if served { call(at_s, served_ms, 200) } else { call(at_s, refused_ms, 429) }
    });
    Loads {
        idle: (calls(10.0, |at_s| call(at_s, 20.0, 200)), 0.0..10.0),
        peak: (calls(10.0, |at_s| call(at_s, 22.0, 200)).into_iter().step_by(3).collect(), 0.0..10.0),
        over: (over, 0.0..60.0),
        growth_mib: 10.0,
    }
}

#[test]
fn overload_is_served_to_capacity_and_refused_beyond() {
    assert_eq!(failing(&overload(&loads(4, 38.0, 2.0))), [""; 0]);
    assert_eq!(failing(&overload(&loads(2, 38.0, 2.0))), ["goodput at 3 x, of that at 0.9 x"]);
    assert_eq!(failing(&overload(&loads(4, 41.0, 2.0))), ["p99 of those let through, of unloaded"]);
    assert_eq!(failing(&overload(&loads(4, 38.0, 6.0))), ["p99 of refusals, ms"]);
    assert_eq!(failing(&overload(&loads(10, 38.0, 6.0))), ["p99 of refusals, ms"], "none were refused");
    let mut grown = loads(4, 38.0, 2.0);
    grown.growth_mib = 65.0;
    grown.over.0.push(call(50.0, 1.0, 502));
    grown.peak.0.push(call(5.0, 1.0, 429));
    assert_eq!(
        failing(&overload(&grown)),
        ["errors below capacity", "neither served nor refused", "memory grown, MiB"]
    );
}

#[test]
fn a_modest_client_is_not_to_notice_a_greedy_one() {
    let of = |latency_ms: f64, status: u16| (calls(10.0, |at_s| call(at_s, latency_ms, status)), 0.0..10.0);
    assert_eq!(failing(&unfair(&of(20.0, 200), &of(24.0, 200))), [""; 0]);
    assert_eq!(failing(&unfair(&of(20.0, 200), &of(24.5, 200))), ["p99 beside the other, of that alone"]);
    assert_eq!(failing(&unfair(&of(20.0, 200), &of(24.0, 429))).len(), 2);
}
