//! An address space: its mappings, each of one kind, and the sums of each kind.
//!
//! A kind is told by name and permissions, for there is nothing else in smaps: what maps a file as a library
//! and what as data is by the file's executable mappings. Memory of libneap.so has no name in the kernel; who
//! knows its spans gives them, and mappings that are mostly inside them are
//! [`Kind::Neap`]. Every mapping has one kind, so the sums of the kinds are the sums of the process.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use crate::parse::{Name, NameId, Sizes, Smaps, SmapsEntry, VmFlag};

/// What a mapping is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The executable file.
    Program,
    /// `[heap]`: the program break.
    Heap,
    /// The heap of libneap.so, by its spans or by a name that begins with `neap`.
    Neap,
    /// A file with an executable mapping that is not the program.
    Library,
    /// Any other file.
    File,
    /// Private, of no file, and not a stack.
    Anonymous,
    /// Shared memory: memfd, /dev/shm, System V, shared anonymous.
    Shared,
    /// `[stack]`, or a mapping that grows down.
    Stack,
    /// What the kernel puts there: `[vdso]`, `[vvar]`, `[vsyscall]` and the like.
    Kernel,
    /// Memory of a device or a driver: a file of /dev, rings of io_uring, packet sockets, perf and the like.
    Device,
}

impl Kind {
    /// All, in the order of reports.
    pub const ALL: [Kind; 10] = [
        Kind::Program,
        Kind::Heap,
        Kind::Neap,
        Kind::Library,
        Kind::File,
        Kind::Anonymous,
        Kind::Shared,
        Kind::Stack,
        Kind::Kernel,
        Kind::Device,
    ];

    /// One word for reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Program => "program",
            Kind::Heap => "heap",
            Kind::Neap => "neap",
            Kind::Library => "library",
            Kind::File => "file",
            Kind::Anonymous => "anonymous",
            Kind::Shared => "shared",
            Kind::Stack => "stack",
            Kind::Kernel => "kernel",
            Kind::Device => "device",
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Kind::Program => "the executable file",
            Kind::Heap => "the program break (brk)",
            Kind::Neap => "the heap of libneap.so",
            Kind::Library => "files with code",
            Kind::File => "other files",
            Kind::Anonymous => "private memory of no file",
            Kind::Shared => "shared memory",
            Kind::Stack => "stacks",
            Kind::Kernel => "put there by the kernel",
            Kind::Device => "of devices and drivers",
        }
    }
}

/// What is known of a process besides its smaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Path of the executable (`/proc/PID/exe`). Without, the first mapping of a file that is mapped to
    /// execute counts as the program's.
    pub program: Option<String>,
    /// Addresses of libneap.so's heap. A mapping of which they are more than half is the heap's: the kernel
    /// makes one mapping of neighbours, whoever made them.
    pub neap: Vec<Range<u64>>,
}

/// Mappings of one kind, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// How many.
    pub mappings: u64,
    /// Their addresses.
    pub len_bytes: u64,
    /// Their lines of smaps.
    pub sizes: Sizes,
}

/// The mappings of a process with their kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Space {
    smaps: Smaps,
    /// One for each entry.
    kinds: Vec<Kind>,
}

impl Space {
    /// Tells the kinds.
    #[must_use]
    pub fn new(smaps: Smaps, known: &Known) -> Space {
        let executable = |entry: &&SmapsEntry| {
            entry.permissions.execute && matches!(smaps.name(entry.name), Name::File { .. })
        };
        let code: HashSet<NameId> = smaps.entries.iter().filter(executable).map(|e| e.name).collect();
        let program = match &known.program {
            Some(path) => smaps
                .entries
                .iter()
                .map(|entry| entry.name)
                .find(|name| matches!(smaps.name(*name), Name::File { path: own, .. } if own == path)),
            None => smaps.entries.iter().find(executable).map(|entry| entry.name),
        };
        let kind = |entry: &SmapsEntry| match smaps.name(entry.name) {
            _ if is_mostly_in(&known.neap, entry) => Kind::Neap,
            Name::File { .. } if Some(entry.name) == program => Kind::Program,
            Name::File { path, .. } => of_file(path, entry, code.contains(&entry.name)),
            Name::Special(name) => of_special(name),
            Name::Named(name) if name.starts_with("neap") => Kind::Neap,
            Name::Named(_) | Name::Anonymous => of_nameless(entry),
        };
        let kinds = smaps.entries.iter().map(kind).collect();
        Space { smaps, kinds }
    }

    /// The text behind it.
    #[must_use]
    pub fn smaps(&self) -> &Smaps {
        &self.smaps
    }

    /// Every mapping with its kind, in the order of addresses.
    pub fn mappings(&self) -> impl Iterator<Item = (&SmapsEntry, Kind)> {
        self.smaps.entries.iter().zip(self.kinds.iter().copied())
    }

    /// The sums of each kind that there is.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<Kind, Total> {
        let mut totals: BTreeMap<Kind, Total> = BTreeMap::new();
        for (entry, kind) in self.mappings() {
            totals.entry(kind).or_default().add(entry);
        }
        totals
    }

    /// The sums of each name of a kind, the names as [`Smaps::name`] gives them.
    #[must_use]
    pub fn by_name(&self, kind: Kind) -> BTreeMap<NameId, Total> {
        let mut totals: BTreeMap<NameId, Total> = BTreeMap::new();
        for (entry, _) in self.mappings().filter(|(_, own)| *own == kind) {
            totals.entry(entry.name).or_default().add(entry);
        }
        totals
    }

    /// The sums of the process: its PSS, its USS ([`Sizes::unique_bytes`]), its swap.
    #[must_use]
    pub fn total(&self) -> Total {
        let mut total = Total::default();
        self.smaps.entries.iter().for_each(|entry| total.add(entry));
        total
    }
}

impl Total {
    /// Adds a mapping.
    pub fn add(&mut self, entry: &SmapsEntry) {
        self.mappings += 1;
        self.len_bytes = self.len_bytes.saturating_add(entry.len_bytes());
        self.sizes += &entry.sizes;
    }

    /// Adds the mappings of another total.
    pub fn join(&mut self, other: &Total) {
        self.mappings += other.mappings;
        self.len_bytes = self.len_bytes.saturating_add(other.len_bytes);
        self.sizes += &other.sizes;
    }
}

fn is_mostly_in(spans: &[Range<u64>], entry: &SmapsEntry) -> bool {
    let common = |span: &Range<u64>| {
        span.end
            .min(entry.end)
            .saturating_sub(span.start.max(entry.start))
    };
    let inside = spans.iter().map(common).fold(0, u64::saturating_add);
    inside > entry.len_bytes() / 2
}

fn of_file(path: &str, entry: &SmapsEntry, has_code: bool) -> Kind {
    let starts = |names: &[&str]| names.iter().any(|name| path.starts_with(name));
    let has = |flag| entry.flags.is_some_and(|flags| flags.has(flag));
    if path == "/dev/zero" || path == "/anon_hugepage" {
        // Memory of no file, which the kernel names by how it was made.
        of_nameless(entry)
    } else if starts(&["/memfd:", "/dev/shm/", "/SYSV", "/dev/hugepages/"]) || has(VmFlag::HugeTlb) {
        Kind::Shared
    } else if starts(&["/dev/", "anon_inode:", "socket:", "/[aio]"]) || has(VmFlag::Device) {
        Kind::Device
    } else if has_code {
        Kind::Library
    } else {
        Kind::File
    }
}

fn of_special(name: &str) -> Kind {
    match name {
        "[heap]" => Kind::Heap,
        stack if stack.starts_with("[stack") => Kind::Stack,
        _ => Kind::Kernel,
    }
}

fn of_nameless(entry: &SmapsEntry) -> Kind {
    if entry.flags.is_some_and(|flags| flags.has(VmFlag::GrowsDown)) {
        Kind::Stack
    } else if entry.permissions.shared {
        Kind::Shared
    } else {
        Kind::Anonymous
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::SmapsField;

    const TEXT: &[u8] = include_bytes!("../../tests/fixtures/linux-6.18/proc/4711/smaps");

    #[test]
    fn every_byte_is_of_one_kind() {
        let space = Space::new(Smaps::parse(TEXT), &Known::default());
        let (kinds, total) = (space.by_kind(), space.total());
        for field in [SmapsField::Rss, SmapsField::Pss, SmapsField::PrivateDirty] {
            let sum: u64 = kinds.values().map(|kind| kind.sizes.get(field).unwrap()).sum();
            assert_eq!(Some(sum), total.sizes.get(field));
        }
        assert_eq!(kinds.values().map(|kind| kind.mappings).sum::<u64>(), 122);
        assert_eq!(
            kinds.values().map(|kind| kind.len_bytes).sum::<u64>(),
            total.len_bytes
        );
    }

    #[test]
    fn kinds_are_told_by_names() {
        let space = Space::new(Smaps::parse(TEXT), &Known::default());
        let kinds = space.by_kind();
        assert_eq!(kinds[&Kind::Program].mappings, 5);
        assert_eq!(
            (kinds[&Kind::Heap].mappings, kinds[&Kind::Stack].mappings),
            (1, 1)
        );
        assert_eq!(kinds[&Kind::Shared].mappings, 2, "shared anonymous and a memfd");
        assert!(kinds[&Kind::Kernel].mappings >= 3 && kinds[&Kind::Library].mappings > 50);
        assert!(kinds.contains_key(&Kind::File), "the locale's");
        assert_eq!(space.by_name(Kind::Shared).len(), 2);
    }

    #[test]
    fn what_the_kernel_names_by_how_it_was_made_is_of_its_own_kind() {
        let text = b"1000-2000 rw-p 0 0:6 4 /dev/zero\n2000-3000 rw-s 0 0:1 9 /dev/zero (deleted)\n200000-400000 rw-p 0 0:f 7 /anon_hugepage (deleted)\n400000-600000 rw-s 0 0:f 8 /anon_hugepage (deleted)\n600000-800000 rw-s 0 0:20 8 /mnt/huge/a\nVmFlags: rd wr sh ht\n800000-801000 rw-s 0 0:10 9 anon_inode:[io_uring]\n801000-802000 rw-s 0 0:8 9 socket:[77]\n802000-803000 rw-s 0 0:9 9 /[aio] (deleted)\n";
        let space = Space::new(Smaps::parse(text), &Known::default());
        let kinds: Vec<Kind> = space.mappings().map(|(_, kind)| kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::Anonymous,
                Kind::Shared,
                Kind::Anonymous,
                Kind::Shared,
                Kind::Shared,
                Kind::Device,
                Kind::Device,
                Kind::Device
            ]
        );
    }

    #[test]
    fn spans_of_the_heap_and_the_program_are_as_told() {
        let text = b"1000-3000 rw-p 0 00:00 0\n3000-4000 rw-p 0 00:00 0\n5000-6000 r-xp 0 8:1 5 /lib/a.so\n7000-8000 r--p 0 8:1 6 /bin/b\n8000-9000 rw-p 0 00:00 0 [anon:neap heap]\n9000-a000 rw-s 0 0:5 7 /dev/dri/card0\n";
        let known = Known {
            program: Some("/bin/b".to_owned()),
            // Two spans of one mapping, and a third of another.
            neap: vec![0x1000..0x1800, 0x1800..0x2800, 0x3000..0x3400],
        };
        let space = Space::new(Smaps::parse(text), &known);
        let kinds: Vec<Kind> = space.mappings().map(|(_, kind)| kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::Neap,
                Kind::Anonymous,
                Kind::Library,
                Kind::Program,
                Kind::Neap,
                Kind::Device
            ]
        );
    }
}
