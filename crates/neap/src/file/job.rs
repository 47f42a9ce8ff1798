//! One action over a selection: walks it, asks before and after, adds up.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use neap_proc::read::Proc;

use super::cache::{self, Count, Told};
use super::evict::{self, Dirty, Store};
use super::mapped;
use super::progress::Progress;
use super::record::{Action, Pages, Record, Row, Rows, Sort, Stayed, Tally};
use super::selection::{Selection, pages_of};
use super::touch;
use super::walk::{Identity, Met, Opened, Trouble, reopen, walk};

/// Stretches a file is divided into for its row of cells.
const CELLS: u64 = 60;
/// Files of which it is found out who holds them, if not all are listed.
const ASKED_MOST: usize = 1000;

/// What is to be done, and how much of it is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) deed: Deed,
    pub(crate) sort: Sort,
    /// Rows that are listed.
    pub(crate) most: usize,
    pub(crate) cells: Cells,
    pub(crate) page_bytes: u64,
}

/// What is done to each file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Look,
    Touch,
    Evict(Dirty),
}

/// Whether each row says where in the file its pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cells {
    None,
    Each,
}

/// Does it.
pub(crate) fn run(selection: &Selection, request: &Request, progress: &Progress) -> Record {
    let start = Instant::now();
    let kept = match request.deed {
        Deed::Evict(_) => request.most.max(ASKED_MOST),
        Deed::Look | Deed::Touch => request.most,
    };
    let mut tally = Tally::new();
    let mut rows = Rows::new(kept, request.sort);
    let mut buffer = Vec::new();
    walk(selection, |met| match met {
        Met::Folder => tally.folders += 1,
        Met::Left(path, why) => tally.leave(&path, why),
        Met::Trouble(path, trouble) => tally.fail(&path, &trouble),
        Met::File(opened) => {
            let part = pages_of(opened.len, selection.range, request.page_bytes);
            progress.next_file(&opened.path);
            let done = one(&opened, &part, request, &mut buffer, progress);
            tally.files += 1;
            tally.size_bytes += part.end.min(opened.len).saturating_sub(part.start);
            rows.add(done.row(opened, part, request, &mut tally));
        }
    });
    let time_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    progress.finish();
    let mut processes_denied = None;
    let action = match request.deed {
        Deed::Look => Action::Status,
        Deed::Touch => Action::Touch,
        Deed::Evict(_) => Action::Evict,
    };
    if action == Action::Evict {
        processes_denied = Some(explain(&mut rows, &mut tally, request.page_bytes));
    }
    let mut record = tally.finish(action, request.page_bytes, time_ns, rows);
    record.processes_denied = processes_denied;
    let beyond = record.rows.len().saturating_sub(request.most);
    record.rows.truncate(request.most);
    record.rows_not_listed += beyond as u64;
    record
}

/// What was seen of one file.
struct Done {
    before: Option<Told>,
    after: Told,
    trouble: Option<Trouble>,
}

fn one(
    opened: &Opened,
    part: &Range<u64>,
    request: &Request,
    buffer: &mut Vec<u8>,
    progress: &Progress,
) -> Done {
    let ask = || cache::count(&opened.file, part, request.page_bytes);
    let mut done = Done {
        before: None,
        after: Told::Count(Count::none()),
        trouble: None,
    };
    match request.deed {
        Deed::Look => {
            done.after = ask();
            progress.advance(part.end - part.start);
        }
        Deed::Touch => {
            done.before = Some(ask());
            let read = touch::bring_in(&opened.file, part, request.page_bytes, buffer, |bytes| {
                progress.advance(bytes);
            });
            match read {
                Ok(()) => {}
                Err(error) => done.trouble = Some(Trouble::of(&error)),
            }
            done.after = ask();
        }
        Deed::Evict(dirty) => {
            done.before = Some(ask());
            done.after = match part.is_empty() {
                true => ask(),
                false => evict::drop_pages(&opened.file, part, request.page_bytes, dirty),
            };
            progress.advance(part.end - part.start);
        }
    }
    done
}

impl Done {
    /// Adds it to the sums, and makes its row.
    fn row(self, opened: Opened, part: Range<u64>, request: &Request, tally: &mut Tally) -> Row {
        let pages = |told: &Told| told.count().map(|count| Pages::of(count, request.page_bytes));
        match self.after.count() {
            Some(count) => tally.cache = tally.cache.and(count),
            None => tally.files_not_told += 1,
        }
        if let Some(before) = self.before.as_ref().and_then(Told::count) {
            tally.before = tally.before.and(before);
        }
        if let Some(trouble) = &self.trouble {
            tally.fail(&opened.path, trouble);
        }
        let cells = match (request.cells, &self.after) {
            (Cells::Each, Told::Count(_)) => cache::cells(&opened.file, &part, request.page_bytes, CELLS),
            _ => None,
        };
        Row {
            cache: pages(&self.after),
            before: self.before.as_ref().and_then(pages),
            cells,
            stayed: Vec::new(),
            not_told: match self.after {
                Told::Nothing(why) => Some(why),
                Told::Count(_) => None,
            },
            memory_only: match (request.deed, evict::store(&opened.file)) {
                (Deed::Evict(_), Store::Memory(name)) => Some(name),
                _ => None,
            },
            path: opened.path.to_string_lossy().into_owned(),
            location: opened.path,
            size_bytes: opened.len,
            identity: opened.identity,
            part,
        }
    }
}

/// Finds out why pages stayed. Returns how many processes could not be asked.
fn explain(rows: &mut Rows, tally: &mut Tally, page_bytes: u64) -> u64 {
    let files: HashMap<_, _> = rows
        .iter()
        .filter(|row| stayed(row))
        .map(|row| (row.identity, row.part.clone()))
        .collect();
    let mut holders = mapped::find(&Proc::default(), &files);
    for _ in 0..evict::AGAIN {
        if !again(rows, tally, page_bytes, |file| {
            holders.by_file.contains_key(&file)
        }) {
            break;
        }
    }
    for row in rows.iter_mut().filter(|row| stayed(row)) {
        let by = holders.by_file.remove(&row.identity).unwrap_or_default();
        row.stayed = reasons(row, by, page_bytes);
    }
    holders.denied
}

fn stayed(row: &Row) -> bool {
    row.cache.is_some_and(|cache| cache.resident_pages > 0)
}

/// Asks again for the files that stay for no reason that is known. Whether any of them lost a page.
fn again(rows: &mut Rows, tally: &mut Tally, page_bytes: u64, is_held: impl Fn(Identity) -> bool) -> bool {
    let has_no_reason = |row: &Row| {
        row.memory_only.is_none()
            && !is_held(row.identity)
            && row.cache.is_some_and(|cache| {
                let known = cache.dirty_bytes.unwrap_or(0) + cache.writeback_bytes.unwrap_or(0);
                cache.resident_bytes > known
            })
    };
    let files: Vec<_> = rows
        .iter()
        .filter(|row| has_no_reason(row))
        .map(|row| ((row.identity, row.location.clone()), row.part.clone()))
        .collect();
    if files.is_empty() {
        return false;
    }
    let mut found = HashMap::new();
    evict::drop_again(
        &files,
        page_bytes,
        |(identity, path)| reopen(path, *identity),
        |(identity, _), told| {
            found.insert(*identity, told);
        },
    );
    let mut is_less = false;
    for row in rows.iter_mut() {
        let Some(count) = found.get(&row.identity).and_then(Told::count) else {
            continue;
        };
        let before = row.cache.map_or(0, |cache| cache.resident_pages);
        is_less |= count.resident < before;
        tally.cache.resident = (tally.cache.resident + count.resident).saturating_sub(before);
        row.cache = Some(Pages::of(count, page_bytes));
    }
    is_less
}

fn reasons(row: &Row, by: Vec<mapped::Holder>, page_bytes: u64) -> Vec<Stayed> {
    let Some(cache) = row.cache else { return Vec::new() };
    if let Some(file_system) = row.memory_only {
        return vec![Stayed::MemoryOnly { file_system }];
    }
    let mut reasons = Vec::new();
    let mut known = 0;
    let dirty = cache.dirty_bytes.unwrap_or(0);
    let writeback = cache.writeback_bytes.unwrap_or(0);
    if dirty > 0 {
        reasons.push(Stayed::Dirty { bytes: dirty });
        known += dirty;
    }
    if writeback > 0 {
        reasons.push(Stayed::Writeback { bytes: writeback });
        known += writeback;
    }
    let (locked, mapped): (Vec<_>, Vec<_>) = by
        .into_iter()
        .partition(|holder| holder.locked_bytes.is_some_and(|bytes| bytes > 0));
    let holds_all = !locked.is_empty() || !mapped.is_empty();
    for (by, reason) in [
        (
            locked,
            (|by| Stayed::Locked { by }) as fn(Vec<mapped::Holder>) -> Stayed,
        ),
        (mapped, |by| Stayed::Mapped { by }),
    ] {
        if !by.is_empty() {
            reasons.push(reason(by));
        }
    }
    if !holds_all && cache.resident_bytes >= known + page_bytes {
        let bytes = cache.resident_bytes - known;
        let is_all = row.part.start == 0 && row.part.end >= row.size_bytes;
        reasons.push(match is_all {
            true => Stayed::Unknown { bytes },
            false => Stayed::LargerPiece { bytes },
        });
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::super::cache::More;
    use super::mapped::Holder;
    use super::*;

    const PAGE: u64 = 4096;

    fn row(resident: u64, dirty: u64, writeback: u64) -> Row {
        let more = More {
            dirty,
            writeback,
            ..More::default()
        };
        Row {
            path: String::new(),
            size_bytes: 10 * PAGE,
            cache: Some(Pages::of(
                Count {
                    pages: 10,
                    resident,
                    more: Some(more),
                },
                PAGE,
            )),
            before: None,
            cells: None,
            stayed: Vec::new(),
            not_told: None,
            location: std::path::PathBuf::new(),
            identity: Identity { device: 1, inode: 1 },
            part: 0..10 * PAGE,
            memory_only: None,
        }
    }

    fn holder(pid: u32, locked_bytes: Option<u64>) -> Holder {
        Holder {
            pid,
            command: None,
            resident_bytes: Some(PAGE),
            locked_bytes,
        }
    }

    #[test]
    fn pages_that_stay_have_all_their_reasons() {
        let why = |row: &Row, by| reasons(row, by, PAGE);
        assert_eq!(
            why(&row(5, 2, 3), Vec::new()),
            [
                Stayed::Dirty { bytes: 2 * PAGE },
                Stayed::Writeback { bytes: 3 * PAGE }
            ]
        );
        assert_eq!(
            why(&row(5, 2, 0), Vec::new()),
            [
                Stayed::Dirty { bytes: 2 * PAGE },
                Stayed::Unknown { bytes: 3 * PAGE }
            ]
        );
        let mut part = row(1, 0, 0);
        part.part = PAGE..2 * PAGE;
        assert_eq!(why(&part, Vec::new()), [Stayed::LargerPiece { bytes: PAGE }]);
        let (locks, maps) = (holder(1, Some(PAGE)), holder(2, Some(0)));
        assert_eq!(
            why(&row(5, 0, 0), vec![maps.clone(), locks.clone()]),
            [
                Stayed::Locked { by: vec![locks] },
                Stayed::Mapped { by: vec![maps] }
            ]
        );
        let mut memory = row(5, 5, 0);
        memory.memory_only = Some("tmpfs");
        assert_eq!(
            why(&memory, Vec::new()),
            [Stayed::MemoryOnly { file_system: "tmpfs" }]
        );
    }
}
