//! What the running kernel does for each method of [`Linux`].
#![allow(unsafe_code)]

use super::*;
// What maps a place that was just unmapped runs in a child of one thread: here, another test's thread
// may be given that place.
use crate::child::{end_of_child, in_child};
use core::ptr::with_exposed_provenance_mut;
use core::slice;

const MIB: usize = 1 << 20;

fn map(len: usize) -> Span {
    Linux.map(Bytes(len)).unwrap()
}

fn sub(span: Span, offset: usize, len: usize) -> Span {
    let part = Span::new(span.base() + offset, len).unwrap();
    assert!(span.encloses(part));
    part
}

fn bytes(span: Span) -> &'static mut [u8] {
    // SAFETY: tests call it on spans they have just mapped, one slice at a time, and drop the slice
    // before the span is unmapped.
    unsafe { slice::from_raw_parts_mut(with_exposed_provenance_mut(span.base()), span.len()) }
}

fn all(span: Span, value: u8) -> bool {
    bytes(span).iter().all(|&b| b == value)
}

fn unmap(span: Span) {
    // SAFETY: (1, 2) tests unmap what they mapped, last.
    unsafe { Linux.unmap(span) }.unwrap();
}

#[test]
fn the_page_is_the_kernels() {
    assert_eq!(Linux.page_size(), Bytes(4096));
    assert_eq!(Linux.page_size(), Bytes(page_size()));
}

#[test]
fn map_rounds_up_and_gives_zeros() {
    let span = map(10_000);
    assert_eq!(span.len(), 12_288);
    assert!(all(span, 0));
    bytes(span).fill(7);
    unmap(span);
}

#[test]
fn map_refuses_nothing_and_too_much() {
    assert_eq!(Linux.map(Bytes(0)), Err(Errno::EINVAL));
    assert_eq!(Linux.map(Bytes(usize::MAX)), Err(Errno::ENOMEM));
    assert_eq!(Linux.map(Bytes(1 << 63)), Err(Errno::ENOMEM));
    assert_eq!(Linux.reserve(Bytes(0)), Err(Errno::EINVAL));
}

#[test]
fn map_at_takes_a_free_place_and_never_a_taken_one() {
    in_child(|| {
        let span = map(4 * 4096);
        bytes(span).fill(1);
        assert_eq!(Linux.map_at(span), Err(Errno::EEXIST));
        // One page of overlap is enough.
        unmap(sub(span, 0, 3 * 4096));
        assert_eq!(Linux.map_at(span), Err(Errno::EEXIST));
        assert!(all(sub(span, 3 * 4096, 4096), 1));
        assert_eq!(Linux.map_at(sub(span, 4096, 8192)), Ok(()));
        assert!(all(sub(span, 4096, 8192), 0));
        unmap(sub(span, 4096, 3 * 4096));
    });
}

#[test]
fn map_at_refuses_unaligned_and_empty_spans() {
    in_child(|| {
        let span = map(8192);
        unmap(span);
        assert_eq!(
            Linux.map_at(Span::new(span.base() + 8, 4096).unwrap()),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            Linux.map_at(Span::new(span.base(), 100).unwrap()),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            Linux.map_at(Span::new(span.base(), 0).unwrap()),
            Err(Errno::EINVAL)
        );
    });
}

#[test]
fn reserve_is_inaccessible_until_protected() {
    const SIGSEGV: i32 = 11;
    let span = Linux.reserve(Bytes(1 << 40)).unwrap();
    let part = sub(span, 1 << 30, MIB);
    assert_eq!(end_of_child(|| bytes(part)[0] = 1), Err(SIGSEGV));
    // SAFETY: (1) just reserved; (2) access is only added.
    unsafe { Linux.protect(part, Protection::ReadWrite) }.unwrap();
    bytes(part).fill(9);
    // SAFETY: (1) as above; (2) only the child stores.
    unsafe { Linux.protect(part, Protection::Read) }.unwrap();
    assert!(all(part, 9));
    assert_eq!(end_of_child(|| bytes(part)[0] = 1), Err(SIGSEGV));
    unmap(span);
    assert_eq!(end_of_child(|| assert!(all(part, 9))), Err(SIGSEGV));
}

#[test]
fn reserve_at_takes_a_free_place_and_never_a_taken_one() {
    in_child(|| {
        let span = Linux.reserve(Bytes(MIB)).unwrap();
        assert_eq!(Linux.reserve_at(span), Err(Errno::EEXIST));
        unmap(span);
        assert_eq!(Linux.reserve_at(span), Ok(()));
        unmap(span);
    });
}

#[test]
fn remap_keeps_contents_growing_shrinking_and_moving() {
    in_child(|| {
        let span = map(2 * MIB);
        bytes(span).fill(3);
        // SAFETY: (1) one whole mapping; (2) only the returned span is used.
        let grown = unsafe { Linux.remap(span, Bytes(64 * MIB)) }.unwrap();
        assert_eq!(grown.len(), 64 * MIB);
        assert!(all(sub(grown, 0, 2 * MIB), 3));
        assert!(all(sub(grown, 2 * MIB, 62 * MIB), 0));
        // SAFETY: (1, 2) as above.
        let shrunk = unsafe { Linux.remap(grown, Bytes(5000)) }.unwrap();
        assert_eq!((shrunk.base(), shrunk.len()), (grown.base(), 8192));
        assert!(all(shrunk, 3));
        // A neighbour right behind forces a move.
        let behind = sub(grown, 8192, 4096);
        Linux.map_at(behind).unwrap();
        // SAFETY: (1) the neighbour is an area of its own or merges, the first two pages are one area
        // either way; (2) as above.
        let moved = unsafe { Linux.remap(shrunk, Bytes(MIB)) }.unwrap();
        assert_ne!(moved.base(), shrunk.base());
        assert!(all(sub(moved, 0, 8192), 3));
        unmap(behind);
        unmap(moved);
    });
}

#[test]
fn a_failed_remap_leaves_the_mapping() {
    let span = map(8192);
    bytes(span).fill(4);
    // SAFETY: (1) one whole mapping; (2) fails.
    assert_eq!(unsafe { Linux.remap(span, Bytes(1 << 46)) }, Err(Errno::ENOMEM));
    // SAFETY: as above.
    assert_eq!(unsafe { Linux.remap(span, Bytes(1 << 62)) }, Err(Errno::EINVAL));
    // SAFETY: as above.
    assert_eq!(unsafe { Linux.remap(span, Bytes(0)) }, Err(Errno::EINVAL));
    assert!(all(span, 4));
    unmap(span);
}

#[test]
fn move_pages_moves_contents_and_leaves_zeros() {
    let (from, to) = (map(MIB), map(MIB));
    bytes(from).fill(5);
    bytes(to).fill(6);
    // SAFETY: (1) two mappings of one length; (2) nothing else uses them.
    unsafe { Linux.move_pages(from, to) }.unwrap();
    assert!(all(to, 5));
    assert!(all(from, 0));
    bytes(from).fill(7);
    assert!(all(to, 5));
    unmap(from);
    unmap(to);
}

#[test]
fn a_failed_move_leaves_the_target_mapped() {
    in_child(|| {
        let (from, to) = (map(8192), map(8192));
        unmap(from);
        bytes(to).fill(8);
        // Kernels before 6.17 find out that `from` cannot be moved after they have unmapped `to`.
        // SAFETY: (1) is broken on purpose to make it fail; nothing is there to be harmed.
        let refused = unsafe { Linux.move_pages(from, to) };
        assert_eq!(refused, Err(Errno::EFAULT));
        bytes(to).fill(9);
        unmap(to);
        // SAFETY: (1, 2) refused for the lengths before anything is looked at.
        let refused = unsafe { Linux.move_pages(from, sub(to, 0, 4096)) };
        assert_eq!(refused, Err(Errno::EINVAL));
    });
}

#[test]
fn discard_zeroes_whole_pages_inside_the_span_only() {
    let span = map(4 * 4096);
    bytes(span).fill(2);
    // SAFETY: (1) mapped above; (2) contents are test data.
    unsafe { Linux.discard(sub(span, 100, 3 * 4096)) }.unwrap();
    assert!(all(sub(span, 0, 4096), 2));
    assert!(all(sub(span, 4096, 2 * 4096), 0));
    assert!(all(sub(span, 3 * 4096, 4096), 2));
    // SAFETY: as above.
    unsafe { Linux.discard(sub(span, 100, 4096)) }.unwrap();
    assert!(all(sub(span, 0, 4096), 2));
    unmap(span);
}

#[test]
fn discard_all_drops_every_span_and_stops_at_the_first_that_fails() {
    for batch in [true, false] {
        NO_BATCH.store(!batch, Relaxed);
        let span = map(400 * 4096);
        bytes(span).fill(2);
        let every_other: std::vec::Vec<Span> = (0..200).map(|i| sub(span, i * 8192, 4096)).collect();
        // SAFETY: (1) mapped above, test data.
        unsafe { Linux.discard_all(&every_other) }.unwrap();
        for i in 0..400 {
            assert!(all(sub(span, i * 4096, 4096), if i % 2 == 0 { 0 } else { 2 }));
        }
        bytes(span).fill(2);
        let locked = every_other[150];
        crate::lock::lock(locked, crate::lock::When::Now).unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { Linux.discard_all(&every_other) }, Err(Errno::EINVAL));
        for (i, &dropped) in every_other.iter().enumerate() {
            assert!(all(dropped, if i < 150 { 0 } else { 2 }), "{i}");
        }
        unmap(span);
    }
    NO_BATCH.store(false, Relaxed);
}

#[test]
fn discard_of_locked_memory_is_invalid_and_keeps_it() {
    let span = map(8192);
    bytes(span).fill(2);
    crate::lock::lock(span, crate::lock::When::Now).unwrap();
    // SAFETY: (1, 2) as above.
    assert_eq!(unsafe { Linux.discard(span) }, Err(Errno::EINVAL));
    assert!(all(span, 2));
    unmap(span);
}

#[test]
fn hints_change_no_byte_and_an_unmapped_span_is_out_of_memory() {
    in_child(|| {
        let span = map(4 * MIB);
        bytes(span).fill(2);
        for hint in [
            Hint::HugePages,
            Hint::NoHugePages,
            Hint::NoDump,
            Hint::PopulateWrite,
            Hint::Collapse,
        ] {
            // COLLAPSE (6.1) and the huge page hints may be missing; the rest is older than 5.14.
            match Linux.hint(span, hint) {
                Ok(()) | Err(Errno::EINVAL | Errno::EAGAIN | Errno::EBUSY | Errno::ENOMEM) => {}
                other => panic!("{hint:?}: {other:?}"),
            }
            assert!(all(span, 2));
        }
        unmap(span);
        assert_eq!(Linux.hint(span, Hint::NoDump), Err(Errno::ENOMEM));
    });
}

#[test]
fn populated_memory_needs_no_fault() {
    let span = map(MIB);
    Linux.hint(span, Hint::PopulateWrite).unwrap();
    let mut resident = [0u8; MIB / 4096];
    // SAFETY: (1) mincore writes one byte a page to a vector of that length.
    unsafe {
        syscall3(
            Call::MINCORE,
            span.base(),
            span.len(),
            resident.as_mut_ptr().expose_provenance(),
        )
        .unwrap();
    }
    assert!(resident.iter().all(|&r| r & 1 == 1));
    unmap(span);
}

#[test]
fn limits_are_out_of_memory_and_harmless() {
    in_child(|| {
        // RLIMIT_AS (9) at 1 GiB.
        let limit = [1u64 << 30, 1 << 30];
        // SAFETY: (1) prlimit64 reads two u64 from `limit`; the child dies at the end of the test.
        unsafe { syscall4(Call::PRLIMIT64, 0, 9, limit.as_ptr().expose_provenance(), 0) }.unwrap();
        assert_eq!(Linux.map(Bytes(2 << 30)), Err(Errno::ENOMEM));
        assert_eq!(Linux.reserve(Bytes(2 << 30)), Err(Errno::ENOMEM));
        let span = map(8192);
        bytes(span).fill(1);
        // SAFETY: (1) one whole mapping; (2) fails.
        assert_eq!(unsafe { Linux.remap(span, Bytes(2 << 30)) }, Err(Errno::ENOMEM));
        assert!(all(span, 1));
    });
}

#[test]
fn the_break_moves_through_the_trait() {
    in_child(|| {
        let from = Linux.program_break();
        assert_ne!(from, 0);
        // SAFETY: (1) grows.
        unsafe { Linux.move_break(from, from + 4096) }.unwrap();
        assert_eq!(Linux.program_break(), from + 4096);
        // SAFETY: (1) grows.
        assert_eq!(unsafe { Linux.move_break(from, from + 4096) }, Err(Errno::EBUSY));
        // SAFETY: (1) gained above and never used.
        unsafe { Linux.move_break(from + 4096, from) }.unwrap();
    });
}
