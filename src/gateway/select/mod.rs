//! Which key of which provider gets a request, and whether one that failed may be tried again.
//!
//! Everything here decides and nothing acts: time is passed in, facts are passed in ([`Candidate`]), and
//! each shard has its own state ([`Strategies`], [`health::KeyHealth`], [`outlier::Ejection`],
//! [`retry::RetryBudget`]).

mod candidate;
pub mod check;
pub mod health;
mod hybrid;
pub mod latency;
mod least;
pub mod outlier;
mod peak;
mod probe;
pub mod retry;
mod rng;
mod smooth;
pub mod speed;
mod strategy;
pub mod tail;
#[cfg(test)]
mod tests;
mod turns;

pub use candidate::Candidate;
pub use rng::Rng;
pub use strategy::Strategies;
