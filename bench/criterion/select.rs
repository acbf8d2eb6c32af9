//! What one choice of a key costs: `cargo bench --bench select`. A choice is meant to take 300 ns at most
//! with four targets of 16 keys.

#![allow(clippy::unwrap_used)] // of a fixed configuration

use std::{borrow::Cow, hint::black_box, sync::Arc};

use coo_llm::{
    config::{Algorithm, HybridWeights, Loaded, Priority, ProcessEnv, load_str, snapshot::Snapshot},
    dialect::openai::request::Endpoint,
    gateway::{
        balance::{self, Balance, Outcome, Tried},
        budget::{self, Budget, Clock},
        route,
        select::{Candidate, Strategies, latency::PeakEwma, speed::Ask},
    },
};
use coo_shards::mesh;
use criterion::{Criterion, criterion_group, criterion_main};

const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("round_robin", Algorithm::RoundRobin),
    ("weighted_round_robin", Algorithm::WeightedRoundRobin),
    ("least_loaded", Algorithm::LeastLoaded),
    ("hybrid", Algorithm::Hybrid),
    ("cost_optimized", Algorithm::CostOptimized),
    ("performance_optimized", Algorithm::PerformanceOptimized),
];

/// Candidates that differ in everything, as in the middle of a working day: some rest.
fn candidates(targets: u16, keys: u16) -> Vec<Candidate> {
    let of_target = |target| (0..keys).map(move |key| (target, key));
    let each = |(target, key): (u16, u16)| {
        let mixed = f32::from((target * 37 + key * 11) % 29) / 29.0;
        Candidate {
            target,
            key,
            available: key % 7 != 3,
            slow: key % 5 == 4,
            weight: u32::from(target) * 10 + 5,
            in_flight: u32::from(key * 5 % 9),
            latency_us: 200e3 + mixed * 400e3,
            error: mixed * 0.1,
            tokens_left: 1.0 - mixed * 0.3,
            requests_left: 0.5 + mixed * 0.5,
            cost: 1_000_000 + u64::from(target % 3) * 300_000,
            ..Candidate::default()
        }
    };
    (0..targets).flat_map(of_target).map(each).collect()
}

fn choices(criterion: &mut Criterion) {
    let weights = HybridWeights::of(Priority::Balanced);
    for (shape, targets, keys) in [("1x4", 1, 4), ("4x16", 4, 16)] {
        for starting in [false, true] {
            let mut candidates = candidates(targets, keys);
            if starting {
                candidates.iter_mut().step_by(5).for_each(|candidate| candidate.ramp = 0.4);
            }
            let mut group =
                criterion.benchmark_group(format!("{shape}{}", if starting { " slow start" } else { "" }));
            for (name, algorithm) in ALGORITHMS {
                let mut strategies = Strategies::new([candidates.len()], weights, 1);
                // Load changes between choices, as it does.
                group.bench_function(name, |bencher| {
                    bencher.iter(|| {
                        let chosen = strategies.choose(algorithm, 0, black_box(&candidates));
                        if let Some(candidate) = chosen.and_then(|at| candidates.get_mut(at)) {
                            candidate.in_flight = (candidate.in_flight + 1) % 16;
                        }
                        chosen
                    });
                });
            }
            group.finish();
        }
    }
}

/// Four providers with 16 keys each, each with a limit on requests and one on tokens, and an alias for all.
fn config(algorithm: &str) -> String {
    let provider = |id: &str| {
        let keys: Vec<_> = (0..16).map(|n| format!("secret-{id}-{n}")).collect();
        format!(
            "  - {{id: {id}, type: custom, base_url: 'http://127.0.0.1:9/v1', api_keys: [{}], models: [m], \
             limits: {{req_per_min: 600, tokens_per_min: 900000}}}}\n",
            keys.join(", ")
        )
    };
    format!(
        "llm_providers:\n{}api_keys: [{{id: client, key: sk-client-0123456789}}]
model_aliases: {{fast: ['a:m', 'b:m', 'c:m', 'd:m']}}
policy: {{algorithm: {algorithm}}}\n",
        ["a", "b", "c", "d"].map(provider).concat()
    )
}

/// What a request pays in all: the facts of each candidate gathered, and the choice.
fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("4x16 with facts");
    for (name, _) in ALGORITHMS {
        let Loaded { config, .. } = load_str("bench.yaml", &config(name), &ProcessEnv).unwrap();
        let snapshot = Snapshot::new(&config, 1);
        let clock = Clock::start();
        let setup = budget::Setup {
            limits: Arc::clone(&snapshot.budgets.limits),
            keys: snapshot.providers.iter().map(|upstream| upstream.keys.len()).collect(),
            clock,
            port: mesh::mesh(1, 16).unwrap().remove(0),
            rules: budget::Rules {
                wait: config.policy.budget_wait,
                queue: config.policy.budget_queue,
                tokens: config.policy.token_reserve,
            },
            shared: None,
        };
        let budget = Budget::new(setup, 0, 1);
        let rules = balance::Rules::new(&config.policy, &config.key_rotation);
        let balance = Balance::new(&snapshot, rules, 0, clock.now());
        let model = Cow::Borrowed("fast");
        let plan = route::plan(&snapshot, Some(0), &model, Endpoint::ChatCompletions).unwrap();
        let ask = Ask { is_stream: false, tokens: 256 };
        // Every key has answered something, and takes a while to forget it.
        for (provider, key) in (0..4).flat_map(|provider| (0..16).map(move |key| (provider, key))) {
            let now = clock.now();
            let mut underway = balance.sent(provider, key, ask, now - 1000);
            balance.told(&mut underway, Outcome::Answered, now - 1000);
            balance.over(underway, Some(20 + key as u32), now - 1000);
            let mut underway = balance.sent(provider, key, Ask { is_stream: true, ..ask }, now);
            balance.first_token(&mut underway, now - 500);
            if key % 8 == 3 {
                balance.told(&mut underway, Outcome::Failed, now);
            }
            balance.over(underway, Some(20), now);
        }
        group.bench_function(name, |bencher| {
            bencher.iter(|| balance.choose(&plan, &Tried::default(), &budget, 400, black_box(ask)));
        });
    }
    group.finish();
}

/// What the facts cost that must be read for each candidate.
fn facts(criterion: &mut Criterion) {
    let mut latencies = vec![PeakEwma::new(10_000); 64];
    for (latency, at) in latencies.iter_mut().zip(0_u16..) {
        latency.observe(1000.0 + f32::from(at), u64::from(at));
    }
    let mut now = 100;
    criterion.bench_function("64 latencies", |bencher| {
        bencher.iter(|| {
            now = 100 + (now + 7) % 20_000;
            latencies.iter().map(|latency| latency.value(black_box(now))).sum::<f32>()
        });
    });
}

criterion_group!(benches, choices, whole, facts);
criterion_main!(benches);
