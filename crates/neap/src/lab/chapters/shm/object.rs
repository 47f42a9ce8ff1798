//! An object of POSIX shared memory by hand: its name, its descriptor, its pages.
//!
//! Owns shm_open and shm_unlink of the C library, mmap and munmap of what they give, and children that answer
//! with an errno. A [`Name`] is removed and [`Pages`] are unmapped when they go; a child of an experiment
//! ends in `_exit` and drops nothing of its parent's.
#![allow(unsafe_code, reason = "shm_open, mmap and the way to another user by hand")]

use std::ffi::{CString, c_int};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::ptr::with_exposed_provenance_mut;

use neap_os::errno::Errno;
use neap_os::fd::Fd;
use neap_os::mapping::{self, Flags, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::{Bytes, Span};

use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::offspring::End;

/// The errno of a call that went by way of rustix.
pub(in crate::lab::chapters) fn os(errno: rustix::io::Errno) -> Errno {
    Errno(errno.raw_os_error())
}

/// The errno of a call that went by way of the mapping library; 0 where it refused without asking the kernel.
pub(in crate::lab::chapters) fn code(error: neap_map::Error) -> Errno {
    error.errno().unwrap_or(Errno(0))
}

/// A call of the mapping library that the experiment needs and that is not its subject failed.
pub(in crate::lab::chapters) fn refused(what: &str) -> impl FnOnce(neap_map::Error) -> Stop + '_ {
    move |error| cannot(format!("{what}: {error}"), error.kind().mend())
}

fn last() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// The name of an object, which this experiment's process alone uses.
pub(super) struct Name(CString);

impl Name {
    /// `/neap-lab-PID-what`.
    pub(super) fn new(what: &str) -> Name {
        Name::of(&format!("/neap-lab-{}-{what}", std::process::id()))
    }

    /// These very letters.
    pub(super) fn of(text: &str) -> Name {
        Name(CString::new(text.replace('\0', "")).unwrap_or_default())
    }

    /// Where the C library keeps it.
    pub(super) fn path(&self) -> PathBuf {
        let name = self.0.to_string_lossy();
        PathBuf::from("/dev/shm").join(name.trim_start_matches('/'))
    }

    /// shm_open(3). `flags` and `mode` are those of open(2).
    pub(super) fn open(&self, flags: c_int, mode: libc::mode_t) -> Result<OwnedFd, Errno> {
        // SAFETY: the name is a C string that lives here.
        let fd = unsafe { libc::shm_open(self.0.as_ptr(), flags, mode) };
        if fd < 0 {
            return Err(last());
        }
        // SAFETY: the call has just opened it, and nobody else knows its number.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Makes a new object, mode 0600.
    pub(super) fn create(&self) -> Result<OwnedFd, Errno> {
        self.open(libc::O_CREAT | libc::O_EXCL | libc::O_RDWR, 0o600)
    }

    /// shm_unlink(3).
    pub(super) fn unlink(&self) -> Result<(), Errno> {
        // SAFETY: the name is a C string that lives here.
        match unsafe { libc::shm_unlink(self.0.as_ptr()) } {
            0 => Ok(()),
            _ => Err(last()),
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = self.unlink();
    }
}

/// Pages of an object, shared. An access to one that the object has no byte for is SIGBUS.
pub(super) struct Pages(Span);

impl Pages {
    /// mmap(2) with MAP_SHARED from the object's start.
    pub(super) fn map(file: &impl AsFd, len: usize, prot: Prot) -> Result<Pages, Errno> {
        let request = Request {
            len: Bytes(len),
            place: Place::Anywhere,
            prot,
            sharing: Sharing::Shared,
            source: Source::File(Fd(file.as_fd().as_raw_fd()), 0),
            page: PageSize::Base,
            flags: Flags::NONE,
        };
        // SAFETY: (1) the place is the kernel's choice.
        unsafe { mapping::map(&request) }.map(Pages)
    }

    /// For reading and writing.
    pub(super) fn writable(file: &impl AsFd, len: usize) -> Result<Pages, Errno> {
        Pages::map(file, len, Prot::READ | Prot::WRITE)
    }

    pub(super) const fn span(&self) -> Span {
        self.0
    }

    fn place(&self, at: usize) -> *mut u8 {
        assert!(at < self.0.len(), "byte {at} of {}", self.0.len());
        with_exposed_provenance_mut(self.0.base() + at)
    }

    /// The byte there.
    pub(super) fn load(&self, at: usize) -> u8 {
        // SAFETY: inside the mapping, by `place`, which lives as long as this value; no reference to shared
        // pages is ever made, and what others store at the same time is a byte.
        unsafe { self.place(at).read_volatile() }
    }

    /// Stores a byte there.
    pub(super) fn store(&self, at: usize, byte: u8) {
        // SAFETY: as for `load`; without the right to store it is a signal.
        unsafe { self.place(at).write_volatile(byte) };
    }

    /// mprotect(2).
    pub(super) fn protect(&self, prot: Prot) -> Result<(), Errno> {
        // SAFETY: the pages are this value's, and no reference to them exists.
        unsafe { mapping::protect(self.0, prot) }
    }

    /// munmap(2).
    pub(super) fn unmap(self) -> Result<(), Errno> {
        let span = self.0;
        std::mem::forget(self);
        // SAFETY: the pages were this value's, which is gone, and no reference to them exists.
        unsafe { mapping::unmap(span) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the pages are this value's, which goes, and no reference to them exists.
        let _ = unsafe { mapping::unmap(self.0) };
    }
}

/// What a call answers in a child.
pub(super) fn in_child(
    hand: &mut Hand,
    call: impl FnOnce() -> Result<(), Errno>,
) -> Result<Result<(), Errno>, Stop> {
    let end = hand.in_child(|| match call() {
        Ok(()) => 0,
        Err(Errno(number)) => u8::try_from(number).unwrap_or(u8::MAX),
    })?;
    match end {
        End::Exited(0) => Ok(Ok(())),
        End::Exited(number) => Ok(Err(Errno(number))),
        End::Killed(_) => Err(cannot(
            format!("a child was {end}"),
            "look for what kills processes on this machine",
        )),
    }
}

/// The user that owns nothing.
pub(super) const NOBODY: u32 = 65534;

/// The same in a child that belongs to [`NOBODY`]. Only root can.
pub(super) fn as_nobody(
    hand: &mut Hand,
    call: impl FnOnce() -> Result<(), Errno>,
) -> Result<Result<(), Errno>, Stop> {
    in_child(hand, || {
        // SAFETY: none of these has a condition; the list of groups is empty.
        let is_other = unsafe {
            libc::setgroups(0, std::ptr::null()) == 0
                && libc::setresgid(NOBODY, NOBODY, NOBODY) == 0
                && libc::setresuid(NOBODY, NOBODY, NOBODY) == 0
        };
        if is_other { call() } else { Err(last()) }
    })
}

/// That takes root.
pub(super) fn needs_root(hand: &Hand) -> Result<(), Stop> {
    if hand.is_root() {
        return Ok(());
    }
    Err(cannot(
        "only root can become another user to see what that one may",
        "run it as root",
    ))
}
