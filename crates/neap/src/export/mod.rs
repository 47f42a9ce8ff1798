//! `neap export`: the figures of chosen processes for Prometheus and whoever reads OpenMetrics.
//!
//! [`choice`] says which processes; [`gather`] reads them, the machine and their control groups into
//! [`figures`], with [`heaps`] for the heaps of libneap.so, [`shares`] for PSS within a budget, and
//! [`unreadable`] for what could not be read. [`family`] is the catalogue of metrics, [`text`] writes them,
//! [`server`] serves them and [`place`] puts them into a file.
//!
//! Reads only: it never stops, signals or traces a process, and no request changes anything. A figure that was
//! denied or does not exist has no series.

pub(crate) mod answer;
pub(crate) mod choice;
pub(crate) mod errors;
pub(crate) mod family;
pub(crate) mod figures;
pub(crate) mod gather;
pub(crate) mod heaps;
pub(crate) mod listen;
pub(crate) mod machine;
pub(crate) mod notify;
pub(crate) mod place;
#[cfg(test)]
mod sample;
pub(crate) mod server;
pub(crate) mod shares;
pub(crate) mod text;
pub(crate) mod unreadable;
