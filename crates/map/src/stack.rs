//! [`Stack`]: memory that grows downwards by itself when the page below it is touched (`MAP_GROWSDOWN`).
//!
//! It grows to `RLIMIT_STACK` bytes, and never closer than 256 pages (stack_guard_gap) to a mapping below it;
//! a touch where it cannot grow is SIGSEGV. The kernel keeps mappings that come later as far away. Lends
//! nothing: it is for code that brings its own stack pointer. It lies where the kernel puts it, as two that
//! touch would be one to the kernel. A child of a fork has a copy. Source: mmap(2).
#![allow(unsafe_code)]

use crate::area::Area;
use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::operation::Operation;
use neap_os::env::page_size;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::Bytes;
use rustix::process::{Resource, getrlimit};

/// Room looked for at most.
const MOST_ROOM: usize = 64 << 20;
/// The distance that the kernel keeps from what lies below (stack_guard_gap).
const GAP_PAGES: usize = 256;

/// Private memory that grows downwards.
///
/// ```
/// use neap_map::Stack;
/// let stack = Stack::new(16 << 10)?;
/// assert_eq!((stack.mapped(), stack.top().addr() % 4096), (16 << 10, 0));
/// # Ok::<(), neap_map::Error>(())
/// ```
#[derive(Debug)]
pub struct Stack(Area);

impl Stack {
    /// A stack of `len` bytes at first, at least one page, readable and writable. It lies where there is
    /// room to grow to `RLIMIT_STACK` (to 64 MiB if that is more); nobody keeps the room for it.
    ///
    /// # Errors
    /// [`Kind::TooLarge`](crate::Kind::TooLarge), and the limits of memory.
    pub fn new(len: usize) -> Result<Stack, Error> {
        let too_large = Error::found(Operation::Map, Kind::TooLarge).at(0, len as u64);
        let len = Bytes(len.max(1)).round_up(page_size()).ok_or(too_large)?.0;
        let limit = getrlimit(Resource::Stack).current.unwrap_or(u64::MAX);
        let room = usize::try_from(limit).map_or(MOST_ROOM, |limit| limit.min(MOST_ROOM));
        let room = (room & !(page_size() - 1)) + GAP_PAGES * page_size();
        let all = room.checked_add(len).ok_or(too_large)?;
        let mut below = Area::reserve(all, page_size())?;
        let stack = below.split_off(room)?;
        let request = Request {
            len: Bytes(len),
            place: Place::Anywhere,
            prot: Prot::READ | Prot::WRITE,
            sharing: Sharing::Private,
            source: Source::Anonymous,
            page: PageSize::Base,
            flags: Flags::STACK | Flags::GROWS_DOWN,
        };
        // SAFETY: (1) reserved above, and nobody has heard of it.
        unsafe { stack.map_over(stack.whole(), &request)? };
        below.unmap()?;
        Ok(Stack(stack))
    }

    /// One past the highest byte: where a stack pointer starts. Aligned to a page.
    #[must_use]
    pub fn top(&self) -> *mut u8 {
        let pages = self.0.whole().span();
        std::ptr::with_exposed_provenance_mut(pages.end())
    }

    /// How many bytes it has grown to, by /proc/self/maps; 0 if that cannot be read.
    #[must_use]
    pub fn mapped(&self) -> usize {
        let pages = self.0.whole().span();
        diagnosis::mapping_at(pages.base()).map_or(0, |now| pages.end() - now.base())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: (1) mapped so by `new`, without guards; the stack is not used any more, as whoever ran on
        // it did so by `unsafe` code that answers for that.
        unsafe { self.0.take_growth() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anon::Anon;
    use crate::child::{Child, in_child, limit};
    use crate::smaps;
    use crate::smaps::is_mapped;

    const PAGE: usize = 4096;

    fn store(stack: &Stack, below_the_top: usize) {
        // SAFETY: the stack's own, or the child is meant to die of it.
        unsafe { stack.top().wrapping_sub(below_the_top).write_volatile(1) };
    }

    #[test]
    fn it_grows_when_touched_to_its_limit_and_goes_with_all_it_grew_by() {
        in_child(|| {
            limit(libc::RLIMIT_STACK, 64 << 10);
            let stack = Stack::new(2 * PAGE).unwrap();
            assert!(smaps::at(stack.top().wrapping_sub(1)).unwrap().has("gd"));
            for pages in [3, 4, 16] {
                store(&stack, pages * PAGE);
                assert_eq!(stack.mapped(), pages * PAGE);
            }
            assert_eq!(
                Child::start(|| store(&stack, 16 * PAGE + 1)).end(),
                Err(libc::SIGSEGV)
            );
            let lowest = stack.top().wrapping_sub(stack.mapped());
            assert!(is_mapped(lowest));
            drop(stack);
            assert!(!is_mapped(lowest));
        });
    }

    #[test]
    fn it_keeps_away_from_what_lies_below() {
        in_child(|| {
            let stack = Stack::new(PAGE).unwrap();
            let below = stack.top().addr() - 300 * PAGE;
            let Ok(neighbour) = Anon::private(PAGE).at(below).map() else {
                return crate::skip::skip(format_args!("something lies below the stack already"));
            };
            // 299 pages lie between: 43 of them can be had.
            store(&stack, 43 * PAGE);
            assert_eq!(
                Child::start(|| store(&stack, 44 * PAGE)).end(),
                Err(libc::SIGSEGV)
            );
            assert_eq!((stack.mapped(), neighbour[0]), (43 * PAGE, 0));
        });
    }
}
