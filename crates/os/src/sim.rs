//! [`Sim`]: a [`Vm`] for tests, which checks its callers and fails when told to.
//!
//! Owns one large range of real addresses and hands out pieces of it, so that what the heap does with
//! the memory is real: unmapped memory faults, discarded memory reads as zero. Every precondition of
//! the trait that can be checked is asserted, the unsafe methods' included. Never fails of itself
//! before its range is used up: failures come from [`Sim::fail_at`], [`Sim::fail_every`] and
//! [`Sim::limit`]. The range, in this order:
//!
//! | part | share | |
//! |---|---|---|
//! | fixed | half | free for [`Vm::map_at`]; [`Sim::arena_hint`] is its start |
//! | break | a quarter | the simulated program break; above it, free for `map_at` |
//! | arena | a quarter | what [`Vm::map`] and [`Vm::reserve`] choose, upwards, each address once until it is full |
//!
//! Addresses outside the range count as taken. Shared by threads: each method holds one lock.
#![allow(unsafe_code)]

use crate::env::page_size;
use crate::errno::Errno;
use crate::futex;
use crate::linux::{self, Linux, MAP_FIXED, PROT_NONE};
use crate::unit::{Bytes, Span};
use crate::vm::{Protection, Vm};
use core::ptr::with_exposed_provenance_mut;
use core::slice;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
use core::time::Duration;

// What a page's byte in the table says. 0: not mapped.
const ACCESS: u8 = 0b0_0011;
const NONE: u8 = 0b0_0001;
const READ: u8 = 0b0_0010;
const READ_WRITE: u8 = 0b0_0011;
/// The first page of a mapping.
const FIRST: u8 = 0b0_0100;
/// Part of the break.
const BREAK: u8 = 0b0_1000;
/// Part of the break that [`Sim::foreign_sbrk`] gained.
const FOREIGN: u8 = 0b1_0000;

/// The range's alignment in bytes.
const ALIGN: usize = 1 << 30;

/// Where the break starts in its part: not on a page, as after a foreign sbrk of odd length.
const BREAK_OFFSET: usize = 0x6b0;

/// Memory of a simulated kernel. Dropping it unmaps everything it handed out.
pub struct Sim {
    /// The range and behind it the table, with a byte for each page of the range.
    whole: Span,
    range: Span,
    lock: AtomicU32,
    // All below are read and written under the lock, except by the settings and counters.
    /// Where the arena's next mapping goes.
    cursor: AtomicUsize,
    break_now: AtomicUsize,
    break_start: usize,
    mapped: AtomicUsize,
    discarded: AtomicUsize,
    surplus: AtomicUsize,
    limit: AtomicUsize,
    calls: AtomicU64,
    fail_at: AtomicU64,
    fail_every: AtomicU64,
}

/// The lock, held.
struct Held<'a>(&'a Sim);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.lock.store(0, Release);
        futex::wake(&self.0.lock, 1);
    }
}

impl Default for Sim {
    fn default() -> Sim {
        Sim::new()
    }
}

impl Sim {
    /// The bytes of the range of [`Sim::new`]. Address space only, as long as nobody maps it.
    pub const RANGE: Bytes = Bytes(1 << 40);

    /// A kernel with a range of [`Sim::RANGE`].
    ///
    /// # Panics
    /// When the real kernel has not that much address space (`ulimit -v`).
    #[must_use]
    pub fn new() -> Sim {
        Sim::with_range(Sim::RANGE)
    }

    /// A kernel with a range of `len` bytes, rounded up to 16 pages and aligned to 1 GiB.
    ///
    /// # Panics
    /// As [`Sim::new`].
    #[must_use]
    pub fn with_range(len: Bytes) -> Sim {
        let page = page_size();
        let len = len
            .round_up(16 * page)
            .expect("a range that fits the address space")
            .0;
        let table = Bytes(len / page)
            .round_up(page)
            .expect("smaller than the range")
            .0;
        let whole = Linux
            .reserve(Bytes(ALIGN + len + table))
            .expect("address space for a Sim");
        let base = whole.base().next_multiple_of(ALIGN);
        let range = Span::new(base, len).expect("within the reservation");
        let behind = Span::new(range.end(), table).expect("within the reservation");
        // SAFETY: (1) part of what was just reserved; (2) access is only added.
        unsafe { Linux.protect(behind, Protection::ReadWrite) }.expect("memory for a Sim's table");
        let break_start = base + len / 2 + BREAK_OFFSET;
        let sim = Sim {
            whole,
            range,
            lock: AtomicU32::new(0),
            cursor: AtomicUsize::new(base + len / 4 * 3),
            break_now: AtomicUsize::new(break_start),
            break_start,
            mapped: AtomicUsize::new(0),
            discarded: AtomicUsize::new(0),
            surplus: AtomicUsize::new(0),
            limit: AtomicUsize::new(usize::MAX),
            calls: AtomicU64::new(0),
            fail_at: AtomicU64::new(0),
            fail_every: AtomicU64::new(0),
        };
        // The page that the break cuts is there from the start, and somebody else's.
        let cut = Span::new(break_start - BREAK_OFFSET, page).expect("within the range");
        sim.open(cut, BREAK | FOREIGN | READ_WRITE).expect("one page");
        sim
    }

    /// Every address that the simulated kernel has.
    #[must_use]
    pub fn region(&self) -> Span {
        self.range
    }

    /// Where a test may place things with [`Vm::map_at`]: the start of half the range, all free,
    /// aligned to 1 GiB.
    #[must_use]
    pub fn arena_hint(&self) -> usize {
        self.range.base()
    }

    /// The part of the range in which the program break moves.
    #[must_use]
    pub fn break_region(&self) -> Span {
        self.part(2, 1)
    }

    /// `count` quarters of the range from quarter `first`.
    fn part(&self, first: usize, count: usize) -> Span {
        let quarter = self.range.len() / 4;
        Span::new(self.range.base() + first * quarter, count * quarter).expect("within the range")
    }

    /// Has the `n`-th fallible call from now fail, once: 1 is the next. 0 takes it back.
    ///
    /// A failed `discard` says `EAGAIN`, a failed `hint` `EINVAL`, everything else `ENOMEM`.
    pub fn fail_at(&self, n: u64) {
        self.fail_at.store(n, Relaxed);
    }

    /// Has every `n`-th fallible call fail, counted as [`Sim::calls`] counts. 0 takes it back.
    pub fn fail_every(&self, n: u64) {
        self.fail_every.store(n, Relaxed);
    }

    /// Has every call fail that would bring [`Sim::mapped_bytes`] above `bytes`. `usize::MAX` takes it
    /// back.
    pub fn limit(&self, bytes: Bytes) {
        self.limit.store(bytes.0, Relaxed);
    }

    /// Has [`Vm::map`] and [`Vm::reserve`] give `extra` bytes (rounded up to the page) more than asked.
    pub fn over_allocate(&self, extra: Bytes) {
        self.surplus.store(extra.0, Relaxed);
    }

    /// The fallible calls so far, failed ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// The bytes mapped now: the break and reserved memory included, foreign break pages not.
    #[must_use]
    pub fn mapped_bytes(&self) -> usize {
        self.mapped.load(Relaxed)
    }

    /// The bytes discarded so far, each as often as it was discarded.
    #[must_use]
    pub fn discarded_bytes(&self) -> usize {
        self.discarded.load(Relaxed)
    }

    /// Moves the break behind the heap's back, by `increment` bytes, and says where it was.
    ///
    /// # Panics
    /// When it would give up memory that the heap gained, or leave the break's part.
    pub fn foreign_sbrk(&self, increment: isize) -> usize {
        let held = self.hold();
        let old = self.break_now.load(Relaxed);
        let new = old.checked_add_signed(increment).expect("no wrap");
        assert!(new >= self.break_start, "foreign sbrk below the break's start");
        if let Some(given_up) = self.whole_pages(new, old) {
            assert!(
                self.all(given_up, |state| state & FOREIGN != 0),
                "foreign sbrk takes the heap's memory"
            );
        }
        self.set_break(new, FOREIGN)
            .expect("foreign sbrk within the break's part");
        drop(held);
        old
    }

    fn hold(&self) -> Held<'_> {
        while self.lock.swap(1, Acquire) != 0 {
            let _ = futex::wait(&self.lock, 1, Some(Duration::from_millis(1)));
        }
        Held(self)
    }

    /// Counts a fallible call and says whether it may succeed.
    fn attempt(&self, refusal: Errno) -> Result<(), Errno> {
        let call = self.calls.load(Relaxed) + 1;
        self.calls.store(call, Relaxed);
        let left = self.fail_at.load(Relaxed);
        self.fail_at.store(left.saturating_sub(1), Relaxed);
        let every = self.fail_every.load(Relaxed);
        if left == 1 || (every != 0 && call.is_multiple_of(every)) {
            return Err(refusal);
        }
        Ok(())
    }

    fn table(&self, span: Span) -> &[AtomicU8] {
        assert!(self.range.encloses(span), "{span:x?} is not this Sim's");
        let first = self.range.end() + (span.base() - self.range.base()) / page_size();
        // SAFETY: the bytes lie in the table, which was mapped zeroed at construction, is as long as
        // the range has pages, and lives as long as `self`. All access is atomic.
        unsafe { slice::from_raw_parts(with_exposed_provenance_mut(first), span.len() / page_size()) }
    }

    fn all(&self, span: Span, check: impl Fn(u8) -> bool) -> bool {
        self.table(span).iter().all(|state| check(state.load(Relaxed)))
    }

    fn state(&self, address: usize) -> u8 {
        match Span::new(address, page_size()) {
            Some(page) if self.range.encloses(page) => self.table(page)[0].load(Relaxed),
            _ => 0,
        }
    }

    /// Asserts what every method requires of a span.
    fn check(&self, span: Span) {
        assert!(!span.is_empty(), "an empty span");
        assert!(span.is_aligned(page_size()), "{span:x?} is not page-aligned");
        assert!(self.all(span, |state| state != 0), "{span:x?} is not all mapped");
        assert!(
            self.all(span, |state| state & FOREIGN == 0),
            "{span:x?} is partly foreign"
        );
    }

    /// Makes free pages mapped, zeroed, in state `state`.
    fn open(&self, span: Span, state: u8) -> Result<(), Errno> {
        let own = if state & FOREIGN == 0 { span.len() } else { 0 };
        let mapped = self.mapped.load(Relaxed) + own;
        if mapped > self.limit.load(Relaxed) && own != 0 {
            return Err(Errno::ENOMEM);
        }
        if state & ACCESS == READ_WRITE {
            // SAFETY: (1) the pages are the range's; (2) access is only added.
            unsafe { Linux.protect(span, Protection::ReadWrite)? };
        }
        for (index, page) in self.table(span).iter().enumerate() {
            let first = if index == 0 && state & BREAK == 0 {
                FIRST
            } else {
                0
            };
            assert_eq!(page.swap(state | first, Relaxed), 0);
        }
        self.mapped.store(mapped, Relaxed);
        Ok(())
    }

    /// Makes mapped pages free: without access, and zero when they are mapped again.
    fn shut(&self, span: Span) {
        let mut own = 0;
        for page in self.table(span) {
            let state = page.swap(0, Relaxed);
            assert_ne!(state, 0);
            own += if state & FOREIGN == 0 { page_size() } else { 0 };
        }
        // What remains behind the hole is a mapping of its own.
        if let state @ 1.. = self.state(span.end())
            && state & BREAK == 0
        {
            self.mark(span.end(), state | FIRST);
        }
        self.mapped.fetch_sub(own, Relaxed);
        // SAFETY: (1) the pages are the range's, and the caller of the trait's method has given them up.
        unsafe { linux::anonymous(span.base(), span.len(), PROT_NONE, MAP_FIXED) }.expect("room for a hole");
    }

    fn mark(&self, address: usize, state: u8) {
        let page = Span::new(address, page_size()).expect("a page of the range");
        self.table(page)[0].store(state, Relaxed);
    }

    /// A free place of `len` bytes in the arena: behind the last one or, when that is full, the lowest.
    fn place(&self, len: usize) -> Result<Span, Errno> {
        let arena = self.part(3, 1);
        // A search would look at every page of the arena.
        if len > arena.len() {
            return Err(Errno::ENOMEM);
        }
        let next = Span::new(self.cursor.load(Relaxed), len).ok_or(Errno::ENOMEM)?;
        if arena.encloses(next) && self.all(next, |state| state == 0) {
            self.cursor.store(next.end(), Relaxed);
            return Ok(next);
        }
        let mut free = 0;
        for (index, page) in self.table(arena).iter().enumerate() {
            free = if page.load(Relaxed) == 0 {
                free + page_size()
            } else {
                0
            };
            if free >= len {
                let end = arena.base() + (index + 1) * page_size();
                return Span::new(end - len, len).ok_or(Errno::ENOMEM);
            }
        }
        Err(Errno::ENOMEM)
    }

    /// The whole pages of `[start, end)`, if there are any.
    fn whole_pages(&self, start: usize, end: usize) -> Option<Span> {
        let pages = Span::new(start, end.checked_sub(start)?)?.shrink_to(page_size());
        (!pages.is_empty()).then_some(pages)
    }

    /// Moves the break to `new`; pages gained are marked `owner`.
    fn set_break(&self, new: usize, owner: u8) -> Result<(), Errno> {
        let page = page_size();
        if !self
            .break_region()
            .encloses(Span::new(self.break_start, new - self.break_start).ok_or(Errno::ENOMEM)?)
        {
            return Err(Errno::ENOMEM);
        }
        let old_end = self.break_now.load(Relaxed).next_multiple_of(page);
        let new_end = new.next_multiple_of(page);
        if let Some(gained) = self.whole_pages(old_end, new_end) {
            if !self.all(gained, |state| state == 0) {
                return Err(Errno::ENOMEM);
            }
            self.open(gained, BREAK | owner | READ_WRITE)?;
        }
        if let Some(lost) = self.whole_pages(new_end, old_end) {
            self.shut(lost);
        }
        self.break_now.store(new, Relaxed);
        Ok(())
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // SAFETY: (1) reserved whole at construction; pieces were only ever replaced in place. (2) The
        // last owner is gone, and its spans with it.
        let _ = unsafe { Linux.unmap(self.whole) };
    }
}

mod calls;

#[cfg(test)]
mod tests;
