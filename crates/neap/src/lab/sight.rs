//! [`Sight`]: a process as the observer saw it at one moment, and [`Seen`], the part of it that the process
//! itself is told.
//!
//! Read from `/proc/PID` by another process, so that looking changes nothing there. What this kernel does not
//! write is `None`, never 0.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

pub(crate) use super::space::span_of;
use super::space::{self, Region};

/// Changes of maps that are kept: half of them the lowest, half the highest.
const CHANGES_MAX: usize = 256;

/// A moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sight {
    pub(crate) label: String,
    /// Lines of `/proc/PID/maps`.
    pub(crate) mappings: u64,
    /// Lines that came (`+`) and went (`-`) since the look before.
    pub(crate) changes: Vec<String>,
    /// Lines that came or went beyond the [`CHANGES_MAX`] that are in `changes`.
    #[serde(default)]
    pub(crate) changes_left_out: u64,
    /// The whole address space, in the order of addresses.
    #[serde(default)]
    pub(crate) space: Vec<Region>,
    /// `/proc/PID/statm`: size, resident, shared and data, in pages.
    pub(crate) statm_pages: BTreeMap<String, u64>,
    /// The Rss and Vm lines of `/proc/PID/status`, in kB.
    pub(crate) status_kb: BTreeMap<String, u64>,
    /// `/proc/PID/smaps_rollup`, in kB.
    pub(crate) smaps_kb: BTreeMap<String, u64>,
    pub(crate) minor_faults: Option<u64>,
    pub(crate) major_faults: Option<u64>,
    /// The columns of free(1) (procps 4) and what else of `/proc/meminfo` mappings move, in kB.
    pub(crate) system_kb: BTreeMap<String, u64>,
    pub(crate) watched: Vec<Watched>,
}

/// Addresses that are looked at in detail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watched {
    pub(crate) label: String,
    pub(crate) base: u64,
    pub(crate) len: u64,
    /// The lines of maps that touch them.
    pub(crate) lines: Vec<String>,
    /// VmFlags of the first of these.
    pub(crate) flags: String,
    /// The fields of smaps, added up over the mappings that touch them, in kB; and `Mapped`, how much of the
    /// addresses themselves is mapped.
    pub(crate) smaps_kb: BTreeMap<String, u64>,
    /// One letter a page, runs counted: see [`super::cells`]. `None`: pagemap could not be read.
    pub(crate) cells: Option<String>,
}

/// Watched spans of which the process is told.
pub(crate) const TOLD: usize = 4;
/// Numbers of the process and the system that it is told.
const NUMBERS: usize = 18;
/// Numbers of each watched span.
const SPAN_NUMBERS: usize = 13;
/// The last of them: pages that are there.
const PRESENT: usize = SPAN_NUMBERS - 1;
const FLAGS: usize = 96;
/// Bytes of a [`Seen`] on the wire.
pub(crate) const SEEN: usize = NUMBERS * 8 + TOLD * (SPAN_NUMBERS * 8 + FLAGS);

/// Declares the numbers that are told: name, what it is, where it comes from.
macro_rules! told {
    ($($index:literal $name:ident: $doc:literal, |$sight:ident| $from:expr;)*) => {
        impl Seen {
            $(
                #[doc = $doc]
                pub(crate) const fn $name(&self) -> u64 {
                    self.numbers[$index]
                }
            )*
        }
        fn numbers_of(sight: &Sight) -> [u64; NUMBERS] {
            let mut numbers = [u64::MAX; NUMBERS];
            $( let $sight = sight; numbers[$index] = $from.unwrap_or(u64::MAX); )*
            numbers
        }
    };
}

/// The same of one watched span.
macro_rules! told_of_span {
    ($($index:literal $name:ident: $field:literal;)*) => {
        impl SeenSpan {
            $(
                #[doc = concat!($field, " of smaps (or of the span itself), in kB; `u64::MAX` where there is none.")]
                pub(crate) const fn $name(&self) -> u64 {
                    self.numbers[$index]
                }
            )*
        }
        const SPAN_FIELDS: &[(usize, &str)] = &[$(($index, $field)),*];
    };
}

/// What the process that is looked at is told: numbers without allocation. `u64::MAX`: not in this kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    numbers: [u64; NUMBERS],
    spans: [SeenSpan; TOLD],
}

/// One watched span of a [`Seen`], in the order in which they were watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenSpan {
    numbers: [u64; SPAN_NUMBERS],
    flags: [u8; FLAGS],
}

told! {
    0 mappings: "Lines of maps.", |s| Some(s.mappings);
    1 resident_pages: "statm's resident, in pages.", |s| s.statm_pages.get("resident").copied();
    2 rss_anon_kb: "RssAnon of status, in kB.", |s| s.status_kb.get("RssAnon").copied();
    3 rss_file_kb: "RssFile of status, in kB.", |s| s.status_kb.get("RssFile").copied();
    4 rss_shmem_kb: "RssShmem of status, in kB.", |s| s.status_kb.get("RssShmem").copied();
    5 locked_kb: "VmLck of status, in kB.", |s| s.status_kb.get("VmLck").copied();
    6 page_tables_kb: "VmPTE of status, in kB.", |s| s.status_kb.get("VmPTE").copied();
    7 minor_faults: "Minor faults so far.", |s| s.minor_faults;
    8 major_faults: "Major faults so far.", |s| s.major_faults;
    9 used_kb: "The column used of free(1), in kB.", |s| s.system_kb.get("used").copied();
    10 free_kb: "The column free, in kB.", |s| s.system_kb.get("free").copied();
    11 shared_kb: "The column shared, in kB.", |s| s.system_kb.get("shared").copied();
    12 cache_kb: "The column buff/cache, in kB.", |s| s.system_kb.get("buff/cache").copied();
    13 available_kb: "The column available, in kB.", |s| s.system_kb.get("available").copied();
    14 committed_kb: "Committed_AS, in kB.", |s| s.system_kb.get("Committed_AS").copied();
    15 heap_kb: "The mapping [heap], in kB; `u64::MAX` if there is none.", |s| s.status_kb.get("[heap]").copied();
    16 rss_kb: "Rss of smaps_rollup, in kB.", |s| s.smaps_kb.get("Rss").copied();
    17 size_kb: "VmSize of status, in kB.", |s| s.status_kb.get("VmSize").copied();
}

told_of_span! {
    0 rss_kb: "Rss";
    1 pss_kb: "Pss";
    2 referenced_kb: "Referenced";
    3 anonymous_kb: "Anonymous";
    4 lazy_free_kb: "LazyFree";
    5 anon_huge_kb: "AnonHugePages";
    6 shmem_huge_kb: "ShmemPmdMapped";
    7 swap_kb: "Swap";
    8 locked_kb: "Locked";
    9 ksm_kb: "KSM";
    10 private_hugetlb_kb: "Private_Hugetlb";
    11 mapped_kb: "Mapped";
}

impl SeenSpan {
    /// Pages that pagemap says are present; `u64::MAX` where it cannot be read.
    pub(crate) const fn present_pages(&self) -> u64 {
        self.numbers[PRESENT]
    }

    /// VmFlags as smaps writes them.
    pub(crate) fn flags(&self) -> &str {
        let len = self.flags.iter().position(|&b| b == 0).unwrap_or(FLAGS);
        std::str::from_utf8(&self.flags[..len]).unwrap_or_default()
    }

    /// Whether VmFlags has this two-letter flag.
    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.flags
            .split(|&b| b == b' ' || b == 0)
            .any(|word| word == flag.as_bytes())
    }
}

impl Seen {
    /// The watched span of this number, in the order of watching.
    pub(crate) const fn span(&self, index: usize) -> &SeenSpan {
        &self.spans[index]
    }

    pub(crate) fn from_bytes(bytes: &[u8; SEEN]) -> Seen {
        let mut words = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word));
        let numbers = std::array::from_fn(|_| words.next().unwrap_or(u64::MAX));
        let spans = std::array::from_fn(|_| {
            let numbers = std::array::from_fn(|_| words.next().unwrap_or(u64::MAX));
            let mut flags = [0; FLAGS];
            for chunk in flags.as_chunks_mut::<8>().0 {
                *chunk = words.next().unwrap_or(0).to_le_bytes();
            }
            SeenSpan { numbers, flags }
        });
        Seen { numbers, spans }
    }
}

impl Sight {
    /// What the process is told.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEEN);
        for number in numbers_of(self) {
            bytes.extend(number.to_le_bytes());
        }
        for index in 0..TOLD {
            let watched = self.watched.get(index);
            let mut numbers = [u64::MAX; SPAN_NUMBERS];
            for &(at, field) in SPAN_FIELDS {
                numbers[at] = watched
                    .and_then(|w| w.smaps_kb.get(field).copied())
                    .unwrap_or(u64::MAX);
            }
            numbers[PRESENT] = watched
                .and_then(|w| w.cells.as_deref())
                .map_or(u64::MAX, super::cells::present);
            for number in numbers {
                bytes.extend(number.to_le_bytes());
            }
            let mut flags = [0; FLAGS];
            let text = watched.map_or("", |w| w.flags.as_str()).as_bytes();
            let len = text.len().min(FLAGS);
            flags[..len].copy_from_slice(&text[..len]);
            bytes.extend(flags);
        }
        assert_eq!(bytes.len(), SEEN);
        bytes
    }
}

/// Looks at one process. Keeps the lines of the look before and what is watched.
#[derive(Debug)]
pub(crate) struct Observer {
    pid: u32,
    lines: Option<Vec<String>>,
    watched: Vec<(String, u64, u64)>,
}

impl Observer {
    pub(crate) const fn of(pid: u32) -> Observer {
        Observer {
            pid,
            lines: None,
            watched: Vec::new(),
        }
    }

    /// Watches from now on; a label that is watched already is replaced.
    pub(crate) fn watch(&mut self, label: &str, base: u64, len: u64) {
        let entry = (label.to_owned(), base, len);
        match self.watched.iter_mut().find(|(known, ..)| known == label) {
            Some(known) => *known = entry,
            None => self.watched.push(entry),
        }
    }

    fn read(&self, file: &str) -> String {
        fs::read(format!("/proc/{}/{file}", self.pid))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Looks now.
    pub(crate) fn look(&mut self, label: &str) -> Sight {
        let smaps = self.read("smaps");
        let lines: Vec<String> = smaps
            .lines()
            .filter(|line| is_mapping(line))
            .map(squeezed)
            .collect();
        let mut changes = self
            .lines
            .as_ref()
            .map_or_else(Vec::new, |old| changes(old, &lines));
        let left_out = changes.len().saturating_sub(CHANGES_MAX);
        if left_out > 0 {
            changes.drain(CHANGES_MAX / 2..CHANGES_MAX / 2 + left_out);
        }
        let program = fs::read_link(format!("/proc/{}/exe", self.pid))
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default();
        let statm = self.read("statm");
        let statm: Vec<u64> = statm
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let named = [("size", 0), ("resident", 1), ("shared", 2), ("data", 5)];
        let mut status_kb = kilobytes(&self.read("status"));
        if let Some(heap) = lines
            .iter()
            .find(|line| line.ends_with("[heap]"))
            .and_then(|line| span_of(line))
        {
            status_kb.insert("[heap]".to_owned(), (heap.1 - heap.0) / 1024);
        }
        let stat = self.read("stat");
        let after_name: Vec<&str> = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace()
            .collect();
        let fault = |index: usize| after_name.get(index).and_then(|word| word.parse().ok());
        let sight = Sight {
            label: label.to_owned(),
            mappings: lines.len() as u64,
            changes,
            changes_left_out: left_out as u64,
            space: space::regions(&lines, &program),
            statm_pages: named
                .iter()
                .filter_map(|(name, at)| Some(((*name).to_owned(), *statm.get(*at)?)))
                .collect(),
            status_kb,
            smaps_kb: kilobytes(&self.read("smaps_rollup")),
            // stat(5): fields 10 and 12; the name and what is before it are two fields.
            minor_faults: fault(7),
            major_faults: fault(9),
            system_kb: system(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            watched: self
                .watched
                .iter()
                .map(|watch| self.detail(&smaps, watch))
                .collect(),
        };
        self.lines = Some(lines);
        sight
    }

    fn detail(&self, smaps: &str, (label, base, len): &(String, u64, u64)) -> Watched {
        let (start, end) = (*base, base + len);
        let mut watched = Watched {
            label: label.clone(),
            base: *base,
            len: *len,
            ..Watched::default()
        };
        let mut is_inside = false;
        for line in smaps.lines() {
            if is_mapping(line) {
                is_inside = span_of(line).is_some_and(|(from, to)| from < end && to > start);
                if let Some((from, to)) = span_of(line).filter(|_| is_inside) {
                    watched.lines.push(squeezed(line));
                    // Not a field of smaps: Size counts neighbours that the kernel has merged, too.
                    let mapped = watched.smaps_kb.entry("Mapped".to_owned()).or_default();
                    *mapped += (to.min(end) - from.max(start)) / 1024;
                }
            } else if !is_inside {
            } else if let Some(flags) = line.strip_prefix("VmFlags:") {
                if watched.flags.is_empty() {
                    flags.trim().clone_into(&mut watched.flags);
                }
            } else {
                for (field, kb) in kilobytes(line) {
                    *watched.smaps_kb.entry(field).or_default() += kb;
                }
            }
        }
        watched.cells = self.cells(start, end, &watched.lines);
        watched
    }

    fn cells(&self, start: u64, end: u64, lines: &[String]) -> Option<String> {
        const CELLS_MAX: u64 = 1 << 20;
        let page = neap_os::env::page_size() as u64;
        let pages = (end.div_ceil(page) - start / page).min(CELLS_MAX);
        let file = fs::File::open(format!("/proc/{}/pagemap", self.pid)).ok()?;
        let mut words = vec![0; usize::try_from(pages).ok()? * 8];
        file.read_exact_at(&mut words, start / page * 8).ok()?;
        let words = words
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word));
        let mapped: Vec<(u64, u64)> = lines.iter().filter_map(|line| span_of(line)).collect();
        let first = start / page * page;
        let pages = words.zip(0..).map(|(word, index)| {
            let address = first + index * page;
            mapped
                .iter()
                .any(|&(from, to)| (from..to).contains(&address))
                .then_some(word)
        });
        Some(super::cells::of_pages(pages))
    }
}

/// Whether a line of smaps is the head of a mapping.
fn is_mapping(line: &str) -> bool {
    line.split_once(' ')
        .is_some_and(|(span, _)| !span.ends_with(':') && span_of(line).is_some())
}

/// The line without its padding.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What came and went, by whole lines, in the order of addresses.
fn changes(old: &[String], new: &[String]) -> Vec<String> {
    // A process may have as many lines as vm.max_map_count allows, 65530 by default.
    let (before, now): (HashSet<&String>, HashSet<&String>) = (old.iter().collect(), new.iter().collect());
    let gone = old
        .iter()
        .filter(|line| !now.contains(line))
        .map(|line| format!("- {line}"));
    let come = new
        .iter()
        .filter(|line| !before.contains(line))
        .map(|line| format!("+ {line}"));
    let mut all: Vec<String> = gone.chain(come).collect();
    all.sort_by_key(|line| span_of(&line[2..]).map_or(0, |(start, _)| start));
    all
}

/// Every `Name: N kB`.
fn kilobytes(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            let value = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some((name.to_owned(), value))
        })
        .collect()
}

/// The columns of free(1) as procps 4.0.1 and later reckon them, and some more of meminfo.
fn system(meminfo: &str) -> BTreeMap<String, u64> {
    let all = kilobytes(meminfo);
    let of = |name: &str| all.get(name).copied();
    let mut columns = BTreeMap::new();
    let mut put = |name: &str, value: Option<u64>| {
        if let Some(value) = value {
            columns.insert(name.to_owned(), value);
        }
    };
    put(
        "used",
        of("MemTotal")
            .zip(of("MemAvailable"))
            .map(|(total, available)| total - available.min(total)),
    );
    put("free", of("MemFree"));
    put("shared", of("Shmem"));
    put(
        "buff/cache",
        Some(of("Buffers").unwrap_or(0) + of("Cached").unwrap_or(0) + of("SReclaimable").unwrap_or(0)),
    );
    put("available", of("MemAvailable"));
    for name in [
        "Committed_AS",
        "CommitLimit",
        "Dirty",
        "Mlocked",
        "SwapTotal",
        "SwapFree",
        "AnonHugePages",
    ] {
        put(name, of(name));
    }
    let count = |name: &str| {
        let line = meminfo
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().parse().ok()
    };
    put("HugePages_Total", count("HugePages_Total"));
    put("HugePages_Free", count("HugePages_Free"));
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_arrives() {
        let mut sight = Sight {
            mappings: 7,
            ..Sight::default()
        };
        sight.smaps_kb.insert("Rss".to_owned(), 640);
        sight.watched = vec![Watched {
            flags: "rd wr mr gd".to_owned(),
            smaps_kb: BTreeMap::from([("LazyFree".to_owned(), 12)]),
            cells: Some("2.3#".to_owned()),
            ..Watched::default()
        }];
        let bytes = sight.to_bytes();
        let seen = Seen::from_bytes(bytes.as_slice().try_into().unwrap());
        assert_eq!(
            (seen.mappings(), seen.rss_kb(), seen.locked_kb()),
            (7, 640, u64::MAX)
        );
        let span = seen.span(0);
        assert_eq!((span.lazy_free_kb(), span.present_pages()), (12, 3));
        assert!(span.has_flag("gd") && !span.has_flag("g") && !span.has_flag("lo"));
        assert_eq!(seen.span(1).rss_kb(), u64::MAX);
    }

    #[test]
    fn changes_are_in_the_order_of_addresses() {
        let lines = |all: &[&str]| all.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        let old = lines(&["1000-2000 r--p", "3000-4000 rw-p"]);
        let new = lines(&["1000-2000 r--p", "2000-3000 rw-p", "3000-5000 rw-p"]);
        assert_eq!(
            changes(&old, &new),
            ["+ 2000-3000 rw-p", "- 3000-4000 rw-p", "+ 3000-5000 rw-p"]
        );
    }

    #[test]
    fn one_looks_at_oneself() {
        let mut observer = Observer::of(std::process::id());
        let bytes = vec![1_u8; 1 << 20];
        observer.watch("vector", bytes.as_ptr().addr() as u64, 1 << 20);
        let sight = observer.look("now");
        assert!(
            sight.mappings > 5 && sight.statm_pages["resident"] > 256,
            "{sight:?}"
        );
        assert!(sight.watched[0].flags.contains("rd wr"), "{sight:?}");
        let present = super::super::cells::present(sight.watched[0].cells.as_deref().unwrap());
        assert!((256..=257).contains(&present), "{present}");
    }
}
