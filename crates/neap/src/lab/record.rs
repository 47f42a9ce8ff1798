//! What came of experiments, as data: what `--json` writes and `neap lab diff` reads.

use serde::{Deserialize, Serialize};

use super::experiment::{Chapter, Experiment};
use super::sight::Sight;

/// The schema that is written.
pub(crate) const SCHEMA: &str = "neap.lab/1";

/// A run of experiments on one machine.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) schema: String,
    pub(crate) version: String,
    pub(crate) circumstances: Circumstances,
    pub(crate) trials: Vec<Trial>,
}

impl Record {
    /// An empty record.
    pub(crate) fn begin(circumstances: Circumstances) -> Record {
        Record {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            circumstances,
            trials: Vec::new(),
        }
    }

    /// One that was written as JSON.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Record, String> {
        let record: Record = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if record.schema == SCHEMA {
            Ok(record)
        } else {
            Err(format!("its schema is {}, not {SCHEMA}", record.schema))
        }
    }
}

/// What may explain a result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Circumstances {
    pub(crate) kernel: String,
    pub(crate) architecture: String,
    pub(crate) page_bytes: u64,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) swap_bytes: Option<u64>,
    pub(crate) c_library: Option<String>,
    pub(crate) transparent_huge_pages: Option<String>,
    pub(crate) overcommit_memory: Option<String>,
    /// memory.max or memory.limit_in_bytes of the own group; `None`: no limit, or it cannot be read.
    pub(crate) cgroup_limit_bytes: Option<u64>,
    pub(crate) is_root: bool,
    pub(crate) may_change_system: bool,
}

/// One experiment's outcome.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) name: String,
    pub(crate) chapter: Chapter,
    pub(crate) verdict: Verdict,
    /// Under which malloc, and what was seen; one, or two for an experiment about malloc.
    pub(crate) runs: Vec<Run>,
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub(crate) enum Verdict {
    /// All that was expected was seen.
    Confirmed,
    /// Something else was seen.
    Differs {
        /// What, each a sentence.
        how: Vec<String>,
    },
    /// It cannot be done here.
    CannotRun {
        why: String,
        /// What would let it.
        mend: String,
    },
}

impl Verdict {
    /// In words.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Verdict::Confirmed => "confirmed",
            Verdict::Differs { .. } => "differs",
            Verdict::CannotRun { .. } => "cannot run here",
        }
    }
}

/// One process's run of an experiment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// `glibc` or `neap`: the malloc of the process.
    pub(crate) malloc: String,
    pub(crate) verdict: Verdict,
    pub(crate) events: Vec<Event>,
}

/// What happened, in order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub(crate) enum Event {
    /// The process was looked at.
    Look(Box<Sight>),
    /// An expectation met what was found.
    Check(Check),
    /// Something found of which nothing was expected.
    Figure { what: String, found: String },
    /// A setting of the system was changed, and will be restored.
    Changed { what: String, from: String, to: String },
}

/// An expectation and what was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) expected: String,
    pub(crate) found: String,
    pub(crate) holds: bool,
}

impl Run {
    /// The checks, in order.
    pub(crate) fn checks(&self) -> impl Iterator<Item = &Check> {
        self.events.iter().filter_map(|event| match event {
            Event::Check(check) => Some(check),
            _ => None,
        })
    }

    /// The looks, in order.
    pub(crate) fn sights(&self) -> impl Iterator<Item = &Sight> {
        self.events.iter().filter_map(|event| match event {
            Event::Look(sight) => Some(&**sight),
            _ => None,
        })
    }
}

impl Trial {
    /// The worst of the runs' verdicts is the trial's.
    pub(crate) fn of(experiment: &Experiment, runs: Vec<Run>) -> Trial {
        let differing: Vec<String> = runs
            .iter()
            .filter_map(|run| match &run.verdict {
                Verdict::Differs { how } => Some((&run.malloc, how)),
                _ => None,
            })
            .flat_map(|(malloc, how)| {
                let under = if runs.len() > 1 {
                    format!("under {malloc}: ")
                } else {
                    String::new()
                };
                how.iter().map(move |sentence| format!("{under}{sentence}"))
            })
            .collect();
        let cannot = runs
            .iter()
            .find(|run| matches!(run.verdict, Verdict::CannotRun { .. }));
        let verdict = match cannot {
            _ if !differing.is_empty() => Verdict::Differs { how: differing },
            Some(run) => run.verdict.clone(),
            None => Verdict::Confirmed,
        };
        Trial {
            name: experiment.name.to_owned(),
            chapter: experiment.chapter,
            verdict,
            runs,
        }
    }
}
