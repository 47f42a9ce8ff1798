//! Proofs by trying: the heap against an oracle, against a kernel that refuses, against many threads.
//!
//! `oracle` knows what the heap must do and checks all of it after every step; `property` feeds it
//! random actions; `failure` fails every call to the kernel once; `stress` uses real threads;
//! `bugs` keeps every bug found so far, each with the least program that shows it.

mod bugs;
mod failure;
mod nudge;
mod oracle;
mod property;
mod stress;
