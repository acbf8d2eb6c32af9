//! The client side of a connection: send a request, receive the response head, then the body as it comes.

use std::{fmt, future::Future, io, pin::pin, task::Poll, time::Duration};

use http::{Method, StatusCode};

use super::{
    body::Decoder,
    head::{self, HeadLimits, ResponseHead, Violation},
};
use crate::{
    buf::{Buf, LARGE_BYTES},
    stream::{ReadHalf, WriteHalf},
    time::Ends,
};

/// Interim (1xx) responses tolerated before the final one.
const MAX_INTERIM: usize = 16;

/// A client connection, ready for one request at a time.
pub struct Connection {
    read: ReadHalf,
    write: WriteHalf,
    buf: Buf,
    decoder: Decoder,
    /// Requests completed on it.
    served: u32,
    reusable: bool,
}

/// Why an exchange failed.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// Whether the same request may be sent again on another connection: the connection had been idle, and
    /// nothing of a response came (RFC 9112 §9.5: the peer had closed it before it saw the request).
    pub replayable: bool,
}

/// Kinds of [`Failure`].
#[derive(Debug)]
pub enum FailureKind {
    /// The peer closed the connection before the response was complete.
    Closed,
    /// A socket or TLS error.
    Io(io::Error),
    /// Nothing came in time.
    Timeout,
    /// The response is not HTTP.
    Violation(Violation),
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureKind::Closed => f.write_str("the connection was closed before the response was complete"),
            FailureKind::Io(error) => write!(f, "{error}"),
            FailureKind::Timeout => f.write_str("timed out"),
            FailureKind::Violation(violation) => write!(f, "invalid response: {violation}"),
        }
    }
}

fn failure(error: io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::TimedOut => FailureKind::Timeout,
        io::ErrorKind::UnexpectedEof => FailureKind::Closed,
        _ => FailureKind::Io(error),
    }
}

impl Connection {
    /// Wraps connected halves.
    #[must_use]
    pub fn new((read, write): (ReadHalf, WriteHalf)) -> Self {
        let decoder = Decoder::new(head::Framing::None);
        Self { read, write, buf: Buf::empty(), decoder, served: 0, reusable: true }
    }

    /// Sends `request`, calls `on_sent` once all of it is handed to the kernel, and receives the response head,
    /// waiting at most `first_byte` for its first byte. Interim responses are skipped.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn exchange(
        &mut self,
        method: &Method,
        request: Buf,
        first_byte: Duration,
        limits: HeadLimits,
        on_sent: impl FnOnce(),
    ) -> Result<ResponseHead, Failure> {
        self.reusable = false;
        let reused = self.served > 0;
        self.read.deadline().arm(first_byte, Ends::Connection);
        let Self { read, write, buf, decoder, reusable, .. } = self;
        // Send and receive are queued in the same submission to the ring: the send completes inline, the
        // receive waits. A response that comes before all is sent (such as 413) is seen at once.
        let mut sending = pin!(async move { write.write_all(request).await.0 });
        let mut sent = None;
        let mut on_sent = Some(on_sent);
        let mut interim = 0;
        loop {
            match head::parse_response(buf, method, limits) {
                Ok(Some(head)) if head.status.is_informational() && interim < MAX_INTERIM => {
                    interim += 1;
                    buf.consume(head.len);
                    if head.status == StatusCode::SWITCHING_PROTOCOLS {
                        let kind = FailureKind::Violation(Violation::Malformed);
                        return Err(Failure { kind, replayable: false });
                    }
                    continue;
                }
                Ok(Some(head)) => {
                    *decoder = Decoder::new(head.framing);
                    *reusable = head.keep_alive && matches!(sent, Some(Ok(())));
                    read.deadline().clear();
                    return Ok(head);
                }
                Ok(None) => {}
                Err(violation) => {
                    return Err(Failure { kind: FailureKind::Violation(violation), replayable: false });
                }
            }
            let (result, received) = {
                let mut room = std::mem::take(buf);
                if room.is_empty() {
                    room = Buf::with_capacity(LARGE_BYTES);
                } else {
                    room.reserve(LARGE_BYTES / 4);
                }
                let mut receiving = pin!(read.read(room));
                std::future::poll_fn(|cx| {
                    if sent.is_none()
                        && let Poll::Ready(result) = sending.as_mut().poll(cx)
                    {
                        if result.is_ok()
                            && let Some(on_sent) = on_sent.take()
                        {
                            on_sent();
                        }
                        sent = Some(result);
                    }
                    receiving.as_mut().poll(cx)
                })
                .await
            };
            *buf = received;
            let kind = match result {
                Ok(0) => match sent.take() {
                    Some(Err(error)) => failure(error),
                    _ => FailureKind::Closed,
                },
                Ok(_) => continue,
                Err(error) => failure(error),
            };
            let replayable = reused && buf.is_empty() && interim == 0 && is_gone(&kind);
            return Err(Failure { kind, replayable });
        }
    }

    /// The response head's bytes, right after [`Connection::exchange`]; the caller takes what it needs from
    /// them and then calls [`Connection::consume_head`].
    #[must_use]
    pub fn head_bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Discards the response head.
    pub fn consume_head(&mut self, head: &ResponseHead) {
        self.buf.consume(head.len);
    }

    /// Content of the body that has been received, without waiting; empty when more must be received or the
    /// body is complete ([`Connection::is_complete`]). Discard it with [`Connection::consume`].
    ///
    /// # Errors
    /// The framing rule that the peer broke.
    pub fn content(&mut self) -> Result<&[u8], Violation> {
        let step = self.decoder.step(&self.buf)?;
        self.buf.consume(step.skip);
        Ok(self.buf.get(..step.data).unwrap_or_default())
    }

    /// Discards `n` bytes of content.
    pub fn consume(&mut self, n: usize) {
        self.buf.consume(n);
    }

    /// Whether the whole body has been received and consumed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.decoder.is_done()
    }

    /// Receives more of the body, waiting at most `between_bytes`. `Ok(false)` is the end of a body that the
    /// close of the connection delimits.
    ///
    /// # Errors
    /// See [`FailureKind`]; `Closed` is a body that was cut.
    pub async fn receive(&mut self, between_bytes: Duration) -> Result<bool, FailureKind> {
        self.read.deadline().arm(between_bytes, Ends::Connection);
        let mut room = std::mem::take(&mut self.buf);
        if room.is_empty() && room.spare() < LARGE_BYTES {
            room = Buf::with_capacity(LARGE_BYTES);
        } else {
            room.reserve(LARGE_BYTES / 4);
        }
        let (result, buf) = self.read.read(room).await;
        self.buf = buf;
        match result {
            Ok(0) if self.decoder.may_end_here() => Ok(false),
            Ok(0) => Err(FailureKind::Closed),
            Ok(_) => {
                self.read.deadline().clear();
                Ok(true)
            }
            Err(error) => Err(failure(error)),
        }
    }

    /// Ends the exchange; whether the connection can serve another. It must not where the body was not read
    /// to its end or bytes follow it.
    pub fn finish(&mut self) -> bool {
        self.served = self.served.saturating_add(1);
        let clean = self.reusable && self.decoder.is_done() && self.buf.is_empty();
        self.buf = Buf::empty();
        clean
    }

    /// Whether the peer has closed the idle connection or sent something unasked. One syscall.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.read.is_stale()
    }

    /// Requests served so far.
    #[must_use]
    pub fn served(&self) -> u32 {
        self.served
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // In-flight operations hold the socket open until they complete; this makes them complete now.
        self.write.abort();
    }
}

fn is_gone(kind: &FailureKind) -> bool {
    match kind {
        FailureKind::Closed => true,
        FailureKind::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected
        ),
        FailureKind::Timeout | FailureKind::Violation(_) => false,
    }
}
