//! `neap run`: runs a command under libneap.so and tells what its memory did.
//!
//! The command keeps neap's standard streams, process group and terminal. Signals sent to neap are sent on
//! to it; it is followed across fork and exec, and orphans are adopted. Its exit code becomes neap's.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::place::Place;
use crate::failure::Failure;
use crate::report::page::Circumstances;
use crate::report::{self, Asked};
use crate::run::target::Force;
use crate::run::{Depth, Plan, Until};
use crate::unit;

pub(crate) const ABOUT: &str = "Run a command under libneap.so and tell what its memory did";
pub(crate) const LONG_ABOUT: &str = "\
Run a command under libneap.so and tell what its memory did.

The command keeps the terminal, standard input, output and error. Signals sent to neap are sent on to it; \
it is followed across fork and exec. When it has ended, a report goes to stderr: time, RSS, PSS, the heap's \
live and held bytes, what was given back to the kernel, page faults, memory calls, curves over time, and a \
verdict in one sentence.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap run -- python3 burst.py
  neap run --max-rss 2G -- ./service --port 80   3 when it grew past 2 GiB
  neap run --json -o report.json -- make -j8     every process, every curve
  neap run --report page.html -- ./service       a page with curves and pictures
  neap run --backend brk --interval 1ms -- ./a.out
  neap run --wait-all -- sh -c './daemon &'      follow what outlives CMD";
pub(crate) const AFTER_LONG_HELP: &str = "\
Exit codes:
  N      CMD exited with N
  128+N  CMD was killed by signal N
  2      neap was called wrongly
  3      --max-rss was passed and CMD itself exited with 0
  125    neap itself failed
  126    refused: libneap.so cannot serve CMD (linked statically, setuid,
         musl, another machine, a malloc of its own), libneap.so is missing,
         or CMD cannot be executed
  127    CMD was not found

The page:
  --report writes one HTML file that needs no network, beside the text or the
  JSON: curves, what the resident memory consists of near the peak and near
  the end, the address space before and after. Looking costs neap 2 % of a
  CPU more at most. docs/report.md says what is on the page.

The verdict:
  The share given back is (peak - final) / (peak - first) of the RSS of all
  processes together: of what they grew by, how much had left them at the
  last reading before the end. Growth of less than 4 MiB has no share.
  Nothing is killed when --max-rss is passed.

Environment:
  NEAP_LIB       the libneap.so to use when --lib is not given
  LD_PRELOAD     libraries named there are loaded after libneap.so
  NO_COLOR       no colours

Examples:
  neap run -- python3 burst.py
  neap run --max-rss 2G -- ./service --port 80   3 when it grew past 2 GiB
  neap run --json -o report.json -- make -j8     every process, every curve
  neap run --report page.html -- ./service       a page with curves and pictures
  neap run --backend brk --interval 1ms -- ./a.out
  neap run --wait-all -- sh -c './daemon &'      follow what outlives CMD";

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Write the report as JSON (schema "neap.run/1") in place of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the report to FILE in place of stderr; `-` is stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// Write a page to FILE as well: curves, where the memory is, the heap page by page; open it in a browser
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) report: Option<PathBuf>,

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

pub(crate) fn main(args: &RunArgs) -> Result<u8, Failure> {
    let plan = Plan {
        command: &args.command,
        library: args.lib.as_deref(),
        backend: args.backend.map(|backend| backend.name()),
        interval: args.interval,
        limit_bytes: args.max_rss,
        until: if args.wait_all {
            Until::LastDescendantEnded
        } else {
            Until::CommandEnded
        },
        force: if args.force { Force::Yes } else { Force::No },
        depth: match (&args.report, args.json) {
            (Some(_), _) => Depth::Moments,
            (None, true) => Depth::Work,
            (None, false) => Depth::Sizes,
        },
    };
    let ready = plan.prepare()?;
    let mut place = Place::open(args.output.as_deref(), Place::Stderr)?;
    let mut page = args.report.as_deref().map(Place::file).transpose()?;
    let asked = Asked {
        command: args
            .command
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        interval_ns: u64::try_from(args.interval.as_nanos()).unwrap_or(u64::MAX),
        limit_bytes: args.max_rss,
        warnings: ready.warnings().to_vec(),
    };
    let circumstances = page.as_ref().map(|_| circumstances(args));
    let outcome = plan.execute(ready)?;
    let report = report::build(asked, &outcome);
    let bytes = if args.json {
        report::json::bytes(&report)
    } else {
        report::text::render(&report, &place.screen()).into_bytes()
    };
    let mut written = place.deliver(&bytes);
    if let (Some(page), Some(circumstances)) = (&mut page, &circumstances) {
        let bytes = report::page::bytes(&report, &outcome, circumstances);
        written = written.and(page.deliver(&bytes));
    }
    // The command's own failure tells more than a report that could not be written.
    match written {
        Err(failure) if report.exit.neap_code == 0 => Err(failure),
        Err(failure) => {
            failure.print();
            Ok(report.exit.neap_code)
        }
        Ok(()) => Ok(report.exit.neap_code),
    }
}

fn circumstances(args: &RunArgs) -> Circumstances {
    let backend = args.backend.map(|backend| ("NEAP_BACKEND", backend.name()));
    Circumstances::here(backend.as_slice())
}

/// A sample costs tens of microseconds: below a millisecond neap would measure itself.
pub(super) fn parse_interval(text: &str) -> Result<Duration, String> {
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

    #[test]
    fn an_interval_that_would_measure_neap_itself_is_refused() {
        assert!(
            parse_interval("10us").is_err() && parse_interval("2h").is_err() && parse_interval("x").is_err()
        );
        assert_eq!(parse_interval("20ms"), Ok(Duration::from_millis(20)));
    }
}
