//! A block of the C library's malloc, or of whoever stands in for it.
//!
//! Owns every call of malloc and its kin: the rest of this program is safe code. The compiler knows these
//! names and would drop a pair whose block nobody uses, so each address passes `black_box`.
//!
//! Invariant: `at` is a live block of `size` bytes, at least one, of which the first `size.min(8)` and the
//! last are initialised. A `Block` is the only way to its memory; dropped, it is freed, by any thread.
#![allow(unsafe_code)]

use std::hint::black_box;
use std::ptr::NonNull;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut u8;
    fn calloc(count: usize, size: usize) -> *mut u8;
    fn realloc(block: *mut u8, size: usize) -> *mut u8;
    fn free(block: *mut u8);
}

/// What a fresh block is filled with at its beginning, as programs fill theirs; a larger block gets one
/// byte on each page too.
const FILLED: usize = 128;
const PAGE: usize = 4096;

/// One block. Its content begins with a tag that [`Block::check`] looks for.
pub(crate) struct Block {
    at: NonNull<u8>,
    size: usize,
}

// SAFETY: the block's memory belongs to this value alone (see the invariant), and malloc(3) lets any
// thread free and use what another one allocated.
unsafe impl Send for Block {}

impl Block {
    /// malloc, and the first use: its beginning, one byte of each page and its end are written.
    #[inline]
    pub(crate) fn new(size: usize, tag: u8) -> Block {
        let size = size.max(1);
        // SAFETY: malloc has no precondition.
        let at = black_box(unsafe { malloc(size) });
        Block::first_use(at, size, tag)
    }

    /// calloc, checked at three places to be zero, and then as `new`.
    #[inline]
    pub(crate) fn zeroed(size: usize, tag: u8) -> Block {
        let size = size.max(1);
        // SAFETY: calloc has no precondition.
        let at = black_box(unsafe { calloc(1, size) });
        if let Some(at) = NonNull::new(at) {
            for offset in [0, size / 2, size - 1] {
                // SAFETY: calloc returned `size` bytes, all initialised, and each offset is below `size`.
                let byte = unsafe { at.add(offset).read() };
                assert_eq!(byte, 0, "calloc({size}) at {offset}");
            }
        }
        Block::first_use(at, size, tag)
    }

    #[inline]
    fn first_use(at: *mut u8, size: usize, tag: u8) -> Block {
        let at = NonNull::new(at).unwrap_or_else(|| panic!("no memory for {size} bytes"));
        // SAFETY: `at` is a block of `size` bytes just allocated, and min(FILLED, size) is at most that.
        unsafe { at.write_bytes(tag, size.min(FILLED)) };
        let mut block = Block { at, size };
        block.touch_from(PAGE, tag);
        block
    }

    /// Writes one byte of each page from `from` on, and the last.
    #[inline]
    fn touch_from(&mut self, from: usize, tag: u8) {
        let mut offset = from;
        while offset < self.size {
            // SAFETY: `offset` is below `size`, the length of this live block.
            unsafe { self.at.add(offset).write(tag) };
            offset += PAGE;
        }
        // SAFETY: `size` is at least 1, so the last byte is inside this live block.
        unsafe { self.at.add(self.size - 1).write(tag) };
    }

    /// realloc; what is new of it gets its first use.
    pub(crate) fn resize(&mut self, size: usize, tag: u8) {
        let (old, size) = (self.size, size.max(1));
        // SAFETY: `at` is a live block of malloc, and on success this value forgets the old address.
        let at = black_box(unsafe { realloc(self.at.as_ptr(), size) });
        self.at = NonNull::new(at).unwrap_or_else(|| panic!("no memory for {size} bytes"));
        self.size = size;
        if old < 8 && size > old {
            // SAFETY: `old` is below `size`, so these bytes lie inside the block of `size` bytes.
            unsafe { self.at.add(old).write_bytes(tag, size.min(8) - old) };
        }
        self.touch_from(old.next_multiple_of(PAGE), tag);
    }

    /// Stops the program if the block does not begin with `tag`.
    #[inline]
    pub(crate) fn check(&self, tag: u8) {
        // SAFETY: the first byte of this live block is initialised (the invariant).
        let found = unsafe { self.at.read() };
        assert_eq!(found, tag, "a block of {} bytes lost its content", self.size);
    }

    /// Writes the whole block, as a program does that computes its content.
    pub(crate) fn fill(&mut self, tag: u8) {
        // SAFETY: the block is live and `size` bytes long.
        unsafe { self.at.write_bytes(tag, self.size) };
    }

    /// Adds 1 to the last byte: the smallest write, and the line is this processor's.
    #[inline]
    pub(crate) fn bump(&mut self) {
        let last = self.size - 1;
        // SAFETY: the last byte of this live block is initialised (the invariant).
        unsafe {
            let at = self.at.add(last);
            at.write_volatile(at.read_volatile().wrapping_add(1));
        }
    }

    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Block {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `at` is a live block of malloc, and nobody can use this value again.
        unsafe { free(self.at.as_ptr()) }
    }
}

/// A block of which nothing is written: for counting what the calls alone cost. Not freed unless asked to.
pub(crate) struct Raw(*mut u8);

// SAFETY: as for `Block`: whoever has the value has the block.
unsafe impl Send for Raw {}

impl Raw {
    /// What a turn costs without the calls.
    #[inline(always)]
    pub(crate) fn nothing() {
        black_box(std::ptr::null_mut::<u8>());
    }

    #[inline(always)]
    pub(crate) fn malloc(size: usize) -> Raw {
        // SAFETY: malloc has no precondition.
        Raw(black_box(unsafe { malloc(size) }))
    }

    #[inline(always)]
    pub(crate) fn calloc(size: usize) -> Raw {
        // SAFETY: calloc has no precondition.
        Raw(black_box(unsafe { calloc(1, size) }))
    }

    #[inline(always)]
    pub(crate) fn realloc(self, size: usize) -> Raw {
        // SAFETY: the pointer is null or a live block that only this value knew; it is not used again.
        Raw(black_box(unsafe { realloc(self.0, size) }))
    }

    #[inline(always)]
    pub(crate) fn free(self) {
        // SAFETY: the pointer is null or a live block that only this value knew; it is not used again.
        unsafe { free(self.0) }
    }
}
