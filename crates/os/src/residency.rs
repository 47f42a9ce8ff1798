//! Which pages are in memory: mincore.
//!
//! An answer is history by the time it is read, and never a safety check: every page of a file
//! truncated under its mapping is still called resident.
#![allow(unsafe_code)]

use crate::env::page_size;
use crate::errno::Errno;
use crate::syscall::{Call, syscall3};
use crate::unit::Span;

/// Whether mincore's byte for a page says that it is resident. The other bits are undefined.
#[must_use]
pub const fn is_resident(page: u8) -> bool {
    page & 1 != 0
}

/// Writes one byte for each page of `span` to `pages` (see [`is_resident`]) and says how many pages
/// are resident. For a file mapping, resident means in the page cache; for files that the caller
/// neither owns nor may write, 5.2 and later call every page resident.
///
/// # Errors
/// - `EINVAL`: `span` does not start on a page, or `pages` is too short.
/// - `ENOMEM`: part of `span` is not mapped.
/// - `EAGAIN`: the kernel is short of memory.
pub fn residency(span: Span, pages: &mut [u8]) -> Result<usize, Errno> {
    let count = span.len().div_ceil(page_size());
    let answer = pages.get_mut(..count).ok_or(Errno::EINVAL)?;
    let address = answer.as_mut_ptr().expose_provenance();
    // SAFETY: (1) mincore writes one byte for each page of the span, rounded up: `count` bytes, which
    // `answer` has.
    unsafe { syscall3(Call::MINCORE, span.base(), span.len(), address)? };
    Ok(answer.iter().filter(|&&page| is_resident(page)).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::{self, Hint};
    use crate::linux::Linux;
    use crate::unit::Bytes;
    use crate::vm::Vm;

    #[test]
    fn pages_are_resident_once_touched() {
        let span = Linux.map(Bytes(8 * 4096)).unwrap();
        let mut pages = [0u8; 8];
        assert_eq!(residency(span, &mut pages), Ok(0));
        let two = Span::new(span.base() + 4096, 8192).unwrap();
        advice::hint(two, Hint::PopulateWrite).unwrap();
        assert_eq!(residency(span, &mut pages), Ok(2));
        assert_eq!(
            pages.map(is_resident),
            [false, true, true, false, false, false, false, false]
        );
        // SAFETY: (1, 2) mapped above, used no more.
        unsafe { Linux.unmap(span) }.unwrap();
    }

    #[test]
    fn errors_are_the_kernels() {
        let span = Linux.map(Bytes(8192)).unwrap();
        assert_eq!(residency(span, &mut [0]), Err(Errno::EINVAL));
        assert_eq!(
            residency(Span::new(span.base() + 1, 1).unwrap(), &mut [0]),
            Err(Errno::EINVAL)
        );
        assert_eq!(residency(Span::new(span.base(), 1).unwrap(), &mut [0]), Ok(0));
        assert_eq!(
            residency(Span::new(0, 4096).unwrap(), &mut [0]),
            Err(Errno::ENOMEM)
        );
        // SAFETY: (1, 2) mapped above, used no more.
        unsafe { Linux.unmap(span) }.unwrap();
    }
}
