//! One file per verb; its module doc is its manual.

mod place;

pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod file;
pub(crate) mod free;
pub(crate) mod lab;
pub(crate) mod man;
pub(crate) mod maps;
pub(crate) mod run;
pub(crate) mod snap;
pub(crate) mod top;
pub(crate) mod trim;
