//! Where a mapping lies, and what it is called.
#![allow(unsafe_code, reason = "MAP_FIXED replaces what is there")]

use std::fs;

use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{Place, Prot, Request, map};
use neap_os::name::{name_mapping, unname_mapping};

use crate::lab::area::{Area, free_room, private, shared};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};

/// MAP_FIXED.
pub(super) const FIXED: Experiment = Experiment {
    name: "map-fixed-replaces",
    chapter: Chapter::Flags,
    question: "What becomes of what is mapped where MAP_FIXED maps?",
    method: "Write a byte to each of three pages; map one page over the middle one with MAP_FIXED; then \
             ask for an address that is not on a page.",
    expectation: "The middle page reads 0 and nothing says that its bytes are gone; its neighbours stay. \
                  The address off a page is EINVAL and changes nothing.",
    explanation: "With MAP_FIXED the address is an order, not a wish: the kernel unmaps whatever lies in \
                  the range, in the same step, and puts the new mapping there. That is how a loader lays \
                  the parts of a library over one reservation. Over memory that is somebody else's it \
                  destroys without an error, which is why MAP_FIXED_NOREPLACE exists.",
    cannot_show: "What a thread sees that reads the range meanwhile: the old bytes, the new ones or a \
                  fault.",
    source: "Note 01, flags of mmap; mmap(2), MAP_FIXED; mm/vma.c, mmap_region.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/map-fixed-replaces.c"),
    rust: include_str!("../../code/map-fixed-replaces.rs"),
    run: fixed,
};

fn fixed(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let three = Area::new(&private(3 * page))?;
    hand.watch("three pages", three.span());
    three.store_in_pages(7);
    hand.look("three pages are written");
    let over = |address| Request {
        place: Place::Over(address),
        ..private(page)
    };
    // SAFETY: (1) the middle page is the area's, whose bytes are no longer needed.
    let replaced = unsafe { map(&over(three.span().base() + page)) };
    let after = hand.look("after MAP_FIXED over the middle one");
    // SAFETY: (1) the first two pages are the area's; nothing but the loads below needs them.
    let odd = unsafe { map(&over(three.span().base() + 1)) };
    hand.look("after MAP_FIXED at an address off a page");
    hand.expect_ok("MAP_FIXED over the middle page", replaced);
    hand.expect_errno("MAP_FIXED off a page", Errno::EINVAL, odd);
    hand.expect_eq("the middle page's byte", 0, three.load(page));
    hand.expect_eq("the first page's byte", 7, three.load(0));
    hand.expect_eq("the last page's byte", 7, three.load(2 * page));
    hand.expect_eq("pages that are in memory", 2, after.span(0).present_pages());
    Ok(())
}

/// MAP_FIXED_NOREPLACE.
pub(super) const NO_REPLACE: Experiment = Experiment {
    name: "map-fixed-noreplace",
    chapter: Chapter::Flags,
    question: "Can a place be demanded without destroying what may be there?",
    method: "Ask with MAP_FIXED_NOREPLACE for a page that is mapped, for two of which the second is, and \
             for a free one.",
    expectation: "EEXIST where anything is mapped, and its bytes stay; exactly the free page otherwise \
                  (Linux 4.17).",
    explanation: "The kernel looks for a mapping in the range before it makes one, under the same lock, \
                  so no other thread can slip in between, as it can between reading /proc/self/maps and \
                  MAP_FIXED. A kernel before 4.17 does not know the flag and takes the address for a \
                  hint: so the answer's address has to be compared with what was asked, too.",
    cannot_show: "The race with another thread that maps the same place.",
    source: "mmap(2), MAP_FIXED_NOREPLACE; mm/mmap.c, do_mmap.",
    since: Some((4, 17)),
    under: Under::Plain,
    c: include_str!("../../code/map-fixed-noreplace.c"),
    rust: include_str!("../../code/map-fixed-noreplace.rs"),
    run: no_replace,
};

fn no_replace(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let room = free_room(3 * page)?;
    let free = |address, pages| Request {
        place: Place::Free(address),
        ..private(pages * page)
    };
    let first = Area::ask(&free(room + page, 1));
    let Some(middle) = hand.expect_ok("MAP_FIXED_NOREPLACE of a free page", first) else {
        return Ok(());
    };
    hand.watch("a page", middle.span());
    middle.store(0, 7);
    hand.look("the page is mapped and written");
    let same = Area::ask(&free(room + page, 1));
    let overlapping = Area::ask(&free(room, 2));
    hand.look("after the same place was asked for again");
    hand.expect_eq(
        "where it lies, from what was asked",
        0,
        middle.span().base() - room - page,
    );
    hand.expect_errno("the same page again", Errno::EEXIST, same);
    hand.expect_errno(
        "two pages, of which the second is mapped",
        Errno::EEXIST,
        overlapping,
    );
    hand.expect_eq("the byte that was there", 7, middle.load(0));
    Ok(())
}

/// An address without a flag.
pub(super) const HINT: Experiment = Experiment {
    name: "map-hint-is-a-wish",
    chapter: Chapter::Flags,
    question: "What does mmap do with an address when no flag makes it binding?",
    method: "Give an address that is free, one that is off a page, and one that is mapped already.",
    expectation: "The free one is taken; the odd one is rounded down to its page; the occupied one leads \
                  elsewhere. None is an error.",
    explanation: "Without MAP_FIXED the address is only where the search for room begins. If the range \
                  there is free, it is used; if not, the kernel forgets the hint and looks from the top \
                  of the mmap area down, as with address 0. The caller must therefore look at what comes \
                  back.",
    cannot_show: "Where exactly the kernel goes instead: that is its affair and random.",
    source: "Note 01, addr of mmap; mmap(2); mm/mmap.c, generic_get_unmapped_area_topdown.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/map-hint-is-a-wish.c"),
    rust: include_str!("../../code/map-hint-is-a-wish.rs"),
    run: hint,
};

fn hint(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let room = free_room(8 * page)?;
    let near = |address| {
        Area::new(&Request {
            place: Place::Near(address),
            ..private(page)
        })
    };
    hand.look("before");
    let free = near(room + page)?;
    let odd = near(room + 4 * page + 1)?;
    free.store(0, 7);
    let occupied = near(room + page)?;
    hand.watch("the free hint", free.span());
    hand.watch("the occupied hint", occupied.span());
    hand.look("after three hints");
    hand.expect_eq(
        "bytes from a free hint to the mapping",
        0,
        free.span().base() - room - page,
    );
    let rounded = odd.span().base().wrapping_sub(room + 4 * page);
    hand.expect_eq("bytes from the page of a hint one byte into it", 0, rounded);
    let is_elsewhere = occupied.span().base() != free.span().base();
    hand.expect(
        "an occupied hint",
        "elsewhere",
        place_of(is_elsewhere),
        is_elsewhere,
    );
    hand.expect_eq("the byte that was at the occupied hint", 7, free.load(0));
    Ok(())
}

const fn place_of(is_elsewhere: bool) -> &'static str {
    match is_elsewhere {
        true => "elsewhere",
        false => "there",
    }
}

/// PR_SET_VMA_ANON_NAME.
pub(super) const NAMES: Experiment = Experiment {
    name: "map-names",
    chapter: Chapter::Flags,
    question: "Can anonymous memory have a name in /proc/PID/maps?",
    method: "Give the middle of three pages a name with prctl(PR_SET_VMA), take it back, and try it on a \
             file.",
    expectation: "The line is split in three, of which the middle one says [anon:neap lab]; without the \
                  name it is one again. A file's mapping is EBADF.",
    explanation: "The name is a property of the area that the kernel keeps for the map: areas merge only \
                  if all of theirs are equal, so a name splits, and taking it back joins. File mappings \
                  have the name of their file and take no other. The name costs a map entry and no \
                  memory of the process.",
    cannot_show: "Whether a tool shows the names: maps and smaps do.",
    source: "prctl(2), PR_SET_VMA_ANON_NAME; mm/madvise.c, madvise_set_anon_name.",
    since: Some((5, 17)),
    under: Under::Plain,
    c: include_str!("../../code/map-names.c"),
    rust: include_str!("../../code/map-names.rs"),
    run: names,
};

fn names(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let three = Area::new(&private(3 * page))?;
    let middle = three.part(page..2 * page);
    hand.watch("three pages", three.span());
    let before = hand.look("three pages without a name");
    match name_mapping(middle, c"neap lab") {
        Err(Errno::EINVAL) => {
            return Err(cannot(
                "this kernel cannot name memory",
                "use one with CONFIG_ANON_VMA_NAME",
            ));
        }
        named => hand.expect_ok("prctl(PR_SET_VMA) of the middle page", named),
    };
    let named = hand.look("the middle one has a name");
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let is_there = maps
        .lines()
        .any(|line| line.starts_with(&format!("{:x}-", middle.base())) && line.ends_with("[anon:neap lab]"));
    let unnamed = unname_mapping(middle);
    let after = hand.look("the name is taken back");
    let file = fs::File::open("/proc/self/exe").map_err(|error| cannot(error, "mount /proc"))?;
    let of_file = Area::new(&shared(&file, page, Prot::READ))?;
    let refused = name_mapping(of_file.span(), c"neap lab");
    hand.expect_eq(
        "areas more with the name",
        2,
        named.mappings() - before.mappings(),
    );
    hand.expect("the name stands in maps", "true", is_there, is_there);
    hand.expect_ok("taking it back", unnamed);
    hand.expect_eq("areas more without it", 0, after.mappings() - before.mappings());
    hand.expect_errno("a file's mapping", Errno::EBADF, refused);
    Ok(())
}
