//! The byte buffer that travels between our code and the ring.
//!
//! An io_uring operation owns its buffer until it completes, so buffers move into an operation and come back.
//! A [`Buf`] reads (receives) into its spare capacity and writes (sends) its unread part, which lets one
//! buffer serve as receive buffer, parse buffer and send buffer without a copy.
//!
//! Freed buffers of the common sizes go to a small free list of the thread that drops them: a shard is one
//! thread, so this is the per-shard pool and needs no lock.

use std::{cell::RefCell, ops::Deref};

/// Capacity of the buffer an idle client connection keeps posted: a typical head plus a short body fits, and
/// ten thousand idle connections cost 10 MiB.
pub const SMALL_BYTES: usize = 1024;
/// Capacity of working buffers: one fits a TLS record (16 KiB) or a burst of stream events.
pub const LARGE_BYTES: usize = 16 * 1024;
/// Free buffers kept per size and thread; beyond this they go back to the allocator.
const KEPT: usize = 256;

struct Free {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
}

thread_local! {
    static FREE: RefCell<Free> = const { RefCell::new(Free { small: Vec::new(), large: Vec::new() }) };
}

/// A growable byte buffer with a read position.
#[derive(Default)]
pub struct Buf {
    bytes: Vec<u8>,
    read: usize,
}

impl Buf {
    /// An empty buffer that does not allocate.
    #[must_use]
    pub const fn empty() -> Self {
        Self { bytes: Vec::new(), read: 0 }
    }

    /// An empty buffer with at least `capacity` bytes of room, from this thread's pool where it has one.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let pooled = FREE
            .try_with(|free| {
                let mut free = free.borrow_mut();
                match capacity {
                    0 => None,
                    1..=SMALL_BYTES => free.small.pop(),
                    _ if capacity <= LARGE_BYTES => free.large.pop(),
                    _ => None,
                }
            })
            .ok()
            .flatten();
        let bytes = pooled.unwrap_or_else(|| {
            Vec::with_capacity(match capacity {
                0 => 0,
                1..=SMALL_BYTES => SMALL_BYTES,
                _ if capacity <= LARGE_BYTES => LARGE_BYTES,
                _ => capacity,
            })
        });
        Self { bytes, read: 0 }
    }

    /// Bytes not yet consumed.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.read..).unwrap_or_default()
    }

    /// Bytes not yet consumed, mutable.
    pub fn unread_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.read..).unwrap_or_default()
    }

    /// Marks the next `n` unread bytes as consumed; resets to the start once all are.
    pub fn consume(&mut self, n: usize) {
        self.read = (self.read + n).min(self.bytes.len());
        if self.read == self.bytes.len() {
            self.clear();
        }
    }

    /// Drops all content, keeping the capacity.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.read = 0;
    }

    /// Keeps only the first `n` unread bytes.
    pub fn truncate(&mut self, n: usize) {
        self.bytes.truncate(self.read + n);
    }

    /// Whether nothing is left to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unread().is_empty()
    }

    /// Number of unread bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.read
    }

    /// Room left for receiving without growing.
    #[must_use]
    pub fn spare(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Makes room for `n` more bytes, first by moving the unread bytes to the front, then by growing.
    pub fn reserve(&mut self, n: usize) {
        if self.spare() >= n {
            return;
        }
        if self.read > 0 {
            let unread = self.read..self.bytes.len();
            let len = unread.len();
            self.bytes.copy_within(unread, 0);
            self.bytes.truncate(len);
            self.read = 0;
        }
        self.bytes.reserve(n);
    }

    /// Appends `bytes`.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The underlying vector, for writers that append. Its content starts with consumed bytes when
    /// [`Buf::consume`] has been called since the last [`Buf::clear`].
    pub fn vec_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Deref for Buf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.unread()
    }
}

impl From<Vec<u8>> for Buf {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, read: 0 }
    }
}

impl std::fmt::Debug for Buf {
    /// Lengths only: buffers hold prompts, answers and keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buf({} unread, {} spare)", self.len(), self.spare())
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        let capacity = self.bytes.capacity();
        if capacity != SMALL_BYTES && capacity != LARGE_BYTES {
            return;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            let list = if capacity == SMALL_BYTES { &mut free.small } else { &mut free.large };
            if list.len() < KEPT {
                list.push(bytes);
            }
        });
    }
}

// SAFETY: the pointer is that of a heap allocation which does not move when the `Buf` does, and
// `bytes_init` bytes from it are initialised (they are the unread part of the vector).
unsafe impl monoio::buf::IoBuf for Buf {
    fn read_ptr(&self) -> *const u8 {
        self.unread().as_ptr()
    }
    fn bytes_init(&self) -> usize {
        self.len()
    }
}

// SAFETY: the pointer addresses the vector's spare capacity, `bytes_total` bytes long, on the heap; the
// runtime calls `set_init` with the number of bytes the kernel wrote there.
unsafe impl monoio::buf::IoBufMut for Buf {
    fn write_ptr(&mut self) -> *mut u8 {
        self.bytes.spare_capacity_mut().as_mut_ptr().cast()
    }
    fn bytes_total(&mut self) -> usize {
        self.spare()
    }
    unsafe fn set_init(&mut self, n: usize) {
        // SAFETY: the caller promises that `n` bytes of the spare capacity are initialised.
        unsafe { self.bytes.set_len(self.bytes.len() + n) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monoio::buf::{IoBuf, IoBufMut};

    #[test]
    fn receives_append_and_sends_start_at_the_read_position() {
        let mut buf = Buf::with_capacity(10);
        buf.put(b"hello");
        // SAFETY: the three bytes are written just before they are declared initialised.
        unsafe {
            buf.write_ptr().copy_from(b" io".as_ptr(), 3);
            buf.set_init(3);
        }
        assert_eq!(buf.unread(), b"hello io");
        buf.consume(6);
        assert_eq!((buf.bytes_init(), &*buf), (2, &b"io"[..]));
        buf.consume(9);
        assert!(buf.is_empty());
        assert_eq!(buf.spare(), SMALL_BYTES, "a drained buffer has its whole capacity again");
    }

    #[test]
    fn reserve_reuses_consumed_room_before_it_grows() {
        let mut buf = Buf::with_capacity(SMALL_BYTES);
        buf.put(&[7; SMALL_BYTES]);
        buf.consume(SMALL_BYTES - 4);
        buf.reserve(100);
        assert_eq!(buf.unread(), [7; 4]);
        assert_eq!(buf.spare(), SMALL_BYTES - 4);
        buf.reserve(SMALL_BYTES * 4);
        assert!(buf.spare() >= SMALL_BYTES * 4);
        assert_eq!(buf.unread(), [7; 4]);
    }

    #[test]
    fn debug_never_shows_content() {
        let mut buf = Buf::empty();
        buf.put(b"sk-secret");
        assert!(!format!("{buf:?}").contains("secret"));
    }
}
