//! System V shared memory: [`Segment`], [`Attachment`].
//!
//! A segment lives in the IPC namespace until somebody removes it and the last attachment is gone; what a
//! process that was killed has left stays ([`list`] finds it). Prefer a [`crate::Memfd`] where nothing asks
//! for this interface. Other processes may change the bytes at any time, but nobody can take them away: a
//! segment has one length for ever.
//!
//! The kernel counts an attachment by its mappings and sees a segment detached when the last of them is
//! unmapped, by shmdt or by munmap. shmdt takes an address and unmaps all that is left of the attachment that
//! started there, whoever owns the pieces now. So an [`Attachment`] is whole, is never cut, and ends by
//! shmdt; a [`crate::Map`] made of it by [`Attachment::into_map`] may be cut, and its pieces end by munmap
//! alone.
//!
//! Attachments survive fork and end with execve. All calls are older than Linux 2.6 but SHM_STAT_ANY, 4.17.
//! Source: shmget(2), shmop(2), shmctl(2).

mod attachment;

pub use attachment::{Attach, Attachment};
pub use neap_os::sysv::{Creator, Id, Key, Limits, Stat, Usage};

use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::file::Writing;
use crate::operation::Operation;
use neap_os::errno::Errno;
use neap_os::sysv::{self, Anyone, Create, Features, Index, Mode, Owner, Reserve};
use neap_os::unit::{Bytes, HugePage};

/// A request for a segment.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is created before `create`"]
pub struct SegmentRequest {
    key: Key,
    len: Bytes,
    features: Features,
}

impl SegmentRequest {
    /// Who may use it: all nine bits, whatever the umask. Attaching for execution takes the execution bits.
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.features.mode = mode;
        self
    }
    /// SHM_HUGETLB: pages of this size from the hugetlb pool.
    pub const fn huge(mut self, size: HugePage) -> Self {
        self.features.huge = Some(size);
        self
    }
    /// SHM_NORESERVE: not charged against the commit limit. A touch for which there is no memory fails.
    pub const fn no_reserve(mut self) -> Self {
        self.features.reserve = Reserve::Nothing;
        self
    }

    /// Makes it, of zeros.
    ///
    /// # Errors
    /// - [`Kind::AlreadyExists`]: the key has one.
    /// - [`Kind::Invalid`]: of 0 bytes. [`Kind::TooLarge`]: more than kernel.shmmax.
    /// - [`Kind::Overcommit`], [`Kind::OutOfMemory`]; [`Kind::HugePoolEmpty`]; [`Kind::SegmentLimit`];
    ///   [`Kind::TooManyFiles`].
    /// - [`Kind::NotPermitted`]: huge pages take CAP_IPC_LOCK or a group (vm.hugetlb_shm_group).
    /// - [`Kind::Unsupported`]: no such huge pages, or no System V shared memory.
    pub fn create(self) -> Result<Segment, Error> {
        self.get(Create::New)
    }

    /// Makes it, or finds the one that the key has, which is at least as long.
    ///
    /// # Errors
    /// As [`SegmentRequest::create`]; [`Kind::TooLarge`]: there is one, and it is shorter;
    /// [`Kind::AccessDenied`]: there is one, and this process may not use it as the mode says.
    pub fn open_or_create(self) -> Result<Segment, Error> {
        self.get(Create::IfMissing)
    }

    fn get(self, create: Create) -> Result<Segment, Error> {
        sysv::get(self.key, self.len, create, self.features)
            .map(|id| Segment { id })
            .map_err(|errno| self.refused(create, errno))
    }

    fn refused(&self, create: Create, errno: Errno) -> Error {
        let operation = match create {
            Create::Never => Operation::Open,
            Create::IfMissing | Create::New => Operation::Create,
        };
        let len = self.len.0 as u64;
        let kind = match errno {
            Errno::EINVAL if create != Create::Never && self.len.0 == 0 => Kind::Invalid,
            Errno::EINVAL if self.is_too_long() => Kind::TooLarge,
            Errno::EINVAL if self.features.huge.is_some() => Kind::Unsupported(Feature::HugePages),
            Errno::ENOMEM if self.features.huge.is_some() => Kind::HugePoolEmpty,
            Errno::ENOMEM => match diagnosis::without_memory(len) {
                Kind::Overcommit => Kind::Overcommit,
                // The limits of a process are not those of a segment.
                _ => Kind::OutOfMemory,
            },
            Errno::ENOSPC => Kind::SegmentLimit,
            Errno::ENOSYS => Kind::Unsupported(Feature::SystemV),
            _ => diagnosis::of(operation, errno).kind(),
        };
        Error::answered(operation, errno, kind).at(0, len)
    }

    /// Longer than the segment that there is, or than any may be.
    fn is_too_long(&self) -> bool {
        let any = Features::PLAIN;
        let exists = self.key != Key::PRIVATE && sysv::get(self.key, Bytes(0), Create::Never, any).is_ok();
        exists || sysv::limits().is_ok_and(|limits| self.len > limits.longest)
    }
}

/// A segment, by its number. It is not removed with this value: see [`Segment::remove`].
///
/// ```
/// use neap_map::sysv::Segment;
/// let segment = Segment::private(4096).create()?;
/// let here = segment.attach().map()?;
/// // From now on it goes with its last attachment, however its users end.
/// segment.remove()?;
/// let there = segment.attach().read_only().map()?;
/// here.write_at(0, b"hello")?;
/// assert_eq!(there.read::<[u8; 5]>(0)?, *b"hello");
/// here.detach()?;
/// # Ok::<(), neap_map::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Segment {
    id: Id,
}

impl Segment {
    /// A request for a segment that no key finds (`IPC_PRIVATE`): mode 0600, charged at once.
    pub const fn private(len: usize) -> SegmentRequest {
        Segment::keyed(Key::PRIVATE, len)
    }

    /// A request for the segment of a key.
    pub const fn keyed(key: Key, len: usize) -> SegmentRequest {
        SegmentRequest {
            key,
            len: Bytes(len),
            features: Features::PLAIN,
        }
    }

    /// The segment that the key has.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::AccessDenied`]: this process may neither read nor write it;
    /// [`Kind::Invalid`]: the private key finds nothing.
    pub fn open(key: Key) -> Result<Segment, Error> {
        let mut request = Segment::keyed(key, 0);
        if key == Key::PRIVATE {
            return Err(Error::found(Operation::Open, Kind::Invalid));
        }
        // Reading is the least that can be asked for; who may only write asks for that.
        request.features.mode = READ;
        request.get(Create::Never).or_else(|error| {
            request.features.mode = WRITE;
            request.get(Create::Never).map_err(|_| error)
        })
    }

    /// The segment of a number that another process has told. Whether there is one shows when it is used.
    #[must_use]
    pub const fn of(id: Id) -> Segment {
        Segment { id }
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> Id {
        self.id
    }

    /// A request to attach it, for reading and writing.
    pub const fn attach(&self) -> Attach<Writing> {
        Attach::new(self.id)
    }

    /// What it is like.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Removed`], [`Kind::AccessDenied`].
    pub fn stat(&self) -> Result<Stat, Error> {
        sysv::stat(self.id).map_err(|errno| of_segment(Operation::Stat, errno))
    }

    /// Gives it another owner and mode.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Removed`]; [`Kind::Invalid`]: no such user; [`Kind::NotPermitted`]:
    /// neither owner nor creator.
    pub fn set(&self, owner: Owner, mode: Mode) -> Result<(), Error> {
        sysv::set(self.id, owner, mode).map_err(|errno| {
            if errno == Errno::EINVAL && sysv::stat(self.id).is_ok() {
                return Error::answered(Operation::SetOwner, errno, Kind::Invalid);
            }
            of_segment(Operation::SetOwner, errno)
        })
    }

    /// Takes its key away and lets it go with its last attachment. Until then [`Stat::removed`] is true and
    /// it can still be attached by its number, as Linux allows.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Removed`], [`Kind::NotPermitted`].
    pub fn remove(&self) -> Result<(), Error> {
        sysv::remove(self.id).map_err(|errno| of_segment(Operation::Remove, errno))
    }

    /// Keeps its pages in memory once they are there (SHM_LOCK). No mapping is shown as locked.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Removed`], [`Kind::NotPermitted`], [`Kind::MemlockLimit`].
    pub fn lock(&self) -> Result<(), Error> {
        sysv::lock(self.id).map_err(|errno| match errno {
            Errno::ENOMEM => Error::answered(Operation::Lock, errno, Kind::MemlockLimit),
            _ => of_segment(Operation::Lock, errno),
        })
    }

    /// Undoes [`Segment::lock`].
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Removed`], [`Kind::NotPermitted`].
    pub fn unlock(&self) -> Result<(), Error> {
        sysv::unlock(self.id).map_err(|errno| of_segment(Operation::Unlock, errno))
    }
}

const READ: Mode = octal(0o400);
const WRITE: Mode = octal(0o200);

const fn octal(bits: u16) -> Mode {
    match Mode::new(bits) {
        Some(mode) => mode,
        None => Mode::OWNER,
    }
}

/// A call on a segment by its number.
fn of_segment(operation: Operation, errno: Errno) -> Error {
    let kind = match errno {
        Errno::EINVAL => Kind::NotFound,
        Errno::ENOSYS => Kind::Unsupported(Feature::SystemV),
        _ => return diagnosis::of(operation, errno),
    };
    Error::answered(operation, errno, kind)
}

/// All segments of the IPC namespace.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Each with what it is like.
    pub segments: Vec<(Segment, Stat)>,
    /// How many a kernel before 4.17 does not show to this process.
    pub denied: usize,
}

/// Lists the segments, everybody's.
///
/// # Errors
/// [`Kind::Unsupported`]: no System V shared memory.
pub fn list() -> Result<Listing, Error> {
    let last = usage()?.highest;
    let mut listing = Listing::default();
    for index in (0..=last.0).map(Index) {
        let any = sysv::stat_at(index, Anyone::Any);
        // EINVAL: nothing there, or a kernel without SHM_STAT_ANY.
        let found = any.or_else(|_| sysv::stat_at(index, Anyone::Readable));
        match found {
            Ok((id, stat)) => listing.segments.push((Segment { id }, stat)),
            Err(Errno::EACCES | Errno::EPERM) => listing.denied += 1,
            Err(_) => {}
        }
    }
    Ok(listing)
}

/// What all segments take.
///
/// # Errors
/// [`Kind::Unsupported`]: no System V shared memory.
pub fn usage() -> Result<Usage, Error> {
    sysv::usage().map_err(|errno| of_segment(Operation::List, errno))
}

/// What the IPC namespace allows.
///
/// # Errors
/// [`Kind::Unsupported`]: no System V shared memory.
pub fn limits() -> Result<Limits, Error> {
    sysv::limits().map_err(|errno| of_segment(Operation::List, errno))
}
