//! A report as text.

use std::fmt::Write as _;

use super::screen::{Role, Screen};
use super::sparkline::{Charset, Frame};
use super::{Figure, PeakSource, Report};
use crate::unit;

const LABEL_COLUMNS: usize = 12;
const NUMBER_COLUMNS: usize = 11;
const WORD_COLUMNS: usize = 11;
/// Rows of a table that text shows; JSON has all of them.
const ROWS_MAX: usize = 8;

/// The whole report, newline at the end.
pub(crate) fn render(report: &Report, screen: &Screen) -> String {
    let mut page = Page {
        text: String::new(),
        screen,
    };
    page.head(report);
    page.figures(report);
    page.memory_calls(report);
    page.classes(report);
    page.processes(report);
    page.curves(report);
    for warning in &report.warnings {
        page.line(Role::Bad, "note", warning);
    }
    page.line(
        Role::Dim,
        "",
        "what each line means: docs/reports.md, neap run --help",
    );
    match screen.charset {
        Charset::Unicode => page.text,
        Charset::Ascii => page.text.replace('µ', "u"),
    }
}

struct Page<'a> {
    text: String,
    screen: &'a Screen,
}

impl Page<'_> {
    fn line(&mut self, role: Role, label: &str, text: &str) {
        let label = self.screen.paint(Role::Label, &format!("{label:LABEL_COLUMNS$}"));
        let _ = writeln!(self.text, "{label}{}", self.screen.paint(role, text));
    }

    fn head(&mut self, report: &Report) {
        let command = shorten(&report.command.join(" "), self.screen.columns.saturating_sub(34));
        let end = match (&report.exit.signal_name, report.exit.code) {
            (Some(signal), _) => format!("killed by {signal}"),
            (None, Some(code)) => format!("exit {code}"),
            (None, None) => "no exit status".to_owned(),
        };
        let backend = report
            .backend
            .map_or_else(String::new, |name| format!(", {name}"));
        let title = self.screen.paint(Role::Title, &format!("neap run {command}"));
        let _ = writeln!(
            self.text,
            "\n{title}  {}",
            self.screen.paint(Role::Dim, &format!("({end}{backend})"))
        );
        let good = report.exit.neap_code == 0 && !report.rss.limit_passed;
        let role = if good { Role::Good } else { Role::Bad };
        let _ = writeln!(self.text, "{}\n", self.screen.paint(role, &report.verdict));
    }

    /// A label, then `number word` pairs in columns.
    fn row(&mut self, label: &str, cells: &[(String, &str)]) {
        let mut text = String::new();
        for (number, word) in cells {
            let _ = write!(text, "{number:>NUMBER_COLUMNS$} {word:WORD_COLUMNS$}");
        }
        let label = self.screen.paint(Role::Label, &format!("{label:LABEL_COLUMNS$}"));
        let _ = writeln!(self.text, "{label}{}", text.trim_end());
    }

    fn missing(&mut self, label: &str, reason: &str) {
        let pad = " ".repeat(NUMBER_COLUMNS - 3);
        self.line(Role::Dim, label, &format!("{pad}n/a ({reason})"));
    }

    fn figures(&mut self, report: &Report) {
        let time = &report.time;
        self.row(
            "time",
            &[
                (unit::time(time.wall_ns), "wall"),
                (unit::time(time.user_ns), "user"),
                (unit::time(time.system_ns), "system"),
            ],
        );
        let rss = &report.rss;
        match rss.peak_bytes.reason() {
            Some(reason) => self.missing("RSS", reason),
            None => {
                let peak = match rss.peak_source {
                    PeakSource::Readings => "peak",
                    PeakSource::HighWaterMark => "peak (HWM)",
                };
                self.row(
                    "RSS",
                    &[
                        (rss.peak_bytes.size(), peak),
                        (rss.final_bytes.size(), "final"),
                        (rss.first_bytes.size(), "first"),
                    ],
                );
            }
        }
        let pss = &report.pss;
        match pss.peak_bytes.reason() {
            Some(reason) => self.missing("PSS", reason),
            None => {
                let readings = if pss.readings == 1 { "reading" } else { "readings" };
                self.row(
                    "PSS",
                    &[
                        (pss.peak_bytes.size(), "peak"),
                        (pss.last_bytes.size(), "last"),
                        (unit::count(pss.readings), readings),
                    ],
                );
            }
        }
        if pss.denied_processes > 0 {
            let text = format!(
                "without {} whose smaps_rollup may not be read",
                pss.denied_processes
            );
            self.line(Role::Dim, "", &text);
        }
        self.heap(report);
        self.row(
            "faults",
            &[
                (unit::count(report.faults.minor), "minor"),
                (unit::count(report.faults.major), "major"),
            ],
        );
    }

    fn heap(&mut self, report: &Report) {
        let heap = &report.heap;
        if let Some(reason) = heap.given_back_total_bytes.reason() {
            for label in ["live", "held", "given back"] {
                self.missing(label, reason);
            }
            return;
        }
        let pair = |figure: &Figure, word: &'static str| (figure.size(), word);
        match heap.live_bytes.reason() {
            Some(reason) => self.missing("live", reason),
            None => self.row(
                "live",
                &[
                    pair(&heap.live_peak_bytes, "peak"),
                    pair(&heap.live_bytes, "final"),
                    (heap.live_blocks.count(), "blocks"),
                ],
            ),
        }
        self.row(
            "held",
            &[
                pair(&heap.held_peak_bytes, "peak"),
                pair(&heap.held_bytes, "final"),
                pair(&heap.dirty_bytes, "dirty"),
            ],
        );
        self.row(
            "given back",
            &[
                pair(&heap.given_back_total_bytes, "in all"),
                (heap.purges_total.count(), "purges"),
                pair(&heap.regret_total_bytes, "regret"),
            ],
        );
    }

    fn memory_calls(&mut self, report: &Report) {
        let Some(calls) = &report.memory_calls else {
            return self.missing("calls", "no process loaded libneap.so");
        };
        let mut used = calls
            .iter()
            .filter(|row| row.calls > 0 || row.failed > 0)
            .peekable();
        self.text.push('\n');
        if used.peek().is_none() {
            return self.line(Role::Dim, "memory call", "none");
        }
        self.header("memory call", &["calls", "bytes", "a call", "failed"]);
        for row in used {
            let each = row
                .bytes
                .checked_div(row.calls)
                .map_or_else(|| "-".to_owned(), unit::size);
            let cells = [
                unit::count(row.calls),
                unit::size(row.bytes),
                each,
                unit::count(row.failed),
            ];
            self.table_row(row.name, &cells);
        }
    }

    fn header(&mut self, label: &str, names: &[&str]) {
        let mut text = format!("{label:LABEL_COLUMNS$}");
        for name in names {
            let _ = write!(text, "{name:>NUMBER_COLUMNS$}");
        }
        let _ = writeln!(self.text, "{}", self.screen.paint(Role::Dim, &text));
    }

    fn table_row(&mut self, label: &str, cells: &[String]) {
        let label = self.screen.paint(Role::Label, &format!("{label:LABEL_COLUMNS$}"));
        let _ = write!(self.text, "{label}");
        for cell in cells {
            let _ = write!(self.text, "{cell:>NUMBER_COLUMNS$}");
        }
        self.text.push('\n');
    }

    fn classes(&mut self, report: &Report) {
        let mut classes: Vec<_> = report.classes.iter().collect();
        if classes.is_empty() {
            return;
        }
        classes.sort_by_key(|class| std::cmp::Reverse(class.live_bytes));
        self.text.push('\n');
        self.header("still live", &["blocks", "bytes"]);
        for class in classes.iter().take(ROWS_MAX) {
            let label = class.block_bytes.map_or_else(|| "larger".to_owned(), unit::size);
            self.table_row(
                &label,
                &[unit::count(class.live_blocks), unit::size(class.live_bytes)],
            );
        }
        self.more(classes.len());
    }

    fn more(&mut self, rows: usize) {
        if rows > ROWS_MAX {
            self.line(
                Role::Dim,
                "",
                &format!("... and {} more (--json has all)", rows - ROWS_MAX),
            );
        }
    }

    fn processes(&mut self, report: &Report) {
        if report.processes.len() < 2 {
            return;
        }
        let mut rows: Vec<_> = report.processes.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.rss_peak_bytes.value()));
        self.text.push('\n');
        self.header("process", &["RSS peak", "live peak", "exit"]);
        for row in rows.iter().take(ROWS_MAX) {
            let live = row.heap.as_ref().and_then(|heap| heap.live_peak_bytes);
            let live = live.map_or_else(|| "n/a".to_owned(), unit::size);
            let end = match (row.exit_code, row.signal, row.running) {
                (Some(code), ..) => code.to_string(),
                (None, Some(signal), _) => crate::run::signals::name(signal),
                (None, None, true) => "running".to_owned(),
                (None, None, false) => "n/a".to_owned(),
            };
            let mut text = format!("{:<LABEL_COLUMNS$}", row.pid);
            for cell in [row.rss_peak_bytes.size(), live, end] {
                let _ = write!(text, "{cell:>NUMBER_COLUMNS$}");
            }
            let room = self.screen.columns.saturating_sub(text.chars().count() + 2);
            let _ = writeln!(self.text, "{text}  {}", shorten(&named(&row.command), room));
        }
        self.more(rows.len());
    }

    fn curves(&mut self, report: &Report) {
        let points = &report.series.points;
        if points.len() < 2 {
            return;
        }
        let rss_top = points.iter().map(|point| point.rss_bytes).max().unwrap_or(0);
        let live_top = points.iter().filter_map(|point| point.live_bytes).max();
        let frame = Frame {
            end_ns: report.time.wall_ns,
            top: rss_top.max(live_top.unwrap_or(0)),
            columns: self.screen.columns.saturating_sub(LABEL_COLUMNS + NUMBER_COLUMNS),
            charset: self.screen.charset,
        };
        self.text.push('\n');
        let rss = frame.draw(points.iter().map(|point| (point.at_ns, Some(point.rss_bytes))));
        self.curve("RSS", &rss, &unit::size(rss_top));
        if let Some(top) = live_top {
            let live = frame.draw(points.iter().map(|point| (point.at_ns, point.live_bytes)));
            self.curve("live", &live, &unit::size(top));
        }
        let end = unit::time(report.time.wall_ns);
        let gap = frame.columns.saturating_sub(end.chars().count());
        self.line(Role::Dim, "", &format!("{:<gap$}{end}", "0"));
    }

    fn curve(&mut self, label: &str, curve: &str, top: &str) {
        let label = self.screen.paint(Role::Label, &format!("{label:LABEL_COLUMNS$}"));
        let _ = writeln!(self.text, "{label}{curve}{top:>NUMBER_COLUMNS$}");
    }
}

/// A command line, the program without its folders.
pub(super) fn named(command: &[String]) -> String {
    let Some((program, arguments)) = command.split_first() else {
        return String::from("?");
    };
    let name = program.rsplit('/').next().unwrap_or(program);
    let words: Vec<&str> = [name]
        .into_iter()
        .chain(arguments.iter().map(String::as_str))
        .collect();
    words.join(" ")
}

/// Makes control characters harmless to a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Cuts `text` to `columns` characters and makes it harmless.
pub(super) fn shorten(text: &str, columns: usize) -> String {
    let clean = printable(text);
    if clean.chars().count() <= columns {
        return clean;
    }
    let cut: String = clean.chars().take(columns.saturating_sub(3)).collect();
    format!("{cut}...")
}

/// Breaks at blanks into lines of so many columns; what is broken off is indented.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let indent = text.len() - text.trim_start_matches(' ').len();
    let mut lines = vec![" ".repeat(indent)];
    for word in text.trim_start_matches(' ').split(' ') {
        let Some(line) = lines.last_mut() else { break };
        let long = line.chars().count() + 1 + word.chars().count() > columns;
        if long && !line.trim().is_empty() {
            lines.push(format!("{:width$}{word}", "", width = indent + 2));
        } else {
            if !line.trim().is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_hostile_commands_are_made_harmless() {
        assert_eq!(shorten("abcdefghij", 8), "abcde...");
        assert_eq!(shorten("abc", 8), "abc");
        assert_eq!(named(&["/usr/bin/ls".into(), "/x".into()]), "ls /x");
        assert_eq!(named(&[]), "?");
        assert_eq!(shorten("a\x1b[31mb\n", 20), "a?[31mb?");
    }

    #[test]
    fn lines_are_broken_at_blanks() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "  cc"]);
        assert_eq!(wrap("averylongword", 5), ["averylongword"]);
        assert_eq!(wrap("  | x", 40), ["  | x"]);
    }
}
