//! System V shared memory: shmget, shmat, shmdt, shmctl.
//!
//! A segment lives in the IPC namespace, not in a process: it outlasts everybody until someone calls
//! [`remove`] and the last attachment is gone. Its name is a [`Key`], which several programs agree on, or the
//! [`Id`] that the kernel gives it. Attachments survive fork and end with execve. Keeps no record and owns no
//! segment.
//!
//! A segment is a file in a hidden tmpfs (or hugetlbfs): what [`crate::advice`] and [`crate::residency`] say
//! of shared file mappings holds. All calls are as old as Linux; what is younger says so.
#![allow(unsafe_code)]

use crate::env::page_size;
use crate::errno::Errno;
use crate::syscall::{Call, syscall1, syscall3};
use crate::unit::{Bytes, HugePage};

mod control;

pub use control::{
    Anyone, Creator, Index, Limits, Owner, Stat, Usage, limits, lock, remove, set, stat, stat_at, unlock,
    usage,
};

/// A number that programs agree on, often made by ftok(3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Key(pub i32);

impl Key {
    /// IPC_PRIVATE: a new segment that no key finds.
    pub const PRIVATE: Key = Key(0);
}

/// A segment of this IPC namespace. The kernel reuses an identifier only after many others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Id(pub i32);

/// Who may read and write a segment: the low nine bits of open(2)'s mode.
/// An attachment that may execute needs the execution bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Mode(u16);

impl Mode {
    /// 0600: the owner alone.
    pub const OWNER: Mode = Mode(0o600);

    /// `None` if `bits` has more than nine.
    #[must_use]
    pub const fn new(bits: u16) -> Option<Mode> {
        if bits > 0o777 { None } else { Some(Mode(bits)) }
    }
    /// The nine bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }
}

/// Whether [`get`] may make a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Create {
    /// No: `ENOENT` if there is none. ([`Key::PRIVATE`] always makes one.)
    Never,
    /// IPC_CREAT: if there is none.
    IfMissing,
    /// IPC_CREAT|IPC_EXCL: `EEXIST` if there is one.
    New,
}

/// Whether a new segment's whole length is charged at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reserve {
    /// Yes: a length that memory and swap cannot hold is `ENOMEM` (vm.overcommit_memory 0 and 2).
    All,
    /// SHM_NORESERVE (2.6.15): each page when it is first touched; SIGBUS or a kill if there is none.
    Nothing,
}

/// What a new segment is like; ignored for one that exists, but for `mode`, which is the access asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Features {
    /// Who may use it.
    pub mode: Mode,
    /// Commit charge.
    pub reserve: Reserve,
    /// SHM_HUGETLB (2.6; sizes other than the default since 3.8).
    pub huge: Option<HugePage>,
}

impl Features {
    /// Mode 0600, charged, of small pages.
    pub const PLAIN: Features = Features {
        mode: Mode::OWNER,
        reserve: Reserve::All,
        huge: None,
    };
}

/// Finds or makes the segment of `key`. `len` is a new one's length, which the kernel rounds up to pages; of
/// one that exists it is the least length wanted, 0 for any.
///
/// # Errors
/// From shmget(2).
/// - `ENOENT`, `EEXIST`: see [`Create`].
/// - `EINVAL`: a new length of 0 or over kernel.shmmax, or more than an existing segment has; no such huge
///   page.
/// - `EACCES`: the segment's mode does not allow `mode`, and CAP_IPC_OWNER is missing.
/// - `ENOMEM`: commit charge, or too few huge pages in the pool. `ENOSPC`: kernel.shmmni segments, or
///   kernel.shmall pages, are in use. `ENFILE`: fs.file-max.
/// - `EPERM`: huge pages without CAP_IPC_LOCK or membership in vm.hugetlb_shm_group.
/// - `ENOSYS`: a kernel without CONFIG_SYSVIPC.
pub fn get(key: Key, len: Bytes, create: Create, features: Features) -> Result<Id, Errno> {
    const IPC_CREAT: usize = 0o1000;
    const IPC_EXCL: usize = 0o2000;
    const SHM_HUGETLB: usize = 0o4000;
    const SHM_NORESERVE: usize = 0o10000;
    let mut flags = features.mode.0 as usize;
    flags |= match create {
        Create::Never => 0,
        Create::IfMissing => IPC_CREAT,
        Create::New => IPC_CREAT | IPC_EXCL,
    };
    flags |= match features.reserve {
        Reserve::All => 0,
        Reserve::Nothing => SHM_NORESERVE,
    };
    flags |= features.huge.map_or(0, |size| SHM_HUGETLB | size.flags());
    let key = key.0.cast_unsigned() as usize;
    // SAFETY: (1) shmget touches no memory of the process.
    let id = unsafe { syscall3(Call::SHMGET, key, len.0, flags)? };
    i32::try_from(id).map(Id).map_err(|_| Errno::EOVERFLOW)
}

/// What an attachment may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// SHM_RDONLY.
    Read,
    /// Reading and writing.
    ReadWrite,
    /// SHM_RDONLY and SHM_EXEC (2.6.9).
    ReadExecute,
    /// SHM_EXEC.
    ReadWriteExecute,
}

/// Where an attachment goes. Never onto what is mapped: see [`attach_over`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Where the kernel finds room.
    Anywhere,
    /// At this address, a multiple of the page and not 0.
    At(usize),
    /// SHM_RND: at this address rounded down to the page, which must not make it 0.
    Rounded(usize),
}

const SHM_RND: usize = 0o20000;
const SHM_REMAP: usize = 0o40000;

const fn access_flags(access: Access) -> usize {
    const SHM_RDONLY: usize = 0o10000;
    const SHM_EXEC: usize = 0o100_000;
    match access {
        Access::Read => SHM_RDONLY,
        Access::ReadWrite => 0,
        Access::ReadExecute => SHM_RDONLY | SHM_EXEC,
        Access::ReadWriteExecute => SHM_EXEC,
    }
}

/// Attaches the segment `id` and answers with the address of its first byte. It covers the segment's length,
/// rounded up to pages ([`Stat::len`]). A removed segment can still be attached by its identifier while
/// somebody else has it attached: a Linux extension.
///
/// # Errors
/// From shmat(2).
/// - `EINVAL`: no such segment; the place is unaligned, 0, or something is mapped there.
/// - `EIDRM`: removed meanwhile, and nobody had it attached.
/// - `EACCES`: the segment's mode forbids `access`, and CAP_IPC_OWNER is missing.
/// - `ENOMEM`: address space, or vm.max_map_count.
/// - `EPERM`: [`Place::At`] below vm.mmap_min_addr without CAP_SYS_RAWIO.
pub fn attach(id: Id, place: Place, access: Access) -> Result<usize, Errno> {
    let (address, flags) = match place {
        Place::Anywhere => (0, 0),
        // The kernel takes 0 for "anywhere", and a low address rounded to 0 for page 0, looking no further.
        Place::At(address) | Place::Rounded(address) if address < page_size() => return Err(Errno::EINVAL),
        Place::At(address) => (address, 0),
        Place::Rounded(address) => (address, SHM_RND),
    };
    let id = id.0.cast_unsigned() as usize;
    // SAFETY: (1) without SHM_REMAP shmat only adds a mapping where none is.
    unsafe { syscall3(Call::SHMAT, id, address, flags | access_flags(access)) }
}

/// Attaches the segment `id` at `base`, in place of what is mapped there (SHM_REMAP, 2.6). What lies within
/// the segment's length, rounded up to pages, is replaced.
///
/// # Errors
/// As [`attach`]; `EINVAL`: `base` is 0 or not on a page.
///
/// # Safety
/// 1. The pages from `base` for the segment's length ([`Stat::len`]) are the caller's, and nothing needs
///    their contents.
pub unsafe fn attach_over(id: Id, base: usize, access: Access) -> Result<(), Errno> {
    let flags = SHM_REMAP | access_flags(access);
    // SAFETY: (1) SHM_REMAP replaces the pages that the caller gives up (its 1).
    unsafe { syscall3(Call::SHMAT, id.0.cast_unsigned() as usize, base, flags)? };
    Ok(())
}

/// Detaches the segment that was attached at `base`: all that is left of that attachment, if parts of it were
/// unmapped.
///
/// # Errors
/// `EINVAL`: nothing is attached there, or `base` is not on a page.
///
/// # Safety
/// 1. `base` is an attachment's, made by [`attach`] or [`attach_over`], and the caller's.
/// 2. Nothing uses that attachment's memory any more.
pub unsafe fn detach(base: usize) -> Result<(), Errno> {
    // SAFETY: (1) unmaps memory that the caller owns (its 1) and nothing uses (its 2).
    unsafe { syscall1(Call::SHMDT, base)? };
    Ok(())
}

#[cfg(test)]
mod tests;
