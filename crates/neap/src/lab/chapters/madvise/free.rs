//! FREE: pages that the kernel may take when it needs them.

use std::thread;

use neap_os::advice::{Discard, Hint};

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb};
use crate::lab::hand::{Hand, Stop, failed};

/// Pages, enough that the batches of all CPUs do not matter.
fn pages() -> usize {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    (4 * 31 * cpus).max(4096).next_multiple_of(4)
}

pub(super) const LAZILY: Experiment = Experiment {
    name: "free-is-lazy",
    chapter: Chapter::Madvise,
    question: "When do pages go that are advised FREE?",
    method: "Fill 4096 pages, advise FREE, read one page in four, write half of them, and have the kernel \
             reclaim the mapping with PAGEOUT.",
    expectation: "FREE takes nothing: LazyFree of smaps rises, reads find the old bytes. A write takes its \
                  page out of LazyFree. Reclaim takes most of the others, and they read 0; what was written \
                  stays.",
    explanation: "FREE marks pages clean and moves them to a list of their own, from which reclaim takes \
                  them without writing them anywhere. Until then they are as they were. A store makes the \
                  page dirty, and a dirty page is not taken: the advice is cancelled page by page. The \
                  marking goes through a batch of 31 pages for each CPU, so the last few may not count yet.",
    cannot_show: "When the kernel needs memory by itself: PAGEOUT stands for that here.",
    source: "Note 02, MADV_FREE; madvise(2); proc_pid_smaps(5), LazyFree; mm/swap.c, folio_mark_lazyfree.",
    since: Some((5, 4)),
    under: Under::Plain,
    c: include_str!("../../code/free-is-lazy.c"),
    rust: include_str!("../../code/free-is-lazy.rs"),
    run: lazily,
};

fn lazily(hand: &mut Hand) -> Result<(), Stop> {
    let count = pages();
    let half = count / 2;
    let ground = Ground::anonymous(count).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground
        .hint(0..count, Hint::NoHugePage)
        .map_err(failed("MADV_NOHUGEPAGE"))?;
    ground.fill(7);
    let before = hand.look("the pages are filled");
    let advised = ground.discard(0..count, Discard::Free);
    let lazy = hand.look("after FREE");
    let sample = (0..count)
        .step_by(4)
        .filter(|&page| ground.read(page) == 7)
        .count();
    for page in 0..half {
        ground.write(page, 8);
    }
    let written = hand.look("the first half is written");
    let reclaimed = ground.hint(0..count, Hint::PageOut);
    let after = hand.look("after PAGEOUT");
    let eights = (0..half).filter(|&page| ground.read(page) == 8).count();
    let zeros = (half..count).filter(|&page| ground.read(page) == 0).count();
    let (all, part) = (kb(count), kb(half));
    hand.expect_ok("madvise(MADV_FREE)", advised);
    hand.expect_eq("LazyFree before, in kB", 0, before.span(0).lazy_free_kb());
    let slack = part / 2;
    hand.expect_near(
        "LazyFree after FREE",
        all,
        lazy.span(0).lazy_free_kb(),
        slack,
        "kB",
    );
    hand.expect_eq("kB there after FREE", all, lazy.span(0).rss_kb());
    hand.expect_eq("pages of the sample that read as before", count / 4, sample);
    hand.expect_near(
        "LazyFree after the writes",
        part,
        written.span(0).lazy_free_kb(),
        slack,
        "kB",
    );
    hand.expect_ok("madvise(MADV_PAGEOUT)", reclaimed);
    hand.expect_near(
        "LazyFree after PAGEOUT",
        0,
        after.span(0).lazy_free_kb(),
        slack,
        "kB",
    );
    hand.expect_eq("written pages that kept their byte", half, eights);
    let most = zeros >= half / 2;
    hand.expect(
        "other pages that read 0",
        format!("most of {}", count - half),
        zeros,
        most,
    );
    Ok(())
}
