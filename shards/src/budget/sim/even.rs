//! Requests at a time on several shards that all wait: the split that there was when they began does not stay.

use super::{
    alone::{Case, START, World},
    rng::Rng,
    seeds,
};
use crate::budget::{Limit, Millis, Period, home::home_of};

/// All come to one shard for so long, which then has every slot.
const UNEVEN: Millis = 1_000;
/// By then they are to be even.
const SETTLED: Millis = UNEVEN + 1_000;

/// So many times what can be served is asked for.
const TIMES: f64 = 3.0;

fn case(rng: &mut Rng, shards: usize, amount: u64, duration: Millis) -> Case {
    Case {
        shards,
        limits: vec![Limit { amount: amount as i64, period: Period::Held, home: home_of("held", shards) }],
        rate: TIMES * amount as f64 * 2_000.0 / duration as f64,
        skew: 0,
        split_after: UNEVEN,
        small: Some(0),
        takes: vec![(1, 1)],
        used: 100,
        duration,
        delay: rng.below(2),
        stalls: 0,
        length: SETTLED + (60 * duration).max(6_000),
        patience: 3 * duration,
    }
}

fn what(case: &Case, seed: u64) -> String {
    let (amount, shards) = (case.limits[0].amount, case.shards);
    format!("seed {seed}: {amount} on {shards} shards, {} ms, {} ms of delay", case.duration, case.delay)
}

/// Runs it; of all slots' time, how much was used since the split, and of what was served once settled, each
/// shard's share.
fn run(case: Case, seed: u64) -> (f64, Vec<f64>) {
    let (used, shares, _) = run_all(case, seed);
    (used, shares)
}

/// The same, and how long requests of the client that sends little waited.
fn run_all(case: Case, seed: u64) -> (f64, Vec<f64>, Vec<Millis>) {
    let (shards, most) = (case.shards, case.limits[0].amount * (case.length - UNEVEN) as i64);
    let mut world = World::new(case, seed);
    world.run();
    world.judge(seed, 0);
    let settled = world.served.iter().filter(|(at, ..)| *at >= START + SETTLED);
    let mut served = vec![0.0; shards];
    settled.clone().for_each(|&(_, shard, amount)| served[shard] += amount as f64);
    let all: f64 = served.iter().sum();
    let shares = served.into_iter().map(|one| one / all).collect();
    (world.in_use as f64 / most as f64, shares, world.small_waited)
}

#[test]
fn who_waits_has_as_much_as_others_within_a_second() {
    seeds(300, |seed| {
        let mut rng = Rng(seed ^ 0x1111);
        let shards = [2, 3, 8][rng.below(3) as usize];
        let amount = rng.between(shards as u64, 4 * shards as u64);
        let duration = [20, 60, 400][rng.below(3) as usize];
        let case = case(&mut rng, shards, amount, duration);
        let what = what(&case, seed);
        let (used, shares) = run(case, seed);
        let even = |share: &f64| (0.75..=1.25).contains(&(share * shards as f64));
        assert!(shares.iter().all(even), "{what}: {shares:?}");
        assert!(used >= 0.98, "{what}: {used}");
    });
}

/// Two messages are a part of each turn in which the slot is idle.
#[test]
fn with_less_than_one_for_each_they_take_turns() {
    seeds(100, |seed| {
        let mut rng = Rng(seed ^ 0x2222);
        let shards = [2, 3, 8][rng.below(3) as usize];
        let amount = rng.between(1, shards as u64 - 1);
        let duration = [20, 60, 400][rng.below(3) as usize];
        let mut case = Case { patience: 2_000, ..case(&mut rng, shards, amount, duration) };
        case.length += 20_000;
        let what = what(&case, seed);
        let (used, shares) = run(case, seed);
        let even = |share: &f64| (0.6..=1.4).contains(&(share * shards as f64));
        assert!(shares.iter().all(even), "{what}: {shares:?}");
        assert!(used >= 0.95, "{what}: {used}");
    });
}

/// One shard wants more than there is, the others less than their share: they get what they want. What they leave
/// idle they keep for a tick or two.
#[test]
fn who_wants_little_gets_it_and_the_rest_is_used() {
    seeds(200, |seed| {
        let mut rng = Rng(seed ^ 0x3333);
        let shards = [2, 3][rng.below(2) as usize];
        let amount = rng.between(8, 24);
        let mut case = case(&mut rng, shards, amount, 400);
        case.skew = 80;
        let what = what(&case, seed);
        let (used, shares) = run(case, seed);
        let wanted = TIMES * 0.2 / shards as f64;
        assert!(shares.iter().skip(1).all(|share| *share >= 0.75 * wanted), "{what}: {wanted} {shares:?}");
        assert!(used >= 0.93, "{what}: {used}");
    });
}

/// Where a shard has eight or more, one is free for who sends little: none waits for long, and few at all.
#[test]
fn who_sends_little_hardly_waits_beside_who_sends_much() {
    seeds(200, |seed| {
        let mut rng = Rng(seed ^ 0x4444);
        let shards = [1, 2, 3][rng.below(3) as usize];
        let amount = rng.between(10, 30) * shards as u64;
        let mut case = case(&mut rng, shards, amount, 400);
        (case.small, case.patience, case.length) = (Some(5), 2_000, 60_000);
        let what = what(&case, seed);
        let (used, _, mut waited) = run_all(case, seed);
        waited.sort_unstable();
        let at = |part: usize| waited[(waited.len() - 1) * part / 100];
        assert!(used >= 0.86, "{what}: {used}");
        assert!(waited.len() > 20 && at(90) <= 10 && at(100) < 500, "{what}: {waited:?}");
    });
}
