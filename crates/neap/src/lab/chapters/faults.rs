//! SIGSEGV and SIGBUS.

use super::super::experiment::Experiment;

mod bus;
mod segv;

pub(super) const ALL: &[&Experiment] = &[
    &segv::CODES,
    &segv::NOT_FOREIGN,
    &bus::PAST_END,
    &bus::LAST_PAGE,
    &bus::POOL,
    &bus::RING,
    &bus::CAUGHT,
];
