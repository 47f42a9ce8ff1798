//! Objects that processes share, with the processes: each test that needs one of its own forks or starts it.
#![deny(unsafe_code)]

mod child;
mod device;
mod memfd;
mod parcel;
mod secret;
mod segment;
mod shm;
#[path = "../../src/skip.rs"]
mod skip;
mod sysv;
