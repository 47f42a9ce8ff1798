//! [`Growable`]: a file and a map that grow together; [`Arena`]: memory that does, without a file.
//!
//! The whole capacity is mapped once, past the end of the file: growing moves the file's end only, so it
//! makes no mapping that could be refused half way, disturbs no reader, and takes `&self`. The map costs
//! address space and nothing else; bytes behind [`Growable::len`] are never touched by a reader, and a file
//! that somebody else cuts short is an error of the copy, not SIGBUS.
//!
//! Invariants: the published length only grows while the value is shared (but for [`Growable::refresh`] of a
//! file that was cut short), and is stored after the bytes before it. What the file has behind it is zeros.
//! The lock is held by growth and appends, never by readers and writers. After a fork the child's value
//! knows nothing of the parent's growth before a refresh, and a lock that another thread held stays held.
#![allow(unsafe_code)]

mod arena;
#[cfg(test)]
mod tests;

pub use arena::Arena;

use crate::allocation::{Allocation, lengthen};
use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::file::FileMap;
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{CopyOut, Volatile, VolatileMut};
use neap_os::env::page_size;
use neap_os::mapping::Move;
use neap_os::sync::{Others, Writeback, sync};
use rustix::fs::{fstat, ftruncate};
use std::fmt;
use std::ops::RangeBounds;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How far [`Growable::append`] lengthens the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Room {
    /// To twice the length, at most 64 MiB ahead: an append is a copy. The file is longer than what was
    /// appended, by zeros, until [`Growable::trim`] or the drop; after a kill it stays so.
    #[default]
    Ahead,
    /// Not at all: each append is one write(2), which moves the file's end behind bytes that are there.
    /// Whoever looks at the file, in any process and after a kill, sees nothing but appended bytes.
    Exact,
}

/// How a [`Growable`] grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Growth {
    /// The disk's part: whether growth takes the space at once.
    pub storage: Allocation,
    /// The append's part.
    pub room: Room,
}

/// A file, mapped at an address that stays, which grows under `&self` while others read and write.
///
/// One process grows the file; others that have it open follow by [`Growable::refresh`].
///
/// ```
/// use neap_map::Growable;
/// let file = tempfile::tempfile()?;
/// let log = Growable::open(&file, 1 << 30)?; // may become 1 GiB, is empty
/// std::thread::scope(|s| {
///     for word in [b"one ", b"two "] {
///         s.spawn(|| log.append(word).unwrap());
///     }
/// });
/// assert_eq!(log.len(), 8);
/// let mut last = [0; 4];
/// log.read_at(4, &mut last)?;
/// assert!(&last == b"one " || &last == b"two ");
/// log.flush(..)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Growable<V: CopyOut = VolatileMut> {
    /// The capacity, most of it behind the end of the file.
    map: Map<V>,
    file: OwnedFd,
    growth: Growth,
    /// The process that may cut off what it made room for; `None` for a reader.
    owner: Option<u32>,
    /// The bytes that may be read.
    len: AtomicUsize,
    /// The file's length, as far as this process knows; not less than `len`. Held by who changes either.
    end: Mutex<usize>,
}

fn file_len(file: BorrowedFd) -> Result<usize, Error> {
    let stat = fstat(file).map_err(|errno| diagnosis::of_rustix(Operation::Stat, errno))?;
    Ok(usize::try_from(stat.st_size).unwrap_or(0))
}

impl Growable {
    /// Maps `capacity` bytes of the file, of which it may have fewer; space is allocated as it grows. The
    /// descriptor is duplicated and must be open for reading and writing.
    ///
    /// # Errors
    /// [`Kind::Capacity`]: the file is longer. Otherwise as for a writable [`FileMap`];
    /// [`Kind::AddressSpaceLimit`] counts the whole capacity.
    pub fn open(file: &impl AsFd, capacity: usize) -> Result<Growable, Error> {
        Growable::open_with(file, capacity, Growth::default())
    }

    /// The same, growing as `growth` says.
    ///
    /// # Errors
    /// As [`Growable::open`].
    pub fn open_with(file: &impl AsFd, capacity: usize, growth: Growth) -> Result<Growable, Error> {
        let map = FileMap::of(file).writable().range(..capacity as u64).map()?;
        Growable::over(map, file, growth, Some(std::process::id()))
    }

    /// Makes the length at least `len`; the new bytes are zeros.
    ///
    /// # Errors
    /// [`Kind::Capacity`]; [`Kind::StorageFull`], [`Kind::TooLarge`] (`RLIMIT_FSIZE`, with SIGXFSZ ignored),
    /// [`Kind::NotPermitted`] (a memfd sealed against growing), [`Kind::Unsupported`] (no `fallocate` on this
    /// file system: take [`Allocation::Sparse`]). The length is then as it was.
    pub fn grow_to(&self, len: usize) -> Result<(), Error> {
        let mut end = self.lock();
        let now = self.len();
        if len <= now {
            return Ok(());
        }
        self.check(now, len - now)?;
        self.extend(&mut end, len)?;
        self.len.store(len, Ordering::Release);
        Ok(())
    }

    /// Makes the file longer than its published length by `more` bytes at least, so that as many can be
    /// appended without asking the file system. [`Room::Exact`] does not profit.
    ///
    /// # Errors
    /// As [`Growable::grow_to`].
    pub fn reserve(&self, more: usize) -> Result<(), Error> {
        let mut end = self.lock();
        let until = self.check(self.len(), more)?;
        self.extend(&mut end, until)
    }

    /// Adds `bytes` behind the last one, and says where they are. A reader sees all of them or none; appends
    /// of several threads follow each other in some order.
    ///
    /// # Errors
    /// As [`Growable::grow_to`]; the length is then as it was.
    pub fn append(&self, bytes: &[u8]) -> Result<usize, Error> {
        let mut end = self.lock();
        let start = self.len();
        let until = self.check(start, bytes.len())?;
        let done = if until > *end && self.growth.room == Room::Exact {
            self.write_behind(start, bytes)
        } else {
            self.extend_ahead(&mut end, start, until)
                .and_then(|()| self.map.write_at(start, bytes))
        };
        if let Err(error) = done {
            // What the file got of them must not show up as zeros that it has not.
            if ftruncate(&self.file, start as u64).is_ok() {
                *end = start;
            }
            return Err(error);
        }
        *end = until.max(*end);
        self.len.store(until, Ordering::Release);
        Ok(start)
    }

    /// Copies `from` over published bytes from `offset` on. Others may write meanwhile.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`] behind [`Growable::len`]; else as [`Map::write_at`].
    pub fn write_at(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        self.published(Operation::Write, offset, from.len())?;
        self.map.write_at(offset, from)
    }

    /// Cuts the file to `len` bytes, if it is longer.
    ///
    /// # Errors
    /// Those of ftruncate(2); nothing has changed then.
    pub fn truncate(&mut self, len: usize) -> Result<(), Error> {
        if len >= self.len() {
            return Ok(());
        }
        self.set_file_len(len)?;
        *self.lock() = len;
        self.len.store(len, Ordering::Release);
        Ok(())
    }

    /// Gives the file the length that was published: cuts off the room that [`Room::Ahead`] made. Does
    /// nothing if somebody else has changed the file's length since.
    ///
    /// # Errors
    /// Those of fstat(2) and ftruncate(2).
    pub fn trim(&self) -> Result<(), Error> {
        let mut end = self.lock();
        let len = self.len();
        if *end > len && file_len(self.file.as_fd())? == *end {
            self.set_file_len(len)?;
            *end = len;
        }
        Ok(())
    }

    /// Writes published bytes to the disk and waits for it. Blocks. A flush is not atomic: after a crash of
    /// the machine before it returns, any of the bytes may be old.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`], [`Kind::Io`], [`Kind::StorageFull`].
    pub fn flush(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        let bytes = self.map.area().bytes(Operation::Flush, &range)?;
        let unbounded = matches!(range.end_bound(), std::ops::Bound::Unbounded);
        let end = if unbounded {
            self.len().max(bytes.start)
        } else {
            bytes.end
        };
        self.published(Operation::Flush, bytes.start, end - bytes.start)?;
        let pages = self.map.covering(Operation::Flush, &(bytes.start..end))?;
        if pages.is_empty() {
            return Ok(());
        }
        sync(pages.span(), Writeback::Wait, Others::Keep)
            .map_err(|errno| pages.name(diagnosis::of(Operation::Flush, errno)))
    }

    fn set_file_len(&self, len: usize) -> Result<(), Error> {
        ftruncate(&self.file, len as u64)
            .map_err(|errno| diagnosis::of_rustix(Operation::Truncate, errno).at(len as u64, 0))
    }

    /// Makes the file at least `len` bytes long.
    fn extend(&self, end: &mut usize, len: usize) -> Result<(), Error> {
        let old = *end;
        if len <= old {
            return Ok(());
        }
        let (offset, more) = (old as u64, (len - old) as u64);
        lengthen(self.file.as_fd(), offset..len as u64, self.growth.storage).map_err(|error| {
            // A file system may have got half way, and made the file longer.
            let _ = ftruncate(&self.file, offset);
            let error = match error.errno() {
                Some(errno) => Error::answered(Operation::Grow, errno, error.kind()),
                None => Error::found(Operation::Grow, error.kind()),
            };
            error.at(offset, more)
        })?;
        *end = len;
        Ok(())
    }

    /// Makes the file at least `until` bytes long, and longer if that can be had.
    fn extend_ahead(&self, end: &mut usize, start: usize, until: usize) -> Result<(), Error> {
        const MOST: usize = 64 << 20;
        if until <= *end {
            return Ok(());
        }
        let ahead = until
            .saturating_add(start.min(MOST))
            .next_multiple_of(page_size());
        let ahead = ahead.min(self.capacity());
        self.extend(end, ahead).or_else(|_| self.extend(end, until))
    }

    /// Writes `bytes` at the file's end.
    fn write_behind(&self, start: usize, bytes: &[u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < bytes.len() {
            match rustix::io::pwrite(&self.file, &bytes[done..], (start + done) as u64) {
                Ok(0) => return Err(self.refused(Kind::StorageFull, start + done, bytes.len() - done)),
                Ok(count) => done += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => {
                    let error = diagnosis::of_rustix(Operation::Grow, errno);
                    return Err(error.at((start + done) as u64, (bytes.len() - done) as u64));
                }
            }
        }
        Ok(())
    }
}

impl Growable<Volatile> {
    /// The same for a descriptor that is open for reading only: it follows the file by
    /// [`Growable::refresh`].
    ///
    /// # Errors
    /// As [`Growable::open`].
    pub fn open_read_only(file: &impl AsFd, capacity: usize) -> Result<Growable<Volatile>, Error> {
        let map = FileMap::of(file).range(..capacity as u64).map()?;
        Growable::over(map, file, Growth::default(), None)
    }
}

impl<V: CopyOut> Growable<V> {
    fn over(map: Map<V>, file: &impl AsFd, growth: Growth, owner: Option<u32>) -> Result<Self, Error> {
        let file = file
            .as_fd()
            .try_clone_to_owned()
            .map_err(|_| Error::found(Operation::Open, Kind::TooManyFiles))?;
        let len = file_len(file.as_fd())?;
        if len > map.len() {
            return Err(Error::found(Operation::Open, Kind::Capacity).at(0, len as u64));
        }
        Ok(Growable {
            map,
            file,
            growth,
            owner,
            len: AtomicUsize::new(len),
            end: Mutex::new(len),
        })
    }

    /// The published bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether nothing is published.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long it can become without moving.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.map.len()
    }

    /// The address of the first byte, which stays until [`Growable::move_to_capacity`].
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.map.as_ptr()
    }

    /// Copies published bytes from `offset` on.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`] behind [`Growable::len`]; else as [`Map::read_at`].
    pub fn read_at(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        self.published(Operation::Read, offset, to.len())?;
        self.map.read_at(offset, to)
    }

    /// Takes over the file's length, which another process has changed, as far as the capacity reaches; says
    /// what the length is now. Of a process that grows with [`Room::Ahead`] the room counts, too.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn refresh(&self) -> Result<usize, Error> {
        let mut end = self.lock();
        let now = file_len(self.file.as_fd())?.min(self.capacity());
        if now != *end {
            let len = if now > *end { now } else { now.min(self.len()) };
            *end = now;
            self.len.store(len, Ordering::Release);
        }
        Ok(self.len())
    }

    /// Changes the capacity, which may move all addresses: mremap(2). Not below the length.
    ///
    /// # Errors
    /// [`Kind::Capacity`]: less than the length, or 0. Those of mremap; the map is then as it was.
    pub fn move_to_capacity(&mut self, capacity: usize) -> Result<(), Error> {
        let end = *self.lock();
        if capacity < end || capacity == 0 {
            return Err(self.refused(Kind::Capacity, capacity, end.saturating_sub(capacity)));
        }
        // SAFETY: (1) the views of this type lend no reference, and `&mut self` excludes every copy;
        // (2) not `Move::To`.
        unsafe { self.map.area_mut().resize(capacity, Move::May) }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // Nothing panics while it is held, and each store leaves both lengths right.
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, kind: Kind, start: usize, len: usize) -> Error {
        Error::found(Operation::Grow, kind).at(start as u64, len as u64)
    }

    /// Where `more` bytes from `start` on end, if that is within the capacity.
    fn check(&self, start: usize, more: usize) -> Result<usize, Error> {
        start
            .checked_add(more)
            .filter(|&end| end <= self.capacity())
            .ok_or(self.refused(Kind::Capacity, start, more))
    }

    fn published(&self, operation: Operation, offset: usize, len: usize) -> Result<(), Error> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(Error::found(operation, Kind::OutOfRange).at(offset as u64, len as u64)),
        }
    }
}

impl<V: CopyOut> Drop for Growable<V> {
    /// Cuts off the room, in the process that made it.
    fn drop(&mut self) {
        if self.owner != Some(std::process::id()) {
            return;
        }
        let (len, end) = (self.len(), *self.lock());
        if end > len && file_len(self.file.as_fd()) == Ok(end) {
            let _ = ftruncate(&self.file, len as u64);
        }
    }
}

impl<V: CopyOut> fmt::Debug for Growable<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, capacity) = (self.len(), self.capacity());
        write!(f, "Growable({len} of {capacity} bytes at {:p})", self.as_ptr())
    }
}
