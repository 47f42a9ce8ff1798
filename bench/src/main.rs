//! neap-bench: measures neap and its rivals. Started by `cargo xtask bench`, which builds what it needs.

mod attack;
mod compare;
mod contest;
mod giveback;
mod instructions;
mod map;
mod measure;
mod observe;
mod peers;
mod programs;
mod record;
mod report;
mod run;
mod stats;
mod suite;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures neap and its rivals.
///
/// Without a verb: compares time, processor time and peak memory of workloads and real programs under every
/// allocator, and prints geometric means and, for each target, pass or MISS.
#[derive(Parser)]
#[command(name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: run::Run,
    /// The library to measure as neap, in place of the one beside this program.
    #[arg(long, global = true, value_name = "LIB")]
    library: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Lists the allocators that are found.
    Allocators,
    Instructions(instructions::Instructions),
    Giveback(giveback::verb::Giveback),
    Attack(attack::verb::Attack),
    Map(map::verb::Map),
    Observe(observe::verb::Observe),
    #[command(hide = true)]
    Mapped(observe::subject::Mapped),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let release = peers::release()?;
    let library = arguments
        .library
        .clone()
        .unwrap_or_else(|| release.join("libneap.so"));
    let (all, missing) = peers::all(&library, &release.join("../peers"));
    match &arguments.verb {
        None => run::run(&arguments.run, &all, &missing, &release),
        Some(Verb::Allocators) => {
            for allocator in &all {
                println!("{:14} {}", allocator.name, allocator.version);
            }
            for name in &missing {
                println!("{name:14} not found");
            }
            Ok(())
        }
        Some(Verb::Instructions(order)) => instructions::run(order, &all, &release),
        Some(Verb::Giveback(order)) => giveback::verb::run(order, &all, &release),
        Some(Verb::Attack(order)) => attack::verb::run(order, &all, &release),
        Some(Verb::Map(order)) => map::verb::run(order, &release),
        Some(Verb::Observe(order)) => observe::verb::run(order, &release, &library),
        Some(Verb::Mapped(order)) => observe::subject::run(order),
    }
}
