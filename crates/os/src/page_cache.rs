//! The page cache of an open file: how much is in it (cachestat), bringing in, letting go (readahead,
//! posix_fadvise), and writing back (sync_file_range).
//!
//! None of these changes a byte of a file, so all are safe. None makes data durable: sync_file_range writes
//! neither metadata nor a disk's own cache out; only fsync(2) does. Counts are in pages of
//! [`crate::env::page_size`] bytes and are history by the time they are read. Unlike mincore they need no
//! mapping, and say what waits to be written.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::fd::{Fd, FileRange};
use crate::syscall::{Call, syscall3, syscall4};

/// The kernel's struct cachestat: pages of a range, by state. The first three are of the present, and a dirty
/// page is counted in `cached`, too.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// In the page cache.
    pub cached: u64,
    /// Of those, changed and not yet written back.
    pub dirty: u64,
    /// Of those, on their way to the disk.
    pub writeback: u64,
    /// Once in the page cache, evicted, and still remembered.
    pub evicted: u64,
    /// Of those, evicted so recently that reading them again would show memory pressure.
    pub recently_evicted: u64,
}

/// Counts the pages of `range` of the file `fd` (cachestat, 6.5). Memory of [`crate::memfd`] and tmpfs counts
/// as cached; what is in swap as evicted.
///
/// # Errors
/// - `EBADF`: not open.
/// - `EOPNOTSUPP`: a file of huge pages.
/// - `EPERM`: neither writable nor owned by the caller (since 6.14).
/// - `ENOSYS`: before 6.5.
pub fn count(fd: Fd, range: FileRange) -> Result<Counts, Errno> {
    let (offset, len) = range.arguments();
    let range = [offset as u64, len as u64];
    let mut counts = Counts::default();
    // SAFETY: (1) cachestat reads a struct cachestat_range, two u64, and writes a struct cachestat, five;
    // both live through the call.
    unsafe {
        syscall4(
            Call::CACHESTAT,
            fd.argument(),
            range.as_ptr().expose_provenance(),
            (&raw mut counts).expose_provenance(),
            0,
        )?
    };
    Ok(counts)
}

/// What a program is about to do with a file (POSIX_FADV_*). The values are the kernel's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Use {
    /// Nothing special. Holds for the open file, as the next two; the range is ignored.
    Normal = 0,
    /// Reads here and there: no read-ahead.
    Random = 1,
    /// Reads from front to back: twice the read-ahead.
    Sequential = 2,
    /// Will need the range: starts reading it in.
    WillNeed = 3,
    /// Will not: clean pages leave the cache, unless they are mapped, locked or being read. Dirty ones stay:
    /// write them back first. Pages that the cache keeps as one folio go if all of them are in the range.
    DontNeed = 4,
    /// Will use it once: reading does not make it look used (6.3; ignored before).
    NoReuse = 5,
}

/// Says what is to come for `range` (posix_fadvise, 2.6).
///
/// # Errors
/// `EBADF`: not open, or O_PATH. `ESPIPE`: a pipe or FIFO. Otherwise success, even where it means nothing.
pub fn advise(fd: Fd, range: FileRange, usage: Use) -> Result<(), Errno> {
    let (offset, len) = range.arguments();
    // SAFETY: (1) advice about a file's cache touches no memory of the process.
    unsafe { syscall4(Call::FADVISE64, fd.argument(), offset, len, usage as usize)? };
    Ok(())
}

/// Reads `range` into the page cache (readahead, 2.4.13), as far as the kernel's and the device's read-ahead
/// limits go. May wait for the file system to find the blocks, not for the data. To the end of the file, if
/// the range has no length.
///
/// # Errors
/// `EBADF`: not open for reading. `EINVAL`: neither a regular file nor a block device.
pub fn read_ahead(fd: Fd, range: FileRange) -> Result<(), Errno> {
    let (offset, _) = range.arguments();
    let longest = i64::MAX.cast_unsigned() - range.offset();
    // Here a length of 0 is none. The kernel reads no further than the file goes.
    #[allow(clippy::cast_possible_truncation)]
    let len = range.bytes().unwrap_or(longest) as usize;
    // SAFETY: (1) readahead fills the page cache and touches no memory of the process.
    unsafe { syscall3(Call::READAHEAD, fd.argument(), offset, len)? };
    Ok(())
}

/// How far dirty pages are written back. The values are the kernel's (SYNC_FILE_RANGE_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum WriteOut {
    /// WRITE: starts writing what is dirty and not on its way; may wait for room in the device's queue.
    Start = 2,
    /// WAIT_BEFORE|WRITE: waits for what is on its way, then starts on all that is dirty now.
    StartAll = 1 | 2,
    /// WAIT_BEFORE: waits for what is on its way.
    Wait = 1,
    /// WAIT_BEFORE|WRITE|WAIT_AFTER: writes all that is dirty now and waits for it.
    Complete = 1 | 2 | 4,
}

/// Writes back dirty pages that `range` touches (sync_file_range, 2.6.17). Not a substitute for fsync: see
/// the module. tmpfs and memfd have nothing to write: success.
///
/// # Errors
/// - `EBADF`: not open. `ESPIPE`: neither a regular file, a block device, a directory nor a symbolic link.
/// - `EIO`, `ENOSPC`, `ENOMEM`: the file system or device.
pub fn write_out(fd: Fd, range: FileRange, how: WriteOut) -> Result<(), Errno> {
    let (offset, len) = range.arguments();
    // SAFETY: (1) writes pages to their file and touches no memory of the process.
    unsafe { syscall4(Call::SYNC_FILE_RANGE, fd.argument(), offset, len, how as usize)? };
    Ok(())
}

#[cfg(test)]
mod tests;
