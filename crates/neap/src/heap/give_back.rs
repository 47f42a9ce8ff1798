//! Has another process give back what is free in its heap, now.
//!
//! The process need not do anything, nor have a thread that listens: each of its threads is stopped where it waits in a
//! system call and made to run the heap's own giving back, one after the other ([`injection`]). What a thread keeps ready for
//! itself only that thread can put down. The last one then gives back all that is free. A thread that runs, or is in
//! the heap, is tried again for a while, and then left as it is.
//!
//! ptrace(2) binds a traced thread to the tracing one: all of it happens in a thread of its own, whose end lets go of
//! whatever it still holds.

mod calls;

mod injection;

mod registers;

mod stops;

use std::fs;
use std::time::{Duration, Instant};

use neap_abi::anatomy::{Field, stub};
use neap_proc::parse::{Name, State};
use neap_proc::read::Proc;

use self::injection::{End, Storages, Target, inject, open_frame};
use super::survey::survey;
use super::{Inside, Why};

/// How long threads that cannot be stopped now are tried again.
const TRIES_MAX: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);
/// How long one thread may put down what it has, and how long all may be given back.
const OWN_MAX: Duration = Duration::from_secs(10);
const ALL_MAX: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct GaveBack {
    pub(crate) before: Measure,
    pub(crate) after: Measure,
    /// The process's threads, the main one first.
    pub(crate) threads: Vec<ThreadEnd>,
    /// The heap gave back all that was free in it; without a thread that could do so, nothing went.
    pub(crate) complete: bool,
}

/// A process's memory at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// RSS, and of that what is anonymous; `None` when the kernel does not say.
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) anonymous_bytes: Option<u64>,
    /// Blocks in use, and of those what lies ready in threads' caches.
    pub(crate) live_bytes: u64,
    pub(crate) cached_bytes: u64,
    /// Addresses the heap has for blocks, and what of them is in memory.
    pub(crate) held_bytes: u64,
    pub(crate) heap_resident_bytes: Option<u64>,
    /// Free and not given back: whole pages between slabs, runs and extents, and
    pub(crate) dirt_bytes: u64,
    /// free pages of slabs that have blocks in use, if they are in memory.
    pub(crate) free_in_slabs_bytes: Option<u64>,
    /// Bytes that nobody uses on pages that hold a live block: no page of them can go.
    pub(crate) scattered_bytes: Option<u64>,
}

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ThreadEnd {
    pub(crate) tid: u32,
    pub(crate) name: String,
    /// Why it kept what it had ready for itself; `None`: it did not.
    pub(crate) kept: Option<String>,
}

/// Has process `pid` give back what is free in its heap.
///
/// # Errors
/// [`Why`].
pub(crate) fn give_back(pid: u32) -> Result<GaveBack, Why> {
    let proc = Proc::default();
    if pid == std::process::id() {
        return Err(Why::Failed("is this neap itself".to_owned()));
    }
    check(&proc, pid)?;
    let inside = Inside::find(&proc, pid)?;
    let before = Measure::of(&inside)?;
    let traced = std::thread::scope(|scope| scope.spawn(|| trace(&inside)).join());
    let (threads, complete) = traced.map_err(|_| Why::Failed("could not be traced".to_owned()))??;
    let after = Measure::of(&inside)?;
    Ok(GaveBack {
        before,
        after,
        threads,
        complete,
    })
}

/// What stands in the way whoever asks.
fn check(proc: &Proc, pid: u32) -> Result<(), Why> {
    if proc
        .stat(pid)
        .value()
        .is_some_and(|stat| stat.state == State::Zombie)
    {
        return Err(Why::Failed(
            "has ended, and waits for its parent to notice (a zombie)".to_owned(),
        ));
    }
    let status = proc.status(pid).value().unwrap_or_default();
    if status.seccomp == Some(1) {
        return Err(Why::Failed(
            "is in seccomp's strict mode, which kills for every call but read and write".to_owned(),
        ));
    }
    match tracer(pid) {
        Some(tracer) => Err(Why::Failed(format!(
            "is traced by process {tracer} already (gdb, strace), and there can be only one tracer"
        ))),
        None => Ok(()),
    }
}

/// Who traces process `pid`.
fn tracer(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
    line.trim().parse().ok().filter(|tracer| *tracer != 0)
}

impl Measure {
    fn of(inside: &Inside) -> Result<Measure, Why> {
        let memory = inside.memory()?;
        let Some(layout) = inside.layout()? else {
            return Err(Why::Failed("has not begun its program yet".to_owned()));
        };
        let survey = survey(memory, &layout);
        let rollup = inside.proc.smaps_rollup(inside.pid).value();
        let status = inside.proc.status(inside.pid).value();
        let status = status.as_ref();
        let slabs = |empty: bool| {
            let of_slabs = |run: &&super::PageRun| matches!(run.use_, super::Use::Slab { .. });
            let runs = survey.pages.iter().filter(of_slabs);
            let runs = runs.filter(move |run| (run.live_bytes == 0) == empty);
            runs.map(|run| {
                run.resident
                    .map(|there| u64::from(there) * run.pages * (4096 - u64::from(run.live_bytes)))
            })
            .sum::<Option<u64>>()
        };
        Ok(Measure {
            resident_bytes: rollup
                .and_then(|all| all.rss_bytes)
                .or(status.and_then(|all| all.resident_bytes)),
            anonymous_bytes: rollup
                .and_then(|all| all.anonymous_bytes)
                .or(status.and_then(|all| all.resident_anon_bytes)),
            live_bytes: survey.live_bytes,
            cached_bytes: survey.cached_bytes,
            held_bytes: survey.held_bytes,
            heap_resident_bytes: survey.resident_bytes,
            dirt_bytes: survey.dirt_bytes,
            free_in_slabs_bytes: slabs(true),
            scattered_bytes: slabs(false),
        })
    }
}

/// Goes through the threads. In a thread of its own.
fn trace(inside: &Inside) -> Result<(Vec<ThreadEnd>, bool), Why> {
    let mut target = target(inside)?;
    let mut threads = Vec::new();
    let mut storages = Storages::default();
    let start = Instant::now();
    loop {
        let waiting = round(&target, &mut threads, &mut storages);
        if !waiting || start.elapsed() > TRIES_MAX {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    let able: Vec<u32> = threads
        .iter()
        .filter(|one| one.kept.is_none())
        .map(|one| one.tid)
        .collect();
    target.patience = ALL_MAX;
    let last = Instant::now();
    let complete = loop {
        if able
            .iter()
            .any(|tid| inject(&target, *tid, stub::ALL, &mut storages) == End::Done)
        {
            break true;
        }
        if able.is_empty() || last.elapsed() > TRIES_MAX {
            break false;
        }
        std::thread::sleep(PAUSE);
    };
    Ok((threads, complete))
}

/// Tries every thread that has not been through yet. Whether some may be tried again.
fn round(target: &Target<'_>, threads: &mut Vec<ThreadEnd>, storages: &mut Storages) -> bool {
    let mut waiting = false;
    for tid in tids(target.pid) {
        let known = threads.iter().position(|one| one.tid == tid);
        if known.is_some_and(|at| threads.get(at).is_some_and(|one| one.kept.is_none())) {
            continue;
        }
        let kept = match inject(target, tid, stub::OWN, storages) {
            End::Done => None,
            End::Busy(why) => {
                waiting = true;
                Some(why.to_owned())
            }
            End::Never(why) => Some(why),
            End::Gone | End::Helper => continue,
        };
        match known.and_then(|at| threads.get_mut(at)) {
            Some(thread) => thread.kept = kept,
            None => threads.push(ThreadEnd {
                tid,
                name: name(target.pid, tid),
                kept,
            }),
        }
    }
    waiting
}

/// The threads of process `pid`, the main one first.
fn tids(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"));
    let names = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut tids: Vec<u32> = names.filter_map(|name| name.parse().ok()).collect();
    tids.sort_by_key(|tid| (*tid != pid, *tid));
    tids
}

fn name(pid: u32, tid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

fn target(inside: &Inside) -> Result<Target<'_>, Why> {
    let memory = inside.memory()?;
    let Some(layout) = inside.layout()? else {
        return Err(Why::Failed("has not begun its program yet".to_owned()));
    };
    let of_file = |name: &Name| matches!(name, Name::File { path, .. } if path == inside.file());
    let code = inside
        .maps
        .mappings
        .iter()
        .filter(|m| m.execute && of_file(&m.name));
    let text: Vec<_> = code.map(|m| m.start..m.end).collect();
    let stub = layout.stub.clone();
    if !text
        .iter()
        .any(|text| text.contains(&stub.start) && text.contains(&(stub.end - 1)))
    {
        return Err(Why::Failed("has a heap without the code for that".to_owned()));
    }
    let frame = open_frame(inside.pid).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Why::denied(),
        _ => Why::Failed(error.to_string()),
    })?;
    let library = inside.file().rsplit('/').next();
    Ok(Target {
        pid: inside.pid,
        memory,
        frame,
        stub,
        text,
        library: library.is_some_and(|name| name.starts_with("libneap.so")),
        helper_stack: layout.word(memory, Field::HelperStack).unwrap_or(0),
        mappings: inside.maps.mappings.iter().map(|m| m.start..m.end).collect(),
        patience: OWN_MAX,
    })
}
