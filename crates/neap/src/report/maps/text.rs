//! The address space of a process as a table.
//!
//! A row for each kind, below it a row for each name, the greatest first; the last row is the total, with the
//! kernel's own sums below it. Swap and huge pages have columns where there are any.

use std::fmt::Write as _;

use super::{KindRow, MapsReport, NameRow, ProcessMaps};
use crate::maps::sums::Sums;
use crate::report::Figure;
use crate::report::screen::{Role, Screen};
use crate::report::text::{named, printable, shorten, wrap};
use crate::unit;

const COUNT_COLUMNS: usize = 7;
const SIZE_COLUMNS: usize = 10;
/// Names of a kind that are shown unless --min says which; JSON has all of them.
const NAMES_MAX: usize = 8;

/// A column of the table.
struct Column {
    title: &'static str,
    of: fn(&Sums) -> Figure,
}

const COLUMNS: [Column; 6] = [
    Column {
        title: "size",
        of: |sums| Figure::Known(sums.size_bytes),
    },
    Column {
        title: "RSS",
        of: |sums| sums.rss_bytes.clone(),
    },
    Column {
        title: "PSS",
        of: |sums| sums.pss_bytes.clone(),
    },
    Column {
        title: "dirty",
        of: |sums| sums.private_dirty_bytes.clone(),
    },
    Column {
        title: "swap",
        of: |sums| sums.swap_bytes.clone(),
    },
    Column {
        title: "huge",
        of: |sums| sums.huge_bytes.clone(),
    },
];
/// Columns that are there even when all in them is 0.
const ALWAYS: usize = 4;

/// How many names of a kind are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// The first ones.
    Few,
    /// As many as there are.
    All,
}

/// The whole report.
pub(crate) fn render(report: &MapsReport, names: Names, screen: &Screen) -> String {
    let mut text = String::new();
    for process in &report.processes {
        if !text.is_empty() {
            text.push('\n');
        }
        Page::new(process, screen).render(&mut text, names);
    }
    text
}

/// The line that says which process it is.
pub(super) fn title(process: &ProcessMaps, screen: &Screen) -> String {
    let line = match named(&process.command) {
        line if line.trim().is_empty() => format!("[{}]", process.name),
        line => line,
    };
    let mut facts = format!("({}", unit::mappings(process.total.mappings));
    if process.file.is_some() {
        let _ = write!(facts, ", {}", process.taken);
    }
    facts.push(')');
    let start = format!("neap maps {}", process.pid);
    let room = screen
        .columns
        .saturating_sub(start.len() + facts.len() + 4)
        .max(16);
    format!(
        "{}  {}  {}\n",
        screen.paint(Role::Title, &start),
        shorten(&line, room),
        screen.paint(Role::Dim, &printable(&facts))
    )
}

struct Page<'a> {
    process: &'a ProcessMaps,
    screen: &'a Screen,
    columns: Vec<&'a Column>,
}

impl<'a> Page<'a> {
    fn new(process: &'a ProcessMaps, screen: &'a Screen) -> Page<'a> {
        let total = &process.total;
        let shown =
            |(index, column): &(usize, &Column)| *index < ALWAYS || (column.of)(total).value() != Some(0);
        let columns = COLUMNS
            .iter()
            .enumerate()
            .filter(shown)
            .map(|(_, column)| column)
            .collect();
        Page {
            process,
            screen,
            columns,
        }
    }

    fn render(&self, text: &mut String, names: Names) {
        text.push_str(&title(self.process, self.screen));
        for line in wrap(&printable(&self.process.verdict), self.screen.columns) {
            let _ = writeln!(text, "{}", self.screen.paint(Role::Good, &line));
        }
        text.push('\n');
        match &self.process.mappings {
            Some(_) => self.each(text),
            None => self.grouped(text, names),
        }
        self.foot(text);
        self.heap(text);
        let _ = writeln!(
            text,
            "{}",
            self.screen.paint(Role::Dim, "what each line means: docs/maps.md")
        );
    }

    fn head(&self, text: &mut String, count: &str, last: &str) {
        let mut line = format!("{count:>COUNT_COLUMNS$}");
        for column in &self.columns {
            let _ = write!(line, "{:>SIZE_COLUMNS$}", column.title);
        }
        let _ = writeln!(
            text,
            "{}",
            self.screen.paint(Role::Dim, &format!("{line}  {last}"))
        );
    }

    fn numbers(&self, sums: &Sums) -> String {
        let mut line = format!("{:>COUNT_COLUMNS$}", unit::count(sums.mappings));
        for column in &self.columns {
            let _ = write!(line, "{:>SIZE_COLUMNS$}", size(&(column.of)(sums)));
        }
        line
    }

    /// Columns that are left for a name.
    fn room(&self) -> usize {
        let taken = COUNT_COLUMNS + SIZE_COLUMNS * self.columns.len() + 2;
        self.screen.columns.saturating_sub(taken).max(12)
    }

    fn grouped(&self, text: &mut String, names: Names) {
        self.head(text, "maps", "kind and name");
        for kind in &self.process.kinds {
            self.kind(text, kind);
            let most = if names == Names::All {
                usize::MAX
            } else {
                NAMES_MAX
            };
            // A kind of one name that says no more than the kind.
            let plain = |name: &NameRow| {
                kind.smaller_names == 0 && kind.names.len() == 1 && name.name.starts_with('[')
            };
            for name in kind.names.iter().take(most).filter(|name| !plain(name)) {
                let room = self.room().saturating_sub(2);
                let _ = writeln!(text, "{}    {}", self.numbers(&name.sums), file_name(name, room));
            }
            self.rest(text, kind, most);
        }
    }

    fn kind(&self, text: &mut String, kind: &KindRow) {
        let word = format!("{}  {}", self.numbers(&kind.sums), kind.kind);
        let meaning = format!("  {}", kind.meaning);
        let fits = kind.kind.len() + meaning.len() <= self.room();
        let meaning = if fits {
            self.screen.paint(Role::Dim, &meaning)
        } else {
            String::new()
        };
        let _ = writeln!(text, "{}{meaning}", self.screen.paint(Role::Title, &word));
    }

    /// The names that are not shown, so that the rows of a kind add up to it.
    fn rest(&self, text: &mut String, kind: &KindRow, most: usize) {
        let hidden = kind.names.get(most..).unwrap_or_default();
        let count = kind.smaller_names + u64::try_from(hidden.len()).unwrap_or(0);
        if count == 0 {
            return;
        }
        let sums = hidden
            .iter()
            .fold(kind.smaller.clone(), |sums, name| sums.plus(&name.sums));
        let words = if count == 1 {
            "1 more".to_owned()
        } else {
            format!("{} more", unit::count(count))
        };
        let line = format!("{}    {words}", self.numbers(&sums));
        let _ = writeln!(text, "{}", self.screen.paint(Role::Dim, &line));
    }

    fn each(&self, text: &mut String) {
        self.head(text, "", "address and name");
        for row in self.process.mappings.iter().flatten() {
            let numbers = self.numbers(&row.sums);
            let numbers = numbers.get(COUNT_COLUMNS..).unwrap_or_default();
            let deleted = if row.deleted { " (deleted)" } else { "" };
            let _ = writeln!(
                text,
                "   {:4}{numbers}  {} {}{deleted}",
                row.permissions,
                row.start.trim_start_matches("0x"),
                printable(&row.name)
            );
        }
    }

    fn foot(&self, text: &mut String) {
        let process = self.process;
        let others =
            process.total.mappings - process.kinds.iter().map(|kind| kind.sums.mappings).sum::<u64>();
        if others > 0 {
            let line = format!(
                "{:>COUNT_COLUMNS$}  mappings of other kinds are not shown",
                unit::count(others)
            );
            let _ = writeln!(text, "{}", self.screen.paint(Role::Dim, &line));
        }
        let line = format!("{}  total", self.numbers(&process.total));
        let _ = writeln!(text, "{}", self.screen.paint(Role::Title, &line));
        let zero = |figure: &Figure| figure.value() == Some(0);
        let nothing: Vec<&str> = [
            ("swap", &process.total.swap_bytes),
            ("huge pages", &process.total.huge_bytes),
        ]
        .into_iter()
        .filter_map(|(word, figure)| zero(figure).then_some(word))
        .collect();
        if !nothing.is_empty() {
            self.note(text, &format!("nothing is in {}", nothing.join(" or ")));
        }
        self.kernel(text);
    }

    fn note(&self, text: &mut String, note: &str) {
        for line in wrap(&format!("       {note}"), self.screen.columns) {
            let _ = writeln!(text, "{}", self.screen.paint(Role::Dim, &line));
        }
    }

    /// The kernel's own sums, and what differs.
    fn kernel(&self, text: &mut String) {
        let (kernel, residual) = (&self.process.kernel_total, &self.process.residual);
        let parts = [
            ("size", &kernel.size_bytes, residual.size_bytes),
            ("RSS", &kernel.rss_bytes, residual.rss_bytes),
            ("PSS", &kernel.pss_bytes, residual.pss_bytes),
            ("swap", &kernel.swap_bytes, residual.swap_bytes),
        ];
        let mut all: Vec<(Vec<&str>, String)> = Vec::new();
        for (name, kernels, residual) in parts {
            let words = match (residual, kernels.reason()) {
                (Some(0), _) => "the same".to_owned(),
                (Some(more), _) => {
                    let why = self.why(name, more);
                    format!("{} (residual {}: {why})", kernels.size(), unit::signed_size(more))
                }
                (None, Some(reason)) => format!("n/a ({reason})"),
                (None, None) => kernels.size(),
            };
            match all.last_mut() {
                Some((names, same)) if *same == words => names.push(name),
                _ => all.push((vec![name], words)),
            }
        }
        let words: Vec<String> = all
            .iter()
            .map(|(names, words)| format!("{} {words}", names.join(", ")))
            .collect();
        self.note(text, &format!("the kernel's own sums: {}", words.join("; ")));
    }

    /// What explains a residual.
    fn why(&self, name: &str, more: i64) -> &'static str {
        let page = i64::try_from(self.process.page_bytes).unwrap_or(0);
        // Of each mapping at most what is less than 1 KiB is cut off.
        let cut = i64::try_from(self.process.total.mappings << 10).unwrap_or(i64::MAX);
        match name {
            "size" if more == page => "[vsyscall] is not in VmSize",
            "PSS" if (-cut..0).contains(&more) => "each mapping's is cut to KiB",
            _ => "it ran between the readings",
        }
    }

    fn heap(&self, text: &mut String) {
        let heap = match (&self.process.heap, self.process.heap_reason()) {
            (Some(heap), _) => heap,
            (None, Some(reason)) => return self.note(text, &format!("heap of libneap.so: n/a ({reason})")),
            (None, None) => return,
        };
        let counters = &heap.counters;
        let _ = writeln!(
            text,
            "\n{}",
            self.screen.paint(Role::Title, "The heap of libneap.so")
        );
        let blocks = format!("live, in {} blocks", unit::count(counters.live_blocks));
        let lines = [
            (counters.live_bytes, blocks.as_str()),
            (
                counters.pinned_bytes,
                "free, on pages that live blocks keep in memory",
            ),
            (
                counters.waiting_bytes,
                "free, in pages that wait to be given back",
            ),
            (
                counters.given_back_bytes,
                "given back to the kernel since it started",
            ),
        ];
        for (bytes, words) in lines {
            let _ = writeln!(text, "{:>SIZE_COLUMNS$}  {words}", size(&Figure::Known(bytes)));
        }
        for region in &heap.regions {
            let rss = size(&region.sums.rss_bytes);
            let start = format!("{rss:>SIZE_COLUMNS$}  ");
            let words = format!("resident in {}: {}", region.role, region.meaning);
            let lines = wrap(&words, self.screen.columns.saturating_sub(SIZE_COLUMNS + 2));
            for (index, line) in lines.iter().enumerate() {
                let start = if index == 0 {
                    start.clone()
                } else {
                    " ".repeat(SIZE_COLUMNS + 2)
                };
                let _ = writeln!(text, "{start}{line}");
            }
        }
    }
}

/// A size, where nothing is nothing.
fn size(figure: &Figure) -> String {
    match figure.value() {
        Some(0) => "0".to_owned(),
        _ => figure.size(),
    }
}

fn file_name(name: &NameRow, room: usize) -> String {
    let deleted = if name.deleted { " (deleted)" } else { "" };
    cut_name(&format!("{}{deleted}", printable(&name.name)), room)
}

/// A name in so many columns: of a path its end, of a file's name that is too long still its start and its end.
pub(super) fn cut_name(name: &str, room: usize) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= room {
        return name.to_owned();
    }
    let base = characters
        .iter()
        .rposition(|c| *c == '/')
        .map_or(0, |slash| slash + 1);
    let text = |part: &[char]| part.iter().collect::<String>();
    let (left, len) = (room.saturating_sub(3), characters.len());
    if len - base <= left {
        return format!("...{}", text(characters.get(len - left..).unwrap_or_default()));
    }
    let base = characters.get(base..).unwrap_or_default();
    let head = left.div_ceil(2).min(base.len());
    let (start, end) = (
        base.get(..head),
        base.get(base.len().saturating_sub(left - head)..),
    );
    format!(
        "{}...{}",
        text(start.unwrap_or_default()),
        text(end.unwrap_or_default())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_what_tells_them_apart() {
        assert_eq!(cut_name("/usr/lib/libc.so.6", 20), "/usr/lib/libc.so.6");
        assert_eq!(cut_name("/usr/lib/libc.so.6", 14), "...b/libc.so.6");
        assert_eq!(
            cut_name("/usr/lib/_json.cpython-311-x86_64.so", 15),
            "_json...._64.so"
        );
        assert_eq!(cut_name("abcdefgh", 3), "...");
    }
}
