//! [`Fork`]: what one thread did to the heap's locks for the fork(2) it is in.
//!
//! Owns these numbers; the rules are in `crate::forking`.

use core::cell::Cell;

/// What a thread did to the locks for the fork it is in: one bit for each lock, in lock order.
pub(crate) struct Fork {
    /// Forks under way: a signal handler may fork inside a fork.
    pub(crate) depth: Cell<u16>,
    /// Only the first locks of all can be broken.
    pub(crate) broken_in_child: Cell<u16>,
    taken: [Cell<u64>; 2],
}

impl Fork {
    pub(crate) const fn new() -> Fork {
        Fork {
            depth: Cell::new(0),
            broken_in_child: Cell::new(0),
            taken: [const { Cell::new(0) }; 2],
        }
    }

    /// Notes that lock number `n` was taken.
    pub(crate) fn take(&self, n: usize) {
        if let Some(word) = self.taken.get(n / 64) {
            word.set(word.get() | 1 << (n % 64));
        }
    }

    /// Whether lock number `n` was taken; it no longer is.
    pub(crate) fn give_back(&self, n: usize) -> bool {
        self.taken.get(n / 64).is_some_and(|word| {
            let bit = 1 << (n % 64);
            word.replace(word.get() & !bit) & bit != 0
        })
    }
}
