//! What is done about the pages when they are mapped: locked, filled, or not even promised.

use std::fs;

use neap_os::advice;
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{Flags, Prot, Request};

use crate::lab::area::{Area, one_page, private, shared};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};

/// MAP_LOCKED.
pub(super) const LOCKED: Experiment = Experiment {
    name: "map-locked",
    chapter: Chapter::Flags,
    question: "What does MAP_LOCKED do before anybody touches the memory?",
    method: "Map 16 pages plainly and 16 with MAP_LOCKED, and touch none.",
    expectation: "Of the plain ones none is in memory; the locked ones all are, with the flag lo, Locked \
                  is their size, and VmLck grows by it.",
    explanation: "mmap with MAP_LOCKED marks the area as mlock would and then faults every page in. It \
                  differs from mlock in one thing: if a page cannot be had, mmap succeeds all the same, \
                  and a fault may come later. Who must know calls mlock.",
    cannot_show: "That the pages stay when memory is short: only pressure on the whole machine would.",
    source: "Note 01, MAP_LOCKED; mmap(2); mm/mmap.c, do_mmap.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/map-locked.c"),
    rust: include_str!("../../code/map-locked.rs"),
    run: locked,
};

fn locked(hand: &mut Hand) -> Result<(), Stop> {
    let len = 16 * page_size();
    let plain = Area::new(&private(len))?;
    hand.watch("plain", plain.span());
    let before = hand.look("mapped plainly");
    let request = Request {
        flags: Flags::LOCKED,
        ..private(len)
    };
    let area = Area::ask(&request)
        .map_err(|errno| cannot(format!("MAP_LOCKED: {errno}"), "raise RLIMIT_MEMLOCK: ulimit -l"))?;
    hand.watch("locked", area.span());
    let after = hand.look("mapped with MAP_LOCKED");
    let kb = len as u64 / 1024;
    hand.expect_eq("plain pages in memory", 0, after.span(0).present_pages());
    hand.expect_eq("locked pages in memory", 16, after.span(1).present_pages());
    hand.expect_eq("the flag lo", true, after.span(1).has_flag("lo"));
    hand.expect_eq("Locked of smaps, in kB", kb, after.span(1).locked_kb());
    hand.expect_eq("VmLck more, in kB", kb, after.locked_kb() - before.locked_kb());
    Ok(())
}

/// MAP_NORESERVE.
pub(super) const NO_RESERVE: Experiment = Experiment {
    name: "map-noreserve",
    chapter: Chapter::Flags,
    question: "What does MAP_NORESERVE not reserve?",
    method: "Map a quarter of the machine's memory plainly, then with MAP_NORESERVE; touch nothing.",
    expectation: "The first is counted: it has the flag ac, and Committed_AS rises by its size. The \
                  second is not, and has nr instead. Neither has a page.",
    explanation: "The kernel reserves no page at mmap in either case. What it keeps is a sum: \
                  Committed_AS is what it would need if everybody wrote all that they may write, and \
                  private writable memory counts in full at mmap. MAP_NORESERVE leaves the area out of \
                  the sum. In mode 2 of vm.overcommit_memory, where the sum has a limit, the kernel \
                  ignores the flag.",
    cannot_show: "Committed_AS is everybody's: what it rose by is told and not judged. Who dies when the \
                  memory is then missing: the OOM killer decides that on the first touch.",
    source: "Note 03, private map of a big file; mmap(2); proc_sys_vm(5); mm/mmap.c, do_mmap.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/map-noreserve.c"),
    rust: include_str!("../../code/map-noreserve.rs"),
    run: no_reserve,
};

/// A quarter of the machine's memory, in bytes: enough to be seen beside what others commit meanwhile. For
/// mappings that nobody touches. Not in mode 2, where it may be more than is left.
pub(in crate::lab::chapters) fn quarter_of_memory() -> Result<usize, Stop> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| cannot(error, "mount /proc"));
    if read("/proc/sys/vm/overcommit_memory")?.trim() == "2" {
        return Err(cannot(
            "vm.overcommit_memory is 2: the flag is ignored and the sum limited",
            "set it to 0 or 1",
        ));
    }
    let info = read("/proc/meminfo")?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kb: Option<usize> = line.and_then(|rest| rest.trim_end_matches("kB").trim().parse().ok());
    let total = kb.ok_or_else(|| cannot("/proc/meminfo has no MemTotal", "mount /proc"))? << 10;
    Ok((total / 4).next_multiple_of(page_size()))
}

fn no_reserve(hand: &mut Hand) -> Result<(), Stop> {
    let len = quarter_of_memory()?;
    let before = hand.look("before");
    let plain = Area::new(&private(len))?;
    hand.watch("plain", plain.span());
    let charged = hand.look("mapped plainly");
    let free = Area::new(&Request {
        flags: Flags::NO_RESERVE,
        ..private(len)
    })?;
    hand.watch("not reserved", free.span());
    let after = hand.look("mapped with MAP_NORESERVE");
    let kb = len as u64 / 1024;
    let more = |new: u64, old: u64| format!("{} kB, of {kb} kB", new.saturating_sub(old));
    let plain_more = more(charged.committed_kb(), before.committed_kb());
    hand.figure("plain: Committed_AS rose by", plain_more);
    let free_more = more(after.committed_kb(), charged.committed_kb());
    hand.figure("MAP_NORESERVE: Committed_AS rose by", free_more);
    hand.expect_eq("plain: the flag ac", true, after.span(0).has_flag("ac"));
    hand.expect_eq("MAP_NORESERVE: the flag ac", false, after.span(1).has_flag("ac"));
    hand.expect_eq("MAP_NORESERVE: the flag nr", true, after.span(1).has_flag("nr"));
    let present = after.span(0).present_pages() + after.span(1).present_pages();
    hand.expect_eq("pages in memory of both", 0, present);
    Ok(())
}

/// MAP_POPULATE and MAP_NONBLOCK.
pub(super) const POPULATE: Experiment = Experiment {
    name: "map-populate",
    chapter: Chapter::Flags,
    question: "Which pages are in memory when mmap with MAP_POPULATE returns?",
    method: "Map 64 pages plainly, with MAP_POPULATE, and with MAP_NONBLOCK, too; then write to each \
             page of the second.",
    expectation: "None, all, none. The stores to the populated pages make no fault.",
    explanation: "MAP_POPULATE has the kernel fault the whole range in before it returns, for writing if \
                  the mapping is writable. MAP_NONBLOCK once meant \"only what needs no waiting\"; since \
                  2.6.23 it takes MAP_POPULATE back altogether.",
    cannot_show: "Whether it is faster: that depends on how many of the pages are used.",
    source: "Note 01, MAP_POPULATE; mmap(2); mm/mmap.c, do_mmap.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/map-populate.c"),
    rust: include_str!("../../code/map-populate.rs"),
    run: populate,
};

fn populate(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let of = |flags| {
        Area::new(&Request {
            flags,
            ..private(64 * page)
        })
    };
    let plain = of(Flags::NONE)?;
    let full = of(Flags::POPULATE)?;
    let lazy = of(Flags::POPULATE | Flags::NON_BLOCK)?;
    hand.watch("plain", plain.span());
    hand.watch("MAP_POPULATE", full.span());
    hand.watch("and MAP_NONBLOCK", lazy.span());
    hand.look("mapped");
    // The second look has what the talk itself touches behind it.
    let before = hand.look("before the stores");
    full.store_in_pages(7);
    let after = hand.look("after the stores to the second");
    hand.expect_eq("plain: pages in memory", 0, before.span(0).present_pages());
    hand.expect_eq(
        "MAP_POPULATE: pages in memory",
        64,
        before.span(1).present_pages(),
    );
    hand.expect_eq(
        "and MAP_NONBLOCK: pages in memory",
        0,
        before.span(2).present_pages(),
    );
    let faults = after.minor_faults() - before.minor_faults();
    let few = faults < 32;
    hand.expect(
        "minor faults of 64 stores and a look",
        "fewer than 32",
        faults,
        few,
    );
    Ok(())
}

/// What MAP_POPULATE does not tell.
pub(super) const POPULATE_PAST_END: Experiment = Experiment {
    name: "map-populate-past-end",
    chapter: Chapter::Flags,
    question: "What does MAP_POPULATE say when some of the pages cannot be had?",
    method: "Map four pages of a file of one with MAP_POPULATE; touch the second in a child; ask madvise \
             (MADV_POPULATE_READ) for the same.",
    expectation: "mmap succeeds and one page is there; touching the second is SIGBUS (BUS_ADRERR). \
                  madvise says EFAULT (Linux 5.14).",
    explanation: "The mapping is made before it is filled, and what filling meets is dropped: mmap(2) \
                  has no way to say \"mapped, but\". So MAP_POPULATE is a hint that saves faults, not a \
                  promise that there will be none. MADV_POPULATE_READ and WRITE were added to have the \
                  error.",
    cannot_show: "The same for want of memory, which is silent likewise.",
    source: "mmap(2), MAP_POPULATE; madvise(2), MADV_POPULATE_READ; mm/gup.c, __mm_populate.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/map-populate-past-end.c"),
    rust: include_str!("../../code/map-populate-past-end.rs"),
    run: populate_past_end,
};

fn populate_past_end(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let file = one_page(hand)?;
    let request = Request {
        flags: Flags::POPULATE,
        ..shared(&file, 4 * page, Prot::READ)
    };
    let Some(four) = hand.expect_ok("mmap", Area::ask(&request)) else {
        return Ok(());
    };
    hand.watch("four pages of a file of one", four.span());
    let after = hand.look("mapped with MAP_POPULATE");
    let fault = hand.fault_of(|| {
        four.load(page);
    })?;
    let told = advice::hint(four.span(), advice::Hint::PopulateRead);
    hand.look("after madvise(MADV_POPULATE_READ)");
    hand.expect_eq("pages in memory", 1, after.span(0).present_pages());
    hand.expect_fault("a load from the second page", "BUS_ADRERR", fault);
    if hand.has_kernel(5, 14) {
        hand.expect_errno("madvise(MADV_POPULATE_READ)", Errno::EFAULT, told);
    }
    Ok(())
}
