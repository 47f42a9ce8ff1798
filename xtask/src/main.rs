//! xtask: builds neap, runs its tests, checks its source and lays out what is shipped.
//!
//! Reached through the aliases `cargo xtask` and `cargo neap` from any directory of the checkout.
//! Few dependencies on purpose: `cargo neap` compiles this program before anything else.

mod artifacts;
mod bench;
mod cross;
mod dist;
mod fuzz;
mod sanitize;
mod test;
mod tidy;

use std::process::ExitCode;

/// What a verb returns: `Err` holds the one message that is printed.
type Outcome<T = ()> = Result<T, String>;

const USAGE: &str = "\
usage: cargo xtask VERB

  neap ARGS...             build libneap.so and the command, then run the command with ARGS
  build                    build them and print their paths
  test [--fast] [FILTER]   build what the tests need and run them all; --fast leaves out the real programs
  tidy [--bless]           check imports, unsafe modules, wording, sizes and the symbols of libneap.so;
                           --bless rewrites the checked-in lists
  dist                     lay out target/dist: bin, lib, manual pages, completions
  install --prefix P       copy target/dist to P
  bench ARGS...            measure neap and its rivals; ARGS --help says how
  fuzz [--seconds N] [--keep] [TARGET]
                           search for inputs that break a promise; --keep adds what was found to fuzz/corpus
  sanitize [address|thread]
                           the heap's tests under AddressSanitizer, its threads under ThreadSanitizer
  cross                    check that all compiles for aarch64, run programs under its libneap.so in an emulator
  ci                       test, fmt, clippy and tidy
";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let verb = args.next().unwrap_or_default();
    let rest: Vec<_> = args.collect();
    let words: Vec<&str> = rest.iter().map_while(|a| a.to_str()).collect();
    let outcome = match verb.to_str() {
        Some("neap") => artifacts::neap(&rest),
        Some("build") => artifacts::build().map(|built| {
            println!("{}\n{}", built.library.display(), built.command.display());
        }),
        Some("bench") => bench::run(&rest),
        Some("fuzz") => fuzz::run(&words),
        Some("sanitize") => sanitize::run(&words),
        Some("test") => test::Plan::parse(&words).and_then(test::run),
        Some("tidy") => tidy::run(&words),
        Some("cross") => cross::run(),
        Some("dist") => dist::lay_out().map(|to| println!("{}", to.display())),
        Some("install") => dist::install(&words),
        Some("ci") => test::ci(),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}
