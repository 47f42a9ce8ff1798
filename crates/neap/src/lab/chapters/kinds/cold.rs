//! What the page cache has to do with a mapping: cold and warm.

use std::fs::File;

use neap_map::FileMap;
use neap_os::env::page_size;
use neap_os::residency::residency;
use neap_os::unit::Span;

use crate::lab::disk_file::{Content, make_cold, map_failed, span_of};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot, failed};

/// Bytes of the file.
const LEN: u64 = 64 << 20;
const LEN_KB: u64 = LEN >> 10;

const SOURCE: &str = "Note 04; mincore(2), posix_fadvise(2), getrusage(2) on major faults.";

pub(super) const SHARED: Experiment = Experiment {
    name: "cold-and-warm-shared",
    chapter: Chapter::Kinds,
    question: "When does writing to a shared mapping of a file make buff/cache rise?",
    method: "Have the page cache forget a file of 64 MiB, map it shared and write a byte to every \
             page; unmap and do it again. Ask mincore how much of the file is in memory before and \
             after.",
    expectation: "Cold: nothing of the file is there before, all of it after, and some faults are \
                  major. Warm: all is there before and no fault is major. Both times RssFile rises by \
                  the whole.",
    explanation: "A store to a page that is not in the cache first reads it from the disk: that is a \
                  major fault, and what free(1) shows as a rise of buff/cache. Read-ahead brings \
                  neighbours in, so that there are fewer major faults than pages. Of a warm file the \
                  fault only enters the page that is there into the process's table.",
    cannot_show: "How long the disk takes; nor a device that does its own caching.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/cold-and-warm-shared.c"),
    rust: include_str!("../../code/cold-and-warm-shared.rs"),
    run: shared,
};

pub(super) const PRIVATE: Experiment = Experiment {
    name: "cold-and-warm-private",
    chapter: Chapter::Kinds,
    question: "What does writing to a private mapping of a cold file cost?",
    method: "As cold-and-warm-shared, mapped MAP_PRIVATE.",
    expectation: "Cold: the cache has the whole file afterwards and RssAnon has risen by the whole: \
                  both. Warm: RssAnon rises by the whole, and no fault is major.",
    explanation: "To copy a page the kernel must have it: the file is read into the page cache, where \
                  it stays, and each page is copied into anonymous memory. So 64 MiB cost 128 until \
                  the cache lets go of its part, which it can without writing, as nothing there has \
                  changed.",
    cannot_show: "When the cache lets go: that is when memory is short.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/cold-and-warm-private.c"),
    rust: include_str!("../../code/cold-and-warm-private.rs"),
    run: private,
};

/// What one pass over the mapping did.
struct Pass {
    cached_before_kb: u64,
    cached_after_kb: u64,
    major_faults: u64,
    anon_kb: u64,
    file_kb: u64,
}

/// Maps by `map`, writes to every page, unmaps.
fn pass<M>(
    hand: &mut Hand,
    label: &str,
    map: impl FnOnce() -> Result<(Span, M), neap_map::Error>,
    write: impl FnOnce(&M) -> Result<(), neap_map::Error>,
) -> Result<Pass, Stop> {
    let (span, map) = map().map_err(map_failed)?;
    hand.watch("the mapping", span);
    let cached_before_kb = cached_kb(span)?;
    let before = hand.look(&format!("{label}: mapped"));
    write(&map).map_err(map_failed)?;
    let after = hand.look(&format!("{label}: every page is written"));
    Ok(Pass {
        cached_before_kb,
        cached_after_kb: cached_kb(span)?,
        major_faults: after.major_faults() - before.major_faults(),
        anon_kb: after.rss_anon_kb().saturating_sub(before.rss_anon_kb()),
        file_kb: after.rss_file_kb().saturating_sub(before.rss_file_kb()),
    })
}

/// How much of a mapping of a file is in the page cache.
fn cached_kb(span: Span) -> Result<u64, Stop> {
    let mut pages = vec![0; span.len().div_ceil(page_size())];
    let resident = residency(span, &mut pages).map_err(failed("mincore"))?;
    Ok((resident * page_size()) as u64 / 1024)
}

/// A file that is on the disk and not in the cache.
fn cold_file(hand: &Hand) -> Result<File, Stop> {
    let file = hand.disk_file("cold", LEN, Content::Byte(b'f'))?;
    make_cold(&file)?;
    Ok(file)
}

/// Refuses where the file system, or what is between it and the disk, keeps the pages anyway.
fn is_cold(pass: &Pass) -> Result<(), Stop> {
    if pass.cached_before_kb * 10 > LEN_KB {
        return Err(cannot(
            "this file system keeps the pages that it was told to let go",
            "TMPDIR=DIR on a disk with ext4, xfs or btrfs",
        ));
    }
    Ok(())
}

fn each_page(mut store: impl FnMut(usize) -> Result<(), neap_map::Error>) -> Result<(), neap_map::Error> {
    let len = usize::try_from(LEN).unwrap_or(0);
    (0..len).step_by(page_size()).try_for_each(&mut store)
}

fn compare(hand: &mut Hand, cold: &Pass, warm: &Pass) {
    let slack = LEN_KB / 10;
    hand.expect_near(
        "of the file in memory, cold",
        0,
        cold.cached_before_kb,
        slack,
        "kB",
    );
    hand.expect_near("the same afterwards", LEN_KB, cold.cached_after_kb, slack, "kB");
    hand.expect(
        "major faults, cold",
        "some",
        cold.major_faults,
        cold.major_faults > 0,
    );
    hand.expect_near(
        "of the file in memory, warm",
        LEN_KB,
        warm.cached_before_kb,
        slack,
        "kB",
    );
    hand.expect(
        "major faults, warm",
        "none, or far fewer",
        warm.major_faults,
        warm.major_faults * 10 < cold.major_faults.max(10),
    );
}

fn shared(hand: &mut Hand) -> Result<(), Stop> {
    let file = cold_file(hand)?;
    let map = || {
        let map = FileMap::of(&file).writable().map()?;
        Ok((span_of(&map), map))
    };
    let cold = pass(hand, "cold", map, |map| each_page(|at| map.write_at(at, b"c")))?;
    is_cold(&cold)?;
    let warm = pass(hand, "warm", map, |map| each_page(|at| map.write_at(at, b"d")))?;
    compare(hand, &cold, &warm);
    for (when, pass) in [("cold", &cold), ("warm", &warm)] {
        hand.expect_near(
            &format!("rise of RssFile, {when}"),
            LEN_KB,
            pass.file_kb,
            4096,
            "kB",
        );
        hand.expect_near(&format!("rise of RssAnon, {when}"), 0, pass.anon_kb, 4096, "kB");
    }
    Ok(())
}

fn private(hand: &mut Hand) -> Result<(), Stop> {
    let file = cold_file(hand)?;
    let map = || {
        let map = FileMap::of(&file).copy_on_write().map()?;
        Ok((span_of(&map), map))
    };
    let cold = pass(hand, "cold", map, |map| each_page(|at| map.write_at(at, b"c")))?;
    is_cold(&cold)?;
    let warm = pass(hand, "warm", map, |map| each_page(|at| map.write_at(at, b"d")))?;
    compare(hand, &cold, &warm);
    for (when, pass) in [("cold", &cold), ("warm", &warm)] {
        hand.expect_near(
            &format!("rise of RssAnon, {when}"),
            LEN_KB,
            pass.anon_kb,
            4096,
            "kB",
        );
        hand.expect_near(&format!("rise of RssFile, {when}"), 0, pass.file_kb, 4096, "kB");
    }
    Ok(())
}
