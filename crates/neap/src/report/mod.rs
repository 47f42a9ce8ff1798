//! What neap reports: [`compare`] is for `neap compare`, [`doctor`] for `neap doctor`,
//! [`mod@file`] for `neap file`, [`mod@free`] for `neap free`, the rest for `neap run`.
//! Plain data with a unit in every name, rendered as text or as JSON.
//!
//! [`mod@build`] makes the data from what the engine saw; [`text`] and [`json`] render it and decide nothing.
//! Each figure is a number or the reason why there is none; a missing figure is never 0. In text that is
//! `n/a (reason)`; in JSON it is `null`, and `not_available` holds the reason under the field's path.
//! Every printed line is explained in docs/reports.md.

mod figure;

mod sparkline;

mod screen;

mod verdict;

mod reasons;

mod breakdown;

mod series;

mod build;

mod machine;

mod markup;

pub(crate) mod compare;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod file;
pub(crate) mod free;
pub(crate) mod json;
pub(crate) mod lab;
pub(crate) mod maps;
pub(crate) mod page;
pub(crate) mod text;
pub(crate) mod top;
pub(crate) mod trim;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use build::{Asked, build};
pub(crate) use figure::Figure;
pub(crate) use machine::Machine;
pub(crate) use screen::Screen;
use series::Series;
pub(crate) use sparkline::Charset;
use text::{printable, shorten, wrap};

/// Changes when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA: &str = "neap.run/1";

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) schema: &'static str,
    pub(crate) neap_version: &'static str,
    pub(crate) verdict: String,
    pub(crate) command: Vec<String>,
    pub(crate) library: String,
    /// `None` when no process took a page of the board.
    pub(crate) backend: Option<&'static str>,
    pub(crate) exit: Exit,
    pub(crate) time: Time,
    pub(crate) rss: Rss,
    pub(crate) pss: Pss,
    pub(crate) heap: Heap,
    pub(crate) faults: Faults,
    /// `None` when no process took a page of the board.
    pub(crate) memory_calls: Option<Vec<CallRow>>,
    /// Size classes with live blocks at the end.
    pub(crate) classes: Vec<ClassRow>,
    pub(crate) processes: Vec<ProcessRow>,
    /// Processes that ended unseen or for which there was no room.
    pub(crate) processes_not_listed: u64,
    /// Pids of descendants that outlived the command.
    pub(crate) still_running: Vec<u32>,
    pub(crate) series: Series,
    /// Where the resident memory was; only with `--report`, which looks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) moments: Vec<breakdown::MomentRow>,
    pub(crate) warnings: Vec<String>,
    /// Path of a field that is null: why.
    pub(crate) not_available: BTreeMap<String, String>,
}

/// How the command ended and what neap made of it.
#[derive(Debug, Serialize)]
pub(crate) struct Exit {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) signal_name: Option<String>,
    /// neap's own exit code.
    pub(crate) neap_code: u8,
}

#[derive(Debug, Serialize)]
pub(crate) struct Time {
    pub(crate) wall_ns: u64,
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
}

/// Resident sets, summed over the processes that lived at one time.
#[derive(Debug, Serialize)]
pub(crate) struct Rss {
    pub(crate) peak_bytes: Figure,
    pub(crate) peak_source: PeakSource,
    pub(crate) peak_at_ns: Option<u64>,
    /// Between two readings no single process was larger than this, which is neap's own size: the kernel's
    /// mark of a child starts there.
    pub(crate) peak_below_bytes: Option<u64>,
    pub(crate) first_bytes: Figure,
    pub(crate) final_bytes: Figure,
    pub(crate) given_back_share: Option<f64>,
    pub(crate) limit_bytes: Option<u64>,
    pub(crate) limit_passed: bool,
    pub(crate) limit_passed_at_ns: Option<u64>,
    pub(crate) readings: u64,
}

/// Where the peak comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PeakSource {
    /// The greatest sum that was read.
    Readings,
    /// One process's high-water mark as the kernel keeps it (VmHWM, ru_maxrss), greater than any sum read.
    HighWaterMark,
}

#[derive(Debug, Serialize)]
pub(crate) struct Pss {
    pub(crate) peak_bytes: Figure,
    pub(crate) last_bytes: Figure,
    pub(crate) last_at_ns: Option<u64>,
    pub(crate) readings: u64,
    /// Processes left out of the last sum.
    pub(crate) denied_processes: u64,
}

/// The heap's own counters. Gauges are of the command and whoever outlived it; totals of every process.
#[derive(Debug, Serialize)]
pub(crate) struct Heap {
    pub(crate) live_bytes: Figure,
    pub(crate) live_blocks: Figure,
    pub(crate) live_peak_bytes: Figure,
    pub(crate) held_bytes: Figure,
    pub(crate) held_peak_bytes: Figure,
    pub(crate) dirty_bytes: Figure,
    pub(crate) meta_bytes: Figure,
    pub(crate) threads_peak: Figure,
    pub(crate) given_back_total_bytes: Figure,
    pub(crate) purges_total: Figure,
    pub(crate) regret_total_bytes: Figure,
    pub(crate) helper_starts_total: Figure,
    /// Pages of the board that were taken: one for each program a process ran.
    pub(crate) images: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Faults {
    pub(crate) minor: u64,
    pub(crate) major: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CallRow {
    pub(crate) name: &'static str,
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
    pub(crate) failed: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ClassRow {
    /// `None`: blocks above the size classes.
    pub(crate) block_bytes: Option<u64>,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ProcessRow {
    pub(crate) pid: u32,
    pub(crate) parent_pid: u32,
    pub(crate) command: Vec<String>,
    pub(crate) first_seen_ns: u64,
    pub(crate) last_seen_ns: u64,
    pub(crate) rss_peak_bytes: Figure,
    pub(crate) running: bool,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// `None`: never loaded libneap.so, or found the board full.
    pub(crate) heap: Option<ProcessHeap>,
}

/// The newest page of one process.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessHeap {
    /// `None`: it ended, or is still running, before its live blocks were counted.
    pub(crate) live_bytes: Option<u64>,
    pub(crate) live_peak_bytes: Option<u64>,
    pub(crate) held_bytes: u64,
    pub(crate) held_peak_bytes: u64,
    pub(crate) given_back_bytes: u64,
    /// The exit handlers ran, so the figures are final.
    pub(crate) finished: bool,
}
