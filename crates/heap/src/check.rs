//! Checking mode (`NEAP_CHECK=1`): every misuse of malloc that can be told is told.
//!
//! Owns its own rules for slabs (state CHECKED): no free block carries a link, a record apart says for
//! each block whether it is in use, in quarantine, and poisoned. A freed block is filled with poison
//! and waits in a queue before it can be handed out again; if the poison has changed by then,
//! somebody wrote to freed memory. Every block ends in a tail that knows how many bytes were asked
//! for and fills the rest with a pattern: a write past the end is found when the block is freed.
//! Blocks have exactly the usable size that was asked for.
//!
//! A run or an extent is treated alike: filled with poison it waits in a queue of its own, bounded in bytes;
//! to the maps of pages it is in use all the while. Only one larger than that queue goes at once.
//!
//! Everything happens under the lock of the class's shelf, for runs and extents the `pages` lock; speed is not
//! the point.

#![allow(unsafe_code)]

use crate::bytes::fill;
use crate::class::{self, Class};
use crate::ground::{NotAPiece, Piece};
use crate::heap::Heap;
use crate::layout::PAGE;
use crate::local::Local;
use crate::pages::Pages;
use crate::quarantine::LARGE_BYTES;
use crate::shelf::Open;
use crate::slab::State;
use crate::stop::{Fault, stop};
use crate::sync::{AtomicU64, Relaxed};
use neap_os::vm::Vm;

/// Fills freed blocks.
const POISON: u8 = 0xdb;
/// Fills the bytes between the request's end and the block's.
const SLACK: u8 = 0xb5;
/// The last word of each block: how many bytes of slack, mixed with the block's address.
const TAIL: usize = 8;
const WORDS: usize = 4096 / 64;
const WORD: usize = size_of::<u64>();

/// The record of one checked slab: 2 KiB for each granule.
#[repr(C)]
struct Record {
    used: [AtomicU64; WORDS],
    waiting: [AtomicU64; WORDS],
    poisoned: [AtomicU64; WORDS],
}

fn get(bits: &[AtomicU64; WORDS], n: u32) -> bool {
    bits.get(n as usize / 64)
        .is_some_and(|w| w.load(Relaxed) >> (n % 64) & 1 == 1)
}

fn put(bits: &[AtomicU64; WORDS], n: u32, on: bool) {
    if let Some(word) = bits.get(n as usize / 64) {
        let bit = 1 << (n % 64);
        if on {
            word.fetch_or(bit, Relaxed);
        } else {
            word.fetch_and(!bit, Relaxed);
        }
    }
}

impl Record {
    /// The first block of `capacity` that is neither in use nor waiting.
    fn first_free(&self, capacity: u32) -> Option<u32> {
        for (w, (used, waiting)) in self.used.iter().zip(&self.waiting).enumerate() {
            let free = !(used.load(Relaxed) | waiting.load(Relaxed));
            if free != 0 {
                let n = w as u32 * 64 + free.trailing_zeros();
                return (n < capacity).then_some(n);
            }
        }
        None
    }

    fn clear(&self) {
        for word in self.used.iter().chain(&self.waiting).chain(&self.poisoned) {
            word.store(0, Relaxed);
        }
    }
}

fn tail_word(address: usize, slack: usize) -> u64 {
    (slack as u64) ^ (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xa5a5_5a5a_c3c3_3c3c
}

/// Writes the tail of a block of `total` bytes of which `size` were asked for.
///
/// # Safety
/// 1. The block is mapped, writable, ours, and `size + TAIL <= total`, `total` a multiple of 8.
unsafe fn seal(address: usize, total: usize, size: usize) {
    let slack = total - size;
    // SAFETY: inside the block (1).
    unsafe { fill(address + size, slack - TAIL, SLACK) };
    // SAFETY: the block's last word, aligned (1).
    unsafe {
        core::ptr::with_exposed_provenance_mut::<u64>(address + total - TAIL).write(tail_word(address, slack))
    };
}

/// The bytes asked for, if the tail is as it was left.
///
/// # Safety
/// 1. The block of `total` bytes is mapped and was sealed.
unsafe fn unseal(address: usize, total: usize) -> Option<usize> {
    // SAFETY: the block's last word, aligned (1).
    let word = unsafe { core::ptr::with_exposed_provenance::<u64>(address + total - TAIL).read() };
    let slack = usize::try_from(word ^ tail_word(address, 0)).ok()?;
    if slack < TAIL || slack > total {
        return None;
    }
    // SAFETY: inside the block (1).
    let intact = unsafe { all_bytes(address + total - slack, slack - TAIL, SLACK) };
    intact.then_some(total - slack)
}

/// Whether `bytes` bytes at `address` all have `value`.
///
/// # Safety
/// 1. They are mapped.
unsafe fn all_bytes(address: usize, bytes: usize, value: u8) -> bool {
    let same = |n: usize| {
        // SAFETY: mapped (1), and nobody writes there but a program that breaks the rules.
        unsafe { core::ptr::with_exposed_provenance::<u8>(address + n).read_volatile() == value }
    };
    if !address.is_multiple_of(WORD) {
        return (0..bytes).all(same);
    }
    let (words, pattern) = (bytes / WORD, u64::from_ne_bytes([value; WORD]));
    let same_word = |n: usize| {
        // SAFETY: as above, and aligned.
        unsafe { core::ptr::with_exposed_provenance::<u64>(address + n * WORD).read_volatile() == pattern }
    };
    (0..words).all(same_word) && (words * WORD..bytes).all(same)
}

impl<V: Vm> Heap<V> {
    fn record(&self, granule: u32) -> Option<&Record> {
        let address = self.window().check_record(granule)?;
        // SAFETY: in checking mode the window maps 2 KiB of zeroed record for every granule that has
        // a slab record, for ever; a `Record` is 1.5 KiB of atomics.
        Some(unsafe { &*core::ptr::with_exposed_provenance::<Record>(address) })
    }

    /// The bytes to take for a request of `size`: in checking mode the tail comes on top.
    pub(crate) fn with_tail(&self, size: usize) -> Option<usize> {
        if self.checking() {
            size.checked_add(TAIL)
        } else {
            Some(size)
        }
    }

    /// Seals a mapping of its own, in checking mode.
    pub(crate) fn seal_direct(&self, address: usize, size: usize) {
        if let (true, Some(total)) = (self.checking(), self.direct.length(address)) {
            // SAFETY: the mapping was taken for `with_tail(size)` bytes, in whole pages, and is ours.
            unsafe { seal(address, total, size) };
        }
    }

    /// malloc in checking mode.
    pub(crate) fn allocate_checked(&self, local: &Local, size: usize, align: usize) -> Option<usize> {
        let wanted = size.checked_add(TAIL)?;
        let Some(class) = Class::aligned(wanted, align) else {
            let piece = self.allocate_large(local, wanted, align.max(PAGE))?;
            // SAFETY: the piece has at least `wanted` bytes, in whole pages, and is ours.
            unsafe { seal(piece.address, piece.bytes, size) };
            return Some(piece.address);
        };
        debug_assert!(class.size() <= class::LARGEST);
        // Time passes for the quarantine with every call, not only with frees.
        if let Some(other) = self.quarantine.admit(0) {
            self.discharge(local, other);
        }
        loop {
            let shelf = self.shelf(class);
            {
                let open = shelf.open(self.window(), local.token());
                if let Some(address) = self.take_checked(&open, class, size) {
                    return Some(address);
                }
            }
            let granule = match self.new_granule(local) {
                Some(granule) => granule,
                None => {
                    self.discharge_large(local);
                    self.ebb_now(local);
                    self.new_granule(local)?
                }
            };
            if let Some(record) = self.record(granule) {
                record.clear();
            }
            let slab = self.window().slab(granule);
            slab.take_checked(class);
            slab.shelf_free.store(class.capacity(), Relaxed);
            shelf.open(self.window(), local.token()).append(granule);
        }
    }

    fn take_checked(&self, open: &Open<'_>, class: Class, size: usize) -> Option<usize> {
        let mut at = open.first();
        while let Some(granule) = at {
            at = open.after(granule);
            let slab = self.window().slab(granule);
            let record = self.record(granule)?;
            let Some(n) = record.first_free(class.capacity()) else {
                // Comes back when one of its blocks does.
                open.remove(granule);
                slab.seat.store(1, Relaxed);
                continue;
            };
            let address = self.window().granule_base(granule) + n as usize * class.size();
            if get(&record.poisoned, n) {
                self.expect_poison(address, class);
            }
            put(&record.used, n, true);
            slab.shelf_free.fetch_sub(1, Relaxed);
            // SAFETY: the block has room for size and tail, and is ours until returned.
            unsafe { seal(address, class.size(), size) };
            return Some(address);
        }
        None
    }

    /// free in checking mode of a block in slab `granule`; `size`, if given, must be the size asked
    /// for.
    pub(crate) fn free_checked(&self, local: &Local, granule: u32, address: usize, size: Option<usize>) {
        let slab = self.window().slab(granule);
        let (Some(class), Some(record)) = (slab.class(), self.record(granule)) else {
            stop(Fault::DoubleFree, address, None)
        };
        let open = self.shelf(class).open(self.window(), local.token());
        let n = self.block_number(granule, class, address);
        if !get(&record.used, n) {
            let fault = if get(&record.poisoned, n) {
                Fault::DoubleFree
            } else {
                Fault::ForeignFree
            };
            stop(fault, address, Some(class));
        }
        // SAFETY: a block in use was sealed when it was handed out.
        let Some(asked) = (unsafe { unseal(address, class.size()) }) else {
            stop(Fault::Overflow, address, Some(class))
        };
        if size.is_some_and(|size| size != asked) {
            stop(Fault::WrongSize, address, Some(class));
        }
        put(&record.used, n, false);
        put(&record.waiting, n, true);
        put(&record.poisoned, n, true);
        // SAFETY: the block is the heap's again.
        unsafe { fill(address, class.size(), POISON) };
        drop(open);
        if let Some(other) = self.quarantine.admit(address) {
            self.discharge(local, other);
        }
    }

    fn block_number(&self, granule: u32, class: Class, address: usize) -> u32 {
        let offset = address - self.window().granule_base(granule);
        if !offset.is_multiple_of(class.size()) || offset / class.size() >= class.capacity() as usize {
            stop(Fault::InteriorFree, address, Some(class));
        }
        (offset / class.size()) as u32
    }

    /// Ends the quarantine of a block; gives its slab up when it was the last.
    fn discharge(&self, local: &Local, address: usize) {
        let Some(offset) = self.window().offset(address) else {
            return;
        };
        let granule = crate::window::Window::granule_of(offset);
        let slab = self.window().slab(granule);
        let (Some(class), Some(record)) = (slab.class(), self.record(granule)) else {
            return;
        };
        {
            let open = self.shelf(class).open(self.window(), local.token());
            put(&record.waiting, self.block_number(granule, class, address), false);
            self.expect_poison(address, class);
            let free = slab.shelf_free.fetch_add(1, Relaxed) + 1;
            if slab.seat.swap(0, Relaxed) == 1 {
                open.append(granule);
            }
            if free != class.capacity() || self.shelf(class).length() == 1 {
                return;
            }
            let base = self.window().granule_base(granule);
            for n in 0..class.capacity() {
                let block = base + n as usize * class.size();
                if get(&record.poisoned, n) {
                    self.expect_poison(block, class);
                }
            }
            open.remove(granule);
            slab.release();
        }
        self.soiled(local, self.ground.return_granule(granule));
    }

    /// The bytes of the run or extent in use at `address`. In checking mode one that waits in the quarantine
    /// is free.
    pub(crate) fn find_large(&self, address: usize) -> Result<usize, NotAPiece> {
        if self.checking() && self.quarantine.large.holds(address) {
            return Err(NotAPiece::Free);
        }
        self.ground.find(address)
    }

    /// free in checking mode of a run, an extent, or of nothing the heap knows.
    pub(crate) fn free_large_checked(&self, local: &Local, address: usize) {
        let dirty = {
            let pages = self.ground.enter(&self.vm, &self.tally, local.token());
            let bytes = match self.find_large(address) {
                Ok(bytes) => bytes,
                Err(why) => self.stop_piece(address, why),
            };
            self.usable_sealed(address, bytes, None);
            let piece = Piece { address, bytes };
            if bytes > LARGE_BYTES {
                self.end_piece(&pages, piece);
            } else {
                // SAFETY: the block is the heap's again.
                unsafe { fill(address, bytes, POISON) };
                while let Some(other) = self.quarantine.large.make_room(bytes) {
                    self.expect_poisoned_piece(other);
                    self.end_piece(&pages, other);
                }
                self.quarantine.large.admit(piece);
            }
            self.ground.dirty.load(Relaxed)
        };
        self.soiled(local, dirty);
    }

    /// Ends the quarantine of every run and extent: memory has run out.
    pub(crate) fn discharge_large(&self, local: &Local) {
        let pages = self.ground.enter(&self.vm, &self.tally, local.token());
        while let Some(piece) = self.quarantine.large.make_room(LARGE_BYTES) {
            self.expect_poisoned_piece(piece);
            self.end_piece(&pages, piece);
        }
    }

    fn end_piece(&self, pages: &Pages<'_, V>, piece: Piece) {
        if let Err(why) = pages.return_piece(piece.address) {
            self.stop_piece(piece.address, why);
        }
    }

    /// Stops the program if the block, which waits in the quarantine, was written to.
    pub(crate) fn expect_poisoned_piece(&self, piece: Piece) {
        // SAFETY: to the maps of pages the block is in use still: mapped.
        if !unsafe { all_bytes(piece.address, piece.bytes, POISON) } {
            stop(Fault::WriteAfterFree, piece.address, None);
        }
    }

    /// Stops the program if the free block at `address` was written to.
    fn expect_poison(&self, address: usize, class: Class) {
        // SAFETY: the callers pass a block of a slab of ours.
        if !unsafe { all_bytes(address, class.size(), POISON) } {
            stop(Fault::WriteAfterFree, address, Some(class));
        }
    }

    /// Looks at every small block a last time, when the program ends: in use, in quarantine, or freed and
    /// not handed out again; and at the large ones in quarantine.
    pub(crate) fn inspect_quarantine(&self, local: &Local) {
        self.each_slab(|granule, slab| {
            let Some(class) = slab.class() else { return };
            let _open = self.shelf(class).open(self.window(), local.token());
            // It may have become another's, or none, before the lock was taken.
            if slab.class() == Some(class) && slab.remote().state() == State::Checked {
                self.inspect(granule, class);
            }
        });
        let _pages = self.ground.enter(&self.vm, &self.tally, local.token());
        self.quarantine
            .large
            .pieces()
            .for_each(|piece| self.expect_poisoned_piece(piece));
    }

    /// Stops the program if a block of the slab was written to where it must not be. Under its shelf's
    /// lock, under which blocks are sealed and poisoned.
    fn inspect(&self, granule: u32, class: Class) {
        let Some(record) = self.record(granule) else {
            return;
        };
        // Links of the queue of deferred frees may lie on the slack.
        let queued = self.deferred_count.load(Relaxed) != 0;
        let base = self.window().granule_base(granule);
        for n in 0..class.capacity() {
            let address = base + n as usize * class.size();
            if get(&record.used, n) {
                // SAFETY: a block in use was sealed when it was handed out, under this lock.
                if !queued && unsafe { unseal(address, class.size()) }.is_none() {
                    stop(Fault::Overflow, address, Some(class));
                }
            } else if get(&record.poisoned, n) {
                self.expect_poison(address, class);
            }
        }
    }

    /// malloc_usable_size in checking mode: the bytes asked for.
    pub(crate) fn usable_checked(&self, granule: u32, address: usize) -> usize {
        let Some(class) = self.window().slab(granule).class() else {
            stop(Fault::DoubleFree, address, None)
        };
        let n = self.block_number(granule, class, address);
        if !self.record(granule).is_some_and(|record| get(&record.used, n)) {
            stop(Fault::DoubleFree, address, Some(class));
        }
        self.usable_sealed(address, class.size(), Some(class))
    }

    /// The bytes asked for of a block of `total` bytes, which is sealed in checking mode.
    pub(crate) fn usable_sealed(&self, address: usize, total: usize, class: Option<Class>) -> usize {
        if !self.checking() {
            return total;
        }
        // SAFETY: a block in use was sealed when it was handed out.
        match unsafe { unseal(address, total) } {
            Some(asked) => asked,
            None => stop(Fault::Overflow, address, class),
        }
    }

    /// Puts back the slack of a block that waited in the queue of deferred frees, whose link covers the
    /// first word: of a block of fewer bytes, slack too.
    pub(crate) fn mend(&self, address: usize) {
        let total = match (self.class_at(address), self.window().offset(address)) {
            (Some(class), _) => Some(class.size()),
            (None, Some(_)) => self.find_large(address).ok(),
            (None, None) => self.direct.length(address),
        };
        let Some(total) = total else { return };
        // SAFETY: the block's last word, aligned; it is sealed, and nobody's but the heap's.
        let word = unsafe { core::ptr::with_exposed_provenance::<u64>(address + total - TAIL).read() };
        let Ok(slack) = usize::try_from(word ^ tail_word(address, 0)) else {
            return;
        };
        if let Some(asked) = total.checked_sub(slack)
            && let Some(covered) = size_of::<usize>().checked_sub(asked)
        {
            // SAFETY: inside the block, which has at least 16 bytes, the tail its last eight.
            unsafe { fill(address + asked, covered, SLACK) };
        }
    }

    /// Blocks in use of a checked slab.
    pub(crate) fn live_checked(&self, granule: u32, class: Class) -> u32 {
        let used = self
            .record(granule)
            .map_or(0, |r| r.used.iter().map(|w| w.load(Relaxed).count_ones()).sum());
        used.min(class.capacity())
    }

    /// The proof walk of one checked slab, which is `away` from its shelf or not. Returns the blocks
    /// in use.
    #[cfg(any(test, feature = "verify"))]
    pub(crate) fn verify_checked(&self, granule: u32, class: Class, away: bool) -> usize {
        let Some(record) = self.record(granule) else {
            panic!("checked slab {granule}: it has a record")
        };
        let base = self.window().granule_base(granule);
        let (mut used, mut free) = (0, 0);
        // Links of the queue of deferred frees may lie on the slack.
        let queued = self.deferred_count.load(Relaxed) != 0;
        for n in 0..WORDS as u32 * 64 {
            let marks = (
                get(&record.used, n),
                get(&record.waiting, n),
                get(&record.poisoned, n),
            );
            if n >= class.capacity() {
                assert_eq!(
                    marks,
                    (false, false, false),
                    "checked slab {granule}: no marks beyond its blocks"
                );
                continue;
            }
            let address = base + n as usize * class.size();
            assert!(
                !(marks.0 && marks.1),
                "checked slab {granule}: block {n} is in use or waits"
            );
            used += usize::from(marks.0);
            free += u32::from(!marks.0 && !marks.1);
            // SAFETY: a block of a slab of ours; one in use was sealed.
            unsafe {
                assert!(
                    !marks.0 || queued || unseal(address, class.size()).is_some(),
                    "checked block {address:#x}: its tail"
                );
                let bytes = core::slice::from_raw_parts(
                    core::ptr::with_exposed_provenance::<u8>(address),
                    class.size(),
                );
                let poison = marks.0 || !marks.2 || bytes.chunks(16).all(|part| part == [POISON; 16]);
                assert!(poison, "checked block {address:#x}: its poison");
            }
        }
        let shelf_free = self.window().slab(granule).shelf_free.load(Relaxed);
        assert_eq!(
            shelf_free, free,
            "checked slab {granule}: shelf_free counts what can be handed out"
        );
        assert!(
            !away || free == 0,
            "checked slab {granule}: one with free blocks is on its shelf"
        );
        used
    }

    /// Checks the size, and alignment if not 0, that the program gave to free_sized or delete.
    ///
    /// # Safety
    /// 1. `address` is a block of this heap in use.
    pub unsafe fn check_size(&self, address: usize, size: usize, align: usize) {
        if !self.checking() || address == 0 {
            return;
        }
        // SAFETY: the caller's (1).
        let asked = unsafe { self.usable(address) };
        let crooked = align != 0 && !address.is_multiple_of(align);
        if asked != size || crooked {
            stop(Fault::WrongSize, address, self.class_at(address));
        }
    }
}

const _: () = assert!(size_of::<Record>() <= 2048);
