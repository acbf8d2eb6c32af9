//! Which key of which provider gets a request.
//!
//! Everything here decides and nothing acts: time is passed in, facts are passed in ([`Candidate`]).

mod candidate;
mod hybrid;
mod least;
mod peak;
mod rng;
mod round_robin;
mod smooth;
mod strategy;
#[cfg(test)]
mod tests;
mod turns;

pub use candidate::Candidate;
pub use rng::Rng;
pub use round_robin::RoundRobin;
pub use strategy::Strategies;
