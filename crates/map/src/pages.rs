//! The state of each page of a map in this process, by /proc/self/pagemap: [`PageState`] one by one,
//! [`PageRun`]s of pages in a state (`PAGEMAP_SCAN`, Linux 6.7).
//!
//! Owns the reading of it for maps. Unlike [`Map::residency`] it tells of this process's page tables, not of
//! the page cache. History by the time it is read; never changes a page. Opens a descriptor for each call, so
//! that a child of fork reads of itself. Source: Documentation/admin-guide/mm/pagemap.rst.

use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::View;
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::pagemap::{Frame, Pagemap, Query, Region, Word};
use std::ops::{Range, RangeBounds};

pub use neap_os::pagemap::Categories;

/// Where a page is in physical memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Where {
    /// Nowhere.
    Absent,
    /// In a frame whose number the kernel keeps from those without `CAP_SYS_ADMIN`.
    Denied,
    /// In this frame, counted in the kernel's pages.
    Frame(u64),
}

/// What the kernel says of one page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageState(Word);

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl PageState {$(
            $(#[$doc])*
            #[must_use]
            pub const fn $name(self) -> bool {
                self.0.$name()
            }
        )*}
    };
}
states! {
    /// Whether it is in memory and in this process's page table. The zero page counts.
    is_present;
    /// Whether it is in swap.
    is_swapped;
    /// Whether it is a page of a file, or of shared memory. Neither, if it is not there.
    is_file_or_shared;
    /// Whether it is a guard (Linux 6.15; before, guards look like pages never touched).
    is_guard;
    /// Whether no other mapping has it (4.2).
    is_exclusive;
    /// Whether it was written since its soft-dirty bit was cleared (3.11, `CONFIG_MEM_SOFT_DIRTY`; not on
    /// aarch64).
    is_soft_dirty;
}

impl PageState {
    /// Where it is.
    #[must_use]
    pub const fn place(self) -> Where {
        match self.0.frame() {
            Frame::Absent => Where::Absent,
            Frame::Denied => Where::Denied,
            Frame::Number(number) => Where::Frame(number),
        }
    }
}

/// Pages side by side in the same states.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRun {
    bytes: Range<usize>,
    states: Categories,
}

impl PageRun {
    /// Where they are: bytes of the map.
    #[must_use]
    pub fn bytes(&self) -> Range<usize> {
        self.bytes.clone()
    }
    /// The states that were asked for and that they are in.
    #[must_use]
    pub const fn states(&self) -> Categories {
        self.states
    }
}

/// The pagemap of this process, closed when dropped.
struct Opened(Pagemap);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn open() -> Result<Opened, Error> {
    let said = |errno| diagnosis::of(Operation::Residency, errno);
    Pagemap::open().map(Opened).map_err(said)
}

impl<V: View> Map<V> {
    /// The state of each page, of [`page_size`] bytes, that holds a byte of `range`.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`]; [`Kind::NotFound`] without procfs, [`Kind::AccessDenied`],
    /// [`Kind::TooManyFiles`]; [`Kind::OutOfMemory`]: 8 bytes for each page cannot be had.
    pub fn pages(&self, range: impl RangeBounds<usize>) -> Result<Vec<PageState>, Error> {
        let pages = self.covering(Operation::Residency, &range)?;
        let count = pages.span().len() / page_size();
        let mut words = Vec::new();
        words
            .try_reserve_exact(count)
            .map_err(|_| pages.name(Error::found(Operation::Residency, Kind::OutOfMemory)))?;
        words.resize(count, Word::default());
        if !words.is_empty() {
            let pagemap = open().map_err(|error| pages.name(error))?;
            let said = |errno| pages.name(diagnosis::of(Operation::Residency, errno));
            pagemap.0.words(pages.span(), &mut words).map_err(said)?;
        }
        Ok(words.into_iter().map(PageState).collect())
    }

    /// The pages of `range` that are in all of `states`, as runs; all pages where `states` is none.
    ///
    /// ```no_run
    /// use neap_map::{Anon, Categories};
    /// let mut map = Anon::private(8 * 4096).map()?;
    /// map[5 * 4096] = 1;
    /// let runs = map.scan(.., Categories::PRESENT)?;
    /// assert_eq!(runs[0].bytes(), 20480..24576);
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Kind::Unsupported`] before Linux 6.7, or a state that this kernel does not know; and as
    /// [`Map::pages`].
    pub fn scan(&self, range: impl RangeBounds<usize>, states: Categories) -> Result<Vec<PageRun>, Error> {
        const REGIONS: usize = 64;
        let pages = self.covering(Operation::Residency, &range)?;
        let bytes = self.area().bytes(Operation::Residency, &range)?;
        let mut runs: Vec<PageRun> = Vec::new();
        if pages.is_empty() {
            return Ok(runs);
        }
        let pagemap = open().map_err(|error| pages.name(error))?;
        let first = self.area().span().base();
        let (mut rest, mut regions) = (pages.span(), [Region::default(); REGIONS]);
        while !rest.is_empty() {
            let query = Query::all_of(states);
            let scanned = pagemap.0.scan(rest, &query, &mut regions).map_err(|errno| {
                let kind = match errno {
                    Errno::ENOTTY | Errno::EINVAL | Errno::ENOSYS => Kind::Unsupported(Feature::PagemapScan),
                    _ => diagnosis::of(Operation::Residency, errno).kind(),
                };
                pages.name(Error::answered(Operation::Residency, errno, kind))
            })?;
            for region in &regions[..scanned.regions] {
                let offset = |address: usize| address.saturating_sub(first).clamp(bytes.start, bytes.end);
                let run = offset(region.span().base())..offset(region.span().end());
                match runs.last_mut() {
                    // A run that went on where the regions were full.
                    Some(last) if last.bytes.end == run.start && last.states == region.categories() => {
                        last.bytes.end = run.end;
                    }
                    _ => runs.push(PageRun {
                        bytes: run,
                        states: region.categories(),
                    }),
                }
            }
            rest = scanned.rest;
        }
        Ok(runs)
    }
}
