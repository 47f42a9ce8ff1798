//! `Area`: the one owner of addresses. Everything that this crate maps, it maps here.
//!
//! An area owns whole pages `[base, base + mapped)`, of which `[head, head + len)` is what the user asked
//! for: the rest is what the kernel's pages hold before an unaligned offset and behind an odd length, and
//! guards. Never makes a reference, never decides who may: that is the views' business. Fields are private,
//! so that no address leaves but through a checked range ([`PageRange`], in `range`); what changes an area
//! that is there is in `change`.
//!
//! Invariants:
//! - a. Nobody else maps, unmaps or moves anything in `[base, base + mapped)` while the area lives.
//! - b. `head + len <= mapped`, or the area is empty: `mapped == len == 0` and `base` is a dangling address.
//! - c. `base` and `mapped` are multiples of `page`, the size of the kernel's pages in this area.
//! - d. `len <= isize::MAX`.
//! - e. `base` is not 0: a reference to address 0 cannot be.
#![allow(unsafe_code)]

mod change;
mod range;

pub(crate) use change::Rights;
pub(crate) use range::PageRange;

use crate::diagnosis;
use crate::error::{Error, Kind, Refused};
use crate::operation::Operation;
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{self, Flags, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::{Bytes, Span};
use std::mem::ManuallyDrop;
use std::ptr::with_exposed_provenance_mut;

/// See the module.
#[derive(Debug)]
pub(crate) struct Area(Shape);

/// An area's numbers, which nobody owns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shape {
    base: usize,
    mapped: usize,
    head: usize,
    len: usize,
    page: usize,
    /// Where in its file `base` lies, for a map of a file.
    in_file: Option<u64>,
    /// Whether it was merged, so that to the kernel it may be several mappings.
    is_merged: bool,
}

/// Which of the bytes around the map an area shall leave inaccessible.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Guards {
    /// None.
    #[default]
    None,
    /// One page before.
    Before,
    /// One page behind.
    Behind,
    /// One page on either side.
    Both,
}

impl Guards {
    const fn before(self) -> bool {
        matches!(self, Guards::Before | Guards::Both)
    }
    const fn behind(self) -> bool {
        matches!(self, Guards::Behind | Guards::Both)
    }
}

impl Area {
    /// An area without bytes, at a dangling address that is aligned to a page.
    pub(crate) fn empty() -> Area {
        let page = page_size();
        Area(Shape {
            base: page,
            mapped: 0,
            head: 0,
            len: 0,
            page,
            in_file: None,
            is_merged: false,
        })
    }

    /// Makes the mapping, of which `len` bytes from `head` on are the user's.
    pub(crate) fn map(request: &Request, head: usize, len: usize) -> Result<Area, Error> {
        let page = request.page.bytes().map_or(page_size(), |bytes| bytes.0);
        Area::map_in_pages(request, head, len, page)
    }

    /// The same of a file whose file system has pages of its own: hugetlbfs.
    pub(crate) fn map_in_pages(
        request: &Request,
        head: usize,
        len: usize,
        page: usize,
    ) -> Result<Area, Error> {
        assert!(page.is_power_of_two() && page >= page_size());
        assert!(
            !matches!(request.place, Place::Over(_)),
            "an area never replaces what is mapped"
        );
        assert!(head.checked_add(len).is_some_and(|end| end <= request.len.0));
        let in_file = match request.source {
            Source::File(_, offset) => Some(offset),
            Source::Anonymous => None,
        };
        let refused =
            |kind| Err(Error::found(Operation::Map, kind).at(in_file.unwrap_or(0), request.len.0 as u64));
        if isize::try_from(request.len.0).is_err() {
            return refused(Kind::TooLarge);
        }
        if request.place == Place::Free(0) {
            return refused(Kind::Invalid);
        }
        // SAFETY: (1) not `Place::Over`, asserted above.
        let span = unsafe { mapping::map(request) }.map_err(|errno| diagnosis::of_map(errno, request))?;
        Ok(Area(Shape {
            base: span.base(),
            mapped: span.len().next_multiple_of(page),
            head,
            len,
            page,
            in_file,
            is_merged: false,
        }))
    }

    /// Address space without access and without charge: `len` bytes at a multiple of `align` (a power of
    /// two, at least a page).
    pub(crate) fn reserve(len: usize, align: usize) -> Result<Area, Error> {
        let page = page_size();
        assert!(align.is_power_of_two() && align >= page);
        let too_large = Error::found(Operation::Map, Kind::TooLarge).at(0, len as u64);
        let whole = Bytes(len).round_up(page).ok_or(too_large)?.0;
        let request = Request {
            len: Bytes(whole.checked_add(align - page).ok_or(too_large)?),
            place: Place::Anywhere,
            prot: Prot::NONE,
            sharing: Sharing::Private,
            source: Source::Anonymous,
            page: PageSize::Base,
            flags: Flags::NO_RESERVE,
        };
        let mut wide = Area::map(&request, 0, request.len.0)?;
        let spare = wide.0.base.wrapping_neg() & (align - 1);
        wide.trim(spare, whole);
        wide.0.len = len;
        Ok(wide)
    }

    /// Gives up all but `keep` bytes from `skip` on. Failing to unmap the rest costs address space only: it
    /// stays a part of the area.
    fn trim(&mut self, skip: usize, keep: usize) {
        let (front, back) = (skip, self.0.mapped - skip - keep);
        self.0.head = skip;
        // SAFETY: (1) the area's own (a); (2) nobody has heard of it.
        if back > 0 && unsafe { mapping::unmap(span_of(self.0.base + skip + keep, back)) }.is_ok() {
            self.0.mapped -= back;
        }
        // SAFETY: as above.
        if front > 0 && unsafe { mapping::unmap(span_of(self.0.base, front)) }.is_ok() {
            self.0.base += front;
            self.0.mapped -= front;
            self.0.head = 0;
        }
    }

    /// Maps `request` (its place is ignored) at a multiple of `align` and with guards around it.
    pub(crate) fn map_placed(request: &Request, align: usize, guards: Guards) -> Result<Area, Error> {
        let page = request.page.bytes().map_or(page_size(), |bytes| bytes.0);
        let align = align.max(page);
        let len = request.len.0;
        let too_large = Error::found(Operation::Map, Kind::TooLarge).at(0, len as u64);
        let whole = Bytes(len).round_up(page).ok_or(too_large)?.0;
        // The guard before is as large as the alignment, so that what follows is aligned.
        let before = if guards.before() { align } else { 0 };
        let behind = if guards.behind() { page } else { 0 };
        let all = before
            .checked_add(whole)
            .and_then(|sum| sum.checked_add(behind))
            .ok_or(too_large)?;
        let mut area = Area::reserve(all, align)?;
        let start = area.0.base + area.0.head + before;
        let placed = Request {
            place: Place::Over(start),
            ..*request
        };
        // SAFETY: (1) lies in the reservation made above, which nobody has heard of.
        unsafe { mapping::map(&placed) }.map_err(|errno| diagnosis::of_map(errno, request))?;
        if guards.before() {
            // Of the guard before only one page is kept.
            let spare = before - page;
            let keep = area.0.mapped - area.0.head - spare;
            let skip = area.0.head + spare;
            area.trim(skip, keep);
            area.0.head += page;
        }
        area.0.len = len;
        area.0.page = page;
        area.0.in_file = match request.source {
            Source::File(_, offset) => offset.checked_sub(area.0.head as u64),
            Source::Anonymous => None,
        };
        assert!(area.0.base + area.0.head == start && area.0.head + len <= area.0.mapped);
        Ok(area)
    }

    /// Takes over addresses that a call other than mmap has mapped (shmat), in pages of this size.
    ///
    /// # Safety
    /// 1. `span` is mapped, page-aligned, and from now on nobody else's.
    pub(crate) unsafe fn adopt(span: Span, len: Bytes, page: PageSize) -> Area {
        let page = page.bytes().map_or(page_size(), |bytes| bytes.0);
        let len = len.0;
        assert!(span.base() != 0 && span.is_aligned(page));
        assert!(len <= span.len() && isize::try_from(len).is_ok());
        Area(Shape {
            base: span.base(),
            mapped: span.len(),
            head: 0,
            len,
            page,
            in_file: None,
            is_merged: false,
        })
    }

    /// Takes over what the kernel has added in front of the area: `MAP_GROWSDOWN`.
    ///
    /// # Safety
    /// 1. The area alone was mapped so, without guards, and nobody uses what it grew by.
    pub(crate) unsafe fn take_growth(&mut self) {
        let now = diagnosis::mapping_at(self.0.base).map_or(self.0.base, Span::base);
        let grown = self.0.base.saturating_sub(now);
        (self.0.base, self.0.mapped, self.0.head) = (now, self.0.mapped + grown, self.0.head + grown);
    }

    /// Gives the addresses up without unmapping them: who gets them answers for them.
    pub(crate) fn release(self) -> Span {
        let area = ManuallyDrop::new(self);
        span_of(area.0.base, area.0.mapped)
    }

    /// Length of the user's bytes.
    pub(crate) const fn len(&self) -> usize {
        self.0.len
    }

    /// The kernel's page in this area, in bytes.
    pub(crate) const fn page(&self) -> usize {
        self.0.page
    }

    /// The user's first byte. Dangling, but not null and aligned to a page, if there is none.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        with_exposed_provenance_mut(self.0.base + self.0.head)
    }

    /// Where in its file the user's byte `offset` lies; `None` if no file backs it as one piece.
    pub(crate) fn in_file(&self, offset: usize) -> Option<u64> {
        self.0.in_file?.checked_add((self.0.head + offset) as u64)
    }

    /// The user's bytes as addresses.
    pub(crate) fn span(&self) -> Span {
        span_of(self.0.base + self.0.head, self.0.len)
    }

    /// Unmaps it all. On failure the area is as it was.
    pub(crate) fn unmap(self) -> Result<(), Refused<Area>> {
        let area = ManuallyDrop::new(self);
        match area.unmap_in_place() {
            Ok(()) => Ok(()),
            Err(error) => Err(Refused::new(error, ManuallyDrop::into_inner(area))),
        }
    }

    fn unmap_in_place(&self) -> Result<(), Error> {
        if self.0.mapped == 0 {
            return Ok(());
        }
        // SAFETY: (1) the area's own (a); (2) the area is gone after this call, or the call failed.
        unsafe { mapping::unmap(span_of(self.0.base, self.0.mapped)) }.map_err(|errno| {
            let error = match errno {
                Errno::EPERM => Error::answered(Operation::Unmap, errno, Kind::MapSealed),
                _ => diagnosis::of(Operation::Unmap, errno),
            };
            self.whole().name(error)
        })
    }

    /// Cuts the area in two: `[0, at)` stays, `[at, len)` is the new one. `at` lies on a page or at an end of
    /// the area; what no user sees stays with the bytes beside it.
    pub(crate) fn split_off(&mut self, at: usize) -> Result<Area, Error> {
        let bytes = self.bytes(Operation::Split, &(at..))?;
        if bytes.is_empty() {
            return Ok(Area::empty());
        }
        if bytes.start == 0 {
            return Ok(std::mem::replace(self, Area::empty()));
        }
        let cut = self.0.head + bytes.start;
        if !cut.is_multiple_of(self.0.page) {
            return Err(Error::found(Operation::Split, Kind::Unaligned).at(at as u64, 1));
        }
        let tail = Shape {
            base: self.0.base + cut,
            mapped: self.0.mapped - cut,
            head: 0,
            len: self.0.len - at,
            page: self.0.page,
            in_file: self.0.in_file.map(|start| start + cut as u64),
            is_merged: self.0.is_merged,
        };
        (self.0.mapped, self.0.len) = (cut, at);
        Ok(Area(tail))
    }

    /// Joins two areas that lie side by side without a byte of the kernel's between them.
    pub(crate) fn merge(self, other: Area) -> Result<Area, Refused<(Area, Area)>> {
        if other.0.len == 0 && other.0.mapped == 0 {
            return Ok(self);
        }
        if self.0.len == 0 && self.0.mapped == 0 {
            return Ok(other);
        }
        let adjacent = self.0.base + self.0.mapped == other.0.base
            && self.0.head + self.0.len == self.0.mapped
            && other.0.head == 0
            && self.0.page == other.0.page;
        let len = self
            .0
            .len
            .checked_add(other.0.len)
            .filter(|&len| isize::try_from(len).is_ok());
        let (true, Some(len)) = (adjacent, len) else {
            let error = Error::found(Operation::Merge, Kind::NotAdjacent);
            return Err(Refused::new(error, (self, other)));
        };
        let (first, second) = (ManuallyDrop::new(self), ManuallyDrop::new(other));
        let follows = first.0.in_file.map(|start| start + first.0.mapped as u64) == second.0.in_file;
        Ok(Area(Shape {
            mapped: first.0.mapped + second.0.mapped,
            len,
            in_file: first.0.in_file.filter(|_| follows),
            is_merged: true,
            ..first.0
        }))
    }
}

fn span_of(base: usize, len: usize) -> Span {
    Span::new(base, len).expect("mapped addresses do not wrap")
}

impl Drop for Area {
    /// Unmaps. A failure leaves the pages mapped for ever, which harms nobody but the map count: who wants to
    /// know calls [`Area::unmap`].
    fn drop(&mut self) {
        let _ = self.unmap_in_place();
    }
}
