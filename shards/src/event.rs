//! An eventfd: a counter that any thread raises and that a ring, epoll or poll(2) can wait on.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// A non-blocking eventfd.
pub(crate) struct Event {
    fd: OwnedFd,
}

impl Event {
    /// An event that is not signalled. Fails with the error of `eventfd(2)`.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the returned fd is owned below.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh fd that nothing else owns.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Makes it readable.
    pub(crate) fn signal(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes, an open eventfd. The write can only fail where the counter is at its
        // maximum, and then it is readable already.
        unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes it unreadable until the next signal.
    #[cfg(not(loom))]
    pub(crate) fn reset(&self) {
        reset(&self.fd);
    }

    /// Another fd of the same event, to be waited on by an executor that owns what it waits on.
    pub(crate) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

impl AsRawFd for Event {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Takes the count out of a non-blocking counter fd: an eventfd or a timerfd.
pub(crate) fn reset(fd: &impl AsRawFd) {
    let mut count = [0u8; 8];
    // SAFETY: eight writable bytes; the fd is non-blocking, and one that counts nothing is left as it is.
    unsafe { libc::read(fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
}
