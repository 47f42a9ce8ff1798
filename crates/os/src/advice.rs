//! madvise and process_madvise, by what they may do to the bytes: [`Hint`] nothing, [`Discard`] lose
//! them, [`Guard`] make them inaccessible.
//!
//! Owns the numbers. Never rounds, never retries, never hides an error: a kernel without an advice
//! says `EINVAL`, which is also what it says of an unaligned address and of an advice that does not
//! suit the memory. Over a hole madvise applies the rest and says `ENOMEM`.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::fd::Fd;
use crate::syscall::{Call, syscall2, syscall3, syscall5};
use crate::unit::{Bytes, Span};

/// Advice that changes no byte this process can see. The variants' values are the kernel's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Hint {
    /// MADV_NORMAL: the usual read-ahead.
    Normal = 0,
    /// MADV_RANDOM: no read-ahead. `EAGAIN` when splitting the area would pass vm.max_map_count.
    Random = 1,
    /// MADV_SEQUENTIAL: much read-ahead, pages behind may go early.
    Sequential = 2,
    /// MADV_WILLNEED: starts reading a file's (or swapped) pages in.
    WillNeed = 3,
    /// MADV_DOFORK (2.6.16): undoes [`Discard::DontFork`].
    DoFork = 11,
    /// MADV_MERGEABLE (2.6.32): KSM may merge equal anonymous pages. Nothing on a shared mapping.
    Mergeable = 12,
    /// MADV_UNMERGEABLE (2.6.32): undoes it, copying what was merged.
    Unmergeable = 13,
    /// MADV_HUGEPAGE (2.6.38): back with huge pages where the kernel can.
    HugePage = 14,
    /// MADV_NOHUGEPAGE (2.6.38): never back with huge pages.
    NoHugePage = 15,
    /// MADV_DONTDUMP (3.4): leave out of core dumps.
    DontDump = 16,
    /// MADV_DODUMP (3.4): undoes it.
    DoDump = 17,
    /// MADV_KEEPONFORK (4.14): undoes [`Discard::WipeOnFork`].
    KeepOnFork = 19,
    /// MADV_COLD (5.4): these pages go first under pressure. Locked memory: `EINVAL`.
    Cold = 20,
    /// MADV_PAGEOUT (5.4): write these pages to file or swap now. Locked memory: `EINVAL`.
    PageOut = 21,
    /// MADV_POPULATE_READ (5.14): fault every page in for reading; of a file, read it. `EFAULT` past
    /// the end of the file or over a guard.
    PopulateRead = 22,
    /// MADV_POPULATE_WRITE (5.14): fault every page in for writing. `EFAULT` as above.
    PopulateWrite = 23,
    /// MADV_COLLAPSE (6.1): build huge pages now. `EAGAIN`, `EBUSY`, `ENOMEM` when it cannot now.
    Collapse = 25,
    /// MADV_SOFT_OFFLINE (2.6.33): move the contents off these physical pages and never use those
    /// again. CAP_SYS_ADMIN, CONFIG_MEMORY_FAILURE.
    SoftOffline = 101,
}

/// Advice that loses data. The variants' values are the kernel's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Discard {
    /// MADV_DONTNEED: private anonymous memory reads as zero next, a private file mapping as the file;
    /// a shared mapping loses only its page tables. Locked memory: `EINVAL`.
    DontNeed = 4,
    /// MADV_FREE (4.5): as above, but each page keeps its contents until the kernel takes it or a store
    /// cancels the advice for it. Private anonymous memory only.
    Free = 8,
    /// MADV_REMOVE (2.6.16): punches the hole into the file, too. Shared, writable mappings: `EACCES`
    /// for others, `EOPNOTSUPP` where the file system cannot.
    Remove = 9,
    /// MADV_DONTFORK (2.6.16): a child does not get the mapping: its accesses are SIGSEGV.
    DontFork = 10,
    /// MADV_WIPEONFORK (4.14): a child reads zeros. Private anonymous memory only.
    WipeOnFork = 18,
    /// MADV_DONTNEED_LOCKED (5.18): [`Discard::DontNeed`] for locked memory, which stays locked.
    DontNeedLocked = 24,
    /// MADV_HWPOISON (2.6.32): behave as if the physical pages had failed: SIGBUS. CAP_SYS_ADMIN,
    /// CONFIG_MEMORY_FAILURE.
    HwPoison = 100,
}

/// Guard pages without splitting the area (6.13; files since 6.15). The values are the kernel's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Guard {
    /// MADV_GUARD_INSTALL: drops the contents, and every access is SIGSEGV. Locked memory: `EINVAL`.
    Install = 102,
    /// MADV_GUARD_REMOVE: undoes it; what is not a guard keeps its contents.
    Remove = 103,
}

/// # Safety
/// 1. As the advice requires: see [`discard`] and [`guard`]; a [`Hint`] requires nothing.
unsafe fn madvise(span: Span, advice: u32) -> Result<(), Errno> {
    // SAFETY: (1) is the caller's (1).
    unsafe { syscall3(Call::MADVISE, span.base(), span.len(), advice as usize)? };
    Ok(())
}

/// Gives a hint about `span`.
///
/// # Errors
/// See the module and the variant.
pub fn hint(span: Span, hint: Hint) -> Result<(), Errno> {
    // SAFETY: (1) a hint.
    unsafe { madvise(span, hint as u32) }
}

/// Gives up data in `span`.
///
/// # Errors
/// See the module and the variant. `EPERM` for sealed (mseal) read-only anonymous memory.
///
/// # Safety
/// 1. `span` is the caller's.
/// 2. Nothing relies on the bytes that the variant says are lost, in this process or a child's copy.
pub unsafe fn discard(span: Span, discard: Discard) -> Result<(), Errno> {
    // SAFETY: (1) the caller's 1 and 2.
    unsafe { madvise(span, discard as u32) }
}

/// Installs or removes guard pages in `span`.
///
/// # Errors
/// See the module. `EINVAL` before 6.13.
///
/// # Safety
/// 1. `span` is the caller's.
/// 2. For [`Guard::Install`]: nothing uses `span` until the guard is removed, or needs its contents.
pub unsafe fn guard(span: Span, guard: Guard) -> Result<(), Errno> {
    // SAFETY: (1) the caller's 1 and 2.
    unsafe { madvise(span, guard as u32) }
}

/// A descriptor of process `pid` (pidfd_open, 5.3).
///
/// # Errors
/// `ESRCH`, `EINVAL` (pid 0), `EMFILE`, `ENFILE`, `ENOSYS`.
pub fn open_process(pid: u32) -> Result<Fd, Errno> {
    // SAFETY: (1) opens a descriptor.
    let fd = unsafe { syscall2(Call::PIDFD_OPEN, pid as usize, 0)? };
    Ok(Fd(i32::try_from(fd).unwrap_or(-1)))
}

/// Spans handed to the kernel at a time; the kernel takes up to 1024.
const BATCH: usize = 64;

/// The kernel's struct iovec.
#[derive(Clone, Copy)]
#[repr(C)]
struct IoVec {
    base: usize,
    len: usize,
}

/// # Safety
/// 1. As [`madvise`], for every span, if `process` is this process.
unsafe fn process_madvise(process: Fd, spans: &[Span], advice: u32) -> Result<Bytes, Errno> {
    let mut done = 0usize;
    for batch in spans.chunks(BATCH) {
        let mut vector = [IoVec { base: 0, len: 0 }; BATCH];
        let mut asked = 0usize;
        for (entry, span) in vector.iter_mut().zip(batch) {
            *entry = IoVec {
                base: span.base(),
                len: span.len(),
            };
            asked = asked.saturating_add(span.len());
        }
        let address = vector.as_ptr().expose_provenance();
        // SAFETY: (1) the kernel reads `batch.len()` entries of `vector`; what the advice does is the
        // caller's (1).
        let advised = unsafe {
            syscall5(
                Call::PROCESS_MADVISE,
                process.argument(),
                address,
                batch.len(),
                advice as usize,
                0,
            )
        };
        match advised {
            Ok(bytes) => done = done.saturating_add(bytes),
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
        if advised != Ok(asked) {
            break;
        }
    }
    Ok(Bytes(done))
}

/// Gives a hint about spans of `process`, in order, and says how many bytes took it: less than the sum
/// when one was refused. Other processes (5.10) take [`Hint::Cold`], [`Hint::PageOut`],
/// [`Hint::WillNeed`] (5.10) and [`Hint::Collapse`] (6.1); this process takes every hint (6.13).
///
/// # Errors
/// The first span's: see the module. `EBADF` (not a process; [`Fd::SELF`] before 6.14), `ESRCH`,
/// `EPERM` (needs PTRACE_MODE_READ and CAP_SYS_NICE), `ENOSYS`.
pub fn process_hint(process: Fd, spans: &[Span], hint: Hint) -> Result<Bytes, Errno> {
    // SAFETY: (1) a hint.
    unsafe { process_madvise(process, spans, hint as u32) }
}

/// Gives up data in spans of this process in one call (6.14), in order, and says how many bytes took
/// it: less than the sum when one was refused.
///
/// # Errors
/// The first span's: see the module. `EBADF`, `EINVAL` or `ENOSYS` from older kernels.
///
/// # Safety
/// 1. As [`discard`], for each span.
pub unsafe fn discard_all(spans: &[Span], discard: Discard) -> Result<Bytes, Errno> {
    // SAFETY: (1) is the caller's (1).
    unsafe { process_madvise(Fd::SELF, spans, discard as u32) }
}

#[cfg(test)]
mod tests;
