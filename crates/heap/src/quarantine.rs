//! [`Quarantine`]: freed blocks that wait, in checking mode, before they can be handed out again.

use crate::sync::{AtomicUsize, Relaxed};

/// Freed blocks that wait before they can be handed out.
const QUARANTINE: usize = 1024;

/// Blocks in quarantine, oldest overwritten first.
pub(crate) struct Quarantine {
    pub(crate) queue: [AtomicUsize; QUARANTINE],
    turn: AtomicUsize,
}

impl Quarantine {
    pub(crate) const fn new() -> Quarantine {
        Quarantine {
            queue: [const { AtomicUsize::new(0) }; QUARANTINE],
            turn: AtomicUsize::new(0),
        }
    }

    /// Takes `address` in and returns the block whose time is up, if one is.
    pub(crate) fn admit(&self, address: usize) -> Option<usize> {
        let turn = self.turn.fetch_add(1, Relaxed) % QUARANTINE;
        let before = self.queue.get(turn)?.swap(address, Relaxed);
        (before != 0).then_some(before)
    }
}
