//! Memory that a driver hands out: what the note shows with a driver of its own, by drivers that are there.

use super::super::experiment::Experiment;

mod bpf;
mod call;
mod packet;
mod perf;
mod processor;
mod refusal;
mod uring;

pub(super) const ALL: &[&Experiment] = &[
    &bpf::TEN_BYTES,
    &perf::RING,
    &uring::RINGS,
    &packet::RING,
    &processor::PAGE,
    &refusal::NONE,
];
