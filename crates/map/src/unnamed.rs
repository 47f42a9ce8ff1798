//! `Unnamed`: a file that has no name yet, and gets one in a single step.
//!
//! Whoever finds the name finds the file as it was when it was published: locked, allocated, initialised.
//! `O_TMPFILE` and linkat(2) do it; on file systems without them a name that starts with `.neap-` and
//! renameat2(2) with `RENAME_NOREPLACE`. A process killed in between leaves nothing behind, or such a name.
//! Never replaces a name that exists. Linux 3.11.

use crate::diagnosis;
use crate::error::Error;
use crate::operation::Operation;
use neap_os::sysv::Mode;
use rustix::fs::{AtFlags, CWD, OFlags, RenameFlags, linkat, openat, renameat_with, unlinkat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// See the module.
#[derive(Debug)]
pub(crate) struct Unnamed {
    file: OwnedFd,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Of this folder's file system.
    Nowhere(OwnedFd),
    Makeshift(Makeshift),
}

/// A name for want of `O_TMPFILE`, which goes with this value.
#[derive(Debug)]
struct Makeshift {
    folder: OwnedFd,
    /// Empty once the file has another name.
    name: String,
}

impl Drop for Makeshift {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // Who cannot remove it finds it in the folder: there is nobody to tell.
            let _ = unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

impl Unnamed {
    /// An empty file, open for reading and writing, in the file system of `folder`. The umask takes bits
    /// from `mode`.
    pub(crate) fn create(folder: OwnedFd, mode: Mode) -> Result<Unnamed, Error> {
        let bits = rustix::fs::Mode::from_raw_mode(mode.bits().into());
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match openat(&folder, ".", flags, bits) {
            Ok(file) => Ok(Unnamed {
                file,
                place: Place::Nowhere(folder),
            }),
            // Kernels that do not know it see the O_DIRECTORY in it.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Unnamed::makeshift(folder, bits),
            Err(errno) => Err(diagnosis::of_rustix(Operation::Create, errno)),
        }
    }

    fn makeshift(folder: OwnedFd, bits: rustix::fs::Mode) -> Result<Unnamed, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!(".neap-{}-{number}", std::process::id());
            match openat(&folder, &name, flags, bits) {
                Ok(file) => {
                    let place = Place::Makeshift(Makeshift { folder, name });
                    return Ok(Unnamed { file, place });
                }
                // Left behind by a process that had our number.
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(diagnosis::of_rustix(Operation::Create, errno)),
            }
        }
    }

    /// The file.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Gives it the name, which nothing has: [`crate::Kind::AlreadyExists`] otherwise, and the file is gone.
    pub(crate) fn publish(self, name: &OsStr) -> Result<OwnedFd, Error> {
        let outcome = match self.place {
            Place::Nowhere(folder) => link(&self.file, &folder, name),
            Place::Makeshift(mut makeshift) => {
                let outcome = rename(&makeshift.folder, &makeshift.name, name);
                if outcome.is_ok() {
                    makeshift.name.clear();
                }
                outcome
            }
        };
        match outcome {
            Ok(()) => Ok(self.file),
            Err(errno) => Err(diagnosis::of_rustix(Operation::Publish, errno)),
        }
    }
}

/// By way of /proc, which needs no capability; without it by CAP_DAC_READ_SEARCH, or since 6.10 as who
/// opened the file.
fn link(file: &OwnedFd, folder: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(CWD, itself, folder, name, AtFlags::SYMLINK_FOLLOW) {
        Err(Errno::NOENT) => linkat(file, "", folder, name, AtFlags::EMPTY_PATH),
        outcome => outcome,
    }
}

fn rename(folder: &OwnedFd, from: &str, to: &OsStr) -> Result<(), Errno> {
    match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        // A file system without it: a second name never replaces one, and the first goes then.
        Err(Errno::INVAL) => {
            linkat(folder, from, folder, to, AtFlags::empty())?;
            unlinkat(folder, from, AtFlags::empty())
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use rustix::fs::{Mode as Bits, open};

    fn folder(of: &tempfile::TempDir) -> OwnedFd {
        open(of.path(), OFlags::DIRECTORY | OFlags::CLOEXEC, Bits::empty()).unwrap()
    }

    fn names(of: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(of.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_without_a_name_gets_one_that_is_free() {
        let at = tempfile::tempdir().unwrap();
        let one = Unnamed::create(folder(&at), Mode::OWNER).unwrap();
        rustix::io::write(one.file(), b"one").unwrap();
        assert!(names(&at).iter().all(|name| name.starts_with(".neap-")));
        one.publish("name".as_ref()).unwrap();
        let two = Unnamed::create(folder(&at), Mode::OWNER).unwrap();
        assert_eq!(
            two.publish("name".as_ref()).unwrap_err().kind(),
            Kind::AlreadyExists
        );
        assert_eq!(names(&at), ["name"]);
        assert_eq!(std::fs::read(at.path().join("name")).unwrap(), b"one");
    }

    #[test]
    fn a_makeshift_name_is_replaced_or_removed() {
        let at = tempfile::tempdir().unwrap();
        let make = || Unnamed::makeshift(folder(&at), Bits::RUSR | Bits::WUSR).unwrap();
        let one = make();
        assert_eq!(names(&at).len(), 1);
        one.publish("name".as_ref()).unwrap();
        assert_eq!(names(&at), ["name"]);
        assert_eq!(
            make().publish("name".as_ref()).unwrap_err().kind(),
            Kind::AlreadyExists
        );
        drop(make());
        assert_eq!(names(&at), ["name"]);
    }
}
