//! The configuration: one YAML file in, one checked [`Config`] out.
//!
//! What happens to a file, in order, one step per module:
//!
//! 1. `load`: find it, read it (bounded), apply the environment's overrides;
//! 2. `yaml`: text to a tree in which every node knows its line and column;
//! 3. `expand`: `${VAR}` and `${VAR:-default}` inside scalars, never in the raw text;
//! 4. `keys`: the table of every key we know: unknown keys, and what may be echoed;
//! 5. `read`: one file per section, tree to [`schema`](Config) types, through the typed
//!    getters of `field`, which collect problems instead of stopping at the first;
//! 6. `validate`: names that must be unique, and names that must name something;
//! 7. `notices`: what was asked for and is not built yet.
//!
//! Every default and bound is a constant in [`limits`]. Secrets are [`Secret`]: nothing here
//! prints one, and a diagnostic masks whatever it does not know to be harmless.

mod aws;
mod azure;
mod base_url;
pub mod budgets;
mod check;
mod context;
mod diagnostic;
mod duration;
mod expand;
mod field;
mod keys;
pub mod limits;
mod listen;
mod load;
pub mod models;
mod money;
mod notices;
mod origins;
mod policy;
pub mod prices;
mod provider;
mod read;
mod redis;
pub mod routes;
mod schema;
mod secret;
pub mod snapshot;
mod source;
mod suggest;
#[cfg(test)]
mod tests;
mod validate;
mod vertex;
mod yaml;

pub use aws::AccessKey;
pub use azure::ApiVersion;
pub use base_url::{BaseUrl, Scheme};
pub use check::{CheckReport, check};
pub use diagnostic::{Diagnostic, Failed, Severity, Snippet};
pub use load::{Env, Loaded, NotFound, ProcessEnv, find, load_file, load_str};
pub use money::{MicroUsd, MicroUsdPerMillion};
pub use notices::Notice;
pub use origins::{Origin, StreamHost};
pub use policy::{
    Algorithm, Fallback, Hedge, HybridWeights, KeyRotation, Policy, Priority, ResponseCache, Retry,
    SemanticCache, Strategy, TokenReserve, Urgency,
};
pub use provider::{KeyLimits, Pricing, Provider, ProviderType};
pub use redis::{OnOutage, RedisAddr, RedisMode};
pub use schema::{
    AccessLog, Allowed, Client, ClientLimits, Config, ConfigStore, Cors, HttpLimits, LogProvider, LogTarget,
    Logging, Pool, Prometheus, Redis, Rotation, RuntimeStore, RuntimeStoreType, Server, ServerTimeouts,
    Storage, Tls, Upstream, UpstreamTimeouts, WebUi,
};
pub use secret::Secret;
pub use vertex::{ServiceAccount, Vertex};
