//! hugetlb: huge pages from a pool that the administrator sets aside.

use std::fs;

use neap_os::advice::{Discard, Guard, Hint};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{Flags, PageSize, Request, Sharing, unmap};
use neap_os::unit::{Bytes, HugePage};

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb, request};
use crate::lab::hand::{Hand, Stop, cannot, failed};
use crate::lab::setting::Setting;

const MIB: usize = 1 << 20;

/// Private memory of huge pages; `bytes` need not be a multiple.
fn of_pool(bytes: usize, size: HugePage, flags: Flags) -> Request {
    Request {
        len: Bytes(bytes),
        page: PageSize::Huge(size),
        flags,
        ..request(0, Sharing::Private)
    }
}

/// A number of the pool of 2 MiB pages.
fn pool(name: &str) -> Result<usize, Stop> {
    fs::read_to_string(format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{name}"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| {
            cannot(
                "this kernel has no pool of 2 MiB pages",
                "a kernel with CONFIG_HUGETLBFS, x86-64",
            )
        })
}

/// Makes the pool of `setting` at least so large, by `--allow-system`.
fn fill_pool(hand: &mut Hand, setting: Setting, count: usize) -> Result<(), Stop> {
    hand.change(setting, &count.to_string())?;
    let now = setting.now().unwrap_or_default();
    if now.parse::<usize>().is_ok_and(|pages| pages >= count) {
        return Ok(());
    }
    Err(cannot(
        format!(
            "the kernel did not find memory in one piece for {}",
            setting.name()
        ),
        "run it after a boot, or reserve huge pages on the kernel's command line",
    ))
}

pub(super) const EMPTY_POOL: Experiment = Experiment {
    name: "hugetlb-pool-too-small",
    chapter: Chapter::Huge,
    question: "When does a program learn that there are not enough reserved huge pages?",
    method: "Map one 2 MiB page more than the pool and its overcommit have, with MAP_HUGETLB.",
    expectation: "mmap itself fails, with ENOMEM.",
    explanation: "Huge pages cannot be made at will, so mmap reserves all that the mapping could use, and \
                  refuses if the pool has not so many. After that every touch finds its page. It is the \
                  opposite of ordinary memory, which is promised freely.",
    cannot_show: "Whether the memory would be there as small pages: nothing falls back to those.",
    source: "mmap(2), MAP_HUGETLB; Documentation/admin-guide/mm/hugetlbpage.rst.",
    since: Some((3, 8)),
    under: Under::Plain,
    c: include_str!("../../code/hugetlb-pool-too-small.c"),
    rust: include_str!("../../code/hugetlb-pool-too-small.rs"),
    run: empty_pool,
};

fn empty_pool(hand: &mut Hand) -> Result<(), Stop> {
    let (total, more) = (pool("nr_hugepages")?, pool("nr_overcommit_hugepages")?);
    hand.figure("huge pages in the pool", total);
    hand.figure("huge pages that it may overcommit", more);
    let before = hand.look("before mmap");
    let asked = Ground::of(&of_pool(
        (total + more + 1) * 2 * MIB,
        HugePage::MIB_2,
        Flags::NONE,
    ));
    let after = hand.look("after mmap");
    hand.expect_errno("mmap of one huge page too many", Errno::ENOMEM, asked);
    hand.expect_eq("lines of maps", before.mappings(), after.mappings());
    Ok(())
}

pub(super) const TWO_MIB: Experiment = Experiment {
    name: "hugetlb-2m",
    chapter: Chapter::Huge,
    question: "How does memory of reserved huge pages look, and what is different about it?",
    method: "Put 4 pages of 2 MiB into the pool, map 3 MiB of them, fill it, unmap 4 KiB, and give a page \
             back with DONTNEED.",
    expectation: "The length rounds up to 4 MiB. Private_Hugetlb counts what is touched, Rss does not. \
                  munmap of 4 KiB is EINVAL. DONTNEED frees a whole huge page (Linux 5.18).",
    explanation: "A mapping of huge pages is made of whole ones, so mmap rounds the length and munmap \
                  refuses what is none. The pages belong to the pool and not to ordinary memory, so Rss, the \
                  limits of control groups and reclaim know nothing of them: they have fields of their own. \
                  The pool's free pages fall when they are touched.",
    cannot_show: "That programs run faster: fewer entries of the TLB, if the program touches much memory.",
    source: "Note 03, MAP_HUGETLB; mmap(2), huge page mappings; proc_pid_smaps(5).",
    since: Some((5, 18)),
    under: Under::Plain,
    c: include_str!("../../code/hugetlb-2m.c"),
    rust: include_str!("../../code/hugetlb-2m.rs"),
    run: two_mib,
};

fn two_mib(hand: &mut Hand) -> Result<(), Stop> {
    let present = pool("nr_hugepages")?;
    fill_pool(hand, Setting::HugePages2M, present + 4)?;
    let mapped = Ground::of(&of_pool(3 * MIB, HugePage::MIB_2, Flags::NONE));
    let ground = mapped.map_err(failed("mmap of 3 MiB of huge pages"))?;
    hand.watch("memory", ground.span());
    let before = hand.look("3 MiB are mapped");
    ground.fill(7);
    let full = hand.look("4 MiB are filled");
    // SAFETY: (1) the ground is this experiment's; (2) a part of a huge page is refused, and nothing is
    // unmapped.
    let unmapped = unsafe { unmap(ground.pages(0..1)) };
    let kept = ground.count(7);
    let second = 2 * MIB / page_size();
    let dropped = ground.discard(second..2 * second, Discard::DontNeed);
    let after = hand.look("after DONTNEED of the second huge page");
    hand.expect_eq("kB mapped", 4096, before.span(0).mapped_kb());
    hand.expect_eq("VmFlags has ht", true, before.span(0).has_flag("ht"));
    hand.expect_eq(
        "Private_Hugetlb when full, in kB",
        4096,
        full.span(0).private_hugetlb_kb(),
    );
    hand.expect_eq("Rss of it then, in kB", 0, full.span(0).rss_kb());
    hand.expect_errno("munmap of 4 KiB", Errno::EINVAL, unmapped);
    hand.expect_eq("pages that read as written", ground.len(), kept);
    hand.expect_ok("madvise(MADV_DONTNEED)", dropped);
    hand.expect_eq(
        "Private_Hugetlb then, in kB",
        2048,
        after.span(0).private_hugetlb_kb(),
    );
    hand.expect_eq("the first small page of it reads", 0, ground.read(second));
    hand.figure("free pages of the pool", pool("free_hugepages")?);
    Ok(())
}

pub(super) const ONE_GIB: Experiment = Experiment {
    name: "hugetlb-1g",
    chapter: Chapter::Huge,
    question: "Can a program have a page of 1 GiB?",
    method: "Put one page of 1 GiB into its pool, map it with MAP_HUGE_1GB, and touch it at both ends.",
    expectation: "One fault brings all: Private_Hugetlb is 1048576 kB.",
    explanation: "Such a page is one entry at the third level of the page table. Memory of that size in one \
                  piece is rare, so the pool is best filled at boot; later the kernel has to move whatever \
                  lies in the way.",
    cannot_show: "That the machine finds one at any time.",
    source: "mmap(2), MAP_HUGE_1GB; Documentation/admin-guide/mm/hugetlbpage.rst.",
    since: Some((3, 8)),
    under: Under::Plain,
    c: include_str!("../../code/hugetlb-1g.c"),
    rust: include_str!("../../code/hugetlb-1g.rs"),
    run: one_gib,
};

/// MemAvailable, in bytes.
fn available() -> usize {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines()
        .find_map(|line| {
            line.strip_prefix("MemAvailable:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<usize>()
                .ok()
        })
        .map_or(0, |kb| kb * 1024)
}

fn one_gib(hand: &mut Hand) -> Result<(), Stop> {
    if available() < 4 << 30 {
        return Err(cannot(
            "less than 4 GiB are available",
            "a machine with more memory",
        ));
    }
    let present = Setting::HugePages1G
        .now()
        .ok()
        .and_then(|text| text.parse::<usize>().ok())
        .ok_or_else(|| {
            cannot(
                "this machine has no pages of 1 GiB",
                "a processor with pdpe1gb, and CONFIG_HUGETLBFS",
            )
        })?;
    fill_pool(hand, Setting::HugePages1G, present + 1)?;
    let mapped = Ground::of(&of_pool(1 << 30, HugePage::GIB_1, Flags::NONE));
    let ground = mapped.map_err(failed("mmap of a page of 1 GiB"))?;
    hand.watch("memory", ground.span());
    let before = hand.look("1 GiB is mapped");
    ground.write(0, 7);
    ground.write(ground.len() - 1, 8);
    let after = hand.look("both ends are written");
    hand.expect_eq(
        "Private_Hugetlb before, in kB",
        0,
        before.span(0).private_hugetlb_kb(),
    );
    hand.expect_eq(
        "Private_Hugetlb after, in kB",
        1 << 20,
        after.span(0).private_hugetlb_kb(),
    );
    hand.expect_eq("Rss of it, in kB", 0, after.span(0).rss_kb());
    let faults = after.minor_faults() - before.minor_faults();
    hand.expect(
        "faults",
        "1, and at most 16 of the process's own",
        faults,
        (1..=17).contains(&faults),
    );
    hand.expect_eq(
        "both ends read",
        15,
        ground.read(0) + ground.read(ground.len() - 1),
    );
    Ok(())
}

pub(super) const ADVICE: Experiment = Experiment {
    name: "hugetlb-and-advice",
    chapter: Chapter::Huge,
    question: "Which advice do reserved huge pages take?",
    method: "Map and fill two pages of 2 MiB; give them FREE, WIPEONFORK, COLD, PAGEOUT, COLLAPSE and \
             GUARD_INSTALL; DONTNEED at a small page's address; DONTNEED of 4 KiB at the start.",
    expectation: "The six are EINVAL, and so is DONTNEED from an address that is not on a huge page. \
                  DONTNEED of 4 KiB at the start succeeds and does nothing.",
    explanation: "What reclaims, marks or copies small pages has no meaning for pages of the pool. DONTNEED \
                  works by whole huge pages: an address must be on one, and a length is rounded down, so 4 \
                  KiB are none. That is the contrary of ordinary memory, where it is rounded up.",
    cannot_show: "REMOVE, which works on hugetlb files by whole pages.",
    source: "madvise(2), MADV_DONTNEED, support for hugetlb since Linux 5.18; mm/madvise.c.",
    since: Some((5, 18)),
    under: Under::Plain,
    c: include_str!("../../code/hugetlb-and-advice.c"),
    rust: include_str!("../../code/hugetlb-and-advice.rs"),
    run: advice,
};

fn advice(hand: &mut Hand) -> Result<(), Stop> {
    let present = pool("nr_hugepages")?;
    fill_pool(hand, Setting::HugePages2M, present + 2)?;
    let mapped = Ground::of(&of_pool(4 * MIB, HugePage::MIB_2, Flags::NONE));
    let ground = mapped.map_err(failed("mmap of 4 MiB of huge pages"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    let before = hand.look("4 MiB are filled");
    let all = 0..ground.len();
    let mut answers: Vec<(String, Result<(), Errno>)> = Vec::new();
    for advice in [Discard::Free, Discard::WipeOnFork] {
        answers.push((format!("{advice:?}"), ground.discard(all.clone(), advice)));
    }
    for advice in [Hint::Cold, Hint::PageOut] {
        answers.push((format!("{advice:?}"), ground.hint(all.clone(), advice)));
    }
    if hand.has_kernel(6, 1) {
        answers.push(("Collapse".to_owned(), ground.hint(all.clone(), Hint::Collapse)));
    }
    if hand.has_kernel(6, 13) {
        answers.push(("Guard::Install".to_owned(), ground.guard(all, Guard::Install)));
    }
    answers.push((
        "DontNeed from the second small page on".to_owned(),
        ground.discard(1..2, Discard::DontNeed),
    ));
    let rounded = ground.discard(0..1, Discard::DontNeed);
    let after = hand.look("after the calls");
    for (what, answer) in answers {
        hand.expect_errno(&what, Errno::EINVAL, answer);
    }
    hand.expect_ok("DontNeed of 4 KiB at the start", rounded);
    let (full, left) = (
        before.span(0).private_hugetlb_kb(),
        after.span(0).private_hugetlb_kb(),
    );
    hand.expect_eq("Private_Hugetlb, in kB", full, left);
    hand.expect_eq(
        "small pages that read as before",
        kb(ground.len()) / kb(1),
        ground.count(7) as u64,
    );
    Ok(())
}
