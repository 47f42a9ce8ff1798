//! [`Semaphore`]: a count in shared memory that is waited for when it is 0.
//!
//! The count is in the low bits of one word; [`SLEEPER`] in it says that somebody sleeps. At most one thread
//! does: the others wait for a robust lock that it holds, so its death lets the next one in. Where
//! somebody sleeps, an addition and its wake are one step in the kernel (FUTEX_WAKE_OP), so that a kill
//! between the two is not possible.
#![allow(unsafe_code)]

use super::error::{Error, Leave};
use super::lock::{Patience, RawLock, slept};
use super::me::Me;
use super::placed::{Header, Placed, Tag};
use neap_os::futex::{Change, Deadline, change_and_wake, wait_shared_until};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, fence};
use std::time::Duration;

/// A thread sleeps on the word.
const SLEEPER: u32 = 0x8000_0000;

/// A count of things that may be taken and given by any thread of any process.
///
/// What a process took and did not give back before it was killed is lost to the others, as nobody knows
/// what it did with it: where the count is of permits that should come back, use [`super::Permits`].
///
/// ```
/// use neap_map::sync::{Common, Error, Semaphore};
/// let filled = Common::<Semaphore>::new(1)?;
/// filled.acquire()?;
/// assert_eq!(filled.try_acquire(), Err(Error::WouldBlock));
/// filled.release()?; // By whichever process fills the next one.
/// assert_eq!(filled.count(), 1);
/// # Ok::<(), Error>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Semaphore {
    header: Header,
    word: AtomicU32,
    reserved: AtomicU32,
    turnstile: RawLock,
}

const _: () = assert!(size_of::<Semaphore>() == 56);

impl Semaphore {
    /// The most that a semaphore counts to.
    pub const MAX: u32 = 1 << 30;

    /// What is there to be taken at this moment.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.word.load(Relaxed) & !SLEEPER
    }

    /// Takes one, and waits while there is none.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::OutOfMemory`], [`Error::Futex`].
    pub fn acquire(&self) -> Result<(), Error> {
        self.take(Patience::Endless)
    }

    /// Takes one if there is one.
    ///
    /// # Errors
    /// [`Error::WouldBlock`].
    pub fn try_acquire(&self) -> Result<(), Error> {
        self.take(Patience::None)
    }

    /// Takes one, and waits at most for `timeout`.
    ///
    /// # Errors
    /// As [`Semaphore::acquire`], and [`Error::TimedOut`].
    pub fn acquire_for(&self, timeout: Duration) -> Result<(), Error> {
        self.take(Patience::Until(Deadline::after(timeout)))
    }

    fn take_one(&self, clear: u32) -> bool {
        let less_one = |word: u32| (word & !SLEEPER != 0).then(|| (word - 1) & !clear);
        self.word.fetch_update(Acquire, Relaxed, less_one).is_ok()
    }

    fn take(&self, patience: Patience) -> Result<(), Error> {
        if self.take_one(0) {
            return Ok(());
        }
        if patience == Patience::None {
            return Err(Error::WouldBlock);
        }
        let me = Me::get()?;
        // Whoever died here held nothing but the right to sleep.
        // SAFETY: (1) a Semaphore is only ever made in place.
        let _ = unsafe { self.turnstile.lock(me, patience)? };
        let outcome = self.sleep(patience);
        // SAFETY: (1) locked above.
        unsafe { self.turnstile.unlock(me, Leave::InOrder) };
        outcome
    }

    /// Takes one as the only sleeper.
    fn sleep(&self, patience: Patience) -> Result<(), Error> {
        loop {
            if self.take_one(SLEEPER) {
                return Ok(());
            }
            let seen = self.word.fetch_or(SLEEPER, Relaxed) | SLEEPER;
            if seen == SLEEPER {
                let outcome = slept(wait_shared_until(&self.word, SLEEPER, patience.deadline()));
                if let Err(error) = outcome {
                    self.word.fetch_and(!SLEEPER, Relaxed);
                    return Err(error);
                }
            }
        }
    }

    /// Gives one.
    ///
    /// # Errors
    /// [`Error::Overflow`]: the count is [`Semaphore::MAX`]. [`Error::Futex`]: a sandbox. Nothing was given.
    pub fn release(&self) -> Result<(), Error> {
        loop {
            let seen = self.word.load(Relaxed);
            if seen & !SLEEPER >= Semaphore::MAX {
                return Err(Error::Overflow);
            }
            if seen & SLEEPER != 0 {
                // The kernel's addition carries no order of its own here.
                fence(Release);
                return change_and_wake(&self.word, Change::AddOne, 1)
                    .map(|_| ())
                    .map_err(Error::Futex);
            }
            if self
                .word
                .compare_exchange_weak(seen, seen + 1, Release, Relaxed)
                .is_ok()
            {
                return Ok(());
            }
        }
    }
}

// SAFETY: (1) atomics. (2) the header is written last, and checked. (3)
// there are no guards; a thread that takes holds the turnstile.
unsafe impl Placed for Semaphore {
    type Initial = u32;

    unsafe fn write(at: NonNull<Self>, count: u32) -> Result<(), Error> {
        if count > Semaphore::MAX {
            return Err(Error::Overflow);
        }
        let new = Semaphore {
            header: Header::blank(),
            word: AtomicU32::new(count),
            reserved: AtomicU32::new(0),
            turnstile: RawLock::new(),
        };
        // SAFETY: the place is aligned, writable and nobody else's (1).
        unsafe {
            at.write(new);
            at.as_ref().header.publish(Tag::Semaphore, size_of::<Self>());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        self.header.check(Tag::Semaphore, size_of::<Self>())
    }

    fn is_held_here(&self) -> bool {
        self.turnstile.is_held_here()
    }
}
