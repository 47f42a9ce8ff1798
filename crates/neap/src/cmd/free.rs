//! `neap free`: how much memory this machine has left, and who holds the rest.
//!
//! By itself it shows the columns of free(1), every part of the memory with the residual, and what follows
//! from them. With an option of free(1) (`-k`, `-h`, `-w` ...) it prints exactly what free(1) of procps 4 prints.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args, ValueHint};
use neap_proc::Reading;
use neap_proc::read::Host;

use super::place::Place;
use crate::failure::Failure;
use crate::free::procps::{Base, Numbers, Scale};
use crate::free::{self};
use crate::report;
use crate::report::free::Section;
use crate::report::free::columns::{self, Lines};

pub(crate) const ABOUT: &str = "Show how much memory is left, and who holds the rest";
pub(crate) const LONG_ABOUT: &str = "\
Show how much memory is left, and who holds the rest.

Without options: the columns of free(1); then all memory by who holds it, in parts that add up to the total \
with the residual shown; then what that means. With an option of free(1) it prints what free(1) of procps 4 \
prints, byte for byte. What this kernel does not tell, or keeps from this user, is n/a with the reason, never 0.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap free                            what is left, who holds the rest
  neap free --all                      pressure, group, swap, KSM, huge pages, nodes, too
  neap free --cgroup --psi             this container's limits, and who waits
  neap free -h -s 2                    free -h, every two seconds
  neap free --json | jq .balance       the parts, in bytes";
pub(crate) const AFTER_LONG_HELP: &str = "\
Exit codes:
  0      it was shown
  2      neap was called wrongly
  125    neap itself failed: there is no /proc/meminfo

Environment:
  NO_COLOR       no colours

Examples:
  neap free                            what is left, who holds the rest
  neap free --all                      pressure, group, swap, KSM, huge pages, nodes, too
  neap free --cgroup --psi             this container's limits, and who waits
  neap free -h -s 2                    free -h, every two seconds
  neap free --json | jq .balance       the parts, in bytes

What each line means: docs/free.md";

#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
#[command(group = ArgGroup::new("unit").args(
    ["bytes", "kibi", "mebi", "gibi", "tebi", "pebi", "kilo", "mega", "giga", "tera", "peta", "human"]))]
#[command(group = ArgGroup::new("own").multiple(true).args(
    ["psi", "cgroup", "swap", "ksm", "thp", "hugetlb", "numa", "all", "json"])
    .conflicts_with_all(["unit", "si", "lohi", "total", "committed", "wide"]))]
pub(crate) struct FreeArgs {
    #[command(flatten)]
    pub(crate) sections: Sections,

    #[command(flatten)]
    pub(crate) unit: Unit,

    /// As free(1), in powers of 1000
    #[arg(long, help_heading = "As free(1)")]
    pub(crate) si: bool,

    /// As free(1), with low and high memory
    #[arg(short, long, help_heading = "As free(1)")]
    pub(crate) lohi: bool,

    /// As free(1), with memory and swap together
    #[arg(short, long, help_heading = "As free(1)")]
    pub(crate) total: bool,

    /// As free(1), with what is promised and its limit
    #[arg(short = 'v', long, help_heading = "As free(1)")]
    pub(crate) committed: bool,

    /// As free(1), with buffers and cache apart
    #[arg(short, long, help_heading = "As free(1)")]
    pub(crate) wide: bool,

    /// Show it again every SECONDS until interrupted
    #[arg(short, long, visible_alias = "watch", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,

    /// Show it COUNT times, every second unless -s says otherwise
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Write everything as JSON (schema "neap.free/1"), one document each time
    #[arg(long)]
    pub(crate) json: bool,

    /// Write to FILE in place of stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// Look at a copy of /proc and /sys under DIR, e.g. one taken on another machine
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) root: Option<PathBuf>,

    /// Print help (-h is free's --human)
    #[arg(long, action = ArgAction::HelpLong)]
    pub(crate) help: Option<bool>,
}

/// What is shown beyond the parts.
#[derive(Args, Debug)]
pub(crate) struct Sections {
    /// Time in which tasks waited for memory, CPU, disks (PSI)
    #[arg(long, help_heading = "Sections")]
    pub(crate) psi: bool,

    /// The control groups of this process up to the tightest limit
    #[arg(long, help_heading = "Sections")]
    pub(crate) cgroup: bool,

    /// Swap areas, zram, zswap
    #[arg(long, help_heading = "Sections")]
    pub(crate) swap: bool,

    /// Identical pages kept once
    #[arg(long, help_heading = "Sections")]
    pub(crate) ksm: bool,

    /// Transparent huge pages: settings, use, faults, splits
    #[arg(long, help_heading = "Sections")]
    pub(crate) thp: bool,

    /// Pools of huge pages
    #[arg(long, help_heading = "Sections")]
    pub(crate) hugetlb: bool,

    /// Nodes, zones, and how broken up free memory is
    #[arg(long, help_heading = "Sections")]
    pub(crate) numa: bool,

    /// Every section
    #[arg(long, help_heading = "Sections")]
    pub(crate) all: bool,
}

/// The units of free(1).
#[derive(Args, Debug)]
pub(crate) struct Unit {
    /// As free(1), in bytes
    #[arg(short, long, help_heading = "As free(1)")]
    pub(crate) bytes: bool,

    /// As free(1), in KiB
    #[arg(short, long, help_heading = "As free(1)")]
    pub(crate) kibi: bool,

    /// As free(1), in MiB
    #[arg(short, long, help_heading = "As free(1)")]
    pub(crate) mebi: bool,

    /// As free(1), in GiB
    #[arg(short, long, help_heading = "As free(1)")]
    pub(crate) gibi: bool,

    /// As free(1), in TiB
    #[arg(long, help_heading = "As free(1)")]
    pub(crate) tebi: bool,

    /// As free(1), in PiB
    #[arg(long, help_heading = "As free(1)")]
    pub(crate) pebi: bool,

    /// As free(1), in kB
    #[arg(long, help_heading = "As free(1)")]
    pub(crate) kilo: bool,

    /// As free(1), in MB
    #[arg(long, help_heading = "As free(1)")]
    pub(crate) mega: bool,

    /// As free(1), in GB
    #[arg(long, help_heading = "As free(1)")]
    pub(crate) giga: bool,

    /// As free(1), in TB
    #[arg(long, help_heading = "As free(1)")]
    pub(crate) tera: bool,

    /// As free(1), in PB
    #[arg(long, help_heading = "As free(1)")]
    pub(crate) peta: bool,

    /// As free(1), each number in the unit in which it is short
    #[arg(short = 'h', long, help_heading = "As free(1)")]
    pub(crate) human: bool,
}

pub(crate) fn main(args: &FreeArgs) -> Result<u8, Failure> {
    let host = args.root.as_ref().map_or_else(Host::default, Host::recorded);
    let mut place = Place::open(args.output.as_deref(), Place::Stdout)?;
    let pause = args.seconds.unwrap_or(Duration::from_secs(1));
    let times = match (args.seconds, args.count) {
        (None, None) => Some(1),
        (_, count) => count,
    };
    let mut shown = 0;
    loop {
        let text = once(args, &host, &place)?;
        if place.write(text.as_bytes()).is_err() {
            // Who closed the pipe wants no more; anything else is told by the same write.
            place.deliver(text.as_bytes())?;
            return Ok(0);
        }
        shown += 1;
        if times == Some(shown) {
            // As free(1): repetitions that were counted end without a blank line.
            return Ok(0);
        }
        thread::sleep(pause);
        if !args.json {
            place.deliver(b"\n")?;
        }
    }
}

fn once(args: &FreeArgs, host: &Host, place: &Place) -> Result<String, Failure> {
    if let Some(scale) = as_free(args) {
        let info = match host.meminfo() {
            Reading::Value(info) => info,
            missing => {
                let path = host.path("/proc/meminfo");
                return Err(Failure::own(path.display(), missing.reason().unwrap_or_default()));
            }
        };
        let lines = Lines {
            low_and_high: args.lohi.into(),
            total: args.total.into(),
            committed: args.committed.into(),
            wide: args.wide.into(),
        };
        return Ok(columns::render(&Numbers::of(&info), scale, lines));
    }
    let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let survey = free::survey(host, page_bytes)?;
    if args.json {
        return Ok(String::from_utf8_lossy(&report::json::bytes(&survey)).into_owned());
    }
    Ok(report::free::render(
        &survey,
        &sections(&args.sections),
        &place.screen(),
    ))
}

/// The scale if anything of free(1) was asked for.
fn as_free(args: &FreeArgs) -> Option<Scale> {
    let unit = &args.unit;
    let powers = [
        (unit.kibi, 1, Base::Binary),
        (unit.mebi, 2, Base::Binary),
        (unit.gibi, 3, Base::Binary),
        (unit.tebi, 4, Base::Binary),
        (unit.pebi, 5, Base::Binary),
        (unit.kilo, 1, Base::Decimal),
        (unit.mega, 2, Base::Decimal),
        (unit.giga, 3, Base::Decimal),
        (unit.tera, 4, Base::Decimal),
        (unit.peta, 5, Base::Decimal),
    ];
    let base = if args.si { Base::Decimal } else { Base::Binary };
    if unit.bytes {
        return Some(Scale::Bytes);
    }
    if unit.human {
        return Some(Scale::Human(base));
    }
    let chosen = powers.into_iter().find(|(is_asked, ..)| *is_asked);
    if let Some((_, power, own)) = chosen {
        return Some(match (own, base) {
            (Base::Binary, Base::Binary) => Scale::Binary(power),
            _ => Scale::Decimal(power),
        });
    }
    let other = args.lohi || args.total || args.committed || args.wide;
    match (args.si, other) {
        (true, _) => Some(Scale::Decimal(1)),
        (false, true) => Some(Scale::Binary(1)),
        (false, false) => None,
    }
}

fn sections(asked: &Sections) -> Vec<Section> {
    let all = [
        (asked.psi, Section::Pressure),
        (asked.cgroup, Section::Group),
        (asked.swap, Section::Swap),
        (asked.ksm, Section::Ksm),
        (asked.thp, Section::Transparent),
        (asked.hugetlb, Section::Hugetlb),
        (asked.numa, Section::Numa),
    ];
    let chosen = all.into_iter().filter(|(is_asked, _)| *is_asked || asked.all);
    chosen.map(|(_, section)| section).collect()
}

/// `2`, `0.5`: above 0.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is no number of seconds"))?;
    let duration = Duration::try_from_secs_f64(seconds).ok().filter(|d| !d.is_zero());
    duration.ok_or_else(|| format!("`{text}` is no time; write e.g. 2 or 0.5"))
}
