//! Where a segment is attached.
#![allow(unsafe_code, reason = "shmat and shmdt by hand")]

use neap_map::{Anon, Populate, sysv as segments};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::sysv::{self, Access, Place};

use super::object::refused;
use super::sysv::{Removed, create, key, span_of};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};

/// SHM_RND, SHM_REMAP.
pub(super) const PLACE: Experiment = Experiment {
    name: "sysv-where-shmat-puts-it",
    chapter: Chapter::Shm,
    question: "At which addresses does shmat attach?",
    method: "shmat at a free page and 1 byte, without and with SHM_RND; where memory is mapped; with \
             SHM_REMAP at NULL, and with SHM_REMAP over four reserved pages.",
    expectation: "EINVAL; with SHM_RND at the page below; EINVAL where something is mapped; EINVAL at NULL; \
                  over the reservation it succeeds, and the segment's bytes are there.",
    explanation: "Unlike mmap's hint the address is an order: it must be a multiple of SHMLBA, which is the \
                  page on most machines, and free. SHM_RND rounds it down to one. SHM_REMAP is what \
                  MAP_FIXED is to mmap: it replaces what is mapped; with NULL the kernel would choose the \
                  place, and to replace what is there then makes no sense.",
    cannot_show: "Processors whose caches want a larger SHMLBA, such as some of 32 bits.",
    source: "shmop(2), shmat; ipc/shm.c, do_shmat.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/sysv-where-shmat-puts-it.c"),
    rust: include_str!("../../code/sysv-where-shmat-puts-it.rs"),
    run: place,
};

fn place(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let made = Removed(create(key(0), page).map_err(failed("shmget"))?);
    let segment = segments::Segment::of(made.0);
    let first = segment.attach().map().map_err(refused("shmat"))?;
    first.write_at(0, b"segment").map_err(refused("a store"))?;
    // Addresses that were just given back, of which the middle is used: nobody else maps meanwhile.
    let room = Anon::private(16 * page)
        .reserve()
        .map_err(refused("mmap of a reservation"))?;
    let free = room.as_ptr().addr() + 8 * page;
    room.unmap().map_err(|error| refused("munmap")(error.error()))?;
    let attach = |place| sysv::attach(made.0, place, Access::ReadWrite);
    hand.expect_errno(
        "shmat 1 byte behind a page's start",
        Errno::EINVAL,
        attach(Place::At(free + 1)),
    );
    let rounded = attach(Place::Rounded(free + 1));
    if let Some(base) = hand.expect_ok("the same with SHM_RND", rounded) {
        hand.expect_eq("bytes that it rounded down by", 1, (free + 1).wrapping_sub(base));
        hand.watch(
            "attached with SHM_RND",
            span_of(std::ptr::without_provenance(base), page)?,
        );
        hand.look("attached with SHM_RND");
        hand.expect_errno("shmat where it lies now", Errno::EINVAL, attach(Place::At(base)));
        // SAFETY: (1) the attachment of the call above, (2) of which nobody else knows.
        let detached = unsafe { sysv::detach(base) };
        hand.expect_ok("shmdt", detached);
    }
    let plain = Anon::private(page)
        .populate(Populate::Now)
        .map()
        .map_err(refused("mmap"))?;
    let occupied = attach(Place::At(plain.as_ptr().addr()));
    hand.expect_errno("shmat onto memory of mmap", Errno::EINVAL, occupied);
    // SAFETY: (1) at NULL nothing is replaced, since the kernel refuses it.
    let nowhere = unsafe { sysv::attach_over(made.0, 0, Access::ReadWrite) };
    hand.expect_errno("SHM_REMAP at NULL", Errno::EINVAL, nowhere);
    let reserved = Anon::private(4 * page)
        .reserve()
        .map_err(refused("mmap of a reservation"))?;
    let (base, all) = (reserved.as_ptr(), span_of(reserved.as_ptr(), 4 * page)?);
    hand.watch("four reserved pages", all);
    hand.look("reserved, no access");
    let (over, rest) = segment
        .attach()
        .map_over(reserved)
        .map_err(refused("shmat with SHM_REMAP"))?;
    hand.look("SHM_REMAP has replaced the first");
    let bytes: [u8; 7] = over.read(0).map_err(refused("a read"))?;
    hand.expect(
        "address with SHM_REMAP",
        format!("{base:p}"),
        format!("{:p}", over.as_ptr()),
        base == over.as_ptr(),
    );
    let text = String::from_utf8_lossy(&bytes).into_owned();
    hand.expect_eq("bytes there", "segment".to_owned(), text);
    hand.expect_eq("reserved pages that are left", 3, rest.len() / page);
    Ok(())
}
