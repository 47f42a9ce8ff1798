//! [`Shm`]: POSIX shared memory objects, which have a name in `/dev/shm` and live until it is removed.
//!
//! What the library adds to shm_open(3): nobody finds an object before it has its length and its memory; and
//! an open object tells that it is in use. Every [`Shm`] holds a shared lock (flock(2)) on its object. The
//! kernel keeps it as long as a descriptor, a map made of it, or a child's copy of either is left, and drops
//! it with the last, however the process ended. So a name that can be locked exclusively is nobody's, and
//! [`Shm::reap_stale`] removes it. Programs that open objects without the lock are not seen.
//!
//! A name is 1 to 255 bytes without `/` and 0, not `.` or `..`; a leading `/` is taken off. Who has the
//! rights may cut an object off under others: maps are volatile. Linux 3.15; glibc and musl use the same
//! folder.

use crate::allocation::{self, Allocation};
use crate::anon::Shared;
use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::file::{FileMap, Reading};
use crate::map::Map;
use crate::operation::Operation;
use crate::unnamed::Unnamed;
use crate::view::VolatileMut;
use neap_os::sysv::{Mode, Owner};
use rustix::fs::{AtFlags, FileType, FlockOperation, OFlags, flock, fstat, openat, statat, unlinkat};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

const FOLDER: &str = "/dev/shm";

/// What an object is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShmStat {
    /// Length in bytes.
    pub len: u64,
    /// Memory that it takes, in bytes: less than the length if it is sparse.
    pub allocated: u64,
    /// Whose it is.
    pub owner: Owner,
    /// Who may open it.
    pub mode: Mode,
    /// Whether it still has its name.
    pub named: bool,
}

/// Which changes of owner [`Shm::set_owner`] makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewOwner {
    /// Of the user.
    User(u32),
    /// Of the group.
    Group(u32),
    /// Of both.
    Both(Owner),
}

/// Where what [`ShmRequest::open_or_create`] answers with came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It was made by this call.
    Created,
    /// It was there.
    Found,
}

/// What [`Shm::reap_stale`] did.
#[derive(Debug, Default)]
pub struct Reaped {
    /// Names removed.
    pub removed: Vec<OsString>,
    /// Names whose object somebody holds.
    pub held: Vec<OsString>,
    /// Names that this process may not open, lock or remove, and why.
    pub denied: Vec<(OsString, Error)>,
}

/// A request for a new object.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is created before `create`"]
pub struct ShmRequest<'n> {
    name: &'n OsStr,
    mode: Mode,
    allocation: Allocation,
}

impl ShmRequest<'_> {
    /// Who may open it, less the umask.
    pub const fn mode(self, mode: Mode) -> Self {
        ShmRequest { mode, ..self }
    }
    /// Whether its memory is taken now.
    pub const fn allocation(self, allocation: Allocation) -> Self {
        ShmRequest { allocation, ..self }
    }

    /// Makes it, `len` bytes of zeros long.
    ///
    /// # Errors
    /// [`Kind::BadName`]; [`Kind::AlreadyExists`]; [`Kind::AccessDenied`]; [`Kind::NotFound`]: there is no
    /// `/dev/shm`; [`Kind::StorageFull`], [`Kind::OutOfMemory`], [`Kind::TooLarge`]; [`Kind::TooManyFiles`].
    pub fn create(self, len: u64) -> Result<Shm, Error> {
        self.create_with(len, |_| Ok(())).map(|(shm, ())| shm)
    }

    /// The same, and does something with the file before anybody else can see it.
    pub(crate) fn create_with<T>(
        self,
        len: u64,
        fill: impl FnOnce(BorrowedFd<'_>) -> Result<T, Error>,
    ) -> Result<(Shm, T), Error> {
        let name = checked(Operation::Create, self.name)?;
        let folder = folder(Operation::Create)?;
        // Publishing decides; this spares the memory.
        if statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(diagnosis::of_rustix(Operation::Create, Errno::EXIST));
        }
        let unnamed = Unnamed::create(folder, self.mode)?;
        lock(Operation::Create, unnamed.file(), FlockOperation::LockShared)?;
        allocation::lengthen(unnamed.file(), 0..len, self.allocation)?;
        let filled = fill(unnamed.file())?;
        let file = unnamed.publish(name)?;
        Ok((Shm { file }, filled))
    }

    /// Opens it, or makes it if there is none.
    ///
    /// # Errors
    /// As [`ShmRequest::create`] and [`Shm::open`], but for the two that say whether there is one.
    pub fn open_or_create(self, len: u64) -> Result<(Shm, Origin), Error> {
        loop {
            match Shm::open(self.name) {
                Ok(shm) => return Ok((shm, Origin::Found)),
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
            match self.create(len) {
                Ok(shm) => return Ok((shm, Origin::Created)),
                Err(error) if error.kind() == Kind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// See the module.
///
/// ```
/// use neap_map::Shm;
/// let name = format!("neap-doc-{}", std::process::id());
/// let shm = Shm::named(&name).create(4096)?;
/// let map = shm.map()?;
/// let other = Shm::open(&name)?;
/// map.write_at(0, b"hello")?;
/// assert_eq!(other.map()?.read::<[u8; 5]>(0)?, *b"hello");
/// Shm::unlink(&name)?;
/// map.write_at(0, b"still")?;
/// # Ok::<(), neap_map::Error>(())
/// ```
#[derive(Debug)]
pub struct Shm {
    file: OwnedFd,
}

impl Shm {
    /// A request for a new object of this name: mode 0600, its memory taken when it is made.
    pub fn named<N: AsRef<OsStr> + ?Sized>(name: &N) -> ShmRequest<'_> {
        ShmRequest {
            name: name.as_ref(),
            mode: Mode::OWNER,
            allocation: Allocation::UpFront,
        }
    }

    /// Opens an object for reading and writing.
    ///
    /// # Errors
    /// [`Kind::BadName`]; [`Kind::NotFound`]; [`Kind::AccessDenied`]; [`Kind::Foreign`]: something that is no
    /// regular file has the name; [`Kind::TooManyFiles`].
    pub fn open(name: impl AsRef<OsStr>) -> Result<Shm, Error> {
        Shm::open_for(name.as_ref(), OFlags::RDWR)
    }

    /// Opens an object for reading. A map of it for writing is [`Kind::AccessDenied`].
    ///
    /// # Errors
    /// As [`Shm::open`].
    pub fn open_read_only(name: impl AsRef<OsStr>) -> Result<Shm, Error> {
        Shm::open_for(name.as_ref(), OFlags::RDONLY)
    }

    fn open_for(name: &OsStr, access: OFlags) -> Result<Shm, Error> {
        let name = checked(Operation::Open, name)?;
        let folder = folder(Operation::Open)?;
        loop {
            let file = open_file(&folder, name, access)
                .map_err(|errno| diagnosis::of_rustix(Operation::Open, errno))?
                .ok_or(Error::found(Operation::Open, Kind::Foreign))?;
            // Waits only for one who is about to reap it; the name may then be gone, or another's.
            lock(Operation::Open, file.as_fd(), FlockOperation::LockShared)?;
            if has_name(&folder, name, file.as_fd()) {
                return Ok(Shm { file });
            }
        }
    }

    /// Removes a name. The object lives on until the last descriptor and map of it are gone; so once
    /// everybody is attached, nothing is left to clean up.
    ///
    /// # Errors
    /// [`Kind::BadName`]; [`Kind::NotFound`]; [`Kind::AccessDenied`], [`Kind::NotPermitted`]: it is another
    /// user's.
    pub fn unlink(name: impl AsRef<OsStr>) -> Result<(), Error> {
        let name = checked(Operation::Unlink, name.as_ref())?;
        let folder = folder(Operation::Unlink)?;
        // Not while it is being reaped: the name might be made anew between the reaper's look and its
        // removal.
        let held = open_file(&folder, name, OFlags::RDONLY).ok().flatten();
        if let Some(file) = &held {
            lock(Operation::Unlink, file.as_fd(), FlockOperation::LockShared)?;
        }
        unlinkat(&folder, name, AtFlags::empty())
            .map_err(|errno| diagnosis::of_rustix(Operation::Unlink, errno))
    }

    /// What the object is like.
    ///
    /// # Errors
    /// None that is known.
    pub fn stat(&self) -> Result<ShmStat, Error> {
        fstat(&self.file)
            .map(|raw| decode(&raw))
            .map_err(|errno| diagnosis::of_rustix(Operation::Stat, errno))
    }

    /// Gives it this length. What is cut off is gone for everybody: their copies fail with
    /// [`Kind::FileTooShort`] or, where that cannot be told, [`Kind::PageUnavailable`].
    ///
    /// # Errors
    /// [`Kind::AccessDenied`]: opened for reading; and as [`ShmRequest::create`] about room.
    pub fn set_len(&self, len: u64, how: Allocation) -> Result<(), Error> {
        let now = self.stat()?.len;
        let outcome = if len > now {
            allocation::lengthen(self.as_fd(), now..len, how)
        } else {
            rustix::fs::ftruncate(&self.file, len)
                .map_err(|errno| diagnosis::of_rustix(Operation::Truncate, errno).at(len, now - len))
        };
        // ftruncate says EINVAL and fallocate EBADF of a descriptor that is for reading.
        outcome.map_err(|error| match (error.kind(), error.errno()) {
            (Kind::Invalid | Kind::BadDescriptor, Some(errno)) => {
                let range = error.range();
                let denied = Error::answered(error.operation(), errno, Kind::AccessDenied);
                denied.at(range.start, range.end - range.start)
            }
            _ => error,
        })
    }

    /// Gives it to another user or group.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`]: to another user without CAP_CHOWN, or to a group that the owner is not in.
    pub fn set_owner(&self, owner: NewOwner) -> Result<(), Error> {
        let (uid, gid) = match owner {
            NewOwner::User(uid) => (Some(uid), None),
            NewOwner::Group(gid) => (None, Some(gid)),
            NewOwner::Both(Owner { uid, gid }) => (Some(uid), Some(gid)),
        };
        // The number that means "as it is" is nobody's.
        if uid == Some(u32::MAX) || gid == Some(u32::MAX) {
            return Err(Error::found(Operation::SetOwner, Kind::Invalid));
        }
        let uid = uid.map(rustix::fs::Uid::from_raw);
        let gid = gid.map(rustix::fs::Gid::from_raw);
        rustix::fs::fchown(&self.file, uid, gid)
            .map_err(|errno| diagnosis::of_rustix(Operation::SetOwner, errno))
    }

    /// Says who may open it from now on.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`]: it is another user's.
    pub fn set_mode(&self, mode: Mode) -> Result<(), Error> {
        rustix::fs::fchmod(&self.file, rustix::fs::Mode::from_raw_mode(mode.bits().into()))
            .map_err(|errno| diagnosis::of_rustix(Operation::SetMode, errno))
    }

    /// Maps all of it for reading and writing. [`Shm::file_map`] has the options.
    ///
    /// # Errors
    /// As [`FileMap::map`]; [`Kind::AccessDenied`]: opened for reading.
    pub fn map(&self) -> Result<Map<VolatileMut>, Error> {
        self.file_map().writable().map()
    }

    /// A request for a map of it.
    pub fn file_map(&self) -> FileMap<'_, Shared, Reading> {
        FileMap::of(&self.file)
    }

    /// The objects that have a name now, with what they are like. Other users' are listed, too, and so are
    /// POSIX semaphores (`sem.NAME`).
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::AccessDenied`]: of `/dev/shm`.
    pub fn list() -> Result<Vec<(OsString, ShmStat)>, Error> {
        let folder = folder(Operation::List)?;
        let mut list = Vec::new();
        for name in names(&folder)? {
            match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(raw) if FileType::from_raw_mode(raw.st_mode) == FileType::RegularFile => {
                    list.push((name, decode(&raw)));
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(diagnosis::of_rustix(Operation::List, errno)),
            }
        }
        Ok(list)
    }

    /// Removes the names that start with `prefix` and whose object nobody holds: what processes that were
    /// killed have left. The prefix must be one that only programs with this library use, since of others'
    /// objects it cannot be told whether they are in use.
    ///
    /// # Errors
    /// [`Kind::BadName`]: an empty prefix, or one that no name starts with; and as [`Shm::list`]. What is
    /// refused for one name is in [`Reaped::denied`].
    pub fn reap_stale(prefix: impl AsRef<OsStr>) -> Result<Reaped, Error> {
        let prefix = prefix.as_ref().as_bytes();
        let prefix = prefix.strip_prefix(b"/").unwrap_or(prefix);
        if prefix.is_empty() || prefix.contains(&b'/') || prefix.contains(&0) {
            return Err(Error::found(Operation::Unlink, Kind::BadName));
        }
        let folder = folder(Operation::List)?;
        let mut reaped = Reaped::default();
        for name in names(&folder)? {
            if !name.as_bytes().starts_with(prefix) {
                continue;
            }
            match reap(&folder, &name) {
                Ok(Fate::Removed) => reaped.removed.push(name),
                Ok(Fate::Held) => reaped.held.push(name),
                Ok(Fate::Gone) => {}
                Err(errno) => {
                    let error = diagnosis::of_rustix(Operation::Unlink, errno);
                    reaped.denied.push((name, error));
                }
            }
        }
        Ok(reaped)
    }
}

enum Fate {
    Removed,
    Held,
    /// Somebody else removed it, or it is no regular file.
    Gone,
}

fn reap(folder: &OwnedFd, name: &OsStr) -> Result<Fate, Errno> {
    let file = match open_file(folder, name, OFlags::RDONLY) {
        Ok(Some(file)) => file,
        Ok(None) | Err(Errno::NOENT) => return Ok(Fate::Gone),
        Err(errno) => return Err(errno),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(Fate::Held),
        Err(errno) => return Err(errno),
    }
    // Nobody holds it, and who opens it now waits until this lock is gone and looks at the name again.
    if !has_name(folder, name, file.as_fd()) {
        return Ok(Fate::Gone);
    }
    unlinkat(folder, name, AtFlags::empty())?;
    Ok(Fate::Removed)
}

fn checked(operation: Operation, name: &OsStr) -> Result<&OsStr, Error> {
    let bytes = name.as_bytes();
    let bytes = bytes.strip_prefix(b"/").unwrap_or(bytes);
    let fits = (1..=255).contains(&bytes.len()) && !bytes.contains(&b'/') && !bytes.contains(&0);
    if !fits || bytes == b"." || bytes == b".." {
        return Err(Error::found(operation, Kind::BadName));
    }
    Ok(OsStr::from_bytes(bytes))
}

fn folder(operation: Operation) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(FOLDER, flags, rustix::fs::Mode::empty())
        .map_err(|errno| diagnosis::of_rustix(operation, errno))
}

fn names(folder: &OwnedFd) -> Result<Vec<OsString>, Error> {
    let failed = |errno| diagnosis::of_rustix(Operation::List, errno);
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}

/// `None`: something that is no regular file has the name.
fn open_file(folder: &OwnedFd, name: &OsStr, access: OFlags) -> Result<Option<OwnedFd>, Errno> {
    // A pipe's other end is not waited for.
    let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match openat(folder, name, flags, rustix::fs::Mode::empty()) {
        Ok(file) => file,
        Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let is_regular = FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::RegularFile;
    Ok(is_regular.then_some(file))
}

fn lock(operation: Operation, file: BorrowedFd<'_>, how: FlockOperation) -> Result<(), Error> {
    retry_on_intr(|| flock(file, how)).map_err(|errno| diagnosis::of_rustix(operation, errno))
}

fn has_name(folder: &OwnedFd, name: &OsStr, file: BorrowedFd<'_>) -> bool {
    let (Ok(named), Ok(open)) = (statat(folder, name, AtFlags::SYMLINK_NOFOLLOW), fstat(file)) else {
        return false;
    };
    (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino)
}

fn decode(raw: &rustix::fs::Stat) -> ShmStat {
    // The mask leaves nine bits, which fit and which a mode has.
    #[allow(clippy::cast_possible_truncation)]
    let bits = (raw.st_mode & 0o777) as u16;
    ShmStat {
        len: u64::try_from(raw.st_size).unwrap_or(0),
        allocated: u64::try_from(raw.st_blocks).unwrap_or(0).saturating_mul(512),
        owner: Owner {
            uid: raw.st_uid,
            gid: raw.st_gid,
        },
        mode: Mode::new(bits).unwrap_or(Mode::OWNER),
        named: raw.st_nlink > 0,
    }
}

impl AsFd for Shm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The lock goes with the descriptor.
impl From<Shm> for OwnedFd {
    fn from(shm: Shm) -> OwnedFd {
        shm.file
    }
}
