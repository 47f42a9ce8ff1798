//! Sealing a mapping for ever: mseal (6.10, 64-bit kernels).
//!
//! A sealed span cannot be unmapped, moved, grown, shrunk, mapped over or given another protection or
//! protection key; where it is anonymous and not writable, advice that loses data is refused as well. All of
//! these then say `EPERM`. There is no way back: a seal ends with the process or its next execve, and a child
//! of fork inherits it. The bytes stay what they are and stay writable where they were: this protects the
//! map, not the contents. Its pages can still be locked, paged out and, if the kernel is out of memory, the
//! process killed.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::syscall::{Call, syscall3};
use crate::unit::Span;

/// Seals `span`, which the kernel rounds up to whole pages. Sealing twice changes nothing.
///
/// # Errors
/// From mseal(2).
/// - `ENOMEM`: part of `span` is not mapped, and nothing is sealed; or its edge splits a mapping and
///   vm.max_map_count is reached, and some of it may be.
/// - `EINVAL`: `span` does not start on a page.
/// - `ENOSYS`: before 6.10.
///
/// # Safety
/// Sealing changes no byte, but it takes from the span's owner what an owner counts on: that it can unmap
/// what it let go, or fence off what must not be touched. Code written before mseal may take those for
/// certain.
/// 1. `span` is the caller's, and nothing counts on unmapping, moving, protecting, replacing or discarding
///    any part of it before the process ends.
pub unsafe fn seal(span: Span) -> Result<(), Errno> {
    // SAFETY: (1) mseal reads and writes no memory of the process; what it forbids is given up by the
    // caller's 1.
    unsafe { syscall3(Call::MSEAL, span.base(), span.len(), 0)? };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::{self, Discard};
    use crate::child::{end_of_child, in_child};
    use crate::linux::Linux;
    use crate::unit::Bytes;
    use crate::vm::{Protection, Vm};
    use core::ptr::with_exposed_provenance_mut;

    const PAGE: usize = 4096;

    fn part(span: Span, first: usize, count: usize) -> Span {
        Span::new(span.base() + first * PAGE, count * PAGE).unwrap()
    }

    /// Runs `body` with four fresh pages in a child, or says that the kernel has no mseal.
    fn with_pages(body: impl FnOnce(Span)) {
        let none = Span::new(PAGE, 0).unwrap();
        // SAFETY: (1) an empty span.
        if unsafe { seal(none) } == Err(Errno::ENOSYS) {
            return crate::child::skip(format_args!("no mseal (6.10)"));
        }
        in_child(|| body(Linux.map(Bytes(4 * PAGE)).unwrap()));
    }

    #[test]
    fn a_sealed_mapping_refuses_every_change_and_keeps_its_bytes() {
        with_pages(|span| {
            let byte = with_exposed_provenance_mut::<u8>(span.base() + PAGE);
            let sealed = part(span, 1, 2);
            // SAFETY: the pages were mapped for this test alone; every change is refused.
            unsafe {
                byte.write_volatile(7);
                assert_eq!(seal(sealed), Ok(()));
                assert_eq!(seal(sealed), Ok(()));
                assert_eq!(Linux.unmap(sealed), Err(Errno::EPERM));
                assert_eq!(Linux.unmap(span), Err(Errno::EPERM));
                assert_eq!(Linux.protect(sealed, Protection::None), Err(Errno::EPERM));
                assert_eq!(Linux.remap(sealed, Bytes(PAGE)), Err(Errno::EPERM));
                assert_eq!(Linux.remap(sealed, Bytes(8 * PAGE)), Err(Errno::EPERM));
                assert_eq!(byte.read_volatile(), 7);
                byte.write_volatile(8);
                assert_eq!(byte.read_volatile(), 8);
                // Its neighbours are free.
                assert_eq!(Linux.unmap(part(span, 0, 1)), Ok(()));
                assert_eq!(Linux.protect(part(span, 3, 1), Protection::None), Ok(()));
            }
        });
    }

    #[test]
    fn discarding_is_refused_only_where_the_owner_could_not_write() {
        with_pages(|span| {
            // SAFETY: the pages were mapped for this test alone.
            unsafe {
                Linux.protect(part(span, 0, 1), Protection::Read).unwrap();
                seal(span).unwrap();
                for lost in [Discard::DontNeed, Discard::Free] {
                    assert_eq!(advice::discard(part(span, 0, 1), lost), Err(Errno::EPERM));
                    assert_eq!(advice::discard(part(span, 1, 1), lost), Ok(()));
                }
            }
        });
    }

    #[test]
    fn a_child_inherits_the_seal() {
        with_pages(|span| {
            // SAFETY: the pages were mapped for this test alone.
            unsafe { seal(span) }.unwrap();
            let end = end_of_child(|| {
                // SAFETY: as above; refused.
                assert_eq!(unsafe { Linux.unmap(span) }, Err(Errno::EPERM));
            });
            assert_eq!(end, Ok(0));
        });
    }

    #[test]
    fn errors_are_the_kernels_and_seal_nothing() {
        with_pages(|span| {
            // SAFETY: the pages were mapped for this test alone; nothing uses them.
            unsafe {
                let odd = Span::new(span.base() + 1, PAGE).unwrap();
                assert_eq!(seal(odd), Err(Errno::EINVAL));
                assert_eq!(seal(Span::new(0, PAGE).unwrap()), Err(Errno::ENOMEM));
                // Flags are reserved.
                let flagged = syscall3(Call::MSEAL, span.base(), PAGE, 1);
                assert_eq!(flagged, Err(Errno::EINVAL));
                Linux.unmap(part(span, 2, 1)).unwrap();
                assert_eq!(seal(span), Err(Errno::ENOMEM));
                assert_eq!(Linux.unmap(span), Ok(()));
            }
        });
    }
}
