//! [`Registry`]: the threads' records.
//!
//! Owns their making and their reuse. A thread gets a record at its first slow path and gives it back
//! when it ends, together with all it holds. How the end of a thread is noticed is up to who made the
//! heap ([`Heap::watch_threads`]); a heap that is not told keeps what the thread had.

#![allow(unsafe_code)]

use crate::heap::Heap;
use crate::local::{Local, Thread};
use crate::sync::{AtomicUsize, Lock, Relaxed};
use neap_os::vm::Vm;

pub(crate) struct Registry {
    pub(crate) lock: Lock,
    /// First unused record, linked by `next_idle`.
    idle: AtomicUsize,
    threads: AtomicUsize,
    /// Called with each new thread's `Local`; a `fn(&Local)` as a number, 0 for none.
    watcher: AtomicUsize,
}

impl Registry {
    pub(crate) const fn new() -> Registry {
        Registry {
            lock: Lock::new(),
            idle: AtomicUsize::new(0),
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

impl<V: Vm> Heap<V> {
    /// Has `watcher` called for every thread that begins to use the heap, in that thread, so that it
    /// can arrange for [`Heap::finish_thread`].
    pub fn watch_threads(&self, watcher: fn(&Local)) {
        self.registry.watcher.store(watcher as usize, Relaxed);
    }

    /// The record of the calling thread, made if it is new. `None` for one that has ended, or when
    /// there is no memory for a record.
    #[inline]
    pub(crate) fn thread_of<'a>(&self, local: &'a Local) -> Option<&'a Thread> {
        match local.thread() {
            Some(thread) => Some(thread),
            None if local.is_new() => self.begin_thread(local),
            None => None,
        }
    }

    #[cold]
    fn begin_thread<'a>(&self, local: &'a Local) -> Option<&'a Thread> {
        let registry = &self.registry;
        let address = {
            let _held = registry.lock.lock(local.token());
            let idle = registry.idle.load(Relaxed);
            if idle != 0 {
                // SAFETY: the list holds records that nobody uses; see below.
                let next = unsafe { thread_at(idle) }.next_idle.load(Relaxed);
                registry.idle.store(next, Relaxed);
                idle
            } else {
                self.ground
                    .enter(&self.vm, &self.tally, local.token())
                    .scrap(size_of::<Thread>())?
            }
        };
        // SAFETY: a record fresh from `scrap` (zeroed, mapped for ever, aligned to 64), or one that
        // `finish_thread` emptied; taken off the list under the lock, so this thread's alone (1).
        unsafe { local.set_thread(address) };
        let thread = local.thread()?;
        thread.reset();
        let count = registry.threads.fetch_add(1, Relaxed) + 1;
        let page = self.tally.page();
        page.threads.store(count as u64, Relaxed);
        page.threads_peak.fetch_max(count as u64, Relaxed);
        let watcher = registry.watcher.load(Relaxed);
        if watcher != 0 {
            // SAFETY: only `watch_threads` writes it, from a function of this type.
            let watcher: fn(&Local) = unsafe { core::mem::transmute::<usize, fn(&Local)>(watcher) };
            watcher(local);
        }
        Some(thread)
    }

    /// Takes back all that the calling thread, which is about to end, holds. It may still call the
    /// heap afterwards and is then served without caches.
    pub fn finish_thread(&self, local: &Local) {
        let Some(thread) = local.thread() else {
            local.retire();
            return;
        };
        if local.is_busy() {
            return;
        }
        let _busy = local.enter();
        self.surrender(local, thread);
        let address = local.retire();
        let registry = &self.registry;
        let _held = registry.lock.lock(local.token());
        // SAFETY: the record is empty and, since `retire`, nobody's.
        unsafe { thread_at(address) }
            .next_idle
            .store(registry.idle.load(Relaxed), Relaxed);
        registry.idle.store(address, Relaxed);
        let count = registry.threads.fetch_sub(1, Relaxed) - 1;
        self.tally.page().threads.store(count as u64, Relaxed);
    }
}

/// # Safety
/// 1. `address` is that of a record, in record memory.
unsafe fn thread_at<'a>(address: usize) -> &'a Thread {
    // SAFETY: records are mapped for ever and aligned (1); `next_idle` is atomic and the rest of an
    // idle record is not looked at.
    unsafe { &*core::ptr::with_exposed_provenance::<Thread>(address) }
}
