//! Writing a shared file map's stores to its disk: msync and sync_file_range.
//!
//! For the disk only: a store is visible to every reader of the file at once. Private and anonymous maps have
//! nothing to write, which is success. Nothing here makes several stores one: what a crash leaves of stores
//! before a flush is any part of them. All block or may block. Source: msync(2), sync_file_range(2).

use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::CopyOut;
use neap_os::errno::Errno;
use neap_os::fd::{Fd, FileRange};
use neap_os::page_cache::{WriteOut, write_out};
use neap_os::sync::{Others, Writeback, sync};
use std::ops::RangeBounds;
use std::os::fd::{AsFd, AsRawFd};

impl<V: CopyOut> Map<V> {
    /// Writes what was stored in the pages of `range`, by whomever, and waits until the file system says that
    /// it is stored (`MS_SYNC`: fsync of that part, with the metadata that reading it needs).
    ///
    /// # Errors
    /// [`Kind::OutOfRange`]; [`Kind::Io`], [`Kind::StorageFull`]: this time, or since the file was last
    /// asked. A page that could not be written may be clean, and lost, afterwards.
    ///
    /// ```
    /// use neap_map::FileMap;
    /// let file = tempfile::tempfile()?;
    /// file.set_len(4096)?;
    /// let map = FileMap::of(&file).writable().map()?;
    /// map.write_at(0, b"kept")?;
    /// map.flush(..4)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        let pages = self.covering(Operation::Flush, &range)?;
        if pages.is_empty() {
            return Ok(());
        }
        sync(pages.span(), Writeback::Wait, Others::Keep).map_err(|errno| {
            pages.name(match errno {
                Errno::ENOMEM => Error::answered(Operation::Flush, errno, Kind::NotMapped),
                _ => diagnosis::of(Operation::Flush, errno),
            })
        })
    }

    /// Starts writing the pages of `range` and does not wait for the disk, though perhaps for room in its
    /// queue. Says nothing about success, and nothing is durable by it: [`Map::flush`] is, later and sooner
    /// done.
    ///
    /// `file` is the one that is mapped, open in any way: the map has no descriptor, and the call that has
    /// none, msync with `MS_ASYNC`, has done nothing since Linux 2.6.19.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`]; [`Kind::Invalid`] for a map that is no file's, or of parts that do not follow
    /// one another in it; [`Kind::BadDescriptor`], [`Kind::NotMappable`] for `file`; [`Kind::Io`],
    /// [`Kind::StorageFull`].
    pub fn start_writeback(&self, file: &impl AsFd, range: impl RangeBounds<usize>) -> Result<(), Error> {
        let bytes = self.area().bytes(Operation::StartWriteback, &range)?;
        let pages = self.covering(Operation::StartWriteback, &bytes)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let refused = |kind| pages.name(Error::found(Operation::StartWriteback, kind));
        let start = self.area().in_file(bytes.start).ok_or(refused(Kind::Invalid))?;
        let range = FileRange::new(start, bytes.len() as u64).ok_or(refused(Kind::TooLarge))?;
        write_out(Fd(file.as_fd().as_raw_fd()), range, WriteOut::Start).map_err(|errno| {
            let error = diagnosis::of(Operation::StartWriteback, errno);
            pages.name(match errno {
                Errno::ESPIPE => Error::answered(Operation::StartWriteback, errno, Kind::NotMappable),
                _ => error,
            })
        })
    }

    /// Says that other maps of the file shall see its bytes (`MS_INVALIDATE`). On Linux they always do, so it
    /// changes nothing; it tells whether anybody has locked a part of the range here.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`]; [`Kind::Locked`]: part of it is locked in memory by this process.
    pub fn invalidate(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        let pages = self.covering(Operation::Invalidate, &range)?;
        if pages.is_empty() {
            return Ok(());
        }
        sync(pages.span(), Writeback::Later, Others::Invalidate).map_err(|errno| {
            pages.name(match errno {
                Errno::EBUSY => Error::answered(Operation::Invalidate, errno, Kind::Locked),
                _ => diagnosis::of(Operation::Invalidate, errno),
            })
        })
    }
}

#[cfg(test)]
mod tests;
