//! Mappings made for stacks.
#![allow(unsafe_code, reason = "stores below a mapping make it grow")]

use std::ptr::with_exposed_provenance_mut;

use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{Flags, Place, Prot, Request, Sharing, unmap};
use neap_os::unit::Span;

use crate::lab::area::{Area, one_page, private, shared};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot, failed};
use crate::lab::offspring::Fault;

/// MAP_STACK.
pub(super) const STACK: Experiment = Experiment {
    name: "map-stack",
    chapter: Chapter::Flags,
    question: "Does MAP_STACK do anything on Linux?",
    method: "Map with and without it, and compare VmFlags.",
    expectation: "It sets nh, no huge pages (Linux 6.7), and nothing else: the area does not grow.",
    explanation: "For two decades the flag was ignored: a thread's stack is memory like any other. Since \
                  huge pages are given without asking, a stack of 8 MiB of which a thread uses 20 kB \
                  could cost 2 MiB; so 6.7 made the flag mean what MADV_NOHUGEPAGE says. Growth is \
                  MAP_GROWSDOWN's affair, which the C library does not use for threads.",
    cannot_show: "The huge page that would have been there without it.",
    source: "mmap(2), MAP_STACK; include/linux/mman.h, calc_vm_flag_bits.",
    since: Some((6, 7)),
    under: Under::Plain,
    c: include_str!("../../code/map-stack.c"),
    rust: include_str!("../../code/map-stack.rs"),
    run: stack,
};

fn stack(hand: &mut Hand) -> Result<(), Stop> {
    let plain = Area::new(&private(page_size()))?;
    let stack = Area::new(&Request {
        flags: Flags::STACK,
        ..private(page_size())
    })?;
    hand.watch("plain", plain.span());
    hand.watch("MAP_STACK", stack.span());
    let seen = hand.look("mapped");
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        return Err(cannot(
            "this kernel has no transparent huge pages",
            "use one that has",
        ));
    }
    hand.expect_eq("plain: the flag nh", false, seen.span(0).has_flag("nh"));
    hand.expect_eq("MAP_STACK: the flag nh", true, seen.span(1).has_flag("nh"));
    hand.expect_eq("MAP_STACK: the flag gd", false, seen.span(1).has_flag("gd"));
    Ok(())
}

/// The last page of `room`, which is free, as a page that grows.
fn growing(room: Span) -> Result<Area, Errno> {
    Area::ask(&Request {
        place: Place::Free(room.end() - page_size()),
        flags: Flags::GROWS_DOWN,
        ..private(page_size())
    })
}

/// In a child: frees `room`, maps a page with these rights at its start, if any, and one that grows at its
/// end; stores to the page below that, to the one below, and so on. Answers with the fault that ends it.
fn grow_to_the_end(hand: &mut Hand, room: &Area, lower: Option<Prot>) -> Result<Option<Fault>, Stop> {
    hand.fault_of(|| {
        let lower = lower.map(|prot| Request {
            place: Place::Free(room.span().base()),
            prot,
            ..private(page_size())
        });
        // SAFETY: (1) the room is the area's, and (2) nothing has stored anything there. The child never
        // drops the area. That the room is freed here and not before keeps other mappings out of it.
        let is_free = unsafe { unmap(room.span()) }.is_ok();
        let lower = lower.map(|request| Area::ask(&request));
        let area = growing(room.span());
        assert!(is_free && !matches!(lower, Some(Err(_))) && area.is_ok());
        let mut address = room.span().end() - page_size();
        while address > page_size() {
            address -= page_size();
            // SAFETY: in a child. The address is below the area that grows: it becomes a part of it by this
            // store, or the store faults and the child ends here.
            unsafe { with_exposed_provenance_mut::<u8>(address).write_volatile(1) };
        }
    })
}

/// Pages that are kept free of other mappings.
fn reserve(len: usize) -> Result<Area, Stop> {
    Area::new(&Request {
        prot: Prot::NONE,
        ..private(len)
    })
}

/// Sets the soft RLIMIT_STACK and answers with what it was.
fn limit_stack(bytes: usize) -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: getrlimit writes to and setrlimit reads from the structure, which lives here. A refusal (the
    // hard limit is lower still) leaves the old one, and the experiment finds that growth.
    unsafe {
        libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit);
        let old = limit.rlim_cur;
        limit.rlim_cur = bytes as libc::rlim_t;
        libc::setrlimit(libc::RLIMIT_STACK, &raw const limit);
        usize::try_from(old).unwrap_or(usize::MAX)
    }
}

/// MAP_GROWSDOWN.
pub(super) const GROWS: Experiment = Experiment {
    name: "map-growsdown-to-rlimit-stack",
    chapter: Chapter::Flags,
    question: "How far does a mapping with MAP_GROWSDOWN grow?",
    method: "Map one page with it above free room; store to the page below. In a child with RLIMIT_STACK \
             of 1 MiB go on downwards, page by page.",
    expectation: "Each store below adds the page, without a call. The area ends at 1 MiB: the next store \
                  is SIGSEGV (SEGV_MAPERR).",
    explanation: "An address that lies in no area, but below one with gd, makes the kernel move that \
                  area's start down to it, if the whole then stays within RLIMIT_STACK. The main \
                  thread's stack is such an area. The limit counts each growing area for itself, and is \
                  read at the fault, not at mmap.",
    cannot_show: "That the room below stays free: another mmap may take it, and growth ends there.",
    source: "Note 01, MAP_GROWSDOWN; mmap(2); mm/vma.c, acct_stack_growth.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/map-growsdown-to-rlimit-stack.c"),
    rust: include_str!("../../code/map-growsdown-to-rlimit-stack.rs"),
    run: grows,
};

fn grows(hand: &mut Hand) -> Result<(), Stop> {
    const LIMIT: usize = 1 << 20;
    let page = page_size();
    let room = reserve(16 << 20)?;
    let span = room.span();
    let old = limit_stack(LIMIT);
    let fault = grow_to_the_end(hand, &room, None)?;
    drop(room);
    let area = growing(span).map_err(failed("mmap with MAP_GROWSDOWN"))?;
    let both = Span::new(span.end() - 2 * page, 2 * page).unwrap_or(area.span());
    hand.watch("the page and the one below", both);
    let before = hand.look("one page with MAP_GROWSDOWN");
    // SAFETY: the page below is free room, and becomes the area's by this store.
    unsafe { with_exposed_provenance_mut::<u8>(both.base()).write_volatile(1) };
    let after = hand.look("after a store to the page below");
    limit_stack(old);
    hand.expect_eq("the flag gd", true, after.span(0).has_flag("gd"));
    hand.expect_eq(
        "kB mapped at first",
        page as u64 / 1024,
        before.span(0).mapped_kb(),
    );
    hand.expect_eq(
        "kB mapped then",
        2 * page as u64 / 1024,
        after.span(0).mapped_kb(),
    );
    hand.expect_fault("the store that ends growth in a child", "SEGV_MAPERR", fault);
    if let Some(fault) = fault {
        hand.expect_eq(
            "bytes the area had then",
            LIMIT,
            span.end() - fault.address - page,
        );
    }
    Ok(())
}

/// The stack guard gap.
pub(super) const STOPS: Experiment = Experiment {
    name: "map-growsdown-stops-above-a-neighbour",
    chapter: Chapter::Flags,
    question: "How near does a growing area come to the mapping below it?",
    method: "Map a page with MAP_GROWSDOWN 512 pages above a page that can be read and written; in a \
             child go down page by page. Again with PROT_NONE in place of the lower page's rights.",
    expectation: "Growth stops with 256 pages left between them (SEGV_MAPERR); above a page of PROT_NONE \
                  it goes on until they touch, and faults inside that page (SEGV_ACCERR).",
    explanation: "The gap keeps a stack that overflows by a large frame from reaching other memory \
                  without a fault; one page was too little, as Stack Clash showed in 2017. Memory that \
                  nobody can access needs no distance: it is a guard itself. The gap is stack_guard_gap= \
                  on the kernel's command line, 256 pages by default.",
    cannot_show: "A frame larger than the gap, which would jump over it unless the compiler probes.",
    source: "mm/vma.c, expand_downwards; kernel-parameters.txt, stack_guard_gap.",
    since: Some((4, 12)),
    under: Under::Plain,
    c: include_str!("../../code/map-growsdown-stops-above-a-neighbour.c"),
    rust: include_str!("../../code/map-growsdown-stops-above-a-neighbour.rs"),
    run: stops,
};

fn stops(hand: &mut Hand) -> Result<(), Stop> {
    const GAP: usize = 256;
    let page = page_size();
    let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if line.contains("stack_guard_gap=") {
        return Err(cannot(
            "the kernel was started with another stack_guard_gap",
            "start it without",
        ));
    }
    let room = reserve(514 * page)?;
    let lower_end = room.span().base() + page;
    hand.watch("the room", room.span());
    hand.look("the room is reserved; each child makes of it what it needs");
    let near = grow_to_the_end(hand, &room, Some(Prot::READ | Prot::WRITE))?;
    let guard = grow_to_the_end(hand, &room, Some(Prot::NONE))?;
    hand.expect_fault("above a page with rights", "SEGV_MAPERR", near);
    if let Some(fault) = near {
        let left = (fault.address + page).saturating_sub(lower_end) / page;
        hand.expect_eq("pages between them then", GAP, left);
    }
    hand.expect_fault("above a page of PROT_NONE", "SEGV_ACCERR", guard);
    if let Some(fault) = guard {
        let is_inside = (lower_end - page..lower_end).contains(&fault.address);
        hand.expect("the fault lies in that page", "true", is_inside, is_inside);
    }
    Ok(())
}

/// MAP_GROWSDOWN where it cannot be.
pub(super) const REFUSED: Experiment = Experiment {
    name: "map-growsdown-only-private-anonymous",
    chapter: Chapter::Flags,
    question: "Can shared memory or a file grow downwards?",
    method: "Ask for MAP_GROWSDOWN with shared anonymous memory, with a shared and with a private file.",
    expectation: "EINVAL each time; private anonymous memory is allowed.",
    explanation: "Pages of a file are counted from its start, and an area that grows at its lower end \
                  would need bytes before its first. Shared anonymous memory is a file inside the \
                  kernel. So growth is for private anonymous memory alone.",
    cannot_show: "Kernels of the 2.4 days, on which some of these were allowed.",
    source: "mmap(2), MAP_GROWSDOWN; mm/mmap.c, do_mmap.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/map-growsdown-only-private-anonymous.c"),
    rust: include_str!("../../code/map-growsdown-only-private-anonymous.rs"),
    run: refused,
};

fn refused(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let file = one_page(hand)?;
    let growing = |request: Request| {
        Area::ask(&Request {
            flags: Flags::GROWS_DOWN,
            ..request
        })
    };
    let shared_anonymous = growing(Request {
        sharing: Sharing::Shared,
        ..private(page)
    });
    let of_file = shared(&file, page, Prot::READ);
    let shared_file = growing(of_file);
    let private_file = growing(Request {
        sharing: Sharing::Private,
        ..of_file
    });
    hand.expect_errno("shared anonymous", Errno::EINVAL, shared_anonymous);
    hand.expect_errno("shared file", Errno::EINVAL, shared_file);
    // Looked at last, so that the map shows what there is.
    hand.expect_errno("private file", Errno::EINVAL, private_file);
    if let Some(allowed) = hand.expect_ok("private anonymous", growing(private(page))) {
        hand.watch("private anonymous", allowed.span());
        hand.look("the one that is allowed");
    }
    Ok(())
}
