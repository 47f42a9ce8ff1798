//! Proofs by trying: the heap against an oracle, against a kernel that refuses, against many threads.
//!
//! `action` lists what can happen; `oracle` knows what the heap must do and checks all of it after every
//! step, with contents from `cloth` over the kernel of `nudge`. `property` feeds it random actions;
//! `failure` fails every call to the kernel once; `stress` uses real threads; `bugs` keeps every bug
//! found so far, each with the least program that shows it.
//!
//! The fuzzer (`fuzz/`) feeds the same actions to the same oracle, by the feature `fuzzing`.

mod action;
mod cloth;
mod nudge;
mod oracle;

#[cfg(test)]
mod bugs;
#[cfg(test)]
mod failure;
#[cfg(test)]
mod property;
#[cfg(test)]
mod stress;

pub use action::Action;
pub use oracle::{Setup, play};
