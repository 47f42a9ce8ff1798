//! Who turns the tide, and when: the helper thread, or slow paths that look at the clock.
//!
//! Owns the starting and the work of the helper (its life is told in `crate::helper`), and what takes
//! its place where there is none.

#![allow(unsafe_code)]

use crate::heap::Heap;
use crate::helper::{ALIVE, NONE};
use crate::layout::PAGE;
use crate::local::{Local, Thread};
use crate::sync::{AcqRel, Acquire, Relaxed, Release, SeqCst, Token, fence, futex, spin_loop, thread};
use crate::tide::Reach;
use core::time::Duration;
use neap_abi::Call;
use neap_os::linux::Linux;
use neap_os::unit::{Bytes, Span};
use neap_os::vm::Vm;

const STACK_BYTES: usize = 32 << 10;
/// Without anything to do for so long the helper ends.
const LINGER_MS: usize = 200;
/// How long a slow path may give back, without a helper: a call that comes once in 10 ms shall give back
/// 1 GiB within half a second, and free shall not take a millisecond.
pub(crate) const PORTION_NS: u64 = 3_000_000;
const FREE_PORTION_NS: u64 = 500_000;
/// Slow paths of one thread between two looks at the clock.
const LOOK_EVERY: u32 = 64;

impl<V: Vm> Heap<V> {
    /// Whether this heap has, or may start, a helper.
    pub(crate) fn helped(&self) -> bool {
        !self.options.helper_off.load(Relaxed) && self.tide.helper.starter.load(Relaxed) != 0
    }

    /// Has `starter` called when a helper is wanted.
    pub(crate) fn start_helper_by(&self, starter: fn()) {
        self.tide.helper.starter.store(starter as usize, Relaxed);
    }

    /// Whether there is more to give back than is let lie.
    pub(crate) fn much_dirt(&self) -> bool {
        let pages = self.ground.dirty.load(Relaxed) + self.tide.stirred();
        pages > self.options.trim_threshold.get() / PAGE
    }

    /// After memory came free and there are `dirty` pages of dirt: see to it that it is given back.
    #[inline]
    pub(crate) fn soiled(&self, local: &Local, dirty: usize) {
        self.publish_sometimes();
        if dirty > self.options.trim_threshold.get() / PAGE {
            self.rouse(local);
        }
    }

    pub(crate) fn rouse(&self, local: &Local) {
        if !self.much_dirt() {
            return;
        }
        let helper = &self.tide.helper;
        if !self.helped() {
            self.poise(local);
            self.watch_clock(local, FREE_PORTION_NS);
            return;
        }
        if helper.state.load(Relaxed) == NONE && helper.holds.load(Relaxed) == 0 {
            let starter = helper.starter.load(Relaxed);
            // SAFETY: only `start_helper_by` writes it, from a function of this type.
            let starter: fn() = unsafe { core::mem::transmute::<usize, fn()>(starter) };
            starter();
        }
    }

    /// Empties the thread's hand: without a helper the dirt is given back by whoever calls malloc
    /// next, however seldom, so every call of this thread must take the slow path for a while.
    fn poise(&self, local: &Local) {
        if let Some(thread) = local.thread()
            && !thread.poised.replace(true)
        {
            self.empty_hand(local);
            self.empty_pocket(local, thread);
            self.empty_outbox(local, thread);
        }
    }

    /// Whether a poised thread still has something to wait for.
    pub(crate) fn stays_poised(&self, thread: &Thread) -> bool {
        let waiting = self.ground.dirty.load(Relaxed) + self.tide.stirred() != 0;
        thread.poised.set(waiting);
        waiting
    }

    /// Runs a tick here, or so much of it as fits into `portion_ns`, when one is due and no helper does it.
    #[inline]
    pub(crate) fn watch_clock(&self, local: &Local, portion_ns: u64) {
        let nothing = self.ground.dirty.load(Relaxed) + self.tide.stirred() == 0;
        if self.helped() || nothing || self.options.trim_threshold.get() == usize::MAX {
            return;
        }
        if let Some(thread) = local.thread() {
            let left = thread.until_tick.get();
            if left != 0 && !self.much_dirt() {
                thread.until_tick.set(left - 1);
                return;
            }
            thread.until_tick.set(LOOK_EVERY);
        }
        let now = crate::sync::clock::monotonic_coarse_ns();
        let due = self.tide.due_ns.load(Relaxed);
        if now < due {
            return;
        }
        let next = now + self.tide.tick_ms.get() as u64 * 1_000_000;
        let mine = self
            .tide
            .due_ns
            .compare_exchange(due, next, AcqRel, Relaxed)
            .is_ok();
        if mine && due != 0 && !self.tick_a_portion(local.token(), portion_ns) {
            self.tide.due_ns.store(now, Relaxed);
        }
    }

    /// Ends the helper, waits until it is gone, and lets none start until [`Heap::release_helper`].
    pub fn hold_helper(&self) {
        let helper = &self.tide.helper;
        helper.holds.fetch_add(1, AcqRel);
        // Either whoever starts one sees the hold, or we see that one is being started.
        fence(SeqCst);
        helper.bell.fetch_add(1, Release);
        futex::wake(&helper.bell, 1);
        while helper.state.load(Acquire) != NONE || helper.tid.load(Acquire) != 0 {
            if helper.tid.load(Acquire) == 0 {
                // Being started or about to end at this moment.
                spin_loop();
                continue;
            }
            thread::join(&helper.tid);
        }
    }

    /// Ends the helper for good.
    pub fn forgo_helper(&self) {
        self.options.helper_off.store(true, Relaxed);
        self.hold_helper();
        self.release_helper();
    }

    /// Allows a helper again.
    pub fn release_helper(&self) {
        self.tide.helper.holds.fetch_sub(1, AcqRel);
    }
}

impl Heap<Linux> {
    /// Starts the helper if there is none. When the kernel refuses, there will never be one.
    pub(crate) fn start_helper(&'static self) {
        let helper = &self.tide.helper;
        if helper.tid.load(Acquire) != 0 || helper.holds.load(Acquire) != 0 {
            return;
        }
        if helper
            .state
            .compare_exchange(NONE, ALIVE, AcqRel, Relaxed)
            .is_err()
        {
            return;
        }
        // A hold that came before the exchange does not wait for us, one that came after does.
        fence(SeqCst);
        if helper.holds.load(Acquire) != 0 {
            helper.state.store(NONE, Release);
            return;
        }
        let Some(stack) = self.helper_stack() else {
            helper.state.store(NONE, Release);
            return;
        };
        let arg = core::ptr::from_ref(self).cast_mut().cast::<u8>();
        // SAFETY: the stack is mapped for ever and no thread runs on it: `tid` was 0 while `state`
        // was ours; `helper_main` never returns into this frame and treats `arg` as the static heap.
        let started = unsafe { thread::spawn_helper(stack, helper_main, arg, &helper.tid) };
        match started {
            Ok(_) => {
                let page = self.tally.page();
                page.helper_starts.fetch_add(1, Relaxed);
                page.helper_alive.store(1, Relaxed);
            }
            Err(_) => {
                self.options.helper_off.store(true, Relaxed);
                helper.state.store(NONE, Release);
            }
        }
    }

    fn helper_stack(&self) -> Option<Span> {
        let helper = &self.tide.helper;
        let have = helper.stack.load(Relaxed);
        if have != 0 {
            return Span::new(have, STACK_BYTES);
        }
        let span = self.vm.map(Bytes(STACK_BYTES)).ok()?;
        self.tally.call(Call::Mmap, span.len());
        self.tally.meta(span.len());
        helper.stack.store(span.base(), Relaxed);
        Span::new(span.base(), STACK_BYTES)
    }

    fn help(&self) {
        let helper = &self.tide.helper;
        let mut idle_ms = 0;
        loop {
            let bell = helper.bell.load(Acquire);
            let tick_ms = self.tide.tick_ms.get();
            if helper.holds.load(Acquire) == 0 {
                let pause = Duration::from_millis(tick_ms as u64);
                let _ = futex::wait(&helper.bell, bell, Some(pause));
            }
            let held = helper.holds.load(Acquire) != 0;
            let given = if held {
                0
            } else {
                self.tick(Token::HELPER, Reach::Old)
            };
            let waiting = self.ground.dirty.load(Relaxed) + self.tide.stirred() != 0;
            idle_ms = if given == 0 && !(waiting && idle_ms < 4 * tick_ms) {
                idle_ms + tick_ms
            } else {
                0
            };
            if !held && idle_ms < LINGER_MS {
                continue;
            }
            self.publish();
            self.tally.page().helper_alive.store(0, Relaxed);
            helper.state.store(NONE, Release);
            return;
        }
    }
}

extern "C" fn helper_main(arg: *mut u8) {
    // SAFETY: `start_helper` passed the static heap.
    let heap: &'static Heap<Linux> = unsafe { &*arg.cast::<Heap<Linux>>() };
    heap.help();
}
