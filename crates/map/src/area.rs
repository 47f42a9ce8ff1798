//! `Area`: the one owner of addresses. Everything that this crate maps, it maps here.
//!
//! An area owns whole pages `[base, base + mapped)`, of which `[head, head + len)` is what the user asked
//! for: the rest is what the kernel's pages hold before an unaligned offset and behind an odd length, and
//! guards. Never makes a reference, never decides who may: that is the views' business. Fields are private,
//! so that no address leaves but through a checked range.
//!
//! Invariants:
//! - a. Nobody else maps, unmaps or moves anything in `[base, base + mapped)` while the area lives.
//! - b. `head + len <= mapped`, or the area is empty: `mapped == len == 0` and `base` is a dangling address.
//! - c. `base` and `mapped` are multiples of `page`, the size of the kernel's pages in this area.
//! - d. `len <= isize::MAX`.
#![allow(unsafe_code)]

use crate::diagnosis;
use crate::error::{Error, Kind, Refused};
use crate::operation::Operation;
use neap_os::env::page_size;
use neap_os::mapping::{self, Flags, Move, Old, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::{Bytes, Span};
use std::mem::ManuallyDrop;
use std::ops::{Bound, Range, RangeBounds};
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
}

/// Whole pages of one area: what a memory call may be made on. Only [`Area`] makes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PageRange {
    span: Span,
    /// The bytes that the user named, for the error.
    start: u64,
    len: u64,
}

impl PageRange {
    /// The addresses.
    pub(crate) const fn span(self) -> Span {
        self.span
    }

    /// Whether there is nothing to do: no page lies in it.
    pub(crate) const fn is_empty(self) -> bool {
        self.span.is_empty()
    }

    /// `error`, with the bytes that the user named.
    pub(crate) const fn name(self, error: Error) -> Error {
        error.at(self.start, self.len)
    }
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
        if isize::try_from(request.len.0).is_err() {
            let offset = if let Source::File(_, offset) = request.source {
                offset
            } else {
                0
            };
            return Err(Error::found(Operation::Map, Kind::TooLarge).at(offset, request.len.0 as u64));
        }
        // SAFETY: (1) not `Place::Over`, asserted above.
        let span = unsafe { mapping::map(request) }.map_err(|errno| diagnosis::of_map(errno, request))?;
        Ok(Area(Shape {
            base: span.base(),
            mapped: span.len().next_multiple_of(page),
            head,
            len,
            page,
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
        assert!(area.0.base + area.0.head == start && area.0.head + len <= area.0.mapped);
        Ok(area)
    }

    /// Takes over addresses that a call other than mmap has mapped (shmat, a driver's own way).
    ///
    /// # Safety
    /// 1. `span` is mapped, page-aligned, and from now on nobody else's.
    pub(crate) unsafe fn adopt(span: Span, len: usize) -> Area {
        assert!(span.is_aligned(page_size()) && len <= span.len() && isize::try_from(len).is_ok());
        Area(Shape {
            base: span.base(),
            mapped: span.len(),
            head: 0,
            len,
            page: page_size(),
        })
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

    /// The user's bytes as addresses.
    pub(crate) fn span(&self) -> Span {
        span_of(self.0.base + self.0.head, self.0.len)
    }

    /// All pages of the area.
    pub(crate) fn whole(&self) -> PageRange {
        PageRange {
            span: span_of(self.0.base, self.0.mapped),
            start: 0,
            len: self.0.len as u64,
        }
    }

    /// The user's bytes that `bounds` names, or [`Kind::OutOfRange`].
    pub(crate) fn bytes(
        &self,
        operation: Operation,
        bounds: &impl RangeBounds<usize>,
    ) -> Result<Range<usize>, Error> {
        let start = match bounds.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match bounds.end_bound() {
            Bound::Included(&end) => end.checked_add(1),
            Bound::Excluded(&end) => Some(end),
            Bound::Unbounded => Some(self.0.len),
        };
        match end {
            Some(end) if start <= end && end <= self.0.len => Ok(start..end),
            _ => {
                let len = end.unwrap_or(usize::MAX).saturating_sub(start).max(1);
                Err(Error::found(operation, Kind::OutOfRange).at(start as u64, len as u64))
            }
        }
    }

    fn pages(&self, bytes: &Range<usize>, start: usize, end: usize) -> PageRange {
        assert!(start <= end && end <= self.0.mapped);
        assert!(start.is_multiple_of(self.0.page) && end.is_multiple_of(self.0.page));
        PageRange {
            span: span_of(self.0.base + start, end - start),
            start: bytes.start as u64,
            len: (bytes.end - bytes.start) as u64,
        }
    }

    /// The pages that hold a byte of `bounds`: for calls that do no harm to the bytes beside them.
    pub(crate) fn covering(
        &self,
        operation: Operation,
        bounds: &impl RangeBounds<usize>,
    ) -> Result<PageRange, Error> {
        let bytes = self.bytes(operation, bounds)?;
        if bytes.is_empty() {
            return Ok(self.pages(&bytes, 0, 0));
        }
        let start = (self.0.head + bytes.start) & !(self.0.page - 1);
        let end = (self.0.head + bytes.end).next_multiple_of(self.0.page);
        Ok(self.pages(&bytes, start, end))
    }

    /// The pages that hold nothing but bytes of `bounds`: for calls that lose data. What no user can see,
    /// before the map's first byte and behind its last, counts as inside.
    pub(crate) fn inside(
        &self,
        operation: Operation,
        bounds: &impl RangeBounds<usize>,
    ) -> Result<PageRange, Error> {
        let bytes = self.bytes(operation, bounds)?;
        let (first, last) = self.edges();
        let start = match bytes.start {
            0 => first,
            start => (self.0.head + start).next_multiple_of(self.0.page),
        };
        let end = if bytes.end == self.0.len {
            last
        } else {
            (self.0.head + bytes.end) & !(self.0.page - 1)
        };
        if bytes.is_empty() || start >= end {
            return Ok(self.pages(&bytes, 0, 0));
        }
        Ok(self.pages(&bytes, start, end))
    }

    /// The pages of `bounds`, which must start and end on one (or where the map does): for calls after which
    /// a page beside the range would behave differently.
    pub(crate) fn exactly(
        &self,
        operation: Operation,
        bounds: &impl RangeBounds<usize>,
    ) -> Result<PageRange, Error> {
        let bytes = self.bytes(operation, bounds)?;
        let inside = self.inside(operation, &bytes)?;
        let covering = self.covering(operation, &bytes)?;
        if inside.span == covering.span || bytes.is_empty() {
            return Ok(inside);
        }
        Err(inside.name(Error::found(operation, Kind::Unaligned)))
    }

    /// Where the user's pages start and end within the area: without guards.
    fn edges(&self) -> (usize, usize) {
        let first = self.0.head & !(self.0.page - 1);
        let last = (self.0.head + self.0.len).next_multiple_of(self.0.page);
        (first, last)
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
                neap_os::errno::Errno::EPERM => Error::answered(Operation::Unmap, errno, Kind::MapSealed),
                _ => diagnosis::of(Operation::Unmap, errno),
            };
            self.whole().name(error)
        })
    }

    /// Cuts the area in two: `[0, at)` stays, `[at, len)` is the new one. `at` lies on a page.
    pub(crate) fn split_off(&mut self, at: usize) -> Result<Area, Error> {
        let bytes = self.bytes(Operation::Split, &(at..))?;
        let cut = self.0.head + bytes.start;
        if !cut.is_multiple_of(self.0.page) {
            return Err(Error::found(Operation::Split, Kind::Unaligned).at(at as u64, 1));
        }
        if bytes.is_empty() && !self.is_page_end(cut) {
            return Ok(Area::empty());
        }
        let tail = Shape {
            base: self.0.base + cut,
            mapped: self.0.mapped - cut,
            head: 0,
            len: self.0.len - at,
            page: self.0.page,
        };
        self.0 = match cut {
            0 => ManuallyDrop::new(Area::empty()).0,
            _ => Shape {
                mapped: cut,
                len: at,
                ..self.0
            },
        };
        Ok(Area(tail))
    }

    const fn is_page_end(&self, cut: usize) -> bool {
        cut < self.0.mapped
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
        Ok(Area(Shape {
            mapped: first.0.mapped + second.0.mapped,
            len,
            ..first.0
        }))
    }

    /// Changes the rights of a part.
    ///
    /// # Safety
    /// 1. `range` is of this area.
    /// 2. No reference to its bytes that lives on is one that `prot` forbids.
    pub(crate) unsafe fn protect(&self, range: PageRange, prot: Prot) -> Result<(), neap_os::errno::Errno> {
        assert!(self.whole().span.encloses(range.span));
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: (1) this area's own, asserted; (2) the caller's (2).
        unsafe { mapping::protect(range.span, prot) }
    }

    /// Maps `request` (its place and length are ignored) in place of a part of the area.
    ///
    /// # Safety
    /// 1. Nothing refers to the bytes of `range` or needs them.
    pub(crate) unsafe fn map_over(&self, range: PageRange, request: &Request) -> Result<(), Error> {
        assert!(self.whole().span.encloses(range.span));
        if range.is_empty() {
            return Ok(());
        }
        let request = Request {
            place: Place::Over(range.span.base()),
            len: Bytes(range.span.len()),
            ..*request
        };
        // SAFETY: (1) a part of this area (a), asserted, and nothing needs its contents (1).
        unsafe { mapping::map(&request) }.map_err(|errno| diagnosis::of_map(errno, &request))?;
        Ok(())
    }

    /// Grows or shrinks the area; `len` is the user's new length. Areas with guards stay as they are:
    /// [`Kind::Invalid`].
    ///
    /// # Safety
    /// 1. No reference into the area lives on: with [`Move::May`] every address may change, and otherwise
    ///    the bytes behind `len` go.
    /// 2. `to` is not [`Move::To`].
    pub(crate) unsafe fn resize(&mut self, len: usize, to: Move) -> Result<(), Error> {
        assert!(!matches!(to, Move::To(_)));
        let refused = |kind| Error::found(Operation::Resize, kind).at(0, len as u64);
        let (first, last) = self.edges();
        if self.0.mapped == 0 || len == 0 || first != 0 || last != self.0.mapped {
            return Err(refused(Kind::Invalid));
        }
        let need = self.0.head.checked_add(len).ok_or(refused(Kind::TooLarge))?;
        let whole = Bytes(need).round_up(self.0.page).ok_or(refused(Kind::TooLarge))?;
        if isize::try_from(whole.0).is_err() {
            return Err(refused(Kind::TooLarge));
        }
        if whole.0 != self.0.mapped {
            let old = span_of(self.0.base, self.0.mapped);
            // SAFETY: (1) the area's own (a), one mapping or the kernel refuses; (2) nothing refers to what
            // is lost (1); (3) no target (2).
            let new = unsafe { mapping::remap(old, whole, to, Old::Unmap) }.map_err(|errno| {
                let error = diagnosis::of_resize(errno, whole.0.saturating_sub(self.0.mapped) as u64, to);
                error.at(0, len as u64)
            })?;
            (self.0.base, self.0.mapped) = (new.base(), new.len());
        }
        self.0.len = len;
        Ok(())
    }

    /// Moves the area's pages away into an area of its own, and keeps the old addresses, mapped and empty.
    ///
    /// # Safety
    /// 1. Nothing refers to the bytes of the area.
    pub(crate) unsafe fn move_out(&mut self) -> Result<Area, Error> {
        if self.0.mapped == 0 {
            return Ok(Area::empty());
        }
        let old = span_of(self.0.base, self.0.mapped);
        // SAFETY: (1) the area's own (a); (2) its contents are not referred to (1); (3) no target.
        let new = unsafe { mapping::remap(old, Bytes(self.0.mapped), Move::May, Old::Keep) }
            .map_err(|errno| self.whole().name(diagnosis::of_move_out(errno)))?;
        Ok(Area(Shape {
            base: new.base(),
            mapped: new.len(),
            ..self.0
        }))
    }

    /// Moves the area's pages over `target`, an area of the same shape, which it becomes. On failure both
    /// are given back, and the target's bytes are lost.
    ///
    /// # Safety
    /// 1. Nothing refers to the bytes of this area.
    /// 2. Whoever refers to the bytes of `target` accepts this area's bytes in their place.
    pub(crate) unsafe fn move_over(self, target: Area) -> Result<Area, Refused<(Area, Area)>> {
        assert!(
            self.0.mapped == target.0.mapped && self.0.head == target.0.head && self.0.len == target.0.len
        );
        if self.0.mapped == 0 {
            return Ok(target);
        }
        let old = span_of(self.0.base, self.0.mapped);
        // SAFETY: (1) the area's own (a); (2) not referred to (1); (3) the target is an area's own, and
        // changing its bytes is agreed (2).
        match unsafe { mapping::remap(old, Bytes(self.0.mapped), Move::To(target.0.base), Old::Unmap) } {
            Ok(_) => {
                let _ = ManuallyDrop::new(self);
                Ok(target)
            }
            Err(errno) => {
                let error = target.whole().name(diagnosis::of(Operation::Move, errno));
                Err(Refused::new(error, (self, target)))
            }
        }
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
