//! [`Placed`]: objects that exist only in shared memory; [`Shareable`] values; [`Common`] memory.
//!
//! No object is ever a value that could be moved or dropped: a thread's list of what it holds leads to
//! addresses, so the memory of a held lock must stay where it is. Objects are made in place by
//! [`init_at`], found by [`attach`], and both lend references only. Each begins with a header: a tag of kind
//! and version, written last, and its size.
#![allow(unsafe_code)]

use super::error::Error;
use crate::anon::Anon;
use crate::map::Map;
use crate::view::VolatileMut;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use zerocopy::FromBytes;

/// A value that a lock in shared memory may protect.
///
/// Every combination of bytes must be a valid one ([`zerocopy::FromBytes`]), because an owner can be killed
/// in the middle of any change, and because the other process may be another program. This leaves out
/// references, pointers, `bool`, enums and everything that owns memory of one process; integers, floats,
/// atomics, arrays and structures of these (`#[derive(FromBytes)]`, `#[repr(C)]` so that all programs
/// agree) remain. Values are never dropped.
pub trait Shareable: FromBytes + Send + 'static {}

impl<T: FromBytes + Send + 'static> Shareable for T {}

/// What each object begins with.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Header {
    tag: AtomicU32,
    size: AtomicU32,
}

/// The kinds of objects, by the lowest byte of their tags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Tag {
    Mutex = 1,
    Condition,
    RwLock,
    Semaphore,
    Permits,
    Once,
    Barrier,
}

/// "np", then the version of every layout in this module, then the kind.
const fn tag(kind: Tag) -> u32 {
    0x6e70_0100 | kind as u32
}

impl Header {
    /// Of an object that is not finished.
    pub(super) const fn blank() -> Header {
        Header {
            tag: AtomicU32::new(0),
            size: AtomicU32::new(0),
        }
    }

    /// Says that the object, of `size` bytes, is finished.
    pub(super) fn publish(&self, kind: Tag, size: usize) {
        self.size.store(u32::try_from(size).unwrap_or(u32::MAX), Relaxed);
        self.tag.store(tag(kind), Release);
    }

    /// Whether a finished object of that kind and size is here.
    pub(super) fn check(&self, kind: Tag, size: usize) -> Result<(), Error> {
        let found = self.tag.load(Acquire);
        if found == 0 {
            return Err(Error::NotInitialised);
        }
        if found != tag(kind) {
            return Err(Error::WrongKind {
                expected: tag(kind),
                found,
            });
        }
        let expected = u32::try_from(size).unwrap_or(u32::MAX);
        match self.size.load(Relaxed) {
            found if found == expected => Ok(()),
            found => Err(Error::WrongSize { expected, found }),
        }
    }
}

/// An object that lives in memory shared between processes, and only there.
///
/// # Safety
/// 1. Any bytes are a valid `Self`, all of them inside `UnsafeCell`s or atomics, so that a reference to
///    one is sound whatever others write.
/// 2. After [`Placed::write`] said `Ok`, [`Placed::check`] does; it refuses anything that was not made so.
/// 3. [`Placed::is_held_here`] is true while a guard of it exists in this process or was forgotten by a
///    thread that still runs.
pub unsafe trait Placed: Sized + Send + Sync + 'static {
    /// What one is made from.
    type Initial;

    /// Makes one at `at`, as the last step its header.
    ///
    /// # Errors
    /// `initial` is not possible.
    ///
    /// # Safety
    /// 1. `at` is aligned, valid for writes of `Self`, and nobody uses it meanwhile.
    unsafe fn write(at: NonNull<Self>, initial: Self::Initial) -> Result<(), Error>;

    /// Whether one is here.
    ///
    /// # Errors
    /// [`Error::NotInitialised`], [`Error::WrongKind`], [`Error::WrongSize`].
    fn check(&self) -> Result<(), Error>;

    /// Whether this process holds any of it, so that its memory must stay mapped.
    fn is_held_here(&self) -> bool;
}

// SAFETY: (1) to (3) hold for each element, and an array is nothing else.
unsafe impl<O: Placed, const N: usize> Placed for [O; N] {
    type Initial = [O::Initial; N];

    unsafe fn write(at: NonNull<Self>, initial: Self::Initial) -> Result<(), Error> {
        for (i, initial) in initial.into_iter().enumerate() {
            // SAFETY: (1) element `i` of the array, which is the caller's (1).
            unsafe { O::write(at.cast::<O>().add(i), initial)? };
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        self.iter().try_for_each(O::check)
    }

    fn is_held_here(&self) -> bool {
        self.iter().any(O::is_held_here)
    }
}

/// `place` as a place for an `O`.
fn fit<O>(place: NonNull<[u8]>) -> Result<NonNull<O>, Error> {
    let at = place.cast::<O>();
    if place.len() < size_of::<O>() || !at.is_aligned() {
        return Err(Error::Place {
            align: u32::try_from(align_of::<O>()).unwrap_or(u32::MAX),
            size: u32::try_from(size_of::<O>()).unwrap_or(u32::MAX),
        });
    }
    Ok(at)
}

/// Makes an object at `place`. Others may attach it as soon as they can find it: publish the memory later.
///
/// # Errors
/// [`Error::Place`]; what the object says of `initial`.
///
/// # Safety
/// 1. `place` is mapped, readable and writable, for `'a`, and longer if at its end this process holds the
///    object ([`Placed::is_held_here`]): then until it does not.
/// 2. Whoever maps these bytes, in any process, uses them through this module only, in one PID namespace.
///    No one truncates what backs them (a sealed memfd, anonymous memory) and it was allocated.
/// 3. Nobody uses the bytes of `place` before this returns.
/// 4. A child of a raw clone(2) without the C library's fork handlers does not use the object.
pub unsafe fn init_at<'a, O: Placed>(place: NonNull<[u8]>, initial: O::Initial) -> Result<&'a O, Error> {
    let at = fit::<O>(place)?;
    // SAFETY: (write 1) aligned and long enough as just checked, mapped (1), nobody's yet (3). A reference
    // to any bytes is sound (Placed 1), for as long as they are mapped (1) and keep the rules (2).
    unsafe {
        O::write(at, initial)?;
        Ok(at.as_ref())
    }
}

/// Finds the object that some process made at `place`.
///
/// # Errors
/// [`Error::Place`], [`Error::NotInitialised`], [`Error::WrongKind`], [`Error::WrongSize`].
///
/// # Safety
/// 1. As (1), (2) and (4) of [`init_at`].
pub unsafe fn attach<'a, O: Placed>(place: NonNull<[u8]>) -> Result<&'a O, Error> {
    let at = fit::<O>(place)?;
    // SAFETY: aligned, long enough, mapped (1), and any bytes will do (Placed 1).
    let object: &'a O = unsafe { at.as_ref() };
    object.check()?;
    Ok(object)
}

/// An object in anonymous memory that this process has in common with the children of its forks.
///
/// Dropped, it is unmapped from this process, unless this process holds it through a forgotten guard: then it
/// stays mapped for ever.
///
/// ```
/// use neap_map::sync::{Common, Mutex};
/// let counter = Common::<Mutex<u64>>::new(40)?;
/// *counter.lock().unwrap() += 2; // A child of a fork does the same with the same counter.
/// assert_eq!(*counter.lock().unwrap(), 42);
/// # Ok::<(), neap_map::sync::Error>(())
/// ```
pub struct Common<O: Placed> {
    at: NonNull<O>,
    map: Option<Map<VolatileMut>>,
}

// SAFETY: it lends `&O` and nothing else, which threads may share (Placed: Sync); the map is only dropped.
unsafe impl<O: Placed> Send for Common<O> {}
// SAFETY: as above.
unsafe impl<O: Placed> Sync for Common<O> {}

impl<O: Placed> Common<O> {
    /// Maps memory and makes an object in it.
    ///
    /// # Errors
    /// [`Error::Map`]; what the object says of `initial`.
    pub fn new(initial: O::Initial) -> Result<Common<O>, Error> {
        let mut map = Anon::shared(size_of::<O>().max(1))
            .map()
            .map_err(|e| Error::Map(e.kind()))?;
        let first = NonNull::new(map.as_mut_ptr()).ok_or(Error::NotInitialised)?;
        let place = NonNull::slice_from_raw_parts(first, map.len());
        // SAFETY: (1) the map is kept in `self`, whose drop keeps it if the object is held. (2) the memory is
        // anonymous and only this value, and the copies of it in children, know of it. (3) just mapped. (4)
        // whoever clones without the C library has taken that duty (clone(2)).
        let object: &O = unsafe { init_at(place, initial)? };
        Ok(Common {
            at: NonNull::from(object),
            map: Some(map),
        })
    }
}

impl<O: Placed> Deref for Common<O> {
    type Target = O;
    fn deref(&self) -> &O {
        // SAFETY: made by `new`, and mapped until `self` is dropped.
        unsafe { self.at.as_ref() }
    }
}

impl<O: Placed> Drop for Common<O> {
    fn drop(&mut self) {
        if self.is_held_here() {
            std::mem::forget(self.map.take());
        }
    }
}

impl<O: Placed + fmt::Debug> fmt::Debug for Common<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
