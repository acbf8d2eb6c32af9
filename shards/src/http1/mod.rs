//! HTTP/1.1 (RFC 9112), strict, as a server and as a client.
//!
//! [`head`] parses and judges heads, [`body`] decodes bodies, [`encode`] writes both; they are pure. [`server`]
//! and [`client`] move bytes with them.

pub mod body;
pub mod client;
pub mod encode;
pub mod head;
pub mod server;
