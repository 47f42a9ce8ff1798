//! `cargo xtask bench`: workloads and real programs under every allocator.

use crate::compare::{self, Results};
use crate::measure::Launcher;
use crate::peers::{self, Allocator};
use crate::record::{Machine, put};
use crate::report::{Figure, Metric, brief, markdown, svg};
use crate::suite;
use clap::Args;
use std::fs;
use std::path::Path;

/// About twelve minutes, on a machine that does nothing else; with --quick two.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Only these workloads and programs; `workloads` and `programs` name all of them.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// Only these allocators.
    #[arg(long, value_delimiter = ',', value_name = "NAME", default_values_t = peers::DEFAULT.map(str::to_owned))]
    allocators: Vec<String>,
    /// How often each is run.
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Threads of the workloads that have threads; by default as many as processors, but 4 at most.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// One run each, under four allocators: to see whether it works.
    #[arg(long)]
    quick: bool,
    /// Writes everything to bench/record/DATE-COMMIT.
    #[arg(long)]
    record: bool,
    /// Prints every table, not the means alone.
    #[arg(long)]
    full: bool,
}

const RUNS: usize = 5;
const QUICK: [&str; 4] = ["glibc", "mimalloc3", "tcmalloc", "neap"];

/// Measures, prints, and records what is asked for.
pub(crate) fn run(order: &Run, all: &[Allocator], missing: &[String], release: &Path) -> Result<(), String> {
    let scratch = std::env::temp_dir().join(format!("neap-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    let outcome = measured(order, all, missing, release, &scratch);
    // Left behind it costs some space in a temporary directory.
    let _ = fs::remove_dir_all(&scratch);
    outcome
}

fn measured(
    order: &Run,
    all: &[Allocator],
    missing: &[String],
    release: &Path,
    scratch: &Path,
) -> Result<(), String> {
    let load = release.join("neap-load");
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let threads = order.threads.unwrap_or(cores.clamp(2, 4));
    let machine = Machine::look();
    let (tasks, mut left_out) = suite::all(&load, scratch, threads)?;
    let tasks = suite::pick(tasks, &order.only)?;
    let wanted: Vec<String> = if order.quick {
        QUICK.map(str::to_owned).to_vec()
    } else {
        order.allocators.clone()
    };
    let (here, gone): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|name| !missing.contains(name));
    left_out.extend(gone.iter().map(|name| format!("{name}: not found")));
    let mut results = Results {
        runs: order.runs.unwrap_or(if order.quick { 1 } else { RUNS }).max(1),
        threads,
        allocators: peers::pick(all, &here)?,
        rows: Vec::new(),
        left_out,
        failures: Vec::new(),
    };
    let (allocators, runs) = (results.allocators.clone(), results.runs);
    compare::measure(
        &tasks,
        &allocators,
        runs,
        &Launcher::new(&load, scratch),
        &mut results,
    );
    if order.full {
        print!("{}", markdown(&results, &machine));
    } else {
        print!("{}", brief(&results));
        for line in results.left_out.iter().chain(&results.failures) {
            println!("{line}");
        }
    }
    if order.record {
        write_record(&results, &machine)?;
    }
    Ok(())
}

fn write_record(results: &Results, machine: &Machine) -> Result<(), String> {
    let directory = machine.directory()?;
    let whole = serde_json::json!({ "machine": machine, "results": results });
    let mut paths = vec![
        put(&directory, "compare.md", &markdown(results, machine))?,
        put(&directory, "compare.json", &format!("{whole}\n"))?,
    ];
    if results.has(crate::report::YARDSTICK) {
        for (metric, file) in [
            (Metric::Wall, "time.svg"),
            (Metric::Cpu, "processor-time.svg"),
            (Metric::PeakRss, "peak-memory.svg"),
        ] {
            paths.push(put(&directory, file, &svg(results, Figure { metric })?)?);
        }
    }
    for path in paths {
        println!("{}", path.display());
    }
    Ok(())
}
