//! [`Error`]: what can go wrong with a lock in shared memory; [`LockError`] and [`OwnerDied`].

use crate::error::Kind;
use neap_os::errno::Errno;
use neap_os::robust::NoList;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::thread::panicking;

/// What an operation on shared memory's locks failed of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// It would have to wait, and was told not to.
    WouldBlock,
    /// The time passed.
    TimedOut,
    /// This thread holds what it asks for, so it would wait for itself for ever.
    Deadlock,
    /// An owner died, and whoever was told let go without recovering the value: it stays unusable.
    NotRecoverable,
    /// All the places for readers are taken.
    TooManyReaders,
    /// All the seats of a barrier are taken.
    NoSeat,
    /// A participant of the barrier died, or gave up waiting: the others cannot be all there.
    Broken,
    /// The semaphore's count would pass its limit.
    Overflow,
    /// What was taken before a fork is not the child's.
    Forked,
    /// The place is not aligned to the object, or too short for it.
    Place {
        /// What it must be a multiple of, in bytes.
        align: u32,
        /// How long it must be, in bytes.
        size: u32,
    },
    /// There is no object, or it is not finished: its header is zero.
    NotInitialised,
    /// There is something else, or one of another version of this crate.
    WrongKind {
        /// The tag of the header that should be there.
        expected: u32,
        /// The tag that is.
        found: u32,
    },
    /// There is such an object, of another size: its value's type is not the same on both sides.
    WrongSize {
        /// The size in bytes that it has here.
        expected: u32,
        /// The size in bytes that it was made with.
        found: u32,
    },
    /// This thread has no robust list that locks could be added to.
    Unsupported(NoList),
    /// futex(2) failed as it never should: a sandbox, or memory that is gone.
    Futex(Errno),
    /// The C library had no memory for the handlers of fork.
    OutOfMemory,
    /// There is no memory for the object, for this reason.
    Map(Kind),
}

// It travels in every result, so it is small.
const _: () = assert!(size_of::<Error>() <= 16);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::WouldBlock => f.write_str("somebody else holds it: wait, or try again"),
            Error::TimedOut => f.write_str("the time passed: wait longer"),
            Error::Deadlock => f.write_str("this thread holds it already: let go of it first"),
            Error::NotRecoverable => f.write_str(
                "an owner died and the value was not recovered: make a new object and tell the others",
            ),
            Error::TooManyReaders => {
                f.write_str("all the places for readers are taken: try again, or make the lock with more")
            }
            Error::NoSeat => f.write_str("all seats are taken: make the barrier with more"),
            Error::Broken => f.write_str("a participant died or gave up: recover the barrier when all know"),
            Error::Overflow => f.write_str("the count would pass its limit: release only what was acquired"),
            Error::Forked => f.write_str("it was taken before a fork, by the parent: take it in the child"),
            Error::Place { align, size } => {
                write!(f, "the place must be {size} bytes long and aligned to {align}")
            }
            Error::NotInitialised => f.write_str("nothing was made there yet: wait until it is published"),
            Error::WrongKind { expected, found } => write!(
                f,
                "there is something else (tag {found:#010x}, not {expected:#010x}): attach the same type"
            ),
            Error::WrongSize { expected, found } => write!(
                f,
                "its size is {found} bytes there and {expected} here: use one type of value on both sides"
            ),
            Error::Unsupported(list) => write!(f, "no robust locks on this thread: {list}"),
            Error::Futex(errno) => write!(
                f,
                "futex(2) failed: {errno}: allow it, and keep the memory mapped"
            ),
            Error::OutOfMemory => f.write_str("no memory for the handlers of fork: free some"),
            Error::Map(kind) => write!(f, "no memory for the object: {}: {}", kind.wrong(), kind.mend()),
        }
    }
}

impl std::error::Error for Error {}

/// Why there is no lock, or none without a duty.
///
/// A lock that comes in [`LockError::OwnerDied`] is held: what was protected by it is to be put in order
/// before anything else.
#[must_use = "an OwnerDied that is dropped makes the object unusable for good"]
pub enum LockError<G: Condemn> {
    /// It is held now, and its last owner ended while holding it.
    OwnerDied(OwnerDied<G>),
    /// It is not held.
    Failed(Error),
}

impl<G: Condemn> LockError<G> {
    /// The failure, or `None` if the lock is held.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        match self {
            LockError::OwnerDied(_) => None,
            LockError::Failed(error) => Some(*error),
        }
    }
}

impl<G: Condemn> From<Error> for LockError<G> {
    fn from(error: Error) -> LockError<G> {
        LockError::Failed(error)
    }
}

impl<G: Condemn> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(_) => f.write_str("the last owner died: put the value in order and recover"),
            LockError::Failed(error) => error.fmt(f),
        }
    }
}

impl<G: Condemn> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(_) => f.write_str("OwnerDied"),
            LockError::Failed(error) => write!(f, "Failed({error:?})"),
        }
    }
}

impl<G: Condemn> std::error::Error for LockError<G> {}

/// A guard whose last owner died: the value may be half changed.
///
/// Look at the value through it, put it in order, then call [`OwnerDied::recover`]. Dropped without that
/// it makes the object unusable: every later lock, in any process, is [`Error::NotRecoverable`]. If this
/// owner dies in turn, or panics, the next one is told in the same way.
#[must_use = "dropped without `recover` it makes the object unusable for good"]
pub struct OwnerDied<G: Condemn> {
    guard: G,
}

impl<G: Condemn> OwnerDied<G> {
    /// `guard`, to be condemned when it is dropped.
    pub(super) fn of(mut guard: G) -> OwnerDied<G> {
        guard.set_ending(Ending::Condemned);
        OwnerDied { guard }
    }

    /// Says that the value is in order. From now on the lock is as any other.
    pub fn recover(mut self) -> G {
        self.guard.set_ending(Ending::of_this_thread());
        self.guard
    }
}

impl<G: Condemn> Deref for OwnerDied<G> {
    type Target = G;
    fn deref(&self) -> &G {
        &self.guard
    }
}

impl<G: Condemn> DerefMut for OwnerDied<G> {
    fn deref_mut(&mut self) -> &mut G {
        &mut self.guard
    }
}

/// What a guard does when it is dropped. One word, so that guards are two registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
#[doc(hidden)]
pub enum Ending {
    /// It lets go; if its thread began to panic meanwhile, as if it had died.
    Ordinary,
    /// It lets go: its thread was panicking when it locked.
    Unwinding,
    /// It leaves an unusable object behind; if its thread began to panic, as if it had died.
    Condemned,
}

impl Ending {
    /// That of a value in order.
    #[inline]
    pub(super) fn of_this_thread() -> Ending {
        if panicking() {
            Ending::Unwinding
        } else {
            Ending::Ordinary
        }
    }

    /// How the lock is to be left now.
    #[inline]
    pub(super) fn leave(self) -> Leave {
        match (self, panicking()) {
            (Ending::Ordinary, false) | (Ending::Unwinding, _) => Leave::InOrder,
            (Ending::Ordinary | Ending::Condemned, true) => Leave::AsDead,
            (Ending::Condemned, false) => Leave::Condemned,
        }
    }
}

/// How an owner leaves the value behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leave {
    /// In order.
    InOrder,
    /// As if it had died here.
    AsDead,
    /// Unusable for good.
    Condemned,
}

/// A guard whose ending can be set.
#[doc(hidden)]
pub trait Condemn: sealed::Sealed {
    /// Sets it.
    fn set_ending(&mut self, ending: Ending);
}

pub(super) mod sealed {
    pub trait Sealed {}
}
