//! Blocks larger than a slab's: runs of pages to 1 MiB, extents of chunks, mappings of their own.
//!
//! Owns the choice between the three and how each grows: in place while there is room, otherwise by
//! moving pages, not bytes, from 1 MiB on.

use crate::bytes::{copy, fill};
use crate::direct::{Moved, move_pages};
use crate::ground::{NotAPiece, Piece};
use crate::heap::Heap;
use crate::layout::{CHUNK, GRANULE, PAGE, PAGES_PER_CHUNK, RUN_MAX};
use crate::local::{Local, Thread};
use crate::pocket::{AlreadyThere, KEPT_MAX};
use crate::stop::{Fault, stop};
use crate::sync::Relaxed;
use neap_os::unit::Span;
use neap_os::vm::Vm;

/// Larger blocks of the window are moved by mremap(2) rather than copied. For smaller ones it does not
/// pay: what the block leaves behind has to be faulted in again, and the new place often need not be.
const MOVE_MIN: usize = RUN_MAX;

impl<V: Vm> Heap<V> {
    /// A block of at least `size` bytes (more than a slab serves, or more strictly aligned).
    pub(crate) fn allocate_large(&self, local: &Local, size: usize, align: usize) -> Option<Piece> {
        self.publish_sometimes();
        let bytes = size.max(1).checked_next_multiple_of(PAGE)?;
        let wants_own = size >= self.options.mmap_threshold.get()
            && self.direct.blocks.load(Relaxed) < self.options.mmap_max.get();
        // The window begins on a chunk; a stricter alignment only a mapping of its own can meet.
        if align > CHUNK {
            return self.allocate_direct(size, align);
        }
        if wants_own && let Some(piece) = self.allocate_direct(size, align) {
            return Some(piece);
        }
        if let Some(piece) = self.allocate_piece(local, bytes, bytes, align) {
            return Some(piece);
        }
        if self.checking() {
            self.discharge_large(local);
        }
        // Dirt elsewhere in the window may be what is missing; then anything is better than none.
        self.ebb_now(local);
        self.allocate_piece(local, bytes, bytes, align)
            .or_else(|| self.allocate_direct(size, align))
    }

    fn allocate_direct(&self, size: usize, align: usize) -> Option<Piece> {
        let address = self.direct.take(&self.vm, &self.tally, size, align)?;
        Some(Piece {
            address,
            bytes: self.direct.length(address)?,
        })
    }

    /// A block of the window with address space for `room` bytes if it is an extent.
    fn allocate_piece(&self, local: &Local, bytes: usize, room: usize, align: usize) -> Option<Piece> {
        let pages = self.ground.enter(&self.vm, &self.tally, local.token());
        let align_pages = align.div_ceil(PAGE).max(1);
        if room <= RUN_MAX && align_pages <= PAGES_PER_CHUNK / 2 && bytes + align <= CHUNK {
            return if room > bytes {
                pages.take_run_to_grow(bytes / PAGE, room / PAGE)
            } else {
                pages.take_run(bytes / PAGE, align_pages)
            };
        }
        pages.take_extent(bytes, room)
    }

    /// free of a run, an extent, or of nothing the heap knows.
    pub(crate) fn free_large(&self, local: &Local, address: usize) {
        if self.checking() {
            return self.free_large_checked(local, address);
        }
        if let Ok(length) = self.ground.find(address) {
            if self.perturb() != 0 {
                // SAFETY: the block is no longer the program's.
                #[allow(unsafe_code)]
                unsafe {
                    fill(address, length, self.perturb());
                }
            } else if length <= KEPT_MAX && self.put_in_pocket(local, address, length) {
                return;
            }
        }
        self.put_down_piece(local, address);
    }

    /// Keeps a freed run in the thread's pocket. False if it must be put down at once.
    fn put_in_pocket(&self, local: &Local, address: usize, bytes: usize) -> bool {
        let Some(thread) = self.thread_of(local) else {
            return false;
        };
        if thread.poised.get() || thread.pocket.is_closed() {
            return false;
        }
        match thread.pocket.put(address, bytes) {
            Err(AlreadyThere) => stop(Fault::DoubleFree, address, None),
            Ok(Some(other)) => self.put_down_piece(local, other),
            Ok(None) => {}
        }
        let all = thread.pocket.is_closed();
        while let Some(other) = thread.pocket.overflow(all) {
            self.put_down_piece(local, other);
        }
        true
    }

    /// A block for `size` bytes from the thread's pocket.
    #[inline]
    pub(crate) fn take_from_pocket(&self, local: &Local, size: usize) -> Option<usize> {
        if size > KEPT_MAX {
            return None;
        }
        local.thread()?.pocket.take(size.next_multiple_of(PAGE))
    }

    /// Puts down every run in the thread's pocket.
    pub(crate) fn empty_pocket(&self, local: &Local, thread: &Thread) {
        while let Some(address) = thread.pocket.overflow(true) {
            self.put_down_piece(local, address);
        }
    }

    fn put_down_piece(&self, local: &Local, address: usize) {
        let returned = self
            .ground
            .enter(&self.vm, &self.tally, local.token())
            .return_piece(address);
        match returned {
            Ok(dirty) => self.soiled(local, dirty),
            Err(why) => self.stop_piece(address, why),
        }
    }

    /// Stops the program: `address` is not a large block in use.
    pub(crate) fn stop_piece(&self, address: usize, why: NotAPiece) -> ! {
        let fault = match why {
            NotAPiece::Free => Fault::DoubleFree,
            NotAPiece::Interior => Fault::InteriorFree,
            NotAPiece::Foreign => Fault::ForeignFree,
        };
        stop(fault, address, None)
    }

    /// Resizes a large block of `have` bytes to `size` (more than a slab serves) without copying,
    /// or says that it cannot.
    pub(crate) fn resize_large(
        &self,
        local: &Local,
        address: usize,
        have: usize,
        size: usize,
    ) -> Option<usize> {
        let bytes = size.checked_next_multiple_of(PAGE)?;
        if self.window().offset(address).is_none() {
            // A mapping that would shrink to a fraction is better replaced by a block of the window.
            if size < self.options.mmap_threshold.get() / 2 && size < have / 4 {
                return None;
            }
            return self.direct.resize(&self.vm, &self.tally, address, size);
        }
        if bytes == have {
            return Some(address);
        }
        {
            let pages = self.ground.enter(&self.vm, &self.tally, local.token());
            if pages.resize_piece(address, bytes) {
                let dirty = self.ground.dirty.load(Relaxed);
                drop(pages);
                self.soiled(local, dirty);
                return Some(address);
            }
        }
        if bytes < have {
            return None;
        }
        if have < MOVE_MIN {
            return self.copy_piece(local, address, have, bytes);
        }
        self.move_piece(local, address, have, bytes)
    }

    /// Copies a block of the window to a larger place.
    fn copy_piece(&self, local: &Local, address: usize, have: usize, bytes: usize) -> Option<usize> {
        // What grew once will grow again.
        let room = (bytes + bytes / 2).next_multiple_of(PAGE);
        let piece = self.allocate_piece(local, bytes, room, PAGE)?;
        // SAFETY: both blocks are in use, by this very call, and distinct; both have `have` bytes.
        #[allow(unsafe_code)]
        unsafe {
            copy(address, piece.address, have);
        }
        self.free_large(local, address);
        Some(piece.address)
    }

    /// Moves the pages of a block of the window to a larger place.
    fn move_piece(&self, local: &Local, address: usize, have: usize, bytes: usize) -> Option<usize> {
        let from = Span::new(address, have)?;
        let own = bytes >= self.options.mmap_threshold.get()
            && self.direct.blocks.load(Relaxed) < self.options.mmap_max.get();
        if own {
            match self.direct.take_over(&self.vm, &self.tally, from, bytes) {
                (Some(new), Moved::Done) => {
                    self.put_down_piece(local, address);
                    return Some(new);
                }
                (Some(new), _) => return Some(new),
                (None, _) => {}
            }
        }
        // What grew once will grow again: address space for half as much more costs nothing.
        let room = bytes.saturating_add(bytes / 2).max(GRANULE);
        let piece = self.allocate_piece(local, bytes, room, PAGE)?;
        let to = Span::new(piece.address, have)?;
        // SAFETY: both blocks are in use, distinct, and their holders are this very call (1, 2).
        #[allow(unsafe_code)]
        let moved = unsafe { move_pages(&self.vm, &self.tally, from, to) };
        // A block whose addresses were lost stays in use for ever: nobody may be given them.
        match moved {
            Moved::Done => self.put_down_piece(local, address),
            Moved::SourceLost => {}
            Moved::Failed => {
                self.put_down_piece(local, piece.address);
                return None;
            }
            Moved::TargetLost => return None,
        }
        Some(piece.address)
    }
}
