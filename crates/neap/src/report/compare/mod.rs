//! What `neap compare` reports: plain data with a unit in every name, rendered as text, JSON or HTML.
//!
//! [`mod@build`] makes the data from what the engine measured; the renderers decide nothing. A figure that is not
//! known is `null` in JSON and `n/a` in text, never 0, and `not_available` says why.
//! Every line is explained in docs/compare.md.

mod build;
mod verdicts;

pub(crate) mod html;
pub(crate) mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use super::Machine;
pub(crate) use build::{Asked, build};

/// Changes when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA: &str = "neap.compare/1";

/// One comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) schema: &'static str,
    pub(crate) neap_version: &'static str,
    /// When the report was made, UTC (RFC 3339).
    pub(crate) measured_at: String,
    pub(crate) command: Vec<String>,
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    /// The allocator that ratios refer to.
    pub(crate) baseline: Option<String>,
    /// A sentence for each other allocator.
    pub(crate) verdicts: Vec<String>,
    pub(crate) allocators: Vec<AllocatorRow>,
    /// In the order in which they ran.
    pub(crate) runs: Vec<RunRow>,
    pub(crate) exit: Exit,
    /// What went wrong: other endings, other output, libraries that were not loaded.
    pub(crate) alarms: Vec<String>,
    pub(crate) notes: Vec<String>,
    /// Path of a field that is null: why.
    pub(crate) not_available: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Settings {
    pub(crate) rounds: u32,
    pub(crate) warmup: u32,
    pub(crate) interval_ns: u64,
    pub(crate) timeout_ns: Option<u64>,
    /// A difference with a greater chance is called noise.
    pub(crate) significance: f64,
}

/// What neap made of it.
#[derive(Debug, Serialize)]
pub(crate) struct Exit {
    pub(crate) neap_code: u8,
    /// The signal that ended the comparison early.
    pub(crate) interrupted_by: Option<String>,
}

/// One allocator.
#[derive(Debug, Serialize)]
pub(crate) struct AllocatorRow {
    pub(crate) name: String,
    pub(crate) library: Option<String>,
    pub(crate) origin: &'static str,
    pub(crate) loaded: Loaded,
    /// Runs that ended as the baseline's did, of which the figures are.
    pub(crate) runs_counted: usize,
    pub(crate) runs: usize,
    pub(crate) figures: Figures,
    /// RSS over time of the counted run whose wall time is the median.
    pub(crate) series: Vec<PointRow>,
    /// How long that run took.
    pub(crate) series_wall_ns: Option<u64>,
}

/// Whether the library served malloc.
#[derive(Debug, Serialize)]
pub(crate) struct Loaded {
    pub(crate) state: LoadState,
    pub(crate) reason: Option<String>,
    /// The file that the dynamic linker takes malloc from.
    pub(crate) malloc_from: Option<String>,
    /// Programs of all runs in which it was seen mapped, was not, or could not be seen in time.
    pub(crate) programs_with: u64,
    pub(crate) programs_without: u64,
    pub(crate) programs_unseen: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LoadState {
    Loaded,
    NotLoaded,
    Unknown,
}

/// Every figure that is compared.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) wall_ns: Option<Figure>,
    pub(crate) cpu_ns: Option<Figure>,
    pub(crate) user_ns: Option<Figure>,
    pub(crate) system_ns: Option<Figure>,
    pub(crate) rss_peak_bytes: Option<Figure>,
    pub(crate) rss_process_peak_bytes: Option<Figure>,
    pub(crate) rss_tree_peak_bytes: Option<Figure>,
    pub(crate) rss_mean_bytes: Option<Figure>,
    pub(crate) rss_end_bytes: Option<Figure>,
    pub(crate) minor_faults: Option<Figure>,
    pub(crate) major_faults: Option<Figure>,
}

impl Figures {
    /// Name of the field and figure, in the order of the fields.
    pub(crate) fn all(&self) -> [(&'static str, &Option<Figure>); 11] {
        [
            ("wall_ns", &self.wall_ns),
            ("cpu_ns", &self.cpu_ns),
            ("user_ns", &self.user_ns),
            ("system_ns", &self.system_ns),
            ("rss_peak_bytes", &self.rss_peak_bytes),
            ("rss_process_peak_bytes", &self.rss_process_peak_bytes),
            ("rss_tree_peak_bytes", &self.rss_tree_peak_bytes),
            ("rss_mean_bytes", &self.rss_mean_bytes),
            ("rss_end_bytes", &self.rss_end_bytes),
            ("minor_faults", &self.minor_faults),
            ("major_faults", &self.major_faults),
        ]
    }
}

/// One figure over the counted runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) median: u64,
    /// Median absolute deviation.
    pub(crate) deviation: u64,
    pub(crate) least: u64,
    pub(crate) greatest: u64,
    pub(crate) runs: usize,
    /// The median divided by the baseline's.
    pub(crate) ratio: Option<f64>,
    pub(crate) against_baseline: Against,
    /// The chance of the rank test.
    pub(crate) chance: Option<f64>,
}

/// How a figure compares with the baseline's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Against {
    /// It is the baseline's.
    Baseline,
    Less,
    More,
    BelowNoise,
    TooFewRuns,
}

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct RunRow {
    pub(crate) allocator: String,
    pub(crate) round: u32,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) timed_out: bool,
    /// Its figures are in the medians.
    pub(crate) counted: bool,
    pub(crate) wall_ns: u64,
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
    pub(crate) rss_process_peak_bytes: Option<u64>,
    pub(crate) rss_tree_peak_bytes: Option<u64>,
    pub(crate) rss_mean_bytes: Option<u64>,
    pub(crate) rss_end_bytes: Option<u64>,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    pub(crate) readings: u64,
    pub(crate) stdout_bytes: u64,
    /// SipHash of what it wrote, 16 hexadecimal digits.
    pub(crate) stdout_hash: String,
    pub(crate) stderr_bytes: u64,
    /// The end of its standard error, of runs that did not end as the baseline's.
    pub(crate) stderr_tail: Option<String>,
    /// Descendants that outlived the command and were ended.
    pub(crate) leftover_processes: u64,
    /// Some of them that could not be ended.
    pub(crate) stuck_processes: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct PointRow {
    pub(crate) at_ns: u64,
    pub(crate) rss_bytes: u64,
}

/// `×0.98`, with `~` where it may be chance.
fn ratio(figure: &Figure) -> String {
    let Some(ratio) = figure.ratio else {
        return String::new();
    };
    let mark = match figure.against_baseline {
        Against::BelowNoise | Against::TooFewRuns => "~",
        Against::Baseline | Against::Less | Against::More => "",
    };
    let digits = if ratio < 9.995 { 2 } else { 0 };
    format!("×{ratio:.digits$}{mark}")
}
