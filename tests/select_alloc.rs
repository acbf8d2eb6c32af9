//! Choosing a key allocates nothing.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use coo_llm::{
    config::{Algorithm, HybridWeights, Priority},
    gateway::select::{
        Candidate, Rng, Strategies,
        health::{Failure, HealthRules, KeyHealth},
        latency::{Ewma, PeakEwma},
        outlier::{Ejection, EjectionRules, all_out},
        retry::{RetryBudget, backoff},
    },
};

thread_local! {
    /// Of this thread: the test harness has others.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is left to the system's allocator; counting touches only a plain thread-local number,
// which needs no memory of its own and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `alloc` above with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations made by `work`.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn deciding_allocates_nothing() {
    assert!(allocations(|| drop(std::hint::black_box(Box::new(1)))) > 0, "the count counts");

    let mut candidates: Vec<_> = (0..64)
        .map(|at| Candidate {
            target: at / 16,
            key: at % 16,
            ramp: 1.0 - f32::from(at % 3) * 0.3,
            ..Candidate::default()
        })
        .collect();
    let mut strategies = Strategies::new([64, 64], HybridWeights::of(Priority::Balanced), 1);
    for algorithm in [
        Algorithm::RoundRobin,
        Algorithm::WeightedRoundRobin,
        Algorithm::LeastLoaded,
        Algorithm::Hybrid,
        Algorithm::CostOptimized,
        Algorithm::PerformanceOptimized,
    ] {
        let made = allocations(|| {
            for n in 0..1000 {
                let at = strategies.choose(algorithm, n % 2, &candidates).unwrap();
                candidates[at].in_flight += 1;
            }
        });
        assert_eq!(made, 0, "{algorithm:?}");
    }
}

#[test]
fn learning_from_an_answer_allocates_nothing() {
    let (key_rules, rules) = (HealthRules::default(), EjectionRules::default());
    let mut rng = Rng::new(1);
    let mut providers = [Ejection::new(); 4];
    let mut key = KeyHealth::new();
    let (mut latency, mut per_token) = (PeakEwma::new(10_000), Ewma::new(10_000));
    let mut budget = RetryBudget::new(0.1, 1.0, 0);
    let made = allocations(|| {
        for now in 1..10_000 {
            let provider = &mut providers[now as usize % 4];
            provider.sent(now);
            key.sent(now);
            budget.deposit();
            if now % 3 == 0 {
                provider.failure(now, &rules, &mut rng);
                key.failure(now, Failure::Upstream, &key_rules, &mut rng);
                if budget.withdraw(now) {
                    let _ = backoff(1, 100, 1000, &mut rng);
                }
            } else {
                provider.success(now, &rules);
                key.success(now, &key_rules);
                latency.observe(now as f32, now);
                per_token.observe(now as f32, now);
            }
            let _ = all_out(providers.iter(), now, &rules);
        }
    });
    assert_eq!(made, 0);
}
