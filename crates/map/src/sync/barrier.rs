//! [`Barrier`]: several threads of several processes wait for each other, and hear if one of them dies.
//!
//! A participant has a seat, a robust word, with the number of the round that it has arrived for beside
//! it. Whoever sees every seat taken and arrived ends the round, by the one word that counts rounds; the
//! last to arrive always sees it. Sleepers watch that word and all the other seats (futex_waitv(2), Linux
//! 5.16; before that they look again every 10 ms). The kernel wakes one of them for a death, and that one
//! breaks the barrier and wakes the rest. Should it be killed first, its own seat wakes another: whoever
//! comes back for any other reason than a wake of the word passes on what the word says.
#![allow(unsafe_code)]

use super::error::{Error, Leave};
use super::lock::{Patience, RawLock};
use super::me::Me;
use super::placed::{Header, Placed, Tag};
use super::slots::{Dead, Place, Slots, State, Want, Woken};
use neap_os::futex::{Deadline, wake_shared};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

/// The barrier is broken; the other bits count rounds.
const BROKEN: u32 = 0x8000_0000;

/// The round after `round`.
const fn next(round: u32) -> u32 {
    (round + 1) & !BROKEN
}

/// A meeting point of exactly `N` (1 to 127) participants, again and again.
///
/// A participant takes a seat with [`Barrier::join`], then waits on it, round after round. If one dies, or
/// gives up waiting, the barrier is broken: all who wait, or come, get [`Error::Broken`], until somebody
/// calls [`Barrier::recover`]. As long as a seat was never taken, or was given back, the others wait for
/// it.
///
/// ```
/// use neap_map::sync::{Barrier, Common, Turn};
/// let barrier = Common::<Barrier<2>>::new(())?;
/// let leaders = std::thread::scope(|s| {
///     let meet = || barrier.join()?.wait();
///     let (one, other) = (s.spawn(meet), s.spawn(meet));
///     [one, other].map(|t| t.join().unwrap()).into_iter().filter(|t| *t == Ok(Turn::Leader)).count()
/// });
/// assert_eq!(leaders, 1);
/// # Ok::<(), neap_map::sync::Error>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Barrier<const N: usize> {
    header: Header,
    recovery: RawLock,
    round: AtomicU32,
    /// Each note is the round that the seat's owner has arrived for.
    seats: Slots<N>,
}

const _: () = assert!(size_of::<Barrier<3>>() == 256);

/// What a participant was in a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// The one that ended it: one in each round, unless that one died at that moment.
    Leader,
    /// One of the others.
    Follower,
}

impl<const N: usize> Barrier<N> {
    /// Takes a seat. It is given back when it is dropped.
    ///
    /// # Errors
    /// [`Error::NoSeat`]; a dead participant keeps its seat until [`Barrier::recover`].
    /// [`Error::Unsupported`], [`Error::OutOfMemory`].
    pub fn join(&self) -> Result<Seat<'_, N>, Error> {
        let me = Me::get()?;
        // SAFETY: (1) a Barrier is only ever made in place.
        let place = unsafe { self.seats.claim(me, Dead::Kept) }.ok_or(Error::NoSeat)?;
        // What an earlier owner arrived for is over: it could not leave while it waited.
        Ok(Seat {
            barrier: self,
            place,
            thread: PhantomData,
        })
    }

    /// Whether a participant died or gave up.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.round.load(SeqCst) & BROKEN != 0
    }

    /// Frees the seats of the dead and begins a new round. Call it when those that are left know what to do:
    /// any of them, or several at once. Nothing happens to a barrier that is not broken.
    ///
    /// ```
    /// use neap_map::sync::{Barrier, Common, Error};
    /// use std::time::Duration;
    /// let barrier = Common::<Barrier<2>>::new(())?;
    /// let seat = barrier.join()?;
    /// assert_eq!(seat.wait_for(Duration::from_millis(5)), Err(Error::TimedOut)); // Nobody else is there.
    /// assert_eq!(seat.wait(), Err(Error::Broken));
    /// barrier.recover()?;
    /// assert!(!barrier.is_broken());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::OutOfMemory`], [`Error::Futex`].
    pub fn recover(&self) -> Result<(), Error> {
        let me = Me::get()?;
        // One at a time: a seat that somebody died on in the new round must not be freed unseen.
        // SAFETY: (1) a Barrier is only ever made in place.
        let _ = unsafe { self.recovery.lock(me, Patience::Endless)? };
        let seen = self.round.load(SeqCst);
        if seen & BROKEN != 0 {
            self.seats.bury();
            // Two further: those who arrived for the broken round have not arrived for this one.
            self.round.store(next(next(seen & !BROKEN)), SeqCst);
        }
        // SAFETY: (1) locked above.
        unsafe { self.recovery.unlock(me, Leave::InOrder) };
        Ok(())
    }

    fn wait(&self, me: Place, until: Option<Deadline>) -> Result<Turn, Error> {
        let round = self.round.load(SeqCst);
        if round & BROKEN != 0 {
            return Err(Error::Broken);
        }
        self.seats.note(me).store(next(round), SeqCst);
        let mut woken = Woken::First;
        loop {
            let seen = self.round.load(SeqCst);
            if seen != round {
                if woken == Woken::Otherwise {
                    wake_shared(&self.round, u32::MAX);
                }
                // No round ends before this participant has arrived for it, so at most one has ended since,
                // by one step; each recovery was two.
                let ended = seen.wrapping_sub(round) & 1 == 1;
                return if ended {
                    Ok(Turn::Follower)
                } else {
                    Err(Error::Broken)
                };
            }
            let mut all = true;
            let mut dead = false;
            for (state, arrived) in self.seats.states() {
                dead |= state == State::Dead;
                all &= state == State::Held && arrived.load(SeqCst) == next(round);
            }
            if dead {
                self.end(round, round | BROKEN);
            } else if all {
                if self.end(round, next(round)) {
                    return Ok(Turn::Leader);
                }
            } else {
                let want = Want::DeathOr {
                    word: &self.round,
                    expected: round,
                    mine: me,
                };
                match self.seats.sleep(want, until) {
                    Ok(by) => woken = by,
                    // The others cannot be all there any more.
                    Err(error) if self.end(round, round | BROKEN) => return Err(error),
                    Err(_) => {}
                }
            }
        }
    }

    /// Ends the round in favour of `with`, and wakes everyone. False if somebody else ended it.
    fn end(&self, round: u32, with: u32) -> bool {
        let ended = self.round.compare_exchange(round, with, SeqCst, SeqCst).is_ok();
        wake_shared(&self.round, u32::MAX);
        ended
    }
}

// SAFETY: (1) atomics. (2) the header is written last, and checked. (3) a seat's place holds its thread.
unsafe impl<const N: usize> Placed for Barrier<N> {
    type Initial = ();

    unsafe fn write(at: NonNull<Self>, (): ()) -> Result<(), Error> {
        let new = Barrier {
            header: Header::blank(),
            recovery: RawLock::new(),
            round: AtomicU32::new(0),
            seats: Slots::new(),
        };
        // SAFETY: the place is aligned, writable and nobody else's (1).
        unsafe {
            at.write(new);
            at.as_ref().header.publish(Tag::Barrier, size_of::<Self>());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        self.header.check(Tag::Barrier, size_of::<Self>())
    }

    fn is_held_here(&self) -> bool {
        self.recovery.is_held_here() || self.seats.is_any_held_here()
    }
}

/// A participant's seat at a [`Barrier`]. Neither Send nor Sync.
#[derive(Debug)]
#[must_use = "dropped at once it is given back"]
pub struct Seat<'a, const N: usize> {
    barrier: &'a Barrier<N>,
    place: Place,
    /// It stays on the thread whose list it is in.
    thread: PhantomData<*const ()>,
}

impl<const N: usize> Seat<'_, N> {
    /// Arrives, and waits until all have.
    ///
    /// # Errors
    /// [`Error::Broken`]: a participant died or gave up. [`Error::Forked`]: the seat is the parent's.
    /// [`Error::Futex`], which breaks the barrier.
    pub fn wait(&self) -> Result<Turn, Error> {
        self.arrive(None)
    }

    /// As [`Seat::wait`], and gives up after `timeout`: that breaks the barrier for all.
    ///
    /// # Errors
    /// As [`Seat::wait`], and [`Error::TimedOut`].
    pub fn wait_for(&self, timeout: Duration) -> Result<Turn, Error> {
        self.arrive(Some(Deadline::after(timeout)))
    }

    fn arrive(&self, until: Option<Deadline>) -> Result<Turn, Error> {
        self.barrier.seats.owner(self.place).ok_or(Error::Forked)?;
        self.barrier.wait(self.place, until)
    }
}

impl<const N: usize> Drop for Seat<'_, N> {
    fn drop(&mut self) {
        // In the child of a fork the place is still the parent's.
        if let Some(me) = self.barrier.seats.owner(self.place) {
            // SAFETY: (1) claimed for this seat, which never leaves the thread; no fork came between, as
            // the word holds this thread's id.
            unsafe { self.barrier.seats.release(me, self.place) };
        }
    }
}
