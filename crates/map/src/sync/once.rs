//! [`Once`]: something that one process does for all, and the next one does again if that one dies.
//!
//! A word says that it is done; a robust lock is held while it is being done.
#![allow(unsafe_code)]

use super::error::{Error, Leave};
use super::lock::{Found, Patience, RawLock};
use super::me::Me;
use super::placed::{Header, Placed, Tag};
use neap_os::futex::Deadline;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Duration;

/// Which attempt it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// The first.
    First,
    /// An earlier one died or panicked, perhaps half way: begin by undoing what it may have done.
    AfterDeath,
}

/// What is done once in the life of a shared object: the initialisation of what lies beside it.
///
/// ```
/// use neap_map::sync::{Attempt, Common, Once};
/// let once = Common::<Once>::new(())?;
/// let mut table = 0;
/// for _ in 0..2 {
///     once.call(|attempt| {
///         assert_eq!(attempt, Attempt::First);
///         table += 1;
///     })?;
/// }
/// assert!(once.is_done() && table == 1);
/// # Ok::<(), neap_map::sync::Error>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Once {
    header: Header,
    done: AtomicU32,
    lock: RawLock,
}

const _: () = assert!(size_of::<Once>() == 56);

/// Lets go when the attempt is over, in whatever way.
struct Attempting<'a> {
    once: &'a Once,
    me: Me,
}

impl Drop for Attempting<'_> {
    fn drop(&mut self) {
        // In the child of a fork the attempt is the parent's.
        if self.me.is_current() {
            let done = self.once.done.load(Relaxed) != 0;
            let leave = if done { Leave::InOrder } else { Leave::AsDead };
            // SAFETY: (1) `take` locked it on this thread; no fork came between.
            unsafe { self.once.lock.unlock(self.me, leave) };
        }
    }
}

impl Once {
    /// Whether it was done. What was written before is then visible.
    #[must_use]
    #[inline]
    pub fn is_done(&self) -> bool {
        self.done.load(Acquire) != 0
    }

    /// Runs `attempt` unless one was done. Waits while another runs. If this one panics or dies, the next
    /// caller, or one that waits, runs its own.
    ///
    /// # Errors
    /// [`Error::Deadlock`]: called from its own attempt. [`Error::Forked`]: the attempt forked and this is
    /// the child. [`Error::Unsupported`], [`Error::OutOfMemory`], [`Error::Futex`].
    pub fn call(&self, attempt: impl FnOnce(Attempt)) -> Result<(), Error> {
        self.take(Patience::Endless, attempt)
    }

    /// As [`Once::call`], and waits at most for `timeout` for another's attempt.
    ///
    /// # Errors
    /// As [`Once::call`], and [`Error::TimedOut`].
    pub fn call_for(&self, timeout: Duration, attempt: impl FnOnce(Attempt)) -> Result<(), Error> {
        self.take(Patience::Until(Deadline::after(timeout)), attempt)
    }

    fn take(&self, patience: Patience, attempt: impl FnOnce(Attempt)) -> Result<(), Error> {
        if self.is_done() {
            return Ok(());
        }
        let me = Me::get()?;
        // SAFETY: (1) a Once is only ever made in place.
        let found = unsafe { self.lock.lock(me, patience)? };
        let attempting = Attempting { once: self, me };
        if self.is_done() {
            return Ok(());
        }
        let which = match found {
            Found::InOrder => Attempt::First,
            Found::Dead => Attempt::AfterDeath,
        };
        attempt(which);
        if !attempting.me.is_current() {
            return Err(Error::Forked);
        }
        self.done.store(1, Release);
        Ok(())
    }
}

// SAFETY: (1) atomics. (2) the header is written last, and checked. (3) the lock is held during an attempt.
unsafe impl Placed for Once {
    type Initial = ();

    unsafe fn write(at: NonNull<Self>, (): ()) -> Result<(), Error> {
        let new = Once {
            header: Header::blank(),
            done: AtomicU32::new(0),
            lock: RawLock::new(),
        };
        // SAFETY: the place is aligned, writable and nobody else's (1).
        unsafe {
            at.write(new);
            at.as_ref().header.publish(Tag::Once, size_of::<Self>());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        self.header.check(Tag::Once, size_of::<Self>())
    }

    fn is_held_here(&self) -> bool {
        self.lock.is_held_here()
    }
}
