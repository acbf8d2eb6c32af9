//! Policy types: how a provider and key are chosen. Only round robin over keys is built.

use std::time::Duration;

/// `policy.strategy`: the older way to say which algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The hybrid score.
    Hybrid,
    /// The cheapest target.
    CostOptimized,
    /// The fastest of two keys.
    PerformanceOptimized,
}

impl Strategy {
    pub(super) const CHOICES: [(&'static str, Self); 3] = [
        ("hybrid", Self::Hybrid),
        ("cost_optimized", Self::CostOptimized),
        ("performance_optimized", Self::PerformanceOptimized),
    ];

    /// The algorithm meant when `policy.algorithm` is absent.
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::Hybrid => Algorithm::Hybrid,
            Self::CostOptimized => Algorithm::CostOptimized,
            Self::PerformanceOptimized => Algorithm::PerformanceOptimized,
        }
    }

    /// The priority meant when `policy.priority` is absent.
    pub fn priority(self) -> Priority {
        match self {
            Self::CostOptimized => Priority::Cost,
            Self::Hybrid | Self::PerformanceOptimized => Priority::Balanced,
        }
    }
}

/// `policy.algorithm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Keys take turns.
    RoundRobin,
    /// Providers take turns in proportion to `policy.weights`.
    WeightedRoundRobin,
    /// The key with the least in flight.
    LeastLoaded,
    /// The best score over tokens, requests, errors, latency and cost.
    Hybrid,
    /// The cheapest target that is able, and of its keys the least loaded.
    CostOptimized,
    /// Of two keys picked at random, the one that promises the first byte sooner.
    PerformanceOptimized,
}

impl Algorithm {
    pub(super) const CHOICES: [(&'static str, Self); 6] = [
        ("round_robin", Self::RoundRobin),
        ("weighted_round_robin", Self::WeightedRoundRobin),
        ("least_loaded", Self::LeastLoaded),
        ("hybrid", Self::Hybrid),
        ("cost_optimized", Self::CostOptimized),
        ("performance_optimized", Self::PerformanceOptimized),
    ];
}

/// `policy.priority`: which part of the hybrid score counts most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Priority {
    Balanced,
    Cost,
    Requests,
    Tokens,
}

impl Priority {
    pub(super) const CHOICES: [(&'static str, Self); 4] = [
        ("balanced", Self::Balanced),
        ("cost", Self::Cost),
        ("req", Self::Requests),
        ("token", Self::Tokens),
    ];
}

/// `api_keys[].priority` and `x-priority`: who goes first where requests wait for their turn, and who is refused
/// last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Before all others.
    High,
    /// What nothing is said of.
    #[default]
    Normal,
    /// After all others: what may as well be done later.
    Low,
}

impl Urgency {
    /// By name.
    pub const CHOICES: [(&'static str, Self); 3] =
        [("high", Self::High), ("normal", Self::Normal), ("low", Self::Low)];

    /// Its class in a [`coo_shards::fair::Line`].
    #[must_use]
    pub fn class(self) -> u8 {
        self as u8
    }
}

/// `policy.hybrid_weights`: each from 0 to 1; only their proportion matters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HybridWeights {
    /// Tokens left.
    pub token_ratio: f64,
    /// Requests left.
    pub req_ratio: f64,
    /// Recent errors.
    pub error_score: f64,
    /// Recent latency.
    pub latency: f64,
    /// Price.
    pub cost_ratio: f64,
}

impl HybridWeights {
    /// The weights a priority stands for: even, or 0.6 on one part and 0.1 on each other.
    pub fn of(priority: Priority) -> Self {
        const MAIN: f64 = 0.6;
        const REST: f64 = 0.1;
        let rest =
            Self { token_ratio: REST, req_ratio: REST, error_score: REST, latency: REST, cost_ratio: REST };
        match priority {
            Priority::Balanced => {
                Self { token_ratio: 0.2, req_ratio: 0.2, error_score: 0.2, latency: 0.2, cost_ratio: 0.2 }
            }
            Priority::Cost => Self { cost_ratio: MAIN, ..rest },
            Priority::Requests => Self { req_ratio: MAIN, ..rest },
            Priority::Tokens => Self { token_ratio: MAIN, ..rest },
        }
    }
}

/// `policy.token_reserve`: what a request takes from the token budgets before it is sent. The difference
/// to what it used is settled when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenReserve {
    /// What such a request probably uses: budgets are spent fully, and may be exceeded for a moment by
    /// answers longer than expected.
    Expected,
    /// The most it can use: budgets are never exceeded, and stand partly idle while answers are shorter.
    WorstCase,
}

impl TokenReserve {
    pub(super) const CHOICES: [(&'static str, Self); 2] =
        [("expected", Self::Expected), ("worst_case", Self::WorstCase)];
}

/// Section `policy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `policy.algorithm`, or what `policy.strategy` means.
    pub algorithm: Algorithm,
    /// `(provider id, weight)`, in the order of the file.
    pub weights: Vec<(String, u32)>,
    /// A provider slower than this counts as slow.
    pub latency_threshold: Duration,
    /// Between two checks of a provider that is out.
    pub health_check_interval: Duration,
    /// `policy.priority`, or what `policy.strategy` means.
    pub priority: Priority,
    /// `policy.hybrid_weights` over those of the priority.
    pub hybrid_weights: HybridWeights,
    /// Other attempts at the same provider.
    pub retry: Retry,
    /// When a second attempt is sent beside one whose answer is late; `None` is never.
    pub hedge: Option<Hedge>,
    /// Other providers.
    pub fallback: Fallback,
    /// Exact response cache.
    pub cache: ResponseCache,
    /// What a request takes from token budgets before it is sent.
    pub token_reserve: TokenReserve,
    /// Whether parameters that a provider has nothing like are left out of its requests.
    pub drop_unsupported_params: bool,
    /// How long a request may wait for budget; zero refuses at once.
    pub budget_wait: Duration,
    /// Requests that may wait for budget, per shard; zero refuses at once.
    pub budget_queue: usize,
}

/// `policy.retry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first attempt included.
    pub max_attempts: u32,
    /// Patience with one attempt, where it is to be less than with all of them.
    pub timeout: Option<Duration>,
    /// Longest pause before the second attempt with the same key; it doubles with each one.
    pub interval: Duration,
}

/// `policy.hedge`: when an answer is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hedge {
    /// When it takes longer than 19 of 20 lately did.
    P95,
    /// After so long.
    After(Duration),
}

/// `policy.fallback`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Try other providers at all.
    pub enabled: bool,
    /// How many others.
    pub max_providers: u32,
    /// Which, in order; empty is any.
    pub providers: Vec<String>,
}

/// `policy.cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseCache {
    /// Keep answers at all.
    pub enabled: bool,
    /// How long.
    pub ttl: Duration,
    /// Memory, all shards together.
    pub max_bytes: u64,
}

/// `load_balancer.key_rotation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotation {
    /// The original knows `smart`.
    pub strategy: String,
    /// A key that failed rests this long.
    pub cooldown: Duration,
    /// Keys of one provider that are considered.
    pub max_keys_per_provider: u64,
}

/// `cache.semantic`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SemanticCache {
    /// Keep answers to similar questions.
    pub enabled: bool,
    /// How similar, 0 to 1.
    pub similarity_threshold: f64,
    /// Entries.
    pub max_entries: u64,
    /// How long.
    pub ttl: Duration,
}
