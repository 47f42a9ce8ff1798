//! [`Pages`]: the ground with its lock held: who has which chunk of the window, and runs of pages.
//!
//! Owns every change of a chunk's kind, and the page maps of chunks of runs (`crate::extent` has those
//! of extents). Never gives memory back itself: it only marks dirt, which `crate::tide` collects.

use crate::bits::Run;
use crate::chunk::{Chunk, Kind, LEVELS, group_bit};
use crate::ground::{Ground, NotAPiece, Piece};
use crate::layout::{CHUNK, CHUNK_SHIFT, GRANULES_PER_CHUNK, PAGE, PAGES_PER_CHUNK, PAGES_PER_GRANULE};
use crate::sync::{AcqRel, Held, Relaxed, Token};
use crate::tally::Tally;
use crate::window::Window;
use neap_os::vm::Vm;

/// The ground with its lock held.
pub(crate) struct Pages<'a, V: Vm> {
    pub(crate) ground: &'a Ground,
    pub(crate) vm: &'a V,
    pub(crate) tally: &'a Tally,
    _held: Held<'a>,
}

impl Ground {
    /// Takes the lock.
    pub(crate) fn enter<'a, V: Vm>(&'a self, vm: &'a V, tally: &'a Tally, token: Token) -> Pages<'a, V> {
        Pages {
            ground: self,
            vm,
            tally,
            _held: self.lock.lock(token),
        }
    }
}

impl<V: Vm> Pages<'_, V> {
    pub(crate) fn window(&self) -> &Window {
        &self.ground.window
    }

    /// Bytes of record memory for ever.
    pub(crate) fn scrap(&self, bytes: usize) -> Option<usize> {
        self.window().scrap(self.vm, self.tally, bytes)
    }

    /// Chunks in a row, mapped and marked not free; their kind is still `Free`.
    pub(crate) fn take_chunks(&self, count: usize) -> Option<u32> {
        if let Some(first) = self.find_chunks(count).or_else(|| {
            self.reclaim_chunks();
            self.find_chunks(count)
        }) {
            for chunk in first..first + count as u32 {
                self.mark_free(chunk, false);
            }
            return Some(first);
        }
        let pad = self.ground.top_pad.load(Relaxed).div_ceil(CHUNK);
        // Growing by an eighth keeps the number of calls logarithmic in the size of the heap.
        let eighth = (self.window().top() as usize / 8).min(32);
        let extra = pad.max(eighth);
        let first = match self.window().grow(self.vm, self.tally, count + extra) {
            Some(first) => {
                for chunk in first + count as u32..first + (count + extra) as u32 {
                    self.mark_free(chunk, true);
                }
                first
            }
            // Near a limit only what is needed may be had.
            None => self.window().grow(self.vm, self.tally, count)?,
        };
        Some(first)
    }

    pub(crate) fn mark_free(&self, chunk: u32, free: bool) {
        let word = &self.window().group(chunk / 64).free;
        let old = word.load(Relaxed);
        let bit = group_bit(chunk);
        word.store(if free { old | bit } else { old & !bit }, Relaxed);
    }

    fn find_chunks(&self, count: usize) -> Option<u32> {
        let window = self.window();
        let end = window.chunk_count();
        let (mut run, mut chunk) = (0usize, 0u32);
        while chunk < end {
            let free = window.group(chunk / 64).free.load(Relaxed) >> (chunk % 64);
            if free == 0 {
                run = 0;
                chunk = (chunk / 64 + 1) * 64;
                continue;
            }
            if free & 1 == 0 {
                run = 0;
                chunk += free.trailing_zeros();
                continue;
            }
            run += 1;
            chunk += 1;
            if run == count {
                return Some(chunk - count as u32);
            }
        }
        None
    }

    /// Makes every wholly unused chunk of slabs or runs a free chunk. Returns whether any was found.
    pub(crate) fn reclaim_chunks(&self) -> bool {
        let mut any = false;
        for chunk in 0..self.window().chunk_count() {
            any |= self.reclaim_chunk(chunk);
        }
        any
    }

    /// Makes one chunk of slabs or runs a free chunk if nothing in it is in use.
    pub(crate) fn reclaim_chunk(&self, chunk: u32) -> bool {
        let record = self.window().chunk(chunk);
        match record.kind() {
            Kind::Slabs => {
                if !record.granules.take_all() {
                    return false;
                }
                let group = self.window().group(chunk / 64);
                group.granules.fetch_and(!group_bit(chunk), AcqRel);
                self.granules_to_pages(record);
            }
            Kind::Runs if record.free.is_full() => {
                self.window().group(chunk / 64).set_largest(chunk, 0);
                record.heads.clear(Run::ALL);
            }
            _ => return false,
        }
        record.set_kind(Kind::Free);
        self.mark_free(chunk, true);
        true
    }

    /// Carries the dirt of an unused slab chunk over to the page maps.
    fn granules_to_pages(&self, record: &Chunk) {
        let new = record.granules.new.swap(0, Relaxed);
        let old = record.granules.old.swap(0, Relaxed);
        let touched = record.granules.touched.swap(0, Relaxed);
        for granule in 0..GRANULES_PER_CHUNK {
            let run = Run {
                first: granule * PAGES_PER_GRANULE,
                count: PAGES_PER_GRANULE,
            };
            if touched >> granule & 1 == 1 {
                record.resident.set(run);
            }
            if new >> granule & 1 == 1 {
                record.new.set(run);
                if old >> granule & 1 == 1 {
                    self.ground.clean(PAGES_PER_GRANULE);
                }
            } else if old >> granule & 1 == 1 {
                record.old.set(run);
            }
        }
    }

    /// Turns a free chunk into granules for slabs.
    pub(crate) fn add_slab_chunk(&self) -> Option<()> {
        let chunk = self.take_chunks(1)?;
        let record = self.window().chunk(chunk);
        let (mut new, mut old, mut touched) = (0u32, 0u32, 0u32);
        for granule in 0..GRANULES_PER_CHUNK {
            let run = Run {
                first: granule * PAGES_PER_GRANULE,
                count: PAGES_PER_GRANULE,
            };
            let bit = 1 << granule;
            touched |= if record.resident.clear(run) != 0 { bit } else { 0 };
            let dirt_new = record.new.clear(run);
            let dirt_old = record.old.clear(run);
            if dirt_new + dirt_old != 0 {
                // From here on a granule is dirty as a whole.
                self.ground.soil(PAGES_PER_GRANULE - dirt_new - dirt_old);
                if dirt_new != 0 {
                    new |= bit;
                } else {
                    old |= bit;
                }
            }
        }
        record.granules.new.store(new, Relaxed);
        record.granules.old.store(old, Relaxed);
        record.granules.touched.store(touched, Relaxed);
        record.set_kind(Kind::Slabs);
        record.granules.free.store(u32::MAX, Relaxed);
        let group = self.window().group(chunk / 64);
        if new | old != 0 {
            group.due.fetch_or(group_bit(chunk), Relaxed);
        }
        group.granules.fetch_or(group_bit(chunk), AcqRel);
        Some(())
    }

    /// A run of `count` pages, its first page a multiple of `align` pages (a power of two, at most
    /// 256).
    pub(crate) fn take_run(&self, count: usize, align: usize) -> Option<Piece> {
        debug_assert!((1..=PAGES_PER_CHUNK).contains(&count) && align <= PAGES_PER_CHUNK);
        let wanted = count + align - 1;
        let level = (wanted.next_power_of_two().ilog2() as usize).min(LEVELS - 1);
        if let Some(piece) = self.search_runs(level, count, count, align, usize::MAX) {
            return Some(piece);
        }
        // Chunks whose longest run is between the power of two below and the need.
        if level > 0
            && let Some(piece) = self.search_runs(level - 1, count, count, align, 8)
        {
            return Some(piece);
        }
        let chunk = self.take_chunks(1)?;
        let record = self.window().chunk(chunk);
        record.set_kind(Kind::Runs);
        record.largest.store(PAGES_PER_CHUNK as u32, Relaxed);
        self.window()
            .group(chunk / 64)
            .set_largest(chunk, PAGES_PER_CHUNK);
        self.take_run_of(chunk, count, count, align)
    }

    /// A run of `count` pages for a block that grows: where `room` pages are free, if such a place is
    /// easily found, of which the rest stays free.
    pub(crate) fn take_run_to_grow(&self, count: usize, room: usize) -> Option<Piece> {
        debug_assert!(count <= room && room <= PAGES_PER_CHUNK);
        let level = (room.next_power_of_two().ilog2() as usize).min(LEVELS - 1);
        self.search_runs(level, count, room, 1, 8)
            .or_else(|| self.take_run(count, 1))
    }

    /// A run of `count` pages in a place with `room` pages, in the chunks marked at `level`.
    fn search_runs(
        &self,
        level: usize,
        count: usize,
        room: usize,
        align: usize,
        tries: usize,
    ) -> Option<Piece> {
        let mut tries = tries;
        for group in 0..self.window().group_count() {
            let mut seen = self.window().group(group).runs.get(level)?.load(Relaxed);
            while seen != 0 {
                let chunk = group * 64 + seen.trailing_zeros();
                seen &= seen - 1;
                if self.window().chunk(chunk).largest.load(Relaxed) as usize >= room {
                    if let Some(piece) = self.take_run_of(chunk, count, room, align) {
                        return Some(piece);
                    }
                    tries = tries.checked_sub(1)?;
                }
            }
        }
        None
    }

    fn take_run_of(&self, chunk: u32, count: usize, room: usize, align: usize) -> Option<Piece> {
        let record = self.window().chunk(chunk);
        if let Some(first) = record.free.find_run(room, align) {
            record.heads.set(Run { first, count: 1 });
            record.set_run_length(Run { first, count });
            return Some(self.begin_piece(chunk, record, Run { first, count }));
        }
        if align == 1 {
            record.largest.store(room as u32 - 1, Relaxed);
            self.window().group(chunk / 64).set_largest(chunk, room - 1);
        }
        None
    }

    fn begin_piece(&self, chunk: u32, record: &Chunk, run: Run) -> Piece {
        let purged_at = record.purged_at.load(Relaxed);
        if purged_at != 0 {
            let absent = run.count - record.resident.count(run);
            self.ground.regret.note(purged_at, absent);
        }
        self.ground.clean(record.occupy(run));
        self.ground.begin_large(run.count * PAGE);
        Piece {
            address: self.window().chunk_base(chunk) + run.first * PAGE,
            bytes: run.count * PAGE,
        }
    }

    /// Ends the large block at `address`. Returns the pages of dirt there are now.
    pub(crate) fn return_piece(&self, address: usize) -> Result<usize, NotAPiece> {
        let bytes = self.ground.find(address)?;
        let offset = address - self.window().chunk_base(0);
        let chunk = (offset >> CHUNK_SHIFT) as u32;
        let record = self.window().chunk(chunk);
        self.ground.end_large(bytes);
        if record.kind() == Kind::Runs {
            let run = Run {
                first: offset % CHUNK / PAGE,
                count: bytes / PAGE,
            };
            record.heads.clear(Run {
                first: run.first,
                count: 1,
            });
            self.vacate_run(chunk, record, run);
        } else {
            let chunks = record.extent_chunks.load(Relaxed);
            self.vacate_extent(chunk, bytes, 0);
            for n in chunk..chunk + chunks {
                self.window().chunk(n).set_kind(Kind::Free);
                self.mark_free(n, true);
            }
        }
        Ok(self.ground.dirty.load(Relaxed))
    }

    fn vacate_run(&self, chunk: u32, record: &Chunk, run: Run) {
        record.vacate(run);
        self.ground.soil(run.count);
        self.window().group(chunk / 64).set_due(chunk);
        self.join_up(chunk, record, run);
    }

    /// Notes the length of the free run of which `run` has become a part.
    pub(crate) fn join_up(&self, chunk: u32, record: &Chunk, run: Run) {
        let group = self.window().group(chunk / 64);
        let around = record.free.run_around(run.first);
        if around > record.largest.load(Relaxed) as usize {
            record.largest.store(around as u32, Relaxed);
            group.set_largest(chunk, around);
        }
    }

    /// Changes the length of the large block at `address` to `bytes` (whole pages) without moving
    /// it. False if there is no room.
    pub(crate) fn resize_piece(&self, address: usize, bytes: usize) -> bool {
        let Ok(have) = self.ground.find(address) else {
            return false;
        };
        let offset = address - self.window().chunk_base(0);
        let chunk = (offset >> CHUNK_SHIFT) as u32;
        let record = self.window().chunk(chunk);
        let done = if record.kind() == Kind::Runs {
            self.resize_run(
                chunk,
                record,
                Run {
                    first: offset % CHUNK / PAGE,
                    count: have / PAGE,
                },
                bytes / PAGE,
            )
        } else {
            self.resize_extent(chunk, record, have, bytes)
        };
        if done {
            self.ground.end_large(have);
            self.ground.begin_large(bytes);
        }
        done
    }

    fn resize_run(&self, chunk: u32, record: &Chunk, run: Run, count: usize) -> bool {
        let resized = Run { count, ..run };
        if count < run.count {
            let rest = Run {
                first: resized.end(),
                count: run.count - count,
            };
            record.set_run_length(resized);
            self.vacate_run(chunk, record, rest);
            return true;
        }
        let more = Run {
            first: run.end(),
            count: count - run.count,
        };
        if more.end() > PAGES_PER_CHUNK || record.free.count(more) != more.count {
            return false;
        }
        record.set_run_length(resized);
        self.ground.clean(record.occupy(more));
        true
    }
}
