//! [`Memfd`]: memory with a descriptor and no name in any folder, and the seals that make promises about it.
//!
//! It is shared by passing the descriptor on (see [`crate::parcel`]) and is gone with the last descriptor and
//! map. Owns the descriptor; keeps no record of maps, which outlive it. A seal is for ever and holds for
//! every process. Another process that has the descriptor for writing may change the bytes at any time and,
//! without [`Seals::SHRINK`], take them away: maps are volatile.
//!
//! memfd_create: Linux 3.17; of huge pages 4.14; [`Seals::FUTURE_WRITE`] 5.1; [`Execution`] and
//! [`Seals::EXEC`] 6.3. Source: memfd_create(2), fcntl(2).

use crate::allocation::{self, Allocation};
use crate::anon::Shared;
use crate::diagnosis;
use crate::error::{Error, Feature, Kind, Refused};
use crate::file::{FileMap, Reading};
use crate::huge;
use crate::map::Map;
use crate::operation::Operation;
use crate::view::VolatileMut;
use neap_os::errno::Errno;
use neap_os::fd::Fd;
use neap_os::memfd;
pub use neap_os::memfd::{Execution, Sealing, Seals};
use neap_os::unit::HugePage;
use rustix::fs::{MemfdFlags, OFlags};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A request for a memfd.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is created before `create`"]
pub struct MemfdRequest<'n> {
    name: &'n str,
    sealing: Sealing,
    execution: Execution,
    huge: Option<HugePage>,
    allocation: Allocation,
}

impl MemfdRequest<'_> {
    /// Whether it can be sealed.
    pub const fn sealing(self, sealing: Sealing) -> Self {
        MemfdRequest { sealing, ..self }
    }
    /// Whether it may be executed. [`Execution::Sealed`] is a seal: not with [`Sealing::Refused`].
    pub const fn execution(self, execution: Execution) -> Self {
        MemfdRequest { execution, ..self }
    }
    /// Of pages of this size from the hugetlb pool. Its length is then a multiple of the page.
    pub const fn huge(self, size: HugePage) -> Self {
        MemfdRequest {
            huge: Some(size),
            ..self
        }
    }
    /// Whether its pages are made now.
    pub const fn allocation(self, allocation: Allocation) -> Self {
        MemfdRequest { allocation, ..self }
    }

    /// Makes it, `len` bytes of zeros long; of huge pages, rounded up to those.
    ///
    /// # Errors
    /// - [`Kind::BadName`]: more than 249 bytes, or with a 0 byte.
    /// - [`Kind::OutOfMemory`], [`Kind::StorageFull`], [`Kind::TooLarge`]: no room for `len` bytes.
    /// - [`Kind::HugePoolEmpty`]; [`Kind::Unsupported`]: no such huge pages, or a kernel before 6.3 that was
    ///   asked for an execution policy.
    /// - [`Kind::Invalid`]: [`Sealing::Refused`] with [`Execution::Sealed`]. [`Kind::AccessDenied`]: see
    ///   [`Execution`].
    /// - [`Kind::TooManyFiles`].
    pub fn create(self, len: u64) -> Result<Memfd, Error> {
        const LONGEST: usize = 249;
        let refused = |kind| Error::found(Operation::Create, kind).at(0, len);
        if self.name.len() > LONGEST || self.name.contains('\0') {
            return Err(refused(Kind::BadName));
        }
        let mut flags = MemfdFlags::CLOEXEC;
        match (self.sealing, self.execution) {
            (Sealing::Refused, Execution::Sealed) => return Err(refused(Kind::Invalid)),
            (Sealing::Refused, _) => {}
            (Sealing::Allowed, _) => flags |= MemfdFlags::ALLOW_SEALING,
        }
        match self.execution {
            Execution::Unsaid => {}
            Execution::Sealed => flags |= MemfdFlags::NOEXEC_SEAL,
            Execution::Allowed => flags |= MemfdFlags::EXEC,
        }
        let file = make(self.name, flags, self.huge).map_err(|error| error.at(0, len))?;
        let memfd = Memfd { file };
        let whole = memfd.whole_pages(len).ok_or(refused(Kind::TooLarge))?;
        memfd.grow(whole, self.allocation)?;
        Ok(memfd)
    }
}

fn make(name: &str, flags: MemfdFlags, huge: Option<HugePage>) -> Result<OwnedFd, Error> {
    let size = match huge {
        None => MemfdFlags::empty(),
        Some(HugePage::DEFAULT) => pages_flag(huge::default_size()?),
        Some(size) => pages_flag(size),
    };
    rustix::fs::memfd_create(name, flags | size).map_err(|errno| {
        let errno = Errno(errno.raw_os_error());
        let kind = match errno {
            Errno::EINVAL | Errno::ENODEV | Errno::ENOSYS if huge.is_some() => {
                Kind::Unsupported(Feature::HugePages)
            }
            Errno::EINVAL | Errno::ENOSYS => Kind::Unsupported(Feature::Memfd),
            _ => return diagnosis::of(Operation::Create, errno),
        };
        Error::answered(Operation::Create, errno, kind)
    })
}

fn pages_flag(size: HugePage) -> MemfdFlags {
    // Six bits from bit 26 on: they fit.
    #[allow(clippy::cast_possible_truncation)]
    let bits = size.flags() as u32;
    MemfdFlags::HUGETLB | MemfdFlags::from_bits_retain(bits)
}

/// See the module.
///
/// ```
/// use neap_map::{Memfd, Seals};
/// let memfd = Memfd::named("greeting").create(4096)?;
/// let map = memfd.map()?;
/// map.write_at(0, b"hello")?;
/// assert_eq!(memfd.seal(Seals::WRITE).unwrap_err().kind(), neap_map::Kind::Busy);
/// map.unmap()?;
/// memfd.seal(Seals::WRITE | Seals::SHRINK | Seals::GROW)?;
/// assert!(memfd.map().is_err());
/// # Ok::<(), neap_map::Error>(())
/// ```
#[derive(Debug)]
pub struct Memfd {
    file: OwnedFd,
}

impl Memfd {
    /// A request: it can be sealed, is of small pages, and its memory is taken when it is made. The name is
    /// for people (`/memfd:NAME` in `/proc/PID/maps`) and need not be the only one.
    pub const fn named(name: &str) -> MemfdRequest<'_> {
        MemfdRequest {
            name,
            sealing: Sealing::Allowed,
            execution: Execution::Unsaid,
            huge: None,
            allocation: Allocation::UpFront,
        }
    }

    fn status(&self) -> Result<rustix::fs::Stat, Error> {
        rustix::fs::fstat(&self.file).map_err(|errno| diagnosis::of_rustix(Operation::Stat, errno))
    }

    /// Length in bytes.
    ///
    /// # Errors
    /// None that is known.
    pub fn len(&self) -> Result<u64, Error> {
        Ok(u64::try_from(self.status()?.st_size).unwrap_or(0))
    }

    /// Whether it has no byte.
    ///
    /// # Errors
    /// None that is known.
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// `len` rounded up to its huge pages, if it is of them.
    fn whole_pages(&self, len: u64) -> Option<u64> {
        match huge_page_of(self.as_fd()) {
            Some(page) => len.checked_next_multiple_of(page),
            None => Some(len),
        }
    }

    /// Makes it at least `len` bytes long.
    ///
    /// # Errors
    /// [`Kind::SealedAgainst`], [`Kind::AccessDenied`] (a descriptor for reading), and those of
    /// [`MemfdRequest::create`] about room.
    pub fn grow(&self, len: u64, how: Allocation) -> Result<(), Error> {
        let now = self.len()?;
        let len = self
            .whole_pages(len)
            .ok_or(Error::found(Operation::Truncate, Kind::TooLarge).at(now, len))?;
        allocation::lengthen(self.as_fd(), now..len, how).map_err(|error| match error.kind() {
            Kind::StorageFull if huge_page_of(self.as_fd()).is_some() => {
                self.because(error, Kind::HugePoolEmpty)
            }
            Kind::Invalid | Kind::BadDescriptor => self.because(error, Kind::AccessDenied),
            _ => error,
        })
    }

    /// `error` with another kind.
    fn because(&self, error: Error, kind: Kind) -> Error {
        let range = error.range();
        let errno = error.errno().unwrap_or(Errno(0));
        Error::answered(error.operation(), errno, kind).at(range.start, range.end - range.start)
    }

    /// Cuts it to `len` bytes, if it is longer; of huge pages, to the page behind that. What others have
    /// mapped behind that is gone: their copies fail with [`Kind::FileTooShort`] or,
    /// where that cannot be told, [`Kind::PageUnavailable`].
    ///
    /// # Errors
    /// [`Kind::SealedAgainst`]; [`Kind::AccessDenied`]: a descriptor for reading.
    pub fn shrink(&self, len: u64) -> Result<(), Error> {
        let now = self.len()?;
        let Some(len) = self.whole_pages(len).filter(|&len| len < now) else {
            return Ok(());
        };
        memfd::set_len(self.number(), len).map_err(|errno| {
            let kind = match errno {
                Errno::EPERM => Kind::SealedAgainst,
                Errno::EINVAL | Errno::EBADF => Kind::AccessDenied,
                _ => diagnosis::of(Operation::Truncate, errno).kind(),
            };
            Error::answered(Operation::Truncate, errno, kind).at(len, now - len)
        })
    }

    /// Its seals.
    ///
    /// # Errors
    /// None that is known.
    pub fn seals(&self) -> Result<Seals, Error> {
        memfd::seals(self.number()).map_err(|errno| diagnosis::of(Operation::Seal, errno))
    }

    /// Adds seals; those it has stay.
    ///
    /// # Errors
    /// - [`Kind::Busy`]: [`Seals::WRITE`] while a shared writable map lives, in any process.
    /// - [`Kind::SealedAgainst`]: [`Seals::SEAL`], or [`Sealing::Refused`].
    /// - [`Kind::AccessDenied`]: the descriptor is for reading.
    /// - [`Kind::Unsupported`]: a seal that this kernel does not know.
    pub fn seal(&self, seals: Seals) -> Result<(), Error> {
        memfd::add_seals(self.number(), seals).map_err(|errno| {
            let kind = match errno {
                Errno::EPERM if self.seals().is_ok_and(|now| now.contains(Seals::SEAL)) => {
                    Kind::SealedAgainst
                }
                Errno::EPERM => Kind::AccessDenied,
                Errno::EINVAL => Kind::Unsupported(Feature::Memfd),
                _ => return diagnosis::of(Operation::Seal, errno),
            };
            Error::answered(Operation::Seal, errno, kind)
        })
    }

    fn number(&self) -> Fd {
        Fd(self.file.as_raw_fd())
    }

    /// Maps all of it for reading and writing. [`Memfd::file_map`] has the options.
    ///
    /// # Errors
    /// As [`FileMap::map`]; [`Kind::SealedAgainst`].
    pub fn map(&self) -> Result<Map<VolatileMut>, Error> {
        self.file_map().writable().map()
    }

    /// A request for a map of it.
    pub fn file_map(&self) -> FileMap<'_, Shared, Reading> {
        FileMap::of(&self.file)
    }

    /// A descriptor for those who shall read only, and the seals that hold them to it: [`Seals::SHRINK`] and
    /// [`Seals::FUTURE_WRITE`], without which a process of the same user could open it anew for writing.
    /// So map it for writing before. The descriptor is opened by way of /proc.
    ///
    /// # Errors
    /// As [`Memfd::seal`]; [`Kind::NotFound`]: /proc is not mounted.
    pub fn read_only(&self) -> Result<OwnedFd, Error> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let reader = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
            .map_err(|errno| diagnosis::of_rustix(Operation::Open, errno))?;
        let seals = Seals::SHRINK | Seals::FUTURE_WRITE;
        if !self.seals()?.contains(seals) {
            self.seal(seals)?;
        }
        Ok(reader)
    }
}

/// The page of a file of a hugetlbfs, in bytes.
fn huge_page_of(file: BorrowedFd<'_>) -> Option<u64> {
    const HUGETLBFS_MAGIC: i64 = 0x9584_58f6;
    let system = rustix::fs::fstatfs(file).ok()?;
    let page = u64::try_from(system.f_bsize).ok()?;
    (system.f_type == HUGETLBFS_MAGIC).then_some(page)
}

/// Takes a descriptor, such as one received, for a memfd.
impl TryFrom<OwnedFd> for Memfd {
    type Error = Refused<OwnedFd>;

    /// # Errors
    /// [`Kind::Foreign`]: not a memfd (files of a tmpfs that somebody mounted have seals, too, but live in
    /// another file system than memfds do); the descriptor is in the error.
    fn try_from(file: OwnedFd) -> Result<Memfd, Refused<OwnedFd>> {
        match is_memfd(file.as_fd()) {
            Ok(true) => Ok(Memfd { file }),
            Ok(false) => Err(Refused::new(Error::found(Operation::Open, Kind::Foreign), file)),
            Err(error) => Err(Refused::new(error, file)),
        }
    }
}

/// All memfds of one page size lie in one file system, which nobody can mount: a new one tells which.
fn is_memfd(file: BorrowedFd<'_>) -> Result<bool, Error> {
    if memfd::seals(Fd(file.as_raw_fd())).is_err() {
        return Ok(false);
    }
    let huge = huge_page_of(file)
        .and_then(|page| usize::try_from(page).ok())
        .and_then(|page| HugePage::of(neap_os::unit::Bytes(page)));
    let sample = make("sample", MemfdFlags::CLOEXEC, huge)?;
    let device = |of: BorrowedFd<'_>| {
        rustix::fs::fstat(of)
            .map(|stat| stat.st_dev)
            .map_err(|errno| diagnosis::of_rustix(Operation::Open, errno))
    };
    Ok(device(file)? == device(sample.as_fd())?)
}

impl AsFd for Memfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl From<Memfd> for OwnedFd {
    fn from(memfd: Memfd) -> OwnedFd {
        memfd.file
    }
}
