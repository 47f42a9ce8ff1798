//! [`Shelf`]: the slabs of one class that nobody owns and that have free blocks.
//!
//! Owns the list of them and the lock under which a slab enters or leaves it. First in, first out,
//! so that the give-back pass can look at every slab once by turning the list round. Frees into a
//! shelved slab need no lock (`crate::slab`).

use crate::sync::{AtomicBool, AtomicU32, Held, Lock, Relaxed, Token};
use crate::window::Window;

/// How many slabs a claim looks at before it takes the fullest of them.
const PROBES: usize = 4;

pub(crate) struct Shelf {
    pub(crate) lock: Lock,
    /// Granule number + 1, or 0.
    first: AtomicU32,
    last: AtomicU32,
    length: AtomicU32,
    /// Something happened here since the give-back pass last turned the list.
    pub(crate) stirred: AtomicBool,
}

/// The shelf with its lock held.
pub(crate) struct Open<'a> {
    shelf: &'a Shelf,
    window: &'a Window,
    _held: Held<'a>,
}

impl Shelf {
    pub(crate) const fn new() -> Shelf {
        Shelf {
            lock: Lock::new(),
            first: AtomicU32::new(0),
            last: AtomicU32::new(0),
            length: AtomicU32::new(0),
            stirred: AtomicBool::new(false),
        }
    }

    pub(crate) fn open<'a>(&'a self, window: &'a Window, token: Token) -> Open<'a> {
        Open {
            shelf: self,
            window,
            _held: self.lock.lock(token),
        }
    }

    /// How many slabs lie here; may be out of date at once.
    pub(crate) fn length(&self) -> u32 {
        self.length.load(Relaxed)
    }
}

impl Open<'_> {
    /// The first slab's granule.
    pub(crate) fn first(&self) -> Option<u32> {
        self.shelf.first.load(Relaxed).checked_sub(1)
    }

    /// The last slab's granule.
    #[cfg(any(test, feature = "verify"))]
    pub(crate) fn last(&self) -> Option<u32> {
        self.shelf.last.load(Relaxed).checked_sub(1)
    }

    /// The slab after `granule`.
    pub(crate) fn after(&self, granule: u32) -> Option<u32> {
        self.window.slab(granule).next.load(Relaxed).checked_sub(1)
    }

    /// Puts `granule` at the end.
    pub(crate) fn append(&self, granule: u32) {
        let slab = self.window.slab(granule);
        let last = self.shelf.last.load(Relaxed);
        slab.prev.store(last, Relaxed);
        slab.next.store(0, Relaxed);
        match last.checked_sub(1) {
            Some(last) => self.window.slab(last).next.store(granule + 1, Relaxed),
            None => self.shelf.first.store(granule + 1, Relaxed),
        }
        self.shelf.last.store(granule + 1, Relaxed);
        self.shelf.length.fetch_add(1, Relaxed);
    }

    /// Takes `granule` off.
    pub(crate) fn remove(&self, granule: u32) {
        let slab = self.window.slab(granule);
        let (prev, next) = (slab.prev.load(Relaxed), slab.next.load(Relaxed));
        match prev.checked_sub(1) {
            Some(prev) => self.window.slab(prev).next.store(next, Relaxed),
            None => self.shelf.first.store(next, Relaxed),
        }
        match next.checked_sub(1) {
            Some(next) => self.window.slab(next).prev.store(prev, Relaxed),
            None => self.shelf.last.store(prev, Relaxed),
        }
        slab.prev.store(0, Relaxed);
        slab.next.store(0, Relaxed);
        self.shelf.length.fetch_sub(1, Relaxed);
    }

    /// The fullest of the first few slabs: filling what is nearly full lets the others empty.
    pub(crate) fn fullest(&self) -> Option<u32> {
        let mut best: Option<(u32, u32)> = None;
        let mut at = self.first();
        for _ in 0..PROBES {
            let Some(granule) = at else { break };
            let slab = self.window.slab(granule);
            let free = slab.shelf_free.load(Relaxed) + slab.remote().count();
            if best.is_none_or(|(_, least)| free < least) {
                best = Some((granule, free));
            }
            at = self.after(granule);
        }
        best.map(|(granule, _)| granule)
    }
}
