//! Rights: a map is written, then read, run, closed or committed, and each step is another type.
//!
//! A slice that was lent must stay accessible, so no call here takes rights away from a map that somebody
//! could still borrow from: a change of rights consumes the map and returns one whose view says what is left,
//! or lasts as long as a closure that cannot reach the bytes. For a part of a map: split it, change the part,
//! and merge it when it is the same again. A change is made of all pages or of none; where the kernel refuses
//! even to undo half a change, the process ends with one line.
//!
//! A child of a fork has the rights of the moment; changing them there changes nothing here. Source:
//! mprotect(2).
#![allow(unsafe_code)]

use crate::area::{Area, PageRange, Rights};
use crate::error::{Error, Refused};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{Closed, Code, ExecuteOnly, Owned, ReadOnly, Reserved, View, Volatile, VolatileMut};
use neap_os::env::page_size;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::{Bytes, HugePage};
use std::ops::RangeBounds;

const READ_WRITE: Prot = Prot::READ.with(Prot::WRITE);
const READ_EXEC: Prot = Prot::READ.with(Prot::EXEC);

mod sealed {
    use neap_os::mapping::Prot;

    pub trait HasRights {
        const RIGHTS: Prot;
    }
}

/// A view whose memory can be closed and opened again: all but [`Reserved`], and those whose bytes somebody
/// else watches over. What is opened has the rights of its view: a file map that was executable is not any
/// more.
pub trait Closable: View + sealed::HasRights {}

macro_rules! closable {
    ($($view:ident = $rights:expr;)*) => {$(
        impl sealed::HasRights for $view {
            const RIGHTS: Prot = $rights;
        }
        impl Closable for $view {}
    )*};
}
closable! {
    Owned = READ_WRITE;
    ReadOnly = Prot::READ;
    Volatile = Prot::READ;
    VolatileMut = READ_WRITE;
    Code = READ_EXEC;
    ExecuteOnly = Prot::EXEC;
}

/// What [`Map::while_protected`] takes away from a part of a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    /// Stores: a store is SIGSEGV.
    NoWrite,
    /// Loads and stores.
    NoAccess,
}

/// What is left of a map while a part of it is protected.
#[derive(Debug)]
pub struct Around<'a> {
    /// The bytes before the part.
    pub before: &'a mut [u8],
    /// The part, as far as it can be read: empty under [`Protection::NoAccess`].
    pub within: &'a [u8],
    /// The bytes behind it.
    pub behind: &'a mut [u8],
}

/// `map` with the rights of `W` in place of those of `V`, or as it was.
///
/// # Safety
/// 1. `W` is true of the bytes of any `Map<V>` that has `rights.after`.
unsafe fn turned<V: View, W: View>(map: Map<V>, rights: Rights) -> Result<Map<W>, Refused<Map<V>>> {
    // SAFETY: (1) the map is consumed: nothing borrows from it.
    match unsafe { map.area().change_rights(map.area().own_pages(), rights) } {
        Ok(()) => Ok(map.viewed()),
        Err(error) => Err(Refused::new(error, map)),
    }
}

impl Map<Owned> {
    /// Takes the right to store away. Also a mistaken store through a raw pointer is SIGSEGV then.
    ///
    /// # Errors
    /// [`Kind::MapSealed`](crate::Kind::MapSealed),
    /// [`Kind::MapCountExhausted`](crate::Kind::MapCountExhausted), with the map as it was.
    ///
    /// ```
    /// use neap_map::Anon;
    /// let mut map = Anon::private(4096).map()?;
    /// map[0] = 7;
    /// let fixed = map.into_read_only()?;
    /// assert_eq!(fixed[0], 7);
    /// let mut map = fixed.into_owned()?;
    /// map[0] += 1;
    /// assert_eq!(map[0], 8);
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    pub fn into_read_only(self) -> Result<Map<ReadOnly>, Refused<Map<Owned>>> {
        let (before, after) = (READ_WRITE, Prot::READ);
        // SAFETY: (1) private anonymous and readable, and nobody may store: what `ReadOnly` says.
        unsafe { turned(self, Rights { before, after }) }
    }

    /// Makes the bytes instructions: they may be run and read, and no longer written. The bytes that were
    /// stored are what is fetched, in this thread at once and in another once it has learnt of the map in an
    /// ordered way (a channel, a lock).
    ///
    /// # Errors
    /// As [`Map::into_read_only`]; [`Kind::AccessDenied`](crate::Kind::AccessDenied) where SELinux or
    /// `PR_SET_MDWE` (Linux 6.3) forbids it.
    ///
    /// ```
    /// # #[cfg(target_arch = "x86_64")] {
    /// let mut map = neap_map::Anon::private(4096).map()?;
    /// map[..6].copy_from_slice(&[0xb8, 42, 0, 0, 0, 0xc3]); // mov eax, 42; ret
    /// let code = map.into_code()?;
    /// // SAFETY: the six bytes above are a function of this type.
    /// let answer: extern "C" fn() -> u32 = unsafe { std::mem::transmute(code.as_ptr()) };
    /// assert_eq!(answer(), 42);
    /// assert_eq!(code.into_owned()?[1], 42);
    /// # }
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    pub fn into_code(self) -> Result<Map<Code>, Refused<Map<Owned>>> {
        fetch_anew(&self);
        let (before, after) = (READ_WRITE, READ_EXEC);
        // SAFETY: (1) private anonymous, may be fetched and read, and nobody may store: what `Code` says.
        unsafe { turned(self, Rights { before, after }) }
    }

    /// The same, and not to be read either where the processor has protection keys; elsewhere `x86_64` lets
    /// loads through. There is nothing to read through this type.
    ///
    /// # Errors
    /// As [`Map::into_code`].
    pub fn into_execute_only(self) -> Result<Map<ExecuteOnly>, Refused<Map<Owned>>> {
        fetch_anew(&self);
        let (before, after) = (READ_WRITE, Prot::EXEC);
        // SAFETY: (1) `ExecuteOnly` lends nothing.
        unsafe { turned(self, Rights { before, after }) }
    }

    /// Gives the pages and their charge back and keeps the addresses. The contents are lost.
    ///
    /// # Errors
    /// [`Kind::MapSealed`](crate::Kind::MapSealed),
    /// [`Kind::MapCountExhausted`](crate::Kind::MapCountExhausted), with the map as it was.
    ///
    /// ```
    /// let mut map = neap_map::Anon::private(8192).map()?;
    /// map[0] = 1;
    /// let map = map.decommit()?.commit()?;
    /// assert_eq!(map[0], 0);
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    pub fn decommit(self) -> Result<Map<Reserved>, Refused<Map<Owned>>> {
        // mprotect would keep both: only a new mapping has neither.
        let page = page_of(&self);
        let request = Request {
            len: Bytes(0),
            place: Place::Anywhere,
            prot: Prot::NONE,
            sharing: Sharing::Private,
            source: Source::Anonymous,
            page,
            flags: if page == PageSize::Base {
                Flags::NONE
            } else {
                Flags::NO_RESERVE
            },
        };
        // SAFETY: (1) the map is consumed, so nothing borrows from it, and its contents are given up.
        match unsafe { self.area().map_over(self.area().own_pages(), &request) } {
            Ok(()) => Ok(self.viewed()),
            Err(error) => Err(Refused::new(as_protect(error), self)),
        }
    }

    /// Runs `work` while a part of whole pages is protected, and gives the rights back when it returns or
    /// panics. A scope and not a guard value, as a guard can be leaked: the slices that the map lends
    /// later would then be of memory that may not be touched. Other threads cannot have slices meanwhile.
    ///
    /// If the kernel will not give the rights back the process ends: the map is still the caller's.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`](crate::Kind::OutOfRange), [`Kind::Unaligned`](crate::Kind::Unaligned),
    /// [`Kind::MapSealed`](crate::Kind::MapSealed),
    /// [`Kind::MapCountExhausted`](crate::Kind::MapCountExhausted); `work` has not run then.
    ///
    /// ```
    /// use neap_map::{Anon, protection::Protection};
    /// let mut map = Anon::private(3 * 4096).map()?;
    /// let sum = map.while_protected(4096..8192, Protection::NoWrite, |around| {
    ///     around.before[0] = 2;
    ///     around.behind[0] = 3;
    ///     around.before[0] + around.within[0] + around.behind[0]
    /// })?;
    /// assert_eq!(sum, 5);
    /// map[4096] = 1;
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    pub fn while_protected<R>(
        &mut self,
        range: impl RangeBounds<usize>,
        protection: Protection,
        work: impl FnOnce(Around<'_>) -> R,
    ) -> Result<R, Error> {
        let bytes = self.area().bytes(Operation::Protect, &range)?;
        let pages = self.area().exactly(Operation::Protect, &bytes)?;
        let after = match protection {
            Protection::NoWrite => Prot::READ,
            Protection::NoAccess => Prot::NONE,
        };
        let (before, len, base) = (READ_WRITE, self.len(), self.area().as_ptr());
        // SAFETY: (1) `self` is borrowed exclusively: no slice of it lives.
        unsafe { self.area().change_rights(pages, Rights { before, after })? };
        let _restore = Restore {
            area: self.area(),
            pages,
            after,
        };
        let readable = match protection {
            Protection::NoWrite => bytes.len(),
            Protection::NoAccess => 0,
        };
        // SAFETY: three parts of the map that do not overlap, within its bounds (`bytes`, checked), under the
        // exclusive borrow of it. The first and the last keep their rights, as `pages` is exactly the part's
        // pages; the middle one can be read, or has no bytes. `work` gives them up before `_restore` is
        // dropped, as their lifetime ends with its call.
        let around = unsafe {
            Around {
                before: std::slice::from_raw_parts_mut(base, bytes.start),
                within: std::slice::from_raw_parts(base.add(bytes.start), readable),
                behind: std::slice::from_raw_parts_mut(base.add(bytes.end), len - bytes.end),
            }
        };
        Ok(work(around))
    }
}

/// Gives a part its rights back.
struct Restore<'a> {
    area: &'a Area,
    pages: PageRange,
    after: Prot,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        let rights = Rights {
            before: self.after,
            after: READ_WRITE,
        };
        // SAFETY: (1) these rights forbid nothing.
        if let Err(error) = unsafe { self.area.change_rights(self.pages, rights) } {
            eprintln!("neap-map: {error}: ending the process, whose map may be used again");
            std::process::abort();
        }
    }
}

/// The pages that `map` is made of.
fn page_of<V: View>(map: &Map<V>) -> PageSize {
    match HugePage::of(Bytes(map.page_size())) {
        Some(size) if map.page_size() != page_size() => PageSize::Huge(size),
        _ => PageSize::Base,
    }
}

fn as_protect(error: Error) -> Error {
    let (range, errno) = (error.range(), error.errno());
    let again = match errno {
        Some(errno) => Error::answered(Operation::Protect, errno, error.kind()),
        None => Error::found(Operation::Protect, error.kind()),
    };
    again.at(range.start, range.end - range.start)
}

impl Map<ReadOnly> {
    /// Gives the right to store back.
    ///
    /// # Errors
    /// [`Kind::Overcommit`](crate::Kind::Overcommit) where memory is charged when it may be written, and the
    /// errors of [`Map::into_read_only`]; the map is in the error as it was.
    pub fn into_owned(self) -> Result<Map<Owned>, Refused<Map<ReadOnly>>> {
        let (before, after) = (Prot::READ, READ_WRITE);
        // SAFETY: (1) private anonymous, readable and writable: what `Owned` says.
        unsafe { turned(self, Rights { before, after }) }
    }
}

impl Map<Code> {
    /// Makes the bytes data again, to be written. Nothing may be running in them; whoever calls a function
    /// there has said `unsafe` and answers for that.
    ///
    /// # Errors
    /// As [`Map::into_read_only`].
    pub fn into_owned(self) -> Result<Map<Owned>, Refused<Map<Code>>> {
        let (before, after) = (READ_EXEC, READ_WRITE);
        // SAFETY: (1) private anonymous, readable and writable: what `Owned` says.
        unsafe { turned(self, Rights { before, after }) }
    }
}

impl Map<ExecuteOnly> {
    /// Makes the bytes data again: see [`Map::<Code>::into_owned`].
    ///
    /// # Errors
    /// As [`Map::into_read_only`].
    pub fn into_owned(self) -> Result<Map<Owned>, Refused<Map<ExecuteOnly>>> {
        let (before, after) = (Prot::EXEC, READ_WRITE);
        // SAFETY: (1) private anonymous, readable and writable: what `Owned` says.
        unsafe { turned(self, Rights { before, after }) }
    }
}

impl Map<VolatileMut> {
    /// Takes this map's right to store away. Others keep theirs.
    ///
    /// # Errors
    /// As for private memory.
    pub fn into_read_only(self) -> Result<Map<Volatile>, Refused<Map<VolatileMut>>> {
        let (before, after) = (READ_WRITE, Prot::READ);
        // SAFETY: (1) `Volatile` claims less than `VolatileMut` of the same bytes.
        unsafe { turned(self, Rights { before, after }) }
    }
}

impl Map<Volatile> {
    /// Gives this map the right to store: into the file if it is shared, into this process's copies if not.
    ///
    /// # Errors
    /// [`Kind::AccessDenied`](crate::Kind::AccessDenied): the file was not open for writing, or is sealed
    /// against it; and the errors of [`Map::into_read_only`]. The map is in the error as it was.
    pub fn into_writable(self) -> Result<Map<VolatileMut>, Refused<Map<Volatile>>> {
        let (before, after) = (Prot::READ, READ_WRITE);
        // SAFETY: (1) neither view lends a reference.
        unsafe { turned(self, Rights { before, after }) }
    }
}

impl<V: Closable> Map<V> {
    /// Takes every access away and keeps the contents.
    ///
    /// # Errors
    /// [`Kind::MapSealed`](crate::Kind::MapSealed),
    /// [`Kind::MapCountExhausted`](crate::Kind::MapCountExhausted), with the map as it was.
    ///
    /// ```
    /// let mut map = neap_map::Anon::private(4096).map()?;
    /// map[0] = 5;
    /// let closed = map.close()?;
    /// assert_eq!(closed.open()?[0], 5);
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    ///
    /// There is nothing to read meanwhile:
    /// ```compile_fail
    /// let closed = neap_map::Anon::private(4096).map().unwrap().close().unwrap();
    /// let byte = closed[0];
    /// ```
    pub fn close(self) -> Result<Map<Closed<V>>, Refused<Map<V>>> {
        let (before, after) = (V::RIGHTS, Prot::NONE);
        // SAFETY: (1) `Closed` lends nothing.
        unsafe { turned(self, Rights { before, after }) }
    }
}

impl<V: Closable> Map<Closed<V>> {
    /// Gives the view's rights back.
    ///
    /// # Errors
    /// As [`Map::close`].
    pub fn open(self) -> Result<Map<V>, Refused<Map<Closed<V>>>> {
        let (before, after) = (Prot::NONE, V::RIGHTS);
        // SAFETY: (1) the bytes were a `Map<V>`'s before it was closed, and have its rights again.
        unsafe { turned(self, Rights { before, after }) }
    }
}

impl Map<Reserved> {
    /// Makes all of it memory: zeros, readable and writable, charged against the commit limit.
    ///
    /// # Errors
    /// [`Kind::Overcommit`](crate::Kind::Overcommit), [`Kind::DataLimit`](crate::Kind::DataLimit),
    /// [`Kind::MapCountExhausted`](crate::Kind::MapCountExhausted),
    /// [`Kind::MapSealed`](crate::Kind::MapSealed); of huge pages, which takes Linux 5.16,
    /// [`Kind::HugePoolEmpty`](crate::Kind::HugePoolEmpty). The reservation is in the error as it was.
    pub fn commit(self) -> Result<Map<Owned>, Refused<Map<Reserved>>> {
        if self.page_size() != page_size() {
            return self.commit_huge();
        }
        let (before, after) = (Prot::NONE, READ_WRITE);
        // SAFETY: (1) a reservation is private anonymous memory that nobody has used; readable and writable
        // it is what `Owned` says.
        unsafe { turned(self, Rights { before, after }) }
    }

    /// The pool gives its pages to who maps them, not to who may access them: a new mapping has them for
    /// sure, or is refused, and is moved to the reservation's place.
    fn commit_huge(self) -> Result<Map<Owned>, Refused<Map<Reserved>>> {
        let place = self.area().own_pages().span();
        let request = Request {
            len: Bytes(place.len()),
            place: Place::Anywhere,
            prot: READ_WRITE,
            sharing: Sharing::Private,
            source: Source::Anonymous,
            page: page_of(&self),
            flags: Flags::NONE,
        };
        let head = self.area().span().base() - place.base();
        let fresh = match Area::map(&request, head, self.len()) {
            Ok(fresh) => fresh,
            Err(error) => return Err(Refused::new(as_protect(error), self)),
        };
        // SAFETY: (1) nobody has heard of the new mapping; (2) the reservation is consumed, and nothing
        // refers to its bytes.
        match unsafe { fresh.move_over(self.into_area()) } {
            Ok(memory) => Ok(Map::of(memory)),
            Err(refused) => {
                let error = refused.error();
                Err(Refused::new(as_protect(error), Map::of(refused.into_inner().1)))
            }
        }
    }

    /// Makes the first `len` bytes memory and takes them off the reservation: whole pages. What was taken off
    /// before lies in front of it, and [`Map::merge`] joins them.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`](crate::Kind::OutOfRange), [`Kind::Unaligned`](crate::Kind::Unaligned), and those
    /// of [`Map::commit`]; the reservation is as it was.
    ///
    /// ```
    /// let mut room = neap_map::Anon::private(1 << 30).reserve()?;
    /// let mut used = room.commit_front(4096)?;
    /// used[0] = 1;
    /// used = used.merge(room.commit_front(8192)?)?;
    /// used[3 * 4096 - 1] = 2;
    /// assert_eq!((used.len() + room.len(), used[0]), (1 << 30, 1));
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    pub fn commit_front(&mut self, len: usize) -> Result<Map<Owned>, Error> {
        let empty = Map::of(Area::empty());
        let rest = self.split_off(len)?;
        let front = std::mem::replace(self, empty);
        match front.commit() {
            Ok(memory) => {
                *self = rest;
                Ok(memory)
            }
            Err(refused) => {
                let error = refused.error();
                *self = refused.into_inner().merge(rest).unwrap_or_else(|refused| {
                    unreachable!("parts of one map lie side by side: {}", refused.error())
                });
                Err(error)
            }
        }
    }
}

/// Makes sure that the bytes just stored are those that will be fetched as instructions.
#[cfg(not(target_arch = "aarch64"))]
const fn fetch_anew(_: &[u8]) {}

/// As above: the data cache is written out to where instructions are fetched from, and the instruction cache
/// forgets them (Arm ARM, B2.7.4.2). Linux lets user programs do both.
#[cfg(target_arch = "aarch64")]
fn fetch_anew(bytes: &[u8]) {
    use std::arch::asm;
    let kinds: u64;
    // SAFETY: reads a register that Linux lets user programs read.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) kinds, options(nomem, nostack, preserves_flags)) };
    let (data_line, code_line) = (4usize << ((kinds >> 16) & 15), 4usize << (kinds & 15));
    let (start, end) = (bytes.as_ptr().addr(), bytes.as_ptr().addr() + bytes.len());
    for line in (start & !(data_line - 1)..end).step_by(data_line) {
        // SAFETY: cleans a cache line that holds a byte of the slice, or is beside one in its page.
        unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: barriers have no conditions.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    for line in (start & !(code_line - 1)..end).step_by(code_line) {
        // SAFETY: as for the data lines; only caches change.
        unsafe { asm!("ic ivau, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: as above.
    unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
}

#[cfg(test)]
mod tests;
