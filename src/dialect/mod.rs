//! Wire formats as pure functions: bytes in, facts or bytes out.
//!
//! Nothing here does I/O, keeps a clock or knows a provider's address. The
//! data path calls in this order: [`openai::request::scan`] on the client's
//! body, [`openai::splice::Splice`] to make the body that goes upstream, and on
//! the way back [`usage::UsageScanner`] (whole answers) or
//! [`openai::stream::StreamFilter`] (streams). What goes wrong is answered by
//! [`openai::error::GatewayError`]. Budgets use [`estimate`] before a request is
//! sent and [`ratelimit`] when it is answered.

pub mod azure;
pub mod base64;
pub mod bedrock;
pub mod chat;
pub mod claude;
pub mod cohere;
pub mod estimate;
pub mod gemini;
pub mod json;
pub mod media;
pub mod openai;
pub mod path;
pub mod provider_error;
pub mod ratelimit;
pub mod replicate;
pub mod sse;
pub mod translate;
pub mod usage;
pub mod vertex;
pub mod voyage;
