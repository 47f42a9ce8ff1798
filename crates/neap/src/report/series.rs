//! Readings over time as a report has them.

use neap_abi::Call;
use serde::Serialize;

use crate::run;
use crate::run::series::Point;

/// All points.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) interval_ns: u64,
    /// Readings that one point stands for: sizes and processes are their maxima, faults and calls their sums.
    pub(crate) readings_per_point: u64,
    pub(crate) points: Vec<PointRow>,
}

/// One point.
#[derive(Debug, Serialize)]
pub(crate) struct PointRow {
    /// Time of its first reading.
    pub(crate) at_ns: u64,
    /// Time of its last.
    pub(crate) until_ns: u64,
    pub(crate) rss_bytes: u64,
    pub(crate) pss_bytes: Option<u64>,
    pub(crate) live_bytes: Option<u64>,
    pub(crate) held_bytes: Option<u64>,
    pub(crate) dirty_bytes: Option<u64>,
    /// Processes with memory of their own.
    pub(crate) processes: u64,
    /// Since the point before; `None` in a report as text, for which they are not read.
    pub(crate) minor_faults: Option<u64>,
    pub(crate) major_faults: Option<u64>,
    /// Memory calls of the heaps since the point before.
    pub(crate) calls: Vec<CallPoint>,
}

/// One kind of memory call in a point.
#[derive(Debug, Serialize)]
pub(crate) struct CallPoint {
    pub(crate) name: &'static str,
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
}

impl Series {
    pub(super) fn new(interval_ns: u64, series: &run::series::Series) -> Series {
        Series {
            interval_ns,
            readings_per_point: series.stride(),
            points: series.points().iter().map(PointRow::new).collect(),
        }
    }
}

impl PointRow {
    pub(super) fn new(point: &Point) -> PointRow {
        let work = point.work.as_ref();
        let calls = work.map(|work| Call::ALL.iter().zip(&work.calls));
        PointRow {
            at_ns: point.at_ns,
            until_ns: point.until_ns,
            rss_bytes: point.rss_bytes,
            pss_bytes: point.pss_bytes,
            live_bytes: point.live_bytes,
            held_bytes: point.held_bytes,
            dirty_bytes: point.dirty_bytes,
            processes: point.processes,
            minor_faults: work.map(|work| work.minor_faults),
            major_faults: work.map(|work| work.major_faults),
            calls: calls
                .into_iter()
                .flatten()
                .filter(|(_, work)| work.calls > 0)
                .map(|(call, work)| CallPoint {
                    name: call.name(),
                    calls: work.calls,
                    bytes: work.bytes,
                })
                .collect(),
        }
    }
}
