//! Maps that others may change or take away: [`Volatile`](crate::view::Volatile) and
//! [`VolatileMut`](crate::view::VolatileMut) (tier T5).
//!
//! Bytes are copied out and in, each copy may fail, and none is SIGBUS. What is read while others write is
//! any mixture of old and new bytes. No call makes a reference into the map, so nothing here depends on what
//! others do; the two that lend one are `unsafe` and say on what they depend (tier T6). Offsets are from the
//! map's start, lengths in bytes. Stores take `&self`: others write meanwhile anyway, so threads of this
//! process may, too.
//!
//! ```compile_fail,E0608
//! let file = std::fs::File::open("/proc/self/exe").unwrap();
//! let map = neap_map::FileMap::of(&file).map().unwrap();
//! let bytes: &[u8] = &map[..];
//! ```
//! ```compile_fail,E0599
//! let map = neap_map::Anon::shared(4096).map().unwrap();
//! let bytes: &[u8] = map.as_ref();
//! ```
//! ```compile_fail,E0599
//! let file = std::fs::File::open("/proc/self/exe").unwrap();
//! neap_map::FileMap::of(&file).map().unwrap().write_at(0, b"a map for reading has no stores").unwrap();
//! ```
#![allow(unsafe_code)]

use crate::access;
use crate::error::{Error, Kind};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{CopyIn, CopyOut, Frozen, View, Volatile, VolatileMut};
use neap_os::advice::{self, Hint};
use std::ops::{Range, RangeBounds};
use std::sync::atomic::AtomicU8;
use zerocopy::{FromBytes, Immutable, IntoBytes, TryFromBytes};

/// `error` of a copy of `len` bytes from `offset` on, with offsets of the map.
fn within(error: Error, offset: usize, len: usize) -> Error {
    let done = error.range().start;
    error.at(
        (offset as u64).saturating_add(done),
        (len as u64).saturating_sub(done),
    )
}

impl<V: View> Map<V> {
    /// The range of `len` bytes from `offset` on.
    fn part(&self, operation: Operation, offset: usize, len: usize) -> Result<Range<usize>, Error> {
        let refused = Error::found(operation, Kind::OutOfRange).at(offset as u64, len as u64);
        let end = offset.checked_add(len).ok_or(refused)?;
        self.area().bytes(operation, &(offset..end)).map_err(|_| refused)
    }
}

impl<V: CopyOut> Map<V> {
    /// Copies `to.len()` bytes from `offset` on.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`]; [`Kind::FileTooShort`]: the file was cut short; [`Kind::StorageFull`]: a file
    /// system in memory has no page left for a hole; [`Kind::HugePoolEmpty`]; [`Kind::Io`];
    /// [`Kind::PageUnavailable`] where the cause cannot be told; [`Kind::Inaccessible`] over a guard,
    /// [`Kind::NotMapped`], [`Kind::HardwareFailure`]. The error's range starts at the first byte that was
    /// not copied; the bytes before it were.
    #[inline]
    pub fn read_at(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        let bytes = self.part(Operation::Read, offset, to.len())?;
        // SAFETY: (1) the bytes lie in the area, checked by `part`.
        unsafe { access::copy_out(self.area().as_ptr().add(bytes.start), to) }
            .map_err(|error| within(error, offset, to.len()))
    }

    /// Copies a value of a type that any bytes make. It need not be aligned; one of 1, 2, 4 or 8 bytes that
    /// is, is loaded in one step, so that it is not a mixture.
    ///
    /// # Errors
    /// As [`Map::read_at`].
    #[inline]
    pub fn read<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, Error> {
        let bytes = self.part(Operation::Read, offset, size_of::<T>())?;
        // SAFETY: (1) the bytes lie in the area, checked by `part`.
        if let Some(answer) = unsafe { access::load_word(self.area().as_ptr().add(bytes.start)) } {
            return answer.map_err(|error| within(error, offset, bytes.len()));
        }
        let mut value = T::new_zeroed();
        self.read_at(offset, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies a value of a type that only some bytes make, such as `bool` or an enum.
    ///
    /// # Errors
    /// As [`Map::read_at`]; [`Kind::Malformed`]: the bytes make none.
    pub fn read_checked<T: TryFromBytes>(&self, offset: usize) -> Result<T, Error> {
        let bytes = self.read_vec::<u8>(offset, size_of::<T>())?;
        let malformed = Error::found(Operation::Read, Kind::Malformed).at(offset as u64, bytes.len() as u64);
        T::try_read_from_bytes(&bytes).map_err(|_| malformed)
    }

    /// Copies values, one behind the other.
    ///
    /// # Errors
    /// As [`Map::read_at`].
    pub fn read_slice<T: FromBytes + IntoBytes>(&self, offset: usize, to: &mut [T]) -> Result<(), Error> {
        self.read_at(offset, to.as_mut_bytes())
    }

    /// Copies `count` values. The range is checked before memory is allocated for it.
    ///
    /// # Errors
    /// As [`Map::read_at`].
    pub fn read_vec<T: FromBytes + IntoBytes>(&self, offset: usize, count: usize) -> Result<Vec<T>, Error> {
        let refused = Error::found(Operation::Read, Kind::OutOfRange).at(offset as u64, count as u64);
        let len = count.checked_mul(size_of::<T>()).ok_or(refused)?;
        self.part(Operation::Read, offset, len)?;
        let mut values = T::new_vec_zeroed(count)
            .map_err(|_| Error::found(Operation::Read, Kind::OutOfMemory).at(offset as u64, len as u64))?;
        self.read_slice(offset, &mut values)?;
        Ok(values)
    }

    /// Has the kernel fault every page of `range` in for reading (`MADV_POPULATE_READ`, Linux 5.14), and says
    /// whether it could. A page may be gone right after.
    ///
    /// # Errors
    /// As [`Map::read_at`], of the range as a whole; [`Kind::Unsupported`].
    pub fn probe(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        let pages = self.covering(Operation::Residency, &range)?;
        if pages.is_empty() {
            return Ok(());
        }
        let answer = advice::hint(pages.span(), Hint::PopulateRead);
        answer.map_err(|errno| pages.name(access::of_probe(errno, pages.span())))
    }
}

impl<V: CopyIn> Map<V> {
    /// Copies `from` to the bytes from `offset` on.
    ///
    /// # Errors
    /// As [`Map::read_at`]; [`Kind::StorageFull`] also where the file's blocks are not allocated and the disk
    /// is full.
    #[inline]
    pub fn write_at(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        let bytes = self.part(Operation::Write, offset, from.len())?;
        // SAFETY: (1) the bytes lie in the area, checked by `part`; (2) this view lends no reference.
        unsafe { access::copy_in(from, self.area().as_ptr().add(bytes.start)) }
            .map_err(|error| within(error, offset, from.len()))
    }

    /// Copies a value in. It need not be aligned; one of 1, 2, 4 or 8 bytes that is, is stored in one step.
    ///
    /// # Errors
    /// As [`Map::write_at`].
    #[inline]
    pub fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) -> Result<(), Error> {
        let bytes = self.part(Operation::Write, offset, size_of::<T>())?;
        // SAFETY: (1) the bytes lie in the area, checked by `part`; (2) this view lends no reference.
        let answer = unsafe { access::store_word(value.as_bytes(), self.area().as_ptr().add(bytes.start)) };
        match answer {
            Some(answer) => answer.map_err(|error| within(error, offset, bytes.len())),
            None => self.write_at(offset, value.as_bytes()),
        }
    }

    /// Copies values in, one behind the other.
    ///
    /// # Errors
    /// As [`Map::write_at`].
    pub fn write_slice<T: IntoBytes + Immutable>(&self, offset: usize, from: &[T]) -> Result<(), Error> {
        self.write_at(offset, from.as_bytes())
    }

    /// Stores `byte` everywhere in `range`.
    ///
    /// # Errors
    /// As [`Map::write_at`].
    pub fn fill(&self, range: impl RangeBounds<usize>, byte: u8) -> Result<(), Error> {
        const STEP: usize = 4096;
        let bytes = self.area().bytes(Operation::Write, &range)?;
        let pattern = [byte; STEP];
        for at in bytes.clone().step_by(STEP) {
            let part = &pattern[..STEP.min(bytes.end - at)];
            self.write_at(at, part)
                .map_err(|error| error.at(error.range().start, bytes.end as u64 - error.range().start))?;
        }
        Ok(())
    }

    /// Copies the bytes of `range` of another map (or of this one) to those from `offset` on. Overlapping
    /// ranges come out as if the first had been copied elsewhere before.
    ///
    /// # Errors
    /// As [`Map::read_at`] and [`Map::write_at`]: the operation says on which side, and the range is of the
    /// map on that side.
    pub fn copy_from<S: CopyOut>(
        &self,
        offset: usize,
        source: &Map<S>,
        range: impl RangeBounds<usize>,
    ) -> Result<(), Error> {
        let from = source.area().bytes(Operation::Read, &range)?;
        let to = self.part(Operation::Write, offset, from.len())?;
        let (first, second) = (
            source.area().span().base() + from.start,
            self.area().span().base() + to.start,
        );
        if first.abs_diff(second) < from.len() {
            return self.copy_overlapping(to.start, from);
        }
        // SAFETY: (1) both lie in their areas, checked above, and do not overlap, checked above; (2) this
        // view lends no reference.
        unsafe {
            access::copy_across(
                source.area().as_ptr().add(from.start),
                self.area().as_ptr().add(to.start),
                from.len(),
            )
        }
        .map_err(|error| {
            let start = if error.operation() == Operation::Read {
                from.start
            } else {
                to.start
            };
            within(error, start, from.len())
        })
    }

    /// Overlapping addresses are those of one map: areas are apart.
    fn copy_overlapping(&self, to: usize, from: Range<usize>) -> Result<(), Error> {
        const STEP: usize = 4096;
        let mut buffer = [0; STEP];
        let len = from.len();
        let steps = len.div_ceil(STEP);
        for step in 0..steps {
            // Downwards if the target lies above, so that nothing is overwritten before it was read.
            let step = if to > from.start { steps - 1 - step } else { step };
            let at = step * STEP;
            let part = &mut buffer[..STEP.min(len - at)];
            self.read_at(from.start + at, part)?;
            self.write_at(to + at, part)?;
        }
        Ok(())
    }
}

impl Map<Volatile> {
    /// Takes the caller's word that nobody changes the bytes: lends `&[u8]` (tier T6).
    ///
    /// # Safety
    /// Until the map is dropped:
    /// 1. Nobody, in this process or another, writes to these bytes of the file, truncates it before their
    ///    end, or punches a hole there.
    /// 2. The bytes lie within the file, and its device delivers every page: what is missing is SIGBUS.
    /// 3. No guard, no protection and no protection key forbids to read them.
    #[must_use]
    pub unsafe fn assume_unmodified(self) -> Map<Frozen> {
        // The view's proof is the caller's word (1), and (2, 3) that a load succeeds.
        self.viewed()
    }
}

impl Map<VolatileMut> {
    /// Takes the caller's word that nobody changes the bytes: lends `&[u8]` (tier T6).
    ///
    /// # Safety
    /// As [`Map::<Volatile>::assume_unmodified`], and:
    /// 4. The memory is not of [`crate::Droppable`] kind: the kernel itself changes that.
    #[must_use]
    pub unsafe fn assume_unmodified(self) -> Map<Frozen> {
        // As above.
        self.viewed()
    }

    /// The bytes as atomics.
    ///
    /// # Safety
    /// While the slice lives:
    /// 1. Whoever else stores to the bytes, in this process or another, does so atomically and byte by byte,
    ///    as far as this process loads them.
    /// 2. The bytes lie within the file, and its device and file system deliver every page: what is missing
    ///    is SIGBUS.
    /// 3. No guard, no protection and no protection key forbids to read or write them.
    /// 4. No call of this map removes, discards or protects them.
    #[must_use]
    pub unsafe fn as_atomic_slice(&self) -> &[AtomicU8] {
        // SAFETY: an atomic byte has a byte's size and alignment, and any bits are valid; the bytes are the
        // area's own as long as the map is borrowed, at most isize::MAX (the area's invariants a, d), can be
        // accessed (2 to 4), and are changed by atomic accesses only (1).
        unsafe { std::slice::from_raw_parts(self.area().as_ptr().cast(), self.len()) }
    }
}

#[cfg(test)]
mod tests;
