//! Upstream connections of one shard: kept alive and reused per origin, most recently used first, so that the
//! warm ones stay warm and the rest time out.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    ops::{Deref, DerefMut},
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};

use crate::{
    http1::client::Connection,
    stream,
    time::{self, TICK_MS},
    tls::Session,
};

/// A connection idle for longer than this is checked for a close by the peer before it is used (one syscall);
/// a shorter one is trusted, and a failed attempt is replayed.
const TRUST_MS: u64 = 2 * TICK_MS;
/// How often idle connections are swept for timeouts and closed peers.
const SWEEP_MS: u64 = 1000;
/// Addresses of one origin tried before a connection attempt fails.
const MAX_ADDRESSES_TRIED: usize = 3;

/// One upstream origin.
#[derive(Clone)]
pub struct Origin {
    /// TLS towards it: configuration and the name to verify; `None` for plain TCP.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Where it is. Empty until resolved.
    pub addresses: Vec<SocketAddr>,
}

/// Limits of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections per origin, in use and idle.
    pub max_connections: usize,
    /// Idle connections kept per origin.
    pub max_idle: usize,
    /// An idle connection is closed after this.
    pub idle_timeout: Duration,
    /// For connecting, the TLS handshake, and waiting for a free connection, each.
    pub connect_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 65_536,
            max_idle: 1024,
            idle_timeout: Duration::from_secs(90),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

/// Why no connection could be had.
#[derive(Debug)]
pub enum ConnectError {
    /// The origin's name has not been resolved.
    Unresolved,
    /// All connections are in use and none became free in time.
    Exhausted,
    /// Every address tried refused or failed; the last error.
    Connect(io::Error),
    /// The TLS handshake failed.
    Tls(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Unresolved => f.write_str("the host name could not be resolved"),
            ConnectError::Exhausted => f.write_str("no connection became free in time"),
            ConnectError::Connect(error) => write!(f, "connecting: {error}"),
            ConnectError::Tls(error) => write!(f, "TLS handshake: {error}"),
        }
    }
}

struct Idle {
    connection: Connection,
    since_ms: u64,
}

struct OriginPool {
    origin: Origin,
    idle: Vec<Idle>,
    open: usize,
    next_address: usize,
    waiting: VecDeque<Waker>,
}

/// The pool of one shard. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    shared: Rc<Shared>,
}

struct Shared {
    origins: RefCell<Vec<OriginPool>>,
    limits: Limits,
}

impl Pool {
    /// A pool for `origins`, which are referred to by their index. Idle connections are swept on this shard's
    /// tick, so it must be made on the shard.
    #[must_use]
    pub fn new(origins: Vec<Origin>, limits: Limits) -> Self {
        let origins = origins
            .into_iter()
            .map(|origin| OriginPool {
                origin,
                idle: Vec::new(),
                open: 0,
                next_address: 0,
                waiting: VecDeque::new(),
            })
            .collect();
        let shared = Rc::new(Shared { origins: RefCell::new(origins), limits });
        let weak = Rc::downgrade(&shared);
        let last = std::cell::Cell::new(0u64);
        time::on_tick(Rc::new(move |now| {
            if now.wrapping_sub(last.get()) >= SWEEP_MS
                && let Some(shared) = weak.upgrade()
            {
                last.set(now);
                shared.sweep(now);
            }
        }));
        Self { shared }
    }

    /// Replaces the addresses of origin `index`; open connections stay.
    pub fn set_addresses(&self, index: usize, addresses: Vec<SocketAddr>) {
        if let Some(pool) = self.shared.origins.borrow_mut().get_mut(index) {
            pool.origin.addresses = addresses;
        }
    }

    /// Open connections (in use and idle) and idle ones, over all origins.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let origins = self.shared.origins.borrow();
        (origins.iter().map(|pool| pool.open).sum(), origins.iter().map(|pool| pool.idle.len()).sum())
    }

    /// Closes all idle connections.
    pub fn close_idle(&self) {
        for pool in self.shared.origins.borrow_mut().iter_mut() {
            pool.open -= pool.idle.len();
            pool.idle.clear();
        }
    }

    /// An idle connection to origin `index`, or a new one.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn checkout(&self, index: usize) -> Result<Pooled, ConnectError> {
        if let Some(connection) = self.reuse(index) {
            return Ok(self.lend(index, connection));
        }
        // On the heap: rare, and its size would burden every request's future.
        Box::pin(self.open(index)).await
    }

    /// A new connection to origin `index`, whatever is idle; for replaying a request that met a closed one.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn open(&self, index: usize) -> Result<Pooled, ConnectError> {
        let limit = self.shared.limits.connect_timeout;
        time::timeout(limit, self.resolved(index)).await.ok_or(ConnectError::Unresolved)?;
        let turn = time::timeout(limit, self.turn(index)).await.ok_or(ConnectError::Exhausted)?;
        // Held from here on: an early return gives the place back.
        let mut place = match turn {
            Turn::Reused(connection) => return Ok(self.lend(index, *connection)),
            Turn::Open => Pooled { connection: None, shared: Rc::clone(&self.shared), index },
        };
        let (tls, addresses, first) = {
            let mut origins = self.shared.origins.borrow_mut();
            let Some(pool) = origins.get_mut(index) else { return Err(ConnectError::Unresolved) };
            let first = pool.next_address;
            pool.next_address = first.wrapping_add(1);
            (pool.origin.tls.clone(), pool.origin.addresses.clone(), first)
        };
        let mut error = ConnectError::Unresolved;
        for n in 0..addresses.len().min(MAX_ADDRESSES_TRIED) {
            let Some(&address) = addresses.get(first.wrapping_add(n) % addresses.len()) else { break };
            let (read, write) = match stream::connect(address, limit).await {
                Ok(halves) => halves,
                Err(failed) => {
                    error = ConnectError::Connect(failed);
                    continue;
                }
            };
            let halves = match &tls {
                None => (read, write),
                Some((config, name)) => {
                    let session = Session::client(config, name.clone()).map_err(ConnectError::Tls)?;
                    stream::handshake(read, write, session, limit).await.map_err(ConnectError::Tls)?
                }
            };
            place.connection = Some(Connection::new(halves));
            return Ok(place);
        }
        Err(error)
    }

    /// Waits for the origin's first address: at start, requests may come before its name is resolved.
    async fn resolved(&self, index: usize) {
        let known =
            || self.shared.origins.borrow().get(index).is_none_or(|pool| !pool.origin.addresses.is_empty());
        while !known() {
            time::next_tick().await;
        }
    }

    fn lend(&self, index: usize, connection: Connection) -> Pooled {
        Pooled { connection: Some(connection), shared: Rc::clone(&self.shared), index }
    }

    fn reuse(&self, index: usize) -> Option<Connection> {
        let mut origins = self.shared.origins.borrow_mut();
        let pool = origins.get_mut(index)?;
        while let Some(Idle { connection, since_ms }) = pool.idle.pop() {
            if time::coarse_ms().saturating_sub(since_ms) <= TRUST_MS || !connection.is_stale() {
                return Some(connection);
            }
            pool.open -= 1;
        }
        None
    }

    /// Waits for permission to open a connection, or for one that became free.
    async fn turn(&self, index: usize) -> Turn {
        let mut waited = false;
        std::future::poll_fn(|cx| {
            if waited && let Some(connection) = self.reuse(index) {
                return Poll::Ready(Turn::Reused(Box::new(connection)));
            }
            let mut origins = self.shared.origins.borrow_mut();
            let Some(pool) = origins.get_mut(index) else { return Poll::Ready(Turn::Open) };
            if pool.open >= self.shared.limits.max_connections && pool.idle.is_empty() {
                waited = true;
                pool.waiting.push_back(cx.waker().clone());
                return Poll::Pending;
            }
            if pool.open >= self.shared.limits.max_connections {
                // All places are taken but some are idle: the oldest makes room.
                pool.idle.remove(0);
                pool.open -= 1;
            }
            pool.open += 1;
            Poll::Ready(Turn::Open)
        })
        .await
    }
}

enum Turn {
    Open,
    Reused(Box<Connection>),
}

impl Shared {
    fn sweep(&self, now: u64) {
        let timeout = u64::try_from(self.limits.idle_timeout.as_millis()).unwrap_or(u64::MAX);
        for pool in self.origins.borrow_mut().iter_mut() {
            let before = pool.idle.len();
            pool.idle.retain(|idle| {
                let lain = now.saturating_sub(idle.since_ms);
                lain < timeout && (lain <= TRUST_MS || !idle.connection.is_stale())
            });
            pool.open -= before - pool.idle.len();
        }
    }
}

/// A connection in use. Dropping it closes it; [`Pooled::release`] returns it to the pool.
pub struct Pooled {
    connection: Option<Connection>,
    shared: Rc<Shared>,
    index: usize,
}

impl Pooled {
    /// Ends the exchange and keeps the connection where it can serve another.
    pub fn release(mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let clean = connection.finish();
        let mut origins = self.shared.origins.borrow_mut();
        let Some(pool) = origins.get_mut(self.index) else { return };
        if clean && pool.idle.len() < self.shared.limits.max_idle {
            pool.idle.push(Idle { connection, since_ms: time::coarse_ms() });
            if let Some(waker) = pool.waiting.pop_front() {
                waker.wake();
            }
            // The place stays taken by the idle connection.
            self.index = usize::MAX;
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(pool) = self.shared.origins.borrow_mut().get_mut(self.index) {
            pool.open -= 1;
            if let Some(waker) = pool.waiting.pop_front() {
                waker.wake();
            }
        }
    }
}

impl Deref for Pooled {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        // Only `release` and `open` leave it empty, and neither hands out the value in that state.
        match &self.connection {
            Some(connection) => connection,
            None => unreachable!("a lent connection is present"),
        }
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.connection {
            Some(connection) => connection,
            None => unreachable!("a lent connection is present"),
        }
    }
}
