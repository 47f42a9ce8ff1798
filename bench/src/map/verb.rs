//! `cargo xtask bench map`: the command line, and where the findings go.

use super::contest::Contest;
use super::contest::Finding;
use super::input::Input;
use super::text::text_of;
use super::{Effort, PARTS};
use crate::record::{Machine, put};
use clap::Args;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// neap-map beside memmap2, rustix and plain reads: scans, random reads, logs, rings, growth, counters,
/// costs.
///
/// Prints tables and, last, a line that says pass or MISS for each target. Needs 5 GiB of memory and 4 GiB on
/// the disk of the target directory.
#[derive(Args, Debug)]
pub(crate) struct Map {
    /// Only contests whose name contains one of these.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// A sixteenth of the size and two rounds: to see whether it works.
    #[arg(long)]
    quick: bool,
    /// Rounds of each contest.
    #[arg(long, default_value_t = 7, value_name = "N")]
    rounds: usize,
    /// Writes tables and figures to bench/record/DATE-COMMIT.
    #[arg(long)]
    record: bool,
}

#[derive(Serialize)]
struct Record<'a> {
    machine: &'a Machine,
    findings: &'a [Finding],
}

/// The contests of a part, or why there are none.
fn one_by_one(part: Result<Vec<Contest>, String>) -> Vec<Result<Contest, String>> {
    match part {
        Ok(contests) => contests.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
}

/// Measures, prints, and writes what is asked for. `scratch` is for the files.
pub(crate) fn run(order: &Map, scratch: &Path) -> Result<(), String> {
    let machine = Machine::look();
    let (effort, rounds) = if order.quick {
        (Effort::Quick, order.rounds.min(2))
    } else {
        (Effort::Full, order.rounds)
    };
    let start = Instant::now();
    let input = Input::make(&scratch.join(format!("map-{}", std::process::id())), effort)?;
    let mut findings = Vec::new();
    for contest in PARTS.iter().map(|part| part(&input)).flat_map(one_by_one) {
        let contest = contest?;
        if order.only.is_empty() || order.only.iter().any(|part| contest.name.contains(part.as_str())) {
            eprintln!("{:6.1} s  {}", start.elapsed().as_secs_f64(), contest.name);
            findings.push(contest.hold(rounds.max(1)));
        }
    }
    if findings.is_empty() {
        return Err(format!("no contest named {}", order.only.join(" or ")));
    }
    print!("{}", text_of(&findings));
    if order.record {
        let directory = machine.directory()?;
        let record = Record {
            machine: &machine,
            findings: &findings,
        };
        let json = serde_json::to_string(&record).map_err(|e| format!("the findings as JSON: {e}"))?;
        let text = format!("{}\n{}", machine.text(), text_of(&findings));
        println!("{}", put(&directory, "map.md", &text)?.display());
        println!("{}", put(&directory, "map.json", &format!("{json}\n"))?.display());
    }
    Ok(())
}
