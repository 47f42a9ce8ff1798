//! [`Ground`]: what threads share of the window: granules for slabs, counts of dirt, and the lock under
//! which everything else changes hands.
//!
//! Owns taking and returning granules, one atomic operation on the chunk's mask each, without the
//! lock, and finding the large block at an address.

use crate::chunk::{Kind, group_bit};
use crate::knob::Knob;
use crate::layout::{CHUNK, CHUNK_SHIFT, GRANULES_PER_CHUNK, PAGE, PAGES_PER_CHUNK, PAGES_PER_GRANULE};
use crate::sync::{AcqRel, AtomicUsize, Lock, Relaxed};
use crate::window::Window;

/// Everything about pages that threads share.
pub(crate) struct Ground {
    pub(crate) window: Window,
    pub(crate) lock: Lock,
    /// Free pages that may hold something: not yet given back.
    pub(crate) dirty: AtomicUsize,
    /// Bytes in use by runs and extents, and how many there are. Changed under the lock only.
    pub(crate) large_bytes: AtomicUsize,
    pub(crate) large_blocks: AtomicUsize,
    /// The lowest group that may have a free granule: where the search begins.
    granule_hint: AtomicUsize,
    /// Bytes to grow by beyond the need (M_TOP_PAD).
    pub(crate) top_pad: AtomicUsize,
    pub(crate) regret: Regret,
}

/// Pages that were given back and wanted again soon after (see `crate::tide`).
pub(crate) struct Regret {
    /// Ticks so far; starts at 1 so that 0 can mean never.
    pub(crate) now: Knob<1>,
    /// Ticks within which wanting a page again is regretted.
    pub(crate) ticks: Knob<40>,
    pub(crate) pages: AtomicUsize,
}

impl Regret {
    /// Notes that `pages` that are not resident are wanted from a chunk that gave some back at
    /// tick `at`.
    pub(crate) fn note(&self, at: u32, pages: usize) {
        if at != 0 && pages != 0 && (self.now.get() as u32).wrapping_sub(at) as usize <= self.ticks.get() {
            self.pages.fetch_add(pages, Relaxed);
        }
    }
}

/// A piece of the window in use by one large block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) address: usize,
    pub(crate) bytes: usize,
}

/// Why an address is not a large block in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAPiece {
    /// The memory is free.
    Free,
    /// Inside a block, not at its start.
    Interior,
    /// Not the heap's memory.
    Foreign,
}

impl Ground {
    pub(crate) const fn new() -> Ground {
        Ground {
            window: Window::new(),
            lock: Lock::new(),
            dirty: AtomicUsize::new(0),
            large_bytes: AtomicUsize::new(0),
            large_blocks: AtomicUsize::new(0),
            granule_hint: AtomicUsize::new(0),
            top_pad: AtomicUsize::new(0),
            regret: Regret {
                now: Knob::new(),
                ticks: Knob::new(),
                pages: AtomicUsize::new(0),
            },
        }
    }

    /// Adds dirt; returns the pages of dirt there are now.
    pub(crate) fn soil(&self, pages: usize) -> usize {
        self.dirty.fetch_add(pages, Relaxed) + pages
    }

    /// Takes dirt off the count.
    pub(crate) fn clean(&self, pages: usize) {
        if pages != 0 {
            self.dirty.fetch_sub(pages, Relaxed);
        }
    }

    /// Counts a new large block. The lock is held.
    pub(crate) fn begin_large(&self, bytes: usize) {
        self.large_bytes
            .store(self.large_bytes.load(Relaxed) + bytes, Relaxed);
        self.large_blocks
            .store(self.large_blocks.load(Relaxed) + 1, Relaxed);
    }

    /// Counts one less. The lock is held.
    pub(crate) fn end_large(&self, bytes: usize) {
        self.large_bytes
            .store(self.large_bytes.load(Relaxed) - bytes, Relaxed);
        self.large_blocks
            .store(self.large_blocks.load(Relaxed) - 1, Relaxed);
    }

    /// Takes a free granule of a slab chunk, lowest address first, without the lock.
    pub(crate) fn take_granule(&self) -> Option<u32> {
        let groups = self.window.group_count();
        let from = self.granule_hint.load(Relaxed) as u32;
        for group in from.min(groups)..groups {
            let record = self.window.group(group);
            let mut seen = record.granules.load(Relaxed);
            while seen != 0 {
                let chunk = group * 64 + seen.trailing_zeros();
                if let Some(granule) = self.take_granule_of(chunk) {
                    if group != from {
                        self.granule_hint.store(group as usize, Relaxed);
                    }
                    return Some(granule);
                }
                seen &= seen - 1;
            }
        }
        if from != 0 {
            // A granule may have come free below since the hint was written.
            self.granule_hint.store(0, Relaxed);
            for group in 0..from.min(groups) {
                let mut seen = self.window.group(group).granules.load(Relaxed);
                while seen != 0 {
                    if let Some(granule) = self.take_granule_of(group * 64 + seen.trailing_zeros()) {
                        return Some(granule);
                    }
                    seen &= seen - 1;
                }
            }
        }
        None
    }

    fn take_granule_of(&self, chunk: u32) -> Option<u32> {
        let record = self.window.chunk(chunk);
        let taken = record.granules.take()?;
        self.clean(taken.marks * PAGES_PER_GRANULE);
        if taken.fresh {
            self.regret
                .note(record.purged_at.load(Relaxed), PAGES_PER_GRANULE);
        }
        if taken.last {
            let group = self.window.group(chunk / 64);
            group.granules.fetch_and(!group_bit(chunk), AcqRel);
            // Somebody may have returned a granule between the two operations.
            if record.granules.any_free() {
                group.granules.fetch_or(group_bit(chunk), AcqRel);
            }
        }
        Some(chunk * GRANULES_PER_CHUNK as u32 + taken.number)
    }

    /// Returns a granule whose slab is empty. Returns the pages of dirt there are now.
    pub(crate) fn return_granule(&self, granule: u32) -> usize {
        let chunk = granule / GRANULES_PER_CHUNK as u32;
        let number = granule % GRANULES_PER_CHUNK as u32;
        let record = self.window.chunk(chunk);
        debug_assert!(record.kind() == Kind::Slabs);
        let dirty = self.soil(PAGES_PER_GRANULE);
        record.granules.mark(number);
        let group = self.window.group(chunk / 64);
        group.due.fetch_or(group_bit(chunk), Relaxed);
        if record.granules.put(number) {
            group.granules.fetch_or(group_bit(chunk), AcqRel);
            if (chunk / 64) < self.granule_hint.load(Relaxed) as u32 {
                self.granule_hint.store((chunk / 64) as usize, Relaxed);
            }
        }
        dirty
    }

    /// Of the large block at `address`, new and of `bytes` bytes: the first so many may hold something else
    /// than zeros, the rest is known to be zero. For the block's holder, who need not have the lock.
    pub(crate) fn soiled(&self, address: usize, bytes: usize) -> usize {
        let Some(from) = self.window.offset(address) else {
            return 0;
        };
        let (mut end, mut page) = (from, from / PAGE);
        while page < (from + bytes) / PAGE {
            let resident = &self.window.chunk((page / PAGES_PER_CHUNK) as u32).resident;
            let first = page / PAGES_PER_CHUNK * PAGES_PER_CHUNK;
            let set = resident.next_set(page - first);
            page = first + resident.next_clear(set);
            if set < PAGES_PER_CHUNK && first + set < (from + bytes) / PAGE {
                end = page * PAGE;
            }
        }
        (end - from).min(bytes)
    }

    /// The large block that starts at `address`, if the heap has one there. May be called without
    /// the lock by whoever holds the block.
    pub(crate) fn find(&self, address: usize) -> Result<usize, NotAPiece> {
        let offset = self.window.offset(address).ok_or(NotAPiece::Foreign)?;
        let chunk = self.window.chunk((offset >> CHUNK_SHIFT) as u32);
        let page = offset % CHUNK / PAGE;
        match chunk.kind() {
            Kind::Absent => Err(NotAPiece::Foreign),
            Kind::Free | Kind::Slabs => Err(NotAPiece::Free),
            Kind::Body => Err(NotAPiece::Interior),
            Kind::Extent if offset.is_multiple_of(CHUNK) => Ok(chunk.extent_bytes.load(Relaxed)),
            Kind::Extent => Err(NotAPiece::Interior),
            Kind::Runs if chunk.free.get(page) => Err(NotAPiece::Free),
            Kind::Runs if offset.is_multiple_of(PAGE) && chunk.heads.get(page) => {
                Ok(chunk.run_length(page) * PAGE)
            }
            Kind::Runs => Err(NotAPiece::Interior),
        }
    }
}
