//! fork(2) while another thread allocates, or turns the tide.

use super::set::{Set, explore};
use crate::tide::Reach;

/// Between the two no other thread holds a lock.
fn fork(set: &'static Set) {
    set.heap.fork_prepare(set.local(0));
    for lock in [
        &set.heap.tide.lock,
        &set.heap.registry.lock,
        &set.heap.ground.lock,
    ] {
        assert!(lock.is_held_by(set.token(0)), "the child has every lock");
    }
    set.heap.fork_parent(set.local(0));
}

/// *Fails with* locks taken in another order.
#[test]
fn a_thread_forks_while_others_grow_the_window_and_turn_the_tide() {
    explore(
        1,
        || {
            let set = Set::new();
            set.take(0, 0, 9000);
            set.take(1, 1, 300_000);
            set
        },
        &[
            fork,
            |set| {
                set.take(1, 2, 3 << 20);
                set.free(1, 1);
            },
            |set| set.tick(Reach::Old),
        ],
        |set| {
            set.tick(Reach::Old);
            set.assert_whole();
            assert!(!set.heap.tide.is_paused(), "no pause is left");
        },
    );
}
