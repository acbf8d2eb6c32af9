//! The provider simulator: a server that speaks the providers' wire format on the gateway's own engine.
//!
//! It stands in for a provider in `coo-llm demo`, in tests, with the real SDKs and under load, and it is the
//! judge of what the gateway did: it enforces limits per key exactly, records every request it received, and
//! misbehaves on demand in every way a provider or a network has been seen to.
//!
//! - [`Settings`] say how it answers; [`start`] runs it; [`Simulator`] stops it and tells what it saw.
//! - `server` runs the shards, `exchange` answers one request, `deliver` and `misbehave` put it on the wire.
//! - `openai`, `anthropic`, `gemini`, `cohere`, `voyage`, `replicate` and `bedrock` are the wire formats, chosen by the
//!   path, `openai::family` those who speak OpenAI's each in their own way, and `openai::azure` and `vertex` those of who
//!   serves other people's models; `gate` decides what is the same in all of them: keys, limits, faults.
//! - `plan` decides what is answered; `text`, `schema` and `vector` make it up; `faults` is the table of faults.
//! - `control` serves `/__sim/…`, which changes and inspects a running simulator.

mod anthropic;
pub mod args;
mod bedrock;
mod cohere;
mod control;
mod deliver;
mod exchange;
mod faults;
mod gate;
mod gemini;
mod json;
mod latency;
mod limits;
mod misbehave;
mod openai;
mod plan;
mod record;
mod replicate;
mod reply;
mod rng;
mod scan;
mod schema;
mod seats;
mod server;
mod settings;
mod shard;
mod text;
mod vector;
mod vertex;
mod voyage;

#[cfg(test)]
mod tests;

pub use faults::{FAULTS, Fault};
pub use latency::{Latency, parse_duration};
pub use limits::{KeyLimits, KeyState};
pub use record::{Raw, Record};
pub use server::{Simulator, start};
pub use settings::{RecordSettings, Settings, Tokens};
pub use shard::Stats;
pub use vertex::SERVICE_ACCOUNT;
