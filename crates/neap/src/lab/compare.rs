//! Two records beside each other: what one kernel does and another does not.

use std::collections::BTreeSet;

use serde::Serialize;

use super::record::{Check, Record, Run, Trial, Verdict};

/// What differs between two records.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) schema: &'static str,
    pub(crate) first: String,
    pub(crate) second: String,
    /// Experiments that both have.
    pub(crate) in_both: usize,
    /// Of these, those with the same verdict and the same findings.
    pub(crate) alike: usize,
    pub(crate) differences: Vec<Difference>,
    pub(crate) only_in_first: Vec<String>,
    pub(crate) only_in_second: Vec<String>,
}

/// One experiment that came out otherwise.
#[derive(Debug, Serialize)]
pub(crate) struct Difference {
    pub(crate) name: String,
    pub(crate) first: Verdict,
    pub(crate) second: Verdict,
    /// Checks that hold in one and not in the other: what, found in the first, found in the second.
    pub(crate) checks: Vec<(String, Option<String>, Option<String>)>,
}

/// Compares. Figures that scatter from run to run are no difference: a check counts if it holds in one and
/// not in the other.
pub(crate) fn compare(first: &Record, second: &Record) -> Comparison {
    let names = |record: &Record| {
        record
            .trials
            .iter()
            .map(|trial| trial.name.clone())
            .collect::<BTreeSet<_>>()
    };
    let (one, two) = (names(first), names(second));
    let find = |record: &'_ Record, name: &str| record.trials.iter().position(|trial| trial.name == name);
    let mut differences = Vec::new();
    for name in one.intersection(&two) {
        let (Some(a), Some(b)) = (find(first, name), find(second, name)) else {
            continue;
        };
        differences.extend(between(&first.trials[a], &second.trials[b]));
    }
    let in_both = one.intersection(&two).count();
    Comparison {
        schema: "neap.lab-diff/1",
        first: first.circumstances.kernel.clone(),
        second: second.circumstances.kernel.clone(),
        in_both,
        alike: in_both - differences.len(),
        differences,
        only_in_first: one.difference(&two).cloned().collect(),
        only_in_second: two.difference(&one).cloned().collect(),
    }
}

fn between(first: &Trial, second: &Trial) -> Option<Difference> {
    let mut checks = Vec::new();
    for run in &first.runs {
        let other = second.runs.iter().find(|other| other.malloc == run.malloc);
        checks.extend(other.map_or_else(Vec::new, |other| checks_between(run, other)));
    }
    let same_word = first.verdict.word() == second.verdict.word();
    if same_word && checks.is_empty() {
        return None;
    }
    Some(Difference {
        name: first.name.clone(),
        first: first.verdict.clone(),
        second: second.verdict.clone(),
        checks,
    })
}

fn checks_between(first: &Run, second: &Run) -> Vec<(String, Option<String>, Option<String>)> {
    let find = |run: &Run, what: &str| run.checks().find(|check| check.what == what).cloned();
    let found = |check: &Option<Check>| check.as_ref().map(|check| check.found.clone());
    let mut whats: Vec<&str> = first
        .checks()
        .chain(second.checks())
        .map(|check| check.what.as_str())
        .collect();
    whats.sort_unstable();
    whats.dedup();
    whats
        .into_iter()
        .filter_map(|what| {
            let (a, b) = (find(first, what), find(second, what));
            let holds = |check: &Option<Check>| check.as_ref().map(|check| check.holds);
            let differs = match (holds(&a), holds(&b)) {
                (Some(first), Some(second)) => first != second,
                // What was not judged, because others disturbed it, is no difference; what failed is.
                (Some(alone), None) | (None, Some(alone)) => !alone,
                (None, None) => false,
            };
            differs.then(|| (what.to_owned(), found(&a), found(&b)))
        })
        .collect()
}
