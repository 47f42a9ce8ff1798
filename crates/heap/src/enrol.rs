//! The beginning and the end of a thread, as the heap sees them.
//!
//! Owns the handing out of records (`crate::registry`) and their coming back.

#![allow(unsafe_code)]

use crate::heap::Heap;
use crate::local::{Local, Thread};
use crate::registry::GONE;
use crate::sync::Relaxed;
use neap_os::vm::Vm;

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
        let (address, left_behind) = self.find_record(local)?;
        // SAFETY: a record fresh from `scrap` (zeroed, mapped for ever, aligned to 64), one that
        // `finish_thread` emptied, or one whose thread is gone; `user` makes it this thread's (1).
        unsafe { local.set_thread(address) };
        let thread = local.thread()?;
        if !left_behind {
            thread.reset();
            registry.threads.fetch_add(1, Relaxed);
        }
        let count = registry.threads.load(Relaxed);
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

    /// A record for the calling thread. If one is marked with this very `Local`, the thread that had
    /// it ended unseen (a bare clone, a program out of thread-specific keys) and its storage came to
    /// this one, with which it shares its name as an owner: then the record and all slabs in its lists
    /// are taken over, as the second value says.
    fn find_record(&self, local: &Local) -> Option<(usize, bool)> {
        let _held = self.registry.lock.lock(local.token());
        let mut unused = 0;
        let mut at = self.registry.records.load(Relaxed);
        while at != 0 {
            // SAFETY: the list holds records (1).
            let record = unsafe { thread_at(at) };
            match record.user.load(Relaxed) {
                0 => unused = at,
                user if user == local.owner() => return Some((at, true)),
                _ => {}
            }
            at = record.next.load(Relaxed);
        }
        if unused == 0 {
            unused = self
                .ground
                .enter(&self.vm, &self.tally, local.token())
                .scrap(size_of::<Thread>())?;
            // SAFETY: fresh record memory, zeroed (1).
            unsafe { thread_at(unused) }
                .next
                .store(self.registry.records.load(Relaxed), Relaxed);
            self.registry.records.store(unused, Relaxed);
        }
        // SAFETY: from the list, or put there just now (1).
        unsafe { thread_at(unused) }.user.store(local.owner(), Relaxed);
        Some((unused, false))
    }

    /// In the child of fork(2): the slabs of the threads that did not come along become nobody's.
    /// Their lists may be half changed, so what is free in them stays unused; what is freed into them
    /// goes to their remote lists. Their records are not used again.
    pub(crate) fn forget_others(&self, local: &Local) {
        let mut at = self.registry.records.load(Relaxed);
        while at != 0 {
            // SAFETY: the list holds records (1).
            let record = unsafe { thread_at(at) };
            let user = record.user.load(Relaxed);
            if user != 0 && user != local.owner() {
                record.user.store(GONE, Relaxed);
            }
            at = record.next.load(Relaxed);
        }
        self.each_slab(|_, slab| {
            if slab.owner.load(Relaxed) != local.owner() {
                slab.owner.store(0, Relaxed);
            }
        });
    }

    /// Whether threads stayed behind a fork, with slabs that nobody owns any more.
    #[cfg(any(test, feature = "verify"))]
    pub(crate) fn has_orphans(&self) -> bool {
        let mut at = self.registry.records.load(Relaxed);
        while at != 0 {
            // SAFETY: the list holds records (1).
            let record = unsafe { thread_at(at) };
            if record.user.load(Relaxed) == GONE {
                return true;
            }
            at = record.next.load(Relaxed);
        }
        false
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
        // SAFETY: `retire` returned the record's address (1).
        unsafe { thread_at(address) }.user.store(0, Relaxed);
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
