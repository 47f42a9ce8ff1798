//! The lock: one holder, and nobody sleeps through its release.

use crate::model::explore;
use crate::sync::{Lock, Token};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Counter {
    lock: Lock,
    value: UnsafeCell<u32>,
}

// SAFETY: `value` is used under the lock only, and loom checks that it is.
#[allow(unsafe_code)]
unsafe impl Sync for Counter {}

impl Counter {
    fn add(&self, me: usize) {
        let _held = self.lock.lock(Token::of_address(me * 64));
        #[allow(unsafe_code)]
        self.value.with_mut(|value| {
            // SAFETY: the lock is held.
            unsafe { *value += 1 };
        });
    }
}

#[test]
fn three_threads_enter_one_at_a_time_and_all_get_their_turn() {
    explore(|| {
        let counter = Arc::new(Counter {
            lock: Lock::new(),
            value: UnsafeCell::new(0),
        });
        let others = [1, 2].map(|n| {
            let counter = counter.clone();
            thread::spawn(move || counter.add(n))
        });
        counter.add(3);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert!(
            counter.lock.try_lock(Token::of_address(64)).is_some(),
            "nobody holds it any more"
        );
        counter.add(1);
        // SAFETY: all threads have ended.
        #[allow(unsafe_code)]
        let total = counter.value.with(|value| unsafe { *value });
        assert_eq!(total, 4);
    });
}
