//! One structured line per request, written by the shard into a buffer that another thread puts on disk.
//!
//! A shard formats into its own buffer and hands whole buffers over through a bounded queue, at the latest each
//! tick. If the writer falls behind, buffers are dropped and counted; a shard never waits.

use std::{
    io::Write as _,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::Thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use coo_shards::http1::encode::civil;
use crossbeam::queue::ArrayQueue;

use super::account::Account;
use crate::{config::snapshot::Snapshot, dialect::json};

/// A buffer is handed over at this size.
const FULL_BYTES: usize = 32 * 1024;
/// Buffers between all shards and the writer: 8 MiB of lines, some tens of thousands of requests.
const QUEUE_BUFFERS: usize = 256;
/// Written buffers kept for reuse: what a steady load needs. After a stall of the writer the rest is freed.
const SPARE_BUFFERS: usize = 16;

/// The queue between shards and the writer.
#[derive(Debug)]
pub struct Queue {
    full: ArrayQueue<Vec<u8>>,
    empty: ArrayQueue<Vec<u8>>,
    dropped: AtomicU64,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            full: ArrayQueue::new(QUEUE_BUFFERS),
            empty: ArrayQueue::new(SPARE_BUFFERS),
            dropped: AtomicU64::new(0),
        })
    }

    /// The next buffer to write, for the writer.
    #[must_use]
    pub fn take(&self) -> Option<Vec<u8>> {
        self.full.pop()
    }

    /// Gives a written buffer back for reuse.
    pub fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let _ = self.empty.push(buffer);
    }

    /// Lines dropped because the writer fell behind.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

/// One shard's end of the access log.
#[derive(Debug, Default)]
pub struct AccessLog {
    to: Option<(Arc<Queue>, Thread)>,
    buffer: Vec<u8>,
    lines: u64,
    second: u64,
    stamp: Vec<u8>,
}

impl AccessLog {
    /// A log that goes to `queue` and wakes `writer`; `None` writes nothing.
    #[must_use]
    pub fn new(to: Option<(Arc<Queue>, Thread)>) -> Self {
        Self { to, ..Self::default() }
    }

    /// Writes the line of a settled request.
    pub fn write(&mut self, account: &Account, took: Duration, snapshot: &Snapshot) {
        if self.to.is_none() {
            return;
        }
        self.stamp_now();
        let out = &mut self.buffer;
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(&self.stamp);
        out.extend_from_slice(b"\"");
        if let Some((peer, method, path)) = &account.from {
            out.extend_from_slice(b",\"peer\":\"");
            ip(out, peer.ip());
            out.push(b'"');
            text(out, "method", method.as_str());
            text(out, "path", path);
        }
        if let Some(client) = account.client.and_then(|client| snapshot.clients.get(client)) {
            text(out, "client", &client.id);
        }
        if let Some(upstream) = account.provider.and_then(|provider| snapshot.providers.get(provider)) {
            text(out, "provider", &upstream.id);
            text(out, "model", &account.model);
            if let Some(key) = account.key.and_then(|key| upstream.keys.get(key)) {
                text(out, "key", &key.masked);
            }
            out.extend_from_slice(if account.stream { b",\"stream\":true" } else { b",\"stream\":false" });
            number(out, "attempts", u64::from(account.attempts));
        }
        number(out, "status", u64::from(account.status));
        if let Some(code) = account.error {
            text(out, "error", code);
        }
        if let Some(detail) = &account.detail {
            text(out, "detail", detail);
        }
        number(out, "duration_us", micros(took));
        if let Some(first) = account.first_byte {
            number(out, "first_byte_us", micros(first));
        }
        if let Some(first) = account.first_token {
            number(out, "first_token_us", micros(first));
        }
        number(out, "request_bytes", account.request_bytes);
        number(out, "response_bytes", account.response_bytes);
        if let Some(usage) = &account.usage {
            number(out, "prompt_tokens", usage.prompt_tokens);
            number(out, "completion_tokens", usage.output_tokens());
            if usage.seconds > 0 {
                number(out, "audio_seconds", usage.seconds);
            }
            if usage.searches > 0 {
                number(out, "searches", usage.searches);
            }
            let cost = account.cost();
            if cost.0 > 0 {
                out.extend_from_slice(b",\"cost_usd\":\"");
                cost.write(out);
                out.push(b'"');
            }
        }
        out.extend_from_slice(b"}\n");
        self.lines += 1;
        if self.buffer.len() >= FULL_BYTES {
            self.flush();
        }
    }

    /// Hands the buffer over; called on each tick.
    pub fn flush(&mut self) {
        let Some((queue, writer)) = &self.to else { return };
        if self.buffer.is_empty() {
            return;
        }
        let fresh = queue.empty.pop().unwrap_or_else(|| Vec::with_capacity(FULL_BYTES + FULL_BYTES / 8));
        match queue.full.push(std::mem::replace(&mut self.buffer, fresh)) {
            Ok(()) => writer.unpark(),
            Err(lost) => {
                queue.dropped.fetch_add(self.lines, Relaxed);
                queue.recycle(lost);
            }
        }
        self.lines = 0;
    }

    /// Brings the time stamp (RFC 3339, UTC, milliseconds) up to date; the date part once a second.
    fn stamp_now(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let (second, milli) = (now.as_secs(), now.subsec_millis());
        if second != self.second || self.stamp.is_empty() {
            self.second = second;
            let (year, month, day) = civil(second / 86_400);
            let (hour, minute) = (second / 3600 % 24, second / 60 % 60);
            self.stamp.clear();
            let _ = write!(
                self.stamp,
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.000Z",
                second % 60
            );
        }
        for (at, digit) in [(20, milli / 100), (21, milli / 10 % 10), (22, milli % 10)] {
            if let Some(place) = self.stamp.get_mut(at) {
                *place = b'0' + (digit as u8);
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    json::write_string(out, value);
}

/// Without formatting where that is easy.
fn ip(out: &mut Vec<u8>, ip: IpAddr) {
    let IpAddr::V4(v4) = ip else {
        let _ = write!(out, "{ip}");
        return;
    };
    for (index, octet) in v4.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
    }
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_print() {
        for text in ["127.0.0.1", "255.10.0.9", "::1", "2001:db8::ff", "::ffff:1.2.3.4"] {
            let mut out = Vec::new();
            ip(&mut out, text.parse().unwrap_or_else(|error| panic!("{error}")));
            assert_eq!(out, text.as_bytes());
        }
    }
}
