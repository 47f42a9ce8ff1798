//! Transparent huge pages.

use std::fs;
use std::thread;
use std::time::Duration;

use neap_os::advice::{Discard, Hint};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::Sharing;
use neap_os::unit::Bytes;

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb};
use crate::lab::hand::{Hand, Stop, cannot, failed};

/// Pages of a huge page.
fn huge_pages() -> Result<usize, Stop> {
    fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok())
        .filter(|bytes| (1 << 20..=64 << 20).contains(bytes))
        .map(|bytes| bytes / page_size())
        .ok_or_else(|| {
            cannot(
                "no transparent huge pages of 1 to 64 MiB here",
                "a kernel with them, x86-64",
            )
        })
}

/// Where the kernel never makes huge pages at a fault, nothing can be shown.
fn needs_faults() -> Result<(), Stop> {
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if enabled.contains("[never]") {
        return Err(cannot(
            "transparent_hugepage/enabled is never",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        ));
    }
    Ok(())
}

/// A count of /proc/vmstat.
fn vmstat(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
        .unwrap_or(0)
}

/// Private memory of so many huge pages, aligned, with the hint.
fn hinted(huge: usize, count: usize) -> Result<Ground, Stop> {
    let align = Bytes(huge * page_size());
    let ground = Ground::aligned(huge * count, Sharing::Private, align, 0).map_err(failed("mmap"))?;
    ground
        .hint(0..huge * count, Hint::HugePage)
        .map_err(failed("madvise(MADV_HUGEPAGE)"))?;
    Ok(ground)
}

fn no_huge_page_free() -> Stop {
    cannot(
        "the kernel found no free huge page: memory is fragmented",
        "echo 1 > /proc/sys/vm/compact_memory, or run it after a boot",
    )
}

/// Builds huge pages now, with patience: other work may hold a page for a moment.
fn collapsed(ground: &Ground) -> Result<Result<(), Errno>, Stop> {
    let mut answer = Ok(());
    for _ in 0..20 {
        answer = ground.hint(0..ground.len(), Hint::Collapse);
        match answer {
            Err(Errno::EAGAIN | Errno::EBUSY) => thread::sleep(Duration::from_millis(50)),
            Err(Errno::ENOMEM) => return Err(no_huge_page_free()),
            _ => break,
        }
    }
    Ok(answer)
}

pub(super) const BY_HINT: Experiment = Experiment {
    name: "huge-page-by-hint",
    chapter: Chapter::Huge,
    question: "How many faults does it take to fill huge pages that were asked for?",
    method: "Map the room of two huge pages, aligned, advise HUGEPAGE, touch one byte, then all pages; count \
             faults.",
    expectation: "One byte brings a whole huge page: AnonHugePages and Rss rise by its size. Filling both \
                  takes a fault or two, not one for each small page. VmFlags says hg.",
    explanation: "With transparent_hugepage/enabled at madvise the kernel uses huge pages only where \
                  HUGEPAGE was advised. A fault then takes a free huge page, clears it and maps it by one \
                  entry of the level above. Fewer faults and fewer entries for the processor to remember; \
                  but a byte costs two megabytes.",
    cannot_show: "Machines whose memory is too fragmented: there the fault falls back to a small page.",
    source: "Note 02, MADV_HUGEPAGE; Documentation/admin-guide/mm/transhuge.rst.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/huge-page-by-hint.c"),
    rust: include_str!("../../code/huge-page-by-hint.rs"),
    run: by_hint,
};

fn by_hint(hand: &mut Hand) -> Result<(), Stop> {
    needs_faults()?;
    let huge = huge_pages()?;
    let fallbacks = vmstat("thp_fault_fallback");
    let ground = hinted(huge, 2)?;
    hand.watch("memory", ground.span());
    let before = hand.look("after HUGEPAGE");
    ground.write(3, 7);
    let one = hand.look("one byte is written");
    ground.fill(7);
    let full = hand.look("every page is written");
    if full.span(0).anon_huge_kb() < kb(2 * huge) && vmstat("thp_fault_fallback") > fallbacks {
        return Err(no_huge_page_free());
    }
    hand.expect_eq("VmFlags has hg", true, before.span(0).has_flag("hg"));
    hand.expect_eq("kB there before", 0, before.span(0).rss_kb());
    hand.expect_eq("kB there after one byte", kb(huge), one.span(0).rss_kb());
    hand.expect_eq("AnonHugePages then, in kB", kb(huge), one.span(0).anon_huge_kb());
    hand.expect_eq(
        "AnonHugePages when full, in kB",
        kb(2 * huge),
        full.span(0).anon_huge_kb(),
    );
    let faults = full.minor_faults() - before.minor_faults();
    hand.expect(
        "faults of all writes",
        "2, and at most 16 of the process's own",
        faults,
        (2..=18).contains(&faults),
    );
    Ok(())
}

pub(super) const NOT_BY_HINT: Experiment = Experiment {
    name: "nohugepage-forbids",
    chapter: Chapter::Huge,
    question: "Does NOHUGEPAGE keep huge pages away?",
    method: "Map the room of a huge page, aligned, advise HUGEPAGE and then NOHUGEPAGE, and touch every \
             page.",
    expectation: "VmFlags says nh and no longer hg; AnonHugePages stays 0, and there is a fault for each \
                  page.",
    explanation: "The two are flags of the mapping and each clears the other, so the last word holds. \
                  NOHUGEPAGE holds also where enabled is always, and for khugepaged. It does not stop \
                  COLLAPSE from asking, which is EINVAL then.",
    cannot_show: "Huge pages that were there before: NOHUGEPAGE does not split them.",
    source: "Note 02, MADV_NOHUGEPAGE; madvise(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/nohugepage-forbids.c"),
    rust: include_str!("../../code/nohugepage-forbids.rs"),
    run: not_by_hint,
};

fn not_by_hint(hand: &mut Hand) -> Result<(), Stop> {
    let huge = huge_pages()?;
    let ground = hinted(huge, 1)?;
    hand.watch("memory", ground.span());
    let hinted = hand.look("after HUGEPAGE");
    let forbidden = ground.hint(0..huge, Hint::NoHugePage);
    let before = hand.look("after NOHUGEPAGE");
    ground.fill(7);
    let full = hand.look("every page is written");
    hand.expect_eq("VmFlags has hg at first", true, hinted.span(0).has_flag("hg"));
    hand.expect_ok("madvise(MADV_NOHUGEPAGE)", forbidden);
    hand.expect_eq("VmFlags has nh then", true, before.span(0).has_flag("nh"));
    hand.expect_eq("VmFlags has hg then", false, before.span(0).has_flag("hg"));
    hand.expect_eq("AnonHugePages, in kB", 0, full.span(0).anon_huge_kb());
    let faults = full.minor_faults() - before.minor_faults();
    hand.expect_near("faults of the writes", huge as u64, faults, 16, "faults");
    if hand.has_kernel(6, 1) {
        let refused = ground.hint(0..huge, Hint::Collapse);
        hand.expect_errno("madvise(MADV_COLLAPSE)", Errno::EINVAL, refused);
    }
    Ok(())
}

pub(super) const ALIGNMENT: Experiment = Experiment {
    name: "huge-page-needs-alignment",
    chapter: Chapter::Huge,
    question: "Does memory of the size of a huge page get one wherever it lies?",
    method: "Map two huge pages' room from one page above the alignment, advise HUGEPAGE, and touch every \
             page.",
    expectation: "Of the two, one huge page fits; the rest are small pages.",
    explanation: "A huge page is one entry of the page table's upper level, and so begins at a multiple of \
                  its own size. In a mapping that lies askew the ends are small pages. So an allocator that \
                  wants huge pages aligns its mappings; the kernel aligns anonymous ones of that size itself \
                  since Linux 6.7.",
    cannot_show: "Huge pages of other sizes (mTHP), which are off unless their own switches are set.",
    source: "Documentation/admin-guide/mm/transhuge.rst.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/huge-page-needs-alignment.c"),
    rust: include_str!("../../code/huge-page-needs-alignment.rs"),
    run: alignment,
};

fn alignment(hand: &mut Hand) -> Result<(), Stop> {
    needs_faults()?;
    let huge = huge_pages()?;
    let fallbacks = vmstat("thp_fault_fallback");
    let align = Bytes(huge * page_size());
    let ground = Ground::aligned(2 * huge, Sharing::Private, align, 1).map_err(failed("mmap"))?;
    ground
        .hint(0..2 * huge, Hint::HugePage)
        .map_err(failed("madvise(MADV_HUGEPAGE)"))?;
    hand.watch("memory", ground.span());
    let before = hand.look("after HUGEPAGE");
    ground.fill(7);
    let full = hand.look("every page is written");
    if full.span(0).anon_huge_kb() == 0 && vmstat("thp_fault_fallback") > fallbacks {
        return Err(no_huge_page_free());
    }
    hand.expect_eq("kB there", kb(2 * huge), full.span(0).rss_kb());
    hand.expect_eq("AnonHugePages, in kB", kb(huge), full.span(0).anon_huge_kb());
    let faults = full.minor_faults() - before.minor_faults();
    hand.expect_near("faults of the writes", huge as u64 + 1, faults, 16, "faults");
    Ok(())
}

pub(super) const BY_COLLAPSE: Experiment = Experiment {
    name: "huge-page-by-collapse",
    chapter: Chapter::Huge,
    question: "Can small pages become a huge page afterwards?",
    method: "Fill a huge page's room with small pages, advise COLLAPSE, look and read.",
    expectation: "AnonHugePages goes from 0 to the size of a huge page; the bytes and Rss stay. No hint is \
                  needed.",
    explanation: "COLLAPSE does at once, on the caller's time, what khugepaged does now and then: it takes a \
                  free huge page, copies the small ones into it, and maps it in their place. It does not \
                  look at the enabled switch, only at NOHUGEPAGE: the program asks for these addresses now.",
    cannot_show: "How long it stays huge: anything that changes a part of it splits it.",
    source: "madvise(2), MADV_COLLAPSE (Linux 6.1); mm/khugepaged.c.",
    since: Some((6, 1)),
    under: Under::Plain,
    c: include_str!("../../code/huge-page-by-collapse.c"),
    rust: include_str!("../../code/huge-page-by-collapse.rs"),
    run: by_collapse,
};

fn by_collapse(hand: &mut Hand) -> Result<(), Stop> {
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if enabled.contains("[always]") {
        return Err(cannot(
            "transparent_hugepage/enabled is always: the pages would be huge at once",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        ));
    }
    let huge = huge_pages()?;
    let align = Bytes(huge * page_size());
    let ground = Ground::aligned(huge, Sharing::Private, align, 0).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    let before = hand.look("every page is written");
    let answer = collapsed(&ground)?;
    let after = hand.look("after COLLAPSE");
    hand.expect_eq("AnonHugePages before, in kB", 0, before.span(0).anon_huge_kb());
    hand.expect_ok("madvise(MADV_COLLAPSE)", answer);
    hand.expect_eq(
        "AnonHugePages after, in kB",
        kb(huge),
        after.span(0).anon_huge_kb(),
    );
    hand.expect_eq("kB there after", kb(huge), after.span(0).rss_kb());
    hand.expect_eq("pages that read as before", huge, ground.count(7));
    Ok(())
}

pub(super) const SHARED: Experiment = Experiment {
    name: "huge-page-of-shared-memory",
    chapter: Chapter::Huge,
    question: "Can shared memory be huge where shmem_enabled is never?",
    method: "Fill a huge page's room of shared anonymous memory, aligned, advise COLLAPSE, look and read.",
    expectation: "ShmemPmdMapped of smaps goes from 0 to the size of a huge page, whatever shmem_enabled \
                  says but deny.",
    explanation: "shmem_enabled says whether a fault in shared memory may take a huge page. COLLAPSE is a \
                  request for these addresses and does not ask it. The huge page belongs to the file, so it \
                  must begin at a multiple of its size in the file as well as in memory.",
    cannot_show: "Files on disks: those need a kernel with READ_ONLY_THP_FOR_FS, or a file system with large \
                  folios.",
    source: "madvise(2), MADV_COLLAPSE (Linux 6.1); Documentation/admin-guide/mm/transhuge.rst, \
             shmem_enabled.",
    since: Some((6, 1)),
    under: Under::Plain,
    c: include_str!("../../code/huge-page-of-shared-memory.c"),
    rust: include_str!("../../code/huge-page-of-shared-memory.rs"),
    run: shared,
};

fn shared(hand: &mut Hand) -> Result<(), Stop> {
    let huge = huge_pages()?;
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/shmem_enabled").unwrap_or_default();
    hand.figure("shmem_enabled", enabled.trim());
    let align = Bytes(huge * page_size());
    let ground = Ground::aligned(huge, Sharing::Shared, align, 0).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    let before = hand.look("every page is written");
    let answer = collapsed(&ground)?;
    let after = hand.look("after COLLAPSE");
    if answer == Err(Errno::EINVAL) && enabled.contains("[deny]") {
        return Err(cannot(
            "shmem_enabled is deny",
            "echo never > /sys/kernel/mm/transparent_hugepage/shmem_enabled",
        ));
    }
    // Where the switch is on, the first fault has brought the huge page already.
    if enabled.contains("[never]") {
        hand.expect_eq("ShmemPmdMapped before, in kB", 0, before.span(0).shmem_huge_kb());
    }
    hand.expect_ok("madvise(MADV_COLLAPSE)", answer);
    hand.expect_eq("pages that read as before", huge, ground.count(7));
    let touched = hand.look("after a read of every page");
    hand.expect_eq(
        "ShmemPmdMapped at the end, in kB",
        kb(huge),
        touched.span(0).shmem_huge_kb(),
    );
    hand.figure(
        "ShmemPmdMapped right after the call, in kB",
        after.span(0).shmem_huge_kb(),
    );
    Ok(())
}

pub(super) const SPLIT: Experiment = Experiment {
    name: "huge-page-split-by-dontneed",
    chapter: Chapter::Huge,
    question: "What becomes of a huge page of which one small page is given back?",
    method: "Get a huge page by HUGEPAGE and a touch, advise DONTNEED for one small page in its middle, look \
             and read; then DONTNEED for all.",
    expectation: "AnonHugePages falls to 0, Rss by one small page; that page reads 0, the others as before.",
    explanation: "DONTNEED of a part cannot keep one entry for the whole, so the kernel maps the rest by \
                  small entries. The huge page itself stays allocated until it is split under memory \
                  pressure: Rss tells what is mapped, not what is free. So an allocator that gives back \
                  single pages loses its huge pages.",
    cannot_show: "The memory that the hole holds back: it is in the list of pages to be split.",
    source: "mm/huge_memory.c, deferred_split_folio; Documentation/mm/transhuge.rst.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/huge-page-split-by-dontneed.c"),
    rust: include_str!("../../code/huge-page-split-by-dontneed.rs"),
    run: split,
};

fn split(hand: &mut Hand) -> Result<(), Stop> {
    needs_faults()?;
    let huge = huge_pages()?;
    let ground = hinted(huge, 1)?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    let whole = hand.look("a huge page is filled");
    if whole.span(0).anon_huge_kb() == 0 {
        return Err(no_huge_page_free());
    }
    let middle = huge / 2;
    let dropped = ground.discard(middle..middle + 1, Discard::DontNeed);
    let after = hand.look("after DONTNEED of the page in the middle");
    let sevens = ground.count(7);
    let zero = ground.read(middle);
    let all = ground.discard(0..huge, Discard::DontNeed);
    let empty = hand.look("after DONTNEED of all");
    hand.expect_eq(
        "AnonHugePages before, in kB",
        kb(huge),
        whole.span(0).anon_huge_kb(),
    );
    hand.expect_ok("madvise(MADV_DONTNEED) of one page", dropped);
    hand.expect_eq("AnonHugePages after, in kB", 0, after.span(0).anon_huge_kb());
    hand.expect_eq("Rss after, in kB", kb(huge - 1), after.span(0).rss_kb());
    hand.expect_eq("lines of maps", whole.mappings(), after.mappings());
    hand.expect_eq("pages that read as before", huge - 1, sevens);
    hand.expect_eq("the page that was given back reads", 0, zero);
    hand.expect_ok("madvise(MADV_DONTNEED) of all", all);
    hand.expect_eq("Rss at the end, in kB", 0, empty.span(0).rss_kb());
    Ok(())
}
