//! What `neap diff` reports: two address spaces and what differs, as data. [`text`] renders it.

pub(crate) mod text;

use std::collections::BTreeMap;

use neap_proc::model::{self, Fate, Total};
use neap_proc::parse::Name;
use serde::Serialize;

use crate::maps::difference::{Difference, Pair, is_same_process, signed};
use crate::maps::heap::Counters;
use crate::maps::snapshot::Snapshot;
use crate::maps::sums::{NOT_WRITTEN, Sums};
use crate::report::Figure;
use crate::unit;

/// Changes when a field changes its meaning or goes away; new fields do not change it.
const SCHEMA: &str = "neap.diff/1";

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct DiffReport {
    schema: &'static str,
    neap_version: &'static str,
    pub(crate) verdict: String,
    /// Whether anything is not as it was but shares, which others change.
    pub(crate) differs: bool,
    pub(crate) before: Side,
    pub(crate) after: Side,
    /// Whether both are one process: only then are mappings compared.
    pub(crate) same_process: bool,
    /// From one snapshot to the other.
    pub(crate) elapsed_ns: Option<u64>,
    pub(crate) total: PairRow,
    /// Those that differ.
    pub(crate) kinds: Vec<KindRow>,
    /// Those that differ; `None` for two processes.
    pub(crate) mappings: Option<Vec<MappingRow>>,
    /// `None` unless both have a heap of libneap.so.
    pub(crate) heap: Option<HeapRow>,
    /// Path of a field that is null: why.
    not_available: BTreeMap<String, String>,
}

/// One of the two.
#[derive(Debug, Serialize)]
pub(crate) struct Side {
    /// The snapshot's file; not there for a live process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    pub(crate) taken: String,
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) kernel: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct PairRow {
    pub(crate) before: Sums,
    pub(crate) after: Sums,
    pub(crate) change: ChangeRow,
}

/// After less before. `None` where one side is not known.
#[derive(Debug, Serialize)]
pub(crate) struct ChangeRow {
    pub(crate) mappings: i64,
    pub(crate) size_bytes: i64,
    pub(crate) rss_bytes: Option<i64>,
    pub(crate) pss_bytes: Option<i64>,
    pub(crate) private_dirty_bytes: Option<i64>,
    pub(crate) swap_bytes: Option<i64>,
    pub(crate) huge_bytes: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct KindRow {
    pub(crate) kind: &'static str,
    pub(crate) fate: &'static str,
    #[serde(flatten)]
    pub(crate) pair: PairRow,
    pub(crate) names: Vec<NameRow>,
}

#[derive(Debug, Serialize)]
pub(crate) struct NameRow {
    pub(crate) name: String,
    pub(crate) fate: &'static str,
    #[serde(flatten)]
    pub(crate) pair: PairRow,
}

#[derive(Debug, Serialize)]
pub(crate) struct MappingRow {
    pub(crate) fate: &'static str,
    /// Hexadecimal.
    pub(crate) start: String,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// Not there when it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<MappingSide>,
    /// Not there when it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<MappingSide>,
}

#[derive(Debug, Serialize)]
pub(crate) struct MappingSide {
    pub(crate) size_bytes: u64,
    pub(crate) permissions: String,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) pss_bytes: Option<u64>,
    pub(crate) swap_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct HeapRow {
    pub(crate) before: Counters,
    pub(crate) after: Counters,
}

impl DiffReport {
    /// `files` are the names of the snapshots' files; `None` for a live process.
    pub(crate) fn new(before: &Snapshot, after: &Snapshot, files: [Option<String>; 2]) -> DiffReport {
        let difference = Difference::new(before, after);
        let [first, second] = files;
        let elapsed_ns = elapsed(&before.head.taken, &after.head.taken);
        let mut report = DiffReport {
            schema: SCHEMA,
            neap_version: env!("CARGO_PKG_VERSION"),
            verdict: sentence(&difference, elapsed_ns),
            differs: difference.is_any(),
            before: Side::new(before, first),
            after: Side::new(after, second),
            same_process: is_same_process(before, after),
            elapsed_ns,
            total: PairRow::new(&difference.total),
            kinds: difference.kinds.iter().map(KindRow::new).collect(),
            mappings: difference
                .mappings
                .as_ref()
                .map(|all| all.iter().map(MappingRow::new).collect()),
            heap: match (&before.heap, &after.heap) {
                (Ok(before), Ok(after)) => Some(HeapRow {
                    before: before.counters,
                    after: after.counters,
                }),
                _ => None,
            },
            not_available: BTreeMap::new(),
        };
        report.reasons(before, after);
        report
    }

    fn reasons(&mut self, before: &Snapshot, after: &Snapshot) {
        let mut reasons = BTreeMap::new();
        self.total.reasons("total", &mut reasons);
        for (index, kind) in self.kinds.iter().enumerate() {
            let path = format!("kinds[{index}]");
            kind.pair.reasons(&path, &mut reasons);
            for (index, name) in kind.names.iter().enumerate() {
                name.pair.reasons(&format!("{path}.names[{index}]"), &mut reasons);
            }
        }
        for (index, row) in self.mappings.iter().flatten().enumerate() {
            for (name, side) in [("before", &row.before), ("after", &row.after)] {
                let Some(side) = side else { continue };
                for (field, bytes) in [
                    ("rss_bytes", side.rss_bytes),
                    ("pss_bytes", side.pss_bytes),
                    ("swap_bytes", side.swap_bytes),
                ] {
                    if bytes.is_none() {
                        let path = format!("mappings[{index}].{name}.{field}");
                        reasons.insert(path, NOT_WRITTEN.to_owned());
                    }
                }
            }
        }
        if self.mappings.is_none() {
            let why = "two processes have the same addresses only by chance";
            reasons.insert("mappings".to_owned(), why.to_owned());
        }
        if self.elapsed_ns.is_none() {
            reasons.insert(
                "elapsed_ns".to_owned(),
                "the second was taken before the first".to_owned(),
            );
        }
        if let (None, Some(why)) = (
            &self.heap,
            before.heap.as_ref().err().or(after.heap.as_ref().err()),
        ) {
            reasons.insert("heap".to_owned(), why.clone());
        }
        self.not_available = reasons;
    }
}

impl Side {
    fn new(snapshot: &Snapshot, file: Option<String>) -> Side {
        let head = &snapshot.head;
        Side {
            file,
            taken: head.taken.clone(),
            pid: head.pid,
            name: head.name.clone(),
            command: head.command.clone(),
            kernel: head.kernel.clone(),
        }
    }
}

impl PairRow {
    fn new(pair: &Pair) -> PairRow {
        let (before, after) = (Sums::of(&pair.before), Sums::of(&pair.after));
        let change = |of: fn(&Sums) -> &Figure| Some(signed(of(&before).value()?, of(&after).value()?));
        let change = ChangeRow {
            mappings: signed(before.mappings, after.mappings),
            size_bytes: signed(before.size_bytes, after.size_bytes),
            rss_bytes: change(|sums| &sums.rss_bytes),
            pss_bytes: change(|sums| &sums.pss_bytes),
            private_dirty_bytes: change(|sums| &sums.private_dirty_bytes),
            swap_bytes: change(|sums| &sums.swap_bytes),
            huge_bytes: change(|sums| &sums.huge_bytes),
        };
        PairRow {
            before,
            after,
            change,
        }
    }

    fn reasons(&self, path: &str, reasons: &mut BTreeMap<String, String>) {
        for (side, sums) in [("before", &self.before), ("after", &self.after)] {
            for (name, figure) in sums.figures() {
                if let Some(reason) = figure.reason() {
                    reasons.insert(format!("{path}.{side}.{name}"), reason.to_owned());
                    reasons.insert(format!("{path}.change.{name}"), reason.to_owned());
                }
            }
        }
    }
}

impl KindRow {
    fn new(kind: &crate::maps::difference::KindDifference) -> KindRow {
        KindRow {
            kind: kind.kind.word(),
            // The parts of a kind may make up for each other.
            fate: kind.pair.fate().map_or("changed", word),
            pair: PairRow::new(&kind.pair),
            names: kind
                .names
                .iter()
                .map(|name| NameRow {
                    name: name.name.clone(),
                    fate: name.pair.fate().map_or("changed", word),
                    pair: PairRow::new(&name.pair),
                })
                .collect(),
        }
    }
}

impl MappingRow {
    fn new(change: &model::Change) -> MappingRow {
        let side = |side: &model::Side| MappingSide {
            size_bytes: side.len_bytes(),
            permissions: side.permissions.to_string(),
            rss_bytes: side.rss_bytes,
            pss_bytes: side.pss_bytes,
            swap_bytes: side.swap_bytes,
        };
        let name = match &change.name {
            Name::Anonymous => "[anonymous]".to_owned(),
            Name::Named(name) => format!("[anon:{name}]"),
            Name::Special(name) => name.clone(),
            Name::File { path, deleted: false } => path.clone(),
            Name::File { path, deleted: true } => format!("{path} (deleted)"),
        };
        MappingRow {
            fate: word(change.fate),
            start: format!("{:#x}", change.start),
            kind: change.kind.word(),
            name,
            before: change.before.as_ref().map(side),
            after: change.after.as_ref().map(side),
        }
    }
}

/// What became of it.
const fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Appeared => "came",
        Fate::Went => "went",
        Fate::Grew => "grew",
        Fate::Shrank => "shrank",
        Fate::Changed => "changed",
    }
}

fn elapsed(before: &str, after: &str) -> Option<u64> {
    let time = |text| humantime::parse_rfc3339(text).ok();
    let elapsed = time(after)?.duration_since(time(before)?).ok()?;
    u64::try_from(elapsed.as_nanos()).ok()
}

/// What happened, in one sentence.
fn sentence(difference: &Difference, elapsed_ns: Option<u64>) -> String {
    if !difference.is_any() {
        let shares = !difference.kinds.is_empty();
        let but = if shares {
            ", but shares of what others map, too"
        } else {
            ""
        };
        return format!("Nothing differs{but}.");
    }
    let rss = |total: &Total| Sums::of(total).rss_bytes.size();
    let pair = &difference.total;
    let time = elapsed_ns.map_or_else(String::new, |ns| format!(" in {}", unit::time(ns)));
    let change = pair.rss_change();
    let mut text = if change == 0 {
        format!(
            "RSS is {} as before{}",
            rss(&pair.after),
            time.replace(" in ", ", after ")
        )
    } else {
        let verb = if change > 0 { "grew" } else { "fell" };
        let by = unit::size(change.unsigned_abs());
        format!("RSS {verb} by {by} to {}{time}", rss(&pair.after))
    };
    let parts: Vec<String> = difference
        .kinds
        .iter()
        .filter(|kind| kind.pair.rss_change() != 0)
        .take(3)
        .map(|kind| {
            format!(
                "{} {}",
                kind.kind.word(),
                unit::signed_size(kind.pair.rss_change())
            )
        })
        .collect();
    if !parts.is_empty() {
        text += &format!(": {}", parts.join(", "));
    }
    if let Some(changes) = &difference.mappings {
        let count = |fate: Fate| changes.iter().filter(|change| change.fate == fate).count() as u64;
        let (came, went) = (count(Fate::Appeared), count(Fate::Went));
        if came + went > 0 {
            text += &format!("; {} came, {} went", unit::mappings(came), unit::count(went));
        }
    }
    text + "."
}
