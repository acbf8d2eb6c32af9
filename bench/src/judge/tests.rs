use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const S: u64 = 1_000_000;

fn rule(limit: u64) -> Rule {
    Rule { measure: Measure::Requests, limit, window_us: 60 * S }
}

fn at(seconds: &[f64]) -> Vec<Spend> {
    seconds.iter().map(|s| Spend { at_us: (s * S as f64) as u64, amount: 1 }).collect()
}

/// What a limiter lets through of `demand` (times in µs).
fn limited(demand: impl Iterator<Item = u64>, mut admits: impl FnMut(u64) -> bool) -> Vec<Spend> {
    demand.filter(|&at_us| admits(at_us)).map(|at_us| Spend { at_us, amount: 1 }).collect()
}

/// The exact limiter: a log of what was admitted.
fn sliding(limit: usize) -> impl FnMut(u64) -> bool {
    let mut log = VecDeque::new();
    move |now| {
        while log.front().is_some_and(|old| old + 60 * S <= now) {
            log.pop_front();
        }
        let admit = log.len() < limit;
        if admit {
            log.push_back(now);
        }
        admit
    }
}

#[test]
fn windows_are_half_open() {
    let ruling = rule_on(&at(&[0.0, 10.0, 60.0, 70.0]), rule(2), 120 * S);
    assert_eq!((ruling.worst.amount, ruling.overshoot), (2, 0));
    assert_eq!((ruling.tightest_us, ruling.over(0)), (Some(60 * S), false));
    let ruling = rule_on(&at(&[0.0, 10.0, 59.999_999, 70.0]), rule(2), 120 * S);
    assert_eq!(ruling.worst, Worst { amount: 3, from_us: 0, until_us: 59_999_999 });
    assert_eq!((ruling.overshoot, ruling.over(0)), (1, true));
    assert!(!ruling.over(1) && ruling.over(0), "a microsecond of jitter explains it");
}

#[test]
fn nothing_spent_is_nothing_over_and_nothing_used() {
    let ruling = rule_on(&[], rule(2), 120 * S);
    assert_eq!((ruling.worst.amount, ruling.tightest_us, ruling.over(0)), (0, None, false));
    assert_eq!(ruling.steady_use, None);
    assert_eq!(rule_on(&at(&[1.0]), rule(2), 30 * S).steady_use, None, "shorter than a window");
}

#[test]
fn an_exact_limiter_is_clean_and_fully_used() {
    // From a little over the limit to far over it.
    for (limit, rate) in [(3, 20.0), (60, 20.0), (600, 13.0), (6000, 130.0), (6000, 1000.0)] {
        let demand = (0..).map(|n| 500_000 + (f64::from(n) / rate * S as f64) as u64);
        let spends = limited(demand.take_while(|&t| t < 180 * S), sliding(limit));
        let ruling = rule_on(&spends, rule(limit as u64), 180 * S);
        assert!(!ruling.over(0) && ruling.overshoot == 0, "{ruling:?}");
        assert_eq!(ruling.worst.amount, limit as u64);
        let used = ruling.steady_use.unwrap();
        assert!((0.98..1.02).contains(&used), "{limit} {rate}: {used}");
    }
}

#[test]
fn a_counter_of_fixed_minutes_is_caught() {
    let mut counts = std::collections::HashMap::<u64, u64>::new();
    // Demand begins in the middle of a minute, ten times over the limit.
    let demand = (0..).map(|n| 50 * S + n * S / 10).take_while(|&t| t < 180 * S);
    let spends = limited(demand, |now| {
        let count = counts.entry(now / (60 * S)).or_default();
        *count += 1;
        *count <= 60
    });
    let ruling = rule_on(&spends, rule(60), 180 * S);
    assert_eq!(ruling.worst.amount, 120);
    assert!(ruling.over(100_000) && ruling.tightest_us < Some(20 * S), "{ruling:?}");
}

#[test]
fn too_little_used_is_seen() {
    let demand = (0..).map(|n| n * S / 2).take_while(|&t| t < 180 * S);
    let spends = limited(demand, sliding(57));
    let used = rule_on(&spends, rule(60), 180 * S).steady_use.unwrap();
    assert!((0.94..0.96).contains(&used), "{used}");
}

#[test]
fn use_is_counted_within_its_part() {
    let all = at(&[10.0, 70.0, 130.0, 190.0]);
    assert_eq!(share(&all, rule(1), 60 * S..180 * S), Some(1.0));
    assert_eq!(share(&all, rule(2), 60 * S..180 * S), Some(0.5));
    assert_eq!(share(&all, rule(2), 60 * S..60 * S), None);
}

#[test]
fn the_ideal_limiter_lets_through_what_the_exact_one_does() {
    for (limit, step) in [(1, 7 * S), (3, S / 20), (60, S), (600, S / 13)] {
        let arrivals: Vec<u64> = (0..).map(|n| n * step).take_while(|&at| at < 200 * S).collect();
        let exact = limited(arrivals.iter().copied(), sliding(limit)).len() as u64;
        assert_eq!(ideal(&arrivals, rule(limit as u64)), exact);
    }
    assert_eq!(ideal(&[], rule(3)), 0);
}

#[test]
fn refused_requests_and_other_keys_are_not_spent_and_tokens_date_from_the_request() {
    let record = |time_us, key: &str, status| Record {
        time_us,
        key: key.into(),
        status,
        prompt_tokens: 5,
        completion_tokens: 7,
        end_us: time_us + 90 * S,
        ..Record::default()
    };
    let records = [record(2, "a", 200), record(1, "a", 500), record(3, "a", 429), record(4, "b", 200)];
    let times = |spends: Vec<Spend>| spends.iter().map(|s| (s.at_us, s.amount)).collect::<Vec<_>>();
    assert_eq!(times(spends(&records, "a", Measure::Requests)), [(1, 1), (2, 1)]);
    assert_eq!(times(spends(&records, "a", Measure::Tokens)), [(1, 12), (2, 12)]);
}

/// Spends in order of time, with ties, gaps and amounts of nothing.
fn some_spends() -> impl Strategy<Value = Vec<Spend>> {
    prop::collection::vec((0u64..40, 0u64..5), 0..60).prop_map(|mut pairs| {
        pairs.sort_unstable();
        pairs.into_iter().map(|(at_us, amount)| Spend { at_us, amount }).collect()
    })
}

/// What is spent in the half-open window that begins at `from`.
fn window(spends: &[Spend], from: u64, length: u64) -> u64 {
    spends.iter().filter(|s| (from..from + length).contains(&s.at_us)).map(|s| s.amount).sum()
}

proptest! {
    #[test]
    fn the_worst_window_is_that_of_a_brute_force(spends in some_spends(), length in 1u64..50) {
        let brute = (0..50).map(|from| window(&spends, from, length)).max().unwrap_or(0);
        let found = worst(&spends, length);
        prop_assert_eq!(found.amount, brute);
        if brute > 0 {
            prop_assert_eq!(window(&spends, found.from_us, length), brute);
            prop_assert!(found.until_us - found.from_us < length);
        }
    }

    #[test]
    fn the_tightest_span_is_that_of_a_brute_force(spends in some_spends(), limit in 0u64..30) {
        let mut brute = None;
        for (i, first) in spends.iter().enumerate() {
            let mut sum = 0;
            for last in &spends[i..] {
                sum += last.amount;
                let span = last.at_us - first.at_us;
                if sum > limit && brute.is_none_or(|least| span < least) {
                    brute = Some(span);
                }
            }
        }
        prop_assert_eq!(tightest(&spends, limit), brute);
    }

    #[test]
    fn a_window_is_over_exactly_where_the_tightest_span_is_shorter(
        spends in some_spends(), limit in 0u64..30, window_us in 1u64..50
    ) {
        let rule = Rule { measure: Measure::Tokens, limit, window_us };
        let ruling = rule_on(&spends, rule, 40);
        prop_assert_eq!(ruling.over(0), ruling.worst.amount > limit);
        prop_assert_eq!(ruling.overshoot, ruling.worst.amount.saturating_sub(limit));
    }

    #[test]
    fn parts_add_up(spends in some_spends(), cut in 1u64..39) {
        let rule = Rule { measure: Measure::Tokens, limit: 10, window_us: 7 };
        let whole = share(&spends, rule, 0..40).unwrap();
        let (before, after) = (share(&spends, rule, 0..cut).unwrap(), share(&spends, rule, cut..40).unwrap());
        let parts = (before * cut as f64 + after * (40 - cut) as f64) / 40.0;
        prop_assert!((whole - parts).abs() < 1e-12);
    }
}
