//! process_madvise: many ranges in one call.

use neap_os::advice::{Discard, Hint, process_hint};
use neap_os::errno::Errno;
use neap_os::fd::Fd;
use neap_os::unit::Bytes;

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb};
use crate::lab::hand::{Hand, Stop, failed};

pub(super) const ONESELF: Experiment = Experiment {
    name: "process-madvise-on-oneself",
    chapter: Chapter::Madvise,
    question: "Can several ranges be given back with one call?",
    method: "Fill 32 pages and give three parts of 4 pages to process_madvise(DONTNEED) on this process; \
             then a vector whose second range is locked; then COLD for the whole.",
    expectation: "The call answers 12 pages of bytes and these read 0. With the locked range it stops there \
                  and answers what came before; if the first is refused, the call fails.",
    explanation: "process_madvise takes an array of ranges and works on them in order, so an allocator pays \
                  for one system call, and since Linux 6.14 for one lock. On other processes only advice \
                  that loses nothing is allowed; on oneself everything is (Linux 6.13, and PIDFD_SELF since \
                  6.14).",
    cannot_show: "The time that it saves: measure with your ranges.",
    source: "process_madvise(2); mm/madvise.c, vector_madvise.",
    since: Some((6, 14)),
    under: Under::Plain,
    c: include_str!("../../code/process-madvise-on-oneself.c"),
    rust: include_str!("../../code/process-madvise-on-oneself.rs"),
    run: oneself,
};

fn oneself(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(32).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    let before = hand.look("32 pages are filled");
    let dropped = ground.discard_all(&[0..4, 8..12, 16..20], Discard::DontNeed);
    let after = hand.look("after DONTNEED of three parts");
    let zeros = ground.count(0);
    ground.fill(8);
    neap_os::lock::lock(ground.pages(8..12), neap_os::lock::When::Now).map_err(failed("mlock of 4 pages"))?;
    let partly = ground.discard_all(&[0..4, 8..12, 16..20], Discard::DontNeed);
    hand.look("the same with the second part locked");
    let kept = ground.count(8);
    let refused = ground.discard_all(&[8..12, 16..20], Discard::DontNeed);
    neap_os::lock::unlock(ground.span()).map_err(failed("munlock"))?;
    let cold = process_hint(Fd::SELF, &[ground.span()], Hint::Cold);
    let bytes = |count: Result<Bytes, Errno>| {
        count.map_or_else(|errno| errno.to_string(), |bytes| bytes.0.to_string())
    };
    let pages = |count| (kb(count) * 1024).to_string();
    hand.expect_eq("bytes that took DONTNEED", pages(12), bytes(dropped));
    hand.expect_eq(
        "kB that went",
        kb(12),
        before.span(0).rss_kb() - after.span(0).rss_kb(),
    );
    hand.expect_eq("pages that read 0", 12, zeros);
    hand.expect_eq(
        "bytes that took it before the locked part",
        pages(4),
        bytes(partly),
    );
    hand.expect_eq("pages that kept their bytes", 28, kept);
    hand.expect_errno("with the locked part first", Errno::EINVAL, refused);
    hand.expect_eq("bytes that took COLD", pages(32), bytes(cold));
    Ok(())
}
