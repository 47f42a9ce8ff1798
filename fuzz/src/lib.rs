//! What the fuzzer runs, as functions of bytes: each panics when what it tries breaks a promise.
//!
//! The searching program, `targets/search.rs`, is one of these functions under libFuzzer; `tests/corpus.rs`
//! calls them with every file of `corpus/`, and the parsers with every recorded file of `/proc`.

pub mod heap;
pub mod proc;

/// A target: its name, which is also its corpus's folder, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them: the heap, and each parser of `/proc`.
pub const TARGETS: [Target; 22] = {
    let mut all: [Target; 22] = [("heap", heap::run); 22];
    let mut at = 0;
    while at < proc::TARGETS.len() {
        all[at + 1] = proc::TARGETS[at];
        at += 1;
    }
    all
};
