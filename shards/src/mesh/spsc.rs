//! A bounded queue from one thread to one other: a ring of slots and two counters, neither end ever waits.
//!
//! `head` counts what was popped and `tail` what was pushed, both since the start and wrapping; a slot is its
//! count modulo the capacity. So full (`tail - head == capacity`) and empty (`tail == head`) never look alike,
//! at any capacity from one up. Each counter has one writer and a cache line of its own, and each end remembers
//! the other's counter as it last saw it: the line of the other end is fetched once per lap or burst, not once
//! per message.

use std::{cell::Cell, mem::MaybeUninit, sync::atomic::Ordering};

use crossbeam::utils::CachePadded;

use super::sync::{Arc, AtomicUsize, UnsafeCell};

struct Ring<T> {
    /// Messages popped; written by the consumer.
    head: CachePadded<AtomicUsize>,
    /// Messages pushed; written by the producer.
    tail: CachePadded<AtomicUsize>,
    /// As many as a power of two. Those from `head` up to `tail` hold messages.
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: a slot is touched by one end at a time. The producer writes it while it is outside `head..tail` and
// hands it over by the release store of `tail`; the consumer reads it inside that range and hands it back by the
// release store of `head`; each end loads the other's counter with acquire first. So a message moves from one
// thread to the other and is never shared: `T: Send` is enough. The loom model checks this.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    fn slot(&self, count: usize) -> Option<&UnsafeCell<MaybeUninit<T>>> {
        self.slots.get(count & self.slots.len().wrapping_sub(1))
    }

    /// Moves out the message of that count.
    ///
    /// # Safety
    /// `count` is in `head..tail`, the caller is the one end that may pop, and it moves `head` past `count`
    /// before it calls again.
    unsafe fn take(&self, count: usize) -> Option<T> {
        // SAFETY: the slot holds a message, by the caller's promise, and no one else touches it.
        Some(self.slot(count)?.with_mut(|slot| unsafe { (*slot).assume_init_read() }))
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // Both ends are gone, and the last to go has seen all that the other did.
        let (mut head, tail) = (self.head.load(Ordering::Relaxed), self.tail.load(Ordering::Relaxed));
        while head != tail {
            // SAFETY: in `head..tail`, each once, and there is no other end any more.
            drop(unsafe { self.take(head) });
            head = head.wrapping_add(1);
        }
    }
}

/// The pushing end: `Send`, not `Sync`.
pub(super) struct Producer<T> {
    ring: Arc<Ring<T>>,
    /// Own copy of `ring.tail`.
    tail: Cell<usize>,
    /// `ring.head` as last seen: it may have moved on since, never back.
    head_seen: Cell<usize>,
}

/// The popping end: `Send`, not `Sync`.
pub(super) struct Consumer<T> {
    ring: Arc<Ring<T>>,
    /// Own copy of `ring.head`.
    head: Cell<usize>,
    /// `ring.tail` as last seen: it may have moved on since, never back.
    tail_seen: Cell<usize>,
}

/// A queue for `capacity` messages, a power of two.
pub(super) fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    ring_from(0, capacity)
}

/// [`ring`] with counters that start at `count`, so that a test can have them wrap.
pub(super) fn ring_from<T>(count: usize, capacity: usize) -> (Producer<T>, Consumer<T>) {
    debug_assert!(capacity.is_power_of_two());
    let ring = Arc::new(Ring {
        head: CachePadded::new(AtomicUsize::new(count)),
        tail: CachePadded::new(AtomicUsize::new(count)),
        slots: (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
    });
    let producer = Producer { ring: Arc::clone(&ring), tail: Cell::new(count), head_seen: Cell::new(count) };
    (producer, Consumer { ring, head: Cell::new(count), tail_seen: Cell::new(count) })
}

impl<T> Producer<T> {
    /// Queues `message`, or gives it back where the queue is full.
    #[inline]
    pub(super) fn push(&self, message: T) -> Result<(), T> {
        let (ring, tail) = (&*self.ring, self.tail.get());
        let full = || tail.wrapping_sub(self.head_seen.get()) >= ring.slots.len();
        if full() {
            // Acquire: the consumer has moved its message out of the slot before it counted it as popped.
            self.head_seen.set(ring.head.load(Ordering::Acquire));
            if full() {
                return Err(message);
            }
        }
        let Some(slot) = ring.slot(tail) else { return Err(message) };
        // SAFETY: `tail` is less than a capacity ahead of `head`, so the slot is outside `head..tail`, and this
        // is the only producer: no one else touches the slot until `tail` moves.
        slot.with_mut(|slot| unsafe { (*slot).write(message) });
        self.tail.set(tail.wrapping_add(1));
        // Release: whoever sees the count sees the message.
        ring.tail.store(self.tail.get(), Ordering::Release);
        Ok(())
    }
}

impl<T> Consumer<T> {
    /// The oldest message, where there is one.
    #[inline]
    pub(super) fn pop(&self) -> Option<T> {
        let (ring, head) = (&*self.ring, self.head.get());
        if head == self.tail_seen.get() {
            // Acquire: the producer has written the message before it counted it as pushed.
            self.tail_seen.set(ring.tail.load(Ordering::Acquire));
            if head == self.tail_seen.get() {
                return None;
            }
        }
        // SAFETY: `head` is in `head..tail`, this is the only consumer, and `head` moves on below.
        let message = unsafe { ring.take(head) }?;
        self.head.set(head.wrapping_add(1));
        // Release: whoever sees the slot as free sees that the message has left it.
        ring.head.store(self.head.get(), Ordering::Release);
        Some(message)
    }
}
