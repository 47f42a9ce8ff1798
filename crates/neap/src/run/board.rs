//! The board: the file on which every process under libneap.so publishes its heap's counters.
//!
//! A memfd of this process; children open it through `/proc/PID/fd`. Pages are read with pread(2), so a
//! child that writes while it is read can tear no number (each is one aligned word).

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use neap_abi::{NotAPage, PAGE_BYTES, PAGES_MAX, Snapshot};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

/// The file and what was last read of it.
#[derive(Debug)]
pub(crate) struct Board {
    file: File,
    pages: Vec<Page>,
    /// Index of the newest page of each pid: exec(2) starts a new page for an old pid.
    newest: HashMap<u64, usize>,
    foreign_version: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Page {
    snapshot: Option<Snapshot>,
    /// The process said that its figures are final.
    settled: bool,
}

/// Sums over the heaps of processes that live at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gauges {
    /// `None`: nobody has counted yet. libneap.so counts live blocks by a walk, when it gives back and at exit.
    pub(crate) live_bytes: Option<u64>,
    pub(crate) live_blocks: Option<u64>,
    pub(crate) held_bytes: u64,
    pub(crate) dirty_bytes: u64,
    pub(crate) meta_bytes: u64,
}

impl Board {
    /// A board that nobody has taken a page of. It takes no memory until pages are written.
    pub(crate) fn new() -> io::Result<Board> {
        let file = File::from(memfd_create("neap-board", MemfdFlags::CLOEXEC)?);
        let bytes = (1 + PAGES_MAX) * PAGE_BYTES;
        ftruncate(&file, u64::try_from(bytes).unwrap_or(u64::MAX))?;
        file.write_all_at(&neap_abi::new_directory(), 0)?;
        Ok(Board {
            file,
            pages: Vec::new(),
            newest: HashMap::new(),
            foreign_version: None,
        })
    }

    /// What NEAP_BOARD is set to.
    pub(crate) fn name(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Reads the pages that may have changed since the last time.
    pub(crate) fn refresh(&mut self) {
        self.read(|page| !page.settled);
    }

    /// Reads every page once more, for the report.
    pub(crate) fn refresh_all(&mut self) {
        self.read(|_| true);
    }

    fn read(&mut self, wanted: impl Fn(&Page) -> bool) {
        let mut bytes = [0; PAGE_BYTES];
        let taken = match self
            .file
            .read_exact_at(&mut bytes, 0)
            .map(|()| neap_abi::pages_taken(&bytes))
        {
            Ok(Ok(taken)) => taken,
            _ => return,
        };
        self.pages.resize_with(taken.max(self.pages.len()), Page::default);
        for (index, page) in self.pages.iter_mut().enumerate().filter(|(_, page)| wanted(page)) {
            let offset = u64::try_from((index + 1) * PAGE_BYTES).unwrap_or(u64::MAX);
            if self.file.read_exact_at(&mut bytes, offset).is_err() {
                continue;
            }
            match Snapshot::parse(&bytes) {
                Ok(snapshot) => {
                    // Pages are numbered in the order in which they were taken.
                    let newest = self.newest.entry(snapshot.pid).or_insert(index);
                    *newest = index.max(*newest);
                    page.settled = snapshot.finished;
                    page.snapshot = Some(snapshot);
                }
                Err(NotAPage::Version(version)) => self.foreign_version = Some(version),
                Err(NotAPage::Empty | NotAPage::Short) => {}
            }
        }
    }

    /// The newest page of a process, by the pid that it sees itself.
    pub(crate) fn newest(&self, pid: u32) -> Option<&Snapshot> {
        self.pages
            .get(*self.newest.get(&u64::from(pid))?)?
            .snapshot
            .as_ref()
    }

    /// Every page that was filled, oldest first.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.pages.iter().filter_map(|page| page.snapshot.as_ref())
    }

    /// Later processes found no page left.
    pub(crate) fn is_full(&self) -> bool {
        self.pages.len() >= PAGES_MAX
    }

    /// The layout of a page that this neap cannot read.
    pub(crate) fn foreign_version(&self) -> Option<u64> {
        self.foreign_version
    }

    /// Sums over the processes in `living`; `None` when none of them has a page.
    pub(crate) fn gauges(&self, living: impl Iterator<Item = u32>) -> Option<Gauges> {
        living.filter_map(|pid| self.newest(pid)).fold(None, |sum, page| {
            let sum: Gauges = sum.unwrap_or_default();
            Some(Gauges {
                live_bytes: add(sum.live_bytes, page, page.live_bytes),
                live_blocks: add(sum.live_blocks, page, page.live_blocks),
                held_bytes: sum.held_bytes.saturating_add(page.held_bytes),
                dirty_bytes: sum.dirty_bytes.saturating_add(page.dirty_bytes),
                meta_bytes: sum.meta_bytes.saturating_add(page.meta_bytes),
            })
        })
    }
}

/// A heap that holds memory and says that no block lives has not counted yet, unless it has said its last.
pub(crate) fn live_is_counted(page: &Snapshot) -> bool {
    page.finished || page.live_blocks > 0 || page.held_bytes == 0
}

fn add(sum: Option<u64>, page: &Snapshot, live: u64) -> Option<u64> {
    if live_is_counted(page) {
        Some(sum.unwrap_or(0).saturating_add(live))
    } else {
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use neap_abi::{MAGIC, VERSION};

    /// Fills page `index` (from 1) as libneap.so would: pid, finished, live and held bytes.
    fn fill(board: &Board, index: u64, [pid, finished, live, held]: [u64; 4]) {
        let mut words = [0_u64; 24];
        for (at, value) in [
            (0, MAGIC),
            (1, VERSION),
            (2, pid),
            (5, finished),
            (6, live),
            (7, live / 10),
            (8, held),
        ] {
            words[at] = value;
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        board.file.write_all_at(&bytes, index * 4096).unwrap();
        board.file.write_all_at(&index.to_ne_bytes(), 16).unwrap();
    }

    #[test]
    fn a_new_board_is_empty_and_can_be_opened_by_name() {
        let mut board = Board::new().unwrap();
        board.refresh();
        assert_eq!((board.snapshots().count(), board.is_full()), (0, false));
        let bytes = std::fs::read(board.name()).unwrap();
        assert_eq!(neap_abi::pages_taken(&bytes[..PAGE_BYTES]), Ok(0));
    }

    #[test]
    fn gauges_count_only_the_newest_page_of_living_processes() {
        let mut board = Board::new().unwrap();
        fill(&board, 1, [10, 0, 100, 1000]);
        fill(&board, 2, [11, 0, 20, 200]);
        fill(&board, 3, [10, 0, 13, 30]);
        board.refresh();
        let living = |pids: &[u32]| {
            board
                .gauges(pids.iter().copied())
                .map(|g| (g.live_bytes.unwrap(), g.held_bytes))
        };
        assert_eq!(living(&[10, 11, 12]), Some((33, 230)));
        assert_eq!(living(&[10]), Some((13, 30)));
        assert_eq!(living(&[12]), None);
        assert_eq!(board.snapshots().count(), 3);
    }

    #[test]
    fn live_blocks_that_nobody_counted_are_not_zero() {
        let mut board = Board::new().unwrap();
        fill(&board, 1, [10, 0, 0, 1000]);
        board.refresh();
        let live = |board: &Board| board.gauges([10].into_iter()).unwrap().live_bytes;
        assert_eq!(live(&board), None);
        fill(&board, 1, [10, 1, 0, 1000]);
        board.refresh();
        assert_eq!(live(&board), Some(0));
    }

    #[test]
    fn settled_pages_are_read_again_only_for_the_report() {
        let mut board = Board::new().unwrap();
        fill(&board, 1, [10, 1, 100, 1000]);
        board.refresh();
        fill(&board, 1, [10, 1, 50, 1000]);
        board.refresh();
        assert_eq!(board.newest(10).unwrap().live_bytes, 100);
        board.refresh_all();
        assert_eq!(board.newest(10).unwrap().live_bytes, 50);
    }

    #[test]
    fn a_full_board_and_a_foreign_page_are_noticed() {
        let mut board = Board::new().unwrap();
        board.file.write_all_at(&9999_u64.to_ne_bytes(), 16).unwrap();
        let foreign: Vec<u8> = [MAGIC, VERSION + 1]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        board.file.write_all_at(&foreign, 4096).unwrap();
        board.refresh();
        assert!(board.is_full());
        assert_eq!(board.foreign_version(), Some(VERSION + 1));
    }
}
