//! All processes, or one, as data for JSON. Field names have their units; what is null has its reason.

use std::collections::BTreeMap;

use neap_proc::Reading;
use neap_proc::parse::{Stalled, State};
use serde::Serialize;

use crate::report::Figure;
use crate::top::follower::ProcessPicture;
use crate::top::machine::MachineMemory;
use crate::top::row::Row;
use crate::top::watcher::Picture;

/// Changes when a field changes its meaning or goes away.
pub(crate) const SCHEMA: &str = "neap.top/1";
/// Of one process.
pub(crate) const PROCESS_SCHEMA: &str = "neap.top-process/1";

type Reasons = BTreeMap<String, String>;

/// All processes.
#[derive(Debug, Serialize)]
pub(crate) struct TopReport {
    schema: &'static str,
    neap_version: &'static str,
    /// Time between the two readings that rates are of.
    elapsed_ns: Option<u64>,
    machine: MachineReport,
    /// Sorted and filtered as asked.
    processes: Vec<ProcessReport>,
    /// Left out by a filter or a limit.
    processes_left_out: usize,
    /// Zombies and kernel threads, which are not listed.
    processes_without_memory: usize,
    /// Processes whose state is kept from this user.
    processes_hidden: u64,
    not_available: Reasons,
}

/// One process.
#[derive(Debug, Serialize)]
pub(crate) struct TopProcessReport {
    schema: &'static str,
    neap_version: &'static str,
    /// Time between the two readings that rates are of.
    elapsed_ns: Option<u64>,
    /// It ended between the two.
    ended: bool,
    age_ns: Figure,
    process: ProcessReport,
    /// The kinds of mappings that there are.
    kinds: Option<Vec<KindReport>>,
    /// What libneap.so counts.
    heap: Option<HeapReport>,
    not_available: Reasons,
}

#[derive(Debug, Serialize)]
struct MachineReport {
    memory_total_bytes: Figure,
    /// MemTotal − MemAvailable.
    memory_used_bytes: Figure,
    memory_available_bytes: Figure,
    memory_free_bytes: Figure,
    /// Buffers + Cached + SReclaimable.
    memory_cache_bytes: Figure,
    swap_total_bytes: Figure,
    swap_used_bytes: Figure,
    /// Of the last ten seconds.
    pressure_some_percent: Option<f64>,
    pressure_full_percent: Option<f64>,
    up_ns: Figure,
}

#[derive(Debug, Serialize)]
struct ProcessReport {
    pid: u32,
    parent_pid: u32,
    /// With the pid it names a process for good.
    start_ticks: u64,
    /// The effective user.
    user_id: Figure,
    user: Option<String>,
    name: String,
    /// The first 4 KiB.
    command: Option<Vec<String>>,
    state: &'static str,
    threads: u64,
    size_bytes: Figure,
    rss_bytes: Figure,
    /// `smaps`, as the figures below, or `statm` where smaps may not be read.
    rss_source: &'static str,
    /// Sum of Pss over smaps.
    pss_bytes: Figure,
    /// Private_Clean + Private_Dirty.
    uss_bytes: Figure,
    swap_bytes: Figure,
    cpu_ticks: u64,
    minor_faults: u64,
    major_faults: u64,
    cpu_share: Option<f64>,
    minor_faults_per_second: Option<f64>,
    major_faults_per_second: Option<f64>,
    rss_growth_bytes_per_second: Option<f64>,
}

#[derive(Debug, Serialize)]
struct KindReport {
    kind: &'static str,
    mappings: u64,
    mapped_bytes: u64,
    rss_bytes: Figure,
    pss_bytes: Figure,
    swap_bytes: Figure,
}

#[derive(Debug, Serialize)]
struct HeapReport {
    live_bytes: Option<u64>,
    live_blocks: Option<u64>,
    held_bytes: u64,
    dirt_bytes: u64,
    given_back_total_bytes: u64,
    calls_total: BTreeMap<&'static str, u64>,
    calls_per_second: Option<f64>,
    given_back_bytes_per_second: Option<f64>,
}

impl TopReport {
    /// `rows` are those to list, in order.
    pub(crate) fn new(picture: &Picture, rows: &[&Row]) -> TopReport {
        let mut reasons = Reasons::new();
        if picture.elapsed_ns.is_none() {
            reasons.insert("elapsed_ns".to_owned(), ONE_READING.to_owned());
        }
        let machine = MachineReport::new(&picture.machine, &mut reasons);
        let processes = rows.iter().enumerate().map(|(index, row)| {
            let path = format!("processes[{index}]");
            ProcessReport::new(row, &path, picture.elapsed_ns, &mut reasons)
        });
        let processes: Vec<ProcessReport> = processes.collect();
        TopReport {
            schema: SCHEMA,
            neap_version: env!("CARGO_PKG_VERSION"),
            elapsed_ns: picture.elapsed_ns,
            machine,
            processes_left_out: picture.rows.len().saturating_sub(rows.len()),
            processes,
            processes_without_memory: picture.without_memory,
            processes_hidden: picture.hidden,
            not_available: reasons,
        }
    }
}

impl TopProcessReport {
    pub(crate) fn new(picture: &ProcessPicture) -> TopProcessReport {
        let mut reasons = Reasons::new();
        let elapsed_ns = picture.row.rates.map(|_| picture.at_ns);
        if elapsed_ns.is_none() {
            reasons.insert("elapsed_ns".to_owned(), ONE_READING.to_owned());
        }
        let kinds = match &picture.space {
            Ok(space) => Some(space.kinds.iter().enumerate().map(|(index, kind)| {
                let path = format!("kinds[{index}]");
                KindReport {
                    kind: kind.kind.word(),
                    mappings: kind.mappings,
                    mapped_bytes: kind.mapped_bytes,
                    rss_bytes: figure(&mut reasons, &path, "rss_bytes", kind.resident_bytes),
                    pss_bytes: figure(&mut reasons, &path, "pss_bytes", kind.proportional_bytes),
                    swap_bytes: figure(&mut reasons, &path, "swap_bytes", kind.swap_bytes),
                }
            })),
            Err(_) => None,
        };
        let kinds: Option<Vec<KindReport>> = kinds.map(Iterator::collect);
        if let Err(why) = &picture.space {
            reasons.insert("kinds".to_owned(), why.clone());
        }
        let process = ProcessReport::new(&picture.row, "process", elapsed_ns, &mut reasons);
        let age_ns = figure(&mut reasons, "", "age_ns", picture.age_ns);
        let heap = HeapReport::new(picture, &mut reasons);
        TopProcessReport {
            schema: PROCESS_SCHEMA,
            neap_version: env!("CARGO_PKG_VERSION"),
            elapsed_ns,
            ended: picture.ended,
            age_ns,
            process,
            kinds,
            heap,
            not_available: reasons,
        }
    }
}

const ONE_READING: &str = "there was one reading only";
const NEW: &str = "the process came after the first reading";

impl MachineReport {
    fn new(machine: &MachineMemory, reasons: &mut Reasons) -> MachineReport {
        let path = "machine";
        let mut size = |field, reading| figure(reasons, path, field, reading);
        let report = MachineReport {
            memory_total_bytes: size("memory_total_bytes", machine.total_bytes),
            memory_used_bytes: size("memory_used_bytes", machine.used_bytes),
            memory_available_bytes: size("memory_available_bytes", machine.available_bytes),
            memory_free_bytes: size("memory_free_bytes", machine.free_bytes),
            memory_cache_bytes: size("memory_cache_bytes", machine.cache_bytes),
            swap_total_bytes: size("swap_total_bytes", machine.swap_total_bytes),
            swap_used_bytes: size("swap_used_bytes", machine.swap_used_bytes),
            up_ns: size("up_ns", machine.up_ns),
            pressure_some_percent: None,
            pressure_full_percent: None,
        };
        let mut percent = |field: &str, stalled: Reading<Stalled>| {
            note(reasons, path, field, stalled.reason());
            stalled
                .value()
                .map(|stalled| f64::from(stalled.last_10_seconds) / 100.0)
        };
        MachineReport {
            pressure_some_percent: percent("pressure_some_percent", machine.pressure_some),
            pressure_full_percent: percent("pressure_full_percent", machine.pressure_full),
            ..report
        }
    }
}

impl ProcessReport {
    fn new(row: &Row, path: &str, elapsed_ns: Option<u64>, reasons: &mut Reasons) -> ProcessReport {
        let process = &row.process;
        let footprint = &process.footprint;
        let (rss, rss_source) = match footprint.resident_bytes {
            Reading::Value(_) => (footprint.resident_bytes, "smaps"),
            Reading::Denied | Reading::Absent(_) => (process.resident_bytes, "statm"),
        };
        if row.rates.is_none() {
            let why = if elapsed_ns.is_none() { ONE_READING } else { NEW };
            for field in ["cpu_share", "minor_faults_per_second", "major_faults_per_second"] {
                note(reasons, path, field, Some(why.to_owned()));
            }
        }
        let growth = row.rates.and_then(|rates| rates.resident_growth_bytes_per_second);
        if growth.is_none() {
            let why = if elapsed_ns.is_none() { ONE_READING } else { NEW };
            note(reasons, path, "rss_growth_bytes_per_second", Some(why.to_owned()));
        }
        let user_id = process.user.map(u64::from);
        note(reasons, path, "user", user_id.reason());
        note(reasons, path, "command", process.arguments.reason());
        let mut size = |field, reading| figure(reasons, path, field, reading);
        ProcessReport {
            pid: process.pid,
            parent_pid: process.parent,
            start_ticks: process.start_ticks,
            user_id: size("user_id", user_id),
            user: row.user.as_deref().map(str::to_owned),
            name: process.name.clone(),
            command: process.arguments.as_value().map(|arguments| arguments.to_vec()),
            state: state(process.state),
            threads: process.threads,
            size_bytes: size("size_bytes", process.size_bytes),
            rss_bytes: size("rss_bytes", rss),
            rss_source,
            pss_bytes: size("pss_bytes", footprint.proportional_bytes),
            uss_bytes: size("uss_bytes", footprint.unique_bytes),
            swap_bytes: size("swap_bytes", footprint.swap_bytes),
            cpu_ticks: process.user_ticks.saturating_add(process.system_ticks),
            minor_faults: process.minor_faults,
            major_faults: process.major_faults,
            cpu_share: row.rates.map(|rates| rates.cpu_share),
            minor_faults_per_second: row.rates.map(|rates| rates.minor_faults_per_second),
            major_faults_per_second: row.rates.map(|rates| rates.major_faults_per_second),
            rss_growth_bytes_per_second: growth,
        }
    }
}

impl HeapReport {
    fn new(picture: &ProcessPicture, reasons: &mut Reasons) -> Option<HeapReport> {
        let heap = match &picture.heap {
            Ok(heap) => heap,
            Err(why) => {
                reasons.insert("heap".to_owned(), why.clone());
                return None;
            }
        };
        for (field, counted) in [("live_bytes", heap.live_bytes), ("live_blocks", heap.live_blocks)] {
            let why = counted
                .is_none()
                .then(|| "libneap.so has not counted them yet".to_owned());
            note(reasons, "heap", field, why);
        }
        for field in ["calls_per_second", "given_back_bytes_per_second"] {
            let why = heap.rates.is_none().then(|| ONE_READING.to_owned());
            note(reasons, "heap", field, why);
        }
        Some(HeapReport {
            live_bytes: heap.live_bytes,
            live_blocks: heap.live_blocks,
            held_bytes: heap.held_bytes,
            dirt_bytes: heap.dirt_bytes,
            given_back_total_bytes: heap.given_back_bytes,
            calls_total: heap.named_calls().collect(),
            calls_per_second: heap.rates.map(|rates| rates.calls_per_second),
            given_back_bytes_per_second: heap.rates.map(|rates| rates.given_back_bytes_per_second),
        })
    }
}

fn figure(reasons: &mut Reasons, path: &str, field: &str, reading: Reading<u64>) -> Figure {
    note(reasons, path, field, reading.reason());
    reading.into()
}

fn note(reasons: &mut Reasons, path: &str, field: &str, reason: Option<String>) {
    if let Some(reason) = reason {
        let path = if path.is_empty() {
            field.to_owned()
        } else {
            format!("{path}.{field}")
        };
        reasons.insert(path, reason);
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::Sleeping => "sleeping",
        State::Waiting => "waiting",
        State::Stopped => "stopped",
        State::Zombie => "zombie",
        State::Dead => "dead",
        State::Other(_) => "other",
    }
}
