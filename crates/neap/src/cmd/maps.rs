//! `neap maps`: the address space of a process, grouped by kind and name, and what of it is in memory.
//!
//! Reads `/proc`, or a snapshot of `neap snap`; stops nothing and changes nothing. `-x` prints what
//! `pmap -x` prints; `--picture` and `--svg` show the pages.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use neap_proc::model::Kind;
use neap_proc::model::pmap::Characters;
use neap_proc::read::Proc;

use super::place::Place;
use crate::failure::{Failure, OWN, USAGE};
use crate::maps::groups::Order;
use crate::maps::picture::Picture;
use crate::maps::snapshot::{Depth, Snapshot};
use crate::maps::{extended, format};
use crate::report::maps::{Each, MapsReport, NotRead, ProcessMaps, Selection, picture, svg, text};
use crate::report::{self, Charset};
use crate::unit;

pub(crate) const ABOUT: &str = "Show what is in the address space of a process, by kind and by name";
pub(crate) const LONG_ABOUT: &str = "\
Show what is in the address space of a process, by kind and by name.

Every mapping is of one kind (anonymous memory, libraries, the heap of libneap.so, stacks ...) and in one row: a \
library once, not once for each of its mappings. Each row has its length, what of it is in memory (RSS), its share \
of that (PSS), what is private and dirty, in swap and in huge pages; the rows add up to the total, and the total is \
compared with the kernel's own sums. Nothing is stopped or changed: of a process that runs each figure is true of its \
own moment. For a process of one's own no privilege is needed.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap maps $$                           what the shell's memory is
  neap maps 4711 --sort swap --min 1M    who is in swap, small ones summed up
  neap maps 4711 --kind library,file     these kinds only
  neap maps 4711 --all                   each mapping a line
  neap maps 4711 -x                      what pmap -x prints
  neap maps 4711 --picture               the pages as cells
  neap maps 4711 --svg space.svg         the same as a file
  neap maps --from before.snap           of a snapshot";
pub(crate) const AFTER_LONG_HELP: &str = "\
Exit codes:
  0      every process was read
  2      neap was called wrongly; FILE is no snapshot
  125    a process is not there, has no memory or may not be read; neap
         itself failed

Columns:
  maps     mappings
  size     length of the addresses
  RSS      in memory
  PSS      in memory, each page divided by the processes that have it
  dirty    in memory, only here, and changed: lost if it were dropped
  swap     in swap
  huge     in huge pages, transparent ones and those of hugetlbfs (which
           are in no RSS)

Environment:
  NO_COLOR       no colours

Examples:
  neap maps $$                           what the shell's memory is
  neap maps 4711 --sort swap --min 1M    who is in swap, small ones summed up
  neap maps 4711 --kind library,file     these kinds only
  neap maps 4711 --all                   each mapping a line
  neap maps 4711 -x                      what pmap -x prints
  neap maps 4711 --picture               the pages as cells
  neap maps 4711 --svg space.svg         the same as a file
  neap maps --from before.snap           of a snapshot";

#[derive(Args, Debug)]
pub(crate) struct MapsArgs {
    /// The processes
    #[arg(value_name = "PID", required_unless_present = "from", conflicts_with = "from", value_parser = parse_pid)]
    pub(crate) pids: Vec<u32>,

    /// Show a snapshot of `neap snap` in place of a process
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) from: Option<PathBuf>,

    /// Print what `pmap -x` prints (procps 4.0.2)
    #[arg(short = 'x', long, conflicts_with_all = ["json", "all", "kind", "sort", "min"])]
    pub(crate) extended: bool,

    /// Show the pages as cells: what of each is in memory, in swap, a guard
    #[arg(long, conflicts_with_all = ["json", "extended", "all", "kind", "sort", "min"])]
    pub(crate) picture: bool,

    /// Write the pages as cells to FILE, an SVG that loads nothing; of one process
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "extended")]
    pub(crate) svg: Option<PathBuf>,

    /// Give each mapping a line
    #[arg(long)]
    pub(crate) all: bool,

    /// What comes first [default: rss; with --all: address]
    #[arg(long, value_enum, value_name = "KEY")]
    pub(crate) sort: Option<Order>,

    /// Show these kinds only: program, heap, neap, library, file, anonymous, shared, stack, kernel, device
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = parse_kind)]
    pub(crate) kind: Vec<Kind>,

    /// Sum up what has less than SIZE in memory, e.g. 1M; without it the first 8 names of a kind are shown
    #[arg(long, value_name = "SIZE", value_parser = unit::parse_size)]
    pub(crate) min: Option<u64>,

    /// Write the report as JSON (schema "neap.maps/1") in place of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the report to FILE in place of stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

pub(crate) fn main(args: &MapsArgs) -> Result<u8, Failure> {
    let mut place = Place::open(args.output.as_deref(), Place::Stdout)?;
    if args.extended {
        return extended_main(args, &mut place);
    }
    if args.svg.is_some() && args.pids.len() > 1 {
        return Err(Failure {
            code: USAGE,
            message: "--svg is of one process; give one PID".to_owned(),
        });
    }
    let depth = if args.picture || args.svg.is_some() {
        Depth::Pages
    } else {
        Depth::Mappings
    };
    let (snapshots, not_read) = snapshots(args, depth)?;
    let selection = Selection {
        order: args.sort,
        kinds: args.kind.clone(),
        least_bytes: args.min.unwrap_or(0),
        each: if args.all { Each::Mapping } else { Each::Group },
    };
    let processes = snapshots
        .iter()
        .map(|snapshot| ProcessMaps::new(snapshot, &selection, args.from.as_deref()));
    let report = MapsReport::new(processes.collect(), not_read);
    for (snapshot, process) in snapshots.iter().zip(&report.processes) {
        if let Some(path) = &args.svg {
            let picture = drawn(snapshot, svg::COLUMNS, svg::LINES)?;
            Place::file(path)?.deliver(svg::render(process, &picture).as_bytes())?;
        }
        if args.picture {
            let screen = place.screen();
            let cells = drawn(snapshot, picture::columns(&screen), picture::LINES)?;
            place.deliver(picture::render(process, &cells, &screen).as_bytes())?;
        }
    }
    if args.picture {
        return Ok(code(&report.not_read));
    }
    if args.json {
        place.deliver(&report::json::bytes(&report))?;
    } else {
        let names = if args.min.is_some() {
            text::Names::All
        } else {
            text::Names::Few
        };
        place.deliver(text::render(&report, names, &place.screen()).as_bytes())?;
    }
    Ok(code(&report.not_read))
}

/// The pages of a snapshot.
fn drawn(snapshot: &Snapshot, columns: u64, lines: usize) -> Result<Picture, Failure> {
    let runs = snapshot.pages.as_ref().map_err(|why| {
        let what = format_args!("the pages of process {}", snapshot.head.pid);
        Failure::own(
            what,
            format_args!("n/a ({why}); `neap snap --pages` keeps those of a snapshot"),
        )
    })?;
    Ok(Picture::new(snapshot, runs, columns, lines))
}

/// Says on stderr which could not be read.
fn code(not_read: &[NotRead]) -> u8 {
    for NotRead { pid, reason } in not_read {
        complain(*pid, reason);
    }
    if not_read.is_empty() { 0 } else { OWN }
}

fn complain(pid: u32, reason: &str) {
    let message = format!("process {pid}: {reason}");
    Failure { code: OWN, message }.print();
}

/// What was asked for, of processes or of a file.
fn snapshots(args: &MapsArgs, depth: Depth) -> Result<(Vec<Snapshot>, Vec<NotRead>), Failure> {
    if let Some(path) = &args.from {
        return Ok((vec![from_file(path)?], Vec::new()));
    }
    let (proc, mut read, mut not_read) = (Proc::default(), Vec::new(), Vec::new());
    for pid in &args.pids {
        match Snapshot::take(&proc, *pid, depth) {
            Ok(snapshot) => read.push(snapshot),
            Err(why) => not_read.push(NotRead {
                pid: *pid,
                reason: why.to_string(),
            }),
        }
    }
    Ok((read, not_read))
}

/// A snapshot from a file of `neap snap`.
pub(super) fn from_file(path: &Path) -> Result<Snapshot, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::own(path.display(), error))?;
    let raw = format::read(&bytes).map_err(|damage| Failure {
        code: USAGE,
        message: format!("{}: {damage}", path.display()),
    })?;
    Ok(Snapshot::new(raw))
}

fn extended_main(args: &MapsArgs, place: &mut Place) -> Result<u8, Failure> {
    let characters = match place.screen().charset {
        Charset::Unicode => Characters::Utf8,
        Charset::Ascii => Characters::Bytes,
    };
    if let Some(path) = &args.from {
        place.deliver(&extended::recorded(&from_file(path)?, characters))?;
        return Ok(0);
    }
    let mut code = 0;
    for pid in &args.pids {
        let (text, result) = extended::live(&Proc::default(), *pid, characters);
        place.deliver(&text)?;
        if let Err(why) = result {
            complain(*pid, &why.to_string());
            code = OWN;
        }
    }
    Ok(code)
}

/// `self` would be neap, which nobody means.
pub(super) fn parse_pid(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|pid| *pid > 0)
        .ok_or_else(|| match text {
            "self" => "neap itself is of no interest; the shell's own number is $$".to_owned(),
            _ => "not the number of a process; `pgrep NAME` or `neap top` find it".to_owned(),
        })
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.word() == text)
        .ok_or_else(|| {
            let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
            format!("one of {}", words.join(", "))
        })
}
