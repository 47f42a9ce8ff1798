//! [`Leased`]: a map of a file that lends `&[u8]`, and keeps the bytes when somebody wants to write (tier
//! T3).
//!
//! As long as nobody opens the file for writing, the map is the file's own pages, guarded by a read lease.
//! When somebody does, they wait; the pages are copied into private memory, which replaces them at the same
//! addresses in one call, and only then is the lease released. A reference sees the same bytes before, during
//! and after. What was written before the lease is brought to the disk first, so that a failed write-back
//! cannot change pages later. A page that the disk fails to deliver is SIGBUS, and while the map is being
//! frozen the end of the process, with one line: so is memory that cannot be had then.
//!
//! A child of a fork has neither the mapping nor the lease: dereferencing a `Leased` there panics, and a
//! reference that the forking thread held is SIGSEGV, not other bytes. Needs CAP_LEASE or to own the file, a
//! file system of this machine and /proc. Source: fcntl(2), Leases.
#![allow(unsafe_code)]

use crate::access;
use crate::area::Area;
use crate::birth::Birth;
use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::file::FileMap;
use crate::file_system;
use crate::lease::{self, Guarded, Lease};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::Frozen;
use neap_os::advice::{self, Discard};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::Bytes;
use rustix::fs::{FileType, Mode, OFlags};
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{with_exposed_provenance, with_exposed_provenance_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A map of a file that others may write to, and whose bytes stay.
///
/// ```
/// use neap_map::FileMap;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// std::fs::write(&path, "before")?;
/// let file = std::fs::File::open(&path)?;
/// let map = FileMap::of(&file).leased()?;
/// std::fs::write(&path, "after")?; // Waits until the map has been frozen.
/// assert_eq!(&map[..], b"before");
/// assert!(map.is_broken());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Leased {
    /// Not null, aligned; the pages there are `pages`' area, whose addresses never change.
    start: usize,
    len: usize,
    birth: Birth,
    pages: Arc<Pages>,
    /// Taken out by the drop only, and not in a child.
    lease: ManuallyDrop<Arc<Lease>>,
}

/// The mapping: the file's, or the copy in its place.
struct Pages {
    area: Mutex<Option<Area>>,
    is_frozen: AtomicBool,
}

impl Pages {
    fn area(&self) -> MutexGuard<'_, Option<Area>> {
        self.area.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guarded for Pages {
    fn freeze(&self, deadline: Option<Instant>) -> Result<(), &'static str> {
        let mut slot = self.area();
        let Some(of_file) = slot.take() else {
            return Ok(());
        };
        let copy = match copied(&of_file, deadline) {
            Ok(copy) => copy,
            Err(why) => {
                *slot = Some(of_file);
                return Err(why);
            }
        };
        // SAFETY: (1) the copy is known here only; (2) who refers to the file's pages gets the same bytes, as
        // nobody can have written to the file since they were copied: the lease is held.
        match unsafe { copy.move_over(of_file) } {
            Ok(frozen) => *slot = Some(frozen),
            // The kernel may have unmapped the file's pages before it failed: references lead nowhere.
            Err(_) => lease::end("the copy could not be put in their place"),
        }
        self.is_frozen.store(true, Ordering::Release);
        Ok(())
    }
}

/// A private copy of all pages of `of_file`, for reading, as the file's bytes are now.
fn copied(of_file: &Area, deadline: Option<Instant>) -> Result<Area, &'static str> {
    const STEP: usize = 16 << 20;
    let whole = of_file.whole().span();
    if whole.is_empty() {
        return Ok(Area::empty());
    }
    let request = Request {
        len: Bytes(whole.len()),
        place: Place::Anywhere,
        prot: Prot::READ | Prot::WRITE,
        sharing: Sharing::Private,
        source: Source::Anonymous,
        page: PageSize::Base,
        flags: Flags::NONE,
    };
    let head = of_file.span().base() - whole.base();
    let copy = Area::map(&request, head, of_file.len()).map_err(|_| "no memory")?;
    let pages = copy.whole();
    let target: *mut u8 = with_exposed_provenance_mut(pages.span().base());
    // SAFETY: private memory that was mapped above, of this length, zeros, and known here only.
    let bytes = unsafe { std::slice::from_raw_parts_mut(target, whole.len()) };
    for (at, part) in (0..).step_by(STEP).zip(bytes.chunks_mut(STEP)) {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err("copying takes longer than the kernel waits");
        }
        // SAFETY: (1) the file's pages are the area's own; there are as many as in the copy.
        unsafe { access::copy_out(with_exposed_provenance(whole.base() + at), part) }
            .map_err(|_| "the disk failed")?;
    }
    // SAFETY: (1) the copy's own pages; (2) `bytes` is used no more.
    unsafe { copy.protect(pages, Prot::READ) }.map_err(|_| "the copy could not be protected")?;
    Ok(copy)
}

impl FileMap<'_> {
    /// Maps it under a read lease. Lends `&[u8]`.
    ///
    /// # Errors
    /// [`Kind::Busy`]: somebody, this process included, has the file open or mapped for writing;
    /// [`Kind::NotPermitted`]: another user's file, without CAP_LEASE; [`Kind::Unsupported`]: no regular
    /// file, or not on a file system of this machine; [`Kind::AccessDenied`]: it may not be opened for
    /// reading; [`Kind::FileTooShort`]: the range ends behind the file; [`Kind::Invalid`]: an executable map;
    /// [`Kind::StorageFull`]: a hole, in a file system in memory that is full; [`Kind::TooManyFiles`],
    /// [`Kind::Io`]; as [`FileMap::map`].
    pub fn leased(self) -> Result<Leased, Error> {
        if self.is_executable() {
            return Err(Error::found(Operation::Lease, Kind::Invalid));
        }
        let birth = Birth::here()?;
        let description = reopened(self.file())?;
        let pages = Arc::new(Pages {
            area: Mutex::new(None),
            is_frozen: AtomicBool::new(false),
        });
        // Held until the map is there: a break in between waits for it.
        let mut slot = pages.area();
        let lease = Lease::take(description, Arc::clone(&pages) as Arc<dyn Guarded>)?;
        let area = match self.under_lease() {
            Ok(area) => area,
            Err(error) => {
                drop(slot);
                lease.release(|| ());
                return Err(error);
            }
        };
        let (start, len) = (area.span().base(), area.len());
        *slot = Some(area);
        drop(slot);
        Ok(Leased {
            start,
            len,
            birth,
            pages,
            lease: ManuallyDrop::new(lease),
        })
    }

    /// The map, while nobody can open the file for writing.
    fn under_lease(self) -> Result<Area, Error> {
        // Page for page the disk has what memory has, so that a page read again is the same.
        rustix::fs::fdatasync(self.file()).map_err(|errno| diagnosis::of_rustix(Operation::Lease, errno))?;
        let in_memory = file_system::is_in_memory(Operation::Lease, self.file())?;
        let area = self.within_file()?.into_area();
        let pages = area.whole();
        if !pages.is_empty() {
            // SAFETY: a child does not get these pages, and none needs them: `Leased` lends none there.
            unsafe { advice::discard(pages.span(), Discard::DontFork) }
                .map_err(|errno| diagnosis::of(Operation::Lease, errno))?;
        }
        if in_memory {
            touch(&area)?;
        }
        Ok(area)
    }
}

/// Loads a byte of each of the user's pages: a hole in a full file system in memory is an error now and not
/// SIGBUS later, and a page that is there stays, as nobody can cut the file or make a hole.
fn touch(area: &Area) -> Result<(), Error> {
    for offset in (0..area.len()).step_by(page_size()) {
        let at = area.as_ptr().wrapping_add(offset);
        // SAFETY: (1) a byte of the area.
        unsafe { access::copy_out(at, &mut [0]) }.map_err(|error| error.at(offset as u64, 1))?;
    }
    Ok(())
}

/// An open file description of our own: leases, and who is told of them, belong to the description.
fn reopened(file: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    const UNSUPPORTED: Error = Error::found(Operation::Lease, Kind::Unsupported(Feature::Lease));
    let failed = |errno| diagnosis::of_rustix(Operation::Lease, errno);
    let stat = rustix::fs::fstat(file).map_err(failed)?;
    let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_regular || !file_system::is_local(Operation::Lease, file)? {
        return Err(UNSUPPORTED);
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        // Somebody has a write lease.
        rustix::io::Errno::AGAIN => Error::answered(Operation::Lease, Errno::EAGAIN, Kind::Busy),
        errno => failed(errno),
    })
}

impl Leased {
    /// Whether somebody wanted to write, and the map is a copy of the file as it was.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.pages.is_frozen.load(Ordering::Acquire)
    }

    /// Copies the bytes now, lets others write to the file, and leaves a map that needs no lease.
    ///
    /// # Errors
    /// [`Kind::PageUnavailable`]: the disk failed, or there was no memory. The lease is released.
    pub fn freeze(self) -> Result<Map<Frozen>, Error> {
        assert!(self.birth.is_here(), "{FOREIGN}");
        self.lease
            .freeze()
            .map_err(|_| Error::found(Operation::Copy, Kind::PageUnavailable).at(0, self.len as u64))?;
        let area = self.pages.area().take();
        Ok(Map::of(area.expect("put there when the map was made")))
    }
}

const FOREIGN: &str = "a leased map does not exist in a child of the process that made it";

impl Deref for Leased {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        assert!(self.birth.is_here(), "{FOREIGN}");
        // SAFETY: not null and aligned also when empty, and no longer than isize::MAX, by the area's
        // invariants; mapped for reading until `self` is dropped or consumed, as the area is in `pages` and
        // taken out only then (a freeze puts one at the same addresses back); nobody writes to it: the file
        // is leased, and its copy private and read-only. In a child it is not mapped: asserted above.
        unsafe { std::slice::from_raw_parts(with_exposed_provenance(self.start), self.len) }
    }
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        // A child has neither mapping nor lease: the addresses may be another's there. What is in the heap
        // stays there.
        if !self.birth.is_here() {
            return;
        }
        self.lease.release(|| drop(self.pages.area().take()));
        // SAFETY: taken out here only, once.
        unsafe { ManuallyDrop::drop(&mut self.lease) };
    }
}

impl fmt::Debug for Leased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_broken() { "broken" } else { "held" };
        write!(f, "Leased({} bytes at {:#x}, {state})", self.len, self.start)
    }
}

#[cfg(test)]
mod tests;
