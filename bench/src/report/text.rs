//! Tables in Markdown that reads as plain text, and what the targets say of them.

use super::{Metric, OURS, YARDSTICK};
use crate::compare::{Results, Row};
use crate::record::Machine;
use crate::suite::Kind;
use comfy_table::{CellAlignment, Table};

/// What is asked of the means, and of every single row.
const TIME_MEAN: f64 = 0.93;
const PEAK_MEAN: f64 = 0.65;
const WORST: f64 = 1.15;
/// What giving back may cost: the mean of neap over that of neap that keeps everything.
const KEEPING: &str = "neap-noebb";
const PRICE: f64 = 1.02;

/// Rows of cells, the first being the header; columns after the first are aligned right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
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

/// The means and the targets: what a run prints last.
pub(crate) fn brief(results: &Results) -> String {
    format!(
        "Geometric means of what each allocator takes, divided by {YARDSTICK}:\n\n{}\n{}",
        means(results),
        verdicts(results)
    )
}

/// Everything, as it lies in a record.
pub(crate) fn markdown(results: &Results, machine: &Machine) -> String {
    let mut text = format!(
        "# Comparison\n\n{}- {} runs of each, interleaved; {} threads where a workload has threads\n\n{}\n",
        machine.text(),
        results.runs,
        results.threads,
        brief(results)
    );
    for metric in Metric::ALL {
        text += &format!(
            "\n## {}\n\n{}\n{}",
            capital(metric.title()),
            explanation(metric),
            figures(results, metric)
        );
    }
    if results
        .rows
        .iter()
        .any(|row| row.cells.values().any(|cell| cell.end_rss_bytes.is_some()))
    {
        text += "\n## Resident memory when the work is done, MiB\n\nEverything has been freed; the process is about to end.\n\n";
        text += &ends(results);
    }
    text += "\n## What is measured\n\n";
    for row in &results.rows {
        text += &format!("- {}: {}\n", row.name, row.what);
    }
    text += "\n## Allocators\n\n";
    for allocator in &results.allocators {
        let env: Vec<String> = allocator.env.iter().map(|(n, v)| format!(", {n}={v}")).collect();
        text += &format!("- {}: {}{}\n", allocator.name, allocator.version, env.concat());
    }
    for (title, lines) in [("Left out", &results.left_out), ("Failures", &results.failures)] {
        if !lines.is_empty() {
            text += &format!("\n## {title}\n\n- {}\n", lines.join("\n- "));
        }
    }
    text
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn explanation(metric: Metric) -> String {
    let unit = match metric {
        Metric::Wall => "Seconds from start to end",
        Metric::Cpu => "Seconds of all threads, user and system",
        Metric::PeakRss => "MiB",
    };
    format!(
        "{unit}: medians. The last two columns divide {OURS} by {YARDSTICK} and by the best rival; ~ marks a \
         difference within two standard errors of the medians, which is to say none.\n"
    )
}

fn figures(results: &Results, metric: Metric) -> String {
    let names: Vec<&str> = results.allocators.iter().map(|a| a.name.as_str()).collect();
    let mut rows = vec![header(
        &names,
        &[&format!("÷ {YARDSTICK}"), "÷ best", "best rival"],
    )];
    for row in &results.rows {
        let mut line = vec![row.name.clone()];
        line.extend(names.iter().map(|name| figure(row, metric, name)));
        let best = row.best_rival(metric, &results.allocators).unwrap_or("-");
        line.extend([
            ratio(row, metric, YARDSTICK),
            ratio(row, metric, best),
            best.to_owned(),
        ]);
        rows.push(line);
    }
    table(&rows)
}

fn header(names: &[&str], more: &[&str]) -> Vec<String> {
    std::iter::once(&"")
        .chain(names)
        .chain(more)
        .map(|word| (*word).to_owned())
        .collect()
}

fn figure(row: &Row, metric: Metric, name: &str) -> String {
    row.cells.get(name).map_or_else(
        || "-".to_owned(),
        |cell| match metric {
            Metric::PeakRss => format!("{:.1}", cell.peak_rss_bytes.median / 1_048_576.0),
            metric => format!("{:.3}", metric.of(cell).median),
        },
    )
}

fn ratio(row: &Row, metric: Metric, other: &str) -> String {
    row.ratio(metric, OURS, other).map_or_else(
        || "-".to_owned(),
        |ratio| format!("{}{:.2}", if ratio.is_noise() { "~ " } else { "" }, ratio.value),
    )
}

fn ends(results: &Results) -> String {
    let names: Vec<&str> = results.allocators.iter().map(|a| a.name.as_str()).collect();
    let mut rows = vec![header(&names, &[])];
    for row in results.rows.iter().filter(|row| row.kind == Kind::Workload) {
        let mut line = vec![row.name.clone()];
        line.extend(names.iter().map(|name| {
            let end = row.cells.get(*name).and_then(|cell| cell.end_rss_bytes.as_ref());
            end.map_or_else(
                || "-".to_owned(),
                |end| format!("{:.1}", end.median / 1_048_576.0),
            )
        }));
        rows.push(line);
    }
    table(&rows)
}

fn means(results: &Results) -> String {
    const PARTS: [(&str, Option<Kind>); 3] = [
        ("workloads", Some(Kind::Workload)),
        ("programs", Some(Kind::Program)),
        ("both", None),
    ];
    let mut titles = Vec::new();
    for metric in Metric::ALL {
        titles.extend(PARTS.map(|(part, _)| format!("{}, {part}", metric.short())));
    }
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let mut rows = vec![header(&titles, &[])];
    for allocator in &results.allocators {
        let mut line = vec![allocator.name.clone()];
        for metric in Metric::ALL {
            line.extend(PARTS.map(|(_, kind)| {
                let mean = results.mean(metric, &allocator.name, kind);
                mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.3}"))
            }));
        }
        rows.push(line);
    }
    table(&rows)
}

/// One line for each target: pass or MISS, and what was found.
fn verdicts(results: &Results) -> String {
    let mut lines = Vec::new();
    let mut judge = |what: String, found: Option<f64>, most: f64| {
        if let Some(found) = found {
            let word = if found <= most { "pass" } else { "MISS" };
            lines.push(format!("{word}  {what}: {found:.3} (at most {most})"));
        }
    };
    judge(
        format!("time, {OURS} ÷ {YARDSTICK}"),
        results.mean(Metric::Wall, OURS, None),
        TIME_MEAN,
    );
    judge(
        format!("peak memory, {OURS} ÷ {YARDSTICK}"),
        results.mean(Metric::PeakRss, OURS, None),
        PEAK_MEAN,
    );
    let (on, off) = (
        results.mean(Metric::Wall, OURS, None),
        results.mean(Metric::Wall, KEEPING, None),
    );
    judge(
        "time, giving back ÷ keeping".to_owned(),
        on.zip(off).map(|(on, off)| on / off),
        PRICE,
    );
    for row in &results.rows {
        let best = row.best_rival(Metric::Wall, &results.allocators);
        let ratio = best.and_then(|best| row.ratio(Metric::Wall, OURS, best));
        if let (Some(best), Some(ratio)) = (best, ratio)
            && ratio.value > WORST
            && !ratio.is_noise()
        {
            judge(
                format!("{}, time, {OURS} ÷ {best}", row.name),
                Some(ratio.value),
                WORST,
            );
        }
    }
    lines.join("\n") + "\n"
}
