//! Locks files in memory: maps them and mlock(2)s the maps, in this process, until it ends.
//!
//! The limit is looked at before the first page: a lock that fails half-way has read much for nothing. The
//! maps are never undone: the kernel does that when the process ends. What is appended to a file after it
//! was mapped is not locked; what is cut off is gone from memory, too.

use std::ops::Range;

use neap_map::lock::When;
use neap_map::{FileMap, Kind};
use neap_proc::read::{Host, Proc};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use super::cache::{self, Told};
use super::job::Request;
use super::progress::Progress;
use super::record::{Action, Pages, Record, Row, Rows, Tally};
use super::selection::{Selection, pages_of};
use super::walk::{Met, Opened, Trouble, walk};
use crate::failure::Failure;
use crate::unit;

/// Locks everything in the selection for as long as this process lives.
///
/// # Errors
/// The limit on locked memory, or the machine's memory, is too small for all of it: nothing is locked.
pub(crate) fn lock_all(
    selection: &Selection,
    request: &Request,
    progress: &Progress,
) -> Result<Record, Failure> {
    let start = std::time::Instant::now();
    check(wanted_bytes(selection, request.page_bytes))?;
    let mut tally = Tally::new();
    let mut rows = Rows::new(request.most, request.sort);
    walk(selection, |met| match met {
        Met::Folder => tally.folders += 1,
        Met::Left(path, why) => tally.leave(&path, why),
        Met::Trouble(path, trouble) => tally.fail(&path, &trouble),
        Met::File(opened) => {
            let part = pages_of(opened.len, selection.range, request.page_bytes);
            progress.next_file(&opened.path);
            tally.files += 1;
            tally.size_bytes += part.end.min(opened.len).saturating_sub(part.start);
            let row = lock(opened, part, request.page_bytes, &mut tally);
            progress.advance(row.part.end - row.part.start);
            rows.add(row);
        }
    });
    progress.finish();
    let time_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let mut record = tally.finish(Action::Lock, request.page_bytes, time_ns, rows);
    record.locked_bytes = locked_bytes();
    if record.locked_bytes.is_none() {
        let why = "/proc/self/status has no VmLck";
        record
            .not_available
            .insert("locked_bytes".to_owned(), why.to_owned());
    }
    Ok(record)
}

fn lock(opened: Opened, part: Range<u64>, page_bytes: u64, tally: &mut Tally) -> Row {
    let before = cache::count(&opened.file, &part, page_bytes);
    if !part.is_empty()
        && let Err(why) = hold(&opened, &part)
    {
        tally.fail(&opened.path, &Trouble::Failed(why));
    }
    let after = cache::count(&opened.file, &part, page_bytes);
    match after.count() {
        Some(count) => tally.cache = tally.cache.and(count),
        None => tally.files_not_told += 1,
    }
    if let Some(count) = before.count() {
        tally.before = tally.before.and(count);
    }
    let pages = |told: &Told| told.count().map(|count| Pages::of(count, page_bytes));
    Row {
        path: opened.path.to_string_lossy().into_owned(),
        location: opened.path,
        size_bytes: opened.len,
        cache: pages(&after),
        before: pages(&before),
        cells: None,
        stayed: Vec::new(),
        not_told: match after {
            Told::Nothing(why) => Some(why),
            Told::Count(_) => None,
        },
        identity: opened.identity,
        part,
        memory_only: None,
    }
}

/// Maps and locks, for good.
fn hold(opened: &Opened, part: &Range<u64>) -> Result<(), String> {
    let end = part.end.min(opened.len);
    let map = FileMap::of(&opened.file)
        .range(part.start..end)
        .map()
        .map_err(|error| error.to_string())?;
    // Leaked on purpose: it is held until the process ends.
    let map: &'static _ = Box::leak(Box::new(map));
    match map.lock(.., When::Now) {
        Ok(locked) => {
            std::mem::forget(locked);
            Ok(())
        }
        Err(error) if error.kind() == Kind::MemlockLimit => Err(format!("{error}; {MEND}")),
        Err(error) => Err(error.to_string()),
    }
}

const MEND: &str = "raise it: ulimit -l, LimitMEMLOCK= of the unit, or give neap CAP_IPC_LOCK";

/// What all files together need.
fn wanted_bytes(selection: &Selection, page_bytes: u64) -> u64 {
    let mut bytes = 0;
    walk(selection, |met| {
        if let Met::File(opened) = met {
            let part = pages_of(opened.len, selection.range, page_bytes);
            bytes += part.end - part.start;
        }
    });
    bytes
}

/// Whether so much may be locked. Raises the soft limit as far as it must and may.
fn check(wanted: u64) -> Result<(), Failure> {
    let available = Host::default()
        .meminfo()
        .value()
        .and_then(|info| info.available_bytes);
    if available.is_some_and(|available| wanted > available) {
        return Err(Failure::own(
            format!("locking {}", unit::size(wanted)),
            format!(
                "only {} of memory are available; choose less: --max-size, --range, --exclude",
                unit::size(available.unwrap_or(0))
            ),
        ));
    }
    let may_any = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    let needed = wanted.saturating_add(locked_bytes().unwrap_or(0));
    let Rlimit { current, maximum } = getrlimit(Resource::Memlock);
    if may_any || current.is_none_or(|current| needed <= current) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum,
    };
    let is_within = maximum.is_none_or(|maximum| needed <= maximum);
    if is_within && setrlimit(Resource::Memlock, raised).is_ok() {
        return Ok(());
    }
    Err(Failure::own(
        format!("locking {}", unit::size(wanted)),
        format!(
            "RLIMIT_MEMLOCK is {}; {MEND}",
            maximum
                .or(current)
                .map_or_else(|| "unlimited".to_owned(), unit::size)
        ),
    ))
}

/// What this process has locked, as the kernel counts it.
fn locked_bytes() -> Option<u64> {
    Proc::default().status(std::process::id()).value()?.locked_bytes
}
