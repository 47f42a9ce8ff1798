//! Full slabs and dry ones: who frees first gets them, what comes back meanwhile is not lost.

use super::set::{Set, explore};

/// Eight blocks a slab.
const SIZE: usize = 8192;
const BLOCKS: usize = 8;

/// Thread 0 has emptied so many slabs, and has one block of one more.
fn emptied(slabs: usize) -> &'static Set {
    let set = Set::new();
    (0..slabs * BLOCKS + 1).for_each(|n| set.take(0, n, SIZE));
    (1..4).for_each(|who| set.heap.finish_thread(set.local(who)));
    set
}

/// The first slab is nobody's: more have been emptied than wait in the queue of dry ones.
fn full() -> &'static Set {
    emptied(18)
}

fn free_all(set: &Set) {
    (0..150).filter(|n| set.at(*n) != 0).for_each(|n| set.free(1, n));
}

fn nothing_left(set: &'static Set) {
    set.assert_whole();
    free_all(set);
    set.heap.finish_thread(set.local(0));
    set.assert_whole();
    assert_eq!(set.slabs(), 0, "an empty slab is retired");
}

/// *Fails with* a free that also claims an owned slab that nothing was handed over to.
#[test]
fn a_full_slab_is_claimed_by_exactly_one_of_its_freers() {
    explore(
        2,
        full,
        &[|set| set.free(0, 0), |set| set.free(1, 1), |set| set.free(2, 2)],
        nothing_left,
    );
}

/// *Fails with* a free that hands over by a relaxed operation.
#[test]
fn blocks_handed_over_are_handed_out_again() {
    explore(
        2,
        || emptied(1),
        &[
            |set| (0..5).for_each(|n| set.free(1, n)),
            |set| (20..29).for_each(|n| set.take(0, n, SIZE)),
        ],
        nothing_left,
    );
}

/// *Fails with* `abandon_full` that does not look for blocks that have come back.
#[test]
fn a_dry_slab_whose_turn_is_over_keeps_what_comes_back_meanwhile() {
    explore(
        2,
        || emptied(16),
        &[
            |set| (140..150).for_each(|n| set.take(0, n, SIZE)),
            |set| (0..2).for_each(|n| set.free(1, n)),
        ],
        nothing_left,
    );
}

/// *Fails with* `Remote::pushed` that counts one block of a list.
#[test]
fn lists_from_two_outboxes_meet_in_one_slab() {
    explore(
        2,
        || {
            let set = Set::new();
            set.take(0, 10, 3072);
            (0..9).for_each(|n| set.take(0, n, 3072));
            for who in 1..3 {
                set.begin_again(who);
                set.take(who, 10 + who, 16);
            }
            set
        },
        &[
            |set| (0..3).for_each(|n| set.free(1, n)),
            |set| (3..6).for_each(|n| set.free(2, n)),
            |set| set.take(0, 20, 3072),
        ],
        |set| {
            set.assert_whole();
            (6..21).filter(|n| set.at(*n) != 0).for_each(|n| set.free(0, n));
            (0..3).for_each(|who| set.heap.finish_thread(set.local(who)));
            set.assert_whole();
            assert_eq!(set.slabs(), 0, "an empty slab is retired");
        },
    );
}
