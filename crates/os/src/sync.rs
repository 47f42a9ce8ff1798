//! Writing a shared file mapping back: msync.
//!
//! This is about the disk only: a store into a shared mapping is visible to read(2) and to every other
//! mapping at once.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::syscall::{Call, syscall3};
use crate::unit::Span;

/// What msync does about dirty pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writeback {
    /// MS_ASYNC: nothing, since 2.6.19. The kernel writes them when it does.
    Later,
    /// MS_SYNC: writes them and waits until the file system says they are stored.
    Wait,
}

/// What msync says about other mappings of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Others {
    /// Nothing.
    Keep,
    /// MS_INVALIDATE: nothing either, as all see the same pages, but locked memory is `EBUSY`.
    Invalidate,
}

/// Writes `span` back to its file. Private and anonymous memory is left alone, with success.
///
/// # Errors
/// - `EBUSY`: [`Others::Invalidate`] and part of it is locked.
/// - `EINVAL`: `span` does not start on a page.
/// - `EIO`, `ENOSPC`, `EDQUOT`: the file system, now or since it last told this open file.
/// - `ENOMEM`: part of it is not mapped; the rest is written.
pub fn sync(span: Span, writeback: Writeback, others: Others) -> Result<(), Errno> {
    let writeback = match writeback {
        Writeback::Later => 1,
        Writeback::Wait => 4,
    };
    let others = match others {
        Others::Keep => 0,
        Others::Invalidate => 2,
    };
    // SAFETY: (1) msync writes pages to their file and changes no byte of memory.
    unsafe { syscall3(Call::MSYNC, span.base(), span.len(), writeback | others)? };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::in_child;
    use crate::linux::Linux;
    use crate::lock::{When, lock, unlock};
    use crate::syscall::{Call, syscall3};
    use crate::unit::Bytes;
    use crate::vm::Vm;

    #[test]
    fn errors_are_the_kernels() {
        in_child(|| {
            let span = Linux.map(Bytes(3 * 4096)).unwrap();
            for writeback in [Writeback::Later, Writeback::Wait] {
                assert_eq!(sync(span, writeback, Others::Invalidate), Ok(()));
                let odd = Span::new(span.base() + 1, 1).unwrap();
                assert_eq!(sync(odd, writeback, Others::Keep), Err(Errno::EINVAL));
            }
            lock(span, When::Now).unwrap();
            assert_eq!(sync(span, Writeback::Later, Others::Keep), Ok(()));
            assert_eq!(
                sync(span, Writeback::Later, Others::Invalidate),
                Err(Errno::EBUSY)
            );
            unlock(span).unwrap();
            // SAFETY: (1) both flags at once are refused.
            let both = unsafe { syscall3(Call::MSYNC, span.base(), span.len(), 1 | 4) };
            assert_eq!(both, Err(Errno::EINVAL));
            // SAFETY: (1, 2) mapped above, never used.
            unsafe { Linux.unmap(Span::new(span.base() + 4096, 4096).unwrap()) }.unwrap();
            assert_eq!(sync(span, Writeback::Wait, Others::Keep), Err(Errno::ENOMEM));
        });
    }
}
