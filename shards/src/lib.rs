//! The engine of COO-LLM: shared-nothing executors, one pinned to each CPU, on io_uring. It moves bytes and
//! knows nothing of language models.
//!
//! - [`cpu`] finds the CPUs, [`executor`] runs a shard on one, [`mesh`] and [`inbox`] carry messages.
//! - [`listen`] spreads client connections, [`stream`] and [`tls`] move bytes, [`buf`] holds them.
//! - [`http1`] is the protocol, [`pool`] keeps upstream connections, [`time`] ends what takes too long.
//! - [`budget`] keeps limits that all shards share.
//! - [`alarm`] wakes at an exact moment, for programs that make load.

#![deny(missing_docs)]

pub mod alarm;
pub mod budget;
pub mod buf;
pub mod cpu;
mod event;
pub mod executor;
pub mod fair;
pub mod http1;
pub mod inbox;
mod join;
pub mod listen;
pub mod mesh;
pub mod pool;
pub mod stream;
pub mod time;
pub mod tls;

pub use join::join;
