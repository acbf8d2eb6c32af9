//! What one choice of a key costs: `cargo bench --bench select`. A choice is meant to take 300 ns at most
//! with four targets of 16 keys.

use std::hint::black_box;

use coo_llm::{
    config::{Algorithm, HybridWeights, Priority},
    gateway::select::{Candidate, Strategies, latency::PeakEwma},
};
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

criterion_group!(benches, choices, facts);
criterion_main!(benches);
