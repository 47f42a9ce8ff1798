//! Names for anonymous memory, shown in /proc/PID/maps as `[anon:name]`: PR_SET_VMA_ANON_NAME.
//!
//! Areas of different names do not merge, so a name costs map entries. `[anon_shmem:name]` for shared
//! anonymous memory (6.2).
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::syscall::{Call, syscall5};
use crate::unit::Span;
use core::ffi::CStr;

const PR_SET_VMA: usize = 0x5356_4d41;
const PR_SET_VMA_ANON_NAME: usize = 0;

/// # Safety
/// 1. `name` is 0 or the address of a C string.
unsafe fn set(span: Span, name: usize) -> Result<(), Errno> {
    // SAFETY: (1) the kernel reads the C string and changes what /proc shows.
    unsafe {
        syscall5(
            Call::PRCTL,
            PR_SET_VMA,
            PR_SET_VMA_ANON_NAME,
            span.base(),
            span.len(),
            name,
        )?
    };
    Ok(())
}

/// Names `span` (5.17, with CONFIG_ANON_VMA_NAME). The kernel copies the name.
///
/// # Errors
/// - `EINVAL`: a kernel without names; a name of 80 bytes or more, or with a byte that is not printable
///   ASCII or is one of ``[]\$` ``; `span` does not start on a page.
/// - `EBADF`: part of it is a file mapping. `ENOMEM`: part of it is not mapped; or the map count.
pub fn name_mapping(span: Span, name: &CStr) -> Result<(), Errno> {
    // SAFETY: (1) `name` is one and lives through the call.
    unsafe { set(span, name.as_ptr().expose_provenance()) }
}

/// Takes the name off.
///
/// # Errors
/// As [`name_mapping`].
pub fn unname_mapping(span: Span) -> Result<(), Errno> {
    // SAFETY: (1) 0.
    unsafe { set(span, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::Linux;
    use crate::unit::Bytes;
    use crate::vm::Vm;

    fn shown(text: &str) -> bool {
        std::fs::read_to_string("/proc/self/maps").unwrap().contains(text)
    }

    #[test]
    fn a_name_shows_in_maps_until_it_is_taken_off() {
        let span = Linux.map(Bytes(8192)).unwrap();
        match name_mapping(span, c"neap: a test's") {
            Err(Errno::EINVAL) => std::eprintln!("no CONFIG_ANON_VMA_NAME"),
            named => {
                assert_eq!(named, Ok(()));
                assert!(shown("[anon:neap: a test's]"));
                unname_mapping(span).unwrap();
                assert!(!shown("[anon:neap: a test's]"));
                assert_eq!(name_mapping(span, c"a[b"), Err(Errno::EINVAL));
                let long = std::ffi::CString::new("x".repeat(80)).unwrap();
                assert_eq!(name_mapping(span, &long), Err(Errno::EINVAL));
                assert_eq!(
                    name_mapping(Span::new(0, 4096).unwrap(), c"x"),
                    Err(Errno::ENOMEM)
                );
            }
        }
        // SAFETY: (1, 2) mapped above, used no more.
        unsafe { Linux.unmap(span) }.unwrap();
    }
}
