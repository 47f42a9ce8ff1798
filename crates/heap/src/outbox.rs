//! [`Outbox`]: blocks of other threads' slabs that a thread has freed and not handed over yet.
//!
//! Owns which slabs have a list here, and when a list is long enough. Handing a list over is one atomic
//! operation; handing each block over costs one each, and each waits until the block's cache line has come
//! from the thread that used it. A block in here counts as used in its slab. Small, for what lies
//! in an idle thread's outbox is not given back.

use crate::block::Block;
use crate::class::{COUNT, Class};
use core::cell::Cell;

/// Slabs that have a list at the same time, at most.
const LISTS: usize = 8;

/// The blocks of one slab.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) granule: u32,
    pub(crate) count: u32,
    pub(crate) first: Block,
    pub(crate) last: Block,
}

/// All zeros is empty.
pub(crate) struct Outbox {
    lists: [List; LISTS],
}

/// `first` and `last` are there or not together; the rest is of no matter if not.
struct List {
    granule: Cell<u32>,
    count: Cell<u32>,
    first: Cell<Option<Block>>,
    last: Cell<Option<Block>>,
}

impl List {
    fn get(&self) -> Option<Parcel> {
        Some(Parcel {
            granule: self.granule.get(),
            count: self.count.get(),
            first: self.first.get()?,
            last: self.last.get()?,
        })
    }
    fn set(&self, parcel: Option<Parcel>) {
        self.first.set(parcel.map(|parcel| parcel.first));
        self.last.set(parcel.map(|parcel| parcel.last));
        if let Some(parcel) = parcel {
            self.granule.set(parcel.granule);
            self.count.set(parcel.count);
        }
    }
    fn take(&self) -> Option<Parcel> {
        let parcel = self.get();
        self.set(None);
        parcel
    }
}

const _: () = assert!(LISTS == neap_abi::anatomy::OUTBOX_LISTS);

/// The block was put in just before.
pub(crate) struct AlreadyThere;

/// A list of blocks of a class is handed over when it has so many: 8 KiB, and no more than 32.
static ENOUGH: [u8; COUNT] = {
    let mut out = [1; COUNT];
    let mut n = 0;
    while let Some(class) = Class::from_number(n) {
        let blocks = (8 << 10) / class.size();
        out[n] = if blocks < 32 { blocks as u8 } else { 32 };
        n += 1;
    }
    out
};

impl Outbox {
    /// Where the lists are, for readers outside: the first, bytes of one, in it the first block and the count.
    pub(crate) const PLACES: [usize; 4] = [
        core::mem::offset_of!(Outbox, lists),
        size_of::<List>(),
        core::mem::offset_of!(List, first),
        core::mem::offset_of!(List, count),
    ];

    /// Puts in a freed block of `class`, of the slab `granule`. Returns a list that must be handed over now:
    /// that slab's if it is long enough, or another's that was in its place.
    #[inline]
    pub(crate) fn put(
        &self,
        granule: u32,
        class: Class,
        block: Block,
    ) -> Result<Option<Parcel>, AlreadyThere> {
        let list = &self.lists[granule as usize % LISTS];
        let first = list.first.get();
        if first.is_some() && list.granule.get() == granule {
            if first == Some(block) {
                return Err(AlreadyThere);
            }
            block.set_next(first);
            list.first.set(Some(block));
            let count = list.count.get() + 1;
            list.count.set(count);
            let enough = u32::from(ENOUGH[class.number()]);
            return Ok(if count < enough { None } else { list.take() });
        }
        let other = list.take();
        block.set_next(None);
        list.set(Some(Parcel {
            granule,
            count: 1,
            first: block,
            last: block,
        }));
        Ok(other)
    }

    /// Takes out a list, as long as there is one.
    pub(crate) fn take(&self) -> Option<Parcel> {
        self.lists.iter().find_map(List::take)
    }

    /// The lists in here.
    pub(crate) fn parcels(&self) -> impl Iterator<Item = Parcel> {
        self.lists.iter().filter_map(List::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Outbox {
        Outbox {
            lists: [const {
                List {
                    granule: Cell::new(0),
                    count: Cell::new(0),
                    first: Cell::new(None),
                    last: Cell::new(None),
                }
            }; LISTS],
        }
    }

    #[repr(align(16))]
    struct Memory([[u64; 2]; 40]);

    #[test]
    #[allow(unsafe_code)]
    fn lists_leave_when_they_are_long_enough_or_another_slab_comes() {
        let mut memory = Memory([[0; 2]; 40]);
        let base = memory.0.as_mut_ptr().expose_provenance();
        // SAFETY: 40 aligned blocks of 16 bytes, which nobody else uses (1, 2).
        let block = |n: usize| unsafe { Block::at(base + 16 * n) };
        let class = Class::of_size(16);
        let outbox = empty();
        for n in 0..31 {
            assert!(matches!(outbox.put(3, class, block(n)), Ok(None)));
        }
        assert!(outbox.put(3, class, block(30)).is_err());
        let Ok(Some(parcel)) = outbox.put(3, class, block(31)) else {
            panic!("32 blocks are enough")
        };
        let (count, first, last) = (parcel.count, parcel.first, parcel.last);
        assert!((count, first, last) == (32, block(31), block(0)));
        assert_eq!(crate::block::iter(Some(first)).count(), 32);
        assert!(outbox.take().is_none());
        assert!(matches!(outbox.put(3, class, block(0)), Ok(None)));
        let Ok(Some(other)) = outbox.put(3 + LISTS as u32, class, block(1)) else {
            panic!("two slabs do not share a place")
        };
        assert_eq!((other.granule, other.count), (3, 1));
        assert_eq!(outbox.parcels().count(), 1);
        assert!(outbox.take().is_some_and(|parcel| parcel.first == block(1)));
    }
}
