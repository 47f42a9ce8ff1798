//! The seam between neap and the kernel: what every user of anonymous memory may ask.
//!
//! Owns the contract, never a system call: [`crate::linux::Linux`] asks the running kernel,
//! [`crate::sim::Sim`] plays it for tests. Every span given to a `Vm` is page-aligned; every
//! success leaves the memory in the state the method names, every failure leaves it as it was.
//!
//! ```text
//!            map / map_at / brk up             discard
//! unmapped ------------------------> mapped <---------- mapped, zero on next touch
//!     ^                                |  \------------>
//!     |   unmap / brk down             |
//!     +--------------------------------+   remap: mapped -> mapped elsewhere, contents kept
//! ```
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::unit::{Bytes, Span};

/// What may be done with the bytes of a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    /// No access: every touch is SIGSEGV.
    None,
    /// Loads only.
    Read,
    /// Loads and stores.
    ReadWrite,
}

/// Advice that changes no byte the program can see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hint {
    /// MADV_HUGEPAGE: back with huge pages where the kernel can (since 2.6.38).
    HugePages,
    /// MADV_NOHUGEPAGE: never back with huge pages (since 2.6.38).
    NoHugePages,
    /// MADV_DONTDUMP: leave out of core dumps (since 3.4).
    NoDump,
    /// MADV_POPULATE_WRITE: fault every page in, writable (since 5.14).
    PopulateWrite,
    /// MADV_COLLAPSE: build huge pages now (since 6.1).
    Collapse,
}

/// Anonymous private memory of one address space.
///
/// Implementations are shared by all threads; each method is one atomic request.
pub trait Vm: Sync {
    /// The kernel's page in bytes: a power of two, at least [`crate::unit::PAGE`].
    fn page_size(&self) -> Bytes;

    /// Maps at least `len` bytes of zeroed, readable and writable memory at a place the kernel
    /// chooses. The returned span may be longer than asked (a `Sim` does that); it is all yours.
    ///
    /// # Errors
    /// `ENOMEM` (limits, overcommit, map count), `EINVAL` for `len` 0, `EAGAIN` (locked limit).
    fn map(&self, len: Bytes) -> Result<Span, Errno>;

    /// Maps exactly `want`, zeroed, readable and writable, if nothing is mapped there
    /// (MAP_FIXED_NOREPLACE, Linux 4.17; older kernels are detected by where the map landed).
    ///
    /// # Errors
    /// `EEXIST` if any page of it is taken, `ENOMEM`, `EPERM` (below vm.mmap_min_addr), `EAGAIN`.
    fn map_at(&self, want: Span) -> Result<(), Errno>;

    /// Like [`Vm::map`] but without access and without commit charge: address space only.
    ///
    /// # Errors
    /// As [`Vm::map`].
    fn reserve(&self, len: Bytes) -> Result<Span, Errno>;

    /// Unmaps `span`.
    ///
    /// # Errors
    /// `ENOMEM` when splitting would pass vm.max_map_count; the memory then stays mapped.
    ///
    /// # Safety
    /// 1. Every byte of `span` came from this `Vm` and is still mapped.
    /// 2. Nothing reads or writes `span` afterwards.
    unsafe fn unmap(&self, span: Span) -> Result<(), Errno>;

    /// Changes what may be done with `span`.
    ///
    /// # Errors
    /// `ENOMEM` (commit charge, map count), `EACCES`.
    ///
    /// # Safety
    /// 1. Every byte of `span` came from this `Vm` and is still mapped.
    /// 2. Nothing makes an access that `protection` forbids.
    unsafe fn protect(&self, span: Span, protection: Protection) -> Result<(), Errno>;

    /// Grows or shrinks a mapping, moving it (pages, not bytes) if it cannot grow in place.
    ///
    /// # Errors
    /// `ENOMEM`; the old mapping is then untouched.
    ///
    /// # Safety
    /// 1. `old` is one whole mapping from [`Vm::map`] or [`Vm::remap`].
    /// 2. On success nothing uses the old addresses that are not in the returned span.
    unsafe fn remap(&self, old: Span, new_len: Bytes) -> Result<Span, Errno>;

    /// Moves the pages of `from` to `to` (same length, mapped, contents lost) and leaves `from`
    /// mapped and zeroed. One mremap(MREMAP_DONTUNMAP, 5.7) or mremap and a fresh map.
    ///
    /// # Errors
    /// `ENOMEM`, `ENOSYS`, `EFAULT`: nothing moved, `to` reads as zero or as before. `EIDRM`: nothing
    /// moved and `to` is no longer mapped. `ENOTRECOVERABLE`: all moved and `from` is no longer mapped.
    /// Either span, once lost, must be forgotten and not unmapped.
    ///
    /// # Safety
    /// 1. Both spans came from this `Vm`, are mapped readable and writable, do not overlap, and have
    ///    the same length.
    /// 2. Nothing else uses either span during the call.
    unsafe fn move_pages(&self, from: Span, to: Span) -> Result<(), Errno>;

    /// Drops the pages of `span`: it reads as zero afterwards (MADV_DONTNEED). Rounded inwards to
    /// the kernel's page.
    ///
    /// # Errors
    /// `EINVAL` when the memory is locked, `EAGAIN`.
    ///
    /// # Safety
    /// 1. Every byte of `span` came from this `Vm` and is still mapped.
    /// 2. Nothing needs the contents.
    unsafe fn discard(&self, span: Span) -> Result<(), Errno>;

    /// Drops the pages of every span as [`Vm::discard`] does, in order, up to the first that fails: with
    /// one system call where the kernel can (process_madvise on oneself, Linux 6.14).
    ///
    /// # Errors
    /// As [`Vm::discard`]. The spans before the one that failed are dropped.
    ///
    /// # Safety
    /// 1. As [`Vm::discard`], for each span.
    unsafe fn discard_all(&self, spans: &[Span]) -> Result<(), Errno> {
        for span in spans {
            // SAFETY: the same conditions.
            unsafe { self.discard(*span)? };
        }
        Ok(())
    }

    /// Gives a harmless hint about `span`.
    ///
    /// # Errors
    /// `EINVAL` where the kernel lacks the hint; nothing changed.
    fn hint(&self, span: Span, hint: Hint) -> Result<(), Errno>;

    /// The program break now. 0 if this `Vm` has none.
    fn program_break(&self) -> usize;

    /// Moves the program break from `from` to `to`. Fails with `EBUSY`, moving nothing, when the
    /// break is not at `from`: somebody else moved it.
    ///
    /// # Errors
    /// `ENOMEM`, `EBUSY`, `ENOSYS` (no break).
    ///
    /// # Safety
    /// 1. When `to < from`: `[to, from)` was gained by an earlier call and nothing uses it any more.
    unsafe fn move_break(&self, from: usize, to: usize) -> Result<(), Errno>;
}

impl<V: Vm> Vm for &V {
    #[inline]
    fn page_size(&self) -> Bytes {
        (**self).page_size()
    }
    fn map(&self, len: Bytes) -> Result<Span, Errno> {
        (**self).map(len)
    }
    fn map_at(&self, want: Span) -> Result<(), Errno> {
        (**self).map_at(want)
    }
    fn reserve(&self, len: Bytes) -> Result<Span, Errno> {
        (**self).reserve(len)
    }
    unsafe fn unmap(&self, span: Span) -> Result<(), Errno> {
        // SAFETY: the same method with the same conditions; so below.
        unsafe { (**self).unmap(span) }
    }
    unsafe fn protect(&self, span: Span, protection: Protection) -> Result<(), Errno> {
        // SAFETY: as in `unmap`.
        unsafe { (**self).protect(span, protection) }
    }
    unsafe fn remap(&self, old: Span, new_len: Bytes) -> Result<Span, Errno> {
        // SAFETY: as in `unmap`.
        unsafe { (**self).remap(old, new_len) }
    }
    unsafe fn move_pages(&self, from: Span, to: Span) -> Result<(), Errno> {
        // SAFETY: as in `unmap`.
        unsafe { (**self).move_pages(from, to) }
    }
    unsafe fn discard(&self, span: Span) -> Result<(), Errno> {
        // SAFETY: as in `unmap`.
        unsafe { (**self).discard(span) }
    }
    unsafe fn discard_all(&self, spans: &[Span]) -> Result<(), Errno> {
        // SAFETY: as in `unmap`.
        unsafe { (**self).discard_all(spans) }
    }
    fn hint(&self, span: Span, hint: Hint) -> Result<(), Errno> {
        (**self).hint(span, hint)
    }
    fn program_break(&self) -> usize {
        (**self).program_break()
    }
    unsafe fn move_break(&self, from: usize, to: usize) -> Result<(), Errno> {
        // SAFETY: as in `unmap`.
        unsafe { (**self).move_break(from, to) }
    }
}
