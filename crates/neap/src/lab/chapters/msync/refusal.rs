//! How msync refuses.
#![allow(unsafe_code, reason = "a flag that no type can say, and a hole")]

use neap_map::Anon;
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::lock::{When, lock, unlock};
use neap_os::sync::{Others, Writeback, sync};
use neap_os::unit::Span;

use super::{Dirty, PAGES, ROUNDS, SOURCE, dirty};
use crate::lab::disk_file::{map_failed, span_of};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};

pub(super) const REFUSES: Experiment = Experiment {
    name: "msync-refuses",
    chapter: Chapter::Msync,
    question: "Which calls of msync fail, and what have they done by then?",
    method: "On a shared mapping of a new file with 1024 dirty pages: MS_SYNC|MS_ASYNC; an unknown \
             flag; an address inside a page; length 0; then unmap page 512 and call MS_SYNC on all.",
    expectation: "EINVAL, EINVAL, EINVAL, success, and over the hole ENOMEM, with all other pages \
                  written. Anonymous memory is success and nothing.",
    explanation: "MS_SYNC and MS_ASYNC contradict each other, so both are refused; neither is as good \
                  as MS_ASYNC. The address must lie on a page, the length is rounded up. A hole is \
                  told at the end: the call goes on behind it, and only then says ENOMEM, so an error \
                  does not mean that nothing was written.",
    cannot_show: "EIO, ENOSPC and EDQUOT: they need a device that fails or is full.",
    source: SOURCE,
    since: Some((6, 5)),
    under: Under::Plain,
    c: include_str!("../../code/msync-refuses.c"),
    rust: include_str!("../../code/msync-refuses.rs"),
    run: refuses,
};

fn call(span: Span, flags: i32) -> Result<(), Errno> {
    // SAFETY: msync changes no byte of memory, whatever it is given.
    match unsafe {
        libc::msync(
            std::ptr::with_exposed_provenance_mut(span.base()),
            span.len(),
            flags,
        )
    } {
        0 => Ok(()),
        _ => Err(Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))),
    }
}

fn refuses(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let file = Dirty::new(hand, "dirty")?;
    let all = file.span();
    hand.watch("the mapping", all);
    hand.look("every page is stored to");
    let part = |at: usize, len: usize| Span::new(all.base() + at, len).unwrap_or(all);
    let both = call(all, libc::MS_SYNC | libc::MS_ASYNC);
    let unknown = call(all, libc::MS_ASYNC | 0x40);
    let odd = sync(part(1, page), Writeback::Wait, Others::Keep);
    let none = sync(part(0, 0), Writeback::Wait, Others::Keep);
    let Dirty { file, map } = file;
    let (before, behind) = map
        .unmap_range(PAGES / 2 * page..(PAGES / 2 + 1) * page)
        .map_err(|refused| map_failed(refused.error()))?;
    hand.look("page 512 is unmapped");
    let hole = sync(all, Writeback::Wait, Others::Keep);
    let left = dirty(&file)?;
    hand.look("after MS_SYNC over the hole");
    drop((before, behind));
    let memory = Anon::private(page).map().map_err(map_failed)?;
    let anonymous = sync(span_of(&memory), Writeback::Wait, Others::Keep);
    hand.expect_errno("MS_SYNC|MS_ASYNC", Errno::EINVAL, both);
    hand.expect_errno("an unknown flag", Errno::EINVAL, unknown);
    hand.expect_errno("an address inside a page", Errno::EINVAL, odd);
    hand.expect_ok("length 0", none);
    hand.expect_errno("MS_SYNC over a hole", Errno::ENOMEM, hole);
    // The page in the hole is no mapping's any more, and stays dirty.
    hand.expect("dirty pages afterwards", "at most 1", left, left <= 1);
    hand.expect_ok("MS_SYNC of anonymous memory", anonymous);
    Ok(())
}

pub(super) const INVALIDATE: Experiment = Experiment {
    name: "msync-invalidate",
    chapter: Chapter::Msync,
    question: "What does msync with MS_INVALIDATE do?",
    method: "On a shared mapping of a new file with 1024 dirty pages: MS_INVALIDATE; then lock one \
             page and do it again, on all and on another page; unlock and do it once more.",
    expectation: "Success and nothing written or lost; with a locked page in the range EBUSY; success \
                  again.",
    explanation: "All mappings of a file show the same pages, so there is no other copy that could be \
                  invalid. What is left of the flag is a question: is any of this locked? POSIX wants \
                  EBUSY then, and that is all that the kernel looks for.",
    cannot_show: "Systems whose mappings are copies.",
    source: SOURCE,
    since: Some((6, 5)),
    under: Under::Plain,
    c: include_str!("../../code/msync-invalidate.c"),
    rust: include_str!("../../code/msync-invalidate.rs"),
    run: invalidate,
};

fn invalidate(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let mut round = 0;
    let (file, alone, left) = loop {
        round += 1;
        let file = Dirty::new(hand, &format!("dirty-{round}"))?;
        hand.watch("the mapping", file.span());
        let alone = call(file.span(), libc::MS_INVALIDATE);
        let left = file.pages()?;
        hand.look("after MS_INVALIDATE");
        if left == PAGES as u64 || round == ROUNDS {
            break (file, alone, left);
        }
    };
    let all = file.span();
    let part = |at: usize, len: usize| Span::new(all.base() + at, len).unwrap_or(all);
    let last = part(all.len() - page, page);
    lock(last, When::Now).map_err(failed("mlock of one page"))?;
    let locked = hand.look("the last page is locked");
    let over = call(all, libc::MS_INVALIDATE);
    let beside = call(part(0, page), libc::MS_INVALIDATE);
    unlock(last).map_err(failed("munlock"))?;
    let unlocked = call(all, libc::MS_INVALIDATE);
    let byte: u8 = file.map.read(0).map_err(map_failed)?;
    hand.figure("rounds", round);
    hand.expect_ok("MS_INVALIDATE", alone);
    hand.expect_eq("dirty pages after it", PAGES as u64, left);
    hand.expect_eq("locked memory, in kB", page as u64 / 1024, locked.locked_kb());
    hand.expect_errno("with a locked page", Errno::EBUSY, over);
    hand.expect_ok("on another page", beside);
    hand.expect_ok("when it is unlocked", unlocked);
    hand.expect_eq("a byte that was stored", 'd', char::from(byte));
    Ok(())
}
