//! The server side of a connection: receive requests, watch the client while one is answered, send answers.
//!
//! While an answer is being prepared the next receive is already posted, into the buffer of the next request.
//! It costs nothing extra (a keep-alive connection needs it anyway) and it is how a shard learns at once that
//! the client has gone.

use std::{
    cell::Cell,
    future::Future,
    io,
    net::SocketAddr,
    ops::Range,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use super::{
    body::Decoder,
    head::{self, Framing, HeadLimits, RequestHead, Version, Violation},
};
use crate::{
    buf::{Buf, LARGE_BYTES, SMALL_BYTES},
    stream::{self, ReadHalf, WriteHalf},
    time::{self, Ends},
};

/// Slowest body a client may send, in bytes per second, beyond the body timeout: one byte a second is an attack.
const MIN_BODY_BYTES_PER_S: u64 = 16 * 1024;
/// After an answer that ends the connection, how long and how much more is read before closing, so that the
/// answer is not destroyed by a reset (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 1024 * 1024;

/// Limits and timeouts of a listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Limits on a request head.
    pub head: HeadLimits,
    /// From the first byte of a head to its last.
    pub head_timeout: Duration,
    /// For a body, beyond the time its length takes at the slowest allowed rate.
    pub body_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// For one send to be taken by the client.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: HeadLimits::default(),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
        }
    }
}

/// Why no request could be received.
#[derive(Debug)]
pub enum Failure {
    /// The client broke a rule: answer with its status and close.
    Violation(Violation),
    /// The client was too slow: answer 408 and close.
    Timeout,
    /// The client closed or broke the connection.
    Gone,
}

/// A received request. Ranges of the head point into `bytes`.
#[derive(Debug)]
pub struct Request {
    /// The parsed head.
    pub head: RequestHead,
    bytes: Buf,
    body: Range<usize>,
}

impl Request {
    /// The head's bytes, which the fields' ranges refer to.
    #[must_use]
    pub fn head_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The path and query.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.bytes.get(self.head.target.clone()).unwrap_or_default()
    }

    /// The decoded body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.body.clone()).unwrap_or_default()
    }
}

/// What the watcher may do to the client's side of the connection right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of the answer was sent: an interim response may be.
    Silent,
    /// Sending, or between pieces where nothing may be put in.
    Busy,
    /// Between events of a chunked event stream: a comment may be put in.
    BetweenEvents,
}

/// The receiving side of a server connection.
pub struct Receiver {
    read: ReadHalf,
    buf: Buf,
    limits: Rc<Limits>,
    phase: Rc<Cell<Phase>>,
    /// The client's address.
    pub peer: SocketAddr,
}

/// The sending side of a server connection.
pub struct Responder {
    write: WriteHalf,
    phase: Rc<Cell<Phase>>,
    write_timeout: Duration,
    sent: u64,
}

/// The two sides of a server connection.
#[must_use]
pub fn connection(
    (read, write): (ReadHalf, WriteHalf),
    peer: SocketAddr,
    limits: &Rc<Limits>,
) -> (Receiver, Responder) {
    let phase = Rc::new(Cell::new(Phase::Silent));
    let responder =
        Responder { write, phase: Rc::clone(&phase), write_timeout: limits.write_timeout, sent: 0 };
    (Receiver { read, buf: Buf::empty(), limits: Rc::clone(limits), phase, peer }, responder)
}

/// How watching a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Answered, and bytes of the next request are here.
    Next,
    /// Answered; the connection is to be closed.
    Close,
    /// The client left before the answer was complete; the work was dropped.
    Abandoned,
}

impl Receiver {
    /// Receives the next request head. `Ok(None)` is a client that left between requests.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn head(&mut self) -> Result<Option<RequestHead>, Failure> {
        let deadline = Rc::clone(self.read.deadline());
        if self.buf.is_empty() {
            deadline.arm(self.limits.idle_timeout, Ends::Idle);
            match self.receive(SMALL_BYTES).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(None),
                Err(_) => return Err(Failure::Gone),
            }
        }
        let mut armed = false;
        let mut parsed_to = 0;
        loop {
            // A head that trickles in is parsed again only once a line that could end it has come.
            let from = self.buf.get(parsed_to..).unwrap_or_default();
            if parsed_to == 0 || ends_head(from) || self.buf.len() > self.limits.head.bytes {
                match head::parse_request(&self.buf, self.limits.head) {
                    Ok(Some(head)) => {
                        deadline.clear();
                        return Ok(Some(head));
                    }
                    Ok(None) => {}
                    Err(violation) => return Err(Failure::Violation(violation)),
                }
            }
            parsed_to = self.buf.len().saturating_sub(3).max(1);
            if !armed {
                deadline.arm(self.limits.head_timeout, Ends::Receiving);
                armed = true;
            }
            match self.receive(SMALL_BYTES).await {
                Ok(0) => return Err(Failure::Gone),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(Failure::Timeout),
                Err(_) => return Err(Failure::Gone),
            }
        }
    }

    /// What has been received and not yet been taken as a request: after [`Receiver::head`] it begins with that
    /// head.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.buf
    }

    /// Receives up to the buffer's room, which is at least `room` bytes.
    async fn receive(&mut self, room: usize) -> io::Result<usize> {
        let mut buf = std::mem::take(&mut self.buf);
        if buf.is_empty() && buf.spare() < room {
            buf = Buf::with_capacity(room);
        } else if buf.spare() < room / 4 {
            buf.reserve(buf.len().max(LARGE_BYTES));
        }
        let (result, buf) = self.read.read(buf).await;
        self.buf = buf;
        result
    }

    /// The request `head` (just returned by [`Receiver::head`]) whose body has come with it, which is the usual
    /// case; gives the head back where more must be received, or refused, by [`Receiver::body`].
    ///
    /// # Errors
    /// The head.
    #[allow(clippy::result_large_err)] // it is no error, and boxing it would cost more than it saves
    pub fn body_at_hand(&mut self, head: RequestHead, max_bytes: usize) -> Result<Request, RequestHead> {
        let length = match head.framing {
            Framing::None | Framing::UntilClose => 0,
            Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
            Framing::Chunked => return Err(head),
        };
        let end = head.len.saturating_add(length);
        if length > max_bytes || self.buf.len() < end {
            return Err(head);
        }
        Ok(self.take(head, end))
    }

    /// Makes a request of the first `end` bytes. It keeps the buffer; bytes of a pipelined next request move to
    /// a new one.
    fn take(&mut self, head: RequestHead, end: usize) -> Request {
        let start = head.len;
        let mut next = Buf::empty();
        if let Some(ahead) = self.buf.get(end..)
            && !ahead.is_empty()
        {
            next = Buf::with_capacity(ahead.len().max(SMALL_BYTES));
            next.put(ahead);
        }
        let mut bytes = std::mem::replace(&mut self.buf, next);
        bytes.truncate(end);
        self.phase.set(Phase::Silent);
        Request { head, bytes, body: start..end }
    }

    /// Receives the body of the request `head` (just returned by [`Receiver::head`]), decoded, at most
    /// `max_bytes`. Sends `100 Continue` where the client waits for it.
    ///
    /// # Errors
    /// See [`Failure`]; a body over the limit is a violation found before it is received where its length is
    /// announced.
    pub async fn body(
        &mut self,
        head: RequestHead,
        max_bytes: usize,
        responder: &mut Responder,
    ) -> Result<Request, Failure> {
        let start = head.len;
        let end = match head.framing {
            Framing::None | Framing::UntilClose => start,
            Framing::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length > max_bytes {
                    return Err(Failure::Violation(Violation::BodyTooLarge));
                }
                if self.buf.len() < start + length {
                    self.rest_of_body(&head, start + length, responder).await?;
                }
                start + length
            }
            Framing::Chunked => self.chunked_body(&head, max_bytes, responder).await?,
        };
        Ok(self.take(head, end))
    }

    async fn rest_of_body(
        &mut self,
        head: &RequestHead,
        end: usize,
        responder: &mut Responder,
    ) -> Result<(), Failure> {
        self.announce(head, responder).await?;
        let deadline = Rc::clone(self.read.deadline());
        let slowest = Duration::from_secs((end - head.len) as u64 / MIN_BODY_BYTES_PER_S);
        deadline.arm(self.limits.body_timeout + slowest, Ends::Receiving);
        while self.buf.len() < end {
            // Room for what is missing, but not at once for what was only announced.
            let missing = end - self.buf.len();
            self.buf.reserve(missing.min(self.buf.len().max(LARGE_BYTES)));
            self.receive_body().await?;
        }
        deadline.clear();
        Ok(())
    }

    /// Decodes a chunked body in place, behind the head; returns its end. Bytes after the body stay behind it.
    async fn chunked_body(
        &mut self,
        head: &RequestHead,
        max_bytes: usize,
        responder: &mut Responder,
    ) -> Result<usize, Failure> {
        self.announce(head, responder).await?;
        let deadline = Rc::clone(self.read.deadline());
        deadline.arm(self.limits.body_timeout, Ends::Receiving);
        let mut decoder = Decoder::new(Framing::Chunked);
        // Content is kept at [head.len, end); undecoded bytes are [at, ..).
        let (mut end, mut at) = (head.len, head.len);
        loop {
            let step = decoder.step(self.buf.get(at..).unwrap_or_default()).map_err(Failure::Violation)?;
            at += step.skip;
            if end - head.len + step.data > max_bytes {
                return Err(Failure::Violation(Violation::BodyTooLarge));
            }
            self.buf.unread_mut().copy_within(at..at + step.data, end);
            end += step.data;
            at += step.data;
            if decoder.is_done() {
                break;
            }
            if step.data == 0 {
                // Close the gap that framing left, then make room at the end.
                let tail = self.buf.len() - at;
                self.buf.unread_mut().copy_within(at.., end);
                self.buf.truncate(end + tail);
                at = end;
                self.buf.reserve(LARGE_BYTES / 4);
                let before = (end - head.len) as u64 / MIN_BODY_BYTES_PER_S;
                self.receive_body().await?;
                let after = (end - head.len + self.buf.len() - at) as u64 / MIN_BODY_BYTES_PER_S;
                if after > before {
                    deadline.arm(self.limits.body_timeout, Ends::Receiving);
                }
            }
        }
        deadline.clear();
        let tail = self.buf.len() - at;
        self.buf.unread_mut().copy_within(at.., end);
        self.buf.truncate(end + tail);
        Ok(end)
    }

    async fn receive_body(&mut self) -> Result<(), Failure> {
        match self.receive(0).await {
            Ok(0) => Err(Failure::Gone),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Failure::Timeout),
            Err(_) => Err(Failure::Gone),
        }
    }

    async fn announce(&self, head: &RequestHead, responder: &mut Responder) -> Result<(), Failure> {
        if head.expects_continue && self.buf.len() == head.len {
            let mut interim = Buf::with_capacity(SMALL_BYTES);
            interim.put(b"HTTP/1.1 100 Continue\r\n\r\n");
            responder.send(interim).await.map_err(|_| Failure::Gone)?;
        }
        Ok(())
    }

    /// Runs `work`, which answers the request and says whether the connection persists, while watching the
    /// client. The future is dropped as soon as the client has gone, which cancels what it was doing.
    ///
    /// A client that only closed its sending side (half-close) still gets its answer. FIN alone cannot tell it
    /// from one that left, so a harmless probe is sent (an interim response, or a comment between events): a
    /// closed socket answers it with a reset.
    pub async fn watch<F: Future<Output = bool>>(&mut self, version: Version, work: Pin<Box<F>>) -> Watched {
        let mut work = Some(work);
        let Self { read, buf, limits, phase, .. } = self;
        // Bytes of a pipelined request stay where they are: the client is then watched without a buffer, since
        // an operation under way could not give them back when the answer is done.
        let pipelined = !buf.is_empty();
        let (fd, is_tls) = (read.fd(), read.is_tls());
        let deadline = Rc::clone(read.deadline());
        let mut watching = pin!(async {
            if !pipelined {
                let mut ahead = std::mem::take(buf);
                if ahead.spare() < SMALL_BYTES / 2 {
                    ahead = Buf::with_capacity(SMALL_BYTES);
                }
                let result;
                (result, *buf) = read.read(ahead).await;
                result
            } else if is_tls {
                std::future::pending().await
            } else {
                read.peek().await
            }
        });
        let mut received = false;
        let mut half_closed = false;
        let mut tick = None;
        std::future::poll_fn(|cx| {
            if let Some(running) = &mut work
                && let Poll::Ready(persist) = running.as_mut().poll(cx)
            {
                work = None;
                if !persist || half_closed {
                    return Poll::Ready(Watched::Close);
                }
                if !pipelined && !received {
                    deadline.arm(limits.idle_timeout, Ends::Idle);
                }
            }
            if !received && let Poll::Ready(result) = watching.as_mut().poll(cx) {
                received = true;
                let ended = matches!(result, Ok(0));
                if result.is_err() || (ended && (is_tls || version == Version::Http10)) {
                    return Poll::Ready(if work.is_some() { Watched::Abandoned } else { Watched::Close });
                }
                if ended && !pipelined {
                    if work.is_none() {
                        return Poll::Ready(Watched::Close);
                    }
                    half_closed = true;
                    tick = Some((time::next_tick(), false));
                }
            }
            if work.is_none() && (received || pipelined) {
                return Poll::Ready(Watched::Next);
            }
            while let Some((waiting, probed)) = &mut tick {
                if !*probed {
                    *probed = probe(fd, phase.get());
                }
                if pin!(&mut *waiting).poll(cx).is_pending() {
                    break;
                }
                if stream::is_dead(fd) {
                    return Poll::Ready(Watched::Abandoned);
                }
                *waiting = time::next_tick();
            }
            Poll::Pending
        })
        .await
    }

    /// After a final answer: ends the connection without destroying the answer.
    pub async fn linger(mut self, responder: &mut Responder) {
        responder.write.finish().await;
        self.read.deadline().arm(LINGER, Ends::Connection);
        let mut left = LINGER_BYTES;
        while left > 0 {
            let (result, _) = self.read.read(Buf::with_capacity(LARGE_BYTES)).await;
            match result {
                Ok(n) if n > 0 => left = left.saturating_sub(n),
                _ => return,
            }
        }
    }
}

/// Whether bytes received since the last parse can hold the end of a head.
fn ends_head(new: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', new)
        .any(|at| matches!(new.get(at + 1), Some(b'\n')) || matches!(new.get(at + 1..at + 3), Some(b"\r\n")))
}

/// Sends what provokes a reset from a closed peer and is ignored by a half-closed one; false where nothing may
/// be sent now.
fn probe(fd: i32, phase: Phase) -> bool {
    match phase {
        Phase::Silent => stream::send_now(fd, b"HTTP/1.1 102 Processing\r\n\r\n"),
        Phase::BetweenEvents => stream::send_now(fd, b"3\r\n:\n\n\r\n"),
        Phase::Busy => return false,
    }
    true
}

impl Responder {
    /// Sends `bytes` (a head, a part of a body or both) and gives the buffer back, empty.
    ///
    /// # Errors
    /// The socket's error; `TimedOut` where the client does not take the bytes in time.
    pub async fn send(&mut self, bytes: Buf) -> io::Result<Buf> {
        self.phase.set(Phase::Busy);
        self.sent += bytes.len() as u64;
        let deadline = Rc::clone(self.write.deadline());
        deadline.arm(self.write_timeout, Ends::Connection);
        let (result, buf) = self.write.write_all(bytes).await;
        deadline.clear();
        result.map(|()| buf)
    }

    /// Resets the connection now, as a crashing peer does; for simulating one.
    pub fn reset(&self) {
        stream::reset(self.write.fd());
    }

    /// Says that a chunked event stream stands between two events, where a comment may be inserted.
    pub fn between_events(&self) {
        self.phase.set(Phase::BetweenEvents);
    }

    /// Bytes handed to the connection since the last call of [`Responder::take_sent`].
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns and resets the count of sent bytes.
    pub fn take_sent(&mut self) -> u64 {
        std::mem::take(&mut self.sent)
    }
}
