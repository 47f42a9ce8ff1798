//! Locked memory: mlock, mlock2, mlockall, and their limits.
#![allow(unsafe_code, reason = "experiments make the calls by hand")]

mod all;
mod limit;
mod range;

use crate::lab::experiment::Experiment;

pub(super) const ALL: &[&Experiment] = &[
    &range::NOW,
    &range::ON_FAULT,
    &range::WHOLE_PAGES,
    &range::NESTING,
    &range::HOLE,
    &range::CHILD,
    &all::CURRENT,
    &all::FUTURE,
    &limit::OF_A_USER,
];
