//! The message mesh: how shards, and the parties beside them on other executors, tell each other things.
//!
//! Between each ordered pair of parties stands a bounded queue with one writer and one reader ([`spsc`]), so a
//! send is a move into memory and no party ever waits for another. A party that sleeps in its ring is woken
//! through an eventfd, once for a burst ([`wake`]); nothing spins. A full queue gives the message back and its
//! sender degrades by its own rule.
//!
//! A receiver takes turns with the rest of its thread: after [`TURN`] messages it goes back to its executor, by
//! way of its own eventfd. That matters: with DEFER_TASKRUN a ring hands out completions only when its thread
//! waits, so a task that is always ready would keep the sockets from being heard.
//!
//! The queues and the wake-up are model-checked with loom (`model.rs`, run by `tests/run`).

mod spsc;
mod sync;
mod wake;

#[cfg(loom)]
mod model;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::{cell::Cell, io};

use crossbeam::utils::CachePadded;

use self::{
    spsc::{Consumer, Producer},
    sync::Arc,
    wake::Wake,
};

/// Messages handled in one turn, across all senders. At tens of nanoseconds each a turn holds requests up for
/// some microseconds, and its system calls (about three) are still spread thin.
const TURN: usize = if cfg!(loom) { 1 } else { 256 };
/// Messages taken from one sender before the next one's turn: enough to use what a cache miss brought along.
const SHARE: usize = if cfg!(loom) { 1 } else { 16 };

/// One party's access to the mesh: it sends to any other party and receives from all.
///
/// A port belongs to one thread at a time. It may be sent to the thread that will own it, not shared:
///
/// ```compile_fail,E0277
/// fn share(port: coo_shards::mesh::Port<u32>) {
///     std::thread::scope(|scope| {
///         scope.spawn(|| port.send(1, 2));
///     });
/// }
/// ```
///
/// Messages to a port that was dropped stay in its queues, which fill up; they are dropped with the senders.
pub struct Port<T> {
    index: usize,
    /// By receiver; none to itself. Padded, as the ends of one queue are written by two threads.
    outgoing: Vec<Option<CachePadded<Link<T>>>>,
    /// By sender; none from itself.
    incoming: Vec<Option<CachePadded<Consumer<T>>>>,
    /// The sender that is looked at next.
    next: Cell<usize>,
    wake: Arc<Wake>,
}

/// The way to one receiver.
struct Link<T> {
    queue: Producer<T>,
    wake: Arc<Wake>,
}

/// One port per party, with a queue of `capacity` messages (rounded up to a power of two, at least one) for each
/// ordered pair. The memory of the queues is `parties * (parties - 1) * capacity * size_of::<T>()` bytes.
///
/// # Errors
/// The error of `eventfd(2)`; `InvalidInput` where no power of two is as large as `capacity`.
pub fn mesh<T: Send + 'static>(parties: usize, capacity: usize) -> io::Result<Vec<Port<T>>> {
    let capacity = capacity.max(1).checked_next_power_of_two().ok_or(io::ErrorKind::InvalidInput)?;
    let wakes: Vec<Arc<Wake>> =
        (0..parties).map(|_| Ok(Arc::new(Wake::new()?))).collect::<io::Result<_>>()?;
    let mut incoming: Vec<Vec<_>> = (0..parties).map(|_| Vec::with_capacity(parties)).collect();
    let mut outgoing: Vec<Vec<_>> = Vec::with_capacity(parties);
    for from in 0..parties {
        let mut links = Vec::with_capacity(parties);
        for (to, (received, wake)) in incoming.iter_mut().zip(&wakes).enumerate() {
            let (producer, consumer) = (to != from).then(|| spsc::ring(capacity)).unzip();
            received.push(consumer.map(CachePadded::new));
            links.push(producer.map(|queue| CachePadded::new(Link { queue, wake: Arc::clone(wake) })));
        }
        outgoing.push(links);
    }
    let ends = outgoing.into_iter().zip(incoming).zip(wakes);
    let port =
        |(index, ((outgoing, incoming), wake))| Port { index, outgoing, incoming, next: Cell::new(0), wake };
    Ok(ends.enumerate().map(port).collect())
}

impl<T> Port<T> {
    /// Which party this is, from zero.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many parties the mesh has, this one included.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.incoming.len()
    }

    /// Queues `message` for party `to` and wakes it. Costs a system call only where that party is not already
    /// awake on account of an earlier message. May be called from within a handler.
    ///
    /// # Errors
    /// Gives `message` back where that queue is full, or `to` is this port or no party.
    #[inline]
    pub fn send(&self, to: usize, message: T) -> Result<(), T> {
        let Some(Some(link)) = self.outgoing.get(to) else { return Err(message) };
        link.queue.push(message)?;
        link.wake.notify();
        Ok(())
    }

    /// Calls `handle(from, message)` for what has arrived, and says for how many: those of one sender in their
    /// order, and a busy sender does not hold up another. Call it when the fd ([`AsRawFd`]) is readable.
    ///
    /// It takes at most some hundred messages and then makes the fd readable once more, so a caller that waits
    /// for the fd again misses nothing; one that wants all there is calls it until it returns zero.
    ///
    /// [`AsRawFd`]: std::os::fd::AsRawFd
    pub fn drain(&self, mut handle: impl FnMut(usize, T)) -> usize {
        self.wake.event().reset();
        self.turn(&mut handle)
    }

    /// One turn of the receiver, after its eventfd was reset.
    fn turn(&self, handle: &mut impl FnMut(usize, T)) -> usize {
        self.wake.acknowledge();
        let parties = self.incoming.len();
        let (mut handled, mut empty_in_a_row) = (0, 0);
        while empty_in_a_row < parties {
            if handled >= TURN {
                self.wake.notify();
                break;
            }
            let from = self.next.get();
            self.next.set(if from + 1 < parties { from + 1 } else { 0 });
            let (before, until) = (handled, TURN.min(handled + SHARE));
            if let Some(Some(queue)) = self.incoming.get(from) {
                while handled < until
                    && let Some(message) = queue.pop()
                {
                    handled += 1;
                    handle(from, message);
                }
            }
            empty_in_a_row = if handled == before { empty_in_a_row + 1 } else { 0 };
        }
        handled
    }
}

#[cfg(not(loom))]
mod on_a_ring {
    use std::{
        io,
        os::fd::{AsRawFd, RawFd},
        rc::Rc,
    };

    use super::{Port, TURN};
    use crate::inbox::Readiness;

    impl<T> Port<T> {
        /// Runs on a shard, until the task is dropped: calls `handle(from, message)` for each message, those of
        /// one sender in their order, and a busy sender does not hold up another. `handle` may send.
        ///
        /// # Errors
        /// The runtime's error of watching the eventfd.
        pub async fn run(self: Rc<Self>, mut handle: impl FnMut(usize, T)) -> io::Result<()> {
            let watch = Readiness::new(self.wake.event().try_clone()?)?;
            let mut since_yield = 0;
            loop {
                // What an earlier `run` or `drain` left behind is still announced by the eventfd, so waiting
                // comes first.
                watch.wait().await?;
                since_yield += self.turn(&mut handle);
                if since_yield >= TURN {
                    since_yield = 0;
                    // The wait sends a ring to its completions, but on epoll a wait for what is readable already
                    // goes on at once. A task that wakes itself would not do: monoio runs it before all others.
                    // One that waits for a new task comes after them.
                    monoio::spawn(async {}).await;
                }
            }
        }
    }

    /// The eventfd: readable when there is something to [`Port::drain`], for parties that wait with tokio's
    /// `AsyncFd`, with epoll or with poll(2).
    impl<T> AsRawFd for Port<T> {
        fn as_raw_fd(&self) -> RawFd {
            self.wake.event().as_raw_fd()
        }
    }
}
