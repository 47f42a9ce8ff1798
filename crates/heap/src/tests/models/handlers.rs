//! The queue of blocks that signal handlers freed in the middle of slow paths.

use super::set::{Set, explore};
use crate::sync::Relaxed;

/// As free in a handler that interrupted a slow path of `who`.
#[allow(unsafe_code)]
fn free_in_handler(set: &Set, who: usize, n: usize) {
    let address = set.give(n);
    let _busy = set.local(who).enter();
    // SAFETY: a block in use, given up.
    unsafe { set.heap.free_slow(set.local(who), address) };
}

/// *Fails with* a queue that is taken by a load and a store; with a block put into it by a relaxed
/// operation.
#[test]
fn what_handlers_freed_is_freed_once_by_whoever_comes_next() {
    explore(
        2,
        || {
            let set = Set::new();
            (0..4).for_each(|n| set.take(0, n, 64));
            set
        },
        &[
            |set| free_in_handler(set, 1, 0),
            |set| free_in_handler(set, 2, 1),
            |set| {
                set.take(0, 10, 9000);
                set.free(0, 10);
            },
        ],
        |set| {
            set.take(0, 11, 40_000);
            set.assert_whole();
            assert_eq!(set.heap.deferred_count.load(Relaxed), 0, "the queue is empty");
        },
    );
}
