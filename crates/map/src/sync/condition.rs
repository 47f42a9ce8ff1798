//! [`Condition`]: waiting for a value in shared memory to become what one waits for.
//!
//! A word counts notifications; a waiter sleeps while it is what it was when the mutex was let go, so no
//! notification after that is missed. The kernel tells nobody of the death of a thread that was notified
//! and has not looked yet, nor of one that changed the value and was about to notify. Therefore nobody
//! relies on being notified: each waiter comes back and looks again after [`RECHECK`] at the latest.
//! A killed waiter leaves the count of waiters too high, which costs later notifiers a system call.

#![allow(unsafe_code)]

use super::error::{Error, LockError};
use super::lock::{Patience, slept};
use super::mutex::{Mutex, MutexGuard};
use super::placed::{Header, Placed, Shareable, Tag};
use neap_os::futex::{Deadline, wait_shared_until, wake_shared};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

/// How long a waiter sleeps at most before it looks at its value again: what a death costs the others.
pub const RECHECK: Duration = Duration::from_millis(100);

/// What ended a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// A notification, or nothing in particular: look at the value.
    Perhaps,
    /// The time passed. Look at the value all the same.
    TimedOut,
}

/// A place to wait for a change of what a [`Mutex`] protects.
///
/// ```
/// use neap_map::sync::{Common, Condition, Mutex};
/// let (queue, ready) = (Common::<Mutex<u32>>::new(0)?, Common::<Condition>::new(())?);
/// std::thread::scope(|s| {
///     s.spawn(|| {
///         *queue.lock().unwrap() = 7;
///         ready.notify_one();
///     });
///     let mut item = ready.wait_while(queue.lock().unwrap(), |item| *item == 0).unwrap();
///     assert_eq!(std::mem::take(&mut *item), 7);
/// });
/// # Ok::<(), neap_map::sync::Error>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Condition {
    header: Header,
    notified: AtomicU32,
    waiters: AtomicU32,
}

const _: () = assert!(size_of::<Condition>() == 16);

impl Condition {
    /// Lets go of the mutex, waits for a notification, at most [`RECHECK`], and takes the mutex again.
    ///
    /// # Errors
    /// Those of [`Mutex::lock`]: the mutex may have to be recovered.
    pub fn wait<'a, T: Shareable>(&self, guard: MutexGuard<'a, T>) -> Relocked<'a, T> {
        let mutex = self.sleep(guard, Deadline::after(RECHECK))?;
        mutex.take(Patience::Endless)
    }

    /// As [`Condition::wait`], and says when `timeout` has passed; taking the mutex again may take longer.
    ///
    /// # Errors
    /// Those of [`Mutex::lock`].
    pub fn wait_until<'a, T: Shareable>(
        &self,
        guard: MutexGuard<'a, T>,
        until: Deadline,
    ) -> Result<(MutexGuard<'a, T>, Woken), LockError<MutexGuard<'a, T>>> {
        let mutex = self.sleep(guard, Deadline::after(RECHECK).min(until))?;
        let guard = mutex.take(Patience::Endless)?;
        let passed = Deadline::after(Duration::ZERO) >= until;
        Ok((guard, if passed { Woken::TimedOut } else { Woken::Perhaps }))
    }

    /// Waits as long as `unready` says so of the value.
    ///
    /// # Errors
    /// Those of [`Mutex::lock`].
    pub fn wait_while<'a, T: Shareable>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut unready: impl FnMut(&mut T) -> bool,
    ) -> Relocked<'a, T> {
        while unready(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As [`Condition::wait_while`], for `timeout` at most: then the value is as it is.
    ///
    /// ```
    /// use neap_map::sync::{Common, Condition, Mutex, Woken};
    /// use std::time::Duration;
    /// let (door, opened) = (Common::<Mutex<u32>>::new(0)?, Common::<Condition>::new(())?);
    /// let shut = door.lock().unwrap();
    /// let (shut, woken) = opened.wait_while_for(shut, Duration::from_millis(5), |d| *d == 0).unwrap();
    /// assert_eq!((*shut, woken), (0, Woken::TimedOut));
    /// # Ok::<(), neap_map::sync::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Mutex::lock`].
    pub fn wait_while_for<'a, T: Shareable>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut unready: impl FnMut(&mut T) -> bool,
    ) -> Result<(MutexGuard<'a, T>, Woken), LockError<MutexGuard<'a, T>>> {
        let until = Deadline::after(timeout);
        while unready(&mut guard) {
            let (again, woken) = self.wait_until(guard, until)?;
            guard = again;
            if woken == Woken::TimedOut && unready(&mut guard) {
                return Ok((guard, Woken::TimedOut));
            }
        }
        Ok((guard, Woken::Perhaps))
    }

    fn sleep<'a, T: Shareable>(
        &self,
        guard: MutexGuard<'a, T>,
        until: Deadline,
    ) -> Result<&'a Mutex<T>, Error> {
        let mutex = MutexGuard::mutex(&guard);
        // Counted first: a notifier that sees no waiter has changed the word before this reads it.
        self.waiters.fetch_add(1, SeqCst);
        let seen = self.notified.load(SeqCst);
        drop(guard);
        let outcome = slept(wait_shared_until(&self.notified, seen, Some(until)));
        self.waiters.fetch_sub(1, SeqCst);
        match outcome {
            Ok(()) | Err(Error::TimedOut) => Ok(mutex),
            Err(error) => Err(error),
        }
    }

    /// Wakes one waiter. Change the value first, under its mutex.
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Wakes every waiter. Change the value first, under its mutex.
    pub fn notify_all(&self) {
        self.notify(u32::MAX);
    }

    fn notify(&self, count: u32) {
        self.notified.fetch_add(1, SeqCst);
        if self.waiters.load(SeqCst) != 0 {
            wake_shared(&self.notified, count);
        }
    }
}

/// A mutex after a wait.
pub type Relocked<'a, T> = Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;

// SAFETY: (1) atomics. (2) the header is written last, and checked. (3) there is nothing to hold.
unsafe impl Placed for Condition {
    type Initial = ();

    unsafe fn write(at: NonNull<Self>, (): ()) -> Result<(), Error> {
        let new = Condition {
            header: Header::blank(),
            notified: AtomicU32::new(0),
            waiters: AtomicU32::new(0),
        };
        // SAFETY: the place is aligned, writable and nobody else's (1).
        unsafe {
            at.write(new);
            at.as_ref().header.publish(Tag::Condition, size_of::<Self>());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        self.header.check(Tag::Condition, size_of::<Self>())
    }

    fn is_held_here(&self) -> bool {
        false
    }
}
