//! `neap diff`: what differs between two address spaces: a process then and now, or two snapshots.
//!
//! A side that is all digits is a process, anything else a file of `neap snap` (write ./123 for a file of
//! digits).

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use neap_proc::read::Proc;

use super::maps::{from_file, parse_pid};
use super::place::Place;
use crate::failure::{Failure, USAGE};
use crate::maps::snapshot::{Depth, Snapshot};
use crate::report::json;
use crate::report::maps::difference::{DiffReport, text};

pub(crate) const ABOUT: &str = "Tell what differs between two address spaces: then and now, or two snapshots";
pub(crate) const LONG_ABOUT: &str = "\
Tell what differs between two address spaces: then and now, or two snapshots.

Each side is a file of `neap snap` or a process as it is now. What came, went, grew and shrank is listed by kind, by \
name and by mapping, with signs; the changes add up to the change of the process. Addresses are compared only if both \
sides are one process: two runs of a program have the same names, not the same addresses.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap snap 4711 -o before.snap; ...; neap diff before.snap 4711
  neap diff 4711 --after 5s              what it did in five seconds
  neap diff monday.snap friday.snap      also of two runs of a program
  neap diff --exit-code before.snap 4711 || echo it changed";
pub(crate) const AFTER_LONG_HELP: &str = "\
Exit codes:
  0      compared, whether anything differs or not
  1      something differs, with --exit-code
  2      neap was called wrongly; a file is no snapshot
  125    a process is not there, has no memory or may not be read; neap
         itself failed

Environment:
  NO_COLOR       no colours

Examples:
  neap snap 4711 -o before.snap; ...; neap diff before.snap 4711
  neap diff 4711 --after 5s              what it did in five seconds
  neap diff monday.snap friday.snap      also of two runs of a program
  neap diff --exit-code before.snap 4711 || echo it changed";

/// With --exit-code: something differs.
const DIFFERS: u8 = 1;

#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// The earlier side: a snapshot, or a PID with --after
    #[arg(value_name = "BEFORE", value_parser = parse_side, value_hint = ValueHint::FilePath)]
    pub(crate) before: Subject,

    /// The later side: a snapshot or a PID
    #[arg(
        value_name = "AFTER",
        value_parser = parse_side,
        value_hint = ValueHint::FilePath,
        required_unless_present = "after",
        conflicts_with = "after"
    )]
    pub(crate) later: Option<Subject>,

    /// Look at BEFORE, a PID, again after TIME, e.g. 5s or 1min
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) after: Option<Duration>,

    /// Exit with 1 when something differs
    #[arg(long)]
    pub(crate) exit_code: bool,

    /// Show every name and every mapping that differs
    #[arg(long)]
    pub(crate) all: bool,

    /// Write the report as JSON (schema "neap.diff/1") in place of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the report to FILE in place of stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Process(u32),
    File(PathBuf),
}

pub(crate) fn main(args: &DiffArgs) -> Result<u8, Failure> {
    if let (Some(_), Subject::File(path)) = (args.after, &args.before) {
        return Err(Failure {
            code: USAGE,
            message: format!(
                "{} is a file, and --after waits for a process: give a PID",
                path.display()
            ),
        });
    }
    let before = args.before.snapshot()?;
    let later = match (&args.later, args.after) {
        (Some(later), _) => later,
        (None, time) => {
            std::thread::sleep(time.unwrap_or_default());
            &args.before
        }
    };
    let after = later.snapshot()?;
    let report = DiffReport::new(&before, &after, [args.before.file(), later.file()]);
    let mut place = Place::open(args.output.as_deref(), Place::Stdout)?;
    if args.json {
        place.deliver(&json::bytes(&report))?;
    } else {
        let rows = if args.all {
            text::Rows::All
        } else {
            text::Rows::First
        };
        place.deliver(text::render(&report, rows, &place.screen()).as_bytes())?;
    }
    Ok(if args.exit_code && report.differs {
        DIFFERS
    } else {
        0
    })
}

impl Subject {
    fn snapshot(&self) -> Result<Snapshot, Failure> {
        match self {
            Subject::File(path) => from_file(path),
            Subject::Process(pid) => Snapshot::take(&Proc::default(), *pid, Depth::Mappings)
                .map_err(|why| Failure::own(format_args!("process {pid}"), why)),
        }
    }

    fn file(&self) -> Option<String> {
        match self {
            Subject::File(path) => Some(path.display().to_string()),
            Subject::Process(_) => None,
        }
    }
}

fn parse_side(text: &str) -> Result<Subject, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_pid(text).map(Subject::Process);
    }
    Ok(Subject::File(Path::new(text).to_path_buf()))
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; write e.g. 5s or 1min"))?;
    let day = Duration::from_secs(24 * 3600);
    if time <= day {
        Ok(time)
    } else {
        Err("must be at most a day".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_process_and_all_else_a_file() {
        assert_eq!(parse_side("4711"), Ok(Subject::Process(4711)));
        assert_eq!(parse_side("./4711"), Ok(Subject::File("./4711".into())));
        assert_eq!(parse_side("a.snap"), Ok(Subject::File("a.snap".into())));
        assert!(parse_side("99999999999").is_err() && parse_side("0").is_err());
        assert!(parse_time("5s").is_ok() && parse_time("2d").is_err() && parse_time("x").is_err());
    }
}
