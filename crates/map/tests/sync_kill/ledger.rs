//! [`Ledger`]: a record that a kill can leave half changed, with a journal to undo it, and [`Accounts`] of
//! what each worker was told is done.

use super::WORKERS;
use neap_map::Anon;
use std::hint::spin_loop;
use std::ptr::from_mut;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use zerocopy::FromBytes;

/// Three counts that agree: the total, twice, and each worker's.
#[derive(FromBytes, Clone, Copy, Default, Debug)]
#[repr(C)]
pub(crate) struct Ledger {
    total: u64,
    by_worker: [u64; WORKERS],
    total_again: u64,
    /// What stood there before the change under way; valid while `open` is 1.
    before: [u64; WORKERS],
    open: u64,
    /// How many changes were taken back.
    undone: u64,
}

/// Stores at this place in the program: a kill finds what was stored before it, and no more.
fn put<T>(to: &mut T, value: T) {
    // SAFETY: a live reference.
    unsafe { from_mut(to).write_volatile(value) };
    // Time for a kill.
    (0..100).for_each(|_| spin_loop());
}

impl Ledger {
    pub(crate) fn add(&mut self, worker: usize) {
        self.check();
        put(&mut self.before, self.by_worker);
        put(&mut self.open, 1);
        let (total, entries) = (self.total + 1, self.by_worker[worker] + 1);
        put(&mut self.total, total);
        put(&mut self.by_worker[worker], entries);
        put(&mut self.total_again, total);
        put(&mut self.open, 0);
    }

    /// Takes back what a dead owner has begun.
    pub(crate) fn undo(&mut self) {
        if self.open == 1 {
            // A kill in the middle of this leaves the journal open, and the next one does it all again.
            let (before, total) = (self.before, self.before.iter().sum());
            put(&mut self.by_worker, before);
            put(&mut self.total, total);
            put(&mut self.total_again, total);
            let undone = self.undone + 1;
            put(&mut self.undone, undone);
            put(&mut self.open, 0);
        }
        self.check();
    }

    /// How many kills met a change half way.
    pub(crate) fn undone(&self) -> u64 {
        self.undone
    }

    pub(crate) fn entries(&self, worker: usize) -> u64 {
        self.by_worker[worker]
    }

    pub(crate) fn check(&self) {
        assert_eq!(self.open, 0);
        assert_eq!(self.total, self.total_again);
        assert_eq!(self.total, self.by_worker.iter().sum());
    }
}

/// How many entries each worker knows to be done, in memory that no lock protects.
pub(crate) struct Accounts(&'static [AtomicU64; WORKERS]);

impl Accounts {
    pub(crate) fn new() -> Accounts {
        let mut map = Anon::shared(size_of::<[AtomicU64; WORKERS]>()).map().unwrap();
        let known = map.as_mut_ptr().cast::<[AtomicU64; WORKERS]>();
        std::mem::forget(map);
        // SAFETY: mapped for ever, page-aligned, and zeros are atomics.
        Accounts(unsafe { &*known })
    }

    /// Worker `worker` knows that it has `entries` entries. One more than it knew, or it is lost here.
    pub(crate) fn acknowledge(&self, worker: usize, entries: u64) {
        assert_eq!(self.0[worker].swap(entries, SeqCst) + 1, entries);
    }

    pub(crate) fn acknowledged(&self, worker: usize) -> u64 {
        self.0[worker].load(SeqCst)
    }

    /// A worker was killed that has `entries` entries in the ledger: what it knew is among them, and
    /// besides at most the one that it could not take note of.
    pub(crate) fn settle(&self, worker: usize, entries: u64) {
        let known = self.0[worker].swap(entries, SeqCst);
        assert!(
            entries == known || entries == known + 1,
            "{known} known, {entries} in the ledger"
        );
    }

    /// Every worker's entries are what it knows, and each has made some.
    pub(crate) fn check(&self, ledger: &Ledger) {
        for worker in 0..WORKERS {
            assert_eq!(self.acknowledged(worker), ledger.entries(worker));
            assert_ne!(ledger.entries(worker), 0);
        }
    }
}
