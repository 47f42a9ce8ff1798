//! The ring of perf events.
#![allow(unsafe_code, reason = "perf_event_open and the thread's name")]

use std::os::fd::OwnedFd;

use neap_map::Device;
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::Prot;

use super::call::{denied, open, span};
use crate::lab::area::{Area, shared};
use crate::lab::chapters::shm::object::{code, refused};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop};

/// Events that the kernel writes and the process reads.
pub(super) const RING: Experiment = Experiment {
    name: "driver-perf-ring",
    chapter: Chapter::Driver,
    question: "What kind of mapping is memory of a driver, and what may not be done with it?",
    method: "Open an event of this process (perf_event_open) that records changes of its name, and map its \
             ring: a page of numbers and a page of records. Change the name and read the ring. Then touch \
             the ring in a child; unmap half of it; map four pages, and privately.",
    expectation: "A record of the new name is in the ring, and no call has fetched it. VmFlags has dc, de \
                  and dd, and from Linux 6.15 on pf and io. The child has no ring: SEGV_MAPERR. Half an \
                  munmap is EINVAL from Linux 6.17 on; four pages and a private map are EINVAL.",
    explanation: "The driver enters pages of its own into the page table and marks the mapping: pf and io, \
                  there is no page of a file behind it; dc, a child does not get it; de, it cannot grow; \
                  dd, it is left out of core files. remap_pfn_range, which the note's driver calls, sets \
                  all of them but dc. A ring is 1 + 2^n pages, and only whole. A private map would show a \
                  copy that no event reaches.",
    cannot_show: "Counters of the processor: the event used is the kernel's own and counts nothing.",
    source: "Note 01, remap_pfn_range; perf_event_open(2); kernel/events/core.c, perf_mmap.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/driver-perf-ring.c"),
    rust: include_str!("../../code/driver-perf-ring.rs"),
    run: ring,
};

const RECORD_COMM: u32 = 3;

/// An event of this process that records its new names.
fn event() -> Result<OwnedFd, Errno> {
    // struct perf_event_attr: PERF_TYPE_SOFTWARE, its size, PERF_COUNT_SW_DUMMY; exclude_kernel and comm.
    let mut attributes = [0_u32; 32];
    attributes[..3].copy_from_slice(&[1, 128, 9]);
    attributes[10] = 1 << 5 | 1 << 9;
    let address = attributes.as_ptr().expose_provenance();
    // SAFETY: (1) the attributes live and are as long as they say; this process, any processor, no group.
    unsafe { open(libc::SYS_perf_event_open, [address, 0, usize::MAX, usize::MAX, 0]) }
}

fn ring(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let event = event().map_err(|errno| {
        let mend = "lower kernel.perf_event_paranoid to 2, or run it as root outside a container";
        denied("perf_event_open", errno, mend)
    })?;
    let ring = Device::of(&event, 0..2 * page as u64)
        .map()
        .map_err(refused("mmap of the ring"))?;
    hand.watch("the ring", span(&ring)?);
    let seen = hand.look("mapped");
    // SAFETY: the name is a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"ebb and flow".as_ptr()) };
    hand.look("the process has a new name");
    let head = ring.read_u64(1024).map_err(refused("data_head"))?;
    let kind = ring.read_u32(page).map_err(refused("a record"))?;
    let name: Vec<u8> = (page + 16..page + 32)
        .map_while(|at| ring.read_u8(at).ok().filter(|&byte| byte != 0))
        .collect();
    hand.expect("bytes of records", "more than 0", head, head > 0);
    hand.expect_eq("type of the first: PERF_RECORD_COMM", RECORD_COMM, kind);
    let name = String::from_utf8_lossy(&name).into_owned();
    hand.expect_eq("the name in it", "ebb and flow".to_owned(), name);
    let flags: &[&str] = if hand.has_kernel(6, 15) {
        &["dc", "de", "dd", "pf", "io"]
    } else {
        &["dc", "de", "dd"]
    };
    for flag in flags {
        let has = seen.span(0).has_flag(flag);
        hand.expect(
            &format!("VmFlags has {flag}"),
            "yes",
            if has { "yes" } else { "no" },
            has,
        );
    }
    let fault = hand.fault_of(|| {
        let _ = ring.read_u64(1024);
    })?;
    hand.expect_fault("a read in a child", "SEGV_MAPERR", fault);
    drop(ring);
    let whole = Area::new(&shared(&event, 2 * page, Prot::READ))?;
    let answer = whole.unmap_part(0..page);
    if hand.has_kernel(6, 17) {
        hand.expect_errno("munmap of half of it", Errno::EINVAL, answer);
    } else {
        hand.figure(
            "munmap of half of it",
            answer
                .err()
                .map_or("success".to_owned(), |errno| errno.to_string()),
        );
    }
    let odd = Device::of(&event, 0..4 * page as u64).map().map_err(code);
    hand.expect_errno("mmap of four pages", Errno::EINVAL, odd);
    let private = Device::of(&event, 0..2 * page as u64)
        .private()
        .map()
        .map_err(code);
    hand.expect_errno("a private map", Errno::EINVAL, private);
    Ok(())
}
