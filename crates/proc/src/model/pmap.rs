//! What `pmap -x` prints, byte for byte (procps 4.0.2, without `-k` and `-p`).
//!
//! Kbytes is the length, RSS is Rss, Dirty is Shared_Dirty + Private_Dirty. The fourth letter of the mode is
//! `s` or `-`, the fifth always `-`. A name is what follows the last `/` of the kernel's name; all else is
//! `[ anon ]`, or `[ stack ]` when the process's stack began there, or `[ shmid=0x… ]` for System V's memory.
//! A byte of a name that is no printable ASCII is `?`. Sizes are whole kilobytes, as the kernel writes them.
//! Not imitated: how pmap cuts a line of smaps that is longer than 1023 bytes.

use std::fmt;

use crate::parse::{Mapping, Name, Smaps, SmapsEntry, SmapsField};

mod heading;

pub use heading::{Characters, heading};

/// The line above the rows.
pub const COLUMNS: &str = "Address           Kbytes     RSS   Dirty Mode  Mapping";
/// The line below the rows.
pub const RULE: &str = "---------------- ------- ------- ------- ";

/// What is known of a process besides its smaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Where its stack began: `startstack` of proc_pid_stat(5).
    pub stack: Option<u64>,
    /// The device of shared memory that has no file system of its own: System V's, memfd_create(2)'s.
    pub shared_memory: Option<(u64, u64)>,
}

/// One row. As text it is the line of pmap, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// First address.
    pub start: u64,
    /// Length.
    pub kilobytes: u64,
    /// Resident; `None` when the kernel did not say, which is printed as pmap does: 0.
    pub rss_kilobytes: Option<u64>,
    /// Dirty; `None` when the kernel did not say.
    pub dirty_kilobytes: Option<u64>,
    /// Five letters.
    pub mode: [u8; 5],
    /// The column Mapping.
    pub name: String,
}

/// The sums at the foot. As text the line of pmap, without its end.
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
    /// The row of a mapping.
    #[must_use]
    pub fn new(smaps: &Smaps, entry: &SmapsEntry, beside: &Beside) -> Row {
        let on = |set: bool, letter: u8| if set { letter } else { b'-' };
        let permissions = entry.permissions;
        Row {
            start: entry.start,
            kilobytes: entry.len_bytes() >> 10,
            rss_kilobytes: entry.sizes.get(SmapsField::Rss).map(|bytes| bytes >> 10),
            dirty_kilobytes: entry.sizes.dirty_bytes().map(|bytes| bytes >> 10),
            mode: [
                on(permissions.read, b'r'),
                on(permissions.write, b'w'),
                on(permissions.execute, b'x'),
                on(permissions.shared, b's'),
                b'-',
            ],
            name: column(smaps.name_bytes(entry.name), entry, beside),
        }
    }

    /// All rows.
    #[must_use]
    pub fn all(smaps: &Smaps, beside: &Beside) -> Vec<Row> {
        let entries = smaps.entries.iter();
        entries.map(|entry| Row::new(smaps, entry, beside)).collect()
    }
}

impl Footer {
    /// Adds a row; what the kernel did not say adds nothing.
    pub fn add(&mut self, row: &Row) {
        self.kilobytes = self.kilobytes.saturating_add(row.kilobytes);
        self.rss_kilobytes = self.rss_kilobytes.saturating_add(row.rss_kilobytes.unwrap_or(0));
        self.dirty_kilobytes = self
            .dirty_kilobytes
            .saturating_add(row.dirty_kilobytes.unwrap_or(0));
    }

    /// The sums of rows.
    #[must_use]
    pub fn of(rows: &[Row]) -> Footer {
        let mut footer = Footer::default();
        rows.iter().for_each(|row| footer.add(row));
        footer
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:016x} {:>7} {:>7} {:>7} {} {}",
            self.start,
            self.kilobytes,
            self.rss_kilobytes.unwrap_or(0),
            self.dirty_kilobytes.unwrap_or(0),
            str::from_utf8(&self.mode).unwrap_or("?????"),
            self.name
        )
    }
}

impl fmt::Display for Footer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<16} {:>7} {:>7} {:>7}",
            "total kB", self.kilobytes, self.rss_kilobytes, self.dirty_kilobytes
        )
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

fn column(name: &[u8], entry: &SmapsEntry, beside: &Beside) -> String {
    let of_system_v = || memchr::memmem::find(name, b"/SYSV").is_some();
    if entry.device.0 == 0 && beside.shared_memory == Some(entry.device) && of_system_v() {
        return format!("  [ shmid=0x{:x} ]", entry.inode);
    }
    match memchr::memrchr(b'/', name) {
        Some(slash) => {
            let last = name.get(slash + 1..).filter(|last| !last.is_empty());
            last.unwrap_or(b"/").iter().map(|byte| printable(*byte)).collect()
        }
        None if beside
            .stack
            .is_some_and(|stack| (entry.start..=entry.end).contains(&stack)) =>
        {
            "  [ stack ]".to_owned()
        }
        None => "  [ anon ]".to_owned(),
    }
}

/// As isprint(3) has it outside of locales of eight bits.
fn printable(byte: u8) -> char {
    match byte {
        b' '..=b'~' => char::from(byte),
        _ => '?',
    }
}

#[cfg(test)]
mod tests;
