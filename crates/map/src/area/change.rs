//! What changes an area that is there: its rights, what is mapped in it, its length and its place.
//!
//! The kernel may stop half way. Each call here then puts back what it changed; where even that is refused,
//! no type could tell the truth about the area any more, and the process ends with one line.
#![allow(unsafe_code)]

use super::{Area, PageRange, Shape, span_of};
use crate::diagnosis;
use crate::error::{Error, Kind, Refused};
use crate::operation::Operation;
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{self, Move, Old, Place, Prot, Request};
use neap_os::residency::residency;
use neap_os::unit::{Bytes, Span};
use std::mem::ManuallyDrop;

/// A change of rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rights {
    /// What every page allows now, at least.
    pub(crate) before: Prot,
    /// What every page shall allow.
    pub(crate) after: Prot,
}

/// Ends the process: what the kernel left of `span` fits no type.
#[cold]
fn abandon(span: Span, errno: Errno) -> ! {
    eprintln!(
        "neap-map: {:#x}..{:#x} was left half changed [{errno:?}]: ending the process",
        span.base(),
        span.end()
    );
    std::process::abort()
}

/// Whether every page of `span` is mapped. In doubt, no.
fn is_whole(span: Span) -> bool {
    const BATCH: usize = 512;
    let step = BATCH * page_size();
    let mut pages = [0; BATCH];
    (0..span.len()).step_by(step).all(|start| {
        let part = span_of(span.base() + start, step.min(span.len() - start));
        residency(part, &mut pages).is_ok()
    })
}

/// Whether the kernel has `span` as one mapping. In doubt, no.
fn is_one_mapping(span: Span) -> bool {
    span.is_empty() || diagnosis::mapping_at(span.base()).is_some_and(|mapping| mapping.encloses(span))
}

impl Area {
    /// Changes the rights of a part, as far as the kernel gets.
    ///
    /// # Safety
    /// 1. `range` is of this area.
    /// 2. No reference to its bytes that lives on is one that `prot` forbids.
    pub(crate) unsafe fn protect(&self, range: PageRange, prot: Prot) -> Result<(), Errno> {
        assert!(self.whole().span().encloses(range.span()));
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: (1) this area's own, asserted; (2) the caller's (2).
        unsafe { mapping::protect(range.span(), prot) }
    }

    /// Changes the rights of all of a part, or of none of it.
    ///
    /// # Safety
    /// 1. No reference to the bytes of `range` that lives on is one that `rights.after` forbids.
    pub(crate) unsafe fn change_rights(&self, range: PageRange, rights: Rights) -> Result<(), Error> {
        // SAFETY: (1) `protect` asserts it; (2) the caller's (1).
        let Err(errno) = (unsafe { self.protect(range, rights.after) }) else {
            return Ok(());
        };
        // SAFETY: as above; these are the rights that the references were made under.
        if let Err(errno) = unsafe { self.protect(range, rights.before) } {
            // A seal refuses also what would change nothing: then look.
            if !diagnosis::allows(range.span(), rights.before) {
                abandon(range.span(), errno);
            }
        }
        Err(range.name(diagnosis::of_protect(errno, range.span())))
    }

    /// Maps `request` (its place and length are ignored) in place of a part of the area. On failure what was
    /// there is there.
    ///
    /// # Safety
    /// 1. Nothing refers to the bytes of `range` or needs them.
    pub(crate) unsafe fn map_over(&self, range: PageRange, request: &Request) -> Result<(), Error> {
        assert!(self.whole().span().encloses(range.span()));
        if range.is_empty() {
            return Ok(());
        }
        let request = Request {
            place: Place::Over(range.span().base()),
            len: Bytes(range.span().len()),
            ..*request
        };
        // SAFETY: (1) a part of this area (a), asserted, and nothing needs its contents (1).
        if let Err(errno) = unsafe { mapping::map(&request) } {
            // A hole could be filled by another thread, and would then be unmapped under its hands.
            if !is_whole(range.span()) {
                abandon(range.span(), errno);
            }
            return Err(range.name(diagnosis::of_map(errno, &request)));
        }
        Ok(())
    }

    /// Grows or shrinks the area; `len` is the user's new length. Areas with guards, areas without bytes and
    /// a new length of 0 are refused: [`Kind::Invalid`].
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

    /// Moves the area's pages away into an area of its own, without guards, and keeps the old addresses,
    /// mapped and empty.
    ///
    /// # Safety
    /// 1. Nothing refers to the bytes of the area.
    pub(crate) unsafe fn move_out(&mut self) -> Result<Area, Error> {
        if self.0.mapped == 0 {
            return Ok(Area::empty());
        }
        let old = self.own_pages().span();
        // SAFETY: (1) the area's own (a); (2) its contents are not referred to (1); (3) no target.
        let new = unsafe { mapping::remap(old, Bytes(old.len()), Move::May, Old::Keep) }
            .map_err(|errno| self.whole().name(diagnosis::of_move_out(errno, old.len() as u64)))?;
        let (first, _) = self.edges();
        Ok(Area(Shape {
            base: new.base(),
            mapped: new.len(),
            head: self.0.head - first,
            in_file: self.0.in_file.map(|start| start + first as u64),
            ..self.0
        }))
    }

    /// Moves the area's pages, one mapping of the kernel's, over `target`'s, an area of the same length and
    /// page size, which it becomes. On failure both are given back as they were.
    ///
    /// # Safety
    /// 1. Nothing refers to the bytes of this area.
    /// 2. Whoever refers to the bytes of `target` accepts this area's bytes in their place.
    pub(crate) unsafe fn move_over(self, mut target: Area) -> Result<Area, Refused<(Area, Area)>> {
        let (from, over) = (self.own_pages().span(), target.own_pages().span());
        let (first, last) = self.edges();
        let head = target.edges().0 + (self.0.head - first);
        let is_alike = self.0.page == target.0.page && self.0.len == target.0.len;
        // Since Linux 6.17 several mappings may be moved, and the kernel may stop between two of them.
        let is_one = || !self.0.is_merged || is_one_mapping(from);
        if from.len() != over.len() || !is_alike || head != target.0.head || !is_one() {
            let error = Error::found(Operation::Move, Kind::Invalid).at(0, self.0.len as u64);
            return Err(Refused::new(error, (self, target)));
        }
        if from.is_empty() {
            return Ok(target);
        }
        // SAFETY: (1) the area's own (a); (2) not referred to (1); (3) the target is an area's own, and
        // changing its bytes is agreed (2).
        let moved = unsafe { mapping::remap(from, Bytes(from.len()), Move::To(over.base()), Old::Unmap) };
        if let Err(errno) = moved {
            if !(is_whole(from) && is_whole(over)) {
                abandon(over, errno);
            }
            let error = target.whole().name(diagnosis::of_move(errno));
            return Err(Refused::new(error, (self, target)));
        }
        let old = ManuallyDrop::new(self);
        let before_target = target.edges().0 as u64;
        target.0.in_file = old
            .0
            .in_file
            .and_then(|start| (start + first as u64).checked_sub(before_target));
        // What is left of the old area: its guards.
        for guard in [
            span_of(old.0.base, first),
            span_of(old.0.base + last, old.0.mapped - last),
        ] {
            // SAFETY: (1) the area's own (a); (2) guards are not used. One that stays costs address space
            // only.
            let _ = (!guard.is_empty()).then(|| unsafe { mapping::unmap(guard) });
        }
        Ok(target)
    }
}
