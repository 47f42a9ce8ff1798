//! Note 01's blocks A, B, C and D, and what stdio takes.
#![allow(unsafe_code, reason = "stdio by hand")]

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use super::{KIB, hex, risen};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::malloc::{Block, Malloc, THRESHOLD, Top, chunk, info, program_break, trim};

/// The note's steps 2 to 9.
pub(super) const ABCD: Experiment = Experiment {
    name: "malloc-abcd",
    chapter: Chapter::Malloc,
    question: "Is the heap trimmed when C, B and D have been freed?",
    method: "malloc A = 30 K, B = 40 K, C = 200 K, D = 100 K and write to them; free C, B, D in this \
             order, as the note's steps 2 to 9; then malloc_trim(0).",
    expectation: "glibc: the break rises for A and for D, C is a mapping, and no free moves the break: the \
                  note's step 9, where the heap is trimmed, does not happen. malloc_trim(0) leaves A. \
                  neap: the break never moves.",
    explanation: "B and D lie beside each other, and when both are free they join the top, which then has \
                  more than the 128 KiB at which the note expects a trim. But freeing C, a mapped block of \
                  200 K, has raised the trim threshold to 417792 (twice its size), and the top stays below \
                  that. The break after each step follows from glibc's rule for the top chunk, reckoned \
                  along here: in a fresh process it rises by 0x21000 for A, and with D to 0x4b000.",
    cannot_show: "Other orders: with C held until the end the trim does happen, see malloc-abcd-c-held.",
    source: "Note 01, steps 2 to 9; mallopt(3), M_TRIM_THRESHOLD; malloc/malloc.c of glibc, systrim.",
    since: None,
    under: Under::Both,
    c: include_str!("../../code/malloc-abcd.c"),
    rust: include_str!("../../code/malloc-abcd.rs"),
    run: |hand| letters(hand, C::FreedFirst),
};

/// The same with one thing otherwise.
pub(super) const C_HELD: Experiment = Experiment {
    name: "malloc-abcd-c-held",
    chapter: Chapter::Malloc,
    question: "Is the heap trimmed when B and D are freed and C is not?",
    method: "As malloc-abcd, but free only B and D; then malloc_trim(0).",
    expectation: "glibc: freeing D trims the heap to A and 128 KiB; malloc_trim(0) to A. neap: the break \
                  never moves.",
    explanation: "No mapped block was freed, so the trim threshold is still 128 KiB, and the top with B \
                  and D in it is above that. free then lowers the break, but leaves M_TOP_PAD, 128 KiB, to \
                  be had without a call; malloc_trim(0) leaves less than a page. In a fresh process that \
                  is +0x4b000, 0x28000, 0x8000.",
    cannot_show: "That a program's last block is freed last: one live block above D, and nothing would go.",
    source: "Note 01, steps 6 to 9; malloc_trim(3); malloc/malloc.c of glibc, systrim.",
    since: None,
    under: Under::Both,
    c: include_str!("../../code/malloc-abcd.c"),
    rust: include_str!("../../code/malloc-abcd.rs"),
    run: |hand| letters(hand, C::Held),
};

/// When C is freed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum C {
    FreedFirst,
    Held,
}

const A: usize = 30 * KIB;
const B: usize = 40 * KIB;
const D: usize = 100 * KIB;
/// Steps at which the break is noted.
const STEPS: [&str; 8] = [
    "malloc A, 30 K",
    "malloc B, 40 K",
    "malloc C, 200 K",
    "malloc D, 100 K",
    "free C",
    "free B",
    "free D",
    "malloc_trim(0)",
];

/// What glibc's source says of the break after each step.
fn reckoned(mut top: Top, c: C) -> [isize; 8] {
    // Freeing C, 51 pages, raises the threshold to twice its size.
    let threshold = match c {
        C::FreedFirst => 2 * 208_896,
        C::Held => THRESHOLD,
    };
    let mut risen = [0; 8];
    top.take(chunk(A));
    risen[0] = top.risen;
    top.take(chunk(B));
    risen[1] = top.risen;
    risen[2] = top.risen;
    top.take(chunk(D));
    risen[3..6].fill(top.risen);
    top.give(chunk(B) + chunk(D), threshold);
    risen[6] = top.risen;
    top.trim(0);
    risen[7] = top.risen;
    risen
}

/// Holes that the start of the program may have left at most.
const HOLES: usize = 64;

/// Takes every hole in which A has room, so that the letters come from the top. What comes from there goes
/// back to it.
fn fill_holes() -> Result<[Option<Block>; HOLES], Stop> {
    let mut held = [const { None }; HOLES];
    for place in &mut held {
        let before = Top::now().free;
        let block = Block::get(A)?;
        if Top::now().free != before {
            break;
        }
        *place = Some(block);
    }
    Ok(held)
}

fn letters(hand: &mut Hand, c: C) -> Result<(), Stop> {
    let malloc = hand.malloc()?;
    let _held = match malloc {
        Malloc::Glibc => fill_holes()?,
        Malloc::Neap => [const { None }; HOLES],
    };
    trim(0);
    let start = program_break();
    let top = Top::now();
    let before = hand.look("the heap is trimmed");
    let mut found = [0; 8];
    let mut blocks = [const { None }; 4];
    for (index, len) in [A, B, 200 * KIB, D].into_iter().enumerate() {
        let block = Block::get(len)?;
        block.touch();
        blocks[index] = Some(block);
        found[index] = risen(start);
        hand.look(STEPS[index]);
    }
    for (step, index) in [(4, 2), (5, 1), (6, 3)] {
        if index != 2 || c == C::FreedFirst {
            blocks[index] = None;
            found[step] = risen(start);
            hand.look(STEPS[step]);
        } else {
            found[step] = risen(start);
        }
    }
    trim(0);
    found[7] = risen(start);
    let after = hand.look(STEPS[7]);
    let expected = match malloc {
        Malloc::Glibc => reckoned(top, c),
        Malloc::Neap => [0; 8],
    };
    hand.figure("bytes free at the top before", top.free);
    for (step, (expected, found)) in expected.into_iter().zip(found).enumerate() {
        if step != 4 || c == C::FreedFirst {
            hand.expect_eq(
                &format!("the break after {}", STEPS[step]),
                hex(expected),
                hex(found),
            );
        }
    }
    let kept = after.rss_anon_kb().saturating_sub(before.rss_anon_kb());
    hand.figure("kB in memory more than before, at the end", kept);
    drop(blocks);
    Ok(())
}

/// Note 01: the gap of 0x410.
pub(super) const STDIO: Experiment = Experiment {
    name: "stdio-buffer-is-malloced",
    chapter: Chapter::Malloc,
    question: "Where does the gap of 0x410 bytes before the first block come from?",
    method: "Open a pseudo terminal and a file with fopen, write a byte to each, and look at what mallinfo \
             counts as in use (uordblks).",
    expectation: "The first byte takes a buffer: for a terminal a chunk of 0x410 (1024 bytes and a header) \
                  under glibc, for a file one of st_blksize, 4096, and a header. neap has no headers: 1024 \
                  and 4096.",
    explanation: "stdio allocates the buffer of a stream at its first use, of the size that stat(2) calls \
                  st_blksize: 1024 for a terminal, 4096 for a pipe or a file. The note's printf came \
                  before its first malloc. On today's glibc the gap is 0x6b0 on a terminal and 0x12b0 on a \
                  pipe, because the thread's cache of free chunks, 0x290 with its header, lies before it, \
                  and 0x10 is the header of the block itself.",
    cannot_show: "The buffer's address, which stdio does not tell.",
    source: "Note 01, the 0x410 gap; setbuf(3); libio/filedoalloc.c of glibc.",
    since: None,
    under: Under::Both,
    c: include_str!("../../code/stdio-buffer-is-malloced.c"),
    rust: include_str!("../../code/stdio-buffer-is-malloced.rs"),
    run: stdio,
};

/// Bytes that the first byte to a stream makes malloc give out, and st_blksize of its file.
fn buffer_of(path: &CStr) -> Result<(usize, usize), Stop> {
    let failed = || {
        let error = std::io::Error::last_os_error();
        let path = path.to_string_lossy();
        cannot(
            format!("fopen of {path}: {error}"),
            "mount devpts and make TMPDIR writable",
        )
    };
    let size = rustix::fs::stat(path).map_or(0, |stat| usize::try_from(stat.st_blksize).unwrap_or(0));
    // SAFETY: both are C strings; the stream is closed here and nobody else has it.
    unsafe {
        let stream = libc::fopen(path.as_ptr(), c"r+".as_ptr());
        if stream.is_null() {
            return Err(failed());
        }
        let before = info().in_use;
        libc::fputc(i32::from(b'x'), stream);
        let bytes = info().in_use - before;
        libc::fclose(stream);
        Ok((bytes, size))
    }
}

/// A new terminal: the file of its user's side, and what keeps it.
fn terminal() -> Result<(OwnedFd, CString), Stop> {
    use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
    openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)
        .and_then(|side| unlockpt(&side).map(|()| side))
        .and_then(|side| ptsname(&side, Vec::new()).map(|name| (side, name)))
        .map_err(|error| cannot(format!("a pseudo terminal: {error}"), "mount devpts"))
}

fn stdio(hand: &mut Hand) -> Result<(), Stop> {
    let malloc = hand.malloc()?;
    let path = hand.scratch().join("stream");
    let written = std::fs::write(&path, b"");
    written.map_err(|error| cannot(format!("a file: {error}"), "a TMPDIR that can be written"))?;
    let (_side, terminal) = terminal()?;
    let file = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    hand.look("before the streams");
    // The thread's cache of free chunks counts as in use: a buffer from there would not be seen.
    let cached = [const { None }; 32].map(|_: Option<Block>| Block::new(1024));
    let of_terminal = buffer_of(&terminal)?;
    let of_file = buffer_of(&file)?;
    drop(cached);
    hand.look("after a byte to each");
    let expected = |len: usize| match malloc {
        Malloc::Glibc => format!("{:#x}", chunk(len)),
        Malloc::Neap => format!("{len:#x}"),
    };
    for (what, (bytes, size)) in [("a terminal", of_terminal), ("a file", of_file)] {
        hand.figure(&format!("st_blksize of {what}"), size);
        let what = format!("bytes for the first byte to {what}");
        hand.expect_eq(&what, expected(size), format!("{bytes:#x}"));
    }
    Ok(())
}
