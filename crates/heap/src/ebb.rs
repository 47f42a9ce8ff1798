//! The pass over the dirt: one tick of the tide.
//!
//! Owns the order in which memory is given back. Pages under way are taken out of the free maps first,
//! so nobody can be given a page that is being discarded; one pass at a time, under the tide's lock.

#![allow(unsafe_code)]

use crate::bits::Run;
use crate::chunk::{Chunk, Kind, group_bit};
use crate::class::Class;
use crate::heap::Heap;
use crate::layout::{GRANULE, GRANULES_PER_CHUNK, PAGE, PAGES_PER_CHUNK, PAGES_PER_GRANULE};
use crate::local::Local;
use crate::sync::{AcqRel, Relaxed, Token};
use crate::tide::Reach;
use neap_abi::Call;
use neap_os::unit::Span;
use neap_os::vm::Vm;

/// Pages given back between two looks at the clock, in a slow path.
const PORTION: usize = 256;
/// Ranges collected before they are discarded, outside the lock.
const BATCH: usize = 64;

impl<V: Vm> Heap<V> {
    /// One tick. Returns the pages given back. Does nothing while another thread is at it, unless
    /// `reach` is `All`.
    pub(crate) fn tick(&self, token: Token, reach: Reach) -> usize {
        self.pass(token, reach, usize::MAX)
    }

    /// A portion of a tick, for a slow path that must not take long: ends after about `ns` nanoseconds, to
    /// be continued by the next one. Says whether the tick is complete.
    pub(crate) fn tick_a_portion(&self, token: Token, ns: u64) -> bool {
        let end = crate::sync::clock::monotonic_ns() + ns;
        loop {
            let given = self.pass(token, Reach::Old, PORTION);
            if self.tide.next_chunk.load(Relaxed) == 0 && !self.tide.sweeping.load(Relaxed) {
                return true;
            }
            // Nothing, and yet not complete: another thread is at it.
            if given == 0 || crate::sync::clock::monotonic_ns() >= end {
                return false;
            }
        }
    }

    fn pass(&self, token: Token, reach: Reach, most: usize) -> usize {
        if !self.window().is_open() {
            return 0;
        }
        let _held = match reach {
            Reach::All => self.tide.lock.lock(token),
            Reach::Old => match self.tide.lock.try_lock(token) {
                Some(held) => held,
                None => return 0,
            },
        };
        // A tick that was left half way goes on where it stopped: what it has passed is not old yet.
        let from = match reach {
            Reach::All => 0,
            Reach::Old => self.tide.next_chunk.swap(0, Relaxed),
        };
        let mut given = 0;
        let sweeping = self.tide.sweeping.swap(false, Relaxed);
        if from == 0 && !sweeping {
            self.ground
                .regret
                .now
                .set(self.ground.regret.now.get().wrapping_add(1));
        }
        if from == 0 || sweeping {
            given += self.sweep_shelves(token, reach, most);
        }
        let unmapped = self.direct.unmap_waiting(&self.vm, &self.tally) / PAGE;
        self.ground.clean(unmapped);
        given += unmapped;
        if given >= most {
            // The shelves are not through yet.
            self.tide.sweeping.store(true, Relaxed);
            self.tide.next_chunk.store(from, Relaxed);
        } else {
            given += self.ebb_chunks(token, reach, from, most.saturating_sub(given));
        }
        self.lower_top(token, reach);
        if given != 0 {
            self.tide.given.fetch_add(given, Relaxed);
            let page = self.tally.page();
            page.purges.fetch_add(1, Relaxed);
        }
        let regretted = self.tide.judge(&self.ground.regret);
        self.tally
            .page()
            .regret_bytes
            .fetch_add((regretted * PAGE) as u64, Relaxed);
        self.publish_if_due();
        given
    }

    /// Gives back the dirt of every chunk from number `from` on, until `most` pages are reached.
    fn ebb_chunks(&self, token: Token, reach: Reach, from: u32, most: usize) -> usize {
        let mut given = 0;
        for group in from / 64..self.window().group_count() {
            let word = &self.window().group(group).due;
            let mut due = word.swap(0, AcqRel);
            if group == from / 64 {
                let passed = due & (group_bit(from) - 1);
                word.fetch_or(passed, AcqRel);
                due &= !passed;
            }
            while due != 0 {
                let chunk = group * 64 + due.trailing_zeros();
                if self.tide.is_paused() || given >= most {
                    word.fetch_or(due, AcqRel);
                    self.tide.next_chunk.store(chunk, Relaxed);
                    return given;
                }
                due &= due - 1;
                given += self.ebb_chunk(token, chunk, reach);
            }
        }
        given
    }

    /// Gives back whatever is free, now: malloc_trim, or memory has run out.
    pub(crate) fn ebb_now(&self, local: &Local) -> usize {
        self.tick(local.token(), Reach::All)
    }

    fn ebb_chunk(&self, token: Token, chunk: u32, reach: Reach) -> usize {
        let record = self.window().chunk(chunk);
        let (given, again) = match record.kind() {
            Kind::Absent => (0, false),
            Kind::Slabs => self.ebb_granules(token, chunk, record, reach),
            _ => self.ebb_pages(token, chunk, record, reach),
        };
        if again {
            self.window()
                .group(chunk / 64)
                .due
                .fetch_or(group_bit(chunk), Relaxed);
        }
        if given != 0 {
            record
                .purged_at
                .store(self.ground.regret.now.get() as u32, Relaxed);
        }
        given
    }

    /// Gives back the old dirt of a chunk of slabs. Returns the pages, and whether younger dirt is
    /// left.
    fn ebb_granules(&self, token: Token, chunk: u32, record: &Chunk, reach: Reach) -> (usize, bool) {
        let Some(mine) = self.claim_granules(token, record, reach) else {
            // No slab chunk any more: its dirt is in the page maps now.
            return (0, true);
        };
        let mut granule = 0;
        let mut given = 0;
        while granule < GRANULES_PER_CHUNK as u32 {
            let from = granule + (mine >> granule).trailing_zeros().min(32 - granule);
            let count = if from < 32 {
                (mine >> from).trailing_ones()
            } else {
                0
            };
            if count != 0 {
                let base = self.window().chunk_base(chunk) + from as usize * GRANULE;
                if self.discard(base, count as usize * GRANULE) {
                    given += count as usize * PAGES_PER_GRANULE;
                    let mask = if count == 32 {
                        u32::MAX
                    } else {
                        ((1 << count) - 1) << from
                    };
                    record.granules.discarded(mask);
                }
            }
            granule = from + count.max(1);
        }
        if mine != 0 {
            record.granules.put_all(mine);
            self.window()
                .group(chunk / 64)
                .granules
                .fetch_or(group_bit(chunk), AcqRel);
        }
        let pages = self.ground.enter(&self.vm, &self.tally, token);
        if record.kind() != Kind::Slabs {
            return (given, true);
        }
        let (young, twice) = record.granules.age();
        self.ground.clean(twice * PAGES_PER_GRANULE);
        if young == 0 && record.granules.all_free() {
            pages.reclaim_chunk(chunk);
        }
        (given, young != 0)
    }

    /// Takes the granules with old dirt out of the free mask: whoever clears a bit there has the
    /// granule. Under the lock, so that the chunk does not change its kind half way.
    fn claim_granules(&self, token: Token, record: &Chunk, reach: Reach) -> Option<u32> {
        let _pages = self.ground.enter(&self.vm, &self.tally, token);
        if record.kind() != Kind::Slabs {
            return None;
        }
        let claimed = record.granules.claim(reach == Reach::All);
        // Counted up first: the sum never falls below what is marked.
        self.ground.soil(claimed.remade * PAGES_PER_GRANULE);
        self.ground.clean(claimed.removed * PAGES_PER_GRANULE);
        Some(claimed.mask)
    }

    /// Gives back the old dirt of a chunk of runs, an extent's spare pages, or a free chunk.
    fn ebb_pages(&self, token: Token, chunk: u32, record: &Chunk, reach: Reach) -> (usize, bool) {
        let mut runs = [Run { first: 0, count: 0 }; BATCH];
        let mut given = 0;
        loop {
            let mut count = 0;
            let pages = self.ground.enter(&self.vm, &self.tally, token);
            let kind = record.kind();
            if kind == Kind::Slabs || kind == Kind::Absent {
                return (given, false);
            }
            if reach == Reach::All {
                record.new.runs_common(&record.free, |run| record.old.set(run));
                record.new.clear(Run::ALL);
            }
            record.old.runs_common(&record.free, |run| {
                if let Some(slot) = runs.get_mut(count) {
                    *slot = run;
                    count += 1;
                }
            });
            let batch = runs.get(..count).unwrap_or(&[]);
            let dirt: usize = batch.iter().map(|run| record.old.clear(*run)).sum();
            self.ground.clean(dirt);
            if matches!(kind, Kind::Extent | Kind::Body) {
                // Its owner may grow into these pages: the lock stays held.
                for run in batch.iter().filter(|run| self.discard_run(chunk, **run)) {
                    record.resident.clear(*run);
                    given += run.count;
                }
            } else {
                batch.iter().for_each(|run| {
                    record.free.clear(*run);
                });
                let whole = kind == Kind::Free && self.set_aside(chunk, count);
                drop(pages);
                given += self.discard_apart(token, chunk, batch);
                if whole {
                    let _pages = self.ground.enter(&self.vm, &self.tally, token);
                    let free = &self.window().group(chunk / 64).free;
                    free.store(free.load(Relaxed) | group_bit(chunk), Relaxed);
                }
            }
            if count < BATCH {
                break;
            }
        }
        let pages = self.ground.enter(&self.vm, &self.tally, token);
        if matches!(record.kind(), Kind::Slabs | Kind::Absent) {
            return (given, true);
        }
        if record.old.is_empty() {
            record.old.take_from(&record.new);
        }
        if record.kind() == Kind::Runs && record.old.is_empty() && record.free.is_full() {
            pages.reclaim_chunk(chunk);
        }
        (given, !record.old.is_empty())
    }

    /// Takes a free chunk out of the summary while some of its pages are under way. False if it was
    /// out already, or nothing is.
    fn set_aside(&self, chunk: u32, runs: usize) -> bool {
        let free = &self.window().group(chunk / 64).free;
        let before = free.load(Relaxed);
        if runs == 0 || before & group_bit(chunk) == 0 {
            return false;
        }
        free.store(before & !group_bit(chunk), Relaxed);
        true
    }

    /// Discards pages that are out of the free map, without the lock, and puts them back.
    fn discard_apart(&self, token: Token, chunk: u32, batch: &[Run]) -> usize {
        let record = self.window().chunk(chunk);
        let mut gone = [false; BATCH];
        for (run, gone) in batch.iter().zip(&mut gone) {
            *gone = self.discard_run(chunk, *run);
        }
        let pages = self.ground.enter(&self.vm, &self.tally, token);
        let mut given = 0;
        for (run, gone) in batch.iter().zip(gone) {
            // Only now: the maps are changed under the lock.
            if gone {
                record.resident.clear(*run);
                given += run.count;
            }
            record.free.set(*run);
            if record.kind() == Kind::Runs {
                pages.join_up(chunk, record, *run);
            }
        }
        given
    }

    fn discard_run(&self, chunk: u32, run: Run) -> bool {
        debug_assert!(run.end() <= PAGES_PER_CHUNK);
        let base = self.window().chunk_base(chunk) + run.first * PAGE;
        self.discard(base, run.count * PAGE)
    }

    /// Discards pages that are in nobody's hands. False when the kernel refuses (locked memory):
    /// then they stay resident, and only the address space is free.
    pub(crate) fn discard(&self, base: usize, bytes: usize) -> bool {
        let Some(span) = Span::new(base, bytes) else {
            return false;
        };
        // SAFETY: the callers took the pages out of the free maps, or own the slab they lie in and
        // found no live byte there: mapped, ours (1), and needed by nobody (2).
        if unsafe { self.vm.discard(span) }.is_ok() {
            self.tally.call(Call::Madvise, bytes);
            self.tally.given_back(bytes);
            true
        } else {
            self.tally.failed(Call::Madvise);
            false
        }
    }

    /// Gives up address space at the top when a good part of the window lies free there.
    fn lower_top(&self, token: Token, reach: Reach) {
        let pages = self.ground.enter(&self.vm, &self.tally, token);
        let window = self.window();
        window.skip_absent();
        let top = window.top();
        let mut first = top;
        while let Some(below) = first.checked_sub(1) {
            let record = window.chunk(below);
            let listed = window.group(below / 64).free.load(Relaxed) & group_bit(below) != 0;
            // Dirt waits for its own tick.
            let clean = record.old.is_empty() && record.new.is_empty();
            let same_source = first == top || !window.is_break_end(first);
            if record.kind() != Kind::Free || !listed || !clean || !same_source {
                break;
            }
            first = below;
        }
        let free = (top - first) as usize;
        let pad = self.ground.top_pad.load(Relaxed) / crate::layout::CHUNK;
        let enough = match (reach, window.backend()) {
            (Reach::All, _) => 1,
            (_, neap_abi::Backend::Brk) => 1 + pad,
            // A mapping without pages costs nothing, so it goes only when it is most of the window.
            (_, neap_abi::Backend::Mmap) => (top as usize / 2).max(32),
        };
        if free < enough {
            return;
        }
        for chunk in first..top {
            let word = &window.group(chunk / 64).free;
            word.store(word.load(Relaxed) & !group_bit(chunk), Relaxed);
        }
        // SAFETY: the chunks are free, out of the summary, and under the lock nobody can take them
        // (1); the walk stopped where the break ends (2).
        if !unsafe { window.lower(&self.vm, &self.tally, first) } {
            for chunk in first..top {
                let word = &window.group(chunk / 64).free;
                word.store(word.load(Relaxed) | group_bit(chunk), Relaxed);
            }
        }
        drop(pages);
    }

    /// Looks into the shelved slabs of every class that something happened to.
    fn sweep_shelves(&self, token: Token, reach: Reach, most: usize) -> usize {
        let had = self.tide.stirred.swap(0, Relaxed);
        // Checked slabs lie on the same shelves, but their free blocks must stay as they are.
        if self.checking() {
            return 0;
        }
        let mut given = 0;
        for class in Class::all() {
            let shelf = self.shelf(class);
            if given < most && (reach == Reach::All || shelf.stirred.swap(false, Relaxed)) {
                given += self.sweep_shelf(token, class, reach, most - given);
            }
        }
        // What this pass did not reach has to be remembered: a sleeping helper, or a slow path, looks here.
        if Class::all().any(|class| self.shelf(class).stirred.load(Relaxed)) {
            self.tide.stir(had.saturating_sub(given).max(1));
        }
        given
    }
}
