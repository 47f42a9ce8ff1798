//! [`Locked`]: pages kept in memory while it lives, and the calls that do it for the whole process.
//!
//! The kernel's locks do not nest: one munlock undoes any number of mlocks. Two guards over one page would
//! then be a promise that the first to go breaks, unseen. So guards are counted: a page is unlocked when the
//! last guard over it goes. The count is kept aside, of guards and not of pages, behind a mutex that is held
//! for no longer than an munlock. What was locked otherwise is not counted: a guard's end unlocks pages of a
//! map made with `locked` and under [`lock_all`], too.
//!
//! Locks end with the mapping and are not inherited by a child of a fork, where a guard guards nothing. A
//! child that was forked while another thread was in here must not lock; and no signal handler may. A guard
//! that is leaked keeps its pages counted. Source: mlock(2).

use crate::area::PageRange;
use crate::diagnosis;
use crate::error::Error;
use crate::map::Map;
use crate::operation::Operation;
use crate::view::View;
pub use neap_os::lock::{Mappings, When};
use neap_os::unit::Span;
use std::ops::RangeBounds;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The spans of the guards there are.
static HELD: Mutex<Vec<Span>> = Mutex::new(Vec::new());

fn held() -> MutexGuard<'static, Vec<Span>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pages that are locked in memory as long as this lives.
#[derive(Debug)]
#[must_use = "dropping it unlocks"]
pub struct Locked<'map, V: View> {
    map: &'map Map<V>,
    pages: PageRange,
    /// Whether it is counted.
    is_held: bool,
}

impl<V: View> Map<V> {
    /// Locks the pages that hold a byte of `range`: now, or each when it is first touched (Linux 4.4).
    /// Swapping them out, and losing clean ones, ends; migration and copy on write go on. Needs
    /// `CAP_IPC_LOCK` or `RLIMIT_MEMLOCK`.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`](crate::Kind::OutOfRange); [`Kind::MemlockLimit`](crate::Kind::MemlockLimit),
    /// [`Kind::PageUnavailable`](crate::Kind::PageUnavailable) (past the end of the file, or no access to
    /// it), [`Kind::OutOfMemory`](crate::Kind::OutOfMemory),
    /// [`Kind::MapCountExhausted`](crate::Kind::MapCountExhausted). Nothing is locked by this call then.
    ///
    /// ```
    /// use neap_map::{Anon, lock::When};
    /// let mut key = Anon::private(4096).map()?;
    /// key.fill(42);
    /// {
    ///     let _locked = key.lock(.., When::Now)?;
    ///     assert_eq!(key[7], 42);
    /// }
    /// key.resize(100)?;
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    pub fn lock(&self, range: impl RangeBounds<usize>, when: When) -> Result<Locked<'_, V>, Error> {
        let pages = self.covering(Operation::Lock, &range)?;
        let mut guard = Locked {
            map: self,
            pages,
            is_held: false,
        };
        if pages.is_empty() {
            return Ok(guard);
        }
        held().push(pages.span());
        guard.is_held = true;
        neap_os::lock::lock(pages.span(), when)
            .map_err(|errno| pages.name(diagnosis::of_lock(errno, pages.span())))?;
        Ok(guard)
    }
}

impl<'map, V: View> Locked<'map, V> {
    /// The map.
    #[must_use]
    pub const fn map(&self) -> &'map Map<V> {
        self.map
    }

    /// Unlocks what no other guard holds, and says whether the kernel did: a drop cannot.
    ///
    /// # Errors
    /// [`Kind::MapCountExhausted`](crate::Kind::MapCountExhausted): the pages stay locked, and no guard
    /// counts them.
    pub fn unlock(mut self) -> Result<(), Error> {
        self.let_go()
    }

    fn let_go(&mut self) -> Result<(), Error> {
        if !std::mem::replace(&mut self.is_held, false) {
            return Ok(());
        }
        let span = self.pages.span();
        let mut held = held();
        let own = held.iter().position(|&other| other == span);
        held.swap_remove(own.expect("a guard that is held is counted"));
        let mut outcome = Ok(());
        for part in uncovered(span, &held) {
            let unlocked = neap_os::lock::unlock(part)
                .map_err(|errno| self.pages.name(diagnosis::of(Operation::Unlock, errno)));
            outcome = outcome.and(unlocked);
        }
        outcome
    }
}

impl<V: View> Drop for Locked<'_, V> {
    fn drop(&mut self) {
        let _ = self.let_go();
    }
}

/// The parts of `span` that none of `others` covers, in order.
fn uncovered(span: Span, others: &[Span]) -> Vec<Span> {
    let mut others: Vec<Span> = others
        .iter()
        .copied()
        .filter(|other| other.base() < span.end() && span.base() < other.end())
        .collect();
    others.sort_unstable_by_key(|other| other.base());
    let mut parts = Vec::new();
    let mut reached = span.base();
    for other in others {
        if let Some(len) = other.base().checked_sub(reached).filter(|&len| len > 0) {
            parts.extend(Span::new(reached, len));
        }
        reached = reached.max(other.end());
    }
    if let Some(len) = span.end().checked_sub(reached).filter(|&len| len > 0) {
        parts.extend(Span::new(reached, len));
    }
    parts
}

/// Locks what is mapped in the process, what will be, or both; code, stacks and the heap included.
///
/// # Errors
/// [`Kind::MemlockLimit`](crate::Kind::MemlockLimit), [`Kind::OutOfMemory`](crate::Kind::OutOfMemory). With
/// [`Mappings::Future`], later calls that map fail with the first.
pub fn lock_all(mappings: Mappings, when: When) -> Result<(), Error> {
    neap_os::lock::lock_all(mappings, when).map_err(diagnosis::of_lock_all)
}

/// Unlocks everything that is mapped, what guards hold included, and ends the locking of what will be.
///
/// # Errors
/// None that the kernel documents.
pub fn unlock_all() -> Result<(), Error> {
    neap_os::lock::unlock_all().map_err(|errno| diagnosis::of(Operation::Unlock, errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_guard_covers_is_what_a_walk_over_the_bytes_finds() {
        let span = |base: usize, len: usize| Span::new(base, len).unwrap();
        let others = [
            span(0, 3),
            span(4, 2),
            span(5, 4),
            span(12, 1),
            span(17, 9),
            span(30, 2),
        ];
        for start in 0..20 {
            for len in 0..12 {
                let own = span(start, len);
                let parts = uncovered(own, &others);
                let byte_by_byte: Vec<usize> = (start..start + len)
                    .filter(|&at| !others.iter().any(|other| other.contains(at)))
                    .collect();
                let found: Vec<usize> = parts.iter().flat_map(|part| part.base()..part.end()).collect();
                assert_eq!(found, byte_by_byte, "{own:?}");
                assert!(parts.iter().all(|part| !part.is_empty()));
            }
        }
    }

    use crate::anon::Anon;
    use crate::child::in_child;
    use crate::error::Kind;
    use crate::file::FileMap;
    use crate::smaps;

    fn locked_kib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmLck:"))
            .unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    #[test]
    fn a_page_is_unlocked_when_the_last_guard_over_it_goes() {
        in_child(|| {
            let map = Anon::private(8 * 4096).map().unwrap();
            let first = map.lock(..5 * 4096, When::Now).unwrap();
            let second = map.lock(3 * 4096 + 1..8 * 4096, When::Now).unwrap();
            let same = map.lock(..5 * 4096, When::Now).unwrap();
            assert_eq!(locked_kib(), 32);
            drop(first);
            assert_eq!(locked_kib(), 32);
            same.unlock().unwrap();
            assert_eq!(locked_kib(), 20);
            assert!(smaps::at(map.as_ptr().wrapping_add(3 * 4096)).unwrap().has("lo"));
            second.unlock().unwrap();
            assert_eq!(locked_kib(), 0);
        });
    }

    #[test]
    fn on_fault_locks_what_is_touched() {
        in_child(|| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(4 * 4096).unwrap();
            let map = FileMap::of(&file).writable().map().unwrap();
            let locked = map.lock(.., When::OnFault).unwrap();
            let entry = smaps::at(map.as_ptr()).unwrap();
            assert!(entry.has("lo") && entry.has("lf") && entry.kib("Rss:") == 0);
            map.write(0, &1u8).unwrap();
            assert!(smaps::at(map.as_ptr()).unwrap().kib("Rss:") >= 4);
            drop(locked);
            let empty = map.lock(5..5, When::Now).unwrap();
            assert_eq!((locked_kib(), empty.map().len()), (0, 4 * 4096));
            assert_eq!(
                map.lock(..=4 * 4096, When::Now).unwrap_err().kind(),
                Kind::OutOfRange
            );
        });
    }

    #[test]
    fn past_the_end_of_the_file_nothing_is_locked() {
        in_child(|| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(4096).unwrap();
            let map = FileMap::of(&file).range(..4 * 4096).map().unwrap();
            let error = map.lock(.., When::Now).unwrap_err();
            assert_eq!(error.kind(), Kind::PageUnavailable);
            assert_eq!(locked_kib(), 0);
            assert!(held().is_empty());
        });
    }

    #[test]
    fn the_whole_process_is_locked_and_a_child_is_not() {
        in_child(|| {
            if let Err(error) = lock_all(Mappings::All, When::OnFault) {
                assert_eq!(error.kind(), Kind::MemlockLimit);
                return crate::skip::skip(format_args!("{error}"));
            }
            let map = Anon::private(8 * 4096).map().unwrap();
            assert!(smaps::at(map.as_ptr()).unwrap().has("lo"));
            in_child(|| assert_eq!(locked_kib(), 0));
            unlock_all().unwrap();
            assert_eq!(locked_kib(), 0);
            let guard = map.lock(.., When::Now).unwrap();
            in_child(|| {
                assert_eq!(locked_kib(), 0);
                map.lock(..4096, When::Now).unwrap().unlock().unwrap();
            });
            assert_eq!(locked_kib(), 32);
            drop(guard);
        });
    }
}
