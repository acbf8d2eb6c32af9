//! Upstream connections of one shard: kept alive and reused per origin, most recently used first, so that the
//! warm ones stay warm and the rest time out.
//!
//! An origin may have several addresses. One that takes no connections, or does not answer on them, is left out
//! for a while ([`address`]), and while one is slow to connect the next is tried beside it ([`dial`]).

mod address;
mod dial;
#[cfg(test)]
mod tests;

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

use self::address::Address;
use crate::{
    http1::client::{Connection, FailureKind},
    stream,
    time::{self, TICK_MS},
    tls::Session,
};

/// A connection idle for longer than this is checked for a close by the peer before it is used (one syscall);
/// a shorter one is trusted, and a failed attempt is replayed.
const TRUST_MS: u64 = 2 * TICK_MS;
/// How often idle connections are swept for timeouts and closed peers.
const SWEEP_MS: u64 = 1000;
/// TLS handshakes that fail, each with another address, before a connection attempt does.
const MAX_HANDSHAKES: usize = 3;
/// Patience with a handshake where there is another address: several round trips around the world.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(2);

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
    /// For connecting (to one of all addresses), the TLS handshake, and waiting for a free connection, each.
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
    /// Every address refused or failed; the last error.
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

/// A connection, and where it leads.
struct Line {
    connection: Connection,
    address: Rc<Address>,
    /// Whether it was made to an address that was out, to find out whether that works again.
    probe: bool,
}

struct Idle {
    line: Line,
    since_ms: u64,
}

struct OriginPool {
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    addresses: Vec<Rc<Address>>,
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
                tls: origin.tls,
                addresses: address::resolved(&[], origin.addresses),
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
                Pool { shared }.probe_addresses(now);
            }
        }));
        Self { shared }
    }

    /// Replaces the addresses of origin `index`; open connections stay, and so does what is known of addresses
    /// that stay.
    pub fn set_addresses(&self, index: usize, addresses: Vec<SocketAddr>) {
        if let Some(pool) = self.shared.origins.borrow_mut().get_mut(index) {
            pool.addresses = address::resolved(&pool.addresses, addresses);
        }
    }

    /// Addresses of origin `index` that are left out.
    #[must_use]
    pub fn addresses_out(&self, index: usize) -> usize {
        let origins = self.shared.origins.borrow();
        origins.get(index).map_or(0, |pool| pool.addresses.iter().filter(|one| !one.is_in()).count())
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
        if let Some(line) = self.reuse(index) {
            return Ok(self.lend(index, line));
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
            Turn::Reused(line) => return Ok(self.lend(index, *line)),
            Turn::Open => Pooled { line: None, shared: Rc::clone(&self.shared), index },
        };
        let mut error = ConnectError::Unresolved;
        for _ in 0..MAX_HANDSHAKES {
            let (tls, order) = {
                let mut origins = self.shared.origins.borrow_mut();
                let Some(pool) = origins.get_mut(index) else { break };
                let first = pool.next_address;
                pool.next_address = first.wrapping_add(1);
                (pool.tls.clone(), address::order(&pool.addresses, first))
            };
            let alone = order.len() < 2;
            match connect(&order, tls.as_ref(), limit).await {
                Ok(line) => {
                    line.address.connected(time::coarse_ms(), true);
                    place.line = Some(line);
                    return Ok(place);
                }
                // A certificate that is not accepted is for people to look at, and with one address there is
                // nothing else to try.
                Err(ConnectError::Tls(failed)) if !alone && failed.kind() != io::ErrorKind::InvalidData => {
                    error = ConnectError::Tls(failed);
                }
                Err(failed) => return Err(failed),
            }
        }
        Err(error)
    }

    /// Tries addresses whose time out is over, each with a connection that no request waits for.
    fn probe_addresses(&self, now: u64) {
        for (index, pool) in self.shared.origins.borrow_mut().iter_mut().enumerate() {
            // Where there is only one, requests try it in any case.
            if pool.addresses.len() < 2 {
                continue;
            }
            for address in &pool.addresses {
                if pool.open < self.shared.limits.max_connections && address.take_probe(now) {
                    pool.open += 1;
                    let place = Pooled { line: None, shared: Rc::clone(&self.shared), index };
                    monoio::spawn(place.probe(Rc::clone(address), pool.tls.clone()));
                }
            }
        }
    }

    /// Waits for the origin's first address: at start, requests may come before its name is resolved.
    async fn resolved(&self, index: usize) {
        let known = || self.shared.origins.borrow().get(index).is_none_or(|pool| !pool.addresses.is_empty());
        while !known() {
            time::next_tick().await;
        }
    }

    fn lend(&self, index: usize, line: Line) -> Pooled {
        Pooled { line: Some(line), shared: Rc::clone(&self.shared), index }
    }

    fn reuse(&self, index: usize) -> Option<Line> {
        let mut origins = self.shared.origins.borrow_mut();
        let pool = origins.get_mut(index)?;
        while let Some(Idle { line, since_ms }) = pool.idle.pop() {
            if time::coarse_ms().saturating_sub(since_ms) <= TRUST_MS || !line.connection.is_stale() {
                return Some(line);
            }
            pool.open -= 1;
        }
        None
    }

    /// Waits for permission to open a connection, or for one that became free.
    async fn turn(&self, index: usize) -> Turn {
        let mut waited = false;
        std::future::poll_fn(|cx| {
            if waited && let Some(line) = self.reuse(index) {
                return Poll::Ready(Turn::Reused(Box::new(line)));
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
    Reused(Box<Line>),
}

/// Connects to one of the addresses of `order`.
async fn connect(
    order: &[Rc<Address>],
    tls: Option<&(Arc<ClientConfig>, ServerName<'static>)>,
    limit: Duration,
) -> Result<Line, ConnectError> {
    if order.is_empty() {
        return Err(ConnectError::Unresolved);
    }
    let (address, (read, write)) = dial::race(order, limit).await.map_err(ConnectError::Connect)?;
    let halves = match tls {
        None => (read, write),
        Some((config, name)) => {
            let session = Session::client(config, name.clone()).map_err(ConnectError::Tls)?;
            let patience = if order.len() > 1 { limit.min(HANDSHAKE_PATIENCE) } else { limit };
            stream::handshake(read, write, session, patience).await.map_err(|error| {
                address.not_connected(time::coarse_ms());
                ConnectError::Tls(error)
            })?
        }
    };
    let probe = !address.is_in();
    Ok(Line { connection: Connection::new(halves), address, probe })
}

impl Shared {
    fn sweep(&self, now: u64) {
        let timeout = u64::try_from(self.limits.idle_timeout.as_millis()).unwrap_or(u64::MAX);
        for pool in self.origins.borrow_mut().iter_mut() {
            let before = pool.idle.len();
            pool.idle.retain(|idle| {
                let lain = now.saturating_sub(idle.since_ms);
                lain < timeout && (lain <= TRUST_MS || !idle.line.connection.is_stale())
            });
            pool.open -= before - pool.idle.len();
        }
    }
}

/// A connection in use. Dropping it closes it; [`Pooled::release`] returns it to the pool.
pub struct Pooled {
    line: Option<Line>,
    shared: Rc<Shared>,
    index: usize,
}

impl Pooled {
    /// Ends the exchange and keeps the connection where it can serve another.
    pub fn release(mut self) {
        let Some(mut line) = self.line.take() else { return };
        let clean = line.connection.finish();
        let mut origins = self.shared.origins.borrow_mut();
        let Some(pool) = origins.get_mut(self.index) else { return };
        if clean && pool.idle.len() < self.shared.limits.max_idle {
            pool.idle.push(Idle { line, since_ms: time::coarse_ms() });
            if let Some(waker) = pool.waiting.pop_front() {
                waker.wake();
            }
            // The place stays taken by the idle connection.
            self.index = usize::MAX;
        }
    }

    /// Notes that an answer has begun: the connection's address works.
    pub fn answered(&mut self) {
        if let Some(line) = &mut self.line {
            line.address.answered(time::coarse_ms(), std::mem::take(&mut line.probe));
        }
    }

    /// Notes that an exchange failed. Where nothing at all had come, that may be its address, which is left out
    /// where it happens again and again; where nothing came in time, its idle connections are closed with it.
    pub fn failed(&mut self, kind: &FailureKind) {
        let Some(line) = &mut self.line else { return };
        let mut origins = self.shared.origins.borrow_mut();
        let Some(pool) = origins.get_mut(self.index) else { return };
        // The only address cannot be left out, and its idle connections are as good as new ones.
        if pool.addresses.len() < 2 || !line.connection.head_bytes().is_empty() {
            return;
        }
        let timed_out = matches!(kind, FailureKind::Timeout);
        if line.address.unanswered(time::coarse_ms(), std::mem::take(&mut line.probe), timed_out) {
            let before = pool.idle.len();
            pool.idle.retain(|idle| !Rc::ptr_eq(&idle.line.address, &line.address));
            pool.open -= before - pool.idle.len();
        }
    }

    /// Connects to an address that was out, and keeps the connection for a request.
    async fn probe(mut self, address: Rc<Address>, tls: Option<(Arc<ClientConfig>, ServerName<'static>)>) {
        let Limits { connect_timeout, max_idle, .. } = self.shared.limits;
        if let Ok(line) = connect(&[address], tls.as_ref(), connect_timeout).await {
            line.address.connected(time::coarse_ms(), max_idle > 0);
            self.line = Some(line);
            self.release();
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
        match &self.line {
            Some(line) => &line.connection,
            None => unreachable!("a lent connection is present"),
        }
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.line {
            Some(line) => &mut line.connection,
            None => unreachable!("a lent connection is present"),
        }
    }
}
