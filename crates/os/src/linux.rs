//! [`Linux`]: the [`Vm`] of the running kernel: mmap, munmap, mprotect, mremap, madvise.
//!
//! Owns the translation of each [`Vm`] method into calls, and what older kernels need instead. Keeps
//! no record of what is mapped and no state but the page size. Every method is safe in a signal
//! handler and in the child of a fork.
//!
//! Relied upon: Linux 3.10; MAP_FIXED_NOREPLACE (4.17) and MREMAP_DONTUNMAP (5.7) where they exist.
#![allow(unsafe_code)]

use crate::advice::{self, Discard};
use crate::brk;
use crate::env::page_size;
use crate::errno::Errno;
use crate::syscall::{Call, syscall2, syscall3, syscall4, syscall5, syscall6};
use crate::unit::{Bytes, Span};
use crate::vm::{Hint, Protection, Vm};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The memory of this process, as the running kernel keeps it.
#[derive(Clone, Copy, Default, Debug)]
pub struct Linux;

pub(crate) const PROT_NONE: usize = 0;
pub(crate) const PROT_READ: usize = 1;
pub(crate) const PROT_WRITE: usize = 2;

pub(crate) const MAP_SHARED: usize = 0x01;
pub(crate) const MAP_PRIVATE: usize = 0x02;
pub(crate) const MAP_FIXED: usize = 0x10;
pub(crate) const MAP_ANONYMOUS: usize = 0x20;
const MAP_FIXED_NOREPLACE: usize = 0x10_0000;

const MREMAP_MAYMOVE: usize = 1;
const MREMAP_FIXED: usize = 2;
const MREMAP_DONTUNMAP: usize = 4;

/// How often a discard that says EAGAIN is tried before the caller hears of it.
const DISCARD_TRIES: u32 = 4;

/// Set once the kernel (or a sandbox) has refused process_madvise on oneself.
static NO_BATCH: AtomicBool = AtomicBool::new(false);

const fn bits(protection: Protection) -> usize {
    match protection {
        Protection::None => PROT_NONE,
        Protection::Read => PROT_READ,
        Protection::ReadWrite => PROT_READ | PROT_WRITE,
    }
}

const fn advised(hint: Hint) -> advice::Hint {
    match hint {
        Hint::HugePages => advice::Hint::HugePage,
        Hint::NoHugePages => advice::Hint::NoHugePage,
        Hint::NoDump => advice::Hint::DontDump,
        Hint::PopulateWrite => advice::Hint::PopulateWrite,
        Hint::Collapse => advice::Hint::Collapse,
    }
}

/// Private anonymous memory at `address`, as `flags` (MAP_FIXED or so) say. Answers with its base.
///
/// # Safety
/// 1. `flags` contains MAP_FIXED only if the pages of the range are the caller's to replace.
pub(crate) unsafe fn anonymous(
    address: usize,
    len: usize,
    prot: usize,
    flags: usize,
) -> Result<usize, Errno> {
    let flags = flags | MAP_PRIVATE | MAP_ANONYMOUS;
    // SAFETY: (1) without MAP_FIXED mmap only adds a mapping where none is; with it, it replaces what
    // the caller's (1) allows.
    unsafe { syscall6(Call::MMAP, address, len, prot, flags, usize::MAX, 0) }
}

impl Linux {
    fn map_with(self, len: Bytes, prot: usize) -> Result<Span, Errno> {
        let len = len.round_up(page_size()).ok_or(Errno::ENOMEM)?.0;
        // SAFETY: (1) no MAP_FIXED.
        let base = unsafe { anonymous(0, len, prot, 0)? };
        Span::new(base, len).ok_or(Errno::ENOMEM)
    }

    fn map_at_with(self, want: Span, prot: usize) -> Result<(), Errno> {
        if !want.is_aligned(page_size()) {
            return Err(Errno::EINVAL);
        }
        // SAFETY: (1) MAP_FIXED_NOREPLACE is not MAP_FIXED: it fails rather than replace.
        let base = unsafe { anonymous(want.base(), want.len(), prot, MAP_FIXED_NOREPLACE)? };
        if base == want.base() {
            return Ok(());
        }
        // A kernel before 4.17, or valgrind, took the flag for a hint and placed it elsewhere.
        // SAFETY: (1) this mapping was made by the call above and nobody has heard of it.
        let _ = unsafe { syscall2(Call::MUNMAP, base, want.len()) };
        Err(Errno::EEXIST)
    }

    /// Like [`Vm::map_at`] but without access and without commit charge.
    ///
    /// # Errors
    /// As [`Vm::map_at`].
    pub fn reserve_at(self, want: Span) -> Result<(), Errno> {
        self.map_at_with(want, PROT_NONE)
    }
}

impl Vm for Linux {
    #[inline]
    fn page_size(&self) -> Bytes {
        Bytes(page_size())
    }

    fn map(&self, len: Bytes) -> Result<Span, Errno> {
        self.map_with(len, PROT_READ | PROT_WRITE)
    }

    fn map_at(&self, want: Span) -> Result<(), Errno> {
        self.map_at_with(want, PROT_READ | PROT_WRITE)
    }

    fn reserve(&self, len: Bytes) -> Result<Span, Errno> {
        // No MAP_NORESERVE: memory that cannot be written is not charged anyway, and once it is made
        // writable the charge is due, so that overcommit says no in `protect` and not by a kill.
        self.map_with(len, PROT_NONE)
    }

    unsafe fn unmap(&self, span: Span) -> Result<(), Errno> {
        // SAFETY: (1) the mapping is the caller's (its 1) and nothing uses it afterwards (its 2).
        unsafe { syscall2(Call::MUNMAP, span.base(), span.len())? };
        Ok(())
    }

    unsafe fn protect(&self, span: Span, protection: Protection) -> Result<(), Errno> {
        // SAFETY: (1) the mapping is the caller's (its 1) and no access that becomes illegal follows
        // (its 2).
        unsafe { syscall3(Call::MPROTECT, span.base(), span.len(), bits(protection))? };
        Ok(())
    }

    /// `EINVAL`, too, for a new length of 0 or longer than any address space.
    unsafe fn remap(&self, old: Span, new_len: Bytes) -> Result<Span, Errno> {
        let new_len = new_len.round_up(page_size()).ok_or(Errno::ENOMEM)?.0;
        // SAFETY: (1) without MREMAP_FIXED mremap touches `old`, which is the caller's (its 1) and whose
        // lost addresses nothing uses (its 2), and otherwise only addresses where nothing is mapped.
        let base = unsafe { syscall4(Call::MREMAP, old.base(), old.len(), new_len, MREMAP_MAYMOVE)? };
        Span::new(base, new_len).ok_or(Errno::ENOMEM)
    }

    /// Two more errors than the contract's, both of which need another thread of the program to map
    /// memory, or a limit to be reached, within microseconds:
    /// - `EIDRM`: nothing moved, but `to` is no longer mapped: forget it, do not unmap it. (The kernel
    ///   unmaps the target before its last checks, and mapping it again failed.)
    /// - `ENOTRECOVERABLE`: everything moved, but `from` is no longer mapped: forget it. (Kernels
    ///   before 5.7 only: mremap leaves a hole, and mapping the hole failed.)
    ///
    /// Keep `from` within one kernel area (the same protection and hints throughout). Kernels before
    /// 6.17 refuse anything else, `EFAULT`, nothing moved; later ones move area by area and may fail
    /// between two. `to` takes over the hints of `from`.
    unsafe fn move_pages(&self, from: Span, to: Span) -> Result<(), Errno> {
        let len = from.len();
        if len != to.len() {
            return Err(Errno::EINVAL);
        }
        let mremap = |flags: usize| {
            // SAFETY: (1) both spans are the caller's, apart from each other and idle (its 1, 2), so
            // what is replaced at `to` and emptied or unmapped at `from` is nobody else's.
            unsafe { syscall5(Call::MREMAP, from.base(), len, len, flags, to.base()) }
        };
        let outcome = match mremap(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) {
            Ok(_) => return Ok(()),
            // An unknown flag is refused before anything is touched.
            Err(Errno::EINVAL | Errno::ENOSYS) => mremap(MREMAP_MAYMOVE | MREMAP_FIXED),
            Err(other) => Err(other),
        };
        match outcome {
            Ok(_) => self.map_at(from).map_err(|_| Errno::ENOTRECOVERABLE),
            Err(reason) => match self.map_at(to) {
                // EEXIST: `to` was not unmapped, which is what it almost always means.
                Ok(()) | Err(Errno::EEXIST) => Err(reason),
                Err(_) => Err(Errno::EIDRM),
            },
        }
    }

    unsafe fn discard(&self, span: Span) -> Result<(), Errno> {
        let inner = span.shrink_to(page_size());
        if inner.is_empty() {
            return Ok(());
        }
        let mut tries = DISCARD_TRIES;
        loop {
            tries -= 1;
            // SAFETY: the pages lie within `span`, which is the caller's (1) and whose contents nothing needs
            // (2).
            match unsafe { advice::discard(inner, Discard::DontNeed) } {
                Err(Errno::EAGAIN) if tries > 0 => {}
                outcome => return outcome,
            }
        }
    }

    unsafe fn discard_all(&self, spans: &[Span]) -> Result<(), Errno> {
        let mut done = Bytes(0);
        let whole = |span: &Span| span.is_aligned(page_size());
        if spans.len() > 1 && !NO_BATCH.load(Relaxed) && spans.iter().all(whole) {
            // SAFETY: each span is the caller's and nothing needs its contents (1).
            match unsafe { advice::discard_all(spans, Discard::DontNeed) } {
                Ok(bytes) => done = bytes,
                Err(Errno::EBADF | Errno::ENOSYS | Errno::EPERM) => NO_BATCH.store(true, Relaxed),
                // The first span's own error: the loop below meets it again.
                Err(_) => {}
            }
        }
        for span in spans {
            match done.checked_sub(Bytes(span.len())) {
                Some(left) => done = left,
                None => {
                    done = Bytes(0);
                    // SAFETY: as above.
                    unsafe { self.discard(*span)? };
                }
            }
        }
        Ok(())
    }

    fn hint(&self, span: Span, hint: Hint) -> Result<(), Errno> {
        advice::hint(span, advised(hint))
    }

    fn program_break(&self) -> usize {
        brk::current()
    }

    unsafe fn move_break(&self, from: usize, to: usize) -> Result<(), Errno> {
        // SAFETY: (1) is the caller's (1).
        unsafe { brk::move_from_to(from, to) }
    }
}

#[cfg(test)]
mod tests;
