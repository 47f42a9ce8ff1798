//! What an errno of a memory call means: the kernel has a dozen numbers for three dozen causes.
//!
//! Owns the reading of `/proc/self` that tells apart what one number says of different causes. Asks only
//! after a failure, allocates a little, and answers with the more general kind when it cannot know.
//! Source: the man pages' ERRORS, tried on Linux 6.18.

use crate::error::{Error, Feature, Kind};
use crate::operation::Operation;
use neap_os::errno::Errno;
use neap_os::mapping::{Flags, Move, PageSize, Place, Prot, Request, Sharing, Source};
use neap_os::unit::Span;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::io::Read;

/// An mmap that failed.
pub(crate) fn of_map(errno: Errno, request: &Request) -> Error {
    let kind = match errno {
        Errno::ENOMEM => of_map_without_memory(request),
        Errno::EAGAIN => Kind::MemlockLimit,
        Errno::EBADF => Kind::BadDescriptor,
        Errno::EACCES => Kind::AccessDenied,
        Errno::EEXIST => Kind::Occupied,
        Errno::ENFILE | Errno::EMFILE => Kind::TooManyFiles,
        Errno::ENODEV => Kind::NotMappable,
        Errno::EOVERFLOW => Kind::TooLarge,
        Errno::ETXTBSY => Kind::SwapFile,
        Errno::EOPNOTSUPP => Kind::Unsupported(Feature::Sync),
        Errno::EPERM if is_below_minimum(request.place) => Kind::NotPermitted,
        Errno::EPERM if request.flags == request.flags | Flags::LOCKED && memlock_limit() == Some(0) => {
            Kind::MemlockLimit
        }
        Errno::EPERM if matches!(request.place, Place::Over(_)) && request.source == Source::Anonymous => {
            Kind::MapSealed
        }
        Errno::EPERM if matches!(request.source, Source::File(..)) && request.prot.contains(Prot::EXEC) => {
            Kind::NoExec
        }
        Errno::EPERM if matches!(request.source, Source::File(..)) => Kind::SealedAgainst,
        Errno::EPERM => Kind::NotPermitted,
        Errno::EINVAL if request.sharing == Sharing::Droppable => Kind::Unsupported(Feature::Droppable),
        Errno::EINVAL if request.page != PageSize::Base => Kind::Unsupported(Feature::HugePages),
        Errno::EINVAL => Kind::Invalid,
        _ => Kind::Other,
    };
    let start = match request.source {
        Source::File(_, offset) => offset,
        Source::Anonymous => 0,
    };
    Error::answered(Operation::Map, errno, kind).at(start, request.len.0 as u64)
}

fn of_map_without_memory(request: &Request) -> Kind {
    if request.page != PageSize::Base {
        return Kind::HugePoolEmpty;
    }
    let len = request.len.0 as u64;
    let private_writable = matches!(request.sharing, Sharing::Private | Sharing::Droppable)
        && request.prot.contains(Prot::WRITE);
    let charged = private_writable
        || (request.sharing != Sharing::Private && matches!(request.source, Source::Anonymous));
    let is_unreserved = request.flags == request.flags | Flags::NO_RESERVE;
    match memory_limit(len, private_writable) {
        Some(kind) => kind,
        None if charged && !is_unreserved && exceeds_commit(len) => Kind::Overcommit,
        None => Kind::OutOfMemory,
    }
}

/// An mremap that failed to give `grown` more bytes.
pub(crate) fn of_resize(errno: Errno, grown: u64, to: Move) -> Error {
    let kind = match errno {
        Errno::EAGAIN => Kind::MemlockLimit,
        Errno::EPERM => Kind::MapSealed,
        // Of several mappings.
        Errno::EFAULT => Kind::Invalid,
        Errno::ENOMEM if grown == 0 => without_memory(0),
        Errno::ENOMEM => match without_memory(grown) {
            // It may not move, and nothing else forbids it: its neighbour does.
            Kind::OutOfMemory if to == Move::Stay => Kind::Occupied,
            kind => kind,
        },
        _ => return of(Operation::Resize, errno),
    };
    Error::answered(Operation::Resize, errno, kind)
}

/// An mremap that should have kept the old addresses, and needs `more` bytes of address space for that.
pub(crate) fn of_move_out(errno: Errno, more: u64) -> Error {
    let kind = match errno {
        Errno::EINVAL => Kind::Unsupported(Feature::KeepOld),
        Errno::ENOMEM => without_memory(more),
        _ => return of_move(errno),
    };
    Error::answered(Operation::Move, errno, kind)
}

/// An mremap to a place of the caller's choice.
pub(crate) fn of_move(errno: Errno) -> Error {
    let kind = match errno {
        Errno::EPERM => Kind::MapSealed,
        Errno::EAGAIN => Kind::MemlockLimit,
        // Of several mappings, which one mremap does not move (before 6.17), or a driver's.
        Errno::EFAULT => Kind::Invalid,
        _ => return of(Operation::Move, errno),
    };
    Error::answered(Operation::Move, errno, kind)
}

/// An mprotect of `span`.
pub(crate) fn of_protect(errno: Errno, span: Span) -> Error {
    let kind = match errno {
        Errno::EPERM => Kind::MapSealed,
        Errno::ENOMEM => without_memory(span.len() as u64),
        _ => return of(Operation::Protect, errno),
    };
    Error::answered(Operation::Protect, errno, kind)
}

/// An mlock or mlock2 of `span`.
pub(crate) fn of_lock(errno: Errno, span: Span) -> Error {
    let kind = match errno {
        Errno::ENOMEM if is_map_count_exhausted() => Kind::MapCountExhausted,
        Errno::ENOMEM if passes_memlock(span.len() as u64) => Kind::MemlockLimit,
        // Mapped it is; so a page of it could not be had.
        Errno::ENOMEM if allows(span, Prot::NONE) => Kind::PageUnavailable,
        Errno::ENOMEM => Kind::NotMapped,
        Errno::EPERM => Kind::MemlockLimit,
        Errno::EAGAIN => Kind::OutOfMemory,
        Errno::ENOSYS => Kind::Unsupported(Feature::LockOnFault),
        _ => return of(Operation::Lock, errno),
    };
    Error::answered(Operation::Lock, errno, kind)
}

/// An mlockall.
pub(crate) fn of_lock_all(errno: Errno) -> Error {
    let kind = match errno {
        Errno::ENOMEM if passes_memlock(kib_of_status("VmSize:")) => Kind::MemlockLimit,
        Errno::EPERM => Kind::MemlockLimit,
        Errno::EINVAL => Kind::Unsupported(Feature::LockOnFault),
        _ => return of(Operation::Lock, errno),
    };
    Error::answered(Operation::Lock, errno, kind)
}

/// A size in /proc/self/status, in bytes.
fn kib_of_status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    kib(&status, field).unwrap_or(0).saturating_mul(1024)
}

/// Whether `more` locked bytes would pass the limit of this process: never with `CAP_IPC_LOCK`.
fn passes_memlock(more: u64) -> bool {
    const CAP_IPC_LOCK: u64 = 1 << 14;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capable = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .is_some_and(|set| set & CAP_IPC_LOCK != 0);
    let locked = kib(&status, "VmLck:").unwrap_or(0).saturating_mul(1024);
    !capable && memlock_limit().is_some_and(|limit| locked.saturating_add(more) > limit)
}

fn memlock_limit() -> Option<u64> {
    getrlimit(Resource::Memlock).current
}

/// Whether `place` lies where only `CAP_SYS_RAWIO` may map.
fn is_below_minimum(place: Place) -> bool {
    let minimum = fs::read_to_string("/proc/sys/vm/mmap_min_addr").unwrap_or_default();
    let minimum = minimum.trim().parse::<usize>().unwrap_or(0);
    matches!(place, Place::Free(address) | Place::Near(address) if address < minimum)
}

/// Addresses and rights of a line of /proc/self/maps.
fn mapping(line: &str) -> Option<(Span, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    Some((
        Span::new(start, end.checked_sub(start)?)?,
        rest.split(' ').next()?,
    ))
}

/// The kernel's mapping that holds `address`.
pub(crate) fn mapping_at(address: usize) -> Option<Span> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let spans = maps.lines().filter_map(mapping).map(|(span, _)| span);
    spans.into_iter().find(|span| span.contains(address))
}

/// Whether all of `span` is mapped and every mapping in it allows `prot`, by /proc/self/maps. In doubt, no.
pub(crate) fn allows(span: Span, prot: Prot) -> bool {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut reached = span.base();
    for line in maps.lines() {
        let Some((span_of_line, rights)) = mapping(line) else {
            return false;
        };
        let (start, end) = (span_of_line.base(), span_of_line.end());
        if end <= reached || reached >= span.end() {
            continue;
        }
        let lacks = |right, letter| prot.contains(right) && !rights.contains(letter);
        if start > reached || lacks(Prot::READ, 'r') || lacks(Prot::WRITE, 'w') || lacks(Prot::EXEC, 'x') {
            return false;
        }
        reached = end;
    }
    reached >= span.end()
}

/// Any other memory call that said `ENOMEM` of `grown` more bytes of private writable memory (0: none).
pub(crate) fn without_memory(grown: u64) -> Kind {
    match memory_limit(grown, true) {
        Some(kind) => kind,
        None if grown > 0 && exceeds_commit(grown) => Kind::Overcommit,
        None => Kind::OutOfMemory,
    }
}

/// A limit of the process that `more` bytes would pass.
fn memory_limit(more: u64, private_writable: bool) -> Option<Kind> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let passes = |field: &str, limit: Option<u64>| {
        let (Some(now), Some(limit)) = (kib(&status, field), limit) else {
            return false;
        };
        now.saturating_mul(1024).saturating_add(more) > limit
    };
    if is_map_count_exhausted() {
        return Some(Kind::MapCountExhausted);
    }
    if passes("VmSize:", getrlimit(Resource::As).current) {
        return Some(Kind::AddressSpaceLimit);
    }
    (private_writable && passes("VmData:", getrlimit(Resource::Data).current)).then_some(Kind::DataLimit)
}

/// How many lines the file has. Without allocating: there are thousands, and a large block would take a map.
fn lines(mut file: fs::File) -> Option<usize> {
    let mut buffer = [0; 8192];
    let mut lines = 0;
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(lines),
            len => lines += buffer[..len].iter().filter(|&&byte| byte == b'\n').count(),
        }
    }
}

/// Whether a mapping more would be one too many. Merging leaves the count fuzzy by a few.
pub(crate) fn is_map_count_exhausted() -> bool {
    const SLACK: usize = 3;
    let most = fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok());
    let now = fs::File::open("/proc/self/maps").ok().and_then(lines);
    matches!((now, most), (Some(now), Some(most)) if now + SLACK >= most)
}

/// Whether the commit limit, or for the heuristic all memory and swap, is less than `more` bytes away.
fn exceeds_commit(more: u64) -> bool {
    let mode = fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |field: &str| kib(&info, field).unwrap_or(0).saturating_mul(1024);
    match mode.trim() {
        "0" => more > bytes("MemTotal:").saturating_add(bytes("SwapTotal:")),
        "2" => bytes("Committed_AS:").saturating_add(more) > bytes("CommitLimit:"),
        _ => false,
    }
}

fn kib(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// A call on a map that is there. What the calls say alike is here; what one of them says differently is its
/// caller's to know.
pub(crate) fn of(operation: Operation, errno: Errno) -> Error {
    let kind = match errno {
        Errno::ENOMEM if is_map_count_exhausted() => Kind::MapCountExhausted,
        Errno::ENOMEM => Kind::OutOfMemory,
        Errno::EAGAIN if is_map_count_exhausted() => Kind::MapCountExhausted,
        Errno::EAGAIN => Kind::WouldBlock,
        Errno::EACCES => Kind::AccessDenied,
        Errno::EPERM => Kind::NotPermitted,
        Errno::EBADF => Kind::BadDescriptor,
        Errno::EBUSY => Kind::Busy,
        Errno::EEXIST => Kind::AlreadyExists,
        Errno::ENOENT => Kind::NotFound,
        Errno::EIDRM => Kind::Removed,
        Errno::EINTR => Kind::Interrupted,
        Errno::EIO => Kind::Io,
        Errno::EHWPOISON => Kind::HardwareFailure,
        Errno::ENOSPC | Errno(122) => Kind::StorageFull,
        Errno::EFBIG | Errno::EOVERFLOW => Kind::TooLarge,
        Errno::EMFILE | Errno::ENFILE => Kind::TooManyFiles,
        Errno::ENODEV => Kind::NotMappable,
        Errno::ENAMETOOLONG => Kind::BadName,
        Errno::ETXTBSY => Kind::SwapFile,
        Errno::ETIMEDOUT => Kind::TimedOut,
        Errno::EFAULT => Kind::PageUnavailable,
        Errno::EINVAL => Kind::Invalid,
        _ => Kind::Other,
    };
    Error::answered(operation, errno, kind)
}

/// The same for a call made through rustix.
pub(crate) fn of_rustix(operation: Operation, errno: rustix::io::Errno) -> Error {
    of(operation, Errno(errno.raw_os_error()))
}

#[cfg(test)]
mod tests;
