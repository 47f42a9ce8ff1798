//! The program break.
#![allow(unsafe_code, reason = "experiments move the break by hand")]

use neap_os::advice::{Discard, discard};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::unit::Span;

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};
use crate::lab::malloc::{Block, move_break, outgrow, program_break, trim};
use crate::lab::sight::{Seen, SeenSpan};

mod start;

pub(super) const ALL: &[&Experiment] = &[&BY_128, &ROUNDS, &ONLY_THE_TOP, &AT_LIMIT, &start::RANDOM];

/// Note 00's first program.
const BY_128: Experiment = Experiment {
    name: "brk-128",
    chapter: Chapter::Brk,
    question: "Why does a heap shrink when the break is set 128 bytes higher than it was read?",
    method: "Read the break; allocate until malloc has moved it, as printing a map does; set it to what \
             was read + 128. The same in a child, which then calls malloc(8192) and writes to what it got.",
    expectation: "The heap shrinks to one page above the break as it was read. The child ends by SIGSEGV \
                  (SEGV_MAPERR).",
    explanation: "The break was read before stdio's first malloc raised it by 132 KiB, so 128 bytes above \
                  the old break lie far below the new one, and brk lowers it; a part of a page counts as a \
                  whole one. 0x80 is 128, not 80. The note's program survived by luck: it happened to \
                  allocate nothing more. malloc does not know of the call, its top chunk still claims the \
                  pages that have gone, and the next block that is cut from there faults.",
    cannot_show: "What other programs have in the pages that go: here they are malloc's spare ones.",
    source: "Note 00, brk/sbrk; brk(2); malloc/malloc.c of glibc, sysmalloc.",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/brk-128.c"),
    rust: include_str!("../code/brk-128.rs"),
    run: by_128,
};

fn by_128(hand: &mut Hand) -> Result<(), Stop> {
    trim(0);
    let read = program_break();
    let before = hand.look("the break is read");
    outgrow(1024);
    let high = program_break();
    let grown = hand.look("malloc has moved the break");
    let lower = (read + 128).cast_signed() - high.cast_signed();
    let fault = hand.fault_of(|| {
        // SAFETY: (1) in a child, to see the fault.
        let _ = unsafe { move_break(lower) };
        if let Some(block) = Block::new(8192) {
            block.touch();
        }
    })?;
    // SAFETY: (1) above the new break's page is the rear of malloc's top chunk, which holds nothing: its
    // head lies below, since the last block of `outgrow` began below the break that was read. (2) It is
    // raised again before anything is allocated.
    let lowered = unsafe { move_break(lower) };
    let now = program_break();
    let shrunk = hand.look("after brk to what was read + 128");
    // SAFETY: (2) this is where malloc had it.
    let restored = unsafe { move_break(-lower) };
    hand.look("the break is back where malloc had it");
    hand.expect_ok("brk", lowered);
    hand.expect_eq(
        "bytes from the break that was read to the new one",
        128,
        now - read,
    );
    hand.expect_eq(
        "kB by which malloc raised the heap",
        (high - read) as u64 / 1024,
        grown.heap_kb() - before.heap_kb(),
    );
    hand.expect_eq(
        "kB of heap above the break that was read",
        page_size() as u64 / 1024,
        shrunk.heap_kb() - before.heap_kb(),
    );
    hand.expect_fault(
        "malloc(8192) and a store, after the same in a child",
        "SEGV_MAPERR",
        fault,
    );
    hand.expect_ok("brk back up", restored);
    Ok(())
}

/// The break is exact, memory is not.
const ROUNDS: Experiment = Experiment {
    name: "brk-rounds-to-pages",
    chapter: Chapter::Brk,
    question: "What does the kernel map when the break is raised by 1 byte?",
    method: "From a break at a page's start: raise it by 1, by 4095 more, by 1 more, and lower it again. \
             In children, write behind the break.",
    expectation: "Pages are mapped as soon as one byte of them lies below the break: 1, 1 and 2. The break \
                  itself is exact. A store behind the break works up to the page's end, then it is SIGSEGV \
                  (SEGV_MAPERR).",
    explanation: "The kernel remembers the break to the byte and maps up to the next page boundary, \
                  because a page is the least that it can map. So the first bytes behind the break can be \
                  written and nothing notices; the first byte of the next page cannot.",
    cannot_show: "Page sizes other than this machine's.",
    source: "Note 00, (address + page_size - 1) & ~(page_size - 1); brk(2); mm/mmap.c, brk.",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/brk-rounds-to-pages.c"),
    rust: include_str!("../code/brk-rounds-to-pages.rs"),
    run: rounds,
};

/// Nothing of a span that is not mapped is in smaps.
const fn mapped_kb(span: &SeenSpan) -> u64 {
    match span.mapped_kb() {
        u64::MAX => 0,
        kb => kb,
    }
}

/// Raises the break to the next page, if it is within one; answers with where it was and where it is.
fn align() -> Result<(usize, usize), Stop> {
    let was = program_break();
    let aligned = was.next_multiple_of(page_size());
    // SAFETY: (2) the experiment brings it back to `was` before it allocates.
    unsafe { move_break((aligned - was).cast_signed()) }.map_err(failed("sbrk to the next page"))?;
    Ok((was, aligned))
}

fn span(base: usize, len: usize) -> Result<Span, Stop> {
    Span::new(base, len).ok_or_else(|| failed("a span")(Errno::EINVAL))
}

fn rounds(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    trim(0);
    let (was, base) = align()?;
    hand.watch("two pages above", span(base, 2 * page)?);
    let before = hand.look("the break is at a page's start");
    // SAFETY: (2) all that is raised is lowered below, before anything is allocated.
    let one = unsafe { move_break(1) };
    let exact = program_break();
    let first = hand.look("raised by 1 byte");
    let store = |at: usize| {
        // SAFETY: in a child, to a page that is mapped and nobody's, or to one that is not, to see the fault.
        unsafe { (at as *mut u8).write_volatile(1) };
    };
    let inside = hand.fault_of(|| store(base + page - 1))?;
    let outside = hand.fault_of(|| store(base + page))?;
    // SAFETY: (2) as above.
    let rest = unsafe { move_break(page.cast_signed() - 1) };
    let same = hand.look("raised to the page's end");
    // SAFETY: (2) as above.
    let more = unsafe { move_break(1) };
    let second = hand.look("raised by 1 byte more");
    // SAFETY: (1) nothing lies in the pages that were raised here.
    let back = unsafe { move_break(was.cast_signed() - (base + page + 1).cast_signed()) };
    let after = hand.look("lowered to where it was");
    for (what, call) in [
        ("1", one),
        ("4095 more", rest),
        ("1 more", more),
        ("all back", back),
    ] {
        hand.expect_ok(&format!("sbrk: {what}"), call);
    }
    hand.expect_eq("bytes the break has moved after the first", 1, exact - base);
    let kb = page as u64 / 1024;
    let seen = [
        (0, &before),
        (kb, &first),
        (kb, &same),
        (2 * kb, &second),
        (0, &after),
    ];
    for (number, (expected, seen)) in seen.into_iter().enumerate() {
        let what = format!("kB mapped above the first break, at look {}", number + 1);
        hand.expect_eq(&what, expected, mapped_kb(seen.span(0)));
    }
    hand.expect_no_fault("a store to the last byte of the page", inside);
    hand.expect_fault(
        "a store to the first byte of the next page",
        "SEGV_MAPERR",
        outside,
    );
    Ok(())
}

/// Note 00: pages 1 to 6, of which 2, 3 and 4 are not needed.
const ONLY_THE_TOP: Experiment = Experiment {
    name: "brk-only-the-top",
    chapter: Chapter::Brk,
    question: "Can brk give back pages 2, 3 and 4 of six?",
    method: "Raise the break by six pages and write to them. In a child, lower it to page 2 and write to \
             page 5. Here, give back pages 2 to 4 with madvise(MADV_DONTNEED), then lower the break by two \
             pages.",
    expectation: "The child loses page 5 and ends by SIGSEGV (SEGV_MAPERR). madvise leaves pages 1, 5 and \
                  6 in memory and all six mapped; lowering the break takes 5 and 6.",
    explanation: "The break is one number: the heap ends there. What is lower can only be unmapped \
                  together with all above it, and one live page at the top holds everything below. madvise \
                  is not bound to the top: it drops the memory and leaves the addresses, so a malloc whose \
                  heap is pinned can still give back its holes.",
    cannot_show: "That a malloc does so: glibc's does only in malloc_trim.",
    source: "Note 00, the drawback of brk, and its part on madvise; brk(2); madvise(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/brk-only-the-top.c"),
    rust: include_str!("../code/brk-only-the-top.rs"),
    run: only_the_top,
};

fn only_the_top(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    trim(0);
    let (was, base) = align()?;
    // SAFETY: (2) lowered to `was` below, before anything is allocated.
    let raised = unsafe { move_break(6 * page.cast_signed()) };
    raised.map_err(failed("sbrk of six pages"))?;
    hand.watch("six pages", span(base, 6 * page)?);
    let empty = hand.look("six pages more");
    let store = |number: usize| {
        // SAFETY: a page of the six, nobody's; in the child it may have gone, which is to be seen.
        unsafe { ((base + (number - 1) * page) as *mut u8).write_volatile(1) };
    };
    (1..=6).for_each(store);
    let full = hand.look("six pages are written");
    let fault = hand.fault_of(|| {
        // SAFETY: (1) nothing but this experiment's bytes lies there, and the fault is wanted.
        let _ = unsafe { move_break(-5 * page.cast_signed()) };
        store(5);
    })?;
    // SAFETY: the three pages are this experiment's and their content is not needed.
    let dropped = unsafe { discard(span(base + page, 3 * page)?, Discard::DontNeed) };
    let holes = hand.look("pages 2 to 4 are given back by madvise");
    // SAFETY: (1) pages 5 and 6 hold nothing that is needed.
    let lowered = unsafe { move_break(-2 * page.cast_signed()) };
    let low = hand.look("the break is lowered by two pages");
    // SAFETY: (1) nor do the others.
    let back = unsafe { move_break(was.cast_signed() - (base + 4 * page).cast_signed()) };
    let kb = page as u64 / 1024;
    // smaps tells of the whole heap, the six pages among it.
    let resident = |seen: &Seen| seen.span(0).rss_kb() - empty.span(0).rss_kb();
    hand.expect_eq("kB in memory when written", 6 * kb, resident(&full));
    hand.expect_fault("a store to page 5 after brk to page 2", "SEGV_MAPERR", fault);
    hand.expect_ok("madvise of pages 2 to 4", dropped);
    hand.expect_eq("kB in memory after madvise", 3 * kb, resident(&holes));
    hand.expect_eq("kB mapped after madvise", 6 * kb, mapped_kb(holes.span(0)));
    hand.expect_ok("sbrk by -2 pages", lowered);
    hand.expect_eq("kB in memory after sbrk", kb, resident(&low));
    hand.expect_eq("kB mapped after sbrk", 4 * kb, mapped_kb(low.span(0)));
    hand.expect_ok("sbrk back", back);
    Ok(())
}

/// The break has a limit.
const AT_LIMIT: Experiment = Experiment {
    name: "brk-at-rlimit-data",
    chapter: Chapter::Brk,
    question: "What does sbrk do at RLIMIT_DATA?",
    method: "Raise the break by two pages, set the soft limit RLIMIT_DATA to one page, try to raise the \
             break by a page and to lower it by one; restore the limit and do both again.",
    expectation: "Raising is ENOMEM and moves nothing. Lowering moves nothing either, and sbrk says that \
                  it did. With the limit restored both work.",
    explanation: "The limit counts data, bss and heap together, so one page is less than any process has. \
                  The kernel looks at it before it looks whether the break is to go up or down, so a break \
                  that would still be above the limit is refused in both directions. The system call has \
                  no errors: it answers with the break as it is. The C library takes an answer that is not \
                  below the wish for success, and so lowering seems to work. Whoever gives back by sbrk \
                  has to ask where the break is afterwards, as glibc's malloc does.",
    cannot_show: "What malloc does then: see malloc-brk-blocked and malloc-at-rlimit-data.",
    source: "Note 01, the manual page of sbrk: maximum data size; getrlimit(2); mm/mmap.c, brk.",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/brk-at-rlimit-data.c"),
    rust: include_str!("../code/brk-at-rlimit-data.rs"),
    run: at_limit,
};

fn at_limit(hand: &mut Hand) -> Result<(), Stop> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let page = page_size().cast_signed();
    trim(0);
    let (was, _) = align()?;
    // SAFETY: (2) it is brought back below, before anything is allocated.
    unsafe { move_break(2 * page) }.map_err(failed("sbrk of two pages"))?;
    let limit = getrlimit(Resource::Data);
    let mut narrow = limit;
    narrow.current = Some(page.cast_unsigned() as u64);
    let before = hand.look("two pages more");
    let set = setrlimit(Resource::Data, narrow);
    // SAFETY: (2) as above.
    let refused = unsafe { move_break(page) };
    let at = hand.look("a third page was asked for at the limit");
    // SAFETY: (1) nothing lies in the two pages.
    let ignored = unsafe { move_break(-page) };
    let below = hand.look("a page was to go at the limit");
    let unset = setrlimit(Resource::Data, limit);
    // SAFETY: (2) as above.
    let raised = unsafe { move_break(page) };
    let higher = hand.look("a page is raised with the old limit");
    // SAFETY: (1) nothing lies in the pages.
    let lowered = unsafe { move_break(-page) };
    let after = hand.look("a page is lowered with the old limit");
    // SAFETY: (1) nothing lies between the break as it was and as it is.
    let back = unsafe { move_break(was.cast_signed() - program_break().cast_signed()) };
    hand.expect(
        "setrlimit, twice",
        "success",
        format!("{set:?}, {unset:?}"),
        set.and(unset).is_ok(),
    );
    hand.expect_errno("sbrk up at the limit", Errno::ENOMEM, refused);
    hand.expect_ok("sbrk down at the limit, as it says", ignored);
    let kb = page.cast_unsigned() as u64 / 1024;
    let first = before.heap_kb();
    hand.expect_eq("kB of heap after the first", first, at.heap_kb());
    hand.expect_eq("kB of heap after the second", first, below.heap_kb());
    hand.expect_ok("sbrk up with the old limit", raised);
    hand.expect_eq("kB of heap after it", first + kb, higher.heap_kb());
    hand.expect_ok("sbrk down with the old limit", lowered);
    hand.expect_eq("kB of heap after that", first, after.heap_kb());
    hand.expect_ok("sbrk back", back);
    Ok(())
}
