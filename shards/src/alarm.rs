//! Waiting for an exact moment: a timerfd on the ring. For load generators and simulators that space their
//! work in microseconds; each wait costs two system calls, so the data path uses [`crate::time`] instead.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Instant,
};

use crate::inbox::Readiness;

/// A timer that one task waits on, exact to what the kernel's high-resolution timers allow (some microseconds).
pub struct Alarm {
    fd: OwnedFd,
    watch: Readiness,
}

impl Alarm {
    /// A timer of this shard, unset.
    ///
    /// # Errors
    /// The error of `timerfd_create(2)` or of registering it.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the returned fd is owned below.
        let fd =
            unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh fd that nothing else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let watch = Readiness::new(fd.try_clone()?)?;
        Ok(Self { fd, watch })
    }

    /// Waits until `at`; where that has passed, for one turn of the executor.
    ///
    /// # Errors
    /// The error of `timerfd_settime(2)` or of the wait.
    pub async fn until(&self, at: Instant) -> io::Result<()> {
        let left = at.saturating_duration_since(Instant::now());
        let once = libc::timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            // Zero would disarm the timer.
            tv_nsec: i64::from(left.subsec_nanos()).max(1),
        };
        let spec = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: once };
        // SAFETY: `spec` is a valid value that the call only reads; no old value is asked for.
        let set =
            unsafe { libc::timerfd_settime(self.fd.as_raw_fd(), 0, &raw const spec, std::ptr::null_mut()) };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
        self.watch.wait().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::Driver;
    use std::time::Duration;

    #[test]
    fn waits_are_far_finer_than_a_tick_and_never_early() {
        for driver in [Driver::Epoll, Driver::detect()] {
            let late = driver
                .block_on(false, async {
                    let alarm = Alarm::new().unwrap();
                    let mut late: Vec<_> = Vec::new();
                    for _ in 0..20 {
                        let at = Instant::now() + Duration::from_micros(300);
                        alarm.until(at).await.unwrap();
                        assert!(Instant::now() >= at);
                        late.push(at.elapsed());
                    }
                    late.sort();
                    alarm.until(Instant::now()).await.unwrap();
                    late[10]
                })
                .unwrap();
            assert!(late < Duration::from_millis(5), "{late:?}");
        }
    }
}
