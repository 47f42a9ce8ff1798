//! `neap lab`: experiments on the kernel's memory calls.
//!
//! Lists them by chapter, runs one or all, each in a process of its own, shows what was seen before, during
//! and after, and says whether it is what was expected.

use std::fs;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use neap_proc::parse::Bound;
use neap_proc::read::Host;

use super::place::Place;
use crate::failure::{Failure, USAGE};
use crate::lab::conduct::Conductor;
use crate::lab::experiment::{Chapter, Experiment};
use crate::lab::record::{Circumstances, Record, Verdict};
use crate::lab::{self, compare, guardian};
use crate::report::{self, Machine};
use crate::run::library::Library;

pub(crate) const ABOUT: &str = "Try the kernel's memory calls one by one, and see what they do";
pub(crate) const LONG_ABOUT: &str = "\
Try the kernel's memory calls one by one, and see what they do.

Without a name it lists the experiments. Each runs in a process of its own, is looked at from outside before, \
during and after, and ends in confirmed, differs (with how) or cannot run here (with why, and what would let it). \
Nothing of the system is changed unless --allow-system is given; then what is changed is said and restored, also \
after a crash or a Ctrl-C.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap lab                               the experiments, by chapter
  neap lab brk-128                       one of them
  neap lab --chapter madvise             a chapter
  neap lab --all --json -o kernel.json   this kernel's conformance report
  neap lab --all --report kernel.html    the same to read, with pictures
  neap lab diff old.json kernel.json     what two kernels do differently
  sudo neap lab --all --allow-system     those, too, that change settings";
pub(crate) const AFTER_LONG_HELP: &str = "\
Exit codes:
  0      every experiment that could run was confirmed
  1      an experiment differs; neap lab diff: the records differ
  2      neap was called wrongly; there is no such experiment
  125    neap itself failed

Environment:
  NEAP_LIB       the libneap.so for experiments about malloc when --lib is not given
  NO_COLOR       no colours

Examples:
  neap lab                               the experiments, by chapter
  neap lab brk-128                       one of them
  neap lab --chapter madvise             a chapter
  neap lab --all --json -o kernel.json   this kernel's conformance report
  neap lab --all --report kernel.html    the same to read, with pictures
  neap lab diff old.json kernel.json     what two kernels do differently
  sudo neap lab --all --allow-system     those, too, that change settings";

/// An experiment, or a record, differs.
const DIFFERS: u8 = 1;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LabArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<LabVerb>,

    /// Experiments to run: one is told in full, several a line each
    #[arg(value_name = "NAME", conflicts_with_all = ["all", "chapter"])]
    pub(crate) names: Vec<String>,

    /// Run every experiment
    #[arg(long)]
    pub(crate) all: bool,

    /// Run the experiments of these chapters
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "CHAPTER",
        conflicts_with = "all"
    )]
    pub(crate) chapter: Vec<Chapter>,

    /// Let experiments change settings of the system (huge pages, KSM, swap, overcommit, caches); each is
    /// said first and restored afterwards
    #[arg(long)]
    pub(crate) allow_system: bool,

    /// Write the record as JSON (schema "neap.lab/1") in place of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the report to FILE in place of stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// Write the whole record as one HTML file, too: verdicts, looks, pictures, code; it loads nothing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) report: Option<PathBuf>,

    /// The libneap.so that experiments about malloc run under [env: NEAP_LIB] [default: the one installed
    /// with neap]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) lib: Option<PathBuf>,

    /// Do one experiment and talk about it on standard output (neap does this in a child)
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) perform: Option<String>,

    /// The experiment's folder
    #[arg(long, value_name = "DIR", hide = true, requires = "perform")]
    pub(crate) scratch: Option<PathBuf>,

    /// Change and restore settings as standard input says (neap does this in a child)
    #[arg(long, hide = true)]
    pub(crate) guard: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LabVerb {
    /// Compare two records that `neap lab --all --json` has written
    Diff(DiffArgs),
}

#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// The first record
    #[arg(value_name = "A.json", value_hint = ValueHint::FilePath)]
    pub(crate) first: PathBuf,

    /// The second record
    #[arg(value_name = "B.json", value_hint = ValueHint::FilePath)]
    pub(crate) second: PathBuf,

    /// Write the differences as JSON (schema "neap.lab-diff/1") in place of text
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn main(args: &LabArgs) -> Result<u8, Failure> {
    if let Some(name) = &args.perform {
        lab::perform(
            name,
            args.scratch.as_deref().unwrap_or(&std::env::temp_dir()),
            args.allow_system,
        );
        return Ok(0);
    }
    if args.guard {
        guardian::main();
        return Ok(0);
    }
    match &args.verb {
        Some(LabVerb::Diff(diff)) => differences(diff),
        None => conduct(args),
    }
}

fn chosen(args: &LabArgs) -> Result<Vec<&'static Experiment>, Failure> {
    if args.all {
        return Ok(lab::experiments().collect());
    }
    if !args.chapter.is_empty() {
        return Ok(lab::experiments()
            .filter(|e| args.chapter.contains(&e.chapter))
            .collect());
    }
    let find = |name: &String| {
        lab::named(name).ok_or_else(|| Failure {
            code: USAGE,
            message: format!(
                "there is no experiment {name}; `neap lab` lists them{}",
                nearest(name)
            ),
        })
    };
    args.names.iter().map(find).collect()
}

/// Experiments whose name is nearly `name`, or has a part of it.
fn nearest(name: &str) -> String {
    /// Of [`strsim::jaro_winkler`]: one or two letters are otherwise.
    const NEARLY: f64 = 0.85;
    let names = || lab::experiments().map(|experiment| experiment.name);
    let likeness = |known: &str| strsim::jaro_winkler(name, known);
    let mut like: Vec<&str> = names().filter(|known| likeness(known) >= NEARLY).collect();
    like.sort_by(|one, other| likeness(other).total_cmp(&likeness(one)));
    if like.is_empty() {
        let parts: Vec<&str> = name.split('-').filter(|part| part.len() > 2).collect();
        like.extend(names().filter(|known| parts.iter().any(|part| known.contains(part))));
    }
    like.truncate(5);
    if like.is_empty() {
        String::new()
    } else {
        format!("; like it: {}", like.join(", "))
    }
}

fn circumstances(may_change_system: bool) -> Circumstances {
    let machine = Machine::here();
    let host = Host::default();
    let swap = host.text("/proc/meminfo").value().and_then(|info| {
        let line = info.lines().find_map(|line| line.strip_prefix("SwapTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    let limit = host.memory_group().value().and_then(|group| group.limit.value());
    Circumstances {
        kernel: machine.kernel,
        architecture: machine.architecture,
        page_bytes: machine.page_bytes,
        memory_bytes: machine.memory_bytes,
        swap_bytes: swap.map(|kilobytes| kilobytes * 1024),
        c_library: machine.c_library,
        transparent_huge_pages: machine.transparent_huge_pages,
        overcommit_memory: host
            .text("/proc/sys/vm/overcommit_memory")
            .value()
            .map(|t| t.trim().to_owned()),
        cgroup_limit_bytes: match limit {
            // Version 1 writes the greatest multiple of a page that fits.
            Some(Bound::At(bytes)) if bytes <= 1 << 62 => Some(bytes),
            _ => None,
        },
        is_root: rustix::process::geteuid().is_root(),
        may_change_system,
    }
}

fn conduct(args: &LabArgs) -> Result<u8, Failure> {
    let chosen = chosen(args)?;
    if chosen.is_empty() && (args.report.is_some() || args.json) {
        return Err(Failure {
            code: USAGE,
            message: "no experiment is named: name some, or a --chapter, or --all".to_owned(),
        });
    }
    let mut place = Place::open(args.output.as_deref(), Place::Stdout)?;
    if chosen.is_empty() {
        place.deliver(report::lab::list(&place.screen()).as_bytes())?;
        return Ok(0);
    }
    // Opened first: a page that cannot be written is said before an hour of work, not after it.
    let page = args
        .report
        .as_deref()
        .map(|path| Place::open(Some(path), Place::Stdout))
        .transpose()?;
    let library = Library::find(args.lib.as_deref())
        .map(|library| library.path)
        .map_err(|f| f.message);
    let mut conductor = Conductor::new(library, args.allow_system)?;
    let mut record = Record::begin(circumstances(args.allow_system));
    let is_alone = chosen.len() == 1;
    let screen = place.screen();
    let progress = progress(chosen.len());
    for experiment in chosen {
        progress.set_message(experiment.name);
        let trial = conductor.conduct(experiment);
        if !args.json {
            let text = match is_alone {
                true => report::lab::whole(experiment, &trial, &record.circumstances, &screen),
                false => report::lab::line(experiment, &trial, &screen),
            };
            progress.suspend(|| place.deliver(text.as_bytes()))?;
        }
        record.trials.push(trial);
        progress.inc(1);
    }
    progress.finish_and_clear();
    if args.json {
        place.deliver(&report::json::bytes(&record))?;
    } else if !is_alone {
        place.deliver(report::lab::sum(&record, &screen).as_bytes())?;
    }
    if let Some(mut page) = page {
        page.deliver(report::lab::page(&record).as_bytes())?;
    }
    let differs = record
        .trials
        .iter()
        .any(|trial| matches!(trial.verdict, Verdict::Differs { .. }));
    Ok(if differs { DIFFERS } else { 0 })
}

/// How far it is, on standard error where that is a terminal, if there is more than one.
fn progress(experiments: usize) -> ProgressBar {
    let target = if experiments > 1 && std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(experiments as u64), target);
    bar.set_style(
        ProgressStyle::with_template("{bar:24} {pos}/{len}  {elapsed}  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar
}

fn differences(args: &DiffArgs) -> Result<u8, Failure> {
    let read = |path: &PathBuf| {
        let bytes = fs::read(path).map_err(|error| Failure::own(path.display(), error))?;
        Record::parse(&bytes).map_err(|error| Failure {
            code: USAGE,
            message: format!(
                "{} is no record of `neap lab --json`: {error}; make one: neap lab --all --json -o FILE",
                path.display()
            ),
        })
    };
    let comparison = compare::compare(&read(&args.first)?, &read(&args.second)?);
    let mut place = Place::Stdout;
    if args.json {
        place.deliver(&report::json::bytes(&comparison))?;
    } else {
        place.deliver(report::lab::differences(&comparison, &place.screen()).as_bytes())?;
    }
    let same = comparison.differences.is_empty()
        && comparison.only_in_first.is_empty()
        && comparison.only_in_second.is_empty();
    Ok(if same { 0 } else { DIFFERS })
}
