//! `neap file`: which files are in the page cache; bring them in, let them go, keep them there.
//!
//! Each action looks again afterwards and says what came of it: what evict could not drop is named with its
//! reason, because the kernel's own answer is always that it worked.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};

use super::place::Place;
use crate::failure::{Failure, USAGE};
use crate::file::evict::Dirty;
use crate::file::job::{self, Cells, Deed, Request};
use crate::file::lock;
use crate::file::progress::{Progress, Whole};
use crate::file::record::{Record, Sort};
use crate::file::selection::{self, Bytes, Devices, Ends, Globs, Links, Selection, Sizes};
use crate::file::stay::{self, PidFile};
use crate::file::walk::{Met, walk};
use crate::report;
use crate::run::child::End;
use crate::run::signals::Signals;
use crate::unit;

pub(crate) const ABOUT: &str = "Show which files are in memory; bring them in, let them go, keep them there";
pub(crate) const LONG_ABOUT: &str = "\
Show which files are in memory; bring them in, let them go, keep them there.

Counts pages of the page cache by cachestat(2) (Linux 6.5), with what is dirty; before that by mincore(2). \
Of a file that you neither own nor may write the kernel tells nothing: that is n/a, not a number. touch, \
evict and lock count again afterwards and say what came of it; what evict could not drop is named with its \
reason.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap file status /var/lib/db             what of it is in memory, what is dirty
  neap file status -v big.bin              and which parts of the file
  neap file touch --max-size 1G data/      read it in, so that the first request finds it
  neap file evict --sync data/             write it, drop it, say what stayed and why
  neap file lock index.bin -- ./service    keep it in memory while a command runs
  find . -name '*.db' -print0 | neap file status -0 --from-file -";
pub(crate) const AFTER_LONG_HELP: &str = "\
Exit codes:
  0      everything that was named was looked at; evict: whatever stayed
  1      something was denied, is missing or failed; it is named
  2      neap was called wrongly
  125    neap itself failed: also, lock may not lock as much
  126    lock -- COMMAND: the command cannot run
  127    lock -- COMMAND: there is no such command
  other  lock -- COMMAND: that of the command

Environment:
  NO_COLOR       no colours

Examples:
  neap file status /var/lib/db             what of it is in memory, what is dirty
  neap file status -v big.bin              and which parts of the file
  neap file touch --max-size 1G data/      read it in, so that the first request finds it
  neap file evict --sync data/             write it, drop it, say what stayed and why
  neap file lock index.bin -- ./service    keep it in memory while a command runs
  find . -name '*.db' -print0 | neap file status -0 --from-file -

What each line means: docs/file.md";

/// Something could not be looked at.
const INCOMPLETE: u8 = 1;
/// Rows without -v and --top.
const ROWS: usize = 10;

#[derive(Args, Debug)]
pub(crate) struct FileArgs {
    #[command(subcommand)]
    pub(crate) verb: FileVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FileVerb {
    /// Show what of the files is in memory
    #[command(after_help = EXAMPLES, after_long_help = AFTER_LONG_HELP)]
    Status(StatusArgs),
    /// Read the files into memory
    #[command(after_help = EXAMPLES, after_long_help = AFTER_LONG_HELP)]
    Touch(TouchArgs),
    /// Ask the kernel to drop the files from memory, and find out what stayed and why
    #[command(after_help = EXAMPLES, after_long_help = AFTER_LONG_HELP)]
    Evict(EvictArgs),
    /// Keep the files in memory until neap ends
    #[command(after_help = EXAMPLES, after_long_help = AFTER_LONG_HELP)]
    Lock(LockArgs),
}

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args, Debug)]
pub(crate) struct TouchArgs {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Args, Debug)]
pub(crate) struct EvictArgs {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    #[command(flatten)]
    pub(crate) shown: Shown,

    /// Write dirty pages first (fdatasync): they stay otherwise
    #[arg(long)]
    pub(crate) sync: bool,
}

#[derive(Args, Debug)]
pub(crate) struct LockArgs {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    #[command(flatten)]
    pub(crate) shown: Shown,

    /// Let go after so long, e.g. 10m
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(crate) time: Option<Duration>,

    /// Stay in the background once everything is locked
    #[arg(short, long, conflicts_with = "command")]
    pub(crate) daemon: bool,

    /// Write the number of the process that holds the locks to FILE; it is removed at the end
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) pidfile: Option<PathBuf>,

    /// Be the process in the background (neap does this in a child)
    #[arg(long, hide = true)]
    pub(crate) in_background: bool,

    /// Let go when this command ends, with its exit code
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "time")]
    pub(crate) command: Vec<OsString>,
}

/// Which files.
#[derive(Args, Debug)]
pub(crate) struct Chosen {
    /// Files, and folders with all below them
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath, required_unless_present = "from_file")]
    pub(crate) paths: Vec<PathBuf>,

    /// Follow symbolic links
    #[arg(long, short)]
    pub(crate) follow: bool,

    /// Stay on the file system of each path
    #[arg(long, short = 'x')]
    pub(crate) one_file_system: bool,

    /// Leave out files smaller than SIZE, e.g. 64K
    #[arg(long, value_name = "SIZE", value_parser = unit::parse_size)]
    pub(crate) min_size: Option<u64>,

    /// Leave out files larger than SIZE, e.g. 1G
    #[arg(long, short, value_name = "SIZE", value_parser = unit::parse_size)]
    pub(crate) max_size: Option<u64>,

    /// Leave out what matches GLOB, by its path or its name; may be repeated
    #[arg(long, short, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,

    /// Only these bytes of each file, in whole pages: 4K-1M, 1M-, 64K
    #[arg(long, short = 'p', value_name = "FROM-TO", value_parser = Bytes::parse)]
    pub(crate) range: Option<Bytes>,

    /// Take paths from FILE, one a line; - for standard input
    #[arg(long, short = 'b', value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) from_file: Option<PathBuf>,

    /// Paths in that file end with a null byte (find -print0)
    #[arg(long, short = '0', requires = "from_file")]
    pub(crate) null: bool,
}

/// What is told.
#[derive(Args, Debug)]
pub(crate) struct Shown {
    /// A row for every file, and where in it its pages are
    #[arg(long, short)]
    pub(crate) verbose: bool,

    /// Order of the rows
    #[arg(long, value_enum, default_value_t, value_name = "BY")]
    pub(crate) sort: Sort,

    /// Rows to show [default: 10; with -v: all]
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,

    /// Write the record as JSON (schema "neap.file/1")
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the report to FILE in place of stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

pub(crate) fn main(args: &FileArgs) -> Result<u8, Failure> {
    match &args.verb {
        FileVerb::Status(status) => act(&status.chosen, &status.shown, Deed::Look),
        FileVerb::Touch(touch) => act(&touch.chosen, &touch.shown, Deed::Touch),
        FileVerb::Evict(evict) => {
            let dirty = if evict.sync { Dirty::Written } else { Dirty::Stays };
            act(&evict.chosen, &evict.shown, Deed::Evict(dirty))
        }
        FileVerb::Lock(args) => keep(args),
    }
}

fn act(chosen: &Chosen, shown: &Shown, deed: Deed) -> Result<u8, Failure> {
    let selection = selection(chosen)?;
    let mut place = Place::open(shown.output.as_deref(), Place::Stdout)?;
    // Only reading is slow enough that its end is worth a walk beforehand.
    let whole = (deed == Deed::Touch && Progress::is_seen()).then(|| whole(&selection));
    let record = job::run(&selection, &request(shown, deed), &Progress::new(whole));
    deliver(&record, shown, &mut place)?;
    Ok(if record.is_incomplete() { INCOMPLETE } else { 0 })
}

fn keep(args: &LockArgs) -> Result<u8, Failure> {
    if args.daemon && !args.in_background {
        return stay::start_in_background(&background_arguments());
    }
    let own = |error: std::io::Error| Failure::own("neap file lock", error);
    if args.in_background {
        stay::leave_terminal().map_err(own)?;
    }
    // Before anything is locked: a signal from then on ends the stay as it should.
    let signals = Signals::block().map_err(own)?;
    let selection = selection(&args.chosen)?;
    let mut place = Place::open(args.shown.output.as_deref(), Place::Stdout)?;
    let request = request(&args.shown, Deed::Look);
    let record = lock::lock_all(&selection, &request, &Progress::new(None))?;
    let pidfile = args.pidfile.as_deref().map(PidFile::new).transpose()?;
    deliver(&record, &args.shown, &mut place)?;
    if args.in_background {
        stay::detach().map_err(own)?;
    }
    let code = if record.is_incomplete() { INCOMPLETE } else { 0 };
    let code = if args.command.is_empty() {
        stay::wait(&signals, args.time).map_err(own)?;
        code
    } else {
        End::from(stay::during(&signals, &args.command)?).exit_code()
    };
    drop(pidfile);
    Ok(code)
}

/// The same command line for the process in the background.
fn background_arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let verb = arguments.iter().position(|argument| argument == "lock");
    arguments.insert(verb.map_or(0, |verb| verb + 1), "--in-background".into());
    arguments
}

fn deliver(record: &Record, shown: &Shown, place: &mut Place) -> Result<(), Failure> {
    if shown.json {
        place.deliver(&report::json::bytes(record))
    } else {
        place.deliver(report::file::render(record, &place.screen()).as_bytes())
    }
}

fn request(shown: &Shown, deed: Deed) -> Request {
    let all = if shown.verbose { usize::MAX } else { ROWS };
    Request {
        deed,
        sort: shown.sort,
        most: shown.top.unwrap_or(all),
        cells: if shown.verbose { Cells::Each } else { Cells::None },
        page_bytes: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
    }
}

fn selection(chosen: &Chosen) -> Result<Selection, Failure> {
    let wrong = |message: String| Failure { code: USAGE, message };
    let mut paths = chosen.paths.clone();
    if let Some(list) = &chosen.from_file {
        let ends = if chosen.null { Ends::Null } else { Ends::Line };
        let listed = selection::listed(list, ends)
            .map_err(|error| Failure::own(format!("the list {}", list.display()), error))?;
        paths.extend(listed);
    }
    if chosen
        .min_size
        .zip(chosen.max_size)
        .is_some_and(|(least, most)| least > most)
    {
        return Err(wrong(
            "--min-size is above --max-size: no file is left".to_owned(),
        ));
    }
    Ok(Selection {
        paths,
        links: if chosen.follow {
            Links::Followed
        } else {
            Links::Skipped
        },
        devices: if chosen.one_file_system {
            Devices::One
        } else {
            Devices::All
        },
        sizes: Sizes {
            least: chosen.min_size,
            most: chosen.max_size,
        },
        excluded: Globs::new(&chosen.exclude).map_err(|error| wrong(format!("--exclude: {error}")))?,
        range: chosen.range,
    })
}

fn whole(selection: &Selection) -> Whole {
    let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let mut whole = Whole { files: 0, bytes: 0 };
    walk(selection, |met| {
        if let Met::File(opened) = met {
            let part = selection::pages_of(opened.len, selection.range, page_bytes);
            whole.files += 1;
            whole.bytes += part.end - part.start;
        }
    });
    whole
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write e.g. 90s, 10m or 2h"))
}
