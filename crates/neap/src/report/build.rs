//! Makes a report from what the engine saw.

use std::collections::{BTreeMap, HashSet};

use neap_abi::{Backend, Call, Snapshot};

use super::breakdown;
use super::reasons::{NOT_COUNTED, reasons};
use super::verdict::{Facts, Limit, PeakAt, Share};
use super::{
    CallRow, ClassRow, Exit, Faults, Figure, Heap, PeakSource, ProcessHeap, ProcessRow, Pss, Report, Rss,
    SCHEMA, Series, Time,
};
use crate::failure::LIMIT_PASSED;
use crate::run::Outcome;
use crate::run::board::live_is_counted;
use crate::run::child::End;
use crate::run::signals;
use crate::run::tree::Process;

/// With fewer readings than this most of a run went unseen.
const FEW_READINGS: u64 = 8;

/// What the user asked for, as far as the report tells it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) command: Vec<String>,
    pub(crate) interval_ns: u64,
    pub(crate) limit_bytes: Option<u64>,
    pub(crate) warnings: Vec<String>,
}

/// The report of one run.
pub(crate) fn build(asked: Asked, outcome: &Outcome) -> Report {
    let rss = rss(&asked, outcome);
    let served = outcome.board.snapshots().next().is_some();
    let facts = facts(&asked, outcome, &rss, served);
    let share = facts.share();
    let mut report = Report {
        schema: SCHEMA,
        neap_version: env!("CARGO_PKG_VERSION"),
        verdict: facts.sentence(),
        library: outcome.library.display().to_string(),
        backend: outcome.board.snapshots().next().map(|page| match page.backend {
            Backend::Brk => "brk",
            Backend::Mmap => "mmap",
        }),
        exit: exit(outcome.end, rss.limit_passed),
        time: Time {
            wall_ns: outcome.wall_ns,
            user_ns: outcome.spent.user_ns,
            system_ns: outcome.spent.system_ns,
        },
        pss: Pss {
            peak_bytes: outcome.sampler.pss.peak_bytes.into(),
            last_bytes: outcome.sampler.pss.last_bytes.into(),
            last_at_ns: outcome.sampler.pss.last_at_ns,
            readings: outcome.sampler.pss.readings,
            denied_processes: outcome.sampler.pss.denied,
        },
        heap: heap(outcome),
        faults: Faults {
            minor: outcome.spent.minor_faults,
            major: outcome.spent.major_faults,
        },
        memory_calls: served.then(|| memory_calls(outcome)),
        classes: classes(outcome),
        processes: processes(outcome),
        processes_not_listed: outcome.tree.uncounted(),
        still_running: outcome.tree.living().map(|process| process.pid).collect(),
        series: Series::new(asked.interval_ns, &outcome.sampler.series),
        moments: breakdown::moments(outcome),
        warnings: warnings(asked.warnings, outcome),
        command: asked.command,
        rss,
        not_available: BTreeMap::new(),
    };
    if let Share::Known(share) = share {
        report.rss.given_back_share = Some(share);
    }
    report.not_available = reasons(&report, share);
    report
}

fn exit(end: End, limit_passed: bool) -> Exit {
    let (code, signal) = match end {
        End::Exited(code) => (Some(code), None),
        End::Killed { signal } => (None, Some(signal)),
    };
    // The command's own failure tells more than the limit does.
    let neap_code = match end.exit_code() {
        0 if limit_passed => LIMIT_PASSED,
        code => code,
    };
    Exit {
        code,
        signal,
        signal_name: signal.map(signals::name),
        neap_code,
    }
}

fn rss(asked: &Asked, outcome: &Outcome) -> Rss {
    let sampler = &outcome.sampler;
    // One process's high-water mark is exact; where it is above every sum that was read, a peak fell
    // between two readings.
    let mark = outcome
        .spent
        .rss_peak_bytes
        .unwrap_or(0)
        .max(outcome.tree.rss_peak_bytes());
    let (peak_bytes, peak_source, peak_at_ns) = match sampler.rss_peak {
        Some((peak, at)) if peak >= mark => (Figure::Known(peak), PeakSource::Readings, Some(at)),
        _ if mark > 0 => (Figure::Known(mark), PeakSource::HighWaterMark, None),
        _ => (sampler.rss_last_bytes.into(), PeakSource::Readings, None),
    };
    Rss {
        peak_bytes,
        peak_source,
        peak_at_ns,
        peak_below_bytes: outcome
            .spent
            .rss_below_bytes
            .filter(|_| peak_source == PeakSource::Readings),
        first_bytes: sampler.rss_first_bytes.into(),
        final_bytes: sampler.rss_last_bytes.into(),
        given_back_share: None,
        limit_bytes: asked.limit_bytes,
        limit_passed: sampler.passed.is_some(),
        limit_passed_at_ns: sampler.passed.and_then(|passed| passed.at_ns),
        readings: sampler.readings,
    }
}

/// ru_maxrss has no time. Where it is well above all that was read before, the peak may have come after the
/// last reading.
fn peak_at(outcome: &Outcome) -> PeakAt {
    let read = outcome
        .sampler
        .rss_peak
        .map_or(0, |(peak, _)| peak)
        .max(outcome.tree.rss_peak_bytes());
    let unseen = outcome
        .spent
        .rss_peak_bytes
        .is_some_and(|mark| mark > read + read / 16 + (1 << 20));
    if unseen {
        PeakAt::PerhapsAfterLastReading
    } else {
        PeakAt::BeforeLastReading
    }
}

fn facts(asked: &Asked, outcome: &Outcome, rss: &Rss, served: bool) -> Facts {
    Facts {
        peak_bytes: rss.peak_bytes.value(),
        peak_at: peak_at(outcome),
        peak_below_bytes: rss.peak_below_bytes.filter(|_| rss.readings < FEW_READINGS),
        first_bytes: rss.first_bytes.value(),
        final_bytes: rss.final_bytes.value(),
        live_bytes: outcome
            .sampler
            .series
            .points()
            .last()
            .and_then(|point| point.live_bytes),
        killed_by: match outcome.end {
            End::Exited(_) => None,
            End::Killed { signal } => Some(signals::name(signal)),
        },
        limit: asked.limit_bytes.map(|bytes| Limit {
            bytes,
            passed: rss.limit_passed,
            passed_at_ns: rss.limit_passed_at_ns,
        }),
        served,
        command: asked.command.first().cloned().unwrap_or_default(),
    }
}

/// The pids, as they see themselves, whose heaps existed when the report was due: the command, whose last
/// page says how it ended, and whoever outlived it.
fn pids_at_end(outcome: &Outcome) -> HashSet<u32> {
    let inside = |process: &&Process| (process.pid == outcome.pid).then_some(process.pid_inside);
    let command = outcome
        .tree
        .processes()
        .iter()
        .find_map(inside)
        .unwrap_or(outcome.pid);
    outcome
        .tree
        .living()
        .map(|process| process.pid_inside)
        .chain([command])
        .collect()
}

fn heap(outcome: &Outcome) -> Heap {
    let board = &outcome.board;
    let images = u64::try_from(board.snapshots().count()).unwrap_or(u64::MAX);
    let reason = match board.foreign_version() {
        Some(version) => format!(
            "libneap.so writes layout {version}, this neap reads {}",
            neap_abi::VERSION
        ),
        None => "no process loaded libneap.so".to_owned(),
    };
    let figure = |value: Option<u64>| value.map_or_else(|| Figure::Missing(reason.clone()), Figure::Known);
    let sum = |field: fn(&Snapshot) -> u64| figure(board.snapshots().map(field).reduce(u64::saturating_add));
    let most = |field: fn(&Snapshot) -> u64| board.snapshots().map(field).max();
    let end = board.gauges(pids_at_end(outcome).into_iter());
    let peak = outcome.sampler.gauges_peak;
    let counted = board.snapshots().filter(|page| live_is_counted(page));
    let live_peak = counted
        .map(|page| page.live_peak_bytes.max(page.live_bytes))
        .max();
    let live = |value: Option<u64>| match (value, end) {
        (None, Some(_)) => Figure::Missing(NOT_COUNTED.to_owned()),
        _ => figure(value),
    };
    let held_peak = most(|page| page.held_peak_bytes.max(page.held_bytes));
    Heap {
        live_bytes: live(end.and_then(|gauges| gauges.live_bytes)),
        live_blocks: live(end.and_then(|gauges| gauges.live_blocks)),
        live_peak_bytes: live(live_peak.max(peak.and_then(|gauges| gauges.live_bytes))),
        held_bytes: figure(end.map(|gauges| gauges.held_bytes)),
        held_peak_bytes: figure(held_peak.max(peak.map(|gauges| gauges.held_bytes))),
        dirty_bytes: figure(end.map(|gauges| gauges.dirty_bytes)),
        meta_bytes: figure(end.map(|gauges| gauges.meta_bytes)),
        threads_peak: figure(most(|page| page.threads_peak)),
        given_back_total_bytes: sum(|page| page.given_back_bytes),
        purges_total: sum(|page| page.purges),
        regret_total_bytes: sum(|page| page.regret_bytes),
        helper_starts_total: sum(|page| page.helper_starts),
        images,
    }
}

fn memory_calls(outcome: &Outcome) -> Vec<CallRow> {
    let row = |(index, call): (usize, &Call)| {
        let sum = |column: usize| {
            let cells = outcome
                .board
                .snapshots()
                .filter_map(|page| page.calls.get(index)?.get(column));
            cells.copied().fold(0, u64::saturating_add)
        };
        CallRow {
            name: call.name(),
            calls: sum(0),
            bytes: sum(1),
            failed: sum(2),
        }
    };
    Call::ALL.iter().enumerate().map(row).collect()
}

fn classes(outcome: &Outcome) -> Vec<ClassRow> {
    let mut blocks: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut large_blocks, mut large_bytes) = (0_u64, 0_u64);
    for page in pids_at_end(outcome)
        .into_iter()
        .filter_map(|pid| outcome.board.newest(pid))
    {
        for &[block_bytes, live] in page.classes.iter().filter(|class| class[0] > 0 && class[1] > 0) {
            let sum = blocks.entry(block_bytes).or_default();
            *sum = sum.saturating_add(live);
        }
        large_blocks = large_blocks.saturating_add(page.large_blocks);
        large_bytes = large_bytes.saturating_add(page.large_bytes);
    }
    let small = blocks.into_iter().map(|(block_bytes, live_blocks)| ClassRow {
        block_bytes: Some(block_bytes),
        live_blocks,
        live_bytes: block_bytes.saturating_mul(live_blocks),
    });
    let large = ClassRow {
        block_bytes: None,
        live_blocks: large_blocks,
        live_bytes: large_bytes,
    };
    small.chain((large_blocks > 0).then_some(large)).collect()
}

fn processes(outcome: &Outcome) -> Vec<ProcessRow> {
    let mut rows = Vec::new();
    for process in outcome.tree.processes() {
        let end = if process.pid == outcome.pid {
            Some(outcome.end)
        } else {
            process.end
        };
        let (exit_code, signal) = match end {
            Some(End::Exited(code)) => (Some(code), None),
            Some(End::Killed { signal }) => (None, Some(signal)),
            None => (None, None),
        };
        rows.push(ProcessRow {
            pid: process.pid,
            parent_pid: process.parent,
            command: process.command.clone(),
            first_seen_ns: process.first_seen_ns,
            last_seen_ns: process.last_seen_ns,
            rss_peak_bytes: process.rss_peak_bytes.into(),
            running: outcome.tree.is_living(process.pid),
            exit_code,
            signal,
            heap: outcome.board.newest(process.pid_inside).map(|page| ProcessHeap {
                live_bytes: live_is_counted(page).then_some(page.live_bytes),
                live_peak_bytes: live_is_counted(page).then_some(page.live_peak_bytes.max(page.live_bytes)),
                held_bytes: page.held_bytes,
                held_peak_bytes: page.held_peak_bytes.max(page.held_bytes),
                given_back_bytes: page.given_back_bytes,
                finished: page.finished,
            }),
        });
    }
    rows
}

fn warnings(mut warnings: Vec<String>, outcome: &Outcome) -> Vec<String> {
    let running = outcome.tree.living().count();
    if running > 0 {
        let names: Vec<String> = outcome.tree.living().take(4).map(named).collect();
        let more = if running > names.len() { ", ..." } else { "" };
        warnings.push(format!(
            "{running} descendant{} still running: {}{more}; their time and faults are not counted (--wait-all waits)",
            if running == 1 { " is" } else { "s are" },
            names.join(", ")
        ));
    }
    if outcome.board.is_full() {
        warnings.push(format!(
            "the board is full: only the first {} programs have figures of their heaps",
            neap_abi::PAGES_MAX
        ));
    }
    warnings
}

fn named(process: &Process) -> String {
    let name = process.command.first().map_or("?", String::as_str);
    format!("{} ({name})", process.pid)
}
