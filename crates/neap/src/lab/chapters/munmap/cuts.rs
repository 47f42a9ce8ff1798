//! What munmap takes, and what it leaves.
#![allow(unsafe_code, reason = "experiments make the calls by hand")]

use std::fs;

use neap_map::{Anon, FileMap, Guards};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source, map, unmap};
use neap_os::unit::Bytes;

use super::{load, part};
use crate::lab::disk_file::{Content, map_failed, span_of};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};

const SOURCE: &str = "Note 03, munmap; munmap(2), mm/vma.c of Linux.";

pub(in super::super) const REFUSES: Experiment = Experiment {
    name: "munmap-refuses",
    chapter: Chapter::Munmap,
    question: "Which calls of munmap fail?",
    method: "On three mapped pages: length 0; an address inside a page; 1 byte of the middle page; the \
             middle page again, a hole by now; all three with the hole; all three again.",
    expectation: "Length 0 and the address inside a page are EINVAL and take nothing. One byte takes \
                  its page. Holes are no error.",
    explanation: "The address must lie on a page, the length need not: it is rounded up. munmap \
                  promises that nothing is mapped there afterwards, which is true of a hole before. So \
                  it never tells that a program unmaps twice, and the second call takes what somebody \
                  else has mapped there in between.",
    cannot_show: "ENOMEM at vm.max_map_count, EPERM of sealed memory: those are other chapters'.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/munmap-refuses.c"),
    rust: include_str!("../../code/munmap-refuses.rs"),
    run: refuses,
};

fn refuses(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let three = super::pages(3)?;
    hand.watch("three pages", three);
    hand.look("three pages are mapped");
    // SAFETY: (1, 2) all of them lie in the three pages, which are this experiment's, and nobody uses those.
    let [nothing, odd] = unsafe { [unmap(part(three, 0, 0)), unmap(part(three, 1, page))] };
    let untouched = hand.look("after two calls that are refused");
    // SAFETY: as above; and until all is gone nothing is mapped here, so that no other's can have come.
    let byte = unsafe { unmap(part(three, page, 1)) };
    let middle = hand.look("after munmap of one byte of the middle page");
    // SAFETY: as above.
    let hole = unsafe { unmap(part(three, page, page)) };
    // SAFETY: as above.
    let all = unsafe { unmap(three) };
    let gone = hand.look("after munmap of all three");
    hand.expect_errno("length 0", Errno::EINVAL, nothing);
    hand.expect_errno("an address inside a page", Errno::EINVAL, odd);
    let kb = page as u64 / 1024;
    hand.expect_eq("kB that are mapped then", 3 * kb, untouched.span(0).mapped_kb());
    hand.expect_ok("one byte of the middle page", byte);
    hand.expect_eq("kB that are mapped then", 2 * kb, middle.span(0).mapped_kb());
    hand.expect_ok("the middle page, a hole", hole);
    hand.expect_ok("all three, with the hole", all);
    // Without a line of maps there is no number.
    let left = gone.span(0).mapped_kb();
    hand.expect(
        "kB that are mapped then",
        "none",
        left,
        left == u64::MAX || left == 0,
    );
    Ok(())
}

pub(in super::super) const SPLITS: Experiment = Experiment {
    name: "munmap-splits",
    chapter: Chapter::Munmap,
    question: "What is left when the middle of a mapping is unmapped?",
    method: "Map 16 pages, write them, unmap pages 4 to 11. Count the lines of maps, load from what is \
             left, and touch the hole in a child.",
    expectation: "One mapping becomes two, with their bytes; Rss falls by 32 kB; a touch of the hole \
                  is SIGSEGV (SEGV_MAPERR).",
    explanation: "The kernel keeps one record (vm_area_struct) for each stretch of equal addresses, so \
                  a hole makes two of one: munmap of a part needs memory, and fails at \
                  vm.max_map_count. The pages go back at once, as there is no cache between munmap and \
                  the kernel.",
    cannot_show: "That the hole stays empty: the next mmap may take it.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/munmap-splits.c"),
    rust: include_str!("../../code/munmap-splits.rs"),
    run: splits,
};

fn splits(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    // Guards keep neighbours from merging with it, which would change the count.
    let whole = Anon::private(16 * page).guards(Guards::Both).map();
    let mut whole = whole.map_err(map_failed)?;
    whole.fill(7);
    hand.watch("16 pages", span_of(&whole));
    let before = hand.look("written");
    let hole = whole[4 * page..].as_ptr();
    let (first, last) = whole
        .unmap_range(4 * page..12 * page)
        .map_err(|refused| map_failed(refused.error()))?;
    let after = hand.look("pages 4 to 11 are unmapped");
    let fault = hand.fault_of(|| {
        load(hole);
    })?;
    let kb = page as u64 / 1024;
    hand.expect_eq("mappings more", 1, after.mappings() - before.mappings());
    hand.expect_eq("kB that are mapped", 8 * kb, after.span(0).mapped_kb());
    hand.expect_eq(
        "kB of Rss that went",
        8 * kb,
        before.span(0).rss_kb() - after.span(0).rss_kb(),
    );
    let whole = first.iter().chain(last.iter()).all(|&byte| byte == 7);
    hand.expect_eq("bytes on both sides are what they were", true, whole);
    hand.expect_fault("a load from the hole", "SEGV_MAPERR", fault);
    Ok(())
}

pub(in super::super) const MERGES: Experiment = Experiment {
    name: "neighbours-merge",
    chapter: Chapter::Munmap,
    question: "Does every mmap make a new line of maps?",
    method: "Reserve 6 pages, unmap the middle four, and map those one by one: readable and writable; \
             the next the same; the next read-only; the last readable and writable again, shared. \
             Count the lines of maps.",
    expectation: "The second page makes no line: it merges with the first. The others do, as they \
                  differ.",
    explanation: "Private anonymous neighbours with equal rights and flags are one vm_area_struct. So \
                  whether a mapping can be seen in maps depends on what lies beside it, and a program \
                  that looks for a new line after mmap, as the note does, may find a longer one \
                  instead. munmap takes addresses, not mappings, and splits it again.",
    cannot_show: "Merging of pages with a file, which needs adjoining offsets, too.",
    source: "Note 00, mmap and munmap; mm/vma.c of Linux, vma_merge_new_range.",
    since: Some((4, 17)),
    under: Under::Plain,
    c: include_str!("../../code/neighbours-merge.c"),
    rust: include_str!("../../code/neighbours-merge.rs"),
    run: merges,
};

fn merges(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let room = Anon::private(6 * page).reserve().map_err(map_failed)?;
    let span = span_of(&room);
    hand.watch("six pages", span);
    let (_first, _last) = room
        .unmap_range(page..5 * page)
        .map_err(|refused| map_failed(refused.error()))?;
    let mut before = hand.look("the outer two are reserved");
    let rw = Prot::READ | Prot::WRITE;
    let steps = [
        ("readable and writable", rw, Sharing::Private, 1),
        ("the same beside it", rw, Sharing::Private, 0),
        ("read-only beside that", Prot::READ, Sharing::Private, 1),
        ("shared beside that", rw, Sharing::Shared, 1),
    ];
    let mut rises = Vec::new();
    for (index, (what, prot, sharing, rise)) in steps.into_iter().enumerate() {
        let request = Request {
            len: Bytes(page),
            place: Place::Free(span.base() + (index + 1) * page),
            prot,
            sharing,
            source: Source::Anonymous,
            page: PageSize::Base,
            flags: Flags::NONE,
        };
        // SAFETY: (1) `Place::Free` replaces nothing.
        unsafe { map(&request) }.map_err(failed("mmap into the room"))?;
        let after = hand.look(what);
        rises.push((what, rise, after.mappings() - before.mappings()));
        before = after;
    }
    // SAFETY: (1, 2) mapped above, and never used.
    unsafe { unmap(part(span, page, 4 * page)) }.map_err(failed("munmap of the four"))?;
    for (what, expected, found) in rises {
        hand.expect_eq(&format!("lines more, {what}"), expected, found);
    }
    Ok(())
}

pub(in super::super) const OUTLIVES: Experiment = Experiment {
    name: "map-outlives-its-descriptor",
    chapter: Chapter::Munmap,
    question: "What keeps a file alive that is mapped?",
    method: "Map a file shared, close the descriptor, remove the file's name; store to the mapping and \
             load from it. Look at maps.",
    expectation: "The mapping works on; maps calls the file (deleted).",
    explanation: "A mapping holds the open file itself, as a descriptor does. close and unlink take \
                  away a number and a name; the file and its blocks go when the last name, descriptor \
                  and mapping have gone.",
    cannot_show: "What the disk shows after a crash: a file without a name is removed.",
    source: "Note 03, close does not unmap; munmap(2), close(2), unlink(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/map-outlives-its-descriptor.c"),
    rust: include_str!("../../code/map-outlives-its-descriptor.rs"),
    run: outlives,
};

fn outlives(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let file = hand.disk_file("short-lived", page as u64, Content::Byte(b'a'))?;
    let map = FileMap::of(&file).writable().map().map_err(map_failed)?;
    let span = span_of(&map);
    hand.watch("the mapping", span);
    hand.look("mapped");
    drop(file);
    let before: u8 = map.read(0).map_err(map_failed)?;
    hand.look("the descriptor is closed");
    let removed = fs::remove_file(hand.scratch().join("short-lived"));
    map.write_at(0, b"b").map_err(map_failed)?;
    let after: u8 = map.read(0).map_err(map_failed)?;
    let seen = hand.look("the name is removed");
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let start = format!("{:x}-", span.base());
    let is_deleted = maps
        .lines()
        .any(|line| line.trim_start_matches('0').starts_with(&start) && line.ends_with("(deleted)"));
    hand.expect_eq("the name could be removed", true, removed.is_ok());
    hand.expect_eq("byte after close", 'a', char::from(before));
    hand.expect_eq("byte after unlink and a store", 'b', char::from(after));
    hand.expect_eq("kB that are mapped", page as u64 / 1024, seen.span(0).mapped_kb());
    hand.expect_eq("maps calls the file (deleted)", true, is_deleted);
    Ok(())
}
