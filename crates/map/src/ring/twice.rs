//! [`Twice`]: the same bytes of a file, mapped twice, side by side.
//!
//! Owns both mappings. Invariant: byte `i` and byte `i + capacity` of the area are the same byte of the file,
//! for every `i` below the capacity. Never lends a slice: who does argues why.
#![allow(unsafe_code)]

use crate::area::Area;
use crate::diagnosis;
use crate::error::Error;
use crate::operation::Operation;
use neap_os::advice::{self, Discard};
use neap_os::fd::Fd;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::Bytes;
use std::os::fd::{AsRawFd, BorrowedFd};

/// See the module.
pub(super) struct Twice {
    area: Area,
    capacity: usize,
}

impl Twice {
    /// Maps `capacity` bytes of the file from `offset` on, both in whole pages.
    pub(super) fn map(file: BorrowedFd, offset: u64, capacity: usize) -> Result<Twice, Error> {
        // At first the second half is what follows in the file, probably nothing.
        let request = Request {
            len: Bytes(2 * capacity),
            place: Place::Anywhere,
            prot: Prot::READ | Prot::WRITE,
            sharing: Sharing::Shared,
            source: Source::File(Fd(file.as_raw_fd()), offset),
            page: PageSize::Base,
            flags: Flags::NONE,
        };
        let mut area = Area::map(&request, 0, 2 * capacity)?;
        let second = area.exactly(Operation::Map, &(capacity..))?;
        // SAFETY: (1) nobody has heard of the area.
        if let Err(error) = unsafe { area.map_over(second, &request) } {
            // The kernel may have left a hole there, which another thread's mapping may fill: these
            // addresses are given up.
            if let Ok(hole) = area.split_off(capacity) {
                let _ = hole.release();
            }
            return Err(error);
        }
        Ok(Twice { area, capacity })
    }

    /// Has children of forks do without.
    pub(super) fn leave_out_of_forks(&self) -> Result<(), Error> {
        let pages = self.area.whole();
        // SAFETY: (1) the whole of this area; (2) this process loses nothing, and a child cannot rely on
        // bytes that it does not have: what it touches there faults.
        unsafe { advice::discard(pages.span(), Discard::DontFork) }
            .map_err(|errno| pages.name(diagnosis::of(Operation::Advise, errno)))
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Byte `at`, which is less than the capacity; as many bytes as the capacity follow.
    pub(super) fn at(&self, at: usize) -> *mut u8 {
        assert!(at < self.capacity);
        self.area.as_ptr().wrapping_add(at)
    }

    /// `at` modulo the capacity, if it is less than twice that.
    pub(super) const fn wrap(&self, at: usize) -> usize {
        if at >= self.capacity {
            at - self.capacity
        } else {
            at
        }
    }
}
