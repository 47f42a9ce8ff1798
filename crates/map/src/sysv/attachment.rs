//! [`Attachment`]: a segment in this process's address space.
//!
//! Owns the addresses that shmat gave, all of them or none: see [`super`] for why it is never cut. Views are
//! volatile. While this process has a segment attached its number means that segment and no other, so what
//! is asked of the number then is true of the attachment.
#![allow(unsafe_code)]

use crate::area::Area;
use crate::diagnosis;
use crate::error::{Error, Kind, Refused};
use crate::file::{Reading, Writing};
use crate::huge;
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{Reserved, View, Volatile, VolatileMut};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::PageSize;
use neap_os::sysv::{self, Access, Id, Place};
use neap_os::unit::{Bytes, HugePage, Span};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;

/// A request to attach a segment.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is attached before `map`"]
pub struct Attach<A> {
    id: Id,
    place: Place,
    execution: Execution,
    access: PhantomData<A>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Execution {
    Never,
    Allowed,
}

impl Attach<Writing> {
    pub(super) const fn new(id: Id) -> Attach<Writing> {
        Attach {
            id,
            place: Place::Anywhere,
            execution: Execution::Never,
            access: PhantomData,
        }
    }

    /// SHM_RDONLY.
    pub fn read_only(self) -> Attach<Reading> {
        Attach {
            id: self.id,
            place: self.place,
            execution: self.execution,
            access: PhantomData,
        }
    }

    fn access(&self) -> Access {
        match self.execution {
            Execution::Never => Access::ReadWrite,
            Execution::Allowed => Access::ReadWriteExecute,
        }
    }

    /// Attaches it.
    ///
    /// # Errors
    /// - [`Kind::NotFound`], [`Kind::Removed`]; [`Kind::AccessDenied`]: the mode forbids it.
    /// - Of a place: [`Kind::Unaligned`]; [`Kind::Occupied`]; [`Kind::Invalid`]: page 0;
    ///   [`Kind::NotPermitted`]: below vm.mmap_min_addr.
    /// - [`Kind::OutOfMemory`], [`Kind::MapCountExhausted`].
    pub fn map(self) -> Result<Attachment<VolatileMut>, Error> {
        self.attach(self.access())
    }

    /// Attaches it at the start of a reservation, in its place (SHM_REMAP). The reservation's other pages
    /// are given back.
    ///
    /// # Errors
    /// As [`Attach::map`]; [`Kind::OutOfRange`]: the reservation is shorter than the segment;
    /// [`Kind::Unaligned`]: it does not lie on a page of the segment's; [`Kind::Invalid`]: it has guards. The
    /// reservation is gone then.
    pub fn map_over(
        self,
        reserved: Map<Reserved>,
    ) -> Result<(Attachment<VolatileMut>, Map<Reserved>), Error> {
        self.attach_over(reserved, self.access())
    }
}

impl Attach<Reading> {
    fn access(&self) -> Access {
        match self.execution {
            Execution::Never => Access::Read,
            Execution::Allowed => Access::ReadExecute,
        }
    }

    /// Attaches it.
    ///
    /// # Errors
    /// As for writing.
    pub fn map(self) -> Result<Attachment<Volatile>, Error> {
        self.attach(self.access())
    }

    /// Attaches it at the start of a reservation, as for writing.
    ///
    /// # Errors
    /// As for writing.
    pub fn map_over(self, reserved: Map<Reserved>) -> Result<(Attachment<Volatile>, Map<Reserved>), Error> {
        self.attach_over(reserved, self.access())
    }
}

impl<A> Attach<A> {
    /// SHM_EXEC: with the right to fetch instructions. The segment's mode must have the execution bits.
    pub fn executable(self) -> Self {
        Attach {
            execution: Execution::Allowed,
            ..self
        }
    }
    /// At this address, a multiple of the page, if nothing is there.
    pub fn at(self, address: usize) -> Self {
        Attach {
            place: Place::At(address),
            ..self
        }
    }
    /// SHM_RND: at this address rounded down to the page, if nothing is there.
    pub fn rounded(self, address: usize) -> Self {
        Attach {
            place: Place::Rounded(address),
            ..self
        }
    }

    fn attach<V: View>(&self, access: Access) -> Result<Attachment<V>, Error> {
        let base = sysv::attach(self.id, self.place, access).map_err(|errno| self.refused(errno))?;
        let page = page_at(base);
        let measured = sysv::stat(self.id).and_then(|stat| {
            let mapped = stat.len.round_up(page.bytes().ok_or(Errno::EINVAL)?.0);
            let span = mapped.and_then(|mapped| Span::new(base, mapped.0));
            span.map(|span| (span, stat.len)).ok_or(Errno::EINVAL)
        });
        match measured {
            Ok((span, len)) => {
                // SAFETY: (1) attached by the call above, for us, and so long as the segment, which is the
                // one that was asked: see the module.
                let area = unsafe { Area::adopt(span, len, page) };
                Ok(Attachment::of(area))
            }
            Err(errno) => {
                // SAFETY: (1) attached by the call above, (2) and nobody has heard of it.
                let _ = unsafe { sysv::detach(base) };
                Err(super::of_segment(Operation::Attach, errno))
            }
        }
    }

    fn attach_over<V: View>(
        &self,
        mut reserved: Map<Reserved>,
        access: Access,
    ) -> Result<(Attachment<V>, Map<Reserved>), Error> {
        // A first attachment pins the segment, and so its length and its number.
        let anywhere = Attach {
            place: Place::Anywhere,
            id: self.id,
            ..*self
        };
        let pin: Attachment<V> = anywhere.attach(access)?;
        let (len, page) = (Bytes(pin.len()), pin.map.area().page());
        let need = pin.map.area().whole().span().len();
        let refused = |kind| Error::found(Operation::Attach, kind).at(0, need as u64);
        if reserved.len() < need {
            return Err(refused(Kind::OutOfRange));
        }
        if !(reserved.as_ptr() as usize).is_multiple_of(page) {
            return Err(refused(Kind::Unaligned));
        }
        let rest = reserved.split_off(need)?;
        let span = reserved.area().whole().span();
        if span.len() != need {
            return Err(refused(Kind::Invalid));
        }
        // From here on the pages are no area's: if the call fails half way, nobody knows what is left of
        // them, and a few addresses without memory are the price.
        reserved.into_area().release();
        // SAFETY: (1) the reservation's pages, released to us, as many as the pinned segment has; nobody
        // needs the contents of a reservation.
        unsafe { sysv::attach_over(self.id, span.base(), access) }.map_err(|errno| {
            let error = super::of_segment(Operation::Attach, errno);
            error.at(0, need as u64)
        })?;
        let page = match HugePage::of(Bytes(page)) {
            Some(huge) if page != page_size() => PageSize::Huge(huge),
            _ => PageSize::Base,
        };
        // SAFETY: (1) attached by the call above over pages released to us.
        let area = unsafe { Area::adopt(span, len, page) };
        Ok((Attachment::of(area), rest))
    }

    fn refused(&self, errno: Errno) -> Error {
        let kind = match (errno, self.place) {
            (Errno::EINVAL, _) if sysv::stat(self.id) == Err(Errno::EINVAL) => Kind::NotFound,
            (Errno::EINVAL, Place::At(address) | Place::Rounded(address)) if address < page_size() => {
                Kind::Invalid
            }
            (Errno::EINVAL, Place::At(address)) if !address.is_multiple_of(page_size()) => Kind::Unaligned,
            (Errno::EINVAL, Place::At(_) | Place::Rounded(_)) => Kind::Occupied,
            (Errno::EINVAL, Place::Anywhere) => Kind::Invalid,
            _ => diagnosis::of(Operation::Attach, errno).kind(),
        };
        Error::answered(Operation::Attach, errno, kind)
    }
}

/// The page of the mapping that starts at `base`: shmat does not say. Only what lies on a huge page can be
/// of them.
fn page_at(base: usize) -> PageSize {
    let sizes = huge::sizes();
    let can_be = |size: &HugePage| size.bytes().is_some_and(|bytes| base.is_multiple_of(bytes.0));
    if !sizes.iter().any(can_be) {
        return PageSize::Base;
    }
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let start = format!("{base:x}-");
    let own = maps.lines().skip_while(|line| !line.starts_with(&start));
    own.skip(1)
        .find_map(|line| line.strip_prefix("KernelPageSize:"))
        .and_then(|size| size.trim().strip_suffix("kB")?.trim().parse::<usize>().ok())
        .map(|kib| Bytes(kib * 1024))
        .filter(|&bytes| bytes.0 > page_size())
        .and_then(HugePage::of)
        .map_or(PageSize::Base, PageSize::Huge)
}

/// A segment attached: a [`Map`], but for what would cut it. Detached when it is dropped;
/// [`Attachment::detach`] does it with the kernel's answer.
pub struct Attachment<V: View> {
    map: ManuallyDrop<Map<V>>,
}

impl<V: View> Attachment<V> {
    /// All of an attachment.
    fn of(area: Area) -> Attachment<V> {
        Attachment {
            map: ManuallyDrop::new(Map::of(area)),
        }
    }

    fn base(&self) -> usize {
        self.map.area().whole().span().base()
    }

    /// Detaches it.
    ///
    /// # Errors
    /// [`Kind::NotMapped`]: something in this process has detached it already; the attachment is in the
    /// error.
    pub fn detach(self) -> Result<(), Refused<Attachment<V>>> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: (1) the attachment's own start, as nothing cuts it; (2) it is consumed, and lends nothing
        // that outlives it.
        match unsafe { sysv::detach(this.base()) } {
            Ok(()) => {
                // SAFETY: `this` is not used again, and not dropped.
                let map = unsafe { ManuallyDrop::take(&mut this.map) };
                map.into_area().release();
                Ok(())
            }
            Err(errno) => {
                let error = Error::answered(Operation::Detach, errno, Kind::NotMapped);
                Err(Refused::new(error, ManuallyDrop::into_inner(this)))
            }
        }
    }

    /// A map like any other, which may be cut, and whose pieces are unmapped. The segment is detached with
    /// the last piece.
    #[must_use]
    pub fn into_map(self) -> Map<V> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used again, and not dropped.
        unsafe { ManuallyDrop::take(&mut this.map) }
    }
}

impl<V: View> Deref for Attachment<V> {
    type Target = Map<V>;

    fn deref(&self) -> &Map<V> {
        &self.map
    }
}

impl<V: View> Drop for Attachment<V> {
    fn drop(&mut self) {
        let base = self.base();
        // SAFETY: the field is not used again.
        let map = unsafe { ManuallyDrop::take(&mut self.map) };
        map.into_area().release();
        // SAFETY: (1) the attachment's own start, as nothing cuts it; (2) this value goes, and lends nothing
        // that outlives it. A failure leaves it attached for ever: the process's end detaches it.
        let _ = unsafe { sysv::detach(base) };
    }
}

impl<V: View> fmt::Debug for Attachment<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attachment({:?})", *self.map)
    }
}
