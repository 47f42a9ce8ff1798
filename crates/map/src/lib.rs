//! neap-map: every mapping call of Linux as safe Rust.
//!
//! Files, anonymous memory, shared memory, devices, rings, windows and growth, without undefined behaviour
//! and without SIGBUS. A [`Map`] says by its type who else can change its bytes; `&[u8]` is lent only where
//! nobody can.
//!
//! It does not:
//! - form a reference to bytes that another process can change, but where the caller says `unsafe`;
//! - replace what is mapped, but its own;
//! - ignore an option: what does not fit does not compile, what the kernel lacks is [`Kind::Unsupported`];
//! - run on anything but 64-bit Linux.
//!
//! The modules are listed bottom-up: each may use those above it.
#![deny(unsafe_code)]
// An error that gives a map or two back is large, and rare.
#![allow(clippy::result_large_err)]

#[cfg(test)]
mod skip;

#[cfg(test)]
mod child;

#[cfg(test)]
mod smaps;

#[cfg(test)]
mod neighbours;

mod operation;

mod error;

mod diagnosis;

pub mod view;

mod area;

mod backing;

mod access;

mod map;

mod stable;

mod volatile;

mod atomic;

mod scan;

pub mod huge;

mod anon;

mod file;

mod advice;

mod process;

mod pages;

mod residency;

pub mod protection;

mod resize;

pub mod lock;

mod flush;

mod seal;

mod name;

pub mod key;

mod stack;

mod allocation;

mod growable;

mod window;

mod ring;

mod unnamed;

mod memfd;

pub mod parcel;

mod secret;

mod shm;

pub mod sync;

pub mod sysv;

mod segment;

mod device;

pub use access::{Means, is_caught, use_means};
pub use advice::{AtFork, Discard, Hint, has_guards};
pub use allocation::Allocation;
mod file_system;

mod file_copy;

pub mod verity;

mod immutable;

mod sealed;

mod snapshot;

mod birth;

mod lease;

mod leased;

pub use anon::{Anon, AnonKind, Droppable, Populate, Private, Shared};
pub use area::Guards;
pub use atomic::Word;
pub use device::{Device, DeviceRequest};
pub use error::{Error, Feature, Kind, Refused};
pub use file::{FileMap, Reading, Writing};
pub use growable::{Arena, Growable, Growth, Room};
pub use leased::Leased;
pub use map::{Map, Pair};
pub use memfd::{Execution, Memfd, MemfdRequest, Sealing, Seals};
pub use neap_os::errno::Errno;
pub use neap_os::sysv::{Mode, Owner};
pub use neap_os::unit::HugePage;
pub use operation::Operation;
pub use pages::{Categories, PageRun, PageState, Where};
pub use process::{Discards, Hints, Process};
pub use residency::{Answer, CacheStat, Residency, try_read_resident};
pub use ring::{Consumer, Producer, Ring, SharedConsumer, SharedProducer, SharedRing};
pub use scan::Cursor;
pub use sealed::Sealed;
pub use secret::Secret;
pub use segment::Segment;
pub use shm::{NewOwner, Origin, Reaped, Shm, ShmRequest, ShmStat};
pub use snapshot::{Snapshot, Taken};
pub use stack::Stack;
pub use window::{Window, WindowStatistics};

/// The examples of the guide, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/mapping.md")]
struct Guide;
