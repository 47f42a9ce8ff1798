//! [`Error`]: what was asked, what the kernel said, what that means, and how to mend it.
//!
//! Owns the kinds of failure and their words. An error is a small value without allocation: it can be made
//! when memory has run out. Never hides the kernel's number: [`Error::errno`] has it, where there was one.

use crate::operation::Operation;
use neap_os::errno::Errno;
use std::fmt;
use std::ops::Range;

/// Something that only some kernels, file systems or processors can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// `MAP_FIXED_NOREPLACE`, Linux 4.17.
    FixedNoReplace,
    /// `MAP_SYNC`: a DAX file, Linux 4.15.
    Sync,
    /// `MAP_DROPPABLE`, Linux 6.11.
    Droppable,
    /// Pages of this size in the hugetlb pool.
    HugePages,
    /// `MREMAP_DONTUNMAP`, Linux 5.7 (5.13 for shared memory).
    KeepOld,
    /// `mlock2`, Linux 4.4.
    LockOnFault,
    /// This madvise value.
    Advice,
    /// `process_madvise`, Linux 5.10; on oneself with every value 6.14.
    ProcessAdvice,
    /// `MADV_GUARD_INSTALL`, Linux 6.13; files and shared memory 6.15.
    Guard,
    /// `mseal`, Linux 6.10.
    Seal,
    /// `PR_SET_VMA_ANON_NAME`: Linux 5.17 with `CONFIG_ANON_VMA_NAME`.
    Name,
    /// Protection keys: the processor, Linux 4.9.
    ProtectionKeys,
    /// `cachestat`, Linux 6.5.
    Cachestat,
    /// `PAGEMAP_SCAN`, Linux 6.7.
    PagemapScan,
    /// Reads that do not wait (`RWF_NOWAIT`, Linux 4.14) on this file system.
    ReadNoWait,
    /// `memfd_create` (3.17) with these flags.
    Memfd,
    /// `memfd_secret`: Linux 5.14 with `CONFIG_SECRETMEM`.
    SecretMemory,
    /// System V shared memory: `CONFIG_SYSVIPC`.
    SystemV,
    /// fs-verity on this file system: Linux 5.4.
    Verity,
    /// Leases on this file system.
    Lease,
    /// Hole punching (`MADV_REMOVE`, `FALLOC_FL_PUNCH_HOLE`) on this file system.
    PunchHole,
    /// `fallocate` on this file system.
    Allocate,
    /// Files without a name (`O_TMPFILE`) on this file system.
    UnnamedFile,
    /// Atomic accesses without the fault handler.
    Atomics,
    /// Robust futex lists laid out as this C library's are not.
    RobustList,
}

impl Feature {
    /// What it is called, and since when there has been one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Feature::FixedNoReplace => "MAP_FIXED_NOREPLACE (Linux 4.17)",
            Feature::Sync => "MAP_SYNC (Linux 4.15, a DAX file system)",
            Feature::Droppable => "MAP_DROPPABLE (Linux 6.11)",
            Feature::HugePages => "huge pages of this size",
            Feature::KeepOld => "MREMAP_DONTUNMAP (Linux 5.7, shared memory 5.13)",
            Feature::LockOnFault => "mlock2 (Linux 4.4)",
            Feature::Advice => "this madvise value, here",
            Feature::ProcessAdvice => "process_madvise (Linux 5.10, every value on oneself 6.14)",
            Feature::Guard => "MADV_GUARD_INSTALL (Linux 6.13, files 6.15)",
            Feature::Seal => "mseal (Linux 6.10)",
            Feature::Name => "names of mappings (Linux 5.17, CONFIG_ANON_VMA_NAME)",
            Feature::ProtectionKeys => "protection keys (the processor, Linux 4.9)",
            Feature::Cachestat => "cachestat (Linux 6.5)",
            Feature::PagemapScan => "PAGEMAP_SCAN (Linux 6.7)",
            Feature::ReadNoWait => "reads that do not wait (Linux 4.14) on this file system",
            Feature::Memfd => "memfd_create with these flags",
            Feature::SecretMemory => "memfd_secret (Linux 5.14, CONFIG_SECRETMEM)",
            Feature::SystemV => "System V shared memory (CONFIG_SYSVIPC)",
            Feature::Verity => "fs-verity on this file system (Linux 5.4)",
            Feature::Lease => "leases on this file system",
            Feature::PunchHole => "holes on this file system",
            Feature::Allocate => "fallocate on this file system",
            Feature::UnnamedFile => "O_TMPFILE on this file system",
            Feature::Atomics => "an atomic access by system calls (it takes the fault handler)",
            Feature::RobustList => "a C library with glibc's layout of robust mutexes",
        }
    }
}

/// Declares each kind once: what is wrong, and what mends it.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $wrong:literal, $mend:literal;)*) => {
        /// What kind of failure it is: match on it, the rest of the [`Error`] is for people.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$doc])* #[doc = $wrong] $name,)*
            /// This kernel, file system or processor cannot do it.
            Unsupported(Feature),
        }

        impl Kind {
            /// What is wrong.
            #[must_use]
            pub const fn wrong(self) -> &'static str {
                match self {
                    $(Kind::$name => $wrong,)*
                    Kind::Unsupported(_) => "not supported here",
                }
            }
            /// How to mend it.
            #[must_use]
            pub const fn mend(self) -> &'static str {
                match self {
                    $(Kind::$name => $mend,)*
                    Kind::Unsupported(_) => "do without, or use a kernel that has it",
                }
            }
        }
    };
}

kinds! {
    OutOfRange: "the range does not lie within the map",
        "ask for a range between 0 and the map's length, start before end";
    Unaligned: "the range does not start and end on a page",
        "round it to the map's page size, or take a call that rounds";
    Invalid: "the kernel finds the arguments invalid for this memory",
        "see the errors that the method lists";
    TooLarge: "the length or the offset is larger than the kernel takes",
        "ask for less";
    Occupied: "something is mapped there already",
        "choose another place, or let the kernel choose";
    NotMapped: "part of the range is not mapped any more",
        "something else in this process has unmapped it";
    MapCountExhausted: "the process has as many mappings as vm.max_map_count allows",
        "raise the sysctl vm.max_map_count, or make fewer, larger mappings";
    AddressSpaceLimit: "the process's address space would pass RLIMIT_AS",
        "raise it: ulimit -v";
    DataLimit: "private writable memory would pass RLIMIT_DATA",
        "raise it: ulimit -d";
    Overcommit: "the kernel will not promise that much memory",
        "ask for less, use no_reserve, or see vm.overcommit_memory";
    OutOfMemory: "the kernel is out of memory, or no range of addresses is long enough",
        "ask for less, or see dmesg and the cgroup's limit";
    MemlockLimit: "locked memory would pass RLIMIT_MEMLOCK",
        "raise it: ulimit -l, LimitMEMLOCK=, or give CAP_IPC_LOCK";
    HugePoolEmpty: "the pool of huge pages is empty",
        "raise /sys/kernel/mm/hugepages/hugepages-*/nr_hugepages";
    FileTooShort: "the file ends before that byte",
        "it was truncated, or the range goes past its end: look at its length again";
    PageUnavailable: "the page could not be had: the file was cut short, or its disk or device failed or is full",
        "look at the file's length, the space left and the kernel's log";
    StorageFull: "no space is left on the file system, or the quota is used up",
        "free some, or allocate the file before mapping it";
    Inaccessible: "the memory may not be accessed: a guard, a protection key or a protection",
        "remove the guard or grant the right";
    HardwareFailure: "the memory has a hardware error",
        "see dmesg; replace the memory";
    Io: "the device or file system failed",
        "see dmesg";
    SealedAgainst: "a seal forbids it",
        "seals are for ever: make a new object";
    AccessDenied: "the descriptor or its permissions do not allow it",
        "open the file for reading, and for writing what shall be written";
    NotPermitted: "the process may not do that",
        "see the method for the capability it takes";
    NotMappable: "this kind of file cannot be mapped",
        "map a regular file, shared memory, a block device or a driver that offers it";
    DeviceMemory: "what it hands out is a driver's memory, and no file",
        "map it as a Device, which knows that a store there can do anything";
    BadDescriptor: "the descriptor is not open, or open as a path only",
        "open it for reading";
    NoExec: "the file system is mounted noexec",
        "map it without exec, or mount it with exec";
    SwapFile: "the file is swap space in use",
        "swapoff first";
    TooManyFiles: "no more files can be opened",
        "raise ulimit -n or fs.file-max";
    Locked: "part of the range is locked in memory",
        "unlock it first";
    MapSealed: "part of the range is sealed (mseal)",
        "such a seal lasts as long as the process";
    Busy: "something else holds it",
        "try again when the other has let go";
    NotFound: "there is no such object",
        "create it, or see the name";
    AlreadyExists: "there is such an object already",
        "open it, or take another name";
    BadName: "the name is not one that the object can have",
        "see the method for what a name may contain and how long it may be";
    Removed: "the object was removed",
        "create it anew";
    Interrupted: "a signal interrupted it",
        "try again";
    NotImmutable: "nothing proves that the bytes cannot change",
        "seal the memfd, enable fs-verity, take a lease, or copy";
    LeaseBroken: "somebody opened the file for writing",
        "the contents as they were are still in the map";
    Misaligned: "the address is not aligned for this type",
        "choose an offset that is a multiple of the type's alignment";
    Malformed: "the bytes are not a value of that type",
        "see what wrote them";
    Foreign: "the object was not made by this library, or by an incompatible version",
        "open it with what made it";
    NotAdjacent: "the two maps do not lie side by side",
        "merge what came from one split";
    Capacity: "it would grow beyond the room reserved for it",
        "reserve more when it is made";
    WouldBlock: "it cannot be done without waiting",
        "wait, or try again later";
    Closed: "the other end is closed",
        "nothing: it wants no more";
    PeerDied: "the process at the other end died without closing it",
        "take what it left, or start another and let it attach";
    Protocol: "the other process stored what the protocol does not allow",
        "drop this end, and see what wrote it";
    TimedOut: "the time passed",
        "wait longer";
    SegmentLimit: "there are as many System V segments, or pages of them, as the IPC namespace may have",
        "remove some (ipcs, ipcrm), or raise kernel.shmmni or kernel.shmall";
    Truncated: "what was sent is longer than the room for it, or was withheld in part",
        "make more room, or see what limits the receiver";
    Disconnected: "the other side has gone",
        "connect anew";
    Other: "the kernel refused",
        "see the error number";
}

/// A failure: what was asked, of which bytes, what the kernel said and what it means.
///
/// ```
/// use neap_map::{Anon, Kind, Operation};
/// let error = Anon::private(usize::MAX / 4).map().unwrap_err();
/// assert_eq!(error.operation(), Operation::Map);
/// assert!(matches!(error.kind(), Kind::OutOfMemory | Kind::TooLarge | Kind::Overcommit));
/// assert!(error.to_string().contains("how to mend it"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error {
    operation: Operation,
    kind: Kind,
    /// 0 when the kernel was not asked.
    errno: Errno,
    start: u64,
    len: u64,
}

const _: () = assert!(size_of::<Error>() <= 32);

impl Error {
    /// A failure found before the kernel was asked.
    pub(crate) const fn found(operation: Operation, kind: Kind) -> Error {
        Error {
            operation,
            kind,
            errno: Errno(0),
            start: 0,
            len: 0,
        }
    }

    /// The kernel's answer to `operation`, and what it means.
    pub(crate) const fn answered(operation: Operation, errno: Errno, kind: Kind) -> Error {
        Error {
            operation,
            kind,
            errno,
            start: 0,
            len: 0,
        }
    }

    /// The same failure, of the bytes from `start` on: offsets in the map, or in the file for a call that
    /// has no map yet.
    #[must_use]
    pub(crate) const fn at(self, start: u64, len: u64) -> Error {
        Error { start, len, ..self }
    }

    /// What was asked.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The kernel's number; `None` for what was refused before it was asked.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self.errno {
            Errno(0) => None,
            errno => Some(errno),
        }
    }

    /// The bytes concerned: offsets in the map, or in the file for what is being mapped. Empty if it is not
    /// about bytes. For an access that failed half way it starts at the first byte that could not be had.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.len)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.operation)?;
        if self.len != 0 {
            write!(
                f,
                " at bytes {}..{}",
                self.start,
                self.start.saturating_add(self.len)
            )?;
        }
        write!(f, ": {}", self.kind.wrong())?;
        if let Kind::Unsupported(feature) = self.kind {
            write!(f, ": {}", feature.name())?;
        }
        if let Some(errno) = self.errno() {
            write!(f, " [{}]", errno.name().unwrap_or("unknown errno"))?;
        }
        write!(f, "; how to mend it: {}", self.kind.mend())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// With the kernel's number where there is one, so that `raw_os_error` and `kind` of [`std::io::Error`] work;
/// the words are lost then.
impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        match error.errno() {
            Some(errno) => std::io::Error::from_raw_os_error(errno.0),
            None => std::io::Error::new(std::io::ErrorKind::InvalidInput, error),
        }
    }
}

/// A failure that gives back what was to be consumed.
pub struct Refused<T> {
    error: Error,
    value: T,
}

impl<T> Refused<T> {
    pub(crate) const fn new(error: Error, value: T) -> Refused<T> {
        Refused { error, value }
    }

    /// Why.
    #[must_use]
    pub const fn error(&self) -> Error {
        self.error
    }

    /// What was to be consumed, as it was.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl<T> std::error::Error for Refused<T> {}

impl<T> From<Refused<T>> for Error {
    fn from(refused: Refused<T>) -> Error {
        refused.error
    }
}
