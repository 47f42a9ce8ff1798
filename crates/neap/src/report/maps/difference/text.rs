//! What differs between two address spaces, as a table of changes with signs.

use std::fmt::Write as _;

use super::{ChangeRow, DiffReport, MappingRow, NameRow, PairRow, Side};
use crate::report::maps::text::cut_name;
use crate::report::screen::{Role, Screen};
use crate::report::text::{printable, shorten, wrap};
use crate::unit;

const SIZE_COLUMNS: usize = 11;
const COUNT_COLUMNS: usize = 6;
/// Names of a kind, and mappings, that text shows unless all are asked for; JSON has them in any case.
const NAMES_MAX: usize = 8;
const MAPPINGS_MAX: usize = 16;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    First,
    All,
}

/// The whole report.
pub(crate) fn render(report: &DiffReport, rows: Rows, screen: &Screen) -> String {
    let mut page = Page {
        text: String::new(),
        screen,
        rows,
        report,
    };
    page.head();
    if report.differs {
        page.table();
        page.mappings();
    }
    page.heap();
    page.text
}

struct Page<'a> {
    text: String,
    screen: &'a Screen,
    rows: Rows,
    report: &'a DiffReport,
}

impl Page<'_> {
    fn line(&mut self, role: Role, line: &str) {
        let _ = writeln!(self.text, "{}", self.screen.paint(role, line));
    }

    fn head(&mut self) {
        let report = self.report;
        let side = |side: &Side| {
            let what = side
                .file
                .as_deref()
                .map_or_else(|| side.pid.to_string(), printable);
            shorten(&what, 40)
        };
        let title = format!("neap diff {} {}", side(&report.before), side(&report.after));
        self.line(Role::Title, &title);
        let room = self.screen.columns;
        for (label, side) in [("before", &report.before), ("after", &report.after)] {
            let line = side.command.join(" ");
            let line = if line.trim().is_empty() {
                format!("[{}]", side.name)
            } else {
                line
            };
            let line = format!("{label:6}  {}  {}  {line}", side.taken, side.pid);
            self.line(Role::Dim, &shorten(&line, room));
        }
        let role = if report.differs { Role::Bad } else { Role::Good };
        for line in wrap(&printable(&report.verdict), room) {
            self.line(role, &line);
        }
        if !report.same_process {
            self.line(
                Role::Dim,
                "two processes: kinds and names are compared, addresses are not",
            );
        }
    }

    fn numbers(pair: &PairRow) -> String {
        let ChangeRow {
            mappings,
            size_bytes,
            rss_bytes,
            pss_bytes,
            swap_bytes,
            ..
        } = &pair.change;
        let count = match mappings {
            0 => "0".to_owned(),
            count => format!("{count:+}"),
        };
        let mut line = format!("{count:>COUNT_COLUMNS$}");
        for change in [&Some(*size_bytes), rss_bytes, pss_bytes, swap_bytes] {
            let change = change.map_or_else(|| "n/a".to_owned(), unit::signed_size);
            let _ = write!(line, "{change:>SIZE_COLUMNS$}");
        }
        line
    }

    fn table(&mut self) {
        let mut head = format!("\n{:>COUNT_COLUMNS$}", "maps");
        for title in ["size", "RSS", "PSS", "swap"] {
            let _ = write!(head, "{title:>SIZE_COLUMNS$}");
        }
        self.line(Role::Dim, &format!("{head}  kind and name"));
        let room = self
            .screen
            .columns
            .saturating_sub(COUNT_COLUMNS + 4 * SIZE_COLUMNS + 4)
            .max(12);
        let most = if self.rows == Rows::All {
            usize::MAX
        } else {
            NAMES_MAX
        };
        for kind in &self.report.kinds {
            let line = format!("{}  {}", Self::numbers(&kind.pair), kind.kind);
            self.line(Role::Title, &line);
            if kind.names.len() == 1 && kind.names.iter().all(|name| name.name.starts_with('[')) {
                continue;
            }
            let own: Vec<&NameRow> = kind.names.iter().filter(|name| self.shows(&name.pair)).collect();
            for name in own.iter().take(most) {
                let _ = writeln!(
                    self.text,
                    "{}    {}",
                    Self::numbers(&name.pair),
                    cut_name(&printable(&name.name), room)
                );
            }
            let others = kind.names.len() - own.len();
            if let Some(hidden) = own.len().checked_sub(most).filter(|hidden| *hidden > 0) {
                self.line(Role::Dim, &format!("{:50}    {hidden} more (--all)", ""));
            }
            if others > 0 && !own.is_empty() {
                self.line(Role::Dim, &format!("{:50}    {others} more in PSS only", ""));
            }
        }
        let line = format!("{}  total", Self::numbers(&self.report.total));
        self.line(Role::Title, &line);
    }

    /// PSS alone changes when *others* map the same file or stop to: that is not this process's doing.
    fn shows(&self, pair: &PairRow) -> bool {
        let ChangeRow {
            mappings,
            size_bytes,
            rss_bytes,
            swap_bytes,
            ..
        } = &pair.change;
        let still = [Some(*mappings), Some(*size_bytes), *rss_bytes, *swap_bytes];
        self.rows == Rows::All || still.iter().any(|change| *change != Some(0))
    }

    fn mappings(&mut self) {
        let Some(rows) = self.report.mappings.as_ref().filter(|rows| !rows.is_empty()) else {
            return;
        };
        self.line(
            Role::Title,
            "\nMappings                size        RSS       address",
        );
        let most = if self.rows == Rows::All {
            usize::MAX
        } else {
            MAPPINGS_MAX
        };
        // Those that matter most, in the order of addresses.
        let mut chosen: Vec<usize> = (0..rows.len())
            .filter(|index| self.rows == Rows::All || rows.get(*index).is_some_and(is_own))
            .collect();
        let own = chosen.len();
        chosen.sort_by_key(|index| std::cmp::Reverse(rows.get(*index).map_or((0, 0), weight)));
        chosen.truncate(most);
        chosen.sort_unstable();
        for row in chosen.iter().filter_map(|index| rows.get(*index)) {
            self.mapping(row);
        }
        if own > chosen.len() {
            let line = format!("  and {} more, in which less changed (--all)", own - chosen.len());
            self.line(Role::Dim, &line);
        }
        if rows.len() > own {
            let line = format!("  and {} in which only PSS changed (--all)", rows.len() - own);
            self.line(Role::Dim, &line);
        }
    }

    fn mapping(&mut self, row: &MappingRow) {
        let of = |side: &Option<super::MappingSide>, absent: u64| {
            side.as_ref()
                .map_or((absent, Some(absent)), |side| (side.size_bytes, side.rss_bytes))
        };
        let ((was_size, was_rss), (size, rss)) = (of(&row.before, 0), of(&row.after, 0));
        let change = |was: u64, is: u64| unit::signed_size(crate::maps::difference::signed(was, is));
        let rss = match (was_rss, rss) {
            (Some(was), Some(is)) => change(was, is),
            _ => "n/a".to_owned(),
        };
        let permissions = match (&row.before, &row.after) {
            (Some(was), Some(is)) if was.permissions != is.permissions => {
                format!("{} was {}", is.permissions, was.permissions)
            }
            (_, Some(side)) | (Some(side), None) => side.permissions.clone(),
            (None, None) => String::new(),
        };
        let line = format!(
            "  {:8}{:>SIZE_COLUMNS$}{rss:>SIZE_COLUMNS$}  {:>12} {permissions} ",
            row.fate,
            change(was_size, size),
            row.start.trim_start_matches("0x"),
        );
        let room = self.screen.columns.saturating_sub(line.chars().count()).max(12);
        let _ = writeln!(self.text, "{line}{}", cut_name(&printable(&row.name), room));
    }

    fn heap(&mut self) {
        let Some(heap) = &self.report.heap else { return };
        self.line(Role::Title, "\nThe heap of libneap.so");
        for ((name, was), (_, is)) in heap.before.named().into_iter().zip(heap.after.named()) {
            let (change, now) = match name.strip_suffix("_bytes") {
                Some(_) => (
                    unit::signed_size(crate::maps::difference::signed(was, is)),
                    unit::size(is),
                ),
                None => (
                    format!("{:+}", crate::maps::difference::signed(was, is)),
                    unit::count(is),
                ),
            };
            let word = name.strip_suffix("_bytes").unwrap_or(name).replace('_', " ");
            let _ = writeln!(
                self.text,
                "{change:>SIZE_COLUMNS$}{now:>SIZE_COLUMNS$} now  {word}"
            );
        }
    }
}

/// Whether more than PSS changed.
fn is_own(row: &MappingRow) -> bool {
    let of = |side: &Option<super::MappingSide>| {
        side.as_ref().map(|side| {
            (
                side.size_bytes,
                side.rss_bytes,
                side.swap_bytes,
                side.permissions.clone(),
            )
        })
    };
    of(&row.before) != of(&row.after)
}

/// How much changed in a mapping: what is resident counts, then its length.
fn weight(row: &MappingRow) -> (u64, u64) {
    let of = |side: &Option<super::MappingSide>| {
        side.as_ref()
            .map_or((0, 0), |side| (side.rss_bytes.unwrap_or(0), side.size_bytes))
    };
    let (was, is) = (of(&row.before), of(&row.after));
    (was.0.abs_diff(is.0), was.1.abs_diff(is.1))
}
