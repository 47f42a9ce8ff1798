//! The built `neap` on real commands.
//!
//! What needs the real libneap.so is skipped by name when it is not built; see [`support`].

mod browser;
mod compares;
mod compares_wrongly;
mod examines;
mod experiments;
mod exports;
mod files;
mod follows;
mod frees;
mod itself;
mod maps;
mod packaging;
mod page;
mod page_of_a_run;
mod passes_through;
mod refuses;
mod reports;
mod restores;
mod snaps;
mod strange;
mod support;
mod tops;
mod tops_screens;
mod trims;
