//! Runs and extents: found without the lock by who holds them, while neighbours come and go and the window
//! grows and shrinks.

#![allow(unsafe_code)]

use super::set::{Set, explore};
use crate::tide::Reach;

/// *Fails with* a run that clears its neighbour's length when it begins.
#[test]
fn a_run_is_as_long_as_it_was_while_its_neighbours_come_and_go() {
    explore(
        2,
        || {
            let set = Set::new();
            (0..3).for_each(|n| set.take(0, n, 300_000));
            set
        },
        &[
            |set| {
                set.free(1, 0);
                set.take(1, 10, 300_000);
            },
            |set| set.free(2, 2),
            |set| {
                // SAFETY: a block in use.
                let usable = unsafe { set.heap.usable(set.at(1)) };
                assert_eq!(usable, 74 * 4096);
                set.free(0, 1);
            },
        ],
        |set| set.assert_whole(),
    );
}

/// The window grows in one thread; another is given a block of the new part, whose records it has never seen.
///
/// *Fails with* a limit that is not raised.
#[test]
fn a_block_beyond_the_old_limit_is_found_by_who_was_given_it() {
    explore(
        2,
        Set::new,
        &[
            |set| {
                set.take(0, 0, 3 << 20);
                set.send(1);
            },
            |set| {
                if set.receive() != 0 {
                    set.free(1, 0);
                }
            },
        ],
        |set| set.assert_whole(),
    );
}

/// *Fails with* pages that stay in the map of free ones while they are discarded.
#[test]
fn pages_are_taken_while_the_tide_discards_their_neighbours() {
    explore(
        1,
        || {
            let set = Set::new();
            (0..4).for_each(|n| set.take(0, n, 300_000));
            for n in [0, 2] {
                set.free(0, n);
            }
            set
        },
        &[
            |set| set.tick(Reach::All),
            |set| set.take(1, 10, 280_000),
            |set| set.free(2, 1),
        ],
        |set| {
            set.tick(Reach::Old);
            set.assert_whole();
        },
    );
}
