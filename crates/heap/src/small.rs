//! Blocks of slabs: refilling a thread's hand, freeing into other threads' slabs, the slabs' moves
//! between owner, shelf and nobody.
//!
//! Owns the transitions drawn in `crate::slab`. An owned slab is in its owner's list for the class;
//! those that came by freeing (not the one blocks are being taken from) also have a seat, and lose
//! it, and their owner, when too many others come.

use crate::block::Block;
use crate::bytes::fill;
use crate::class::Class;
use crate::hand;
use crate::heap::Heap;
use crate::layout::{PAGE, PAGES_PER_GRANULE};
use crate::local::{Local, Thread};
use crate::outbox::{AlreadyThere, Parcel};
use crate::slab::{Due, Freed, Pushed, Slab, State};
use crate::stop::{Fault, stop};
use crate::sync::{Relaxed, Token};
use crate::window::Window;
use neap_os::vm::Vm;

/// Blocks of each class that a thread other than the first gets from the shelves before it opens
/// slabs of its own: a thread that needs a handful of blocks costs no page of its own.
const SLOW_START: u8 = 24;
/// An empty slab that is its owner's only one of the class stays with it if it has touched no more
/// pages than this: giving it up would cost more than it holds.
const KEPT_PAGES: u32 = 2;

impl<V: Vm> Heap<V> {
    /// A block for `size` bytes; what else comes along goes to the thread's hand.
    pub(crate) fn allocate_small(&self, local: &Local, size: usize) -> Option<usize> {
        let class = Class::of_size(size);
        let Some(thread) = self.thread_of(local) else {
            return self.allocate_shared(local, class);
        };
        if self.perturb() != 0 {
            // Slabs that nobody owns: every free into them comes through `free_small`.
            return self.allocate_shared(local, class);
        }
        let served = thread.served(class);
        if served.get() < SLOW_START && self.registry.threads() > 1 {
            served.set(served.get() + 1);
            return self.allocate_shared(local, class);
        }
        if thread.poised.get() && self.stays_poised(thread) {
            return self.take_single(local, thread, class);
        }
        // malloc(0) has no place of its own.
        let ready = local.place_for(class).0.take();
        let run = match ready.or_else(|| self.refill(local, thread, class)) {
            Some(run) => run,
            None => {
                self.ebb_now(local);
                self.refill(local, thread, class)?
            }
        };
        hand::fill(local, class, run.next());
        Some(run.address())
    }

    /// The first slab of the thread's list for `class`, brought from elsewhere if the list is empty.
    fn first_slab(&self, local: &Local, thread: &Thread, class: Class) -> Option<u32> {
        loop {
            if let Some(granule) = thread.list(class).get().checked_sub(1) {
                return Some(granule);
            }
            let recalled = self.recall_dry(local, thread) && thread.list(class).get() != 0;
            if !recalled && !self.claim_shelved(local, thread, class) {
                self.open_slab(local, thread, class)?;
            }
        }
    }

    /// One free block of `class`, leaving the thread's hand empty.
    fn take_single(&self, local: &Local, thread: &Thread, class: Class) -> Option<usize> {
        loop {
            let granule = self.first_slab(local, thread, class)?;
            let slab = self.window().slab(granule);
            if let Some(block) = slab.take_one(self.window().granule_base(granule)) {
                return Some(block.address());
            }
            self.unlink(thread, class, granule);
            self.keep_dry(local, thread, granule);
        }
    }

    /// A list of free blocks of `class`, all of one slab, counted as used.
    fn refill(&self, local: &Local, thread: &Thread, class: Class) -> Option<Block> {
        loop {
            let granule = self.first_slab(local, thread, class)?;
            let slab = self.window().slab(granule);
            let base = self.window().granule_base(granule);
            if let Some(run) = slab.detach() {
                return Some(run);
            }
            if slab.drain(base)
                && let Some(run) = slab.detach()
            {
                return Some(run);
            }
            if let Some(run) = slab.carve(base) {
                return Some(run);
            }
            self.unlink(thread, class, granule);
            self.keep_dry(local, thread, granule);
        }
    }

    /// Sets an exhausted slab aside; the one that has been dry for longest becomes nobody's.
    fn keep_dry(&self, local: &Local, thread: &Thread, granule: u32) {
        let slab = self.window().slab(granule);
        slab.arm_dry();
        let (seat, displaced) = thread.queue_dry(granule);
        slab.seat.store(seat, Relaxed);
        if let Some(other) = displaced {
            self.window().slab(other).seat.store(0, Relaxed);
            self.let_go(local, other);
        }
    }

    /// Gives up an owned slab that is in no list and on no seat.
    fn let_go(&self, local: &Local, granule: u32) {
        let slab = self.window().slab(granule);
        let Some(class) = slab.class() else { return };
        slab.drain(self.window().granule_base(granule));
        let exhausted = slab.used() == class.capacity() && slab.unlisted() == 0;
        if !exhausted || !slab.abandon_full(State::Owned, local.owner()) {
            self.shelve(local, class, granule);
        }
    }

    /// Looks at the slab that has been dry for longest: when other threads have freed a good part of
    /// it, it comes back into use before anything new is opened. Says whether one came.
    fn recall_dry(&self, local: &Local, thread: &Thread) -> bool {
        let Some(granule) = thread.oldest_dry(false) else {
            return false;
        };
        let slab = self.window().slab(granule);
        let Some(class) = slab.class() else { return false };
        if slab.remote().count() * 2 < class.capacity() {
            return false;
        }
        thread.oldest_dry(true);
        slab.seat.store(0, Relaxed);
        slab.drain(self.window().granule_base(granule));
        if slab.used() == 0 {
            slab.release();
            self.soiled(local, self.ground.return_granule(granule));
        } else {
            self.link(local, thread, class, granule);
            self.seat(local, thread, granule, false);
        }
        true
    }

    /// A granule that no slab uses.
    pub(crate) fn new_granule(&self, local: &Local) -> Option<u32> {
        self.publish_sometimes();
        loop {
            if let Some(granule) = self.ground.take_granule() {
                return Some(granule);
            }
            let pages = self.ground.enter(&self.vm, &self.tally, local.token());
            // Another thread may have brought one while we waited.
            if let Some(granule) = self.ground.take_granule() {
                return Some(granule);
            }
            pages.add_slab_chunk()?;
        }
    }

    fn open_slab(&self, local: &Local, thread: &Thread, class: Class) -> Option<()> {
        let granule = self.new_granule(local)?;
        self.window().slab(granule).take(class, local.owner());
        self.link(local, thread, class, granule);
        Some(())
    }

    /// Puts an owned slab into its owner's list: first if the list is empty, else second, so that
    /// the slab in use stays in use.
    fn link(&self, local: &Local, thread: &Thread, class: Class, granule: u32) {
        let slab = self.window().slab(granule);
        debug_assert!(slab.owner.load(Relaxed) == local.owner());
        let list = thread.list(class);
        let Some(first) = list.get().checked_sub(1) else {
            slab.prev.store(0, Relaxed);
            slab.next.store(0, Relaxed);
            list.set(granule + 1);
            return;
        };
        let head = self.window().slab(first);
        let next = head.next.load(Relaxed);
        slab.prev.store(first + 1, Relaxed);
        slab.next.store(next, Relaxed);
        if let Some(next) = next.checked_sub(1) {
            self.window().slab(next).prev.store(granule + 1, Relaxed);
        }
        head.next.store(granule + 1, Relaxed);
    }

    /// Takes an owned slab out of its owner's list and seat.
    fn unlink(&self, thread: &Thread, class: Class, granule: u32) {
        let slab = self.window().slab(granule);
        let (prev, next) = (slab.prev.load(Relaxed), slab.next.load(Relaxed));
        match prev.checked_sub(1) {
            Some(prev) => self.window().slab(prev).next.store(next, Relaxed),
            None => thread.list(class).set(next),
        }
        if let Some(next) = next.checked_sub(1) {
            self.window().slab(next).prev.store(prev, Relaxed);
        }
        slab.prev.store(0, Relaxed);
        slab.next.store(0, Relaxed);
        thread.leave_seat(slab.seat.swap(0, Relaxed));
    }

    /// Seats an owned slab; the one whose turn is over goes to the shelf.
    fn seat(&self, local: &Local, thread: &Thread, granule: u32, sparse: bool) {
        let (seat, displaced) = thread.take_seat(granule, sparse);
        self.window().slab(granule).seat.store(seat, Relaxed);
        if let Some(other) = displaced {
            let slab = self.window().slab(other);
            // Its seat is taken already.
            slab.seat.store(0, Relaxed);
            if let Some(class) = slab.class() {
                self.unlink(thread, class, other);
                self.shelve(local, class, other);
            }
        }
    }

    /// Puts a slab that is in no list, OWNED by the caller, on the shelf of its class; an empty one
    /// becomes a free granule.
    pub(crate) fn shelve(&self, local: &Local, class: Class, granule: u32) {
        let free = self.shelve_as(local.token(), class, granule);
        if free == class.capacity() {
            self.retire_shelved(local.token(), class, granule, 0);
            self.soiled(local, self.ground.dirty.load(Relaxed));
        } else {
            self.stir(local, free as usize * class.size());
        }
    }

    /// As [`Heap::shelve`], for any holder of a token. Returns the free blocks; all of them free
    /// does not make the slab leave.
    pub(crate) fn shelve_as(&self, token: Token, class: Class, granule: u32) -> u32 {
        let slab = self.window().slab(granule);
        slab.owner.store(0, Relaxed);
        let used = slab.used();
        slab.arm(used, false);
        let listed = class.capacity() - used;
        let shelf = self.shelf(class);
        let open = shelf.open(self.window(), token);
        slab.shelf_free.store(listed, Relaxed);
        let remote = slab.set_state(State::Owned, State::Shelved);
        open.append(granule);
        shelf.stirred.store(true, Relaxed);
        listed + remote.count()
    }

    pub(crate) fn shelf(&self, class: Class) -> &crate::shelf::Shelf {
        &self.shelves[class.number()]
    }

    /// Notes that a shelved slab has more to give back.
    fn stir(&self, local: &Local, bytes: usize) {
        self.tide.stir(bytes / PAGE);
        self.rouse(local);
    }

    /// Takes the fullest of the first slabs of the shelf into the thread's list.
    fn claim_shelved(&self, local: &Local, thread: &Thread, class: Class) -> bool {
        let shelf = self.shelf(class);
        if shelf.length() == 0 {
            return false;
        }
        let open = shelf.open(self.window(), local.token());
        while let Some(granule) = open.fullest() {
            let slab = self.window().slab(granule);
            open.remove(granule);
            if slab.shelf_free.load(Relaxed) + slab.remote().count() == 0
                && slab.abandon_full(State::Shelved, 0)
            {
                continue;
            }
            slab.set_state(State::Shelved, State::Owned);
            slab.owner.store(local.owner(), Relaxed);
            slab.arm(slab.used(), true);
            self.link(local, thread, class, granule);
            return true;
        }
        false
    }

    /// One block of `class` from the shelf, without the thread's lists: for threads that begin and
    /// threads that have ended.
    pub(crate) fn allocate_shared(&self, local: &Local, class: Class) -> Option<usize> {
        let shelf = self.shelf(class);
        loop {
            {
                let open = shelf.open(self.window(), local.token());
                while let Some(granule) = open.first() {
                    let slab = self.window().slab(granule);
                    let base = self.window().granule_base(granule);
                    if let Some(block) = slab.take_one(base) {
                        slab.shelf_free.store(class.capacity() - slab.used(), Relaxed);
                        return Some(block.address());
                    }
                    if slab.abandon_full(State::Shelved, 0) {
                        open.remove(granule);
                    }
                }
            }
            let granule = match self.new_granule(local) {
                Some(granule) => granule,
                None => {
                    self.ebb_now(local);
                    self.new_granule(local)?
                }
            };
            let slab = self.window().slab(granule);
            slab.take(class, 0);
            // Before others see it: a slab without a block in use has no place on a shelf.
            let block = slab.take_one(self.window().granule_base(granule));
            self.shelve_as(local.token(), class, granule);
            if let Some(block) = block {
                return Some(block.address());
            }
        }
    }

    /// free of a block of a slab that is not the thread's own, or of one that is and is first in its
    /// list already.
    ///
    /// # Safety
    /// 1. `address` was returned by this heap and not freed since.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn free_small(&self, local: &Local, granule: u32, address: usize) {
        let slab = self.window().slab(granule);
        if slab.owner.load(Relaxed) == local.owner() {
            // The thread is in a slow path of its own, and its slab's blocks may come back here.
            // SAFETY: the caller's (1).
            let block = unsafe { Block::at(address) };
            match slab.push(block) {
                Pushed::Quietly => {}
                Pushed::Due => self.handle_due(local, granule),
                Pushed::FirstAlready => stop(Fault::DoubleFree, address, slab.class()),
            }
            return;
        }
        let thread = self.thread_of(local);
        // SAFETY: the caller's (1).
        let block = unsafe { Block::at(address) };
        let Some(class) = slab.class() else {
            stop(Fault::DoubleFree, address, None)
        };
        if self.perturb() != 0 {
            // SAFETY: the block is no longer the program's (1).
            unsafe { fill(address, class.size(), self.perturb()) };
        }
        let alone = Parcel {
            granule,
            count: 1,
            first: block,
            last: block,
        };
        self.hand_over(local, thread, alone);
    }

    /// free of a block of another thread's slab: into the outbox. False, and nothing has changed, if it is no
    /// such block.
    ///
    /// # Safety
    /// 1. As [`Heap::free_small`]; the thread is in no slow path.
    #[allow(unsafe_code)]
    #[inline(always)]
    pub(crate) unsafe fn post(&self, local: &Local, address: usize) -> bool {
        let (Some(offset), Some(thread)) = (self.window().offset(address), local.thread()) else {
            return false;
        };
        let granule = Window::granule_of(offset);
        let slab = self.window().slab_at(offset);
        let owner = slab.owner.load(Relaxed);
        if owner == 0 || owner == local.owner() || thread.poised.get() || self.perturb() != 0 {
            return false;
        }
        // A slab with an owner has a class as long as one of its blocks is in use, as this one is (1).
        let Some(class) = slab.class() else { return false };
        // SAFETY: the caller's (1).
        match thread.outbox.put(granule, class, unsafe { Block::at(address) }) {
            Ok(None) => {}
            Ok(Some(parcel)) => {
                let _busy = local.enter();
                self.hand_over(local, Some(thread), parcel);
            }
            Err(AlreadyThere) => stop(Fault::DoubleFree, address, Some(class)),
        }
        true
    }

    /// Frees blocks of a slab that is not the thread's own.
    fn hand_over(&self, local: &Local, thread: Option<&Thread>, parcel: Parcel) {
        let granule = parcel.granule;
        let slab = self.window().slab(granule);
        let Some(class) = slab.class() else {
            stop(Fault::DoubleFree, parcel.first.address(), None)
        };
        let base = self.window().granule_base(granule);
        match slab.free_remotely(base, parcel.first, parcel.last, parcel.count) {
            Freed::Handed => {}
            Freed::Claimed => match thread {
                Some(thread) => {
                    slab.owner.store(local.owner(), Relaxed);
                    self.link(local, thread, class, granule);
                    self.seat(local, thread, granule, false);
                }
                // A thread that has ended keeps no slab.
                None => self.shelve(local, class, granule),
            },
            Freed::Shelved { free } => {
                let quarter = (class.capacity() / 4).max(1);
                if free >= class.capacity() {
                    self.retire_shelved(local.token(), class, granule, parcel.first.address());
                    self.soiled(local, self.ground.dirty.load(Relaxed));
                } else if free % quarter < parcel.count {
                    self.shelf(class).stirred.store(true, Relaxed);
                    self.stir(local, quarter as usize * class.size());
                }
            }
            Freed::Refused(_) => stop(Fault::DoubleFree, parcel.first.address(), Some(class)),
        }
    }

    /// Hands over everything in the thread's outbox.
    pub(crate) fn empty_outbox(&self, local: &Local, thread: &Thread) {
        while let Some(parcel) = thread.outbox.take() {
            self.hand_over(local, Some(thread), parcel);
        }
    }

    /// What the fast path calls when the countdown of an owned slab has run out.
    #[cold]
    #[inline(never)]
    pub(crate) fn fall_due(&self, local: &Local, granule: u32) {
        if local.is_busy() {
            // A signal handler in the middle of a slow path: the lists are not to be touched, and
            // the event comes round again when the slab is next used.
            let slab = self.window().slab(granule);
            slab.arm(slab.used(), false);
            return;
        }
        let _busy = local.enter();
        self.handle_due(local, granule);
    }

    /// [`Heap::fall_due`] of the slab that holds `address`.
    pub(crate) fn fall_due_at(&self, local: &Local, address: usize) {
        if let Some(offset) = self.window().offset(address) {
            self.fall_due(local, Window::granule_of(offset));
        }
    }

    fn handle_due(&self, local: &Local, granule: u32) {
        let slab = self.window().slab(granule);
        let Some(class) = slab.class() else { return };
        let (due, used) = slab.due();
        if due == Due::Overdrawn {
            stop(
                Fault::DoubleFree,
                slab.local.get().map_or(0, Block::address),
                Some(class),
            );
        }
        let Some(thread) = local.thread() else { return };
        if Thread::is_dry_seat(slab.seat.load(Relaxed)) {
            thread.leave_seat(slab.seat.swap(0, Relaxed));
            slab.arm(used, true);
            self.link(local, thread, class, granule);
            self.seat(local, thread, granule, false);
            return;
        }
        let only = slab.prev.load(Relaxed) == 0 && slab.next.load(Relaxed) == 0;
        match due {
            Due::Empty if only && self.touched_pages(slab, class) <= KEPT_PAGES => slab.arm(0, false),
            Due::Empty => {
                self.unlink(thread, class, granule);
                slab.release();
                self.soiled(local, self.ground.return_granule(granule));
                self.follow_suit(local, class);
            }
            Due::Sparse => {
                slab.arm(used, false);
                // The slab that blocks are being taken from stays.
                if slab.prev.load(Relaxed) != 0 && !Thread::is_sparse_seat(slab.seat.load(Relaxed)) {
                    thread.leave_seat(slab.seat.swap(0, Relaxed));
                    self.seat(local, thread, granule, true);
                }
                self.follow_suit(local, class);
            }
            Due::Overdrawn => {}
        }
    }

    fn touched_pages(&self, slab: &Slab, class: Class) -> u32 {
        // A block larger than a page touches pages on which no block starts.
        let spans = class.size().div_ceil(PAGE) as u32;
        (PAGES_PER_GRANULE as u32 - slab.fresh().count_ones())
            .saturating_mul(spans)
            .min(PAGES_PER_GRANULE as u32)
    }

    /// Makes a shelved slab without a block in use a free granule, if it still is one.
    /// `freed` is the block that was freed last, for the message if there are more free blocks than
    /// there can be.
    pub(crate) fn retire_shelved(&self, token: Token, class: Class, granule: u32, freed: usize) {
        let slab = self.window().slab(granule);
        {
            let open = self.shelf(class).open(self.window(), token);
            // Under the shelf's lock a slab of this class that says SHELVED stays so; one that was
            // taken meanwhile, and perhaps put on another class's shelf, says something else.
            let remote = slab.remote();
            if !remote.is_shelved(class) {
                return;
            }
            let free = slab.shelf_free.load(Relaxed) + remote.count();
            if free > class.capacity() {
                stop(Fault::DoubleFree, freed, Some(class));
            }
            if free < class.capacity() {
                return;
            }
            open.remove(granule);
            slab.set_state(State::Shelved, State::Owned);
        }
        slab.forget_remote();
        slab.release();
        self.ground.return_granule(granule);
    }

    /// Gives back everything a finishing thread has: the blocks in its hand, then its slabs.
    pub(crate) fn surrender(&self, local: &Local, thread: &Thread) {
        self.empty_hand(local);
        self.empty_pocket(local, thread);
        // Last of the three, for the hand's blocks may be other threads'. It may claim slabs.
        self.empty_outbox(local, thread);
        for class in Class::all() {
            while let Some(granule) = thread.list(class).get().checked_sub(1) {
                self.unlink(thread, class, granule);
                self.let_go(local, granule);
            }
        }
        while let Some(granule) = thread.oldest_dry(true) {
            self.window().slab(granule).seat.store(0, Relaxed);
            self.let_go(local, granule);
        }
    }
}
