//! Makes a comparison from what the engine measured.

use std::collections::BTreeMap;

use super::verdicts;
use super::{
    Against, AllocatorRow, Comparison, Exit, Figure, Figures, LoadState, Loaded, PointRow, RunRow, SCHEMA,
    Settings,
};
use crate::compare::allocators::{Contestant, Origin, SYSTEM};
use crate::compare::probe::{self, Service};
use crate::compare::statistics::{self, Difference, SIGNIFICANT, Summary};
use crate::compare::trial::{Ending, READINGS_MIN, Trial};
use crate::compare::{Measured, Outcome};
use crate::failure::{DIFFERS, TIMED_OUT};
use crate::report::Machine;
use crate::run::child::End;
use crate::run::signals;
use crate::unit::to_f64;

/// What the user asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) command: Vec<String>,
    pub(crate) rounds: u32,
    pub(crate) warmup: u32,
    pub(crate) interval_ns: u64,
    pub(crate) timeout_ns: Option<u64>,
}

/// The report of one comparison.
pub(crate) fn build(asked: Asked, outcome: &Outcome) -> Comparison {
    let reference = reference(outcome);
    let baseline = baseline(outcome);
    let counted = |run: &Measured| {
        Some(run.trial.ending) == reference
            && outcome
                .contestants
                .get(run.contestant)
                .is_some_and(|one| load_state(one, outcome, run.contestant).0 != LoadState::NotLoaded)
    };
    let mut allocators = Vec::new();
    for (index, contestant) in outcome.contestants.iter().enumerate() {
        let own = |run: &&Measured| run.contestant == index && counted(run);
        let base = |run: &&Measured| Some(run.contestant) == baseline && counted(run);
        let mine: Vec<&Trial> = outcome.runs.iter().filter(own).map(|run| &run.trial).collect();
        let theirs: Vec<&Trial> = outcome.runs.iter().filter(base).map(|run| &run.trial).collect();
        let theirs = (Some(index) != baseline).then_some(theirs);
        allocators.push(allocator(contestant, outcome, index, &mine, theirs.as_deref()));
    }
    let runs: Vec<RunRow> = outcome
        .runs
        .iter()
        .map(|run| row(run, outcome, counted(run)))
        .collect();
    let mut notes = outcome.notes.clone();
    notes.extend(verdicts::notes(outcome, reference));
    let alarms = verdicts::alarms(outcome, &allocators, reference);
    let code = exit_code(outcome, &allocators, reference);
    let not_available = reasons(&allocators, &runs);
    Comparison {
        schema: SCHEMA,
        neap_version: env!("CARGO_PKG_VERSION"),
        measured_at: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        command: asked.command,
        machine: Machine::here(),
        settings: Settings {
            rounds: asked.rounds,
            warmup: asked.warmup,
            interval_ns: asked.interval_ns,
            timeout_ns: asked.timeout_ns,
            significance: SIGNIFICANT,
        },
        baseline: baseline
            .and_then(|index| outcome.contestants.get(index))
            .map(|one| one.name.clone()),
        verdicts: verdicts::sentences(&allocators),
        allocators,
        runs,
        exit: Exit {
            neap_code: code,
            interrupted_by: outcome.interrupted.map(signals::name),
        },
        alarms,
        notes,
        not_available,
    }
}

/// The first that was measured, which is the system's malloc unless `--only` left it out.
fn baseline(outcome: &Outcome) -> Option<usize> {
    let measured = |index: &usize| outcome.runs.iter().any(|run| run.contestant == *index);
    let mut indices = 0..outcome.contestants.len();
    let system = outcome.contestants.iter().position(|one| one.name == SYSTEM);
    system.filter(measured).or_else(|| indices.find(measured))
}

/// How the command should end: as most runs of the baseline did.
fn reference(outcome: &Outcome) -> Option<Ending> {
    let baseline = baseline(outcome)?;
    let endings: Vec<Ending> = outcome
        .runs
        .iter()
        .filter(|run| run.contestant == baseline)
        .map(|run| run.trial.ending)
        .collect();
    let often = |ending: &Ending| endings.iter().filter(|other| *other == ending).count();
    endings.iter().rev().copied().max_by_key(often)
}

/// Whether a library served malloc, and why not. The measured command has the last word.
fn load_state(contestant: &Contestant, outcome: &Outcome, index: usize) -> (LoadState, Option<String>) {
    match &contestant.service {
        Service::NotLoaded(why) => return (LoadState::NotLoaded, Some(why.clone())),
        Service::Serves { .. } | Service::Unknown(_) => {}
    }
    let Some(library) = &contestant.library else {
        return (LoadState::Loaded, None);
    };
    let (mut with, mut without) = (0, 0);
    for run in outcome.runs.iter().filter(|run| run.contestant == index) {
        if let Some(why) = probe::not_preloaded(&run.trial.stderr.text(), library) {
            return (LoadState::NotLoaded, Some(why));
        }
        with += run.trial.presence.with;
        without += run.trial.presence.without;
    }
    match &contestant.service {
        _ if with == 0 && without > 0 => (
            LoadState::NotLoaded,
            Some("no program of the command had it in /proc/PID/maps".to_owned()),
        ),
        Service::Unknown(why) if with == 0 => (LoadState::Unknown, Some(why.clone())),
        _ => (LoadState::Loaded, None),
    }
}

fn allocator(
    contestant: &Contestant,
    outcome: &Outcome,
    index: usize,
    mine: &[&Trial],
    theirs: Option<&[&Trial]>,
) -> AllocatorRow {
    let (state, reason) = load_state(contestant, outcome, index);
    let own = || outcome.runs.iter().filter(|run| run.contestant == index);
    let sum = |field: fn(&Trial) -> u64| own().map(|run| field(&run.trial)).sum();
    let shown = typical(mine);
    let points = shown.map_or(&[][..], |trial| &trial.points);
    AllocatorRow {
        name: contestant.name.clone(),
        library: contestant.library.as_ref().map(|path| path.display().to_string()),
        origin: match contestant.origin {
            Origin::BuiltIn => "built_in",
            Origin::Named => "with",
            Origin::Installed => "installed",
        },
        loaded: Loaded {
            state,
            reason,
            malloc_from: match &contestant.service {
                Service::Serves { by } => Some(by.display().to_string()),
                Service::NotLoaded(_) | Service::Unknown(_) => None,
            },
            programs_with: sum(|trial| trial.presence.with),
            programs_without: sum(|trial| trial.presence.without),
            programs_unseen: sum(|trial| trial.presence.unseen),
        },
        runs_counted: mine.len(),
        runs: own().count(),
        figures: figures(mine, theirs),
        series: points
            .iter()
            .map(|point| PointRow {
                at_ns: point.at_ns,
                rss_bytes: point.rss_bytes,
            })
            .collect(),
        series_wall_ns: shown.map(|trial| trial.wall_ns),
    }
}

/// The run with the median wall time.
fn typical<'a>(runs: &[&'a Trial]) -> Option<&'a Trial> {
    let mut sorted = runs.to_vec();
    sorted.sort_by_key(|trial| trial.wall_ns);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

fn figures(mine: &[&Trial], theirs: Option<&[&Trial]>) -> Figures {
    let figure = |field: &dyn Fn(&Trial) -> Option<u64>| {
        let readings =
            |trials: &[&Trial]| -> Vec<u64> { trials.iter().filter_map(|trial| field(trial)).collect() };
        of_readings(&readings(mine), theirs.map(readings).as_deref())
    };
    Figures {
        wall_ns: figure(&|trial| Some(trial.wall_ns)),
        cpu_ns: figure(&|trial| Some(trial.spent.user_ns + trial.spent.system_ns)),
        user_ns: figure(&|trial| Some(trial.spent.user_ns)),
        system_ns: figure(&|trial| Some(trial.spent.system_ns)),
        rss_peak_bytes: figure(&|trial| trial.rss_tree_peak_bytes.max(trial.rss_process_peak_bytes)),
        rss_process_peak_bytes: figure(&|trial| trial.rss_process_peak_bytes),
        rss_tree_peak_bytes: figure(&|trial| trial.rss_tree_peak_bytes),
        rss_mean_bytes: figure(&|trial| trial.rss_mean_bytes),
        rss_end_bytes: figure(&|trial| trial.rss_end_bytes),
        minor_faults: figure(&|trial| Some(trial.spent.minor_faults)),
        major_faults: figure(&|trial| Some(trial.spent.major_faults)),
    }
}

/// `theirs` are the baseline's readings; `None` when these are they.
fn of_readings(mine: &[u64], theirs: Option<&[u64]>) -> Option<Figure> {
    let summary = Summary::of(mine)?;
    let base = match theirs {
        Some(theirs) => Summary::of(theirs),
        None => Some(summary),
    };
    let verdict = theirs.map(|theirs| statistics::compare(mine, theirs));
    Some(Figure {
        median: summary.median,
        deviation: summary.deviation,
        least: summary.least,
        greatest: summary.greatest,
        runs: summary.count,
        ratio: base
            .filter(|base| base.median > 0)
            .map(|base| to_f64(summary.median) / to_f64(base.median)),
        against_baseline: match verdict.map(|verdict| verdict.difference) {
            None => Against::Baseline,
            Some(Difference::Less) => Against::Less,
            Some(Difference::More) => Against::More,
            Some(Difference::BelowNoise) => Against::BelowNoise,
            Some(Difference::TooFew) => Against::TooFewRuns,
        },
        chance: verdict.and_then(|verdict| verdict.chance),
    })
}

fn row(run: &Measured, outcome: &Outcome, counted: bool) -> RunRow {
    let trial = &run.trial;
    let (exit_code, signal) = match trial.ending {
        Ending::Ended(End::Exited(code)) => (Some(code), None),
        Ending::Ended(End::Killed { signal }) => (None, Some(signal)),
        Ending::TimedOut | Ending::Interrupted(_) => (None, None),
    };
    let name = outcome
        .contestants
        .get(run.contestant)
        .map(|one| one.name.clone());
    let failed = exit_code != Some(0) || !counted;
    RunRow {
        allocator: name.unwrap_or_default(),
        round: run.round,
        exit_code,
        signal,
        timed_out: trial.ending == Ending::TimedOut,
        counted,
        wall_ns: trial.wall_ns,
        user_ns: trial.spent.user_ns,
        system_ns: trial.spent.system_ns,
        rss_process_peak_bytes: trial.rss_process_peak_bytes,
        rss_tree_peak_bytes: trial.rss_tree_peak_bytes,
        rss_mean_bytes: trial.rss_mean_bytes,
        rss_end_bytes: trial.rss_end_bytes,
        minor_faults: trial.spent.minor_faults,
        major_faults: trial.spent.major_faults,
        readings: trial.readings,
        stdout_bytes: trial.stdout.bytes,
        stdout_hash: format!("{:016x}", trial.stdout.hash),
        stderr_bytes: trial.stderr.bytes,
        stderr_tail: (failed && trial.stderr.bytes > 0).then(|| trial.stderr.text()),
        leftover_processes: trial.leftover,
        stuck_processes: trial.stuck,
    }
}

/// 0 or the command's own code when every run ended alike and everyone who was asked for was measured.
fn exit_code(outcome: &Outcome, allocators: &[AllocatorRow], reference: Option<Ending>) -> u8 {
    if let Some(signal) = outcome.interrupted {
        return End::Killed { signal }.exit_code();
    }
    let other = outcome.runs.iter().any(|run| Some(run.trial.ending) != reference);
    let not_loaded = outcome
        .contestants
        .iter()
        .zip(allocators)
        .any(|(one, row)| one.wanted && row.loaded.state == LoadState::NotLoaded);
    match reference {
        _ if other || not_loaded => DIFFERS,
        Some(Ending::Ended(end)) => end.exit_code(),
        Some(Ending::TimedOut | Ending::Interrupted(_)) => TIMED_OUT,
        None => DIFFERS,
    }
}

fn reasons(allocators: &[AllocatorRow], runs: &[RunRow]) -> BTreeMap<String, String> {
    let mut reasons = BTreeMap::new();
    for (index, row) in allocators.iter().enumerate() {
        for (field, figure) in row.figures.all() {
            let path = format!("allocators[{index}].figures.{field}");
            match figure {
                None => {
                    reasons.insert(path, no_figure(row));
                }
                Some(figure) if figure.ratio.is_none() => {
                    let reason = "the baseline's median is 0 or not known".to_owned();
                    reasons.insert(format!("{path}.ratio"), reason);
                }
                Some(_) => {}
            }
        }
    }
    for (index, run) in runs.iter().enumerate() {
        let mut missing = |field: &str, value: Option<u64>, reason: String| {
            if value.is_none() {
                reasons.insert(format!("runs[{index}].{field}"), reason);
            }
        };
        let few = || format!("{} readings, fewer than {READINGS_MIN}", run.readings);
        missing("rss_mean_bytes", run.rss_mean_bytes, few());
        missing("rss_end_bytes", run.rss_end_bytes, few());
        missing("rss_tree_peak_bytes", run.rss_tree_peak_bytes, few());
        let own = format!("{}, and ru_maxrss is not above neap's own size", few());
        missing("rss_process_peak_bytes", run.rss_process_peak_bytes, own);
    }
    reasons
}

fn no_figure(row: &AllocatorRow) -> String {
    match (&row.loaded.reason, row.runs, row.runs_counted) {
        (Some(reason), ..) if row.loaded.state == LoadState::NotLoaded => format!("not loaded: {reason}"),
        (_, 0, _) => "it was not run".to_owned(),
        (_, _, 0) => "none of its runs ended as the baseline's".to_owned(),
        _ => format!("its runs ended too soon to be read {READINGS_MIN} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_compared_with_the_baselines() {
        let base = of_readings(&[10, 11, 12, 13, 14], None).unwrap();
        assert_eq!(
            (base.against_baseline, base.ratio),
            (Against::Baseline, Some(1.0))
        );
        let less = of_readings(&[1, 2, 3, 4, 5], Some(&[10, 11, 12, 13, 14])).unwrap();
        assert_eq!((less.against_baseline, less.ratio), (Against::Less, Some(0.25)));
        let few = of_readings(&[1], Some(&[10, 11])).unwrap();
        assert_eq!(few.against_baseline, Against::TooFewRuns);
        assert!(of_readings(&[], Some(&[1])).is_none());
        assert_eq!(
            of_readings(&[1], Some(&[0])).unwrap().ratio,
            None,
            "0 is no divisor"
        );
    }
}
