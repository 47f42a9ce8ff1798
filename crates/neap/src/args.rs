//! The command line: the verbs. The options of each, and what it does, are in its module under `cmd/`.

use clap::{Parser, Subcommand};

use crate::cmd;

/// Runs programs under libneap.so, a malloc that gives memory back, and tells where their memory went.
#[derive(Debug, Parser)]
#[command(name = "neap", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  neap run -- python3 burst.py           run it, then see what its memory did
  neap run --max-rss 2G -- ./service     exit code 3 when it grew past 2 GiB
  neap run --report burst.html -- python3 burst.py
  neap compare -- python3 burst.py       the same under every allocator there is
  neap maps PID                          what its memory is, by kind and name
  neap top                               processes by memory, live
  neap file status data/                 what of it is in memory
  neap free                              what memory is left, who holds the rest
  neap export                            OpenMetrics for Prometheus, at 127.0.0.1:6327
  neap lab                               the kernel's memory calls, one by one
  neap doctor                            what is missing on this machine
  neap run --help                        every option, every exit code";

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    #[command(about = cmd::run::ABOUT, long_about = cmd::run::LONG_ABOUT, after_help = cmd::run::EXAMPLES,
              after_long_help = cmd::run::AFTER_LONG_HELP)]
    Run(cmd::run::RunArgs),
    #[command(about = cmd::compare::ABOUT, long_about = cmd::compare::LONG_ABOUT,
              after_help = cmd::compare::EXAMPLES, after_long_help = cmd::compare::AFTER_LONG_HELP)]
    Compare(cmd::compare::CompareArgs),
    #[command(about = cmd::trim::ABOUT, long_about = cmd::trim::LONG_ABOUT,
              after_help = cmd::trim::EXAMPLES, after_long_help = cmd::trim::AFTER_LONG_HELP)]
    Trim(cmd::trim::TrimArgs),
    #[command(about = cmd::maps::ABOUT, long_about = cmd::maps::LONG_ABOUT,
              after_help = cmd::maps::EXAMPLES, after_long_help = cmd::maps::AFTER_LONG_HELP)]
    Maps(cmd::maps::MapsArgs),
    #[command(about = cmd::snap::ABOUT, long_about = cmd::snap::LONG_ABOUT,
              after_help = cmd::snap::EXAMPLES, after_long_help = cmd::snap::AFTER_LONG_HELP)]
    Snap(cmd::snap::SnapArgs),
    #[command(about = cmd::diff::ABOUT, long_about = cmd::diff::LONG_ABOUT,
              after_help = cmd::diff::EXAMPLES, after_long_help = cmd::diff::AFTER_LONG_HELP)]
    Diff(cmd::diff::DiffArgs),
    #[command(about = cmd::top::ABOUT, long_about = cmd::top::LONG_ABOUT,
              after_help = cmd::top::EXAMPLES, after_long_help = cmd::top::AFTER_LONG_HELP)]
    Top(cmd::top::TopArgs),
    #[command(about = cmd::file::ABOUT, long_about = cmd::file::LONG_ABOUT, after_help = cmd::file::EXAMPLES,
              after_long_help = cmd::file::AFTER_LONG_HELP)]
    File(cmd::file::FileArgs),
    #[command(about = cmd::free::ABOUT, long_about = cmd::free::LONG_ABOUT, after_help = cmd::free::EXAMPLES,
              after_long_help = cmd::free::AFTER_LONG_HELP)]
    Free(cmd::free::FreeArgs),
    #[command(about = cmd::export::ABOUT, long_about = cmd::export::LONG_ABOUT,
              after_help = cmd::export::EXAMPLES, after_long_help = cmd::export::AFTER_LONG_HELP)]
    Export(cmd::export::ExportArgs),
    #[command(about = cmd::lab::ABOUT, long_about = cmd::lab::LONG_ABOUT,
              after_help = cmd::lab::EXAMPLES, after_long_help = cmd::lab::AFTER_LONG_HELP)]
    Lab(cmd::lab::LabArgs),
    #[command(about = cmd::doctor::ABOUT, long_about = cmd::doctor::LONG_ABOUT,
              after_help = cmd::doctor::EXAMPLES, after_long_help = cmd::doctor::AFTER_LONG_HELP)]
    Doctor(cmd::doctor::DoctorArgs),
    #[command(about = cmd::completions::ABOUT, after_help = cmd::completions::EXAMPLES, hide = true)]
    Completions(cmd::completions::CompletionsArgs),
    #[command(about = cmd::man::ABOUT, after_help = cmd::man::EXAMPLES, hide = true)]
    Man(cmd::man::ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_command_belongs_to_it() {
        for line in [
            vec!["neap", "run", "--json", "--", "ls", "--json", "-o", "x"],
            vec!["neap", "run", "--json", "ls", "--json", "-o", "x"],
        ] {
            let Verb::Run(args) = Cli::try_parse_from(line).unwrap().verb else {
                panic!("not run")
            };
            assert_eq!(args.command, ["ls", "--json", "-o", "x"]);
            assert!(args.json && args.output.is_none());
        }
    }
}
