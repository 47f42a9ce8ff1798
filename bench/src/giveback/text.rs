//! The findings as tables, in Markdown that reads as plain text.

use super::burst::{Burst, JUDGED, MARKS};
use super::case::{CASES, Case, Target};
use super::latency::Latency;
use super::price::Price;
use super::small::Small;
use super::subject::{NEAP, Subject};
use comfy_table::{CellAlignment, Table};

/// The mark at which rivals stand in the first table: one second after the last free.
const RIVALS: usize = 3;

/// Rows of cells, the first being the header; columns after the first are aligned right.
fn table(rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::ASCII_MARKDOWN);
    if let Some((header, rows)) = rows.split_first() {
        table.set_header(header);
        table.add_rows(rows);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// What a case is measured in.
fn measure(case: &Case, burst: &Burst, mark: usize) -> Option<f64> {
    match case.target {
        Target::OfLive(_) => burst.of_live(mark),
        Target::OfFloor(_) => burst.of_floor(mark),
        Target::MiB(_) => burst.mib(mark),
    }
}

fn digits(case: &Case) -> usize {
    if matches!(case.target, Target::MiB(_)) {
        1
    } else {
        2
    }
}

fn unit(case: &Case) -> &'static str {
    match case.target {
        Target::OfLive(_) => "x live",
        Target::OfFloor(_) => "x floor",
        Target::MiB(_) => "MiB",
    }
}

fn limit(case: &Case) -> f64 {
    match case.target {
        Target::OfLive(limit) | Target::OfFloor(limit) | Target::MiB(limit) => limit,
    }
}

fn bursts_of<'a>(bursts: &'a [Burst], case: &'a Case) -> impl Iterator<Item = &'a Burst> {
    bursts.iter().filter(move |burst| burst.case == case.id)
}

/// The page floor in the case's own measure: of the allocator that is ours, and of blocks end to end.
fn floors(case: &Case, burst: &Burst) -> String {
    let of = |floor: f64| match case.target {
        Target::OfLive(_) if burst.live_bytes > 0.0 => floor / burst.live_bytes,
        Target::OfLive(_) => 0.0,
        Target::OfFloor(_) => floor / burst.floor_bytes.max(1.0),
        Target::MiB(_) => floor / 1_048_576.0,
    };
    format!(
        "{:.2} / {:.2}",
        of(burst.floor_bytes),
        of(burst.packed_floor_bytes)
    )
}

/// A row for each case, a column for each allocator: rivals after a second, neap after half of one.
pub(crate) fn overview(bursts: &[Burst], subjects: &[Subject]) -> String {
    let mut header = vec!["case".to_owned(), "in".to_owned()];
    header.extend(subjects.iter().map(|s| s.name.clone()));
    header.extend([
        "floor, neap's / end to end".to_owned(),
        "asked of neap".to_owned(),
    ]);
    let mut rows = vec![header];
    for case in &CASES {
        if bursts_of(bursts, case).next().is_none() {
            continue;
        }
        let mut row = vec![case.title.to_owned(), unit(case).to_owned()];
        for subject in subjects {
            let mark = if subject.neap { JUDGED } else { RIVALS };
            let burst = bursts_of(bursts, case).find(|b| b.subject == subject.name);
            row.push(cell(burst.and_then(|b| measure(case, b, mark)), digits(case)));
        }
        let ours = bursts_of(bursts, case).find(|b| b.subject == NEAP);
        row.push(ours.map_or_else(|| "-".to_owned(), |b| floors(case, b)));
        row.push(format!("<= {}", limit(case)));
        rows.push(row);
    }
    table(&rows)
}

/// Every case by itself: each allocator at each mark.
pub(crate) fn over_time(bursts: &[Burst]) -> String {
    let mut text = String::new();
    for case in &CASES {
        let mut header = vec![unit(case).to_owned()];
        header.extend(MARKS.iter().map(|mark| format!("{mark} s")));
        header.extend(
            [
                "/ floor, 0.5 s",
                "floor MiB",
                "live MiB",
                "peak MiB",
                "MADV_FREE MiB",
            ]
            .map(str::to_owned),
        );
        let mut rows = vec![header];
        for burst in bursts_of(bursts, case) {
            let mib = |bytes: f64| format!("{:.1}", bytes / 1_048_576.0);
            let mut row = vec![burst.subject.clone()];
            row.extend((0..MARKS.len()).map(|mark| cell(measure(case, burst, mark), digits(case))));
            row.push(cell(burst.of_floor(JUDGED), 3));
            row.extend(
                [
                    burst.floor_bytes,
                    burst.live_bytes,
                    burst.peak_bytes,
                    burst.lazily_free_bytes,
                ]
                .map(mib),
            );
            rows.push(row);
        }
        if rows.len() > 1 {
            text.push_str(&format!("\n{}\n\n{}", case.title, table(&rows)));
        }
    }
    text
}

/// The cycles.
pub(crate) fn price(price: &Price) -> String {
    let header = [
        "50 MiB cycles",
        "pause ms",
        "giving back",
        "wall ms",
        "CPU ms",
        "faults",
        "runs",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for c in &price.cycles {
        rows.push(vec![
            c.subject.clone(),
            c.pause_ms.to_string(),
            if c.giving_back { "on" } else { "off" }.to_owned(),
            format!("{:.2}", c.wall_ms),
            format!("{:.2}", c.cpu_ms),
            format!("{:.0}", c.faults),
            c.runs.to_string(),
        ]);
    }
    format!(
        "{}\nneap, back to back, giving back on / off: wall {:.3}, processor time {:.3} (median of {} pairs)\n",
        table(&rows),
        price.on_to_off_wall,
        price.on_to_off_cpu,
        price.pairs
    )
}

/// Percentiles and maxima, in microseconds.
pub(crate) fn latencies(latencies: &[Latency]) -> String {
    let header = [
        "single calls, us",
        "workload",
        "clock",
        "call",
        "p50",
        "p99",
        "p99.9",
        "p99.99",
        "max",
        "worst max",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for l in latencies {
        let us = |ns: f64| {
            if ns < 1e5 {
                format!("{:.3}", ns / 1e3)
            } else {
                format!("{:.0}", ns / 1e3)
            }
        };
        let mut row = vec![
            l.subject.clone(),
            l.workload.to_owned(),
            l.clock.to_owned(),
            l.call.to_owned(),
        ];
        row.extend(l.percentiles_ns.map(us));
        row.push(us(l.max_ns));
        row.push(us(l.max_of_each_run_ns.iter().copied().fold(0.0, f64::max)));
        rows.push(row);
    }
    table(&rows)
}

/// The overheads.
pub(crate) fn small(small: &[Small]) -> String {
    let header = [
        "KiB",
        "true(1), RSS",
        "private",
        "a thread, 20 blocks",
        "a bare thread",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for s in small {
        let mut row = vec![s.subject.clone()];
        row.extend([s.true_rss_kib, s.true_private_kib].map(|kib| format!("{kib:.0}")));
        row.extend([s.thread_kib, s.bare_thread_kib].map(|kib| format!("{kib:.1}")));
        rows.push(row);
    }
    table(&rows)
}
