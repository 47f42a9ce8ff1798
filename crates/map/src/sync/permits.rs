//! [`Permits`]: a fixed number of permits that come back when their holders die.
//!
//! A permit is a place in a table of robust words. At most one thread sleeps on the table, on all of it
//! at once (futex_waitv(2), Linux 5.16; before that it looks again every 10 ms); the others wait for a
//! robust lock that it holds, so that its death lets the next one in.
#![allow(unsafe_code)]

use super::error::{Error, Leave};
use super::lock::{Patience, RawLock};
use super::me::Me;
use super::placed::{Header, Placed, Tag};
use super::slots::{Dead, Place, Slots, State, Want};
use neap_os::futex::Deadline;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::time::Duration;

/// `N` (1 to 127) permits; one that is held by a thread that ends is free again.
///
/// ```
/// use neap_map::sync::{Common, Error, Permits};
/// let scanners = Common::<Permits<2>>::new(())?;
/// let (one, other) = (scanners.acquire()?, scanners.acquire()?);
/// assert_eq!(scanners.try_acquire().unwrap_err(), Error::WouldBlock);
/// drop(one); // Or its process is killed.
/// assert_eq!(scanners.free(), 1);
/// # drop(other);
/// # Ok::<(), Error>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Permits<const N: usize> {
    header: Header,
    turnstile: RawLock,
    places: Slots<N>,
}

const _: () = assert!(size_of::<Permits<2>>() == 192);

impl<const N: usize> Permits<N> {
    /// How many could be had at this moment.
    #[must_use]
    pub fn free(&self) -> usize {
        self.places
            .states()
            .filter(|(state, _)| *state != State::Held)
            .count()
    }

    /// Takes one, and waits while there is none. A thread that holds all of them waits for ever.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::OutOfMemory`], [`Error::Futex`].
    pub fn acquire(&self) -> Result<Permit<'_, N>, Error> {
        self.take(Patience::Endless)
    }

    /// Takes one if there is one.
    ///
    /// # Errors
    /// As [`Permits::acquire`], and [`Error::WouldBlock`].
    pub fn try_acquire(&self) -> Result<Permit<'_, N>, Error> {
        self.take(Patience::None)
    }

    /// Takes one, and waits at most for `timeout`.
    ///
    /// # Errors
    /// As [`Permits::acquire`], and [`Error::TimedOut`].
    pub fn acquire_for(&self, timeout: Duration) -> Result<Permit<'_, N>, Error> {
        self.take(Patience::Until(Deadline::after(timeout)))
    }

    fn claim(&self, me: Me) -> Option<Permit<'_, N>> {
        // SAFETY: (1) Permits are only ever made in place.
        let place = unsafe { self.places.claim(me, Dead::Reusable) };
        place.map(|place| Permit {
            of: self,
            place,
            thread: PhantomData,
        })
    }

    fn take(&self, patience: Patience) -> Result<Permit<'_, N>, Error> {
        let me = Me::get()?;
        if let Some(permit) = self.claim(me) {
            return Ok(permit);
        }
        if patience == Patience::None {
            return Err(Error::WouldBlock);
        }
        // Whoever died here held nothing but the right to sleep.
        // SAFETY: (1) Permits are only ever made in place.
        let _ = unsafe { self.turnstile.lock(me, patience)? };
        let outcome = loop {
            if let Some(permit) = self.claim(me) {
                break Ok(permit);
            }
            if let Err(error) = self.places.sleep(Want::Free, patience.deadline()) {
                break Err(error);
            }
        };
        self.places.unmark();
        // SAFETY: (1) locked above.
        unsafe { self.turnstile.unlock(me, Leave::InOrder) };
        outcome
    }
}

// SAFETY: (1) atomics. (2) the header is written last, and checked. (3) a permit's place holds its thread.
unsafe impl<const N: usize> Placed for Permits<N> {
    type Initial = ();

    unsafe fn write(at: NonNull<Self>, (): ()) -> Result<(), Error> {
        let new = Permits {
            header: Header::blank(),
            turnstile: RawLock::new(),
            places: Slots::new(),
        };
        // SAFETY: the place is aligned, writable and nobody else's (1).
        unsafe {
            at.write(new);
            at.as_ref().header.publish(Tag::Permits, size_of::<Self>());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        self.header.check(Tag::Permits, size_of::<Self>())
    }

    fn is_held_here(&self) -> bool {
        self.turnstile.is_held_here() || self.places.is_any_held_here()
    }
}

/// One of [`Permits`]. It comes back when it is dropped or its thread ends. Neither Send nor Sync.
#[derive(Debug)]
#[must_use = "dropped at once it permits nothing"]
pub struct Permit<'a, const N: usize> {
    of: &'a Permits<N>,
    place: Place,
    /// It stays on the thread whose list it is in.
    thread: PhantomData<*const ()>,
}

impl<const N: usize> Drop for Permit<'_, N> {
    fn drop(&mut self) {
        // In the child of a fork the place is still the parent's.
        if let Some(me) = self.of.places.owner(self.place) {
            // SAFETY: (1) claimed for this permit, which never leaves the thread; no fork came between, as
            // the word holds this thread's id.
            unsafe { self.of.places.release(me, self.place) };
        }
    }
}
