//! Granules and chunks that change hands while the tide gives them back.

use super::set::{Set, explore};
use crate::layout::GRANULES_PER_CHUNK;
use crate::sync::Token;
use crate::tide::Reach;

/// A chunk of slabs; thread 0's first two granules are dirt, the first old, the second new.
fn dirt() -> &'static Set {
    let set = Set::new();
    let granules = [0, 1].map(|_| set.heap.new_granule(set.local(0)).expect("memory"));
    set.heap.ground.return_granule(granules[0]);
    set.tick(Reach::Old);
    set.heap.ground.return_granule(granules[1]);
    set
}

fn use_one(set: &'static Set) {
    if let Some(granule) = set.heap.ground.take_granule() {
        set.use_granule(granule);
        set.heap.ground.return_granule(granule);
    }
}

fn quiet(set: &'static Set) {
    // What is only late: a granule that was taken while its dirt aged.
    set.tick(Reach::Old);
    set.assert_whole();
}

/// *Fails with* `Granules::claim` that takes what is not free.
#[test]
fn granules_change_hands_while_old_dirt_is_given_back() {
    explore(2, dirt, &[|set| set.tick(Reach::Old), use_one], quiet);
}

/// *Fails with* `Granules::put_all` before the pages are gone.
#[test]
fn granules_change_hands_while_all_dirt_is_given_back() {
    explore(1, dirt, &[|set| set.tick(Reach::All), use_one, use_one], quiet);
}

/// *Fails with* `take_granule_of` that does not look again after it has cleared the chunk's bit.
#[test]
fn a_granule_that_comes_back_while_the_last_is_taken_is_found() {
    explore(
        3,
        || {
            let set = Set::new();
            for _ in 0..GRANULES_PER_CHUNK - 1 {
                set.heap.new_granule(set.local(0)).expect("memory");
            }
            set
        },
        &[
            |set| {
                set.heap.ground.take_granule();
            },
            |set| {
                set.heap.ground.return_granule(0);
            },
        ],
        |set| {
            let found = set.heap.ground.take_granule();
            assert!(found.is_some(), "what came back can be found");
        },
    );
}

/// *Fails with* `Granules::take_all` that does not look whether all are free.
#[test]
fn a_chunk_is_made_free_only_when_nobody_has_a_granule_of_it() {
    explore(
        2,
        dirt,
        &[
            |set| {
                let pages = set
                    .heap
                    .ground
                    .enter(&set.heap.vm, &set.heap.tally, Token::HELPER);
                pages.reclaim_chunks();
            },
            |set| {
                let granule = set.heap.new_granule(set.local(0)).expect("memory");
                set.use_granule(granule);
                set.heap.ground.return_granule(granule);
            },
        ],
        quiet,
    );
}
