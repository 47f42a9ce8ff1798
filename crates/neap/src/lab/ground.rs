//! [`Ground`]: an [`Area`] to give advice about, by whole pages.
//!
//! Places in it are page numbers, and a load or store is mostly of a page's first byte. What advice does to
//! bytes surprises nobody here, because nothing refers to them: so advice that loses data is safe to give. An
//! access that the kernel does not allow ends the process, or the child, by a signal.
//!
//! Nothing is unmapped but by [`Ground::punch`]: the experiment's process ends soon enough.
#![allow(unsafe_code, reason = "experiments give up the data of memory of their own")]

use std::fs::File;
use std::mem::ManuallyDrop;
use std::ops::Range;

use neap_os::advice::{self, Discard, Guard, Hint};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{Flags, Prot, Request, Sharing, Source};
use neap_os::residency::residency;
use neap_os::unit::{Bytes, Span};

use super::area::{Area, private};
use super::disk_file::fd_of;

/// kB of so many pages.
pub(crate) fn kb(pages: usize) -> u64 {
    (pages * page_size() / 1024) as u64
}

/// Anonymous memory that can be read and written, wherever there is room: to be changed by the caller.
pub(crate) fn request(pages: usize, sharing: Sharing) -> Request {
    Request {
        sharing,
        ..private(pages * page_size())
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ground {
    area: ManuallyDrop<Area>,
    hole: Range<usize>,
}

impl Ground {
    /// Mapped as asked, into free room.
    pub(crate) fn of(request: &Request) -> Result<Ground, Errno> {
        Area::ask(request).map(Ground::on)
    }

    fn on(area: Area) -> Ground {
        Ground {
            area: ManuallyDrop::new(area),
            hole: 0..0,
        }
    }

    /// Private anonymous memory, with a page without access on either side: the kernel would merge it with a
    /// neighbour of the same kind, and smaps tell of both as one.
    pub(crate) fn anonymous(pages: usize) -> Result<Ground, Errno> {
        Ground::aligned(pages, Sharing::Private, Bytes(page_size()), 1)
    }

    /// Shared anonymous memory.
    pub(crate) fn shared(pages: usize) -> Result<Ground, Errno> {
        Ground::of(&request(pages, Sharing::Shared))
    }

    /// The first pages of an open file.
    pub(crate) fn of_file(file: &File, pages: usize, sharing: Sharing, prot: Prot) -> Result<Ground, Errno> {
        Ground::of(&Request {
            prot,
            source: Source::File(fd_of(file), 0),
            ..request(pages, sharing)
        })
    }

    /// Anonymous memory that starts `shift` pages above a multiple of `align` bytes.
    pub(crate) fn aligned(
        pages: usize,
        sharing: Sharing,
        align: Bytes,
        shift: usize,
    ) -> Result<Ground, Errno> {
        let wish = request(pages, sharing);
        let room = Area::ask(&Request {
            len: Bytes(wish.len.0 + 2 * align.0),
            prot: Prot::NONE,
            flags: Flags::NO_RESERVE,
            ..wish
        })?;
        let base = room.span().base().next_multiple_of(align.0) + shift * page_size();
        Area::inside(room, base, &wish).map(Ground::on)
    }

    /// All of it.
    pub(crate) fn span(&self) -> Span {
        self.area.span()
    }

    /// How many pages of the kernel's own size.
    pub(crate) fn len(&self) -> usize {
        self.span().len() / page_size()
    }

    /// Some pages of it.
    pub(crate) fn pages(&self, pages: Range<usize>) -> Span {
        self.area.part(pages.start * page_size()..pages.end * page_size())
    }

    /// Bytes from the start to a page that may be accessed.
    fn offset(&self, page: usize) -> usize {
        assert!(page < self.len() && !self.hole.contains(&page), "page {page}");
        page * page_size()
    }

    /// The first byte of a page.
    pub(crate) fn read(&self, page: usize) -> u8 {
        self.area.load(self.offset(page))
    }

    /// Sets the first byte of a page.
    pub(crate) fn write(&self, page: usize, byte: u8) {
        self.write_at(page, 0, byte);
    }

    /// Sets another byte of a page.
    pub(crate) fn write_at(&self, page: usize, offset: usize, byte: u8) {
        assert!(offset < page_size(), "{offset} is in the next page");
        self.area.store(self.offset(page) + offset, byte);
    }

    /// Sets the first byte of every page.
    pub(crate) fn fill(&self, byte: u8) {
        for page in 0..self.len() {
            self.write(page, byte);
        }
    }

    /// How many pages have this first byte.
    pub(crate) fn count(&self, byte: u8) -> usize {
        (0..self.len()).filter(|&page| self.read(page) == byte).count()
    }

    /// Gives a hint about some pages.
    pub(crate) fn hint(&self, pages: Range<usize>, hint: Hint) -> Result<(), Errno> {
        advice::hint(self.pages(pages), hint)
    }

    /// Gives up the data of some pages.
    pub(crate) fn discard(&self, pages: Range<usize>, discard: Discard) -> Result<(), Errno> {
        assert!(self.hole.is_empty(), "a hole may be somebody's by now");
        // SAFETY: (1) the span is this ground's, without a hole, asserted; (2) see the module: nothing refers
        // to the bytes. A page that is lost for good is a page that nothing but `read` and `write` accesses.
        unsafe { advice::discard(self.pages(pages), discard) }
    }

    /// Installs or removes guards.
    pub(crate) fn guard(&self, pages: Range<usize>, guard: Guard) -> Result<(), Errno> {
        assert!(self.hole.is_empty(), "a hole may be somebody's by now");
        // SAFETY: (1, 2) as in `discard`; an access to a guard ends the process, which this crate's callers
        // want.
        unsafe { advice::guard(self.pages(pages), guard) }
    }

    /// Gives up the data of several parts in one call.
    pub(crate) fn discard_all(&self, parts: &[Range<usize>], discard: Discard) -> Result<Bytes, Errno> {
        assert!(self.hole.is_empty(), "a hole may be somebody's by now");
        let spans: Vec<Span> = parts.iter().map(|part| self.pages(part.clone())).collect();
        // SAFETY: (1) as in `discard`, for each span.
        unsafe { advice::discard_all(&spans, discard) }
    }

    /// Unmaps some pages, once: they may not be accessed any more.
    pub(crate) fn punch(&mut self, pages: Range<usize>) -> Result<(), Errno> {
        assert!(self.hole.is_empty(), "one hole can be told");
        self.area
            .unmap_part(pages.start * page_size()..pages.end * page_size())?;
        self.hole = pages;
        Ok(())
    }

    /// Pages that mincore(2) says are in memory.
    pub(crate) fn resident(&self) -> Result<usize, Errno> {
        residency(self.span(), &mut vec![0; self.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ground_is_where_and_what_was_asked_for() {
        let ground = Ground::anonymous(4).unwrap();
        ground.fill(7);
        assert_eq!((ground.count(7), ground.resident()), (4, Ok(4)));
        ground.discard(1..3, Discard::DontNeed).unwrap();
        assert_eq!((ground.count(0), ground.read(3)), (2, 7));
        let shifted = Ground::aligned(3, Sharing::Private, Bytes(2 << 20), 1).unwrap();
        assert_eq!(shifted.span().base() % (2 << 20), page_size());
        shifted.fill(1);
    }

    #[test]
    #[should_panic(expected = "page 1")]
    fn a_hole_is_not_accessed() {
        let mut ground = Ground::anonymous(3).unwrap();
        ground.punch(1..2).unwrap();
        ground.read(1);
    }
}
