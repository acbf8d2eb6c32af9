//! Listening sockets: one per shard and address (SO_REUSEPORT), or those passed by systemd; and even spreading.
//!
//! SO_REUSEPORT hashes connections over the sockets, which is even only on average: 64 connections on two shards
//! routinely land 27:37. Long-lived keep-alive connections make that imbalance permanent. So each shard counts
//! its open connections, and one that accepts while another shard has fewer hands the socket over before any
//! byte is read. The counters are the only memory shards share, and only accept and close touch them.

use std::{
    env, fmt, io,
    net::{SocketAddr, TcpListener as StdTcpListener, TcpStream as StdTcpStream},
    os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use monoio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{inbox::Flag, time};

/// Connections the kernel queues per listening socket before it drops SYNs (capped by `net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// Pause after accept fails for want of file descriptors or memory, so that the shard serves what it has.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// First file descriptor passed by systemd, see sd_listen_fds(3).
const SD_LISTEN_FDS_START: RawFd = 3;

/// Binds `addr` once per shard, all on the same port (also where `addr` asks for port 0).
///
/// # Errors
/// The error of creating, binding or listening, naming the address.
pub fn bind(addr: SocketAddr, shards: usize) -> io::Result<Vec<StdTcpListener>> {
    let mut addr = addr;
    let mut listeners = Vec::with_capacity(shards);
    for _ in 0..shards.max(1) {
        let listener = bind_one(addr)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {addr}: {error}")))?;
        addr = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn bind_one(addr: SocketAddr) -> io::Result<StdTcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if addr.is_ipv6() {
        // "[::]:2906" means every address; a separate 0.0.0.0 socket would then clash.
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    // monoio's epoll driver needs it and io_uring does not mind.
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Listening sockets passed by systemd socket activation (`LISTEN_PID`, `LISTEN_FDS`), each repeated for every
/// shard: passed sockets are shared, so all shards accept from each. Empty where none were passed.
///
/// Must be called once, before threads start: it takes ownership of the descriptors.
///
/// # Errors
/// The error of duplicating a descriptor, or `InvalidInput` where one is not a listening TCP socket.
pub fn passed_by_systemd(shards: usize) -> io::Result<Vec<Vec<StdTcpListener>>> {
    let ours = env::var("LISTEN_PID").ok().and_then(|pid| pid.parse().ok()) == Some(std::process::id());
    let count: RawFd = env::var("LISTEN_FDS").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    if !ours || count <= 0 {
        return Ok(Vec::new());
    }
    (SD_LISTEN_FDS_START..SD_LISTEN_FDS_START + count)
        .map(|fd| {
            // SAFETY: systemd passes ownership of exactly these descriptors to the process in LISTEN_PID.
            let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(fd) });
            if !socket.is_listener().unwrap_or(false) {
                let why = format!("descriptor {fd} passed by systemd is not a listening stream socket");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            socket.set_cloexec(true)?;
            socket.set_nonblocking(true)?;
            let first = StdTcpListener::from(socket);
            let mut copies = Vec::with_capacity(shards);
            for _ in 1..shards {
                copies.push(first.try_clone()?);
            }
            copies.push(first);
            Ok(copies)
        })
        .collect()
}

/// Open connections of each shard.
#[derive(Clone)]
pub struct Spread {
    counts: Arc<[Padded]>,
}

/// On its own cache line, so that one shard's accepts do not slow another's.
#[repr(align(128))]
#[derive(Default)]
struct Padded(AtomicUsize);

impl fmt::Debug for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.counts()).finish()
    }
}

impl Spread {
    /// Counters for `shards` shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self { counts: (0..shards.max(1)).map(|_| Padded::default()).collect() }
    }

    /// Open connections, by shard.
    pub fn counts(&self) -> impl Iterator<Item = usize> + '_ {
        self.counts.iter().map(|count| count.0.load(Relaxed))
    }

    /// The shard that a connection accepted by `own` should live on. A small difference is left alone: moving
    /// a connection costs a wake-up of the other shard.
    fn place(&self, own: usize) -> usize {
        let Some(mine) = self.counts.get(own).map(|count| count.0.load(Relaxed)) else { return own };
        match self.counts().enumerate().min_by_key(|&(_, open)| open) {
            Some((other, least)) if mine > least + least / 32 => other,
            _ => own,
        }
    }

    /// Counts a connection on `shard` until the guard is dropped.
    #[must_use]
    pub fn enter(&self, shard: usize) -> Open {
        if let Some(count) = self.counts.get(shard) {
            count.0.fetch_add(1, Relaxed);
        }
        Open { spread: self.clone(), shard }
    }
}

/// A counted open connection.
#[derive(Debug)]
pub struct Open {
    spread: Spread,
    shard: usize,
}

impl Open {
    /// The shard it is counted on.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.shard
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(count) = self.spread.counts.get(self.shard) {
            count.0.fetch_sub(1, Relaxed);
        }
    }
}

/// A connection that was accepted and counted, not yet read from. Movable between shards.
#[derive(Debug)]
pub struct Accepted {
    /// The socket.
    pub socket: StdTcpStream,
    /// The client's address.
    pub peer: SocketAddr,
    /// Its place in the spread.
    pub open: Open,
}

/// Accepts on `listener` for shard `own` until `stop` is raised; then closes the listener. `deliver` gets each
/// connection with the shard chosen for it (`open.shard()`), which may be another; `failed` hears of errors
/// that are not a client's doing.
///
/// # Errors
/// The runtime's error of registering the listener.
pub async fn accept(
    listener: StdTcpListener,
    own: usize,
    spread: Spread,
    stop: Flag,
    deliver: impl Fn(Accepted),
    failed: impl Fn(&io::Error),
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut stopped = pin!(stop.raised());
    loop {
        let mut accepting = pin!(listener.accept());
        let next = std::future::poll_fn(|cx| {
            if stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            accepting.as_mut().poll(cx).map(Some)
        })
        .await;
        match next {
            None => return Ok(()),
            Some(Ok((stream, peer))) => {
                // SAFETY: `into_raw_fd` gives up ownership of an open socket, which is taken here.
                let socket = unsafe { StdTcpStream::from_raw_fd(stream.into_raw_fd()) };
                let open = spread.enter(spread.place(own));
                deliver(Accepted { socket, peer, open });
            }
            // The client left between SYN and accept, or the kernel passes on a network error: next one.
            Some(Err(error))
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) || matches!(error.raw_os_error(), Some(libc::EPROTO | libc::EINTR | libc::EAGAIN)) => {}
            Some(Err(error)) => {
                failed(&error);
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Raises the soft limit of open files to the hard limit and returns it.
#[must_use]
pub fn raise_nofile() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid `rlimit` on this stack.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
            libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        }
    }
    limit.rlim_cur
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_listens_on_the_same_port() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        assert!(listeners.iter().all(|one| one.local_addr().unwrap().port() == port));
    }

    #[test]
    fn any_order_of_accepts_spreads_within_a_few_percent() {
        let spread = Spread::new(4);
        // All connections arrive at shard 0, the worst a hash can do.
        let open: Vec<_> = (0..1000).map(|_| spread.enter(spread.place(0))).collect();
        let counts: Vec<_> = spread.counts().collect();
        assert!(counts.iter().all(|&n| (237..=263).contains(&n)), "{counts:?}");
        drop(open);
        assert!(spread.counts().all(|n| n == 0));
    }
}
