//! The model check: loom runs each of these with every order of steps, and every stale value, that the memory
//! orderings allow. A thread that would sleep for ever is reported as a deadlock, a message never dropped as a
//! leak, a slot touched by both ends as a race. `tests/run` has the command.
//!
//! Under loom a turn is one message, so that the hand-over between turns is part of what is checked. What has
//! too many orders to try in seconds is tried in those with at most [`PREEMPTIONS`] switches away from a thread
//! that could go on.

use std::io;

use loom::sync::{Condvar, Mutex};
pub(super) use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
};

use super::{
    Port, mesh,
    spsc::{self, Consumer, Producer},
};

/// The eventfd as the kernel has it: a counter under a lock, and a queue of those who wait for it.
pub(super) struct Event {
    count: Mutex<u64>,
    raised: Condvar,
}

impl Event {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { count: Mutex::new(0), raised: Condvar::new() })
    }

    pub(super) fn signal(&self) {
        *self.count.lock().unwrap() += 1;
        self.raised.notify_one();
    }

    pub(super) fn reset(&self) {
        *self.count.lock().unwrap() = 0;
    }

    fn wait(&self) {
        let mut count = self.count.lock().unwrap();
        while *count == 0 {
            count = self.raised.wait(count).unwrap();
        }
    }
}

/// Set too low it misses bugs, but hardly: nearly all known ones show with two.
const PREEMPTIONS: usize = 3;

/// Checks `run` in every order.
fn in_every_order(run: impl Fn() + Send + Sync + 'static) {
    loom::model(run);
}

/// Checks `run` in the orders with few preemptions.
fn in_most_orders(run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.check(run);
}

/// Receives as a shard does, sleeping in between, until `expected` messages have come.
fn receive<T>(port: &Port<T>, expected: usize, mut handle: impl FnMut(usize, T)) {
    let mut received = 0;
    while received < expected {
        port.wake.event().wait();
        received += port.drain(&mut handle);
    }
}

fn ports<T: Send + 'static, const N: usize>(capacity: usize) -> [Port<T>; N] {
    mesh(N, capacity).unwrap().try_into().ok().unwrap()
}

/// Pushes `0..count`, again where the queue is full.
fn push_all(producer: &Producer<usize>, count: usize) {
    for n in 0..count {
        while producer.push(n).is_err() {
            loom::thread::yield_now();
        }
    }
}

fn pop(consumer: &Consumer<usize>) -> usize {
    loop {
        if let Some(message) = consumer.pop() {
            return message;
        }
        loom::thread::yield_now();
    }
}

/// `count` messages through a ring so small that its slots are used again, with counters that wrap on the way.
fn laps(capacity: usize, count: usize) {
    let (producer, consumer) = spsc::ring_from(usize::MAX, capacity);
    let pushing = loom::thread::spawn(move || push_all(&producer, count));
    for n in 0..count {
        assert_eq!(pop(&consumer), n);
    }
    pushing.join().unwrap();
    assert!(consumer.pop().is_none());
}

#[test]
fn a_ring_of_one_slot_keeps_order_over_laps() {
    in_every_order(|| laps(1, 3));
}

#[test]
fn a_ring_of_two_slots_keeps_order_over_laps() {
    in_most_orders(|| laps(2, 5));
}

#[test]
fn a_full_queue_gives_back_what_it_does_not_take_and_nothing_else() {
    in_every_order(|| {
        let (producer, consumer) = spsc::ring(2);
        let pushing = loom::thread::spawn(move || {
            let refused = (0..4).filter_map(|n| producer.push(n).err()).collect::<Vec<_>>();
            assert!(!refused.contains(&0) && !refused.contains(&1));
            refused
        });
        let mut seen: Vec<usize> = (0..2).filter_map(|_| consumer.pop()).collect();
        let refused = pushing.join().unwrap();
        seen.extend(std::iter::from_fn(|| consumer.pop()));
        assert!(seen.is_sorted());
        seen.extend(refused);
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3]);
    });
}

#[test]
fn what_nobody_popped_is_dropped_once_whoever_goes_last() {
    in_every_order(|| {
        let (producer, consumer) = spsc::ring_from(usize::MAX, 2);
        // loom reports a count that is not back at zero at the end.
        let message = Arc::new(());
        let sent = Arc::clone(&message);
        let pushing = loom::thread::spawn(move || (0..3).all(|_| producer.push(Arc::clone(&sent)).is_ok()));
        drop(consumer.pop());
        drop(consumer);
        pushing.join().unwrap();
        assert!(Arc::try_unwrap(message).is_ok());
    });
}

/// `count` messages that the receiver may sleep on at any point.
fn messages(count: usize) {
    let [sender, receiver] = ports::<usize, 2>(4);
    let sending = loom::thread::spawn(move || (0..count).for_each(|n| sender.send(1, n).unwrap()));
    let mut seen = Vec::new();
    receive(&receiver, count, |_, n| seen.push(n));
    assert!(seen.into_iter().eq(0..count));
    sending.join().unwrap();
}

#[test]
fn a_sleeping_receiver_is_woken_for_every_message() {
    in_every_order(|| messages(2));
    in_most_orders(|| messages(4));
}

#[test]
fn a_receiver_is_woken_by_each_of_two_senders() {
    in_most_orders(|| {
        let [a, b, receiver] = ports::<usize, 3>(2);
        let sending =
            [a, b].map(|port| loom::thread::spawn(move || (0..2).for_each(|n| port.send(2, n).unwrap())));
        let mut seen = [Vec::new(), Vec::new()];
        receive(&receiver, 4, |from, n| seen[from].push(n));
        assert_eq!(seen, [[0, 1], [0, 1]]);
        for thread in sending {
            thread.join().unwrap();
        }
    });
}

#[test]
fn answers_cross_messages_without_either_side_sleeping_on_them() {
    in_most_orders(|| {
        let [a, b] = ports::<usize, 2>(1);
        let answering = loom::thread::spawn(move || {
            receive(&b, 2, |from, n| b.send(from, n + 10).unwrap());
        });
        for n in 0..2 {
            a.send(1, n).unwrap();
            receive(&a, 1, |_, answer| assert_eq!(answer, n + 10));
        }
        answering.join().unwrap();
    });
}
