//! What `neap trim` made processes give back, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::Figure;
use super::screen::{Role, Screen};
use super::text::{printable, wrap};
use crate::heap::{GaveBack, Measure, Why};
use crate::unit;

const LABEL_COLUMNS: usize = 30;
const NUMBER_COLUMNS: usize = 11;
/// Threads that text names; JSON has all of them.
const THREADS_MAX: usize = 8;

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct Trim {
    schema: &'static str,
    processes: Vec<Process>,
    /// Why a figure is null, by its path.
    not_available: BTreeMap<String, String>,
}

/// One process.
#[derive(Debug, Serialize)]
pub(crate) struct Process {
    pid: u32,
    name: String,
    /// The heap gave back all that was free; null when it was not asked.
    complete: Option<bool>,
    /// Why it was not asked.
    error: Option<String>,
    before: Option<Memory>,
    after: Option<Memory>,
    threads: Vec<Thread>,
}

/// A process's memory at one moment.
#[derive(Debug, Serialize)]
struct Memory {
    resident_bytes: Figure,
    anonymous_bytes: Figure,
    heap_resident_bytes: Figure,
    heap_held_bytes: u64,
    live_bytes: u64,
    cached_bytes: u64,
    dirt_bytes: u64,
    free_pages_of_slabs_bytes: Figure,
    scattered_bytes: Figure,
}

#[derive(Debug, Serialize)]
struct Thread {
    tid: u32,
    name: String,
    gave_back: bool,
    /// Why not.
    reason: Option<String>,
}

impl Memory {
    fn of(measure: &Measure) -> Memory {
        let figure = |bytes: Option<u64>, why: &str| match bytes {
            Some(bytes) => Figure::Known(bytes),
            None => Figure::Missing(why.to_owned()),
        };
        let pagemap = "no /proc/PID/pagemap in this kernel";
        let rollup = "neither smaps_rollup nor status of the process could be read";
        Memory {
            resident_bytes: figure(measure.resident_bytes, rollup),
            anonymous_bytes: figure(measure.anonymous_bytes, rollup),
            heap_resident_bytes: figure(measure.heap_resident_bytes, pagemap),
            heap_held_bytes: measure.held_bytes,
            live_bytes: measure.live_bytes,
            cached_bytes: measure.cached_bytes,
            dirt_bytes: measure.dirt_bytes,
            free_pages_of_slabs_bytes: figure(measure.free_in_slabs_bytes, pagemap),
            scattered_bytes: figure(measure.scattered_bytes, pagemap),
        }
    }

    /// The figures that may be missing, by name.
    fn figures(&self) -> [(&'static str, &Figure); 5] {
        [
            ("resident_bytes", &self.resident_bytes),
            ("anonymous_bytes", &self.anonymous_bytes),
            ("heap_resident_bytes", &self.heap_resident_bytes),
            ("free_pages_of_slabs_bytes", &self.free_pages_of_slabs_bytes),
            ("scattered_bytes", &self.scattered_bytes),
        ]
    }
}

impl Process {
    pub(crate) fn new(pid: u32, name: String, result: Result<GaveBack, Why>) -> Process {
        let mut process = Process {
            pid,
            name,
            complete: None,
            error: None,
            before: None,
            after: None,
            threads: Vec::new(),
        };
        match result {
            Err(why) => process.error = Some(why.to_string()),
            Ok(gave) => {
                process.complete = Some(gave.complete);
                process.before = Some(Memory::of(&gave.before));
                process.after = Some(Memory::of(&gave.after));
                let threads = gave.threads.into_iter().map(|thread| Thread {
                    tid: thread.tid,
                    name: thread.name,
                    gave_back: thread.kept.is_none(),
                    reason: thread.kept,
                });
                process.threads = threads.collect();
            }
        }
        process
    }
}

impl Trim {
    pub(crate) fn new(processes: Vec<Process>) -> Trim {
        let mut not_available = BTreeMap::new();
        for (n, process) in processes.iter().enumerate() {
            if let Some(error) = &process.error {
                for field in ["complete", "before", "after"] {
                    not_available.insert(format!("processes[{n}].{field}"), error.clone());
                }
            }
            for (when, memory) in [("before", &process.before), ("after", &process.after)] {
                for (name, figure) in memory.iter().flat_map(Memory::figures) {
                    if let Some(reason) = figure.reason() {
                        not_available.insert(format!("processes[{n}].{when}.{name}"), reason.to_owned());
                    }
                }
            }
        }
        Trim {
            schema: "neap.trim/1",
            processes,
            not_available,
        }
    }
}

/// A table for each process that was asked, newline at the end. Who was not asked is told on stderr.
pub(crate) fn render(trim: &Trim, screen: &Screen) -> String {
    let mut text = String::new();
    for process in &trim.processes {
        let (Some(before), Some(after)) = (&process.before, &process.after) else {
            continue;
        };
        if !text.is_empty() {
            text.push('\n');
        }
        let title = format!("neap trim {}  {}", process.pid, printable(&process.name));
        let _ = writeln!(text, "{}", screen.paint(Role::Title, &title));
        table(&mut text, before, after, screen);
        threads(&mut text, process, screen);
        for line in wrap(&stayed(process, after), screen.columns) {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

fn table(text: &mut String, before: &Memory, after: &Memory, screen: &Screen) {
    let known = Figure::Known;
    let rows = [
        ("RSS", before.resident_bytes.clone(), after.resident_bytes.clone()),
        (
            "  anonymous",
            before.anonymous_bytes.clone(),
            after.anonymous_bytes.clone(),
        ),
        (
            "heap, in memory",
            before.heap_resident_bytes.clone(),
            after.heap_resident_bytes.clone(),
        ),
        ("  live", known(before.live_bytes), known(after.live_bytes)),
        (
            "    ready in threads' caches",
            known(before.cached_bytes),
            known(after.cached_bytes),
        ),
        (
            "  free, not given back",
            known(before.dirt_bytes),
            known(after.dirt_bytes),
        ),
        (
            "  free pages of slabs in use",
            before.free_pages_of_slabs_bytes.clone(),
            after.free_pages_of_slabs_bytes.clone(),
        ),
        (
            "  free, beside live blocks",
            before.scattered_bytes.clone(),
            after.scattered_bytes.clone(),
        ),
        (
            "heap, address space",
            known(before.heap_held_bytes),
            known(after.heap_held_bytes),
        ),
    ];
    let head = format!(
        "{:LABEL_COLUMNS$}{:>NUMBER_COLUMNS$} {:>NUMBER_COLUMNS$}",
        "", "before", "after"
    );
    let _ = writeln!(text, "{}", screen.paint(Role::Dim, &head));
    for (label, before, after) in rows {
        let label = screen.paint(Role::Label, &format!("{label:LABEL_COLUMNS$}"));
        let cells = format!(
            "{:>NUMBER_COLUMNS$} {:>NUMBER_COLUMNS$}",
            before.size(),
            after.size()
        );
        let reason = after
            .reason()
            .map_or_else(String::new, |reason| format!("  ({reason})"));
        let _ = writeln!(text, "{label}{cells}{reason}");
    }
}

fn threads(text: &mut String, process: &Process, screen: &Screen) {
    let kept: Vec<&Thread> = process
        .threads
        .iter()
        .filter(|thread| !thread.gave_back)
        .collect();
    let gave = process.threads.len() - kept.len();
    let line = format!(
        "{} of {} threads put down what they had ready",
        unit::count(gave as u64),
        unit::count(process.threads.len() as u64)
    );
    let role = if kept.is_empty() { Role::Good } else { Role::Label };
    let _ = writeln!(text, "{}", screen.paint(role, &line));
    for thread in kept.iter().take(THREADS_MAX) {
        let reason = thread.reason.as_deref().unwrap_or_default();
        let _ = writeln!(text, "  {} {}: {reason}", thread.tid, printable(&thread.name));
    }
    if let Some(more) = kept.len().checked_sub(THREADS_MAX).filter(|more| *more != 0) {
        let _ = writeln!(text, "  and {more} more: --json names all");
    }
}

/// What is left, and why.
fn stayed(process: &Process, after: &Memory) -> String {
    if process.complete == Some(false) {
        return "No thread could be stopped in a system call, so nothing was given back: try again when the \
                program has less to do."
            .to_owned();
    }
    let scattered = after.scattered_bytes.value().unwrap_or(0);
    let mut reasons = vec![format!(
        "{} are in use",
        unit::size(after.live_bytes.saturating_sub(after.cached_bytes))
    )];
    if scattered != 0 {
        reasons.push(format!(
            "{} are free on pages that hold live blocks, too",
            unit::size(scattered)
        ));
    }
    if after.cached_bytes != 0 {
        reasons.push(format!(
            "{} lie ready in threads' caches",
            unit::size(after.cached_bytes)
        ));
    }
    let free = after.dirt_bytes + after.free_pages_of_slabs_bytes.value().unwrap_or(0);
    if free != 0 {
        reasons.push(format!(
            "{} came free since, or belong to threads that kept them",
            unit::size(free)
        ));
    }
    format!("What stayed: {}.", reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::ThreadEnd;

    fn measure(resident: u64) -> Measure {
        Measure {
            resident_bytes: Some(resident),
            anonymous_bytes: Some(resident / 2),
            live_bytes: 3 << 20,
            cached_bytes: 1 << 10,
            held_bytes: 8 << 20,
            heap_resident_bytes: None,
            dirt_bytes: resident / 4,
            free_in_slabs_bytes: Some(0),
            scattered_bytes: Some(1 << 20),
        }
    }

    fn trim() -> Trim {
        let end = |tid, kept: Option<&str>| ThreadEnd {
            tid,
            name: "evil\x1b[31m".to_owned(),
            kept: kept.map(str::to_owned),
        };
        let gave = GaveBack {
            before: measure(64 << 20),
            after: measure(4 << 20),
            threads: vec![end(10, None), end(11, Some("it runs"))],
            complete: true,
        };
        Trim::new(vec![
            Process::new(10, "server".to_owned(), Ok(gave)),
            Process::new(12, String::new(), Err(Why::NotThere)),
        ])
    }

    #[test]
    fn the_table_has_before_and_after_and_no_control_characters() {
        let text = render(&trim(), &Screen::plain());
        for part in [
            "64.0 MiB    4.00 MiB",
            "n/a (no /proc/PID/pagemap",
            "1 of 2 threads",
            "it runs",
            "1.00 MiB are free on",
        ] {
            let squeezed = text.replace("         n/a         n/a  (", "n/a (");
            assert!(squeezed.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn json_has_a_reason_for_each_null() {
        let json: serde_json::Value = serde_json::from_slice(&super::super::json::bytes(&trim())).unwrap();
        assert_eq!(json["schema"], "neap.trim/1");
        assert_eq!(
            json["processes"][0]["after"]["heap_resident_bytes"],
            serde_json::Value::Null
        );
        assert!(json["not_available"]["processes[0].after.heap_resident_bytes"].is_string());
        assert!(json["not_available"]["processes[1].before"].is_string());
        assert_eq!(json["processes"][0]["threads"][1]["reason"], "it runs");
    }
}
