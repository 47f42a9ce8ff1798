//! The rows of `pmap -x`, number for number and name for name (procps 4.0.2, without `-k` and `-p`).
//!
//! Kbytes is the length, RSS is Rss, Dirty is Shared_Dirty + Private_Dirty. The fourth letter of the mode is
//! `s` or `-`, the fifth always `-`. A name is what follows the last `/`; all else is `[ anon ]`, or
//! `[ stack ]` when the process's stack began there. Sizes are whole kilobytes, as the kernel writes them.

use crate::parse::{Mapping, Name, Smaps, SmapsEntry};

/// One row, or the footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// First address.
    pub start: u64,
    /// Length.
    pub kilobytes: u64,
    /// Resident; `None` when the kernel did not say.
    pub rss_kilobytes: Option<u64>,
    /// Dirty; `None` when the kernel did not say.
    pub dirty_kilobytes: Option<u64>,
    /// Five letters.
    pub mode: String,
    /// The column Mapping.
    pub name: String,
}

/// The sums at the foot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footer {
    /// Sum of the lengths.
    pub kilobytes: u64,
    /// Sum of what is resident.
    pub rss_kilobytes: u64,
    /// Sum of what is dirty.
    pub dirty_kilobytes: u64,
}

impl Row {
    /// The row of a mapping; `stack` is where the process's stack began (`startstack` of proc_pid_stat(5)).
    #[must_use]
    pub fn new(smaps: &Smaps, entry: &SmapsEntry, stack: Option<u64>) -> Row {
        let on = |set: bool, letter: char| if set { letter } else { '-' };
        let permissions = entry.permissions;
        let mode = [
            on(permissions.read, 'r'),
            on(permissions.write, 'w'),
            on(permissions.execute, 'x'),
            on(permissions.shared, 's'),
            '-',
        ];
        let is_stack = stack.is_some_and(|stack| (entry.start..=entry.end).contains(&stack));
        Row {
            start: entry.start,
            kilobytes: entry.len_bytes() >> 10,
            rss_kilobytes: entry
                .sizes
                .get(crate::parse::SmapsField::Rss)
                .map(|bytes| bytes >> 10),
            dirty_kilobytes: entry.sizes.dirty_bytes().map(|bytes| bytes >> 10),
            mode: mode.iter().collect(),
            name: column(smaps.name(entry.name), is_stack),
        }
    }

    /// All rows.
    #[must_use]
    pub fn all(smaps: &Smaps, stack: Option<u64>) -> Vec<Row> {
        let entries = smaps.entries.iter();
        entries.map(|entry| Row::new(smaps, entry, stack)).collect()
    }
}

impl Footer {
    /// The sums of rows; what the kernel did not say adds nothing.
    #[must_use]
    pub fn of(rows: &[Row]) -> Footer {
        let mut footer = Footer::default();
        for row in rows {
            footer.kilobytes = footer.kilobytes.saturating_add(row.kilobytes);
            footer.rss_kilobytes = footer
                .rss_kilobytes
                .saturating_add(row.rss_kilobytes.unwrap_or(0));
            footer.dirty_kilobytes = footer
                .dirty_kilobytes
                .saturating_add(row.dirty_kilobytes.unwrap_or(0));
        }
        footer
    }
}

/// An address inside the mapping that the kernel calls the stack: it does so where the stack began.
#[must_use]
pub fn stack_by_name(mappings: &[Mapping]) -> Option<u64> {
    let stack = |mapping: &&Mapping| matches!(&mapping.name, Name::Special(name) if name == "[stack]");
    let found = mappings.iter().find(stack)?;
    // Not its first address: that is also the end of a mapping right below.
    found.start.checked_add(1)
}

fn column(name: &Name, is_stack: bool) -> String {
    let text = match name {
        Name::Anonymous => "",
        Name::Named(name) | Name::Special(name) => name,
        Name::File { path, .. } => path,
    };
    match text.rsplit_once('/') {
        Some((_, last)) if !last.is_empty() => {
            let deleted = matches!(name, Name::File { deleted: true, .. });
            let named = matches!(name, Name::Named(_));
            let end = if deleted {
                " (deleted)"
            } else if named {
                "]"
            } else {
                ""
            };
            format!("{}{end}", last.replace('\n', "\\012"))
        }
        _ if is_stack => "  [ stack ]".to_owned(),
        _ => "  [ anon ]".to_owned(),
    }
}

#[cfg(test)]
mod tests;
