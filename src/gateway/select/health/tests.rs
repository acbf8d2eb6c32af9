use super::*;

const RULES: HealthRules = HealthRules {
    cooldown: 1000,
    max_cooldown: 6000,
    consecutive: 3,
    slow_start: 900,
    revoked: 100_000,
    patience: 500,
    memory: 10_000,
};

/// A key that has begun to rest at 10, and when it has rested.
fn resting(rng: &mut Rng) -> (KeyHealth, Millis) {
    let mut key = KeyHealth::new();
    key.failure(10, Failure::Key, &RULES, rng);
    assert_eq!(key.standing(10, &RULES), Standing::Resting);
    (key, key.rests_until())
}

/// A pause and its jitter.
fn about(pause: Millis) -> std::ops::RangeInclusive<Millis> {
    pause..=pause + pause / 4
}

#[test]
fn a_new_key_is_healthy() {
    let key = KeyHealth::default();
    assert_eq!(key.standing(0, &RULES), Standing::Healthy);
    assert!(key.is_available(0, &RULES));
    assert_eq!((key.ramp(0, &RULES), key.error(0, &RULES), key.consecutive()), (1.0, 0.0, 0));
}

#[test]
fn a_key_rests_after_its_own_failure_or_several_of_the_provider() {
    let rng = &mut Rng::new(1);
    let (key, until) = resting(rng);
    assert!(about(1000).contains(&(until - 10)), "{until}");
    assert!(!key.is_available(until - 1, &RULES) && key.is_available(until, &RULES));

    let mut key = KeyHealth::new();
    for now in [1, 2] {
        key.failure(now, Failure::Upstream, &RULES, rng);
        assert!(key.is_available(now, &RULES));
    }
    key.success(3, &RULES);
    assert_eq!(key.consecutive(), 0);
    for now in [4, 5, 6] {
        assert!(key.is_available(now, &RULES));
        key.failure(now, Failure::Upstream, &RULES, rng);
    }
    assert_eq!((key.standing(7, &RULES), key.consecutive()), (Standing::Resting, 3));
}

#[test]
fn one_request_at_a_time_probes_and_then_load_grows() {
    let rng = &mut Rng::new(2);
    let (mut key, until) = resting(rng);
    assert_eq!(key.standing(until, &RULES), Standing::Probing);
    assert!((key.ramp(until, &RULES) - 0.1).abs() < 1e-6);
    key.sent(until);
    assert!(!key.is_available(until + 1, &RULES), "a probe is under way");
    key.cancelled();
    assert!(key.is_available(until + 1, &RULES), "it said nothing");
    key.sent(until + 1);
    key.success(until + 10, &RULES);
    let back = until + 10;
    assert_eq!(key.standing(back, &RULES), Standing::SlowStart);
    for (after, share) in [(0, 0.1), (450, 0.55), (899, 0.999), (900, 1.0), (9000, 1.0)] {
        assert!((key.ramp(back + after, &RULES) - share).abs() < 1e-3, "{after}");
        assert!(key.is_available(back + after, &RULES));
    }
    assert_eq!(key.standing(back + 900, &RULES), Standing::Healthy);
}

#[test]
fn a_probe_of_which_nothing_is_heard_does_not_block_for_ever() {
    let (mut key, until) = resting(&mut Rng::new(3));
    key.sent(until);
    assert!(!key.is_available(until + 499, &RULES) && key.is_available(until + 500, &RULES));
    key.sent(until + 500);
    assert!(!key.is_available(until + 501, &RULES));
}

#[test]
fn rests_double_with_each_failed_probe_up_to_a_maximum() {
    let rng = &mut Rng::new(4);
    let (mut key, mut now) = resting(rng);
    for pause in [2000, 4000, 6000, 6000] {
        key.sent(now);
        key.failure(now + 5, Failure::Upstream, &RULES, rng);
        let rest = key.rests_until() - now - 5;
        assert!(about(pause).contains(&rest), "{rest} for {pause}");
        now = key.rests_until();
    }
    // A failure during the slow start counts as a failed probe.
    key.sent(now);
    key.success(now, &RULES);
    key.success(now + 100, &RULES);
    key.failure(now + 200, Failure::Upstream, &RULES, rng);
    assert!(about(6000).contains(&(key.rests_until() - now - 200)));
    // A success after it begins anew.
    now = key.rests_until();
    key.sent(now);
    key.success(now, &RULES);
    key.success(now + 1000, &RULES);
    key.failure(now + 1001, Failure::Key, &RULES, rng);
    assert!(about(1000).contains(&(key.rests_until() - now - 1001)));
}

#[test]
fn answers_to_requests_from_before_the_rest_change_nothing() {
    let rng = &mut Rng::new(5);
    let (mut key, until) = resting(rng);
    for now in 20..30 {
        key.failure(now, Failure::Key, &RULES, rng);
        key.success(now, &RULES);
    }
    assert_eq!((key.rests_until(), key.standing(30, &RULES)), (until, Standing::Resting));
}

#[test]
fn a_limited_key_rests_as_long_as_the_provider_says_and_comes_back_at_once() {
    let rng = &mut Rng::new(6);
    let mut key = KeyHealth::new();
    key.rate_limited(100, 5000, &RULES);
    key.rate_limited(101, 4000, &RULES);
    assert_eq!((key.standing(4999, &RULES), key.rests_until()), (Standing::Limited, 5000));
    assert!(!key.is_available(4999, &RULES) && key.is_available(5000, &RULES));
    assert_eq!((key.standing(5000, &RULES), key.ramp(5000, &RULES)), (Standing::Healthy, 1.0));
    assert_eq!(key.error(5000, &RULES), 0.0);
    // A probe that meets the limit has shown that the key works.
    let (mut key, until) = resting(rng);
    key.sent(until);
    key.rate_limited(until, until + 300, &RULES);
    assert_eq!(key.standing(until, &RULES), Standing::Limited);
    assert_eq!(key.standing(until + 300, &RULES), Standing::SlowStart);
}

#[test]
fn a_refused_key_is_out_until_told_otherwise_or_long_after() {
    let rng = &mut Rng::new(7);
    let mut key = KeyHealth::new();
    key.revoked(50, &RULES, rng);
    assert_eq!(key.standing(99_000, &RULES), Standing::Revoked);
    assert!(about(100_000).contains(&(key.rests_until() - 50)));
    let mut told = key;
    told.reinstate(60);
    assert_eq!((told.standing(60, &RULES), told.consecutive()), (Standing::SlowStart, 0));
    assert!(told.is_available(60, &RULES));
    // Whatever its probe fails of, it stays out as long again.
    let now = key.rests_until();
    key.sent(now);
    key.failure(now, Failure::Upstream, &RULES, rng);
    assert_eq!(key.standing(now, &RULES), Standing::Revoked);
    let now = key.rests_until();
    key.sent(now);
    key.revoked(now, &RULES, rng);
    assert!(about(100_000).contains(&(key.rests_until() - now)));
    let now = key.rests_until();
    key.sent(now);
    key.success(now, &RULES);
    assert_eq!(key.standing(now, &RULES), Standing::SlowStart);
}

#[test]
fn the_error_score_is_a_share_of_recent_requests() {
    let rng = &mut Rng::new(8);
    let rules = HealthRules { consecutive: u32::MAX, ..RULES };
    let mut key = KeyHealth::new();
    key.failure(0, Failure::Upstream, &rules, rng);
    assert!((key.error(0, &rules) - 0.2).abs() < 1e-6, "one failure is no verdict");
    for n in 0..20_000_u64 {
        if n % 4 == 0 {
            key.failure(n, Failure::Upstream, &rules, rng);
        } else {
            key.success(n, &rules);
        }
    }
    let share = key.error(20_000, &rules);
    assert!((share - 0.25).abs() < 0.01, "{share}");
    for n in 20_000..50_000 {
        key.success(n, &rules);
    }
    assert!(key.error(50_000, &rules) < share * 0.06, "e^-3 is left");
    key.failure(50_000, Failure::Upstream, &rules, rng);
    assert_eq!(key.error(u64::MAX, &rules), 0.0);
}

#[test]
fn rules_and_times_at_their_ends_do_no_harm() {
    let rng = &mut Rng::new(9);
    for edge in [0, u64::MAX] {
        let rules = HealthRules {
            cooldown: edge,
            max_cooldown: edge,
            consecutive: 0,
            slow_start: edge,
            revoked: edge,
            patience: edge,
            memory: edge,
        };
        let mut key = KeyHealth::new();
        for now in [0, 5, 3, u64::MAX, u64::MAX - 1] {
            key.sent(now);
            key.failure(now, Failure::Upstream, &rules, rng);
            key.sent(now);
            key.success(now, &rules);
            key.rate_limited(now, u64::MAX, &rules);
            key.revoked(now, &rules, rng);
            let (ramp, error) = (key.ramp(now, &rules), key.error(now, &rules));
            assert!(ramp > 0.0 && ramp <= 1.0 && (0.0..=1.0).contains(&error), "{key:?}");
            let _ = key.standing(now, &rules);
            key.reinstate(now);
        }
    }
}
