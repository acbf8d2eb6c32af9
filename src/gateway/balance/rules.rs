//! The policy, as the request path needs it.

use std::time::Duration;

use coo_shards::budget::Millis;

use crate::{
    config::{Algorithm, Hedge, HybridWeights, KeyRotation, Policy},
    gateway::{
        budget::millis,
        select::{health::HealthRules, outlier::EjectionRules},
    },
};

/// The policy, as the request path needs it.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(super) algorithm: Algorithm,
    pub(super) hybrid: HybridWeights,
    /// Of providers, by id.
    pub(super) weights: Vec<(String, u32)>,
    pub(super) slow_us: f32,
    pub(super) max_keys: usize,
    /// Attempts of one request, the first included.
    pub max_attempts: u32,
    /// Patience with one attempt, where it is less than with all.
    pub attempt_timeout: Option<Duration>,
    /// When an answer is late enough for a second attempt beside the first.
    pub hedge: Option<Hedge>,
    /// Whether parameters that a provider has nothing like are left out.
    pub drop_unsupported_params: bool,
    pub(super) interval: Millis,
    /// Between two checks of one that is out.
    pub check_interval: Millis,
    pub(super) health: HealthRules,
    pub(super) ejection: EjectionRules,
}

impl Rules {
    /// Those of a configuration.
    #[must_use]
    pub fn new(policy: &Policy, rotation: &KeyRotation) -> Self {
        // Within two intervals after it works again a provider has all of its share: at worst it is checked after
        // one, or where requests probe it rests for one and a quarter, and then it starts for half of one.
        let interval = millis(policy.health_check_interval);
        Self {
            algorithm: policy.algorithm,
            hybrid: policy.hybrid_weights,
            weights: policy.weights.clone(),
            slow_us: policy.latency_threshold.as_micros() as f32,
            max_keys: usize::try_from(rotation.max_keys_per_provider).unwrap_or(usize::MAX).max(1),
            max_attempts: policy.retry.max_attempts,
            attempt_timeout: policy.retry.timeout,
            hedge: policy.hedge,
            drop_unsupported_params: policy.drop_unsupported_params,
            interval: millis(policy.retry.interval),
            check_interval: interval,
            health: HealthRules { cooldown: millis(rotation.cooldown), ..HealthRules::default() },
            ejection: EjectionRules {
                base: interval / 2,
                max: interval,
                slow_start: interval / 2,
                ..EjectionRules::default()
            },
        }
    }
}
