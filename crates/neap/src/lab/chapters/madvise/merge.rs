//! MERGEABLE and UNMERGEABLE: KSM, which keeps equal pages once.

use std::thread;
use std::time::{Duration, Instant};

use neap_os::advice::Hint;
use neap_os::errno::Errno;

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb};
use crate::lab::hand::{Hand, Stop, cannot, failed};
use crate::lab::setting::Setting;

/// Pages that are made equal.
const PAGES: usize = 4096;

fn advise(ground: &Ground, hint: Hint) -> Result<(), Stop> {
    match ground.hint(0..ground.len(), hint) {
        Err(Errno::EINVAL) => Err(cannot("this kernel has no KSM", "a kernel with CONFIG_KSM")),
        other => other.map_err(failed("madvise")),
    }
}

pub(super) const MARKED: Experiment = Experiment {
    name: "mergeable-is-a-mark",
    chapter: Chapter::Madvise,
    question: "Which memory can be marked for merging?",
    method: "Advise MERGEABLE for private and for shared anonymous memory, then UNMERGEABLE, and look at \
             VmFlags.",
    expectation: "Private memory gets mg and loses it again. For shared memory the call succeeds and does \
                  nothing.",
    explanation: "MERGEABLE marks a mapping and enters the process in the list that KSM's thread scans; \
                  whether it scans is for /sys/kernel/mm/ksm/run to say. KSM compares private anonymous \
                  pages only, because it breaks the sharing by copy on write; for other memory the advice is \
                  taken and forgotten.",
    cannot_show: "That anything is merged: see ksm-merges-equal-pages.",
    source: "Note 02, MADV_MERGEABLE; madvise(2); mm/ksm.c, ksm_madvise.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/mergeable-is-a-mark.c"),
    rust: include_str!("../../code/mergeable-is-a-mark.rs"),
    run: marked,
};

fn marked(hand: &mut Hand) -> Result<(), Stop> {
    let private = Ground::anonymous(4).map_err(failed("mmap"))?;
    let shared = Ground::shared(4).map_err(failed("mmap"))?;
    hand.watch("private", private.span());
    hand.watch("shared", shared.span());
    hand.look("before the advice");
    advise(&private, Hint::Mergeable)?;
    let ignored = shared.hint(0..4, Hint::Mergeable);
    let marked = hand.look("after MERGEABLE");
    advise(&private, Hint::Unmergeable)?;
    let plain = hand.look("after UNMERGEABLE");
    hand.expect_eq(
        "VmFlags of private memory has mg",
        true,
        marked.span(0).has_flag("mg"),
    );
    hand.expect_ok("madvise(MADV_MERGEABLE) of shared memory", ignored);
    hand.expect_eq(
        "VmFlags of shared memory has mg",
        false,
        marked.span(1).has_flag("mg"),
    );
    hand.expect_eq(
        "VmFlags of private memory has mg at the end",
        false,
        plain.span(0).has_flag("mg"),
    );
    Ok(())
}

pub(super) const MERGED: Experiment = Experiment {
    name: "ksm-merges-equal-pages",
    chapter: Chapter::Madvise,
    question: "Does the kernel keep equal pages only once?",
    method: "Let KSM run, make 4096 pages equal, advise MERGEABLE, wait, and look at KSM of smaps; write one \
             page; advise UNMERGEABLE.",
    expectation: "Nearly all pages are merged within seconds and keep their bytes. A write gives its page a \
                  copy of its own. UNMERGEABLE gives each page its own again.",
    explanation: "KSM's thread reads marked pages, finds equal ones with a tree ordered by contents, and \
                  maps them all to one page that is write-protected. A store faults and copies. Rss counts \
                  each mapping, so it stays; what is saved shows in KSM of smaps (since Linux 6.7) and in \
                  /sys/kernel/mm/ksm.",
    cannot_show: "Whether it is worth it: the thread's time, and that merging can be noticed by the time of \
                  a write.",
    source: "Note 02, MADV_MERGEABLE; Documentation/admin-guide/mm/ksm.rst.",
    since: Some((6, 7)),
    under: Under::Plain,
    c: include_str!("../../code/ksm-merges-equal-pages.c"),
    rust: include_str!("../../code/ksm-merges-equal-pages.rs"),
    run: merged,
};

fn merged(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(PAGES).map_err(failed("mmap"))?;
    advise(&ground, Hint::Mergeable)?;
    hand.change(Setting::KsmPagesToScan, "20000")?;
    hand.change(Setting::KsmSleep, "10")?;
    hand.change(Setting::KsmRun, "1")?;
    hand.watch("memory", ground.span());
    ground
        .hint(0..PAGES, Hint::NoHugePage)
        .map_err(failed("MADV_NOHUGEPAGE"))?;
    ground.fill(7);
    let before = hand.look("the pages are equal");
    let all = kb(PAGES);
    let end = Instant::now() + Duration::from_secs(20);
    let mut seen = before;
    while seen.span(0).ksm_kb() < all * 9 / 10 && Instant::now() < end {
        thread::sleep(Duration::from_millis(200));
        seen = hand.look("KSM is at work");
    }
    let sevens = ground.count(7);
    ground.write(5, 8);
    let written = hand.look("one page is written");
    let (changed, neighbour) = (ground.read(5), ground.read(6));
    let undone = ground.hint(0..PAGES, Hint::Unmergeable);
    let after = hand.look("after UNMERGEABLE");
    let merged = seen.span(0).ksm_kb();
    hand.expect(
        "kB merged",
        format!("nearly all of {all}"),
        merged,
        merged >= all * 9 / 10,
    );
    hand.expect_eq("pages that read as before", PAGES, sevens);
    hand.expect_eq("the page that was written reads", 8, changed);
    hand.expect_eq("its neighbour reads", 7, neighbour);
    let less = written.span(0).ksm_kb() < all;
    hand.expect(
        "merged kB after a write",
        format!("less than {all}"),
        written.span(0).ksm_kb(),
        less,
    );
    hand.expect_ok("madvise(MADV_UNMERGEABLE)", undone);
    hand.expect_eq("merged kB at the end", 0, after.span(0).ksm_kb());
    hand.expect_eq("kB there at the end", all, after.span(0).rss_kb());
    Ok(())
}
