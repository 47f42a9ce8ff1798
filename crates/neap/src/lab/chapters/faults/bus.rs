//! SIGBUS: the area is there, the page is not.
#![allow(unsafe_code, reason = "the ring of io_uring is made by hand")]

use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use neap_map::FileMap;
use neap_os::advice::{Discard, discard};
use neap_os::env::page_size;
use neap_os::fd::Fd;
use neap_os::mapping::{Flags, PageSize, Prot, Request, Sharing, Source};
use neap_os::unit::{Bytes, HugePage};

use crate::lab::area::{Area, one_page, private, shared};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot, failed};
use crate::lab::offspring::Fault;

fn io(error: impl std::fmt::Display) -> Stop {
    cannot(error, "see neap doctor for what this machine forbids")
}

fn load(hand: &mut Hand, area: &Area, at: usize) -> Result<Option<Fault>, Stop> {
    hand.fault_of(|| {
        area.load(at);
    })
}

/// Pages past the end of the file.
pub(super) const PAST_END: Experiment = Experiment {
    name: "sigbus-past-the-end-of-a-file",
    chapter: Chapter::Faults,
    question: "What happens in a mapping that is longer than its file?",
    method: "Map three pages of a file of one, shared and private; touch the second; shorten the file to \
             nothing and touch the first; make it three pages long and touch all.",
    expectation: "mmap succeeds. Wherever the file has no page at that moment, the touch is SIGBUS \
                  (BUS_ADRERR), also where it had one before; when the file grows, the mapping has the \
                  new pages.",
    explanation: "The area says which part of the file an address stands for, not that the file has it. \
                  The length is looked at on each fault: ftruncate takes the pages out of every mapping, \
                  so any process that may shorten the file can make this one fail. It is the price of a \
                  mapping over read, which would just return less.",
    cannot_show: "A disk that fails, which is the same signal.",
    source: "Note 03, the length of the file is bound at mmap; mmap(2), SIGBUS; mm/filemap.c, \
             filemap_fault.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/sigbus-past-the-end-of-a-file.c"),
    rust: include_str!("../../code/sigbus-past-the-end-of-a-file.rs"),
    run: past_end,
};

fn past_end(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let file = one_page(hand)?;
    let request = shared(&file, 3 * page, Prot::READ);
    let area = Area::new(&request)?;
    let copy = Area::new(&Request {
        sharing: Sharing::Private,
        ..request
    })?;
    hand.watch("shared", area.span());
    hand.watch("private", copy.span());
    hand.look("three pages of a file of one");
    let first = load(hand, &area, 0)?;
    let second = load(hand, &area, page)?;
    let private = load(hand, &copy, page)?;
    file.set_len(0).map_err(io)?;
    let emptied = load(hand, &area, 0)?;
    hand.look("the file is empty");
    file.set_len(3 * page as u64).map_err(io)?;
    let grown = hand.fault_of(|| {
        area.pages_with(0);
    })?;
    hand.look("the file has three pages");
    hand.expect_no_fault("one page: the first", first);
    hand.expect_fault("one page: the second", "BUS_ADRERR", second);
    hand.expect_fault("one page: the second, private", "BUS_ADRERR", private);
    hand.expect_fault("no page: the first", "BUS_ADRERR", emptied);
    hand.expect_no_fault("three pages: all of them", grown);
    Ok(())
}

/// The page in which the file ends.
pub(super) const LAST_PAGE: Experiment = Experiment {
    name: "the-page-that-holds-the-end-of-a-file",
    chapter: Chapter::Faults,
    question: "What lies behind the last byte of a file in its last page?",
    method: "Map a file of 100 bytes shared; read what is behind them, write to byte 200, and read the \
             file.",
    expectation: "Zeros to the end of the page; the store works; the file still has 100 bytes, and \
                  read(2) gives no more.",
    explanation: "A page is the least that can be mapped, and the kernel fills the rest of the last one \
                  with zeros. Stores there reach the page in the cache, but not the file: its length is \
                  not changed by a mapping, and writing back clears what lies behind it. So no fault \
                  warns of a store past the end before the next page.",
    cannot_show: "What becomes of the stored byte when the file grows over it: file systems differ in \
                  when they clear it.",
    source: "Note 03, a file of 5000 bytes; mmap(2), NOTES; mm/filemap.c.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/the-page-that-holds-the-end-of-a-file.c"),
    rust: include_str!("../../code/the-page-that-holds-the-end-of-a-file.rs"),
    run: last_page,
};

fn last_page(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let file = one_page(hand)?;
    file.set_len(100).map_err(io)?;
    let area = Area::new(&shared(&file, page, Prot::READ | Prot::WRITE))?;
    hand.watch("the page", area.span());
    hand.look("a file of 100 bytes is mapped");
    let sevens = (0..100).filter(|&at| area.load(at) == 7).count();
    let zeros = (100..page).filter(|&at| area.load(at) == 0).count();
    let store = hand.fault_of(|| area.store(200, 1))?;
    let seen = area.load(200);
    let mut bytes = vec![0; page];
    let read = file.read_at(&mut bytes, 0).map_err(io)?;
    hand.look("after a store to byte 200");
    hand.expect_eq("bytes of the file", 100, sevens);
    hand.expect_eq("bytes behind it that are 0", page - 100, zeros);
    hand.expect_no_fault("a store to byte 200", store);
    hand.expect_eq("byte 200 in another process's mapping", 1, seen);
    hand.expect_eq("the file's length then", 100, file.metadata().map_err(io)?.len());
    hand.expect_eq("bytes that read(2) gives", 100, read);
    Ok(())
}

/// A hugetlb pool that is empty.
pub(super) const POOL: Experiment = Experiment {
    name: "sigbus-of-an-empty-huge-page-pool",
    chapter: Chapter::Faults,
    question: "What happens when a reserved huge page was not reserved?",
    method: "With no free huge page in the pool, map one with MAP_HUGETLB, then with MAP_NORESERVE, too; \
             touch the second.",
    expectation: "The first mmap is ENOMEM. The second succeeds, and the touch is SIGBUS (BUS_ADRERR).",
    explanation: "mmap sets the pages of a hugetlb mapping aside, so that a touch cannot fail; \
                  MAP_NORESERVE gives that up. Ordinary memory would wake the OOM killer, which can free \
                  some; for the pool nothing can be freed, so the toucher gets the signal.",
    cannot_show: "The same of a pool that others empty meanwhile.",
    source: "mmap(2), MAP_HUGETLB; Documentation/admin-guide/mm/hugetlbpage.rst; mm/hugetlb.c, \
             hugetlb_no_page.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/sigbus-of-an-empty-huge-page-pool.c"),
    rust: include_str!("../../code/sigbus-of-an-empty-huge-page-pool.rs"),
    run: pool,
};

/// A size of huge page of which none is free and none can be had.
fn empty_pool() -> Option<HugePage> {
    let none = |kb: usize, file: &str| {
        fs::read_to_string(format!("/sys/kernel/mm/hugepages/hugepages-{kb}kB/{file}"))
            .is_ok_and(|text| text.trim() == "0")
    };
    [1 << 20, 2048]
        .into_iter()
        .find(|&kb| none(kb, "free_hugepages") && none(kb, "nr_overcommit_hugepages"))
        .and_then(|kb| HugePage::of(Bytes(kb << 10)))
}

fn pool(hand: &mut Hand) -> Result<(), Stop> {
    let Some(size) = empty_pool() else {
        return Err(cannot(
            "there is no pool of huge pages that is empty",
            "free one: sysctl vm.nr_hugepages=0, on a kernel with CONFIG_HUGETLBFS",
        ));
    };
    let request = Request {
        page: PageSize::Huge(size),
        ..private(1)
    };
    let promised = Area::ask(&request);
    let lax = Area::ask(&Request {
        flags: Flags::NO_RESERVE,
        ..request
    });
    hand.expect_errno("mmap", neap_os::errno::Errno::ENOMEM, promised);
    let Some(area) = hand.expect_ok("mmap with MAP_NORESERVE", lax) else {
        return Ok(());
    };
    hand.watch("the huge page that is not there", area.span());
    hand.look("mapped with MAP_NORESERVE");
    let fault = hand.fault_of(|| area.store(0, 1))?;
    hand.expect_fault("a store", "BUS_ADRERR", fault);
    Ok(())
}

/// A ring of io_uring whose pages were dropped.
pub(super) const RING: Experiment = Experiment {
    name: "sigbus-of-a-dropped-io-uring-ring",
    chapter: Chapter::Faults,
    question: "Does MADV_DONTNEED on a driver's memory bring it back on the next touch?",
    method: "Set up an io_uring, map its ring, read it, drop it with MADV_DONTNEED, and read it again in \
             a child.",
    expectation: "The ring can be read; after MADV_DONTNEED the load is SIGBUS (BUS_ADRERR), on kernels \
                  from 6.10 on.",
    explanation: "The driver puts all pages into the mapping at mmap, and has no operation that answers \
                  a fault, since none is to come. MADV_DONTNEED takes them out of the page table; the \
                  next touch asks for a page, nobody can give it, and that is SIGBUS. The ring itself \
                  still exists: a second mmap of the descriptor shows it.",
    cannot_show: "Drivers of other kinds: each decides for itself, and some mappings refuse the advice \
                  with EINVAL.",
    source: "io_uring_setup(2); madvise(2), MADV_DONTNEED; mm/memory.c, do_fault; io_uring/memmap.c.",
    since: Some((6, 10)),
    under: Under::Plain,
    c: include_str!("../../code/sigbus-of-a-dropped-io-uring-ring.c"),
    rust: include_str!("../../code/sigbus-of-a-dropped-io-uring-ring.rs"),
    run: ring,
};

/// io_uring_setup of 8 entries.
fn new_ring() -> Result<OwnedFd, Stop> {
    // struct io_uring_params is 120 bytes, and zeros are no wishes.
    let mut parameters = [0_u64; 15];
    // SAFETY: io_uring_setup reads and writes the 120 bytes of the structure, which live here.
    let file = unsafe { libc::syscall(libc::SYS_io_uring_setup, 8, parameters.as_mut_ptr()) };
    if file < 0 {
        let error = std::io::Error::last_os_error();
        return Err(cannot(
            format!("io_uring_setup: {error}"),
            "allow it: sysctl kernel.io_uring_disabled=0, or another seccomp filter",
        ));
    }
    // SAFETY: the call above has just opened it, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(file).unwrap_or(-1)) })
}

fn ring(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let ring = new_ring()?;
    let request = Request {
        sharing: Sharing::Shared,
        source: Source::File(Fd(ring.as_raw_fd()), 0),
        ..private(page)
    };
    let area = Area::new(&request)?;
    hand.watch("the ring", area.span());
    let before = hand.look("the ring is mapped");
    let first = load(hand, &area, 0)?;
    // SAFETY: (1) the page is the area's. (2) Nothing uses the ring.
    unsafe { discard(area.span(), Discard::DontNeed) }.map_err(failed("MADV_DONTNEED"))?;
    let after = hand.look("after MADV_DONTNEED");
    let dropped = load(hand, &area, 0)?;
    let again = Area::new(&request)?;
    let second = load(hand, &again, 0)?;
    hand.expect_no_fault("a load", first);
    hand.expect_eq("pages mapped before", 1, before.span(0).present_pages());
    hand.expect_eq("pages mapped after", 0, after.span(0).present_pages());
    hand.expect_fault("a load after MADV_DONTNEED", "BUS_ADRERR", dropped);
    hand.expect_no_fault("a load of a second mapping", second);
    Ok(())
}

/// neap-map's copies.
pub(super) const CAUGHT: Experiment = Experiment {
    name: "guarded-copy-turns-sigbus-to-error",
    chapter: Chapter::Faults,
    question: "Can a program live through a file that others shorten?",
    method: "Map a file of two pages with neap-map; shorten it to one; read the second page with a plain \
             load in a child and with the map's read_at here.",
    expectation: "The load is SIGBUS and ends the child; read_at answers with an error that says so, and \
                  the process goes on: the first page is read afterwards.",
    explanation: "neap-map touches bytes that others can take away in one routine only, and installs a \
                  handler that knows its instructions: a fault there resumes behind the copy with the \
                  address that failed. Every other fault goes to the handler that was there before. \
                  Looking at the file's length first would not do: it can change between the look and \
                  the load.",
    cannot_show: "Threads that block the two signals: those need the library's other means, system \
                  calls.",
    source: "mmap(2), SIGBUS; sigaction(2), SA_SIGINFO; neap-map, Means.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/guarded-copy-turns-sigbus-to-error.c"),
    rust: include_str!("../../code/guarded-copy-turns-sigbus-to-error.rs"),
    run: caught,
};

fn caught(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let file = one_page(hand)?;
    file.set_len(2 * page as u64).map_err(io)?;
    let plain = Area::new(&shared(&file, 2 * page, Prot::READ))?;
    let map = FileMap::of(&file).map().map_err(io)?;
    hand.watch("two pages", plain.span());
    hand.look("a file of two pages is mapped twice");
    file.set_len(page as u64).map_err(io)?;
    let fault = load(hand, &plain, page)?;
    let mut byte = [0];
    let second = map.read_at(page, &mut byte);
    let first = map.read_at(0, &mut byte);
    hand.look("the file has one page; both were read");
    hand.expect_fault("a plain load from the second page", "BUS_ADRERR", fault);
    let is_error = second.is_err();
    let text = second.map_or_else(|error| error.to_string(), |()| "success".to_owned());
    hand.expect("read_at of the second page", "an error", text, is_error);
    hand.expect(
        "read_at of the first page",
        "success",
        word(first.is_ok()),
        first.is_ok(),
    );
    hand.expect_eq("its byte", 7, byte[0]);
    Ok(())
}

const fn word(is_ok: bool) -> &'static str {
    match is_ok {
        true => "success",
        false => "an error",
    }
}
