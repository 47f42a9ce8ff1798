//! [`Window`]: a file of any length, read and written through a few maps of a part each.
//!
//! Owns the maps, at most as many as there are windows and one per miss under way; the one that was used the
//! longest ago makes room. A window's number and its map are one value behind one lock: a copy holds that
//! lock, so no map is taken away under it and no byte comes from another offset. A new map is made before an
//! old one goes, and never in its place: a refused mapping changes nothing.
//!
//! Locks: a miss holds `turn`, then a window's lock; a copy holds a window's lock alone. After a fork the
//! child must not use what another thread of the parent was using. Copies may block as the disk does.

#[cfg(test)]
mod tests;

use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::file::FileMap;
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{CopyIn, CopyOut, Volatile, VolatileMut};
use neap_os::env::page_size;
use neap_os::fd::{Fd, FileRange};
use neap_os::page_cache::{self, Use};
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

mod sealed {
    use super::{CopyOut, Error, Map, OwnedFd, Range};

    /// Maps bytes of a file under this view.
    pub trait Open: CopyOut + Sized {
        fn open(file: &OwnedFd, range: Range<u64>) -> Result<Map<Self>, Error>;
    }
}
use sealed::Open;

impl Open for Volatile {
    fn open(file: &OwnedFd, range: Range<u64>) -> Result<Map<Volatile>, Error> {
        FileMap::of(file).range(range).map()
    }
}

impl Open for VolatileMut {
    fn open(file: &OwnedFd, range: Range<u64>) -> Result<Map<VolatileMut>, Error> {
        FileMap::of(file).writable().range(range).map()
    }
}

/// How many accesses to a window found it mapped, and how many had to map it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WindowStatistics {
    /// Found.
    pub hits: u64,
    /// Mapped.
    pub misses: u64,
    /// Of the misses, those that unmapped another window.
    pub evictions: u64,
}

/// What is in a place: the window's number, and its map.
type Held<V> = Option<(u64, Map<V>)>;

/// A place for a window.
struct Slot<V: CopyOut> {
    /// The window's number, to find it without the lock; what counts is the one in `held`.
    number: AtomicU64,
    /// When it was last used, by `Window::clock`, which starts at 1; 0: never.
    used: AtomicU64,
    hits: AtomicU64,
    held: RwLock<Held<V>>,
}

const NO_WINDOW: u64 = u64::MAX;

/// A file seen through a few windows: for files larger than the address space one wants to spend. Shared by
/// any number of threads.
///
/// ```
/// use neap_map::Window;
/// use std::num::NonZeroUsize;
/// let file = tempfile::tempfile()?;
/// file.set_len(64 << 30)?; // 64 GiB of holes
/// let four = NonZeroUsize::new(4).unwrap();
/// let window = Window::writable(&file, 1 << 20, four)?; // seen 1 MiB at a time
/// window.write_at((40 << 30) - 3, b"across")?;
/// let mut bytes = [0; 6];
/// window.read_at((40 << 30) - 3, &mut bytes)?;
/// assert_eq!(&bytes, b"across");
/// assert_eq!((window.statistics().misses, window.statistics().hits), (2, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Window<V: CopyOut = Volatile> {
    file: OwnedFd,
    /// A window's length: whole pages.
    bytes: u64,
    slots: Box<[Slot<V>]>,
    /// The file's length when it was last looked at.
    len: AtomicU64,
    /// Counts uses, loosely: threads may take the same tick.
    clock: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
    /// Held by a miss.
    turn: Mutex<()>,
}

impl Window<Volatile> {
    /// For reading, with as many windows as `windows` of `window_bytes` each, rounded up to pages. The
    /// descriptor is duplicated; nothing is mapped yet. Windows are searched one by one: dozens are many.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: windows of 0 bytes. [`Kind::TooLarge`], [`Kind::TooManyFiles`]; those of fstat(2).
    /// [`Kind::OutOfMemory`]: more windows than can be kept.
    pub fn new(file: &impl AsFd, window_bytes: usize, windows: NonZeroUsize) -> Result<Self, Error> {
        Window::over(file, window_bytes, windows)
    }
}

impl Window<VolatileMut> {
    /// For reading and writing: the descriptor must be open for both.
    ///
    /// # Errors
    /// As [`Window::new`].
    pub fn writable(file: &impl AsFd, window_bytes: usize, windows: NonZeroUsize) -> Result<Self, Error> {
        Window::over(file, window_bytes, windows)
    }

    /// Waits until everything that was written is on the disk: fdatasync(2), as windows that were written
    /// may be unmapped by now.
    ///
    /// # Errors
    /// [`Kind::Io`], [`Kind::StorageFull`].
    pub fn flush(&self) -> Result<(), Error> {
        rustix::fs::fdatasync(&self.file).map_err(|errno| diagnosis::of_rustix(Operation::Flush, errno))
    }
}

#[allow(private_bounds)]
impl<V: Open> Window<V> {
    fn over(file: &impl AsFd, window_bytes: usize, windows: NonZeroUsize) -> Result<Self, Error> {
        let refused = |kind| Error::found(Operation::Map, kind).at(0, window_bytes as u64);
        let bytes = window_bytes
            .checked_next_multiple_of(page_size())
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or(refused(Kind::TooLarge))?;
        if bytes == 0 {
            return Err(refused(Kind::Invalid));
        }
        let file = file
            .as_fd()
            .try_clone_to_owned()
            .map_err(|_| refused(Kind::TooManyFiles))?;
        let slot = |_| Slot {
            number: AtomicU64::new(NO_WINDOW),
            used: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            held: RwLock::new(None),
        };
        let mut slots = Vec::new();
        slots
            .try_reserve_exact(windows.get())
            .map_err(|_| refused(Kind::OutOfMemory))?;
        slots.extend((0..windows.get()).map(slot));
        let window = Window {
            file,
            bytes: bytes as u64,
            slots: slots.into_boxed_slice(),
            len: AtomicU64::new(0),
            clock: AtomicU64::new(1),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            turn: Mutex::new(()),
        };
        window.refresh()?;
        Ok(window)
    }

    /// The file's length when it was last looked at: by this value's making, [`Window::refresh`], or an
    /// access behind it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether the file had no byte then.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks at the file's length: needed where it was cut short, so that the rest of its last page is no
    /// more read as zeros.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn refresh(&self) -> Result<u64, Error> {
        let stat =
            rustix::fs::fstat(&self.file).map_err(|errno| diagnosis::of_rustix(Operation::Stat, errno))?;
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        self.len.store(len, Ordering::Relaxed);
        Ok(len)
    }

    /// Copies `to.len()` bytes of the file from `offset` on, over as many windows as that takes.
    ///
    /// # Errors
    /// [`Kind::FileTooShort`]; [`Kind::PageUnavailable`] where the file was cut short since, or the disk
    /// fails; those of mapping a file. The error's range starts at the first byte that was not copied.
    pub fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<(), Error> {
        self.check(Operation::Read, offset, to.len())?;
        let mut rest = to;
        let mut at = offset;
        while !rest.is_empty() {
            let (number, start, len) = self.part(at, rest.len());
            let (now, later) = rest.split_at_mut(len);
            let held = self
                .enter(number)
                .map_err(|error| error.at(at, now.len() as u64))?;
            held_map(&held)
                .read_at(start, now)
                .map_err(|error| self.in_file(error, number))?;
            (rest, at) = (later, at + len as u64);
        }
        Ok(())
    }

    /// Starts reading these bytes from the disk: an access later need not wait for it. Maps nothing.
    ///
    /// # Errors
    /// Those of posix_fadvise(2).
    pub fn prefetch(&self, range: Range<u64>) -> Result<(), Error> {
        let Some(bytes) = FileRange::new(range.start, range.end.saturating_sub(range.start)) else {
            return Ok(());
        };
        page_cache::advise(Fd(self.file.as_raw_fd()), bytes, Use::WillNeed)
            .map_err(|errno| diagnosis::of(Operation::Advise, errno).at(range.start, range.end - range.start))
    }

    /// What happened so far. Of threads that are at work it may miss the newest.
    #[must_use]
    pub fn statistics(&self) -> WindowStatistics {
        WindowStatistics {
            hits: self
                .slots
                .iter()
                .map(|slot| slot.hits.load(Ordering::Relaxed))
                .sum(),
            misses: self.misses.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }

    fn check(&self, operation: Operation, offset: u64, len: usize) -> Result<(), Error> {
        let too_short = Error::found(operation, Kind::FileTooShort).at(offset, len as u64);
        let end = offset.checked_add(len as u64).ok_or(too_short)?;
        if end <= self.len() || end <= self.refresh()? {
            return Ok(());
        }
        Err(too_short)
    }

    /// The window that holds byte `at`, where in it that is, and how many of `len` bytes it holds.
    fn part(&self, at: u64, len: usize) -> (u64, usize, usize) {
        let start = at % self.bytes;
        let left = usize::try_from(self.bytes - start).unwrap_or(usize::MAX);
        (at / self.bytes, start as usize, left.min(len))
    }

    /// `error` of a copy in a window, with offsets of the file.
    fn in_file(&self, error: Error, number: u64) -> Error {
        let range = error.range();
        error.at(number * self.bytes + range.start, range.end - range.start)
    }

    /// The window, mapped and kept so.
    fn enter(&self, number: u64) -> Result<RwLockReadGuard<'_, Held<V>>, Error> {
        if let Some(held) = self.find(number) {
            return Ok(held);
        }
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread's miss may have been of the same window.
        if let Some(held) = self.find(number) {
            return Ok(held);
        }
        let start = number * self.bytes;
        let end = start.saturating_add(self.bytes);
        let map = V::open(&self.file, start..end)?;
        self.misses.fetch_add(1, Ordering::Relaxed);
        let slot = self.put(number, map);
        // Only a miss changes what is there, and this one still has its turn.
        let held = slot.held.read().unwrap_or_else(PoisonError::into_inner);
        drop(turn);
        Ok(held)
    }

    fn find(&self, number: u64) -> Option<RwLockReadGuard<'_, Held<V>>> {
        for slot in &self.slots {
            if slot.number.load(Ordering::Relaxed) != number {
                continue;
            }
            let held = slot.held.read().unwrap_or_else(PoisonError::into_inner);
            if held.as_ref().is_some_and(|(there, _)| *there == number) {
                self.touch(slot);
                slot.hits.fetch_add(1, Ordering::Relaxed);
                return Some(held);
            }
        }
        None
    }

    /// Notes a use. Of the window used last there is nothing to note, so that one window's readers share no
    /// line that changes but its lock.
    fn touch(&self, slot: &Slot<V>) {
        let now = self.clock.load(Ordering::Relaxed);
        if slot.used.load(Ordering::Relaxed) != now {
            self.clock.store(now + 1, Ordering::Relaxed);
            slot.used.store(now + 1, Ordering::Relaxed);
        }
    }

    /// Puts the map where nothing is, or what was used the longest ago: of what nobody uses now, if there is
    /// such. The caller has its turn.
    fn put(&self, number: u64, map: Map<V>) -> &Slot<V> {
        let mut order: Vec<&Slot<V>> = self.slots.iter().collect();
        order.sort_by_key(|slot| slot.used.load(Ordering::Relaxed));
        let idle = order
            .iter()
            .find_map(|&slot| slot.held.try_write().ok().map(|held| (slot, held)));
        let (slot, mut held) = idle.unwrap_or_else(|| {
            let slot = order[0];
            (slot, slot.held.write().unwrap_or_else(PoisonError::into_inner))
        });
        let old = held.replace((number, map));
        slot.number.store(number, Ordering::Relaxed);
        self.touch(slot);
        drop(held);
        if old.is_some() {
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
        slot
    }
}

#[allow(private_bounds)]
impl<V: Open + CopyIn> Window<V> {
    /// Copies `from` to the bytes of the file from `offset` on. The file does not grow by it.
    ///
    /// # Errors
    /// As [`Window::read_at`]; [`Kind::PageUnavailable`] also where the file system is full.
    pub fn write_at(&self, offset: u64, from: &[u8]) -> Result<(), Error> {
        self.check(Operation::Write, offset, from.len())?;
        let mut rest = from;
        let mut at = offset;
        while !rest.is_empty() {
            let (number, start, len) = self.part(at, rest.len());
            let (now, later) = rest.split_at(len);
            let held = self
                .enter(number)
                .map_err(|error| error.at(at, now.len() as u64))?;
            held_map(&held)
                .write_at(start, now)
                .map_err(|error| self.in_file(error, number))?;
            (rest, at) = (later, at + len as u64);
        }
        Ok(())
    }
}

fn held_map<V: CopyOut>(held: &Held<V>) -> &Map<V> {
    let (_, map) = held.as_ref().expect("a window that was entered is mapped");
    map
}

impl<V: CopyOut> fmt::Debug for Window<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (windows, bytes) = (self.slots.len(), self.bytes);
        write!(
            f,
            "Window({windows} of {bytes} bytes over {} bytes)",
            self.len.load(Ordering::Relaxed)
        )
    }
}
