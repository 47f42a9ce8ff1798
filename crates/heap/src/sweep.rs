//! The sweep: giving back the pages inside a slab that hold no live byte.
//!
//! Owns the walk over one shelf. A slab that has been quiet for a tick, and in which blocks came free
//! since it was last swept, is claimed for nobody (OWNED by 0: frees still land on its remote list),
//! its free blocks are mapped out, those that start on a wholly free page leave the list (the page is
//! *fresh* again and will be carved when wanted), and the slab returns to the shelf.

use crate::block;
use crate::class::Class;
use crate::heap::Heap;
use crate::layout::{PAGE, PAGES_PER_GRANULE};
use crate::slab::{Slab, State};
use crate::stop::{Fault, stop};
use crate::sync::{Relaxed, Token};
use crate::tide::Reach;
use neap_os::vm::Vm;

/// Slabs claimed under one holding of the shelf's lock.
const BATCH: usize = 32;
const WORDS: usize = 4096 / 64;

/// Which blocks of one slab are free.
struct FreeMap([u64; WORDS]);

impl FreeMap {
    fn mark(&mut self, n: u32) {
        if let Some(word) = self.0.get_mut(n as usize / 64) {
            *word |= 1 << (n % 64);
        }
    }
    fn is_free(&self, n: u32) -> bool {
        self.0
            .get(n as usize / 64)
            .is_some_and(|word| word >> (n % 64) & 1 == 1)
    }
    /// The pages that hold a byte of a block in use.
    fn live_pages(&self, class: Class) -> u32 {
        let mut pages = 0u32;
        let capacity = class.capacity();
        for (w, word) in self.0.iter().enumerate() {
            let mut live = !word;
            while live != 0 {
                let n = w as u32 * 64 + live.trailing_zeros();
                live &= live - 1;
                if n >= capacity {
                    return pages;
                }
                let first = n as usize * class.size() / PAGE;
                let last = ((n + 1) as usize * class.size() - 1) / PAGE;
                pages |= ((1 << (last - first + 1)) - 1) << first;
            }
        }
        pages
    }
}

/// Pages marked fresh that a block starting on an earlier page may have touched all the same.
fn reached_over(fresh: u32, class: Class) -> u32 {
    if PAGE.is_multiple_of(class.size()) {
        return 0;
    }
    let carved = !fresh & 0xffff;
    let span = class.size().div_ceil(PAGE) as u32;
    (1..=span).fold(0, |reached, pages| reached | carved << pages) & fresh & 0xffff
}

impl<V: Vm> Heap<V> {
    /// Turns the list of one shelf round once, sweeping what is due, until about `most` pages are
    /// reached. Returns the pages given back.
    pub(crate) fn sweep_shelf(&self, token: Token, class: Class, reach: Reach, most: usize) -> usize {
        let mut left = self.shelf(class).length();
        let mut given = 0;
        let mut unripe = false;
        while left != 0 {
            if self.tide.is_paused() || given >= most {
                unripe = true;
                break;
            }
            let mut batch = [0u32; BATCH];
            let mut count = 0;
            {
                let open = self.shelf(class).open(self.window(), token);
                let turn = (left as usize).min(BATCH);
                left -= turn as u32;
                for _ in 0..turn {
                    let Some(granule) = open.first() else {
                        left = 0;
                        break;
                    };
                    open.remove(granule);
                    let slab = self.window().slab(granule);
                    match self.ripeness(slab, class, reach) {
                        Ripeness::Ripe => {
                            slab.set_state(State::Shelved, State::Owned);
                            if let Some(slot) = batch.get_mut(count) {
                                *slot = granule;
                                count += 1;
                            }
                        }
                        Ripeness::Unripe => {
                            unripe = true;
                            open.append(granule);
                        }
                        Ripeness::Swept => open.append(granule),
                    }
                }
            }
            for granule in batch.iter().take(count) {
                given += self.sweep_slab(token, class, *granule);
            }
        }
        if unripe {
            self.shelf(class).stirred.store(true, Relaxed);
        }
        given
    }

    fn ripeness(&self, slab: &Slab, class: Class, reach: Reach) -> Ripeness {
        let free = slab.shelf_free.load(Relaxed) + slab.remote().count();
        if free == class.capacity() {
            return Ripeness::Ripe;
        }
        if free == slab.swept_free.load(Relaxed) || (free as usize * class.size()) < PAGE {
            return Ripeness::Swept;
        }
        if reach == Reach::All || slab.seen_free.swap(free, Relaxed) == free {
            return Ripeness::Ripe;
        }
        Ripeness::Unripe
    }

    /// Gives back the wholly free pages of a slab that nobody owns and that is on no shelf.
    fn sweep_slab(&self, token: Token, class: Class, granule: u32) -> usize {
        let slab = self.window().slab(granule);
        let base = self.window().granule_base(granule);
        slab.drain(base);
        let mut map = FreeMap([0; WORDS]);
        let mut listed = 0;
        for block in block::iter(slab.local.get()) {
            // A block that was freed twice may have closed the list to a ring.
            listed += 1;
            if listed > class.capacity() {
                stop(Fault::DoubleFree, block.address(), Some(class));
            }
            map.mark(((block.address() - base) / class.size()) as u32);
        }
        let fresh = slab.fresh();
        for page in 0..PAGES_PER_GRANULE {
            if fresh >> page & 1 == 1 {
                let (first, end) = class.blocks_on_page(page);
                for n in first..end {
                    map.mark(n);
                }
            }
        }
        let holes = !map.live_pages(class) & 0xffff;
        if slab.used() == 0 {
            slab.release();
            self.ground.return_granule(granule);
            return 0;
        }
        let mut given = 0;
        let due = holes & (!fresh | reached_over(fresh, class));
        if due != 0 {
            // Lists first: the links on the holes are about to vanish.
            slab.relist(base, &|n| map.is_free(n), holes | fresh);
            let mut page = 0;
            while page < PAGES_PER_GRANULE {
                let count = (due >> page).trailing_ones() as usize;
                if count != 0 && self.discard(base + page * PAGE, count * PAGE) {
                    given += count;
                }
                page += count.max(1);
            }
        }
        let free = self.shelve_as(token, class, granule);
        slab.swept_free.store(free, Relaxed);
        if free == class.capacity() {
            // The last block came back while we looked.
            self.retire_shelved(token, class, granule, 0);
        }
        given
    }
}

enum Ripeness {
    /// Quiet for a tick, with pages to look for.
    Ripe,
    /// Something came free since the last look.
    Unripe,
    /// Nothing new.
    Swept,
}
