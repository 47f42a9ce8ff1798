//! What was found and done, as data: sums over all files, and a row for each of the foremost.
//!
//! Sums are exact whatever the number of files; of rows only as many are kept as will be shown, so memory
//! does not grow with the tree. A file of which the kernel tells nothing is in no sum of pages.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use super::cache::{Count, NO_CACHESTAT, NOT_OWNER};
use super::mapped::Holder;
use super::walk::{Identity, Left, Trouble};

/// Changes when a field changes its meaning or goes away; new fields do not change it.
pub(crate) const SCHEMA: &str = "neap.file/1";
/// Names kept of what was left out, and of what failed.
const NAMES_KEPT: usize = 10;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Status,
    Touch,
    Evict,
    Lock,
}

/// What rows are ordered by, the greatest first; paths by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Bytes in memory
    #[default]
    Resident,
    /// Size
    Size,
    /// The share in memory
    Share,
    /// Bytes not written yet
    Dirty,
    /// Bytes that were evicted lately
    Evicted,
    /// Name
    Path,
}

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) schema: &'static str,
    pub(crate) neap_version: &'static str,
    pub(crate) action: Action,
    pub(crate) page_bytes: u64,
    pub(crate) time_ns: u64,
    pub(crate) files: u64,
    pub(crate) folders: u64,
    /// Sizes of the files, or of what --range leaves of them.
    pub(crate) size_bytes: u64,
    /// After touch, evict and lock; `None` where the kernel tells of no file.
    pub(crate) cache: Option<Pages>,
    /// Before them; `None` for status, too.
    pub(crate) before: Option<Pages>,
    /// touch: what is in memory now and was not before.
    pub(crate) brought_in_bytes: Option<u64>,
    /// lock: by mlock(2) in this process, as the kernel says (VmLck).
    pub(crate) locked_bytes: Option<u64>,
    /// lock: the process that holds them.
    pub(crate) process: Option<u32>,
    /// Files of which the kernel tells nothing; they are in no sum of pages.
    pub(crate) files_not_told: u64,
    pub(crate) rows: Vec<Row>,
    pub(crate) rows_not_listed: u64,
    /// Processes that could not be asked whether they map a file that stayed.
    pub(crate) processes_denied: Option<u64>,
    /// Left out on purpose, by reason.
    pub(crate) skipped: BTreeMap<&'static str, u64>,
    /// The first of them.
    pub(crate) skipped_names: Vec<Named>,
    pub(crate) denied: u64,
    pub(crate) vanished: u64,
    pub(crate) failed: u64,
    /// The first that were denied, are missing or failed.
    pub(crate) troubles: Vec<Named>,
    /// Path of a field that is null: why.
    pub(crate) not_available: BTreeMap<String, String>,
}

/// A path and a reason.
#[derive(Debug, Serialize)]
pub(crate) struct Named {
    pub(crate) path: String,
    pub(crate) why: String,
}

/// Pages and bytes, in whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Pages {
    pub(crate) pages: u64,
    pub(crate) resident_pages: u64,
    pub(crate) resident_bytes: u64,
    pub(crate) dirty_bytes: Option<u64>,
    pub(crate) writeback_bytes: Option<u64>,
    pub(crate) evicted_bytes: Option<u64>,
    pub(crate) recently_evicted_bytes: Option<u64>,
}

impl Pages {
    pub(crate) fn of(count: Count, page_bytes: u64) -> Pages {
        Pages {
            pages: count.pages,
            resident_pages: count.resident,
            resident_bytes: count.resident * page_bytes,
            dirty_bytes: count.more.map(|more| more.dirty * page_bytes),
            writeback_bytes: count.more.map(|more| more.writeback * page_bytes),
            evicted_bytes: count.more.map(|more| more.evicted * page_bytes),
            recently_evicted_bytes: count.more.map(|more| more.recently_evicted * page_bytes),
        }
    }

    pub(crate) fn share(&self) -> f64 {
        crate::unit::to_f64(self.resident_pages) / crate::unit::to_f64(self.pages.max(1))
    }
}

/// One file.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    pub(crate) cache: Option<Pages>,
    pub(crate) before: Option<Pages>,
    /// Shares in memory from its first page to its last.
    pub(crate) cells: Option<Vec<f64>>,
    /// evict: why pages stayed.
    pub(crate) stayed: Vec<Stayed>,
    /// Why `cache` is null.
    #[serde(skip)]
    pub(crate) not_told: Option<String>,
    /// The path as it is, which need not be text.
    #[serde(skip)]
    pub(crate) location: PathBuf,
    #[serde(skip)]
    pub(crate) identity: Identity,
    #[serde(skip)]
    pub(crate) part: Range<u64>,
    #[serde(skip)]
    pub(crate) memory_only: Option<&'static str>,
}

/// Why pages stayed after evict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub(crate) enum Stayed {
    /// Written to the disk first, they could go.
    Dirty { bytes: u64 },
    /// On their way to the disk.
    Writeback { bytes: u64 },
    /// In page tables.
    Mapped { by: Vec<Holder> },
    /// By mlock(2).
    Locked { by: Vec<Holder> },
    /// A file system whose files are memory.
    MemoryOnly { file_system: &'static str },
    /// Of a part of a file, and for none of these reasons: the cache keeps pages in pieces (folios), and one
    /// that reaches out of the part stays whole.
    LargerPiece { bytes: u64 },
    /// None of these: in use that moment.
    Unknown { bytes: u64 },
}

impl Row {
    fn rank(&self, sort: Sort) -> u64 {
        let cache = self.cache.as_ref();
        let figure = |of: fn(&Pages) -> Option<u64>| cache.and_then(of).unwrap_or(0);
        match sort {
            Sort::Resident => figure(|pages| Some(pages.resident_bytes)),
            Sort::Size => self.size_bytes,
            Sort::Dirty => figure(|pages| pages.dirty_bytes),
            Sort::Evicted => figure(|pages| pages.evicted_bytes),
            // In millionths.
            Sort::Share => cache.map_or(0, |pages| pages.resident_pages * 1_000_000 / pages.pages.max(1)),
            Sort::Path => 0,
        }
    }
}

/// The foremost rows.
#[derive(Debug)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    most: usize,
    sort: Sort,
    seen: u64,
}

impl Rows {
    pub(crate) fn new(most: usize, sort: Sort) -> Rows {
        Rows {
            rows: Vec::new(),
            most,
            sort,
            seen: 0,
        }
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.seen += 1;
        self.rows.push(row);
        // Seldom, so that a row costs little.
        if self.rows.len() > self.most.saturating_mul(2).saturating_add(64) {
            self.cut();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.rows.iter_mut()
    }

    fn cut(&mut self) {
        let sort = self.sort;
        self.rows.sort_by(|one, other| {
            let by_rank = other.rank(sort).cmp(&one.rank(sort));
            by_rank.then_with(|| one.path.cmp(&other.path))
        });
        self.rows.truncate(self.most);
    }

    /// The rows in order, and how many there are besides.
    pub(crate) fn finish(mut self) -> (Vec<Row>, u64) {
        self.cut();
        let rest = self.seen - self.rows.len() as u64;
        (self.rows, rest)
    }
}

/// Sums while a walk goes on.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) folders: u64,
    pub(crate) size_bytes: u64,
    pub(crate) cache: Count,
    pub(crate) before: Count,
    pub(crate) files_not_told: u64,
    skipped: BTreeMap<&'static str, u64>,
    skipped_names: Vec<Named>,
    denied: u64,
    vanished: u64,
    failed: u64,
    troubles: Vec<Named>,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            files: 0,
            folders: 0,
            size_bytes: 0,
            cache: Count::none(),
            before: Count::none(),
            files_not_told: 0,
            skipped: BTreeMap::new(),
            skipped_names: Vec::new(),
            denied: 0,
            vanished: 0,
            failed: 0,
            troubles: Vec::new(),
        }
    }

    pub(crate) fn leave(&mut self, path: &Path, why: Left) {
        *self.skipped.entry(why.name()).or_default() += 1;
        // Patterns and sizes were asked for; what else is left out may surprise.
        let is_asked_for = matches!(why, Left::Excluded | Left::TooSmall | Left::TooLarge);
        if !is_asked_for && self.skipped_names.len() < NAMES_KEPT {
            self.skipped_names.push(named(path, why.name().to_owned()));
        }
    }

    pub(crate) fn fail(&mut self, path: &Path, trouble: &Trouble) {
        match trouble {
            Trouble::Denied => self.denied += 1,
            Trouble::Vanished => {
                self.vanished += 1;
                return;
            }
            Trouble::Missing | Trouble::Failed(_) => self.failed += 1,
        }
        if self.troubles.len() < NAMES_KEPT {
            self.troubles.push(named(path, trouble.sentence()));
        }
    }

    pub(crate) fn finish(self, action: Action, page_bytes: u64, time_ns: u64, rows: Rows) -> Record {
        let (rows, rows_not_listed) = rows.finish();
        let brought_in = self.cache.resident.saturating_sub(self.before.resident);
        let is_told = self.files == 0 || self.files_not_told < self.files;
        let pages = |count| is_told.then(|| Pages::of(count, page_bytes));
        let mut record = Record {
            schema: SCHEMA,
            neap_version: env!("CARGO_PKG_VERSION"),
            action,
            page_bytes,
            time_ns,
            files: self.files,
            folders: self.folders,
            size_bytes: self.size_bytes,
            cache: pages(self.cache),
            before: pages(self.before).filter(|_| action != Action::Status),
            brought_in_bytes: (action == Action::Touch && is_told).then_some(brought_in * page_bytes),
            locked_bytes: None,
            process: (action == Action::Lock).then(std::process::id),
            files_not_told: self.files_not_told,
            rows,
            rows_not_listed,
            processes_denied: None,
            skipped: self.skipped,
            skipped_names: self.skipped_names,
            denied: self.denied,
            vanished: self.vanished,
            failed: self.failed,
            troubles: self.troubles,
            not_available: BTreeMap::new(),
        };
        record.not_available = reasons(&record);
        record
    }
}

impl Record {
    /// Whether something that was asked for could not be looked at.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.denied > 0 || self.failed > 0
    }
}

fn reasons(record: &Record) -> BTreeMap<String, String> {
    let mut reasons = BTreeMap::new();
    for (path, pages) in [("cache", &record.cache), ("before", &record.before)] {
        of_pages(path, pages.as_ref(), &mut reasons);
    }
    let asks_twice = record.action != Action::Status;
    let is_told = record.cache.is_some();
    let fields = [
        ("cache", is_told, true),
        ("before", is_told, asks_twice),
        ("brought_in_bytes", is_told, record.action == Action::Touch),
        ("processes_denied", true, record.action == Action::Evict),
        ("locked_bytes", true, record.action == Action::Lock),
        ("process", true, record.action == Action::Lock),
    ];
    for (field, is_told, is_of_this) in fields {
        let reason = match (is_of_this, is_told) {
            (false, _) => NOT_THIS,
            (true, false) => NOT_OWNER,
            (true, true) => continue,
        };
        reasons.insert(field.to_owned(), reason.to_owned());
    }
    for (index, row) in record.rows.iter().enumerate() {
        of_row(&format!("rows[{index}]"), row, record.action, &mut reasons);
    }
    reasons
}

/// Of counts that mincore made.
fn of_pages(path: &str, pages: Option<&Pages>, reasons: &mut BTreeMap<String, String>) {
    if pages.is_some_and(|pages| pages.dirty_bytes.is_none()) {
        for field in [
            "dirty_bytes",
            "writeback_bytes",
            "evicted_bytes",
            "recently_evicted_bytes",
        ] {
            reasons.insert(format!("{path}.{field}"), NO_CACHESTAT.to_owned());
        }
    }
}

fn of_row(path: &str, row: &Row, action: Action, reasons: &mut BTreeMap<String, String>) {
    of_pages(&format!("{path}.cache"), row.cache.as_ref(), reasons);
    of_pages(&format!("{path}.before"), row.before.as_ref(), reasons);
    let told = row.not_told.as_deref();
    let mut add = |field: String, why: &str| reasons.insert(format!("{path}.{field}"), why.to_owned());
    if row.cache.is_none() {
        add("cache".to_owned(), told.unwrap_or(NOT_OWNER));
    }
    if row.before.is_none() {
        let why = match action {
            Action::Status => NOT_THIS,
            Action::Touch | Action::Evict | Action::Lock => told.unwrap_or(NOT_OWNER),
        };
        add("before".to_owned(), why);
    }
    if row.cells.is_none() {
        add("cells".to_owned(), told.unwrap_or("asked for with --verbose"));
    }
    for (at, stayed) in row.stayed.iter().enumerate() {
        let (Stayed::Mapped { by } | Stayed::Locked { by }) = stayed else {
            continue;
        };
        for (which, holder) in by.iter().enumerate() {
            let fields = [
                ("command", holder.command.is_none(), "the process had ended"),
                ("resident_bytes", holder.resident_bytes.is_none(), NO_SMAPS),
                ("locked_bytes", holder.locked_bytes.is_none(), NO_SMAPS),
            ];
            for (field, _, why) in fields.into_iter().filter(|(_, is_missing, _)| *is_missing) {
                add(format!("stayed[{at}].by[{which}].{field}"), why);
            }
        }
    }
}

const NO_SMAPS: &str = "its smaps could not be read";
const NOT_THIS: &str = "not of this action";

fn named(path: &Path, why: String) -> Named {
    Named {
        path: path.to_string_lossy().into_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, size_bytes: u64) -> Row {
        Row {
            path: path.to_owned(),
            size_bytes,
            cache: None,
            before: None,
            cells: None,
            stayed: Vec::new(),
            not_told: None,
            location: PathBuf::new(),
            identity: Identity { device: 0, inode: 0 },
            part: 0..0,
            memory_only: None,
        }
    }

    #[test]
    fn of_many_rows_the_foremost_are_kept() {
        let mut rows = Rows::new(3, Sort::Size);
        for size in 0..10_000_u64 {
            rows.add(row(&format!("{size}"), size * 7919 % 10_000));
            assert!(rows.rows.len() < 80, "memory is bounded");
        }
        let (rows, rest) = rows.finish();
        let sizes: Vec<u64> = rows.iter().map(|row| row.size_bytes).collect();
        assert_eq!((sizes, rest), (vec![9999, 9998, 9997], 9997));
    }

    #[test]
    fn equals_are_ordered_by_name() {
        let mut rows = Rows::new(9, Sort::Path);
        for path in ["b", "a", "c"] {
            rows.add(row(path, 0));
        }
        let names: Vec<String> = rows.finish().0.into_iter().map(|row| row.path).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }
}
