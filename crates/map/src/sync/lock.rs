//! [`RawLock`]: the protocol of a robust lock, without a value.
//!
//! The word holds the owner's thread id, or 0, and the kernel's marks [`WAITERS`] and [`OWNER_DIED`]
//! (neap_os::robust). Uncontended, taking and letting go are one compare-and-swap each.
//!
//! The invariant against kills: whenever a thread sleeps on the word, [`WAITERS`] is set in it, or the
//! kernel is about to wake somebody. Letting go keeps the mark and wakes one sleeper, so that whoever
//! takes the lock in between will wake one too. The mark is cleared by an owner only, in one step with the
//! wake of all who sleep (FUTEX_WAKE_OP), and only after a wake that found nobody. A sleeper that was
//! woken and then killed is the kernel's to replace: it has announced the word.
//!
//! Not in signal handlers. Thread ids are compared across processes, so all must be in one PID namespace.
#![allow(unsafe_code)]

use super::error::{Error, Leave};
use super::me::Me;
use neap_os::errno::Errno;
use neap_os::futex::{Change, Deadline, change_and_wake, wait_shared_until, wake_shared};
use neap_os::robust::{OWNER_DIED, RobustFutex, TID, WAITERS};
use std::hint::spin_loop;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

/// How long to wait for a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// Until then.
    Until(Deadline),
    /// For ever.
    Endless,
}

impl Patience {
    /// The moment, for a call that waits.
    pub(super) fn deadline(self) -> Option<Deadline> {
        match self {
            Patience::Until(deadline) => Some(deadline),
            Patience::None | Patience::Endless => None,
        }
    }
}

/// What the last owner of a lock did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// It let go, or there was none.
    InOrder,
    /// It ended, or panicked, while holding it.
    Dead,
}

/// A robust lock. Zeros are one that is free.
#[repr(transparent)]
#[derive(Debug)]
pub(super) struct RawLock {
    /// The first spare word is [`CONDEMNED`] once the value is lost; the second belongs to the user.
    futex: RobustFutex,
}

const CONDEMNED: u32 = 1;

/// Looks at a held lock before a thread goes to sleep: about the time of a short critical section.
const SPINS: u32 = 100;

/// The outcome of a futex wait: anything but a timeout is a reason to look again.
pub(super) fn slept(outcome: Result<(), Errno>) -> Result<(), Error> {
    match outcome {
        Ok(()) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
        Err(Errno::ETIMEDOUT) => Err(Error::TimedOut),
        Err(errno) => Err(Error::Futex(errno)),
    }
}

impl RawLock {
    /// One that is free.
    pub(super) const fn new() -> RawLock {
        RawLock {
            futex: RobustFutex::new([0; 5]),
        }
    }

    /// Whether a living thread of this process owns it.
    pub(super) fn is_held_here(&self) -> bool {
        self.futex.is_owned_by_this_process()
    }

    /// Whether nobody owns it and its last owner let go in order. Sequentially consistent.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.futex.word.load(SeqCst) & !WAITERS == 0 && self.futex.user[0].load(Relaxed) != CONDEMNED
    }

    /// A word that only the owner changes, for the type that is built on this.
    #[inline]
    pub(super) fn note(&self) -> &std::sync::atomic::AtomicU32 {
        &self.futex.user[1]
    }

    /// The calling thread, if it owns this: not in the child of a fork, whose guards are its parent's.
    #[inline]
    pub(super) fn owner(&self) -> Option<Me> {
        let me = Me::get().ok()?;
        (self.futex.word.load(Relaxed) & TID == me.tid()).then_some(me)
    }

    /// Takes it.
    ///
    /// # Errors
    /// `WouldBlock`, `TimedOut`, `Deadlock`, `NotRecoverable`, `Futex`.
    ///
    /// # Safety
    /// 1. `self` lies in a [`super::Placed`] object.
    #[inline]
    pub(super) unsafe fn lock(&self, me: Me, patience: Patience) -> Result<Found, Error> {
        let word = &self.futex.word;
        // SAFETY: (1) is the caller's. (2) both ways change the word from one without owner.
        let found = unsafe {
            me.taking(&self.futex, || {
                match word.compare_exchange(0, me.tid(), Acquire, Relaxed) {
                    Ok(_) => Ok(Found::InOrder),
                    Err(_) => self.contend(me, patience),
                }
            })?
        };
        if self.futex.user[0].load(Relaxed) == CONDEMNED {
            // SAFETY: (1) taken above.
            unsafe { self.unlock(me, Leave::InOrder) };
            return Err(Error::NotRecoverable);
        }
        Ok(found)
    }

    #[cold]
    fn contend(&self, me: Me, patience: Patience) -> Result<Found, Error> {
        let word = &self.futex.word;
        let mut spins = SPINS;
        loop {
            let seen = word.load(Relaxed);
            let owner = seen & TID;
            if owner == 0 {
                let mine = me.tid() | seen & WAITERS;
                if word.compare_exchange_weak(seen, mine, Acquire, Relaxed).is_ok() {
                    let dead = seen & OWNER_DIED != 0;
                    return Ok(if dead { Found::Dead } else { Found::InOrder });
                }
                continue;
            }
            if owner == me.tid() {
                return Err(Error::Deadlock);
            }
            if patience == Patience::None {
                return Err(Error::WouldBlock);
            }
            if spins > 0 && seen & WAITERS == 0 {
                spins -= 1;
                spin_loop();
                continue;
            }
            let marked = seen | WAITERS;
            if seen != marked
                && word
                    .compare_exchange_weak(seen, marked, Relaxed, Relaxed)
                    .is_err()
            {
                continue;
            }
            slept(wait_shared_until(word, marked, patience.deadline()))?;
        }
    }

    /// Lets go.
    ///
    /// # Safety
    /// 1. [`RawLock::lock`] said `Ok` on this thread, to `me`, in this process and by this address, and
    ///    was not undone since.
    #[inline]
    pub(super) unsafe fn unlock(&self, me: Me, leave: Leave) {
        let word = &self.futex.word;
        let mark = match leave {
            Leave::InOrder => 0,
            Leave::AsDead => OWNER_DIED,
            Leave::Condemned => {
                self.futex.user[0].store(CONDEMNED, Relaxed);
                0
            }
        };
        // SAFETY: (1) is the caller's.
        unsafe {
            me.letting_go(&self.futex, || {
                if word.compare_exchange(me.tid(), mark, Release, Relaxed).is_err() {
                    self.pass_on(me, mark);
                }
            });
        }
    }

    /// Lets go of a lock that somebody may be waiting for. It is announced.
    #[cold]
    fn pass_on(&self, me: Me, mark: u32) {
        let word = &self.futex.word;
        word.store(mark | WAITERS, Release);
        if wake_shared(word, 1) != 0 || mark != 0 {
            return;
        }
        // Nobody slept at that moment. Those who came since need the mark, so it goes with their wake.
        let mine = me.tid() | WAITERS;
        if word.compare_exchange(WAITERS, mine, Acquire, Relaxed).is_err() {
            return;
        }
        // If it is refused, the mark stays, which costs a call at each turn and loses nothing.
        let _ = change_and_wake(word, Change::ClearTop, u32::MAX);
        if word.compare_exchange(me.tid(), 0, Release, Relaxed).is_err() {
            word.store(WAITERS, Release);
            wake_shared(word, 1);
        }
    }
}
