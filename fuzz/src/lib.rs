//! What the fuzzer runs, as functions of bytes: each panics when what it tries breaks a promise.
//!
//! The searching programs in `targets/` are these functions under libFuzzer; `tests/corpus.rs` calls them
//! with every file of `corpus/`.

pub mod heap;
pub mod proc;

/// A target: its name, which is also its corpus's folder, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 2] = [("heap", heap::run), ("proc", proc::run)];
