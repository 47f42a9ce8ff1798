//! neap-bench: measures neap and its rivals. Started by `cargo xtask bench`, which builds what it needs.

mod giveback;
mod measure;
mod peers;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures neap and its rivals.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// The library to measure as neap, in place of the one beside this program.
    #[arg(long, global = true, value_name = "LIB")]
    library: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Lists the allocators that are found.
    Allocators,
    Giveback(giveback::verb::Giveback),
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
        Verb::Allocators => {
            for allocator in &all {
                println!("{:14} {}", allocator.name, allocator.version);
            }
            for name in missing {
                println!("{name:14} not found");
            }
            Ok(())
        }
        Verb::Giveback(order) => giveback::verb::run(order, &all, &release),
    }
}
