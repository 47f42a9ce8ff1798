//! What the models share: the explorer, memory for one slab, a place to sleep.
#![allow(unsafe_code)]

use crate::block::{self, Block};
use crate::class::Class;
use crate::slab::{Slab, State};
use crate::sync::Relaxed;
use std::collections::BTreeSet;

/// The owner in the models: any number that is not 0.
pub(crate) const OWNER: usize = 64;

/// Tries every order with at most three preemptions, which finds what two or three threads can do.
pub(crate) fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// A futex for loom: whoever sleeps was told to by a value that was still there.
pub(crate) struct Bed {
    gate: loom::sync::Mutex<()>,
    bell: loom::sync::Condvar,
}

impl Bed {
    pub(crate) fn new() -> Bed {
        Bed {
            gate: loom::sync::Mutex::new(()),
            bell: loom::sync::Condvar::new(),
        }
    }
    pub(crate) fn sleep(&self, still: impl Fn() -> bool) {
        let gate = self.gate.lock().unwrap();
        if still() {
            drop(self.bell.wait(gate).unwrap());
        }
    }
    pub(crate) fn wake_one(&self) {
        let _gate = self.gate.lock().unwrap();
        self.bell.notify_one();
    }
}

/// A slab of eight blocks with its memory.
pub(crate) struct Yard {
    pub(crate) slab: Slab,
    memory: Vec<u128>,
}

impl Yard {
    pub(crate) const CAPACITY: u32 = 8;

    pub(crate) fn class() -> Class {
        Class::of_size(8192)
    }

    /// An owned slab, every block of which is in use.
    pub(crate) fn exhausted() -> Yard {
        let yard = Yard {
            slab: Slab::new(),
            memory: vec![0; 4096],
        };
        assert_eq!(Yard::class().capacity(), Yard::CAPACITY);
        yard.slab.take(Yard::class(), OWNER);
        while yard.slab.carve(yard.base()).is_some() {}
        assert_eq!(yard.slab.used(), Yard::CAPACITY);
        yard
    }

    /// As [`Yard::exhausted`], but the blocks from `used` on are free and listed.
    pub(crate) fn with_used(used: u32) -> Yard {
        let yard = Yard::exhausted();
        let mut head = None;
        for n in used..Yard::CAPACITY {
            let block = yard.block(n);
            block.set_next(head);
            head = Some(block);
        }
        yard.slab.local.set(head);
        yard.slab.arm(used, false);
        yard
    }

    pub(crate) fn base(&self) -> usize {
        self.memory.as_ptr().expose_provenance()
    }

    pub(crate) fn block(&self, n: u32) -> Block {
        // SAFETY: block n lies in the memory, aligned to 16 (1), and the model says who has it (2).
        unsafe { Block::at(self.base() + n as usize * 8192) }
    }

    /// Asserts that the free blocks, wherever they are, are just `expected`, each once, and counted.
    pub(crate) fn assert_free(&self, expected: &[u32]) {
        let slab = &self.slab;
        let remote = slab.remote();
        let mut found = BTreeSet::new();
        let lists = block::iter(slab.local.get())
            .take(20)
            .chain(block::iter(remote.head(self.base())).take(20));
        for block in lists {
            assert!(
                found.insert((block.address() - self.base()) / 8192),
                "a block is listed twice"
            );
        }
        let expected: BTreeSet<usize> = expected.iter().map(|n| *n as usize).collect();
        assert_eq!(found, expected, "the free blocks, {:?}", remote.state());
        let listed = block::iter(slab.local.get()).count() as u32;
        assert_eq!(listed + remote.count(), expected.len() as u32, "the remote count");
        let used = if remote.state() == State::Full {
            Yard::CAPACITY
        } else {
            slab.used()
        };
        assert_eq!(used + listed, Yard::CAPACITY, "used + local == capacity");
        let _ = slab.owner.load(Relaxed);
    }
}

// SAFETY: blocks are handed from thread to thread by the protocol under test; loom runs one at a time.
unsafe impl Sync for Yard {}
// SAFETY: as above.
unsafe impl Send for Yard {}
