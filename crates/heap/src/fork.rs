//! [`Fork`]: what one thread did to the heap's locks for the fork(2) it is in.
//!
//! Owns three numbers; the rules are in `crate::forking`.

use core::cell::Cell;

/// What a thread did to the locks for the fork it is in: one bit for each lock, in lock order.
pub(crate) struct Fork {
    /// Forks under way: a signal handler may fork inside a fork.
    pub(crate) depth: Cell<u32>,
    pub(crate) taken: Cell<u128>,
    pub(crate) broken_in_child: Cell<u128>,
}

impl Fork {
    pub(crate) const fn new() -> Fork {
        Fork {
            depth: Cell::new(0),
            taken: Cell::new(0),
            broken_in_child: Cell::new(0),
        }
    }
}
