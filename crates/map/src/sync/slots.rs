//! [`Slots`]: a table of robust words, each of which one thread may hold: readers, permits, seats.
//!
//! The kernel marks the slot of a thread that ended. A slot's [`WAITERS`] mark stays when it is let go, and
//! then one sleeper is woken; only whoever alone may sleep on the slots takes the marks back
//! ([`Slots::unmark`]).
#![allow(unsafe_code)]

use super::error::Error;
use super::lock::{Patience, slept};
use super::me::Me;
use neap_os::errno::Errno;
use neap_os::futex::{Deadline, Watch, wait_any_until, wait_shared_until, wake_shared};
use neap_os::robust::{OWNER_DIED, RobustFutex, TID, WAITERS};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::time::Duration;

/// Where a kernel without futex_waitv(2) sleeps on one word for all, it looks at the others this often.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// One place, on a cache line of its own.
#[repr(C, align(64))]
#[derive(Debug)]
struct Slot(RobustFutex);

/// `N` places.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Slots<const N: usize> {
    slots: [Slot; N],
}

/// A taken place, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(usize);

/// What a place is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Nobody's.
    Free,
    /// A thread's.
    Held,
    /// That of a thread that ended.
    Dead,
}

/// Whether the place of a dead thread may be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dead {
    /// As any other.
    Reusable,
    /// Not before it was cleared.
    Kept,
}

fn state(word: u32) -> State {
    match (word & TID, word & OWNER_DIED) {
        (0, 0) => State::Free,
        (0, _) => State::Dead,
        _ => State::Held,
    }
}

impl<const N: usize> Slots<N> {
    /// All free.
    pub(super) const fn new() -> Slots<N> {
        const { assert!(N > 0 && N < Watch::MAX, "between 1 and 127 places") };
        Slots {
            slots: [const { Slot(RobustFutex::new([0; 5])) }; N],
        }
    }

    fn word(&self, place: usize) -> &AtomicU32 {
        &self.slots[place].0.word
    }

    /// Whether a living thread of this process holds one.
    pub(super) fn is_any_held_here(&self) -> bool {
        self.slots.iter().any(|s| s.0.is_owned_by_this_process())
    }

    /// Whether `me` holds one.
    pub(super) fn holds(&self, me: Me) -> bool {
        self.slots
            .iter()
            .any(|s| s.0.word.load(Relaxed) & TID == me.tid())
    }

    /// A word of the place for the type that is built on this.
    pub(super) fn note(&self, place: Place) -> &AtomicU32 {
        &self.slots[place.0].0.user[0]
    }

    /// What each place is, with its note. Sequentially consistent.
    pub(super) fn states(&self) -> impl Iterator<Item = (State, &AtomicU32)> {
        self.slots
            .iter()
            .map(|s| (state(s.0.word.load(SeqCst)), &s.0.user[0]))
    }

    /// Takes a free place, or says `None`. Sequentially consistent with [`Slots::states`].
    ///
    /// # Safety
    /// 1. `self` lies in a [`super::Placed`] object.
    #[inline]
    pub(super) unsafe fn claim(&self, me: Me, dead: Dead) -> Option<Place> {
        // Threads begin at different places, so that they seldom meet.
        let start = me.tid() as usize;
        (0..N).map(|i| (start + i) % N).find_map(|place| {
            let futex = &self.slots[place].0;
            // A look first: an announcement costs little, a failed exchange takes the line.
            let seen = futex.word.load(Relaxed);
            match state(seen) {
                State::Free => {}
                State::Dead if dead == Dead::Reusable => {}
                State::Dead | State::Held => return None,
            }
            let mine = me.tid() | seen & WAITERS;
            // SAFETY: (1) is the caller's. (2) `seen` has no owner.
            let taken = unsafe {
                me.taking(futex, || {
                    let taken = futex.word.compare_exchange(seen, mine, SeqCst, Relaxed);
                    taken.map_err(|_| Error::WouldBlock)
                })
            };
            taken.is_ok().then_some(Place(place))
        })
    }

    /// Lets go of a place and wakes a sleeper.
    ///
    /// # Safety
    /// 1. [`Slots::claim`] gave it to `me`, on this thread, in this process and by this address, and it
    ///    was not released since.
    #[inline]
    pub(super) unsafe fn release(&self, me: Me, place: Place) {
        let word = self.word(place.0);
        // SAFETY: (1) is the caller's.
        unsafe {
            me.letting_go(&self.slots[place.0].0, || {
                if word.compare_exchange(me.tid(), 0, Release, Relaxed).is_err() {
                    word.store(WAITERS, Release);
                    wake_shared(word, 1);
                }
            });
        }
    }

    /// The calling thread, if it owns the place: not in the child of a fork, whose guards are its parent's.
    #[inline]
    pub(super) fn owner(&self, place: Place) -> Option<Me> {
        let me = Me::get().ok()?;
        (self.word(place.0).load(Relaxed) & TID == me.tid()).then_some(me)
    }

    /// Makes the places of the dead free.
    pub(super) fn bury(&self) {
        for slot in &self.slots {
            let seen = slot.0.word.load(Relaxed);
            if state(seen) == State::Dead {
                // If it fails, somebody else did it.
                let _ = slot
                    .0
                    .word
                    .compare_exchange(seen, seen & WAITERS, Acquire, Relaxed);
            }
        }
    }

    /// Waits until every place was free or dead once, one after the other. For one sleeper at a time.
    pub(super) fn drain(&self, me: Me, patience: Patience) -> Result<(), Error> {
        for slot in &self.slots {
            let word = &slot.0.word;
            loop {
                let seen = word.load(SeqCst);
                if seen & TID == 0 {
                    if seen & WAITERS != 0 {
                        word.fetch_and(!WAITERS, Relaxed);
                    }
                    break;
                }
                if seen & TID == me.tid() {
                    return Err(Error::Deadlock);
                }
                if patience == Patience::None {
                    return Err(Error::WouldBlock);
                }
                let marked = seen | WAITERS;
                if seen == marked || word.compare_exchange(seen, marked, Relaxed, Relaxed).is_ok() {
                    slept(wait_shared_until(word, marked, patience.deadline()))?;
                }
            }
        }
        Ok(())
    }

    /// Sleeps until what is wanted may have come. May come back early.
    pub(super) fn sleep(&self, want: Want, until: Option<Deadline>) -> Result<Woken, Error> {
        let (first, mine) = match want {
            Want::Free => (None, None),
            Want::DeathOr { word, expected, mine } => (Some((word, expected)), Some(mine)),
        };
        let idle = AtomicU32::new(0);
        let mut watches = [Watch::new(&idle, 0); Watch::MAX];
        let mut used = 0;
        if let Some((word, expected)) = first {
            watches[0] = Watch::new(word, expected);
            used = 1;
        }
        for (i, slot) in self.slots.iter().enumerate() {
            if mine == Some(Place(i)) {
                continue;
            }
            let seen = slot.0.word.fetch_or(WAITERS, SeqCst);
            match state(seen) {
                State::Dead => return Ok(Woken::Otherwise),
                State::Free if first.is_none() => return Ok(Woken::Otherwise),
                State::Free | State::Held => {}
            }
            watches[used] = Watch::new(&slot.0.word, seen | WAITERS);
            used += 1;
        }
        match wait_any_until(&watches[..used], until) {
            Ok(0) if first.is_some() => Ok(Woken::First),
            Err(Errno::ENOSYS | Errno::EPERM) => {
                let (word, expected) = first.unwrap_or((&idle, 0));
                let look = Deadline::after(LOOK_AGAIN);
                let limit = until.map_or(look, |u| u.min(look));
                match slept(wait_shared_until(word, expected, Some(limit))) {
                    Err(Error::TimedOut) if until != Some(limit) => Ok(Woken::Otherwise),
                    outcome => outcome.map(|()| Woken::Otherwise),
                }
            }
            outcome => slept(outcome.map(|_| ())).map(|()| Woken::Otherwise),
        }
    }

    /// Takes back what [`Slots::sleep`] has marked. For one sleeper at a time.
    pub(super) fn unmark(&self) {
        for slot in &self.slots {
            slot.0.word.fetch_and(!WAITERS, Relaxed);
        }
    }
}

/// What a [`Slots::sleep`] is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Want<'a> {
    /// A place that is free or a dead thread's. For one sleeper at a time.
    Free,
    /// The death of another place's owner, or a wake of `word`, which must hold `expected`.
    DeathOr {
        /// The word.
        word: &'a AtomicU32,
        /// What it must hold.
        expected: u32,
        /// The sleeper's own place.
        mine: Place,
    },
}

/// What ended a [`Slots::sleep`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Woken {
    /// A wake of the word.
    First,
    /// Anything else.
    Otherwise,
}
