use std::{
    cell::{Cell, RefCell},
    os::fd::AsRawFd,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{Port, SHARE, TURN, mesh, spsc};
use crate::{
    executor::{self, Driver},
    inbox::Flag,
};

fn ports<T: Send + 'static, const N: usize>(capacity: usize) -> [Port<T>; N] {
    mesh(N, capacity).unwrap().try_into().ok().unwrap()
}

/// Waits with poll(2), as a thread without an executor does.
fn wait(port: &Port<impl Send>) {
    let mut poll = libc::pollfd { fd: port.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd, for the length of the call.
    assert_eq!(unsafe { libc::poll(&raw mut poll, 1, 10_000) }, 1, "not woken within 10 s");
}

fn is_signalled(port: &Port<impl Send>) -> bool {
    let mut poll = libc::pollfd { fd: port.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd, for the length of the call.
    unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
}

#[test]
fn a_million_messages_cross_a_ring_in_order() {
    for capacity in [1, 2, 1024] {
        let messages = if capacity == 1024 { 1_000_000 } else { 50_000 };
        // The counters wrap on the way.
        let (producer, consumer) = spsc::ring_from(usize::MAX - 1000, capacity);
        let pushing = thread::spawn(move || {
            for n in 0..messages {
                while producer.push(Box::new(n)).is_err() {
                    thread::yield_now();
                }
            }
        });
        for n in 0..messages {
            let got = loop {
                match consumer.pop() {
                    Some(got) => break *got,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(got, n);
        }
        pushing.join().unwrap();
        assert!(consumer.pop().is_none());
    }
}

#[test]
fn two_threads_that_sleep_between_bursts_lose_nothing() {
    const MESSAGES: u64 = 1_000_000;
    let [a, b] = ports::<u64, 2>(1024);
    let sending = thread::spawn(move || {
        for n in 0..MESSAGES {
            while a.send(1, n).is_err() {
                thread::yield_now();
            }
        }
    });
    let mut next = 0;
    while next < MESSAGES {
        wait(&b);
        b.drain(|from, n| {
            assert_eq!((from, n), (0, next));
            next += 1;
        });
    }
    sending.join().unwrap();
    assert_eq!(b.drain(|_, n| panic!("{n} came twice")), 0);
}

#[test]
fn a_full_queue_gives_the_message_back_and_the_others_are_not_full() {
    let [a, b, c] = ports::<u32, 3>(3);
    assert_eq!((b.index(), b.parties()), (1, 3));
    // Rounded up to four.
    for n in 0..4 {
        a.send(1, n).unwrap();
    }
    assert_eq!(a.send(1, 4), Err(4));
    a.send(2, 5).unwrap();
    c.send(1, 6).unwrap();
    let mut seen = Vec::new();
    assert_eq!(b.drain(|from, n| seen.push((from, n))), 5);
    assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (0, 3), (2, 6)]);
    a.send(1, 7).unwrap();
    // Not to itself, nor to nobody.
    assert_eq!((a.send(0, 8), a.send(3, 9)), (Err(8), Err(9)));
    assert!(mesh::<u32>(2, usize::MAX).is_err());
}

#[test]
fn a_burst_signals_once_and_a_turn_that_leaves_some_signals_again() {
    let [a, b, c] = ports::<usize, 3>(2 * TURN);
    assert!(!is_signalled(&b));
    let in_all = TURN + 2 * SHARE;
    for n in 0..in_all {
        a.send(1, n).unwrap();
    }
    c.send(1, in_all).unwrap();
    let (mut first, mut rest) = (Vec::new(), 0);
    assert!(is_signalled(&b));
    b.drain(|from, _| first.push(from));
    assert_eq!(first.len(), TURN);
    // The one message of `c` did not wait for all of those of `a`.
    assert_eq!(first.iter().position(|&from| from == 2), Some(SHARE));
    while is_signalled(&b) {
        rest += b.drain(|_, _| ());
    }
    assert_eq!(first.len() + rest, in_all + 1);
}

#[test]
fn messages_that_nobody_took_are_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let [a, b, c] = ports::<Counted, 3>(8);
    for _ in 0..5 {
        assert!(a.send(1, Counted(dropped.clone())).is_ok());
        assert!(c.send(1, Counted(dropped.clone())).is_ok());
    }
    let mut taken = 0;
    b.drain(|_, _| taken += 1);
    assert_eq!((taken, dropped.load(Ordering::Relaxed)), (10, 10));
    for _ in 0..3 {
        assert!(a.send(1, Counted(dropped.clone())).is_ok());
    }
    drop(b);
    // To a party that is gone: queued, until the sender goes too.
    assert!(a.send(1, Counted(dropped.clone())).is_ok());
    assert_eq!(dropped.load(Ordering::Relaxed), 10);
    drop((a, c));
    assert_eq!(dropped.load(Ordering::Relaxed), 14);
    assert_eq!(Arc::strong_count(&dropped), 1);
}

#[test]
fn a_handler_may_send_and_drain() {
    let [a, b] = ports::<u32, 2>(4);
    for n in [1, 2, 3] {
        a.send(1, n).unwrap();
    }
    let seen = RefCell::new(Vec::new());
    b.drain(|from, n| {
        b.send(from, n * 10).unwrap();
        seen.borrow_mut().push(n);
        b.drain(|_, n| seen.borrow_mut().push(n));
    });
    assert_eq!(seen.take(), [1, 2, 3]);
    a.drain(|_, n| seen.borrow_mut().push(n));
    assert_eq!(seen.take(), [10]);
}

/// Sends `rounds` messages to the other shard and waits for each answer; returns how many came.
async fn ask(port: Port<u64>, rounds: u64) -> u64 {
    let (port, done, came) = (Rc::new(port), Flag::default(), Rc::new(Cell::new(0)));
    let (asking, answered, count) = (port.clone(), done.clone(), came.clone());
    let listening = monoio::spawn(port.clone().run(move |from, n| {
        assert_eq!((from, n), (1, count.get()));
        count.set(n + 1);
        if n + 1 == rounds {
            answered.raise();
        } else {
            asking.send(from, n + 1).unwrap();
        }
    }));
    port.send(1, 0).unwrap();
    done.raised().await;
    drop(listening);
    came.get()
}

#[test]
fn two_shards_answer_each_other_on_every_driver() {
    for driver in [Driver::Epoll, Driver::detect()] {
        let [a, b] = ports::<u64, 2>(1);
        let rounds = 10_000;
        let answering = executor::spawn(1, None, driver, false, move || async move {
            let (port, done) = (Rc::new(b), Flag::default());
            let (answer, all) = (port.clone(), done.clone());
            monoio::spawn(port.run(move |from, n| {
                answer.send(from, n).unwrap();
                if n + 1 == rounds {
                    all.raise();
                }
            }));
            done.raised().await;
        })
        .unwrap();
        let asking = executor::spawn(0, None, driver, false, move || ask(a, rounds)).unwrap();
        assert_eq!(asking.join().unwrap().unwrap(), rounds);
        answering.join().unwrap().unwrap();
    }
}

#[test]
fn messages_without_end_do_not_keep_a_shard_from_its_ring() {
    for driver in [Driver::Epoll, Driver::detect()] {
        let shard = executor::spawn(1, None, driver, false, || async {
            let [a, b] = ports::<(), 2>(4 * TURN);
            for () in [(); 2 * TURN] {
                a.send(1, ()).unwrap();
            }
            // Each message brings the next: there is always more than a turn's worth.
            monoio::spawn(Rc::new(b).run(move |_, ()| a.send(1, ()).unwrap()));
            // The tick comes through the ring as a socket's bytes do.
            for _ in 0..5 {
                crate::time::next_tick().await;
            }
        });
        shard.unwrap().join().unwrap().unwrap();
    }
}
