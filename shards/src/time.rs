//! One cheap timer per shard: a tick, a table of deadlines, and a way to wait for the next tick.
//!
//! A proxied request has half a dozen timeouts (head, body, connect, first byte, between bytes, write) and
//! almost none ever fires. Arming a runtime timer for each would cost more than the request. Instead each
//! connection owns one slot in a flat table; arming is one store, and a sweep over the table each
//! [`TICK_MS`] finds the few that passed. When one fires the socket is shut down from below with
//! `shutdown(2)`, which completes the operation the connection is blocked in; the connection then asks its
//! slot whether that was a timeout. So a deadline is exact to one tick and costs nothing on the hot path.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    os::fd::RawFd,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// Granularity of deadlines, in milliseconds.
pub const TICK_MS: u64 = 20;
/// "No deadline".
const NEVER: u64 = u64::MAX;

/// What [`std::time::Instant`] measures, and the time of suspension, which that leaves out.
#[must_use]
pub fn since_boot() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing. The clock exists on every Linux since 2.6.39.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[derive(Clone, Copy)]
struct Entry {
    /// When to fire, in ms of this shard's clock; [`NEVER`] while unarmed.
    at_ms: u64,
    fd: RawFd,
    ends: Ends,
    fired: bool,
}

/// What a fired deadline ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Receiving only: an answer (such as 408) can still be sent.
    Receiving,
    /// Receiving, on a connection with no request under way: also fired by [`end_idle`].
    Idle,
    /// The whole connection, a blocked send included.
    Connection,
}

impl Entry {
    fn fire(&mut self) {
        self.at_ms = NEVER;
        self.fired = true;
        let how = match self.ends {
            Ends::Receiving | Ends::Idle => libc::SHUT_RD,
            Ends::Connection => libc::SHUT_RDWR,
        };
        // SAFETY: the fd belongs to a live connection: its `Deadline` leaves the table before the socket is
        // closed (fields drop in order, see `stream`). shutdown(2) touches no memory.
        unsafe { libc::shutdown(self.fd, how) };
    }
}

/// Called with the coarse time on every tick.
pub type Hook = Rc<dyn Fn(u64)>;

struct Timer {
    start: Cell<Option<Instant>>,
    now_ms: Cell<u64>,
    entries: RefCell<Vec<Entry>>,
    free: RefCell<Vec<u32>>,
    waiting: RefCell<Vec<Waker>>,
    hooks: RefCell<Vec<Hook>>,
}

thread_local! {
    static TIMER: Timer = const {
        Timer {
            start: Cell::new(None),
            now_ms: Cell::new(0),
            entries: RefCell::new(Vec::new()),
            free: RefCell::new(Vec::new()),
            waiting: RefCell::new(Vec::new()),
            hooks: RefCell::new(Vec::new()),
        }
    };
}

/// This shard's coarse monotonic clock in milliseconds, updated once per tick.
#[must_use]
pub fn coarse_ms() -> u64 {
    TIMER.with(|timer| timer.now_ms.get())
}

/// Calls `hook` with the coarse time on every tick of this shard, until the shard ends.
pub fn on_tick(hook: Hook) {
    TIMER.with(|timer| timer.hooks.borrow_mut().push(hook));
}

/// Advances this shard's clock, fires passed deadlines, runs tick hooks and wakes tick waiters.
/// The executor calls it once per [`TICK_MS`].
pub(crate) fn tick() {
    TIMER.with(|timer| {
        let start = timer.start.get().unwrap_or_else(|| {
            let now = Instant::now();
            timer.start.set(Some(now));
            now
        });
        let now = u64::try_from(start.elapsed().as_millis()).unwrap_or(NEVER - 1);
        timer.now_ms.set(now);
        for entry in timer.entries.borrow_mut().iter_mut() {
            if entry.at_ms <= now {
                entry.fire();
            }
        }
        let hooks = timer.hooks.borrow().clone();
        for hook in hooks {
            hook(now);
        }
        for waker in timer.waiting.take() {
            waker.wake();
        }
    });
}

/// Lets go of all hooks and of all tasks that wait for a tick, at the end of a shard: they must be dropped while
/// its executor still is there, not with the thread's locals.
pub(crate) fn end() {
    TIMER.with(|timer| {
        drop(timer.hooks.take());
        drop(timer.waiting.take());
    });
}

/// Fires the deadline of every idle connection of this shard now; for draining.
pub fn end_idle() {
    TIMER.with(|timer| {
        for entry in timer.entries.borrow_mut().iter_mut() {
            if entry.at_ms != NEVER && entry.ends == Ends::Idle {
                entry.fire();
            }
        }
    });
}

/// A connection's slot in the table.
pub struct Deadline {
    slot: u32,
}

impl Deadline {
    /// Takes a slot for the socket `fd`, unarmed. Must be dropped before the socket is closed.
    #[must_use]
    pub fn new(fd: RawFd) -> Self {
        let entry = Entry { at_ms: NEVER, fd, ends: Ends::Connection, fired: false };
        TIMER.with(|timer| {
            let mut entries = timer.entries.borrow_mut();
            if let Some(slot) = timer.free.borrow_mut().pop()
                && let Some(place) = entries.get_mut(slot as usize)
            {
                *place = entry;
                return Self { slot };
            }
            entries.push(entry);
            Self { slot: u32::try_from(entries.len() - 1).unwrap_or(u32::MAX) }
        })
    }

    fn update(&self, change: impl FnOnce(&mut Entry)) {
        // The table may be gone where a connection is dropped by the end of its thread.
        let _ = TIMER.try_with(|timer| {
            if let Some(entry) = timer.entries.borrow_mut().get_mut(self.slot as usize) {
                change(entry);
            }
        });
    }

    /// Fires in `after` from now (rounded up to the next tick) unless armed anew or cleared before.
    pub fn arm(&self, after: Duration, ends: Ends) {
        let after = u64::try_from(after.as_millis()).unwrap_or(NEVER / 2);
        let at_ms = coarse_ms().saturating_add(after).saturating_add(TICK_MS);
        self.update(|entry| {
            entry.at_ms = at_ms.min(NEVER - 1);
            entry.ends = ends;
        });
    }

    /// Disarms.
    pub fn clear(&self) {
        self.update(|entry| entry.at_ms = NEVER);
    }

    /// Whether it has fired since it was created. A fired socket receives no more.
    #[must_use]
    pub fn fired(&self) -> bool {
        let mut fired = false;
        self.update(|entry| fired = entry.fired);
        fired
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.update(|entry| *entry = Entry { at_ms: NEVER, fd: -1, ends: Ends::Connection, fired: false });
        let _ = TIMER.try_with(|timer| timer.free.borrow_mut().push(self.slot));
    }
}

/// Resolves at the next tick of this shard.
#[must_use]
pub fn next_tick() -> NextTick {
    NextTick { seen_ms: None }
}

/// Future of [`next_tick`].
pub struct NextTick {
    seen_ms: Option<u64>,
}

impl Future for NextTick {
    type Output = u64;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        let now = coarse_ms();
        match self.seen_ms {
            Some(seen) if seen != now => return Poll::Ready(now),
            Some(_) => {}
            None => self.seen_ms = Some(now),
        }
        TIMER.with(|timer| timer.waiting.borrow_mut().push(cx.waker().clone()));
        Poll::Pending
    }
}

/// Waits at least `duration`, to the tick. For rare waits: it wakes its task on every tick.
pub async fn sleep(duration: Duration) {
    let until =
        coarse_ms().saturating_add(u64::try_from(duration.as_millis()).unwrap_or(NEVER / 2)) + TICK_MS;
    while coarse_ms() < until {
        next_tick().await;
    }
}

/// Runs `work` for at most `limit`, to the tick; `None` when it was cut off. For rare operations (connecting).
pub async fn timeout<F: Future>(limit: Duration, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut late = pin!(sleep(limit));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        late.as_mut().poll(cx).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read, net, os::fd::AsRawFd};

    #[test]
    fn a_passed_deadline_ends_a_blocked_read_and_says_so() {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _peer = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        tick();
        let deadline = Deadline::new(socket.as_raw_fd());
        deadline.arm(Duration::from_millis(1), Ends::Receiving);
        assert!(!deadline.fired());
        std::thread::sleep(Duration::from_millis(TICK_MS + 5));
        tick();
        assert!(deadline.fired());
        assert_eq!(socket.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn cleared_and_dropped_deadlines_do_not_fire() {
        tick();
        let a = Deadline::new(-1);
        a.arm(Duration::ZERO, Ends::Connection);
        a.clear();
        let slot = a.slot;
        std::thread::sleep(Duration::from_millis(TICK_MS + 5));
        tick();
        assert!(!a.fired());
        drop(a);
        let b = Deadline::new(-1);
        assert_eq!(b.slot, slot, "slots are reused");
        assert!(!b.fired());
    }
}
