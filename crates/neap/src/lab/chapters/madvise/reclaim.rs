//! COLD and PAGEOUT: which pages the kernel shall take first, or now.

use std::thread;
use std::time::{Duration, Instant};

use neap_os::advice::{Discard, Hint};
use neap_os::mapping::{Prot, Sharing};

use crate::lab::disk_file::{Content, make_cold};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb};
use crate::lab::hand::{Hand, Stop, cannot, failed};
use crate::lab::setting::Setting;

/// Pages, many more than the batches of all CPUs hold back.
const PAGES: usize = 4096;

pub(super) const COLD: Experiment = Experiment {
    name: "cold-takes-the-reference",
    chapter: Chapter::Madvise,
    question: "What does COLD do to pages that have just been used?",
    method: "Fill 4096 pages, advise COLD, and compare Referenced and Rss of smaps; then read all.",
    expectation: "Referenced falls from all to nothing and Rss stays; the bytes are as before, and reading \
                  makes the pages referenced again.",
    explanation: "The processor sets a bit in the page table entry when it uses a page. Reclaim looks at the \
                  bit to find pages that nobody uses. COLD clears it and moves the pages to the end of the \
                  list from which reclaim takes, so they go first if memory becomes short, and nothing \
                  happens if it does not.",
    cannot_show: "That these pages go before others under pressure: that needs pressure.",
    source: "madvise(2), MADV_COLD (Linux 5.4); proc_pid_smaps(5), Referenced; mm/madvise.c.",
    since: Some((5, 4)),
    under: Under::Plain,
    c: include_str!("../../code/cold-takes-the-reference.c"),
    rust: include_str!("../../code/cold-takes-the-reference.rs"),
    run: cold,
};

fn cold(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(PAGES).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground
        .hint(0..PAGES, Hint::NoHugePage)
        .map_err(failed("MADV_NOHUGEPAGE"))?;
    ground.fill(7);
    let before = hand.look("the pages are filled");
    let advised = ground.hint(0..PAGES, Hint::Cold);
    let after = hand.look("after COLD");
    let sevens = ground.count(7);
    let used = hand.look("after a read of every page");
    let all = kb(PAGES);
    hand.expect_ok("madvise(MADV_COLD)", advised);
    hand.expect_near(
        "Referenced before",
        all,
        before.span(0).referenced_kb(),
        all / 8,
        "kB",
    );
    hand.expect_near(
        "Referenced after",
        0,
        after.span(0).referenced_kb(),
        all / 8,
        "kB",
    );
    hand.expect_eq("kB there after", all, after.span(0).rss_kb());
    hand.expect_eq("pages that read as before", PAGES, sevens);
    hand.expect_near(
        "Referenced after the reads",
        all,
        used.span(0).referenced_kb(),
        all / 8,
        "kB",
    );
    Ok(())
}

pub(super) const FILE_OUT: Experiment = Experiment {
    name: "pageout-drops-a-file",
    chapter: Chapter::Madvise,
    question: "Does PAGEOUT take a file out of the page cache?",
    method: "Write a file of 4096 pages to disk, map and read it, advise PAGEOUT, and ask mincore; read it \
             again.",
    expectation: "Most pages leave the cache at once; the next reads bring them back from the disk.",
    explanation: "PAGEOUT reclaims the pages of the range now. Clean pages of a file are on disk already, so \
                  they are just freed. The kernel does so only for files that the caller owns or may write, \
                  lest one process learn what another reads; and it leaves pages that others have mapped, \
                  too. Pages in the batch of another CPU are not reached.",
    cannot_show: "Dirty pages: they are written first, and may stay.",
    source: "madvise(2), MADV_PAGEOUT (Linux 5.4); mm/madvise.c, can_do_file_pageout.",
    since: Some((5, 4)),
    under: Under::Plain,
    c: include_str!("../../code/pageout-drops-a-file.c"),
    rust: include_str!("../../code/pageout-drops-a-file.rs"),
    run: file_out,
};

fn file_out(hand: &mut Hand) -> Result<(), Stop> {
    let file = hand.disk_file("file", kb(PAGES) * 1024, Content::Byte(b'a'))?;
    make_cold(&file)?;
    let ground = Ground::of_file(&file, PAGES, Sharing::Shared, Prot::READ).map_err(failed("mmap"))?;
    hand.watch("file", ground.span());
    let full = ground.count(b'a');
    let before = ground.resident().map_err(failed("mincore"))?;
    hand.look("the file is mapped and read");
    let advised = ground.hint(0..PAGES, Hint::PageOut);
    let after = ground.resident().map_err(failed("mincore"))?;
    let seen = hand.look("after PAGEOUT");
    let again = ground.count(b'a');
    let end = hand.look("after a read of every page");
    hand.expect_ok("madvise(MADV_PAGEOUT)", advised);
    hand.expect_eq("pages that read a at first", PAGES, full);
    hand.expect_eq("pages in the cache before", PAGES, before);
    let most = after <= PAGES / 4;
    hand.expect("pages in the cache after", "at most a quarter", after, most);
    let unmapped = seen.span(0).rss_kb() <= kb(PAGES / 4);
    hand.expect(
        "kB mapped after",
        "at most a quarter",
        seen.span(0).rss_kb(),
        unmapped,
    );
    hand.expect_eq("pages that read a again", PAGES, again);
    hand.figure(
        "major faults of reading them again",
        end.major_faults() - seen.major_faults(),
    );
    Ok(())
}

pub(super) const WITHOUT_SWAP: Experiment = Experiment {
    name: "pageout-without-swap",
    chapter: Chapter::Madvise,
    question: "What does PAGEOUT do to anonymous memory on a machine without swap?",
    method: "Fill 4096 pages, advise PAGEOUT, look and read.",
    expectation: "The call succeeds, and nothing changes: all pages stay.",
    explanation: "Bytes that are nowhere else must be written somewhere before their page can be freed. \
                  Without swap there is no such place, so reclaim passes anonymous pages over. The advice is \
                  not refused: advice may be followed or not.",
    cannot_show: "What PAGEOUT does with swap: see pageout-to-swap.",
    source: "madvise(2), MADV_PAGEOUT; mm/vmscan.c, can_reclaim_anon_pages.",
    since: Some((5, 4)),
    under: Under::Plain,
    c: include_str!("../../code/pageout-without-swap.c"),
    rust: include_str!("../../code/pageout-without-swap.rs"),
    run: without_swap,
};

/// Whether any swap is on.
fn has_swap() -> bool {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1)
}

fn without_swap(hand: &mut Hand) -> Result<(), Stop> {
    if has_swap() {
        return Err(cannot(
            "this machine has swap",
            "swapoff -a, for the time of this experiment",
        ));
    }
    let ground = Ground::anonymous(PAGES).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    let before = hand.look("the pages are filled");
    let advised = ground.hint(0..PAGES, Hint::PageOut);
    let after = hand.look("after PAGEOUT");
    if has_swap() {
        return Err(cannot("swap was turned on meanwhile", "run it again"));
    }
    hand.expect_ok("madvise(MADV_PAGEOUT)", advised);
    hand.expect_eq("kB there before", kb(PAGES), before.span(0).rss_kb());
    hand.expect_eq("kB there after", kb(PAGES), after.span(0).rss_kb());
    hand.expect_eq("pages that read as before", PAGES, ground.count(7));
    Ok(())
}

pub(super) const TO_SWAP: Experiment = Experiment {
    name: "pageout-to-swap",
    chapter: Chapter::Madvise,
    question: "Where do anonymous pages go when there is swap, and how do they come back?",
    method: "Turn on swap on compressed memory (zram), fill 4096 pages, advise PAGEOUT; read a quarter; \
             advise WILLNEED for the second quarter, and DONTNEED for the last half.",
    expectation: "PAGEOUT moves nearly all to swap: Rss falls, Swap rises. Reads bring the bytes back one \
                  fault at a time, WILLNEED without a fault; DONTNEED frees the swap without reading it.",
    explanation: "A page in swap leaves an entry in the page table that says where it is; pagemap shows it \
                  as bit 62. A touch reads it back. WILLNEED reads it into the swap cache ahead of the \
                  touch. DONTNEED removes the entry, and the slot is free: a page that is not needed is not \
                  read either.",
    cannot_show: "The speed of a disk: zram is memory, compressed.",
    source: "madvise(2), MADV_PAGEOUT, MADV_WILLNEED; Documentation/admin-guide/blockdev/zram.rst.",
    since: Some((5, 4)),
    under: Under::Plain,
    c: include_str!("../../code/pageout-to-swap.c"),
    rust: include_str!("../../code/pageout-to-swap.rs"),
    run: to_swap,
};

fn to_swap(hand: &mut Hand) -> Result<(), Stop> {
    hand.change(Setting::ZramSwap, "256M")?;
    let ground = Ground::anonymous(PAGES).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground
        .hint(0..PAGES, Hint::NoHugePage)
        .map_err(failed("MADV_NOHUGEPAGE"))?;
    ground.fill(7);
    hand.look("the pages are filled");
    let advised = ground.hint(0..PAGES, Hint::PageOut);
    let out = hand.look("after PAGEOUT");
    let (quarter, half) = (PAGES / 4, PAGES / 2);
    let first = (0..quarter).filter(|&page| ground.read(page) == 7).count();
    let read = hand.look("after a read of the first quarter");
    let wanted = ground.hint(quarter..half, Hint::WillNeed);
    let end = Instant::now() + Duration::from_secs(5);
    let in_memory = || neap_os::residency::residency(ground.pages(quarter..half), &mut vec![0; quarter]);
    while in_memory().map_err(failed("mincore"))? < quarter * 9 / 10 && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    let ready = in_memory().map_err(failed("mincore"))?;
    let ahead = hand.look("after WILLNEED for the second quarter");
    let second = (quarter..half).filter(|&page| ground.read(page) == 7).count();
    let touched = hand.look("after a read of the second quarter");
    let dropped = ground.discard(half..PAGES, Discard::DontNeed);
    let last = hand.look("after DONTNEED of the last half");
    let zeros = (half..PAGES).filter(|&page| ground.read(page) == 0).count();
    let all = kb(PAGES);
    hand.expect_ok("madvise(MADV_PAGEOUT)", advised);
    hand.expect_near("Swap after PAGEOUT", all, out.span(0).swap_kb(), all / 4, "kB");
    hand.expect_near("Rss after PAGEOUT", 0, out.span(0).rss_kb(), all / 4, "kB");
    hand.expect_eq("pages of the first quarter that read as before", quarter, first);
    let back = read.span(0).rss_kb() >= kb(quarter);
    hand.expect(
        "Rss then, in kB",
        format!("at least {}", kb(quarter)),
        read.span(0).rss_kb(),
        back,
    );
    hand.expect_ok("madvise(MADV_WILLNEED)", wanted);
    let most = ready >= quarter * 9 / 10;
    hand.expect(
        "pages of the second quarter in memory before a touch",
        "nearly all",
        ready,
        most,
    );
    hand.expect_eq("pages of it that read as before", quarter, second);
    hand.figure(
        "major faults of these reads",
        touched.major_faults() - ahead.major_faults(),
    );
    hand.expect_ok("madvise(MADV_DONTNEED)", dropped);
    hand.expect_near("Swap at the end", 0, last.span(0).swap_kb(), all / 16, "kB");
    hand.expect_eq("pages of the last half that read 0", half, zeros);
    Ok(())
}
