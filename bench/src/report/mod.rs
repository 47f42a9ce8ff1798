//! Results to read: tables (`text`) and pictures (`plot`).

mod plot;
mod text;

pub(crate) use plot::{Figure, svg};
pub(crate) use text::{brief, markdown, table};

use crate::compare::{Cell, Results, Row};
use crate::peers::Allocator;
use crate::stats::{Ratio, Summary, geometric_mean};
use crate::suite::Kind;

/// The rival that others are divided by.
pub(crate) const YARDSTICK: &str = "mimalloc3";
/// Ours, in the mode that is compared.
pub(crate) const OURS: &str = "neap";

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    Wall,
    Cpu,
    PeakRss,
}

impl Metric {
    pub(crate) const ALL: [Metric; 3] = [Metric::Wall, Metric::Cpu, Metric::PeakRss];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Metric::Wall => "time",
            Metric::Cpu => "processor time",
            Metric::PeakRss => "peak resident memory",
        }
    }

    /// For headers.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Metric::Wall => "time",
            Metric::Cpu => "CPU",
            Metric::PeakRss => "peak RSS",
        }
    }

    pub(crate) fn of(self, cell: &Cell) -> &Summary {
        match self {
            Metric::Wall => &cell.wall_s,
            Metric::Cpu => &cell.cpu_s,
            Metric::PeakRss => &cell.peak_rss_bytes,
        }
    }
}

impl Results {
    /// Whether the yardstick was measured.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.allocators.iter().any(|a| a.name == name)
    }

    /// The geometric mean over `kind` (both, if none) of an allocator's figures divided by the yardstick's. Rows
    /// that either of them did not finish do not count.
    pub(crate) fn mean(&self, metric: Metric, allocator: &str, kind: Option<Kind>) -> Option<f64> {
        let rows = self
            .rows
            .iter()
            .filter(|row| kind.is_none_or(|kind| row.kind == kind));
        let ratios: Vec<f64> = rows
            .filter_map(|row| row.ratio(metric, allocator, YARDSTICK))
            .map(|ratio| ratio.value)
            .collect();
        geometric_mean(&ratios)
    }
}

impl Row {
    /// `one` divided by `other`.
    pub(crate) fn ratio(&self, metric: Metric, one: &str, other: &str) -> Option<Ratio> {
        let (one, other) = (self.cells.get(one)?, self.cells.get(other)?);
        Some(metric.of(one).over(metric.of(other)))
    }

    /// The rival with the smallest figure.
    pub(crate) fn best_rival(&self, metric: Metric, allocators: &[Allocator]) -> Option<&str> {
        let rivals = self.cells.iter().filter(|(name, _)| {
            let known = allocators.iter().find(|a| a.name == **name);
            known.is_some_and(|a| !a.is_neap())
        });
        let best = rivals.min_by(|a, b| metric.of(a.1).median.total_cmp(&metric.of(b.1).median));
        best.map(|(name, _)| name.as_str())
    }
}
