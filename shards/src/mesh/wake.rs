//! Waking a receiver that may sleep in its ring, at one system call for a burst.
//!
//! Each receiver has a flag and an eventfd. A sender pushes, then swaps the flag to true; only the sender that
//! found it false signals the eventfd. The receiver, once the eventfd is readable, resets the eventfd, swaps the
//! flag to false, and then looks into all its queues. In that order:
//!
//! - *No message is slept on.* Swaps of one flag have one order. A sender that finds true comes before the swap
//!   by which the receiver answers, and what it pushed is seen after that swap (release, acquire, and no plain
//!   store between them). A sender that comes after that swap finds false, or true from one that found false,
//!   and that one signals.
//! - *The flag is never left true without a signal to come.* The eventfd is reset before the flag is lowered, so
//!   a signal that belongs to a newly raised flag is not taken away. The worst is a wake-up for nothing.

use std::{io, sync::atomic::Ordering};

use crossbeam::utils::CachePadded;

use super::sync::{AtomicBool, Event};

/// The bell of one receiver.
pub(super) struct Wake {
    /// Whether the receiver has been told that there are messages and has not begun to look.
    notified: CachePadded<AtomicBool>,
    event: Event,
}

impl Wake {
    /// A bell that has not rung. Fails with the error of `eventfd(2)`.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { notified: CachePadded::new(AtomicBool::new(false)), event: Event::new()? })
    }

    /// Sees to it that the receiver looks into its queues after this.
    #[inline]
    pub(super) fn notify(&self) {
        // Release: the push before this is seen by the receiver that lowers the flag after it. A plain load that
        // skips the swap where the flag is true already would break that.
        if !self.notified.swap(true, Ordering::Release) {
            self.event.signal();
        }
    }

    /// The receiver begins to look; its eventfd has been reset.
    pub(super) fn acknowledge(&self) {
        // A swap and not a store: it has to read what the last sender wrote, to see that sender's push.
        self.notified.swap(false, Ordering::Acquire);
    }

    /// What the receiver waits on.
    pub(super) fn event(&self) -> &Event {
        &self.event
    }
}
