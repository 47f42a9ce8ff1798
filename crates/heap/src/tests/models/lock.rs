//! The lock: one holder, and nobody sleeps through its release.

#![allow(unsafe_code)]

use super::shore::Shore;
use crate::model::{self, explore};
use crate::sync::{Lock, Token};
use std::cell::Cell;

struct Counter {
    lock: Lock,
    value: Cell<u32>,
}

// SAFETY: loom runs one thread at a time; the value is used under the lock only, which loom checks.
unsafe impl Sync for Counter {}

impl Counter {
    fn new() -> &'static Counter {
        // SAFETY: room for a counter, and all zeros is a free lock.
        unsafe { &*Shore::clean().place::<Counter>() }
    }

    fn add(&self, me: usize) {
        let _held = self.lock.lock(Token::of_address(me * 64));
        model::write(core::ptr::from_ref(&self.value).addr());
        self.value.set(self.value.get() + 1);
    }
}

/// *Fails with* a release that is relaxed; with one that wakes nobody; with a sleeper that takes the lock
/// without the waiters' mark.
#[test]
fn three_threads_enter_one_at_a_time_and_all_get_their_turn() {
    explore(
        3,
        Counter::new,
        &[|c: &'static Counter| c.add(1), |c| c.add(2), |c| c.add(3)],
        |counter: &'static Counter| {
            assert!(
                counter.lock.try_lock(Token::HELPER).is_some(),
                "nobody holds it any more"
            );
            assert_eq!(counter.value.get(), 3);
        },
    );
}
