//! Free blocks and the lists they form.
//!
//! Owns the link that a free block carries in its first word. A [`Block`] is proof that an address
//! is a free block of this heap: it can only be made by unsafe code that shows so, and from then on
//! reading and writing its link is sound. A program that writes to freed memory breaks that proof;
//! the default build finds out late or never, `NEAP_CHECK=1` keeps no links in memory at all.

#![allow(unsafe_code)]

use crate::sync::{AtomicUsize, Relaxed};
use core::num::NonZeroUsize;

/// A free block of at least 16 bytes, 16-byte aligned, in memory the heap owns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Block(NonZeroUsize);

impl Block {
    /// Takes an address for a free block.
    ///
    /// # Safety
    /// 1. `address` is not 0, a multiple of 16, and the first of at least 16 mapped, writable bytes.
    /// 2. Nobody but the heap uses those bytes until the block is handed out.
    #[inline]
    pub(crate) const unsafe fn at(address: usize) -> Block {
        // SAFETY: not 0, by 1.
        Block(unsafe { NonZeroUsize::new_unchecked(address) })
    }

    /// The block's first address.
    #[inline]
    pub(crate) const fn address(self) -> usize {
        self.0.get()
    }

    /// The block after this one in its list.
    #[inline]
    pub(crate) fn next(self) -> Option<Block> {
        #[cfg(all(test, loom))]
        crate::model::read(self.0.get());
        let link = core::ptr::with_exposed_provenance::<usize>(self.0.get());
        // SAFETY: the bytes are mapped, aligned and ours (`Block::at` 1 and 2).
        let word = unsafe { link.read() };
        NonZeroUsize::new(word).map(Block)
    }

    /// Links `next` behind this block.
    #[inline]
    pub(crate) fn set_next(self, next: Option<Block>) {
        #[cfg(all(test, loom))]
        crate::model::write(self.0.get());
        let link = core::ptr::with_exposed_provenance_mut::<usize>(self.0.get());
        // SAFETY: the bytes are mapped, aligned and ours (`Block::at` 1 and 2).
        unsafe { link.write(word(next)) }
    }
}

#[inline]
fn word(block: Option<Block>) -> usize {
    block.map_or(0, Block::address)
}

/// The head of a list of blocks, in memory shared by all threads but changed by one at a time.
#[repr(transparent)]
pub(crate) struct ListHead(AtomicUsize);

impl ListHead {
    /// The first block.
    #[inline]
    pub(crate) fn get(&self) -> Option<Block> {
        NonZeroUsize::new(self.0.load(Relaxed)).map(Block)
    }
    /// Makes `first` the first block.
    #[inline]
    pub(crate) fn set(&self, first: Option<Block>) {
        self.0.store(word(first), Relaxed);
    }
    /// The list, leaving an empty one.
    #[inline]
    pub(crate) fn take(&self) -> Option<Block> {
        let first = self.get();
        self.set(None);
        first
    }
}

/// The blocks of a list in order.
pub(crate) fn iter(first: Option<Block>) -> impl Iterator<Item = Block> {
    let mut at = first;
    core::iter::from_fn(move || {
        let here = at?;
        at = here.next();
        Some(here)
    })
}
