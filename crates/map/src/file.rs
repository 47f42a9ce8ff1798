//! [`FileMap`]: maps of files.
//!
//! The type says how: [`Shared`] or [`Private`] (copy on write), for [`Reading`] or for [`Writing`]. Any
//! offset, any length: the kernel's pages are this module's business. A descriptor is borrowed for the call
//! only, the map outlives it. Source: mmap(2).
//!
//! What cannot be had does not compile:
//!
//! ```compile_fail
//! let file = std::fs::File::open("/proc/self/exe").unwrap();
//! neap_map::FileMap::of(&file).map().unwrap().write_at(0, b"x"); // for reading
//! ```
//! ```compile_fail
//! let file = std::fs::File::open("/proc/self/exe").unwrap();
//! let map = neap_map::FileMap::of(&file).copy_on_write().map().unwrap();
//! let slice: &[u8] = &map; // what was not stored to still shows the file
//! ```
//! ```compile_fail
//! let file = std::fs::File::open("/proc/self/exe").unwrap();
//! neap_map::FileMap::of(&file).no_reserve(); // nothing to charge
//! ```
//! ```compile_fail
//! let file = std::fs::File::open("/proc/self/exe").unwrap();
//! neap_map::FileMap::of(&file).copy_on_write().sync(); // for shared stores
//! ```

use crate::anon::{Populate, Private, Shared};
use crate::area::Area;
use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{Volatile, VolatileMut};
use neap_os::env::page_size;
use neap_os::fd::Fd;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::Bytes;
use rustix::fs::FileType;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// For loads only.
#[derive(Clone, Copy, Debug)]
pub enum Reading {}
/// For loads and stores.
#[derive(Clone, Copy, Debug)]
pub enum Writing {}

/// A request for a map of a file.
///
/// ```
/// use neap_map::FileMap;
/// let file = std::fs::File::open("/proc/self/exe")?;
/// let map = FileMap::of(&file).map()?;
/// let mut magic = [0; 4];
/// map.read_at(0, &mut magic)?;
/// assert_eq!(&magic, b"\x7fELF");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is mapped before `map`"]
pub struct FileMap<'f, S = Shared, A = Reading> {
    file: BorrowedFd<'f>,
    start: u64,
    /// One past the last byte; `None`: the file's length when it is mapped.
    end: Option<u64>,
    prot: Prot,
    flags: Flags,
    place: Place,
    kind: PhantomData<(S, A)>,
}

impl<'f> FileMap<'f> {
    /// The whole file, shared, for reading. What others store there, or take away by truncating it, is seen.
    pub fn of(file: &'f impl AsFd) -> FileMap<'f> {
        FileMap {
            file: file.as_fd(),
            start: 0,
            end: None,
            prot: Prot::READ,
            flags: Flags::NONE,
            place: Place::Anywhere,
            kind: PhantomData,
        }
    }

    /// Copy on write: stores stay in this process. A page that was not stored to still shows what others
    /// store, and truncation takes even the others away. The descriptor need not be open for writing.
    pub fn copy_on_write(self) -> FileMap<'f, Private, Writing> {
        FileMap {
            prot: self.prot | Prot::WRITE,
            ..self
        }
        .kind()
    }

    /// For writing, too: the descriptor must be open for both.
    pub fn writable(self) -> FileMap<'f, Shared, Writing> {
        FileMap {
            prot: self.prot | Prot::WRITE,
            ..self
        }
        .kind()
    }

    /// `MAP_PRIVATE` for reading: no stores, but still not a snapshot.
    pub fn private(self) -> FileMap<'f, Private, Reading> {
        self.kind()
    }

    /// Maps it.
    ///
    /// # Errors
    /// [`Kind::AccessDenied`], [`Kind::BadDescriptor`], [`Kind::NotMappable`], [`Kind::DeviceMemory`] (a
    /// driver's, or a socket's: see [`crate::Device`]), [`Kind::TooLarge`],
    /// [`Kind::OutOfRange`] (the range starts behind its end), [`Kind::NoExec`], [`Kind::MemlockLimit`], and
    /// those of memory.
    pub fn map(self) -> Result<Map<Volatile>, Error> {
        self.area(Sharing::Shared).map(Map::of)
    }
}

impl FileMap<'_, Private, Reading> {
    /// Maps it.
    ///
    /// # Errors
    /// As the shared map.
    pub fn map(self) -> Result<Map<Volatile>, Error> {
        self.area(Sharing::Private).map(Map::of)
    }
}

impl FileMap<'_, Private, Writing> {
    /// `MAP_NORESERVE`: copies are not charged beforehand.
    pub fn no_reserve(self) -> Self {
        self.flag(Flags::NO_RESERVE)
    }

    /// Maps it.
    ///
    /// # Errors
    /// As the shared map; [`Kind::Overcommit`], as all of it may be copied.
    pub fn map(self) -> Result<Map<VolatileMut>, Error> {
        self.area(Sharing::Private).map(Map::of)
    }
}

impl FileMap<'_, Shared, Writing> {
    /// `MAP_SYNC` (Linux 4.15): on a DAX file a store that is flushed from the processor's caches survives a
    /// crash.
    pub fn sync(self) -> Self {
        self.flag(Flags::SYNC)
    }

    /// Maps it.
    ///
    /// # Errors
    /// As for reading; [`Kind::SealedAgainst`] for a memfd sealed against writing, [`Kind::SwapFile`],
    /// [`Kind::Unsupported`] for [`FileMap::sync`] elsewhere.
    pub fn map(self) -> Result<Map<VolatileMut>, Error> {
        let sharing = if self.flags == self.flags | Flags::SYNC {
            Sharing::SharedValidate
        } else {
            Sharing::Shared
        };
        self.area(sharing).map(Map::of)
    }
}

impl<'f, S, A> FileMap<'f, S, A> {
    fn kind<T, B>(self) -> FileMap<'f, T, B> {
        FileMap {
            file: self.file,
            start: self.start,
            end: self.end,
            prot: self.prot,
            flags: self.flags,
            place: self.place,
            kind: PhantomData,
        }
    }

    fn flag(self, flag: Flags) -> Self {
        FileMap {
            flags: self.flags | flag,
            ..self
        }
    }

    /// These bytes of the file only. An end behind the file's is allowed: reading there is an error until the
    /// file has grown so far.
    pub fn range(self, range: impl RangeBounds<u64>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => Some(end.saturating_add(1)),
            Bound::Excluded(&end) => Some(end),
            Bound::Unbounded => None,
        };
        FileMap { start, end, ..self }
    }
    /// Whether to read it in now.
    pub fn populate(self, populate: Populate) -> Self {
        match populate {
            Populate::OnTouch => self,
            Populate::Now => self.flag(Flags::POPULATE),
        }
    }
    /// `MAP_LOCKED`.
    pub fn locked(self) -> Self {
        self.flag(Flags::LOCKED)
    }
    /// With the right to fetch instructions.
    pub fn executable(self) -> Self {
        FileMap {
            prot: self.prot | Prot::EXEC,
            ..self
        }
    }
    /// Its first page exactly here, if nothing is (`MAP_FIXED_NOREPLACE`, Linux 4.17).
    pub fn at(self, address: usize) -> Self {
        FileMap {
            place: Place::Free(address),
            ..self
        }
    }
    /// Here if nothing is, elsewhere if something is.
    pub fn near(self, address: usize) -> Self {
        FileMap {
            place: Place::Near(address),
            ..self
        }
    }

    /// The file's length in bytes now, and its pages' size.
    ///
    /// What is not a file is refused: a store to a driver's memory, or to a queue that the kernel reads
    /// addresses from, can change any memory, and safe code must not be able to make one.
    fn shape(&self) -> Result<(u64, usize), Error> {
        const HUGETLBFS_MAGIC: i64 = 0x9584_58f6;
        /// File systems whose regular files may be a device's memory: sysfs, proc.
        const OF_DEVICES: [i64; 2] = [0x6265_6572, 0x9fa0];
        let failed = |errno| diagnosis::of_rustix(Operation::Map, errno).at(self.start, 0);
        let device = Error::found(Operation::Map, Kind::DeviceMemory).at(self.start, 0);
        let stat = rustix::fs::fstat(self.file).map_err(failed)?;
        // An anonymous inode (io_uring, perf, BPF, KVM) has no type; a socket's memory (packet(7), AF_XDP) is
        // a queue, too.
        if matches!(
            FileType::from_raw_mode(stat.st_mode),
            FileType::CharacterDevice | FileType::Socket | FileType::Unknown
        ) {
            return Err(device);
        }
        let page = page_size();
        let mut pages = page;
        // Other file systems, too, like large blocks, and other files have none: ask which it is.
        let is_large = usize::try_from(stat.st_blksize).is_ok_and(|block| block > page);
        if is_large || stat.st_blocks == 0 {
            let system = rustix::fs::fstatfs(self.file).map_err(failed)?;
            if OF_DEVICES.contains(&system.f_type) && stat.st_size > 0 {
                return Err(device);
            }
            if system.f_type == HUGETLBFS_MAGIC {
                pages = usize::try_from(system.f_bsize).unwrap_or(page);
            }
        }
        Ok((u64::try_from(stat.st_size).unwrap_or(0), pages))
    }

    /// The file, for calls beside the mapping.
    pub(crate) const fn file(&self) -> BorrowedFd<'f> {
        self.file
    }
    /// The first byte's offset in the file.
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }
    /// Whether instructions may be fetched.
    pub(crate) const fn is_executable(&self) -> bool {
        self.prot.contains(Prot::EXEC)
    }

    pub(crate) fn area(self, sharing: Sharing) -> Result<Area, Error> {
        let (file_len, page) = self.shape()?;
        let end = self.end.unwrap_or(file_len.max(self.start));
        let Some(len) = end.checked_sub(self.start) else {
            return Err(Error::found(Operation::Map, Kind::OutOfRange).at(self.start, 1));
        };
        if len == 0 {
            return Ok(Area::empty());
        }
        let too_large = Error::found(Operation::Map, Kind::TooLarge).at(self.start, len);
        let head = (self.start % page as u64) as usize;
        let len = usize::try_from(len).map_err(|_| too_large)?;
        let request = Request {
            len: Bytes(head.checked_add(len).ok_or(too_large)?),
            place: self.place,
            prot: self.prot,
            sharing,
            source: Source::File(Fd(self.file.as_raw_fd()), self.start - head as u64),
            page: PageSize::Base,
            flags: self.flags,
        };
        Area::map_in_pages(&request, head, len, page)
    }
}

#[cfg(test)]
mod tests;
