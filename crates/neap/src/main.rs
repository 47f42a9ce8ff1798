//! neap: runs programs under libneap.so and tells where their memory went.
//!
//! Layers, each using only those above it: [`mod@unit`] (sizes and counts as text), [`failure`] (exit codes
//! of neap's own), [`users`] (names of users), [`run`] (the engine: one command, followed to its end),
//! [`mod@compare`] (the same command under several allocators), [`doctor`] (what this machine allows), [`heap`]
//! (a heap of neap's in another process), [`lab`] (experiments on the kernel), [`mod@file`] (files in the page
//! cache), [`mod@free`] (the machine's memory and who holds it), [`mod@export`] (figures for Prometheus),
//! [`mod@maps`] (the address space of a process), [`top`] (processes, watched), [`report`] (what happened, as
//! data, then as text, JSON or HTML), [`cmd`] (one file per verb: its module doc is its manual), [`args`] (the
//! command line).
//!
//! Does not: allocate through libneap.so itself, link the heap (it meets it only through `neap-abi`), or hold
//! unsafe code but in `lab`.
#![deny(unsafe_code)]

mod unit;

mod failure;

mod users;

mod run;

mod compare;

mod doctor;

mod heap;

mod lab;

mod file;

mod free;

mod export;

mod maps;

mod top;

mod report;

mod cmd;

mod args;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

fn main() -> ExitCode {
    let result = match args::Cli::parse().verb {
        args::Verb::Run(args) => cmd::run::main(&args),
        args::Verb::Compare(args) => cmd::compare::main(&args),
        args::Verb::Doctor(args) => cmd::doctor::main(&args),
        args::Verb::File(args) => cmd::file::main(&args),
        args::Verb::Free(args) => cmd::free::main(&args),
        args::Verb::Lab(args) => cmd::lab::main(&args),
        args::Verb::Export(args) => cmd::export::main(&args),
        args::Verb::Top(args) => cmd::top::main(&args),
        args::Verb::Trim(args) => cmd::trim::main(&args),
        args::Verb::Maps(args) => cmd::maps::main(&args),
        args::Verb::Snap(args) => cmd::snap::main(&args),
        args::Verb::Diff(args) => cmd::diff::main(&args),
        args::Verb::Completions(args) => cmd::completions::main(&args, args::Cli::command()),
        args::Verb::Man(args) => cmd::man::main(&args, args::Cli::command()),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}
