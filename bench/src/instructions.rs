//! `cargo xtask bench instructions`: what one pair of calls costs in instructions, loads and stores.
//!
//! `neap-load pairs KIND N` runs under callgrind with N and with 2 N; the difference, less that of a loop without
//! calls, is what N pairs cost, calls included. Counts do not depend on the machine or on what else it does. What
//! they do not show: misses, and that an atomic instruction costs more than a plain one.

use crate::peers::{self, Allocator};
use crate::record::{Machine, put};
use crate::report::table;
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Counts instructions, loads and stores of single calls, by callgrind. About five minutes.
#[derive(Args, Debug)]
pub(crate) struct Instructions {
    /// Only these allocators.
    #[arg(long, value_delimiter = ',', value_name = "NAME", default_values_t = peers::DEFAULT.map(str::to_owned))]
    allocators: Vec<String>,
    /// Only these kinds.
    #[arg(long, value_delimiter = ',', value_name = "KIND", default_values_t = KINDS.map(|k| k.0.to_owned()))]
    only: Vec<String>,
    /// Writes the counts to bench/record/DATE-COMMIT.
    #[arg(long)]
    record: bool,
}

/// Names that `neap-load pairs` knows, and what they are.
const KINDS: [(&str, &str); 10] = [
    ("16", "malloc and free of 16 bytes"),
    ("48", "of 48 bytes"),
    ("2048", "of 2 KiB"),
    ("8192", "of 8 KiB"),
    ("65536", "of 64 KiB"),
    ("1048576", "of 1 MiB"),
    ("calloc-64", "calloc and free of 64 bytes"),
    ("realloc-64-200", "malloc of 64 bytes, realloc to 200, free"),
    ("queue-64", "64 bytes, each freed 1000 calls later"),
    ("cross-64", "64 bytes, freed by another thread, 1000 at a time"),
];

/// How many pairs; a multiple of 1000, so that `cross-64` comes out even.
const PAIRS: u64 = 10_000;

/// Of one pair.
#[derive(Clone, Copy, Debug, Serialize)]
struct Counts {
    instructions: f64,
    loads: f64,
    stores: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Line {
    kind: String,
    what: &'static str,
    allocator: String,
    /// Why there are no counts, if so.
    counts: Result<Counts, String>,
}

/// Counts, prints, and records if asked to.
pub(crate) fn run(order: &Instructions, all: &[Allocator], release: &Path) -> Result<(), String> {
    if peers::said(Command::new("valgrind").arg("--version")).is_empty() {
        return Err("valgrind is not installed: it counts the instructions".to_owned());
    }
    let (here, gone): (Vec<String>, Vec<String>) = order
        .allocators
        .iter()
        .cloned()
        .partition(|name| all.iter().any(|a| a.name == *name));
    for name in gone {
        println!("{name}: not found");
    }
    let allocators = peers::pick(all, &here)?;
    let kinds: Vec<_> = KINDS
        .into_iter()
        .filter(|(name, _)| order.only.iter().any(|o| o == name))
        .collect();
    let load = release.join("neap-load");
    let bar = ProgressBar::new((allocators.len() * kinds.len()) as u64);
    let mut lines = Vec::new();
    for allocator in &allocators {
        let empty = difference(&load, "empty", allocator);
        for (kind, what) in &kinds {
            // An allocator that cannot start under valgrind fails once, not for every kind.
            let counts = empty
                .clone()
                .and_then(|empty| Ok(difference(&load, kind, allocator)?.less(empty)));
            lines.push(Line {
                kind: (*kind).to_owned(),
                what,
                allocator: allocator.name.clone(),
                counts,
            });
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let text = text(&lines, &allocators);
    print!("{text}");
    if order.record {
        let machine = Machine::look();
        let directory = machine.directory()?;
        let valgrind = peers::said(Command::new("valgrind").arg("--version"));
        let head = format!("# Instructions\n\n{}- {valgrind}\n\n{text}", machine.text());
        let json = serde_json::json!({ "machine": machine, "pairs": PAIRS, "lines": lines });
        println!("{}", put(&directory, "instructions.md", &head)?.display());
        println!(
            "{}",
            put(&directory, "instructions.json", &format!("{json}\n"))?.display()
        );
    }
    Ok(())
}

impl Counts {
    fn less(self, other: Counts) -> Counts {
        Counts {
            instructions: self.instructions - other.instructions,
            loads: self.loads - other.loads,
            stores: self.stores - other.stores,
        }
    }
}

/// What `2 * PAIRS` of a kind cost more than `PAIRS`, for each.
fn difference(load: &Path, kind: &str, allocator: &Allocator) -> Result<Counts, String> {
    let once = count(load, kind, PAIRS, allocator)?;
    let twice = count(load, kind, 2 * PAIRS, allocator)?;
    let [instructions, loads, stores] = [0, 1, 2].map(|n| (twice[n] - once[n]) / PAIRS as f64);
    Ok(Counts {
        instructions,
        loads,
        stores,
    })
}

/// Instructions, loads and stores of a whole process.
fn count(load: &Path, kind: &str, pairs: u64, allocator: &Allocator) -> Result<[f64; 3], String> {
    let file = std::env::temp_dir().join(format!("neap-bench-{}.callgrind", std::process::id()));
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--cache-sim=yes"]);
    command.arg(format!("--callgrind-out-file={}", file.display()));
    command.arg(load).args(["pairs", kind, &pairs.to_string()]);
    command.envs(allocator.environment());
    let output = command.output().map_err(|e| format!("valgrind: {e}"))?;
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    // It lies in a temporary directory, and the next count overwrites it.
    let _ = std::fs::remove_file(&file);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().next_back().unwrap_or("");
        return Err(format!("{}: {kind}: {} {last}", allocator.name, output.status));
    }
    totals(&text).ok_or_else(|| format!("{}: {kind}: callgrind wrote no totals", allocator.name))
}

/// The first three of callgrind's totals, with `--cache-sim=yes`: Ir Dr Dw.
fn totals(text: &str) -> Option<[f64; 3]> {
    let line = text.lines().find_map(|line| line.strip_prefix("totals: "))?;
    let figures: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    figures.first_chunk().copied()
}

fn text(lines: &[Line], allocators: &[Allocator]) -> String {
    let mut text = String::new();
    for (n, title) in ["Instructions", "Loads", "Stores"].into_iter().enumerate() {
        let mut rows = vec![
            std::iter::once(title.to_owned())
                .chain(allocators.iter().map(|a| a.name.clone()))
                .collect::<Vec<_>>(),
        ];
        for (kind, what) in KINDS {
            let mine: Vec<&Line> = lines.iter().filter(|l| l.kind == kind).collect();
            if mine.is_empty() {
                continue;
            }
            let figure = |allocator: &Allocator| {
                let line = mine.iter().find(|l| l.allocator == allocator.name);
                let counts = line.and_then(|l| l.counts.as_ref().ok());
                counts.map_or_else(
                    || "-".to_owned(),
                    |c| format!("{:.1}", [c.instructions, c.loads, c.stores][n]),
                )
            };
            rows.push(
                std::iter::once(what.to_owned())
                    .chain(allocators.iter().map(figure))
                    .collect(),
            );
        }
        text += &format!("{}\n", table(&rows));
    }
    let reasons: BTreeSet<&String> = lines.iter().filter_map(|l| l.counts.as_ref().err()).collect();
    for reason in reasons {
        text += &format!("{reason}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::totals;

    #[test]
    fn totals_are_instructions_loads_and_stores() {
        let text = "events: Ir Dr Dw I1mr\nsummary: 9 9 9 9\ntotals: 391559 77754 54446 1638\n";
        assert_eq!(totals(text), Some([391_559.0, 77_754.0, 54_446.0]));
        assert_eq!(totals("totals: 1 2"), None);
    }
}
