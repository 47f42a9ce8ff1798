//! `cargo xtask bench map`: the command line, and where the findings go.

use super::input::Input;
use super::{Effort, PARTS};
use crate::contest::text::text_of;
use crate::contest::{hold, one_by_one, record};
use crate::record::Machine;
use clap::Args;
use std::path::Path;

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

/// Measures, prints, and writes what is asked for. `scratch` is for the files.
pub(crate) fn run(order: &Map, scratch: &Path) -> Result<(), String> {
    let machine = Machine::look();
    let (effort, rounds) = if order.quick {
        (Effort::Quick, order.rounds.min(2))
    } else {
        (Effort::Full, order.rounds)
    };
    let input = Input::make(&scratch.join(format!("map-{}", std::process::id())), effort)?;
    let contests = PARTS.iter().flat_map(|part| one_by_one(part(&input)));
    let findings = hold(contests, &order.only, rounds)?;
    print!("{}", text_of(&findings));
    if order.record {
        record("map", &machine, &[], &findings)?;
    }
    Ok(())
}
