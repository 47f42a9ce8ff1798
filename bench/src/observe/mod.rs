//! The verbs of `neap` that look at memory, beside the tools that people use for it.
//!
//! Whole programs are measured, from start to end, as a shell would start them; what they print goes to
//! /dev/null. Who is not installed is named and has no figure.

mod command;
mod files;
mod machine;
mod overhead;
mod space;
pub(crate) mod subject;
pub(crate) mod verb;

use crate::contest::Contest;
use command::Tools;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effort {
    /// A sixteenth of the size, two rounds: does it work?
    Quick,
    /// As the targets are set.
    Full,
}

/// Makes the contests of one part. What they look at must be gone before the next part's are made.
type Part = fn(&Tools) -> Result<Vec<Contest>, String>;

/// Every part, in order.
const PARTS: [Part; 4] = [
    space::contests,
    machine::contests,
    files::contests,
    overhead::contests,
];
