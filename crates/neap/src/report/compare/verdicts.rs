//! Sentences about a comparison: what differs, what went wrong, what to know.

use std::collections::BTreeSet;

use super::{Against, AllocatorRow, Figure, LoadState};
use crate::compare::allocators::Contestant;
use crate::compare::trial::{Ending, READINGS_MIN};
use crate::compare::{Measured, Outcome};
use crate::run::child::End;
use crate::run::signals;

/// The figures of which a sentence speaks, as it calls them.
fn spoken(row: &AllocatorRow) -> [(&'static str, Option<&Figure>); 5] {
    [
        ("wall time", row.figures.wall_ns.as_ref()),
        ("CPU time", row.figures.cpu_ns.as_ref()),
        ("peak RSS", row.figures.rss_peak_bytes.as_ref()),
        ("mean RSS", row.figures.rss_mean_bytes.as_ref()),
        ("RSS at the end", row.figures.rss_end_bytes.as_ref()),
    ]
}

/// A sentence for each allocator that is compared with the baseline.
pub(super) fn sentences(allocators: &[AllocatorRow]) -> Vec<String> {
    let compared = allocators.iter().filter(|row| {
        row.runs_counted > 0
            && spoken(row)
                .iter()
                .any(|(_, figure)| figure.is_some_and(|figure| figure.against_baseline != Against::Baseline))
    });
    compared.map(sentence).collect()
}

fn sentence(row: &AllocatorRow) -> String {
    let figures: Vec<(&str, &Figure)> = spoken(row)
        .into_iter()
        .filter_map(|(name, figure)| Some((name, figure?)))
        .collect();
    if figures
        .iter()
        .all(|(_, figure)| figure.against_baseline == Against::TooFewRuns)
    {
        return format!(
            "{}: too few runs to tell a difference from noise ({}; 5 can)",
            row.name,
            counted(row.runs_counted, "run")
        );
    }
    let told: Vec<String> = figures
        .iter()
        .filter_map(|(name, figure)| clause(name, figure))
        .collect();
    let noise: Vec<&str> = figures
        .iter()
        .filter(|(_, figure)| matches!(figure.against_baseline, Against::BelowNoise | Against::TooFewRuns))
        .map(|(name, _)| *name)
        .collect();
    let mut parts = Vec::new();
    if !told.is_empty() {
        parts.push(told.join(", "));
    }
    if !noise.is_empty() {
        parts.push(format!("below the noise: {}", noise.join(", ")));
    }
    format!("{}: {}", row.name, parts.join("; "))
}

fn clause(name: &str, figure: &Figure) -> Option<String> {
    let ratio = figure.ratio?;
    match figure.against_baseline {
        Against::Less => Some(format!("{name} {} less", percent(1.0 - ratio))),
        Against::More if ratio >= 2.0 => Some(format!("{name} {ratio:.1} times as much")),
        Against::More => Some(format!("{name} {} more", percent(ratio - 1.0))),
        Against::Baseline | Against::BelowNoise | Against::TooFewRuns => None,
    }
}

/// A difference that is one, however small.
fn percent(share: f64) -> String {
    if share < 0.01 {
        "under 1 %".to_owned()
    } else {
        format!("{:.0} %", share * 100.0)
    }
}

/// How a run ended, in words.
pub(super) fn ending(ending: Ending) -> String {
    match ending {
        Ending::Ended(End::Exited(code)) => format!("exit {code}"),
        Ending::Ended(End::Killed { signal }) => format!("killed by {}", signals::name(signal)),
        Ending::TimedOut => "ended by --timeout".to_owned(),
        Ending::Interrupted(signal) => format!("interrupted by {}", signals::name(signal)),
    }
}

/// What went wrong, loudest first.
pub(super) fn alarms(
    outcome: &Outcome,
    allocators: &[AllocatorRow],
    reference: Option<Ending>,
) -> Vec<String> {
    let mut alarms = Vec::new();
    for (index, contestant) in outcome.contestants.iter().enumerate() {
        let own = || outcome.runs.iter().filter(move |run| run.contestant == index);
        let other: Vec<&Measured> = own().filter(|run| Some(run.trial.ending) != reference).collect();
        if let (Some(first), Some(reference)) = (other.first(), reference) {
            let mut text = format!(
                "{}: {} in {} of {} runs, where {} was expected",
                contestant.name,
                ending(first.trial.ending),
                other.len(),
                own().count(),
                ending(reference)
            );
            let last: Vec<String> = last_lines(&first.trial.stderr.text());
            if !last.is_empty() {
                text.push_str("; its stderr ended:");
                for line in last {
                    text.push_str("\n  | ");
                    text.push_str(&line);
                }
            }
            alarms.push(text);
        }
    }
    for row in allocators {
        if row.loaded.state == LoadState::NotLoaded {
            let reason = row.loaded.reason.as_deref().unwrap_or("no reason is known");
            alarms.push(format!("{}: not loaded: {reason}", row.name));
        }
    }
    if reference == Some(Ending::TimedOut) {
        alarms.push("--timeout ended the runs: these are figures of runs that were cut off".to_owned());
    }
    alarms.extend(outputs(outcome, reference));
    if let Some(signal) = outcome.interrupted {
        alarms.push(format!(
            "interrupted by {} after {}; these are the figures until then",
            signals::name(signal),
            counted(outcome.runs.len(), "run")
        ));
    }
    alarms
}

/// `1 run`, `2 runs`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The last lines of a text, harmless to a terminal.
fn last_lines(text: &str) -> Vec<String> {
    const LINES: usize = 6;
    let clean = |line: &str| -> String {
        let characters = line.chars().map(|c| if c.is_control() { '?' } else { c });
        characters.take(200).collect()
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let skipped = lines.len().saturating_sub(LINES);
    lines.into_iter().skip(skipped).map(clean).collect()
}

/// Allocators under which the command wrote something else than under the baseline, when that is steady.
fn outputs(outcome: &Outcome, reference: Option<Ending>) -> Option<String> {
    let ended = |run: &&Measured| Some(run.trial.ending) == reference;
    let hashes = |index: usize| -> BTreeSet<(u64, u64)> {
        let own = outcome
            .runs
            .iter()
            .filter(ended)
            .filter(|run| run.contestant == index);
        own.map(|run| (run.trial.stdout.bytes, run.trial.stdout.hash))
            .collect()
    };
    let first = outcome.runs.first()?.contestant;
    let usual = hashes(first);
    if usual.len() != 1 {
        return None;
    }
    let other = |(index, _): &(usize, &Contestant)| !hashes(*index).is_empty() && hashes(*index) != usual;
    let names: Vec<&str> = outcome
        .contestants
        .iter()
        .enumerate()
        .filter(other)
        .map(|(_, one)| one.name.as_str())
        .collect();
    let base = outcome
        .contestants
        .get(first)
        .map_or("?", |one| one.name.as_str());
    (!names.is_empty()).then(|| {
        format!(
            "the command wrote something else than under {base}: {} (stdout_hash in --json)",
            names.join(", ")
        )
    })
}

/// What to know about the figures.
pub(super) fn notes(outcome: &Outcome, reference: Option<Ending>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(reference @ Ending::Ended(end)) = reference
        && end != End::Exited(0)
    {
        notes.push(format!(
            "the command does not succeed: {} is its usual end",
            ending(reference)
        ));
    }
    let few = outcome
        .runs
        .iter()
        .filter(|run| run.trial.readings < READINGS_MIN)
        .count();
    if few > 0 {
        notes.push(format!(
            "the sampler saw too little: {few} of {} runs were so short that /proc was read fewer than {READINGS_MIN} \
             times; they have no curve, no mean and no RSS at the end, and a peak only where the kernel's mark is above \
             neap's own size",
            outcome.runs.len()
        ));
    }
    if let Some(first) = outcome.runs.first() {
        let own = outcome
            .runs
            .iter()
            .filter(|run| run.contestant == first.contestant);
        let kinds: BTreeSet<u64> = own.map(|run| run.trial.stdout.hash).collect();
        if kinds.len() > 1 {
            notes
                .push("the command writes something else each time, so outputs were not compared".to_owned());
        }
    }
    let leftover: u64 = outcome.runs.iter().map(|run| run.trial.leftover).sum();
    if leftover > 0 {
        notes.push(format!(
            "descendants outlived the command ({leftover} in all runs); they were ended before the next run"
        ));
    }
    let stuck: u64 = outcome.runs.iter().map(|run| run.trial.stuck).sum();
    if stuck > 0 {
        notes.push(format!(
            "{stuck} of them could not be ended and went on beside the next runs"
        ));
    }
    for (index, contestant) in outcome.contestants.iter().enumerate() {
        let own = || outcome.runs.iter().filter(move |run| run.contestant == index);
        let without: u64 = own().map(|run| run.trial.presence.without).sum();
        let with: u64 = own().map(|run| run.trial.presence.with).sum();
        if with > 0 && without > 0 {
            let names: BTreeSet<&str> = own()
                .flat_map(|run| run.trial.presence.names.iter().map(String::as_str))
                .collect();
            let names: Vec<&str> = names.into_iter().collect();
            notes.push(format!(
                "{}: {without} of {} programs did not load it: {}",
                contestant.name,
                with + without,
                names.join(", ")
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(ratio: f64, against_baseline: Against) -> Figure {
        Figure {
            median: 1,
            deviation: 0,
            least: 1,
            greatest: 1,
            runs: 5,
            ratio: Some(ratio),
            against_baseline,
            chance: Some(0.5),
        }
    }

    #[test]
    fn a_clause_says_less_more_or_nothing() {
        let said = |ratio, against| clause("CPU time", &figure(ratio, against));
        assert_eq!(said(0.25, Against::Less).unwrap(), "CPU time 75 % less");
        assert_eq!(said(1.31, Against::More).unwrap(), "CPU time 31 % more");
        assert_eq!(said(7.0, Against::More).unwrap(), "CPU time 7.0 times as much");
        assert_eq!(said(1.003, Against::More).unwrap(), "CPU time under 1 % more");
        assert_eq!(said(0.5, Against::BelowNoise), None);
    }

    #[test]
    fn the_last_lines_are_harmless() {
        let text: String = (0..9).map(|line| format!("line {line}\x1b[2J\n\n")).collect();
        let lines = last_lines(&text);
        assert_eq!((lines.len(), lines[5].as_str()), (6, "line 8?[2J"));
    }
}
