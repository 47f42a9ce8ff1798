//! A record of `neap file` as text: a row for each of the foremost files, then the sums.

use std::fmt::Write as _;

use super::screen::{Role, Screen};
use super::sparkline::Charset;
use super::text::{printable, wrap};
use crate::file::cache::{Count, NO_CACHESTAT, NOT_OWNER};
use crate::file::mapped::Holder;
use crate::file::record::{Action, Named, Pages, Record, Row, Stayed};
use crate::unit;

mod cells;

const LABEL_COLUMNS: usize = 12;
const NUMBER_COLUMNS: usize = 11;
const SHARE_COLUMNS: usize = 7;
/// Processes named for one file.
const HOLDERS_NAMED: usize = 3;

/// The whole record, newline at the end.
pub(crate) fn render(record: &Record, screen: &Screen) -> String {
    let mut page = Page {
        text: String::new(),
        screen,
        record,
    };
    page.rows();
    page.sums();
    page.left_out();
    match screen.charset {
        Charset::Unicode => page.text,
        Charset::Ascii => page.text.replace('µ', "u"),
    }
}

struct Page<'a> {
    text: String,
    screen: &'a Screen,
    record: &'a Record,
}

impl Page<'_> {
    fn line(&mut self, label: &str, text: &str) {
        let room = self.screen.columns.saturating_sub(LABEL_COLUMNS).max(20);
        for (index, line) in wrap(&printable(text), room).iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let label = self.screen.paint(Role::Label, &format!("{label:LABEL_COLUMNS$}"));
            let _ = writeln!(self.text, "{label}{}", line.trim_start());
        }
    }

    fn rows(&mut self) {
        let record = self.record;
        if record.rows.is_empty() {
            return;
        }
        let names = match record.action {
            Action::Status => ["resident", "size", "share", "dirty"],
            Action::Touch | Action::Lock => ["before", "after", "share", "size"],
            Action::Evict => ["before", "stayed", "share", "size"],
        };
        let [one, two, share, three] = names;
        let heading = format!("{}  file", numbers([one, two, share, three]));
        let _ = writeln!(self.text, "{}", self.screen.paint(Role::Dim, &heading));
        for row in &record.rows {
            self.row(row);
        }
        if record.rows_not_listed > 0 {
            let more = format!(
                "... and {} more (-v has all)",
                unit::count(record.rows_not_listed)
            );
            let _ = writeln!(self.text, "{}", self.screen.paint(Role::Dim, &more));
        }
        self.text.push('\n');
    }

    fn row(&mut self, row: &Row) {
        let size = unit::size(row.size_bytes);
        let resident = |pages: Option<Pages>| {
            pages.map_or_else(|| "n/a".to_owned(), |pages| unit::size(pages.resident_bytes))
        };
        let dirty = row.cache.and_then(|cache| cache.dirty_bytes);
        let dirty = dirty.map_or_else(|| "n/a".to_owned(), unit::size);
        let (one, two, three) = match self.record.action {
            Action::Status => (resident(row.cache), size, dirty),
            Action::Touch | Action::Lock | Action::Evict => (resident(row.before), resident(row.cache), size),
        };
        let share = match row.cache {
            Some(cache) if cache.pages > 0 => unit::percent(cache.share()),
            Some(_) => "-".to_owned(),
            None => "n/a".to_owned(),
        };
        let path = self.screen.paint(Role::Label, &printable(&row.path));
        let _ = writeln!(self.text, "{}  {path}", numbers([&one, &two, &share, &three]));
        if let Some(why) = &row.not_told {
            self.beneath(&format!("n/a ({why})"));
        }
        if let Some(shares) = &row.cells {
            let cells = cells::draw(shares, self.screen);
            let _ = writeln!(self.text, "{:>NUMBER_COLUMNS$} {cells}", "");
        }
        for stayed in &row.stayed {
            self.beneath(&reason(stayed));
        }
    }

    /// A line that belongs to the row above.
    fn beneath(&mut self, text: &str) {
        let room = self.screen.columns.saturating_sub(NUMBER_COLUMNS + 1).max(20);
        for line in wrap(&printable(text), room) {
            let line = self.screen.paint(Role::Dim, line.trim_start());
            let _ = writeln!(self.text, "{:>NUMBER_COLUMNS$} {line}", "");
        }
    }

    fn sums(&mut self) {
        let record = self.record;
        let files = format!(
            "{}, folders {}, size {}",
            unit::count(record.files),
            unit::count(record.folders),
            unit::size(record.size_bytes)
        );
        self.line("files", &files);
        match (record.action, &record.before) {
            (Action::Evict, Some(before)) => {
                self.resident("was", before);
                let stayed = self.cache("stayed");
                let gone = before.resident_pages.saturating_sub(stayed.resident_pages);
                let text = format!(
                    "{} pages, {}",
                    unit::count(gone),
                    unit::size(gone * record.page_bytes)
                );
                self.line("evicted", &text);
            }
            (_, Some(before)) => {
                self.resident("before", before);
                self.cache("after");
            }
            (_, None) => {
                self.cache("resident");
            }
        }
        self.states();
        if record.files_not_told > 0 {
            let text = format!(
                "{} of {} files, in no sum of pages: run neap as their owner",
                unit::count(record.files_not_told),
                unit::count(record.files)
            );
            self.line("not told", &text);
        }
        if let Some(bytes) = record.brought_in_bytes {
            self.line("brought in", &rate(bytes, record.time_ns));
        }
        if record.action == Action::Lock {
            let locked = record
                .locked_bytes
                .map_or_else(|| "n/a (/proc/self/status has no VmLck)".to_owned(), unit::size);
            let process = record.process.unwrap_or(0);
            let text = format!("{locked} until process {process} ends; what is appended to a file is not");
            self.line("locked", &text);
        }
        if record.processes_denied.is_some_and(|denied| denied > 0)
            && record.cache.is_some_and(|cache| cache.resident_pages > 0)
        {
            let text = format!(
                "processes whose maps may not be read: {}; they may map a file, too",
                unit::count(record.processes_denied.unwrap_or(0))
            );
            self.line("not asked", &text);
        }
    }

    /// What is in memory now; nothing where the kernel tells of no file.
    fn cache(&mut self, label: &str) -> Pages {
        match self.record.cache {
            Some(pages) => {
                self.resident(label, &pages);
                pages
            }
            None => {
                self.line(label, &format!("n/a ({NOT_OWNER})"));
                Pages::of(Count::none(), 0)
            }
        }
    }

    fn resident(&mut self, label: &str, pages: &Pages) {
        let bytes = pages.pages * self.record.page_bytes;
        let share = match pages.pages {
            0 => "-".to_owned(),
            _ => unit::percent(pages.share()),
        };
        let text = format!(
            "{} of {} pages, {} of {}, {share}",
            unit::count(pages.resident_pages),
            unit::count(pages.pages),
            unit::size(pages.resident_bytes),
            unit::size(bytes)
        );
        self.line(label, &text);
    }

    /// What only cachestat tells.
    fn states(&mut self) {
        let Some(cache) = &self.record.cache else {
            return;
        };
        let text = match (cache.dirty_bytes, cache.writeback_bytes) {
            (Some(dirty), Some(writeback)) => {
                format!(
                    "{}, under write-back {}",
                    unit::size(dirty),
                    unit::size(writeback)
                )
            }
            _ => format!("n/a ({NO_CACHESTAT})"),
        };
        self.line("dirty", &text);
        if self.record.action != Action::Status {
            return;
        }
        let text = match (cache.evicted_bytes, cache.recently_evicted_bytes) {
            (Some(evicted), Some(recently)) => format!(
                "{} that the kernel remembers, of which lately {}",
                unit::size(evicted),
                unit::size(recently)
            ),
            _ => format!("n/a ({NO_CACHESTAT})"),
        };
        self.line("evicted", &text);
    }

    fn left_out(&mut self) {
        let record = self.record;
        if !record.skipped.is_empty() {
            let kinds: Vec<String> = record
                .skipped
                .iter()
                .map(|(kind, count)| format!("{} {kind}", unit::count(*count)))
                .collect();
            self.line("skipped", &kinds.join(", "));
            self.names(&record.skipped_names);
        }
        for (label, count) in [
            ("denied", record.denied),
            ("failed", record.failed),
            ("vanished", record.vanished),
        ] {
            if count > 0 {
                self.line(label, &unit::count(count));
            }
        }
        self.names(&record.troubles);
    }

    fn names(&mut self, names: &[Named]) {
        for name in names {
            let text = printable(&format!("{}: {}", name.path, name.why));
            let text = self.screen.paint(Role::Dim, &text);
            let _ = writeln!(self.text, "{:LABEL_COLUMNS$}{text}", "");
        }
    }
}

/// The columns before a file's name.
fn numbers([one, two, share, three]: [&str; 4]) -> String {
    format!("{one:>NUMBER_COLUMNS$}{two:>NUMBER_COLUMNS$}{share:>SHARE_COLUMNS$}{three:>NUMBER_COLUMNS$}")
}

fn rate(bytes: u64, time_ns: u64) -> String {
    let seconds = unit::to_f64(time_ns.max(1)) / 1e9;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate of bytes, to three digits"
    )]
    let each = (unit::to_f64(bytes) / seconds) as u64;
    format!(
        "{} in {}, {} each second",
        unit::size(bytes),
        unit::time(time_ns),
        unit::size(each)
    )
}

fn reason(stayed: &Stayed) -> String {
    match stayed {
        Stayed::Dirty { bytes } => {
            format!("{} not written yet: --sync writes them first", unit::size(*bytes))
        }
        Stayed::Writeback { bytes } => format!(
            "{} on their way to the disk: --sync waits for them",
            unit::size(*bytes)
        ),
        Stayed::Mapped { by } => format!("mapped by {}", holders(by)),
        Stayed::Locked { by } => format!("locked by {}", holders(by)),
        Stayed::MemoryOnly { file_system } => {
            format!("{file_system} has nothing behind it: memory is the only copy")
        }
        Stayed::LargerPiece { bytes } => format!(
            "{} in larger pieces of the cache that reach out of --range: all of the file can go",
            unit::size(*bytes)
        ),
        Stayed::Unknown { bytes } => format!(
            "{} for no reason that can be seen: in use at that moment",
            unit::size(*bytes)
        ),
    }
}

fn holders(by: &[Holder]) -> String {
    let one = |holder: &Holder| {
        let command = holder.command.as_deref().unwrap_or("?");
        let resident = holder.resident_bytes.map_or_else(|| "n/a".to_owned(), unit::size);
        format!("{command} (pid {}, {resident} in its page tables)", holder.pid)
    };
    let named: Vec<String> = by.iter().take(HOLDERS_NAMED).map(one).collect();
    let rest = by.len().saturating_sub(HOLDERS_NAMED);
    if rest > 0 {
        format!("{} and {rest} more", named.join(", "))
    } else {
        named.join(", ")
    }
}
