//! [`Sealed`]: memory that nobody can change any more, to be passed to other processes (tier T1).
//!
//! A memfd, filled while only this process has it, then sealed against shrinking, growing, writing and
//! further seals, and mapped for reading. The kernel keeps such seals as long as the object lives: writes,
//! truncation and holes are `EPERM` for everybody, writable shared mappings are refused, and it gives the
//! seal only when there is none. Its pages lie in memory, so that a reference to them never raises SIGBUS but
//! for broken hardware. Whoever receives the descriptor checks the seals with [`Sealed::open`] and has the
//! same proof. Linux 3.17. Source: memfd_create(2), fcntl(2).
#![allow(unsafe_code)]

use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::file::FileMap;
use crate::file_copy;
use crate::immutable;
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{Frozen, Owned};
use neap_os::advice::{self, Discard};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes that stay as they are, and the memfd that holds them.
///
/// ```
/// use neap_map::Sealed;
/// let table = Sealed::build("squares", 256, |bytes| {
///     (0..=255u8).zip(bytes).for_each(|(i, byte)| *byte = i.wrapping_mul(i));
/// })?;
/// // Here it would travel through a socket to another process.
/// let received = Sealed::open(table.as_fd().try_clone_to_owned()?)?;
/// assert_eq!(received[5], 25);
/// # use std::os::fd::AsFd;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sealed {
    map: Map<Frozen>,
    fd: OwnedFd,
}

const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE)
    .union(SealFlags::SEAL);

impl Sealed {
    /// A new object of `len` bytes, zeros when `fill` gets them. All memory is allocated before. A panic in
    /// `fill` leaves nothing behind. `name` is seen in /proc only: up to 249 bytes, none of them 0.
    ///
    /// # Errors
    /// [`Kind::BadName`], [`Kind::TooLarge`], [`Kind::OutOfMemory`], [`Kind::StorageFull`],
    /// [`Kind::TooManyFiles`], [`Kind::Unsupported`].
    pub fn build(name: &str, len: usize, fill: impl FnOnce(&mut [u8])) -> Result<Sealed, Error> {
        let fd = create(name)?;
        allocate(fd.as_fd(), len)?;
        let mut map = writable(fd.as_fd(), len)?;
        fill(&mut map);
        map.unmap()?;
        match rustix::fs::fcntl_add_seals(&fd, SEALS) {
            Ok(()) => Sealed::mapped(fd),
            // A child forked in another thread just now has the writable mapping, or a device still reads
            // from the pages: the seal goes to a copy, which never had one.
            Err(Errno::BUSY) => Sealed::copied(name, fd.as_fd(), len as u64),
            Err(errno) => Err(diagnosis::of_rustix(Operation::Seal, errno)),
        }
    }

    /// A copy of a file's contents: what others write to it meanwhile is in the copy or is not, what they
    /// write later is not. See [`crate::Snapshot`] for one on the disk.
    ///
    /// # Errors
    /// As [`Sealed::build`]; [`Kind::FileTooShort`]: the file was truncated meanwhile;
    /// [`Kind::AccessDenied`], [`Kind::Io`].
    pub fn copy_of(name: &str, file: &impl AsFd) -> Result<Sealed, Error> {
        let stat = rustix::fs::fstat(file).map_err(|errno| diagnosis::of_rustix(Operation::Stat, errno))?;
        Sealed::copied(name, file.as_fd(), u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn copied(name: &str, from: BorrowedFd<'_>, len: u64) -> Result<Sealed, Error> {
        let fd = create(name)?;
        let len_here =
            usize::try_from(len).map_err(|_| Error::found(Operation::Allocate, Kind::TooLarge).at(0, len))?;
        allocate(fd.as_fd(), len_here)?;
        file_copy::copy(from, fd.as_fd(), len)?;
        rustix::fs::fcntl_add_seals(&fd, SEALS)
            .map_err(|errno| diagnosis::of_rustix(Operation::Seal, errno))?;
        Sealed::mapped(fd)
    }

    /// An object that somebody else sealed. What is checked is the kernel's word, not the sender's.
    ///
    /// # Errors
    /// [`Kind::NotImmutable`]: it is no memfd, or lacks the seals against shrinking and writing;
    /// [`Kind::AccessDenied`]: the descriptor is not open for reading.
    pub fn open(fd: impl Into<OwnedFd>) -> Result<Sealed, Error> {
        let fd = fd.into();
        if !immutable::is_sealed(fd.as_fd()) {
            return Err(Error::found(Operation::Open, Kind::NotImmutable));
        }
        Sealed::mapped(fd)
    }

    /// The seals are there: added above, or checked in `open`.
    fn mapped(fd: OwnedFd) -> Result<Sealed, Error> {
        let map = FileMap::of(&fd).within_file()?;
        Ok(Sealed { map, fd })
    }

    /// The map alone. The object lives as long as it or any descriptor.
    #[must_use]
    pub fn into_map(self) -> Map<Frozen> {
        self.map
    }

    /// The map, for calls such as those about residency.
    #[must_use]
    pub const fn map(&self) -> &Map<Frozen> {
        &self.map
    }
}

fn create(name: &str) -> Result<OwnedFd, Error> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Linux 6.3 wants to hear that it will not be executed; those before do not know the flag.
    let fd = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        answer => answer,
    };
    fd.map_err(|errno| {
        let kind = match errno {
            Errno::INVAL => Kind::BadName,
            Errno::NOSYS => Kind::Unsupported(Feature::Memfd),
            errno => return diagnosis::of_rustix(Operation::Create, errno),
        };
        Error::answered(
            Operation::Create,
            neap_os::errno::Errno(errno.raw_os_error()),
            kind,
        )
    })
}

/// Gives the object its length, and all its pages.
fn allocate(fd: BorrowedFd<'_>, len: usize) -> Result<(), Error> {
    if len == 0 {
        return Ok(());
    }
    loop {
        match rustix::fs::fallocate(fd, FallocateFlags::empty(), 0, len as u64) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => {
                return Err(diagnosis::of_rustix(Operation::Allocate, errno).at(0, len as u64));
            }
        }
    }
}

/// Maps the new object for filling. It is this process's alone: it was made here with close-on-exec, no
/// descriptor has left, and children do not get the mapping. (A child forked before the advice has the
/// mapping, but nobody in it who knows it.)
fn writable(fd: BorrowedFd<'_>, len: usize) -> Result<Map<Owned>, Error> {
    let map = FileMap::of(&fd).writable().range(..len as u64).map()?;
    if !map.is_empty() {
        // SAFETY: a child does not get these bytes, and none needs them: only `fill` knows them, which runs
        // in this process.
        unsafe { advice::discard(map.area().whole().span(), Discard::DontFork) }
            .map_err(|errno| diagnosis::of(Operation::Advise, errno))?;
    }
    Ok(map.viewed())
}

impl Deref for Sealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Sealed> for OwnedFd {
    fn from(sealed: Sealed) -> OwnedFd {
        sealed.fd
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({:?}, {:?})", self.map, self.fd)
    }
}

#[cfg(test)]
mod tests;
