//! Proofs by trying: the heap against an oracle, against a kernel that refuses, against many threads.
//!
//! `action` lists what can happen; `oracle` knows what the heap must do and checks all of it after every
//! step, with contents from `cloth` over the kernel of `nudge`. `property` feeds it random actions;
//! `failure` fails every call to the kernel once; `stress` uses real threads; `bugs` keeps every bug
//! found so far, each with the least program that shows it.
//!
//! The fuzzer (`fuzz/`) feeds the same actions to the same oracle, by the feature `fuzzing`.

#[cfg(not(loom))]
mod action;
#[cfg(not(loom))]
mod cloth;
#[cfg(not(loom))]
mod nudge;
#[cfg(not(loom))]
mod oracle;

#[cfg(all(test, not(loom)))]
mod bugs;
#[cfg(all(test, not(loom)))]
mod failure;
#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod property;
#[cfg(all(test, not(loom)))]
mod stress;

#[cfg(not(loom))]
pub use action::Action;
#[cfg(not(loom))]
pub use oracle::{Setup, play};
