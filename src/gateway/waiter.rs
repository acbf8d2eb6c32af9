//! One request that waits in a line, and what it hears there.

use std::{
    cell::{Cell, RefCell},
    task::{Poll, Waker},
};

/// One that waits.
#[derive(Debug, Default)]
pub struct Waiter {
    heard: Cell<Heard>,
    waker: RefCell<Option<Waker>>,
}

/// What one that waits hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heard {
    /// Nothing yet.
    #[default]
    Nothing,
    /// It is its turn, or will not be in time.
    Come,
    /// Its place is another's, who has fewer in line.
    TurnedAway,
}

impl Waiter {
    /// What it last heard.
    #[must_use]
    pub fn heard(&self) -> Heard {
        self.heard.get()
    }

    /// Tells it, and wakes it.
    pub fn hear(&self, heard: Heard) {
        self.heard.set(heard);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until it hears something.
    pub async fn called(&self) -> Heard {
        std::future::poll_fn(|cx| match self.heard.get() {
            Heard::Nothing => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
            heard => Poll::Ready(heard),
        })
        .await
    }
}
