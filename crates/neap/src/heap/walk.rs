//! The walk over a heap's records that makes a survey.
//!
//! Owns what each kind of chunk means for its pages. A chunk that changes its kind under the walk is counted as one
//! or the other, or as what both records make together: never as more pages than it has.

use std::ops::Range;

use neap_abi::anatomy::{
    CHUNK, CLASSES, GRANULE, GRANULES_PER_CHUNK, PAGES_PER_CHUNK, PAGES_PER_GRANULE, check, chunk,
    slab as record,
};

use super::caches::Caches;
use super::layout::Window;
use super::memory::{Memory, PAGE, Presence, State};
use super::pages::{PageRun, Pages, Use};
use super::slab::{self, Place, Slab};
use super::spans::{half, kind, records, word};
use super::survey::{ClassUse, Survey};

/// A page without a free byte.
const WHOLE: u16 = PAGE as u16;

/// A survey under way.
pub(super) struct Walk<'a, M> {
    memory: &'a M,
    most: u64,
    pages: Pages,
    classes: [ClassUse; CLASSES],
    sums: Survey,
    /// The checking mode's freed blocks, in use as far as the maps of pages say.
    confined: Vec<Range<u64>>,
    /// The extent that the walk is in: its addresses, and whether it lives.
    extent: (Range<u64>, u16),
    resident: Counted,
    records_resident: Counted,
}

/// Resident bytes, unless the kernel did not say of some.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    bytes: u64,
    untold: bool,
}

impl Counted {
    fn add(&mut self, resident: Option<bool>, pages: u64) {
        match resident {
            Some(true) => self.bytes += pages * PAGE,
            Some(false) => {}
            None => self.untold = true,
        }
    }

    fn bytes(self) -> Option<u64> {
        (!self.untold).then_some(self.bytes)
    }
}

impl<'a, M: Memory> Walk<'a, M> {
    pub(super) fn new(memory: &'a M, confined: Vec<Range<u64>>) -> Walk<'a, M> {
        Walk {
            memory,
            most: memory.most_bytes(),
            pages: Pages::default(),
            classes: std::array::from_fn(|_| ClassUse::default()),
            sums: Survey::default(),
            confined,
            extent: (0..0, 0),
            resident: Counted::default(),
            records_resident: Counted::default(),
        }
    }

    /// `count` chunks from number `first` on. False when there are more than the process can have.
    pub(super) fn chunks(&mut self, window: &Window, first: u64, count: u64) -> bool {
        let bytes = records(self.memory, window, first, count);
        if bytes
            .as_chunks()
            .0
            .iter()
            .all(|record| kind(record) == chunk::ABSENT)
        {
            return true;
        }
        let presence = self
            .memory
            .presence(window.chunk(first)..window.chunk(first + count));
        let presence = presence.as_ref();
        for (number, record) in (first..).zip(bytes.as_chunks::<{ chunk::BYTES }>().0) {
            let base = window.chunk(number);
            if kind(record) != chunk::ABSENT {
                self.sums.held_bytes += CHUNK;
            }
            match kind(record) {
                chunk::SLABS => self.granules(window, number, record, presence),
                chunk::UNUSED => self.free(base, record, 0..PAGES_PER_CHUNK, presence),
                chunk::RUNS => self.runs(base, record, presence),
                chunk::EXTENT => {
                    self.begin_extent(base, record);
                    self.extent_part(base, record, presence);
                }
                chunk::BODY => self.extent_part(base, record, presence),
                _ => {}
            }
        }
        self.sums.held_bytes <= self.most
    }

    fn begin_extent(&mut self, base: u64, record: &[u8]) {
        let room = u64::from(half(record, chunk::EXTENT_CHUNKS)).saturating_mul(CHUNK);
        let bytes = word(record, chunk::EXTENT_BYTES).min(room);
        let live = self.large(base, bytes);
        self.extent = (base..base.saturating_add(bytes), live);
    }

    /// Counts a large block that begins at `base`. Returns the live bytes of each of its pages.
    fn large(&mut self, base: u64, bytes: u64) -> u16 {
        if self.confined.iter().any(|block| block.start == base) {
            return 0;
        }
        self.sums.large_blocks += 1;
        self.sums.large_bytes += bytes;
        WHOLE
    }

    fn extent_part(&mut self, base: u64, record: &[u8], presence: Option<&Presence>) {
        let (block, live) = self.extent.clone();
        let here = block.end.saturating_sub(base).min(CHUNK);
        let here = if block.contains(&base) { here } else { 0 };
        let used = usize::try_from(here / PAGE).unwrap_or(0);
        self.pages_of(base, 0..used, Use::Extent, live, presence);
        self.free(base, record, used..PAGES_PER_CHUNK, presence);
    }

    fn runs(&mut self, base: u64, record: &[u8], presence: Option<&Presence>) {
        let mut page = 0;
        while page < PAGES_PER_CHUNK {
            let run = usize::from(length(record, page)).min(PAGES_PER_CHUNK - page);
            if bit(record, chunk::HEADS, page) && !bit(record, chunk::FREE, page) && run != 0 {
                let live = self.large(base + page as u64 * PAGE, run as u64 * PAGE);
                self.pages_of(base, page..page + run, Use::Run, live, presence);
                page += run;
            } else {
                // Free, or, for a moment, in the hands of who gives pages back.
                self.free(base, record, page..page + 1, presence);
                page += 1;
            }
        }
    }

    /// Pages `part` of the chunk at `base`, which nobody uses.
    fn free(&mut self, base: u64, record: &[u8], part: Range<usize>, presence: Option<&Presence>) {
        for page in part {
            let dirt = bit(record, chunk::RESIDENT, page);
            self.unused(base + page as u64 * PAGE, 1, dirt, presence);
        }
    }

    /// Free pages, given back or not yet.
    fn unused(&mut self, address: u64, pages: usize, dirt: bool, presence: Option<&Presence>) {
        let use_ = if dirt { Use::Dirt } else { Use::GivenBack };
        if dirt {
            self.sums.dirt_bytes += pages as u64 * PAGE;
        }
        self.pages_of(address, 0..pages, use_, 0, presence);
    }

    fn granules(&mut self, window: &Window, number: u64, chunk_record: &[u8], presence: Option<&Presence>) {
        const BYTES: usize = GRANULES_PER_CHUNK * record::BYTES;
        let mut slabs = [0; BYTES];
        let table = window.table(0, number);
        if !self.memory.read_sparsely(table, &mut slabs) {
            slabs.fill(0);
        }
        let free = half(chunk_record, chunk::GRANULES_FREE);
        let touched = half(chunk_record, chunk::GRANULES_TOUCHED);
        for (n, slab_record) in slabs.as_chunks::<{ record::BYTES }>().0.iter().enumerate() {
            let at = n as u64;
            let place = Place {
                base: window.chunk(number) + at * GRANULE,
                record: table + at * record::BYTES as u64,
                check: window
                    .checked
                    .then(|| window.table(3, number) + at * check::STRIDE),
            };
            let slab = match free >> n & 1 {
                0 => slab::look(self.memory, place, slab_record, presence),
                _ => None,
            };
            match slab {
                Some(slab) => self.slab(place.base, &slab, presence),
                None => self.unused(place.base, PAGES_PER_GRANULE, touched >> n & 1 == 1, presence),
            }
        }
    }

    fn slab(&mut self, base: u64, slab: &Slab, presence: Option<&Presence>) {
        self.sums.slabs += 1;
        self.sums.moving += u64::from(slab.spread);
        let (mut resident_pages, mut free_bytes) = (0, 0);
        let class_bytes = u32::try_from(slab.class_bytes).unwrap_or(u32::MAX);
        for (n, &live) in slab.live.iter().enumerate() {
            let address = base + n as u64 * PAGE;
            if presence.is_some_and(|presence| presence.get(address) == State::Resident) {
                resident_pages += 1;
                free_bytes += PAGE - u64::from(live.min(WHOLE));
            }
            self.pages_of(address, 0..1, Use::Slab { class_bytes }, live, presence);
        }
        if let Some(class) = self.classes.get_mut(slab.class) {
            class.block_bytes = slab.class_bytes;
            class.slabs += 1;
            class.live_blocks += slab.live_blocks;
            class.pages_resident += resident_pages;
            class.free_bytes_on_resident_pages += free_bytes;
        }
    }

    /// A block that is a mapping of its own.
    pub(super) fn direct(&mut self, block: &Range<u64>) {
        let bytes = block.end - block.start;
        self.sums.direct_blocks += 1;
        self.sums.direct_bytes += bytes;
        self.sums.large_blocks += 1;
        self.sums.large_bytes += bytes;
        self.sums.held_bytes += bytes;
        self.uniform(block, Use::Direct, WHOLE);
    }

    /// One that was freed and is still mapped.
    pub(super) fn waiting(&mut self, block: &Range<u64>) {
        let bytes = block.end - block.start;
        self.sums.held_bytes += bytes;
        self.sums.dirt_bytes += bytes;
        self.uniform(block, Use::Dirt, 0);
    }

    /// A range of one use.
    pub(super) fn uniform(&mut self, addresses: &Range<u64>, use_: Use, live: u16) {
        let mut start = addresses.start;
        while start < addresses.end {
            // Not more of the kernel's words at once than for a few chunks.
            let end = addresses.end.min(start.saturating_add(64 * CHUNK));
            let presence = self.memory.presence(start..end);
            let pages = usize::try_from((end - start) / PAGE).unwrap_or(0);
            self.pages_of(start, 0..pages, use_, live, presence.as_ref());
            start = end;
        }
    }

    /// Pages `part` from `base` on, all of one use.
    fn pages_of(&mut self, base: u64, part: Range<usize>, use_: Use, live: u16, presence: Option<&Presence>) {
        for page in part {
            let first = base + page as u64 * PAGE;
            let resident = presence.map(|presence| presence.get(first) == State::Resident);
            match use_ {
                Use::Records => self.records_resident.add(resident, 1),
                _ => self.resident.add(resident, 1),
            }
            if use_ == Use::Records {
                self.sums.records_bytes += PAGE;
            }
            self.pages.push(PageRun {
                first,
                pages: 1,
                use_,
                live_bytes: live.min(WHOLE),
                resident,
            });
        }
    }

    pub(super) fn finish(self, caches: Caches) -> Survey {
        let classes = self.classes.into_iter().filter(|class| class.slabs != 0);
        let mut sums = self.sums;
        sums.classes = classes.collect();
        sums.pages = self.pages.finish();
        sums.resident_bytes = self.resident.bytes();
        sums.records_resident_bytes = self.records_resident.bytes();
        let small = sums.classes.iter();
        sums.live_blocks = small.clone().map(|class| class.live_blocks).sum::<u64>() + sums.large_blocks;
        sums.live_bytes = small
            .map(|class| class.live_blocks * class.block_bytes)
            .sum::<u64>()
            + sums.large_bytes;
        sums.cached_blocks = caches.blocks;
        sums.cached_bytes = caches.bytes;
        sums
    }
}

/// Bit `page` of the map at `map`.
fn bit(record: &[u8], map: usize, page: usize) -> bool {
    record
        .get(map + page / 8)
        .is_some_and(|byte| byte >> (page % 8) & 1 == 1)
}

/// The length of the run in use that begins at `page`.
fn length(record: &[u8], page: usize) -> u16 {
    let at = chunk::LENGTHS + page * 2;
    record
        .get(at..at + 2)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u16::from_ne_bytes)
}
