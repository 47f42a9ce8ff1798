//! [`Vm`] for [`Sim`]: first what a method requires is asserted, then the call is counted and may be
//! told to fail, then it happens.
#![allow(unsafe_code)]

use super::{ACCESS, BREAK, FIRST, NONE, READ, READ_WRITE, Sim};
use crate::env::page_size;
use crate::errno::Errno;
use crate::linux::Linux;
use crate::unit::{Bytes, Span};
use crate::vm::{Hint, Protection, Vm};
use core::ptr::with_exposed_provenance_mut;
use core::slice;
use core::sync::atomic::Ordering::Relaxed;

impl Sim {
    fn map_as(&self, len: Bytes, access: u8) -> Result<Span, Errno> {
        let _held = self.hold();
        self.attempt(Errno::ENOMEM)?;
        if len.0 == 0 {
            return Err(Errno::EINVAL);
        }
        let len = len
            .checked_add(Bytes(self.surplus.load(Relaxed)))
            .and_then(|l| l.round_up(page_size()));
        let span = self.place(len.ok_or(Errno::ENOMEM)?.0)?;
        self.open(span, access)?;
        Ok(span)
    }

    /// Copies `from` to `to`, both accessible, leaving pages of zeros untouched. `to` reads as zero.
    fn copy(&self, from: Span, to: usize) {
        let words = page_size() / size_of::<u64>();
        for offset in (0..from.len()).step_by(page_size()) {
            // SAFETY: both pages lie in mappings the callers have checked, apart from each other, and
            // by the trait's conditions nobody else uses them.
            unsafe {
                let source =
                    slice::from_raw_parts(with_exposed_provenance_mut::<u64>(from.base() + offset), words);
                if source.iter().any(|&word| word != 0) {
                    with_exposed_provenance_mut::<u64>(to + offset).copy_from(source.as_ptr(), words);
                }
            }
        }
    }
}

impl Vm for Sim {
    fn page_size(&self) -> Bytes {
        Bytes(page_size())
    }

    fn map(&self, len: Bytes) -> Result<Span, Errno> {
        self.map_as(len, READ_WRITE)
    }

    fn map_at(&self, want: Span) -> Result<(), Errno> {
        assert!(!want.is_empty(), "an empty span");
        assert!(want.is_aligned(page_size()), "{want:x?} is not page-aligned");
        let _held = self.hold();
        self.attempt(Errno::ENOMEM)?;
        if !self.range.encloses(want) || !self.all(want, |state| state == 0) {
            return Err(Errno::EEXIST);
        }
        self.open(want, READ_WRITE)
    }

    fn reserve(&self, len: Bytes) -> Result<Span, Errno> {
        self.map_as(len, NONE)
    }

    unsafe fn unmap(&self, span: Span) -> Result<(), Errno> {
        let _held = self.hold();
        self.check(span);
        assert!(
            self.all(span, |state| state & BREAK == 0),
            "unmap of the break: {span:x?}"
        );
        self.attempt(Errno::ENOMEM)?;
        self.shut(span);
        Ok(())
    }

    unsafe fn protect(&self, span: Span, protection: Protection) -> Result<(), Errno> {
        let _held = self.hold();
        self.check(span);
        self.attempt(Errno::ENOMEM)?;
        // SAFETY: the same conditions.
        unsafe { Linux.protect(span, protection)? };
        let access = match protection {
            Protection::None => NONE,
            Protection::Read => READ,
            Protection::ReadWrite => READ_WRITE,
        };
        for page in self.table(span) {
            page.store(page.load(Relaxed) & !ACCESS | access, Relaxed);
        }
        Ok(())
    }

    /// Requires readable and writable memory throughout, which the kernel does not.
    unsafe fn remap(&self, old: Span, new_len: Bytes) -> Result<Span, Errno> {
        let _held = self.hold();
        self.check(old);
        let first = self.state(old.base());
        let behind = self.state(old.end());
        assert!(first & FIRST != 0, "remap of a mapping's middle: {old:x?}");
        assert!(
            behind == 0 || behind & (FIRST | BREAK) != 0,
            "remap of a mapping's head: {old:x?}"
        );
        let rest = Span::new(old.base() + page_size(), old.len() - page_size()).expect("inside");
        assert!(
            self.all(rest, |state| state == READ_WRITE),
            "remap of several mappings: {old:x?}"
        );
        assert!(
            first == READ_WRITE | FIRST,
            "remap of inaccessible memory: {old:x?}"
        );
        self.attempt(Errno::ENOMEM)?;
        if new_len.0 == 0 {
            return Err(Errno::EINVAL);
        }
        let new_len = new_len.round_up(page_size()).ok_or(Errno::ENOMEM)?.0;
        let in_place = Span::new(old.base(), new_len).ok_or(Errno::ENOMEM)?;
        if let Some(lost) = self.whole_pages(in_place.end(), old.end()) {
            self.shut(lost);
            return Ok(in_place);
        }
        let Some(gained) = self.whole_pages(old.end(), in_place.end()) else {
            return Ok(old);
        };
        if self.range.encloses(gained) && self.all(gained, |state| state == 0) {
            self.open(gained, READ_WRITE)?;
            self.mark(gained.base(), READ_WRITE);
            self.cursor.fetch_max(gained.end(), Relaxed);
            return Ok(in_place);
        }
        let moved = self.place(new_len)?;
        // The old pages come along: only the growth counts against the limit.
        let limit = self.limit.load(Relaxed);
        self.limit.store(limit.saturating_add(old.len()), Relaxed);
        let opened = self.open(moved, READ_WRITE);
        self.limit.store(limit, Relaxed);
        opened?;
        self.copy(old, moved.base());
        self.shut(old);
        Ok(moved)
    }

    unsafe fn move_pages(&self, from: Span, to: Span) -> Result<(), Errno> {
        let _held = self.hold();
        for span in [from, to] {
            self.check(span);
            assert!(
                self.all(span, |state| state & ACCESS == READ_WRITE),
                "{span:x?} is not writable"
            );
        }
        assert_eq!(from.len(), to.len());
        assert!(
            from.end() <= to.base() || to.end() <= from.base(),
            "{from:x?} and {to:x?} overlap"
        );
        self.attempt(Errno::ENOMEM)?;
        // SAFETY: (1) just checked; (2) both lose their contents by the trait's contract.
        unsafe { Linux.discard(to)? };
        self.copy(from, to.base());
        // SAFETY: as above.
        unsafe { Linux.discard(from) }
    }

    unsafe fn discard(&self, span: Span) -> Result<(), Errno> {
        let _held = self.hold();
        let inner = span.shrink_to(page_size());
        if inner.is_empty() {
            return Ok(());
        }
        self.check(inner);
        self.attempt(Errno::EAGAIN)?;
        // SAFETY: the same conditions.
        unsafe { Linux.discard(inner)? };
        self.discarded.fetch_add(inner.len(), Relaxed);
        Ok(())
    }

    /// Passed on, but a real kernel's refusal (no huge pages, say) is no failure.
    fn hint(&self, span: Span, hint: Hint) -> Result<(), Errno> {
        let _held = self.hold();
        self.check(span);
        self.attempt(Errno::EINVAL)?;
        let _ = Linux.hint(span, hint);
        Ok(())
    }

    fn program_break(&self) -> usize {
        self.break_now.load(Relaxed)
    }

    unsafe fn move_break(&self, from: usize, to: usize) -> Result<(), Errno> {
        let _held = self.hold();
        if from != self.break_now.load(Relaxed) {
            return Err(Errno::EBUSY);
        }
        assert!(to >= self.break_start, "the break below its start");
        if let Some(lost) = self.whole_pages(to, from) {
            self.check(lost);
        }
        self.attempt(Errno::ENOMEM)?;
        self.set_break(to, 0)
    }
}
