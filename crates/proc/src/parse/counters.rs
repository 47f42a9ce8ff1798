//! Files of lines `name number`: `/proc/vmstat`, `memory.stat`, `memory.events`, and folders of numbers.
//!
//! There are some two hundred of them and every version has others, so all are kept by the kernel's own name
//! and asked for by it. Units differ from name to name and are the kernel's: pages or events in vmstat
//! (Documentation/admin-guide/mm, mm/vmstat.c), bytes or events in memory.stat (cgroup-v2.rst).

use super::lines;

/// Numbers by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sorted by name, which is unique.
    rows: Vec<(Box<str>, u64)>,
    /// Lines that are no name and number, or whose name came before.
    pub unknown_lines: usize,
}

impl Counters {
    /// Reads what lines there are. The first of two lines of one name counts.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Counters {
        let mut counters = Counters::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match row(line) {
                Some(row) => counters.rows.push(row),
                None => counters.unknown_lines += 1,
            }
        }
        let read = counters.rows.len();
        // The sort is stable, so of equal names the first stays.
        counters.rows.sort_by(|one, other| one.0.cmp(&other.0));
        counters.rows.dedup_by(|one, other| one.0 == other.0);
        counters.unknown_lines += read - counters.rows.len();
        counters
    }

    /// The number of that name, in the kernel's unit; `None` when there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        let at = self.rows.binary_search_by(|row| (*row.0).cmp(name)).ok()?;
        self.rows.get(at).map(|row| row.1)
    }

    /// All, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.rows.iter().map(|(name, number)| (&**name, *number))
    }

    /// The sum of those there are; `None` when there is none of them.
    #[must_use]
    pub fn sum(&self, names: &[&str]) -> Option<u64> {
        let found = names.iter().filter_map(|name| self.get(name));
        found.reduce(u64::saturating_add)
    }
}

fn row(line: &[u8]) -> Option<(Box<str>, u64)> {
    let mut words = lines::words(line);
    let name = core::str::from_utf8(words.next()?).ok()?;
    let number = lines::number(words.next()?)?;
    words.next().is_none().then(|| (name.into(), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VMSTAT: &[u8] = include_bytes!("../../tests/fixtures/linux-6.18/proc/vmstat");
    const V1: &[u8] = include_bytes!("../../tests/fixtures/linux-6.18/sys/fs/cgroup/memory/memory.stat");
    const V2: &[u8] = include_bytes!("../../tests/fixtures/linux-6.1/sys/fs/cgroup/box/memory.stat");

    #[test]
    fn every_line_is_found_by_its_name() {
        let counters = Counters::parse(VMSTAT);
        assert_eq!((counters.iter().count(), counters.unknown_lines), (192, 0));
        assert_eq!(counters.get("oom_kill"), Some(6));
        assert_eq!(counters.get("nr_stone"), None);
    }

    #[test]
    fn groups_of_both_versions_are_such_files() {
        assert_eq!(Counters::parse(V1).get("shmem"), Some(9_068_544));
        let v2 = Counters::parse(V2);
        assert_eq!((v2.get("anon"), v2.unknown_lines), (Some(10_485_760), 0));
        assert_eq!(v2.sum(&["slab", "sock", "never"]), Some(3_145_728));
        assert_eq!(v2.sum(&["never"]), None);
    }

    #[test]
    fn lines_of_another_form_are_counted() {
        let counters = Counters::parse(b"a 1\nb -2\nc 3 4\na 5\n\xff 1\nd\n");
        assert_eq!(counters.iter().collect::<Vec<_>>(), [("a", 1)]);
        assert_eq!(counters.unknown_lines, 5);
    }
}
