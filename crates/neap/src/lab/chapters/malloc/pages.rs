//! The pages of blocks: when they come, and what holes among them keep.
#![allow(unsafe_code, reason = "madvise of a block's pages by hand")]

use neap_os::advice::{Discard, discard};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::unit::Span;

use super::{KIB, MIB, hex, risen};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};
use crate::lab::malloc::{Block, Malloc, Parameter, program_break, small_pages_only, trim, tune};

/// Note 00: 190 pages.
pub(super) const MADVISE: Experiment = Experiment {
    name: "malloc-madvise-1-of-4-mib",
    chapter: Chapter::Malloc,
    question: "Why do 1 MiB given back by madvise look like 760 KiB in the note?",
    method: "malloc 4 MiB, write to all, madvise(MADV_DONTNEED) 1 MiB from the next page's start, and look \
             at statm and at smaps, with transparent huge pages off for this process.",
    expectation: "glibc maps 4100 KiB. smaps tells 1 MiB less on every kernel. statm tells 256 pages less: \
                  exactly from Linux 6.18 on, on 6.2 to 6.17 as exactly as counters per processor allow, \
                  before that at most 66 pages too few.",
    explanation: "4100 K are 4096 K and a header of 16 bytes, rounded up. madvise gives back exactly 256 \
                  pages. But up to Linux 6.1 each thread counted its faults in a cache of its own, added \
                  to the process's numbers only after 64 events: when the note looked, up to 66 pages had \
                  not been added yet, and 256 - 66 = 190 pages are the note's 760 KiB. Linux 6.2 counts \
                  per processor instead, and newer kernels, 6.18 among them, add these up for whoever \
                  reads. It has nothing to do with huge pages. smaps walks the page tables and was always \
                  exact.",
    cannot_show: "The old counters, unless it runs on an old kernel.",
    source: "Note 00, madvise; madvise(2); proc_pid_statm(5), which calls its numbers inaccurate; \
             include/linux/mm.h.",
    since: None,
    under: Under::Both,
    c: include_str!("../../code/malloc-madvise-1-of-4-mib.c"),
    rust: include_str!("../../code/malloc-madvise-1-of-4-mib.rs"),
    run: madvise,
};

fn span_of(block: &Block, from: usize, len: usize) -> Result<Span, Stop> {
    Span::new(block.address() + from, len).ok_or_else(|| failed("a span")(Errno::EINVAL))
}

fn madvise(hand: &mut Hand) -> Result<(), Stop> {
    let malloc = hand.malloc()?;
    small_pages_only()?;
    trim(0);
    let before = hand.look("before malloc");
    let block = Block::get(4 * MIB)?;
    let mapped = hand.look("malloc of 4 MiB");
    block.touch();
    hand.watch("the block", span_of(&block, 0, 4 * MIB)?);
    let full = hand.look("all of it is written");
    let to_page = block.address().next_multiple_of(page_size()) - block.address();
    // SAFETY: the pages are whole and inside the block, and their content is not needed.
    let dropped = unsafe { discard(span_of(&block, to_page, MIB)?, Discard::DontNeed) };
    let after = hand.look("1 MiB of it is given back by madvise");
    hand.expect_ok("madvise", dropped);
    let page = page_size() as u64;
    let pages = MIB as u64 / page;
    let by_cpu = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    let slack = match () {
        () if hand.has_kernel(6, 18) => 0,
        () if hand.has_kernel(6, 2) => by_cpu * (2 * by_cpu).max(32),
        () => 66,
    };
    if malloc == Malloc::Glibc {
        let expected = (4 * MIB + 16).next_multiple_of(page_size()) as u64 / 1024;
        hand.expect_eq(
            "kB of addresses for 4 MiB",
            expected,
            mapped.size_kb() - before.size_kb(),
        );
    } else {
        hand.figure("kB of addresses for 4 MiB", mapped.size_kb() - before.size_kb());
    }
    hand.figure("bytes that can be used of 4 MiB", block.usable());
    let in_smaps = full.span(0).rss_kb() - after.span(0).rss_kb();
    hand.expect_eq("kB less in smaps", MIB as u64 / 1024, in_smaps);
    let in_statm = full.resident_pages().saturating_sub(after.resident_pages());
    hand.expect_near("pages less in statm", pages, in_statm, slack, "pages");
    Ok(())
}

/// Note 01: what malloc gives is not memory yet.
pub(super) const FIRST_TOUCH: Experiment = Experiment {
    name: "malloc-first-touch",
    chapter: Chapter::Malloc,
    question: "When does a block become memory, and are its faults minor or major?",
    method: "malloc 4 MiB, write to every page, write to every page again, and count faults in between, \
             with transparent huge pages off for this process.",
    expectation: "malloc brings hardly any pages; the first writes bring one minor fault for each page, \
                  the second none; there is no major fault.",
    explanation: "malloc gets addresses; the kernel finds a page for each when it is first accessed. The \
                  processor faults, the kernel takes a free page, clears it and enters it in the page \
                  table. That is a minor fault: a major one has to read from storage, as for a page of a \
                  file that is not in memory or that is in swap, and a new anonymous page has nothing to \
                  read.",
    cannot_show: "Memory that was used before and was not given back: free and malloc again bring no \
                  faults there.",
    source: "Note 01, major and minor faults; getrusage(2); proc_pid_stat(5).",
    since: None,
    under: Under::Both,
    c: include_str!("../../code/malloc-first-touch.c"),
    rust: include_str!("../../code/malloc-first-touch.rs"),
    run: first_touch,
};

fn first_touch(hand: &mut Hand) -> Result<(), Stop> {
    // Faults that are not the block's: code that runs for the first time.
    const OTHERS: u64 = 64;
    hand.malloc()?;
    small_pages_only()?;
    // The code of what follows is in memory afterwards.
    Block::get(8 * KIB)?.touch();
    let before = hand.look("before malloc");
    let block = Block::get(4 * MIB)?;
    let given = hand.look("malloc of 4 MiB");
    block.touch();
    let first = hand.look("all pages are written");
    block.touch();
    let second = hand.look("all pages are written again");
    let pages = (4 * MIB / page_size()) as u64;
    let faults = |one: u64, other: u64| other - one;
    let by_malloc = faults(before.minor_faults(), given.minor_faults());
    let by_first = faults(given.minor_faults(), first.minor_faults());
    let by_second = faults(first.minor_faults(), second.minor_faults());
    hand.expect_near("minor faults by malloc", 0, by_malloc, OTHERS, "faults");
    hand.expect_near(
        "minor faults by the first writes",
        pages,
        by_first,
        OTHERS,
        "faults",
    );
    hand.expect_near(
        "minor faults by the second writes",
        0,
        by_second,
        OTHERS,
        "faults",
    );
    let major = faults(given.major_faults(), second.major_faults());
    hand.expect_eq("major faults by both", 0, major);
    let came = first.rss_kb().saturating_sub(given.rss_kb());
    hand.expect_near("kB in memory by the first writes", 4096, came, OTHERS * 4, "kB");
    Ok(())
}

/// Note 01: why brk keeps and mmap gives back.
pub(super) const HOLES: Experiment = Experiment {
    name: "malloc-holes",
    chapter: Chapter::Malloc,
    question: "What do freed blocks between live ones give back, from the heap and from mappings?",
    method: "malloc 64 blocks of 100 KiB and write to them; free every other, the last one stays; look; \
             malloc_trim(0), look. Then set M_MMAP_THRESHOLD to 64 KiB and do the same.",
    expectation: "glibc: from the heap free gives back nothing and the break stays; malloc_trim gives back \
                  nine tenths of the holes at least. neap: the same after malloc_trim, and soon without \
                  it. From mappings each free gives back its block at once, memory and addresses, with \
                  both.",
    explanation: "The heap ends at one number, the break, and the live block at its end holds all below \
                  it. A mapping stands for itself: munmap takes it whenever it is free. malloc_trim looks \
                  for whole pages inside the free chunks and drops them by madvise(MADV_DONTNEED), which \
                  needs no lower break; glibc does that only when asked. neap drops such pages by itself \
                  after some tens of milliseconds, see the chapter giving-back.",
    cannot_show: "The price of a mapping for each block: a system call and a fault for each page, every \
                  time.",
    source: "Note 01, why not mmap for all; malloc_trim(3), notes on glibc 2.8; malloc/malloc.c of glibc, \
             mtrim.",
    since: None,
    under: Under::Both,
    c: include_str!("../../code/malloc-holes.c"),
    rust: include_str!("../../code/malloc-holes.rs"),
    run: holes,
};

const BLOCKS: usize = 64;
const EACH: usize = 100 * KIB;

/// kB in memory (not of files: code that runs for the first time adds to those) and of addresses, and the
/// break's rise: with all blocks, with half freed, and trimmed.
struct Course {
    rss_kb: [u64; 3],
    size_kb: [u64; 3],
    risen: [isize; 3],
}

fn course(hand: &mut Hand, of: &str) -> Result<Course, Stop> {
    let start = program_break();
    let mut blocks = [const { None }; BLOCKS];
    for block in &mut blocks {
        let got = Block::get(EACH)?;
        got.touch();
        *block = Some(got);
    }
    let mut moved = [risen(start), 0, 0];
    let full = hand.look(of);
    blocks.iter_mut().step_by(2).for_each(|block| *block = None);
    moved[1] = risen(start);
    let holes = hand.look("every other is freed");
    trim(0);
    moved[2] = risen(start);
    let trimmed = hand.look("malloc_trim(0)");
    drop(blocks);
    let all = [full, holes, trimmed];
    Ok(Course {
        rss_kb: all.map(|seen| seen.rss_anon_kb()),
        size_kb: all.map(|seen| seen.size_kb()),
        risen: moved,
    })
}

fn holes(hand: &mut Hand) -> Result<(), Stop> {
    let malloc = hand.malloc()?;
    small_pages_only()?;
    trim(0);
    let heap = course(hand, "64 blocks from the heap")?;
    trim(0);
    let is_set = tune(Parameter::MmapThreshold, 64 << 10);
    let maps = course(hand, "64 blocks from mappings")?;
    hand.expect("mallopt", "1", if is_set { "1" } else { "0" }, is_set);
    let freed = (BLOCKS / 2 * EACH) as u64 / 1024;
    for (of, course) in [("heap", &heap), ("mappings", &maps)] {
        let went = |from: usize, to: usize, kb: [u64; 3]| kb[from].saturating_sub(kb[to]);
        let by_free = went(0, 1, course.rss_kb);
        let in_all = went(0, 2, course.rss_kb);
        let addresses = went(0, 1, course.size_kb);
        let most = format!("at least {} kB of {freed}", freed * 9 / 10);
        hand.expect(
            &format!("{of}: kB less after malloc_trim"),
            &most,
            in_all,
            in_all >= freed * 9 / 10,
        );
        let (what, address_what) = (
            format!("{of}: kB less after free"),
            format!("{of}: kB of addresses less after free"),
        );
        if of == "mappings" {
            hand.expect(&what, &most, by_free, by_free >= freed * 9 / 10);
            hand.expect(&address_what, &most, addresses, addresses >= freed * 9 / 10);
        } else if malloc == Malloc::Glibc {
            hand.expect(
                &what,
                format!("less than a tenth of {freed}"),
                by_free,
                by_free < freed / 10,
            );
            hand.expect_eq(&address_what, 0, addresses);
            hand.expect_eq(
                "heap: the break after free",
                hex(course.risen[0]),
                hex(course.risen[1]),
            );
        } else {
            hand.figure(&what, by_free);
            hand.figure(&address_what, addresses);
        }
    }
    Ok(())
}
