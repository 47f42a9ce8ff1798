//! [`Ring`]: a queue of bytes whose free room and whose contents are one slice each; [`SharedRing`]: one
//! between processes.
//!
//! The same pages are mapped twice, side by side, so that what wraps around the end is contiguous. Each byte
//! thus has two addresses, of which no two slices that live at once may hold both. They do not: `head` and
//! `tail` count the bytes ever written and read, `head - tail <= capacity`; the producer alone moves `head`
//! and borrows `[head, tail + capacity)`, the consumer alone moves `tail` and borrows `[tail, head)`, each
//! no more than `capacity` bytes. Who sees the other's count late borrows less. A count is stored (Release)
//! when the slice before it has ended and loaded (Acquire) before the next one begins: so the compiler, to
//! which the two addresses are different memory, cannot move an access of one across to the other's turn.
//!
//! No lock; waiting is a futex. The memory of a [`Ring`] is absent in the child of a fork (SIGSEGV), as two
//! processes would be its producer.
#![allow(unsafe_code)]

mod bell;
mod end;
mod shared;
#[cfg(test)]
mod tests;
mod twice;

pub use shared::{SharedConsumer, SharedProducer, SharedRing};

use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::operation::Operation;
use bell::Bell;
use neap_os::env::page_size;
use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, memfd_create};
use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use twice::Twice;

/// A cache line, or two that the processor fetches together, for itself.
#[repr(align(128))]
struct Line<T>(T);

/// An unnamed file of `len` bytes, all of which are there.
fn memory(len: usize) -> Result<OwnedFd, Error> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd =
        memfd_create("neap-ring", flags).map_err(|errno| diagnosis::of_rustix(Operation::Create, errno))?;
    fallocate(&fd, FallocateFlags::empty(), 0, len as u64)
        .map_err(|errno| diagnosis::of_rustix(Operation::Allocate, errno).at(0, len as u64))?;
    Ok(fd)
}

/// `bytes` as a ring's length: whole pages, and twice that in memory.
fn whole_pages(bytes: usize) -> Result<usize, Error> {
    let refused = |kind| Error::found(Operation::Create, kind).at(0, bytes as u64);
    match bytes.checked_next_multiple_of(page_size()) {
        Some(0) => Err(refused(Kind::Invalid)),
        Some(capacity) if capacity <= isize::MAX as usize / 4 => Ok(capacity),
        _ => Err(refused(Kind::TooLarge)),
    }
}

fn of_error(error: Error) -> io::Error {
    let kind = match error.kind() {
        Kind::Closed | Kind::PeerDied => io::ErrorKind::BrokenPipe,
        Kind::WouldBlock => io::ErrorKind::WouldBlock,
        Kind::TimedOut => io::ErrorKind::TimedOut,
        Kind::Protocol => io::ErrorKind::InvalidData,
        _ => return error.into(),
    };
    io::Error::new(kind, error)
}

/// What the two ends share.
struct Shared {
    memory: Twice,
    /// Bytes ever committed.
    head: Line<AtomicUsize>,
    /// Bytes ever consumed.
    tail: Line<AtomicUsize>,
    /// Rung when bytes have come, or will never come again.
    data: Line<Bell>,
    /// Rung when room has come, or nobody will make any.
    room: Line<Bell>,
    is_producer_gone: AtomicBool,
    is_consumer_gone: AtomicBool,
}

/// A queue of bytes between two threads, without a copy: the producer fills the free room in place, the
/// consumer looks at the contents in place, each as one slice.
///
/// ```
/// use neap_map::Ring;
/// let (mut producer, mut consumer) = Ring::new(4096)?.split();
/// let thread = std::thread::spawn(move || {
///     for number in 0..100_000u32 {
///         let room = producer.wait_writable(4).unwrap();
///         room[..4].copy_from_slice(&number.to_le_bytes());
///         producer.commit(4);
///     }
/// }); // the end is dropped: the consumer sees the end of the data
/// let mut sum = 0u64;
/// while let Some(bytes) = consumer.wait_readable(4)?.first_chunk() {
///     sum += u64::from(u32::from_le_bytes(*bytes));
///     consumer.consume(4);
/// }
/// assert_eq!(sum, 99_999 * 100_000 / 2);
/// # thread.join().unwrap();
/// # Ok::<(), neap_map::Error>(())
/// ```
pub struct Ring(Arc<Shared>);

impl Ring {
    /// A ring of `capacity` bytes, rounded up to pages; any number of pages will do.
    ///
    /// # Errors
    /// [`Kind::Invalid`] (0), [`Kind::TooLarge`], [`Kind::TooManyFiles`], [`Kind::OutOfMemory`],
    /// [`Kind::StorageFull`], [`Kind::AddressSpaceLimit`] (twice the capacity), [`Kind::MapCountExhausted`].
    pub fn new(capacity: usize) -> Result<Ring, Error> {
        let capacity = whole_pages(capacity)?;
        let memory = Twice::map(memory(capacity)?.as_fd(), 0, capacity)?;
        memory.leave_out_of_forks()?;
        Ok(Ring(Arc::new(Shared {
            memory,
            head: Line(AtomicUsize::new(0)),
            tail: Line(AtomicUsize::new(0)),
            data: Line(Bell::new()),
            room: Line(Bell::new()),
            is_producer_gone: AtomicBool::new(false),
            is_consumer_gone: AtomicBool::new(false),
        })))
    }

    /// How many bytes it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.memory.capacity()
    }

    /// Its two ends: there is one of each.
    #[must_use]
    pub fn split(self) -> (Producer, Consumer) {
        let producer = Producer {
            shared: Arc::clone(&self.0),
            head: 0,
            at: 0,
            granted: 0,
        };
        let consumer = Consumer {
            shared: self.0,
            tail: 0,
            at: 0,
            granted: 0,
        };
        (producer, consumer)
    }
}

/// The end that fills a [`Ring`]. Dropping it tells the consumer that no more will come.
pub struct Producer {
    shared: Arc<Shared>,
    /// The value of `shared.head`, which only this end stores.
    head: usize,
    /// `head` modulo the capacity.
    at: usize,
    /// Bytes from `head` on that were free when it last looked, and so still are.
    granted: usize,
}

impl Producer {
    fn look(&mut self) {
        let capacity = self.shared.memory.capacity();
        let held = self.head.wrapping_sub(self.shared.tail.0.load(Ordering::Acquire));
        assert!(held <= capacity, "the consumer is ahead of the producer");
        self.granted = capacity - held;
    }

    /// All free room, in one piece. Holds what was there before.
    #[must_use]
    pub fn writable(&mut self) -> &mut [u8] {
        self.look();
        // SAFETY: `at` is less than the capacity and `granted` not more, so the bytes lie in the double
        // mapping. The consumer borrows none of them before `commit` (see the module), and this borrow of
        // the only producer ends before that. They are read and written by this process alone: its
        // descriptor is closed, and a child of a fork has no such mapping.
        unsafe { slice::from_raw_parts_mut(self.shared.memory.at(self.at), self.granted) }
    }

    /// Waits until `at_least` bytes are free, and lends all that are.
    ///
    /// # Errors
    /// [`Kind::Capacity`]: there never will be. [`Kind::Closed`]: the consumer is gone.
    pub fn wait_writable(&mut self, at_least: usize) -> Result<&mut [u8], Error> {
        let shared = &*self.shared;
        let capacity = shared.memory.capacity();
        let refused = |kind| Error::found(Operation::Write, kind).at(0, at_least as u64);
        if at_least > capacity {
            return Err(refused(Kind::Capacity));
        }
        let is_gone = || shared.is_consumer_gone.load(Ordering::Acquire);
        let is_free = || capacity - self.head.wrapping_sub(shared.tail.0.load(Ordering::Acquire)) >= at_least;
        while !is_gone() && !is_free() {
            shared.room.0.wait(|| is_free() || is_gone());
        }
        if is_gone() {
            return Err(refused(Kind::Closed));
        }
        Ok(self.writable())
    }

    /// Hands the first `len` bytes of the room to the consumer.
    ///
    /// # Panics
    /// If the slice that was lent last had fewer.
    pub fn commit(&mut self, len: usize) {
        assert!(len <= self.granted, "{len} bytes committed of {}", self.granted);
        self.granted -= len;
        self.head = self.head.wrapping_add(len);
        self.at = self.shared.memory.wrap(self.at + len);
        self.shared.head.0.store(self.head, Ordering::Release);
        self.shared.data.0.ring();
    }

    /// Whether the consumer is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_consumer_gone.load(Ordering::Acquire)
    }

    /// How many bytes the ring can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.memory.capacity()
    }
}

/// Waits for room. Without a consumer it is `BrokenPipe`.
impl Write for Producer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let room = self.wait_writable(1).map_err(of_error)?;
        let len = room.len().min(bytes.len());
        room[..len].copy_from_slice(&bytes[..len]);
        self.commit(len);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.is_producer_gone.store(true, Ordering::Release);
        self.shared.data.0.ring();
    }
}

/// The end that empties a [`Ring`]. Dropping it tells the producer that nobody reads.
pub struct Consumer {
    shared: Arc<Shared>,
    /// The value of `shared.tail`, which only this end stores.
    tail: usize,
    /// `tail` modulo the capacity.
    at: usize,
    /// Bytes from `tail` on that were there when it last looked, and so still are.
    granted: usize,
}

impl Consumer {
    /// All contents, in one piece.
    #[must_use]
    pub fn readable(&mut self) -> &[u8] {
        let held = self.shared.head.0.load(Ordering::Acquire).wrapping_sub(self.tail);
        assert!(
            held <= self.shared.memory.capacity(),
            "the producer is too far ahead"
        );
        self.granted = held;
        // SAFETY: `at` is less than the capacity and `granted` not more, so the bytes lie in the double
        // mapping. The producer has committed them, and borrows none of them before `consume` (see the
        // module), which the borrow of the only consumer excludes. No other process maps them.
        unsafe { slice::from_raw_parts(self.shared.memory.at(self.at), self.granted) }
    }

    /// Waits until there are `at_least` bytes, and lends all. Fewer, also none, are the last ones: the
    /// producer is gone.
    ///
    /// # Errors
    /// [`Kind::Capacity`]: there never will be so many.
    pub fn wait_readable(&mut self, at_least: usize) -> Result<&[u8], Error> {
        let shared = &*self.shared;
        if at_least > shared.memory.capacity() {
            return Err(Error::found(Operation::Read, Kind::Capacity).at(0, at_least as u64));
        }
        let is_gone = || shared.is_producer_gone.load(Ordering::Acquire);
        let is_there = || shared.head.0.load(Ordering::Acquire).wrapping_sub(self.tail) >= at_least;
        while !is_there() && !is_gone() {
            shared.data.0.wait(|| is_there() || is_gone());
        }
        Ok(self.readable())
    }

    /// Gives the first `len` bytes' room back to the producer.
    ///
    /// # Panics
    /// If the slice that was lent last had fewer.
    pub fn consume(&mut self, len: usize) {
        assert!(len <= self.granted, "{len} bytes consumed of {}", self.granted);
        self.granted -= len;
        self.tail = self.tail.wrapping_add(len);
        self.at = self.shared.memory.wrap(self.at + len);
        self.shared.tail.0.store(self.tail, Ordering::Release);
        self.shared.room.0.ring();
    }

    /// Whether the producer is gone. What it left may still be there.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_producer_gone.load(Ordering::Acquire)
    }

    /// How many bytes the ring can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.memory.capacity()
    }
}

/// Waits for bytes; 0 of them is the end.
impl Read for Consumer {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        let bytes = self.wait_readable(1).map_err(of_error)?;
        let len = bytes.len().min(to.len());
        to[..len].copy_from_slice(&bytes[..len]);
        self.consume(len);
        Ok(len)
    }
}

impl BufRead for Consumer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.wait_readable(1).map_err(of_error)
    }

    fn consume(&mut self, len: usize) {
        Consumer::consume(self, len);
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.is_consumer_gone.store(true, Ordering::Release);
        self.shared.room.0.ring();
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({} bytes)", self.capacity())
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Producer({} bytes written)", self.head)
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Consumer({} bytes read)", self.tail)
    }
}
