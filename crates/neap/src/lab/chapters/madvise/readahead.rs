//! NORMAL, RANDOM, SEQUENTIAL, WILLNEED: how a file is read in.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use neap_os::advice::Hint;
use neap_os::mapping::{Prot, Sharing};

use crate::lab::disk_file::{Content, make_cold};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb};
use crate::lab::hand::{Hand, Stop, cannot, failed};

/// Pages of the file.
const PAGES: usize = 4096;

pub(super) const AROUND_A_FAULT: Experiment = Experiment {
    name: "readahead-around-a-fault",
    chapter: Chapter::Madvise,
    question: "How much of a file is read when one page of its mapping is touched?",
    method: "Write a file of 4096 pages, drop it from the page cache, map it, touch its middle page, and \
             count with mincore what is cached; after NORMAL, RANDOM and SEQUENTIAL.",
    expectation: "RANDOM reads the page itself, SEQUENTIAL and NORMAL more; VmFlags says rr, sr or neither.",
    explanation: "A fault on a page that is not cached reads ahead, because one long transfer costs a disk \
                  little more than a short one. How far is the device's read_ahead_kb and the kernel's \
                  choice, so the counts are figures; only their order is expected. RANDOM sets VM_RAND_READ \
                  and the fault reads what it needs; SEQUENTIAL sets VM_SEQ_READ and reads from the fault \
                  onwards; NORMAL clears both and reads around the fault.",
    cannot_show: "Which is faster: that depends on the disk and on what is touched next.",
    source: "Note 02, conventional advice values; madvise(2); mm/filemap.c, do_sync_mmap_readahead.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/readahead-around-a-fault.c"),
    rust: include_str!("../../code/readahead-around-a-fault.rs"),
    run: around_a_fault,
};

/// Pages cached, when reading that is under way has come to its end.
fn settled(ground: &Ground) -> Result<usize, Stop> {
    let count = || ground.resident().map_err(failed("mincore"));
    let (end, mut changed) = (Instant::now() + Duration::from_secs(10), Instant::now());
    let mut pages = count()?;
    while changed.elapsed() < Duration::from_millis(150) && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
        let now = count()?;
        if now != pages {
            (pages, changed) = (now, Instant::now());
        }
    }
    Ok(pages)
}

/// The mapping of a file on a disk, of which nothing is in the page cache.
fn dropped(file: &File) -> Result<Ground, Stop> {
    let ground =
        Ground::of_file(file, PAGES, Sharing::Shared, Prot::READ).map_err(failed("mmap of a file"))?;
    let mut cached = PAGES;
    // What is being read, or waits in the batch of another CPU, cannot be dropped yet.
    for _ in 0..100 {
        make_cold(file)?;
        cached = ground.resident().map_err(failed("mincore"))?;
        if cached == 0 {
            return Ok(ground);
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(cannot(
        format!(
            "{cached} of {PAGES} pages stay cached: the folder is in memory (tmpfs), or is read by others"
        ),
        "set TMPDIR to a folder on a disk",
    ))
}

fn around_a_fault(hand: &mut Hand) -> Result<(), Stop> {
    let file = hand.disk_file("file", kb(PAGES) * 1024, Content::Byte(b'a'))?;
    let mut counts = [0; 3];
    let mut flags = [(false, false); 3];
    for (index, hint) in [Hint::Normal, Hint::Random, Hint::Sequential]
        .into_iter()
        .enumerate()
    {
        let mut ground = dropped(&file)?;
        hand.watch("file", ground.span());
        ground.hint(0..PAGES, hint).map_err(failed("madvise"))?;
        ground.read(PAGES / 2);
        counts[index] = settled(&ground)?;
        let seen = hand.look(&format!("after {hint:?} and one touch"));
        flags[index] = (seen.span(0).has_flag("rr"), seen.span(0).has_flag("sr"));
        hand.figure(&format!("pages read after {hint:?}"), counts[index]);
        ground.punch(0..PAGES).map_err(failed("munmap"))?;
    }
    let [normal, random, sequential] = counts;
    hand.expect(
        "VmFlags after NORMAL",
        "no rr, no sr",
        format!("{:?}", flags[0]),
        flags[0] == (false, false),
    );
    hand.expect(
        "VmFlags after RANDOM",
        "rr",
        format!("{:?}", flags[1]),
        flags[1] == (true, false),
    );
    hand.expect(
        "VmFlags after SEQUENTIAL",
        "sr",
        format!("{:?}", flags[2]),
        flags[2] == (false, true),
    );
    hand.expect(
        "RANDOM reads less than SEQUENTIAL",
        "less",
        format!("{random} and {sequential}"),
        random < sequential,
    );
    hand.expect(
        "RANDOM reads less than NORMAL",
        "less",
        format!("{random} and {normal}"),
        random < normal,
    );
    Ok(())
}

pub(super) const WILL_NEED: Experiment = Experiment {
    name: "willneed-reads-a-file",
    chapter: Chapter::Madvise,
    question: "Does WILLNEED read a file in before it is touched?",
    method: "Write a file of 4096 pages, drop it from the page cache, map it, advise WILLNEED, wait until \
             mincore counts no more, and touch the pages that it counts.",
    expectation: "mincore rises from 0 by many pages without a touch, and touching these is no major fault.",
    explanation: "WILLNEED starts the reading and returns; the pages enter the page cache when the disk has \
                  them. It fills the cache, not the page tables, so a touch is still a fault, but a minor \
                  one: it maps the page that is there. A major fault is one that waits for a disk. How much \
                  one call reads is bounded by the device, so a large file may take several.",
    cannot_show: "That a program gains by it: only if it has something else to do in the meantime.",
    source: "Note 02, MADV_WILLNEED; madvise(2); mm/madvise.c, madvise_willneed.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/willneed-reads-a-file.c"),
    rust: include_str!("../../code/willneed-reads-a-file.rs"),
    run: will_need,
};

fn will_need(hand: &mut Hand) -> Result<(), Stop> {
    let file = hand.disk_file("file", kb(PAGES) * 1024, Content::Byte(b'a'))?;
    let ground = dropped(&file)?;
    hand.watch("file", ground.span());
    hand.look("the file is mapped and not cached");
    let advised = ground.hint(0..PAGES, Hint::WillNeed);
    let at_once = ground.resident().map_err(failed("mincore"))?;
    let warm = settled(&ground)?;
    let before = hand.look("after WILLNEED, before any touch");
    let found = (0..warm).filter(|&page| ground.read(page) == b'a').count();
    let after = hand.look("after a touch of these pages");
    hand.expect_ok("madvise(MADV_WILLNEED)", advised);
    hand.figure("pages cached right after the call", at_once);
    hand.expect(
        "pages cached afterwards, without a touch",
        "16 at least",
        warm,
        warm >= 16,
    );
    hand.expect_eq("kB mapped before the touches", 0, before.span(0).rss_kb());
    hand.expect_eq("pages that read as the file", warm, found);
    let faults = after.major_faults() - before.major_faults();
    hand.expect_eq("major faults of the touches", 0, faults);
    hand.figure(
        "minor faults of the touches",
        after.minor_faults() - before.minor_faults(),
    );
    Ok(())
}
