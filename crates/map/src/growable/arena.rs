//! [`Arena`]: bytes that are added, never changed, and never move.
//!
//! Owns a reservation, of which it makes more accessible as it fills. Invariants: bytes before `len` are
//! never written while the arena is shared; bytes before `committed` may be read and written. The lock is
//! held by appends, never by readers. Memory is private: the child of a fork has a copy, whose lock stays
//! held if another thread held it.
#![allow(unsafe_code)]

use crate::area::Area;
use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::operation::Operation;
use neap_os::env::page_size;
use neap_os::mapping::Prot;
use std::fmt;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes in private memory to which more are added under `&self`; those that are there stay where they are,
/// so that slices of them live on.
///
/// ```
/// use neap_map::Arena;
/// let arena = Arena::new(1 << 40)?; // addresses only: memory is taken as it fills
/// let first = arena.append(b"first")?;
/// for _ in 0..100_000 {
///     arena.append(b"more")?;
/// }
/// assert_eq!(first, b"first");
/// assert_eq!(arena.as_slice()[..9], *b"firstmore");
/// # Ok::<(), neap_map::Error>(())
/// ```
pub struct Arena {
    area: Area,
    /// The bytes that are there for good.
    len: AtomicUsize,
    /// The bytes that may be touched: whole pages, or all. Held by who adds some.
    committed: Mutex<usize>,
}

impl Arena {
    /// Reserves `capacity` bytes of address space.
    ///
    /// # Errors
    /// [`Kind::TooLarge`], [`Kind::OutOfMemory`] (no such range of addresses), [`Kind::AddressSpaceLimit`],
    /// [`Kind::MapCountExhausted`].
    pub fn new(capacity: usize) -> Result<Arena, Error> {
        let area = match capacity {
            0 => Area::empty(),
            _ => Area::reserve(capacity, page_size())?,
        };
        Ok(Arena {
            area,
            len: AtomicUsize::new(0),
            committed: Mutex::new(0),
        })
    }

    /// Adds `bytes`, and lends them where they lie now.
    ///
    /// # Errors
    /// [`Kind::Capacity`]; [`Kind::OutOfMemory`], [`Kind::Overcommit`], [`Kind::DataLimit`],
    /// [`Kind::MapCountExhausted`]. Nothing was added then.
    pub fn append(&self, bytes: &[u8]) -> Result<&[u8], Error> {
        let mut committed = self.lock();
        let start = self.len.load(Ordering::Relaxed);
        let end = start
            .checked_add(bytes.len())
            .filter(|&end| end <= self.capacity());
        let full = Error::found(Operation::Grow, Kind::Capacity).at(start as u64, bytes.len() as u64);
        let end = end.ok_or(full)?;
        if end > *committed {
            self.commit(&mut committed, end)?;
        }
        // SAFETY: `start..end` lies within the area (checked against its length above) and may be written
        // (`committed` covers it). Nobody else touches it: slices are lent of bytes before `len` only, which
        // is `start` until the store below, and the lock keeps other appends away. So it is also apart from
        // `bytes`, which are somebody's who may read them.
        let copy = unsafe {
            let to = self.area.as_ptr().add(start);
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            slice::from_raw_parts(to, bytes.len())
        };
        self.len.store(end, Ordering::Release);
        Ok(copy)
    }

    /// All bytes that are there now.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: bytes before `len` are readable and are not written while `self` is borrowed: an append
        // writes behind it only. The load acquires what the append wrote before its store. The area lives as
        // long as the borrow, and its length is at most isize::MAX.
        unsafe { slice::from_raw_parts(self.area.as_ptr(), self.len()) }
    }

    /// The same for changing them: nobody else holds a slice.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above; the exclusive borrow ends every slice that was lent.
        unsafe { slice::from_raw_parts_mut(self.area.as_ptr(), self.len()) }
    }

    /// Forgets all bytes behind the first `len`; their memory is kept for what comes next.
    pub fn truncate(&mut self, len: usize) {
        let len = len.min(self.len());
        *self.len.get_mut() = len;
    }

    /// How many bytes are there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there can be.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.area.len()
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // Nothing panics while it is held, and each step leaves the number right.
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes at least the bytes before `need` accessible: twice as many as now, if that can be had.
    fn commit(&self, committed: &mut usize, need: usize) -> Result<(), Error> {
        const LEAST: usize = 64 << 10;
        let wish = need.max(committed.saturating_mul(2)).max(LEAST);
        self.commit_to(committed, wish)
            .or_else(|_| self.commit_to(committed, need))
    }

    fn commit_to(&self, committed: &mut usize, end: usize) -> Result<(), Error> {
        let end = end
            .checked_next_multiple_of(page_size())
            .map_or(self.capacity(), |end| end.min(self.capacity()));
        let pages = self.area.covering(Operation::Grow, &(*committed..end))?;
        // SAFETY: (1) made of this area in the line above; (2) more is allowed than before.
        unsafe { self.area.protect(pages, Prot::READ | Prot::WRITE) }.map_err(|errno| {
            let kind = diagnosis::without_memory((end - *committed) as u64);
            pages.name(Error::answered(Operation::Grow, errno, kind))
        })?;
        *committed = end;
        Ok(())
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arena({} of {} bytes)", self.len(), self.capacity())
    }
}
