//! mmap, mprotect and mremap with everything they can be asked for, as values.
//!
//! For the mapping library and for experiments; the heap asks through [`crate::vm::Vm`], whose few wishes
//! never need a flag. Owns the numbers. Keeps no record of what is mapped, never retries, never rounds
//! what the kernel does not round. A combination that the kernel refuses can be written down here: the
//! refusal is then the kernel's own error.
//!
//! Source: mmap(2), mprotect(2), mremap(2); include/uapi/asm-generic/mman*.h, the same numbers on both
//! architectures but [`Flags::BELOW_4_GIB`].
#![allow(unsafe_code)]

use crate::env::page_size;
use crate::errno::Errno;
use crate::fd::Fd;
use crate::syscall::{Call, syscall2, syscall3, syscall5, syscall6};
use crate::unit::{Bytes, HugePage, Span};
use core::ops::BitOr;

/// What may be done with the bytes: a set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Prot(u32);

impl Prot {
    /// No access: every touch is SIGSEGV.
    pub const NONE: Prot = Prot(0);
    /// Loads.
    pub const READ: Prot = Prot(1);
    /// Stores. Implies loads on the supported processors.
    pub const WRITE: Prot = Prot(2);
    /// Fetching instructions. Alone it means execute-only where the processor has protection keys.
    pub const EXEC: Prot = Prot(4);
    /// `PROT_GROWSDOWN`, for [`protect`] only: down to the start of a stack that grows.
    pub const GROWS_DOWN: Prot = Prot(0x0100_0000);

    /// Whether every right of `other` is here.
    #[must_use]
    pub const fn contains(self, other: Prot) -> bool {
        self.0 & other.0 == other.0
    }
    /// The rights of both.
    #[must_use]
    pub const fn with(self, other: Prot) -> Prot {
        Prot(self.0 | other.0)
    }
    /// As the kernel takes it.
    pub(crate) const fn bits(self) -> usize {
        self.0 as usize
    }
}

impl BitOr for Prot {
    type Output = Prot;
    fn bitor(self, other: Prot) -> Prot {
        Prot(self.0 | other.0)
    }
}

/// Who sees a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Sharing {
    /// `MAP_PRIVATE`: this process (its children get copies).
    Private,
    /// `MAP_SHARED`: everyone who maps the same object.
    Shared,
    /// `MAP_SHARED_VALIDATE` (4.15): the same, and an unknown flag is `EOPNOTSUPP`, not ignored.
    SharedValidate,
    /// `MAP_DROPPABLE` (6.11): private anonymous pages that the kernel may turn to zeros at any time.
    Droppable,
}

/// Further wishes: a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Flags(u32);

impl Flags {
    /// None.
    pub const NONE: Flags = Flags(0);
    /// `MAP_32BIT` (`x86_64`): below 2 GiB, despite the name.
    pub const BELOW_4_GIB: Flags = Flags(if cfg!(target_arch = "x86_64") { 0x40 } else { 0 });
    /// `MAP_GROWSDOWN`: grows downwards on a touch of the page below, to `RLIMIT_STACK`.
    pub const GROWS_DOWN: Flags = Flags(0x100);
    /// `MAP_DENYWRITE`: ignored.
    pub const DENY_WRITE: Flags = Flags(0x800);
    /// `MAP_EXECUTABLE`: ignored.
    pub const EXECUTABLE: Flags = Flags(0x1000);
    /// `MAP_LOCKED`: locked, and faulted in as far as that goes.
    pub const LOCKED: Flags = Flags(0x2000);
    /// `MAP_NORESERVE`: not charged against the commit limit (overcommit modes 0 and 1).
    pub const NO_RESERVE: Flags = Flags(0x4000);
    /// `MAP_POPULATE`: faults all pages in, for writing if the mapping can be written. Silent where it fails.
    pub const POPULATE: Flags = Flags(0x8000);
    /// `MAP_NONBLOCK`: takes [`Flags::POPULATE`] back.
    pub const NON_BLOCK: Flags = Flags(0x1_0000);
    /// `MAP_STACK`: no huge pages (6.7).
    pub const STACK: Flags = Flags(0x2_0000);
    /// `MAP_SYNC` (4.15), with [`Sharing::SharedValidate`] on a DAX file: a stored page's metadata is
    /// durable.
    pub const SYNC: Flags = Flags(0x8_0000);
    /// `MAP_UNINITIALIZED`: ignored on kernels for machines with an MMU.
    pub const UNINITIALIZED: Flags = Flags(0x400_0000);
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

const MAP_SHARED: u32 = 1;
const MAP_PRIVATE: u32 = 2;
const MAP_SHARED_VALIDATE: u32 = 3;
const MAP_DROPPABLE: u32 = 8;
const MAP_FIXED: u32 = 0x10;
const MAP_ANONYMOUS: u32 = 0x20;
const MAP_HUGETLB: u32 = 0x4_0000;
const MAP_FIXED_NOREPLACE: u32 = 0x10_0000;

/// The page a mapping is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum PageSize {
    /// The kernel's own (4 KiB on `x86_64`), and of a hugetlbfs file, the file's.
    #[default]
    Base,
    /// From the hugetlb pool (`MAP_HUGETLB`, sizes since 3.8). [`HugePage::DEFAULT`] is refused, because
    /// only the kernel knows how it rounds lengths.
    Huge(HugePage),
}

impl PageSize {
    /// The size in bytes; `None` for the default of the pool.
    #[must_use]
    pub fn bytes(self) -> Option<Bytes> {
        match self {
            PageSize::Base => Some(Bytes(page_size())),
            PageSize::Huge(size) => size.bytes(),
        }
    }

    const fn flags(self) -> u32 {
        match self {
            PageSize::Base => 0,
            PageSize::Huge(size) => MAP_HUGETLB | size.flags() as u32,
        }
    }
}

/// Where a mapping shall lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Where the kernel finds room.
    Anywhere,
    /// Here if it is free, elsewhere if not.
    Near(usize),
    /// Here if it is free (`MAP_FIXED_NOREPLACE`, 4.17), or `EEXIST`.
    Free(usize),
    /// Here, in place of whatever is mapped (`MAP_FIXED`).
    Over(usize),
}

/// Where the bytes come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Zeros.
    Anonymous,
    /// A file or device, from this offset in bytes, a multiple of the page.
    File(Fd, u64),
}

/// One mmap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// How much. The kernel rounds up to the page.
    pub len: Bytes,
    /// Where.
    pub place: Place,
    /// With what rights.
    pub prot: Prot,
    /// Seen by whom.
    pub sharing: Sharing,
    /// Of what.
    pub source: Source,
    /// In what pages.
    pub page: PageSize,
    /// And how else.
    pub flags: Flags,
}

/// Makes a mapping, and says where it lies: the length is the request's rounded up to the page.
///
/// # Errors
/// mmap(2)'s: `EACCES`, `EAGAIN` (locked limit), `EBADF`, `EEXIST`, `EINVAL`, `ENFILE`, `ENODEV`,
/// `ENOMEM`, `EOPNOTSUPP`, `EOVERFLOW`, `EPERM`, `ETXTBSY`. `EEXIST`, too, from kernels before 4.17 that
/// take [`Place::Free`] for a hint.
///
/// # Safety
/// 1. With [`Place::Over`], the range is the caller's to replace and nothing needs its contents.
pub unsafe fn map(request: &Request) -> Result<Span, Errno> {
    let page = request.page.bytes().ok_or(Errno::EINVAL)?.0;
    let len = request.len.round_up(page).ok_or(Errno::ENOMEM)?.0;
    let (address, place) = match request.place {
        Place::Anywhere => (0, 0),
        Place::Near(address) => (address, 0),
        Place::Free(address) => (address, MAP_FIXED_NOREPLACE),
        Place::Over(address) => (address, MAP_FIXED),
    };
    let (fd, offset, source) = match request.source {
        Source::Anonymous => (usize::MAX, 0, MAP_ANONYMOUS),
        Source::File(fd, offset) => (
            fd.argument(),
            usize::try_from(offset).map_err(|_| Errno::EOVERFLOW)?,
            0,
        ),
    };
    let sharing = match request.sharing {
        Sharing::Private => MAP_PRIVATE,
        Sharing::Shared => MAP_SHARED,
        Sharing::SharedValidate => MAP_SHARED_VALIDATE,
        Sharing::Droppable => MAP_DROPPABLE,
    };
    let flags = (place | source | sharing | request.page.flags() | request.flags.0) as usize;
    let prot = request.prot.0 as usize;
    // The kernel, too, sees the length that is not rounded: 0 is its own error.
    let asked = request.len.0;
    // SAFETY: (1) without MAP_FIXED mmap only adds a mapping where none is; with it, it replaces what is
    // the caller's (1).
    let base = unsafe { syscall6(Call::MMAP, address, asked, prot, flags, fd, offset)? };
    let span = Span::new(base, len).ok_or(Errno::ENOMEM)?;
    if place == MAP_FIXED_NOREPLACE && base != address {
        // SAFETY: (1, 2) made by the call above, and nobody has heard of it.
        unsafe { unmap(span)? };
        return Err(Errno::EEXIST);
    }
    Ok(span)
}

/// Unmaps `span`.
///
/// # Errors
/// `EINVAL` (not on a page, length 0, part of a huge page), `ENOMEM` (vm.max_map_count), `EPERM` (sealed by
/// mseal). Nothing is unmapped then.
///
/// # Safety
/// 1. Every mapping in `span` is the caller's.
/// 2. Nothing reads or writes `span` afterwards.
pub unsafe fn unmap(span: Span) -> Result<(), Errno> {
    // SAFETY: (1) the mappings are the caller's (1) and idle for ever (2).
    unsafe { syscall2(Call::MUNMAP, span.base(), span.len())? };
    Ok(())
}

/// Changes what may be done with `span`.
///
/// # Errors
/// `EACCES` (the file is not open for it), `EINVAL` (not on a page), `ENOMEM` (a hole: the part before it is
/// changed; commit limit; vm.max_map_count), `EPERM` (sealed by mseal).
///
/// # Safety
/// 1. `span` is the caller's.
/// 2. Nothing makes an access that `prot` forbids, or fetches what it newly allows by mistake.
pub unsafe fn protect(span: Span, prot: Prot) -> Result<(), Errno> {
    // SAFETY: (1) the mapping is the caller's (1), and no access that becomes illegal follows (2).
    unsafe { syscall3(Call::MPROTECT, span.base(), span.len(), prot.0 as usize)? };
    Ok(())
}

/// Where mremap may put a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// Nowhere: it grows or shrinks in place, or fails with `ENOMEM`.
    Stay,
    /// Anywhere if it cannot stay (`MREMAP_MAYMOVE`).
    May,
    /// Here, in place of whatever is mapped there (`MREMAP_FIXED`).
    To(usize),
}

/// What becomes of the old addresses of a mapping that moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Old {
    /// Unmapped.
    Unmap,
    /// Still mapped, with no pages: anonymous memory reads as zero, a file's is read again
    /// (`MREMAP_DONTUNMAP`: 5.7 for private anonymous memory, 5.13 for all). The length must stay.
    Keep,
}

/// Changes length or place of a mapping.
///
/// # Errors
/// `EAGAIN` (locked limit), `EFAULT` (not mapped; several mappings, before 6.17), `EINVAL`, `ENOMEM`
/// (cannot stay; limits), `EPERM` (sealed by mseal). The old mapping is then untouched; with [`Move::To`]
/// what was mapped at the target may be gone.
///
/// # Safety
/// 1. `old` is the caller's, one mapping.
/// 2. On success nothing uses the addresses that `old` lost, or needs the contents that it lost.
/// 3. With [`Move::To`], the target's `new_len` bytes are the caller's to replace.
pub unsafe fn remap(old: Span, new_len: Bytes, to: Move, fate: Old) -> Result<Span, Errno> {
    const MAYMOVE: usize = 1;
    const FIXED: usize = 2;
    const DONTUNMAP: usize = 4;
    let len = new_len.round_up(page_size()).ok_or(Errno::ENOMEM)?.0;
    let (moves, target) = match to {
        Move::Stay => (0, 0),
        Move::May => (MAYMOVE, 0),
        Move::To(target) => (MAYMOVE | FIXED, target),
    };
    let fate = match fate {
        Old::Unmap => 0,
        Old::Keep => DONTUNMAP | MAYMOVE,
    };
    // SAFETY: (1) the mapping is the caller's (1), nothing uses what it loses (2), and what is replaced is
    // the caller's (3).
    let base = unsafe { syscall5(Call::MREMAP, old.base(), old.len(), len, moves | fate, target)? };
    Span::new(base, len).ok_or(Errno::ENOMEM)
}

#[cfg(test)]
mod tests;
