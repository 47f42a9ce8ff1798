//! What `neap maps` reports: plain data of the address spaces of processes, rendered as text or JSON.
//!
//! [`text`] is the table, [`picture`] the pages as cells in a terminal, [`svg`] the same as a file,
//! [`difference`] what `neap diff` reports. The rows add up to the total, and the total is compared with the
//! kernel's own sums. docs/maps.md explains every column and every kind.

pub(crate) mod difference;
pub(crate) mod picture;
pub(crate) mod svg;
pub(crate) mod text;

mod rows;
mod verdict;

use std::collections::BTreeMap;
use std::path::Path;

use neap_proc::model::Kind;
use serde::Serialize;

use super::Figure;
use crate::heap::Role;
use crate::maps::groups::{self, Group, KindGroup, Order};
use crate::maps::heap::{Counters, ROLES};
use crate::maps::snapshot::Snapshot;
use crate::maps::sums::Sums;

pub(crate) use rows::MappingRow;

/// Changes when a field changes its meaning or goes away; new fields do not change it.
const SCHEMA: &str = "neap.maps/1";

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct MapsReport {
    schema: &'static str,
    neap_version: &'static str,
    pub(crate) processes: Vec<ProcessMaps>,
    /// Processes that could not be read.
    pub(crate) not_read: Vec<NotRead>,
    /// Path of a field that is null: why.
    not_available: BTreeMap<String, String>,
}

/// A process that could not be read.
#[derive(Debug, Serialize)]
pub(crate) struct NotRead {
    pub(crate) pid: u32,
    pub(crate) reason: String,
}

/// The address space of one process.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessMaps {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    /// The snapshot's file; not there for a live process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    pub(crate) taken: String,
    pub(crate) kernel: String,
    pub(crate) page_bytes: u64,
    pub(crate) verdict: String,
    pub(crate) total: Sums,
    /// The kernel's own sums: VmSize of status, Rss, Pss and Swap of smaps_rollup.
    pub(crate) kernel_total: KernelTotal,
    /// What `total` has more than `kernel_total`; below 0 what it lacks.
    pub(crate) residual: Residual,
    pub(crate) kinds: Vec<KindRow>,
    /// Each mapping; `None` unless they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mappings: Option<Vec<MappingRow>>,
    /// The heap of libneap.so.
    pub(crate) heap: Option<HeapRow>,
    #[serde(skip)]
    heap_reason: Option<String>,
}

/// See [`ProcessMaps::kernel_total`].
#[derive(Debug, Serialize)]
pub(crate) struct KernelTotal {
    pub(crate) size_bytes: Figure,
    pub(crate) rss_bytes: Figure,
    pub(crate) pss_bytes: Figure,
    pub(crate) swap_bytes: Figure,
}

/// See [`ProcessMaps::residual`]. `None` where one of the two is not known.
#[derive(Debug, Serialize)]
pub(crate) struct Residual {
    pub(crate) size_bytes: Option<i64>,
    pub(crate) rss_bytes: Option<i64>,
    pub(crate) pss_bytes: Option<i64>,
    pub(crate) swap_bytes: Option<i64>,
}

/// Mappings of one kind.
#[derive(Debug, Serialize)]
pub(crate) struct KindRow {
    pub(crate) kind: &'static str,
    pub(crate) meaning: &'static str,
    #[serde(flatten)]
    pub(crate) sums: Sums,
    pub(crate) names: Vec<NameRow>,
    /// Names with less than --min resident, summed up.
    pub(crate) smaller_names: u64,
    pub(crate) smaller: Sums,
}

/// Mappings of one name.
#[derive(Debug, Serialize)]
pub(crate) struct NameRow {
    pub(crate) name: String,
    pub(crate) deleted: bool,
    /// What the heap of libneap.so uses them for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(flatten)]
    pub(crate) sums: Sums,
}

/// The heap of libneap.so: its counters, and its mappings by use.
#[derive(Debug, Serialize)]
pub(crate) struct HeapRow {
    #[serde(flatten)]
    pub(crate) counters: Counters,
    pub(crate) regions: Vec<RegionRow>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RegionRow {
    pub(crate) role: &'static str,
    pub(crate) meaning: &'static str,
    #[serde(flatten)]
    pub(crate) sums: Sums,
}

/// What is shown of a process.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) order: Option<Order>,
    /// None: all.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) least_bytes: u64,
    pub(crate) each: Each,
}

/// Whether each mapping has a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Each {
    Group,
    Mapping,
}

impl Selection {
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}

impl MapsReport {
    pub(crate) fn new(processes: Vec<ProcessMaps>, not_read: Vec<NotRead>) -> MapsReport {
        let mut report = MapsReport {
            schema: SCHEMA,
            neap_version: env!("CARGO_PKG_VERSION"),
            processes,
            not_read,
            not_available: BTreeMap::new(),
        };
        for (index, process) in report.processes.iter().enumerate() {
            process.reasons(&format!("processes[{index}]"), &mut report.not_available);
        }
        report
    }
}

impl ProcessMaps {
    /// What a snapshot shows; of which file, unless the process is live.
    pub(crate) fn new(snapshot: &Snapshot, selection: &Selection, file: Option<&Path>) -> ProcessMaps {
        let groups = groups::groups(
            snapshot,
            selection.order.unwrap_or(Order::Rss),
            selection.least_bytes,
        );
        let total = Sums::of(&snapshot.space.total());
        let kernel = &snapshot.kernel;
        let more = |own: Option<u64>, kernels: &Figure| {
            Some(i64::try_from(own?).ok()? - i64::try_from(kernels.value()?).ok()?)
        };
        ProcessMaps {
            pid: snapshot.head.pid,
            name: snapshot.head.name.clone(),
            command: snapshot.head.command.clone(),
            file: file.map(|path| path.display().to_string()),
            taken: snapshot.head.taken.clone(),
            kernel: snapshot.head.kernel.clone(),
            page_bytes: snapshot.head.page_bytes,
            verdict: verdict::sentence(&groups, &total),
            residual: Residual {
                size_bytes: more(Some(total.size_bytes), &kernel.size_bytes),
                rss_bytes: more(total.rss_bytes.value(), &kernel.rss_bytes),
                pss_bytes: more(total.pss_bytes.value(), &kernel.pss_bytes),
                swap_bytes: more(total.swap_bytes.value(), &kernel.swap_bytes),
            },
            kernel_total: KernelTotal {
                size_bytes: kernel.size_bytes.clone(),
                rss_bytes: kernel.rss_bytes.clone(),
                pss_bytes: kernel.pss_bytes.clone(),
                swap_bytes: kernel.swap_bytes.clone(),
            },
            total,
            kinds: groups
                .iter()
                .filter(|of_kind| selection.has(of_kind.kind))
                .map(KindRow::new)
                .collect(),
            mappings: match selection.each {
                Each::Group => None,
                Each::Mapping => Some(rows::mappings(snapshot, selection)),
            },
            heap: HeapRow::new(snapshot),
            heap_reason: snapshot.heap.as_ref().err().cloned(),
        }
    }

    /// Why there is nothing of the heap.
    pub(crate) fn heap_reason(&self) -> Option<&str> {
        self.heap_reason.as_deref()
    }

    fn reasons(&self, path: &str, reasons: &mut BTreeMap<String, String>) {
        let mut of = |path: &str, figures: &[(&str, &Figure)]| {
            for (name, figure) in figures {
                if let Some(reason) = figure.reason() {
                    reasons.insert(format!("{path}.{name}"), reason.to_owned());
                }
            }
        };
        of(&format!("{path}.total"), &self.total.figures());
        let kernel = &self.kernel_total;
        let own = [
            ("size_bytes", &kernel.size_bytes),
            ("rss_bytes", &kernel.rss_bytes),
            ("pss_bytes", &kernel.pss_bytes),
            ("swap_bytes", &kernel.swap_bytes),
        ];
        of(&format!("{path}.kernel_total"), &own);
        of(&format!("{path}.residual"), &own);
        for (index, kind) in self.kinds.iter().enumerate() {
            let path = format!("{path}.kinds[{index}]");
            of(&path, &kind.sums.figures());
            of(&format!("{path}.smaller"), &kind.smaller.figures());
            for (index, name) in kind.names.iter().enumerate() {
                of(&format!("{path}.names[{index}]"), &name.sums.figures());
            }
        }
        for (index, row) in self.mappings.iter().flatten().enumerate() {
            of(&format!("{path}.mappings[{index}]"), &row.figures());
        }
        for (index, region) in self.heap.iter().flat_map(|heap| &heap.regions).enumerate() {
            of(&format!("{path}.heap.regions[{index}]"), &region.sums.figures());
        }
        if let Some(reason) = &self.heap_reason {
            reasons.insert(format!("{path}.heap"), reason.clone());
        }
    }
}

impl KindRow {
    fn new(of_kind: &KindGroup) -> KindRow {
        KindRow {
            kind: of_kind.kind.word(),
            meaning: of_kind.kind.meaning(),
            sums: Sums::of(&of_kind.total),
            names: of_kind.groups.iter().map(NameRow::new).collect(),
            smaller_names: of_kind.rest.0,
            smaller: Sums::of(&of_kind.rest.1),
        }
    }
}

impl NameRow {
    fn new(group: &Group) -> NameRow {
        NameRow {
            name: group.name.clone(),
            deleted: group.deleted,
            role: group.role.map(Role::word),
            sums: Sums::of(&group.total),
        }
    }
}

impl HeapRow {
    fn new(snapshot: &Snapshot) -> Option<HeapRow> {
        let heap = snapshot.heap.as_ref().ok()?;
        let region = |role: Role| {
            let mut total = neap_proc::model::Total::default();
            for (entry, kind) in snapshot.space.mappings() {
                if kind == Kind::Neap && heap.role(&(entry.start..entry.end)) == Some(role) {
                    total.add(entry);
                }
            }
            RegionRow {
                role: role.word(),
                meaning: role.sentence(),
                sums: Sums::of(&total),
            }
        };
        let there = |row: &RegionRow| row.sums.mappings > 0;
        Some(HeapRow {
            counters: heap.counters,
            regions: ROLES.into_iter().map(region).filter(there).collect(),
        })
    }
}
