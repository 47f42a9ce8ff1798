//! `neap run`: runs a command under libneap.so and tells what its memory did.
//!
//! The command keeps neap's standard streams, process group and terminal. Signals sent to neap are sent on
//! to it; it is followed across fork and exec, and orphans are adopted. Its exit code becomes neap's.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::args::RunArgs;
use crate::failure::{Failure, OWN};
use crate::report::{self, Asked, Report, Screen};
use crate::run::target::Force;
use crate::run::{Plan, Until};

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
  neap run --backend brk --interval 1ms -- ./a.out
  neap run --wait-all -- sh -c './daemon &'      follow what outlives CMD";

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
    };
    let ready = plan.prepare()?;
    let mut place = Place::open(args.output.as_deref())?;
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
    let outcome = plan.execute(ready)?;
    let report = report::build(asked, &outcome);
    match place.write(&report, args.json) {
        Ok(()) => Ok(report.exit.neap_code),
        // The reader of a pipe has gone: it wants no report, and that is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(report.exit.neap_code),
        Err(error) => {
            let failure = Failure::own("the report could not be written", error);
            failure.print();
            Ok(if report.exit.neap_code == 0 {
                OWN
            } else {
                report.exit.neap_code
            })
        }
    }
}

/// Where the report goes.
enum Place {
    Stderr,
    Stdout,
    File(File),
}

impl Place {
    /// Opened before the command runs: a path that cannot be written must not cost a run.
    fn open(output: Option<&Path>) -> Result<Place, Failure> {
        match output {
            None => Ok(Place::Stderr),
            Some(path) if path == Path::new("-") => Ok(Place::Stdout),
            Some(path) => File::create(path)
                .map(Place::File)
                .map_err(|error| Failure::own(path.display(), error)),
        }
    }

    fn write(&mut self, report: &Report, json: bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        if json {
            report::json::write(report, &mut bytes)?;
        } else {
            let screen = match self {
                Place::Stderr => Screen::of(io::stderr()),
                Place::Stdout => Screen::of(io::stdout()),
                Place::File(_) => Screen::plain(),
            };
            bytes = report::text::render(report, &screen).into_bytes();
        }
        match self {
            Place::Stderr => io::stderr().write_all(&bytes),
            Place::Stdout => io::stdout()
                .lock()
                .write_all(&bytes)
                .and_then(|()| io::stdout().flush()),
            Place::File(file) => file.write_all(&bytes),
        }
    }
}
