//! How madvise refuses.

use std::fs;

use neap_os::advice::{self, Discard, Guard, Hint};
use neap_os::errno::Errno;
use neap_os::lock::{When, lock};
use neap_os::mapping::{Flags, Prot, Request, Sharing, protect, unmap};
use neap_os::seal::seal;
use neap_os::unit::Span;

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb, request};
use crate::lab::hand::{Hand, Stop, cannot, failed};

pub(super) const ARGUMENTS: Experiment = Experiment {
    name: "madvise-bad-arguments",
    chapter: Chapter::Madvise,
    question: "Which arguments does madvise refuse, and which does it not?",
    method: "Call it with an address that is not on a page, a length that wraps, an advice that does not \
             exist, a length of 0, and a length that is not a multiple of the page.",
    expectation: "The first three are EINVAL; the last two succeed, and a length is rounded up to the page.",
    explanation: "The kernel looks at the advice, then at the alignment of the address, rounds the length up \
                  and looks whether the end wraps. A length of 0 ends the call there: also for memory that \
                  is not mapped. So a call of no bytes tells whether the kernel knows an advice.",
    cannot_show: "Every advice: they share these checks.",
    source: "madvise(2), ERRORS, EINVAL; mm/madvise.c, madvise_should_skip.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/madvise-bad-arguments.c"),
    rust: include_str!("../../code/madvise-bad-arguments.rs"),
    run: arguments,
};

fn arguments(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(4).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    hand.look("4 pages are filled");
    let base = ground.span().base();
    let of = |base: usize, len: usize| Span::new(base, len).ok_or(Errno::EINVAL);
    let unaligned = of(base + 1, 4096).and_then(|span| advice::hint(span, Hint::Cold));
    // SAFETY: madvise with a value that no kernel has touches nothing, and a length that wraps is refused.
    let raw = |len: usize, advice: i32| unsafe {
        match libc::madvise(std::ptr::with_exposed_provenance_mut(base), len, advice) {
            0 => Ok(()),
            _ => Err(Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))),
        }
    };
    let wraps = raw(usize::MAX, libc::MADV_NORMAL);
    let unknown = raw(4096, 9999);
    let empty = ground.discard(0..0, Discard::DontNeed);
    let nowhere = of(4096, 0).and_then(|span| advice::hint(span, Hint::Random));
    let odd = of(base, kb(1) as usize * 1024 + 1).and_then(|span| advice::hint(span, Hint::DontDump));
    let seen = hand.look("after the calls");
    hand.expect_errno("an address that is not on a page", Errno::EINVAL, unaligned);
    hand.expect_errno("a length of -1", Errno::EINVAL, wraps);
    hand.expect_errno("advice 9999", Errno::EINVAL, unknown);
    hand.expect_ok("a length of 0", empty);
    hand.expect_ok("a length of 0 where nothing is mapped", nowhere);
    hand.expect_ok("a length of a page and a byte", odd);
    hand.expect_eq("VmFlags has dd", true, seen.span(0).has_flag("dd"));
    hand.expect_eq("pages that read as before", 4, ground.count(7));
    Ok(())
}

pub(super) const HOLE: Experiment = Experiment {
    name: "madvise-over-a-hole",
    chapter: Chapter::Madvise,
    question: "What does madvise do with a range that has a hole in it?",
    method: "Unmap the middle page of three, advise DONTDUMP for all three.",
    expectation: "The call is ENOMEM, and yet both pages around the hole have the advice.",
    explanation: "The kernel walks the mappings of the range, remembers that it met a hole, and goes on; at \
                  the end it says ENOMEM. So the error does not mean that nothing was done.",
    cannot_show: "Advice that stops for other reasons: an error of another kind ends the walk where it is \
                  met.",
    source: "madvise(2), ERRORS, ENOMEM; mm/madvise.c, madvise_walk_vmas.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/madvise-over-a-hole.c"),
    rust: include_str!("../../code/madvise-over-a-hole.rs"),
    run: hole,
};

fn hole(hand: &mut Hand) -> Result<(), Stop> {
    let mut ground = Ground::anonymous(3).map_err(failed("mmap"))?;
    hand.watch("first page", ground.pages(0..1));
    hand.watch("last page", ground.pages(2..3));
    hand.look("three pages are mapped");
    ground.punch(1..2).map_err(failed("munmap"))?;
    let advised = ground.hint(0..3, Hint::DontDump);
    let seen = hand.look("after munmap of the middle and DONTDUMP of all");
    hand.expect_errno("madvise(MADV_DONTDUMP) over a hole", Errno::ENOMEM, advised);
    hand.expect_eq(
        "VmFlags of the first page has dd",
        true,
        seen.span(0).has_flag("dd"),
    );
    hand.expect_eq(
        "VmFlags of the last page has dd",
        true,
        seen.span(1).has_flag("dd"),
    );
    Ok(())
}

pub(super) const LOCKED: Experiment = Experiment {
    name: "madvise-of-locked-memory",
    chapter: Chapter::Madvise,
    question: "Which advice does locked memory refuse?",
    method: "Lock 4 filled pages of private and of shared memory, and give them each advice that takes pages \
             away.",
    expectation: "DONTNEED, FREE, COLD, PAGEOUT, COLLAPSE and GUARD_INSTALL are EINVAL, and so is REMOVE of \
                  the shared memory; every page stays.",
    explanation: "A lock promises that the pages stay, so the kernel refuses what would take or move them. \
                  Advice that is only a mark (DONTDUMP, RANDOM, DONTFORK) is taken.",
    cannot_show: "DONTNEED_LOCKED, which is for this: see dontneed-locked.",
    source: "madvise(2), ERRORS, EINVAL; mm/madvise.c, can_madv_lru_vma.",
    since: Some((5, 4)),
    under: Under::Plain,
    c: include_str!("../../code/madvise-of-locked-memory.c"),
    rust: include_str!("../../code/madvise-of-locked-memory.rs"),
    run: locked,
};

fn locked(hand: &mut Hand) -> Result<(), Stop> {
    let private = Ground::anonymous(4).map_err(failed("mmap"))?;
    let shared = Ground::shared(4).map_err(failed("mmap"))?;
    hand.watch("private", private.span());
    hand.watch("shared", shared.span());
    for ground in [&private, &shared] {
        ground.fill(7);
        lock(ground.span(), When::Now).map_err(failed("mlock of 4 pages"))?;
    }
    hand.look("both are filled and locked");
    let mut answers: Vec<(String, Result<(), Errno>)> = Vec::new();
    for advice in [Discard::DontNeed, Discard::Free] {
        answers.push((format!("{advice:?}"), private.discard(0..4, advice)));
    }
    for advice in [Hint::Cold, Hint::PageOut] {
        answers.push((format!("{advice:?}"), private.hint(0..4, advice)));
    }
    if hand.has_kernel(6, 1) {
        answers.push(("Collapse".to_owned(), private.hint(0..4, Hint::Collapse)));
    }
    if hand.has_kernel(6, 13) {
        answers.push(("Guard::Install".to_owned(), private.guard(0..4, Guard::Install)));
    }
    answers.push((
        "Remove of shared memory".to_owned(),
        shared.discard(0..4, Discard::Remove),
    ));
    let marked = private.hint(0..4, Hint::DontDump);
    hand.look("after the calls");
    for (advice, answer) in answers {
        hand.expect_errno(&advice, Errno::EINVAL, answer);
    }
    hand.expect_ok("DontDump", marked);
    hand.expect_eq("pages that read as before", 8, private.count(7) + shared.count(7));
    Ok(())
}

pub(super) const SEALED: Experiment = Experiment {
    name: "madvise-of-sealed-memory",
    chapter: Chapter::Madvise,
    question: "Can the bytes of sealed memory be thrown away?",
    method: "Fill two mappings, make one read-only, seal both with mseal, and advise DONTNEED and DONTDUMP.",
    expectation: "DONTNEED of the read-only one is EPERM; of the writable one it succeeds. DONTDUMP \
                  succeeds.",
    explanation: "mseal fixes a mapping: it cannot be unmapped, moved or given other rights. To drop the \
                  pages of anonymous memory is to write zeros, so advice that does it needs the right to \
                  write; who may write can change the bytes anyway.",
    cannot_show: "Undoing it: a seal lasts as long as the process.",
    source: "mseal(2) (Linux 6.10); Documentation/userspace-api/mseal.rst.",
    since: Some((6, 10)),
    under: Under::Plain,
    c: include_str!("../../code/madvise-of-sealed-memory.c"),
    rust: include_str!("../../code/madvise-of-sealed-memory.rs"),
    run: sealed,
};

fn sealed(hand: &mut Hand) -> Result<(), Stop> {
    let fixed = Ground::anonymous(4).map_err(failed("mmap"))?;
    let writable = Ground::anonymous(4).map_err(failed("mmap"))?;
    hand.watch("read-only", fixed.span());
    hand.watch("writable", writable.span());
    fixed.fill(7);
    writable.fill(7);
    // SAFETY: (1) the ground is this experiment's; (2) it is only read from now on.
    unsafe { protect(fixed.span(), Prot::READ) }.map_err(failed("mprotect"))?;
    for ground in [&fixed, &writable] {
        // SAFETY: (1) the ground is this experiment's, and is not unmapped, moved or protected again.
        match unsafe { seal(ground.span()) } {
            Err(Errno::ENOSYS) => {
                return Err(cannot("this kernel has no mseal", "a 64-bit kernel with mseal"));
            }
            other => other.map_err(failed("mseal"))?,
        }
    }
    hand.look("both are filled and sealed");
    let refused = fixed.discard(0..4, Discard::DontNeed);
    let dropped = writable.discard(0..4, Discard::DontNeed);
    let marked = fixed.hint(0..4, Hint::DontDump);
    hand.look("after the calls");
    hand.expect_errno(
        "madvise(MADV_DONTNEED) of sealed read-only memory",
        Errno::EPERM,
        refused,
    );
    hand.expect_ok("madvise(MADV_DONTNEED) of sealed writable memory", dropped);
    hand.expect_ok("madvise(MADV_DONTDUMP) of sealed read-only memory", marked);
    hand.expect_eq("pages of the first that read as before", 4, fixed.count(7));
    hand.expect_eq("pages of the second that read 0", 4, writable.count(0));
    Ok(())
}

pub(super) const MAP_LIMIT: Experiment = Experiment {
    name: "madvise-at-the-map-limit",
    chapter: Chapter::Madvise,
    question: "What does madvise say when a process has as many mappings as it may have?",
    method: "In a child, split a mapping by mprotect until it is refused; then advise RANDOM and DONTFORK \
             for a page in the middle of a mapping, and try mprotect and munmap there; then advise DONTNEED.",
    expectation: "mprotect and munmap say ENOMEM, madvise says EAGAIN; DONTNEED, which needs no mapping, \
                  succeeds.",
    explanation: "Advice that is a flag of the mapping splits it, and vm.max_map_count bounds how many \
                  mappings there may be. madvise turns the ENOMEM of the split into EAGAIN, because its own \
                  ENOMEM means a hole.",
    cannot_show: "Which of a program's mappings could be merged.",
    source: "madvise(2), ERRORS, EAGAIN; proc_sys_vm(5), max_map_count; mm/madvise.c, madvise_vma_behavior.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/madvise-at-the-map-limit.c"),
    rust: include_str!("../../code/madvise-at-the-map-limit.rs"),
    run: map_limit,
};

/// Pages of the mapping that stays whole.
const WHOLE: usize = 8;

fn map_limit(hand: &mut Hand) -> Result<(), Stop> {
    let limit: usize = fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(65530);
    if limit > 1 << 19 {
        return Err(cannot(
            format!("vm.max_map_count is {limit}: so many mappings take long and much memory"),
            "sysctl vm.max_map_count=65530",
        ));
    }
    let many = Ground::of(&Request {
        prot: Prot::NONE,
        flags: Flags::NO_RESERVE,
        ..request(limit * 2 + 2, Sharing::Private)
    })
    .map_err(failed("mmap"))?;
    let whole = Ground::anonymous(WHOLE).map_err(failed("mmap"))?;
    hand.watch("the mapping in question", whole.span());
    whole.fill(7);
    let answers = Ground::shared(6).map_err(failed("mmap"))?;
    hand.look("before the child");
    hand.in_child(|| {
        let code = |outcome: Result<(), Errno>| outcome.err().map_or(0, |errno| errno.0 as u8);
        let split = (0..limit).map(|index| {
            let page = many.pages(index * 2 + 1..index * 2 + 2);
            // SAFETY: (1) the ground is this experiment's; (2) nothing accesses it.
            unsafe { protect(page, Prot::READ) }
        });
        let refused = split.filter_map(Result::err).next();
        answers.write(0, code(refused.map_or(Ok(()), Err)));
        let middle = whole.pages(3..5);
        // SAFETY: (1, 2) as above; a refusal changes nothing, and a success ends with the child.
        answers.write(1, code(unsafe { protect(middle, Prot::READ) }));
        // SAFETY: (1, 2) likewise: what is accessed below is another page.
        answers.write(2, code(unsafe { unmap(middle) }));
        answers.write(3, code(whole.hint(3..5, Hint::Random)));
        answers.write(4, code(whole.discard(3..5, Discard::DontFork)));
        answers.write(5, code(whole.discard(0..1, Discard::DontNeed)));
        0
    })?;
    hand.look("after the child");
    let name = |page| match answers.read(page) {
        0 => "success",
        code => Errno(i32::from(code)).name().unwrap_or("another error"),
    };
    hand.figure("vm.max_map_count", limit);
    hand.expect_eq("the mprotect that reached the limit", "ENOMEM", name(0));
    hand.expect_eq("mprotect in the middle of a mapping", "ENOMEM", name(1));
    hand.expect_eq("munmap in the middle of a mapping", "ENOMEM", name(2));
    hand.expect_eq("madvise(MADV_RANDOM) in the middle", "EAGAIN", name(3));
    hand.expect_eq("madvise(MADV_DONTFORK) in the middle", "EAGAIN", name(4));
    hand.expect_eq("madvise(MADV_DONTNEED), which splits nothing", "success", name(5));
    Ok(())
}
