//! shmctl: what a segment is like, whose it is, that it goes, and what all of them take.
//!
//! Owns the kernel's structures. `x86_64` and aarch64 share asm-generic/shmbuf.h and ipcbuf.h (x86's own
//! shmbuf.h differs for x32 only), and neither takes the IPC_64 bit in the command.
#![allow(unsafe_code)]

use super::{Id, Key, Mode};
use crate::env::page_size;
use crate::errno::Errno;
use crate::syscall::{Call, syscall3};
use crate::unit::Bytes;
use core::mem::{offset_of, size_of};

const IPC_RMID: usize = 0;
const IPC_SET: usize = 1;
const IPC_STAT: usize = 2;
const IPC_INFO: usize = 3;
const SHM_LOCK: usize = 11;
const SHM_UNLOCK: usize = 12;
const SHM_STAT: usize = 13;
const SHM_INFO: usize = 14;
const SHM_STAT_ANY: usize = 15;

const SHM_DEST: u32 = 0o1000;
const SHM_LOCKED: u32 = 0o2000;

/// The kernel's struct ipc64_perm.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Ipc64Perm {
    key: i32,
    uid: u32,
    gid: u32,
    cuid: u32,
    cgid: u32,
    mode: u32,
    seq: u16,
    pad: u16,
    unused: [u64; 2],
}

/// The kernel's struct shmid64_ds.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Shmid64 {
    perm: Ipc64Perm,
    segsz: usize,
    atime: i64,
    dtime: i64,
    ctime: i64,
    cpid: u32,
    lpid: u32,
    nattch: u64,
    unused: [u64; 2],
}

const _: () = assert!(size_of::<Ipc64Perm>() == 48 && offset_of!(Ipc64Perm, unused) == 32);
const _: () = assert!(size_of::<Shmid64>() == 112 && offset_of!(Shmid64, nattch) == 88);

/// The kernel's struct shminfo64.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ShmInfo64 {
    max: usize,
    min: usize,
    mni: usize,
    seg: usize,
    all: usize,
    unused: [usize; 4],
}

/// The kernel's struct shm_info.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ShmInfo {
    used_ids: i32,
    tot: usize,
    rss: usize,
    swp: usize,
    swap: [usize; 2],
}

const _: () = assert!(size_of::<ShmInfo64>() == 72 && size_of::<ShmInfo>() == 48);

/// A user and a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Who made a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Creator {
    /// User and group.
    pub owner: Owner,
    /// Process. `None`: it is not of this PID namespace, or its number was given away and is free again.
    pub pid: Option<u32>,
}

/// What the kernel says of a segment. Times are in seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    /// Its key; [`Key::PRIVATE`] if it has none or was removed.
    pub key: Key,
    /// The length asked for, not rounded to pages.
    pub len: Bytes,
    /// Whose it is now.
    pub owner: Owner,
    /// Who made it.
    pub creator: Creator,
    /// Who may use it.
    pub mode: Mode,
    /// SHM_DEST: removed, and gone with the last attachment.
    pub removed: bool,
    /// SHM_LOCKED: see [`lock`].
    pub locked: bool,
    /// The process that last attached or detached; `None` if none has, or as for [`Creator::pid`].
    pub last_pid: Option<u32>,
    /// How many attachments there are, of all processes.
    pub attachments: u64,
    /// When it was last attached; `None` if never.
    pub attached: Option<i64>,
    /// When it was last detached; `None` if never.
    pub detached: Option<i64>,
    /// When it was made, or [`set`].
    pub changed: i64,
}

impl Stat {
    fn decode(raw: &Shmid64) -> Stat {
        // The mask leaves nine bits, which fit.
        #[allow(clippy::cast_possible_truncation)]
        let mode = Mode((raw.perm.mode & 0o777) as u16);
        Stat {
            key: Key(raw.perm.key),
            len: Bytes(raw.segsz),
            owner: Owner {
                uid: raw.perm.uid,
                gid: raw.perm.gid,
            },
            creator: Creator {
                owner: Owner {
                    uid: raw.perm.cuid,
                    gid: raw.perm.cgid,
                },
                pid: (raw.cpid != 0).then_some(raw.cpid),
            },
            mode,
            removed: raw.perm.mode & SHM_DEST != 0,
            locked: raw.perm.mode & SHM_LOCKED != 0,
            last_pid: (raw.lpid != 0).then_some(raw.lpid),
            attachments: raw.nattch,
            attached: (raw.atime != 0).then_some(raw.atime),
            detached: (raw.dtime != 0).then_some(raw.dtime),
            changed: raw.ctime,
        }
    }
}

/// # Safety
/// 1. `buffer` is 0 or the address of the structure that `command` reads or writes.
unsafe fn shmctl(id: i32, command: usize, buffer: usize) -> Result<usize, Errno> {
    // SAFETY: (1) shmctl changes segments' records and the structure of the caller's (1), no byte of a
    // segment.
    unsafe { syscall3(Call::SHMCTL, id.cast_unsigned() as usize, command, buffer) }
}

/// What the segment `id` is like (IPC_STAT).
///
/// # Errors
/// `EINVAL`: no such segment. `EIDRM`: removed meanwhile. `EACCES`: the caller may not read it.
pub fn stat(id: Id) -> Result<Stat, Errno> {
    let mut raw = Shmid64::default();
    // SAFETY: (1) IPC_STAT writes a struct shmid64_ds.
    unsafe { shmctl(id.0, IPC_STAT, (&raw mut raw).expose_provenance())? };
    Ok(Stat::decode(&raw))
}

/// A place in the kernel's table of segments, from 0 to the highest in use ([`usage`], [`limits`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Index(pub u32);

/// Whose segments [`stat_at`] shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Anyone {
    /// SHM_STAT: those that the caller may read; `EACCES` for others.
    Readable,
    /// SHM_STAT_ANY (4.17): all, as /proc/sysvipc/shm does. `EINVAL` from older kernels.
    Any,
}

/// Which segment is at `index` of the kernel's table, and what it is like: to list all of them.
///
/// # Errors
/// `EINVAL`: none is there. `EACCES`: see [`Anyone`].
pub fn stat_at(index: Index, whose: Anyone) -> Result<(Id, Stat), Errno> {
    let command = match whose {
        Anyone::Readable => SHM_STAT,
        Anyone::Any => SHM_STAT_ANY,
    };
    let mut raw = Shmid64::default();
    // SAFETY: (1) both commands write a struct shmid64_ds.
    let id = unsafe { shmctl(index.0.cast_signed(), command, (&raw mut raw).expose_provenance())? };
    let id = i32::try_from(id).map_err(|_| Errno::EOVERFLOW)?;
    Ok((Id(id), Stat::decode(&raw)))
}

/// Gives the segment another owner and mode (IPC_SET).
///
/// # Errors
/// `EINVAL`: no such segment, or an id that is not one. `EIDRM`: removed meanwhile. `EPERM`: the caller is
/// neither owner nor creator and lacks CAP_SYS_ADMIN.
pub fn set(id: Id, owner: Owner, mode: Mode) -> Result<(), Errno> {
    let raw = Shmid64 {
        perm: Ipc64Perm {
            uid: owner.uid,
            gid: owner.gid,
            mode: mode.bits().into(),
            ..Ipc64Perm::default()
        },
        ..Shmid64::default()
    };
    // SAFETY: (1) IPC_SET reads a struct shmid64_ds.
    unsafe { shmctl(id.0, IPC_SET, (&raw const raw).expose_provenance())? };
    Ok(())
}

/// Takes the segment's key away and lets it go with its last attachment (IPC_RMID). Attachments stay whole.
///
/// # Errors
/// `EINVAL`: no such segment. `EIDRM`: removed meanwhile. `EPERM`: as [`set`].
pub fn remove(id: Id) -> Result<(), Errno> {
    // SAFETY: (1) IPC_RMID uses no structure.
    unsafe { shmctl(id.0, IPC_RMID, 0)? };
    Ok(())
}

/// Keeps the segment's pages in memory once they are there (SHM_LOCK): none is brought in, and no mapping is
/// shown as locked. Not for hugetlb segments, which always stay: success without effect.
///
/// # Errors
/// `EINVAL`, `EIDRM`: as [`remove`]. `EPERM`: neither owner nor creator, or RLIMIT_MEMLOCK is 0, and
/// CAP_IPC_LOCK is missing. `ENOMEM`: RLIMIT_MEMLOCK, which counts by user.
pub fn lock(id: Id) -> Result<(), Errno> {
    // SAFETY: (1) SHM_LOCK uses no structure.
    unsafe { shmctl(id.0, SHM_LOCK, 0)? };
    Ok(())
}

/// Undoes [`lock`] (SHM_UNLOCK).
///
/// # Errors
/// `EINVAL`, `EIDRM`: as [`remove`]. `EPERM`: neither owner nor creator, and CAP_IPC_LOCK is missing.
pub fn unlock(id: Id) -> Result<(), Errno> {
    // SAFETY: (1) SHM_UNLOCK uses no structure.
    unsafe { shmctl(id.0, SHM_UNLOCK, 0)? };
    Ok(())
}

/// What the IPC namespace allows (sysctl kernel.shmmax, shmmni, shmall).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The longest segment.
    pub longest: Bytes,
    /// How many segments there may be.
    pub segments: usize,
    /// How many pages of [`page_size`] bytes they may have together.
    pub pages: usize,
    /// The highest place in use; [`Index`] 0 also if none is.
    pub highest: Index,
}

/// The limits on segments (IPC_INFO).
///
/// # Errors
/// `ENOSYS`: a kernel without CONFIG_SYSVIPC.
pub fn limits() -> Result<Limits, Errno> {
    let mut raw = ShmInfo64::default();
    // SAFETY: (1) IPC_INFO writes a struct shminfo64.
    let highest = unsafe { shmctl(0, IPC_INFO, (&raw mut raw).expose_provenance())? };
    Ok(Limits {
        longest: Bytes(raw.max),
        segments: raw.mni,
        pages: raw.all,
        highest: Index(u32::try_from(highest).map_err(|_| Errno::EOVERFLOW)?),
    })
}

/// What all segments of the IPC namespace take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// How many segments there are.
    pub segments: u32,
    /// Their length together.
    pub total: Bytes,
    /// How much of it is in memory.
    pub resident: Bytes,
    /// How much of it is in swap.
    pub swapped: Bytes,
    /// The highest place in use; [`Index`] 0 also if none is.
    pub highest: Index,
}

/// What all segments take (SHM_INFO).
///
/// # Errors
/// `ENOSYS`: a kernel without CONFIG_SYSVIPC.
pub fn usage() -> Result<Usage, Errno> {
    let mut raw = ShmInfo::default();
    // SAFETY: (1) SHM_INFO writes a struct shm_info.
    let highest = unsafe { shmctl(0, SHM_INFO, (&raw mut raw).expose_provenance())? };
    let pages = |count: usize| Bytes(count.saturating_mul(page_size()));
    Ok(Usage {
        segments: raw.used_ids.cast_unsigned(),
        total: pages(raw.tot),
        resident: pages(raw.rss),
        swapped: pages(raw.swp),
        highest: Index(u32::try_from(highest).map_err(|_| Errno::EOVERFLOW)?),
    })
}
