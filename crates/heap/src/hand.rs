//! A thread's hand: the lists of blocks ready for its next mallocs.
//!
//! Owns what comes into a hand: what a refill brings, and what the hand *catches*, blocks that the thread
//! frees, of slabs that are its own or nobody's, as long as there is *room*. A caught block counts as
//! used, so its slab is not touched, and a full slab's round trip from nobody's to the thread's and back is
//! saved. Blocks of slabs that other threads own are not caught: what threads pass to each other should
//! not end up side by side.
//!
//! A refill makes room for some blocks, malloc for one more, each catch takes one. So a hand never holds
//! more than what a refill brought and those: what an idle thread keeps from being given back is bounded.
//! A thread that frees without allocating soon has no room; when a slab empties then, the hand's
//! blocks of that class are put down as well.
//!
//! The count of room is a byte and may wrap from 255 to 0: then there is less room for a while, never more.

#![allow(unsafe_code)]

use crate::block::Block;
use crate::class::Class;
use crate::heap::Heap;
use crate::local::{Local, Place};
use crate::slab::Slab;
use crate::window::Window;
use neap_os::vm::Vm;

/// Room for so many blocks of `class` comes with a refill: 16 KiB of small blocks, up to 64 KiB of large
/// ones, 128 blocks at most.
fn room(class: Class) -> u8 {
    let small = ((16 << 10) / class.size()).min(128);
    let large = ((64 << 10) / class.size()).min(32);
    small.max(large) as u8
}

/// Puts what a refill has brought into the hand, and makes room.
pub(crate) fn fill(local: &Local, class: Class, run: Option<Block>) {
    let (ready, free) = local.place_for(class);
    ready.set(run);
    free.set(room(class));
}

/// What became of a block that was to be caught.
pub(crate) enum Catch {
    /// It is in the hand.
    Caught,
    /// There is no room.
    NoRoom,
    /// It was the first of the list already.
    FirstAlready,
}

/// Puts a freed block into a hand if there is room.
#[inline(always)]
pub(crate) fn catch((ready, room): Place, block: Block) -> Catch {
    let left = room.get();
    if left == 0 {
        return Catch::NoRoom;
    }
    let first = ready.get();
    if first == Some(block) {
        return Catch::FirstAlready;
    }
    block.set_next(first);
    ready.set(Some(block));
    room.set(left - 1);
    Catch::Caught
}

/// Takes a block out of a hand, for malloc.
#[inline(always)]
pub(crate) fn pop((ready, room): Place) -> Option<Block> {
    let block = ready.get()?;
    ready.set(block.next());
    room.set(room.get().wrapping_add(1));
    Some(block)
}

impl<V: Vm> Heap<V> {
    /// Whether the block at `address` of `slab` lies uppermost in the hand: freed twice in a row.
    pub(crate) fn is_first_in_hand(&self, local: &Local, slab: &Slab, address: usize) -> bool {
        let first = slab.class().and_then(|class| local.place_for(class).0.get());
        first.is_some_and(|first| first.address() == address)
    }

    /// When a slab of `class` has emptied: puts down what the hand has of it if there is no room,
    /// which says that the thread has freed more than it allocated.
    pub(crate) fn follow_suit(&self, local: &Local, class: Class) {
        let (ready, room) = local.place_for(class);
        if room.get() == 0 {
            self.put_down_all(local, ready.take());
        }
    }

    /// Puts down every block in the thread's hand.
    pub(crate) fn empty_hand(&self, local: &Local) {
        for class in Class::all() {
            let (ready, room) = local.place_for(class);
            room.set(0);
            self.put_down_all(local, ready.take());
        }
    }

    /// Frees a list of blocks that was the thread's own hand's.
    fn put_down_all(&self, local: &Local, first: Option<Block>) {
        let mut at = first;
        while let Some(block) = at {
            at = block.next();
            if let Some(offset) = self.window().offset(block.address()) {
                // SAFETY: a block in the hand is free, counted as used, and in no other list (1).
                unsafe { self.free_small(local, Window::granule_of(offset), block.address()) };
            }
        }
    }
}
