//! [`Birth`]: in which process something was made.
//!
//! What a child of a fork does not inherit (a mapping with `MADV_DONTFORK`) must not be touched there, nor
//! unmapped: its addresses may be another's by then. A process is told from its child by a page that the
//! kernel wipes in children (`MADV_WIPEONFORK`, Linux 4.14), whatever call forked: one load, no system call.
#![allow(unsafe_code)]

use crate::anon::Anon;
use crate::diagnosis;
use crate::error::Error;
use crate::map::Map;
use crate::operation::Operation;
use crate::view::Owned;
use neap_os::advice::{self, Discard};
use std::mem::ManuallyDrop;
use std::ptr::with_exposed_provenance;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The process that something was made in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Birth(u64);

/// The address of the word in the wiped page; 0 before there is one. Every process has its own copy of the
/// page, and it is mapped for ever.
static WORD: AtomicUsize = AtomicUsize::new(0);
/// The last number given to this process or to one that it descends from: a child inherits the count.
static LAST: AtomicU64 = AtomicU64::new(0);

fn word() -> Option<&'static AtomicU64> {
    let address = WORD.load(Ordering::Acquire);
    // SAFETY: not 0, so `publish` has stored it: the start of a page that is mapped for reading and writing
    // for ever, in children too, where it is zeros, which is a valid value.
    (address != 0).then(|| unsafe { &*with_exposed_provenance::<AtomicU64>(address) })
}

fn publish() -> Result<&'static AtomicU64, Error> {
    let page: Map<Owned> = Anon::private(size_of::<AtomicU64>()).map()?;
    // SAFETY: private anonymous memory made here; that a child reads zeros is what it is for.
    unsafe { advice::discard(page.area().whole().span(), Discard::WipeOnFork) }
        .map_err(|errno| diagnosis::of(Operation::Advise, errno))?;
    let address = page.as_ptr().expose_provenance();
    if WORD
        .compare_exchange(0, address, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
    {
        // Mapped for ever.
        let _ = ManuallyDrop::new(page);
    }
    Ok(word().expect("stored above, by this thread or another"))
}

impl Birth {
    /// This process.
    ///
    /// # Errors
    /// Those of memory; [`crate::Kind::Invalid`] before Linux 4.14.
    pub(crate) fn here() -> Result<Birth, Error> {
        let word = word().map_or_else(publish, Ok)?;
        if let Some(birth) = Birth::of(word) {
            return Ok(birth);
        }
        let new = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let given = match word.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => new,
            Err(other) => other,
        };
        Ok(Birth(given))
    }

    fn of(word: &AtomicU64) -> Option<Birth> {
        match word.load(Ordering::Relaxed) {
            0 => None,
            number => Some(Birth(number)),
        }
    }

    /// Whether this is still that process, and not a child of it.
    #[inline]
    pub(crate) fn is_here(self) -> bool {
        word().and_then(Birth::of) == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Birth;

    #[test]
    fn a_child_is_not_its_parent() {
        let birth = Birth::here().unwrap();
        assert!(birth.is_here());
        assert_eq!(Birth::here().unwrap(), birth);
        // SAFETY: the child makes atomic operations only, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let inherited = birth.is_here();
            let own = Birth::here().is_ok_and(|own| own != birth && own.is_here());
            // SAFETY: ends the child without running what the test harness would.
            unsafe { libc::_exit(i32::from(inherited || !own)) };
        }
        let mut status = -1;
        // SAFETY: `status` is a live variable.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0);
        assert!(birth.is_here());
    }
}
