//! A row for each mapping: `neap maps --all`.

use neap_proc::model::{Kind, Total};
use serde::Serialize;

use super::Selection;
use crate::maps::groups::{self, Order};
use crate::maps::snapshot::Snapshot;
use crate::maps::sums::Sums;
use crate::report::Figure;

/// One mapping.
#[derive(Debug, Serialize)]
pub(crate) struct MappingRow {
    /// Hexadecimal: JSON's numbers are not exact that far up.
    pub(crate) start: String,
    pub(crate) end: String,
    pub(crate) permissions: String,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) deleted: bool,
    /// Bytes into the file.
    pub(crate) offset_bytes: u64,
    #[serde(flatten)]
    pub(crate) sums: Sums,
}

impl MappingRow {
    pub(super) fn figures(&self) -> [(&'static str, &Figure); 5] {
        self.sums.figures()
    }
}

/// Those that were asked for; by address unless another order was.
pub(super) fn mappings(snapshot: &Snapshot, selection: &Selection) -> Vec<MappingRow> {
    let mut rows: Vec<(Kind, Total, String, bool, _)> = Vec::new();
    for (entry, kind) in snapshot.space.mappings().filter(|(_, kind)| selection.has(*kind)) {
        let mut total = Total::default();
        total.add(entry);
        if Sums::of(&total)
            .rss_bytes
            .value()
            .is_some_and(|rss| rss < selection.least_bytes)
        {
            continue;
        }
        let (name, deleted) = groups::label(snapshot, entry, kind);
        rows.push((kind, total, name, deleted, entry));
    }
    let order = selection.order.unwrap_or(Order::Address);
    order.sort(&mut rows, |(_, total, name, _, entry)| (total, name, entry.start));
    let row =
        |(kind, total, name, deleted, entry): (Kind, Total, String, bool, &neap_proc::parse::SmapsEntry)| {
            MappingRow {
                start: format!("{:#x}", entry.start),
                end: format!("{:#x}", entry.end),
                permissions: entry.permissions.to_string(),
                kind: kind.word(),
                name,
                deleted,
                offset_bytes: entry.offset,
                sums: Sums::of(&total),
            }
        };
    rows.into_iter().map(row).collect()
}
