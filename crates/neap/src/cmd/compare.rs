//! `neap compare`: the same command in turn under several allocators.
//!
//! Rounds of one run under each; each round starts with the next allocator. The command's input is empty and
//! its output is not shown, only hashed and compared. The report goes to stdout, a progress bar to stderr when
//! that is a terminal.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::place::Place;
use super::run::parse_interval;
use crate::compare::allocators::{Named, parse_named};
use crate::compare::{Plan, Show, Step};
use crate::failure::Failure;
use crate::report;

pub(crate) const ABOUT: &str = "Run a command in turn under several allocators and compare them";
pub(crate) const LONG_ABOUT: &str = "\
Run a command in turn under several allocators and compare them.

The system's malloc, neap, those of --with and the packaged ones that are installed (jemalloc, mimalloc, \
tcmalloc and others) each run the command N times, interleaved. The report has wall and CPU time, peak RSS, \
RSS at the end and page faults as medians with their spread, ratios to the system's malloc, which differences \
are below the noise, and RSS over time on one scale.

The command reads an empty standard input. What it writes is not shown; its standard output is hashed, and the \
report says when an allocator changes it.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap compare -- python3 burst.py
  neap compare -n 10 --only system,neap -- ./service --selftest
  neap compare --with mine=./libmine.so -- make -j8
  neap compare --report burst.html --json -o burst.json -- python3 burst.py";
pub(crate) const AFTER_LONG_HELP: &str = "\
Exit codes:
  N      CMD exited with N under every allocator
  2      neap was called wrongly
  4      CMD did not end the same way in every run, or the library of an
         allocator asked for by name could not be loaded
  124    --timeout ended every run
  125    neap itself failed
  126    refused: CMD cannot be served by LD_PRELOAD (linked statically,
         setuid, musl, another machine, a malloc of its own), or a library
         is missing
  127    CMD was not found
  130    interrupted with Ctrl-C; what was measured until then is reported

Noise:
  A difference counts when the rank test (Wilcoxon, Mann and Whitney) gives
  it a chance below 1 %. With 5 runs each that needs every run of one to lie
  below every run of the other; with fewer than 5 nothing can be told.

Environment:
  NEAP_LIB       the libneap.so to use when --lib is not given
  LD_PRELOAD     libraries named there are loaded in every run, after the
                 allocator; allocators named there are left out
  NO_COLOR       no colours

Examples:
  neap compare -- python3 burst.py
  neap compare -n 10 --only system,neap -- ./service --selftest
  neap compare --with mine=./libmine.so -- make -j8
  neap compare --report burst.html --json -o burst.json -- python3 burst.py";

#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// Runs under each allocator
    #[arg(short = 'n', long = "runs", value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,

    /// One more allocator: a name and its shared library (may be given again)
    #[arg(long, value_name = "NAME=LIB.so", value_parser = parse_named, value_hint = ValueHint::FilePath)]
    pub(crate) with: Vec<Named>,

    /// Only these allocators, e.g. system,neap,jemalloc
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// Write the report as JSON (schema "neap.compare/1") in place of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Write a report with curves to FILE as one HTML page, besides the other
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) report: Option<PathBuf>,

    /// Write the report to FILE in place of stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// Runs before the first counted one, so that files are in the page cache
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) warmup: u32,

    /// End a run that takes longer, e.g. 30 (seconds), 500ms or 5min
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    pub(crate) timeout: Option<Duration>,

    /// Time between two readings of /proc, e.g. 1ms, 10ms
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_interval)]
    pub(crate) interval: Duration,

    /// Show what the command writes in its first run
    #[arg(long)]
    pub(crate) show_output: bool,

    /// The libneap.so to use [env: NEAP_LIB] [default: the one installed with neap]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) lib: Option<PathBuf>,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD",
          value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

pub(crate) fn main(args: &CompareArgs) -> Result<u8, Failure> {
    let plan = Plan {
        command: &args.command,
        library: args.lib.as_deref(),
        with: &args.with,
        only: &args.only,
        rounds: args.runs,
        warmup: args.warmup,
        interval: args.interval,
        timeout: args.timeout,
        show_output: if args.show_output {
            Show::Output
        } else {
            Show::Nothing
        },
    };
    let ready = plan.prepare()?;
    let mut place = Place::open(args.output.as_deref(), Place::Stdout)?;
    let mut page = args.report.as_deref().map(Place::file).transpose()?;
    let bar = bar();
    let outcome = plan.execute(ready, &mut |step| advance(&bar, step));
    bar.finish_and_clear();
    let outcome = outcome?;
    let asked = report::compare::Asked {
        command: args
            .command
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        rounds: args.runs,
        warmup: args.warmup,
        interval_ns: crate::run::nanos(args.interval),
        timeout_ns: args.timeout.map(crate::run::nanos),
    };
    let report = report::compare::build(asked, &outcome);
    if let Some(page) = &mut page {
        page.deliver(report::compare::html::render(&report).as_bytes())?;
    }
    if args.json {
        place.deliver(&report::json::bytes(&report))?;
    } else {
        let text = report::compare::text::render(&report, &place.screen());
        place.deliver(text.as_bytes())?;
    }
    Ok(report.exit.neap_code)
}

/// A bar on a terminal, nothing anywhere else. It is drawn between runs only: a thread that draws would run
/// beside what is measured.
fn bar() -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len}  {msg}  {elapsed} of about {duration}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn advance(bar: &ProgressBar, step: Step<'_>) {
    bar.set_length(u64::try_from(step.total).unwrap_or(u64::MAX));
    bar.set_position(u64::try_from(step.done).unwrap_or(u64::MAX));
    bar.set_message(match step.round {
        Some(round) => format!("round {round}: {}", step.name),
        None => format!("warm-up: {}", step.name),
    });
    bar.tick();
}

/// A plain number is seconds.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let limit = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => humantime::parse_duration(text)
            .map_err(|error| format!("{error}; write e.g. 30, 500ms or 5min"))?,
    };
    if limit.is_zero() {
        return Err("must be more than 0".to_owned());
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_seconds_or_has_a_unit() {
        assert_eq!(parse_timeout("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_timeout("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_timeout("2min"), Ok(Duration::from_secs(120)));
        for wrong in ["0", "-1", "x", "inf", "nan"] {
            assert!(parse_timeout(wrong).is_err(), "{wrong}");
        }
    }
}
