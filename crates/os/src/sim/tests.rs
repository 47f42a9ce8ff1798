//! That [`Sim`] does what the trait says, refuses what it forbids, and fails on command.
#![allow(unsafe_code)]

use super::*;
use crate::child::end_of_child;
use crate::vm::Hint;
use std::panic::{AssertUnwindSafe, catch_unwind};

const PAGE: usize = 4096;
const MIB: usize = 1 << 20;

fn sim() -> Sim {
    Sim::with_range(Bytes(64 * MIB))
}

fn span(base: usize, len: usize) -> Span {
    Span::new(base, len).unwrap()
}

fn bytes(span: Span) -> &'static mut [u8] {
    // SAFETY: tests call it on mapped spans, one slice at a time, and drop it before the next call.
    unsafe { slice::from_raw_parts_mut(with_exposed_provenance_mut(span.base()), span.len()) }
}

fn all(span: Span, value: u8) -> bool {
    bytes(span).iter().all(|&b| b == value)
}

fn faults(span: Span) -> bool {
    end_of_child(|| bytes(span).fill(1)) == Err(11)
}

/// Whether `body` trips one of Sim's assertions.
fn refused(body: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(body)).is_err()
}

fn unmap(sim: &Sim, span: Span) -> Result<(), Errno> {
    // SAFETY: (1) Sim asserts it; (2) tests drop their slices first.
    unsafe { sim.unmap(span) }
}

fn discard(sim: &Sim, span: Span) -> Result<(), Errno> {
    // SAFETY: (1) Sim asserts it; (2) test data.
    unsafe { sim.discard(span) }
}

fn remap(sim: &Sim, old: Span, len: usize) -> Result<Span, Errno> {
    // SAFETY: (1) Sim asserts it; (2) tests go on with the result.
    unsafe { sim.remap(old, Bytes(len)) }
}

fn move_pages(sim: &Sim, from: Span, to: Span) -> Result<(), Errno> {
    // SAFETY: (1) Sim asserts it; (2) tests drop their slices first.
    unsafe { sim.move_pages(from, to) }
}

fn protect(sim: &Sim, span: Span, protection: Protection) -> Result<(), Errno> {
    // SAFETY: (1) Sim asserts it; (2) only children make a forbidden access.
    unsafe { sim.protect(span, protection) }
}

fn move_break(sim: &Sim, from: usize, to: usize) -> Result<(), Errno> {
    // SAFETY: (1) Sim asserts it.
    unsafe { sim.move_break(from, to) }
}

#[test]
fn memory_is_real_and_gone_when_unmapped() {
    let sim = sim();
    let a = sim.map(Bytes(10_000)).unwrap();
    assert_eq!(a.len(), 3 * PAGE);
    assert!(sim.region().encloses(a) && all(a, 0));
    bytes(a).fill(1);
    assert_eq!(sim.mapped_bytes(), 3 * PAGE);
    unmap(&sim, a).unwrap();
    assert_eq!(sim.mapped_bytes(), 0);
    assert!(faults(a));
    let base = sim.arena_hint();
    sim.map_at(span(base, MIB)).unwrap();
    bytes(span(base, MIB)).fill(2);
    unmap(&sim, span(base, MIB)).unwrap();
    sim.map_at(span(base, MIB)).unwrap();
    assert!(all(span(base, MIB), 0));
}

#[test]
fn map_at_refuses_what_is_taken_or_not_there() {
    let sim = sim();
    let base = sim.arena_hint();
    assert_eq!(base % (1 << 30), 0);
    sim.map_at(span(base + PAGE, PAGE)).unwrap();
    assert_eq!(sim.map_at(span(base, 2 * PAGE)), Err(Errno::EEXIST));
    assert_eq!(sim.map_at(span(base - PAGE, PAGE)), Err(Errno::EEXIST));
    assert_eq!(sim.map_at(span(sim.region().end(), PAGE)), Err(Errno::EEXIST));
    assert_eq!(
        sim.map_at(span(sim.break_region().base(), PAGE)),
        Err(Errno::EEXIST)
    );
    assert!(refused(|| _ = sim.map_at(span(base + 1, PAGE))));
    assert!(refused(|| _ = sim.map_at(span(base, 0))));
}

#[test]
fn misuse_is_refused() {
    let sim = sim();
    let a = sim.map(Bytes(4 * PAGE)).unwrap();
    let b = sim.map(Bytes(PAGE)).unwrap();
    assert!(refused(|| _ = unmap(&sim, span(a.base() + 8, PAGE))));
    assert!(refused(|| _ = unmap(&sim, span(a.base(), 0))));
    assert!(refused(|| _ = unmap(&sim, span(sim.region().end(), PAGE))));
    assert!(refused(|| _ = remap(&sim, span(a.base() + PAGE, PAGE), 8 * PAGE)));
    assert!(refused(|| _ = remap(&sim, span(a.base(), PAGE), 8 * PAGE)));
    assert!(refused(|| _ = remap(&sim, span(a.base(), 5 * PAGE), 8 * PAGE)));
    unmap(&sim, span(a.base() + PAGE, PAGE)).unwrap();
    assert!(refused(|| _ = unmap(&sim, a)));
    assert!(refused(|| _ = discard(&sim, a)));
    assert!(refused(|| _ = sim.hint(a, Hint::NoDump)));
    assert!(refused(|| _ = protect(&sim, a, Protection::Read)));
    assert!(refused(|| _ = move_pages(&sim, b, span(a.base() + PAGE, PAGE))));
    assert!(refused(|| _ = move_pages(&sim, b, b)));
    unmap(&sim, b).unwrap();
    assert!(refused(|| _ = unmap(&sim, b)));
    // What a hole has cut off is a mapping of its own.
    let tail = span(a.base() + 2 * PAGE, 2 * PAGE);
    assert_eq!(remap(&sim, tail, PAGE).map(Span::base), Ok(tail.base()));
}

#[test]
fn remap_grows_in_place_or_moves_with_the_contents() {
    let sim = sim();
    let a = sim.map(Bytes(2 * PAGE)).unwrap();
    bytes(a).fill(3);
    let a = remap(&sim, a, 4 * PAGE).unwrap();
    assert_eq!(a.len(), 4 * PAGE);
    let b = sim.map(Bytes(PAGE)).unwrap();
    assert_eq!(b.base(), a.end());
    let moved = remap(&sim, a, 8 * PAGE).unwrap();
    assert_ne!(moved.base(), a.base());
    assert!(faults(a));
    assert!(all(span(moved.base(), 2 * PAGE), 3) && all(span(moved.base() + 2 * PAGE, 6 * PAGE), 0));
    let shrunk = remap(&sim, moved, PAGE).unwrap();
    assert_eq!(shrunk, span(moved.base(), PAGE));
    assert!(faults(span(moved.base() + PAGE, PAGE)));
    assert_eq!(remap(&sim, shrunk, PAGE), Ok(shrunk));
    assert_eq!(remap(&sim, shrunk, 0), Err(Errno::EINVAL));
    assert_eq!(sim.mapped_bytes(), 2 * PAGE);
}

#[test]
fn move_pages_and_discard_leave_zeros() {
    let sim = sim();
    let (a, b) = (
        sim.map(Bytes(3 * PAGE)).unwrap(),
        sim.map(Bytes(3 * PAGE)).unwrap(),
    );
    bytes(span(a.base(), PAGE)).fill(4);
    bytes(b).fill(5);
    move_pages(&sim, a, b).unwrap();
    assert!(all(a, 0));
    assert!(all(span(b.base(), PAGE), 4) && all(span(b.base() + PAGE, 2 * PAGE), 0));
    bytes(b).fill(6);
    discard(&sim, span(b.base() + 1, 2 * PAGE)).unwrap();
    assert!(all(span(b.base(), PAGE), 6) && all(span(b.base() + PAGE, PAGE), 0));
    assert_eq!(sim.discarded_bytes(), PAGE);
}

#[test]
fn protection_is_real() {
    let sim = sim();
    let a = sim.reserve(Bytes(PAGE)).unwrap();
    assert!(faults(a));
    for (protection, closed) in [
        (Protection::ReadWrite, false),
        (Protection::Read, true),
        (Protection::ReadWrite, false),
        (Protection::None, true),
    ] {
        protect(&sim, a, protection).unwrap();
        assert_eq!(faults(a), closed);
    }
}

#[test]
fn calls_fail_on_command() {
    let sim = sim();
    sim.fail_at(2);
    let a = sim.map(Bytes(PAGE)).unwrap();
    assert_eq!(unmap(&sim, a), Err(Errno::ENOMEM));
    bytes(a).fill(1);
    assert_eq!(unmap(&sim, a), Ok(()));
    assert_eq!(sim.calls(), 3);
    sim.fail_every(2);
    let outcomes: std::vec::Vec<bool> = (0..6).map(|_| sim.map(Bytes(1)).is_ok()).collect();
    assert_eq!(outcomes, [false, true, false, true, false, true]);
    sim.fail_every(1);
    let now = sim.program_break();
    assert_eq!(sim.map(Bytes(1)), Err(Errno::ENOMEM));
    assert_eq!(sim.reserve(Bytes(1)), Err(Errno::ENOMEM));
    assert_eq!(sim.map_at(span(sim.arena_hint(), PAGE)), Err(Errno::ENOMEM));
    assert_eq!(move_break(&sim, now, now + 1), Err(Errno::ENOMEM));
    assert_eq!(sim.program_break(), now);
    sim.fail_every(0);
    let b = sim.map(Bytes(PAGE)).unwrap();
    bytes(b).fill(7);
    sim.fail_every(1);
    assert_eq!(discard(&sim, b), Err(Errno::EAGAIN));
    assert_eq!(sim.hint(b, Hint::NoDump), Err(Errno::EINVAL));
    assert_eq!(remap(&sim, b, 2 * PAGE), Err(Errno::ENOMEM));
    assert_eq!(protect(&sim, b, Protection::None), Err(Errno::ENOMEM));
    assert!(all(b, 7));
}

#[test]
fn the_limit_is_on_what_is_mapped() {
    let sim = sim();
    sim.limit(Bytes(4 * PAGE));
    let a = sim.map(Bytes(3 * PAGE)).unwrap();
    assert_eq!(sim.map(Bytes(2 * PAGE)), Err(Errno::ENOMEM));
    assert_eq!(sim.mapped_bytes(), 3 * PAGE);
    let now = sim.program_break();
    assert_eq!(move_break(&sim, now, now + 2 * PAGE), Err(Errno::ENOMEM));
    let b = sim.map(Bytes(PAGE)).unwrap();
    assert_eq!(remap(&sim, a, 4 * PAGE), Err(Errno::ENOMEM));
    unmap(&sim, b).unwrap();
    assert_eq!(remap(&sim, a, 4 * PAGE).map(Span::len), Ok(4 * PAGE));
}

#[test]
fn the_arena_is_used_again_only_when_it_is_full() {
    let sim = sim();
    let mut last = sim.map(Bytes(MIB)).unwrap();
    let first = last;
    for _ in 1..16 {
        unmap(&sim, last).unwrap();
        let next = sim.map(Bytes(MIB)).unwrap();
        assert_eq!(next.base(), last.end());
        last = next;
    }
    assert_eq!(last.end(), sim.region().end());
    assert_eq!(sim.map(Bytes(MIB)), Ok(first));
    assert_eq!(sim.map(Bytes(15 * MIB)), Err(Errno::ENOMEM));
    assert_eq!(sim.map(Bytes(usize::MAX)), Err(Errno::ENOMEM));
    assert_eq!(sim.map(Bytes(0)), Err(Errno::EINVAL));
}

#[test]
fn maps_can_be_longer_than_asked() {
    let sim = sim();
    sim.over_allocate(Bytes(5000));
    let a = sim.map(Bytes(PAGE)).unwrap();
    assert_eq!(a.len(), 3 * PAGE);
    bytes(a).fill(1);
    unmap(&sim, a).unwrap();
}

#[test]
fn the_break_grows_zeroed_and_shrinks() {
    let sim = sim();
    let start = sim.program_break();
    assert!(sim.break_region().contains(start));
    assert_ne!(start % PAGE, 0);
    let page = start.next_multiple_of(PAGE);
    move_break(&sim, start, page + 2 * PAGE).unwrap();
    let two = span(page, 2 * PAGE);
    assert!(all(two, 0));
    bytes(two).fill(1);
    discard(&sim, two).unwrap();
    assert!(refused(|| _ = unmap(&sim, two)));
    // A page that the break still cuts stays.
    move_break(&sim, page + 2 * PAGE, page + PAGE + 1).unwrap();
    bytes(two).fill(1);
    move_break(&sim, page + PAGE + 1, page).unwrap();
    assert!(faults(span(page, PAGE)));
    assert_eq!(sim.mapped_bytes(), 0);
    move_break(&sim, page, page + PAGE).unwrap();
    assert!(all(span(page, PAGE), 0));
    assert!(refused(|| _ = move_break(&sim, page + PAGE, start - 1)));
    let end = sim.break_region().end();
    assert_eq!(move_break(&sim, page + PAGE, end + 1), Err(Errno::ENOMEM));
    assert_eq!(sim.program_break(), page + PAGE);
}

#[test]
fn a_foreign_break_is_noticed_and_not_the_heaps() {
    let sim = sim();
    let start = sim.program_break();
    let page = start.next_multiple_of(PAGE);
    move_break(&sim, start, page + PAGE).unwrap();
    assert_eq!(sim.foreign_sbrk(isize::try_from(2 * PAGE).unwrap()), page + PAGE);
    assert_eq!(move_break(&sim, page + PAGE, page + 8 * PAGE), Err(Errno::EBUSY));
    let now = sim.program_break();
    assert_eq!(now, page + 3 * PAGE);
    bytes(span(page + PAGE, 2 * PAGE)).fill(1);
    assert!(refused(|| _ = discard(&sim, span(page + PAGE, PAGE))));
    assert!(refused(|| _ = move_break(&sim, now, page)));
    assert!(refused(
        || _ = sim.foreign_sbrk(-isize::try_from(3 * PAGE).unwrap())
    ));
    sim.foreign_sbrk(-isize::try_from(2 * PAGE).unwrap());
    assert_eq!(move_break(&sim, page + PAGE, page), Ok(()));
    // A mapping in the way stops it, and is not touched.
    sim.map_at(span(page + 4 * PAGE, PAGE)).unwrap();
    assert_eq!(move_break(&sim, page, page + 5 * PAGE), Err(Errno::ENOMEM));
    assert_eq!(move_break(&sim, page, page + 4 * PAGE), Ok(()));
}

#[test]
fn threads_share_it() {
    let sim = Sim::new();
    std::thread::scope(|s| {
        for value in 1..5u8 {
            let sim = &sim;
            s.spawn(move || {
                for round in 1..100 {
                    let a = sim.map(Bytes(round * 100)).unwrap();
                    bytes(a).fill(value);
                    discard(sim, span(a.base(), PAGE)).unwrap();
                    let a = remap(sim, a, a.len() + PAGE).unwrap();
                    assert!(all(span(a.base(), PAGE), 0));
                    unmap(sim, a).unwrap();
                }
            });
        }
    });
    assert_eq!(sim.mapped_bytes(), 0);
}
