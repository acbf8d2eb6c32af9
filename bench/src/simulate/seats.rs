//! A provider that serves only so many requests at a time: the others wait for a seat, first come, first served.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

/// The seats of one shard.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    taken: Cell<usize>,
    queue: RefCell<VecDeque<Rc<Ticket>>>,
}

/// A place in the queue.
#[derive(Debug, Default)]
struct Ticket {
    seated: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// A seat, or a place in the queue for one; given up when dropped, as when the client leaves.
pub(crate) struct Seat<'a, F: Fn() -> usize> {
    seats: &'a Seats,
    ticket: Rc<Ticket>,
    capacity: F,
}

impl Seats {
    /// Queues for one of `capacity` seats, which is asked anew whenever one becomes free.
    pub(crate) fn queue<F: Fn() -> usize>(&self, capacity: F) -> Seat<'_, F> {
        let ticket = Rc::new(Ticket::default());
        self.queue.borrow_mut().push_back(Rc::clone(&ticket));
        self.fill(capacity());
        Seat { seats: self, ticket, capacity }
    }

    /// Seats those in front while there are seats.
    fn fill(&self, capacity: usize) {
        while self.taken.get() < capacity {
            let Some(next) = self.queue.borrow_mut().pop_front() else { return };
            self.taken.set(self.taken.get() + 1);
            next.seated.set(true);
            if let Some(waker) = next.waker.take() {
                waker.wake();
            }
        }
    }
}

impl<F: Fn() -> usize> Seat<'_, F> {
    /// Waits for its turn.
    pub(crate) async fn turn(&self) {
        poll_fn(|context| {
            if self.ticket.seated.get() {
                return Poll::Ready(());
            }
            self.ticket.waker.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl<F: Fn() -> usize> Drop for Seat<'_, F> {
    fn drop(&mut self) {
        if self.ticket.seated.get() {
            self.seats.taken.set(self.seats.taken.get() - 1);
        } else {
            self.seats.queue.borrow_mut().retain(|one| !Rc::ptr_eq(one, &self.ticket));
        }
        self.seats.fill((self.capacity)());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_given_in_order_and_given_back_by_those_that_leave() {
        let seats = Seats::default();
        let capacity = Cell::new(2);
        let take = || seats.queue(|| capacity.get());
        let mut guests: Vec<_> = (0..6).map(|_| take()).collect();
        let seated =
            |guests: &Vec<Seat<'_, _>>| guests.iter().map(|one| one.ticket.seated.get()).collect::<Vec<_>>();
        assert_eq!(seated(&guests), [true, true, false, false, false, false]);
        drop(guests.remove(2));
        assert_eq!(seated(&guests), [true, true, false, false, false], "one that waits frees nothing");
        drop(guests.remove(0));
        assert_eq!(seated(&guests), [true, true, false, false]);
        capacity.set(3);
        drop(guests.remove(0));
        assert_eq!(seated(&guests), [true, true, true], "a raised capacity is filled");
        guests.clear();
        assert_eq!((seats.taken.get(), seats.queue.borrow().len()), (0, 0));
    }
}
