//! Locks on ranges of addresses.

use neap_os::advice::Discard;
use neap_os::errno::Errno;
use neap_os::lock::{When, lock, unlock};
use neap_os::unit::Span;

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb};
use crate::lab::hand::{Hand, Stop, failed};
use crate::lab::offspring::End;

/// Pages to lock: few enough for an ordinary user's limit.
const PAGES: usize = 16;

pub(super) const NOW: Experiment = Experiment {
    name: "mlock-brings-pages-in",
    chapter: Chapter::Locking,
    question: "What does mlock do to memory that was never touched?",
    method: "Map 16 pages, mlock them, look, munlock them.",
    expectation: "All 16 are there at once; VmFlags says lo, Locked of smaps and VmLck of status count them. \
                  munlock takes the lock and leaves the pages.",
    explanation: "mlock promises that no access waits for a disk, so it faults every page in, for writing \
                  where the mapping can be written. VmLck counts addresses, not pages. munlock takes the \
                  promise back and does not throw anything away.",
    cannot_show: "That the pages do not move: migration and compaction still do that.",
    source: "Note 01, mlock; mlock(2); mm/mlock.c.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/mlock-brings-pages-in.c"),
    rust: include_str!("../../code/mlock-brings-pages-in.rs"),
    run: now,
};

fn now(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(PAGES).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    let before = hand.look("16 pages are mapped");
    lock(ground.span(), When::Now).map_err(failed("mlock of 16 pages"))?;
    let locked = hand.look("after mlock");
    let unlocked = unlock(ground.span());
    let after = hand.look("after munlock");
    let all = kb(PAGES);
    hand.expect_eq("pages there before", 0, before.span(0).present_pages());
    hand.expect_eq(
        "pages there after mlock",
        PAGES as u64,
        locked.span(0).present_pages(),
    );
    hand.expect_eq("VmFlags has lo", true, locked.span(0).has_flag("lo"));
    hand.expect_eq("Locked, in kB", all, locked.span(0).locked_kb());
    hand.expect_eq("VmLck more, in kB", all, locked.locked_kb() - before.locked_kb());
    hand.expect_ok("munlock", unlocked);
    hand.expect_eq("VmFlags has lo then", false, after.span(0).has_flag("lo"));
    hand.expect_eq("VmLck at the end", before.locked_kb(), after.locked_kb());
    hand.expect_eq(
        "pages there at the end",
        PAGES as u64,
        after.span(0).present_pages(),
    );
    Ok(())
}

pub(super) const ON_FAULT: Experiment = Experiment {
    name: "mlock2-on-fault",
    chapter: Chapter::Locking,
    question: "Can memory be locked without being brought in?",
    method: "Map 16 pages, mlock2 with MLOCK_ONFAULT, touch 3 of them, look.",
    expectation: "After the call no page is there, VmFlags says lo lf, and VmLck counts all 16. The 3 that \
                  are touched are there, and locked.",
    explanation: "MLOCK_ONFAULT locks each page when it comes. It suits a large mapping of which an unknown \
                  part is used. The limit and VmLck count the whole range, because all of it may come to be \
                  locked.",
    cannot_show: "That the first touch is fast: it is a fault like any other.",
    source: "mlock2(2) (Linux 4.4).",
    since: Some((4, 4)),
    under: Under::Plain,
    c: include_str!("../../code/mlock2-on-fault.c"),
    rust: include_str!("../../code/mlock2-on-fault.rs"),
    run: on_fault,
};

fn on_fault(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(PAGES).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    let before = hand.look("16 pages are mapped");
    lock(ground.span(), When::OnFault).map_err(failed("mlock2 of 16 pages"))?;
    let locked = hand.look("after mlock2(MLOCK_ONFAULT)");
    for page in [0, 7, 15] {
        ground.write(page, 7);
    }
    let touched = hand.look("3 pages are touched");
    hand.expect_eq("pages there after mlock2", 0, locked.span(0).present_pages());
    hand.expect_eq("VmFlags has lo", true, locked.span(0).has_flag("lo"));
    hand.expect_eq("VmFlags has lf", true, locked.span(0).has_flag("lf"));
    hand.expect_eq(
        "VmLck more, in kB",
        kb(PAGES),
        locked.locked_kb() - before.locked_kb(),
    );
    hand.expect_eq("pages there when touched", 3, touched.span(0).present_pages());
    hand.expect_eq("Locked then, in kB", kb(3), touched.span(0).locked_kb());
    let refused = ground.discard(0..PAGES, Discard::DontNeed);
    hand.expect_errno(
        "madvise(MADV_DONTNEED), as of all locked memory",
        Errno::EINVAL,
        refused,
    );
    Ok(())
}

pub(super) const WHOLE_PAGES: Experiment = Experiment {
    name: "mlock-locks-whole-pages",
    chapter: Chapter::Locking,
    question: "How much is locked when one byte is?",
    method: "mlock 2 bytes, the last of one page and the first of the next; look at four pages.",
    expectation: "The call succeeds, and both pages are locked, and no other.",
    explanation: "Linux rounds the address down and the end up to whole pages; other systems may ask for an \
                  address on a page. Two small secrets in one page share its lock, and the first munlock \
                  takes it from both.",
    cannot_show: "What POSIX promises: it lets a system refuse an address that is not on a page.",
    source: "mlock(2), NOTES.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/mlock-locks-whole-pages.c"),
    rust: include_str!("../../code/mlock-locks-whole-pages.rs"),
    run: whole_pages,
};

fn whole_pages(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(4).map_err(failed("mmap"))?;
    hand.watch("pages 1 and 2", ground.pages(1..3));
    hand.watch("page 0", ground.pages(0..1));
    hand.watch("page 3", ground.pages(3..4));
    let before = hand.look("4 pages are mapped");
    let two = Span::new(ground.pages(2..3).base() - 1, 2)
        .ok_or(Errno::EINVAL)
        .map_err(failed("two bytes"))?;
    lock(two, When::Now).map_err(failed("mlock of 2 bytes"))?;
    let seen = hand.look("after mlock of 2 bytes around the middle");
    hand.expect_eq("VmLck more, in kB", kb(2), seen.locked_kb() - before.locked_kb());
    hand.expect_eq(
        "VmFlags of pages 1 and 2 has lo",
        true,
        seen.span(0).has_flag("lo"),
    );
    hand.expect_eq("pages there of these", 2, seen.span(0).present_pages());
    hand.expect_eq("VmFlags of page 0 has lo", false, seen.span(1).has_flag("lo"));
    hand.expect_eq("VmFlags of page 3 has lo", false, seen.span(2).has_flag("lo"));
    Ok(())
}

pub(super) const NESTING: Experiment = Experiment {
    name: "locks-do-not-nest",
    chapter: Chapter::Locking,
    question: "How often must memory be unlocked that was locked twice?",
    method: "mlock 16 pages twice, munlock once; munlock again.",
    expectation: "After the second mlock VmLck is as after the first; one munlock unlocks. munlock of what \
                  is not locked succeeds.",
    explanation: "The lock is a flag of the mapping, not a count. Two parts of a program that lock the same \
                  page without knowing of each other lose both locks at the first munlock; whoever shares \
                  pages must count.",
    cannot_show: "Locks of several processes on shared pages: there each process has its own.",
    source: "mlock(2), NOTES, memory locks do not stack.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/locks-do-not-nest.c"),
    rust: include_str!("../../code/locks-do-not-nest.rs"),
    run: nesting,
};

fn nesting(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(PAGES).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    let before = hand.look("16 pages are mapped");
    lock(ground.span(), When::Now).map_err(failed("mlock of 16 pages"))?;
    let once = hand.look("after mlock");
    let again = lock(ground.span(), When::Now);
    let twice = hand.look("after another mlock");
    let undone = unlock(ground.span());
    let after = hand.look("after one munlock");
    let nothing = unlock(ground.span());
    hand.expect_ok("the second mlock", again);
    hand.expect_eq("VmLck after it", once.locked_kb(), twice.locked_kb());
    hand.expect_ok("munlock", undone);
    hand.expect_eq("VmLck after one munlock", before.locked_kb(), after.locked_kb());
    hand.expect_eq("VmFlags has lo then", false, after.span(0).has_flag("lo"));
    hand.expect_ok("munlock of what is not locked", nothing);
    Ok(())
}

pub(super) const HOLE: Experiment = Experiment {
    name: "mlock-over-a-hole",
    chapter: Chapter::Locking,
    question: "What does mlock do with a range that has a hole in it?",
    method: "Unmap the middle of three pages and mlock all three; then munlock.",
    expectation: "ENOMEM; the page before the hole is locked, the page behind it is not.",
    explanation: "mlock goes from mapping to mapping and stops where the next does not begin at the end of \
                  the one before. What it has marked until then stays marked. madvise goes on over a hole \
                  instead.",
    cannot_show: "What later kernels do: the manual page promises only the error.",
    source: "mlock(2), ERRORS, ENOMEM; mm/mlock.c, apply_vma_lock_flags.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/mlock-over-a-hole.c"),
    rust: include_str!("../../code/mlock-over-a-hole.rs"),
    run: hole,
};

fn hole(hand: &mut Hand) -> Result<(), Stop> {
    let mut ground = Ground::anonymous(3).map_err(failed("mmap"))?;
    hand.watch("before the hole", ground.pages(0..1));
    hand.watch("behind the hole", ground.pages(2..3));
    lock(ground.span(), When::OnFault).map_err(failed("mlock2 of 3 pages"))?;
    unlock(ground.span()).map_err(failed("munlock"))?;
    hand.look("three pages are mapped");
    ground.punch(1..2).map_err(failed("munmap"))?;
    let locked = lock(ground.span(), When::Now);
    let seen = hand.look("after munmap of the middle and mlock of all");
    let unlocked = unlock(ground.span());
    let after = hand.look("after munlock of all");
    hand.expect_errno("mlock over a hole", Errno::ENOMEM, locked);
    hand.expect_eq(
        "VmFlags before the hole has lo",
        true,
        seen.span(0).has_flag("lo"),
    );
    hand.expect_eq(
        "VmFlags behind the hole has lo",
        false,
        seen.span(1).has_flag("lo"),
    );
    hand.expect_errno("munlock over a hole", Errno::ENOMEM, unlocked);
    hand.expect_eq(
        "VmFlags before the hole has lo then",
        false,
        after.span(0).has_flag("lo"),
    );
    Ok(())
}

pub(super) const CHILD: Experiment = Experiment {
    name: "locks-are-not-inherited",
    chapter: Chapter::Locking,
    question: "Is memory locked in the child of a process that locked it?",
    method: "mlock 16 filled pages; there and in a child, advise DONTNEED, which locked memory refuses.",
    expectation: "EINVAL in the parent; in the child it succeeds, and the parent keeps its bytes and its \
                  lock.",
    explanation: "fork copies the mappings without VM_LOCKED: the limit is per process, and a child that \
                  execs next has no use for locked pages. A child that needs them locks them itself. \
                  MCL_FUTURE of mlockall is not inherited either.",
    cannot_show: "exec: it unmaps everything, locks included.",
    source: "mlock(2), NOTES; fork(2); kernel/fork.c, dup_mmap.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/locks-are-not-inherited.c"),
    rust: include_str!("../../code/locks-are-not-inherited.rs"),
    run: child,
};

fn child(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(PAGES).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    lock(ground.span(), When::Now).map_err(failed("mlock of 16 pages"))?;
    hand.look("16 pages are filled and locked");
    let here = ground.discard(0..PAGES, Discard::DontNeed);
    let there = hand.in_child(|| match ground.discard(0..PAGES, Discard::DontNeed) {
        Ok(()) => ground.read(0),
        Err(_) => u8::MAX,
    })?;
    let after = hand.look("after the child");
    hand.expect_errno("madvise(MADV_DONTNEED) in the parent", Errno::EINVAL, here);
    let dropped = there == End::Exited(0);
    hand.expect(
        "what the child reads after its DONTNEED",
        "0, its exit code",
        there,
        dropped,
    );
    hand.expect_eq(
        "pages of the parent that are as they were",
        PAGES,
        ground.count(7),
    );
    hand.expect_eq(
        "Locked of the parent, in kB",
        kb(PAGES),
        after.span(0).locked_kb(),
    );
    Ok(())
}
