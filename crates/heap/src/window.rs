//! [`Window`]: the one range of addresses in which all blocks lie, and the tables that describe it.
//!
//! Owns the mapping of address to record and the growth of the window. Nothing is reserved ahead:
//! the window is a *numeric* range of up to 4 TiB, and memory is mapped at its upper end piece by
//! piece (MAP_FIXED_NOREPLACE), or gained from brk(2), whose end is then the window's. Where somebody
//! else's mapping or break is in the way, the window steps over it and those chunks stay `Absent`.
//! The tables lie apart, each at a fixed offset from `meta`, mapped just as far as the window reaches.
//! So mlockall, RLIMIT_AS and overcommit see only what is used, and one comparison with `limit` tells
//! a pointer of the heap from any other.
//!
//! Growth happens under the heap's `pages` lock; lookups need none: what lies below `limit` has
//! records, for ever.

#![allow(unsafe_code)]

use crate::chunk::{Chunk, Group, Kind};
use crate::layout::{CHUNK, CHUNK_SHIFT, CHUNKS_MAX, GRANULE_SHIFT, GRANULES_PER_CHUNK};
use crate::slab::Slab;
use crate::sync::{Acquire, AtomicU32, AtomicUsize, Relaxed, Release};
use crate::tally::Tally;
use neap_abi::anatomy::{self, Field};
use neap_abi::{Backend, Call};
use neap_os::errno::Errno;
use neap_os::unit::Span;
use neap_os::vm::Vm;

/// A table of records: where it starts relative to `meta`, and the bytes one chunk of the window needs.
#[derive(Clone, Copy)]
struct Table {
    offset: usize,
    per_chunk_shift: u32,
    /// Bytes mapped at a time.
    step: usize,
    index: usize,
}

const SLABS: Table = Table {
    offset: 0,
    per_chunk_shift: 12,
    step: 64 << 10,
    index: 0,
};
const CHUNKS: Table = Table {
    offset: 8 << 30,
    per_chunk_shift: 11,
    step: 64 << 10,
    index: 1,
};
const GROUPS: Table = Table {
    offset: 12 << 30,
    per_chunk_shift: 1,
    step: 4 << 10,
    index: 2,
};
/// Checking mode: 16 bytes for each possible block (see `crate::check`).
const CHECKS: Table = Table {
    offset: 16 << 30,
    per_chunk_shift: 16,
    step: 64 << 10,
    index: 3,
};
const TABLES: usize = 4;
/// Records of threads and other odds and ends, handed out in order and never returned.
const SCRAP_OFFSET: usize = 13 << 30;
const SCRAP_STEP: usize = 16 << 10;
const SCRAP_MAX: usize = 1 << 30;
/// From the tables to the window when both come from mmap.
const META_BYTES: usize = 256 << 30;

/// The tables lie where readers outside look for them.
const _: () = {
    let (ours, theirs) = ([SLABS, CHUNKS, GROUPS, CHECKS], anatomy::TABLES);
    let mut n = 0;
    while n < TABLES {
        assert!(ours[n].offset as u64 == theirs[n].offset && ours[n].index == n);
        assert!(1 << ours[n].per_chunk_shift == theirs[n].per_chunk);
        n += 1;
    }
    assert!(theirs.len() == TABLES && SCRAP_OFFSET as u64 == anatomy::SCRAP_OFFSET);
};

const _: () = assert!(size_of::<Slab>() * GRANULES_PER_CHUNK == 1 << SLABS.per_chunk_shift);
const _: () = assert!(size_of::<Chunk>() == 1 << CHUNKS.per_chunk_shift);
const _: () = assert!(size_of::<Group>() == 64 << GROUPS.per_chunk_shift);
const _: () = assert!(SLABS.offset + (CHUNKS_MAX << SLABS.per_chunk_shift) <= CHUNKS.offset);
const _: () = assert!(CHUNKS.offset + (CHUNKS_MAX << CHUNKS.per_chunk_shift) <= GROUPS.offset);
const _: () = assert!(GROUPS.offset + (CHUNKS_MAX << GROUPS.per_chunk_shift) <= SCRAP_OFFSET);
const _: () = assert!(SCRAP_OFFSET + SCRAP_MAX <= CHECKS.offset);
const _: () = assert!(CHECKS.offset + (CHUNKS_MAX << CHECKS.per_chunk_shift) <= META_BYTES);

/// How far to step when a place is taken, and how often to try.
const SKIP_CHUNKS: usize = 512;
const SKIPS: usize = 64;

/// The window. All zero: not yet opened.
pub(crate) struct Window {
    /// Address of chunk 0.
    base: AtomicUsize,
    /// Bytes from `base` that have records. 0 until opened.
    limit: AtomicUsize,
    meta: AtomicUsize,
    /// Mapped bytes of each table, and of the scrap.
    mapped: [AtomicUsize; TABLES],
    scrap_mapped: AtomicUsize,
    scrap_used: AtomicUsize,
    /// Chunks below this are handed out or absent.
    top: AtomicU32,
    /// Where the break was left; 0 when the backend is mmap.
    break_end: AtomicUsize,
    backend: AtomicU32,
    checked: AtomicU32,
}

impl Window {
    /// Where `base`, `limit` and `meta` are, for `crate::fast`.
    pub(crate) const OFFSETS: [usize; 3] = [
        core::mem::offset_of!(Window, base),
        core::mem::offset_of!(Window, limit),
        core::mem::offset_of!(Window, meta),
    ];

    /// Where things are, for readers outside.
    pub(crate) const FIELDS: [(Field, usize); 9] = [
        (Field::WindowBase, core::mem::offset_of!(Window, base)),
        (Field::WindowLimit, core::mem::offset_of!(Window, limit)),
        (Field::WindowMeta, core::mem::offset_of!(Window, meta)),
        (Field::WindowMapped, core::mem::offset_of!(Window, mapped)),
        (Field::ScrapMapped, core::mem::offset_of!(Window, scrap_mapped)),
        (Field::WindowTop, core::mem::offset_of!(Window, top)),
        (Field::BreakEnd, core::mem::offset_of!(Window, break_end)),
        (Field::Backend, core::mem::offset_of!(Window, backend)),
        (Field::Checked, core::mem::offset_of!(Window, checked)),
    ];

    pub(crate) const fn new() -> Window {
        Window {
            base: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            meta: AtomicUsize::new(0),
            mapped: [const { AtomicUsize::new(0) }; TABLES],
            scrap_mapped: AtomicUsize::new(0),
            scrap_used: AtomicUsize::new(0),
            top: AtomicU32::new(0),
            break_end: AtomicUsize::new(0),
            backend: AtomicU32::new(0),
            checked: AtomicU32::new(0),
        }
    }

    /// The offset of `address` in the window, if it has records.
    #[inline(always)]
    pub(crate) fn offset(&self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.base.load(Relaxed));
        if offset < self.limit.load(Relaxed) {
            Some(offset)
        } else {
            None
        }
    }

    /// The record of the granule at `offset`, which must be below the limit.
    #[inline(always)]
    pub(crate) fn slab_at(&self, offset: usize) -> &Slab {
        debug_assert!(offset < self.limit.load(Relaxed));
        let record = self.meta.load(Relaxed) + (offset >> GRANULE_SHIFT) * size_of::<Slab>();
        // SAFETY: `cover` mapped the records of every offset below `limit`, zeroed, aligned because
        // `meta` is page-aligned, before it raised `limit`; they are never unmapped and hold only
        // atomics. The table starts at `meta` itself (SLABS.offset is 0).
        unsafe { &*core::ptr::with_exposed_provenance::<Slab>(record) }
    }

    /// The record of granule number `granule`.
    #[inline]
    pub(crate) fn slab(&self, granule: u32) -> &Slab {
        self.slab_at((granule as usize) << GRANULE_SHIFT)
    }

    /// The number of a granule from its offset.
    #[inline]
    pub(crate) const fn granule_of(offset: usize) -> u32 {
        (offset >> GRANULE_SHIFT) as u32
    }

    /// First address of granule `granule`.
    #[inline]
    pub(crate) fn granule_base(&self, granule: u32) -> usize {
        self.base.load(Relaxed) + ((granule as usize) << GRANULE_SHIFT)
    }

    /// The record of chunk `chunk`, which must be below the limit.
    #[inline]
    pub(crate) fn chunk(&self, chunk: u32) -> &Chunk {
        debug_assert!((chunk as usize) << CHUNK_SHIFT < self.limit.load(Relaxed));
        let record = self.meta.load(Relaxed) + CHUNKS.offset + ((chunk as usize) << CHUNKS.per_chunk_shift);
        // SAFETY: as in `slab_at`, for the table of chunks.
        unsafe { &*core::ptr::with_exposed_provenance::<Chunk>(record) }
    }

    /// The summary of the 64 chunks of group `group`.
    #[inline]
    pub(crate) fn group(&self, group: u32) -> &Group {
        debug_assert!((group as usize) << (CHUNK_SHIFT + 6) < self.limit.load(Relaxed));
        let record = self.meta.load(Relaxed) + GROUPS.offset + group as usize * size_of::<Group>();
        // SAFETY: as in `slab_at`, for the table of groups.
        unsafe { &*core::ptr::with_exposed_provenance::<Group>(record) }
    }

    /// The checking mode's record of granule `granule`, as an address; `None` outside that mode.
    pub(crate) fn check_record(&self, granule: u32) -> Option<usize> {
        if self.checked.load(Relaxed) == 0 {
            return None;
        }
        let per_granule = (1 << CHECKS.per_chunk_shift) / GRANULES_PER_CHUNK;
        Some(self.meta.load(Relaxed) + CHECKS.offset + granule as usize * per_granule)
    }

    /// First address of chunk `chunk`.
    #[inline]
    pub(crate) fn chunk_base(&self, chunk: u32) -> usize {
        self.base.load(Relaxed) + ((chunk as usize) << CHUNK_SHIFT)
    }

    /// Chunks that have records: every chunk number below this may be looked up.
    pub(crate) fn chunk_count(&self) -> u32 {
        (self.limit.load(Acquire) >> CHUNK_SHIFT) as u32
    }

    /// Groups that have records.
    pub(crate) fn group_count(&self) -> u32 {
        self.chunk_count().div_ceil(64)
    }

    /// Whether the window has been opened.
    pub(crate) fn is_open(&self) -> bool {
        self.base.load(Acquire) != 0
    }

    /// Where the memory comes from.
    pub(crate) fn backend(&self) -> Backend {
        if self.backend.load(Relaxed) == 1 {
            Backend::Brk
        } else {
            Backend::Mmap
        }
    }

    /// Chooses the places of the window and its tables. `hints` are addresses to try for the tables.
    ///
    /// # Errors
    /// That of the last attempt.
    pub(crate) fn open<V: Vm>(
        &self,
        vm: &V,
        tally: &Tally,
        backend: Backend,
        checked: bool,
        hints: &[usize],
    ) -> Result<(), Errno> {
        let mut last = Errno::ENOMEM;
        for &meta in hints {
            let Some(first) = Span::new(meta + SCRAP_OFFSET, SCRAP_STEP) else {
                continue;
            };
            match vm.map_at(first) {
                Ok(()) => {
                    tally.call(Call::Mmap, SCRAP_STEP);
                    tally.meta(SCRAP_STEP);
                    self.meta.store(meta, Relaxed);
                    self.scrap_mapped.store(SCRAP_STEP, Relaxed);
                    self.checked.store(u32::from(checked), Relaxed);
                    let mut base = meta + META_BYTES;
                    let now = if backend == Backend::Brk {
                        vm.program_break()
                    } else {
                        0
                    };
                    if now != 0 {
                        self.break_end.store(now, Relaxed);
                        self.backend.store(1, Relaxed);
                        base = now.next_multiple_of(CHUNK);
                    }
                    self.base.store(base, Release);
                    return Ok(());
                }
                Err(errno) => {
                    tally.failed(Call::Mmap);
                    last = errno;
                }
            }
        }
        Err(last)
    }

    /// Bytes of record memory, zeroed, aligned to 64, never returned. Under the `pages` lock.
    pub(crate) fn scrap<V: Vm>(&self, vm: &V, tally: &Tally, bytes: usize) -> Option<usize> {
        let start = self.scrap_used.load(Relaxed);
        let end = start + bytes.next_multiple_of(64);
        let mapped = self.scrap_mapped.load(Relaxed);
        if end > mapped {
            let more = (end - mapped).next_multiple_of(SCRAP_STEP);
            if mapped + more > SCRAP_MAX {
                return None;
            }
            self.map_meta(vm, tally, SCRAP_OFFSET + mapped, more)?;
            self.scrap_mapped.store(mapped + more, Relaxed);
        }
        self.scrap_used.store(end, Relaxed);
        Some(self.meta.load(Relaxed) + SCRAP_OFFSET + start)
    }

    /// Maps a part of a table; `None` too while the window is not open and has no place for tables.
    fn map_meta<V: Vm>(&self, vm: &V, tally: &Tally, offset: usize, bytes: usize) -> Option<()> {
        if !self.is_open() {
            return None;
        }
        let span = Span::new(self.meta.load(Relaxed) + offset, bytes)?;
        match vm.map_at(span) {
            Ok(()) => {
                tally.call(Call::Mmap, bytes);
                tally.meta(bytes);
                Some(())
            }
            Err(_) => {
                tally.failed(Call::Mmap);
                None
            }
        }
    }

    /// Maps the records of the first `chunks` chunks and raises the limit.
    fn cover<V: Vm>(&self, vm: &V, tally: &Tally, chunks: usize) -> Option<()> {
        if chunks > CHUNKS_MAX {
            return None;
        }
        let tables = [SLABS, CHUNKS, GROUPS, CHECKS];
        let wanted = if self.checked.load(Relaxed) == 0 {
            TABLES - 1
        } else {
            TABLES
        };
        for table in tables.iter().take(wanted) {
            let cell = self.mapped.get(table.index)?;
            let have = cell.load(Relaxed);
            // Steps are multiples of every record, so that the last one mapped is whole.
            let need = (chunks << table.per_chunk_shift).next_multiple_of(table.step);
            if need > have {
                self.map_meta(vm, tally, table.offset + have, need - have)?;
                cell.store(need, Relaxed);
            }
        }
        self.limit.fetch_max(chunks << CHUNK_SHIFT, Release);
        Some(())
    }

    /// Maps `count` more chunks in a row at the top of the window and returns the first. They are of kind `Free` and their summary bits are not set. Under the
    /// `pages` lock.
    pub(crate) fn grow<V: Vm>(&self, vm: &V, tally: &Tally, count: usize) -> Option<u32> {
        if self.break_end.load(Relaxed) != 0
            && let Some(first) = self.grow_break(vm, tally, count)
        {
            return Some(first);
        }
        let mut first = self.top.load(Relaxed) as usize;
        for _ in 0..SKIPS {
            if first + count > CHUNKS_MAX {
                return None;
            }
            let span = Span::new(
                self.base.load(Relaxed) + (first << CHUNK_SHIFT),
                count << CHUNK_SHIFT,
            )?;
            self.cover(vm, tally, first + count)?;
            match vm.map_at(span) {
                Ok(()) => {
                    tally.call(Call::Mmap, span.len());
                    return Some(self.gained(tally, first, count));
                }
                Err(errno) => {
                    tally.failed(Call::Mmap);
                    if errno != Errno::EEXIST {
                        return None;
                    }
                    first += SKIP_CHUNKS;
                }
            }
        }
        None
    }

    fn grow_break<V: Vm>(&self, vm: &V, tally: &Tally, count: usize) -> Option<u32> {
        let base = self.base.load(Relaxed);
        // Somebody else may have moved the break: whatever lies between is theirs.
        let now = vm.program_break();
        if now < self.break_end.load(Relaxed)
            || now
                .checked_sub(base)
                .is_some_and(|n| n >> CHUNK_SHIFT >= CHUNKS_MAX)
        {
            return None;
        }
        let first = now.saturating_sub(base).div_ceil(CHUNK);
        let first = first.max(self.top.load(Relaxed) as usize);
        let end = base.checked_add((first + count) << CHUNK_SHIFT)?;
        self.cover(vm, tally, first + count)?;
        // SAFETY: the break only goes up (1).
        match unsafe { vm.move_break(now, end) } {
            Ok(()) => {
                tally.call(Call::Brk, end - now);
                self.break_end.store(end, Relaxed);
                Some(self.gained(tally, first, count))
            }
            Err(_) => {
                tally.failed(Call::Brk);
                None
            }
        }
    }

    fn gained(&self, tally: &Tally, first: usize, count: usize) -> u32 {
        for chunk in first..first + count {
            let record = self.chunk(chunk as u32);
            debug_assert!(record.kind() == Kind::Absent);
            record.free.set(crate::bits::Run::ALL);
            record.set_kind(Kind::Free);
        }
        self.top.store((first + count) as u32, Relaxed);
        tally.held(count << CHUNK_SHIFT);
        first as u32
    }

    /// The number of the chunk after the last one ever mapped and not taken off again.
    pub(crate) fn top(&self) -> u32 {
        self.top.load(Relaxed)
    }

    /// Lowers the top below chunks that are not the heap's: passed over for an alignment, or because
    /// somebody else was in the way. (Those of a break stay: it covers them.) Under the `pages` lock.
    pub(crate) fn skip_absent(&self) {
        while let Some(below) = self.top().checked_sub(1)
            && self.backend() == Backend::Mmap
            && self.chunk(below).kind() == Kind::Absent
        {
            self.top.store(below, Relaxed);
        }
    }

    /// Whether the break was left at the start of `chunk`: what lies above came from mmap.
    pub(crate) fn is_break_end(&self, chunk: u32) -> bool {
        self.break_end.load(Relaxed) == self.chunk_base(chunk)
    }

    /// Gives the chunks from `first` to the top back to the kernel, address space and all. They
    /// become `Absent`. Says whether it worked. Under the `pages` lock.
    ///
    /// # Safety
    /// 1. Every chunk from `first` to the top is `Free` and nothing uses it, nor any summary bit.
    /// 2. They all came from the break or all from mmap.
    pub(crate) unsafe fn lower<V: Vm>(&self, vm: &V, tally: &Tally, first: u32) -> bool {
        let base = self.chunk_base(first);
        let bytes = (self.top() - first) as usize * CHUNK;
        let top = base + bytes;
        let at_break = self.break_end.load(Relaxed) == top;
        let result = if at_break {
            // SAFETY: the chunks came from the break (it ends at the top) and are unused (1).
            unsafe { vm.move_break(top, base) }
        } else if let Some(span) = Span::new(base, bytes) {
            // SAFETY: the chunks are this window's, mapped, not the break's (2), and unused (1).
            unsafe { vm.unmap(span) }
        } else {
            return false;
        };
        let call = if at_break { Call::Brk } else { Call::Munmap };
        if result.is_err() {
            tally.failed(call);
            return false;
        }
        tally.call(call, bytes);
        if at_break {
            self.break_end.store(base, Relaxed);
        }
        for chunk in first..self.top() {
            let record = self.chunk(chunk);
            record.set_kind(Kind::Absent);
            for bits in [
                &record.free,
                &record.heads,
                &record.resident,
                &record.new,
                &record.old,
            ] {
                bits.clear(crate::bits::Run::ALL);
            }
        }
        self.top.store(first, Relaxed);
        tally.unheld(bytes);
        true
    }
}
