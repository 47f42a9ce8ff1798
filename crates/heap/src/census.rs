//! The census: what is live, counted by a walk over the records.
//!
//! Owns every figure that would cost the fast paths something to keep: live blocks and bytes. The
//! walk reads records that other threads are changing, so its result may be off by what happened
//! meanwhile; blocks lying ready in a thread's hand count as live. It takes no lock.

use crate::block;
use crate::chunk::Kind;
use crate::class::{COUNT, Class};
use crate::heap::Heap;
use crate::layout::GRANULES_PER_CHUNK;
use crate::local::Local;
use crate::slab::{Slab, State};
use crate::sync::Relaxed;
use neap_os::vm::Vm;

/// The shortest time between two counts that slow paths make, in nanoseconds.
const PAUSE_NS: u64 = 10_000_000;
/// More blocks than a hand ever holds: a slab's and a byte's worth of room.
const HAND_MAX: usize = 4096 + 256;

/// What the heap holds.
#[derive(Clone, Debug)]
pub struct Census {
    /// Live blocks of each size class.
    pub blocks: [u64; COUNT],
    /// Runs, extents and own mappings in use.
    pub large_blocks: u64,
    /// Their bytes.
    pub large_bytes: u64,
    /// Own mappings in use.
    pub direct_blocks: u64,
    /// Their bytes.
    pub direct_bytes: u64,
    /// Slabs, whatever their state.
    pub slabs: u64,
    /// Bytes of address space for blocks.
    pub held_bytes: u64,
    /// Bytes of free pages that may be resident.
    pub dirty_bytes: u64,
}

impl Census {
    /// Live blocks of every kind.
    #[must_use]
    pub fn live_blocks(&self) -> u64 {
        self.blocks.iter().sum::<u64>() + self.large_blocks
    }

    /// Bytes of the live blocks, class sizes.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        let small: u64 = Class::all()
            .zip(&self.blocks)
            .map(|(class, n)| class.size() as u64 * n)
            .sum();
        small + self.large_bytes
    }

    /// Sizes and counts of the size classes that have live blocks.
    pub fn classes(&self) -> impl Iterator<Item = (usize, u64)> {
        Class::all()
            .zip(&self.blocks)
            .map(|(class, n)| (class.size(), *n))
            .filter(|(_, n)| *n != 0)
    }
}

impl Slab {
    /// Blocks in use or in a hand.
    fn live(&self, class: Class) -> u32 {
        let remote = self.remote();
        let used = match remote.state() {
            State::None | State::Checked => 0,
            State::Full => class.capacity(),
            State::Owned | State::Shelved => self.used(),
        };
        used.saturating_sub(remote.count()).min(class.capacity())
    }
}

impl<V: Vm> Heap<V> {
    /// Names the size classes on the published page.
    pub(crate) fn begin_census(&self) {
        for (row, class) in self.tally.page().classes.iter().zip(Class::all()) {
            row.block_bytes.store(class.size() as u64, Relaxed);
        }
    }

    /// Calls `each` with every granule that is a slab, and its record.
    pub(crate) fn each_slab(&self, mut each: impl FnMut(u32, &Slab)) {
        for chunk in 0..self.window().chunk_count() {
            let record = self.window().chunk(chunk);
            if record.kind() != Kind::Slabs {
                continue;
            }
            let mut taken = !record.granules.free.load(Relaxed);
            while taken != 0 {
                let granule = chunk * GRANULES_PER_CHUNK as u32 + taken.trailing_zeros();
                taken &= taken - 1;
                each(granule, self.window().slab(granule));
            }
        }
    }

    /// Counts.
    pub fn census(&self) -> Census {
        let direct_blocks = self.direct.blocks.load(Relaxed) as u64;
        let direct_bytes = self.direct.bytes.load(Relaxed) as u64;
        let mut census = Census {
            blocks: [0; COUNT],
            large_blocks: self.ground.large_blocks.load(Relaxed) as u64 + direct_blocks,
            large_bytes: self.ground.large_bytes.load(Relaxed) as u64 + direct_bytes,
            direct_blocks,
            direct_bytes,
            slabs: 0,
            held_bytes: self.tally.page().held_bytes.load(Relaxed),
            dirty_bytes: (self.ground.dirty.load(Relaxed) * crate::layout::PAGE) as u64,
        };
        if !self.window().is_open() {
            return census;
        }
        self.each_slab(|granule, slab| {
            let Some(class) = slab.class() else { return };
            let live = if slab.remote().state() == State::Checked {
                self.live_checked(granule, class)
            } else {
                slab.live(class)
            };
            census.slabs += 1;
            if let Some(count) = census.blocks.get_mut(class.number()) {
                *count += u64::from(live);
            }
        });
        let (confined, bytes) = self.quarantine.large.contents();
        census.large_blocks = census.large_blocks.saturating_sub(confined as u64);
        census.large_bytes = census.large_bytes.saturating_sub(bytes as u64);
        let waiting = self.deferred_count.load(Relaxed) as u64;
        census.large_blocks = census
            .large_blocks
            .saturating_sub(waiting.min(census.direct_blocks));
        census
    }

    /// Counts as [`Heap::census`], without what lies ready in the calling thread's own hand and pocket:
    /// exact for a program of one thread.
    pub fn census_without_hand(&self, local: &Local) -> Census {
        let mut census = self.census();
        let Some(thread) = local.thread() else {
            return census;
        };
        for class in Class::all() {
            // Bounded, for a block freed twice may have closed the list to a ring.
            let ready = block::iter(local.place_for(class).0.get()).take(HAND_MAX).count() as u64;
            if let Some(count) = census.blocks.get_mut(class.number()) {
                *count = count.saturating_sub(ready);
            }
        }
        for parcel in thread.outbox.parcels() {
            let class = self.window().slab(parcel.granule).class();
            if let Some(count) = class.and_then(|class| census.blocks.get_mut(class.number())) {
                *count = count.saturating_sub(u64::from(parcel.count));
            }
        }
        let (runs, bytes) = thread.pocket.contents();
        census.large_blocks = census.large_blocks.saturating_sub(runs);
        census.large_bytes = census.large_bytes.saturating_sub(bytes);
        census
    }

    /// Publishes when somebody reads along and the last time is long enough ago: 10 ms, and a hundred
    /// times what the count took, so that it stays within a hundredth of the time.
    #[inline]
    pub(crate) fn publish_sometimes(&self) {
        if self.tally.is_shared() {
            self.publish_if_due();
        }
    }

    /// As [`Heap::publish_sometimes`], also when nobody is known to read.
    #[cold]
    pub(crate) fn publish_if_due(&self) {
        let now = crate::sync::clock::monotonic_coarse_ns();
        let due = self.tide.publish_ns.load(Relaxed);
        if now < due
            || self
                .tide
                .publish_ns
                .compare_exchange(due, now + PAUSE_NS, Relaxed, Relaxed)
                .is_err()
        {
            return;
        }
        let begin = crate::sync::clock::monotonic_ns();
        self.publish();
        let took = crate::sync::clock::monotonic_ns().saturating_sub(begin);
        self.tide
            .publish_ns
            .store(now + PAUSE_NS.max(took * 100), Relaxed);
    }

    /// Counts and publishes.
    pub(crate) fn publish(&self) {
        let census = self.census();
        let page = self.tally.page();
        for (row, n) in page.classes.iter().zip(&census.blocks) {
            row.live_blocks.store(*n, Relaxed);
        }
        let live = census.live_bytes();
        page.live_blocks.store(census.live_blocks(), Relaxed);
        page.live_bytes.store(live, Relaxed);
        page.live_peak_bytes.fetch_max(live, Relaxed);
        page.dirty_bytes.store(census.dirty_bytes, Relaxed);
        page.large_blocks.store(census.large_blocks, Relaxed);
        page.large_bytes.store(census.large_bytes, Relaxed);
        page.direct_blocks.store(census.direct_blocks, Relaxed);
        page.direct_bytes.store(census.direct_bytes, Relaxed);
    }
}
