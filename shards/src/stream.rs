//! A TCP connection split in two halves, plain or TLS, each with the connection's deadline.
//!
//! Reading and writing proceed at the same time (a shard watches a client for its next request or its
//! departure while it streams an answer to it), so the halves are separate values. TLS is a synchronous
//! transform between the socket and the caller ([`crate::tls`]); all I/O stays here.

use std::{
    cell::RefCell,
    io,
    net::{SocketAddr, TcpStream as StdTcpStream},
    os::fd::{AsRawFd, RawFd},
    rc::Rc,
    time::Duration,
};

use monoio::{
    io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Splitable},
    net::TcpStream,
};

use crate::{
    buf::{Buf, LARGE_BYTES, SMALL_BYTES},
    time::{self, Deadline, Ends},
    tls::Session,
};

type SharedSession = Option<Rc<RefCell<Session>>>;

/// The receiving half of a connection.
pub struct ReadHalf {
    // Dropped before the socket: a deadline must not outlive its fd.
    deadline: Rc<Deadline>,
    io: OwnedReadHalf<TcpStream>,
    tls: SharedSession,
    fd: RawFd,
}

/// The sending half of a connection. Dropping it sends FIN.
pub struct WriteHalf {
    deadline: Rc<Deadline>,
    io: OwnedWriteHalf<TcpStream>,
    tls: SharedSession,
    fd: RawFd,
}

/// Connects to `addr` within `limit`, with `TCP_NODELAY`.
///
/// # Errors
/// The socket's error, or `TimedOut`.
pub async fn connect(addr: SocketAddr, limit: Duration) -> io::Result<(ReadHalf, WriteHalf)> {
    let tcp = time::timeout(limit, TcpStream::connect_addr(addr))
        .await
        .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
    Ok(split(tcp))
}

/// Adopts an accepted socket into this shard's ring, with `TCP_NODELAY`.
///
/// # Errors
/// The runtime's error of registering the socket (epoll only).
pub fn adopt(socket: StdTcpStream) -> io::Result<(ReadHalf, WriteHalf)> {
    Ok(split(TcpStream::from_std(socket)?))
}

fn split(tcp: TcpStream) -> (ReadHalf, WriteHalf) {
    // Nagle's algorithm would hold back the second small piece of a streamed answer for a round trip.
    let _ = tcp.set_nodelay(true);
    let fd = tcp.as_raw_fd();
    let deadline = Rc::new(Deadline::new(fd));
    let (read, write) = tcp.into_split();
    (
        ReadHalf { deadline: deadline.clone(), io: read, tls: None, fd },
        WriteHalf { deadline, io: write, tls: None, fd },
    )
}

impl ReadHalf {
    /// The connection's deadline.
    #[must_use]
    pub fn deadline(&self) -> &Rc<Deadline> {
        &self.deadline
    }

    /// The socket.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.fd
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Receives into `buf`'s spare capacity (made if there is none) and hands it back. `Ok(0)` is the peer's
    /// end of sending.
    ///
    /// # Errors
    /// The socket's error; `TimedOut` once the deadline fired; `InvalidData` for a TLS violation;
    /// `UnexpectedEof` where TLS was cut without `close_notify`.
    pub async fn read(&mut self, mut buf: Buf) -> (io::Result<usize>, Buf) {
        if buf.spare() == 0 {
            buf.reserve(SMALL_BYTES);
        }
        if self.tls.is_some() {
            // On the heap: it is larger than the plain way, and every connection's task has room for both.
            return Box::pin(self.read_tls(buf)).await;
        }
        let (result, buf) = self.io.read(buf).await;
        (self.name_timeout(result), buf)
    }

    async fn read_tls(&mut self, mut buf: Buf) -> (io::Result<usize>, Buf) {
        let Some(tls) = self.tls.clone() else { return (Err(io::ErrorKind::NotConnected.into()), buf) };
        loop {
            match tls.borrow_mut().take_plaintext(&mut buf) {
                Ok(None) => {}
                Ok(Some(n)) => return (Ok(n), buf),
                Err(error) => return (Err(error), buf),
            }
            let (result, cipher) = self.io.read(Buf::with_capacity(LARGE_BYTES)).await;
            match self.name_timeout(result) {
                Ok(n) => {
                    if let Err(error) = tls.borrow_mut().put_ciphertext(&cipher, n == 0) {
                        return (Err(error), buf);
                    }
                }
                Err(error) => return (Err(error), buf),
            }
        }
    }

    /// Waits until there is something to receive and says how much of one byte it is, without taking it:
    /// `Ok(0)` is the peer's end of sending. Plain connections only. Can be dropped without losing bytes.
    ///
    /// # Errors
    /// The socket's error.
    pub async fn peek(&mut self) -> io::Result<usize> {
        // SAFETY: a shared reference to the stream both halves own; `readable` only reads its descriptor, and
        // no exclusive reference is held across an await by either half on this thread.
        let stream = unsafe { &*self.io.0.get() };
        stream.readable(false).await?;
        match self.peeked() {
            n if n >= 0 => Ok(n.unsigned_abs()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn peeked(&self) -> isize {
        let mut byte = 0u8;
        // SAFETY: the fd is open while `self` lives; one byte of stack is writable for one byte.
        unsafe { libc::recv(self.fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) }
    }

    fn name_timeout(&self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(0) | Err(_) if self.deadline.fired() => Err(io::ErrorKind::TimedOut.into()),
            other => other,
        }
    }

    /// Whether the peer has closed or broken the connection, or sent something nobody asked for, as far as
    /// the kernel knows now. One non-blocking syscall; for connections that lay idle.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        let n = self.peeked();
        n >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock
    }
}

impl WriteHalf {
    /// The connection's deadline.
    #[must_use]
    pub fn deadline(&self) -> &Rc<Deadline> {
        &self.deadline
    }

    /// The socket.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.fd
    }

    /// Sends all unread bytes of `buf` and hands it back, cleared.
    ///
    /// # Errors
    /// The socket's error; `TimedOut` once the deadline fired.
    pub async fn write_all(&mut self, buf: Buf) -> (io::Result<()>, Buf) {
        if self.tls.is_some() {
            return Box::pin(self.write_tls(buf)).await;
        }
        self.write_raw(buf).await
    }

    async fn write_tls(&mut self, mut buf: Buf) -> (io::Result<()>, Buf) {
        let Some(tls) = self.tls.clone() else { return (Err(io::ErrorKind::NotConnected.into()), buf) };
        let mut cipher = Buf::with_capacity(LARGE_BYTES);
        let sealed = tls.borrow_mut().seal(&buf, &mut cipher);
        buf.clear();
        if let Err(error) = sealed {
            return (Err(error), buf);
        }
        let (result, _) = self.write_raw(cipher).await;
        (result, buf)
    }

    async fn write_raw(&mut self, mut buf: Buf) -> (io::Result<()>, Buf) {
        while !buf.is_empty() {
            let result;
            (result, buf) = self.io.write(buf).await;
            match result {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buf),
                Ok(n) => buf.consume(n),
                Err(_) if self.deadline.fired() => return (Err(io::ErrorKind::TimedOut.into()), buf),
                Err(error) => return (Err(error), buf),
            }
        }
        (Ok(()), buf)
    }

    /// Sends FIN (after TLS `close_notify`), leaving receiving open.
    pub async fn finish(&mut self) {
        if let Some(tls) = self.tls.clone() {
            let mut cipher = Buf::with_capacity(SMALL_BYTES);
            if tls.borrow_mut().close(&mut cipher).is_ok() {
                let _ = self.write_raw(cipher).await;
            }
        }
        self.shutdown(libc::SHUT_WR);
    }

    /// Ends the connection at once in both directions; blocked operations complete.
    pub fn abort(&self) {
        self.shutdown(libc::SHUT_RDWR);
    }

    fn shutdown(&self, how: libc::c_int) {
        // SAFETY: the fd is open while `self` lives; the call touches no memory.
        unsafe { libc::shutdown(self.fd, how) };
    }
}

/// Whether the kernel has seen `fd`'s peer reset or fully leave the connection.
#[must_use]
pub fn is_dead(fd: RawFd) -> bool {
    let mut poll = libc::pollfd { fd, events: 0, revents: 0 };
    // SAFETY: one valid `pollfd`, zero timeout. POLLHUP and POLLERR are always reported.
    let n = unsafe { libc::poll(&raw mut poll, 1, 0) };
    n > 0 && poll.revents & (libc::POLLERR | libc::POLLNVAL | libc::POLLHUP) != 0
}

/// Resets the connection of `fd` now, as a crashing peer does, where a close would send FIN first:
/// connecting a TCP socket to `AF_UNSPEC` ends its connection with RST (connect(2)).
pub(crate) fn reset(fd: RawFd) {
    // SAFETY: an address of all zeros is valid and `AF_UNSPEC`; it is readable for its size, and the fd belongs
    // to the caller's live connection.
    unsafe {
        let nowhere: libc::sockaddr = std::mem::zeroed();
        libc::connect(fd, &raw const nowhere, size_of::<libc::sockaddr>() as libc::socklen_t);
    }
}

/// Sends `bytes` at once if the socket takes them, without the ring; used for probes.
pub fn send_now(fd: RawFd, bytes: &[u8]) {
    // SAFETY: the slice is readable for its length; the fd belongs to the caller's live connection.
    unsafe {
        libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
    }
}

/// Runs the TLS handshake of `session` over a plain connection and returns the encrypted halves.
///
/// # Errors
/// As [`ReadHalf::read`]; `InvalidData` names the TLS error (such as an unknown certificate authority).
pub async fn handshake(
    mut read: ReadHalf,
    mut write: WriteHalf,
    mut session: Session,
    limit: Duration,
) -> io::Result<(ReadHalf, WriteHalf)> {
    read.deadline.arm(limit, Ends::Connection);
    loop {
        let mut cipher = Buf::with_capacity(LARGE_BYTES);
        session.pending(&mut cipher)?;
        if !cipher.is_empty() {
            write.write_raw(cipher).await.0?;
        }
        if !session.is_handshaking() {
            break;
        }
        let (result, cipher) = read.io.read(Buf::with_capacity(LARGE_BYTES)).await;
        let n = read.name_timeout(result)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Err(error) = session.put_ciphertext(&cipher, false) {
            // Tell the peer why (the alert), then fail.
            let mut alert = Buf::with_capacity(SMALL_BYTES);
            if session.pending(&mut alert).is_ok() && !alert.is_empty() {
                let _ = write.write_raw(alert).await;
            }
            return Err(error);
        }
    }
    read.deadline.clear();
    let session = Rc::new(RefCell::new(session));
    read.tls = Some(Rc::clone(&session));
    write.tls = Some(session);
    Ok((read, write))
}
