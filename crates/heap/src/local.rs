//! [`Local`]: the block of thread-local storage the fast paths use, and [`Thread`], the rest of what
//! a thread has.
//!
//! Owns what only one thread touches. All zeros is a thread that has not used the heap; then it has
//! a [`Thread`]; when it ends it is dead, and every later call (from a destructor that runs after
//! ours) is served by the shelves. `Local`'s address names the thread as the owner of slabs.

#![allow(unsafe_code)]

use crate::block::Block;
use crate::class::{COUNT, Class, PLACES};
use crate::fork::Fork;
use crate::outbox::Outbox;
use crate::pocket::Pocket;
use crate::sync::{AtomicUsize, Token};
use core::cell::Cell;

/// Slabs claimed by freeing that a thread keeps to itself at most. What an idle thread pins is
/// bounded by this.
pub(crate) const SEATS: usize = 1024;
/// Of those, slabs with a quarter of their blocks in use or fewer: kept back a little because a slab that
/// empties fast is soon empty, and an owner's frees are the cheapest.
pub(crate) const SPARSE_SEATS: usize = 8;
/// Exhausted slabs that stay with the thread that emptied them, waiting for the first of their blocks
/// to come back, at most.
pub(crate) const DRY_SEATS: usize = 16;

/// One class's list in a thread's hand, and the room there (see `crate::hand`).
pub(crate) type Place<'a> = (&'a Cell<Option<Block>>, &'a Cell<u8>);

/// Thread-local storage of the heap: the first thing malloc touches. At most 640 bytes, so that
/// libneap.so can be loaded by dlopen(3) too.
#[repr(C, align(64))]
pub struct Local {
    /// Blocks ready to hand out, by [`Class::place`]. Place 0, that of malloc(0), stays empty.
    heads: [Cell<Option<Block>>; PLACES],
    /// 0: new; [`DEAD`]: finished; otherwise the address of the [`Thread`].
    thread: Cell<usize>,
    /// Bits that no slab's owner has if it is this thread or nobody: the complement of this block's
    /// address; 0 as long as the thread has no record.
    pub(crate) strange: Cell<usize>,
    fork: Fork,
    /// How many more blocks the hand takes at each place (see `crate::hand`).
    rooms: [Cell<u8>; PLACES],
    /// Set while this thread is inside a slow path: a signal handler must not enter it again.
    busy: Cell<bool>,
}

const _: () = assert!(size_of::<Local>() <= 640);
const DEAD: usize = 1;

/// What a thread has beyond [`Local`]. Lives in the heap's record memory, used again by later
/// threads.
#[repr(C, align(64))]
pub(crate) struct Thread {
    /// First owned slab of each class: granule + 1, or 0.
    lists: [Cell<u32>; COUNT],
    /// Claimed slabs in the order of their coming: granule + 1, or 0.
    seats: [Cell<u32>; SEATS + SPARSE_SEATS + DRY_SEATS],
    cursors: [Cell<u32>; 2],
    /// The dry seats are a queue: positions of its first and of the one after its last.
    dry: [Cell<u32>; 2],
    /// Blocks this thread took from the shelves of each class before it gets slabs of its own.
    served: [Cell<u8>; COUNT],
    /// Runs of pages freed and not put down yet.
    pub(crate) pocket: Pocket,
    /// Blocks of other threads' slabs, not handed over yet.
    pub(crate) outbox: Outbox,
    /// The thread's hand is kept empty so that every malloc looks at the clock (see `crate::helper`).
    pub(crate) poised: Cell<bool>,
    /// The `Local` of the thread that has this record, or 0, and the next of all records (see
    /// `crate::registry`).
    pub(crate) user: AtomicUsize,
    pub(crate) next: AtomicUsize,
    /// Slow paths until the clock is looked at.
    pub(crate) until_tick: Cell<u32>,
}

/// In a slow path: ends when dropped.
pub(crate) struct Busy<'a>(&'a Local);

impl Drop for Busy<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.busy.set(false);
    }
}

impl Default for Local {
    fn default() -> Local {
        Local::new()
    }
}

impl Local {
    /// Where the hand is, for `crate::fast`.
    pub(crate) const HEADS: usize = core::mem::offset_of!(Local, heads);
    pub(crate) const ROOMS: usize = core::mem::offset_of!(Local, rooms);

    /// A thread that has not used the heap.
    #[must_use]
    pub const fn new() -> Local {
        Local {
            heads: [const { Cell::new(None) }; PLACES],
            thread: Cell::new(0),
            strange: Cell::new(0),
            fork: Fork::new(),
            rooms: [const { Cell::new(0) }; PLACES],
            busy: Cell::new(false),
        }
    }

    /// Place `n` of the hand: the list of ready blocks, and the room there.
    #[inline(always)]
    pub(crate) fn place(&self, n: usize) -> Option<Place<'_>> {
        Some((self.heads.get(n)?, self.rooms.get(n)?))
    }

    /// The hand's place for `class`.
    #[inline]
    pub(crate) fn place_for(&self, class: Class) -> Place<'_> {
        let n = class.place();
        (&self.heads[n], &self.rooms[n])
    }

    /// The name by which slabs know their owner.
    #[inline(always)]
    pub(crate) fn owner(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// The name by which locks know their holder.
    pub(crate) fn token(&self) -> Token {
        Token::of_address(self.owner())
    }

    /// The thread's record, if it has one.
    #[inline]
    pub(crate) fn thread(&self) -> Option<&Thread> {
        let address = self.thread.get();
        if address <= DEAD {
            return None;
        }
        // SAFETY: `set_thread` was given a record that lives as long as the heap and that no other
        // thread uses until `retire`.
        Some(unsafe { &*core::ptr::with_exposed_provenance::<Thread>(address) })
    }

    /// Whether the thread has not used the heap yet.
    pub(crate) fn is_new(&self) -> bool {
        self.thread.get() == 0
    }

    /// Gives the thread its record.
    ///
    /// # Safety
    /// 1. `address` is that of a `Thread`, mapped for the heap's life, and nobody else's.
    pub(crate) unsafe fn set_thread(&self, address: usize) {
        debug_assert!(address > DEAD && address.is_multiple_of(64));
        self.thread.set(address);
        self.strange.set(!self.owner());
    }

    /// Marks the thread as finished and returns its record's address.
    pub(crate) fn retire(&self) -> usize {
        self.strange.set(0);
        self.thread.replace(DEAD)
    }

    /// The thread's part in a fork.
    pub(crate) fn fork(&self) -> &Fork {
        &self.fork
    }

    /// Whether a slow path of this thread is under way: true only in a signal handler.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.get()
    }

    /// Enters a slow path.
    #[inline]
    pub(crate) fn enter(&self) -> Busy<'_> {
        debug_assert!(!self.busy.get());
        self.busy.set(true);
        Busy(self)
    }
}

impl Thread {
    /// The first owned slab of `class`: granule + 1, or 0.
    #[inline]
    pub(crate) fn list(&self, class: Class) -> &Cell<u32> {
        &self.lists[class.number()]
    }

    /// The count of blocks of `class` served by the shelves.
    #[inline]
    pub(crate) fn served(&self, class: Class) -> &Cell<u8> {
        &self.served[class.number()]
    }

    /// Forgets how many blocks the shelves served: the record goes to a new thread.
    pub(crate) fn reset(&self) {
        for served in &self.served {
            served.set(0);
        }
        debug_assert!(self.lists.iter().all(|l| l.get() == 0) && self.seats.iter().all(|s| s.get() == 0));
    }

    /// Gives the exhausted slab `granule` a place at the end of the dry queue. Returns the seat's
    /// number + 1, and the slab whose turn to go it is.
    pub(crate) fn queue_dry(&self, granule: u32) -> (u32, Option<u32>) {
        let waiting = self.dry[1].get().wrapping_sub(self.dry[0].get());
        let displaced = if waiting as usize >= DRY_SEATS {
            self.oldest_dry(true)
        } else {
            None
        };
        let end = self.dry[1].get();
        self.dry[1].set(end.wrapping_add(1));
        let seat = SEATS + SPARSE_SEATS + end as usize % DRY_SEATS;
        debug_assert!(self.seats[seat].get() == 0);
        self.seats[seat].set(granule + 1);
        (seat as u32 + 1, displaced)
    }

    /// The slab that has been dry for longest; `take` takes it out of the queue.
    pub(crate) fn oldest_dry(&self, take: bool) -> Option<u32> {
        while self.dry[0].get() != self.dry[1].get() {
            let first = self.dry[0].get();
            let seat = &self.seats[SEATS + SPARSE_SEATS + first as usize % DRY_SEATS];
            let granule = seat.get().checked_sub(1);
            if take || granule.is_none() {
                seat.set(0);
                self.dry[0].set(first.wrapping_add(1));
            }
            if granule.is_some() {
                return granule;
            }
        }
        None
    }

    /// Gives the slab `granule` a seat among the claimed or the sparse ones. Returns the seat's
    /// number + 1, for the slab to keep, and the slab that had it, which must go.
    pub(crate) fn take_seat(&self, granule: u32, sparse: bool) -> (u32, Option<u32>) {
        let (first, count, cursor) = if sparse {
            (SEATS, SPARSE_SEATS, &self.cursors[1])
        } else {
            (0, SEATS, &self.cursors[0])
        };
        let turn = cursor.get();
        cursor.set(turn.wrapping_add(1));
        let seat = first + turn as usize % count;
        let before = self.seats[seat].replace(granule + 1);
        (seat as u32 + 1, before.checked_sub(1))
    }

    /// Empties the seat `number` (as returned by `take_seat`; 0 for none).
    pub(crate) fn leave_seat(&self, number: u32) {
        if let Some(seat) = (number as usize).checked_sub(1).and_then(|n| self.seats.get(n)) {
            seat.set(0);
        }
    }

    /// The slabs that have a seat, with the seats' numbers.
    #[cfg(any(test, feature = "verify"))]
    pub(crate) fn seated(&self) -> impl Iterator<Item = (u32, u32)> {
        let numbered = self.seats.iter().zip(1u32..);
        numbered.filter_map(|(seat, number)| Some((number, seat.get().checked_sub(1)?)))
    }

    /// Whether seat `number` is one of the sparse ones.
    pub(crate) fn is_sparse_seat(number: u32) -> bool {
        number as usize > SEATS && number as usize <= SEATS + SPARSE_SEATS
    }

    /// Whether seat `number` is a place in the dry queue.
    pub(crate) fn is_dry_seat(number: u32) -> bool {
        number as usize > SEATS + SPARSE_SEATS
    }
}
