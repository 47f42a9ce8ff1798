//! malloc on brk and mmap: what glibc's asks the kernel for, and when, beside libneap.so's.

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop};
use crate::lab::malloc::{
    Block, CHUNK_MIN, Malloc, Parameter, THRESHOLD, Top, chunk, info, program_break, trim, tune,
};
use crate::lab::sight::Seen;

mod letters;
mod pages;
mod refusal;

pub(super) const ALL: &[&Experiment] = &[
    &FIRST,
    &WHEN_MMAP,
    &MOVES,
    &letters::ABCD,
    &letters::C_HELD,
    &letters::STDIO,
    &pages::MADVISE,
    &pages::FIRST_TOUCH,
    &pages::HOLES,
    &refusal::BLOCKED,
    &refusal::AT_LIMIT,
];

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Whether a block lies in `[heap]`.
fn is_in_heap(block: &Block, seen: &Seen) -> bool {
    let end = program_break().next_multiple_of(neap_os::env::page_size());
    let len = match seen.heap_kb() {
        u64::MAX => 0,
        kb => usize::try_from(kb).unwrap_or(0) * KIB,
    };
    (end - len..end).contains(&block.address())
}

/// How a place is told.
const fn place(is_in_heap: bool) -> &'static str {
    if is_in_heap { "[heap]" } else { "a mapping" }
}

/// A number of bytes as the notes write it.
fn hex(bytes: isize) -> String {
    if bytes < 0 {
        format!("-{:#x}", bytes.unsigned_abs())
    } else {
        format!("{bytes:#x}")
    }
}

/// How far the break has moved.
fn risen(start: usize) -> isize {
    program_break().cast_signed() - start.cast_signed()
}

/// Note 01: 0x20bf0.
const FIRST: Experiment = Experiment {
    name: "malloc-first-extension",
    chapter: Chapter::Malloc,
    question: "Why does the first malloc make a heap of 0x21000 bytes, of which 0x20bf0 are left?",
    method: "Trim the heap, note the free chunk at its top (mallinfo, keepcost), and malloc 64 KiB, which \
             it cannot hold; then 1 byte.",
    expectation: "glibc: the break rises once, by (64 KiB + 16 + 128 KiB + 32 - what was free at the top), \
                  rounded up to pages, and the next malloc moves nothing. neap: the break stays.",
    explanation: "glibc asks for more than it needs, M_TOP_PAD (128 KiB) and the least chunk (32) more, \
                  and the kernel gives whole pages: in a fresh process, where nothing is free, anything \
                  small comes to 0x20020 and a little, rounded up 0x21000. Before the note's malloc(128) \
                  stdio had taken a buffer of 1024 (a chunk of 0x410), so 0x20bf0 of 0x21000 were left \
                  above it. It is not a threshold, and the heap grows again by the same rule when it is \
                  used up. neap maps segments of its own and leaves the break to others.",
    cannot_show: "A heap with nothing in it: this process had allocated before, so its free top is \
                  reckoned with.",
    source: "Note 01, 0x20bf0; mallopt(3), M_TOP_PAD; malloc/malloc.c of glibc, sysmalloc.",
    since: None,
    under: Under::Both,
    c: include_str!("../code/malloc-first-extension.c"),
    rust: include_str!("../code/malloc-first-extension.rs"),
    run: first,
};

fn first(hand: &mut Hand) -> Result<(), Stop> {
    let malloc = hand.malloc()?;
    trim(0);
    let start = program_break();
    let mut top = Top::now();
    let free = top.free;
    let before = hand.look("the heap is trimmed");
    let large = Block::get(64 * KIB)?;
    let once = risen(start);
    let after = hand.look("malloc(64 KiB)");
    let small = Block::get(1)?;
    let twice = risen(start);
    top.take(chunk(64 * KIB));
    let expected = match malloc {
        Malloc::Glibc => top.risen,
        Malloc::Neap => 0,
    };
    hand.figure("bytes free at the top before", free);
    hand.expect_eq("bytes by which the break rose", hex(expected), hex(once));
    hand.expect_eq("after malloc(1)", hex(expected), hex(twice));
    hand.figure("kB of addresses that came", after.size_kb() - before.size_kb());
    hand.figure("bytes in use of one block of 1", small.usable());
    drop((large, small));
    Ok(())
}

/// Note 01: "128 K and more goes to mmap".
const WHEN_MMAP: Experiment = Experiment {
    name: "malloc-when-mmap",
    chapter: Chapter::Malloc,
    question: "From which size on does malloc go to mmap?",
    method: "Extend the heap by a small block, so that more than 128 KiB are free at its top (mallinfo, \
             keepcost). malloc exactly as much as it can hold (40 bytes less than it has), free it, malloc \
             one byte more.",
    expectation: "glibc: the first comes from the heap, although it is larger than the threshold of 128 \
                  KiB; the second is a mapping. neap: both are outside the heap.",
    explanation: "glibc looks at the threshold only when its heap cannot serve: first the bins of free \
                  chunks, then the top, and only then, if the request is at least M_MMAP_THRESHOLD, mmap. \
                  The chunk needs a header of 8 bytes, and a least chunk of 32 must stay at the top. In a \
                  fresh process after malloc(1) the top has 134480 bytes, so 134440 is the last size from \
                  the heap: the first multiple of 16 that goes to mmap is 134448, not 131072.",
    cannot_show: "Free chunks below the top that would serve as well: this process has none of this size.",
    source: "Note 01, 128 K; mallopt(3), M_MMAP_THRESHOLD; malloc/malloc.c of glibc, sysmalloc.",
    since: None,
    under: Under::Both,
    c: include_str!("../code/malloc-when-mmap.c"),
    rust: include_str!("../code/malloc-when-mmap.rs"),
    run: when_mmap,
};

/// What is free at the top in a fresh process after malloc(1).
const FRESH_TOP: usize = 134_480;

fn when_mmap(hand: &mut Hand) -> Result<(), Stop> {
    let malloc = hand.malloc()?;
    trim(0);
    let small = Block::get(64 * KIB)?;
    let free = match malloc {
        Malloc::Glibc => info().top,
        // No top: the size that a fresh process's would have under glibc.
        Malloc::Neap => FRESH_TOP,
    };
    let most = free - CHUNK_MIN - 8;
    let before = hand.look("a block of 64 KiB has extended the heap");
    let held = Block::get(most)?;
    let (first, first_at) = (is_in_heap(&held, &before), held.address());
    hand.look("malloc of as much as the top can hold");
    drop(held);
    let above = Block::get(most + 1)?;
    let seen = hand.look("freed, and malloc of one byte more");
    let second = is_in_heap(&above, &seen);
    let expected = malloc == Malloc::Glibc;
    if malloc == Malloc::Glibc {
        hand.figure("bytes free at the top", free);
    }
    let is_enough = most >= THRESHOLD - 8;
    hand.expect("size of the first", "at least 131064", most, is_enough);
    hand.expect_eq("the first is in", place(expected), place(first));
    hand.expect_eq("the second, one byte more, is in", place(false), place(second));
    hand.figure("address of the first", format!("{first_at:#x}"));
    hand.figure("address of the second", format!("{:#x}", above.address()));
    drop((small, above));
    Ok(())
}

/// Note 01: by what the threshold moves.
const MOVES: Experiment = Experiment {
    name: "malloc-threshold-moves",
    chapter: Chapter::Malloc,
    question: "What does glibc's dynamic threshold do after a mapped block was freed?",
    method: "malloc(200 KiB), free, again. malloc(40 MiB), free, again. Then mallopt(M_MMAP_THRESHOLD, \
             131072), and 200 KiB twice once more.",
    expectation: "glibc: the first 200 KiB are a mapping, the second come from the heap; 40 MiB are \
                  mappings both times; after mallopt 200 KiB are a mapping both times. neap: none is in \
                  the heap, and the second 200 KiB have the first ones' address.",
    explanation: "Freeing a mapped block tells glibc that blocks of this size come and go, so it raises \
                  the mmap threshold to the block's size, 208896 for 200 KiB, and the trim threshold to \
                  twice that, 417792: next time the heap serves and keeps it. That goes on up to 32 MiB (4 \
                  MiB x sizeof(long)). A program that sets any of the thresholds by mallopt or the \
                  environment ends it. So what free gives back depends on what was freed before.",
    cannot_show: "The threshold itself, which no call tells: where the next block comes from is what is \
                  seen.",
    source: "Note 01, the dynamic threshold; mallopt(3), M_MMAP_THRESHOLD; malloc/malloc.c of glibc, \
             __libc_free.",
    since: None,
    under: Under::Both,
    c: include_str!("../code/malloc-threshold-moves.c"),
    rust: include_str!("../code/malloc-threshold-moves.rs"),
    run: moves,
};

/// Where a block lies twice in a row, freed in between: in the heap, and at which address.
fn twice(hand: &mut Hand, len: usize) -> Result<[(bool, usize); 2], Stop> {
    let mut places = [(false, 0); 2];
    for (place, label) in places
        .iter_mut()
        .zip(["a block", "freed, and a block of the same size"])
    {
        let block = Block::get(len)?;
        let seen = hand.look(label);
        *place = (is_in_heap(&block, &seen), block.address());
    }
    Ok(places)
}

fn moves(hand: &mut Hand) -> Result<(), Stop> {
    let malloc = hand.malloc()?;
    trim(0);
    let small = twice(hand, 200 * KIB)?;
    let large = twice(hand, 40 * MIB)?;
    // What lies free at the top would serve, whatever the threshold.
    trim(0);
    let is_set = tune(Parameter::MmapThreshold, 128 << 10);
    let frozen = twice(hand, 200 * KIB)?;
    hand.expect("mallopt", "1", if is_set { "1" } else { "0" }, is_set);
    let all = [
        ("200 KiB", small, true),
        ("40 MiB", large, false),
        ("200 KiB, frozen", frozen, false),
    ];
    let is_glibc = malloc == Malloc::Glibc;
    for (of, [first, second], moves) in all {
        hand.expect_eq(&format!("{of}: the first is in"), place(false), place(first.0));
        let moved = place(moves && is_glibc);
        hand.expect_eq(&format!("{of}: the second is in"), moved, place(second.0));
        let what = format!("{of}: the second has the first's address");
        let same = if first.1 == second.1 { "yes" } else { "no" };
        match moves && !is_glibc {
            true => hand.expect_eq(&what, "yes", same),
            false => hand.figure(&what, same),
        }
    }
    Ok(())
}
