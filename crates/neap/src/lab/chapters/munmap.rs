//! munmap and mremap.
#![allow(unsafe_code, reason = "experiments make the calls by hand")]

use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::linux::Linux;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source, map, unmap};
use neap_os::unit::{Bytes, Span};
use neap_os::vm::Vm as _;

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};

mod cuts;
mod moves;

pub(super) const ALL: &[&Experiment] = &[
    &TWENTY_BYTES,
    &cuts::REFUSES,
    &cuts::SPLITS,
    &cuts::MERGES,
    &cuts::OUTLIVES,
    &moves::IN_PLACE,
    &moves::MOVES,
    &moves::DONTUNMAP,
    &moves::OVER,
    &moves::ZERO,
];

/// A private anonymous request.
fn request(len: usize) -> Request {
    Request {
        len: Bytes(len),
        place: Place::Anywhere,
        prot: Prot::READ | Prot::WRITE,
        sharing: Sharing::Private,
        source: Source::Anonymous,
        page: PageSize::Base,
        flags: Flags::NONE,
    }
}

/// Makes a mapping where nothing is.
fn place(request: &Request) -> Result<Span, Stop> {
    assert!(!matches!(request.place, Place::Over(_)), "replaces nothing");
    // SAFETY: (1) not `Place::Over`, as the line above says.
    unsafe { map(request) }.map_err(failed("mmap"))
}

/// So many pages of private memory that nobody else uses.
fn pages(count: usize) -> Result<Span, Stop> {
    place(&request(count * page_size()))
}

/// `len` bytes of a span from `at` on.
fn part(span: Span, at: usize, len: usize) -> Span {
    assert!(at + len <= span.len(), "within the span");
    Span::new(span.base() + at, len).unwrap_or(span)
}

/// Stores a byte everywhere in memory of an experiment's own.
fn store(span: Span, byte: u8) {
    for address in span.base()..span.end() {
        let address: *mut u8 = std::ptr::with_exposed_provenance_mut(address);
        // SAFETY: only called with what `place` or mremap has mapped for the experiment that calls,
        // writable and in no reference; where it is not mapped any more, the process ends by a fault,
        // as nothing was mapped there since.
        unsafe { address.write_volatile(byte) };
    }
}

/// Loads a byte, or ends the process by a fault where nothing is mapped.
fn load(address: *const u8) -> u8 {
    // SAFETY: a byte of memory that has any value; a fault is what the caller wants to see, in a child.
    unsafe { address.read_volatile() }
}

/// mmap of 20 bytes, munmap of 40: both are a page.
const TWENTY_BYTES: Experiment = Experiment {
    name: "munmap-40-of-20-bytes",
    chapter: Chapter::Munmap,
    question: "What happens when 40 bytes are unmapped of a mapping of 20?",
    method: "Map 20 bytes with a page on either side mapped, too; unmap 40 bytes from there; then \
             unmap 4097.",
    expectation: "The first takes one page and nothing else; the second takes the neighbour, too, \
                  without an error.",
    explanation: "The kernel maps and unmaps whole pages: both lengths are rounded up to 4096. So 40 \
                  bytes of 20 are harmless, and one byte more than a page is not: munmap does not know \
                  whose the next page is.",
    cannot_show: "Whether a program survives the loss of the neighbour: that depends on who needs it.",
    source: "Note 00, mmap and munmap; munmap(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/munmap-40-of-20-bytes.c"),
    rust: include_str!("../code/munmap-40-of-20-bytes.rs"),
    run: twenty_bytes,
};

fn twenty_bytes(hand: &mut Hand) -> Result<(), Stop> {
    const PAGE: usize = 4096;
    let three = Linux
        .map(Bytes(3 * PAGE))
        .map_err(failed("mmap of three pages"))?;
    let part = |at: usize, len: usize| {
        Span::new(three.base() + at, len).ok_or_else(|| failed("span")(Errno::EINVAL))
    };
    hand.watch("three pages", three);
    let before = hand.look("three pages are mapped; the middle one is the 20 bytes");
    // SAFETY: (1, 2) the middle page is this experiment's, and nothing uses it.
    let forty = unsafe { unmap(part(PAGE, 40)?) };
    let middle = hand.look("after munmap of 40 bytes from the middle page on");
    // SAFETY: (1, 2) the first page, and what is left of the middle one, likewise.
    let neighbour = unsafe { unmap(part(0, PAGE + 1)?) };
    let after = hand.look("after munmap of 4097 bytes from the first page on");
    hand.expect_ok("munmap of 40 bytes", forty);
    hand.expect_eq(
        "kB that went",
        4,
        before.span(0).mapped_kb() - middle.span(0).mapped_kb(),
    );
    hand.expect_ok("munmap of 4097 bytes over a page and a hole", neighbour);
    hand.expect_eq("kB that are left", 4, after.span(0).mapped_kb());
    Ok(())
}
