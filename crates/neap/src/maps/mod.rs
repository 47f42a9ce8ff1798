//! The address space of a process, at one moment or at two: the engine of `neap maps`, `neap snap` and `neap diff`.
//!
//! [`snapshot`] is one process at one moment, read of `/proc` or of a file of `neap snap`; everything else is
//! made of a snapshot, so that what can be said of a live process can be said of a recorded one. [`format`] is
//! the file. [`sums`] and [`groups`] add up, [`picture`] is the pages as cells, [`heap`] is what
//! libneap.so's heap says of itself, [`difference`] is two snapshots.
//!
//! Does not: stop the process it reads (what it says of one that runs is true of each piece only), change it, or
//! print.

pub(crate) mod difference;
pub(crate) mod extended;
pub(crate) mod format;
pub(crate) mod groups;
pub(crate) mod heap;

pub(crate) mod picture;
pub(crate) mod snapshot;
pub(crate) mod sums;
