//! One table: for people on a terminal, cut to its width, for programs else.
//!
//! What programs read has one line of heads and one line a process, words separated by blanks, the command
//! last and whole, sizes in bytes.

use std::fmt::Write as _;

use neap_proc::{Reading, Reason};

use super::{Palette, cell, head};
use crate::report::Screen;
use crate::report::screen::Role;
use crate::report::text::printable;
use crate::top::order::Column;
use crate::top::row::Row;
use crate::top::watcher::Picture;

/// For a terminal: the machine, then the table, cut to its width.
pub(crate) fn for_people(picture: &Picture, rows: &[&Row], screen: &Screen) -> String {
    let palette = Palette::of(screen);
    let mut text = String::new();
    for line in head::lines(&picture.machine, screen.columns, &palette) {
        let _ = writeln!(text, "{}", line.to_string().trim_end());
    }
    let mut heads = String::new();
    for column in Column::ALL {
        heads.push_str(&aligned(column.head(), column));
    }
    let _ = writeln!(
        text,
        "{}",
        screen.paint(Role::Title, &cut(&heads, screen.columns))
    );
    for row in rows {
        let mut line = String::new();
        for column in Column::ALL {
            let cell = cell::text(row, column, &palette);
            line.push_str(&aligned(&palette.text(&printable(&cell)), column));
        }
        let _ = writeln!(text, "{}", cut(&line, screen.columns));
    }
    text
}

fn aligned(text: &str, column: Column) -> String {
    let inner = cell::width(column) - 1;
    match column {
        Column::User => format!(" {text:inner$.inner$}"),
        Column::Command => format!(" {text}"),
        _ => format!(" {text:>inner$}"),
    }
}

fn cut(line: &str, columns: usize) -> String {
    let line: String = line.chars().take(columns).collect();
    line.trim_end().to_owned()
}

/// For a pipe or a file.
pub(crate) fn for_programs(rows: &[&Row]) -> String {
    let mut text = String::from(HEADS);
    for row in rows {
        let process = &row.process;
        let footprint = &process.footprint;
        let rss = match footprint.resident_bytes {
            Reading::Value(_) => footprint.resident_bytes,
            Reading::Denied | Reading::Absent(_) => process.resident_bytes,
        };
        let rate = |rate: Option<f64>| rate.map_or_else(|| "n/a".to_owned(), |rate| format!("{rate:.1}"));
        let words = [
            process.pid.to_string(),
            word(row.user.as_deref().unwrap_or("n/a")),
            bytes(footprint.proportional_bytes),
            bytes(footprint.unique_bytes),
            bytes(rss),
            bytes(footprint.swap_bytes),
            rate(cell::growth_of(row)),
            rate(row.faults_per_second()),
            rate(row.rates.map(|rates| rates.cpu_share * 100.0)),
        ];
        let _ = writeln!(text, "{} {}", words.join(" "), printable(&row.command));
    }
    text
}

const HEADS: &str =
    "PID USER PSS_BYTES USS_BYTES RSS_BYTES SWAP_BYTES GROWTH_BYTES/S FAULTS/S CPU% COMMAND\n";

fn bytes(reading: Reading<u64>) -> String {
    reading
        .value()
        .map_or_else(|| "n/a".to_owned(), |bytes| bytes.to_string())
}

/// A name without blanks, so that it stays one word.
fn word(text: &str) -> String {
    let harmless = printable(text).replace(' ', "?");
    if harmless.is_empty() {
        "?".to_owned()
    } else {
        harmless
    }
}

/// Why figures are missing, for stderr: one line for each reason.
pub(crate) fn reasons(rows: &[&Row]) -> Vec<String> {
    let count = |wanted: fn(&Row) -> bool| rows.iter().filter(|row| wanted(row)).count();
    let denied = count(Row::is_denied);
    let old = Reading::Absent(Reason::NotInThisKernel);
    let mut lines = Vec::new();
    if denied > 0 {
        lines.push(format!(
            "n/a: PSS, USS and swap of {denied} {}: permission denied; root may read more",
            if denied == 1 { "process" } else { "processes" }
        ));
    }
    if rows
        .iter()
        .any(|row| row.process.footprint.proportional_bytes == old)
    {
        lines.push("n/a: this kernel has no smaps".to_owned());
    }
    lines
}
