//! `neap top`: the processes of the machine by memory, or one process, on a live screen or once.
//!
//! The live screen reads within 2 % of a processor: PSS, USS and swap first of what is on the screen.
//! `--once` reads smaps of every process that it lists and so prints what smem prints, number for number.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use neap_proc::read::{Host, Proc};
use rustix::process::geteuid;

use super::place::Place;
use crate::failure::{Failure, USAGE};
use crate::report::top::record::{TopProcessReport, TopReport};
use crate::report::top::{self, Palette, once};
use crate::report::{Screen, json};
use crate::top::follower::Follower;
use crate::top::live;
use crate::top::order::{self, Column, Direction, Filter, Sort};
use crate::top::row::Row;
use crate::top::view::View;
use crate::top::watcher::Watcher;
use crate::users::parse_user;

pub(crate) const ABOUT: &str = "Watch processes by memory: PSS, USS, RSS, swap, faults";
pub(crate) const LONG_ABOUT: &str = "\
Watch processes by memory: PSS, USS, RSS, swap, faults.

Without PID all processes that have memory, sorted by PSS; with PID (or Enter on the screen) one \
process: its RSS by kind over time, what libneap.so's heap holds, its faults and memory calls, its \
address space. Reading takes at most 2 % of a processor: PSS, USS and swap are read first of what is on \
the screen. --once prints one table and needs no terminal; its figures are sums of smaps, as smem's.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap top                               all processes; ? shows the keys
  neap top 4711                          one of them, over time
  neap top --sort growth --user postgres
  neap top --once --limit 10             one table
  neap top --once --json | jq '.processes[0]'
  neap top --once | awk '$3 > 2^30'      in a pipe sizes are bytes";
pub(crate) const AFTER_LONG_HELP: &str = "\
Keys: p PSS, u USS, r RSS, s swap, g growth, f faults, c CPU, i pid, o user, n command; v reverses, < \
and > move the column that sorts; / filters by command, U by user; e tree; Enter opens a process, Esc \
goes back; t has a process give back what is free in its heap (as neap trim); space freezes; ? help; q \
quits.

Exit codes:
  0      the screen was left, the table was printed
  2      neap was called wrongly; there is no terminal and no --once; there is no such process
  125    neap itself failed
  A signal that ends neap restores the terminal first and then ends it as always.

Environment:
  NO_COLOR       no colours
  LC_ALL, LC_CTYPE, LANG   a locale without UTF-8 gets ASCII

Examples:
  neap top                               all processes; ? shows the keys
  neap top 4711                          one of them, over time
  neap top --sort growth --user postgres
  neap top --once --limit 10             one table
  neap top --once --json | jq '.processes[0]'
  neap top --once | awk '$3 > 2^30'      in a pipe sizes are bytes";

/// Between two pictures of the screen.
const LIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Between the two readings of `--once`.
const ONCE_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Args, Debug)]
pub(crate) struct TopArgs {
    /// Watch this process
    #[arg(value_name = "PID")]
    pub(crate) pid: Option<u32>,

    /// Print one table and end; rates are of two readings, 500ms or --interval apart
    #[arg(long)]
    pub(crate) once: bool,

    /// With --once: JSON (schema "neap.top/1", with PID "neap.top-process/1") in place of text
    #[arg(long)]
    pub(crate) json: bool,

    /// With --once: write to FILE in place of stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "once")]
    pub(crate) output: Option<PathBuf>,

    /// Time between two readings, e.g. 500ms, 2s, 1m [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = parse_interval)]
    pub(crate) interval: Option<Duration>,

    /// Sort by this column
    #[arg(long, value_enum, value_name = "COLUMN", default_value = "pss")]
    pub(crate) sort: Column,

    /// Turn the order
    #[arg(long)]
    pub(crate) reverse: bool,

    /// Only processes whose command line or name has TEXT in it, capitals or not
    #[arg(long, value_name = "TEXT", conflicts_with = "pid")]
    pub(crate) filter: Option<String>,

    /// Only processes of this user, by name or number
    #[arg(long, value_name = "USER", value_parser = parse_user, conflicts_with = "pid")]
    pub(crate) user: Option<u32>,

    /// With --once: at most so many processes
    #[arg(long, value_name = "N", requires = "once", conflicts_with = "pid")]
    pub(crate) limit: Option<usize>,
}

pub(crate) fn main(args: &TopArgs) -> Result<u8, Failure> {
    if args.json && !args.once {
        return Err(Failure {
            code: USAGE,
            message: "--json is for one table; write neap top --once --json".to_owned(),
        });
    }
    match (args.once, args.pid) {
        (true, Some(pid)) => one_once(args, pid),
        (true, None) => all_once(args),
        (false, pid) => watch(args, pid),
    }
}

fn watch(args: &TopArgs, pid: Option<u32>) -> Result<u8, Failure> {
    if let Some(pid) = pid {
        follow(pid)?;
    }
    let palette = Palette::of(&Screen::of(io::stdout()));
    let mut view = View::new(sort(args), filter(args), geteuid().as_raw());
    let interval = args.interval.unwrap_or(LIVE_INTERVAL);
    live::run(&mut view, interval, pid, |frame, view| {
        top::draw(frame, view, &palette)
    })
}

fn all_once(args: &TopArgs) -> Result<u8, Failure> {
    let mut place = Place::open(args.output.as_deref(), Place::Stdout)?;
    let mut watcher = Watcher::new(Proc::default(), Host::default());
    watcher.read();
    std::thread::sleep(args.interval.unwrap_or(ONCE_INTERVAL));
    watcher.read();
    let filter = filter(args);
    watcher.read_all_footprints(|row| filter.admits(row));
    let picture = watcher.picture();
    if let Some(why) = &picture.failed {
        return Err(Failure::own("/proc cannot be read", why));
    }
    let places = order::flat(&picture.rows, &filter, sort(args));
    let listed = places.iter().filter_map(|place| picture.rows.get(place.index));
    let rows: Vec<&Row> = listed.take(args.limit.unwrap_or(usize::MAX)).collect();
    if args.json {
        place.deliver(&json::bytes(&TopReport::new(&picture, &rows)))?;
        return Ok(0);
    }
    let terminal = args.output.is_none() && io::stdout().is_terminal();
    let text = if terminal {
        once::for_people(&picture, &rows, &place.screen())
    } else {
        once::for_programs(&rows)
    };
    place.deliver(text.as_bytes())?;
    for reason in once::reasons(&rows) {
        use std::io::Write as _;
        let _ = writeln!(io::stderr(), "neap: {reason}");
    }
    Ok(0)
}

fn one_once(args: &TopArgs, pid: u32) -> Result<u8, Failure> {
    let mut place = Place::open(args.output.as_deref(), Place::Stdout)?;
    let mut follower = follow(pid)?;
    std::thread::sleep(args.interval.unwrap_or(ONCE_INTERVAL));
    follower.read_all();
    let picture = follower.picture();
    if args.json {
        place.deliver(&json::bytes(&TopProcessReport::new(picture)))?;
    } else {
        let screen = place.screen();
        let text = top::process::text(picture, screen.columns, &Palette::of(&screen));
        place.deliver(text.as_bytes())?;
    }
    Ok(0)
}

fn follow(pid: u32) -> Result<Follower, Failure> {
    Follower::new(Proc::default(), Host::default(), pid).map_err(|why| Failure {
        code: USAGE,
        message: format!("{why}; neap top --once lists those that can be watched"),
    })
}

fn sort(args: &TopArgs) -> Sort {
    let direction = if args.reverse {
        Direction::Reversed
    } else {
        Direction::Usual
    };
    Sort {
        column: args.sort,
        direction,
    }
}

fn filter(args: &TopArgs) -> Filter {
    Filter {
        text: args.filter.clone().unwrap_or_default(),
        user: String::new(),
        user_id: args.user,
    }
}

/// Below a tenth of a second a screen cannot be read, and ticks of CPU time are too coarse.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write e.g. 500ms or 2s"))?;
    let allowed = Duration::from_millis(100)..=Duration::from_secs(3600);
    if allowed.contains(&interval) {
        Ok(interval)
    } else {
        Err("must be from 100ms to 1h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_nobody_can_read_is_refused() {
        assert!(parse_interval("10ms").is_err() && parse_interval("2h").is_err());
        assert_eq!(parse_interval("500ms"), Ok(Duration::from_millis(500)));
    }
}
