//! What of a map or of a file is in memory: mincore ([`Residency`]), cachestat ([`CacheStat`]), and a read
//! that never waits for a disk ([`try_read_resident`]).
//!
//! Owns what an answer is worth. Each is history by the time it is read, so none is ever a safety check: a
//! page can be evicted, and a file be cut short under its map. For files that one neither owns nor may write
//! the kernel keeps it to itself: mincore then calls every page resident (5.2), which is told apart here
//! ([`Answer`]), and cachestat says EPERM (6.14). Allocates one byte per page. Source: mincore(2),
//! cachestat's documentation in mm/filemap.c, preadv2(2).

use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{CopyOut, View};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::fd::{Fd, FileRange};
use neap_os::page_cache;
use neap_os::residency::{is_resident, residency};
use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::{IoSliceMut, ReadWriteFlags, preadv2};
use std::ops::{Bound, Range, RangeBounds};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use zerocopy::FromZeros;

/// What mincore's answer is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is what was so when the kernel looked.
    Told,
    /// The kernel called every page resident because it will not tell: the file is somebody else's, and not
    /// writable.
    Denied,
    /// Every page is resident, or the kernel will not tell: the file has no name here to look its owner up
    /// by.
    Unsure,
}

/// Which pages of a map were in memory: of a file or shared memory, in the page cache; of private memory, in
/// this process. A hint, never a safety check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Residency {
    /// mincore's byte for each page.
    pages: Vec<u8>,
    /// The first page's first byte that belongs to the map, and the end of the last one's: bytes of the map.
    bytes: Range<usize>,
    /// How much of the first page lies before it.
    head: usize,
    answer: Answer,
}

impl Residency {
    /// How many pages it is about, of [`Residency::page_size`] bytes.
    #[must_use]
    pub const fn pages(&self) -> usize {
        self.pages.len()
    }

    /// What mincore counts in, in bytes: the machine's page, of huge pages, too.
    #[must_use]
    pub fn page_size(&self) -> usize {
        page_size()
    }

    /// What the answer is worth.
    #[must_use]
    pub const fn answer(&self) -> Answer {
        self.answer
    }

    /// How many pages were resident; `None` if the kernel would not tell.
    #[must_use]
    pub fn resident(&self) -> Option<usize> {
        let count = || self.pages.iter().filter(|&&page| is_resident(page)).count();
        (self.answer != Answer::Denied).then(count)
    }

    /// Whether the page of the map's byte `offset` was resident; `None` outside the range, or if the kernel
    /// would not tell.
    #[must_use]
    pub fn is_resident(&self, offset: usize) -> Option<bool> {
        if self.answer == Answer::Denied || !self.bytes.contains(&offset) {
            return None;
        }
        let page = (offset - self.bytes.start + self.head) / page_size();
        self.pages.get(page).map(|&page| is_resident(page))
    }

    /// The resident stretches, as bytes of the map. None if the kernel would not tell.
    pub fn stretches(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let told = self.answer != Answer::Denied;
        let mut page = 0;
        std::iter::from_fn(move || {
            let rest = self.pages.get(page..).filter(|_| told)?;
            let start = page + rest.iter().position(|&page| is_resident(page))?;
            let len = self.pages[start..].iter().take_while(|&&page| is_resident(page));
            page = start + len.count();
            Some(self.offset_of(start)..self.offset_of(page))
        })
    }

    /// The map's byte at which a page starts, as far as it lies in the range.
    fn offset_of(&self, page: usize) -> usize {
        let from_page = self.bytes.start + page * page_size();
        from_page
            .saturating_sub(self.head)
            .clamp(self.bytes.start, self.bytes.end)
    }
}

impl<V: View> Map<V> {
    /// Which of the pages that hold a byte of `range` are in memory.
    ///
    /// ```
    /// use neap_map::Anon;
    /// let mut map = Anon::private(8 * 4096).map()?;
    /// map[5 * 4096] = 1;
    /// let residency = map.residency(..)?;
    /// assert_eq!((residency.pages(), residency.resident()), (8, Some(1)));
    /// assert_eq!(residency.stretches().collect::<Vec<_>>(), [20480..24576]);
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Kind::OutOfRange`], [`Kind::NotMapped`], [`Kind::WouldBlock`] (no memory for it now).
    pub fn residency(&self, range: impl RangeBounds<usize>) -> Result<Residency, Error> {
        let bytes = self.area().bytes(Operation::Residency, &range)?;
        let covered = self.covering(Operation::Residency, &bytes)?;
        let span = covered.span();
        let none = Error::found(Operation::Residency, Kind::OutOfMemory);
        let mut pages =
            u8::new_vec_zeroed(span.len().div_ceil(page_size())).map_err(|_| covered.name(none))?;
        let resident = match residency(span, &mut pages) {
            _ if bytes.is_empty() => 0,
            Ok(resident) => resident,
            Err(Errno::ENOMEM) => {
                let error = Error::answered(Operation::Residency, Errno::ENOMEM, Kind::NotMapped);
                return Err(covered.name(error));
            }
            Err(errno) => return Err(covered.name(diagnosis::of(Operation::Residency, errno))),
        };
        let head = (self.area().span().base() + bytes.start).saturating_sub(span.base());
        let answer = match resident {
            0 => Answer::Told,
            some if some < pages.len() || self.is_private_anonymous() => Answer::Told,
            _ => worth(span.base()),
        };
        Ok(Residency {
            pages,
            bytes,
            head: if covered.is_empty() { 0 } else { head },
            answer,
        })
    }

    /// By its view: the kernel always tells of such memory.
    fn is_private_anonymous(&self) -> bool {
        use crate::view::{Guarded, Lazy, Owned, Reserved};
        use std::any::TypeId;
        let private = [
            TypeId::of::<Owned>(),
            TypeId::of::<Lazy>(),
            TypeId::of::<Guarded>(),
            TypeId::of::<Reserved>(),
        ];
        private.contains(&TypeId::of::<V>())
    }
}

impl<V: CopyOut> Map<V> {
    /// Copies `to.len()` bytes from `offset` on if all of them are in memory, and says whether it did. Nearly
    /// never waits for a disk: a page that is evicted between the question and the copy is read in again, and
    /// of a file of which the kernel does not tell ([`Answer`]) nothing is copied unless its pages are mapped
    /// here. [`try_read_resident`] of the file itself never waits.
    ///
    /// # Errors
    /// As [`Map::read_at`].
    pub fn try_read_resident(&self, offset: usize, to: &mut [u8]) -> Result<bool, Error> {
        let refused = Error::found(Operation::Read, Kind::OutOfRange).at(offset as u64, to.len() as u64);
        let end = offset.checked_add(to.len()).ok_or(refused)?;
        let range = self.area().bytes(Operation::Read, &(offset..end))?;
        let residency = self.residency(range.clone())?;
        let resident = match residency.answer() {
            Answer::Told => residency.resident() == Some(residency.pages()),
            // What this process has in its own page table takes no disk.
            Answer::Denied | Answer::Unsure => self.pages(range)?.iter().all(|page| page.is_present()),
        };
        if resident {
            self.read_at(offset, to)?;
        }
        Ok(resident)
    }
}

/// What "all resident" is worth for the mapping at `address`: mincore(2) tells of files that the caller owns
/// or may write, and of anonymous memory.
fn worth(address: usize) -> Answer {
    const ANONYMOUS: [&str; 2] = ["/dev/zero (deleted)", "/memfd:"];
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Some(line) = maps.lines().find(|line| holds(line, address)) else {
        return Answer::Unsure;
    };
    let mut fields = line.split_ascii_whitespace();
    let (Some(inode), path) = (fields.nth(4), fields.next().unwrap_or("")) else {
        return Answer::Unsure;
    };
    let path = line
        .find(path)
        .filter(|_| !path.is_empty())
        .map_or("", |at| &line[at..]);
    if inode == "0" {
        return Answer::Told;
    }
    // These belong to who made them, and anybody may write them.
    if ANONYMOUS.iter().any(|name| path.starts_with(name)) {
        return Answer::Told;
    }
    if owns_all_files() {
        return Answer::Told;
    }
    let Ok(file) = std::fs::metadata(path) else {
        return Answer::Unsure;
    };
    if inode.parse() != Ok(file.ino()) {
        return Answer::Unsure;
    }
    let owned = file.uid() == rustix::process::geteuid().as_raw();
    let writable = rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    if owned || writable {
        Answer::Told
    } else {
        Answer::Denied
    }
}

/// Whether a line of /proc/self/maps is about `address`.
fn holds(line: &str, address: usize) -> bool {
    let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
    let number = |text| usize::from_str_radix(text, 16).ok();
    range.is_some_and(|(start, end)| match (number(start), number(end)) {
        (Some(start), Some(end)) => (start..end).contains(&address),
        _ => false,
    })
}

/// Whether this process counts as every file's owner: the capability holds for the users of its namespace.
fn owns_all_files() -> bool {
    const CAP_FOWNER: u64 = 1 << 3;
    const ALL_USERS: &str = "4294967295";
    let users = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    users.trim_end().ends_with(ALL_USERS) && mask.is_some_and(|mask| mask & CAP_FOWNER != 0)
}

/// How much of a file is in the page cache (cachestat, Linux 6.5). Of tmpfs and memfd, "cached" is in memory
/// and "evicted" in swap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheStat {
    counts: page_cache::Counts,
}

macro_rules! counts {
    ($($name:ident $about:literal;)*) => {
        impl CacheStat {$(
            #[doc = concat!("Bytes ", $about, ", in whole pages.")]
            #[must_use]
            pub fn $name(&self) -> u64 {
                self.counts.$name * page_size() as u64
            }
        )*}
    };
}
counts! {
    cached "in the page cache";
    dirty "of those, changed and not yet written back";
    writeback "of those, on their way to the disk";
    evicted "that were in the cache once, as far as the kernel remembers";
    recently_evicted "of those, so recently that reading them again would tell of memory pressure";
}

impl CacheStat {
    /// Of the bytes `range` of `file`; of none if it is empty.
    ///
    /// # Errors
    /// - [`Kind::Unsupported`]: before Linux 6.5, or a file of huge pages.
    /// - [`Kind::AccessDenied`]: the kernel does not tell of files that one neither owns nor may write
    ///   (6.14).
    /// - [`Kind::BadDescriptor`], [`Kind::OutOfRange`].
    pub fn of(file: &impl AsFd, range: impl RangeBounds<u64>) -> Result<CacheStat, Error> {
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
        let len = end.map(|end| end.saturating_sub(start));
        let refused = Error::found(Operation::Residency, Kind::OutOfRange).at(start, len.unwrap_or(1));
        let range = match len {
            Some(0) if end == Some(start) => return Ok(CacheStat::default()),
            Some(0) => None,
            Some(len) => FileRange::new(start, len),
            None => FileRange::from(start),
        };
        let range = range.ok_or(refused)?;
        let counts = page_cache::count(Fd(file.as_fd().as_raw_fd()), range);
        counts.map(|counts| CacheStat { counts }).map_err(|errno| {
            let kind = match errno {
                Errno::ENOSYS | Errno::EOPNOTSUPP => Kind::Unsupported(Feature::Cachestat),
                Errno::EPERM => Kind::AccessDenied,
                _ => diagnosis::of(Operation::Residency, errno).kind(),
            };
            Error::answered(Operation::Residency, errno, kind).at(start, len.unwrap_or(0))
        })
    }
}

/// Copies what the page cache has of `file` from byte `offset` on, and never waits for a disk (preadv2 with
/// `RWF_NOWAIT`, Linux 4.14). `None`: the first byte is not in memory; fewer bytes than asked: the next one
/// is not, or the file ends. A shared map of the file shows the same bytes; here the kernel itself refuses to
/// wait, which no question about a map can make it do. [`Map::prefetch`] starts reading in what is missing.
///
/// # Errors
/// [`Kind::Unsupported`]: the file system cannot. [`Kind::BadDescriptor`], [`Kind::Invalid`], [`Kind::Io`].
pub fn try_read_resident(file: &impl AsFd, offset: u64, to: &mut [u8]) -> Result<Option<usize>, Error> {
    let len = to.len() as u64;
    match preadv2(file, &mut [IoSliceMut::new(to)], offset, ReadWriteFlags::NOWAIT) {
        Ok(read) => Ok(Some(read)),
        Err(rustix::io::Errno::AGAIN) => Ok(None),
        Err(errno) => {
            let error = match errno {
                rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS => {
                    let errno = Errno(errno.raw_os_error());
                    Error::answered(Operation::Read, errno, Kind::Unsupported(Feature::ReadNoWait))
                }
                errno => diagnosis::of_rustix(Operation::Read, errno),
            };
            Err(error.at(offset, len))
        }
    }
}
