//! `neap snap`: keeps the address space of a process in a file, for `neap maps --from` and `neap diff`.
//!
//! The file is text: what was looked at and when, then the kernel's own files as they were (docs/maps.md has the
//! format). A file that is there is not overwritten unless that is asked for.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use neap_proc::read::Proc;

use super::maps::parse_pid;
use super::place::Place;
use crate::failure::{Failure, USAGE};
use crate::maps::format;
use crate::maps::snapshot::{Depth, Raw};

pub(crate) const ABOUT: &str = "Keep the address space of a process in a file, to look at or compare later";
pub(crate) const LONG_ABOUT: &str = "\
Keep the address space of a process in a file, to look at or compare later.

The file is text: the process, the time, the kernel, then /proc/PID/smaps and its kin as they were and, where it \
runs under libneap.so, its heap's counters. `neap maps --from FILE` shows it, `neap diff` compares it. Nothing is \
stopped or changed: of a process that runs the figures of each mapping are true of their own moment.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap snap 4711 -o before.snap
  neap snap 4711 -o before.snap --pages  with each page, for --picture
  neap diff before.snap 4711             what has changed since
  neap maps --from before.snap -x        what pmap -x would have said";
pub(crate) const AFTER_LONG_HELP: &str = "\
Exit codes:
  0      the snapshot is written
  2      neap was called wrongly; FILE is there already
  125    the process is not there, has no memory or may not be read; neap
         itself failed

Examples:
  neap snap 4711 -o before.snap
  neap snap 4711 -o before.snap --pages  with each page, for --picture
  neap diff before.snap 4711             what has changed since
  neap maps --from before.snap -x        what pmap -x would have said";

#[derive(Args, Debug)]
pub(crate) struct SnapArgs {
    /// The process
    #[arg(value_name = "PID", value_parser = parse_pid)]
    pub(crate) pid: u32,

    /// Write to FILE, which must not be there; `-` is stdout
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "-",
        hide_default_value = true,
        value_hint = ValueHint::FilePath
    )]
    pub(crate) output: PathBuf,

    /// Overwrite FILE
    #[arg(long)]
    pub(crate) force: bool,

    /// Keep the state of each page, too: some milliseconds for each GiB in memory
    #[arg(long)]
    pub(crate) pages: bool,
}

pub(crate) fn main(args: &SnapArgs) -> Result<u8, Failure> {
    let depth = if args.pages { Depth::Pages } else { Depth::Mappings };
    let raw = Raw::take(&Proc::default(), args.pid, depth)
        .map_err(|why| Failure::own(format_args!("process {}", args.pid), why))?;
    let file = format::write(&raw);
    if args.output == Path::new("-") {
        Place::Stdout.deliver(&file)?;
        return Ok(0);
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if args.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options
        .open(&args.output)
        .and_then(|mut out| out.write_all(&file));
    written.map(|()| 0).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure {
            code: USAGE,
            message: format!(
                "{} is there already; --force overwrites it",
                args.output.display()
            ),
        },
        _ => Failure::own(args.output.display(), error),
    })
}
