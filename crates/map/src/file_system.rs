//! Which file systems' word is good: that of this kernel alone.
//!
//! A lease or a file without a name proves that bytes stay as they are only if nobody but this kernel can
//! change them. A server of NFS, CIFS, 9p or FUSE can, whatever it was asked, and overlayfs passes on the
//! word of others. So the proof holds on the file systems named here, whose bytes lie on this machine's own
//! devices or in its memory. Who writes to the device below them is root and outside every proof.

use crate::diagnosis;
use crate::error::Error;
use crate::operation::Operation;
use std::os::fd::BorrowedFd;

/// `f_type` of statfs(2) on file systems of this machine.
const LOCAL: [i64; 5] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0xF2F5_2010, // f2fs
    TMPFS,
];

const TMPFS: i64 = 0x0102_1994;

/// `f_type` of those with fs-verity.
const VERITY: [i64; 3] = [0xEF53, 0x9123_683E, 0xF2F5_2010];

fn kind(operation: Operation, file: BorrowedFd<'_>) -> Result<i64, Error> {
    let system = rustix::fs::fstatfs(file).map_err(|errno| diagnosis::of_rustix(operation, errno))?;
    Ok(system.f_type)
}

/// Whether only this kernel can change the bytes of `file`.
pub(crate) fn is_local(operation: Operation, file: BorrowedFd<'_>) -> Result<bool, Error> {
    kind(operation, file).map(|kind| LOCAL.contains(&kind))
}

/// Whether the bytes of `file` lie in memory alone, so that even a load of a hole needs room.
pub(crate) fn is_in_memory(operation: Operation, file: BorrowedFd<'_>) -> Result<bool, Error> {
    kind(operation, file).map(|kind| kind == TMPFS)
}

/// Whether what `file` answers about fs-verity is this kernel's own answer.
pub(crate) fn has_verity(operation: Operation, file: BorrowedFd<'_>) -> Result<bool, Error> {
    kind(operation, file).map(|kind| VERITY.contains(&kind))
}
