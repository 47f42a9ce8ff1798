//! [`Helper`]: the thread that turns the tide while the program does something else, or nothing.
//!
//! Owns its life. It is started by the first slow path that sees enough dirt, and ends by itself when
//! it has found nothing for 200 ms, so an idle program has no extra thread. It is a bare clone(2) with
//! glibc's own flags: no libc knows it, all signals are blocked in it, it never calls libc. Because
//! setxid broadcasts do not reach it, whoever is about to change credentials or namespaces stops it
//! first ([`Heap::hold_helper`]); where nobody can see to that, it is not started at all.
//!
//! Without a helper (`NEAP_HELPER=off`, clone refused, a heap made by a library user without one)
//! slow paths look at the clock and do the same work in bounded portions.

use crate::sync::{AtomicU32, AtomicUsize, Relaxed};

pub(crate) const NONE: u32 = 0;
pub(crate) const ALIVE: u32 = 1;

pub(crate) struct Helper {
    pub(crate) state: AtomicU32,
    /// The kernel clears it when the thread is gone.
    pub(crate) tid: AtomicU32,
    /// Bumped to wake the helper before its time.
    pub(crate) bell: AtomicU32,
    /// While not 0 no helper may live.
    pub(crate) holds: AtomicU32,
    pub(crate) stack: AtomicUsize,
    /// A `fn()` that starts it, as a number; 0 when this heap cannot have one.
    pub(crate) starter: AtomicUsize,
}

impl Helper {
    pub(crate) const fn new() -> Helper {
        Helper {
            state: AtomicU32::new(NONE),
            tid: AtomicU32::new(0),
            bell: AtomicU32::new(0),
            holds: AtomicU32::new(0),
            stack: AtomicUsize::new(0),
            starter: AtomicUsize::new(0),
        }
    }

    /// In the child of fork(2): the helper did not come along.
    pub(crate) fn after_fork(&self) {
        self.state.store(NONE, Relaxed);
        self.tid.store(0, Relaxed);
        self.holds.store(0, Relaxed);
    }
}
