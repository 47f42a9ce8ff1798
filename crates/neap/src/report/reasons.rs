//! Why a field of a report is null: one reason for each path.

use std::collections::BTreeMap;

use super::verdict::Share;
use super::{ProcessRow, Report};

/// libneap.so counts live blocks when it gives back and at exit.
pub(super) const NOT_COUNTED: &str = "its live blocks were never counted";

type Reasons = BTreeMap<String, String>;

pub(super) fn reasons(report: &Report, share: Share) -> Reasons {
    let heap = &report.heap;
    let figures = [
        ("rss.peak_bytes", &report.rss.peak_bytes),
        ("rss.first_bytes", &report.rss.first_bytes),
        ("rss.final_bytes", &report.rss.final_bytes),
        ("pss.peak_bytes", &report.pss.peak_bytes),
        ("pss.last_bytes", &report.pss.last_bytes),
        ("heap.live_bytes", &heap.live_bytes),
        ("heap.live_blocks", &heap.live_blocks),
        ("heap.live_peak_bytes", &heap.live_peak_bytes),
        ("heap.held_bytes", &heap.held_bytes),
        ("heap.held_peak_bytes", &heap.held_peak_bytes),
        ("heap.dirty_bytes", &heap.dirty_bytes),
        ("heap.meta_bytes", &heap.meta_bytes),
        ("heap.threads_peak", &heap.threads_peak),
        ("heap.given_back_total_bytes", &heap.given_back_total_bytes),
        ("heap.purges_total", &heap.purges_total),
        ("heap.regret_total_bytes", &heap.regret_total_bytes),
        ("heap.helper_starts_total", &heap.helper_starts_total),
    ];
    let mut reasons = Reasons::new();
    for (path, figure) in figures {
        add(&mut reasons, path, figure.reason());
    }
    add(&mut reasons, "rss.given_back_share", no_share(share));
    if report.memory_calls.is_none() {
        for path in ["memory_calls", "backend"] {
            add(&mut reasons, path, heap.given_back_total_bytes.reason());
        }
    }
    for (index, process) in report.processes.iter().enumerate() {
        of_process(&mut reasons, &format!("processes[{index}]"), process);
    }
    reasons
}

fn add(reasons: &mut Reasons, path: impl Into<String>, reason: Option<&str>) {
    if let Some(reason) = reason {
        reasons.insert(path.into(), reason.to_owned());
    }
}

fn no_share(share: Share) -> Option<&'static str> {
    match share {
        Share::Known(_) => None,
        Share::Flat { .. } => Some("the program hardly grew"),
        Share::PeakUnseen => Some("the peak may have come after the last reading"),
        Share::Unknown => Some("the program ended before it could be read"),
    }
}

fn of_process(reasons: &mut Reasons, path: &str, process: &ProcessRow) {
    add(
        reasons,
        format!("{path}.rss_peak_bytes"),
        process.rss_peak_bytes.reason(),
    );
    match &process.heap {
        None => {
            let reason = "it never loaded libneap.so, or the board was full";
            add(reasons, format!("{path}.heap"), Some(reason));
        }
        Some(heap) if heap.live_bytes.is_none() => {
            for field in ["live_bytes", "live_peak_bytes"] {
                add(reasons, format!("{path}.heap.{field}"), Some(NOT_COUNTED));
            }
        }
        Some(_) => {}
    }
    if process.exit_code.is_none() && process.signal.is_none() {
        let reason = if process.running {
            "it is still running"
        } else {
            "its parent collected it"
        };
        add(reasons, format!("{path}.exit_code"), Some(reason));
    }
}
