//! [`Allocation`]: whether an object's bytes have memory or disk blocks before they are stored to.
//!
//! A file that is lengthened by truncate(2) has holes, and a store into one of a full file system is SIGBUS.
//! Objects of this library get their blocks when they get their length, so that being full is an error of
//! that call; holes are for those who ask. Never shortens a file that it did not lengthen itself.
//!
//! tmpfs without a size limit (every memfd) would take memory until the kernel kills somebody: more than
//! MemAvailable and SwapFree together is refused here. A cgroup's limit is not looked at.

use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::operation::Operation;
use rustix::fs::{FallocateFlags, fallocate, fstatfs, ftruncate};
use rustix::io::{Errno, retry_on_intr};
use std::ops::Range;
use std::os::fd::BorrowedFd;

/// When an object's bytes get memory or disk blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Allocation {
    /// With the length (fallocate(2)): a full file system is an error now.
    #[default]
    UpFront,
    /// Each page when it is first stored to: a full file system is an error of that store.
    Sparse,
}

/// Makes the file `range.end` bytes long, of which `range.start` are there. On failure its length is as it
/// was; it is not cut, as somebody else may have lengthened it meanwhile.
pub(crate) fn lengthen(file: BorrowedFd<'_>, range: Range<u64>, how: Allocation) -> Result<(), Error> {
    let len = range.end.saturating_sub(range.start);
    let failed = |operation, errno: Errno| {
        let kind = match errno {
            Errno::PERM => Kind::SealedAgainst,
            Errno::OPNOTSUPP | Errno::NOSYS => Kind::Unsupported(Feature::Allocate),
            Errno::FBIG => Kind::TooLarge,
            Errno::INVAL if i64::try_from(range.end).is_err() => Kind::TooLarge,
            errno => diagnosis::of_rustix(operation, errno).kind(),
        };
        let errno = neap_os::errno::Errno(errno.raw_os_error());
        Error::answered(operation, errno, kind).at(range.start, len)
    };
    if len == 0 {
        return Ok(());
    }
    match how {
        Allocation::Sparse => ftruncate(file, range.end).map_err(|errno| failed(Operation::Truncate, errno)),
        Allocation::UpFront => {
            if is_more_than_memory(file, len) {
                return Err(Error::found(Operation::Allocate, Kind::OutOfMemory).at(range.start, len));
            }
            allocate(file, &range).map_err(|errno| failed(Operation::Allocate, errno))
        }
    }
}

/// In one call, or in pieces if a signal comes.
fn allocate(file: BorrowedFd<'_>, range: &Range<u64>) -> Result<(), Errno> {
    match fallocate(
        file,
        FallocateFlags::empty(),
        range.start,
        range.end - range.start,
    ) {
        Err(Errno::INTR) => in_pieces(file, range),
        outcome => outcome,
    }
}

/// tmpfs of older kernels gives everything back when a signal comes, so that a timer could hold it up for
/// ever: what a piece has got stays. The length changes last.
fn in_pieces(file: BorrowedFd<'_>, range: &Range<u64>) -> Result<(), Errno> {
    const PIECE: u64 = 16 << 20;
    let mut done = range.start;
    while done < range.end {
        let piece = PIECE.min(range.end - done);
        retry_on_intr(|| fallocate(file, FallocateFlags::KEEP_SIZE, done, piece))?;
        done += piece;
    }
    retry_on_intr(|| {
        fallocate(
            file,
            FallocateFlags::empty(),
            range.start,
            range.end - range.start,
        )
    })
}

/// Whether the file lies in memory, and there is not so much left; a limit of the file system that is lower
/// still is the kernel's to report.
fn is_more_than_memory(file: BorrowedFd<'_>, len: u64) -> bool {
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    let Ok(system) = fstatfs(file) else { return false };
    let block = u64::try_from(system.f_bsize).unwrap_or(0);
    let room = system.f_blocks.saturating_mul(block);
    if system.f_type != TMPFS_MAGIC || (room != 0 && len > room) {
        return false;
    }
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |field: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let Some(available) = kib("MemAvailable:") else {
        return false;
    };
    let swap = kib("SwapFree:").unwrap_or(0);
    len / 1024 > available.saturating_add(swap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileExt, MetadataExt};

    #[test]
    fn pieces_make_the_same_file_as_one_call() {
        let file = tempfile::tempfile().unwrap();
        file.write_at(b"kept", 0).unwrap();
        let len = (40 << 20) + 5;
        in_pieces(file.as_fd(), &(4..len)).unwrap();
        let status = file.metadata().unwrap();
        assert_eq!(status.len(), len);
        assert!(status.blocks() * 512 >= len, "all of it has blocks");
        let mut start = [0; 5];
        file.read_at(&mut start, 0).unwrap();
        assert_eq!(&start, b"kept\0");
    }
}
