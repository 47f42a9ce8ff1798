//! Locks in memory that processes share, which survive the death of any of them.
//!
//! | Type | What a death does |
//! |---|---|
//! | [`Mutex`] | the next owner is told, and recovers the value |
//! | [`RwLock`] | a reader's frees its place; a writer's is told to the next reader or writer |
//! | [`Condition`] | costs the others [`RECHECK`] at most |
//! | [`Semaphore`] | what the dead took stays taken; nobody is left asleep |
//! | [`Permits`] | the permits of the dead come back |
//! | [`Once`] | the next one does it again, and is told |
//! | [`Barrier`] | the others hear that it is broken |
//!
//! All of them are built on robust futexes ([`neap_os::robust`]): the kernel marks what a thread holds when
//! it ends, in whatever way. They are fixed layouts of atomics with a tag in front ([`Placed`]), and exist
//! only in place: in [`Common`] memory, or by [`init_at`] and [`attach`] wherever the caller says.
//!
//! # Rules
//! - All processes are in one PID namespace: owners are thread ids.
//! - Not in signal handlers.
//! - After a fork the child holds nothing; its copies of guards do nothing.
//! - Guards belong to their threads. One that is forgotten is held until its thread ends.

mod error;

mod placed;

mod me;

mod lock;

mod mutex;

mod condition;

mod slots;

mod rwlock;

mod semaphore;

mod permits;

mod once;

mod barrier;

pub use barrier::{Barrier, Seat, Turn};
pub use condition::{Condition, RECHECK, Relocked, Woken};
pub use error::{Condemn, Ending, Error, LockError, OwnerDied};
pub use mutex::{Mutex, MutexGuard};
pub use neap_os::futex::Deadline;
pub use once::{Attempt, Once};
pub use permits::{Permit, Permits};
pub use placed::{Common, Placed, Shareable, attach, init_at};
pub use rwlock::{Read, ReadGuard, RwLock, Write, WriteGuard};
pub use semaphore::Semaphore;
