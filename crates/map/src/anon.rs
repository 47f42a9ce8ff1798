//! [`Anon`]: maps of memory that no file backs.
//!
//! The type says what kind: [`Private`] to this process, [`Shared`] with the children of a fork, or
//! [`Droppable`] by the kernel. Each has the options that it can have and no others. Source: mmap(2).
//!
//! Of mmap's flags those are missing that do nothing (`MAP_DENYWRITE`, `MAP_EXECUTABLE`, and but for machines
//! without an MMU `MAP_UNINITIALIZED`) and `MAP_NONBLOCK`, which takes `MAP_POPULATE` back. What cannot be
//! had does not compile:
//!
//! ```compile_fail
//! neap_map::Anon::droppable(4096).no_reserve(); // never charged, anyway
//! ```
//! ```compile_fail
//! neap_map::Anon::droppable(4096).locked(); // EINVAL
//! ```
//! ```compile_fail
//! neap_map::Anon::shared(4096).stack(); // private memory's
//! ```
//! ```compile_fail
//! let map = neap_map::Anon::shared(4096).map().unwrap();
//! let slice: &[u8] = &map; // a child may store there
//! ```
//! ```compile_fail
//! let mut room = neap_map::Anon::private(4096).reserve().unwrap();
//! room[0] = 1; // not committed
//! ```

use crate::area::{Area, Guards};
use crate::error::{Error, Kind};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{Owned, Reserved, VolatileMut};
use neap_os::env::page_size;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::{Bytes, HugePage};
use std::marker::PhantomData;

/// A kind of anonymous memory: [`Private`], [`Shared`] or [`Droppable`].
pub trait AnonKind: sealed::Kind {}

mod sealed {
    use neap_os::mapping::Sharing;

    pub trait Kind {
        const SHARING: Sharing;
    }
}

/// `MAP_PRIVATE`: this process's alone; a child of a fork gets a copy.
#[derive(Clone, Copy, Debug)]
pub enum Private {}
/// `MAP_SHARED`: a child of a fork sees the same bytes. There is no other way to share it: for strangers take
/// a memfd.
#[derive(Clone, Copy, Debug)]
pub enum Shared {}
/// `MAP_DROPPABLE` (Linux 6.11): private, never swapped, and turned to zeros when the kernel needs memory;
/// zeros in a child.
#[derive(Clone, Copy, Debug)]
pub enum Droppable {}

macro_rules! kinds {
    ($($name:ident)*) => {$(
        impl sealed::Kind for $name {
            const SHARING: Sharing = Sharing::$name;
        }
        impl AnonKind for $name {}
    )*};
}
kinds! { Private Shared Droppable }

/// A kind whose pages stay: droppable ones can be neither locked nor huge.
pub trait Kept: AnonKind {}
impl Kept for Private {}
impl Kept for Shared {}

/// What to do about the pages before anybody touches them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Populate {
    /// Nothing: each is made when it is touched.
    #[default]
    OnTouch,
    /// `MAP_POPULATE`: make them all now, as far as there is memory; the kernel keeps a failure to itself
    /// ([`Map::hint`] with [`crate::Hint::PopulateWrite`] does not).
    Now,
}

/// A request for anonymous memory.
///
/// ```
/// use neap_map::{Anon, Guards, Populate};
/// let mut map = Anon::private(1 << 20).guards(Guards::Both).populate(Populate::Now).map()?;
/// map[..5].copy_from_slice(b"hello");
/// # Ok::<(), neap_map::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is mapped before `map`"]
pub struct Anon<K: AnonKind> {
    len: usize,
    place: Place,
    align: usize,
    guards: Guards,
    page: PageSize,
    flags: Flags,
    kind: PhantomData<K>,
}

impl Anon<Private> {
    /// `len` bytes of zeros, private. 0 is a map without bytes.
    pub fn private(len: usize) -> Anon<Private> {
        Anon::new(len)
    }
    /// `MAP_NORESERVE`: not charged against the commit limit in overcommit modes 0 and 1. A touch for which
    /// there is no memory then ends a process.
    pub fn no_reserve(self) -> Self {
        self.flag(Flags::NO_RESERVE)
    }
    /// `MAP_STACK`: without huge pages (Linux 6.7), for a thread's stack.
    pub fn stack(self) -> Self {
        self.flag(Flags::STACK)
    }
    /// `MAP_32BIT` (`x86_64`): in the lowest 2 GiB.
    #[cfg(target_arch = "x86_64")]
    pub fn low(self) -> Self {
        self.flag(Flags::BELOW_4_GIB)
    }

    /// Maps it.
    ///
    /// # Errors
    /// [`Kind::TooLarge`], [`Kind::OutOfMemory`], [`Kind::Overcommit`], [`Kind::AddressSpaceLimit`],
    /// [`Kind::DataLimit`], [`Kind::MapCountExhausted`], [`Kind::HugePoolEmpty`], [`Kind::MemlockLimit`],
    /// [`Kind::Occupied`], [`Kind::Unsupported`]; [`Kind::Invalid`]: huge pages that are not reserved
    /// ([`Anon::no_reserve`]), as a reference to one that the pool has not is SIGBUS.
    pub fn map(self) -> Result<Map<Owned>, Error> {
        if self.page != PageSize::Base && self.flags == self.flags | Flags::NO_RESERVE {
            return Err(Error::found(Operation::Map, Kind::Invalid).at(0, self.len as u64));
        }
        // Private memory made here: nobody else can change it, and it is readable and writable.
        self.area(Prot::READ | Prot::WRITE).map(Map::of)
    }

    /// Reserves the addresses only: no access, no charge.
    ///
    /// # Errors
    /// As [`Anon::map`].
    pub fn reserve(self) -> Result<Map<Reserved>, Error> {
        // Huge pages would be taken off their pool even so.
        let uncharged = if self.page == PageSize::Base {
            self
        } else {
            self.no_reserve()
        };
        uncharged.area(Prot::NONE).map(Map::of)
    }
}

impl Anon<Shared> {
    /// `len` bytes of zeros, shared with the children of forks. 0 is a map without bytes.
    pub fn shared(len: usize) -> Anon<Shared> {
        Anon::new(len)
    }
    /// `MAP_NORESERVE`, as for private memory.
    pub fn no_reserve(self) -> Self {
        self.flag(Flags::NO_RESERVE)
    }

    /// Maps it.
    ///
    /// # Errors
    /// As for private memory; [`Kind::TooManyFiles`]: shared memory counts as an open file (fs.file-max).
    pub fn map(self) -> Result<Map<VolatileMut>, Error> {
        self.area(Prot::READ | Prot::WRITE).map(Map::of)
    }
}

impl Anon<Droppable> {
    /// `len` bytes of zeros that the kernel may drop. 0 is a map without bytes.
    pub fn droppable(len: usize) -> Anon<Droppable> {
        Anon::new(len)
    }

    /// Maps it. The bytes may turn to zeros at any time, so there are no references to them.
    ///
    /// # Errors
    /// As for private memory; [`Kind::Unsupported`] before Linux 6.11.
    pub fn map(self) -> Result<Map<VolatileMut>, Error> {
        self.area(Prot::READ | Prot::WRITE).map(Map::of)
    }
}

impl<K: Kept> Anon<K> {
    /// Pages of this size from the hugetlb pool, the machine's default if it is [`HugePage::DEFAULT`]. They
    /// are set aside for this process, not for its children: what a child of a fork first stores to there is
    /// SIGBUS if the pool is empty then.
    pub fn huge(self, size: HugePage) -> Self {
        Anon {
            page: PageSize::Huge(size),
            ..self
        }
    }
    /// `MAP_LOCKED`: in memory and kept there, as far as that goes; [`Map::lock`] says whether it went.
    pub fn locked(self) -> Self {
        self.flag(Flags::LOCKED)
    }
}

impl<K: AnonKind> Anon<K> {
    fn new(len: usize) -> Anon<K> {
        Anon {
            len,
            place: Place::Anywhere,
            align: 1,
            guards: Guards::None,
            page: PageSize::Base,
            flags: Flags::NONE,
            kind: PhantomData,
        }
    }

    fn flag(self, flag: Flags) -> Self {
        Anon {
            flags: self.flags | flag,
            ..self
        }
    }

    /// Whether to make the pages now.
    pub fn populate(self, populate: Populate) -> Self {
        match populate {
            Populate::OnTouch => self,
            Populate::Now => self.flag(Flags::POPULATE),
        }
    }
    /// At a multiple of `align`, a power of two: 2 MiB lets transparent huge pages fit.
    pub fn align(self, align: usize) -> Self {
        Anon { align, ..self }
    }
    /// With pages around it that nobody can touch.
    pub fn guards(self, guards: Guards) -> Self {
        Anon { guards, ..self }
    }
    /// Exactly here, if nothing is (`MAP_FIXED_NOREPLACE`, Linux 4.17).
    pub fn at(self, address: usize) -> Self {
        Anon {
            place: Place::Free(address),
            ..self
        }
    }
    /// Here if nothing is, elsewhere if something is.
    pub fn near(self, address: usize) -> Self {
        Anon {
            place: Place::Near(address),
            ..self
        }
    }

    fn area(self, prot: Prot) -> Result<Area, Error> {
        let refused = |kind| Error::found(Operation::Map, kind).at(0, self.len as u64);
        if !self.align.is_power_of_two() {
            return Err(refused(Kind::Unaligned));
        }
        if self.len == 0 {
            return Ok(Area::empty());
        }
        let page = self.page_size()?;
        let request = Request {
            len: Bytes(self.len),
            place: self.place,
            prot,
            sharing: K::SHARING,
            source: Source::Anonymous,
            page,
            flags: self.flags,
        };
        let natural = page.bytes().map_or(page_size(), |bytes| bytes.0);
        match self.place {
            Place::Anywhere if self.align > natural || self.guards != Guards::None => {
                Area::map_placed(&request, self.align, self.guards)
            }
            // A place and a distance from others cannot both be chosen.
            Place::Free(_) | Place::Near(_) if self.guards != Guards::None || self.align > natural => {
                Err(refused(Kind::Invalid))
            }
            _ => Area::map(&request, 0, self.len),
        }
    }

    fn page_size(&self) -> Result<PageSize, Error> {
        match self.page {
            PageSize::Huge(HugePage::DEFAULT) => crate::huge::default_size().map(PageSize::Huge),
            page => Ok(page),
        }
    }
}

#[cfg(test)]
mod tests;
