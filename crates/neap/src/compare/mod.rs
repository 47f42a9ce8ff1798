//! The engine of `neap compare`: one command in turn under several allocators.
//!
//! Rounds of one run each; every round starts with the next allocator, so that what changes over time
//! (caches, clock rate, other load) falls on all alike. Nothing here prints but what `--show-output`
//! passes on.

pub(crate) mod allocators;
pub(crate) mod output;
mod presence;
pub(crate) mod probe;
pub(crate) mod statistics;
pub(crate) mod trial;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;
use crate::run::library::Library;
use crate::run::signals::Signals;
use crate::run::target::{self, Force, Target};
use crate::run::{child, lookup};
use allocators::{Contestant, Named, Wanted};
use output::Pass;
use probe::Service;
use trial::{Conditions, Ending, Trial};

/// What to run, and how often.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) command: &'a [OsString],
    pub(crate) library: Option<&'a Path>,
    pub(crate) with: &'a [Named],
    pub(crate) only: &'a [String],
    pub(crate) rounds: u32,
    pub(crate) warmup: u32,
    pub(crate) interval: Duration,
    pub(crate) timeout: Option<Duration>,
    pub(crate) show_output: Show,
}

/// Whether the user wants to see what the command writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Nothing,
    Output,
}

/// A plan that was found possible.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) notes: Vec<String>,
    target: Target,
}

/// A measured run.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Index into the contestants.
    pub(crate) contestant: usize,
    /// From 0.
    pub(crate) round: u32,
    pub(crate) trial: Trial,
}

/// Everything that was measured, in the order in which it ran.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) notes: Vec<String>,
    pub(crate) runs: Vec<Measured>,
    /// The signal that ended it early.
    pub(crate) interrupted: Option<i32>,
}

/// A run is about to start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub(crate) name: &'a str,
    /// From 1; `None` for a warm-up.
    pub(crate) round: Option<u32>,
    pub(crate) done: usize,
    pub(crate) total: usize,
}

impl Plan<'_> {
    /// Judges the command and finds the allocators. Starts nothing but neap itself.
    pub(crate) fn prepare(&self) -> Result<Ready, Failure> {
        allocators::check_names(self.with)?;
        let name = self.command.first().map_or(OsStr::new(""), OsString::as_os_str);
        if let Err(missing) = lookup::find(name) {
            return Err(target::no_file(&name.to_string_lossy(), missing).into());
        }
        let library = Library::find(self.library)?;
        let target = target::inspect(self.command, &library.elf, Force::No)?;
        let wanted = Wanted {
            neap: &library,
            with: self.with,
            only: self.only,
        };
        let (contestants, mut notes) = allocators::gather(&wanted)?;
        notes.extend(target.warnings.iter().cloned());
        Ok(Ready {
            contestants,
            notes,
            target,
        })
    }

    /// Runs everything. `progress` hears of each run before it starts.
    pub(crate) fn execute(
        &self,
        ready: Ready,
        progress: &mut dyn FnMut(Step<'_>),
    ) -> Result<Outcome, Failure> {
        let signals = Signals::block().map_err(|error| Failure::own("signalfd", error))?;
        child::adopt_orphans().map_err(|error| Failure::own("prctl(PR_SET_CHILD_SUBREAPER)", error))?;
        let conditions = Conditions {
            target: &ready.target,
            signals: &signals,
            interval: self.interval,
            timeout: self.timeout,
        };
        let loaded: Vec<usize> = able(&ready.contestants);
        let order = schedule(&loaded, self.warmup, self.rounds);
        let mut outcome = Outcome {
            contestants: ready.contestants,
            notes: ready.notes,
            runs: Vec::with_capacity(order.len()),
            interrupted: None,
        };
        for (done, turn) in order.iter().enumerate() {
            let Some(contestant) = outcome.contestants.get(turn.contestant) else {
                continue;
            };
            progress(Step {
                name: &contestant.name,
                round: turn.round.map(|round| round + 1),
                done,
                total: order.len(),
            });
            let trial = trial::run(&conditions, contestant, self.passes(done))?;
            if let Ending::Interrupted(signal) = trial.ending {
                outcome.interrupted = Some(signal);
                break;
            }
            if let Some(round) = turn.round {
                outcome.runs.push(Measured {
                    contestant: turn.contestant,
                    round,
                    trial,
                });
            }
        }
        Ok(outcome)
    }

    /// The first run shows its output, when it is wanted; once is enough.
    fn passes(&self, done: usize) -> [Pass; 2] {
        if self.show_output == Show::Output && done == 0 {
            [Pass::Stdout, Pass::Stderr]
        } else {
            [Pass::Nowhere; 2]
        }
    }
}

/// Those whose library is loaded, as far as is known.
fn able(contestants: &[Contestant]) -> Vec<usize> {
    let able = contestants.iter().enumerate();
    able.filter(|(_, one)| !matches!(one.service, Service::NotLoaded(_)))
        .map(|(index, _)| index)
        .collect()
}

/// One run to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    contestant: usize,
    /// `None`: a warm-up, which is not counted.
    round: Option<u32>,
}

/// Warm-ups, each under the next allocator, then the rounds, each starting with the next one.
fn schedule(contestants: &[usize], warmup: u32, rounds: u32) -> Vec<Turn> {
    let warm = contestants.iter().cycle().zip(0..warmup);
    let mut turns: Vec<Turn> = warm
        .map(|(&contestant, _)| Turn {
            contestant,
            round: None,
        })
        .collect();
    let mut order = contestants.to_vec();
    for round in 0..rounds {
        turns.extend(order.iter().map(|&contestant| Turn {
            contestant,
            round: Some(round),
        }));
        if !order.is_empty() {
            order.rotate_left(1);
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allocator_has_every_place_in_a_round_equally_often() {
        let turns = schedule(&[0, 1, 2], 2, 3);
        let warm: Vec<usize> = turns[..2].iter().map(|turn| turn.contestant).collect();
        assert_eq!(warm, [0, 1]);
        assert!(turns[..2].iter().all(|turn| turn.round.is_none()));
        let order: Vec<usize> = turns[2..].iter().map(|turn| turn.contestant).collect();
        assert_eq!(order, [0, 1, 2, 1, 2, 0, 2, 0, 1]);
        assert_eq!(turns.last().unwrap().round, Some(2));
        assert!(schedule(&[], 3, 3).is_empty());
    }
}
