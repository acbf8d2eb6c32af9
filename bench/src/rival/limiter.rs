//! Whether a request may pass, decided as other gateways decide it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use coo_shards::{
    buf::{Buf, SMALL_BYTES},
    stream::{self, ReadHalf, WriteHalf},
};

use super::{Kind, Settings};

/// The window.
const WINDOW: Duration = Duration::from_secs(60);
/// For a connection to Redis.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A sliding-window log, as found in many a library: forget what is older than the window, count, add.
const LOG_SCRIPT: &str = "redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, ARGV[1] - ARGV[2]) \
     if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end \
     redis.call('ZADD', KEYS[1], ARGV[1], ARGV[4]) redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1";

/// The limiter of one provider key.
pub(super) struct Limiter {
    name: String,
    limit: u64,
    way: Way,
}

enum Way {
    /// When what was admitted in the last window was.
    Local(RefCell<VecDeque<Instant>>),
    Redis {
        addr: SocketAddr,
        /// Connections without a command under way.
        idle: RefCell<Vec<Connection>>,
        log: bool,
        /// Makes entries of the log distinct.
        serial: Cell<u64>,
    },
}

struct Connection {
    read: ReadHalf,
    write: WriteHalf,
}

impl Limiter {
    /// That of the provider `name`.
    pub(super) fn new(name: &str, limit: u64, settings: &Settings) -> Self {
        let way = match (settings.kind, settings.redis) {
            (Kind::RedisCounter | Kind::RedisLog, Some(addr)) => Way::Redis {
                addr,
                idle: RefCell::default(),
                log: settings.kind == Kind::RedisLog,
                serial: Cell::new(0),
            },
            _ => Way::Local(RefCell::default()),
        };
        let limit = match settings.kind {
            Kind::LocalShare => limit / settings.instances.max(1) as u64,
            _ => limit,
        };
        Self { name: name.to_owned(), limit, way }
    }

    /// The provider's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether one more request may pass now.
    ///
    /// # Errors
    /// That of asking Redis.
    pub(super) async fn admits(&self) -> io::Result<bool> {
        match &self.way {
            Way::Local(log) => Ok(admit_locally(&mut log.borrow_mut(), Instant::now(), self.limit)),
            Way::Redis { addr, idle, log, serial } => {
                serial.set(serial.get() + 1);
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let (command, replies) = if *log {
                    (log_command(&self.name, now, self.limit, serial.get()), 1)
                } else {
                    (counter_command(&self.name, now), 2)
                };
                let kept = idle.borrow_mut().pop();
                let mut connection = match kept {
                    Some(connection) => connection,
                    None => {
                        let (read, write) = stream::connect(*addr, CONNECT_TIMEOUT).await?;
                        Connection { read, write }
                    }
                };
                let number = connection.ask(&command, replies).await?;
                idle.borrow_mut().push(connection);
                Ok(if *log { number == 1 } else { number <= self.limit })
            }
        }
    }
}

/// An exact log in one process.
fn admit_locally(log: &mut VecDeque<Instant>, now: Instant, limit: u64) -> bool {
    while log.front().is_some_and(|&old| old + WINDOW <= now) {
        log.pop_front();
    }
    let admit = (log.len() as u64) < limit;
    if admit {
        log.push_back(now);
    }
    admit
}

/// Counts the request in the calendar minute of `now`.
fn counter_command(name: &str, now: Duration) -> Vec<u8> {
    let key = format!("limit:{name}:{}", now.as_secs() / WINDOW.as_secs());
    let keep = (WINDOW.as_secs() * 2).to_string();
    [command(&["INCR", &key]), command(&["EXPIRE", &key, &keep])].concat()
}

/// Counts it in the minute that ends at `now`.
fn log_command(name: &str, now: Duration, limit: u64, serial: u64) -> Vec<u8> {
    let key = format!("log:{name}");
    let (now, window, limit) =
        (now.as_millis().to_string(), WINDOW.as_millis().to_string(), limit.to_string());
    let member = format!("{}-{serial}", std::process::id());
    command(&["EVAL", LOG_SCRIPT, "1", &key, &now, &window, &limit, &member])
}

/// A command as Redis reads it (RESP).
fn command(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    out.into_bytes()
}

/// The first of `replies` integers, once all are there.
fn integers(received: &[u8], replies: usize) -> io::Result<Option<u64>> {
    let text = std::str::from_utf8(received).map_err(|_| io::ErrorKind::InvalidData)?;
    if let Some(error) = text.lines().find(|line| line.starts_with('-')) {
        return Err(io::Error::other(error.to_owned()));
    }
    if text.matches("\r\n").count() < replies {
        return Ok(None);
    }
    let first = text.strip_prefix(':').and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    first.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

impl Connection {
    async fn ask(&mut self, command: &[u8], replies: usize) -> io::Result<u64> {
        let mut request = Buf::with_capacity(command.len());
        request.put(command);
        self.write.write_all(request).await.0?;
        let mut received = Buf::with_capacity(SMALL_BYTES);
        loop {
            let (read, buf) = self.read.read(received).await;
            received = buf;
            if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(number) = integers(received.unread(), replies)? {
                return Ok(number);
            }
            received.reserve(SMALL_BYTES / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_log_slides() {
        let (mut log, start) = (VecDeque::new(), Instant::now());
        let mut at = |s| admit_locally(&mut log, start + Duration::from_secs(s), 2);
        assert_eq!([at(0), at(10), at(59), at(60), at(61), at(70)], [true, true, false, true, false, true]);
    }

    #[test]
    fn redis_is_spoken_to_in_its_protocol() {
        let bytes = counter_command("r3", Duration::from_secs(125));
        assert!(bytes.starts_with(b"*2\r\n$4\r\nINCR\r\n$10\r\nlimit:r3:2\r\n*3\r\n$6\r\nEXPIRE\r\n"));
        for (received, replies, number) in [
            (&b":7\r\n:1\r\n"[..], 2, Some(7)),
            (b":7\r\n:1", 2, None),
            (b":0\r\n", 1, Some(0)),
            (b"", 1, None),
        ] {
            assert_eq!(integers(received, replies).unwrap(), number);
        }
        assert!(integers(b"-LOADING wait\r\n", 1).is_err() && integers(b"+OK\r\n", 1).is_err());
    }
}
