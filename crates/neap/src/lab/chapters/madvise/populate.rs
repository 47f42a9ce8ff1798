//! POPULATE_READ and POPULATE_WRITE: faults ahead of their time.

use neap_os::advice::{Guard, Hint};
use neap_os::errno::Errno;
use neap_os::mapping::{Prot, Sharing};

use crate::lab::disk_file::{Content, make_cold};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb};
use crate::lab::hand::{Hand, Stop, failed};

const PAGES: usize = 1024;
/// Faults that the process itself may have between two looks.
const OWN: u64 = 16;

pub(super) const ANONYMOUS: Experiment = Experiment {
    name: "populate-anonymous",
    chapter: Chapter::Madvise,
    question: "What is the difference between populating for reading and for writing?",
    method: "Populate 1024 anonymous pages for reading, read and write them; populate 1024 others for \
             writing, and write them; count faults.",
    expectation: "After POPULATE_READ the pages are there but Rss is 0; reads do not fault, writes fault \
                  once a page. After POPULATE_WRITE Rss is full, and writes do not fault.",
    explanation: "POPULATE does what touching each page would do, without changing a byte. A read of \
                  anonymous memory maps the one zero page, which is nobody's and so not in Rss; the first \
                  write must still get a page. POPULATE_WRITE gets it.",
    cannot_show: "That pages stay: nothing locks them.",
    source: "madvise(2), MADV_POPULATE_READ, MADV_POPULATE_WRITE (Linux 5.14).",
    since: Some((5, 14)),
    under: Under::Plain,
    c: include_str!("../../code/populate-anonymous.c"),
    rust: include_str!("../../code/populate-anonymous.rs"),
    run: anonymous,
};

fn anonymous(hand: &mut Hand) -> Result<(), Stop> {
    let read = Ground::anonymous(PAGES).map_err(failed("mmap"))?;
    let write = Ground::anonymous(PAGES).map_err(failed("mmap"))?;
    for ground in [&read, &write] {
        ground
            .hint(0..PAGES, Hint::NoHugePage)
            .map_err(failed("MADV_NOHUGEPAGE"))?;
    }
    hand.watch("for reading", read.span());
    hand.watch("for writing", write.span());
    hand.look("nothing is touched");
    let for_reading = read.hint(0..PAGES, Hint::PopulateRead);
    let for_writing = write.hint(0..PAGES, Hint::PopulateWrite);
    let populated = hand.look("both are populated");
    let zeros = read.count(0);
    let after_reads = hand.look("the first is read");
    write.fill(7);
    let after_writes = hand.look("the second is written");
    read.fill(7);
    let after_copies = hand.look("the first is written, too");
    hand.expect_ok("madvise(MADV_POPULATE_READ)", for_reading);
    hand.expect_ok("madvise(MADV_POPULATE_WRITE)", for_writing);
    hand.expect_eq(
        "pages there for reading",
        PAGES as u64,
        populated.span(0).present_pages(),
    );
    hand.expect_eq("Rss of these, in kB", 0, populated.span(0).rss_kb());
    hand.expect_eq("Rss of those for writing", kb(PAGES), populated.span(1).rss_kb());
    hand.expect_eq("pages that read 0", PAGES, zeros);
    let faults = |from: &crate::lab::sight::Seen, to: &crate::lab::sight::Seen| {
        to.minor_faults() - from.minor_faults()
    };
    hand.expect_near(
        "faults of the reads",
        0,
        faults(&populated, &after_reads),
        OWN,
        "faults",
    );
    hand.expect_near(
        "faults of the writes to the second",
        0,
        faults(&after_reads, &after_writes),
        OWN,
        "faults",
    );
    let copies = faults(&after_writes, &after_copies);
    hand.expect_near(
        "faults of the writes to the first",
        PAGES as u64,
        copies,
        OWN,
        "faults",
    );
    Ok(())
}

pub(super) const OF_A_FILE: Experiment = Experiment {
    name: "populate-reads-a-file",
    chapter: Chapter::Madvise,
    question: "Does POPULATE_READ wait until a file is in memory and mapped?",
    method: "Write a file of 1024 pages, drop it from the page cache, map it, populate for reading, and read \
             it.",
    expectation: "When the call returns, every page is in the cache and in the page table: the reads do not \
                  fault. The file itself is not changed.",
    explanation: "WILLNEED starts reading and fills the cache. POPULATE_READ faults every page in, so it \
                  waits for the disk and fills the page table, too: after it a read costs what memory costs.",
    cannot_show: "That the pages stay in memory: nothing locks them.",
    source: "madvise(2), MADV_POPULATE_READ (Linux 5.14).",
    since: Some((5, 14)),
    under: Under::Plain,
    c: include_str!("../../code/populate-reads-a-file.c"),
    rust: include_str!("../../code/populate-reads-a-file.rs"),
    run: of_a_file,
};

fn of_a_file(hand: &mut Hand) -> Result<(), Stop> {
    let file = hand.disk_file("file", kb(PAGES) * 1024, Content::Byte(b'a'))?;
    make_cold(&file)?;
    let ground = Ground::of_file(&file, PAGES, Sharing::Shared, Prot::READ).map_err(failed("mmap"))?;
    hand.watch("file", ground.span());
    let cold = ground.resident().map_err(failed("mincore"))?;
    hand.look("the file is mapped");
    let advised = ground.hint(0..PAGES, Hint::PopulateRead);
    let warm = ground.resident().map_err(failed("mincore"))?;
    let before = hand.look("after POPULATE_READ");
    let found = ground.count(b'a');
    let after = hand.look("after a read of every page");
    hand.figure("pages cached before", cold);
    hand.expect_ok("madvise(MADV_POPULATE_READ)", advised);
    hand.expect_eq("pages cached after", PAGES, warm);
    hand.expect_eq("kB mapped after", kb(PAGES), before.span(0).rss_kb());
    hand.expect_eq("pages that read as the file", PAGES, found);
    let faults = after.minor_faults() - before.minor_faults();
    hand.expect_near("minor faults of the reads", 0, faults, OWN, "faults");
    hand.expect_eq(
        "major faults of the reads",
        0,
        after.major_faults() - before.major_faults(),
    );
    Ok(())
}

pub(super) const REFUSED: Experiment = Experiment {
    name: "populate-says-efault",
    chapter: Chapter::Madvise,
    question: "What does populating say where a touch would be a signal?",
    method: "Populate a mapping of 4 pages of a file of 2; memory with a guard page in it; and a hole.",
    expectation: "Past the end of the file and over a guard it is EFAULT, in a hole ENOMEM; no signal, and \
                  the pages before the bad one are there.",
    explanation: "Where touching would end in SIGBUS or SIGSEGV, populating ends with an error, so it is the \
                  way to find out before. MAP_POPULATE does the same work and keeps the failure to itself.",
    cannot_show: "That a page which could be populated is still there later: the file may shrink.",
    source: "madvise(2), ERRORS, EFAULT; Linux 6.13 for guards.",
    since: Some((6, 13)),
    under: Under::Plain,
    c: include_str!("../../code/populate-says-efault.c"),
    rust: include_str!("../../code/populate-says-efault.rs"),
    run: refused,
};

fn refused(hand: &mut Hand) -> Result<(), Stop> {
    let file = hand.disk_file("file", kb(2) * 1024, Content::Byte(b'a'))?;
    let short = Ground::of_file(&file, 4, Sharing::Shared, Prot::READ).map_err(failed("mmap"))?;
    let guarded = Ground::anonymous(4).map_err(failed("mmap"))?;
    guarded
        .guard(2..3, Guard::Install)
        .map_err(failed("MADV_GUARD_INSTALL"))?;
    let mut holed = Ground::anonymous(4).map_err(failed("mmap"))?;
    hand.watch("a file too short", short.span());
    hand.watch("memory with a guard", guarded.span());
    hand.watch("memory with a hole", holed.span());
    hand.look("before populating");
    let past_the_end = short.hint(0..4, Hint::PopulateRead);
    let over_a_guard = guarded.hint(0..4, Hint::PopulateWrite);
    holed.punch(2..3).map_err(failed("munmap"))?;
    let over_a_hole = holed.hint(0..4, Hint::PopulateWrite);
    let seen = hand.look("after populating all 4 pages of each");
    hand.expect_errno("past the end of the file", Errno::EFAULT, past_the_end);
    hand.expect_errno("over a guard", Errno::EFAULT, over_a_guard);
    hand.expect_errno("over a hole", Errno::ENOMEM, over_a_hole);
    hand.expect_eq(
        "pages of the file that are there",
        2,
        seen.span(0).present_pages(),
    );
    hand.expect_eq(
        "pages before the guard that are there",
        2,
        seen.span(1).present_pages(),
    );
    Ok(())
}
