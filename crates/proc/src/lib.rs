//! neap-proc: what `/proc` says about processes and what this machine allows, as values.
//!
//! Three layers, each using only those above it in this list: [`parse`] turns bytes into values and
//! opens nothing; [`read`] opens files and tells *denied* and *absent* apart from a number;
//! [`model`] joins several files into one view. Beside them [`attempt`] tries memory calls, which no file tells of.
//!
//! Does not: write to `/proc`, stop or signal processes (who traces one lets it go on by [`trace`]), keep a
//! process from vanishing while it is read (every reader copes with that), or count a line it does not know
//! as an error.
#![forbid(unsafe_code)]

mod reading;

#[cfg(test)]
mod skip;

pub mod attempt;

/// How a thread that is traced goes on, with any signal.
pub mod trace {
    pub use neap_os::errno::Errno;
    pub use neap_os::trace::{Then, resume};
}

pub mod parse;
pub mod read;

pub mod model;

pub use reading::{Reading, Reason};
