//! A bounded mailbox into a shard, for the rare messages that are not part of a request: a new snapshot, a
//! handed-over connection, a request for metrics, the order to drain.
//!
//! Lock-free: a crossbeam queue, and an eventfd to wake the shard's ring. A full mailbox gives the message back.

use std::{cell::RefCell, io, os::fd::OwnedFd, rc::Rc, sync::Arc};

use crossbeam::queue::ArrayQueue;
use monoio::net::TcpStream;

use crate::event::{self, Event};

struct Shared<T> {
    queue: ArrayQueue<T>,
    wake: Event,
}

/// The sending end; cheap to clone, usable from any thread.
pub struct Outbox<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Outbox<T> {
    /// Queues `message` and wakes the shard.
    ///
    /// # Errors
    /// Gives `message` back when the mailbox is full.
    pub fn send(&self, message: T) -> Result<(), T> {
        self.shared.queue.push(message)?;
        self.shared.wake.signal();
        Ok(())
    }
}

/// The receiving end, not yet bound to a thread.
pub struct Inbox<T> {
    shared: Arc<Shared<T>>,
}

/// A mailbox for `capacity` messages.
///
/// # Errors
/// The error of `eventfd(2)`.
pub fn inbox<T>(capacity: usize) -> io::Result<(Outbox<T>, Inbox<T>)> {
    let shared = Arc::new(Shared { queue: ArrayQueue::new(capacity.max(1)), wake: Event::new()? });
    Ok((Outbox { shared: Arc::clone(&shared) }, Inbox { shared }))
}

impl<T: 'static> Inbox<T> {
    /// Runs `handle` on the shard for each message, in order, until the task is dropped.
    ///
    /// # Errors
    /// The runtime's error of watching the eventfd.
    pub async fn run(self, handle: impl Fn(T)) -> io::Result<()> {
        let watch = Readiness::new(self.shared.wake.try_clone()?)?;
        loop {
            while let Some(message) = self.shared.queue.pop() {
                handle(message);
            }
            watch.wait().await?;
        }
    }
}

/// Waits until a non-blocking counter fd (eventfd, timerfd) is readable, and resets it.
pub(crate) struct Readiness {
    // monoio polls any fd for readiness through its `TcpStream`; no socket call is ever made on it.
    poll: TcpStream,
}

impl Readiness {
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { poll: TcpStream::from_std(std::net::TcpStream::from(fd))? })
    }

    pub(crate) async fn wait(&self) -> io::Result<()> {
        self.poll.readable(false).await?;
        event::reset(&self.poll);
        Ok(())
    }
}

/// A single-threaded latest-value cell that tasks can wait on; the shard-local end of an order like "drain".
#[derive(Clone, Default)]
pub struct Flag {
    inner: Rc<RefCell<(bool, Vec<std::task::Waker>)>>,
}

impl Flag {
    /// Raises the flag and wakes all who wait.
    pub fn raise(&self) {
        let waiting = {
            let mut inner = self.inner.borrow_mut();
            inner.0 = true;
            std::mem::take(&mut inner.1)
        };
        for waker in waiting {
            waker.wake();
        }
    }

    /// Whether it is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.inner.borrow().0
    }

    /// Resolves once raised.
    pub async fn raised(&self) {
        std::future::poll_fn(|cx| {
            let mut inner = self.inner.borrow_mut();
            if inner.0 {
                return std::task::Poll::Ready(());
            }
            inner.1.push(cx.waker().clone());
            std::task::Poll::Pending
        })
        .await;
    }
}
