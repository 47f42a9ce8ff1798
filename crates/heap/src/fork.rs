//! fork(2): the heap as one consistent whole in the child.
//!
//! Owns the order in which all locks are taken before a fork and given back after it. A lock that the
//! forking thread holds already (it forks in a signal handler that interrupted a slow path) is left
//! alone: the interrupted slow path goes on in both processes and gives it back itself. In the child
//! the other threads' slabs stay theirs, ownerless: frees into them are kept on their remote lists.

use crate::heap::Heap;
use crate::local::Local;
use crate::sync::{AtomicU8, Lock, Relaxed};
use neap_os::vm::Vm;

/// Which locks `prepare` took: one mark for each, in lock order.
pub(crate) struct Marks([AtomicU8; crate::class::COUNT + 3]);

impl Marks {
    pub(crate) const fn new() -> Marks {
        Marks([const { AtomicU8::new(0) }; crate::class::COUNT + 3])
    }
}

impl<V: Vm> Heap<V> {
    fn locks(&self) -> impl Iterator<Item = &Lock> {
        [&self.tide.lock, &self.registry.lock]
            .into_iter()
            .chain(self.shelves.iter().map(|shelf| &shelf.lock))
            .chain([&self.ground.lock])
    }

    /// Before fork: takes every lock.
    pub fn fork_prepare(&self, local: &Local) {
        for (lock, mark) in self.locks().zip(&self.forking.0) {
            let taken = lock.before_fork(local.token());
            mark.store(u8::from(taken), Relaxed);
        }
    }

    /// After fork, in the parent: gives them back.
    pub fn fork_parent(&self) {
        for (lock, mark) in self.locks().zip(&self.forking.0) {
            if mark.swap(0, Relaxed) != 0 {
                lock.after_fork();
            }
        }
    }

    /// After fork, in the child: gives them back and forgets the other threads and the helper.
    pub fn fork_child(&self, local: &Local) {
        self.fork_parent();
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
