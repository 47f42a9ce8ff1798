//! How much the kernel promises.
#![allow(unsafe_code, reason = "mappings that nobody uses, made and unmapped by hand")]

use std::fs;

use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::limit;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source, map, protect, unmap};
use neap_os::unit::{Bytes, Span};

use crate::lab::disk_file::{Content, fd_of};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot, failed};
use crate::lab::setting::Setting;

mod charge;
mod limits;
mod modes;

pub(super) const ALL: &[&Experiment] = &[
    &ONE_REQUEST,
    &BIG_FILE,
    &charge::COMMITTED,
    &charge::FORK,
    &modes::ONE,
    &modes::TWO,
    &limits::DATA,
    &limits::ADDRESS_SPACE,
];

const RW: Prot = Prot::READ.with(Prot::WRITE);

/// A private anonymous request, from which the others differ in a field or two.
fn private(len: usize) -> Request {
    Request {
        len: Bytes(len),
        place: Place::Anywhere,
        prot: RW,
        sharing: Sharing::Private,
        source: Source::Anonymous,
        page: PageSize::Base,
        flags: Flags::NONE,
    }
}

/// A mapping that nobody uses.
struct Promise(Span);

impl Promise {
    fn get(request: Request) -> Result<Promise, Errno> {
        assert!(!matches!(request.place, Place::Over(_)), "replaces nothing");
        // SAFETY: (1) not `Place::Over`, as the line above says.
        unsafe { map(&request) }.map(Promise)
    }

    fn change(&self, prot: Prot) -> Result<(), Errno> {
        // SAFETY: (1) the mapping is this promise's own; (2) nothing ever accesses it.
        unsafe { protect(self.0, prot) }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        // SAFETY: (1) the mapping is this promise's own, and nothing has split it; (2) nothing ever uses it.
        let _ = unsafe { unmap(self.0) };
    }
}

/// Memory and swap in bytes, as the kernel reckons in mode 0.
fn memory_and_swap() -> usize {
    let info = rustix::system::sysinfo();
    let unit = u64::from(info.mem_unit.max(1));
    let total = |count: u64| count.saturating_mul(unit);
    usize::try_from(total(info.totalram).saturating_add(total(info.totalswap))).unwrap_or(usize::MAX)
}

/// The mode, changed if it is another one.
fn set_mode(hand: &mut Hand, mode: &str) -> Result<(), Stop> {
    let now = fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    if now.trim() == mode {
        return Ok(());
    }
    hand.change(Setting::OvercommitMemory, mode)
}

/// Refuses where limits of the process would answer in the kernel's place.
fn no_limits() -> Result<(), Stop> {
    if limit::address_space().is_some() || limit::data_segment().is_some() {
        return Err(cannot(
            "a limit of address space or data holds for this process",
            "ulimit -v unlimited -d unlimited",
        ));
    }
    Ok(())
}

const SOURCE: &str = "Note 03, private and shared; proc_sys_vm(5), \
                      Documentation/mm/overcommit-accounting.rst, mm/util.c of Linux, \
                      __vm_enough_memory.";

const ONE_REQUEST: Experiment = Experiment {
    name: "one-request-above-ram",
    chapter: Chapter::Overcommit,
    question: "Which mappings larger than memory and swap does the kernel refuse?",
    method: "In overcommit mode 0, map as much anonymous memory as the machine has memory and swap, \
             then a page more, in each kind. Touch nothing.",
    expectation: "Exactly as much: passes, even twice. A page more: ENOMEM for private writable and \
                  shared memory; success read-only, without access and with MAP_NORESERVE. Making the \
                  read-only one writable is ENOMEM.",
    explanation: "Mode 0 looks at one request alone: what could never be, because it is more than all \
                  memory and swap, is refused, all else is promised, however much was promised before. \
                  Only what could need memory of its own is looked at: private pages that can be \
                  stored to, and shared anonymous ones. A read-only mapping becomes such by mprotect, \
                  and is looked at then.",
    cannot_show: "What happens when the promises are used: the OOM killer.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../code/one-request-above-ram.c"),
    rust: include_str!("../code/one-request-above-ram.rs"),
    run: one_request,
};

fn one_request(hand: &mut Hand) -> Result<(), Stop> {
    no_limits()?;
    set_mode(hand, "0")?;
    let all = memory_and_swap();
    let more = all + page_size();
    hand.look("nothing is promised");
    let first = Promise::get(private(all));
    let second = Promise::get(private(all));
    for (label, promise) in [("as much as there is", &first), ("again as much", &second)] {
        if let Ok(promise) = promise {
            hand.watch(
                label,
                Span::new(promise.0.base(), page_size()).unwrap_or(promise.0),
            );
        }
    }
    hand.look("all of memory and swap is promised, twice");
    hand.expect_ok("private, as much as there is", first);
    hand.expect_ok("private, again as much", second);
    let too_much = private(more);
    let shared = Request {
        sharing: Sharing::Shared,
        ..too_much
    };
    hand.expect_errno("private, a page more", Errno::ENOMEM, Promise::get(too_much));
    hand.expect_errno("shared, a page more", Errno::ENOMEM, Promise::get(shared));
    let no_reserve = Request {
        flags: Flags::NO_RESERVE,
        ..too_much
    };
    hand.expect_ok("with MAP_NORESERVE", Promise::get(no_reserve));
    let none = Request {
        prot: Prot::NONE,
        ..too_much
    };
    hand.expect_ok("without access", Promise::get(none));
    let read_only = Request {
        prot: Prot::READ,
        ..too_much
    };
    if let Some(promise) = hand.expect_ok("read-only", Promise::get(read_only)) {
        hand.expect_errno("made writable", Errno::ENOMEM, promise.change(RW));
    }
    Ok(())
}

const BIG_FILE: Experiment = Experiment {
    name: "private-map-of-a-big-file",
    chapter: Chapter::Overcommit,
    question: "Why could 16.5 GB of a file be mapped private on 16 GB and 2 of swap, 30 GB not, and 30 \
               GB shared?",
    method: "In overcommit mode 0, map a sparse file: 16.5/18 of memory and swap private and writable; \
             30/18 of them private and writable, private and read-only, private with MAP_NORESERVE, \
             and shared and writable.",
    expectation: "Only 30/18 private and writable is ENOMEM.",
    explanation: "Each page of a private writable mapping may have to be copied, so it counts as a \
                  request for that much memory, and mode 0 refuses one that exceeds memory and swap: \
                  16.5 < 16 + 2 < 30. Nothing is reserved, though, whatever the note says. Read-only \
                  pages are the file's, and pages of a shared mapping go back to it, so both need no \
                  memory that could not be had by writing to the disk.",
    cannot_show: "That the pages can all be stored to: the promise is checked, not kept.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../code/private-map-of-a-big-file.c"),
    rust: include_str!("../code/private-map-of-a-big-file.rs"),
    run: big_file,
};

fn big_file(hand: &mut Hand) -> Result<(), Stop> {
    no_limits()?;
    set_mode(hand, "0")?;
    let thirty_sixth = memory_and_swap() / 36;
    let (fits, exceeds) = (thirty_sixth * 33, thirty_sixth * 60);
    let file = hand.disk_file("sparse", exceeds as u64, Content::Hole)?;
    let of_file = |len: usize| Request {
        source: Source::File(fd_of(&file), 0),
        ..private(len)
    };
    hand.figure("memory and swap, in MiB", memory_and_swap() >> 20);
    hand.figure("30/18 of them, in MiB", exceeds >> 20);
    hand.look("nothing is mapped");
    hand.expect_ok("16.5/18, private and writable", Promise::get(of_file(fits)));
    hand.expect_errno(
        "30/18, private and writable",
        Errno::ENOMEM,
        Promise::get(of_file(exceeds)),
    );
    let read_only = Request {
        prot: Prot::READ,
        ..of_file(exceeds)
    };
    hand.expect_ok("30/18, private and read-only", Promise::get(read_only));
    let no_reserve = Request {
        flags: Flags::NO_RESERVE,
        ..of_file(exceeds)
    };
    hand.expect_ok("30/18, private with MAP_NORESERVE", Promise::get(no_reserve));
    let shared = Promise::get(Request {
        sharing: Sharing::Shared,
        ..of_file(exceeds)
    });
    hand.look("30/18 are mapped shared");
    hand.expect_ok("30/18, shared and writable", shared);
    Ok(())
}
