//! [`Mutex`]: a value in shared memory, for one owner at a time, whose death is told to the next.
//!
//! Uncontended it is one compare-and-swap each way and no system call. Contended it sleeps on a futex. A
//! guard belongs to its thread. After a fork the child's copy of a guard is nothing: its drop does nothing,
//! and the value must not be touched through it, because the parent goes on holding the lock. Not to be
//! used in a signal handler. For kernels since 5.5, and the stable ones of November 2019: older ones may
//! leave a sleeper behind when another is killed as it is being woken.
//!
//! One thread can hold 2048 robust locks (ROBUST_LIST_LIMIT), the C library's included, and be told of. A
//! thread other than the main one that calls exec while it holds a lock ends under another thread id: its
//! death is then not told.
#![allow(unsafe_code)]

use super::error::{Condemn, Ending, Error, LockError, OwnerDied, sealed};
use super::lock::{Found, Patience, RawLock};
use super::me::Me;
use super::placed::{Header, Placed, Shareable, Tag};
use neap_os::futex::Deadline;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::time::Duration;

/// A value for one owner at a time, in memory that processes share.
///
/// A kill finds the owner between any two instructions. So that the next one can tell what was done, write a
/// journal into the value: what was there before, then a mark, then the change, then no mark. The compiler
/// keeps that order for volatile stores (`write_volatile`), or with a `compiler_fence` between the steps.
///
/// ```
/// use neap_map::sync::{Common, LockError, Mutex};
/// let pair = Common::<Mutex<[u64; 2]>>::new([0, 0])?;
/// let both_changed = match pair.lock() {
///     Ok(mut pair) => {
///         *pair = [1, 1];
///         true
///     }
///     // Whoever held it was killed: one may be changed and the other not.
///     Err(LockError::OwnerDied(mut pair)) => {
///         pair[1] = pair[0];
///         drop(pair.recover());
///         false
///     }
///     Err(LockError::Failed(error)) => return Err(error),
/// };
/// assert!(both_changed);
/// # Ok::<(), neap_map::sync::Error>(())
/// ```
#[repr(C)]
pub struct Mutex<T> {
    header: Header,
    lock: RawLock,
    value: UnsafeCell<T>,
}

const _: () = {
    assert!(std::mem::offset_of!(Mutex<u64>, lock) == 8);
    assert!(std::mem::offset_of!(Mutex<u64>, value) == 48);
    assert!(size_of::<Mutex<u64>>() == 56);
};

// SAFETY: the lock gives the value to one thread at a time, and values may go from thread to thread.
unsafe impl<T: Shareable> Sync for Mutex<T> {}

// SAFETY: (1) atomics, and a value for which any bytes will do (Shareable), in an UnsafeCell. (2) the
// header is written last, and checked. (3) the lock's word holds the guard's thread.
unsafe impl<T: Shareable> Placed for Mutex<T> {
    type Initial = T;

    unsafe fn write(at: NonNull<Self>, value: T) -> Result<(), Error> {
        let new = Mutex {
            header: Header::blank(),
            lock: RawLock::new(),
            value: UnsafeCell::new(value),
        };
        // SAFETY: the place is aligned, writable and nobody else's (1).
        unsafe {
            at.write(new);
            at.as_ref().header.publish(Tag::Mutex, size_of::<Self>());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        self.header.check(Tag::Mutex, size_of::<Self>())
    }

    fn is_held_here(&self) -> bool {
        self.lock.is_held_here()
    }
}

impl<T: Shareable> Mutex<T> {
    /// Waits until nobody else holds it, and takes it.
    ///
    /// # Errors
    /// - [`LockError::OwnerDied`]: it is held; the last owner ended, or panicked, while holding it.
    /// - [`Error::Deadlock`]: this thread holds it.
    /// - [`Error::NotRecoverable`]: an owner died and nobody recovered the value.
    /// - [`Error::Unsupported`], [`Error::OutOfMemory`]: this thread's first use of a lock failed.
    /// - [`Error::Futex`].
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.take(Patience::Endless)
    }

    /// Takes it if nobody holds it.
    ///
    /// ```
    /// use neap_map::sync::{Common, Error, Mutex};
    /// let mutex = Common::<Mutex<u32>>::new(0)?;
    /// let guard = mutex.try_lock().unwrap();
    /// let other = std::thread::scope(|s| s.spawn(|| mutex.try_lock().unwrap_err().failure()).join());
    /// assert_eq!(other.unwrap(), Some(Error::WouldBlock));
    /// # drop(guard);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Mutex::lock`], and [`Error::WouldBlock`].
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.take(Patience::None)
    }

    /// Waits at most for `timeout`. One that is free is taken whatever the time.
    ///
    /// # Errors
    /// As [`Mutex::lock`], and [`Error::TimedOut`].
    pub fn lock_for(&self, timeout: Duration) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.take(Patience::Until(Deadline::after(timeout)))
    }

    #[inline]
    pub(super) fn take(&self, patience: Patience) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        let me = Me::get()?;
        // SAFETY: (1) a Mutex is only ever made in place.
        let found = unsafe { self.lock.lock(me, patience)? };
        let guard = MutexGuard {
            mutex: self,
            ending: Ending::of_this_thread(),
            thread: PhantomData,
        };
        match found {
            Found::InOrder => Ok(guard),
            Found::Dead => Err(LockError::OwnerDied(OwnerDied::of(guard))),
        }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

/// The right to the value of a [`Mutex`]. Dropped, it lets go; dropped while its thread panics, it leaves
/// word for the next owner as if this one had died. Neither Send nor Sync.
#[must_use = "dropped at once it protects nothing"]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    ending: Ending,
    /// It stays on the thread whose list it is in.
    thread: PhantomData<*const ()>,
}

impl<'a, T> MutexGuard<'a, T> {
    /// The mutex that it holds.
    #[must_use]
    pub fn mutex(guard: &Self) -> &'a Mutex<T> {
        guard.mutex
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread owns the lock, so nobody changes the value (init_at 2).
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // In the child of a fork the lock is still the parent's.
        let Some(me) = self.mutex.lock.owner() else { return };
        let leave = self.ending.leave();
        // SAFETY: (1) `take` locked it for this guard, which never leaves the thread; no fork came between,
        // as the word holds this thread's id.
        unsafe { self.mutex.lock.unlock(me, leave) };
    }
}

impl<T> sealed::Sealed for MutexGuard<'_, T> {}
impl<T> Condemn for MutexGuard<'_, T> {
    fn set_ending(&mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
