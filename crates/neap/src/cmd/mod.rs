//! One file per verb; its module doc is its manual.

pub(crate) mod completions;
pub(crate) mod man;
pub(crate) mod run;
