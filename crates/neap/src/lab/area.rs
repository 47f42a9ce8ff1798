//! [`Area`]: a mapping of an experiment's own, as mmap is asked for it, and loads and stores in it.
//!
//! Owns the pages from mmap to munmap. Nothing refers to them: every access is one volatile load or store, so
//! whatever the kernel does to the bytes surprises nobody. What the protection forbids ends the process by a
//! signal: such an access belongs in [`super::hand::Hand::fault_of`].
#![allow(unsafe_code, reason = "mmap, munmap and accesses that may fault")]

use std::ffi::c_int;
use std::fs::{self, File};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd as _};
use std::ptr::{self, with_exposed_provenance, with_exposed_provenance_mut};

use neap_os::errno::Errno;
use neap_os::fd::Fd;
use neap_os::mapping::{Flags, PageSize, Place, Prot, Request, Sharing, Source, map, protect, unmap};
use neap_os::unit::{Bytes, Span};

use super::hand::{Hand, Stop, cannot, failed};

/// Private anonymous memory that can be read and written.
pub(crate) const fn private(len: usize) -> Request {
    Request {
        len: Bytes(len),
        place: Place::Anywhere,
        prot: Prot::READ.with(Prot::WRITE),
        sharing: Sharing::Private,
        source: Source::Anonymous,
        page: PageSize::Base,
        flags: Flags::NONE,
    }
}

/// The start of a file, shared.
pub(crate) fn shared(file: &impl AsFd, len: usize, prot: Prot) -> Request {
    Request {
        prot,
        sharing: Sharing::Shared,
        source: Source::File(Fd(file.as_fd().as_raw_fd()), 0),
        ..private(len)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Area {
    span: Span,
}

impl Area {
    /// Asks mmap. Not for [`Place::Over`], which could replace what is somebody else's.
    pub(crate) fn ask(request: &Request) -> Result<Area, Errno> {
        assert!(!matches!(request.place, Place::Over(_)), "only into free room");
        // SAFETY: (1) is about Place::Over, which the line above excludes.
        unsafe { map(request) }.map(|span| Area { span })
    }

    /// The same where a refusal ends the experiment.
    pub(crate) fn new(request: &Request) -> Result<Area, Stop> {
        Area::ask(request).map_err(failed("mmap"))
    }

    /// Asks for what `request` says at `base` inside of `room`, which stays around it to the end of the process.
    pub(crate) fn inside(room: Area, base: usize, request: &Request) -> Result<Area, Errno> {
        let fits = room.span.base() <= base && base + request.len.0 <= room.span.end();
        assert!(fits, "only into that room");
        let place = Place::Over(base);
        // SAFETY: (1) what is replaced lies in `room`, asserted, which nobody accesses: it is consumed here.
        let span = unsafe { map(&Request { place, ..*request })? };
        std::mem::forget(room);
        Ok(Area { span })
    }

    /// Where it is.
    pub(crate) const fn span(&self) -> Span {
        self.span
    }

    /// A part of it.
    pub(crate) fn part(&self, bytes: Range<usize>) -> Span {
        assert!(bytes.start <= bytes.end && bytes.end <= self.span.len());
        Span::new(self.span.base() + bytes.start, bytes.len()).unwrap_or(self.span)
    }

    /// Reads the byte at this offset.
    pub(crate) fn load(&self, at: usize) -> u8 {
        assert!(at < self.span.len());
        // SAFETY: the byte lies in a mapping that is this area's until it is dropped, and no reference to it
        // exists. Whether it can be read is what the experiment asks: if not, the process ends here.
        unsafe { with_exposed_provenance::<u8>(self.span.base() + at).read_volatile() }
    }

    /// Writes the byte at this offset.
    pub(crate) fn store(&self, at: usize, byte: u8) {
        assert!(at < self.span.len());
        // SAFETY: as in `load`.
        unsafe { with_exposed_provenance_mut::<u8>(self.span.base() + at).write_volatile(byte) }
    }

    /// Writes the byte to the start of each page.
    pub(crate) fn store_in_pages(&self, byte: u8) {
        for at in (0..self.span.len()).step_by(neap_os::env::page_size()) {
            self.store(at, byte);
        }
    }

    /// Pages whose first byte is this.
    pub(crate) fn pages_with(&self, byte: u8) -> usize {
        (0..self.span.len())
            .step_by(neap_os::env::page_size())
            .filter(|&at| self.load(at) == byte)
            .count()
    }

    /// Writes a function that does nothing to the start.
    pub(crate) fn store_function(&self) {
        let code: &[u8] = if cfg!(target_arch = "aarch64") {
            &[0xc0, 0x03, 0x5f, 0xd6]
        } else {
            &[0xc3]
        };
        for (at, byte) in code.iter().enumerate() {
            self.store(at, *byte);
        }
    }

    /// Calls the function that [`Area::store_function`] has written to the start.
    pub(crate) fn call(&self) {
        let code = with_exposed_provenance::<()>(self.span.base());
        assert!(!code.is_null());
        // SAFETY: the pointer is not null, and the bytes there are a function without arguments that returns
        // at once. Whether it can be fetched is what the experiment asks: if not, the process ends here.
        unsafe { std::mem::transmute::<*const (), extern "C" fn()>(code)() }
    }

    /// munmap of a part, of which no byte is accessed any more if it succeeds.
    pub(crate) fn unmap_part(&self, bytes: Range<usize>) -> Result<(), Errno> {
        // SAFETY: (1) the part is this area's. (2) Accesses are made by `load` and its kin, which say what an
        // access to what is not there does; the drop unmaps what is left, and a hole is no error.
        unsafe { unmap(self.part(bytes)) }
    }

    /// mprotect of a part.
    pub(crate) fn protect(&self, bytes: Range<usize>, prot: Prot) -> Result<(), Errno> {
        // SAFETY: (1) the part is this area's. (2) Accesses are made by `load`, `store` and `call` alone,
        // which say what an access that is forbidden does.
        unsafe { protect(self.part(bytes), prot) }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: (1) `ask` made the mapping, and it is this area's. (2) Accesses need the area, which ends.
        // A refusal (a sealed mapping) leaves it to the end of the process.
        let _ = unsafe { unmap(self.span) };
    }
}

/// A new file of one page of 7s in the experiment's folder, open for both.
pub(crate) fn one_page(hand: &Hand) -> Result<File, Stop> {
    let path = hand.scratch().join("one-page");
    let file = fs::write(&path, vec![7; neap_os::env::page_size()])
        .and_then(|()| File::options().read(true).write(true).open(&path));
    file.map_err(|error| {
        cannot(
            format!("a file: {error}"),
            "set TMPDIR to a folder that can be written",
        )
    })
}

/// Addresses at which nothing is mapped, this many bytes.
pub(crate) fn free_room(len: usize) -> Result<usize, Stop> {
    let room = Area::new(&Request {
        prot: Prot::NONE,
        ..private(len)
    })?;
    Ok(room.span().base())
}

/// mmap with flags that [`Request`] has no words for; `file` as the C library takes it.
pub(crate) fn ask_by_number(prot: c_int, flags: c_int, file: c_int) -> Result<Area, Errno> {
    assert_eq!(flags & libc::MAP_FIXED, 0, "only into free room");
    let page = neap_os::env::page_size();
    // SAFETY: without MAP_FIXED mmap only adds a mapping where none is.
    let base = unsafe { libc::mmap(ptr::null_mut(), page, prot, flags, file, 0) };
    if base == libc::MAP_FAILED {
        let error = std::io::Error::last_os_error();
        return Err(Errno(error.raw_os_error().unwrap_or(0)));
    }
    let span = Span::new(base.expose_provenance(), page).ok_or(Errno::ENOMEM)?;
    Ok(Area { span })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_there_until_it_is_dropped() {
        let page = neap_os::env::page_size();
        let area = Area::new(&private(2 * page)).unwrap();
        area.store(page, 7);
        assert_eq!((area.load(0), area.load(page), area.pages_with(7)), (0, 7, 1));
        let twin = Request {
            place: Place::Free(area.span().base()),
            ..private(page)
        };
        assert_eq!(Area::ask(&twin).unwrap_err(), Errno::EEXIST);
    }
}
