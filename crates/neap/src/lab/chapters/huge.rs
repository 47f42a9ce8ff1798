//! Huge pages: transparent ones, which the kernel makes of ordinary memory, and those of the pool.
#![allow(unsafe_code, reason = "experiments make the calls by hand")]

mod reserved;
mod transparent;

use crate::lab::experiment::Experiment;

pub(super) const ALL: &[&Experiment] = &[
    &transparent::BY_HINT,
    &transparent::NOT_BY_HINT,
    &transparent::ALIGNMENT,
    &transparent::BY_COLLAPSE,
    &transparent::SHARED,
    &transparent::SPLIT,
    &reserved::EMPTY_POOL,
    &reserved::TWO_MIB,
    &reserved::ONE_GIB,
    &reserved::ADVICE,
];
