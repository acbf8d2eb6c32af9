//! COO-LLM: an LLM gateway with one shard per core. See `docs/` for the design.

pub mod cli;
pub mod config;
pub mod control;
pub mod dialect;
pub mod gateway;
pub mod journal;
