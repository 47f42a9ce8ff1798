//! Who sees a store, and when.

use std::os::unix::fs::FileExt as _;

use neap_map::FileMap;
use neap_os::env::page_size;

use crate::lab::disk_file::{Content, cached, errno_of, map_failed, span_of};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};

pub(super) const AT_ONCE: Experiment = Experiment {
    name: "store-is-read-at-once",
    chapter: Chapter::Kinds,
    question: "Does read(2) see what was stored to a shared mapping before msync?",
    method: "Map a file shared, store a byte and read the file with pread(2); write another byte with \
             pwrite(2) and load from the mapping. No msync, no fsync.",
    expectation: "Both see the new byte at once, though the page is still dirty.",
    explanation: "read(2), write(2) and a shared mapping work on the same page of the page cache: \
                  there is no second copy that could be late. What is late is the disk. The note's \
                  sentence that changed pages are not in the file before msync is true of the disk \
                  only, and matters when the machine loses power, not to another program.",
    cannot_show: "Network file systems and files opened with O_DIRECT, which go past the page cache.",
    source: "Note 03; mmap(2), msync(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/store-is-read-at-once.c"),
    rust: include_str!("../../code/store-is-read-at-once.rs"),
    run: at_once,
};

fn at_once(hand: &mut Hand) -> Result<(), Stop> {
    let file = hand.disk_file("shared", page_size() as u64, Content::Byte(b'a'))?;
    let map = FileMap::of(&file).writable().map().map_err(map_failed)?;
    hand.watch("the mapping", span_of(&map));
    hand.look("mapped");
    let io = |error: std::io::Error| failed("pread or pwrite")(errno_of(&error));
    let mut byte = [0];
    file.read_exact_at(&mut byte, 9).map_err(io)?;
    let before = byte[0];
    map.write_at(9, b"b").map_err(map_failed)?;
    file.read_exact_at(&mut byte, 9).map_err(io)?;
    let stored = byte[0];
    hand.look("stored");
    file.write_all_at(b"c", 9).map_err(io)?;
    let written: u8 = map.read(9).map_err(map_failed)?;
    hand.look("written");
    hand.expect_eq("byte that pread reads at first", 'a', char::from(before));
    hand.expect_eq("byte that pread reads after the store", 'b', char::from(stored));
    hand.expect_eq(
        "byte that is in the mapping after pwrite",
        'c',
        char::from(written),
    );
    if let Ok(counts) = cached(&file) {
        hand.figure("dirty pages that nobody has asked to be written", counts.dirty);
    }
    Ok(())
}

pub(super) const FOLLOWS: Experiment = Experiment {
    name: "private-page-follows-the-file",
    chapter: Chapter::Kinds,
    question: "Does a private mapping see what is written to the file after mmap?",
    method: "Map two pages of a file private; load from both and store to the second. Write both pages \
             of the file with pwrite(2) and load again. Read the file with pread(2).",
    expectation: "The first page shows what was written; the second keeps what it was when it was \
                  stored to, with the store. The file never shows the store.",
    explanation: "mmap(2) says that it is unspecified; Linux decides it page by page. Until the first \
                  store the page is the page cache's own, entered read-only, and follows the file, \
                  even if it was loaded from before. The store copies it, and the copy knows nothing \
                  of the file any more. So a private mapping is no snapshot.",
    cannot_show: "File systems that replace pages instead of changing them, such as network ones.",
    source: "Note 03, on MAP_PRIVATE; mmap(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/private-page-follows-the-file.c"),
    rust: include_str!("../../code/private-page-follows-the-file.rs"),
    run: follows,
};

fn follows(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let file = hand.disk_file("private", 2 * page as u64, Content::Byte(b'a'))?;
    let map = FileMap::of(&file).copy_on_write().map().map_err(map_failed)?;
    hand.watch("the mapping", span_of(&map));
    let load = |at: usize| map.read::<u8>(at).map(char::from).map_err(map_failed);
    let io = |error: std::io::Error| failed("pread or pwrite")(errno_of(&error));
    let loaded = [load(0)?, load(page)?];
    let before = hand.look("both pages are loaded from");
    map.write_at(page + 1, b"s").map_err(map_failed)?;
    let copied = hand.look("the second is stored to");
    for offset in [0, page] {
        file.write_all_at(b"bbb", offset as u64).map_err(io)?;
    }
    let follows = load(0)?;
    let keeps = [load(page)?, load(page + 1)?];
    hand.look("the file is written");
    let mut bytes = [0; 3];
    file.read_exact_at(&mut bytes, page as u64).map_err(io)?;
    hand.expect_eq(
        "bytes loaded at first",
        "aa".to_owned(),
        loaded.iter().collect::<String>(),
    );
    hand.expect_eq(
        "anonymous memory that loads make",
        0,
        before.span(0).anonymous_kb(),
    );
    hand.expect_eq(
        "anonymous memory that the store makes, in kB",
        page as u64 / 1024,
        copied.span(0).anonymous_kb(),
    );
    hand.expect_eq("the page that was only loaded from, after pwrite", 'b', follows);
    hand.expect_eq(
        "the page that was stored to, after pwrite",
        "as".to_owned(),
        keeps.iter().collect::<String>(),
    );
    hand.expect_eq(
        "the file where the store was",
        "bbb".to_owned(),
        String::from_utf8_lossy(&bytes).into_owned(),
    );
    Ok(())
}
