//! Every task under every allocator, several times, interleaved.
//!
//! A round runs one task once under each allocator, in an order that moves on by one with each round: what else
//! the machine does, and who ran before, falls on everybody. One run more comes first and is thrown away, so that
//! files are in the page cache for all. Nothing is pinned.

use crate::measure::{Launcher, Sample};
use crate::peers::Allocator;
use crate::stats::Summary;
use crate::suite::{Kind, Task};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::BTreeMap;

/// One allocator's figures for one task.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cell {
    pub(crate) wall_s: Summary,
    pub(crate) cpu_s: Summary,
    pub(crate) peak_rss_bytes: Summary,
    /// At the end of the work, where a workload says so: what an allocator has kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end_rss_bytes: Option<Summary>,
}

/// One task's figures, by allocator.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) kind: Kind,
    pub(crate) cells: BTreeMap<String, Cell>,
}

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) runs: usize,
    pub(crate) threads: usize,
    pub(crate) allocators: Vec<Allocator>,
    pub(crate) rows: Vec<Row>,
    /// What was not measured, and why.
    pub(crate) left_out: Vec<String>,
    /// What did not end well, or printed something else than under the first allocator.
    pub(crate) failures: Vec<String>,
}

/// Measures `tasks`, `runs` times each.
pub(crate) fn measure(
    tasks: &[Task],
    allocators: &[Allocator],
    runs: usize,
    launcher: &Launcher,
    results: &mut Results,
) {
    let bar = ProgressBar::new((tasks.len() * runs * allocators.len()) as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} left  {msg}") {
        bar.set_style(style);
    }
    for task in tasks {
        bar.set_message(task.name.clone());
        let row = measure_one(task, allocators, runs, launcher, &bar, &mut results.failures);
        results.rows.push(row);
    }
    bar.finish_and_clear();
}

fn measure_one(
    task: &Task,
    allocators: &[Allocator],
    runs: usize,
    launcher: &Launcher,
    bar: &ProgressBar,
    failures: &mut Vec<String>,
) -> Row {
    let mut samples: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
    let mut failed: Vec<&str> = Vec::new();
    let mut expected: Option<String> = None;
    if let Some(Ok(sample)) = allocators.first().map(|a| launcher.run(&task.job, a)) {
        expected = Some(comparable(task.kind, &sample.output));
    }
    for round in 0..runs {
        for n in 0..allocators.len() {
            let allocator = &allocators[(n + round) % allocators.len()];
            let name = allocator.name.as_str();
            bar.inc(1);
            if failed.contains(&name) {
                continue;
            }
            let told = launcher.run(&task.job, allocator).and_then(|sample| {
                let said = comparable(task.kind, &sample.output);
                let same = *expected.get_or_insert_with(|| said.clone()) == said;
                same.then_some(sample)
                    .ok_or_else(|| "printed something else".to_owned())
            });
            match told {
                Ok(sample) => samples.entry(name).or_default().push(sample),
                Err(reason) => {
                    failures.push(format!("{} under {name}: {reason}", task.name));
                    failed.push(name);
                }
            }
        }
    }
    let whole = samples.into_iter().filter(|(name, _)| !failed.contains(name));
    Row {
        name: task.name.clone(),
        what: task.what.clone(),
        kind: task.kind,
        cells: whole
            .map(|(name, samples)| (name.to_owned(), cell(&samples)))
            .collect(),
    }
}

/// The part of what was printed that must be the same under every allocator.
fn comparable(kind: Kind, output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    match kind {
        Kind::Workload => text.split_whitespace().next().unwrap_or("").to_owned(),
        Kind::Program => text.into_owned(),
    }
}

fn cell(samples: &[Sample]) -> Cell {
    let of = |figure: fn(&Sample) -> f64| Summary::of(samples.iter().map(figure).collect());
    let ends: Vec<f64> = samples.iter().filter_map(|s| end_rss(&s.output)).collect();
    Cell {
        wall_s: of(|s| s.wall_s),
        cpu_s: of(|s| s.cpu_s),
        peak_rss_bytes: of(|s| s.peak_rss_bytes),
        end_rss_bytes: (ends.len() == samples.len() && !ends.is_empty()).then(|| Summary::of(ends)),
    }
}

/// `... N resident` as `neap-load run` prints it.
fn end_rss(output: &[u8]) -> Option<f64> {
    let text = String::from_utf8_lossy(output);
    let mut words = text.split_whitespace().rev();
    (words.next()? == "resident").then(|| words.next()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_says_what_it_did_and_kept() {
        let output = b"12 operations 0.500000 seconds 4096 resident\n";
        assert_eq!(comparable(Kind::Workload, output), "12");
        assert_eq!(end_rss(output), Some(4096.0));
        assert_eq!(end_rss(b"4096 rows\n"), None);
        assert_eq!(comparable(Kind::Program, b"a b\n"), "a b\n");
    }
}
