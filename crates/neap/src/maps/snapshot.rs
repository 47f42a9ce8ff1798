//! One process at one moment: its mappings, what the kernel sums up itself, the heap's counters, its pages.
//!
//! [`Raw`] is what is read, and what a file of `neap snap` holds; a [`Snapshot`] is made of it. smaps is read
//! first, and what is compared with it right after: a process that runs moves in between.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use neap_proc::model::{Known, Space};
use neap_proc::parse::{Smaps, SmapsRollup, Stat, State, Status};
use neap_proc::read::{PageRun, Proc};
use neap_proc::{Reading, Reason};

use super::heap::Heap;
use super::sums::NOT_WRITTEN;
use crate::report::Figure;

/// Whether the pages are read one by one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Mappings only.
    Mappings,
    /// The state of each page as well: some milliseconds for each GiB in memory.
    Pages,
}

/// Which process, and where and when it was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// RFC 3339, UTC.
    pub(crate) taken: String,
    pub(crate) pid: u32,
    /// At most 15 bytes, set by the process itself.
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    /// The path of the executable; `None` when it may not be read.
    pub(crate) program: Option<String>,
    pub(crate) kernel: String,
    pub(crate) page_bytes: u64,
    /// When the process started, in ticks after boot: with the pid it names a process for good.
    pub(crate) started_ticks: Option<u64>,
    pub(crate) stack_start: Option<u64>,
    /// The device of memory that is shared and of no file system.
    pub(crate) shared_memory: Option<(u64, u64)>,
}

/// What was read, before anything is made of it.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) head: Head,
    /// `/proc/PID/smaps` as it is.
    pub(crate) smaps: Vec<u8>,
    /// `/proc/PID/smaps_rollup` as it is, or why not.
    pub(crate) rollup: Result<Vec<u8>, String>,
    /// `/proc/PID/status` as it is, or why not.
    pub(crate) status: Result<Vec<u8>, String>,
    pub(crate) heap: Result<Heap, String>,
    pub(crate) pages: Result<Vec<PageRun>, String>,
}

/// The kernel's own sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KernelSums {
    /// VmSize of `status`.
    pub(crate) size_bytes: Figure,
    /// Rss, Pss and Swap of `smaps_rollup`.
    pub(crate) rss_bytes: Figure,
    pub(crate) pss_bytes: Figure,
    pub(crate) swap_bytes: Figure,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) head: Head,
    pub(crate) space: Space,
    pub(crate) kernel: KernelSums,
    pub(crate) heap: Result<Heap, String>,
    pub(crate) pages: Result<Vec<PageRun>, String>,
}

/// Why there is no snapshot of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Gone,
    /// It has ended, and its parent has not collected it.
    Zombie {
        parent: u32,
    },
    KernelThread,
    Denied,
    /// The kernel has no smaps, or reading failed.
    Failed(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Gone => f.write_str("there is no such process (any more)"),
            Unreadable::Zombie { parent } => write!(
                f,
                "is a zombie: it has ended and has no memory; its parent {parent} has not collected it"
            ),
            Unreadable::KernelThread => f.write_str("is a kernel thread: it has no memory of its own"),
            Unreadable::Denied => f.write_str(
                "its mappings may not be read: permission denied; run neap as its user or as root, \
                 and see `neap doctor`",
            ),
            Unreadable::Failed(why) => write!(f, "its mappings cannot be read: {why}"),
        }
    }
}

impl Unreadable {
    /// Why a reading of a process's mappings has no value.
    pub(crate) fn of<T>(proc: &Proc, pid: u32, reading: &Reading<T>) -> Unreadable {
        match reading {
            Reading::Denied => Unreadable::Denied,
            Reading::Absent(Reason::Gone) => Unreadable::Gone,
            Reading::Absent(Reason::NoMemory) => match proc.stat(pid).value() {
                Some(stat) if stat.state == State::Zombie => Unreadable::Zombie { parent: stat.ppid },
                Some(_) => Unreadable::KernelThread,
                None => Unreadable::Gone,
            },
            Reading::Absent(Reason::NotInThisKernel) => {
                Unreadable::Failed("this kernel has no smaps (CONFIG_PROC_PAGE_MONITOR)".to_owned())
            }
            other => Unreadable::Failed(other.reason().unwrap_or_default()),
        }
    }
}

impl Raw {
    /// Reads a process.
    pub(crate) fn take(proc: &Proc, pid: u32, depth: Depth) -> Result<Raw, Unreadable> {
        let smaps = match proc.file(pid, "smaps") {
            Reading::Value(bytes) => bytes,
            other => return Err(Unreadable::of(proc, pid, &other)),
        };
        let text = |file: &str| {
            let reading = proc.file(pid, file);
            let reason = reading.reason().unwrap_or_default();
            reading.value().ok_or(reason)
        };
        let (rollup, status) = (text("smaps_rollup"), text("status"));
        let pages = match depth {
            Depth::Mappings => Err("the pages were not asked for".to_owned()),
            Depth::Pages => {
                let reading = proc.page_runs(pid);
                let reason = reading.reason().unwrap_or_default();
                reading.value().ok_or(reason)
            }
        };
        let stat = proc.stat(pid).value();
        Ok(Raw {
            head: Head::read(proc, pid, stat.as_ref()),
            smaps,
            rollup,
            status,
            heap: Heap::read(proc, pid).map_err(|why| why.to_string()),
            pages,
        })
    }
}

impl Head {
    fn read(proc: &Proc, pid: u32, stat: Option<&Stat>) -> Head {
        let name = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let taken = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        Head {
            taken,
            pid,
            name: stat.map(|stat| stat.comm.clone()).unwrap_or_default(),
            command: proc.command_line(pid).value().unwrap_or_default(),
            program: program(pid),
            kernel: format!("{} {}", text(name.sysname()), text(name.release())),
            page_bytes: proc.page_bytes(),
            started_ticks: stat.map(|stat| stat.start_ticks),
            stack_start: stat.and_then(|stat| stat.stack_start),
            shared_memory: shared_memory(),
        }
    }
}

impl Snapshot {
    /// Reads a process and makes its snapshot.
    pub(crate) fn take(proc: &Proc, pid: u32, depth: Depth) -> Result<Snapshot, Unreadable> {
        Raw::take(proc, pid, depth).map(Snapshot::new)
    }

    /// Tells kinds and sums.
    pub(crate) fn new(raw: Raw) -> Snapshot {
        let known = Known {
            program: raw.head.program.clone(),
            neap: raw.heap.as_ref().map(Heap::addresses).unwrap_or_default(),
        };
        Snapshot {
            space: Space::new(Smaps::parse(&raw.smaps), &known),
            kernel: KernelSums::new(&raw),
            head: raw.head,
            heap: raw.heap,
            pages: raw.pages,
        }
    }
}

impl KernelSums {
    fn new(raw: &Raw) -> KernelSums {
        let figure = |bytes: Result<Option<u64>, &String>| match bytes {
            Ok(Some(bytes)) => Figure::Known(bytes),
            Ok(None) => Figure::Missing(NOT_WRITTEN.to_owned()),
            Err(why) => Figure::Missing(why.clone()),
        };
        let rollup = raw.rollup.as_ref().map(|bytes| SmapsRollup::parse(bytes));
        let of_rollup =
            |field: fn(&SmapsRollup) -> Option<u64>| figure(rollup.as_ref().map(field).map_err(|why| *why));
        KernelSums {
            size_bytes: figure(raw.status.as_ref().map(|bytes| Status::parse(bytes).size_bytes)),
            rss_bytes: of_rollup(|rollup| rollup.rss_bytes),
            pss_bytes: of_rollup(|rollup| rollup.pss_bytes),
            swap_bytes: of_rollup(|rollup| rollup.swap_bytes),
        }
    }
}

/// Where `/proc/PID/exe` leads. The kernel marks a file that has gone.
fn program(pid: u32) -> Option<String> {
    let path = std::fs::read_link(Path::new("/proc").join(pid.to_string()).join("exe")).ok()?;
    let path = path.to_string_lossy().into_owned();
    Some(
        path.strip_suffix(" (deleted)")
            .map_or(path.clone(), str::to_owned),
    )
}

/// Memory of memfd_create(2) and of System V lies on the same device, which has no file system to ask.
pub(super) fn shared_memory() -> Option<(u64, u64)> {
    let file = rustix::fs::memfd_create("neap", rustix::fs::MemfdFlags::CLOEXEC).ok()?;
    let device = rustix::fs::fstat(&file).ok()?.st_dev;
    Some((
        u64::from(rustix::fs::major(device)),
        u64::from(rustix::fs::minor(device)),
    ))
}
