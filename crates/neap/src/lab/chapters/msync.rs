//! msync: when the disk gets what was stored.

use std::fs::File;

use neap_map::{Anon, FileMap, Map, view::VolatileMut};
use neap_os::env::page_size;
use neap_os::sync::{Others, Writeback, sync};
use neap_os::unit::Span;

use crate::lab::disk_file::{Content, cached, map_failed, span_of};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot, failed};
use crate::lab::offspring::{End, Turn};

mod refusal;

pub(super) const ALL: &[&Experiment] = &[
    &ASYNC,
    &SYNC,
    &UNMAP,
    &OTHERS,
    &refusal::REFUSES,
    &refusal::INVALIDATE,
];

/// Pages of the file.
const PAGES: usize = 1024;
/// How often a round is repeated in which the kernel wrote pages by itself.
const ROUNDS: usize = 5;

/// A file of which every page is dirty.
struct Dirty {
    file: File,
    map: Map<VolatileMut>,
}

impl Dirty {
    fn new(hand: &mut Hand, name: &str) -> Result<Dirty, Stop> {
        let file = hand.disk_file(name, (PAGES * page_size()) as u64, Content::Hole)?;
        let map = FileMap::of(&file).writable().map().map_err(map_failed)?;
        map.fill(.., b'd').map_err(map_failed)?;
        if cached(&file)?.cached == 0 {
            return Err(cannot(
                "cachestat does not tell of this file system's files",
                "TMPDIR=DIR on a disk with ext4, xfs or btrfs",
            ));
        }
        Ok(Dirty { file, map })
    }

    fn span(&self) -> Span {
        span_of(&self.map)
    }

    /// Pages that the disk does not have yet.
    fn pages(&self) -> Result<u64, Stop> {
        dirty(&self.file)
    }
}

fn dirty(file: &File) -> Result<u64, Stop> {
    cached(file).map(|counts| counts.dirty)
}

const SOURCE: &str = "Note 03; msync(2), cachestat(2), mm/msync.c of Linux.";

const ASYNC: Experiment = Experiment {
    name: "msync-async-leaves-dirty",
    chapter: Chapter::Msync,
    question: "What does msync with MS_ASYNC write?",
    method: "Store to 1024 pages of a shared mapping of a new file; count the dirty pages with \
             cachestat(2), call msync with MS_ASYNC on all, count again. Up to five times, on a new \
             file each, until the kernel has not written pages by itself meanwhile.",
    expectation: "1024 pages are dirty before and after: nothing is written or begun.",
    explanation: "Since Linux 2.6.19 the kernel knows of every page that was stored to, by the fault \
                  that the first store to a clean page takes, and writes it when it is some thirty \
                  seconds old or memory is short. MS_ASYNC asks for no more than that, so it does \
                  nothing but check its arguments. Who wants writing to begin calls \
                  sync_file_range(2).",
    cannot_show: "When the kernel writes them.",
    source: SOURCE,
    since: Some((6, 5)),
    under: Under::Plain,
    c: include_str!("../code/msync-async-leaves-dirty.c"),
    rust: include_str!("../code/msync-async-leaves-dirty.rs"),
    run: |hand| {
        let mut round = 0;
        let (before, answer, after) = loop {
            round += 1;
            let file = Dirty::new(hand, &format!("dirty-{round}"))?;
            hand.watch("the mapping", file.span());
            hand.look("every page is stored to");
            let before = file.pages()?;
            let answer = sync(file.span(), Writeback::Later, Others::Keep);
            let after = file.pages()?;
            hand.look("after msync with MS_ASYNC");
            if (before, after) == (PAGES as u64, PAGES as u64) || round == ROUNDS {
                break (before, answer, after);
            }
        };
        hand.figure("rounds", round);
        hand.expect_ok("msync with MS_ASYNC", answer);
        hand.expect_eq("dirty pages before", PAGES as u64, before);
        hand.expect_eq("dirty pages after", PAGES as u64, after);
        Ok(())
    },
};

const SYNC: Experiment = Experiment {
    name: "msync-sync-writes",
    chapter: Chapter::Msync,
    question: "Does msync with MS_SYNC write the range or the file?",
    method: "As msync-async-leaves-dirty, with MS_SYNC on the first half, then on all.",
    expectation: "512 pages are dirty after the first call, none after the second.",
    explanation: "MS_SYNC has the file system write the dirty pages of the range, and wait until the \
                  device says that they are stored (vfs_fsync_range). Pages of the file outside the \
                  range stay dirty, unless the file system must write them for its own order.",
    cannot_show: "Whether the device keeps what it says is stored.",
    source: SOURCE,
    since: Some((6, 5)),
    under: Under::Plain,
    c: include_str!("../code/msync-sync-writes.c"),
    rust: include_str!("../code/msync-sync-writes.rs"),
    run: |hand| {
        let mut round = 0;
        let (answers, half, none) = loop {
            round += 1;
            let file = Dirty::new(hand, &format!("dirty-{round}"))?;
            hand.watch("the mapping", file.span());
            hand.look("every page is stored to");
            let all = file.span();
            let first = Span::new(all.base(), all.len() / 2).unwrap_or(all);
            let of_half = sync(first, Writeback::Wait, Others::Keep);
            let half = file.pages()?;
            let of_all = sync(all, Writeback::Wait, Others::Keep);
            let none = file.pages()?;
            hand.look("after both calls");
            if half == PAGES as u64 / 2 || round == ROUNDS {
                break ([of_half, of_all], half, none);
            }
        };
        hand.figure("rounds", round);
        let [of_half, of_all] = answers;
        hand.expect_ok("msync with MS_SYNC of half", of_half);
        hand.expect_eq("dirty pages then", PAGES as u64 / 2, half);
        hand.expect_ok("msync with MS_SYNC of all", of_all);
        hand.expect_eq("dirty pages then", 0, none);
        Ok(())
    },
};

const UNMAP: Experiment = Experiment {
    name: "munmap-leaves-dirty",
    chapter: Chapter::Msync,
    question: "Does munmap write what was stored to a file, or lose it?",
    method: "Store to 1024 pages of a shared mapping of a new file, unmap it, count the dirty pages \
             with cachestat(2) and read the file. Up to five times, as msync-async-leaves-dirty.",
    expectation: "Neither: 1024 pages are still dirty, and read(2) sees every store.",
    explanation: "The pages are the page cache's. munmap takes them out of the process's table and \
                  marks dirty in the cache what the processor marked dirty in the table; the kernel \
                  writes them when it does. Nothing is lost when the process ends, either, only when \
                  the machine does.",
    cannot_show: "A crash of the machine.",
    source: SOURCE,
    since: Some((6, 5)),
    under: Under::Plain,
    c: include_str!("../code/munmap-leaves-dirty.c"),
    rust: include_str!("../code/munmap-leaves-dirty.rs"),
    run: |hand| {
        let mut round = 0;
        let (left, file) = loop {
            round += 1;
            let Dirty { file, map } = Dirty::new(hand, &format!("dirty-{round}"))?;
            hand.watch("the mapping", span_of(&map));
            hand.look("every page is stored to");
            map.unmap().map_err(|refused| map_failed(refused.error()))?;
            let left = dirty(&file)?;
            hand.look("unmapped");
            if left == PAGES as u64 || round == ROUNDS {
                break (left, file);
            }
        };
        hand.figure("rounds", round);
        hand.expect_eq("dirty pages after munmap", PAGES as u64, left);
        let bytes = read(&file)?;
        let seen = bytes.iter().filter(|&&byte| byte == b'd').count();
        hand.expect_eq("bytes of the file that are as stored", PAGES * page_size(), seen);
        Ok(())
    },
};

fn read(mut file: &File) -> Result<Vec<u8>, Stop> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|error| failed("read")(crate::lab::disk_file::errno_of(&error)))?;
    Ok(bytes)
}

const OTHERS: Experiment = Experiment {
    name: "others-need-no-msync",
    chapter: Chapter::Msync,
    question: "Must a process call msync before another one sees its stores?",
    method: "Two processes map the same file shared, each by an open of its own. One stores, the other \
             loads, and the other way round. Nobody calls msync.",
    expectation: "Each sees the other's store, and the page is still dirty.",
    explanation: "Both page tables point to one page of the page cache, so a store is seen as fast as \
                  between two threads. msync is about the disk, and MS_INVALIDATE about systems whose \
                  mappings had copies: on Linux there are none to invalidate. Between two processes \
                  one needs what one needs between threads: atomics or a lock.",
    cannot_show: "Network file systems, whose other machines have page caches of their own.",
    source: "Note 03; msync(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/others-need-no-msync.c"),
    rust: include_str!("../code/others-need-no-msync.rs"),
    run: others,
};

fn others(hand: &mut Hand) -> Result<(), Stop> {
    let file = hand.disk_file("both", page_size() as u64, Content::Hole)?;
    let path = hand.scratch().join("both");
    let answer = Anon::shared(page_size()).map().map_err(map_failed)?;
    let child = |turn: &Turn| {
        let open = || {
            let file = File::options().read(true).write(true).open(&path).ok()?;
            FileMap::of(&file).writable().map().ok()
        };
        let Some(map) = open() else { return 1 };
        if !turn.take() {
            return 2;
        }
        let seen: u8 = map.read(0).unwrap_or(0);
        let told = answer.write_at(0, &[seen]).and_then(|()| map.write_at(1, b"y"));
        turn.give();
        u8::from(told.is_err())
    };
    let (end, seen) = hand.beside(child, |hand, turn| {
        let map = FileMap::of(&file).writable().map()?;
        hand.watch("the mapping", span_of(&map));
        hand.look("mapped");
        map.write_at(0, b"x")?;
        turn.pass();
        let seen = [answer.read::<u8>(0)?, map.read::<u8>(1)?];
        hand.look("both have stored");
        Ok(seen)
    })?;
    let [by_child, by_parent] = seen.map_err(map_failed)?;
    hand.expect_eq("the other process", End::Exited(0), end);
    hand.expect_eq("what it saw", 'x', char::from(by_child));
    hand.expect_eq("what this one saw of its store", 'y', char::from(by_parent));
    if let Ok(left) = dirty(&file) {
        hand.figure("dirty pages meanwhile", left);
    }
    Ok(())
}
