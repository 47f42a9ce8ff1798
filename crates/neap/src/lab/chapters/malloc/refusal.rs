//! malloc when the kernel refuses.
#![allow(unsafe_code, reason = "mmap and limits by hand")]

use std::ptr;

use neap_os::env::page_size;

use super::{KIB, MIB, hex, is_in_heap, place, risen};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::malloc::{Block, Malloc, program_break, trim};
use crate::lab::offspring::End;

/// brk fails, mmap does not.
pub(super) const BLOCKED: Experiment = Experiment {
    name: "malloc-brk-blocked",
    chapter: Chapter::Malloc,
    question: "What does malloc do when the break cannot rise?",
    method: "Map a page where the break would rise to, then malloc 100 KiB, which the top of the heap \
             cannot hold.",
    expectation: "glibc: the block lies outside the heap, in a new mapping of 1 MiB, and the break stays. \
                  neap: it lies outside the heap in any case.",
    explanation: "brk cannot rise over a mapping. When sbrk fails, glibc takes heap memory from mmap \
                  instead, 1 MiB at least, and goes on with a heap that is not in one piece, so a process \
                  does not run out of memory because something lies in the way, be it a mapping or \
                  RLIMIT_DATA on kernels before 4.7. Blocks in that mapping are cut like those of the heap \
                  and it is not unmapped when they are freed.",
    cannot_show: "How the heap looks when it goes back to brk later, which glibc tries each time.",
    source: "Note 01, brk and mmap; malloc/malloc.c of glibc, sysmalloc, MMAP_AS_MORECORE_SIZE.",
    since: Some((4, 17)),
    under: Under::Both,
    c: include_str!("../../code/malloc-brk-blocked.c"),
    rust: include_str!("../../code/malloc-brk-blocked.rs"),
    run: blocked,
};

fn blocked(hand: &mut Hand) -> Result<(), Stop> {
    let malloc = hand.malloc()?;
    trim(0);
    let start = program_break();
    let next = start.next_multiple_of(page_size());
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: MAP_FIXED_NOREPLACE (Linux 4.17, which the experiment asks for) replaces nothing.
    let stone = unsafe {
        libc::mmap(
            ptr::without_provenance_mut(next),
            page_size(),
            libc::PROT_NONE,
            flags,
            -1,
            0,
        )
    };
    if stone == libc::MAP_FAILED {
        let error = std::io::Error::last_os_error();
        return Err(cannot(
            format!("a page above the break: {error}"),
            "another run: addresses are random",
        ));
    }
    let before = hand.look("a page lies above the break");
    let block = Block::get(100 * KIB)?;
    block.touch();
    let after = hand.look("malloc(100 KiB)");
    let moved = risen(start);
    let is_inside = is_in_heap(&block, &after);
    drop(block);
    // SAFETY: the page was mapped here and nothing is in it.
    unsafe { libc::munmap(stone, page_size()) };
    hand.look("freed, and the page unmapped");
    hand.expect_eq("bytes by which the break rose", hex(0), hex(moved));
    hand.expect_eq("the block is in", place(false), place(is_inside));
    let came = after.size_kb() - before.size_kb();
    match malloc {
        Malloc::Glibc => hand.expect_eq("kB of addresses that came", 1024, came),
        Malloc::Neap => hand.figure("kB of addresses that came", came),
    }
    Ok(())
}

/// RLIMIT_DATA is not only brk's.
pub(super) const AT_LIMIT: Experiment = Experiment {
    name: "malloc-at-rlimit-data",
    chapter: Chapter::Malloc,
    question: "Does RLIMIT_DATA stop a malloc that uses mmap?",
    method: "In a child, set RLIMIT_DATA to one page; map 1 MiB private and writable, private and \
             read-only, shared and writable; malloc 64 MiB and 100 KiB.",
    expectation: "Only the private writable mapping is refused; malloc(64 MiB) answers with null and \
                  ENOMEM under either malloc. 100 KiB are refused by glibc; neap may have them in a \
                  segment that it holds.",
    explanation: "Since Linux 4.7 the limit counts all private writable memory, however it was mapped. \
                  What is read-only or shared does not count, and a mapping that becomes writable by \
                  mprotect does. So glibc's fallbacks, mmap for sbrk and another arena for the main heap, \
                  fail as well.",
    cannot_show: "Kernels before 4.7, where only brk was limited and malloc went on by mmap.",
    source: "getrlimit(2), RLIMIT_DATA; mm/mmap.c, may_expand_vm; note 01.",
    since: Some((4, 7)),
    under: Under::Both,
    c: include_str!("../../code/malloc-at-rlimit-data.c"),
    rust: include_str!("../../code/malloc-at-rlimit-data.rs"),
    run: at_limit,
};

/// Whether the kernel maps 1 MiB so.
fn can_map(protection: i32, sharing: i32) -> bool {
    // SAFETY: a new mapping without a wish for its address touches nothing that is mapped.
    let at = unsafe {
        libc::mmap(
            ptr::null_mut(),
            MIB,
            protection,
            sharing | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    at != libc::MAP_FAILED
}

/// What the child tries, a bit each, set where it was refused.
const TRIED: [&str; 5] = [
    "mmap, private and writable",
    "mmap, private and read-only",
    "mmap, shared and writable",
    "malloc(64 MiB)",
    "malloc(100 KiB)",
];

fn at_limit(hand: &mut Hand) -> Result<(), Stop> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let malloc = hand.malloc()?;
    trim(0);
    hand.look("before the child");
    let end = hand.in_child(|| {
        let mut limit = getrlimit(Resource::Data);
        limit.current = Some(page_size() as u64);
        if setrlimit(Resource::Data, limit).is_err() {
            return u8::MAX;
        }
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        let is_refused = |len: usize| {
            let answer = Block::new(len);
            let errno = std::io::Error::last_os_error().raw_os_error();
            answer.is_none() && errno == Some(libc::ENOMEM)
        };
        let refused = [
            !can_map(writable, libc::MAP_PRIVATE),
            !can_map(libc::PROT_READ, libc::MAP_PRIVATE),
            !can_map(writable, libc::MAP_SHARED),
            is_refused(64 * MIB),
            is_refused(100 * KIB),
        ];
        refused
            .iter()
            .rev()
            .fold(0, |bits, &bit| bits << 1 | u8::from(bit))
    })?;
    hand.look("after the child");
    let End::Exited(bits @ 0..255) = end else {
        return Err(cannot(
            format!("the child: {end}"),
            "a sandbox that allows setrlimit",
        ));
    };
    let word = |refused: bool| if refused { "refused" } else { "given" };
    for (bit, what) in TRIED.into_iter().enumerate() {
        let found = word(bits >> bit & 1 == 1);
        if bit == 4 && malloc == Malloc::Neap {
            hand.figure(what, found);
        } else {
            hand.expect_eq(what, word(matches!(bit, 0 | 3 | 4)), found);
        }
    }
    Ok(())
}
