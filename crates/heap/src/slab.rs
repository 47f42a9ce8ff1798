//! [`Slab`]: the record of one granule that holds blocks of one class.
//!
//! Owns the counts and lists of a slab and the word by which threads hand blocks to each other.
//! Records lie out of band, 128 bytes for each granule of the window, two cache lines: the first
//! is the owner's, the second everybody's. A record is never unmapped, so a late reader is safe.
//!
//! States, kept in the [`Remote`] word:
//! ```text
//!           take          exhausted                first free, by anyone
//!   NONE ---------> OWNED ----------> FULL --------------------------------> OWNED (by the freer)
//!    ^               |  ^
//!    | all free      |  | claim (under the shelf's lock)
//!    +---------------+  +------------- SHELVED <---- publish (under the shelf's lock)
//! ```
//! OWNED: the thread in `owner` alone uses the first cache line; `owner` 0 means the give-back pass.
//! FULL: no free block; nobody uses the first line. SHELVED: the shelf's lock protects it.
//! In every state any thread may push a block on the remote list.
//!
//! Identity, whenever the first line is at rest: `used + |local| + unlisted == capacity`, where
//! `used` counts the program's blocks, those in threads' hands, and the remote list.

#![allow(unsafe_code)]

use crate::block::{Block, ListHead};
use crate::class::Class;
use crate::layout::{GRANULE, PAGES_PER_GRANULE};
use crate::stop::{Fault, stop};
use crate::sync::{AcqRel, Acquire, AtomicU32, AtomicU64, AtomicUsize, Relaxed, Release};

/// What a granule is, as far as slabs go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Not a slab.
    None = 0,
    /// One thread's.
    Owned = 1,
    /// Nobody's, without a free block.
    Full = 2,
    /// Nobody's, on the shelf of its class.
    Shelved = 3,
    /// Under the checking mode's rules (`crate::check`).
    Checked = 4,
}

/// The word shared by all threads: list of remotely freed blocks, their count, the state, the class. That
/// a slab lies on the shelf of a class is told by this one word: two words could be of two lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remote(u64);

impl Remote {
    const fn new(state: State, class: Class) -> Remote {
        Remote((state as u64) << 32 | (class.number() as u64) << 40)
    }
    pub(crate) const fn state(self) -> State {
        match self.0 >> 32 & 0xff {
            1 => State::Owned,
            2 => State::Full,
            3 => State::Shelved,
            4 => State::Checked,
            _ => State::None,
        }
    }
    pub(crate) const fn count(self) -> u32 {
        (self.0 >> 16 & 0xffff) as u32
    }
    const fn with_state(self, state: State) -> Remote {
        Remote(self.0 & !(0xff << 32) | (state as u64) << 32)
    }
    /// The same slab without a remote list.
    const fn emptied(self) -> Remote {
        Remote(self.0 & !0xffff_ffff)
    }
    /// Whether the slab lies on the shelf of `class`.
    pub(crate) const fn is_shelved(self, class: Class) -> bool {
        self.0 >> 32 == Remote::new(State::Shelved, class).0 >> 32
    }
    /// The first remote block of the slab at `base`.
    pub(crate) fn head(self, base: usize) -> Option<Block> {
        let unit = (self.0 & 0xffff) as usize;
        if unit == 0 {
            return None;
        }
        // SAFETY: `push` put the offset of a free block of this slab there (1, 2).
        Some(unsafe { Block::at(base + (unit - 1) * 16) })
    }
    fn pushed(self, base: usize, first: Block, count: u32) -> Remote {
        let unit = ((first.address() - base) / 16 + 1) as u64;
        Remote(self.0 & !0xffff & !0xffff_0000 | u64::from(self.count() + count) << 16 | unit)
    }
}

/// The record of one granule.
#[repr(C, align(128))]
pub(crate) struct Slab {
    /// Address of the owning thread's `Local`, or 0.
    pub(crate) owner: AtomicUsize,
    /// Free blocks, the owner's.
    pub(crate) local: ListHead,
    /// Frees left until something is due.
    need: AtomicU32,
    /// What `need` was when set.
    armed: AtomicU32,
    /// Blocks in use when `need` was set.
    used: AtomicU32,
    /// Pages whose blocks are neither handed out nor listed: never touched, or given back.
    fresh: AtomicU32,
    /// Blocks that start on those pages.
    unlisted: AtomicU32,
    /// The class's place in a hand (its number + 1), always below `PLACES`; 0 when not a slab.
    class: AtomicU32,
    /// The owner's seat for this slab + 1 (see `crate::local`), or 0.
    pub(crate) seat: AtomicU32,
    /// Neighbours in the owner's or the shelf's list: granule number + 1, or 0.
    pub(crate) next: AtomicU32,
    pub(crate) prev: AtomicU32,
    _line: [u32; 3],
    remote: AtomicU64,
    /// While SHELVED: free blocks, the remote list not counted.
    pub(crate) shelf_free: AtomicU32,
    /// While SHELVED: free blocks at the last give-back pass, and at the last sweep.
    pub(crate) seen_free: AtomicU32,
    pub(crate) swept_free: AtomicU32,
}

const _: () = assert!(size_of::<Slab>() == 128);
const _: () = assert!(core::mem::offset_of!(Slab, remote) == 64);
/// Readers outside know where these are.
const _: () = {
    use core::mem::offset_of;
    use neap_abi::anatomy::slab;
    assert!(size_of::<Slab>() == slab::BYTES && offset_of!(Slab, owner) == slab::OWNER);
    assert!(offset_of!(Slab, local) == slab::LIST && offset_of!(Slab, need) == slab::NEED);
    assert!(offset_of!(Slab, armed) == slab::ARMED && offset_of!(Slab, used) == slab::USED);
    assert!(offset_of!(Slab, fresh) == slab::FRESH && offset_of!(Slab, unlisted) == slab::UNLISTED);
    assert!(offset_of!(Slab, class) == slab::CLASS && offset_of!(Slab, remote) == slab::REMOTE);
    assert!(State::None as u8 == slab::NONE && State::Owned as u8 == slab::OWNED);
    assert!(State::Full as u8 == slab::FULL && State::Shelved as u8 == slab::SHELVED);
    assert!(State::Checked as u8 == slab::CHECKED);
};
const ALL_FRESH: u32 = (1 << PAGES_PER_GRANULE) - 1;

/// What is due when the countdown of a slab has run out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// No block is in use any more.
    Empty,
    /// A quarter of the blocks or fewer are in use.
    Sparse,
    /// More blocks were freed than were in use: a double free.
    Overdrawn,
}

/// What became of a block that its slab's owner freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pushed {
    /// It is on the local list.
    Quietly,
    /// It is, and the countdown has run out.
    Due,
    /// It was the first of the list already; nothing changed.
    FirstAlready,
}

/// What became of a block that was freed by a thread that does not own its slab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Freed {
    /// On the remote list of an owned slab.
    Handed,
    /// On the remote list of a shelved slab, which has about `free` free blocks now: the two numbers
    /// that make the sum are read one after the other.
    Shelved { free: u32 },
    /// The slab was full: it is OWNED now, by nobody yet, with this block in its local list.
    Claimed,
    /// Not possible: the slab has this state, or more free blocks than it can have.
    Refused(State),
}

impl Slab {
    /// Where `need` and `class` are, for `crate::fast`.
    pub(crate) const NEED: usize = core::mem::offset_of!(Slab, need);
    pub(crate) const PLACE: usize = core::mem::offset_of!(Slab, class);

    /// The slab's class, if the granule is a slab.
    #[inline]
    pub(crate) fn class(&self) -> Option<Class> {
        (self.class.load(Relaxed) as usize)
            .checked_sub(1)
            .and_then(Class::from_number)
    }

    /// The class's place in a hand; 0 when not a slab.
    #[inline(always)]
    pub(crate) fn place(&self) -> usize {
        self.class.load(Relaxed) as usize
    }

    /// The remote word, for reading.
    #[inline]
    pub(crate) fn remote(&self) -> Remote {
        Remote(self.remote.load(Acquire))
    }

    /// Makes a free granule an owned slab without any listed block.
    pub(crate) fn take(&self, class: Class, owner: usize) {
        debug_assert!(self.remote().state() == State::None);
        self.local.set(None);
        self.used.store(0, Relaxed);
        self.fresh.store(ALL_FRESH, Relaxed);
        self.unlisted.store(class.capacity(), Relaxed);
        self.class.store(class.place() as u32, Relaxed);
        self.seat.store(0, Relaxed);
        self.next.store(0, Relaxed);
        self.prev.store(0, Relaxed);
        self.seen_free.store(0, Relaxed);
        self.swept_free.store(0, Relaxed);
        self.disarm();
        self.owner.store(owner, Relaxed);
        self.remote.store(Remote::new(State::Owned, class).0, Release);
    }

    /// Makes a slab in checking mode. Its blocks are recorded elsewhere.
    pub(crate) fn take_checked(&self, class: Class) {
        self.take(class, 0);
        self.remote.store(Remote::new(State::Checked, class).0, Release);
    }

    /// Makes an empty slab a free granule again. The caller owns it.
    pub(crate) fn release(&self) {
        debug_assert!(self.used() == 0 && self.remote().count() == 0);
        self.owner.store(0, Relaxed);
        self.local.set(None);
        self.class.store(0, Relaxed);
        self.remote.store(0, Release);
    }

    /// Blocks in use now: the countdown taken into account.
    #[inline]
    pub(crate) fn used(&self) -> u32 {
        let freed = self.armed.load(Relaxed).wrapping_sub(self.need.load(Relaxed));
        self.used.load(Relaxed).wrapping_sub(freed)
    }

    /// Blocks on pages that are not in any list.
    pub(crate) fn unlisted(&self) -> u32 {
        self.unlisted.load(Relaxed)
    }

    fn disarm(&self) {
        self.need.store(0, Relaxed);
        self.armed.store(0, Relaxed);
    }

    /// Fixes the count of blocks in use at `used` and sets the countdown to the next event: `Sparse`, if
    /// that is wanted and still ahead, else `Empty`.
    pub(crate) fn arm(&self, used: u32, sparse: bool) {
        let capacity = self.class().map_or(0, Class::capacity);
        debug_assert!(used <= capacity);
        self.used.store(used, Relaxed);
        let need = if sparse && used > capacity / 4 {
            used - capacity / 4
        } else {
            used
        };
        self.need.store(need, Relaxed);
        self.armed.store(need, Relaxed);
    }

    /// For an exhausted slab that stays with its owner: the next event comes with the first few
    /// blocks that are freed, more of them for small blocks.
    pub(crate) fn arm_dry(&self) {
        let capacity = self.class().map_or(0, Class::capacity);
        self.used.store(capacity, Relaxed);
        let need = (capacity / 64).clamp(1, 8);
        self.need.store(need, Relaxed);
        self.armed.store(need, Relaxed);
    }

    /// Says what is due after the countdown ran out, with the blocks in use.
    pub(crate) fn due(&self) -> (Due, u32) {
        let used = self.used();
        let capacity = self.class().map_or(0, Class::capacity);
        if used > capacity {
            (Due::Overdrawn, used)
        } else if used == 0 {
            (Due::Empty, 0)
        } else {
            (Due::Sparse, used)
        }
    }

    /// Puts a freed block on the local list. The caller owns the slab.
    #[inline(always)]
    pub(crate) fn push(&self, block: Block) -> Pushed {
        let first = self.local.get();
        if first == Some(block) {
            return Pushed::FirstAlready;
        }
        block.set_next(first);
        self.local.set(Some(block));
        let need = self.need.load(Relaxed);
        self.need.store(need.wrapping_sub(1), Relaxed);
        // 0 means that no block was in use: more came back than were handed out.
        if need <= 1 { Pushed::Due } else { Pushed::Quietly }
    }

    /// Takes the whole local list for handing out. The blocks count as used from now on.
    #[inline]
    pub(crate) fn detach(&self) -> Option<Block> {
        let first = self.local.take()?;
        let used = self.class().map_or(0, Class::capacity) - self.unlisted.load(Relaxed);
        self.arm(used, true);
        Some(first)
    }

    /// Takes one block for handing out. The caller owns the slab or its shelf.
    pub(crate) fn take_one(&self, base: usize) -> Option<Block> {
        if self.local.get().is_none() && !self.drain(base) {
            let before = self.used();
            let run = self.carve(base)?;
            self.local.set(Some(run));
            self.arm(before, true);
        }
        let block = self.local.get()?;
        let used = self.used();
        self.local.set(block.next());
        self.arm(used + 1, true);
        Some(block)
    }

    /// Links the blocks of the lowest fresh page of the slab at `base`, which then count as used.
    pub(crate) fn carve(&self, base: usize) -> Option<Block> {
        let class = self.class()?;
        let used = self.used();
        loop {
            let fresh = self.fresh.load(Relaxed);
            if fresh == 0 {
                return None;
            }
            let page = fresh.trailing_zeros() as usize;
            self.fresh.store(fresh & (fresh - 1), Relaxed);
            let (first, end) = class.blocks_on_page(page);
            if first == end {
                continue;
            }
            self.unlisted
                .store(self.unlisted.load(Relaxed) - (end - first), Relaxed);
            self.arm(used + (end - first), true);
            return Some(link_up(base, class.size(), first, end));
        }
    }

    /// Moves the remote list to the local one. The caller owns the slab. True if there was one.
    pub(crate) fn drain(&self, base: usize) -> bool {
        if self.remote().count() == 0 {
            return false;
        }
        let mut old = self.remote();
        loop {
            match self
                .remote
                .compare_exchange_weak(old.0, old.emptied().0, AcqRel, Acquire)
            {
                Ok(_) => break,
                Err(now) => old = Remote(now),
            }
        }
        let used = self.used();
        let head = old.head(base);
        // The walk to the end is needed only when there is something to hang on to it.
        if let (Some(local), Some(first)) = (self.local.get(), head) {
            let Some(last) = last_of(first, old.count()) else {
                stop(Fault::DoubleFree, first.address(), self.class())
            };
            last.set_next(Some(local));
        }
        self.local.set(head);
        self.arm(used.wrapping_sub(old.count()), true);
        true
    }

    /// Empties the remote list of an owned slab of which every block is free, without a look at the blocks:
    /// nobody can push another.
    pub(crate) fn forget_remote(&self) {
        debug_assert!(self.remote().state() == State::Owned && self.used() == self.remote().count());
        self.remote.store(self.remote().emptied().0, Relaxed);
        self.arm(0, false);
    }

    /// Gives up an exhausted slab: OWNED or SHELVED (`from`) without any free block becomes FULL.
    /// False, and the slab stays as it was, of owner `owner`, when a block has come back meanwhile.
    pub(crate) fn abandon_full(&self, from: State, owner: usize) -> bool {
        debug_assert!(self.local.get().is_none() && self.unlisted.load(Relaxed) == 0);
        self.disarm();
        self.used.store(self.class().map_or(0, Class::capacity), Relaxed);
        // Cleared first: once the word says FULL another thread may write its own name.
        self.owner.store(0, Relaxed);
        let before = self.remote().emptied().with_state(from);
        if self
            .remote
            .compare_exchange(before.0, before.with_state(State::Full).0, AcqRel, Relaxed)
            .is_ok()
        {
            return true;
        }
        self.owner.store(owner, Relaxed);
        false
    }

    /// Changes OWNED to SHELVED or back, keeping the remote list. The shelf's lock is held.
    pub(crate) fn set_state(&self, from: State, to: State) -> Remote {
        let mut old = self.remote();
        loop {
            debug_assert!(old.state() == from);
            match self
                .remote
                .compare_exchange_weak(old.0, old.with_state(to).0, AcqRel, Acquire)
            {
                Ok(_) => return old.with_state(to),
                Err(now) => old = Remote(now),
            }
        }
    }

    /// Frees `count` blocks of the slab at `base`, a list from `first` to `last`, from a thread that does not
    /// own it, without a lock.
    pub(crate) fn free_remotely(&self, base: usize, first: Block, last: Block, count: u32) -> Freed {
        let mut old = self.remote();
        loop {
            let capacity = self.class().map_or(0, Class::capacity);
            let new = match old.state() {
                State::None | State::Checked => return Freed::Refused(old.state()),
                State::Full => old.with_state(State::Owned),
                State::Owned | State::Shelved => {
                    if old.count() + count > capacity {
                        return Freed::Refused(old.state());
                    }
                    last.set_next(old.head(base));
                    old.pushed(base, first, count)
                }
            };
            match self.remote.compare_exchange_weak(old.0, new.0, AcqRel, Acquire) {
                Err(now) => old = Remote(now),
                Ok(_) => match old.state() {
                    State::Full => {
                        last.set_next(None);
                        self.local.set(Some(first));
                        self.arm(capacity - count, true);
                        return Freed::Claimed;
                    }
                    State::Shelved => {
                        return Freed::Shelved {
                            free: self.shelf_free.load(Relaxed) + new.count(),
                        };
                    }
                    _ => return Freed::Handed,
                },
            }
        }
    }

    /// Rebuilds the local list from a map of free blocks and marks `holes` (pages without a live
    /// byte) as fresh. The caller owns the slab and has drained it. The pages are still to be
    /// given back; whoever carves them finds whatever the kernel left there, which is no matter.
    pub(crate) fn relist(&self, base: usize, free: &impl Fn(u32) -> bool, holes: u32) {
        let Some(class) = self.class() else { return };
        let size = class.size();
        let used = self.used();
        let mut head = None;
        let mut unlisted = 0;
        for page in (0..PAGES_PER_GRANULE).rev() {
            let (first, end) = class.blocks_on_page(page);
            if holes >> page & 1 == 1 {
                unlisted += end - first;
                continue;
            }
            for n in (first..end).rev().filter(|n| free(*n)) {
                // SAFETY: block n of the slab at `base` is free (1, 2), as the caller's map says.
                let block = unsafe { Block::at(base + n as usize * size) };
                block.set_next(head);
                head = Some(block);
            }
        }
        self.local.set(head);
        self.fresh.store(holes, Relaxed);
        self.unlisted.store(unlisted, Relaxed);
        self.arm(used, true);
    }

    /// The pages of the slab whose blocks are in no list.
    pub(crate) fn fresh(&self) -> u32 {
        self.fresh.load(Relaxed)
    }
}

/// The last block of a list of `count` blocks; `None` if there are more or fewer, as when one of them was
/// freed twice: then the list may be a ring.
fn last_of(first: Block, count: u32) -> Option<Block> {
    let mut last = first;
    for _ in 1..count {
        last = last.next()?;
    }
    last.next().is_none().then_some(last)
}

/// Links blocks `first..end` of `size` bytes of the slab at `base`, lowest first.
fn link_up(base: usize, size: usize, first: u32, end: u32) -> Block {
    debug_assert!(first < end && end as usize * size <= GRANULE);
    let at = |n: u32| {
        // SAFETY: blocks of a fresh page are mapped, 16-byte aligned (sizes are multiples of 16),
        // and nobody's until handed out (1, 2).
        unsafe { Block::at(base + n as usize * size) }
    };
    let mut n = end - 1;
    let mut block = at(n);
    block.set_next(None);
    while n > first {
        n -= 1;
        let before = at(n);
        before.set_next(Some(block));
        block = before;
    }
    block
}
