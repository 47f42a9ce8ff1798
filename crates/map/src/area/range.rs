//! [`PageRange`]: whole pages of one area. Every memory call is made on one, and only here is one made, from
//! bytes that were checked to lie in the area: so no call reaches what lies beside it.

use super::{Area, span_of};
use crate::error::{Error, Kind};
use crate::operation::Operation;
use neap_os::unit::Span;
use std::ops::{Bound, Range, RangeBounds};

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

impl Area {
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

    /// The pages that hold the user's bytes: without guards.
    pub(crate) fn own_pages(&self) -> PageRange {
        let (first, last) = self.edges();
        self.pages(&(0..self.0.len), first, last)
    }

    /// Where the user's pages start and end within the area: without guards.
    pub(super) fn edges(&self) -> (usize, usize) {
        let first = self.0.head & !(self.0.page - 1);
        let last = (self.0.head + self.0.len).next_multiple_of(self.0.page);
        (first, last)
    }
}
