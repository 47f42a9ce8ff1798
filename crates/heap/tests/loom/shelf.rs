//! Publishing, claiming, sweeping and retiring a slab against frees: `small` and `sweep`, step for step, on
//! a shelf that holds one slab or none.

use crate::model::{OWNER, Yard, explore};
use crate::slab::{Freed, State};
use crate::sync::{Lock, Relaxed, Token};
use loom::cell::Cell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

struct Stand {
    yard: Yard,
    lock: Lock,
    /// Whether the slab lies on the shelf. Under the lock.
    shelved: Cell<bool>,
    retired: AtomicUsize,
}

// SAFETY: `shelved` is used under the lock only, and loom checks that it is.
#[allow(unsafe_code)]
unsafe impl Sync for Stand {}

fn token(n: usize) -> Token {
    Token::of_address(n * 64)
}

impl Stand {
    fn new(yard: Yard) -> Stand {
        Stand {
            yard,
            lock: Lock::new(),
            shelved: Cell::new(false),
            retired: AtomicUsize::new(0),
        }
    }

    /// `shelve`.
    fn shelve(&self, me: usize) {
        let slab = &self.yard.slab;
        slab.owner.store(0, Relaxed);
        let used = slab.used();
        slab.arm(used, false);
        let listed = Yard::CAPACITY - used;
        let held = self.lock.lock(token(me));
        slab.shelf_free.store(listed, Relaxed);
        let remote = slab.set_state(State::Owned, State::Shelved);
        self.shelved.set(true);
        drop(held);
        if listed + remote.count() == Yard::CAPACITY {
            self.retire(me);
        }
    }

    /// `retire_shelved`.
    fn retire(&self, me: usize) {
        let slab = &self.yard.slab;
        {
            let _held = self.lock.lock(token(me));
            let remote = slab.remote();
            if remote.state() != State::Shelved {
                return;
            }
            let free = slab.shelf_free.load(Relaxed) + remote.count();
            assert!(free <= Yard::CAPACITY, "no more blocks are free than there are");
            if free < Yard::CAPACITY {
                return;
            }
            assert!(self.shelved.get());
            self.shelved.set(false);
            slab.set_state(State::Shelved, State::Owned);
        }
        slab.drain(self.yard.base());
        assert_eq!(slab.used(), 0);
        slab.release();
        self.retired.fetch_add(1, Relaxed);
    }

    /// `free_small` by a thread that keeps no slab. `None` is a slab that it claimed and shelved.
    fn free(&self, me: usize, n: u32) {
        match self
            .yard
            .slab
            .free_remotely(self.yard.base(), self.yard.block(n), self.yard.block(n), 1)
        {
            Freed::Handed => {}
            Freed::Claimed => self.shelve(me),
            Freed::Shelved { free } => {
                if free >= Yard::CAPACITY {
                    self.retire(me);
                }
            }
            Freed::Refused(state) => panic!("a free of a block in use was refused: {state:?}"),
        }
    }

    /// `claim_shelved`. Whether the slab is the caller's now.
    fn claim(&self, me: usize) -> bool {
        let slab = &self.yard.slab;
        let _held = self.lock.lock(token(me));
        if !self.shelved.get() {
            return false;
        }
        self.shelved.set(false);
        if slab.shelf_free.load(Relaxed) + slab.remote().count() == 0 && slab.abandon_full(State::Shelved, 0)
        {
            return false;
        }
        slab.set_state(State::Shelved, State::Owned);
        slab.owner.store(OWNER, Relaxed);
        slab.arm(slab.used(), true);
        true
    }

    /// `allocate_shared`, as far as this slab can serve it.
    fn take_shared(&self, me: usize) -> Option<crate::block::Block> {
        let slab = &self.yard.slab;
        let _held = self.lock.lock(token(me));
        if !self.shelved.get() {
            return None;
        }
        if let Some(block) = slab.take_one(self.yard.base()) {
            slab.shelf_free.store(Yard::CAPACITY - slab.used(), Relaxed);
            return Some(block);
        }
        if slab.abandon_full(State::Shelved, 0) {
            self.shelved.set(false);
        }
        None
    }

    /// `sweep_shelf` and `sweep_slab`, without the pages.
    fn sweep(&self, me: usize) {
        let slab = &self.yard.slab;
        {
            let _held = self.lock.lock(token(me));
            if !self.shelved.get() {
                return;
            }
            self.shelved.set(false);
            slab.set_state(State::Shelved, State::Owned);
        }
        slab.drain(self.yard.base());
        if slab.used() == 0 {
            slab.release();
            self.retired.fetch_add(1, Relaxed);
            return;
        }
        self.shelve(me);
    }

    /// When all is quiet: an empty slab was retired, once.
    fn assert_retired(&self) {
        assert_eq!(
            self.retired.load(Relaxed),
            1,
            "somebody saw that the slab was empty"
        );
        assert_eq!(self.yard.slab.remote().state(), State::None);
    }
}

fn spawn(stand: &Arc<Stand>, body: impl FnOnce(&Stand) + 'static) -> thread::JoinHandle<()> {
    let stand = stand.clone();
    thread::spawn(move || body(&stand))
}

#[test]
fn the_last_frees_into_a_slab_that_is_being_shelved_retire_it() {
    explore(|| {
        let stand = Arc::new(Stand::new(Yard::with_used(2)));
        let others = [spawn(&stand, |s| s.free(1, 0)), spawn(&stand, |s| s.free(2, 1))];
        stand.shelve(3);
        others.into_iter().for_each(|other| other.join().unwrap());
        stand.assert_retired();
    });
}

#[test]
fn a_full_slab_freed_by_two_ended_threads_is_retired() {
    explore(|| {
        let stand = Arc::new(Stand::new(Yard::exhausted()));
        assert!(stand.yard.slab.abandon_full(State::Owned, OWNER));
        let others = [
            spawn(&stand, |s| s.free(1, 0)),
            spawn(&stand, |s| (1..5).for_each(|n| s.free(2, n))),
        ];
        (5..8).for_each(|n| stand.free(3, n));
        others.into_iter().for_each(|other| other.join().unwrap());
        stand.assert_retired();
    });
}

#[test]
fn a_slab_that_is_swept_while_its_last_blocks_are_freed_is_retired() {
    explore(|| {
        let stand = Arc::new(Stand::new(Yard::with_used(2)));
        stand.shelve(3);
        let others = [spawn(&stand, |s| s.free(1, 0)), spawn(&stand, |s| s.free(2, 1))];
        stand.sweep(3);
        others.into_iter().for_each(|other| other.join().unwrap());
        stand.assert_retired();
    });
}

#[test]
fn a_slab_is_claimed_or_retired_but_not_both() {
    explore(|| {
        let stand = Arc::new(Stand::new(Yard::with_used(2)));
        stand.shelve(3);
        let others = [spawn(&stand, |s| s.free(1, 0)), spawn(&stand, |s| s.free(2, 1))];
        let claimed = stand.claim(3);
        others.into_iter().for_each(|other| other.join().unwrap());
        if claimed {
            assert_eq!(stand.retired.load(Relaxed), 0);
            assert_eq!(stand.yard.slab.remote().state(), State::Owned);
            stand.yard.assert_free(&[0, 1, 2, 3, 4, 5, 6, 7]);
        } else {
            stand.assert_retired();
        }
    });
}

#[test]
fn blocks_taken_from_the_shelf_while_others_come_back_are_taken_once() {
    explore(|| {
        let stand = Arc::new(Stand::new(Yard::exhausted()));
        stand.shelve(3);
        let others = [spawn(&stand, |s| s.free(1, 0)), spawn(&stand, |s| s.free(2, 1))];
        let taken = stand.take_shared(3);
        others.into_iter().for_each(|other| other.join().unwrap());
        let left: Vec<u32> = (0..2).filter(|n| taken != Some(stand.yard.block(*n))).collect();
        stand.yard.assert_free(&left);
        assert!(stand.shelved.get(), "a slab with free blocks is on the shelf");
    });
}
