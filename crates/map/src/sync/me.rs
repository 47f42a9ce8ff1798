//! [`Me`]: the calling thread as the owner of locks: its id, and its list of what it holds.
//!
//! Owns the cache of both in each thread, and its end at a fork: a handler for the child, registered at
//! the first use, makes every cached answer stale, so that the child asks again. A child that was made
//! by a raw clone(2) calls no handler and must not use locks made here.
//!
//! Owns, too, the order of steps that makes taking and letting go safe against a kill at any
//! instruction: announce, change the word, change the list, withdraw.
#![allow(unsafe_code)]

use super::error::Error;
use neap_os::robust::{RobustFutex, RobustList};
use neap_os::thread::{at_fork, gettid};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// The calling thread. Neither Send nor Sync, as its list is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Me {
    tid: u32,
    generation: u32,
    list: RobustList,
}

/// Counts the forks between the first process that used a lock and this one. Never 0.
static GENERATION: AtomicU32 = AtomicU32::new(1);

thread_local! {
    static ME: Cell<Option<Me>> = const { Cell::new(None) };
}

unsafe extern "C" fn nothing() {}

unsafe extern "C" fn forked() {
    GENERATION.fetch_add(1, Relaxed);
}

impl Me {
    /// The calling thread, from its cache where that is not stale.
    #[inline]
    pub(super) fn get() -> Result<Me, Error> {
        match ME.get() {
            Some(me) if me.is_current() => Ok(me),
            _ => Me::ask(),
        }
    }

    #[cold]
    fn ask() -> Result<Me, Error> {
        // Not a Once: a fork in the middle of one would leave the child waiting for ever for a thread that it
        // does not have. Registered twice the handler counts by two, which does no harm. No thread has an
        // answer in its cache before the handler that makes it stale is registered.
        static HOOKED: AtomicBool = AtomicBool::new(false);
        if !HOOKED.load(Acquire) {
            // SAFETY: (1) the handlers add to an atomic, which is fine on any thread. (2) they are part of
            // this crate's code; where that is unloaded, glibc drops them.
            if !unsafe { at_fork(nothing, nothing, forked) } {
                return Err(Error::OutOfMemory);
            }
            HOOKED.store(true, Release);
        }
        let me = Me {
            tid: gettid(),
            generation: GENERATION.load(Relaxed),
            list: RobustList::of_this_thread().map_err(Error::Unsupported)?,
        };
        ME.set(Some(me));
        Ok(me)
    }

    /// Its thread id, as the kernel compares it with words.
    #[inline]
    pub(super) fn tid(self) -> u32 {
        self.tid
    }

    /// Whether no fork lies between [`Me::get`] and now. As it is not Send, it is then this thread.
    #[inline]
    pub(super) fn is_current(self) -> bool {
        self.generation == GENERATION.load(Relaxed)
    }

    /// Runs `attempt`, which may put this thread's id into the word of `futex`, and says by `Ok` that it
    /// did; the kernel marks the word if the thread ends meanwhile or afterwards.
    ///
    /// # Errors
    /// That of `attempt`: it has left the word to others.
    ///
    /// # Safety
    /// 1. `futex` lies in a [`super::Placed`] object, so that it stays mapped while this thread holds it.
    /// 2. `attempt` says `Ok` only if it has changed the word to this thread's id from one without owner.
    #[inline]
    pub(super) unsafe fn taking<R>(
        self,
        futex: &RobustFutex,
        attempt: impl FnOnce() -> Result<R, Error>,
    ) -> Result<R, Error> {
        debug_assert!(self.is_current());
        // SAFETY: (announce 1) `get` asked on this thread, which `self` never leaves; guards check that
        // no fork came between. (2) mapped (1).
        unsafe { self.list.announce(futex) };
        let outcome = attempt();
        if outcome.is_ok() {
            // SAFETY: (insert 1) as above. (2) announced, and the attempt took it from nobody (2), so it
            // is in no list. (3) mapped as long as it is held (1).
            unsafe { self.list.insert(futex) };
        }
        // SAFETY: (withdraw 1) as above.
        unsafe { self.list.withdraw() };
        outcome
    }

    /// Runs `let_go`, which takes this thread's id out of the word of `futex`.
    ///
    /// # Safety
    /// 1. [`Me::taking`] took `futex`, on this thread and in this process, by the same address.
    #[inline]
    pub(super) unsafe fn letting_go<R>(self, futex: &RobustFutex, let_go: impl FnOnce() -> R) -> R {
        // SAFETY: (announce 1, 2; remove 1, 2) this thread took it here (1), and a taken futex is
        // mapped and in the list.
        unsafe {
            self.list.announce(futex);
            self.list.remove(futex);
        }
        let outcome = let_go();
        // SAFETY: (withdraw 1) as above.
        unsafe { self.list.withdraw() };
        outcome
    }
}
