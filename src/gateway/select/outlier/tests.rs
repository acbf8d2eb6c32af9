use proptest::prelude::{prop, prop_assert, proptest};

use super::*;

const RULES: EjectionRules = EjectionRules {
    consecutive: 5,
    error_share: 0.5,
    min_requests: 20,
    window: 10_000,
    base: 1000,
    max: 3500,
    slow_start: 900,
    patience: 500,
};

fn until(provider: &Ejection) -> Millis {
    match provider.state {
        State::Out { probe } => probe.until(),
        State::In { .. } => panic!("in use"),
    }
}

/// A provider ejected at `now`.
fn eject(provider: &mut Ejection, now: Millis, rng: &mut Rng) {
    for _ in 0..5 {
        assert!(!provider.is_out());
        provider.failure(now, &RULES, rng);
    }
    assert!(provider.is_out() && !provider.is_available(now, &RULES));
}

/// Its probe works, as soon as it may.
fn come_back(provider: &mut Ejection) -> Millis {
    let now = until(provider);
    provider.sent(now);
    provider.success(now, &RULES);
    assert!(!provider.is_out());
    now
}

fn about(time: Millis) -> std::ops::RangeInclusive<Millis> {
    time..=time + time / 4
}

#[test]
fn failures_in_a_row_eject() {
    let rng = &mut Rng::new(1);
    let mut provider = Ejection::default();
    for now in 0..100 {
        // Three of five fail, but of fewer requests in a window than count.
        match now % 5 {
            0 | 3 => provider.success(now * 1000, &RULES),
            _ => provider.failure(now * 1000, &RULES, rng),
        }
        assert!(provider.is_available(now * 1000, &RULES));
    }
    provider.success(100_000, &RULES);
    eject(&mut provider, 100_001, rng);
    assert!(about(1000).contains(&(until(&provider) - 100_001)));
}

#[test]
fn a_share_of_failures_in_a_window_ejects() {
    let rng = &mut Rng::new(2);
    for (failures, of, out) in [(3, 4, true), (2, 4, false), (1, 4, false), (4, 5, true)] {
        let mut provider = Ejection::new();
        let mut requests = 0;
        for n in 0..1000 {
            // The good ones first, so that no beginning has a larger share.
            if n % of >= of - failures {
                provider.failure(n * 10, &RULES, rng);
            } else {
                provider.success(n * 10, &RULES);
            }
            requests += 1;
            if provider.is_out() {
                break;
            }
        }
        assert_eq!(provider.is_out(), out, "{failures} of {of}");
        assert!(!out || (20..25).contains(&requests), "{requests}");
    }
}

#[test]
fn one_request_at_a_time_probes_and_then_load_grows() {
    let rng = &mut Rng::new(3);
    let mut provider = Ejection::new();
    assert_eq!(provider.ramp(0, &RULES), 1.0);
    eject(&mut provider, 10, rng);
    provider.success(11, &RULES);
    provider.failure(12, &RULES, rng);
    assert!(provider.is_out(), "answers to requests from before say nothing");
    let now = until(&provider);
    assert!(!provider.is_available(now - 1, &RULES) && provider.is_available(now, &RULES));
    provider.sent(now);
    assert!(!provider.is_available(now + 499, &RULES) && provider.is_available(now + 500, &RULES));
    provider.cancelled();
    assert!(provider.is_available(now + 1, &RULES));
    provider.sent(now + 1);
    provider.success(now + 2, &RULES);
    assert!((provider.ramp(now + 2, &RULES) - 0.1).abs() < 1e-6);
    assert!((provider.ramp(now + 452, &RULES) - 0.55).abs() < 1e-3);
    assert_eq!(provider.ramp(now + 902, &RULES), 1.0);
}

#[test]
fn one_that_a_check_brought_back_is_out_again_at_its_first_failure() {
    let mut rng = Rng::new(1);
    let mut provider = Ejection::new();
    provider.heard(5000);
    assert!(provider.is_out() && !provider.is_available(4999, &RULES) && provider.is_available(5000, &RULES));
    provider.reinstate(6000, &RULES);
    assert!(!provider.is_out() && provider.ramp(6000, &RULES) < 0.2);
    provider.failure(6001, &RULES, &mut rng);
    assert!(provider.is_out());
    provider.reinstate(7000, &RULES);
    provider.success(7001, &RULES);
    provider.failure(7002, &RULES, &mut rng);
    assert!(!provider.is_out(), "it had worked");
}

#[test]
fn time_out_grows_with_each_ejection_and_shrinks_with_good_time() {
    let rng = &mut Rng::new(4);
    let mut provider = Ejection::new();
    eject(&mut provider, 10, rng);
    for time in [2000, 3000, 3500, 3500] {
        let now = until(&provider);
        provider.sent(now);
        provider.failure(now, &RULES, rng);
        assert!(about(time).contains(&(until(&provider) - now)), "{time}");
    }
    // Five ejections, of which three are made up for by good time; the next is the third.
    let now = come_back(&mut provider) + 3500;
    eject(&mut provider, now, rng);
    assert!(about(3000).contains(&(until(&provider) - now)));
    let now = come_back(&mut provider) + 1_000_000;
    eject(&mut provider, now, rng);
    assert!(about(1000).contains(&(until(&provider) - now)));
}

#[test]
fn where_all_are_out_all_are_in() {
    let rng = &mut Rng::new(5);
    let mut providers = [Ejection::new(); 3];
    for at in 0..3 {
        assert!(!all_out(providers.iter(), 10, &RULES));
        eject(&mut providers[at], 10, rng);
    }
    assert!(all_out(providers.iter(), 10, &RULES));
    // As soon as one has come back the others are out again.
    let now = come_back(&mut providers[1]);
    assert!(!all_out(providers.iter(), now, &RULES));
    assert!(all_out([].into_iter(), now, &RULES));
}

proptest! {
    #[test]
    fn the_last_provider_is_never_out(
        count in 1..5_usize,
        steps in prop::collection::vec((0..5_usize, 0..4_u8, 0..800_u64), 1..400),
        seed: u64,
    ) {
        let rng = &mut Rng::new(seed);
        let mut providers = vec![Ejection::new(); count];
        let mut now = 0;
        for (at, event, pause) in steps {
            let provider = &mut providers[at % count];
            match event {
                0 => provider.sent(now),
                1 => provider.success(now, &RULES),
                _ => provider.failure(now, &RULES, rng),
            }
            now += pause;
            let panic = all_out(providers.iter(), now, &RULES);
            let usable = |provider: &Ejection| panic || provider.is_available(now, &RULES);
            prop_assert!(providers.iter().any(usable));
            // And each comes back in the end, without anyone's doing.
            for provider in &providers {
                prop_assert!(provider.is_available(now + 3500 * 5 / 4 + 500, &RULES));
            }
        }
    }
}
