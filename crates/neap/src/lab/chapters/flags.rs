//! Flags of mmap.

use super::super::experiment::Experiment;

pub(super) mod fill;
mod place;
mod stack;
mod wishes;

pub(super) const ALL: &[&Experiment] = &[
    &place::FIXED,
    &place::NO_REPLACE,
    &place::HINT,
    &place::NAMES,
    &fill::LOCKED,
    &fill::NO_RESERVE,
    &fill::POPULATE,
    &fill::POPULATE_PAST_END,
    &stack::STACK,
    &stack::GROWS,
    &stack::STOPS,
    &stack::REFUSED,
    &wishes::IGNORED,
    &wishes::VALIDATE,
    &wishes::NO_TYPE,
    &wishes::DROPPABLE,
];
