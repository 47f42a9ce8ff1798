//! [`Device`]: memory that a driver hands out.
//!
//! What a driver maps has no length that fstat knows, its offset may choose what is mapped, and a register
//! wants accesses of its own width, each made once: the caller names range and width, and nothing is
//! rounded, split or cached. Order against other accesses is made by [`std::sync::atomic::fence`]. Never
//! forms a reference.
//!
//! An access to a page that the driver has taken away is an error, as the instruction is guarded; with
//! [`Means::SystemCalls`](crate::Means) it is a signal, because the kernel's copies have no width. Which calls a mapping allows is the driver's choice: many refuse copy-on-write or
//! unmapping a part.
#![allow(unsafe_code)]

use crate::access;
use crate::area::Area;
use crate::error::{Error, Kind, Refused};
use crate::file::{Reading, Writing};
use crate::operation::Operation;
use neap_os::env::page_size;
use neap_os::fd::Fd;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::Bytes;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// A request for a driver's memory.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is mapped before `map`"]
pub struct DeviceRequest<'f, A> {
    file: BorrowedFd<'f>,
    start: u64,
    end: u64,
    sharing: Sharing,
    access: PhantomData<A>,
}

impl<'f> DeviceRequest<'f, Reading> {
    /// For stores, too.
    ///
    /// # Safety
    /// 1. No value that is stored makes the device or the kernel change memory that Rust code relies on:
    ///    such as an address for DMA, or a request in a ring.
    pub unsafe fn writable(self) -> DeviceRequest<'f, Writing> {
        DeviceRequest {
            file: self.file,
            start: self.start,
            end: self.end,
            sharing: self.sharing,
            access: PhantomData,
        }
    }

    /// Maps it.
    ///
    /// # Errors
    /// - [`Kind::Unaligned`]: the range does not start on a page. [`Kind::OutOfRange`]: it is empty or
    ///   ends before it starts.
    /// - [`Kind::NotMappable`]: not a driver that hands out memory. [`Kind::Invalid`]: not this range of it,
    ///   or not so. [`Kind::AccessDenied`], [`Kind::NotPermitted`], [`Kind::BadDescriptor`].
    /// - Those of memory. Drivers may say others.
    pub fn map(self) -> Result<Device<Reading>, Error> {
        self.area(Prot::READ).map(Device::of_area)
    }
}

impl DeviceRequest<'_, Writing> {
    /// Maps it.
    ///
    /// # Errors
    /// As for reading.
    pub fn map(self) -> Result<Device<Writing>, Error> {
        self.area(Prot::READ | Prot::WRITE).map(Device::of_area)
    }
}

impl<A> DeviceRequest<'_, A> {
    /// `MAP_PRIVATE`: stores go to a copy. Most drivers refuse it.
    pub fn private(self) -> Self {
        DeviceRequest {
            sharing: Sharing::Private,
            ..self
        }
    }

    fn area(&self, prot: Prot) -> Result<Area, Error> {
        let len = self.end.saturating_sub(self.start);
        let refused = |kind| Error::found(Operation::Map, kind).at(self.start, len);
        if len == 0 {
            return Err(refused(Kind::OutOfRange));
        }
        if !self.start.is_multiple_of(page_size() as u64) {
            return Err(refused(Kind::Unaligned));
        }
        let len = usize::try_from(len).map_err(|_| refused(Kind::TooLarge))?;
        let request = Request {
            len: Bytes(len),
            place: Place::Anywhere,
            prot,
            sharing: self.sharing,
            source: Source::File(Fd(self.file.as_raw_fd()), self.start),
            page: PageSize::Base,
            flags: Flags::NONE,
        };
        Area::map(&request, 0, len).map_err(|error| match (error.kind(), error.errno()) {
            // A driver's EPERM is no seal.
            (Kind::SealedAgainst, Some(errno)) => {
                Error::answered(Operation::Map, errno, Kind::NotPermitted).at(self.start, len as u64)
            }
            _ => error,
        })
    }
}

/// A driver's memory. See the module.
///
/// ```
/// use neap_map::Device;
/// // The driver of /dev/zero hands out memory of zeros, as long as one likes.
/// let zero = std::fs::File::open("/dev/zero")?;
/// let device = Device::of(&zero, 0..4096).map()?;
/// assert_eq!(device.read_u32(4092)?, 0);
/// assert!(device.read_u32(4093).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Device<A> {
    area: Area,
    access: PhantomData<A>,
}

impl Device<Reading> {
    /// A request for these bytes, as the driver reckons them; the start is a multiple of the page.
    pub fn of(file: &impl AsFd, range: Range<u64>) -> DeviceRequest<'_, Reading> {
        DeviceRequest {
            file: file.as_fd(),
            start: range.start,
            end: range.end,
            sharing: Sharing::Shared,
            access: PhantomData,
        }
    }
}

macro_rules! loads {
    ($($name:ident: $type:ty;)*) => {$(
        /// One load of this width, in the machine's byte order.
        ///
        /// # Errors
        /// [`Kind::OutOfRange`]; [`Kind::Misaligned`]: the offset is not a multiple of the width;
        /// [`Kind::PageUnavailable`], [`Kind::NotMapped`]: the driver has taken the page away.
        pub fn $name(&self, offset: usize) -> Result<$type, Error> {
            let place = self.place::<$type>(Operation::Read, offset)?;
            // SAFETY: (1) inside the area and aligned, by `place`; no reference to it exists.
            match unsafe { access::load_word::<$type>(place.cast()) } {
                Some(outcome) => outcome.map_err(|error| error.at(offset as u64, size_of::<$type>() as u64)),
                // SAFETY: as above, mapped for reading; a volatile access may be of memory that is not
                // Rust's.
                None => Ok(unsafe { place.read_volatile() }),
            }
        }
    )*};
}

macro_rules! stores {
    ($($name:ident: $type:ty;)*) => {$(
        /// One store of this width, in the machine's byte order.
        ///
        /// # Errors
        /// [`Kind::OutOfRange`]; [`Kind::Misaligned`]: the offset is not a multiple of the width;
        /// [`Kind::PageUnavailable`], [`Kind::NotMapped`]: the driver has taken the page away.
        pub fn $name(&self, offset: usize, value: $type) -> Result<(), Error> {
            let place = self.place::<$type>(Operation::Write, offset)?;
            // SAFETY: (1) inside the area and aligned, by `place`; (2) no reference to it exists. What the
            // store does beyond it is harmless, as `writable` (1) was promised.
            match unsafe { access::store_word(&value.to_ne_bytes(), place.cast()) } {
                Some(outcome) => outcome.map_err(|error| error.at(offset as u64, size_of::<$type>() as u64)),
                None => {
                    // SAFETY: as above, mapped for writing.
                    unsafe { place.write_volatile(value) };
                    Ok(())
                }
            }
        }
    )*};
}

impl<A> Device<A> {
    fn of_area(area: Area) -> Device<A> {
        Device {
            area,
            access: PhantomData,
        }
    }

    loads! {
        read_u8: u8;
        read_u16: u16;
        read_u32: u32;
        read_u64: u64;
    }

    /// Length in bytes, as asked for.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.area.len()
    }

    /// Never: an empty range is not mapped.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.area.len() == 0
    }

    /// The address of the first byte, for calls that take one.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.area.as_ptr()
    }

    /// Unmaps it all, and says whether the kernel did.
    ///
    /// # Errors
    /// The driver's; the memory is in the error then.
    pub fn unmap(self) -> Result<(), Refused<Device<A>>> {
        self.area
            .unmap()
            .map_err(|refused| Refused::new(refused.error(), Device::of_area(refused.into_inner())))
    }

    fn place<T>(&self, operation: Operation, offset: usize) -> Result<*mut T, Error> {
        let width = size_of::<T>();
        let refused = |kind| Error::found(operation, kind).at(offset as u64, width as u64);
        let end = offset.checked_add(width).ok_or(refused(Kind::OutOfRange))?;
        self.area.bytes(operation, &(offset..end))?;
        if !offset.is_multiple_of(width) {
            return Err(refused(Kind::Misaligned));
        }
        // The area starts on a page, so the offset's alignment is the address's.
        Ok(self.area.as_ptr().wrapping_add(offset).cast())
    }
}

impl Device<Writing> {
    stores! {
        write_u8: u8;
        write_u16: u16;
        write_u32: u32;
        write_u64: u64;
    }
}

impl<A> fmt::Debug for Device<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({} bytes at {:p})", self.len(), self.as_ptr())
    }
}
