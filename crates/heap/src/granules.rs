//! [`Granules`]: which of a slab chunk's 32 granules are free, and which of those are dirt.
//!
//! Owns the protocol by which threads take and return granules without a lock while the tide gives old
//! ones back: whoever clears a granule's bit in `free` has the granule. Each mark of dirt was counted
//! once when it was made, and every method says how many marks it removed, so the sum stays right
//! whatever happens at the same time. (`tests/models` tries every order.)

use crate::sync::{AcqRel, Acquire, AtomicU32, Relaxed};

/// All zeros: of no slab chunk.
#[repr(C)]
pub(crate) struct Granules {
    /// Granules nobody uses.
    pub(crate) free: AtomicU32,
    /// Granules used since their pages were last given back.
    pub(crate) touched: AtomicU32,
    /// Free and touched, since the last tick or before. For a moment, while a granule is taken or
    /// returned, a mark may stand though it is not free, and both at once.
    pub(crate) new: AtomicU32,
    pub(crate) old: AtomicU32,
}

/// A granule that was taken.
pub(crate) struct Taken {
    pub(crate) number: u32,
    /// Marks of dirt that went with it.
    pub(crate) marks: usize,
    /// Its pages had been given back, or never touched.
    pub(crate) fresh: bool,
    /// It was the last free one.
    pub(crate) last: bool,
}

/// What the tide has taken hold of.
pub(crate) struct Claimed {
    /// The granules, one bit each.
    pub(crate) mask: u32,
    /// Marks of dirt that were removed, and made again because the granule was not free yet.
    pub(crate) removed: usize,
    pub(crate) remade: usize,
}

fn count(mask: u32) -> usize {
    mask.count_ones() as usize
}

impl Granules {
    /// Takes the lowest free granule.
    pub(crate) fn take(&self) -> Option<Taken> {
        let mut free = self.free.load(Relaxed);
        loop {
            if free == 0 {
                return None;
            }
            let bit = free & free.wrapping_neg();
            match self
                .free
                .compare_exchange_weak(free, free & !bit, AcqRel, Relaxed)
            {
                Err(now) => free = now,
                Ok(_) => {
                    let marks = [&self.new, &self.old];
                    return Some(Taken {
                        number: bit.trailing_zeros(),
                        marks: marks
                            .map(|dirt| count(dirt.fetch_and(!bit, Relaxed) & bit))
                            .iter()
                            .sum(),
                        fresh: self.touched.fetch_or(bit, Relaxed) & bit == 0,
                        last: free == bit,
                    });
                }
            }
        }
    }

    /// Marks granule `number`, which is about to be returned, as dirt: one mark.
    pub(crate) fn mark(&self, number: u32) {
        self.new.fetch_or(1 << number, Relaxed);
    }

    /// Returns granule `number`. Whether it is the only free one.
    pub(crate) fn put(&self, number: u32) -> bool {
        let before = self.free.fetch_or(1 << number, AcqRel);
        debug_assert!(before >> number & 1 == 0, "a granule was returned twice");
        before == 0
    }

    /// Whether a granule is free.
    pub(crate) fn any_free(&self) -> bool {
        self.free.load(Acquire) != 0
    }

    /// Whether every granule is free.
    pub(crate) fn all_free(&self) -> bool {
        self.free.load(Relaxed) == u32::MAX
    }

    /// Takes every granule at once, if all are free.
    pub(crate) fn take_all(&self) -> bool {
        self.free.compare_exchange(u32::MAX, 0, AcqRel, Relaxed).is_ok()
    }

    /// Takes the granules with old dirt, or with any, and removes their marks. One at a time does this.
    pub(crate) fn claim(&self, young_too: bool) -> Claimed {
        let old = self.old.swap(0, AcqRel);
        let young = if young_too { self.new.swap(0, AcqRel) } else { 0 };
        let mask = self.free.fetch_and(!(old | young), AcqRel) & (old | young);
        // What is dirt but not free may be coming back at this moment: then it is the next tick's.
        let late = young & !mask;
        // It may have come back meanwhile, and be gone again, and be back: the mark is there already.
        let remade = late & !self.new.fetch_or(late, AcqRel);
        Claimed {
            mask,
            removed: count(old) + count(young),
            remade: count(remade),
        }
    }

    /// Notes that the pages of claimed granules were given back.
    pub(crate) fn discarded(&self, mask: u32) {
        self.touched.fetch_and(!mask, Relaxed);
    }

    /// Returns claimed granules.
    pub(crate) fn put_all(&self, mask: u32) {
        self.free.fetch_or(mask, AcqRel);
    }

    /// Makes new dirt old. Returns what it was, and how many marks there were twice.
    pub(crate) fn age(&self) -> (u32, usize) {
        let young = self.new.swap(0, AcqRel);
        let twice = self.old.fetch_or(young, AcqRel) & young;
        (young, count(twice))
    }
}
