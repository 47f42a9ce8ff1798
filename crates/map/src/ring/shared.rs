//! [`SharedRing`]: a queue of bytes between two processes that need not trust each other.
//!
//! Each end keeps its own count to itself, and believes the other's only if it is possible: one that goes
//! back, or further than the ring is long, is [`Kind::Protocol`]. Bytes are copied. What a hostile peer can
//! do is send rubbish, or nothing. A wait looks after its peer ten times a second, so a peer that dies, or
//! never rings, is noticed. No lock; the child of a fork must not use its parent's end.

use super::end::{self, End, Peer, Side};
use super::of_error;
use crate::error::{Error, Kind};
use crate::operation::Operation;
use neap_os::futex::Deadline;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The descriptor of a ring between two processes. Pass it to the other one (by a socket, or by a fork) and
/// take one end in each.
///
/// ```
/// use neap_map::SharedRing;
/// use std::io::{Read, Write};
/// let ring = SharedRing::create(64 << 10)?;
/// let other = SharedRing::open(&ring)?; // in the other process, of the descriptor that it got
/// let mut producer = ring.producer()?;
/// let mut consumer = other.consumer()?;
/// producer.write_all(b"across")?;
/// drop(producer);
/// let mut text = String::new();
/// consumer.read_to_string(&mut text)?;
/// assert_eq!(text, "across");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedRing(OwnedFd);

impl SharedRing {
    /// Makes a ring of `capacity` bytes, rounded up to pages, in a memfd of its own.
    ///
    /// # Errors
    /// [`Kind::Invalid`] (0), [`Kind::TooLarge`], [`Kind::TooManyFiles`], [`Kind::StorageFull`] and those of
    /// memory.
    pub fn create(capacity: usize) -> Result<SharedRing, Error> {
        end::create(capacity).map(SharedRing)
    }

    /// A ring that another process has made. The descriptor is duplicated.
    ///
    /// # Errors
    /// [`Kind::Foreign`]: not a ring, or one that could be cut short; [`Kind::TooManyFiles`].
    pub fn open(file: &impl AsFd) -> Result<SharedRing, Error> {
        end::inspect(file.as_fd())?;
        let fd = file.as_fd().try_clone_to_owned();
        fd.map(SharedRing)
            .map_err(|_| Error::found(Operation::Open, Kind::TooManyFiles))
    }

    /// The end that writes. After a producer that died another may go on where it was.
    ///
    /// # Errors
    /// [`Kind::Busy`]: some process has it. [`Kind::Protocol`]: the ring's counts are impossible.
    /// [`Kind::NotFound`]: there is no /proc. Those of mapping.
    pub fn producer(&self) -> Result<SharedProducer, Error> {
        let end = End::attach(self.0.as_fd(), Side::Producer)?;
        let (head, tail) = end.counts()?;
        Ok(SharedProducer {
            end,
            head,
            tail,
            timeout: None,
        })
    }

    /// The end that reads. After a consumer that died another may go on where it was.
    ///
    /// # Errors
    /// As [`SharedRing::producer`].
    pub fn consumer(&self) -> Result<SharedConsumer, Error> {
        let end = End::attach(self.0.as_fd(), Side::Consumer)?;
        let (head, tail) = end.counts()?;
        Ok(SharedConsumer {
            end,
            head,
            tail,
            timeout: None,
        })
    }
}

impl AsFd for SharedRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// When to look again whether the peer lives, and when to give up.
struct Patience {
    end: Option<Deadline>,
}

impl Patience {
    fn new(timeout: Option<Duration>) -> Patience {
        Patience {
            end: timeout.map(Deadline::after),
        }
    }

    fn next_look(&self) -> Deadline {
        const EVERY: Duration = Duration::from_millis(100);
        let look = Deadline::after(EVERY);
        self.end.map_or(look, |end| end.min(look))
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end <= Deadline::after(Duration::ZERO))
    }
}

/// The end of a [`SharedRing`] that writes. Dropping it says that no more will come.
pub struct SharedProducer {
    end: End,
    head: u64,
    /// The consumer's count when it was last looked at.
    tail: u64,
    timeout: Option<Duration>,
}

impl SharedProducer {
    /// How long a write waits for room: for ever at first.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// How many bytes the ring can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.end.capacity()
    }

    /// The free room, in bytes.
    ///
    /// # Errors
    /// [`Kind::Protocol`].
    pub fn room(&mut self) -> Result<usize, Error> {
        let tail = self.end.header().tail.0.load(Ordering::Acquire);
        if tail < self.tail {
            return Err(self.refused(Kind::Protocol));
        }
        let held = self.end.held(self.head, tail)?;
        self.tail = tail;
        Ok(self.end.capacity() - held)
    }

    /// Writes as many of `bytes` as there is room for now, and says how many.
    ///
    /// # Errors
    /// [`Kind::WouldBlock`]: the ring is full. [`Kind::Closed`]: the consumer is gone. [`Kind::Protocol`].
    pub fn try_write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if self.end.is_peer_closed() {
            return Err(self.refused(Kind::Closed));
        }
        let len = self.room()?.min(bytes.len());
        if len == 0 && !bytes.is_empty() {
            return Err(self.refused(Kind::WouldBlock));
        }
        self.end.put(self.head, &bytes[..len])?;
        self.head += len as u64;
        self.end.header().head.0.store(self.head, Ordering::Release);
        self.end.header().data.0.ring_shared();
        Ok(len)
    }

    /// The same, after waiting for room.
    ///
    /// # Errors
    /// [`Kind::TimedOut`]; [`Kind::PeerDied`]; else as [`SharedProducer::try_write`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let patience = Patience::new(self.timeout);
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == Kind::WouldBlock => {}
                outcome => return outcome,
            }
            if patience.is_over() {
                return Err(self.refused(Kind::TimedOut));
            }
            let (header, full) = (self.end.header(), self.tail);
            let is_true = || header.tail.0.load(Ordering::Acquire) != full || self.end.is_peer_closed();
            header.room.0.wait_shared(patience.next_look(), is_true);
            if !is_true() && self.end.peer()? == Peer::Died {
                return Err(self.refused(Kind::PeerDied));
            }
        }
    }

    fn refused(&self, kind: Kind) -> Error {
        Error::found(Operation::Write, kind)
    }
}

/// Waits for room. Without a consumer it is `BrokenPipe`.
impl Write for SharedProducer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SharedProducer::write(self, bytes).map_err(of_error)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The end of a [`SharedRing`] that reads. Dropping it says that nobody does.
pub struct SharedConsumer {
    end: End,
    tail: u64,
    /// The producer's count when it was last looked at.
    head: u64,
    timeout: Option<Duration>,
}

impl SharedConsumer {
    /// How long a read waits for bytes: for ever at first.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// How many bytes the ring can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.end.capacity()
    }

    /// How many bytes there are.
    ///
    /// # Errors
    /// [`Kind::Protocol`].
    pub fn available(&mut self) -> Result<usize, Error> {
        let head = self.end.header().head.0.load(Ordering::Acquire);
        if head < self.head {
            return Err(self.refused(Kind::Protocol));
        }
        let held = self.end.held(head, self.tail)?;
        self.head = head;
        Ok(held)
    }

    /// Reads as many bytes as there are now and `to` takes, and says how many: 0 if there are no more to
    /// come (or `to` is empty).
    ///
    /// # Errors
    /// [`Kind::WouldBlock`]: there are none yet. [`Kind::Protocol`].
    pub fn try_read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        // In this order: what was written before it was closed is there when it is.
        let is_closed = self.end.is_peer_closed();
        let len = self.available()?.min(to.len());
        if len == 0 {
            let is_end = is_closed || to.is_empty();
            return if is_end {
                Ok(0)
            } else {
                Err(self.refused(Kind::WouldBlock))
            };
        }
        self.end.get(self.tail, &mut to[..len])?;
        self.tail += len as u64;
        self.end.header().tail.0.store(self.tail, Ordering::Release);
        self.end.header().room.0.ring_shared();
        Ok(len)
    }

    /// The same, after waiting for bytes.
    ///
    /// # Errors
    /// [`Kind::TimedOut`]; [`Kind::PeerDied`], once what it left has been read; [`Kind::Protocol`].
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        let patience = Patience::new(self.timeout);
        loop {
            match self.try_read(to) {
                Err(error) if error.kind() == Kind::WouldBlock => {}
                outcome => return outcome,
            }
            if patience.is_over() {
                return Err(self.refused(Kind::TimedOut));
            }
            let (header, empty) = (self.end.header(), self.head);
            let is_true = || header.head.0.load(Ordering::Acquire) != empty || self.end.is_peer_closed();
            header.data.0.wait_shared(patience.next_look(), is_true);
            if !is_true() && self.end.peer()? == Peer::Died && !is_true() {
                return Err(self.refused(Kind::PeerDied));
            }
        }
    }

    fn refused(&self, kind: Kind) -> Error {
        Error::found(Operation::Read, kind)
    }
}

/// Waits for bytes; 0 of them is the end.
impl Read for SharedConsumer {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        SharedConsumer::read(self, to).map_err(of_error)
    }
}

impl fmt::Debug for SharedRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedRing({:?})", self.0)
    }
}

impl fmt::Debug for SharedProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedProducer({} bytes written)", self.head)
    }
}

impl fmt::Debug for SharedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedConsumer({} bytes read)", self.tail)
    }
}
