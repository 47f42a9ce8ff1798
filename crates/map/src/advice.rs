//! madvise on maps, by what it may do to the bytes: [`Hint`] nothing, [`Discard`] lose them, guards make them
//! inaccessible, [`AtFork`] change them in a child.
//!
//! Owns which view may be given which advice without `unsafe`. Hints are for any view, by `&self`. Data is
//! lost by `&mut self` where slices are lent, by `&self` where nothing is. What may change bytes later,
//! behind the borrow checker's back, consumes the map into a view that lends nothing: [`Map::free`] into
//! [`Lazy`], [`Map::into_guard`] into [`Guarded`]. Never touches a page beside the range: hints cover it,
//! discards take the whole pages inside it, guards and fork advice take it exactly or not at all.
//!
//! The kernel makes no promise to take a hint. Over a hole it advises the rest first ([`Kind::NotMapped`]).
//! Source: madvise(2); mm/madvise.c of Linux 6.18. A child of fork inherits all but what `AtFork` says.
#![allow(unsafe_code)]

use crate::access;
use crate::area::{Area, PageRange};
use crate::diagnosis;
use crate::error::{Error, Feature, Kind, Refused};
use crate::map::Map;
use crate::operation::Operation;
use crate::view::{CopyIn, CopyOut, Guarded, Lazy, Owned, View};
use neap_os::advice as os;
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::sync::{Others, Writeback, sync};
use neap_os::unit::Span;
use std::ops::RangeBounds;
use std::ptr::with_exposed_provenance;

/// Declares advice: this crate's name, the kernel's in `neap_os`, and the words.
macro_rules! advice {
    ($(#[$about:meta])* $type:ident: $to:ident($probe:path);
     $($(#[$doc:meta])* $name:ident = $call:expr;)*) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$doc])* $name,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &[$type] = &[$($type::$name,)*];

            pub(crate) const fn $to(self) -> Call {
                match self { $($type::$name => $call,)* }
            }

            /// Whether this kernel knows the advice: it is asked, of no bytes (madvise(2), NOTES). Which
            /// memory it suits is another question.
            #[must_use]
            pub fn is_supported(self) -> bool {
                $probe(self.$to())
            }
        }
    };
}

/// One madvise value of neap-os.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    Hint(os::Hint),
    Discard(os::Discard),
    Guard(os::Guard),
}

advice! {
    /// Advice that changes no byte. (Of [`crate::Anon::droppable`] memory, whose bytes may go at any time,
    /// [`Hint::PageOut`] makes them go now.)
    Hint: call(Call::is_known);
    /// `MADV_NORMAL`: the usual read-ahead.
    Normal = Call::Hint(os::Hint::Normal);
    /// `MADV_RANDOM`: no read-ahead.
    Random = Call::Hint(os::Hint::Random);
    /// `MADV_SEQUENTIAL`: much read-ahead; pages behind may go early.
    Sequential = Call::Hint(os::Hint::Sequential);
    /// `MADV_WILLNEED`: starts reading in what is in the file or in swap, and does not wait.
    WillNeed = Call::Hint(os::Hint::WillNeed);
    /// `MADV_MERGEABLE` (2.6.32): KSM may merge equal private pages. Nothing on shared memory.
    Mergeable = Call::Hint(os::Hint::Mergeable);
    /// `MADV_UNMERGEABLE` (2.6.32): undoes it.
    Unmergeable = Call::Hint(os::Hint::Unmergeable);
    /// `MADV_HUGEPAGE` (2.6.38): with huge pages where that can be.
    HugePage = Call::Hint(os::Hint::HugePage);
    /// `MADV_NOHUGEPAGE` (2.6.38): never with huge pages.
    NoHugePage = Call::Hint(os::Hint::NoHugePage);
    /// `MADV_DONTDUMP` (3.4): left out of core dumps.
    DontDump = Call::Hint(os::Hint::DontDump);
    /// `MADV_DODUMP` (3.4): undoes it.
    DoDump = Call::Hint(os::Hint::DoDump);
    /// `MADV_COLD` (5.4): these pages go first when memory is short. Not locked ones.
    Cold = Call::Hint(os::Hint::Cold);
    /// `MADV_PAGEOUT` (5.4): writes these pages to their file or to swap and takes them out of memory now, as
    /// far as they are this process's alone. Not locked ones.
    PageOut = Call::Hint(os::Hint::PageOut);
    /// `MADV_POPULATE_READ` (5.14): every page brought in, as by a load, or an error that says why not.
    PopulateRead = Call::Hint(os::Hint::PopulateRead);
    /// `MADV_POPULATE_WRITE` (5.14): the same as by a store that changes nothing. Of a private file map, this
    /// makes the copies.
    PopulateWrite = Call::Hint(os::Hint::PopulateWrite);
    /// `MADV_COLLAPSE` (6.1): huge pages made now, whatever the machine's policy.
    Collapse = Call::Hint(os::Hint::Collapse);
    /// `MADV_SOFT_OFFLINE` (2.6.33): the bytes moved off these physical pages, which the machine never uses
    /// again. `CAP_SYS_ADMIN` and a kernel with `CONFIG_MEMORY_FAILURE`.
    SoftOffline = Call::Hint(os::Hint::SoftOffline);
}

advice! {
    /// Advice that loses data.
    Discard: call(Call::is_known);
    /// `MADV_DONTNEED`: private anonymous bytes become 0, a private file map's copies are lost; a shared map
    /// keeps its bytes and loses only its page tables.
    DontNeed = Call::Discard(os::Discard::DontNeed);
    /// `MADV_DONTNEED_LOCKED` (5.18): the same for locked memory, too.
    DontNeedLocked = Call::Discard(os::Discard::DontNeedLocked);
    /// `MADV_FREE` (4.5): the pages become 0 when the kernel wants them, unless they are stored to before.
    Free = Call::Discard(os::Discard::Free);
    /// `MADV_REMOVE` (2.6.16): a hole in the file, for everybody.
    Remove = Call::Discard(os::Discard::Remove);
    /// `MADV_HWPOISON` (2.6.32): as if the physical pages had failed. `CAP_SYS_ADMIN` and a kernel with
    /// `CONFIG_MEMORY_FAILURE`.
    HwPoison = Call::Discard(os::Discard::HwPoison);
}

advice! {
    /// What a child of fork gets.
    AtFork: call(Call::is_known);
    /// `MADV_DONTFORK` (2.6.16): nothing: these addresses are free in the child.
    Omit = Call::Discard(os::Discard::DontFork);
    /// `MADV_DOFORK` (2.6.16): undoes it.
    Inherit = Call::Hint(os::Hint::DoFork);
    /// `MADV_WIPEONFORK` (4.14): zeros. Private anonymous memory only.
    Wipe = Call::Discard(os::Discard::WipeOnFork);
    /// `MADV_KEEPONFORK` (4.14): undoes it.
    Keep = Call::Hint(os::Hint::KeepOnFork);
}

/// Whether this kernel knows guards that do not split a mapping (`MADV_GUARD_INSTALL`, 6.13; on files 6.15).
#[must_use]
pub fn has_guards() -> bool {
    Call::Guard(os::Guard::Install).is_known()
}

impl Call {
    /// # Safety
    /// 1. As `neap_os::advice` asks for the value: `span` is the caller's, and nothing needs what it loses.
    unsafe fn make(self, span: Span) -> Result<(), Errno> {
        match self {
            Call::Hint(hint) => os::hint(span, hint),
            // SAFETY: (1, 2) are the caller's (1).
            Call::Discard(discard) => unsafe { os::discard(span, discard) },
            // SAFETY: (1, 2) are the caller's (1).
            Call::Guard(guard) => unsafe { os::guard(span, guard) },
        }
    }

    /// The kernel looks at the value first, then finds nothing to do.
    pub(crate) fn is_known(self) -> bool {
        let nothing = Span::new(0, 0).expect("an empty span does not wrap");
        // SAFETY: (1) an empty span is anybody's.
        unsafe { self.make(nothing) }.is_ok()
    }

    const fn feature(self) -> Feature {
        match self {
            Call::Guard(_) => Feature::Guard,
            _ => Feature::Advice,
        }
    }

    /// Advises `pages` of `area`, and says what a refusal means.
    ///
    /// # Safety
    /// 1. Nothing refers to what the advice loses in `pages`, or to pages that it makes inaccessible.
    unsafe fn advise(self, operation: Operation, area: &Area, pages: PageRange) -> Result<(), Error> {
        assert!(area.whole().span().encloses(pages.span()) || pages.is_empty());
        if pages.is_empty() {
            return Ok(());
        }
        // SAFETY: (1) the area's own pages, asserted, and the caller's (1).
        unsafe { self.make(pages.span()) }.map_err(|errno| {
            if errno == Errno::EFAULT
                && let Some(error) = first_fault(operation, area, pages.span())
            {
                return error;
            }
            let exotic = area.page() != page_size();
            pages.name(Error::answered(
                operation,
                errno,
                self.meaning(errno, pages.span(), exotic),
            ))
        })
    }

    /// What `errno` means of this advice. Tells causes apart by harmless calls.
    pub(crate) fn meaning(self, errno: Errno, span: Span, is_huge: bool) -> Kind {
        match errno {
            Errno::ENOSYS => Kind::Unsupported(self.feature()),
            Errno::EINVAL if !self.is_known() => Kind::Unsupported(self.feature()),
            Errno::EINVAL if self.spares_locked() && is_locked(span) => Kind::Locked,
            // A kernel that has guards, but not for this memory: before 6.15 not for files.
            Errno::EINVAL if matches!(self, Call::Guard(_)) && !is_huge => Kind::Unsupported(Feature::Guard),
            Errno::ENOMEM if has_hole(span) => Kind::NotMapped,
            Errno::EOPNOTSUPP => Kind::Unsupported(Feature::PunchHole),
            // WILLNEED of anonymous memory, from a kernel without swap.
            Errno::EBADF => Kind::Unsupported(Feature::Advice),
            Errno::EPERM if self.takes_privilege() => Kind::NotPermitted,
            Errno::EPERM => Kind::MapSealed,
            _ => diagnosis::of(Operation::Advise, errno).kind(),
        }
    }

    /// Whether the kernel refuses it of locked memory.
    const fn spares_locked(self) -> bool {
        matches!(
            self,
            Call::Hint(os::Hint::Cold | os::Hint::PageOut)
                | Call::Discard(os::Discard::DontNeed | os::Discard::Free | os::Discard::Remove)
                | Call::Guard(os::Guard::Install)
        )
    }

    const fn takes_privilege(self) -> bool {
        matches!(
            self,
            Call::Hint(os::Hint::SoftOffline) | Call::Discard(os::Discard::HwPoison)
        )
    }
}

/// Whether a part of `span` is locked: msync refuses to invalidate that, and does nothing else here.
fn is_locked(span: Span) -> bool {
    sync(span, Writeback::Later, Others::Invalidate) == Err(Errno::EBUSY)
}

/// Whether a part of `span` is not mapped.
fn has_hole(span: Span) -> bool {
    sync(span, Writeback::Later, Others::Keep) == Err(Errno::ENOMEM)
}

/// What a load of each page of `span` says first: where and why populating failed. None if all can be read.
/// Memory whose loads have side effects (a device's) never comes here: populating it is `EINVAL`.
fn first_fault(operation: Operation, area: &Area, span: Span) -> Option<Error> {
    let first = area.span().base();
    (span.base()..span.end())
        .step_by(area.page())
        .find_map(|address| {
            let at = address.max(first);
            // SAFETY: (1) a byte of the area's pages.
            let read = unsafe { access::copy_out(with_exposed_provenance(at), &mut [0]) };
            let kind = match read.err()?.kind() {
                Kind::PageUnavailable => Kind::FileTooShort,
                kind => kind,
            };
            let (offset, rest) = (at - first, span.end() - at);
            Some(Error::answered(operation, Errno::EFAULT, kind).at(offset as u64, rest as u64))
        })
}

impl<V: View> Map<V> {
    /// Gives a hint about the pages that hold a byte of `range`.
    ///
    /// ```
    /// use neap_map::{Anon, Hint};
    /// let map = Anon::private(1 << 20).map()?;
    /// map.hint(.., Hint::PopulateWrite)?;
    /// map.hint(4096..8192, Hint::Cold)?;
    /// # Ok::<(), neap_map::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`Kind::OutOfRange`].
    /// - [`Kind::Unsupported`]: the kernel does not know it ([`Hint::is_supported`]).
    /// - [`Kind::Locked`]: `Cold`, `PageOut` of locked memory.
    /// - [`Kind::MapCountExhausted`]: what is kept per mapping would split one too many.
    /// - [`Kind::FileTooShort`], [`Kind::Inaccessible`], [`Kind::PageUnavailable`],
    ///   [`Kind::HardwareFailure`]: populating; the range starts at the first page that could not be had.
    /// - [`Kind::WouldBlock`], [`Kind::Busy`], [`Kind::OutOfMemory`]: collapsing, now.
    /// - [`Kind::Invalid`]: it does not suit this memory: of huge pages or a device, or smaller than a huge
    ///   page to collapse.
    /// - [`Kind::NotMapped`], [`Kind::NotPermitted`], [`Kind::Io`].
    pub fn hint(&self, range: impl RangeBounds<usize>, hint: Hint) -> Result<(), Error> {
        let pages = self.covering(Operation::Advise, &range)?;
        // SAFETY: (1) a hint loses nothing.
        unsafe { hint.call().advise(Operation::Advise, self.area(), pages) }
    }

    /// Starts reading in what is not in memory of `range`, and does not wait for it: [`Hint::WillNeed`].
    ///
    /// # Errors
    /// As [`Map::hint`].
    pub fn prefetch(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        self.hint(range, Hint::WillNeed)
    }

    /// Loses the data of the whole pages inside `range`, whatever the view.
    ///
    /// # Errors
    /// As [`Map::hint`], and of [`Discard::Remove`] those of [`Map::punch`]; [`Kind::MapSealed`]: mseal, of
    /// memory that cannot be written.
    ///
    /// # Safety
    /// 1. No reference to the bytes of those pages lives, or is made while the map lends slices, unless it is
    ///    fine that they are different ones: for [`Discard::Free`], until each page is stored to.
    /// 2. [`Discard::HwPoison`]: nothing accesses them.
    pub unsafe fn discard_unchecked(
        &self,
        range: impl RangeBounds<usize>,
        discard: Discard,
    ) -> Result<(), Error> {
        let pages = self.area().inside(Operation::Discard, &range)?;
        // SAFETY: (1) the caller's 1 and 2.
        unsafe { discard.call().advise(Operation::Discard, self.area(), pages) }
    }

    /// Says what a child of fork gets in place of `range`, which starts and ends on a page.
    ///
    /// # Errors
    /// As [`Map::hint`]; [`Kind::Unaligned`]; [`Kind::Invalid`]: `Wipe` of what is not private anonymous
    /// memory.
    ///
    /// # Safety
    /// It concerns children that share this program (fork without exec).
    /// 1. [`AtFork::Omit`]: a child neither accesses nor drops the map: the addresses are free there, and may
    ///    be something else's by then.
    /// 2. [`AtFork::Wipe`]: a child uses no reference into the range that was made before the fork.
    /// 3. [`AtFork::Inherit`]: the map is not of a leased file: freezing works in one process only.
    pub unsafe fn at_fork(&self, range: impl RangeBounds<usize>, fork: AtFork) -> Result<(), Error> {
        let pages = self.area().exactly(Operation::Advise, &range)?;
        // SAFETY: (1) this process loses nothing; its children are the caller's 1 to 3.
        unsafe { fork.call().advise(Operation::Advise, self.area(), pages) }
    }
}

impl Map<Owned> {
    /// Makes the whole pages inside `range` zeros, and gives their memory back: [`Discard::DontNeed`].
    ///
    /// # Errors
    /// [`Kind::Locked`] ([`Map::discard_locked`] takes those), and as [`Map::hint`].
    pub fn discard(&mut self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        // SAFETY: (1) the exclusive borrow: no slice of the map lives, and the bytes are 0 from now on.
        unsafe { self.discard_unchecked(range, Discard::DontNeed) }
    }

    /// The same, of memory that is locked and stays so: [`Discard::DontNeedLocked`].
    ///
    /// # Errors
    /// [`Kind::Unsupported`] before Linux 5.18, and as [`Map::hint`].
    pub fn discard_locked(&mut self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        // SAFETY: (1) as in `discard`.
        unsafe { self.discard_unchecked(range, Discard::DontNeedLocked) }
    }

    /// Lets the kernel take the whole pages inside `range` when it needs memory: [`Discard::Free`]. Cheaper
    /// than [`Map::discard`] where the memory will be used again soon. From now on a byte may become 0 at any
    /// time, until its page is stored to, so the map lends no slices: [`Map::retake`] ends that.
    ///
    /// # Errors
    /// [`Kind::Locked`], [`Kind::Invalid`] of huge pages, and as [`Map::hint`]; the map is in the error.
    pub fn free(self, range: impl RangeBounds<usize>) -> Result<Map<Lazy>, Refused<Map<Owned>>> {
        // SAFETY: (1) the map is consumed, and the new view lends no slices.
        match unsafe { self.discard_unchecked(range, Discard::Free) } {
            Ok(()) => Ok(self.viewed()),
            // Over a hole the rest has been advised: nothing shall look stable that is not.
            Err(error) => Err(Refused::new(error, self.settled())),
        }
    }

    /// After a failed `free`: every page stored to, so that none is the kernel's to take.
    fn settled(self) -> Map<Owned> {
        // A page that cannot be stored to is not mapped, and was not advised.
        let _ = store_to_each_page(self.area());
        self
    }

    /// Takes away all access, without splitting a mapping of the kernel's and with the contents lost
    /// (`MADV_GUARD_INSTALL`). For a part, [`Map::split_off`] it first: that costs the kernel nothing.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] before Linux 6.13, [`Kind::Locked`], [`Kind::Invalid`] of huge pages; the map is
    /// in the error.
    pub fn into_guard(self) -> Result<Map<Guarded>, Refused<Map<Owned>>> {
        let call = Call::Guard(os::Guard::Install);
        let pages = self.area().own_pages();
        // SAFETY: (1) the map is consumed, and the new view lends nothing.
        match unsafe { call.advise(Operation::Guard, self.area(), pages) } {
            Ok(()) => Ok(self.viewed()),
            Err(error) => {
                // Part of it may have been installed.
                let undo = Call::Guard(os::Guard::Remove);
                // SAFETY: (1) removing a guard loses nothing.
                let _ = unsafe { undo.advise(Operation::Guard, self.area(), pages) };
                Err(Refused::new(error, self))
            }
        }
    }
}

impl Map<Guarded> {
    /// Gives the access back: zeros, as new.
    ///
    /// # Errors
    /// As [`Map::hint`]; the map is in the error.
    pub fn remove_guard(self) -> Result<Map<Owned>, Refused<Map<Guarded>>> {
        let call = Call::Guard(os::Guard::Remove);
        // SAFETY: (1) removing a guard loses nothing. Private memory of ours without guards is `Owned`'s.
        match unsafe { call.advise(Operation::Guard, self.area(), self.area().own_pages()) } {
            Ok(()) => Ok(self.viewed()),
            Err(error) => Err(Refused::new(error, self)),
        }
    }
}

/// Stores to each page of the user's what is there, which makes it the process's again after `Discard::Free`.
fn store_to_each_page(area: &Area) -> Result<(), Error> {
    let mut byte = [0];
    for offset in (0..area.len()).step_by(area.page()) {
        let at = area.as_ptr().wrapping_add(offset);
        // SAFETY: (1) a byte of the area.
        unsafe { access::copy_out(at, &mut byte) }.map_err(|error| error.at(offset as u64, 1))?;
        // SAFETY: (1) as above; (2) the map is consumed by who calls this, or lends nothing. Between the load
        // and the store the kernel may take the page: then it is zeros and this byte, and stays so.
        unsafe { access::copy_in(&byte, at) }.map_err(|error| error.at(offset as u64, 1))?;
    }
    Ok(())
}

impl Map<Lazy> {
    /// Ends what [`Map::free`] began, by a store to every page: what the kernel has taken is zeros, the rest
    /// is as it was, and from now on nothing changes it.
    ///
    /// # Errors
    /// [`Kind::Inaccessible`]: a guard; the map is in the error.
    pub fn retake(self) -> Result<Map<Owned>, Refused<Map<Lazy>>> {
        match store_to_each_page(self.area()) {
            Ok(()) => Ok(self.viewed()),
            Err(error) => Err(Refused::new(error, self)),
        }
    }
}

impl<V: CopyOut> Map<V> {
    /// Gives the pages inside `range` back: [`Discard::DontNeed`]. Shared memory keeps its bytes; a private
    /// map of a file shows the file's again, private memory zeros.
    ///
    /// # Errors
    /// [`Kind::Locked`], and as [`Map::hint`].
    pub fn discard(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        // SAFETY: (1) this view lends no references.
        unsafe { self.discard_unchecked(range, Discard::DontNeed) }
    }

    /// The same, of memory that is locked and stays so: [`Discard::DontNeedLocked`].
    ///
    /// # Errors
    /// [`Kind::Unsupported`] before Linux 5.18, and as [`Map::hint`].
    pub fn discard_locked(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        // SAFETY: (1) as in `discard`.
        unsafe { self.discard_unchecked(range, Discard::DontNeedLocked) }
    }

    /// Makes every access to `range`, which starts and ends on a page, [`Kind::Inaccessible`], and loses what
    /// private copies it has (`MADV_GUARD_INSTALL`). The file keeps its bytes.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] before Linux 6.13 (files and shared memory 6.15), [`Kind::Locked`],
    /// [`Kind::Unaligned`].
    pub fn guard(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        let pages = self.area().exactly(Operation::Guard, &range)?;
        // SAFETY: (1) this view lends no references, and each of its accesses may fault.
        unsafe { Call::Guard(os::Guard::Install).advise(Operation::Guard, self.area(), pages) }
    }

    /// Removes the guards in `range`; what is none keeps its bytes.
    ///
    /// # Errors
    /// As [`Map::guard`].
    pub fn unguard(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        let pages = self.area().exactly(Operation::Guard, &range)?;
        // SAFETY: (1) removing a guard loses nothing.
        unsafe { Call::Guard(os::Guard::Remove).advise(Operation::Guard, self.area(), pages) }
    }
}

impl<V: CopyIn> Map<V> {
    /// Makes the whole pages inside `range` a hole in the shared file: zeros for everybody, and their storage
    /// is given back ([`Discard::Remove`]).
    ///
    /// # Errors
    /// - [`Kind::AccessDenied`]: a private map of a file.
    /// - [`Kind::Invalid`]: private anonymous memory.
    /// - [`Kind::Unsupported`]: a file system without holes.
    /// - [`Kind::Locked`]; as [`Map::hint`].
    pub fn punch(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        // SAFETY: (1) this view lends no references.
        unsafe { self.discard_unchecked(range, Discard::Remove) }
    }
}
