//! Shards: one pinned thread per CPU, each running its own monoio executor on a tuned io_uring.
//!
//! The ring flags matter more than anything above them: with COOP_TASKRUN, SINGLE_ISSUER and DEFER_TASKRUN the
//! kernel runs completions only when the shard asks for them, in one batch, without interrupting it. Each is
//! tried and dropped where the kernel refuses it; where io_uring is off altogether the shard runs on epoll.

use std::{
    fmt,
    future::Future,
    io,
    os::fd::{FromRawFd, OwnedFd},
    thread,
};

use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use crate::{cpu, inbox::Readiness, time};

/// Submission queue entries: one executor turn rarely queues more, and a full queue is simply submitted early.
/// 1024 entries keep a ring's memory near 100 KiB, so that several fit a memlock limit of 8 MiB.
const SQ_ENTRIES: u32 = 1024;
/// Completion queue entries: each connection has at most three operations in flight and the kernel buffers an
/// overflow, so this bounds bursts, not connections.
const CQ_ENTRIES: u32 = 8192;

/// The I/O driver a shard runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring with the named optional setup flags.
    IoUring {
        /// IORING_SETUP_COOP_TASKRUN (Linux 5.19).
        coop_taskrun: bool,
        /// IORING_SETUP_SINGLE_ISSUER (Linux 6.0).
        single_issuer: bool,
        /// IORING_SETUP_DEFER_TASKRUN (Linux 6.1; needs SINGLE_ISSUER).
        defer_taskrun: bool,
    },
    /// epoll, where io_uring is unavailable.
    Epoll,
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Driver::IoUring { coop_taskrun, single_issuer, defer_taskrun } = self else {
            return f.write_str("epoll");
        };
        f.write_str("io_uring")?;
        for (on, name) in [
            (coop_taskrun, "COOP_TASKRUN"),
            (single_issuer, "SINGLE_ISSUER"),
            (defer_taskrun, "DEFER_TASKRUN"),
        ] {
            write!(f, " {}{name}", if *on { "+" } else { "-" })?;
        }
        Ok(())
    }
}

impl Driver {
    /// The best driver this kernel allows, found by trying.
    #[must_use]
    pub fn detect() -> Self {
        let candidates =
            [(true, true, true), (true, true, false), (true, false, false), (false, false, false)];
        if monoio::utils::detect_uring() {
            for (coop_taskrun, single_issuer, defer_taskrun) in candidates {
                let driver = Driver::IoUring { coop_taskrun, single_issuer, defer_taskrun };
                if driver.ring().is_some_and(|ring| ring.build(8).is_ok()) {
                    return driver;
                }
            }
        }
        Driver::Epoll
    }

    fn ring(self) -> Option<io_uring::Builder> {
        let Driver::IoUring { coop_taskrun, single_issuer, defer_taskrun } = self else { return None };
        let mut ring = io_uring::IoUring::builder();
        ring.setup_cqsize(CQ_ENTRIES).setup_clamp();
        if coop_taskrun {
            ring.setup_coop_taskrun();
        }
        if single_issuer {
            ring.setup_single_issuer();
        }
        if defer_taskrun {
            ring.setup_defer_taskrun();
        }
        Some(ring)
    }

    /// Runs `main` to its end on this thread, with a tick each [`time::TICK_MS`].
    ///
    /// `fine_timers` adds monoio's own timer wheel (`monoio::time`) for programs that need waits shorter than
    /// a tick; it costs each executor turn a look at the clock.
    ///
    /// # Errors
    /// The error of building the ring, the epoll set or the tick's timer.
    pub fn block_on<F: Future>(self, fine_timers: bool, main: F) -> io::Result<F::Output> {
        let main = async move {
            let ticker = ticker()?;
            let ticking = async move {
                loop {
                    if ticker.wait().await.is_err() {
                        return;
                    }
                    time::tick();
                }
            };
            time::tick();
            monoio::spawn(ticking);
            let output = main.await;
            time::end();
            io::Result::Ok(output)
        };
        match (self.ring(), fine_timers) {
            (Some(ring), false) => RuntimeBuilder::<IoUringDriver>::new()
                .with_entries(SQ_ENTRIES)
                .uring_builder(ring)
                .build()?
                .block_on(main),
            (Some(ring), true) => RuntimeBuilder::<IoUringDriver>::new()
                .with_entries(SQ_ENTRIES)
                .uring_builder(ring)
                .enable_timer()
                .build()?
                .block_on(main),
            (None, false) => RuntimeBuilder::<LegacyDriver>::new().build()?.block_on(main),
            (None, true) => RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?.block_on(main),
        }
    }
}

fn ticker() -> io::Result<Readiness> {
    let every = libc::timespec { tv_sec: 0, tv_nsec: (time::TICK_MS * 1_000_000) as i64 };
    // SAFETY: no pointers; the fd is owned at once. `every` is a valid timespec that the call only reads.
    let fd = unsafe {
        let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = OwnedFd::from_raw_fd(fd);
        let spec = libc::itimerspec { it_interval: every, it_value: every };
        if libc::timerfd_settime(
            std::os::fd::AsRawFd::as_raw_fd(&fd),
            0,
            &raw const spec,
            std::ptr::null_mut(),
        ) != 0
        {
            return Err(io::Error::last_os_error());
        }
        fd
    };
    Readiness::new(fd)
}

/// Starts a shard: a thread named `shard-N`, pinned to `cpu` (unpinned where `None`), with all signals
/// blocked, running `main` on `driver`. A pin that is refused is not an error.
///
/// # Errors
/// The error of starting the thread; the thread itself ends with an error where its driver cannot be built.
pub fn spawn<F, T, R>(
    index: usize,
    cpu: Option<usize>,
    driver: Driver,
    fine_timers: bool,
    main: F,
) -> io::Result<thread::JoinHandle<io::Result<R>>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Future<Output = R>,
    R: Send + 'static,
{
    thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
        block_signals();
        if let Some(cpu) = cpu {
            let _ = cpu::pin(cpu);
        }
        driver.block_on(fine_timers, async move { main().await })
    })
}

/// Signals are for the main thread; one that hits a shard would interrupt its wait for completions.
fn block_signals() {
    // SAFETY: the set is filled before it is used, and lives on this stack.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sleeps_on(driver: Driver) {
        for fine in [false, true] {
            let waited = driver
                .block_on(fine, async {
                    let start = std::time::Instant::now();
                    time::sleep(Duration::from_millis(30)).await;
                    start.elapsed()
                })
                .unwrap();
            assert!(waited >= Duration::from_millis(30) && waited < Duration::from_secs(2), "{waited:?}");
        }
    }

    #[test]
    fn every_driver_ticks() {
        sleeps_on(Driver::Epoll);
        let best = Driver::detect();
        if best != Driver::Epoll {
            sleeps_on(best);
            sleeps_on(Driver::IoUring { coop_taskrun: false, single_issuer: false, defer_taskrun: false });
        }
    }

    #[test]
    fn a_shard_may_end_with_connections_that_wait() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        let main = || async move {
            let (read, write) = crate::stream::adopt(socket).unwrap();
            monoio::spawn(async move {
                time::sleep(Duration::from_secs(60)).await;
                drop((read, write));
            });
            time::next_tick().await;
        };
        spawn(0, None, Driver::detect(), true, main).unwrap().join().unwrap().unwrap();
    }

    #[test]
    fn a_cut_off_wait_returns_none() {
        let cut = Driver::detect()
            .block_on(false, async {
                time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await
            })
            .unwrap();
        assert!(cut.is_none());
    }

    #[test]
    fn messages_cross_threads_and_a_full_mailbox_gives_them_back() {
        let (outbox, inbox) = crate::inbox::inbox::<u32>(2).unwrap();
        assert!(outbox.send(1).is_ok() && outbox.send(2).is_ok());
        assert_eq!(outbox.send(3), Err(3));
        let sender = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            while outbox.send(4).is_err() {}
        });
        let seen = Driver::detect()
            .block_on(false, async {
                let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
                let done = crate::inbox::Flag::default();
                let (sink, flag) = (seen.clone(), done.clone());
                monoio::spawn(inbox.run(move |n| {
                    sink.borrow_mut().push(n);
                    if n == 4 {
                        flag.raise();
                    }
                }));
                done.raised().await;
                seen.take()
            })
            .unwrap();
        assert_eq!(seen, [1, 2, 4]);
        sender.join().unwrap();
    }
}
