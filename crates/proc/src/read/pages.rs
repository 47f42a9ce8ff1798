//! The state of each page of a process, side by side ones of one state together.
//!
//! Read by PAGEMAP_SCAN (Linux 6.7), which needs no privilege for a process of one's own, else from the words of
//! pagemap, which know no huge pages. Pages that are not there are not listed, so a page in no run is either
//! not there or not mapped: the mappings tell which.

use std::ops::Range;

use neap_os::pagemap::{Categories, Query, Region};

use super::Proc;
use crate::parse::Word;
use crate::{Reading, Reason};

/// Above it are the kernel's own addresses: no page of those is the process's.
const ADDRESSES_END: u64 = 1 << 63;

/// What a page that is not just absent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageState {
    /// In memory and of no file.
    Anonymous,
    /// In memory and of a file, or shared memory.
    File,
    /// In memory, part of a huge page that the page table maps as one.
    Huge,
    /// In swap.
    Swapped,
    /// The zero page: was read and never written. Not in RSS.
    Zero,
    /// A guard: touching it kills.
    Guard,
}

impl PageState {
    const ALL: [PageState; 6] = [
        PageState::Anonymous,
        PageState::File,
        PageState::Huge,
        PageState::Swapped,
        PageState::Zero,
        PageState::Guard,
    ];

    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            PageState::Anonymous => "anonymous",
            PageState::File => "file",
            PageState::Huge => "huge",
            PageState::Swapped => "swapped",
            PageState::Zero => "zero",
            PageState::Guard => "guard",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<PageState> {
        PageState::ALL.into_iter().find(|state| state.word() == word)
    }

    fn of_region(region: Region) -> PageState {
        let has = |category| region.categories().contains(category);
        if has(Categories::GUARD) {
            PageState::Guard
        } else if has(Categories::SWAPPED) {
            PageState::Swapped
        } else if has(Categories::ZERO) {
            PageState::Zero
        } else if has(Categories::HUGE) {
            PageState::Huge
        } else if has(Categories::FILE) {
            PageState::File
        } else {
            PageState::Anonymous
        }
    }

    fn of_word(word: Word) -> Option<PageState> {
        Some(if word.is_guard() {
            PageState::Guard
        } else if word.is_present() && word.is_file_or_shared() {
            PageState::File
        } else if word.is_present() {
            PageState::Anonymous
        } else if word.is_swapped() {
            PageState::Swapped
        } else {
            return None;
        })
    }
}

/// Pages side by side in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRun {
    /// Where.
    pub addresses: Range<u64>,
    /// What they are.
    pub state: PageState,
}

impl Proc {
    /// Every page of a process that is not just absent, in the order of addresses. Milliseconds for each GiB in
    /// memory. Pages of addresses that are the kernel's own are left out.
    pub fn page_runs(&self, pid: u32) -> Reading<Vec<PageRun>> {
        self.maps(pid).and_then(|maps| {
            let mappings = maps.mappings.iter().map(|mapping| mapping.start..mapping.end);
            let (mut runs, mut scan) = (Vec::new(), Scan::WithGuards);
            for addresses in stretches(mappings) {
                match scan.read(self, pid, addresses, &mut runs) {
                    Reading::Value(next) => scan = next,
                    other => return other.map(|_| Vec::new()),
                }
            }
            Reading::Value(runs)
        })
    }
}

/// What this kernel can be asked.
#[derive(Clone, Copy, Debug)]
enum Scan {
    /// PAGEMAP_SCAN that knows guards (6.16).
    WithGuards,
    /// PAGEMAP_SCAN (6.7).
    Plain,
    /// The words of pagemap.
    Words,
}

impl Scan {
    /// Reads a stretch and says what the next may be asked.
    fn read(self, proc: &Proc, pid: u32, addresses: Range<u64>, runs: &mut Vec<PageRun>) -> Reading<Scan> {
        const EINVAL: i32 = 22;
        let any = Categories::PRESENT | Categories::SWAPPED;
        let shown = any | Categories::FILE | Categories::ZERO | Categories::HUGE;
        let (any, shown) = match self {
            Scan::WithGuards => (any | Categories::GUARD, shown | Categories::GUARD),
            Scan::Plain => (any, shown),
            Scan::Words => {
                let page_bytes = proc.page_bytes();
                let reading = proc.pagemap(pid, addresses, |start, word| {
                    if let Some(state) = PageState::of_word(word) {
                        push(runs, start..start.saturating_add(page_bytes), state);
                    }
                });
                return reading.map(|_| self);
            }
        };
        let query = Query {
            any,
            shown,
            ..Query::default()
        };
        match (self, proc.scan(pid, addresses.clone(), &query)) {
            (_, Reading::Value(regions)) => {
                for region in regions {
                    let span = region.span();
                    let addresses = span.base() as u64..span.end() as u64;
                    push(runs, addresses, PageState::of_region(region));
                }
                Reading::Value(self)
            }
            (Scan::WithGuards, Reading::Absent(Reason::Failed(EINVAL))) => {
                Scan::Plain.read(proc, pid, addresses, runs)
            }
            (_, Reading::Absent(Reason::NotInThisKernel)) => Scan::Words.read(proc, pid, addresses, runs),
            (_, other) => other.map(|_| self),
        }
    }
}

/// Mappings side by side together, so that one call asks for all of them.
fn stretches(mappings: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = Vec::new();
    for mapping in mappings.filter(|mapping| mapping.end <= ADDRESSES_END) {
        match all.last_mut() {
            Some(last) if last.end == mapping.start => last.end = mapping.end,
            _ => all.push(mapping),
        }
    }
    all
}

/// Adds pages behind the last run, as a part of it if they are of its state.
fn push(runs: &mut Vec<PageRun>, addresses: Range<u64>, state: PageState) {
    match runs.last_mut() {
        Some(last) if last.addresses.end == addresses.start && last.state == state => {
            last.addresses.end = addresses.end;
        }
        _ => runs.push(PageRun { addresses, state }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_state_are_one_run() {
        let mut runs = Vec::new();
        push(&mut runs, 0x1000..0x2000, PageState::File);
        push(&mut runs, 0x2000..0x4000, PageState::File);
        push(&mut runs, 0x4000..0x5000, PageState::Anonymous);
        push(&mut runs, 0x6000..0x7000, PageState::Anonymous);
        let spans: Vec<Range<u64>> = runs.into_iter().map(|run| run.addresses).collect();
        assert_eq!(spans, [0x1000..0x4000, 0x4000..0x5000, 0x6000..0x7000]);
        assert_eq!(
            stretches([0..4, 4..8, 12..16, ADDRESSES_END..ADDRESSES_END + 4096].into_iter()),
            [0..8, 12..16]
        );
    }

    #[test]
    fn what_this_process_wrote_is_there() {
        let page = Proc::default().page_bytes();
        let block = vec![1_u8; usize::try_from(64 * page).unwrap()];
        let start = block.as_ptr().addr() as u64;
        let runs = Proc::default().page_runs(std::process::id()).value().unwrap();
        assert!(runs.is_sorted_by_key(|run| run.addresses.start));
        let inside = (start.next_multiple_of(page)..start + 63 * page).step_by(4096);
        for address in inside {
            let run = runs.iter().find(|run| run.addresses.contains(&address)).unwrap();
            assert!(
                matches!(run.state, PageState::Anonymous | PageState::Huge),
                "{run:?}"
            );
        }
    }

    #[test]
    fn the_words_of_pagemap_say_the_same_but_for_huge_pages() {
        let (proc, pid) = (Proc::default(), std::process::id());
        let block = vec![1_u8; 1 << 20];
        let start = (block.as_ptr().addr() as u64).next_multiple_of(4096);
        let (mut words, mut scanned) = (Vec::new(), Vec::new());
        let addresses = start..start + (1 << 19);
        let read = |scan: Scan, runs: &mut Vec<PageRun>| scan.read(&proc, pid, addresses.clone(), runs);
        assert!(read(Scan::Words, &mut words).value().is_some());
        assert!(read(Scan::WithGuards, &mut scanned).value().is_some());
        let covered = |runs: &[PageRun]| {
            (
                runs.first().unwrap().addresses.start,
                runs.last().unwrap().addresses.end,
            )
        };
        assert_eq!(covered(&words), (addresses.start, addresses.end));
        assert_eq!(covered(&scanned), (addresses.start, addresses.end));
    }

    #[test]
    fn every_state_has_a_word() {
        for state in PageState::ALL {
            assert_eq!(PageState::from_word(state.word()), Some(state));
        }
    }
}
