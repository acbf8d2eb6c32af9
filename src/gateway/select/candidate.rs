//! What a choice looks at.

/// One key of one target (a model at a provider), with what is known of it at this moment.
///
/// Shares are from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The target. Candidates of one target stand together; neighbours with another number are another
    /// target.
    pub target: u16,
    /// The key, by its place among its provider's keys. Not looked at: it is for the caller.
    pub key: u16,
    /// Whether it may be chosen: not tried yet for this request, not resting, its provider not ejected.
    pub available: bool,
    /// Slower than `policy.latency_threshold_ms`.
    pub slow: bool,
    /// The provider's weight, of `policy.weights`.
    pub weight: u32,
    /// Requests it is answering.
    pub in_flight: u32,
    /// How long the answer takes there, as far as that counts for this request, in µs
    /// ([`super::speed::Speed::expected_us`]); 0 where not known.
    pub latency_us: f32,
    /// Share of recent requests that failed.
    pub error: f32,
    /// Share of its token limits that is left; 1 where there is none.
    pub tokens_left: f32,
    /// Share of its request limits that is left; 1 where there is none.
    pub requests_left: f32,
    /// What this request is expected to cost there, in pico-USD.
    pub cost: u64,
    /// Share of the load it is to get while it starts slowly; 1 otherwise.
    pub ramp: f32,
}

impl Default for Candidate {
    /// One that may be chosen and of which nothing is known.
    fn default() -> Self {
        Self {
            target: 0,
            key: 0,
            available: true,
            slow: false,
            weight: 1,
            in_flight: 0,
            latency_us: 0.0,
            error: 0.0,
            tokens_left: 1.0,
            requests_left: 1.0,
            cost: 0,
            ramp: 1.0,
        }
    }
}

/// `x` as a share: from 0 to 1, and 0 where it is not a number.
pub(super) fn share(x: f32) -> f32 {
    let x = larger(0.0, x);
    if x < 1.0 { x } else { 1.0 }
}

/// The larger one, and the first where the second is not a number: one instruction, unlike `f32::max`.
pub(super) fn larger(one: f32, other: f32) -> f32 {
    if other > one { other } else { one }
}
