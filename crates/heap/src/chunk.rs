//! [`Chunk`]: the record of 2 MiB of the window, and [`Group`]: the summary of 64 of them.
//!
//! Owns the page maps of a chunk. For a chunk of slabs one bit stands for a granule, and those masks
//! are changed without a lock; everything else is changed under the heap's `pages` lock. Records are
//! born zero: an absent chunk.
//!
//! For every kind but slabs: a page is *free* (nobody's), *resident* (may hold something other than
//! zeros), and, when both, *new* or *old* dirt: freed since the last tick or before.

use crate::bits::{Bits, Run};
use crate::granules::Granules;
use crate::layout::PAGES_PER_CHUNK;
use crate::sync::{AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Relaxed};

/// What a chunk is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Not the heap's memory.
    Absent = 0,
    /// Mapped and unused.
    Free = 1,
    /// Thirty-two granules for slabs.
    Slabs = 2,
    /// Runs of pages.
    Runs = 3,
    /// First chunk of an extent.
    Extent = 4,
    /// A later chunk of an extent.
    Body = 5,
}

/// The record of one chunk.
#[repr(C, align(2048))]
pub(crate) struct Chunk {
    kind: AtomicU32,
    /// Slabs: who has which granule.
    pub(crate) granules: Granules,
    /// Runs: no free run is longer than this.
    pub(crate) largest: AtomicU32,
    /// Extent: chunks it covers.
    pub(crate) extent_chunks: AtomicU32,
    /// The tick at which pages were last given back, 0 for never.
    pub(crate) purged_at: AtomicU32,
    /// Extent: bytes in use, whole pages.
    pub(crate) extent_bytes: AtomicUsize,
    pub(crate) free: Bits,
    /// Runs: first pages of runs in use.
    pub(crate) heads: Bits,
    pub(crate) resident: Bits,
    pub(crate) new: Bits,
    pub(crate) old: Bits,
    /// Runs: for the first page of each run in use, its length in pages. A word of its own for each
    /// run, so that who holds the run may read it while neighbours come and go.
    lengths: [AtomicU16; PAGES_PER_CHUNK],
}

const _: () = assert!(size_of::<Chunk>() == 2048);
/// Readers outside know where these are.
const _: () = {
    use core::mem::offset_of;
    use neap_abi::anatomy::chunk;
    const GRANULES: usize = offset_of!(Chunk, granules);
    assert!(size_of::<Chunk>() == chunk::BYTES && offset_of!(Chunk, kind) == chunk::KIND);
    assert!(GRANULES + offset_of!(Granules, free) == chunk::GRANULES_FREE);
    assert!(GRANULES + offset_of!(Granules, touched) == chunk::GRANULES_TOUCHED);
    assert!(offset_of!(Chunk, extent_chunks) == chunk::EXTENT_CHUNKS);
    assert!(offset_of!(Chunk, extent_bytes) == chunk::EXTENT_BYTES);
    assert!(offset_of!(Chunk, free) == chunk::FREE && offset_of!(Chunk, heads) == chunk::HEADS);
    assert!(offset_of!(Chunk, resident) == chunk::RESIDENT && offset_of!(Chunk, lengths) == chunk::LENGTHS);
    assert!(Kind::Absent as u32 == chunk::ABSENT && Kind::Free as u32 == chunk::UNUSED);
    assert!(Kind::Slabs as u32 == chunk::SLABS && Kind::Runs as u32 == chunk::RUNS);
    assert!(Kind::Extent as u32 == chunk::EXTENT && Kind::Body as u32 == chunk::BODY);
};

impl Chunk {
    pub(crate) fn kind(&self) -> Kind {
        match self.kind.load(Relaxed) {
            1 => Kind::Free,
            2 => Kind::Slabs,
            3 => Kind::Runs,
            4 => Kind::Extent,
            5 => Kind::Body,
            _ => Kind::Absent,
        }
    }

    pub(crate) fn set_kind(&self, kind: Kind) {
        self.kind.store(kind as u32, Relaxed);
    }

    /// Marks `run` as in use. Returns how many of its pages were dirt.
    pub(crate) fn occupy(&self, run: Run) -> usize {
        debug_assert_eq!(self.free.count(run), run.count);
        self.free.clear(run);
        self.new.clear(run) + self.old.clear(run)
    }

    /// Marks `run` as free dirt, every page of it taken to be resident.
    pub(crate) fn vacate(&self, run: Run) {
        debug_assert_eq!(self.free.count(run), 0);
        self.free.set(run);
        self.resident.set(run);
        self.new.set(run);
    }

    /// The length of the run in use that starts at `page`.
    pub(crate) fn run_length(&self, page: usize) -> usize {
        self.lengths
            .get(page)
            .map_or(0, |length| usize::from(length.load(Relaxed)))
    }

    /// Notes the length of the run in use that starts at `run.first`.
    pub(crate) fn set_run_length(&self, run: Run) {
        if let Some(length) = self.lengths.get(run.first) {
            // At most 512 pages.
            length.store(run.count as u16, Relaxed);
        }
    }
}

/// Sizes of free runs by which chunks are found: 2^0 to 2^8 pages.
pub(crate) const LEVELS: usize = 9;

/// One bit for each of 64 chunks.
#[repr(C, align(128))]
pub(crate) struct Group {
    /// Free chunks.
    pub(crate) free: AtomicU64,
    /// Slab chunks with a free granule. Changed without a lock.
    pub(crate) granules: AtomicU64,
    /// Chunks that the next tick must look at.
    pub(crate) due: AtomicU64,
    /// `runs[k]`: run chunks that may have a free run of 2^k pages.
    pub(crate) runs: [AtomicU64; LEVELS],
}

const _: () = assert!(size_of::<Group>() == 128);

/// The bit of a chunk in its group's words.
pub(crate) const fn group_bit(chunk: u32) -> u64 {
    1 << (chunk % 64)
}

impl Group {
    /// Notes that the next tick must look at `chunk`, whose dirt was marked under the `pages` lock: the tick
    /// takes the lock before it looks at the marks, so a mark of an earlier time will do.
    pub(crate) fn set_due(&self, chunk: u32) {
        let bit = group_bit(chunk);
        if self.due.load(Relaxed) & bit == 0 {
            self.due.fetch_or(bit, Relaxed);
        }
    }

    /// Says that `chunk` may have free runs of up to `pages` pages and no longer ones.
    pub(crate) fn set_largest(&self, chunk: u32, pages: usize) {
        for (level, word) in self.runs.iter().enumerate() {
            let bit = group_bit(chunk);
            let old = word.load(Relaxed);
            word.store(
                if pages >> level != 0 {
                    old | bit
                } else {
                    old & !bit
                },
                Relaxed,
            );
        }
    }
}
