//! `neap export`: the memory of processes for Prometheus, in OpenMetrics.
//!
//! Serves `/metrics` until SIGTERM or SIGINT, on loopback unless told otherwise; or writes one scrape, for
//! node_exporter's textfile collector or as JSON. docs/export.md lists every metric; docs/fleet.md is the
//! recipe for many machines.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::place::Place;
use crate::export::choice::{Choice, NamePattern, Under, UserNumber};
use crate::export::gather::Gatherer;
use crate::export::heaps::Classes;
use crate::export::shares::ShareReader;
use crate::export::{listen, place, server, text};
use crate::failure::Failure;
use crate::report;

pub(crate) const ABOUT: &str = "Serve the memory of processes as OpenMetrics, for Prometheus";
pub(crate) const LONG_ABOUT: &str = "\
Serve the memory of processes as OpenMetrics, for Prometheus.

Exports RSS, PSS, USS, swap and faults of processes, the counters of their heaps (live, held, given back, \
regret, memory calls), the machine's memory and PSI, and the control groups of those processes. Without a choice \
the processes under libneap.so are exported. What is denied or does not exist has no series; \
neap_process_unreadable counts it. Reads only; no request changes anything.";
pub(crate) const EXAMPLES: &str = "\
Examples:
  neap export                                  serve http://127.0.0.1:6327/metrics
  neap export --listen 0.0.0.0:6327            for a Prometheus elsewhere
  neap export --name 'php-fpm*' --user www-data
  neap export --cgroup /system.slice --limit 50
  neap export --once --output /var/lib/node_exporter/neap.prom
  neap export --once --all --json | jq '.processes[] | {name, resident_bytes}'";
pub(crate) const AFTER_LONG_HELP: &str = "\
Paths:
  /metrics     OpenMetrics 1.0, or Prometheus' text 0.0.4, by the Accept header
  /-/healthy   200 while the server runs
  /            a page with links

Which processes:
  Conditions of different kinds must all hold, of one kind any. Without a
  condition, --under-libneap. Of more than --limit processes the largest by RSS
  are exported; neap_export_processes{state=\"left_out\"} counts the others.

Exit codes:
  0      served until SIGTERM or SIGINT, or one scrape written
  2      neap was called wrongly
  125    neap itself failed: the address is in use, the file cannot be written

Examples:
  neap export                                  serve http://127.0.0.1:6327/metrics
  neap export --listen 0.0.0.0:6327            for a Prometheus elsewhere
  neap export --name 'php-fpm*' --user www-data
  neap export --cgroup /system.slice --limit 50
  neap export --once --output /var/lib/node_exporter/neap.prom
  neap export --once --all --json | jq '.processes[] | {name, resident_bytes}'";

/// What PSS and USS may take of a scrape that somebody waits for, and of one that stands alone.
const SERVED_BUDGET: Duration = Duration::from_millis(50);
const ONCE_BUDGET: Duration = Duration::from_secs(10);

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Where to serve; port 0 takes a free one. The address is printed
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:6327",
          value_parser = listen::parse_address, conflicts_with = "once")]
    pub(crate) listen: SocketAddr,

    /// Answer requests that name this host, too (on loopback only localhost and loopback addresses are)
    #[arg(long, value_name = "NAME", conflicts_with = "once")]
    pub(crate) allow_host: Vec<String>,

    /// Write one scrape and end, in place of serving
    #[arg(long)]
    pub(crate) once: bool,

    /// Replace FILE by the scrape in one step, in place of stdout
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "once")]
    pub(crate) output: Option<PathBuf>,

    /// Text of the scrape: Prometheus' is what the textfile collector reads
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "prometheus",
        requires = "once"
    )]
    pub(crate) format: Format,

    /// Write the scrape as JSON (schema "neap.export/1")
    #[arg(long, requires = "once", conflicts_with = "format")]
    pub(crate) json: bool,

    /// Processes by pid
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pid: Vec<u32>,

    /// Processes whose name, or first argument's file, is like PATTERN: php*, or /^php/ for a regular expression
    #[arg(long, value_name = "PATTERN", value_parser = NamePattern::parse)]
    pub(crate) name: Vec<NamePattern>,

    /// Processes of this effective user
    #[arg(long, value_name = "USER", value_parser = UserNumber::parse)]
    pub(crate) user: Vec<UserNumber>,

    /// Processes whose memory this control group counts, or one below it, e.g. /system.slice
    #[arg(long, value_name = "PATH")]
    pub(crate) cgroup: Vec<String>,

    /// Processes with a heap of libneap.so; the default without another condition
    #[arg(long)]
    pub(crate) under_libneap: bool,

    /// Every process with memory
    #[arg(long, conflicts_with_all = ["pid", "name", "user", "cgroup", "under_libneap"])]
    pub(crate) all: bool,

    /// Most processes to export
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) limit: u16,

    /// Time a scrape may spend on PSS and USS; 0s for none [default: 50ms, with --once 10s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) pss_budget: Option<Duration>,

    /// Export the live blocks of each size class: up to 64 series more for each process
    #[arg(long)]
    pub(crate) classes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// OpenMetrics 1.0
    Openmetrics,
    /// Prometheus' text 0.0.4
    Prometheus,
}

pub(crate) fn main(args: &ExportArgs) -> Result<u8, Failure> {
    let usual = if args.once { ONCE_BUDGET } else { SERVED_BUDGET };
    let shares = ShareReader::new(args.pss_budget.unwrap_or(usual));
    let classes = if args.classes {
        Classes::Shown
    } else {
        Classes::Hidden
    };
    let gatherer = Gatherer::new(choice(args), shares, classes);
    if args.once {
        once(args, gatherer)
    } else {
        serve(args, gatherer)
    }
}

fn choice(args: &ExportArgs) -> Choice {
    let conditions = [
        args.pid.is_empty(),
        args.name.is_empty(),
        args.user.is_empty(),
        args.cgroup.is_empty(),
        !args.all,
    ];
    let unconditional = conditions.iter().all(|none| *none);
    Choice {
        pids: args.pid.clone(),
        names: args.name.clone(),
        users: args.user.clone(),
        groups: args.cgroup.clone(),
        under: if args.under_libneap || unconditional {
            Under::Libneap
        } else {
            Under::Anything
        },
        limit: usize::from(args.limit),
    }
}

fn once(args: &ExportArgs, mut gatherer: Gatherer) -> Result<u8, Failure> {
    let scrape = gatherer
        .gather()
        .map_err(|why| Failure::own("neap export", why))?;
    if scrape.processes.is_empty() {
        let _ = writeln!(
            io::stderr(),
            "neap: no process is exported: {}",
            why_none(&scrape.unreadable)
        );
    }
    let scrape = Arc::new(scrape);
    let bytes = if args.json {
        report::json::bytes(&report::export::build(&scrape))
    } else {
        let format = match args.format {
            Format::Openmetrics => text::Format::OpenMetrics,
            Format::Prometheus => text::Format::Prometheus,
        };
        let text = text::write(&scrape, format);
        text.map_err(|error| Failure::own("the metrics could not be encoded", error))?
            .into_bytes()
    };
    match args.output.as_deref().filter(|path| path.as_os_str() != "-") {
        Some(path) => place::replace(path, &bytes).map_err(|error| Failure::own(path.display(), error))?,
        None => Place::Stdout.deliver(&bytes)?,
    }
    Ok(0)
}

/// Whether rights are what is missing.
fn why_none(unreadable: &[crate::export::figures::Unreadable]) -> String {
    let denied = unreadable
        .iter()
        .filter(|row| row.source == "heap" && row.reason == "denied");
    match denied.map(|row| row.processes).sum::<u64>() {
        0 => "none matches".to_owned(),
        count => format!("none that may be read matches, and {count} may not (CAP_SYS_PTRACE reads all)"),
    }
}

fn serve(args: &ExportArgs, gatherer: Gatherer) -> Result<u8, Failure> {
    if !args.listen.ip().is_loopback() {
        let _ = writeln!(
            io::stderr(),
            "neap: warning: {} can be reached from other machines; names and sizes of processes are served \
             without a password",
            args.listen
        );
    }
    let ready = |bound: SocketAddr| {
        // Whoever started this may have closed its end of a pipe.
        let _ = writeln!(io::stdout(), "http://{bound}/metrics");
    };
    server::serve(args.listen, &args.allow_host, gatherer, ready)
        .map_err(|error| Failure::own(format_args!("cannot serve at {}", args.listen), error))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ExportArgs,
    }

    fn parse(words: &[&str]) -> Result<ExportArgs, String> {
        let line = [&["neap-export"], words].concat();
        Line::try_parse_from(line)
            .map(|line| line.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_condition_those_under_libneap_are_chosen() {
        let under = |words: &[&str]| choice(&parse(words).unwrap()).under;
        assert_eq!(under(&[]), Under::Libneap);
        assert_eq!(under(&["--limit", "5"]), Under::Libneap);
        assert_eq!(under(&["--name", "a*"]), Under::Anything);
        assert_eq!(under(&["--name", "a*", "--under-libneap"]), Under::Libneap);
        assert_eq!(under(&["--all"]), Under::Anything);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for words in [
            &["--all", "--pid", "1"][..],
            &["--json"],
            &["--output", "x"],
            &["--once", "--json", "--format", "openmetrics"],
            &["--once", "--listen", "127.0.0.1:1"],
            &["--limit", "0"],
            &["--pid", "0"],
            &["--listen", ":80"],
            &["--name", "/(/"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        assert_eq!(parse(&["--pid", "1,2", "--pid", "3"]).unwrap().pid, [1, 2, 3]);
    }
}
