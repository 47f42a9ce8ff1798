//! A survey of the machine's memory as text. [`columns`] prints the table of free(1).
//!
//! The usual view has the columns, the parts with their residual, and what is said about them. What is not
//! there is `n/a` with its reason, a limit that is none is `no limit`.

use std::fmt::Write as _;

use super::screen::{Role, Screen};
use super::sparkline::Charset;
use super::text::{printable, wrap};
use crate::free::Survey;
use crate::free::balance::Way;
use crate::free::gather::NO_LIMIT;
use crate::unit;

pub(crate) mod columns;
mod sections;

const LABEL_COLUMNS: usize = 20;
const NUMBER_COLUMNS: usize = 11;
/// Of the table of parts, which has sentences, too.
const PART_COLUMNS: usize = 18;
const SIZE_COLUMNS: usize = 10;
const SHARE_COLUMNS: usize = 8;

/// A part of the view that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Pressure,
    Group,
    Swap,
    Ksm,
    Transparent,
    Hugetlb,
    Numa,
}

/// The whole view with these sections, newline at the end.
pub(crate) fn render(survey: &Survey, sections: &[Section], screen: &Screen) -> String {
    let mut page = Page {
        text: String::new(),
        survey,
        screen,
    };
    page.columns();
    page.parts();
    for section in sections {
        page.section(*section);
    }
    page.verdict();
    match screen.charset {
        Charset::Unicode => page.text,
        Charset::Ascii => page.text.replace('µ', "u"),
    }
}

struct Page<'a> {
    text: String,
    survey: &'a Survey,
    screen: &'a Screen,
}

/// How a number is written.
#[derive(Clone, Copy)]
enum As {
    Size,
    Count,
}

impl Page<'_> {
    /// A number, or why there is none: the reason that `not_available` has for `path`.
    fn cell(&self, path: &str, value: Option<u64>, how: As) -> String {
        match (value, how) {
            (Some(value), As::Size) => unit::size(value),
            (Some(value), As::Count) => unit::count(value),
            (None, _) => self.missing(path),
        }
    }

    /// `n/a (reason)`.
    fn missing(&self, path: &str) -> String {
        match self.survey.not_available.get(path).map(String::as_str) {
            Some(NO_LIMIT) => NO_LIMIT.to_owned(),
            Some(reason) => format!("n/a ({reason})"),
            None => "n/a".to_owned(),
        }
    }

    fn title(&mut self, text: &str) {
        let _ = writeln!(self.text, "\n{}", self.screen.paint(Role::Title, text));
    }

    /// A label and what is said of it, broken to the screen's width.
    fn line(&mut self, label: &str, text: &str) {
        let room = self.screen.columns.saturating_sub(LABEL_COLUMNS).max(20);
        for (index, line) in wrap(&printable(text), room).iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let label = self.screen.paint(Role::Label, &format!("{label:LABEL_COLUMNS$}"));
            let _ = writeln!(self.text, "{label}{}", line.trim_start());
        }
    }

    fn heading(&mut self, label: &str, names: &[&str]) {
        let mut text = format!("{label:LABEL_COLUMNS$}");
        for name in names {
            let _ = write!(text, "{name:>NUMBER_COLUMNS$}");
        }
        let _ = writeln!(self.text, "{}", self.screen.paint(Role::Dim, &text));
    }

    /// A row of a table; a cell that is no number is only `n/a` here, its reason is in a note below.
    fn row(&mut self, label: &str, cells: &[String]) {
        let label = self
            .screen
            .paint(Role::Label, &format!("{:LABEL_COLUMNS$}", printable(label)));
        let mut text = String::new();
        for cell in cells {
            let short = if cell.starts_with("n/a") { "n/a" } else { cell };
            let _ = write!(text, "{short:>NUMBER_COLUMNS$}");
        }
        let _ = writeln!(self.text, "{label}{}", text.trim_end());
    }

    /// The reasons of the cells of a table that are missing, each once.
    fn notes<'c>(&mut self, cells: impl Iterator<Item = &'c String>) {
        let mut reasons: Vec<&String> = cells.filter(|cell| cell.starts_with("n/a (")).collect();
        reasons.sort();
        reasons.dedup();
        for reason in reasons {
            let note = self.screen.paint(Role::Dim, reason);
            let _ = writeln!(self.text, "{:LABEL_COLUMNS$}{note}", "");
        }
    }

    fn columns(&mut self) {
        let memory = &self.survey.memory;
        self.heading(
            "",
            &["total", "used", "free", "shared", "buff/cache", "available"],
        );
        let cells: Vec<String> = [
            ("total_bytes", memory.total_bytes),
            ("used_bytes", memory.used_bytes),
            ("free_bytes", memory.free_bytes),
            ("shared_bytes", memory.shared_bytes),
            ("cache_bytes", memory.cache_bytes),
            ("available_bytes", memory.available_bytes),
        ]
        .iter()
        .map(|(field, value)| self.cell(&format!("memory.{field}"), *value, As::Size))
        .collect();
        self.row("memory", &cells);
        let swap = &self.survey.swap;
        let free = swap
            .total_bytes
            .zip(swap.used_bytes)
            .map(|(total, used)| total.saturating_sub(used));
        let swap_cells = [
            self.cell("swap.total_bytes", swap.total_bytes, As::Size),
            self.cell("swap.used_bytes", swap.used_bytes, As::Size),
            self.cell("swap.used_bytes", free, As::Size),
        ];
        self.row("swap", &swap_cells);
        self.notes(cells.iter().chain(&swap_cells));
    }

    fn parts(&mut self) {
        let Some(balance) = &self.survey.balance else {
            let why = self.missing("balance");
            return self.line("where it is", &why);
        };
        let share = |bytes: u64| {
            format!(
                "{:.1} %",
                unit::to_f64(bytes) * 100.0 / unit::to_f64(balance.total_bytes.max(1))
            )
        };
        self.text.push('\n');
        let heading = format!(
            "{:PART_COLUMNS$}{:>SIZE_COLUMNS$}{:>SHARE_COLUMNS$}",
            "where it is", "", "of all"
        );
        let _ = writeln!(self.text, "{}", self.screen.paint(Role::Dim, &heading));
        for part in balance.parts.iter().filter(|part| part.bytes > 0) {
            let what = match part.comes_back {
                Way::Free => "  ",
                Way::Reclaimed => "~ ",
                Way::SwapOrEnd | Way::Held => "  ",
            };
            self.part(
                part.name,
                &unit::size(part.bytes),
                &share(part.bytes),
                &format!("{what}{}", part.what),
            );
        }
        let residual = balance.residual_bytes;
        let size = unit::size(residual.unsigned_abs());
        let sign = if residual < 0 { "-" } else { "" };
        let what = if residual < 0 {
            "  counted in more than one line"
        } else {
            "  in no line: free lists of CPUs, drivers"
        };
        self.part(
            "residual",
            &format!("{sign}{size}"),
            &format!("{sign}{}", share(residual.unsigned_abs())),
            what,
        );
        self.part(
            "= total",
            &unit::size(balance.total_bytes),
            "100.0 %",
            "  ~ the kernel takes it back by itself",
        );
    }

    fn part(&mut self, name: &str, size: &str, share: &str, what: &str) {
        let label = self.screen.paint(Role::Label, &format!("{name:PART_COLUMNS$}"));
        let room = self
            .screen
            .columns
            .saturating_sub(PART_COLUMNS + SIZE_COLUMNS + SHARE_COLUMNS + 1);
        let what = super::text::shorten(what, room);
        let what = self.screen.paint(Role::Dim, &what);
        let _ = writeln!(
            self.text,
            "{label}{size:>SIZE_COLUMNS$}{share:>SHARE_COLUMNS$} {what}"
        );
    }

    fn verdict(&mut self) {
        self.text.push('\n');
        for sentence in &self.survey.verdict {
            for line in wrap(&printable(sentence), self.screen.columns) {
                let _ = writeln!(self.text, "{}", line.trim_start());
            }
        }
    }
}
