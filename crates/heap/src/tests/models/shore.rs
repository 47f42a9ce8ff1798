//! [`Shore`]: a kernel of plain memory for the models, the same at every run.
//!
//! Owns one range of addresses for each test thread: the first part for the heap's tables and window, then
//! mappings, then what the model itself needs, the heap included. Never fails. Giving pages back counts as a
//! write of them.

#![allow(unsafe_code)]

use crate::model;
use neap_os::errno::Errno;
use neap_os::linux::Linux;
use neap_os::unit::{Bytes, PAGE, Span};
use neap_os::vm::{Hint, Protection, Vm};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::vec::Vec;

/// Tables and window, as far apart as `crate::window` has them; a window of 1 GiB.
const WINDOW: usize = 257 << 30;
const MAPPINGS: usize = 4 << 30;
/// From one mapping to the next, a Fibonacci number of pages: `crate::direct` looks for them all in the same
/// few places, for its hash multiplies by the golden ratio.
const APART: usize = 46_368 * PAGE;
const PROPS: usize = 1 << 30;

pub(crate) struct Shore {
    base: usize,
    mapping: Cell<usize>,
    prop: Cell<usize>,
    touched: RefCell<Vec<Span>>,
}

// SAFETY: loom runs one thread at a time, all on one thread of the operating system.
unsafe impl Sync for Shore {}

std::thread_local! {
    static SHORE: &'static Shore = {
        let all = Linux.reserve(Bytes(WINDOW + MAPPINGS + PROPS + PAGE)).expect("address space");
        Box::leak(Box::new(Shore {
            base: all.base().next_multiple_of(1 << 12),
            mapping: Cell::new(0),
            prop: Cell::new(0),
            touched: RefCell::new(Vec::new()),
        }))
    };
}

impl Shore {
    /// This thread's shore, washed clean.
    pub(crate) fn clean() -> &'static Shore {
        let shore = SHORE.with(|shore| *shore);
        for span in shore.touched.take() {
            // SAFETY: of the range (1); the run that used it is over (2).
            unsafe { Linux.discard(span) }.expect("pages to give back");
        }
        shore.mapping.set(shore.base + WINDOW);
        shore.prop.set(shore.base + WINDOW + MAPPINGS);
        shore
    }

    /// Where the heap shall put its tables.
    pub(crate) fn hint(&self) -> usize {
        self.base
    }

    /// Room for a `T`, all zeros.
    pub(crate) fn place<T>(&self) -> *mut T {
        let at = self.prop.get().next_multiple_of(align_of::<T>());
        self.prop.set(at + size_of::<T>());
        let end = self.prop.get().next_multiple_of(PAGE);
        self.open(Span::new(at & !(PAGE - 1), end - (at & !(PAGE - 1))).expect("in the range"));
        core::ptr::with_exposed_provenance_mut(at)
    }

    fn open(&self, span: Span) {
        // SAFETY: of the range (1); access is only added (2).
        unsafe { Linux.protect(span, Protection::ReadWrite) }.expect("memory");
        self.touched.borrow_mut().push(span);
    }

    fn next(&self, len: usize) -> Span {
        let span = Span::new(self.mapping.get(), len.next_multiple_of(PAGE)).expect("in the range");
        self.mapping.set(span.base() + APART);
        assert!(len <= APART && self.mapping.get() < self.base + WINDOW + MAPPINGS);
        span
    }
}

fn bytes(address: usize) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(address)
}

impl Vm for Shore {
    fn page_size(&self) -> Bytes {
        Bytes(PAGE)
    }
    fn map(&self, len: Bytes) -> Result<Span, Errno> {
        let span = self.next(len.0);
        self.open(span);
        Ok(span)
    }
    fn map_at(&self, want: Span) -> Result<(), Errno> {
        if want.base() < self.base || want.end() > self.base + WINDOW {
            return Err(Errno::ENOMEM);
        }
        self.open(want);
        Ok(())
    }
    fn reserve(&self, len: Bytes) -> Result<Span, Errno> {
        Ok(self.next(len.0))
    }
    unsafe fn unmap(&self, span: Span) -> Result<(), Errno> {
        // SAFETY: the same conditions: nothing uses it any more.
        unsafe { self.discard(span) }
    }
    unsafe fn protect(&self, _: Span, _: Protection) -> Result<(), Errno> {
        Ok(())
    }
    unsafe fn remap(&self, old: Span, new_len: Bytes) -> Result<Span, Errno> {
        let to = self.map(new_len)?;
        let kept = old.len().min(to.len());
        model::write_all(old.base(), old.end());
        // SAFETY: both are mapped and apart, and the caller gives up the old one.
        unsafe {
            core::ptr::copy_nonoverlapping(bytes(old.base()), bytes(to.base()), kept);
            self.discard(old)?;
        }
        Ok(to)
    }
    unsafe fn move_pages(&self, from: Span, to: Span) -> Result<(), Errno> {
        model::write_all(from.base(), from.end());
        // SAFETY: both are mapped and apart (1), and the caller's alone (2).
        unsafe {
            core::ptr::copy_nonoverlapping(bytes(from.base()), bytes(to.base()), from.len());
            self.discard(from)
        }
    }
    unsafe fn discard(&self, span: Span) -> Result<(), Errno> {
        model::write_all(span.base(), span.end());
        // SAFETY: the same conditions.
        unsafe { Linux.discard(span) }
    }
    fn hint(&self, _: Span, _: Hint) -> Result<(), Errno> {
        Ok(())
    }
    fn program_break(&self) -> usize {
        0
    }
    unsafe fn move_break(&self, _: usize, _: usize) -> Result<(), Errno> {
        Err(Errno::ENOMEM)
    }
}
