//! Maps that others may change or take away: [`Volatile`](crate::view::Volatile) and
//! [`VolatileMut`](crate::view::VolatileMut).
//!
//! Bytes are copied out and in, each copy may fail, and none is SIGBUS. What is read while others write is
//! any mixture of old and new bytes. Offsets are from the map's start, lengths in bytes.
#![allow(unsafe_code)]

use crate::access;
use crate::error::{Error, Kind};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{CopyIn, CopyOut};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `error` of a copy of `len` bytes from `offset` on, with offsets of the map.
fn within(error: Error, offset: usize, len: usize) -> Error {
    let done = error.range().start;
    error.at(
        (offset as u64).saturating_add(done),
        (len as u64).saturating_sub(done),
    )
}

fn end(operation: Operation, offset: usize, len: usize) -> Result<usize, Error> {
    let refused = Error::found(operation, Kind::OutOfRange).at(offset as u64, len as u64);
    offset.checked_add(len).ok_or(refused)
}

impl<V: CopyOut> Map<V> {
    /// Copies `to.len()` bytes from `offset` on.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`]; [`Kind::PageUnavailable`] where the file was cut short or its disk fails,
    /// [`Kind::Inaccessible`] over a guard, [`Kind::HardwareFailure`]. The error's range starts at the first
    /// byte that was not copied.
    pub fn read_at(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        let bytes = self.area().bytes(
            Operation::Read,
            &(offset..end(Operation::Read, offset, to.len())?),
        )?;
        // SAFETY: (1) the bytes lie in the area, checked above.
        unsafe { access::copy_out(self.area().as_ptr().add(bytes.start), to) }
            .map_err(|error| within(error, offset, to.len()))
    }

    /// Copies a value of a type that any bytes make.
    ///
    /// # Errors
    /// As [`Map::read_at`].
    pub fn read<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, Error> {
        let mut value = T::new_zeroed();
        self.read_at(offset, value.as_mut_bytes())?;
        Ok(value)
    }
}

impl<V: CopyIn> Map<V> {
    /// Copies `from` to the bytes from `offset` on. `&self`: others write meanwhile anyway, so threads of
    /// this process may, too.
    ///
    /// # Errors
    /// As [`Map::read_at`]; [`Kind::PageUnavailable`] also where the file system is full.
    pub fn write_at(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        let bytes = self.area().bytes(
            Operation::Write,
            &(offset..end(Operation::Write, offset, from.len())?),
        )?;
        // SAFETY: (1) the bytes lie in the area, checked above; (2) this view lends no reference.
        unsafe { access::copy_in(from, self.area().as_ptr().add(bytes.start)) }
            .map_err(|error| within(error, offset, from.len()))
    }

    /// Copies a value in.
    ///
    /// # Errors
    /// As [`Map::write_at`].
    pub fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) -> Result<(), Error> {
        self.write_at(offset, value.as_bytes())
    }
}
