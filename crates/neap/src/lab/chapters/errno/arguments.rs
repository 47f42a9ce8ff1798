//! What the calls say of numbers that make no sense.
#![allow(
    unsafe_code,
    reason = "a hole is made by hand, and mprotect called off a page"
)]

use std::fs::File;
use std::os::fd::AsRawFd as _;

use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::fd::Fd;
use neap_os::mapping::{Prot, Request, Source, protect, unmap};
use neap_os::unit::{Bytes, Span};

use crate::lab::area::{Area, one_page, private, shared};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot, failed};

/// EINVAL and EOVERFLOW.
pub(super) const INVALID: Experiment = Experiment {
    name: "einval-and-eoverflow-of-mmap",
    chapter: Chapter::Errno,
    question: "Which lengths and offsets does mmap not take?",
    method: "Map 0 bytes; a file from offset 1; from offset -4096; and 8192 bytes from the last page of \
             all offsets; then 2 to the 63 bytes, and 100 bytes.",
    expectation: "EINVAL, EINVAL, EOVERFLOW, EOVERFLOW; 2 to the 63 bytes are ENOMEM; 100 bytes are a \
                  page, for a length need not be a multiple of it.",
    explanation: "The offset must lie on a page, because a page of memory is a page of the file. The \
                  length is rounded up by the kernel, so any but 0 will do. An offset is counted in \
                  pages: one that is beyond what the file system can count is EOVERFLOW, a length beyond \
                  the address space is ENOMEM.",
    cannot_show: "32-bit kernels, whose limits are nearer.",
    source: "Note 03, len and offset; mmap(2), EINVAL, EOVERFLOW; mm/mmap.c, file_mmap_ok.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/einval-and-eoverflow-of-mmap.c"),
    rust: include_str!("../../code/einval-and-eoverflow-of-mmap.rs"),
    run: invalid,
};

fn invalid(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let file = one_page(hand)?;
    let from = |offset: u64, len: usize| {
        Area::ask(&Request {
            source: Source::File(Fd(file.as_raw_fd()), offset),
            len: Bytes(len),
            ..shared(&file, page, Prot::READ)
        })
    };
    let last = i64::MAX.cast_unsigned() / page as u64 * page as u64;
    let answers = [
        ("0 bytes", Errno::EINVAL, Area::ask(&private(0))),
        ("offset 1", Errno::EINVAL, from(1, page)),
        (
            "offset -4096",
            Errno::EOVERFLOW,
            from((page as u64).wrapping_neg(), page),
        ),
        (
            "two pages from the last offset",
            Errno::EOVERFLOW,
            from(last, 2 * page),
        ),
        ("2 to the 63 bytes", Errno::ENOMEM, Area::ask(&private(1 << 63))),
    ];
    let Some(odd) = hand.expect_ok("100 bytes", Area::ask(&private(100))) else {
        return Ok(());
    };
    hand.watch("100 bytes", odd.span());
    let seen = hand.look("100 bytes are mapped");
    for (what, errno, answer) in answers {
        hand.expect_errno(what, errno, answer);
    }
    hand.expect_eq(
        "kB mapped for 100 bytes",
        page as u64 / 1024,
        seen.span(0).mapped_kb(),
    );
    Ok(())
}

/// mprotect's errors.
pub(super) const MPROTECT: Experiment = Experiment {
    name: "errors-of-mprotect",
    chapter: Chapter::Errno,
    question: "What does mprotect refuse, and what has it done by then?",
    method: "Make a shared mapping of a file that is open for reading writable; protect from an address \
             off a page; protect three pages of which the middle one is a hole.",
    expectation: "EACCES; EINVAL; ENOMEM, and the page before the hole has the new protection, the one \
                  behind it the old.",
    explanation: "mprotect goes through the areas from low to high and ends at the first that cannot be \
                  changed, without going back: after an error the range may be half of the one and half \
                  of the other. What open did not allow, mprotect cannot add.",
    cannot_show: "ENOMEM at the limit of areas, which is an experiment of its own.",
    source: "mprotect(2), ERRORS; mm/mprotect.c, do_mprotect_pkey.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/errors-of-mprotect.c"),
    rust: include_str!("../../code/errors-of-mprotect.rs"),
    run: mprotect,
};

fn mprotect(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    drop(one_page(hand)?);
    let file = File::open(hand.scratch().join("one-page")).map_err(|error| cannot(error, "set TMPDIR"))?;
    let of_file = Area::new(&shared(&file, page, Prot::READ))?;
    let writable = of_file.protect(0..page, Prot::READ | Prot::WRITE);
    let three = Area::new(&private(3 * page))?;
    hand.watch("three pages", three.span());
    hand.look("three pages");
    let odd = Span::new(three.span().base() + 1, page).unwrap_or(three.span());
    // SAFETY: (1) the pages are the area's. (2) PROT_READ|PROT_WRITE forbids nothing that is done with them.
    let odd = unsafe { protect(odd, Prot::READ | Prot::WRITE) };
    // SAFETY: (1) the middle page is the area's. (2) Nothing uses it.
    unsafe { unmap(three.part(page..2 * page)) }.map_err(failed("munmap"))?;
    let over_hole = three.protect(0..3 * page, Prot::READ);
    hand.look("after mprotect over a hole");
    let before_hole = hand.fault_of(|| three.store(0, 1))?;
    let behind_hole = hand.fault_of(|| three.store(2 * page, 1))?;
    hand.expect_errno("writable, of a file open for reading", Errno::EACCES, writable);
    hand.expect_errno("off a page", Errno::EINVAL, odd);
    hand.expect_errno("to PROT_READ over a hole", Errno::ENOMEM, over_hole);
    hand.expect_fault("a store before the hole", "SEGV_ACCERR", before_hole);
    hand.expect_no_fault("a store behind the hole", behind_hole);
    Ok(())
}
