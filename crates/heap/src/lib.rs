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
//! A module uses only those above it in this list, except that the `impl Heap` modules (`small`,
//! `large`, `check`, `registry`, `helper`, `sweep`, `tide`, `census`, `fork`) share [`heap::Heap`].
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

mod layout;

mod sync;

mod knob;

mod class;

mod block;

mod bits;

mod tally;

mod slab;

mod chunk;

mod window;

mod ground;

mod pages;

mod extent;

mod shelf;

mod pocket;

mod local;

mod stop;

mod direct;

mod options;

mod registry;

mod helper;

mod tide;

mod sweep;

mod small;

mod large;

mod check;

mod census;

mod fork;

mod heap;

mod process;

#[cfg(any(test, feature = "verify"))]
mod verify;

#[cfg(test)]
mod tests;

pub mod global;

pub use census::Census;
pub use global::Neap;
pub use heap::{Heap, REQUEST_MAX};
pub use local::Local;
pub use options::Setting;
pub use process::{finish, guard_credentials, heap, local, start};
#[cfg(any(test, feature = "verify"))]
pub use verify::Verified;
