//! GUARD_INSTALL and GUARD_REMOVE: pages that must not be touched, without a mapping of their own.

use std::io;
use std::os::fd::AsRawFd as _;
use std::ptr::with_exposed_provenance;

use neap_os::advice::{Discard, Guard};
use neap_os::errno::Errno;
use neap_os::lock::{When, lock};

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::Ground;
use crate::lab::hand::{Hand, Stop, failed};
use crate::lab::offspring::End;

pub(super) const PAGE: Experiment = Experiment {
    name: "guard-page-without-a-split",
    chapter: Chapter::Madvise,
    question: "What is a guard page of madvise, and what does it cost?",
    method: "Fill 8 pages, install a guard on the fifth, touch it in children, advise DONTNEED over it, give \
             it to write(2), and remove it.",
    expectation: "The mapping stays one line of maps. Touching the guard is SEGV_MAPERR, also in a child and \
                  after DONTNEED; write(2) from it is EFAULT. Removed, it reads 0, and the neighbours are as \
                  before.",
    explanation: "mprotect(PROT_NONE) makes a mapping of its own for the page, so a guard for each of many \
                  stacks costs three mappings each. GUARD_INSTALL writes a marker into the page table \
                  instead: no new mapping, nothing allocated. The marker is copied at fork, and DONTNEED, \
                  which drops pages, leaves it. The kernel's own accesses meet it, too, and there it is an \
                  error, not a signal.",
    cannot_show: "That a stack hits its guard: a large step may jump over it.",
    source: "madvise(2), MADV_GUARD_INSTALL (Linux 6.13); mm/madvise.c.",
    since: Some((6, 13)),
    under: Under::Plain,
    c: include_str!("../../code/guard-page-without-a-split.c"),
    rust: include_str!("../../code/guard-page-without-a-split.rs"),
    run: page,
};

/// What write(2) of 8 bytes of a page to a pipe says.
fn written(ground: &Ground, page: usize) -> Result<usize, Errno> {
    let last_error = || Errno(io::Error::last_os_error().raw_os_error().unwrap_or(0));
    let (_reader, writer) = io::pipe().map_err(|_| last_error())?;
    let from = with_exposed_provenance::<libc::c_void>(ground.pages(page..page + 1).base());
    // SAFETY: write reads 8 bytes of the ground's page, or finds that it cannot and says so; no reference to
    // them is made, and the descriptor lives here.
    let count = unsafe { libc::write(writer.as_raw_fd(), from, 8) };
    usize::try_from(count).map_err(|_| last_error())
}

fn page(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(8).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    let before = hand.look("8 pages are filled");
    let installed = ground.guard(4..5, Guard::Install);
    let guarded = hand.look("after GUARD_INSTALL on the fifth");
    let read = hand.fault_of(|| {
        ground.read(4);
    })?;
    let write = hand.fault_of(|| ground.write(4, 1))?;
    let neighbour = hand.fault_of(|| ground.write(3, 1))?;
    let from_guard = written(&ground, 4);
    let from_neighbour = written(&ground, 3);
    let dropped = ground.discard(0..8, Discard::DontNeed);
    let after_drop = hand.look("after DONTNEED of all");
    let still = hand.fault_of(|| {
        ground.read(4);
    })?;
    for page in [3, 5] {
        ground.write(page, 8);
    }
    let removed = ground.guard(0..8, Guard::Remove);
    let plain = hand.look("after GUARD_REMOVE of all");
    hand.expect_ok("madvise(MADV_GUARD_INSTALL)", installed);
    hand.expect_eq("lines of maps", before.mappings(), guarded.mappings());
    hand.expect_eq("pages there with the guard", 7, guarded.span(0).present_pages());
    hand.expect_fault("a read of the guard in a child", "SEGV_MAPERR", read);
    hand.expect_fault("a write to the guard in a child", "SEGV_MAPERR", write);
    hand.expect_no_fault("a write to its neighbour", neighbour);
    hand.expect_errno("write(2) from the guard", Errno::EFAULT, from_guard);
    hand.expect_ok("write(2) from its neighbour", from_neighbour);
    hand.expect_ok("madvise(MADV_DONTNEED) over the guard", dropped);
    hand.expect_eq("pages there after it", 0, after_drop.span(0).present_pages());
    hand.expect_fault("a read of the guard after it", "SEGV_MAPERR", still);
    hand.expect_ok("madvise(MADV_GUARD_REMOVE) of all", removed);
    hand.expect_eq("pages there then", 2, plain.span(0).present_pages());
    hand.expect_eq("the page that was a guard reads", 0, ground.read(4));
    hand.expect_eq("its neighbours read", 16, ground.read(3) + ground.read(5));
    Ok(())
}

pub(super) const AND_CHILDREN: Experiment = Experiment {
    name: "guard-is-inherited",
    chapter: Chapter::Madvise,
    question: "Whose are guards after a fork?",
    method: "Install a guard on one page of four; a child removes it in its copy and reads; then the \
             parent's guard is tried. Lock other memory and install one there.",
    expectation: "The child has the guard and can remove its own; the parent's stays. On locked memory \
                  GUARD_INSTALL is EINVAL.",
    explanation: "The marker lives in the page table, which fork copies, so each process has its own. \
                  Installing one drops the page, and locked memory is memory whose pages are not dropped: \
                  the call refuses it.",
    cannot_show: "Guards under WIPEONFORK: there the child's page table starts empty, guards excepted (Linux \
                  6.15).",
    source: "madvise(2), MADV_GUARD_INSTALL (Linux 6.13).",
    since: Some((6, 13)),
    under: Under::Plain,
    c: include_str!("../../code/guard-is-inherited.c"),
    rust: include_str!("../../code/guard-is-inherited.rs"),
    run: and_children,
};

fn and_children(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(4).map_err(failed("mmap"))?;
    let locked = Ground::anonymous(4).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    hand.watch("locked memory", locked.span());
    ground.fill(7);
    locked.fill(7);
    lock(locked.span(), When::Now).map_err(failed("mlock of 4 pages"))?;
    ground
        .guard(1..2, Guard::Install)
        .map_err(failed("MADV_GUARD_INSTALL"))?;
    hand.look("a guard is installed");
    let inherited = hand.fault_of(|| {
        ground.read(1);
    })?;
    let removed = hand.in_child(|| match ground.guard(1..2, Guard::Remove) {
        Ok(()) => ground.read(1),
        Err(_) => u8::MAX,
    })?;
    let kept = hand.fault_of(|| {
        ground.read(1);
    })?;
    let refused = locked.guard(1..2, Guard::Install);
    hand.look("after GUARD_INSTALL on locked memory");
    hand.expect_fault("a read of the guard in a child", "SEGV_MAPERR", inherited);
    hand.expect(
        "what a child reads that has removed it",
        "0, its exit code",
        removed,
        removed == End::Exited(0),
    );
    hand.expect_fault("a read of the guard afterwards", "SEGV_MAPERR", kept);
    hand.expect_errno(
        "madvise(MADV_GUARD_INSTALL) on locked memory",
        Errno::EINVAL,
        refused,
    );
    hand.expect_eq("locked pages that are as they were", 4, locked.count(7));
    Ok(())
}
