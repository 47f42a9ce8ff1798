//! The proof walk: every structure of a quiet heap, every invariant, one message each.
//!
//! Owns what "consistent" means. Tests and fuzzers call [`Heap::verify`] while no other thread is in the
//! heap; it changes nothing, allocates nothing, and panics with the name of the first invariant that
//! does not hold. Slow: it follows every list block by block. This file walks chunks, pages and
//! totals; `slabs` walks granules, the lists of blocks, the lists of slabs.

mod slabs;

use crate::bits::{Bits, Run};
use crate::chunk::{Chunk, Kind, group_bit};
use crate::class::COUNT;
use crate::heap::Heap;
use crate::layout::{CHUNK, GRANULES_PER_CHUNK, PAGE, PAGES_PER_CHUNK, PAGES_PER_GRANULE};
use crate::local::Local;
use crate::quarantine::LARGE_BYTES;
use crate::sync::Relaxed;
use neap_abi::Call;
use neap_os::vm::Vm;

/// What a walk found in the program's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Blocks of each size class that the program holds: those ready in a thread's hand are not.
    pub blocks: [usize; COUNT],
    /// Blocks ready in the threads' hands.
    pub ready: usize,
    /// Runs in the threads' pockets, and runs and extents in quarantine.
    pub pocketed: usize,
    /// Runs and extents in use, those in pockets too.
    pub large_blocks: usize,
    /// Bytes of those.
    pub large_bytes: usize,
    /// Mappings of their own.
    pub direct_blocks: usize,
    /// Bytes of those.
    pub direct_bytes: usize,
    /// Bytes of chunks that are mapped.
    pub chunk_bytes: usize,
    /// Free pages that count as dirt.
    pub dirty_pages: usize,
}

impl Verified {
    /// Every block the program holds.
    #[must_use]
    pub fn live(&self) -> usize {
        self.blocks.iter().sum::<usize>() + self.large_blocks - self.pocketed + self.direct_blocks
    }
}

impl<V: Vm> Heap<V> {
    /// Walks the whole heap, in which no other thread may be active. `locals` are the blocks of every
    /// thread that uses it.
    ///
    /// # Panics
    /// With the name of the first invariant that does not hold.
    pub fn verify(&self, locals: &[&Local]) -> Verified {
        let (direct_blocks, direct_bytes) = self.direct.walk();
        let mut found = Verified {
            blocks: [0; COUNT],
            ready: 0,
            pocketed: 0,
            large_blocks: 0,
            large_bytes: 0,
            direct_blocks,
            direct_bytes,
            chunk_bytes: 0,
            dirty_pages: 0,
        };
        assert_eq!(
            self.direct.blocks.load(Relaxed),
            direct_blocks,
            "direct blocks: the count equals the table"
        );
        assert_eq!(
            self.direct.bytes.load(Relaxed),
            direct_bytes,
            "direct bytes: the sum equals the table"
        );
        if self.window().is_open() {
            self.verify_chunks(&mut found);
            self.verify_groups();
            self.verify_slabs(locals, &mut found);
            self.verify_pockets(locals, &mut found);
        }
        let ground = &self.ground;
        assert_eq!(
            ground.dirty.load(Relaxed),
            found.dirty_pages,
            "dirt: the count equals the sum over chunks"
        );
        assert_eq!(
            ground.large_blocks.load(Relaxed),
            found.large_blocks,
            "large blocks: the count equals the walk"
        );
        assert_eq!(
            ground.large_bytes.load(Relaxed),
            found.large_bytes,
            "large bytes: the sum equals the walk"
        );
        let held = self.tally.page().held_bytes.load(Relaxed) as usize;
        let walked = found.chunk_bytes + direct_bytes;
        if self.tally.page().call(Call::Munmap).failed.load(Relaxed) == 0 {
            assert_eq!(
                held, walked,
                "held bytes: the gauge equals mapped chunks and direct blocks"
            );
        } else {
            // What the kernel would not take back stays held, in nobody's table.
            assert!(
                held >= walked,
                "held bytes: {held} below mapped chunks and direct blocks, {walked}"
            );
        }
        found
    }

    fn verify_chunks(&self, found: &mut Verified) {
        let window = self.window();
        let mut chunk = 0;
        while chunk < window.chunk_count() {
            let record = window.chunk(chunk);
            let kind = record.kind();
            assert!(kind != Kind::Body, "chunk {chunk}: a body follows its extent");
            assert!(
                kind == Kind::Absent || chunk < window.top(),
                "chunk {chunk}: above the top nothing is mapped"
            );
            let length = if kind == Kind::Extent {
                record.extent_chunks.load(Relaxed)
            } else {
                1
            };
            match kind {
                Kind::Absent => {
                    for bits in [
                        &record.free,
                        &record.heads,
                        &record.resident,
                        &record.new,
                        &record.old,
                    ] {
                        assert!(bits.is_empty(), "absent chunk {chunk}: its maps are empty");
                    }
                }
                Kind::Extent => self.verify_extent(chunk, length, found),
                Kind::Runs => verify_runs(chunk, record, found),
                _ => {
                    assert!(
                        record.free.is_full(),
                        "{kind:?} chunk {chunk}: every page is free in the page map"
                    );
                    assert!(
                        record.heads.is_empty(),
                        "{kind:?} chunk {chunk}: no run begins here"
                    );
                }
            }
            for n in chunk..chunk + length {
                if kind != Kind::Absent {
                    found.chunk_bytes += CHUNK;
                    self.verify_dirt(n, found);
                }
            }
            chunk += length;
        }
    }

    fn verify_extent(&self, chunk: u32, length: u32, found: &mut Verified) {
        let window = self.window();
        let bytes = window.chunk(chunk).extent_bytes.load(Relaxed);
        assert!(
            length != 0 && chunk + length <= window.top(),
            "extent {chunk}: its chunks are mapped"
        );
        assert!(
            bytes != 0 && bytes <= length as usize * CHUNK,
            "extent {chunk}: its bytes fit its chunks"
        );
        assert!(bytes.is_multiple_of(PAGE), "extent {chunk}: whole pages");
        found.large_blocks += 1;
        found.large_bytes += bytes;
        for n in 0..length {
            let record = window.chunk(chunk + n);
            let kind = if n == 0 { Kind::Extent } else { Kind::Body };
            assert_eq!(record.kind(), kind, "extent {chunk}: chunk {n} of it says so");
            assert!(record.heads.is_empty(), "extent {chunk}: no run begins in it");
            let used = bytes.saturating_sub(n as usize * CHUNK).min(CHUNK) / PAGE;
            let taken = Run {
                first: 0,
                count: used,
            };
            let spare = Run {
                first: used,
                count: PAGES_PER_CHUNK - used,
            };
            assert_eq!(
                record.free.count(taken),
                0,
                "extent {chunk}: no page in use is free"
            );
            assert_eq!(
                record.free.count(spare),
                spare.count,
                "extent {chunk}: every spare page is free"
            );
        }
    }

    /// Dirt of one mapped chunk, and what its granule masks say of its kind.
    fn verify_dirt(&self, chunk: u32, found: &mut Verified) {
        let record = self.window().chunk(chunk);
        let free = record.granules.free.load(Relaxed);
        let touched = record.granules.touched.load(Relaxed);
        let (new, old) = (
            record.granules.new.load(Relaxed),
            record.granules.old.load(Relaxed),
        );
        let pages = if record.kind() == Kind::Slabs {
            assert_eq!(new & old, 0, "slab chunk {chunk}: dirt is new or old, not both");
            assert_eq!((new | old) & !free, 0, "slab chunk {chunk}: dirt is free");
            assert_eq!((new | old) & !touched, 0, "slab chunk {chunk}: dirt was touched");
            assert_eq!(
                !free & !touched,
                0,
                "slab chunk {chunk}: granules in use are touched"
            );
            for bits in [&record.new, &record.old, &record.resident] {
                assert!(bits.is_empty(), "slab chunk {chunk}: the page maps carry no dirt");
            }
            (new | old).count_ones() as usize * PAGES_PER_GRANULE
        } else {
            assert_eq!(
                free | touched | new | old,
                0,
                "chunk {chunk}: granule masks are for slab chunks"
            );
            assert!(
                !record.new.meets(&record.old),
                "chunk {chunk}: dirt is new or old, not both"
            );
            for dirt in [&record.new, &record.old] {
                assert!(dirt.lies_within(&record.free), "chunk {chunk}: dirt is free");
                assert!(
                    dirt.lies_within(&record.resident),
                    "chunk {chunk}: dirt is resident"
                );
            }
            record.new.count(Run::ALL) + record.old.count(Run::ALL)
        };
        if pages != 0 {
            let due = self.window().group(chunk / 64).due.load(Relaxed);
            assert!(due & group_bit(chunk) != 0, "chunk {chunk}: dirt is due");
        }
        found.dirty_pages += pages;
    }

    fn verify_pockets(&self, locals: &[&Local], found: &mut Verified) {
        let pockets = || {
            locals
                .iter()
                .filter_map(|local| local.thread())
                .flat_map(|thread| thread.pocket.runs())
        };
        for (address, bytes) in pockets() {
            assert_eq!(
                self.ground.find(address),
                Ok(bytes),
                "pocket: the run at {address:#x} is in use and that long"
            );
            let times = pockets().filter(|run| run.0 == address).count();
            assert_eq!(times, 1, "pocket: the run at {address:#x} is in one pocket, once");
            found.pocketed += 1;
        }
        let mut bytes = 0;
        for piece in self.quarantine.large.pieces() {
            assert_eq!(
                self.ground.find(piece.address),
                Ok(piece.bytes),
                "quarantine: the block at {:#x} is in use and that long",
                piece.address
            );
            self.expect_poisoned_piece(piece);
            bytes += piece.bytes;
            found.pocketed += 1;
        }
        let contents = (self.quarantine.large.pieces().count(), bytes);
        assert_eq!(
            self.quarantine.large.contents(),
            contents,
            "quarantine: large blocks and their bytes are counted"
        );
        assert!(bytes <= LARGE_BYTES, "quarantine: its bytes are bounded");
    }

    fn verify_groups(&self) {
        let window = self.window();
        for chunk in 0..window.group_count() * 64 {
            let group = window.group(chunk / 64);
            let bit = group_bit(chunk);
            let record = (chunk < window.chunk_count()).then(|| window.chunk(chunk));
            let kind = record.map_or(Kind::Absent, Chunk::kind);
            let says = |word: &crate::sync::AtomicU64| word.load(Relaxed) & bit != 0;
            assert_eq!(
                says(&group.free),
                kind == Kind::Free,
                "chunk {chunk} ({kind:?}): the summary of free chunks"
            );
            assert!(
                !says(&group.granules) || kind == Kind::Slabs,
                "chunk {chunk} ({kind:?}): the summary of granules"
            );
            if kind == Kind::Slabs && record.is_some_and(|r| r.granules.free.load(Relaxed) != 0) {
                assert!(
                    says(&group.granules),
                    "slab chunk {chunk}: a free granule can be found"
                );
            }
            let largest = match record {
                Some(record) if kind == Kind::Runs => record.largest.load(Relaxed),
                _ => 0,
            };
            for (level, word) in group.runs.iter().enumerate() {
                assert_eq!(
                    says(word),
                    largest >> level != 0,
                    "chunk {chunk} ({kind:?}): the summary of runs, level {level}"
                );
            }
        }
    }
}

fn verify_runs(chunk: u32, record: &Chunk, found: &mut Verified) {
    let mut end = 0;
    for page in 0..PAGES_PER_CHUNK {
        let (free, head) = (record.free.get(page), record.heads.get(page));
        assert!(
            !(free && head),
            "run chunk {chunk} page {page}: no run begins on a free page"
        );
        assert!(
            page >= end || !(free || head),
            "run chunk {chunk} page {page}: a run is in use to its end"
        );
        assert!(
            page < end || free || head,
            "run chunk {chunk} page {page}: a page in use belongs to a run"
        );
        if head {
            end = page + record.run_length(page);
        }
    }
    assert!(
        end <= PAGES_PER_CHUNK,
        "run chunk {chunk}: the last run ends in it"
    );
    let taken = PAGES_PER_CHUNK - record.free.count(Run::ALL);
    found.large_blocks += record.heads.count(Run::ALL);
    found.large_bytes += taken * PAGE;
    let largest = record.largest.load(Relaxed) as usize;
    let longest = longest(&record.free);
    assert!(
        longest <= largest,
        "run chunk {chunk}: a free run of {longest} pages is longer than `largest`, {largest}"
    );
}

/// The longest run of set bits.
fn longest(bits: &Bits) -> usize {
    let (mut longest, mut first) = (0, bits.next_set(0));
    while first < PAGES_PER_CHUNK {
        let end = bits.next_clear(first);
        longest = longest.max(end - first);
        first = bits.next_set(end);
    }
    longest
}

const _: () = assert!(GRANULES_PER_CHUNK * PAGES_PER_GRANULE == PAGES_PER_CHUNK);
