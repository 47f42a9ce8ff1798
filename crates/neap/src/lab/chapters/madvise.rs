//! madvise, value by value, each with the proof that it did something.
//!
//! By what the advice is about: [`readahead`], [`dontneed`], [`free`], [`remove`], [`fork`], [`merge`],
//! [`dump`], [`reclaim`], [`populate`], [`guard`], [`poison`]; [`process`] gives several ranges at once,
//! [`refusal`] shows the errors that all have in common. HUGEPAGE, NOHUGEPAGE and COLLAPSE are in the chapter
//! on huge pages.
#![allow(unsafe_code, reason = "experiments make the calls by hand")]

mod dontneed;
mod dump;
mod fork;
mod free;
mod guard;
mod merge;
mod poison;
mod populate;
mod process;
mod readahead;
mod reclaim;
mod refusal;
mod remove;

use crate::lab::experiment::Experiment;

pub(super) const ALL: &[&Experiment] = &[
    &readahead::AROUND_A_FAULT,
    &readahead::WILL_NEED,
    &dontneed::ANONYMOUS,
    &dontneed::PRIVATE_FILE,
    &dontneed::SHARED,
    &dontneed::LOCKED,
    &free::LAZILY,
    &remove::OF_A_FILE,
    &remove::OF_SHARED_MEMORY,
    &remove::WRONG_MEMORY,
    &fork::DONT_FORK,
    &fork::WIPE_ON_FORK,
    &merge::MARKED,
    &merge::MERGED,
    &dump::MARKED,
    &dump::LEFT_OUT,
    &reclaim::COLD,
    &reclaim::FILE_OUT,
    &reclaim::WITHOUT_SWAP,
    &reclaim::TO_SWAP,
    &populate::ANONYMOUS,
    &populate::OF_A_FILE,
    &populate::REFUSED,
    &guard::PAGE,
    &guard::AND_CHILDREN,
    &poison::NEEDS_PRIVILEGE,
    &process::ONESELF,
    &refusal::ARGUMENTS,
    &refusal::HOLE,
    &refusal::LOCKED,
    &refusal::SEALED,
    &refusal::MAP_LIMIT,
];
