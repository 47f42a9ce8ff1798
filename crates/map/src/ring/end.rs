//! [`End`]: one process's hold of a ring between processes: the header, the bytes, and a claim.
//!
//! The other process is not trusted. The header is atomics of which every value is legal, in pages that the
//! file's seals keep there; what is read of it is checked by who reads. The bytes are copied with faults
//! caught and are never referred to.
//!
//! A claim is an open-file-description lock on one byte of the file, on a descriptor that this end opened
//! for itself: the kernel drops it when the process ends, however it ends. So a byte that says "attached"
//! beside a lock that nobody holds is an end that died. A process that it forked, and that has neither ended
//! nor called exec, holds the lock on. Source: fcntl(2), Linux 3.15; needs /proc.
#![allow(unsafe_code)]

use super::bell::Bell;
use super::twice::Twice;
use super::{Line, memory, whole_pages};
use crate::access;
use crate::area::Area;
use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::operation::Operation;
use neap_os::env::page_size;
use neap_os::fd::Fd;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::Bytes;
use rustix::fs::{Mode, OFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, fstatfs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The first page of the file. The data follow on the second.
#[repr(C)]
pub(super) struct Header {
    magic: AtomicU64,
    capacity: AtomicU64,
    /// Bytes ever written, and read.
    pub(super) head: Line<AtomicU64>,
    pub(super) tail: Line<AtomicU64>,
    /// Rung for the consumer, and for the producer.
    pub(super) data: Line<Bell>,
    pub(super) room: Line<Bell>,
    states: [Line<AtomicU32>; 2],
}

const _: () = assert!(size_of::<Header>() <= 4096 && align_of::<Header>() <= 4096);

/// "neapring", and the layout's version.
const MAGIC: u64 = u64::from_be_bytes(*b"neaprin1");

/// Which end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Producer = 0,
    Consumer = 1,
}

impl Side {
    const fn other(self) -> Side {
        match self {
            Side::Producer => Side::Consumer,
            Side::Consumer => Side::Producer,
        }
    }
}

const ABSENT: u32 = 0;
const ATTACHED: u32 = 1;
const CLOSED: u32 = 2;

/// What is known of the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    /// It was never there.
    Absent,
    /// It is attached.
    Alive,
    /// It was dropped in good order.
    Closed,
    /// Its process ended without.
    Died,
}

fn map_header(file: BorrowedFd) -> Result<Area, Error> {
    let len = page_size();
    let request = Request {
        len: Bytes(len),
        place: Place::Anywhere,
        prot: Prot::READ | Prot::WRITE,
        sharing: Sharing::Shared,
        source: Source::File(Fd(file.as_raw_fd()), 0),
        page: PageSize::Base,
        flags: Flags::NONE,
    };
    Area::map(&request, 0, len)
}

/// # Safety
/// 1. `area` was made by [`map_header`] of a file that is sealed against shrinking and at least a page long.
unsafe fn header_of(area: &Area) -> &Header {
    // SAFETY: the page starts on a page and is mapped for reading and writing as long as the area lives;
    // the file has it for ever (1), so it does not fault. Every bit pattern is a Header; other processes'
    // stores are those of other threads to atomics.
    unsafe { &*area.as_ptr().cast::<Header>() }
}

/// A file with an empty ring of `capacity` bytes.
pub(super) fn create(capacity: usize) -> Result<OwnedFd, Error> {
    let capacity = whole_pages(capacity)?;
    let fd = memory(page_size() + capacity)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&fd, seals).map_err(|errno| diagnosis::of_rustix(Operation::Seal, errno))?;
    let area = map_header(fd.as_fd())?;
    // SAFETY: (1) sealed above, and a page and more long.
    let header = unsafe { header_of(&area) };
    header.capacity.store(capacity as u64, Ordering::Relaxed);
    header.magic.store(MAGIC, Ordering::Release);
    Ok(fd)
}

/// The capacity of a ring that somebody else may have made, after checking that it is one.
pub(super) fn inspect(file: BorrowedFd) -> Result<usize, Error> {
    let foreign = Error::found(Operation::Open, Kind::Foreign);
    let seals = fcntl_get_seals(file).map_err(|_| foreign)?;
    if !seals.contains(SealFlags::SHRINK | SealFlags::GROW) {
        return Err(foreign);
    }
    // A hole in huge pages, which seals do not forbid, is SIGBUS when their pool is empty: the header lies in
    // memory that always has a page.
    const TMPFS: i64 = 0x0102_1994;
    let system = fstatfs(file).map_err(|errno| diagnosis::of_rustix(Operation::Open, errno))?;
    if system.f_type != TMPFS {
        return Err(foreign);
    }
    let stat = fstat(file).map_err(|errno| diagnosis::of_rustix(Operation::Open, errno))?;
    let len = usize::try_from(stat.st_size).map_err(|_| foreign)?;
    let capacity = len.checked_sub(page_size()).ok_or(foreign)?;
    if whole_pages(capacity) != Ok(capacity) {
        return Err(foreign);
    }
    let area = map_header(file)?;
    // SAFETY: (1) its seals and its length were checked above, and neither can change.
    let header = unsafe { header_of(&area) };
    let is_ours = header.magic.load(Ordering::Acquire) == MAGIC
        && header.capacity.load(Ordering::Relaxed) == capacity as u64;
    is_ours.then_some(capacity).ok_or(foreign)
}

/// See the module.
pub(super) struct End {
    /// Opened for this end alone: the lock is its.
    claim: OwnedFd,
    header: Area,
    data: Twice,
    side: Side,
    /// The process that attached: the child of a fork neither closes nor claims.
    owner: u32,
}

impl End {
    /// Attaches to a ring.
    pub(super) fn attach(file: BorrowedFd, side: Side) -> Result<End, Error> {
        let capacity = inspect(file)?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let claim = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| diagnosis::of_rustix(Operation::Attach, errno))?;
        let header = map_header(claim.as_fd())?;
        let data = Twice::map(claim.as_fd(), page_size() as u64, capacity)?;
        if !lock(claim.as_fd(), side)? {
            return Err(Error::found(Operation::Attach, Kind::Busy));
        }
        let end = End {
            claim,
            header,
            data,
            side,
            owner: std::process::id(),
        };
        end.state(side).store(ATTACHED, Ordering::SeqCst);
        Ok(end)
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: (1) `attach` mapped it, of the file that `inspect` had found sealed and long enough.
        unsafe { header_of(&self.header) }
    }

    pub(super) const fn capacity(&self) -> usize {
        self.data.capacity()
    }

    fn state(&self, side: Side) -> &AtomicU32 {
        &self.header().states[side as usize].0
    }

    /// `head` and `tail` where a predecessor left them.
    pub(super) fn counts(&self) -> Result<(u64, u64), Error> {
        let tail = self.header().tail.0.load(Ordering::Acquire);
        let head = self.header().head.0.load(Ordering::Acquire);
        self.held(head, tail)?;
        // So that no sum of a count and a length wraps: at 100 GB/s this lasts a year.
        if head > 1 << 61 {
            return Err(Error::found(Operation::Attach, Kind::Protocol));
        }
        Ok((head, tail))
    }

    /// The bytes between `tail` and `head`, or [`Kind::Protocol`] if there cannot be so many.
    pub(super) fn held(&self, head: u64, tail: u64) -> Result<usize, Error> {
        head.checked_sub(tail)
            .and_then(|held| usize::try_from(held).ok())
            .filter(|&held| held <= self.capacity())
            .ok_or(Error::found(self.operation(), Kind::Protocol))
    }

    pub(super) const fn operation(&self) -> Operation {
        match self.side {
            Side::Producer => Operation::Write,
            Side::Consumer => Operation::Read,
        }
    }

    /// Copies the bytes from `count` on into the ring: no more than the capacity.
    pub(super) fn put(&self, count: u64, bytes: &[u8]) -> Result<(), Error> {
        let to = self.place(count, bytes.len());
        // SAFETY: (1) `place` checked that they lie in the double mapping; (2) no reference to it is made.
        unsafe { access::copy_in(bytes, to) }
    }

    /// Copies the bytes from `count` on out of the ring: no more than the capacity.
    pub(super) fn get(&self, count: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let from = self.place(count, bytes.len());
        // SAFETY: (1) `place` checked that they lie in the double mapping.
        unsafe { access::copy_out(from, bytes) }
    }

    fn place(&self, count: u64, len: usize) -> *mut u8 {
        assert!(len <= self.capacity(), "more than the ring holds");
        self.data.at((count % self.capacity() as u64) as usize)
    }

    /// What has become of the other end.
    pub(super) fn peer(&self) -> Result<Peer, Error> {
        let other = self.side.other();
        match self.state(other).load(Ordering::SeqCst) {
            ABSENT => Ok(Peer::Absent),
            CLOSED => Ok(Peer::Closed),
            ATTACHED if is_locked(self.claim.as_fd(), other)? => Ok(Peer::Alive),
            // It may have closed in good order between the two looks.
            ATTACHED if self.state(other).load(Ordering::SeqCst) == CLOSED => Ok(Peer::Closed),
            ATTACHED => Ok(Peer::Died),
            _ => Err(Error::found(self.operation(), Kind::Protocol)),
        }
    }

    /// Whether the other end said that it is closed: cheaper than [`End::peer`].
    pub(super) fn is_peer_closed(&self) -> bool {
        self.state(self.side.other()).load(Ordering::SeqCst) == CLOSED
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if self.owner != std::process::id() {
            return;
        }
        self.state(self.side).store(CLOSED, Ordering::SeqCst);
        self.header().data.0.ring_shared();
        self.header().room.0.ring_shared();
        // A child of a fork may have the descriptor still, but not the claim.
        let lock = lock_of(self.side, libc::F_UNLCK);
        // SAFETY: fcntl reads the live `lock`.
        unsafe { libc::fcntl(self.claim.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    }
}

fn lock_of(side: Side, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: side as libc::off_t,
        l_len: 1,
        l_pid: 0,
    }
}

/// Takes the side's lock; false if another descriptor has it.
fn lock(file: BorrowedFd, side: Side) -> Result<bool, Error> {
    let lock = lock_of(side, libc::F_WRLCK);
    // SAFETY: fcntl reads the live `lock`.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
        0 => Ok(true),
        _ => match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => Ok(false),
            errno => Err(diagnosis::of(
                Operation::Attach,
                neap_os::errno::Errno(errno.unwrap_or(0)),
            )),
        },
    }
}

/// Whether another descriptor than `file` has the side's lock.
fn is_locked(file: BorrowedFd, side: Side) -> Result<bool, Error> {
    let mut lock = lock_of(side, libc::F_WRLCK);
    // SAFETY: fcntl reads and writes the live `lock`.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) } {
        0 => Ok(i32::from(lock.l_type) != libc::F_UNLCK),
        _ => {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
            Err(diagnosis::of(Operation::Attach, neap_os::errno::Errno(errno)))
        }
    }
}
