//! `cargo xtask bench giveback`: the command line, and where the findings go.

use super::subject::{Subject, subjects};
use super::{Effort, Findings, Part, measure, plot_of, regions_of, text_of, with_region};
use crate::peers::Allocator;
use clap::{Args, ValueEnum};
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
    /// Writes tables, figures and the plot into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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
    let start = Instant::now();
    let told = |what: &str| eprintln!("{:6.1} s  {what}", start.elapsed().as_secs_f64());
    let findings = measure(parts, &subjects, effort, &scratch.join("giveback"), &told)?;
    print!("{}", text_of(&findings, &subjects));
    if let Some(directory) = &order.out {
        for path in write_record(directory, &findings, &subjects)? {
            println!("{}", path.display());
        }
    }
    if order.doc {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/give-back.md");
        write_document(&path, &findings, &subjects)?;
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

fn put(path: PathBuf, text: &str) -> Result<PathBuf, String> {
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

fn write_record(directory: &Path, findings: &Findings, subjects: &[Subject]) -> Result<Vec<PathBuf>, String> {
    fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let json = serde_json::to_string(findings).map_err(|e| format!("the findings as JSON: {e}"))?;
    let mut paths = vec![
        put(directory.join("giveback.md"), &text_of(findings, subjects))?,
        put(directory.join("giveback.json"), &format!("{json}\n"))?,
    ];
    if let Some(plot) = plot_of(findings, subjects) {
        paths.push(put(directory.join("giveback.svg"), &plot)?);
    }
    Ok(paths)
}

fn write_document(path: &Path, findings: &Findings, subjects: &[Subject]) -> Result<(), String> {
    let mut text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    for (region, figures) in regions_of(findings, subjects) {
        text = with_region(&text, region, &figures).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    put(path.to_owned(), &text).map(drop)
}
