//! fork(2): the heap as one consistent whole in the child.
//!
//! Owns the order in which all locks are taken before a fork and given back after it.
//!
//! A fork in a signal handler that interrupted a slow path finds a lock held by its own thread. That
//! lock is left alone: the interrupted slow path goes on in both processes and gives it back itself.
//! The shelves' locks and that of the ground are leaves (who holds one waits for no other), so the rest
//! of them can still be waited for. The two above them cannot, since their holders may be waiting for
//! what this thread has: if one is taken it stays its holder's in the parent and is broken open in the
//! child. What was in its holder's hands then (pages being given back, a slab being swept, a record
//! being handed to a new thread) is lost to the child and harms nothing.
//!
//! In the child the other threads' slabs are nobody's: frees into them are kept on their remote lists.

use crate::heap::Heap;
use crate::local::Local;
use crate::sync::{Lock, Relaxed};
use neap_os::vm::Vm;

/// Locks that are not leaves, first in lock order.
const UPPER: usize = 2;
const _: () = assert!(UPPER + crate::class::COUNT < 128 && UPPER <= 16);

impl<V: Vm> Heap<V> {
    fn locks(&self) -> impl Iterator<Item = &Lock> {
        [&self.tide.lock, &self.registry.lock]
            .into_iter()
            .chain(self.shelves.iter().map(|shelf| &shelf.lock))
            .chain([&self.ground.lock])
    }

    /// Before fork: takes every lock.
    pub fn fork_prepare(&self, local: &Local) {
        let fork = local.fork();
        fork.depth.set(fork.depth.get() + 1);
        if fork.depth.get() > 1 {
            return;
        }
        let interrupted = self.locks().any(|lock| lock.is_held_by(local.token()));
        self.tide.pause();
        for (n, lock) in self.locks().enumerate() {
            if lock.is_held_by(local.token()) {
                continue;
            }
            if interrupted && n < UPPER {
                let Some(held) = lock.try_lock(local.token()) else {
                    fork.broken_in_child.set(fork.broken_in_child.get() | 1 << n);
                    continue;
                };
                core::mem::forget(held);
            } else {
                core::mem::forget(lock.lock(local.token()));
            }
            fork.take(n);
        }
    }

    /// After fork, in the parent: gives them back.
    pub fn fork_parent(&self, local: &Local) {
        let fork = local.fork();
        fork.depth.set(fork.depth.get().saturating_sub(1));
        if fork.depth.get() > 0 {
            return;
        }
        self.tide.resume();
        fork.broken_in_child.set(0);
        for (n, lock) in self.locks().enumerate() {
            if fork.give_back(n) {
                lock.release();
            }
        }
    }

    /// After fork, in the child: gives them back and forgets the other threads and the helper.
    pub fn fork_child(&self, local: &Local) {
        let broken = local.fork().broken_in_child.get();
        self.fork_parent(local);
        if local.fork().depth.get() > 0 {
            return;
        }
        for (n, lock) in self.locks().enumerate() {
            if n < UPPER && broken >> n & 1 == 1 {
                lock.release();
            }
        }
        self.tide.unpause();
        self.tide.helper.after_fork();
        if self.registry.threads() > usize::from(local.thread().is_some()) {
            self.forget_others(local);
        }
        self.registry.only_one(usize::from(local.thread().is_some()));
        let page = self.tally.page();
        page.helper_alive.store(0, Relaxed);
        page.threads.store(self.registry.threads() as u64, Relaxed);
    }
}
