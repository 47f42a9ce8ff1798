//! How the calls refuse.

use super::super::experiment::Experiment;

mod answer;
mod arguments;
mod files;
mod limits;

pub(super) const ALL: &[&Experiment] = &[
    &files::BAD_DESCRIPTOR,
    &files::ACCESS,
    &files::NO_DEVICE,
    &files::FORBIDDEN,
    &files::TEXT_BUSY,
    &arguments::INVALID,
    &arguments::MPROTECT,
    &limits::LOCKED,
    &limits::FILES,
    &limits::MEMORY,
    &limits::AREAS,
];
