//! Slabs that nobody owns: shelved, claimed, swept, retired, while their last blocks come back.
//!
//! The threads that free have ended, so that each free is handed over at once.

use super::set::{Set, explore};
use crate::sync::{Relaxed, Token};
use crate::tide::Reach;

/// Eight blocks a slab, and another size with eight.
const SIZE: usize = 8192;
const OTHER: usize = 7000;

fn ended(set: &Set, who: core::ops::Range<usize>) {
    who.for_each(|who| set.heap.finish_thread(set.local(who)));
}

/// Thread 0 has one slab with two blocks in use.
fn two_blocks() -> &'static Set {
    let set = Set::new();
    set.take(0, 0, SIZE);
    set.take(0, 1, SIZE);
    ended(set, 1..4);
    set
}

/// As [`two_blocks`], and thread 0 has ended: the slab lies on its shelf.
fn shelved() -> &'static Set {
    let set = two_blocks();
    ended(set, 0..1);
    set
}

/// As [`shelved`], with one block in use; thread 0 begins anew, the only one there is.
fn one_begins() -> &'static Set {
    let set = shelved();
    set.free(1, 1);
    set.begin_again(0);
    set.take(0, 20, 16);
    set
}

fn sweep(set: &'static Set) {
    set.heap
        .sweep_shelf(Token::HELPER, Set::class(SIZE), Reach::All, usize::MAX);
}

fn nothing_left(set: &'static Set) {
    set.assert_whole();
    assert_eq!(set.slabs(), 0, "somebody saw that the slab was empty");
}

/// *Fails with* `shelve` not retiring what is all free.
#[test]
fn a_thread_ends_while_others_free_its_last_blocks() {
    explore(
        2,
        two_blocks,
        &[
            |set| set.heap.finish_thread(set.local(0)),
            |set| set.free(1, 0),
            |set| set.free(2, 1),
        ],
        nothing_left,
    );
}

/// *Fails with* `sweep_slab` not retiring what came back while it looked.
#[test]
fn a_slab_is_swept_while_its_last_blocks_come_back() {
    explore(
        2,
        shelved,
        &[sweep, |set| set.free(1, 0), |set| set.free(2, 1)],
        nothing_left,
    );
}

/// *Fails with* `claim_shelved` leaving the slab SHELVED.
#[test]
fn a_slab_is_claimed_or_retired_but_not_both() {
    explore(
        2,
        one_begins,
        &[|set| set.take(0, 1, SIZE), |set| set.free(1, 0)],
        |set| {
            set.free(0, 1);
            set.free(0, 20);
            set.heap.finish_thread(set.local(0));
            nothing_left(set);
        },
    );
}

/// *Fails with* `allocate_shared` without the shelf's lock.
#[test]
fn a_block_is_taken_from_a_shelf_that_is_swept_while_others_come_back() {
    explore(
        2,
        shelved,
        &[sweep, |set| set.free(1, 0), |set| set.take(2, 2, SIZE)],
        |set| set.assert_whole(),
    );
}

/// The thread that frees the last block is late: meanwhile the slab is swept and free, its granule a slab of
/// another class on another shelf, free again, and now a slab of the first class that a thread owns.
///
/// *Fails with* `retire_shelved` looking at the class apart from the state.
#[test]
fn a_slab_that_was_born_again_is_not_retired_by_who_comes_late() {
    explore(
        3,
        one_begins,
        &[
            |set| set.free(1, 0),
            |set| {
                sweep(set);
                set.take(2, 1, OTHER);
                set.free(2, 1);
                set.take(0, 2, SIZE);
            },
        ],
        |set| {
            set.free(0, 2);
            set.free(0, 20);
            set.heap.finish_thread(set.local(0));
            nothing_left(set);
        },
    );
}

/// *Fails with* `abandon_full` that does not look for blocks that have come back.
#[test]
fn a_shelf_that_runs_dry_loses_no_block_that_comes_back_meanwhile() {
    explore(
        2,
        || {
            let set = shelved();
            (2..8).for_each(|n| set.take(2, n, SIZE));
            set
        },
        &[|set| set.take(2, 8, SIZE), |set| set.free(1, 0)],
        |set| {
            (1..9).for_each(|n| set.free(3, n));
            nothing_left(set);
            assert_eq!(set.heap.shelf(Set::class(SIZE)).length(), 0);
            assert_eq!(set.heap.deferred_count.load(Relaxed), 0);
        },
    );
}
