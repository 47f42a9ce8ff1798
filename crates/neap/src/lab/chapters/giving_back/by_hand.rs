//! Giving back by hand what malloc still counts as in use.
#![allow(unsafe_code, reason = "madvise of a block's pages by hand")]

use neap_os::advice::{Discard, discard};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::unit::Span;

use super::{Moment, Share, fall};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};
use crate::lab::malloc::{Block, Malloc, small_pages_only, trim};

/// The three ways.
pub(super) const BY_HAND: Experiment = Experiment {
    name: "give-back-by-hand",
    chapter: Chapter::GivingBack,
    question: "How does one give back a large buffer: by madvise, by free, by malloc_trim?",
    method: "malloc 64 MiB and write to it; madvise(MADV_DONTNEED) its whole pages and look; write to it \
             again; free it, and look at once, after 0.5, 1 and 2 s, and after malloc_trim(0).",
    expectation: "madvise takes all but the pages at the ends out of memory, the block stays usable and \
                  reads 0. glibc: free takes memory and addresses at once. neap: memory within 2 s.",
    explanation: "madvise works below malloc: the block stays allocated, its pages go and come back as \
                  zeros at the next access. It is for buffers that are kept for their address and are \
                  empty for a while; only whole pages inside the block may be given. A block this large is \
                  a mapping of its own under glibc, so free is munmap; the next one may come from the \
                  heap, see malloc-threshold-moves. neap keeps the addresses and gives back the pages.",
    cannot_show: "What it costs: a fault for each page when the buffer is used again.",
    source: "Note 00, freeing physical memory; madvise(2); malloc_trim(3); docs/give-back.md.",
    since: None,
    under: Under::Both,
    c: include_str!("../../code/give-back-by-hand.c"),
    rust: include_str!("../../code/give-back-by-hand.rs"),
    run: by_hand,
};

const LEN: usize = 64 << 20;

fn by_hand(hand: &mut Hand) -> Result<(), Stop> {
    let malloc = hand.malloc()?;
    small_pages_only()?;
    trim(0);
    let before = hand.look("before");
    let block = Block::get(LEN)?;
    block.touch();
    let full = hand.look("64 MiB, written");
    let first = block.address().next_multiple_of(page_size());
    let len = (block.address() + LEN - first) / page_size() * page_size();
    let pages = Span::new(first, len).ok_or_else(|| failed("a span")(Errno::EINVAL))?;
    // SAFETY: the pages are whole and inside the block, and their content is not needed.
    let dropped = unsafe { discard(pages, Discard::DontNeed) };
    let empty = hand.look("its pages given back by madvise");
    let byte = block.byte(page_size());
    block.touch();
    let again = hand.look("written again");
    drop(block);
    let course = fall(hand, malloc, &before, &full);
    let over = |kb: u64| kb.saturating_sub(before.rss_kb());
    hand.expect_ok("madvise", dropped);
    let most = over(full.rss_kb()) / 100;
    let left = over(empty.rss_kb());
    hand.expect(
        "kB in memory after madvise",
        format!("less than {most}"),
        left,
        left < most,
    );
    hand.expect_eq("a byte that was 1, after madvise", 0, byte.unwrap_or(u8::MAX));
    let back = over(again.rss_kb());
    hand.expect(
        "kB in memory when written again",
        format!("more than {}", most * 98),
        back,
        back > most * 98,
    );
    let expected = [
        (Malloc::Glibc, Moment::Freed, Share::Below(1)),
        (Malloc::Neap, Moment::Late, Share::Below(10)),
    ];
    course.judge(hand, &expected)
}
