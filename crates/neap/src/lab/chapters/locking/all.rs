//! mlockall.

use neap_os::errno::Errno;
use neap_os::lock::{Mappings, When, lock_all, unlock_all};

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb};
use crate::lab::hand::{Hand, Stop, cannot, failed};

pub(super) const CURRENT: Experiment = Experiment {
    name: "mlockall-current",
    chapter: Chapter::Locking,
    question: "What does mlockall(MCL_CURRENT) lock?",
    method: "Map 16 pages, call mlockall(MCL_CURRENT), map 16 others; look; munlockall.",
    expectation: "What was mapped is locked and there, code and stack included; what is mapped later is not. \
                  munlockall makes VmLck 0.",
    explanation: "MCL_CURRENT walks the mappings there are, marks each and brings its pages in. Memory that \
                  malloc gets afterwards is a new mapping or a longer one: only MCL_FUTURE covers that.",
    cannot_show: "That a program with a deadline is safe: its stack grows, too, unless it was touched \
                  before.",
    source: "mlockall(2); mm/mlock.c, apply_mlockall_flags.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/mlockall-current.c"),
    rust: include_str!("../../code/mlockall-current.rs"),
    run: current,
};

fn current(hand: &mut Hand) -> Result<(), Stop> {
    let old = Ground::anonymous(16).map_err(failed("mmap"))?;
    hand.watch("mapped before", old.span());
    let before = hand.look("16 pages are mapped");
    match lock_all(Mappings::Current, When::Now) {
        Err(Errno::ENOMEM | Errno::EPERM) => {
            return Err(cannot(
                format!(
                    "RLIMIT_MEMLOCK is less than the {} kB of this process",
                    before.size_kb()
                ),
                "ulimit -l unlimited, or run it as root",
            ));
        }
        other => other.map_err(failed("mlockall"))?,
    }
    let locked = hand.look("after mlockall(MCL_CURRENT)");
    let new = Ground::anonymous(16).map_err(failed("mmap"))?;
    hand.watch("mapped after", new.span());
    let later = hand.look("16 others are mapped");
    let undone = unlock_all();
    let after = hand.look("after munlockall");
    hand.expect_eq(
        "pages there that were mapped before",
        16,
        locked.span(0).present_pages(),
    );
    hand.expect_eq("VmFlags of these has lo", true, locked.span(0).has_flag("lo"));
    let most = locked.locked_kb() >= before.size_kb() / 2;
    hand.expect(
        "VmLck, in kB",
        format!("most of VmSize, {}", before.size_kb()),
        locked.locked_kb(),
        most,
    );
    hand.expect_eq(
        "pages there that were mapped after",
        0,
        later.span(1).present_pages(),
    );
    hand.expect_eq("VmFlags of these has lo", false, later.span(1).has_flag("lo"));
    hand.expect_ok("munlockall", undone);
    hand.expect_eq("VmLck at the end", 0, after.locked_kb());
    Ok(())
}

pub(super) const FUTURE: Experiment = Experiment {
    name: "mlockall-future",
    chapter: Chapter::Locking,
    question: "What does mlockall(MCL_FUTURE) lock?",
    method: "Map 16 pages, call mlockall(MCL_FUTURE), map 16 others; the same with MCL_ONFAULT; look; \
             munlockall, map 16 more.",
    expectation: "What was mapped before is not locked; what is mapped after is, and there without a touch, \
                  unless MCL_ONFAULT is asked for, too. After munlockall new mappings are ordinary again.",
    explanation: "MCL_FUTURE sets flags that every new mapping of the process starts with, so mmap does what \
                  mlock would. It is how a program locks memory that malloc will get. From then on mmap may \
                  fail by RLIMIT_MEMLOCK.",
    cannot_show: "Mappings that the kernel makes by itself.",
    source: "mlockall(2), MCL_ONFAULT (Linux 4.4).",
    since: Some((4, 4)),
    under: Under::Plain,
    c: include_str!("../../code/mlockall-future.c"),
    rust: include_str!("../../code/mlockall-future.rs"),
    run: future,
};

fn future(hand: &mut Hand) -> Result<(), Stop> {
    let old = Ground::anonymous(16).map_err(failed("mmap"))?;
    hand.watch("mapped before", old.span());
    hand.look("16 pages are mapped");
    lock_all(Mappings::Future, When::Now).map_err(failed("mlockall(MCL_FUTURE)"))?;
    let now = Ground::shared(16).map_err(failed("mmap with MCL_FUTURE"))?;
    lock_all(Mappings::Future, When::OnFault).map_err(failed("mlockall(MCL_FUTURE | MCL_ONFAULT)"))?;
    let on_fault = Ground::shared(16).map_err(failed("mmap with MCL_ONFAULT"))?;
    let undone = unlock_all();
    let plain = Ground::shared(16).map_err(failed("mmap"))?;
    hand.watch("with MCL_FUTURE", now.span());
    hand.watch("with MCL_ONFAULT", on_fault.span());
    hand.watch("after munlockall", plain.span());
    let seen = hand.look("after munlockall and another mmap");
    hand.expect_eq(
        "pages there that were mapped before",
        0,
        seen.span(0).present_pages(),
    );
    hand.expect_eq("pages there with MCL_FUTURE", 16, seen.span(1).present_pages());
    hand.expect_eq("pages there with MCL_ONFAULT", 0, seen.span(2).present_pages());
    hand.expect_ok("munlockall", undone);
    hand.expect_eq("pages there after munlockall", 0, seen.span(3).present_pages());
    hand.expect_eq("VmLck after munlockall", 0, seen.locked_kb());
    hand.figure(
        "Rss of the pages with MCL_FUTURE",
        format!("{} of {} kB", seen.span(1).rss_kb(), kb(16)),
    );
    Ok(())
}
