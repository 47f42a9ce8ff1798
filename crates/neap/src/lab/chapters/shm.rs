//! POSIX and System V shared memory, and memfds.

use super::super::experiment::Experiment;

mod column;
mod lasting;
mod memfd;
pub(super) mod object;
mod place;
mod posix;
mod removal;
mod rights;
mod room;
mod sysv;

pub(super) const ALL: &[&Experiment] = &[
    &posix::CALLS,
    &posix::NAMES,
    &lasting::OUTLIVES,
    &lasting::PERSISTS,
    &lasting::STRANGERS,
    &rights::READ_ONLY,
    &rights::OTHER_USER,
    &room::EMPTY,
    &room::FULL,
    &column::COLUMN,
    &sysv::SEGMENT,
    &sysv::REFUSALS,
    &sysv::TOO_BIG,
    &place::PLACE,
    &removal::REMOVED,
    &removal::OTHER_USER,
    &removal::LOCKED,
    &memfd::NAMELESS,
    &memfd::SEALS,
    &memfd::SOCKET,
];
