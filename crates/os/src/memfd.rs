//! Files in memory without a name in any directory: memfd_create (3.17) and memfd_secret (5.14); their seals,
//! their length and what is allocated of them.
//!
//! Owns no descriptor. A seal is on the file, not on a descriptor, and never comes off. [`set_len`] and
//! [`allocate`] serve every file; for a mapping's users both can be a trap: a page past the new end, or one
//! that the file system has no room for, is SIGBUS.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::fd::{Fd, FileRange};
use crate::syscall::{Call, syscall1, syscall2, syscall3, syscall4};
use crate::unit::HugePage;
use core::ffi::CStr;
use core::ops::BitOr;

/// Whether seals can be added to a new file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sealing {
    /// No: it starts with [`Seals::SEAL`], unless it is [`Execution::Sealed`].
    #[default]
    Refused,
    /// Yes (MFD_ALLOW_SEALING).
    Allowed,
}

/// Whether a new file may ever be executed (fexecve(3)). Mapping it executable is another matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Execution {
    /// As sysctl vm.memfd_noexec says; before 6.3, yes. 6.3 and later say so in the kernel's log, once.
    #[default]
    Unsaid,
    /// Yes (MFD_EXEC, 6.3).
    Allowed,
    /// No: without execution bits, and with [`Seals::EXEC`] (MFD_NOEXEC_SEAL, 6.3). Allows sealing.
    Sealed,
}

/// What a new file is like. The default is what all kernels with memfd_create know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features {
    /// Seals.
    pub sealing: Sealing,
    /// Execution.
    pub execution: Execution,
    /// Of huge pages (MFD_HUGETLB, 4.14; with seals since 4.16).
    pub huge: Option<HugePage>,
}

/// Makes an empty file in memory, open for reading and writing and closed on exec. Its `name` is for people:
/// it shows in /proc/PID/fd and maps as `memfd:name`, and two files may have the same.
///
/// # Errors
/// From memfd_create(2).
/// - `EINVAL`: a name of more than 249 bytes; a feature that this kernel lacks.
/// - `ENODEV`: no such huge page. `ENOMEM`: memory. An empty pool is `ENOMEM` only when the file is mapped.
/// - `EMFILE`, `ENFILE`: too many open files.
/// - `EACCES`: [`Execution::Allowed`] where vm.memfd_noexec is 2.
/// - `ENOSYS`: before 3.17; with huge pages, a kernel without hugetlbfs.
pub fn create(name: &CStr, features: Features) -> Result<Fd, Errno> {
    const MFD_CLOEXEC: usize = 1;
    const MFD_ALLOW_SEALING: usize = 2;
    const MFD_HUGETLB: usize = 4;
    const MFD_NOEXEC_SEAL: usize = 8;
    const MFD_EXEC: usize = 16;
    let sealing = match features.sealing {
        Sealing::Refused => 0,
        Sealing::Allowed => MFD_ALLOW_SEALING,
    };
    let execution = match features.execution {
        Execution::Unsaid => 0,
        Execution::Allowed => MFD_EXEC,
        Execution::Sealed => MFD_NOEXEC_SEAL,
    };
    let huge = features.huge.map_or(0, |size| MFD_HUGETLB | size.flags());
    let flags = MFD_CLOEXEC | sealing | execution | huge;
    // SAFETY: (1) reads the C string and opens a descriptor.
    let fd = unsafe { syscall2(Call::MEMFD_CREATE, name.as_ptr().expose_provenance(), flags)? };
    Fd::answered(fd)
}

/// Makes an empty file whose pages the kernel takes out of its own map, so that neither it nor another
/// process can read them by mistake; closed on exec. It wants [`set_len`], once, and a shared mapping;
/// read(2) and write(2) fail. Its pages count as locked: RLIMIT_MEMLOCK bounds the mapping.
///
/// # Errors
/// - `ENOSYS`: before 5.14, without the build option, or turned off: before 6.5 `secretmem.enable=1` had to
///   be on the kernel's command line.
/// - `EMFILE`, `ENFILE`: too many open files. `ENOMEM`: memory.
pub fn create_secret() -> Result<Fd, Errno> {
    const O_CLOEXEC: usize = 0o2_000_000;
    // SAFETY: (1) opens a descriptor.
    let fd = unsafe { syscall1(Call::MEMFD_SECRET, O_CLOEXEC)? };
    Fd::answered(fd)
}

/// What can no more be done to a file in memory, by anyone: a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Seals(u32);

impl Seals {
    /// None.
    pub const NONE: Seals = Seals(0);
    /// F_SEAL_SEAL: adding seals.
    pub const SEAL: Seals = Seals(1);
    /// F_SEAL_SHRINK: making it shorter.
    pub const SHRINK: Seals = Seals(2);
    /// F_SEAL_GROW: making it longer.
    pub const GROW: Seals = Seals(4);
    /// F_SEAL_WRITE: writing, punching holes, shared writable mappings. `EBUSY` to add while there is one.
    pub const WRITE: Seals = Seals(8);
    /// F_SEAL_FUTURE_WRITE (5.1): the same, but for shared writable mappings that there are.
    pub const FUTURE_WRITE: Seals = Seals(0x10);
    /// F_SEAL_EXEC (6.3): changing the execution bits of its mode.
    pub const EXEC: Seals = Seals(0x20);

    /// Whether every seal of `other` is here.
    #[must_use]
    pub const fn contains(self, other: Seals) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Seals {
    type Output = Seals;
    fn bitor(self, other: Seals) -> Seals {
        Seals(self.0 | other.0)
    }
}

/// Adds seals to those of the file `fd`, for ever (F_ADD_SEALS).
///
/// # Errors
/// From fcntl(2).
/// - `EPERM`: sealed with [`Seals::SEAL`], or `fd` is not open for writing.
/// - `EBUSY`: [`Seals::WRITE`] while there is a shared writable mapping, or a page that a device still writes
///   to.
/// - `EINVAL`: not a file in memory (tmpfs, hugetlbfs); a seal that this kernel does not know.
/// - `EBADF`: not open.
pub fn add_seals(fd: Fd, seals: Seals) -> Result<(), Errno> {
    const F_ADD_SEALS: usize = 1033;
    // SAFETY: (1) sealing a file changes no byte of it, and what the seals forbid is refused from now on.
    unsafe { syscall3(Call::FCNTL, fd.argument(), F_ADD_SEALS, seals.0 as usize)? };
    Ok(())
}

/// The seals of the file `fd` (F_GET_SEALS).
///
/// # Errors
/// `EINVAL`: not a file in memory. `EBADF`: not open.
pub fn seals(fd: Fd) -> Result<Seals, Errno> {
    const F_GET_SEALS: usize = 1034;
    // SAFETY: (1) answers with a number.
    let bits = unsafe { syscall3(Call::FCNTL, fd.argument(), F_GET_SEALS, 0)? };
    u32::try_from(bits).map(Seals).map_err(|_| Errno::EOVERFLOW)
}

/// Makes the file `len` bytes long (ftruncate). What it gains reads as zero and takes no memory; what it
/// loses is lost, and SIGBUS to those who have it mapped.
///
/// # Errors
/// From ftruncate(2).
/// - `EINVAL`: more than the longest file; not a file that has a length, or not open for writing; of huge
///   pages, not a multiple; a secret file that has a length already.
/// - `EPERM`: [`Seals::SHRINK`] or [`Seals::GROW`]. `EFBIG`: the file system, or RLIMIT_FSIZE (and SIGXFSZ).
/// - `ETXTBSY`: running. `EBADF`: not open. `EIO`, `EROFS`, `EINTR`: the file system.
pub fn set_len(fd: Fd, len: u64) -> Result<(), Errno> {
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    // SAFETY: (1) changes a file. Rust code has no claim on bytes of a file but by mappings, whose
    // makers answer for that.
    unsafe { syscall2(Call::FTRUNCATE, fd.argument(), len)? };
    Ok(())
}

/// What is done with the storage of a range of a file. The values are the kernel's (FALLOC_FL_*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Allocate {
    /// Storage for all of it, now; the file grows to hold the range. Bytes that are there stay.
    Extend = 0,
    /// KEEP_SIZE: the same, but the file stays as long as it is.
    KeepSize = 1,
    /// PUNCH_HOLE|KEEP_SIZE (2.6.38): gives the storage back. Reads as zero.
    PunchHole = 1 | 2,
}

/// Allocates the storage of `range`, or gives it back (fallocate, 2.6.23).
///
/// # Errors
/// From fallocate(2).
/// - `ENOSPC`: no room on the file system. A file of [`create`] has no bound but memory: it takes pages until
///   the kernel kills for them, so the caller bounds `range`. A tmpfs mount's size bounds its files.
/// - `EINVAL`: `range` has no length. `EBADF`: not open for writing.
/// - `EOPNOTSUPP`: the file system cannot. `ENODEV`, `ESPIPE`: not a regular file.
/// - `EPERM`: [`Seals::GROW`] and the file would grow, or [`Seals::WRITE`] and a hole.
/// - `EFBIG`: the file system, or RLIMIT_FSIZE. `EINTR`: a signal. `EIO`: the device.
pub fn allocate(fd: Fd, range: FileRange, how: Allocate) -> Result<(), Errno> {
    let (offset, len) = range.arguments();
    // SAFETY: (1) as in `set_len`.
    unsafe { syscall4(Call::FALLOCATE, fd.argument(), how as usize, offset, len)? };
    Ok(())
}

#[cfg(test)]
mod tests;
