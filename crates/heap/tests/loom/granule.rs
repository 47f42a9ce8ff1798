//! Granules that change hands while the tide claims and ages.

use crate::granules::Granules;
use crate::model::explore;
use crate::sync::Relaxed;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicIsize};
use loom::thread;

const COUNT: usize = 2;

struct Chunk {
    masks: Granules,
    /// Marks of dirt there are, as `Ground::dirty` counts them.
    dirt: AtomicIsize,
    /// Whether somebody has the granule.
    had: [AtomicBool; COUNT],
}

impl Chunk {
    /// Both granules free, the first with old dirt, the second with new.
    fn new() -> Chunk {
        let masks = Granules::new();
        masks.free.store(0b11, Relaxed);
        masks.touched.store(0b11, Relaxed);
        masks.old.store(0b01, Relaxed);
        masks.new.store(0b10, Relaxed);
        Chunk {
            masks,
            dirt: AtomicIsize::new(2),
            had: [AtomicBool::new(false), AtomicBool::new(false)],
        }
    }

    fn hold(&self, number: u32) {
        assert!(
            !self.had[number as usize].swap(true, Relaxed),
            "a granule has one holder"
        );
    }

    fn let_go(&self, number: u32) {
        assert!(self.had[number as usize].swap(false, Relaxed));
    }

    /// `take_granule_of`, then `return_granule`.
    fn use_one(&self) {
        let Some(taken) = self.masks.take() else { return };
        self.hold(taken.number);
        self.dirt.fetch_sub(taken.marks as isize, Relaxed);
        self.let_go(taken.number);
        self.dirt.fetch_add(1, Relaxed);
        self.masks.mark(taken.number);
        self.masks.put(taken.number);
    }

    /// `ebb_granules`.
    fn ebb(&self, all: bool) {
        let claimed = self.masks.claim(all);
        self.dirt.fetch_add(claimed.remade as isize, Relaxed);
        self.dirt.fetch_sub(claimed.removed as isize, Relaxed);
        let mine = (0..COUNT as u32).filter(|n| claimed.mask >> n & 1 == 1);
        mine.clone().for_each(|n| self.hold(n));
        self.masks.discarded(claimed.mask);
        mine.for_each(|n| self.let_go(n));
        self.masks.put_all(claimed.mask);
        let (_, twice) = self.masks.age();
        self.dirt.fetch_sub(twice as isize, Relaxed);
    }

    fn assert_quiet(&self) {
        let marks = [&self.masks.new, &self.masks.old].map(|mask| mask.load(Relaxed).count_ones());
        assert_eq!(
            self.dirt.load(Relaxed),
            marks.iter().sum::<u32>() as isize,
            "each mark is counted once"
        );
        assert_eq!(self.masks.free.load(Relaxed), 0b11, "every granule is free again");
    }
}

fn turn(all: bool, users: usize) {
    explore(move || {
        let chunk = Arc::new(Chunk::new());
        let users: Vec<_> = (0..users)
            .map(|_| {
                let chunk = chunk.clone();
                thread::spawn(move || chunk.use_one())
            })
            .collect();
        chunk.ebb(all);
        for user in users {
            user.join().unwrap();
        }
        chunk.assert_quiet();
    });
}

#[test]
fn granules_change_hands_while_old_dirt_is_given_back() {
    turn(false, 2);
}

#[test]
fn granules_change_hands_while_all_dirt_is_given_back() {
    turn(true, 2);
}

#[test]
fn a_returned_granule_keeps_a_mark_unless_its_pages_are_gone() {
    explore(|| {
        let chunk = Arc::new(Chunk::new());
        let user = {
            let chunk = chunk.clone();
            thread::spawn(move || chunk.use_one())
        };
        chunk.ebb(true);
        user.join().unwrap();
        chunk.assert_quiet();
        let marked = chunk.masks.new.load(Relaxed) | chunk.masks.old.load(Relaxed);
        let touched = chunk.masks.touched.load(Relaxed);
        assert_eq!(
            touched & !marked,
            0,
            "what was used since it was given back is dirt"
        );
    });
}
