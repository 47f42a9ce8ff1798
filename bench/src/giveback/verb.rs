//! `cargo xtask bench giveback`: the command line, and where the findings go.

use super::subject::{Subject, subjects};
use super::{Effort, Findings, Part, measure, plot_of, regions_of, text_of, with_region};
use crate::peers::Allocator;
use crate::record::{Machine, put};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What remains resident after a burst, what giving back costs, how small a small program is.
///
/// Prints tables and, last, a line that says pass or MISS for each target. Six to eight minutes, and up
/// to 8 GiB of memory.
#[derive(Args, Debug)]
pub(crate) struct Giveback {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Only these allocators (glibc is always among them).
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    allocators: Vec<String>,
    /// Bursts of a quarter of the size and single runs: to see whether it works. Fixed costs weigh more.
    #[arg(long)]
    quick: bool,
    /// Writes tables, figures and the plot to bench/record/DATE-COMMIT.
    #[arg(long)]
    record: bool,
    /// Writes the tables of docs/give-back.md anew.
    #[arg(long, conflicts_with = "quick")]
    doc: bool,
}

/// Measures, prints, and writes what is asked for. `scratch` is for compiled programs.
pub(crate) fn run(order: &Giveback, all: &[Allocator], scratch: &Path) -> Result<(), String> {
    let subjects = chosen(subjects(all), &order.allocators)?;
    let parts: &[Part] = if order.only.is_empty() {
        Part::value_variants()
    } else {
        &order.only
    };
    let effort = if order.quick { Effort::Quick } else { Effort::Full };
    let machine = Machine::look();
    let start = Instant::now();
    let told = |what: &str| eprintln!("{:6.1} s  {what}", start.elapsed().as_secs_f64());
    let findings = measure(parts, &subjects, effort, &scratch.join("giveback"), &told)?;
    print!("{}", text_of(&findings, &subjects));
    if order.record {
        for path in write_record(&machine, &findings, &subjects)? {
            println!("{}", path.display());
        }
    }
    if order.doc {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/give-back.md");
        write_document(&path, &machine, &findings, &subjects)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn chosen(all: Vec<Subject>, names: &[String]) -> Result<Vec<Subject>, String> {
    if let Some(name) = names.iter().find(|name| all.iter().all(|s| s.name != **name)) {
        let known: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
        return Err(format!("no allocator {name}; there are: {}", known.join(", ")));
    }
    let wanted = |s: &Subject| names.is_empty() || s.name == "glibc" || names.contains(&s.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// A record: everything, in three forms.
#[derive(Serialize)]
struct Record<'a> {
    machine: &'a Machine,
    findings: &'a Findings,
}

fn write_record(
    machine: &Machine,
    findings: &Findings,
    subjects: &[Subject],
) -> Result<Vec<PathBuf>, String> {
    let directory = machine.directory()?;
    let record = Record { machine, findings };
    let json = serde_json::to_string(&record).map_err(|e| format!("the findings as JSON: {e}"))?;
    let text = format!("{}\n{}", machine.text(), text_of(findings, subjects));
    let mut paths = vec![
        put(&directory, "giveback.md", &text)?,
        put(&directory, "giveback.json", &format!("{json}\n"))?,
    ];
    if let Some(plot) = plot_of(findings, subjects) {
        paths.push(put(&directory, "giveback.svg", &plot)?);
    }
    Ok(paths)
}

fn write_document(
    path: &Path,
    machine: &Machine,
    findings: &Findings,
    subjects: &[Subject],
) -> Result<(), String> {
    let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let mut text = fs::read_to_string(path).map_err(|e| failed(&e))?;
    let mut regions = regions_of(findings, subjects);
    regions.push(("machine", machine.text()));
    for (region, figures) in regions {
        text = with_region(&text, region, &figures).map_err(|e| failed(&e))?;
    }
    fs::write(path, text).map_err(|e| failed(&e))
}
