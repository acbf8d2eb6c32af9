//! Choosing one of a provider's keys.

mod round_robin;

pub use round_robin::RoundRobin;
