//! [`World`]: a heap over a simulated kernel, simulated threads, and an oracle of what must be so.
//!
//! Owns the meaning of an [`Action`] and what is asserted of it: contents kept, blocks apart, aligned and
//! large enough, zeros where promised, `None` only when the kernel refused or nobody could serve it, and
//! after every step the whole walk of [`Heap::verify`], which must find exactly the oracle's blocks.

#![allow(unsafe_code)]

use super::action::Action;
use super::cloth::{assert_woven, is_blank, weave};
use super::nudge::Nudged;
use crate::heap::{Heap, REQUEST_MAX};
use crate::local::Local;
use crate::sync::Relaxed;
use crate::verify::Verified;
use neap_abi::Backend;
use neap_os::sim::Sim;
use neap_os::vm::Vm;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

/// How a world is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Where the heap's memory comes from.
    pub backend: Backend,
    /// Whether it checks what the program does.
    pub check: bool,
}

/// Runs `actions` in a new world, those of `meanwhile` in the middle of its ticks (last first), frees
/// everything, and asserts after each step that all is as it must be.
///
/// # Panics
/// When the heap breaks a promise.
pub fn play(setup: Setup, actions: &[Action], meanwhile: Vec<Vec<Action>>) {
    let mut world = World::new(setup);
    world.meanwhile = meanwhile;
    for action in actions {
        world.run(action);
    }
    world.wind_up();
}

struct Live {
    size: usize,
    usable: usize,
    seed: usize,
    thread: usize,
}

/// Sizes from here on are served by no simulated kernel.
const ABSURD: usize = 1 << 40;
// A `Local` has an address for life, and that is its name.
#[allow(clippy::vec_box)]
pub(super) struct World {
    pub(super) heap: Box<Heap<Nudged>>,
    pub(super) locals: Vec<Box<Local>>,
    alive: Vec<bool>,
    live: BTreeMap<usize, Live>,
    seed: usize,
    /// The number of the kernel call that fails, or 0.
    failing: u64,
    pub(super) setup: Setup,
    quiet: bool,
    /// What happens at each discard of a tick, last first.
    pub(super) meanwhile: Vec<Vec<Action>>,
    /// Blocks that went down with threads.
    lost: usize,
    /// Whether at the end everything must be given back.
    undisturbed: bool,
}

impl World {
    /// An open heap with two threads.
    pub(super) fn new(setup: Setup) -> World {
        World::failing_at(setup, 0)
    }

    /// As [`World::new`], but the kernel refuses its `n`-th call, opening included.
    pub(super) fn failing_at(setup: Setup, n: u64) -> World {
        let heap = Box::new(Heap::new(Nudged(Sim::new())));
        let locals: Vec<_> = (0..2).map(|_| Box::new(Local::new())).collect();
        heap.vm.0.fail_at(n);
        let hints = [heap.vm.0.arena_hint()];
        if heap.open(&locals[0], setup.backend, setup.check, &hints).is_err() {
            assert!(n != 0, "opening fails only when the kernel refuses");
            assert_eq!(
                heap.allocate(&locals[0], 10),
                None,
                "a heap that could not open has no memory"
            );
            heap.open(&locals[0], setup.backend, setup.check, &hints)
                .expect("the second time it opens");
        }
        // Ticks come from actions alone, not from the real clock.
        heap.tide.due_ns.store(u64::MAX, Relaxed);
        let alive = std::vec![true; locals.len()];
        let undisturbed = n == 0 && !setup.check && setup.backend == Backend::Mmap;
        let live = BTreeMap::new();
        World {
            heap,
            locals,
            alive,
            live,
            seed: 0,
            failing: n,
            setup,
            quiet: false,
            meanwhile: Vec::new(),
            lost: 0,
            undisturbed,
        }
    }

    /// Calls to the kernel so far.
    pub(super) fn calls(&self) -> u64 {
        self.heap.vm.0.calls()
    }

    /// Leaves out the walk after every step.
    #[cfg(test)]
    pub(super) fn be_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    pub(super) fn verify(&self) -> Verified {
        let locals: Vec<&Local> = self.locals.iter().map(|local| &**local).collect();
        let found = self.heap.verify(&locals);
        let known = self.live.len() + self.heap.deferred_count.load(Relaxed) + self.lost;
        assert_eq!(
            found.live(),
            known,
            "the heap and the program agree on what lives"
        );
        found
    }

    pub(super) fn run(&mut self, action: &Action) {
        let before = self.calls();
        self.step(action, before);
        if !self.quiet {
            self.verify();
        }
    }

    pub(super) fn step(&mut self, action: &Action, before: u64) {
        match *action {
            Action::Allocate { thread, size } => {
                let thread = self.thread(thread);
                let got = self.heap.allocate(&self.locals[thread], size);
                self.take_in(thread, got, size, 16, before);
            }
            Action::Zeroed { thread, size } => {
                let thread = self.thread(thread);
                let got = self.heap.allocate_zeroed(&self.locals[thread], size);
                if let Some(address) = got {
                    assert!(
                        is_blank(address, size),
                        "calloc({size}) at {address:#x}: all zeros"
                    );
                }
                self.take_in(thread, got, size, 16, before);
            }
            Action::Aligned { thread, size, shift } => {
                let thread = self.thread(thread);
                let got = self.heap.allocate_aligned(&self.locals[thread], size, 1 << shift);
                self.take_in(thread, got, size, 1 << shift, before);
            }
            Action::Resize { thread, nth, size } => self.resize(thread, nth, size.max(1), before),
            Action::Free { nth } => {
                if let Some((address, live)) = self.pick(nth) {
                    self.free(live.thread, address, &live);
                }
            }
            Action::FreeOnOtherThread { thread, nth } => {
                let thread = self.thread(thread);
                if let Some((address, live)) = self.pick(nth) {
                    self.free(thread, address, &live);
                }
            }
            Action::Burst { thread, size, count } => {
                let thread = self.thread(thread);
                for _ in 0..count {
                    let before = self.calls();
                    let got = self.heap.allocate(&self.locals[thread], size);
                    self.take_in(thread, got, size, 16, before);
                }
            }
            Action::FreeEvery { thread, step } => {
                let thread = self.thread(thread);
                let chosen: Vec<usize> = self.live.keys().copied().step_by(step.max(1)).collect();
                for address in chosen {
                    if let Some(live) = self.live.remove(&address) {
                        self.free(thread, address, &live);
                    }
                }
            }
            Action::AllocateInHandler { thread, size } => {
                let thread = self.thread(thread);
                let got = {
                    let _busy = self.locals[thread].enter();
                    self.heap.allocate_slow(&self.locals[thread], size)
                };
                self.take_in(thread, got, size, 16, before);
            }
            Action::FreeInHandler { thread, nth } => {
                let thread = self.thread(thread);
                if let Some((address, live)) = self.pick(nth) {
                    assert_woven(address, live.usable, live.seed, "before free in a handler");
                    let _busy = self.locals[thread].enter();
                    // SAFETY: a live block, which the oracle has just forgotten.
                    unsafe { self.heap.free_slow(&self.locals[thread], address) };
                }
            }
            Action::NewThread => self.begin_thread(),
            Action::EndThread { thread } => {
                let thread = self.thread(thread);
                self.heap.finish_thread(&self.locals[thread]);
                self.alive[thread] = false;
            }
            Action::LoseThread { thread } => {
                let thread = self.thread(thread);
                if self.locals[thread].thread().is_some() {
                    let before = self.verify().live();
                    *self.locals[thread] = Local::new();
                    self.heap.thread_of(&self.locals[thread]);
                    self.lose(before);
                }
            }
            Action::Fork { thread } => {
                let thread = self.thread(thread);
                let before = self.verify().live();
                self.heap.fork_prepare(&self.locals[thread]);
                self.heap.fork_child(&self.locals[thread]);
                for (n, local) in self.locals.iter_mut().enumerate().filter(|(n, _)| *n != thread) {
                    **local = Local::new();
                    self.alive[n] = true;
                }
                self.lose(before);
            }
            Action::Tick(count) => {
                for _ in 0..count {
                    self.tick();
                }
            }
            Action::Trim { thread } => {
                let thread = self.thread(thread);
                self.heap.trim(&self.locals[thread]);
            }
            Action::SetOption(setting, amount) => self.heap.set(&self.locals[0], setting, amount),
            Action::FailNext(n) => {
                self.heap.vm.0.fail_at(n);
                self.failing = self.calls() + n;
                self.undisturbed &= n == 0;
            }
            Action::ForeignSbrk(increment) => {
                // A chunk mapped beyond the break is in its way, as in a real process.
                let window = self.heap.window();
                let blocked = self.setup.backend == Backend::Brk
                    && window.chunk_base(window.top()) > self.heap.vm.program_break();
                if !blocked {
                    self.heap.vm.0.foreign_sbrk(increment as isize);
                }
            }
        }
    }

    /// Counts what lay in the hands and pockets of threads that are gone: the heap takes it for live.
    fn lose(&mut self, before: usize) {
        let locals: Vec<&Local> = self.locals.iter().map(|local| &**local).collect();
        self.lost += self.heap.verify(&locals).live() - before;
        self.undisturbed = false;
    }

    fn thread(&self, n: usize) -> usize {
        n % self.locals.len()
    }

    /// A thread begins: at the address of one that ended, if there is one, as glibc does it.
    fn begin_thread(&mut self) {
        match self.alive.iter().position(|alive| !alive) {
            Some(dead) => {
                *self.locals[dead] = Local::new();
                self.alive[dead] = true;
            }
            None if self.locals.len() < 6 => {
                self.locals.push(Box::new(Local::new()));
                self.alive.push(true);
            }
            None => {}
        }
    }

    fn pick(&mut self, nth: usize) -> Option<(usize, Live)> {
        let address = *self.live.keys().nth(nth % self.live.len().max(1))?;
        let live = self.live.remove(&address)?;
        Some((address, live))
    }

    fn free(&mut self, thread: usize, address: usize, live: &Live) {
        assert_woven(address, live.usable, live.seed, "before free");
        // SAFETY: a live block, which the oracle has forgotten.
        unsafe { self.heap.free(&self.locals[thread], address) };
    }

    /// Asserts what malloc promises of its result, and fills the block.
    fn take_in(&mut self, thread: usize, got: Option<usize>, size: usize, align: usize, before: u64) {
        let Some(address) = got else {
            let refused = self.failing > before && self.failing <= self.calls();
            let absurd = size >= ABSURD || align >= ABSURD;
            assert!(
                refused || absurd,
                "{size} bytes aligned to {align}: the kernel refused nothing, yet there is no memory"
            );
            return;
        };
        assert!(size <= REQUEST_MAX, "a request above PTRDIFF_MAX fails");
        assert!(
            address.is_multiple_of(align.max(16)),
            "{size} bytes at {address:#x}: aligned to {align}"
        );
        self.adopt(thread, address, size);
    }

    fn adopt(&mut self, thread: usize, address: usize, size: usize) {
        // SAFETY: a block just handed out.
        let usable = unsafe { self.heap.usable(address) };
        assert!(
            usable >= size,
            "{size} bytes at {address:#x}: only {usable} usable"
        );
        assert!(
            !self.setup.check || usable == size,
            "checking mode: {usable} bytes usable of {size}"
        );
        let apart = |other: (&usize, &Live)| {
            *other.0 >= address + usable.max(1) || other.0 + other.1.usable.max(1) <= address
        };
        let neighbours = self
            .live
            .range(..=address)
            .next_back()
            .into_iter()
            .chain(self.live.range(address..).next());
        for other in neighbours {
            assert!(
                apart(other),
                "block {address:#x} of {usable} bytes overlaps {:#x} of {}",
                other.0,
                other.1.usable
            );
        }
        self.seed += 1;
        let seed = self.seed * 7;
        weave(address, usable, seed);
        self.live.insert(
            address,
            Live {
                size,
                usable,
                seed,
                thread,
            },
        );
    }

    fn resize(&mut self, thread: usize, nth: usize, size: usize, before: u64) {
        let thread = self.thread(thread);
        let Some((address, live)) = self.pick(nth) else {
            return;
        };
        // SAFETY: a live block and a size that is not 0.
        let got = unsafe { self.heap.resize(&self.locals[thread], address, size) };
        let Some(new) = got else {
            let refused = self.failing > before && self.failing <= self.calls();
            assert!(
                refused || size >= ABSURD,
                "realloc to {size}: the kernel refused nothing, yet there is no memory"
            );
            assert_woven(address, live.usable, live.seed, "by a realloc that failed");
            self.live.insert(address, live);
            return;
        };
        assert!(new.is_multiple_of(16), "realloc: {new:#x} is aligned");
        let kept = live.size.min(size);
        assert_woven(new, kept, live.seed, "by realloc");
        self.adopt(thread, new, size);
    }

    /// Frees everything, ends every thread, and asserts that nothing is left.
    pub(super) fn wind_up(mut self) {
        self.run(&Action::FailNext(0));
        self.run(&Action::FreeEvery { thread: 0, step: 1 });
        for thread in 0..self.locals.len() {
            self.run(&Action::EndThread { thread });
        }
        // The top goes down to the next gap at each.
        for _ in 0..20 {
            self.step(&Action::Trim { thread: 0 }, self.calls());
        }
        let found = self.verify();
        assert_eq!(
            (found.live(), found.dirty_pages),
            (self.lost, 0),
            "after the end nothing is left"
        );
        // What the quarantine keeps, or a foreign break covers, or a refused call left, may stay mapped.
        if self.undisturbed {
            let meta = self.heap.tally.page().meta_bytes.load(Relaxed) as usize;
            assert_eq!(
                (found.ready, found.pocketed),
                (0, 0),
                "after the end no hand holds anything"
            );
            assert_eq!(found.chunk_bytes, 0, "after the end no chunk is mapped");
            assert_eq!(
                self.heap.vm.0.mapped_bytes() - meta,
                0,
                "after the end only records are mapped"
            );
        }
    }
}
