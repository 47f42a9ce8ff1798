//! The command line. What a verb does is told in its module under `cmd/`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::cmd;
use crate::unit;

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
  neap run --help                        every option, every exit code";

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    #[command(about = cmd::run::ABOUT, long_about = cmd::run::LONG_ABOUT, after_help = cmd::run::EXAMPLES,
              after_long_help = cmd::run::AFTER_LONG_HELP)]
    Run(RunArgs),
    #[command(about = cmd::completions::ABOUT, after_help = cmd::completions::EXAMPLES, hide = true)]
    Completions(CompletionsArgs),
    #[command(about = cmd::man::ABOUT, after_help = cmd::man::EXAMPLES, hide = true)]
    Man(ManArgs),
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Write the report as JSON (schema "neap.run/1") in place of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the report to FILE in place of stderr; `-` is stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// Time between two readings, e.g. 1ms, 10ms, 1s
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_interval)]
    pub(crate) interval: Duration,

    /// Where the heap gets its memory [default: mmap]
    #[arg(long, value_enum, value_name = "BACKEND")]
    pub(crate) backend: Option<Backend>,

    /// Exit with 3 when the processes' summed RSS was ever above SIZE, e.g. 2G or 512M
    #[arg(long, value_name = "SIZE", value_parser = unit::parse_size)]
    pub(crate) max_rss: Option<u64>,

    /// The libneap.so to use [env: NEAP_LIB] [default: the one installed with neap]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) lib: Option<PathBuf>,

    /// Report when the last descendant has ended, not when CMD has
    #[arg(long)]
    pub(crate) wait_all: bool,

    /// Run a command that neap would refuse because libneap.so cannot serve it
    #[arg(long)]
    pub(crate) force: bool,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD",
          value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// The program break, mmap where it is blocked
    Brk,
    /// Mappings only
    Mmap,
}

impl Backend {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Backend::Brk => "brk",
            Backend::Mmap => "mmap",
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// Print the completions of one shell
    #[arg(required_unless_present = "out")]
    pub(crate) shell: Option<clap_complete::Shell>,

    /// Write those of bash, zsh and fish into DIR
    #[arg(long, value_name = "DIR", conflicts_with = "shell", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Write neap.1 and a page for each verb into DIR; without it neap.1 goes to stdout
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
}

/// A sample costs tens of microseconds: below a millisecond neap would measure itself.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write e.g. 10ms or 1s"))?;
    let allowed = Duration::from_millis(1)..=Duration::from_secs(3600);
    if allowed.contains(&interval) {
        Ok(interval)
    } else {
        Err("must be from 1ms to 1h".to_owned())
    }
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

    #[test]
    fn an_interval_that_would_measure_neap_itself_is_refused() {
        assert!(
            parse_interval("10us").is_err() && parse_interval("2h").is_err() && parse_interval("x").is_err()
        );
        assert_eq!(parse_interval("20ms"), Ok(Duration::from_millis(20)));
    }
}
