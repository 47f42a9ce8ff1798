//! DONTNEED and DONTNEED_LOCKED: pages go at once, and what is read next depends on the mapping.

use neap_os::advice::Discard;
use neap_os::errno::Errno;
use neap_os::lock::{When, lock};
use neap_os::mapping::{Prot, Sharing};

use crate::lab::disk_file::Content;
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb};
use crate::lab::hand::{Hand, Stop, failed};

pub(super) const ANONYMOUS: Experiment = Experiment {
    name: "dontneed-anonymous",
    chapter: Chapter::Madvise,
    question: "What does private anonymous memory read after DONTNEED?",
    method: "Fill 64 pages, advise DONTNEED for the 32 in the middle, and read all.",
    expectation: "The pages go at once; the middle reads 0, the rest as before; the mapping stays one.",
    explanation: "DONTNEED is not advice but an order: the kernel removes the pages from the page table and \
                  frees them before the call returns. Private anonymous memory has no other place for its \
                  bytes, so the next read finds the zero page. The mapping itself is untouched.",
    cannot_show: "What free(1) gains: the pages return to lists that belong to a CPU first.",
    source: "Note 02, MADV_DONTNEED; madvise(2), which promises zero-fill-on-demand pages.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/dontneed-anonymous.c"),
    rust: include_str!("../../code/dontneed-anonymous.rs"),
    run: anonymous,
};

fn anonymous(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(64).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    let before = hand.look("64 pages are filled");
    let advised = ground.discard(16..48, Discard::DontNeed);
    let after = hand.look("after DONTNEED of the middle 32");
    let (zeros, sevens) = (ground.count(0), ground.count(7));
    hand.look("after a read of every page");
    hand.expect_ok("madvise(MADV_DONTNEED)", advised);
    hand.expect_eq("kB there before", kb(64), before.span(0).rss_kb());
    hand.expect_eq("kB there after", kb(32), after.span(0).rss_kb());
    hand.expect_eq("kB mapped after", kb(64), after.span(0).mapped_kb());
    hand.expect_eq("lines of maps", before.mappings(), after.mappings());
    hand.expect_eq("pages that read 0", 32, zeros);
    hand.expect_eq("pages that read as before", 32, sevens);
    Ok(())
}

pub(super) const PRIVATE_FILE: Experiment = Experiment {
    name: "dontneed-private-file",
    chapter: Chapter::Madvise,
    question: "What does a private mapping of a file read after DONTNEED?",
    method: "Map a file of aaaa privately, write bbbb into the mapping, advise DONTNEED, read.",
    expectation: "aaaa, bbbb, aaaa: the own copy is dropped and the file is seen again.",
    explanation: "A store into a private mapping copies the page. DONTNEED drops the copy, and nothing is \
                  left of it; the next read maps the file's page from the page cache, as the first one did. \
                  The file was never changed.",
    cannot_show: "What happens if the file changes in between: then that is what is read.",
    source: "Note 00, private file mapping and DONTNEED; madvise(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/dontneed-private-file.c"),
    rust: include_str!("../../code/dontneed-private-file.rs"),
    run: private_file,
};

fn private_file(hand: &mut Hand) -> Result<(), Stop> {
    let file = hand.disk_file("file", kb(4) * 1024, Content::Byte(b'a'))?;
    let ground =
        Ground::of_file(&file, 4, Sharing::Private, Prot::READ | Prot::WRITE).map_err(failed("mmap"))?;
    hand.watch("file", ground.span());
    let first = ground.count(b'a');
    let read = hand.look("the mapping is read");
    ground.fill(b'b');
    let second = ground.count(b'b');
    let written = hand.look("the mapping is written");
    let advised = ground.discard(0..4, Discard::DontNeed);
    let dropped = hand.look("after DONTNEED");
    let third = ground.count(b'a');
    hand.look("the mapping is read again");
    hand.expect_ok("madvise(MADV_DONTNEED)", advised);
    hand.expect_eq("pages that read a at first", 4, first);
    hand.expect_eq("anonymous kB then", 0, read.span(0).anonymous_kb());
    hand.expect_eq("pages that read b when written", 4, second);
    hand.expect_eq("anonymous kB then", kb(4), written.span(0).anonymous_kb());
    hand.expect_eq("kB there after DONTNEED", 0, dropped.span(0).rss_kb());
    hand.expect_eq("pages that read a again", 4, third);
    Ok(())
}

pub(super) const SHARED: Experiment = Experiment {
    name: "dontneed-shared",
    chapter: Chapter::Madvise,
    question: "Does shared memory lose its bytes by DONTNEED?",
    method: "Fill 64 pages of shared anonymous memory, advise DONTNEED for all, look, and read.",
    expectation: "Rss falls to 0, and every page reads as before.",
    explanation: "A shared mapping shows pages that belong to a file; shared anonymous memory is a file of \
                  tmpfs without a name. DONTNEED clears only this process's page table. The file keeps its \
                  pages, and the next read maps them again: memory is not given back. REMOVE does that.",
    cannot_show: "That the pages stay where there is swap: the kernel may swap out what nobody maps.",
    source: "Note 02, MADV_DONTNEED on shared mappings; madvise(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/dontneed-shared.c"),
    rust: include_str!("../../code/dontneed-shared.rs"),
    run: shared,
};

fn shared(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::shared(64).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    let before = hand.look("64 pages are filled");
    let advised = ground.discard(0..64, Discard::DontNeed);
    let after = hand.look("after DONTNEED of all");
    let kept = ground.resident().map_err(failed("mincore"))?;
    let sevens = ground.count(7);
    hand.look("after a read of every page");
    hand.expect_ok("madvise(MADV_DONTNEED)", advised);
    hand.expect_eq("kB there before", kb(64), before.span(0).rss_kb());
    hand.expect_eq("kB there after", 0, after.span(0).rss_kb());
    hand.expect_eq("pages still in memory, by mincore", 64, kept);
    hand.expect_eq("pages that read as before", 64, sevens);
    Ok(())
}

pub(super) const LOCKED: Experiment = Experiment {
    name: "dontneed-locked",
    chapter: Chapter::Madvise,
    question: "How are locked pages dropped?",
    method: "Lock 8 filled pages, advise DONTNEED, then DONTNEED_LOCKED, and look.",
    expectation: "DONTNEED is EINVAL and changes nothing; DONTNEED_LOCKED (Linux 5.18) drops the pages, and \
                  the mapping stays locked.",
    explanation: "To lock is to ask that pages stay, so DONTNEED refuses locked memory. An allocator under \
                  mlockall still has memory to give back: DONTNEED_LOCKED does it. The mapping keeps \
                  VM_LOCKED, but nothing brings the pages back before they are touched.",
    cannot_show: "That a page which comes back later is in memory when a deadline needs it: it is not.",
    source: "madvise(2), MADV_DONTNEED_LOCKED.",
    since: Some((5, 18)),
    under: Under::Plain,
    c: include_str!("../../code/dontneed-locked.c"),
    rust: include_str!("../../code/dontneed-locked.rs"),
    run: locked,
};

fn locked(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(8).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    ground.fill(7);
    lock(ground.span(), When::Now).map_err(failed("mlock of 8 pages"))?;
    hand.look("8 pages are filled and locked");
    let refused = ground.discard(0..8, Discard::DontNeed);
    let kept = hand.look("after DONTNEED");
    let advised = ground.discard(0..8, Discard::DontNeedLocked);
    let dropped = hand.look("after DONTNEED_LOCKED");
    let zeros = ground.count(0);
    let again = hand.look("after a read of every page");
    hand.expect_errno("madvise(MADV_DONTNEED)", Errno::EINVAL, refused);
    hand.expect_eq("kB there after it", kb(8), kept.span(0).rss_kb());
    hand.expect_ok("madvise(MADV_DONTNEED_LOCKED)", advised);
    hand.expect_eq("kB there after it", 0, dropped.span(0).rss_kb());
    hand.expect_eq("VmFlags has lo", true, dropped.span(0).has_flag("lo"));
    hand.expect_eq("pages that read 0", 8, zeros);
    hand.expect_eq(
        "kB there after the reads, which bring real pages to locked memory",
        kb(8),
        again.span(0).present_pages() * kb(1),
    );
    Ok(())
}
