//! [`Set`]: what every model of the heap begins with.

#![allow(unsafe_code)]

use super::shore::Shore;
use crate::class::Class;
use crate::heap::Heap;
use crate::local::Local;
use crate::model;
use crate::sync::{Acquire, AtomicUsize, Relaxed, Release, Token};
use crate::tide::Reach;
use neap_abi::Backend;
use std::cell::Cell;
use std::vec::Vec;

const THREADS: usize = 4;
const BLOCKS: usize = 192;

/// A heap, the blocks of four threads, addresses that the model keeps, a mailbox.
pub(super) struct Set {
    pub(super) heap: &'static Heap<&'static Shore>,
    locals: &'static [Local; THREADS],
    blocks: [Cell<usize>; BLOCKS],
    /// How many blocks the program has.
    live: Cell<usize>,
    mail: AtomicUsize,
}

// SAFETY: loom runs one thread at a time, all on one thread of the operating system.
unsafe impl Sync for Set {}

/// [`model::explore`] of a heap.
pub(super) fn explore(
    preemptions: usize,
    scene: fn() -> &'static Set,
    parts: &'static [fn(&'static Set)],
    end: fn(&'static Set),
) {
    model::explore(preemptions, scene, parts, end);
}

impl Set {
    /// An open heap that nobody has used.
    pub(super) fn new() -> &'static Set {
        let shore = Shore::clean();
        let heap = shore.place::<Heap<&'static Shore>>();
        // SAFETY: room for a heap, which is closed when all zero, but for its reference to the kernel.
        let heap = unsafe {
            (&raw mut (*heap).vm).write(shore);
            &*heap
        };
        // SAFETY: room for them, and a `Local` may be all zeros.
        let locals = unsafe { &*shore.place::<[Local; THREADS]>() };
        let set = shore.place::<Set>();
        // SAFETY: room for it; all other fields may be zero.
        let set = unsafe {
            (&raw mut (*set).heap).write(heap);
            (&raw mut (*set).locals).write(locals);
            &*set
        };
        heap.open(&locals[0], Backend::Mmap, false, &[shore.hint()])
            .expect("memory for tables");
        set
    }

    pub(super) fn local(&self, who: usize) -> &'static Local {
        &self.locals[who]
    }

    pub(super) fn token(&self, who: usize) -> Token {
        self.locals[who].token()
    }

    /// `who` allocates `size` bytes and keeps them as block `n`.
    pub(super) fn take(&self, who: usize, n: usize, size: usize) {
        let address = self.heap.allocate(self.local(who), size).expect("memory");
        self.keep(n, address);
    }

    /// The program has a new block, and writes to it.
    pub(super) fn keep(&self, n: usize, address: usize) {
        model::write(address);
        assert_eq!(self.blocks[n].replace(address), 0, "place {n} is free");
        self.live.set(self.live.get() + 1);
    }

    /// Block `n` is the program's no more.
    pub(super) fn give(&self, n: usize) -> usize {
        let address = self.blocks[n].take();
        assert_ne!(address, 0, "block {n} is there");
        model::write(address);
        self.live.set(self.live.get() - 1);
        address
    }

    /// `who` frees block `n`.
    pub(super) fn free(&self, who: usize, n: usize) {
        let address = self.give(n);
        // SAFETY: a block in use, given up.
        unsafe { self.heap.free(self.local(who), address) };
    }

    /// The address of block `n`.
    pub(super) fn at(&self, n: usize) -> usize {
        self.blocks[n].get()
    }

    /// Another thread begins, at the address of `who`, which has ended.
    pub(super) fn begin_again(&self, who: usize) {
        let local = core::ptr::from_ref(self.local(who)).cast_mut();
        // SAFETY: no part of the model runs yet, and a thread that has ended leaves nothing behind.
        unsafe { local.write(Local::new()) };
    }

    /// Writes to the pages of a granule that was taken.
    pub(super) fn use_granule(&self, granule: u32) {
        model::write(self.heap.window().granule_base(granule));
    }

    /// Sends what the other thread waits for in [`Set::receive`].
    pub(super) fn send(&self, what: usize) {
        self.mail.store(what, Release);
    }

    /// What was sent, or 0.
    pub(super) fn receive(&self) -> usize {
        self.mail.load(Acquire)
    }

    pub(super) fn class(size: usize) -> Class {
        Class::of_size(size)
    }

    /// Slabs of any kind.
    pub(super) fn slabs(&self) -> usize {
        let mut slabs = 0;
        self.heap.each_slab(|_, _| slabs += 1);
        slabs
    }

    pub(super) fn tick(&self, reach: Reach) {
        self.heap.tick(Token::HELPER, reach);
    }

    /// All is quiet: the heap is whole, and has the blocks that the program has.
    pub(super) fn assert_whole(&self) {
        let locals: Vec<&Local> = self.locals.iter().collect();
        let queued = self.heap.deferred_count.load(Relaxed);
        let found = self.heap.verify(&locals);
        assert_eq!(found.live(), self.live.get() + queued, "what the program has");
    }
}
