//! The experiments, one file for each chapter.

use super::experiment::Experiment;

mod brk;
mod driver;
mod errno;
mod faults;
mod flags;
mod fork;
mod giving_back;
mod huge;
mod kinds;
mod locking;
mod madvise;
mod malloc;
mod msync;
mod munmap;
mod overcommit;
mod protection;
mod shm;

/// Every chapter's, in the order of [`super::experiment::Chapter`].
pub(super) const ALL: &[&[&Experiment]] = &[
    brk::ALL,
    kinds::ALL,
    flags::ALL,
    protection::ALL,
    errno::ALL,
    faults::ALL,
    munmap::ALL,
    msync::ALL,
    madvise::ALL,
    locking::ALL,
    shm::ALL,
    fork::ALL,
    malloc::ALL,
    giving_back::ALL,
    driver::ALL,
    huge::ALL,
    overcommit::ALL,
];
