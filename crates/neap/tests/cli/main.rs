//! The built `neap` on real commands.
//!
//! What needs the real libneap.so is skipped by name when it is not built; see [`support`].

mod follows;
mod packaging;
mod passes_through;
mod refuses;
mod reports;
mod support;
