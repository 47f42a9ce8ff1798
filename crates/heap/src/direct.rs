//! [`Direct`]: blocks that are mappings of their own.
//!
//! Owns the table from address to length, an open-addressed hash without a lock: requests above
//! M_MMAP_THRESHOLD, and those of a signal handler that interrupted the heap (which can take no
//! lock). Such a block starts on a page, grows by mremap(2), and is unmapped when freed, or, where there is a
//! helper to do it, soon after: unmapping 128 MiB takes some milliseconds.

#![allow(unsafe_code)]

use crate::layout::PAGE;
use crate::sync::{AcqRel, Acquire, AtomicUsize, Relaxed, Release};
use crate::tally::Tally;
use neap_abi::Call;
use neap_abi::anatomy::Field;
use neap_os::errno::Errno;
use neap_os::unit::{Bytes, Span};
use neap_os::vm::Vm;

const SLOTS: usize = 1 << 14;
/// Freed blocks that wait to be unmapped, at most, and from which size on they do.
const WAITING: usize = 16;
const WAITING_MIN: usize = 8 << 20;
/// Longest search: a table fuller than this is full.
const PROBES: usize = 256;
const EMPTY: usize = 0;
/// A freed slot: searches go on past it.
const GONE: usize = 1;
/// A slot being filled.
const BEING_SET: usize = 2;

#[repr(C)]
struct Slot {
    address: AtomicUsize,
    bytes: AtomicUsize,
}

pub(crate) struct Direct {
    slots: [Slot; SLOTS],
    waiting: [Slot; WAITING],
    pub(crate) blocks: AtomicUsize,
    pub(crate) bytes: AtomicUsize,
}

const _: () = {
    use neap_abi::anatomy;
    assert!(SLOTS == anatomy::DIRECT_SLOTS && WAITING == anatomy::DIRECT_WAITING && size_of::<Slot>() == 16);
    assert!(core::mem::offset_of!(Slot, address) == 0 && BEING_SET as u64 == anatomy::DIRECT_NONE_MAX);
};

impl Direct {
    /// Where things are, for readers outside.
    pub(crate) const FIELDS: [(Field, usize); 2] = [
        (Field::DirectSlots, core::mem::offset_of!(Direct, slots)),
        (Field::DirectWaiting, core::mem::offset_of!(Direct, waiting)),
    ];

    pub(crate) const fn new() -> Direct {
        Direct {
            slots: [const {
                Slot {
                    address: AtomicUsize::new(0),
                    bytes: AtomicUsize::new(0),
                }
            }; SLOTS],
            waiting: [const {
                Slot {
                    address: AtomicUsize::new(0),
                    bytes: AtomicUsize::new(0),
                }
            }; WAITING],
            blocks: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    fn probe(&self, address: usize) -> impl Iterator<Item = &Slot> {
        let hash = (address / PAGE).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (usize::BITS - SLOTS.ilog2());
        (0..PROBES).filter_map(move |n| self.slots.get((hash + n) % SLOTS))
    }

    fn slot(&self, address: usize) -> Option<&Slot> {
        self.probe(address)
            .map(|slot| (slot, slot.address.load(Acquire)))
            .take_while(|(_, found)| *found != EMPTY)
            .find(|(_, found)| *found == address)
            .map(|(slot, _)| slot)
    }

    /// The length in bytes of the block at `address`, if there is one.
    pub(crate) fn length(&self, address: usize) -> Option<usize> {
        if !address.is_multiple_of(PAGE) || address <= BEING_SET {
            return None;
        }
        self.slot(address).map(|slot| slot.bytes.load(Relaxed))
    }

    /// Whether `address` lies inside a block. Looks through the whole table: for messages only.
    pub(crate) fn encloses(&self, address: usize) -> bool {
        self.slots.iter().any(|slot| {
            let base = slot.address.load(Acquire);
            base > BEING_SET && address.wrapping_sub(base) < slot.bytes.load(Relaxed)
        })
    }

    fn insert(&self, address: usize, bytes: usize) -> bool {
        for slot in self.probe(address) {
            let found = slot.address.load(Relaxed);
            if (found == EMPTY || found == GONE)
                && slot
                    .address
                    .compare_exchange(found, BEING_SET, AcqRel, Relaxed)
                    .is_ok()
            {
                slot.bytes.store(bytes, Relaxed);
                slot.address.store(address, Release);
                self.blocks.fetch_add(1, Relaxed);
                self.bytes.fetch_add(bytes, Relaxed);
                return true;
            }
        }
        false
    }

    /// Takes the entry of `address` out and returns its length; `None` if another thread was faster.
    fn remove(&self, address: usize) -> Option<usize> {
        let slot = self.slot(address)?;
        let bytes = slot.bytes.load(Relaxed);
        slot.address
            .compare_exchange(address, GONE, AcqRel, Relaxed)
            .ok()?;
        self.blocks.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
        Some(bytes)
    }

    /// A block of at least `size` bytes aligned to `align` (a power of two), all zeros.
    pub(crate) fn take<V: Vm>(&self, vm: &V, tally: &Tally, size: usize, align: usize) -> Option<usize> {
        let size = Bytes(size.max(1)).round_up(PAGE)?.0;
        let room = if align > PAGE {
            size.checked_add(align)?
        } else {
            size
        };
        let Ok(span) = vm.map(Bytes(room)) else {
            tally.failed(Call::Mmap);
            return None;
        };
        tally.call(Call::Mmap, span.len());
        tally.held(span.len());
        let base = span.base().next_multiple_of(align.max(1));
        // Without an alignment to meet, whatever more the kernel gave belongs to the block.
        let mut end = if align > PAGE { base + size } else { span.end() };
        // A block is a whole mapping, which can be resized: what cannot be cut off at its end stays.
        if !self.trim(vm, tally, Span::new(span.base(), base - span.base())) {
            self.trim(vm, tally, Some(span));
            return None;
        }
        if !self.trim(vm, tally, Span::new(end, span.end() - end)) {
            end = span.end();
        }
        if self.insert(base, end - base) {
            return Some(base);
        }
        self.trim(vm, tally, Span::new(base, end - base));
        None
    }

    /// Blocks in the table, and their bytes.
    #[cfg(any(test, feature = "verify"))]
    pub(crate) fn walk(&self) -> (usize, usize) {
        let mut total = (0, 0);
        for slot in self
            .slots
            .iter()
            .filter(|slot| slot.address.load(Relaxed) > BEING_SET)
        {
            total = (total.0 + 1, total.1 + slot.bytes.load(Relaxed));
        }
        total
    }

    /// Unmaps `span`, if it is anything. Whether nothing is left of it.
    fn trim<V: Vm>(&self, vm: &V, tally: &Tally, span: Option<Span>) -> bool {
        let Some(span) = span.filter(|s| !s.is_empty()) else {
            return true;
        };
        // SAFETY: both callers pass parts of a mapping that was just made (1) and is in nobody's
        // hands (2), or a block that its holder gave up.
        let gone = unsafe { vm.unmap(span) }.is_ok();
        if gone {
            tally.call(Call::Munmap, span.len());
            tally.unheld(span.len());
        } else {
            tally.failed(Call::Munmap);
        }
        gone
    }

    /// Frees the block at `address`. False if there is none.
    pub(crate) fn give_back<V: Vm>(&self, vm: &V, tally: &Tally, address: usize) -> bool {
        let Some(bytes) = self.length(address).and_then(|_| self.remove(address)) else {
            return false;
        };
        tally.given_back(bytes);
        self.trim(vm, tally, Span::new(address, bytes));
        true
    }

    /// Frees the block at `address`, to be unmapped by [`Direct::unmap_waiting`]. Returns its bytes, which are
    /// dirt: `count` counts them before anybody can unmap them. `None`, and nothing has happened, if it is
    /// small, there is none, or too many wait.
    pub(crate) fn put_off(&self, address: usize, count: impl FnOnce(usize)) -> Option<usize> {
        if self.length(address)? < WAITING_MIN {
            return None;
        }
        let place = self.waiting.iter().find(|place| {
            let taken = place.address.compare_exchange(EMPTY, BEING_SET, Acquire, Relaxed);
            taken.is_ok()
        })?;
        let Some(bytes) = self.remove(address) else {
            place.address.store(EMPTY, Release);
            return None;
        };
        count(bytes);
        place.bytes.store(bytes, Relaxed);
        place.address.store(address, Release);
        Some(bytes)
    }

    /// Unmaps the blocks that wait. Returns their bytes.
    pub(crate) fn unmap_waiting<V: Vm>(&self, vm: &V, tally: &Tally) -> usize {
        let mut total = 0;
        for place in &self.waiting {
            let address = place.address.load(Acquire);
            if address <= BEING_SET {
                continue;
            }
            let bytes = place.bytes.load(Relaxed);
            let mine = place
                .address
                .compare_exchange(address, BEING_SET, Acquire, Relaxed);
            if mine.is_ok() {
                place.address.store(EMPTY, Release);
                tally.given_back(bytes);
                self.trim(vm, tally, Span::new(address, bytes));
                total += bytes;
            }
        }
        total
    }

    /// Changes the length of the block at `address` to at least `size` bytes, moving its pages if
    /// need be. `None` leaves it as it was.
    pub(crate) fn resize<V: Vm>(&self, vm: &V, tally: &Tally, address: usize, size: usize) -> Option<usize> {
        let size = Bytes(size.max(1)).round_up(PAGE)?;
        let bytes = self.length(address)?;
        if bytes == size.0 {
            return Some(address);
        }
        // What grows may move, to an address that a full table has no place for, and then it could
        // not be moved back. (Half full, no search is nearly as long as it may be.)
        if size.0 > bytes && self.blocks.load(Relaxed) > SLOTS / 2 {
            return None;
        }
        let span = Span::new(address, bytes)?;
        self.remove(address)?;
        // SAFETY: `span` is the whole mapping of the block (1); its holder asked for the move and
        // uses the returned address (2).
        let result = unsafe { vm.remap(span, size) };
        let Ok(moved) = result else {
            tally.failed(Call::Mremap);
            // The slot just emptied is within the same search, so there is room.
            self.insert(address, bytes);
            return None;
        };
        tally.call(Call::Mremap, size.0);
        if moved.len() > bytes {
            tally.held(moved.len() - bytes);
        } else {
            tally.unheld(bytes - moved.len());
            tally.given_back(bytes - moved.len());
        }
        if !self.insert(moved.base(), moved.len()) {
            // The table is full around the new place. Nothing can be lost: move back.
            // SAFETY: as above, with the new mapping.
            let back = unsafe { vm.remap(moved, Bytes(bytes)) };
            if let Ok(back) = back {
                self.insert(back.base(), back.len());
            }
            return None;
        }
        Some(moved.base())
    }

    /// Finds room for the pages of `from` in a new block of `size` bytes and moves them there.
    /// `from` stays mapped, zeroed, unless the result says that it is lost.
    pub(crate) fn take_over<V: Vm>(
        &self,
        vm: &V,
        tally: &Tally,
        from: Span,
        size: usize,
    ) -> (Option<usize>, Moved) {
        let Some(address) = self.take(vm, tally, size, 1) else {
            return (None, Moved::Failed);
        };
        let Some(to) = Span::new(address, from.len()) else {
            return (None, Moved::Failed);
        };
        // SAFETY: `from` belongs to a block whose holder asked to move it, `to` is a fresh mapping;
        // they cannot overlap (1), and nobody else uses either (2).
        let moved = unsafe { move_pages(vm, tally, from, to) };
        match moved {
            Moved::Done | Moved::SourceLost => return (Some(address), moved),
            Moved::Failed => {
                self.give_back(vm, tally, address);
            }
            // Its addresses may be somebody else's by now.
            Moved::TargetLost => {
                self.remove(address);
            }
        }
        (None, moved)
    }
}

/// How a move of pages ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moved {
    /// The pages are at the target; the source is mapped and zeroed.
    Done,
    /// The pages are at the target; the source's addresses are no longer the heap's.
    SourceLost,
    /// Nothing moved.
    Failed,
    /// Nothing moved; the target's addresses are no longer the heap's.
    TargetLost,
}

/// Moves the pages of `from` to `to` and counts the call.
///
/// # Safety
/// 1. and 2. of [`Vm::move_pages`].
pub(crate) unsafe fn move_pages<V: Vm>(vm: &V, tally: &Tally, from: Span, to: Span) -> Moved {
    // SAFETY: the caller's (1, 2).
    let moved = match unsafe { vm.move_pages(from, to) } {
        Ok(()) => Moved::Done,
        Err(Errno::ENOTRECOVERABLE) => Moved::SourceLost,
        Err(Errno::EIDRM) => Moved::TargetLost,
        Err(_) => Moved::Failed,
    };
    match moved {
        Moved::Done | Moved::SourceLost => tally.call(Call::Mremap, from.len()),
        Moved::Failed | Moved::TargetLost => tally.failed(Call::Mremap),
    }
    moved
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use neap_os::sim::Sim;

    #[test]
    fn a_large_block_may_wait_to_be_unmapped_and_is_no_block_meanwhile() {
        let sim = Sim::new();
        let tally = Tally::new();
        let direct = std::boxed::Box::leak(std::boxed::Box::new(Direct::new()));
        let small = direct.take(&sim, &tally, WAITING_MIN - PAGE, 1).unwrap();
        assert_eq!(direct.put_off(small, |_| {}), None);
        let blocks: std::vec::Vec<usize> = (0..=WAITING)
            .map(|_| direct.take(&sim, &tally, WAITING_MIN, 1).unwrap())
            .collect();
        for block in &blocks[..WAITING] {
            assert_eq!(direct.put_off(*block, |_| {}), Some(WAITING_MIN));
            assert_eq!(direct.put_off(*block, |_| {}), None);
            assert_eq!(direct.length(*block), None);
            assert!(!direct.give_back(&sim, &tally, *block));
        }
        assert_eq!(direct.put_off(blocks[WAITING], |_| {}), None);
        assert_eq!(direct.walk(), (2, 2 * WAITING_MIN - PAGE));
        assert_eq!(direct.unmap_waiting(&sim, &tally), WAITING * WAITING_MIN);
        assert_eq!(direct.unmap_waiting(&sim, &tally), 0);
        assert!(direct.give_back(&sim, &tally, blocks[WAITING]));
        assert!(direct.give_back(&sim, &tally, small));
    }
}
