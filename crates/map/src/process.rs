//! process_madvise: hints for another process ([`Process`]), and for many ranges of this process's maps in
//! one call ([`Hints`], [`Discards`]).
//!
//! A process is held by a descriptor (pidfd), so its number cannot come to mean another. Addresses of another
//! process are numbers; the kernel checks them there. The kernel stops at the first range that it refuses:
//! what was advised before is the answer, an error is the first range's. Nothing is tried again. Source:
//! process_madvise(2), pidfd_open(2).
#![allow(unsafe_code)]

use crate::advice::{Call, Discard, Hint};
use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{Owned, View};
use neap_os::advice as os;
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::fd::Fd;
use neap_os::unit::Span;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::marker::PhantomData;
use std::ops::{Range, RangeBounds};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A process that hints can be given to.
#[derive(Debug)]
pub struct Process(OwnedFd);

impl Process {
    /// The process with this number (pidfd_open, Linux 5.3).
    ///
    /// # Errors
    /// [`Kind::NotFound`]: there is none. [`Kind::Unsupported`], [`Kind::TooManyFiles`].
    pub fn open(pid: u32) -> Result<Process, Error> {
        let gone = Error::found(Operation::Open, Kind::NotFound);
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(gone)?;
        pidfd_open(pid, PidfdFlags::empty())
            .map(Process)
            .map_err(|errno| of_process(Operation::Open, Errno(errno.raw_os_error())))
    }

    /// A pidfd that came from elsewhere.
    #[must_use]
    pub fn of(pidfd: OwnedFd) -> Process {
        Process(pidfd)
    }

    /// Gives a hint about ranges of addresses of that process, each widened to whole pages, and says how many
    /// bytes took it: fewer than asked when one was refused. Another process takes [`Hint::Cold`],
    /// [`Hint::PageOut`], [`Hint::WillNeed`] (Linux 5.10) and [`Hint::Collapse`] (6.1); this process any
    /// (6.13).
    ///
    /// # Errors
    /// The first range's.
    /// - [`Kind::NotFound`]: the process has ended.
    /// - [`Kind::NotPermitted`]: another's memory takes the right to trace it, and `CAP_SYS_NICE`.
    /// - [`Kind::Unsupported`]: the call, or this hint for another process.
    /// - [`Kind::NotMapped`]: nothing is there.
    pub fn hint(&self, ranges: &[Range<usize>], hint: Hint) -> Result<usize, Error> {
        let refused = Error::found(Operation::Advise, Kind::OutOfRange);
        let page = page_size();
        let spans: Option<Vec<Span>> = ranges
            .iter()
            .map(|range| {
                let base = range.start & !(page - 1);
                let end = range.end.checked_next_multiple_of(page)?;
                Span::new(base, end.checked_sub(base)?)
            })
            .collect();
        let first = ranges.first().map_or(0..0, Clone::clone);
        let named = |error: Error| error.at(first.start as u64, first.len() as u64);
        let spans = spans.ok_or(named(refused))?;
        let Call::Hint(hint) = hint.call() else {
            return Err(named(refused));
        };
        os::process_hint(Fd(self.0.as_raw_fd()), &spans, hint)
            .map(|bytes| bytes.0)
            .map_err(|errno| match errno {
                Errno::EINVAL if !Call::Hint(hint).is_known() => named(Error::answered(
                    Operation::Advise,
                    errno,
                    Kind::Unsupported(Feature::Advice),
                )),
                errno => named(of_process(Operation::Advise, errno)),
            })
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn of_process(operation: Operation, errno: Errno) -> Error {
    let kind = match errno {
        Errno::ESRCH => Kind::NotFound,
        Errno::ENOMEM => Kind::NotMapped,
        Errno::EACCES => Kind::NotPermitted,
        // Other advice than the four is refused for other processes, and before 6.13 for oneself.
        Errno::ENOSYS | Errno::EINVAL => Kind::Unsupported(Feature::ProcessAdvice),
        _ => return diagnosis::of(operation, errno),
    };
    Error::answered(operation, errno, kind)
}

/// What process_madvise on oneself said of spans of this process's maps.
fn of_self(operation: Operation, errno: Errno, call: Call, first: Span) -> Error {
    let kind = match errno {
        // PIDFD_SELF came with 6.14, other advice than the four with 6.13.
        Errno::ENOSYS | Errno::EBADF => Kind::Unsupported(Feature::ProcessAdvice),
        errno => match call.meaning(errno, first, false) {
            Kind::Invalid if !takes_all_advice() => Kind::Unsupported(Feature::ProcessAdvice),
            kind => kind,
        },
    };
    Error::answered(operation, errno, kind)
}

/// Whether process_madvise takes an advice of the many on oneself: asked of no range.
fn takes_all_advice() -> bool {
    os::process_hint(
        Fd::SELF,
        &[Span::new(0, 0).expect("an empty span")],
        os::Hint::Normal,
    )
    .is_ok()
}

/// Ranges of maps that are to get one hint in one call (Linux 6.14).
///
/// ```no_run
/// use neap_map::{Anon, Hint, Hints};
/// let (first, second) = (Anon::private(1 << 20).map()?, Anon::private(1 << 20).map()?);
/// Hints::new().add(&first, ..)?.add(&second, 4096..8192)?.give(Hint::Cold)?;
/// # Ok::<(), neap_map::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing is advised before `give`"]
pub struct Hints<'m> {
    spans: Vec<Span>,
    maps: PhantomData<&'m ()>,
}

impl<'m> Hints<'m> {
    /// None yet.
    pub fn new() -> Hints<'m> {
        Hints::default()
    }

    /// The pages that hold a byte of `range`, too.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`].
    pub fn add<V: View>(mut self, map: &'m Map<V>, range: impl RangeBounds<usize>) -> Result<Self, Error> {
        let pages = map.covering(Operation::Advise, &range)?;
        if !pages.is_empty() {
            self.spans.push(pages.span());
        }
        Ok(self)
    }

    /// Gives the hint, in the order of the ranges, and says how many bytes took it: fewer than asked when one
    /// range was refused.
    ///
    /// # Errors
    /// The first range's: as [`Map::hint`]; [`Kind::Unsupported`] before Linux 6.14.
    pub fn give(self, hint: Hint) -> Result<usize, Error> {
        let (Some(&first), Call::Hint(value)) = (self.spans.first(), hint.call()) else {
            return Ok(0);
        };
        os::process_hint(Fd::SELF, &self.spans, value)
            .map(|bytes| bytes.0)
            .map_err(|errno| of_self(Operation::Advise, errno, hint.call(), first).at(0, first.len() as u64))
    }
}

/// Ranges of private maps whose bytes are to become zeros in one call (Linux 6.14).
#[derive(Debug, Default)]
#[must_use = "nothing is discarded before `give_up`"]
pub struct Discards<'m> {
    spans: Vec<Span>,
    maps: PhantomData<&'m mut ()>,
}

impl<'m> Discards<'m> {
    /// None yet.
    pub fn new() -> Discards<'m> {
        Discards::default()
    }

    /// The whole pages inside each of `ranges`, too.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`].
    pub fn add(mut self, map: &'m mut Map<Owned>, ranges: &[Range<usize>]) -> Result<Self, Error> {
        for range in ranges {
            let pages = map.area().inside(Operation::Discard, range)?;
            if !pages.is_empty() {
                self.spans.push(pages.span());
            }
        }
        Ok(self)
    }

    /// Discards, in the order of the ranges, and says how many bytes are zeros now: fewer than asked when one
    /// range was refused.
    ///
    /// # Errors
    /// The first range's: as [`Map::discard`]; [`Kind::Unsupported`] before Linux 6.14.
    pub fn give_up(self) -> Result<usize, Error> {
        let Some(&first) = self.spans.first() else {
            return Ok(0);
        };
        // SAFETY: (1) every span is of a map that `add` has borrowed exclusively for as long as this value
        // lives: no slice of it does.
        unsafe { os::discard_all(&self.spans, os::Discard::DontNeed) }
            .map(|bytes| bytes.0)
            .map_err(|errno| {
                of_self(Operation::Discard, errno, Discard::DontNeed.call(), first).at(0, first.len() as u64)
            })
    }
}
