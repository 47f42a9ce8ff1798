//! [`Registry`]: the threads' records.
//!
//! Owns their making and their reuse. A thread gets a record at its first slow path and gives it back
//! when it ends, together with all it holds. How the end of a thread is noticed is up to who made the
//! heap ([`Heap::watch_threads`]); a heap that is not told keeps what the thread had.

use crate::sync::{AtomicUsize, Lock, Relaxed};

/// The user of a record that nobody may use again: no `Local` lies there.
pub(crate) const GONE: usize = 1;

pub(crate) struct Registry {
    pub(crate) lock: Lock,
    /// First of all records, linked by `next`.
    pub(crate) records: AtomicUsize,
    pub(crate) threads: AtomicUsize,
    /// Called with each new thread's `Local`; a `fn(&Local)` as a number, 0 for none.
    pub(crate) watcher: AtomicUsize,
}

impl Registry {
    pub(crate) const fn new() -> Registry {
        Registry {
            lock: Lock::new(),
            records: AtomicUsize::new(0),
            threads: AtomicUsize::new(0),
            watcher: AtomicUsize::new(0),
        }
    }

    /// Threads that have a record.
    pub(crate) fn threads(&self) -> usize {
        self.threads.load(Relaxed)
    }

    /// In the child of fork(2): the other threads did not come along.
    pub(crate) fn only_one(&self, threads: usize) {
        self.threads.store(threads, Relaxed);
    }
}
