//! Under which circumstances the run was made, and how each number was measured.

use std::env;
use std::fmt::Write as _;
use std::path::Path;

use neap_proc::Reading;
use neap_proc::parse::Bound;
use neap_proc::read::Host;

use super::section;
use crate::report::markup::escape;
use crate::report::{Machine, Report};
use crate::run::Outcome;
use crate::unit;

/// Variables that are no NEAP_* and change what the library does.
const VARIABLES: [&str; 2] = ["LD_PRELOAD", "GLIBC_TUNABLES"];

/// What was so when the command was started.
#[derive(Debug)]
pub(crate) struct Circumstances {
    pub(crate) measured_at: String,
    machine: Machine,
    /// Name and value, as the command was given them.
    variables: Vec<(String, String)>,
    settings: Vec<(&'static str, Reading<String>)>,
}

impl Circumstances {
    /// Now, of this process; `given` are the variables that it sets for the command.
    pub(crate) fn here(given: &[(&str, &str)]) -> Circumstances {
        let relevant = |name: &str| name.starts_with("NEAP_") || VARIABLES.contains(&name);
        let own = env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .filter(|(name, _)| relevant(name) && !given.iter().any(|(new, _)| new == name));
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut variables: Vec<(String, String)> = own.chain(given).collect();
        variables.sort();
        Circumstances {
            measured_at: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            machine: Machine::here(),
            variables,
            settings: settings(&Host::default()),
        }
    }
}

fn settings(host: &Host) -> Vec<(&'static str, Reading<String>)> {
    let pages = "/sys/kernel/mm/transparent_hugepage";
    let bound = |bound: Bound| match bound {
        Bound::Unlimited => "unlimited".to_owned(),
        // Version 1 writes the greatest multiple of a page that fits.
        Bound::At(bytes) if bytes > 1 << 62 => "unlimited".to_owned(),
        Bound::At(bytes) => unit::size(bytes),
    };
    let group = host.memory_group();
    let swap = host.meminfo().and_then(|memory| memory.swap_total_bytes.into());
    vec![
        ("Transparent huge pages", host.chosen(&format!("{pages}/enabled"))),
        ("Their defragmentation", host.chosen(&format!("{pages}/defrag"))),
        (
            "vm.overcommit_memory",
            host.text("/proc/sys/vm/overcommit_memory"),
        ),
        ("vm.max_map_count", host.text("/proc/sys/vm/max_map_count")),
        ("vm.swappiness", host.text("/proc/sys/vm/swappiness")),
        ("Swap", swap.map(unit::size)),
        (
            "Limit of the control group",
            group.and_then(|group| group.limit.map(bound)),
        ),
    ]
}

pub(super) fn put(html: &mut String, report: &Report, outcome: &Outcome, at: &Circumstances) {
    section(html, "facts", "Configuration");
    html.push_str("<h3>Library</h3>\n<dl class=\"facts\">\n");
    let mut facts = vec![
        ("Library", report.library.clone()),
        ("Its file", file(&report.library)),
    ];
    facts.push(("Layout of its counters", format!("version {}", neap_abi::VERSION)));
    facts.push((
        "Memory from",
        report.backend.map_or_else(
            || "n/a (no process loaded libneap.so)".to_owned(),
            |name| format!("{name}(2)"),
        ),
    ));
    facts.push(("neap", report.neap_version.to_owned()));
    for (name, value) in facts {
        fact(html, name, &value);
    }
    for (name, value) in &at.variables {
        fact(html, name, value);
    }
    if at.variables.is_empty() {
        fact(html, "NEAP_*", "none is set");
    }
    html.push_str("</dl>\n<h3>Machine</h3>\n<dl class=\"facts\">\n");
    fact(html, "Machine", &at.machine.line());
    fact(html, "Page", &unit::size(at.machine.page_bytes));
    for (name, value) in &at.settings {
        let text = match value.reason() {
            Some(reason) => format!("n/a ({reason})"),
            None => value.as_value().cloned().unwrap_or_default(),
        };
        fact(html, name, &text);
    }
    html.push_str("</dl>\n</section>\n");
    measured(html, report, outcome);
    missing(html, report);
}

fn file(path: &str) -> String {
    match std::fs::metadata(Path::new(path)) {
        Ok(metadata) => {
            let changed = metadata
                .modified()
                .map(|time| format!(", changed {}", humantime::format_rfc3339_seconds(time)));
            format!("{}{}", unit::size(metadata.len()), changed.unwrap_or_default())
        }
        Err(error) => format!("n/a ({error})"),
    }
}

fn fact(html: &mut String, name: &str, value: &str) {
    let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
}

fn measured(html: &mut String, report: &Report, outcome: &Outcome) {
    section(html, "measured", "How it was measured");
    let _ = writeln!(
        html,
        "<p>Sizes are in bytes, with binary prefixes: 1 KiB is 1024 bytes. {} readings were taken, {} \
         apart or more, and no \
         process was stopped. A point of the series stands for {}, and neighbours are merged until the \
         curves have \
         at most {}.</p>",
        unit::count(report.rss.readings),
        unit::time(report.series.interval_ns),
        match report.series.readings_per_point {
            1 => "one of them".to_owned(),
            many => format!("{} of them", unit::count(many)),
        },
        super::curves::POINTS_MAX
    );
    html.push_str(
        "<div class=\"wide\"><table class=\"sources\">\n<thead><tr><th scope=\"col\">Number</th><th \
         scope=\"col\">Unit</th>\
         <th scope=\"col\">Source</th></tr></thead>\n<tbody>\n",
    );
    let pss = format!(
        "/proc/PID/smaps_rollup, {} readings; processes denied at the last: {}",
        unit::count(report.pss.readings),
        unit::count(report.pss.denied_processes)
    );
    let moments = outcome.moments.as_ref().map_or_else(String::new, |moments| {
        format!(
            "/proc/PID/smaps by kind of mapping; the heap by its own records. {} moments, {} of CPU time",
            unit::count(moments.taken),
            unit::time(u64::try_from(moments.cost.as_nanos()).unwrap_or(u64::MAX))
        )
    });
    let rows = sources(&pss, &moments);
    for (name, unit, source) in rows {
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{name}</th><td class=\"text\">{unit}</td><td class=\"text\">{}</td></tr>",
            escape(source)
        );
    }
    html.push_str("</tbody>\n</table></div>\n</section>\n");
}

/// What each number is, its unit, and where it comes from.
fn sources<'a>(pss: &'a str, moments: &'a str) -> [(&'static str, &'static str, &'a str); 9] {
    [
        ("Wall time", "seconds", "the clock, from start to exit"),
        (
            "CPU time, faults in all",
            "seconds, faults",
            "getrusage(2), of processes that ended and were waited for",
        ),
        (
            "RSS over time",
            "bytes",
            "/proc/PID/statm, summed over all processes; shared pages count in each",
        ),
        (
            "RSS peak",
            "bytes",
            "the greatest sum read, or one process's mark (VmHWM, ru_maxrss) when that is greater",
        ),
        ("PSS", "bytes", pss),
        (
            "Live, held, dirt, memory calls",
            "bytes, calls",
            "libneap.so's counters on the board; live blocks are counted by a walk, at slow paths and at \
             exit",
        ),
        (
            "Faults over time",
            "faults a second",
            "/proc/PID/stat of who lives, and of who was waited for",
        ),
        ("Where the memory is", "bytes", moments),
        (
            "Size classes at the end",
            "blocks, bytes",
            "the board, as the command left it",
        ),
    ]
}

/// What is null in JSON, and what no reading of a moment could see.
fn missing(html: &mut String, report: &Report) {
    let mut lines: Vec<(String, String)> = report
        .not_available
        .iter()
        .map(|(path, reason)| (path.clone(), reason.clone()))
        .collect();
    for moment in &report.moments {
        for process in &moment.processes {
            let files = [("smaps", &process.smaps_missing), ("heap", &process.heap_missing)];
            for (file, reason) in files {
                let what = format!("{file} of {} near the {}", process.pid, moment.when.word());
                lines.extend(reason.clone().map(|reason| (what, reason)));
            }
        }
    }
    lines.push((
        "bytes asked for, less than those of live blocks".to_owned(),
        "libneap.so does not record them".to_owned(),
    ));
    section(html, "missing", "Not available");
    html.push_str("<dl class=\"facts\">\n");
    for (what, reason) in &lines {
        fact(html, what, &format!("n/a ({reason})"));
    }
    html.push_str("</dl>\n</section>\n");
}
