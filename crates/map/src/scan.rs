//! Reading through a volatile map from one end to the other: chunks, searches, and [`Cursor`] for what wants
//! [`std::io`].
//!
//! All of it copies into a buffer of the caller's or its own, so that what is looked at does not change while
//! it is; each part is a moment of its own. A byte that cannot be had is an error, after what came before it.

use crate::error::Error;
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{CopyIn, CopyOut};
use std::fmt;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::ops::{ControlFlow, RangeBounds};

const STEP: usize = 16 << 10;

impl<V: CopyOut> Map<V> {
    /// Copies `range` into `buffer`, part after part, and shows each with its offset. Returns what `visit`
    /// broke off with.
    ///
    /// ```
    /// # use neap_map::FileMap;
    /// # use std::ops::ControlFlow;
    /// let file = std::fs::File::open("/proc/self/exe")?;
    /// let map = FileMap::of(&file).map()?;
    /// let mut sum = 0u32;
    /// map.for_each_chunk(.., &mut [0; 65536], |_, bytes| -> ControlFlow<()> {
    ///     sum = bytes.iter().fold(sum, |sum, &byte| sum.rotate_left(1) ^ u32::from(byte));
    ///     ControlFlow::Continue(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Map::read_at`]. Panics if the buffer is empty.
    pub fn for_each_chunk<B>(
        &self,
        range: impl RangeBounds<usize>,
        buffer: &mut [u8],
        mut visit: impl FnMut(usize, &[u8]) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        let bytes = self.area().bytes(Operation::Read, &range)?;
        let step = buffer.len();
        for at in bytes.clone().step_by(step) {
            let part = &mut buffer[..step.min(bytes.end - at)];
            self.read_at(at, part)?;
            if let ControlFlow::Break(value) = visit(at, part) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The offset of the first `byte` in `range`.
    ///
    /// # Errors
    /// As [`Map::read_at`]: of a byte before the first match only, within one buffer's length.
    pub fn find(&self, range: impl RangeBounds<usize>, byte: u8) -> Result<Option<usize>, Error> {
        let mut buffer = [0; STEP];
        self.for_each_chunk(range, &mut buffer, |at, part| {
            match part.iter().position(|&other| other == byte) {
                Some(found) => ControlFlow::Break(at + found),
                None => ControlFlow::Continue(()),
            }
        })
    }

    /// A reader, and for maps that can be written a writer, that starts at the first byte.
    pub fn cursor(&self) -> Cursor<'_, V> {
        Cursor {
            map: self,
            at: 0,
            buffer: Vec::new(),
            used: 0,
        }
    }
}

/// A position in a volatile map, for [`std::io`]. Made by [`Map::cursor`]. A position behind the end is
/// allowed: nothing is read there.
///
/// ```
/// use neap_map::Anon;
/// use std::io::{BufRead, Seek, Write};
/// let map = Anon::shared(4096).map()?;
/// let mut cursor = map.cursor();
/// writeln!(cursor, "one line")?;
/// cursor.rewind()?;
/// assert_eq!(cursor.lines().next().unwrap()?, "one line");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cursor<'m, V: CopyOut> {
    map: &'m Map<V>,
    /// Where the next byte is read or written.
    at: u64,
    /// What was read ahead: `used` bytes before `at`, the rest from there on.
    buffer: Vec<u8>,
    used: usize,
}

impl<V: CopyOut> Cursor<'_, V> {
    /// The offset of the next byte.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.at
    }

    /// The offset in the map and the bytes left there.
    fn rest(&self) -> (usize, usize) {
        let at = usize::try_from(self.at).map_or(self.map.len(), |at| at.min(self.map.len()));
        (at, self.map.len() - at)
    }

    fn forget(&mut self) {
        self.buffer.clear();
        self.used = 0;
    }
}

/// The outcome of a copy of `len` bytes from `at` on, of which a part may have been done.
fn outcome(copied: Result<(), Error>, at: usize, len: usize) -> io::Result<usize> {
    match copied {
        Ok(()) => Ok(len),
        Err(error) => match usize::try_from(error.range().start).unwrap_or(at) - at {
            0 => Err(error.into()),
            done => Ok(done),
        },
    }
}

impl<V: CopyOut> Read for Cursor<'_, V> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.used == self.buffer.len() && to.len() >= STEP {
            let (at, left) = self.rest();
            let len = to.len().min(left);
            let done = outcome(self.map.read_at(at, &mut to[..len]), at, len)?;
            self.at += done as u64;
            return Ok(done);
        }
        let done = self.fill_buf()?.read(to)?;
        self.consume(done);
        Ok(done)
    }
}

impl<V: CopyOut> BufRead for Cursor<'_, V> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.buffer.len() {
            self.forget();
            let (at, left) = self.rest();
            let len = left.min(STEP);
            self.buffer.resize(len, 0);
            let copied = outcome(self.map.read_at(at, &mut self.buffer), at, len);
            self.buffer.truncate(*copied.as_ref().unwrap_or(&0));
            copied?;
        }
        Ok(&self.buffer[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used = self.used.saturating_add(amount);
        assert!(
            self.used <= self.buffer.len(),
            "no more than was lent can be consumed"
        );
        self.at += amount as u64;
    }
}

impl<V: CopyOut> Seek for Cursor<'_, V> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => (self.map.len() as u64).checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        self.forget();
        Ok(self.at)
    }
}

impl<V: CopyIn> Write for Cursor<'_, V> {
    /// Stores in the map at once. At its end 0 bytes are written.
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.forget();
        let (at, left) = self.rest();
        let len = from.len().min(left);
        let done = outcome(self.map.write_at(at, &from[..len]), at, len)?;
        self.at += done as u64;
        Ok(done)
    }

    /// Nothing is kept back. What a file's disk has is another matter: see [`Map::flush`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<V: CopyOut> fmt::Debug for Cursor<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor(at {} of {:?})", self.at, self.map)
    }
}

#[cfg(test)]
mod tests;
