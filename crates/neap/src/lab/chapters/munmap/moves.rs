//! mremap.
#![allow(unsafe_code, reason = "experiments make the calls by hand")]

use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{Move, Old, Place, remap, unmap};
use neap_os::unit::{Bytes, Span};

use super::{load, pages, part, place, request, store};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};

const SOURCE: &str = "mremap(2), mm/mremap.c of Linux.";

pub(in super::super) const IN_PLACE: Experiment = Experiment {
    name: "mremap-grows-and-shrinks",
    chapter: Chapter::Munmap,
    question: "When can mremap change the length of a mapping where it is?",
    method: "Map 8 pages and write them; shrink to 4; grow to 8 again. Map a page right behind and \
             grow to 9 without MREMAP_MAYMOVE.",
    expectation: "Shrinking unmaps the rear; growing again brings pages of zeros; with a page in the \
                  way ENOMEM, and nothing has changed.",
    explanation: "mremap without a flag only changes where the mapping ends, so the addresses behind \
                  must be free. What shrinking took is gone: growing maps new pages that nobody has \
                  touched. ENOMEM is about addresses here, not about memory.",
    cannot_show: "How long the place behind a mapping stays free.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/mremap-grows-and-shrinks.c"),
    rust: include_str!("../../code/mremap-grows-and-shrinks.rs"),
    run: in_place,
};

fn in_place(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    // The page behind the eight is this experiment's, too, so that it can be free or not as it is needed.
    let nine = pages(9)?;
    let (eight, four, behind) = (
        part(nine, 0, 8 * page),
        part(nine, 0, 4 * page),
        part(nine, 8 * page, page),
    );
    hand.watch("eight pages and one behind", nine);
    store(nine, 7);
    hand.look("written");
    // SAFETY: (1) the first eight pages are a part of this experiment's one mapping; (2) nothing uses
    // the four.
    let shrunk = unsafe { remap(eight, Bytes(4 * page), Move::Stay, Old::Unmap) };
    let small = hand.look("shrunk to four, with one behind");
    // SAFETY: as above; the four addresses behind them were freed by the call before.
    let grown = unsafe { remap(four, Bytes(8 * page), Move::Stay, Old::Unmap) };
    let large = hand.look("grown to eight again");
    // SAFETY: as above; it cannot succeed.
    let blocked = unsafe { remap(eight, Bytes(9 * page), Move::Stay, Old::Unmap) };
    let same = hand.look("with a page in the way");
    let is_grown = grown.is_ok();
    hand.expect_ok("shrinking", shrunk);
    hand.expect_ok("growing", grown);
    hand.expect_errno("growing with a page in the way", Errno::ENOMEM, blocked);
    let kb = page as u64 / 1024;
    hand.expect_eq("kB that are mapped, shrunk", 5 * kb, small.span(0).mapped_kb());
    hand.expect_eq("kB that are mapped, grown", 9 * kb, large.span(0).mapped_kb());
    hand.expect_eq("pages that are there, grown", 5, large.span(0).present_pages());
    hand.expect_eq(
        "kB that are mapped after ENOMEM",
        9 * kb,
        same.span(0).mapped_kb(),
    );
    if is_grown {
        hand.expect_eq("last byte of the first four", 7, load_at(nine, 4 * page - 1));
        hand.expect_eq("first byte of what was grown", 0, load_at(nine, 4 * page));
    }
    hand.expect_eq("byte of the page in the way", 7, load_at(behind, 0));
    Ok(())
}

fn load_at(span: Span, at: usize) -> u8 {
    load(std::ptr::with_exposed_provenance(part(span, at, 1).base()))
}

pub(in super::super) const MOVES: Experiment = Experiment {
    name: "mremap-moves-pages",
    chapter: Chapter::Munmap,
    question: "Does mremap copy when it moves a mapping?",
    method: "Map 1024 pages with a page right behind them and write all; grow by a page with \
             MREMAP_MAYMOVE. Count the faults until every byte has been looked at in the new place; \
             touch the old one in a child.",
    expectation: "The mapping moves; its bytes are there with no fault and no more Rss. The old place \
                  is SIGSEGV (SEGV_MAPERR).",
    explanation: "mremap moves the entries of the page table, not the pages: what 8 bytes in another \
                  place say is the whole cost of a page. This is how realloc of a large block grows \
                  without copying. Every pointer to the old place is wrong afterwards.",
    cannot_show: "The time that it takes.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/mremap-moves-pages.c"),
    rust: include_str!("../../code/mremap-moves-pages.rs"),
    run: moves,
};

fn moves(hand: &mut Hand) -> Result<(), Stop> {
    const PAGES: usize = 1024;
    let page = page_size();
    let all = pages(PAGES + 1)?;
    let old = part(all, 0, PAGES * page);
    store(all, 7);
    hand.watch("the mapping", old);
    let before = hand.look("written, with a page behind");
    // SAFETY: (1) a part of this experiment's one mapping; (2) the old place is only touched in a child.
    let new = unsafe { remap(old, Bytes((PAGES + 1) * page), Move::May, Old::Unmap) };
    let new = new.map_err(failed("mremap with MREMAP_MAYMOVE"))?;
    hand.watch("the mapping", new);
    let moved = hand.look("grown by a page");
    let is_whole = (0..PAGES * page).all(|at| load_at(new, at) == 7);
    let loaded = hand.look("every byte has been looked at");
    let fault = hand.fault_of(|| {
        load_at(old, 0);
    })?;
    hand.expect_eq("it has moved", true, new.base() != old.base());
    hand.expect_eq("every byte is what it was", true, is_whole);
    hand.expect_eq(
        "pages that are in the new place",
        PAGES as u64,
        moved.span(0).present_pages(),
    );
    let rise = loaded.rss_anon_kb().saturating_sub(before.rss_anon_kb());
    hand.expect_near("rise of RssAnon", 0, rise, 256, "kB");
    let faults = loaded.minor_faults() - moved.minor_faults();
    hand.expect_near("faults for 1024 pages", 0, faults, 32, "faults");
    hand.expect_fault("a load from the old place", "SEGV_MAPERR", fault);
    Ok(())
}

pub(in super::super) const DONTUNMAP: Experiment = Experiment {
    name: "mremap-dontunmap",
    chapter: Chapter::Munmap,
    question: "What is left behind by mremap with MREMAP_DONTUNMAP?",
    method: "Map 4 pages privately, write them, move them with MREMAP_DONTUNMAP; load from both \
             places. Ask for another length with it.",
    expectation: "The bytes are in the new place, and the old one is still mapped and reads 0. Another \
                  length is EINVAL.",
    explanation: "The pages move, and the old mapping stays without any, as it was before the first \
                  touch. It was made for garbage collectors: with userfaultfd on the old place they \
                  have all pages at once, and each later touch by the program is told to them.",
    cannot_show: "userfaultfd.",
    source: SOURCE,
    since: Some((5, 7)),
    under: Under::Plain,
    c: include_str!("../../code/mremap-dontunmap.c"),
    rust: include_str!("../../code/mremap-dontunmap.rs"),
    run: dontunmap,
};

fn dontunmap(hand: &mut Hand) -> Result<(), Stop> {
    let len = 4 * page_size();
    let old = pages(4)?;
    store(old, 7);
    hand.watch("the old place", old);
    hand.look("written");
    // SAFETY: (1) this experiment's; (2) the contents that the old place loses are looked for in the new one.
    let longer = unsafe { remap(old, Bytes(2 * len), Move::May, Old::Keep) };
    // SAFETY: as above.
    let new = unsafe { remap(old, Bytes(len), Move::May, Old::Keep) };
    let new = new.map_err(failed("mremap with MREMAP_DONTUNMAP"))?;
    hand.watch("the new place", new);
    let moved = hand.look("moved");
    let kb = len as u64 / 1024;
    hand.expect_errno("with another length", Errno::EINVAL, longer);
    hand.expect_eq("byte in the new place", 7, load_at(new, len - 1));
    hand.expect_eq(
        "kB that are mapped in the old place",
        kb,
        moved.span(0).mapped_kb(),
    );
    hand.expect_eq(
        "pages that are in the old place",
        0,
        moved.span(0).present_pages(),
    );
    hand.expect_eq(
        "pages that are in the new place",
        4,
        moved.span(1).present_pages(),
    );
    hand.expect_eq("byte in the old place", 0, load_at(old, len - 1));
    Ok(())
}

pub(in super::super) const OVER: Experiment = Experiment {
    name: "mremap-fixed-replaces",
    chapter: Chapter::Munmap,
    question: "What does MREMAP_FIXED do to what is mapped at the target?",
    method: "Map 4 pages with 7s and 4 with 9s; move the first over the second with MREMAP_FIXED. Then \
             move a mapping onto itself, and to an address inside a page.",
    expectation: "The target has the 7s, and the 9s are gone without a word. Overlap and the address \
                  inside a page are EINVAL.",
    explanation: "As MAP_FIXED, it unmaps the target first and asks nobody. In one call it replaces a \
                  piece of memory by another that was filled elsewhere, without a moment in which \
                  nothing is there for this thread.",
    cannot_show: "That other threads see one or the other: between the two steps the target is not \
                  mapped.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/mremap-fixed-replaces.c"),
    rust: include_str!("../../code/mremap-fixed-replaces.rs"),
    run: over,
};

fn over(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let (from, to) = (pages(4)?, pages(4)?);
    store(from, 7);
    store(to, 9);
    hand.watch("source", from);
    hand.watch("target", to);
    hand.look("written");
    let len = Bytes(4 * page);
    // SAFETY: (1, 3) both are this experiment's, and refused calls change nothing there.
    let itself = unsafe { remap(from, len, Move::To(from.base() + page), Old::Unmap) };
    // SAFETY: as above.
    let odd = unsafe { remap(from, len, Move::To(to.base() + 1), Old::Unmap) };
    // SAFETY: (1, 3) as above; (2) the source is not used afterwards.
    let moved = unsafe { remap(from, len, Move::To(to.base()), Old::Unmap) };
    hand.look("moved over the target");
    let there = moved.map(Span::base);
    hand.expect_errno("onto itself", Errno::EINVAL, itself);
    hand.expect_errno("to an address inside a page", Errno::EINVAL, odd);
    if let Some(base) = hand.expect_ok("over the target", there) {
        hand.expect_eq("it lies at the target", true, base == to.base());
        hand.expect_eq("first byte of the target", 7, load_at(to, 0));
        hand.expect_eq("last byte of the target", 7, load_at(to, 4 * page - 1));
    }
    Ok(())
}

pub(in super::super) const ZERO: Experiment = Experiment {
    name: "mremap-of-zero-duplicates",
    chapter: Chapter::Munmap,
    question: "What does mremap do with an old length of 0?",
    method: "Map 4 pages shared, write them, call mremap with the old length 0 and the new length of 4 \
             pages; store to the one place and load from the other. The same with private pages.",
    expectation: "A second mapping of the same shared memory; what is stored to the first is seen in \
                  it. Private memory is EINVAL (since Linux 4.14).",
    explanation: "The kernel takes nothing away from a mapping of length 0, so it only makes the new \
                  one, with the same object and offset. It is how one gets a second view of shared \
                  memory without its descriptor. Of private memory it would be an unrelated mapping of \
                  zeros, which nobody wants: refused.",
    cannot_show: "Memory of drivers.",
    source: SOURCE,
    since: Some((4, 14)),
    under: Under::Plain,
    c: include_str!("../../code/mremap-of-zero-duplicates.c"),
    rust: include_str!("../../code/mremap-of-zero-duplicates.rs"),
    run: zero,
};

fn zero(hand: &mut Hand) -> Result<(), Stop> {
    let len = 4 * page_size();
    let mut shared = request(len);
    shared.sharing = neap_os::mapping::Sharing::Shared;
    shared.place = Place::Anywhere;
    let first = place(&shared)?;
    store(first, 7);
    hand.watch("the first place", first);
    hand.look("written");
    // SAFETY: (1) this experiment's mapping begins there; (2) nothing is taken away.
    let second = unsafe { remap(part(first, 0, 0), Bytes(len), Move::May, Old::Unmap) };
    let private = pages(4)?;
    // SAFETY: as above.
    let refused = unsafe { remap(part(private, 0, 0), Bytes(len), Move::May, Old::Unmap) };
    let second = hand.expect_ok("of shared memory", second);
    hand.expect_errno("of private memory", Errno::EINVAL, refused);
    let Some(second) = second else { return Ok(()) };
    hand.watch("the second place", second);
    hand.expect_eq("byte in the second place", 7, load_at(second, 0));
    store(first, 8);
    let seen = hand.look("stored to the first again");
    hand.expect_eq("byte in the second place, then", 8, load_at(second, len - 1));
    hand.expect_eq(
        "kB that are mapped in the first place",
        len as u64 / 1024,
        seen.span(0).mapped_kb(),
    );
    // SAFETY: (1, 2) mapped above, and not used any more.
    unsafe { unmap(second) }.map_err(failed("munmap"))
}
