//! What is written to disk, away from the request path.
//!
//! The access log is a plain text file that people `tail`, so it is written through the page cache by an
//! ordinary thread. Durable usage records (direct I/O, group commit) will live here too.

pub mod access_log;
