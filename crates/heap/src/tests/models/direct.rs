//! Mappings of their own: entries that come, go and move in the same few places of the table.

use super::set::{Set, explore};
use crate::options::Setting;
use crate::sync::{Relaxed, Token};
use crate::tide::Reach;

const SIZE: usize = 20_000;
const HUGE: usize = 9 << 20;

fn with_blocks(sizes: &[usize]) -> &'static Set {
    let set = Set::new();
    set.heap.set(set.local(0), Setting::MmapThreshold, SIZE);
    set.heap.set(set.local(0), Setting::MmapMax, 1000);
    for (n, size) in sizes.iter().enumerate() {
        set.take(0, n, *size);
    }
    set
}

/// *Fails with* a place taken without the compare-and-swap.
#[test]
fn blocks_come_go_and_grow_at_the_same_time() {
    explore(
        2,
        || with_blocks(&[SIZE, SIZE]),
        &[
            |set| {
                set.take(1, 10, SIZE);
                set.free(1, 0);
            },
            |set| {
                let address = set.give(1);
                let moved = set
                    .heap
                    .direct
                    .resize(&set.heap.vm, &set.heap.tally, address, 3 * SIZE);
                set.keep(1, moved.expect("memory"));
                set.take(2, 11, SIZE);
                set.free(2, 1);
            },
        ],
        |set| {
            set.assert_whole();
            for n in [10, 11] {
                set.free(0, n);
            }
            set.assert_whole();
            assert_eq!(set.heap.direct.blocks.load(Relaxed), 0);
        },
    );
}

/// A block that one thread made is found by the one that was given it.
///
/// *Fails with* a place taken without the compare-and-swap.
#[test]
fn a_block_is_found_by_who_was_given_it() {
    explore(
        2,
        || with_blocks(&[]),
        &[
            |set| {
                set.take(0, 0, SIZE);
                set.send(1);
            },
            |set| {
                if set.receive() != 0 {
                    set.free(1, 0);
                }
            },
            |set| {
                set.take(2, 1, SIZE);
                set.free(2, 1);
            },
        ],
        |set| set.assert_whole(),
    );
}

/// *Fails with* the dirt counted after the block can be seen to wait.
#[test]
fn a_block_that_waits_to_be_unmapped_is_counted_until_it_is() {
    explore(
        1,
        || {
            let set = with_blocks(&[HUGE, HUGE]);
            set.heap.start_helper_by(|| {});
            set
        },
        &[
            |set| set.free(0, 0),
            |set| set.free(1, 1),
            |set| {
                set.heap.tick(Token::HELPER, Reach::Old);
                let dirty = set.heap.ground.dirty.load(Relaxed);
                assert!(dirty <= 2 * HUGE / 4096, "more dirt than there is: {dirty}");
            },
        ],
        |set| {
            set.tick(Reach::Old);
            set.assert_whole();
            assert_eq!(set.heap.ground.dirty.load(Relaxed), 0);
        },
    );
}
