//! neap-heap: the allocator core.
//!
//! A heap over any [`neap_os::vm::Vm`] that is fast because a thread's frees touch nobody else's cache
//! lines, small because records lie out of band and pages are carved one at a time, and that gives
//! memory back some 25 to 50 ms after it came free. `ARCHITECTURE.md` tells the whole story;
//! each module's doc says what it owns.
//!
//! # What it does not do
//! - Allocate through Rust: there is no `alloc` here.
//! - Print, except one line when a program has broken the heap (`stop`) or set an option wrong.
//! - Know errno, C names, or C++: that is `neap-preload`.
//! - Unwind or panic in a release build: nothing here indexes without a bound that the compiler sees.
//!
//! # Modules, bottom up
//! A module imports only those above it in this list. Up to `heap` they are the parts of a heap; from
//! there on each is an `impl Heap` with one job.
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(test, feature = "fuzzing"))]
extern crate std;

mod layout;

#[cfg(all(test, loom))]
mod model;

mod sync;

mod knob;

mod class;

mod block;

mod bytes;

mod bits;

mod tally;

mod stop;

mod slab;

mod granules;

mod chunk;

mod window;

mod ground;

mod pages;

mod extent;

mod shelf;

mod pocket;

mod outbox;

mod fork;

mod local;

mod direct;

mod options;

mod quarantine;

mod registry;

mod helper;

mod tide;

mod heap;

mod hand;

mod census;

mod check;

mod small;

mod large;

mod sweep;

mod ebb;

mod watch;

mod enrol;

mod forking;

mod request;

mod anatomy;

mod process;

mod stub;

#[cfg(any(test, feature = "verify"))]
mod verify;

#[cfg(any(test, feature = "fuzzing"))]
mod tests;

pub mod fast;

pub mod global;

pub use census::Census;
pub use global::Neap;
pub use heap::{Heap, REQUEST_MAX};
pub use local::Local;
pub use options::Setting;
pub use process::{finish, guard_credentials, heap, local, start};
#[cfg(all(any(test, feature = "fuzzing"), not(loom)))]
pub use tests::{Action, Setup, play};
#[cfg(any(test, feature = "verify"))]
pub use verify::Verified;
