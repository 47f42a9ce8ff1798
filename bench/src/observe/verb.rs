//! `cargo xtask bench observe`: the command line, and where the findings go.

use super::command::Tools;
use super::{Effort, PARTS};
use crate::contest::text::text_of;
use crate::contest::{hold, one_by_one, record};
use crate::peers::said;
use crate::record::Machine;
use clap::Args;
use std::path::Path;
use std::process::Command;

/// neap's verbs that look at memory, beside pmap, smem, ps, vmtouch and free.
///
/// Prints tables and, last, a line that says pass or MISS for each target. Needs 1 GiB of memory and as much
/// on the disk of the target directory.
#[derive(Args, Debug)]
pub(crate) struct Observe {
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

/// Names and versions of the rivals' packages, where dpkg knows them.
fn versions() -> Vec<String> {
    let said = said(Command::new("dpkg-query").args([
        "-W",
        "-f=${Package} ${Version}\\n",
        "procps",
        "smem",
        "vmtouch",
    ]));
    said.lines().map(str::to_owned).collect()
}

/// Measures, prints, and writes what is asked for. `release` has `neap`, and room for files.
pub(crate) fn run(order: &Observe, release: &Path, library: &Path) -> Result<(), String> {
    let machine = Machine::look();
    let (effort, rounds) = if order.quick {
        (Effort::Quick, order.rounds.min(2))
    } else {
        (Effort::Full, order.rounds)
    };
    let tools = Tools {
        neap: release.join("neap"),
        load: release.join("neap-load"),
        library: library.to_owned(),
        folder: release.join(format!("observe-{}", std::process::id())),
        effort,
    };
    let contests = PARTS.iter().flat_map(|part| one_by_one(part(&tools)));
    let findings = hold(contests, &order.only, rounds)?;
    print!("{}", text_of(&findings));
    if order.record {
        record("observe", &machine, &versions(), &findings)?;
    }
    Ok(())
}
