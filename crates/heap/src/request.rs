//! Requests: allocate, free, resize, measure.
//!
//! Owns the operations malloc(3) needs. Each takes the calling thread's [`Local`]. The paths for blocks of slabs are in
//! `crate::small`, those of larger ones in `crate::large`; this file decides between them. A result
//! of `None` means out of memory; errno is the business of the caller.
//!
//! Signals: a handler that interrupted a slow path of its own thread is served without locks and
//! without touching the thread's lists (`Local::is_busy`): malloc by a mapping of its own, free by a
//! queue that the next slow path empties. The fast paths do not look: a handler that interrupts one, or a
//! slow path with blocks in its hand, may still get or lose a block, as POSIX lets it.

#![allow(unsafe_code)]

use crate::block::Block;
use crate::bytes::{copy, fill};
use crate::class::{self, Class};
use crate::ground::NotAPiece;
use crate::hand::{self, Catch};
use crate::heap::{Heap, REQUEST_MAX};
use crate::layout::{GRANULE, PAGE};
use crate::local::Local;
use crate::options::Setting;
use crate::slab::{Pushed, State};
use crate::stop::{Fault, stop};
use crate::sync::{AcqRel, Relaxed};
use crate::watch::PORTION_NS;
use crate::window::Window;
use neap_os::errno::Errno;
use neap_os::vm::Vm;

impl<V: Vm> Heap<V> {
    /// Opens the heap: chooses the window, with its tables at one of `hints`. Does nothing when
    /// it is open.
    ///
    /// # Errors
    /// That of the last place tried.
    pub fn open(
        &self,
        local: &Local,
        backend: neap_abi::Backend,
        check: bool,
        hints: &[usize],
    ) -> Result<(), Errno> {
        let pages = self.ground.enter(&self.vm, &self.tally, local.token());
        if self.window().is_open() {
            return Ok(());
        }
        self.options.check.store(check, Relaxed);
        self.begin_census();
        pages
            .ground
            .window
            .open(&self.vm, &self.tally, backend, check, hints)
    }

    /// malloc's fast path: a block ready in the thread's hand, or `None` for the slow path.
    #[inline(always)]
    pub fn pop(&self, local: &Local, size: usize) -> Option<usize> {
        let place = local.place(class::place_of(size))?;
        hand::pop(place).map(Block::address)
    }

    /// free's fast path: takes back a block of a slab that this thread owns, or nobody. False for the
    /// slow path, which then has everything still to do.
    ///
    /// # Safety
    /// 1. `address` was returned by this heap and not freed since, or is 0. (What breaks this is
    ///    caught where it costs nothing and always in checking mode.)
    #[inline(always)]
    pub unsafe fn push(&self, local: &Local, address: usize) -> bool {
        let Some(offset) = self.window().offset(address) else {
            return false;
        };
        let slab = self.window().slab_at(offset);
        let owner = slab.owner.load(Relaxed);
        if owner & local.strange.get() != 0 {
            return false;
        }
        // SAFETY: a block of a slab in the caller's hands until now (1): mapped, aligned, ours.
        let block = unsafe { Block::at(address) };
        let caught = match local.place(slab.place()) {
            Some(place) => hand::catch(place, block),
            None => Catch::NoRoom,
        };
        match caught {
            Catch::Caught => return true,
            Catch::NoRoom if owner == local.owner() => {}
            Catch::NoRoom | Catch::FirstAlready => return false,
        }
        match slab.push(block) {
            Pushed::Quietly => {}
            Pushed::Due => self.fall_due(local, Window::granule_of(offset)),
            Pushed::FirstAlready => return false,
        }
        true
    }

    /// malloc: `size` bytes, 16-byte aligned.
    #[inline]
    pub fn allocate(&self, local: &Local, size: usize) -> Option<usize> {
        match self.pop(local, size) {
            Some(address) => Some(address),
            None => self.allocate_slow(local, size),
        }
    }

    /// malloc when no block is ready.
    #[cold]
    #[inline(never)]
    pub fn allocate_slow(&self, local: &Local, size: usize) -> Option<usize> {
        if size > REQUEST_MAX {
            return None;
        }
        if local.is_busy() {
            return self.allocate_in_handler(size, 16);
        }
        let _busy = local.enter();
        if size > class::LARGEST
            && let Some(address) = self.take_from_pocket(local, size)
        {
            return Some(address);
        }
        self.settle(local);
        let address = if self.checking() {
            self.allocate_checked(local, size, 16)
        } else if size <= class::LARGEST {
            self.allocate_small(local, size)
        } else {
            self.allocate_large(local, size, PAGE).map(|piece| piece.address)
        };
        self.watch_clock(local, PORTION_NS);
        if let (Some(address), true) = (address, self.perturb() != 0) {
            // SAFETY: the block has at least `size` bytes and is ours until returned.
            unsafe { fill(address, size, !self.perturb()) };
        }
        address
    }

    /// malloc in a signal handler that interrupted a slow path: nothing of the thread's, no lock.
    fn allocate_in_handler(&self, size: usize, align: usize) -> Option<usize> {
        let wanted = self.with_tail(size)?;
        let address = self.direct.take(&self.vm, &self.tally, wanted, align)?;
        self.seal_direct(address, size);
        Some(address)
    }

    /// memalign: `size` bytes aligned to `align`, a power of two.
    pub fn allocate_aligned(&self, local: &Local, size: usize, align: usize) -> Option<usize> {
        debug_assert!(align.is_power_of_two());
        if align <= 16 {
            return self.allocate(local, size);
        }
        if size > REQUEST_MAX || align > REQUEST_MAX {
            return None;
        }
        if local.is_busy() {
            return self.allocate_in_handler(size, align);
        }
        if self.checking() {
            let _busy = local.enter();
            return self.allocate_checked(local, size, align);
        }
        if let Some(class) = Class::aligned(size, align) {
            // Every block of that class is aligned, whichever list it comes from.
            return self.allocate(local, class.size());
        }
        let _busy = local.enter();
        self.settle(local);
        self.allocate_large(local, size, align).map(|piece| piece.address)
    }

    /// calloc: `size` bytes of zeros. Pages fresh from the kernel are not touched.
    pub fn allocate_zeroed(&self, local: &Local, size: usize) -> Option<usize> {
        if size <= class::LARGEST || local.is_busy() || self.checking() {
            let address = self.allocate(local, size)?;
            // A busy thread's block is a mapping of its own: zero already.
            if size <= class::LARGEST || self.checking() {
                // SAFETY: the block has at least `size` bytes and is ours until returned.
                unsafe { fill(address, size, 0) };
            }
            return Some(address);
        }
        if size > REQUEST_MAX {
            return None;
        }
        let _busy = local.enter();
        if let Some(address) = self.take_from_pocket(local, size) {
            // SAFETY: the block has at least `size` bytes and is ours until returned.
            unsafe { fill(address, size, 0) };
            return Some(address);
        }
        self.settle(local);
        let piece = self.allocate_large(local, size, PAGE)?;
        self.watch_clock(local, PORTION_NS);
        let soiled = self.ground.soiled(piece.address, piece.bytes);
        // SAFETY: `soiled` is at most the piece's length, and the piece is ours until returned.
        unsafe { fill(piece.address, soiled, 0) };
        Some(piece.address)
    }

    /// free.
    ///
    /// # Safety
    /// 1. As [`Heap::push`].
    #[inline]
    pub unsafe fn free(&self, local: &Local, address: usize) {
        // SAFETY: 1 is the caller's.
        if !unsafe { self.push(local, address) } {
            // SAFETY: 1 is the caller's.
            unsafe { self.free_slow(local, address) };
        }
    }

    /// free of whatever the fast path could not take.
    ///
    /// # Safety
    /// 1. As [`Heap::push`].
    #[cold]
    #[inline(never)]
    pub unsafe fn free_slow(&self, local: &Local, address: usize) {
        if address == 0 {
            return;
        }
        if !address.is_multiple_of(16) {
            self.stop_crooked(address);
        }
        if local.is_busy() {
            // SAFETY: 1 is the caller's.
            unsafe { self.defer(address) };
            return;
        }
        // SAFETY: 1 is the caller's, and the thread is not busy.
        if unsafe { self.post(local, address) } {
            return;
        }
        let _busy = local.enter();
        // SAFETY: 1 is the caller's.
        unsafe { self.free_now(local, address) };
        self.settle(local);
    }

    /// # Safety
    /// 1. As [`Heap::push`]; the thread is in a slow path.
    unsafe fn free_now(&self, local: &Local, address: usize) {
        match self.window().offset(address) {
            None => self.free_direct(local, address),
            Some(offset) => {
                let granule = Window::granule_of(offset);
                let slab = self.window().slab(granule);
                if self.is_first_in_hand(local, slab, address) {
                    stop(Fault::DoubleFree, address, slab.class());
                }
                match slab.remote().state() {
                    State::None => self.free_large(local, address),
                    State::Checked => self.free_checked(local, granule, address, None),
                    // SAFETY: 1 is the caller's.
                    _ => unsafe { self.free_small(local, granule, address) },
                }
            }
        }
    }

    fn free_direct(&self, local: &Local, address: usize) {
        let length = self.direct.length(address).unwrap_or(0);
        if length != 0 {
            self.usable_sealed(address, length, None);
        }
        let count = |bytes| {
            self.ground.soil(bytes / PAGE);
        };
        // More than the helper lets lie, so it will come.
        if length > self.options.trim_threshold.get()
            && self.helped()
            && self.window().is_open()
            // Once unmapped, a late write ends the program there and then.
            && !self.checking()
            && self.direct.put_off(address, count).is_some()
        {
            self.soiled(local, self.ground.dirty.load(Relaxed));
            return;
        }
        if !self.direct.give_back(&self.vm, &self.tally, address) {
            self.stop_outside(address);
        }
    }

    /// Stops the program: `address`, which is not aligned, is no block.
    #[cold]
    fn stop_crooked(&self, address: usize) -> ! {
        match self.window().offset(address) {
            Some(_) => match (self.class_at(address), self.ground.find(address)) {
                (None, Err(NotAPiece::Foreign)) => stop(Fault::ForeignFree, address, None),
                (class, _) => stop(Fault::InteriorFree, address, class),
            },
            None => self.stop_outside(address),
        }
    }

    /// Stops the program: `address` lies outside the window and is no mapping's first.
    #[cold]
    fn stop_outside(&self, address: usize) -> ! {
        let fault = if self.direct.encloses(address) {
            Fault::InteriorFree
        } else {
            Fault::ForeignFree
        };
        stop(fault, address, None)
    }

    /// Queues a block for the next slow path of any thread.
    ///
    /// # Safety
    /// 1. As [`Heap::push`].
    unsafe fn defer(&self, address: usize) {
        // SAFETY: whatever the heap hands out has at least 16 aligned bytes, and this block is no
        // longer the program's (1).
        let block = unsafe { Block::at(address) };
        // Counted before it can be taken out.
        self.deferred_count.fetch_add(1, Relaxed);
        let mut head = self.deferred.load(Relaxed);
        loop {
            // SAFETY: as above; the queue holds addresses of such blocks only.
            block.set_next((head != 0).then(|| unsafe { Block::at(head) }));
            match self
                .deferred
                .compare_exchange_weak(head, address, AcqRel, Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Frees what signal handlers queued.
    #[inline]
    fn settle(&self, local: &Local) {
        if self.deferred.load(Relaxed) != 0 {
            self.settle_all(local);
        }
    }

    #[cold]
    fn settle_all(&self, local: &Local) {
        let head = self.deferred.swap(0, AcqRel);
        if head == 0 {
            return;
        }
        // SAFETY: the queue holds addresses of freed blocks (see `defer`).
        let mut at = Some(unsafe { Block::at(head) });
        while let Some(block) = at {
            at = block.next();
            if self.checking() {
                self.mend(block.address());
            }
            // SAFETY: the block was freed by the program once and is in no list.
            unsafe { self.free_now(local, block.address()) };
            self.deferred_count.fetch_sub(1, Relaxed);
        }
    }

    /// malloc_usable_size: the bytes of the block at `address` that may be written. 0 for 0.
    ///
    /// # Safety
    /// 1. `address` is 0 or a block of this heap in use.
    #[must_use]
    pub unsafe fn usable(&self, address: usize) -> usize {
        if address == 0 {
            return 0;
        }
        let Some(offset) = self.window().offset(address) else {
            return match self.direct.length(address) {
                Some(length) => self.usable_sealed(address, length, None),
                None => self.stop_outside(address),
            };
        };
        let granule = Window::granule_of(offset);
        let slab = self.window().slab(granule);
        match (slab.remote().state(), slab.class()) {
            (State::Checked, _) => self.usable_checked(granule, address),
            (State::None, _) | (_, None) => match self.find_large(address) {
                Ok(length) => self.usable_sealed(address, length, None),
                Err(why) => self.stop_piece(address, why),
            },
            (_, Some(class)) => class.size(),
        }
    }

    /// realloc of a block in use to `size` > 0 bytes. `None` leaves the old block as it was.
    ///
    /// # Safety
    /// 1. `address` is a block of this heap in use, the caller's.
    pub unsafe fn resize(&self, local: &Local, address: usize, size: usize) -> Option<usize> {
        if size > REQUEST_MAX {
            return None;
        }
        // SAFETY: 1 is the caller's.
        let have = unsafe { self.usable(address) };
        if !self.checking() {
            let in_slab = self
                .window()
                .offset(address)
                .is_some_and(|o| self.window().slab_at(o).class().is_some());
            if in_slab {
                // Shrinking moves only when it frees at least half of the block.
                if size <= have && size >= have / 2 {
                    return Some(address);
                }
            } else if size > class::LARGEST && !local.is_busy() {
                let _busy = local.enter();
                if let Some(moved) = self.resize_large(local, address, have, size) {
                    return Some(moved);
                }
            }
        }
        let new = self.allocate(local, size)?;
        // SAFETY: both blocks have that many bytes, are the caller's (1) and ours, and are distinct.
        unsafe { copy(address, new, have.min(size)) };
        // SAFETY: 1 is the caller's, who gave the block up.
        unsafe { self.free(local, address) };
        Some(new)
    }

    /// Changes a setting while the program runs.
    pub fn set(&self, local: &Local, setting: Setting, amount: usize) {
        match setting {
            Setting::TrimThreshold => self.options.trim_threshold.set(amount),
            Setting::TopPad => self.ground.top_pad.store(amount, Relaxed),
            Setting::MmapThreshold => self.options.mmap_threshold.set(amount),
            Setting::MmapMax => self.options.mmap_max.set(amount),
            Setting::Perturb => self.options.perturb.store((amount & 0xff) as u8, Relaxed),
        }
        if let (Setting::Perturb, Some(thread), false) = (setting, local.thread(), local.is_busy()) {
            // Blocks and slabs in this thread's hands would go round the fills.
            let _busy = local.enter();
            self.surrender(local, thread);
        }
    }

    /// Gives back all that is free now, with what the calling thread keeps ready for itself. Says whether there
    /// was any.
    pub fn trim(&self, local: &Local) -> bool {
        self.take_back(local) && {
            let _busy = local.enter();
            self.ebb_now(local) != 0
        }
    }

    /// Takes what the calling thread keeps ready for itself back into the heap. False, and nothing has happened, in
    /// the midst of a call of the heap, or of a fork: then the thread may hold the heap's locks.
    pub(crate) fn take_back(&self, local: &Local) -> bool {
        if local.is_busy() || local.fork().depth.get() != 0 {
            return false;
        }
        let _busy = local.enter();
        self.settle(local);
        if let Some(thread) = local.thread() {
            self.surrender(local, thread);
        }
        true
    }

    /// Whether this is checking mode.
    #[inline]
    #[must_use]
    pub fn is_checking(&self) -> bool {
        self.checking()
    }
}

const _: () = assert!(GRANULE <= 1 << 16, "a slab's offsets fit the remote word");
