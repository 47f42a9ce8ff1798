//! [`RwLock`]: a value in shared memory for many readers or one writer.
//!
//! A writer owns a robust lock, and then waits until every reader's place was empty once. A reader takes
//! a place, a robust word of its own, and then looks whether there is a writer; if so it gives the place
//! back and waits for the writer's lock. Either the writer sees the reader or the reader sees the writer:
//! both orders are sequentially consistent. So the death of a reader frees its place, and that of a
//! writer is told to whoever comes next, reader or writer, because somebody must put the value in order.
//! A writer that died before it had the value to itself, or while it waited, is not worth telling.
#![allow(unsafe_code)]

use super::error::{Condemn, Ending, Error, Leave, LockError, OwnerDied, sealed};
use super::lock::{Found, Patience, RawLock};
use super::me::Me;
use super::placed::{Header, Placed, Shareable, Tag};
use super::slots::{Dead, Place, Slots};
use neap_os::futex::Deadline;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst, compiler_fence, fence};
use std::time::Duration;

/// A value for many readers or one writer, in memory that processes share. Writers go first.
///
/// At most `READERS` (1 to 127) threads read at once; one more is [`Error::TooManyReaders`], as may be, for
/// a moment, one of many that arrive together. Each place takes 64 bytes.
///
/// ```
/// use neap_map::sync::{Common, RwLock};
/// let route = Common::<RwLock<[u32; 2]>>::new([1, 2])?;
/// {
///     let (one, other) = (route.read().unwrap(), route.read().unwrap());
///     assert_eq!(one[0] + other[1], 3);
/// }
/// route.write().unwrap()[1] = 5;
/// assert_eq!(*route.read().unwrap(), [1, 5]);
/// # Ok::<(), neap_map::sync::Error>(())
/// ```
#[repr(C)]
pub struct RwLock<T, const READERS: usize = 32> {
    header: Header,
    /// Its note is [`WRITING`] while the value may be half changed.
    writer: RawLock,
    readers: Slots<READERS>,
    value: UnsafeCell<T>,
}

const WRITING: u32 = 1;

const _: () = {
    assert!(std::mem::offset_of!(RwLock<u64, 2>, readers) == 64);
    assert!(std::mem::offset_of!(RwLock<u64, 2>, value) == 192);
};

// SAFETY: readers share the value, so it must be Sync; a writer has it alone, so it must be Send.
unsafe impl<T: Shareable + Sync, const READERS: usize> Sync for RwLock<T, READERS> {}

// SAFETY: (1) atomics, and a value for which any bytes will do (Shareable), in an UnsafeCell. (2) the
// header is written last, and checked. (3) the writer's word or a place holds the guard's thread.
unsafe impl<T: Shareable + Sync, const READERS: usize> Placed for RwLock<T, READERS> {
    type Initial = T;

    unsafe fn write(at: NonNull<Self>, value: T) -> Result<(), Error> {
        let new = RwLock {
            header: Header::blank(),
            writer: RawLock::new(),
            readers: Slots::new(),
            value: UnsafeCell::new(value),
        };
        // SAFETY: the place is aligned, writable and nobody else's (1).
        unsafe {
            at.write(new);
            at.as_ref().header.publish(Tag::RwLock, size_of::<Self>());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        self.header.check(Tag::RwLock, size_of::<Self>())
    }

    fn is_held_here(&self) -> bool {
        self.writer.is_held_here() || self.readers.is_any_held_here()
    }
}

/// A guard for reading, or why there is none: a reader, too, may have to recover the value.
pub type Read<'a, T, const READERS: usize> =
    Result<ReadGuard<'a, T, READERS>, LockError<WriteGuard<'a, T, READERS>>>;
/// A guard for writing, or why there is none.
pub type Write<'a, T, const READERS: usize> =
    Result<WriteGuard<'a, T, READERS>, LockError<WriteGuard<'a, T, READERS>>>;

impl<T: Shareable + Sync, const READERS: usize> RwLock<T, READERS> {
    /// Waits until there is no writer, and reads.
    ///
    /// # Errors
    /// - [`LockError::OwnerDied`]: a writer ended while writing. The caller holds the lock for writing, to
    ///   put the value in order; then it lets go and reads.
    /// - [`Error::Deadlock`]: this thread writes, or reads already while a writer may be waiting for it.
    /// - [`Error::TooManyReaders`], [`Error::NotRecoverable`].
    /// - [`Error::Unsupported`], [`Error::OutOfMemory`], [`Error::Futex`].
    #[inline]
    pub fn read(&self) -> Read<'_, T, READERS> {
        self.take_for_reading(Patience::Endless)
    }

    /// Reads if there is no writer, nor one that waits.
    ///
    /// # Errors
    /// As [`RwLock::read`], and [`Error::WouldBlock`].
    pub fn try_read(&self) -> Read<'_, T, READERS> {
        self.take_for_reading(Patience::None)
    }

    /// Waits at most for `timeout`.
    ///
    /// # Errors
    /// As [`RwLock::read`], and [`Error::TimedOut`].
    pub fn read_for(&self, timeout: Duration) -> Read<'_, T, READERS> {
        self.take_for_reading(Patience::Until(Deadline::after(timeout)))
    }

    /// Waits until nobody else reads or writes, and writes.
    ///
    /// # Errors
    /// - [`LockError::OwnerDied`]: it is held; a writer ended, or panicked, while writing.
    /// - [`Error::Deadlock`]: this thread reads or writes already.
    /// - [`Error::NotRecoverable`], [`Error::Unsupported`], [`Error::OutOfMemory`], [`Error::Futex`].
    pub fn write(&self) -> Write<'_, T, READERS> {
        self.take_for_writing(Patience::Endless)
    }

    /// Writes if nobody reads or writes.
    ///
    /// # Errors
    /// As [`RwLock::write`], and [`Error::WouldBlock`].
    pub fn try_write(&self) -> Write<'_, T, READERS> {
        self.take_for_writing(Patience::None)
    }

    /// Waits at most for `timeout`. Meanwhile no new reader is let in.
    ///
    /// # Errors
    /// As [`RwLock::write`], and [`Error::TimedOut`].
    pub fn write_for(&self, timeout: Duration) -> Write<'_, T, READERS> {
        self.take_for_writing(Patience::Until(Deadline::after(timeout)))
    }

    #[inline]
    fn take_for_reading(&self, patience: Patience) -> Read<'_, T, READERS> {
        let me = Me::get()?;
        if self.writer.is_idle() {
            let guard = self.enter(me)?;
            if self.writer.is_idle() {
                return Ok(guard);
            }
        }
        self.queue_for_reading(me, patience)
    }

    /// A guard for a reader's place. It gives no right before it is known that there is no writer.
    #[inline]
    fn enter(&self, me: Me) -> Result<ReadGuard<'_, T, READERS>, Error> {
        // SAFETY: (1) an RwLock is only ever made in place.
        let place = unsafe { self.readers.claim(me, Dead::Reusable) };
        place
            .map(|place| ReadGuard {
                lock: self,
                place,
                thread: PhantomData,
            })
            .ok_or(Error::TooManyReaders)
    }

    #[cold]
    fn queue_for_reading(&self, me: Me, patience: Patience) -> Read<'_, T, READERS> {
        if self.readers.holds(me) {
            return Err(Error::Deadlock.into());
        }
        if self.lock_writer(me, patience)? == Found::Dead {
            return self
                .take_from_the_dead(me, patience)
                .and_then(|died| Err(LockError::OwnerDied(died)));
        }
        let guard = self.enter(me);
        // SAFETY: (1) locked above.
        unsafe { self.writer.unlock(me, Leave::InOrder) };
        Ok(guard?)
    }

    /// Takes the writer's lock, and says whether its last owner may have left the value half changed.
    fn lock_writer(&self, me: Me, patience: Patience) -> Result<Found, Error> {
        // SAFETY: (1) an RwLock is only ever made in place.
        let found = unsafe { self.writer.lock(me, patience)? };
        let dirty = found == Found::Dead && self.writer.note().load(Relaxed) == WRITING;
        Ok(if dirty { Found::Dead } else { Found::InOrder })
    }

    fn take_for_writing(&self, patience: Patience) -> Write<'_, T, READERS> {
        let me = Me::get()?;
        if self.lock_writer(me, patience)? == Found::Dead {
            return self
                .take_from_the_dead(me, patience)
                .and_then(|died| Err(LockError::OwnerDied(died)));
        }
        Ok(self.alone(me, patience, Leave::InOrder)?)
    }

    /// Makes the owner of the writer's lock a writer whose predecessor died.
    fn take_from_the_dead<'a>(
        &'a self,
        me: Me,
        patience: Patience,
    ) -> Result<OwnerDied<WriteGuard<'a, T, READERS>>, LockError<WriteGuard<'a, T, READERS>>> {
        Ok(OwnerDied::of(self.alone(me, patience, Leave::AsDead)?))
    }

    /// Waits until the owner of the writer's lock is alone. If that fails, leaves the lock as `otherwise`.
    fn alone(
        &self,
        me: Me,
        patience: Patience,
        otherwise: Leave,
    ) -> Result<WriteGuard<'_, T, READERS>, Error> {
        // Between taking the lock and looking at the readers; theirs is between the place and the lock.
        fence(SeqCst);
        if let Err(error) = self.readers.drain(me, patience) {
            // SAFETY: (1) `lock_writer` took it for `me`, just before.
            unsafe { self.writer.unlock(me, otherwise) };
            return Err(error);
        }
        self.writer.note().store(WRITING, Relaxed);
        // A kill finds a thread between two instructions: only the compiler could reorder this.
        compiler_fence(SeqCst);
        Ok(WriteGuard {
            lock: self,
            ending: Ending::of_this_thread(),
            thread: PhantomData,
        })
    }
}

impl<T, const READERS: usize> fmt::Debug for RwLock<T, READERS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock")
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}

/// The right to read the value of an [`RwLock`]. Neither Send nor Sync.
#[must_use = "dropped at once it protects nothing"]
pub struct ReadGuard<'a, T, const READERS: usize> {
    lock: &'a RwLock<T, READERS>,
    place: Place,
    /// It stays on the thread whose list it is in.
    thread: PhantomData<*const ()>,
}

impl<T, const READERS: usize> Deref for ReadGuard<'_, T, READERS> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread has a place among the readers and saw no writer, so none writes now.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T, const READERS: usize> Drop for ReadGuard<'_, T, READERS> {
    #[inline]
    fn drop(&mut self) {
        // In the child of a fork the place is still the parent's.
        if let Some(me) = self.lock.readers.owner(self.place) {
            // SAFETY: (1) `enter` claimed it for this guard, which never leaves the thread; no fork since,
            // as the word holds this thread's id.
            unsafe { self.lock.readers.release(me, self.place) };
        }
    }
}

impl<T: fmt::Debug, const READERS: usize> fmt::Debug for ReadGuard<'_, T, READERS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The right to change the value of an [`RwLock`]. As a [`super::MutexGuard`] it leaves word when its thread
/// panics. Neither Send nor Sync.
#[must_use = "dropped at once it protects nothing"]
pub struct WriteGuard<'a, T, const READERS: usize> {
    lock: &'a RwLock<T, READERS>,
    ending: Ending,
    /// It stays on the thread whose list it is in.
    thread: PhantomData<*const ()>,
}

impl<T, const READERS: usize> Deref for WriteGuard<'_, T, READERS> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread owns the writer's lock, and no reader is left.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T, const READERS: usize> DerefMut for WriteGuard<'_, T, READERS> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T, const READERS: usize> Drop for WriteGuard<'_, T, READERS> {
    fn drop(&mut self) {
        // In the child of a fork the lock is still the parent's.
        let Some(me) = self.lock.writer.owner() else {
            return;
        };
        let leave = self.ending.leave();
        if leave == Leave::InOrder {
            compiler_fence(SeqCst);
            self.lock.writer.note().store(0, Relaxed);
        }
        // SAFETY: (1) `lock_writer` took it for this guard, which never leaves the thread; no fork since, as
        // the word holds this thread's id.
        unsafe { self.lock.writer.unlock(me, leave) };
    }
}

impl<T, const READERS: usize> sealed::Sealed for WriteGuard<'_, T, READERS> {}
impl<T, const READERS: usize> Condemn for WriteGuard<'_, T, READERS> {
    fn set_ending(&mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl<T: fmt::Debug, const READERS: usize> fmt::Debug for WriteGuard<'_, T, READERS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
