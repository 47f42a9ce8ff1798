//! [`Attempt`]: a memory call, made once and harmlessly, to learn whether it works here.
//!
//! Owns a list of calls and the pages it makes them on, which it maps first and unmaps last. Leaves nothing
//! behind but one sealed page ([`Attempt::Seal`]: such memory stays until the process ends). Decides nothing:
//! an answer is the kernel's, or a sandbox's, which may also *kill* for a call. For a report on what a machine
//! allows; the heap never uses it.
#![allow(unsafe_code)]

use crate::advice::{self, Discard, Guard, Hint};
use crate::env::page_size;
use crate::errno::Errno;
use crate::fd::{Fd, FileRange, close};
use crate::linux::{Linux, anonymous};
use crate::lock::{self, When};
use crate::memfd;
use crate::name::name_mapping;
use crate::page_cache;
use crate::pagemap::{Categories, Pagemap, Query, Region, Word};
use crate::residency::residency;
use crate::seal::seal;
use crate::syscall::{Call, syscall2, syscall5};
use crate::thread;
use crate::unit::{Bytes, Span};
use crate::vm::{Protection, Vm};
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::AtomicU32;

const PROT_READ_WRITE: usize = 3;
const MAP_FIXED_NOREPLACE: usize = 0x10_0000;

/// Pages that an attempt has for itself.
const PAGES: usize = 4;
/// The smallest huge page of `x86_64` and of aarch64 with pages of 4 KiB.
const HUGE: usize = 2 << 20;

macro_rules! attempts {
    ($($variant:ident $name:literal $about:literal;)*) => {
        /// A call that can be tried. Its documentation says what it is and since when Linux has it.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Attempt {
            $(#[doc = $about] $variant,)*
        }

        impl Attempt {
            /// All of them.
            pub const ALL: &'static [Attempt] = &[$(Attempt::$variant,)*];

            /// The call and its flag, as manual pages write them.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Attempt::$variant => $name,)*
                }
            }
        }
    };
}

attempts! {
    Map "mmap" "Private anonymous memory.";
    MapNoReplace "MAP_FIXED_NOREPLACE" "mmap at a place, if nothing is there (4.17).";
    Protect "mprotect" "Reserved memory made writable.";
    Discard "MADV_DONTNEED" "Pages given back: they read as zero afterwards.";
    Remap "mremap" "A mapping made longer, perhaps at another place.";
    DontUnmap "MREMAP_DONTUNMAP" "Pages moved away from a mapping that stays (5.7).";
    Break "brk" "The program break moved up a page and down again.";
    Clone "clone" "A thread as libneap.so starts its helper.";
    Memfd "memfd_create" "A file in memory (3.17).";
    Free "MADV_FREE" "Pages that the kernel may take when it needs them (4.5).";
    DiscardLocked "MADV_DONTNEED_LOCKED" "As MADV_DONTNEED, of locked memory (5.18).";
    DiscardAll "process_madvise (itself)" "Many spans given back with one call (6.14).";
    ProcessAdvise "process_madvise" "Advice by a descriptor of the process (5.10).";
    Cold "MADV_COLD" "Pages that go first under pressure (5.4).";
    PageOut "MADV_PAGEOUT" "Pages written to swap now (5.4).";
    PopulateRead "MADV_POPULATE_READ" "Pages faulted in for reading (5.14).";
    PopulateWrite "MADV_POPULATE_WRITE" "Pages faulted in for writing (5.14).";
    HugePage "MADV_HUGEPAGE" "Huge pages asked for (2.6.38, a build option).";
    NoHugePage "MADV_NOHUGEPAGE" "Huge pages declined (2.6.38, a build option).";
    Collapse "MADV_COLLAPSE" "Pages made one huge page now (6.1).";
    WipeOnFork "MADV_WIPEONFORK" "Pages that a child sees as zeros (4.14).";
    DontDump "MADV_DONTDUMP" "Pages left out of core dumps (3.4).";
    Mergeable "MADV_MERGEABLE" "Equal pages merged (2.6.32, a build option).";
    GuardInstall "MADV_GUARD_INSTALL" "Guard pages without a mapping of their own (6.13).";
    NameMapping "PR_SET_VMA_ANON_NAME" "Mappings with names (5.17, a build option).";
    Residency "mincore" "Which pages are resident.";
    Lock "mlock" "A page kept in memory.";
    Seal "mseal" "A mapping that cannot be changed any more (6.10).";
    Cachestat "cachestat" "How much of a file is in the page cache (6.5).";
    Userfaultfd "userfaultfd" "Page faults handled by a program (4.3; by anyone since 5.11).";
    PagemapRead "/proc/PID/pagemap" "The state of each page, by a file.";
    PagemapScan "PAGEMAP_SCAN" "Ranges of pages in a state, by an ioctl (6.7).";
}

impl Attempt {
    /// Makes the call.
    ///
    /// # Errors
    /// The kernel's. `EOPNOTSUPP` when it says yes and does nothing.
    pub fn make(self) -> Result<(), Errno> {
        match self {
            Attempt::Memfd => {
                close(memfd()?);
                Ok(())
            }
            Attempt::Cachestat => cachestat(),
            Attempt::Userfaultfd => userfaultfd(),
            Attempt::Break => move_break(),
            Attempt::Clone => clone(),
            Attempt::Seal => seal_page(),
            Attempt::Collapse => on_pages(2 * HUGE, collapse),
            _ => on_pages(PAGES * page_size(), |span| self.make_on(span)),
        }
    }

    /// Makes a call that is about memory on [`PAGES`] pages that nobody else has.
    fn make_on(self, span: Span) -> Result<(), Errno> {
        let page = Span::new(span.base(), page_size()).ok_or(Errno::ENOMEM)?;
        match self {
            Attempt::MapNoReplace => no_replace(page),
            // SAFETY: (1) the pages are this attempt's, mapped just now; (2) nothing uses them.
            Attempt::Protect => unsafe {
                Linux.protect(span, Protection::None)?;
                Linux.protect(span, Protection::ReadWrite)
            },
            Attempt::Discard => discard_reads_as_zero(page),
            Attempt::Remap => remap(),
            Attempt::DontUnmap => dont_unmap(),
            Attempt::Free => lose(page, Discard::Free),
            Attempt::DiscardLocked => lose(page, Discard::DontNeedLocked),
            Attempt::WipeOnFork => lose(page, Discard::WipeOnFork),
            // SAFETY: (1) the page is this attempt's, and nothing needs its contents.
            Attempt::DiscardAll => unsafe { advice::discard_all(&[page], Discard::DontNeed) }.map(|_| ()),
            Attempt::ProcessAdvise => process_advise(page),
            Attempt::Cold => advice::hint(page, Hint::Cold),
            Attempt::PageOut => advice::hint(page, Hint::PageOut),
            Attempt::PopulateRead => advice::hint(page, Hint::PopulateRead),
            Attempt::PopulateWrite => advice::hint(page, Hint::PopulateWrite),
            Attempt::HugePage => advice::hint(page, Hint::HugePage),
            Attempt::NoHugePage => advice::hint(page, Hint::NoHugePage),
            Attempt::DontDump => advice::hint(page, Hint::DontDump),
            Attempt::Mergeable => advice::hint(page, Hint::Mergeable),
            // SAFETY: (1, 2) the page is this attempt's, and nothing uses it before it is unmapped.
            Attempt::GuardInstall => unsafe { advice::guard(page, Guard::Install) },
            Attempt::NameMapping => name_mapping(page, c"neap attempt"),
            Attempt::Residency => residency(page, &mut [0]).map(|_| ()),
            Attempt::Lock => lock::lock(page, When::Now),
            Attempt::PagemapRead => pagemap(|map| map.words(page, &mut [Word::default()])),
            Attempt::PagemapScan => pagemap(|map| scan(map, page)),
            // `Map` did all it has to when the pages were mapped; the others have no pages.
            _ => Ok(()),
        }
    }
}

/// Maps `len` bytes, hands them to `body`, unmaps them.
fn on_pages(len: usize, body: impl FnOnce(Span) -> Result<(), Errno>) -> Result<(), Errno> {
    let span = Linux.map(Bytes(len))?;
    let outcome = body(span);
    // SAFETY: (1) mapped above; (2) `body` has returned and keeps nothing.
    unsafe { Linux.unmap(span)? };
    outcome
}

/// A mapping on top of another must be refused.
fn no_replace(taken: Span) -> Result<(), Errno> {
    // SAFETY: (1) MAP_FIXED_NOREPLACE is not MAP_FIXED.
    match unsafe { anonymous(taken.base(), taken.len(), PROT_READ_WRITE, MAP_FIXED_NOREPLACE) } {
        Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
        // An old kernel takes the address for a hint and places it elsewhere.
        Ok(base) => {
            let span = Span::new(base, taken.len()).ok_or(Errno::ENOMEM)?;
            // SAFETY: (1, 2) mapped just now, unknown to anyone.
            unsafe { Linux.unmap(span)? };
            Err(Errno::EOPNOTSUPP)
        }
    }
}

fn lose(page: Span, discard: Discard) -> Result<(), Errno> {
    // SAFETY: (1, 2) the page is this attempt's and holds nothing.
    unsafe { advice::discard(page, discard) }
}

fn discard_reads_as_zero(page: Span) -> Result<(), Errno> {
    let byte = with_exposed_provenance_mut::<u8>(page.base());
    // SAFETY: the page is mapped, writable and this attempt's alone.
    unsafe { byte.write_volatile(1) };
    lose(page, Discard::DontNeed)?;
    // SAFETY: as above.
    match unsafe { byte.read_volatile() } {
        0 => Ok(()),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

fn remap() -> Result<(), Errno> {
    let page = Linux.map(Bytes(page_size()))?;
    // SAFETY: (1) one whole mapping from above; (2) nothing uses it.
    let outcome = unsafe { Linux.remap(page, Bytes(PAGES * page_size())) };
    // SAFETY: (1, 2) what is mapped now, old or new, used by nobody.
    unsafe { Linux.unmap(outcome.unwrap_or(page))? };
    outcome.map(|_| ())
}

fn dont_unmap() -> Result<(), Errno> {
    const MREMAP_MAYMOVE_DONTUNMAP: usize = 1 | 4;
    let len = page_size();
    on_pages(len, |page| {
        // SAFETY: (1) without MREMAP_FIXED the kernel chooses a free place; the page holds nothing.
        let base = unsafe { syscall5(Call::MREMAP, page.base(), len, len, MREMAP_MAYMOVE_DONTUNMAP, 0)? };
        let moved = Span::new(base, len).ok_or(Errno::ENOMEM)?;
        // SAFETY: (1, 2) made by the call above, unknown to anyone.
        unsafe { Linux.unmap(moved) }
    })
}

/// The C library moves the break, too: with other threads at work it may be `EBUSY`.
fn move_break() -> Result<(), Errno> {
    let from = Linux.program_break();
    let to = from.checked_add(page_size()).ok_or(Errno::ENOMEM)?;
    // SAFETY: (1) the second call gives up what the first has gained, which nobody has heard of.
    unsafe {
        Linux.move_break(from, to)?;
        Linux.move_break(to, from)
    }
}

extern "C" fn nothing(_: *mut u8) {}

fn clone() -> Result<(), Errno> {
    static WORD: AtomicU32 = AtomicU32::new(0);
    on_pages(4 * thread::HELPER_STACK_MIN, |stack| {
        // SAFETY: (1) the stack is this attempt's until `join` has returned; (2) `nothing` does nothing.
        unsafe { thread::spawn_helper(stack, nothing, core::ptr::null_mut(), &WORD)? };
        thread::join(&WORD);
        Ok(())
    })
}

fn memfd() -> Result<Fd, Errno> {
    memfd::create(c"neap-attempt", memfd::Features::default())
}

fn cachestat() -> Result<(), Errno> {
    let fd = memfd()?;
    let outcome = page_cache::count(fd, FileRange::ALL);
    close(fd);
    outcome.map(|_| ())
}

fn userfaultfd() -> Result<(), Errno> {
    const USER_MODE_ONLY_CLOEXEC: usize = 1 | 0o2_000_000;
    // SAFETY: (1) opens a descriptor.
    let fd = unsafe { syscall2(Call::USERFAULTFD, USER_MODE_ONLY_CLOEXEC, 0)? };
    close(Fd::answered(fd)?);
    Ok(())
}

fn seal_page() -> Result<(), Errno> {
    let page = Linux.map(Bytes(page_size()))?;
    // SAFETY: (1) mapped above and known to nobody: it stays until the process ends.
    let outcome = unsafe { seal(page) };
    if outcome.is_err() {
        // SAFETY: (1, 2) mapped above, used by nobody.
        unsafe { Linux.unmap(page)? };
    }
    outcome
}

fn collapse(span: Span) -> Result<(), Errno> {
    let inner = span.shrink_to(HUGE);
    advice::hint(inner, Hint::PopulateWrite)?;
    advice::hint(inner, Hint::Collapse)
}

fn process_advise(page: Span) -> Result<(), Errno> {
    let process = advice::open_process(thread::getpid())?;
    let outcome = advice::process_hint(process, &[page], Hint::Cold);
    close(process);
    outcome.map(|_| ())
}

fn pagemap(body: impl FnOnce(Pagemap) -> Result<usize, Errno>) -> Result<(), Errno> {
    let map = Pagemap::open()?;
    let outcome = body(map);
    map.close();
    match outcome? {
        0 => Err(Errno::EOPNOTSUPP),
        _ => Ok(()),
    }
}

/// A page that was written is present.
fn scan(map: Pagemap, page: Span) -> Result<usize, Errno> {
    let byte = with_exposed_provenance_mut::<u8>(page.base());
    // SAFETY: the page is mapped, writable and this attempt's alone.
    unsafe { byte.write_volatile(1) };
    let query = Query::all_of(Categories::PRESENT);
    Ok(map.scan(page, &query, &mut [Region::default()])?.regions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::in_child;
    use crate::syscall::syscall4;
    use std::string::String;

    /// What every Linux since 4.17 can do, container or not.
    const EVERYWHERE: [Attempt; 7] = [
        Attempt::Map,
        Attempt::MapNoReplace,
        Attempt::Protect,
        Attempt::Discard,
        Attempt::Remap,
        Attempt::Clone,
        Attempt::Residency,
    ];

    fn mappings() -> usize {
        std::fs::read_to_string("/proc/self/maps")
            .unwrap()
            .lines()
            .count()
    }

    #[test]
    fn what_works_everywhere_works_here() {
        in_child(|| {
            for attempt in EVERYWHERE {
                assert_eq!(attempt.make(), Ok(()), "{}", attempt.name());
            }
        });
    }

    #[test]
    fn attempts_leave_nothing_behind_but_the_sealed_page() {
        in_child(|| {
            for attempt in Attempt::ALL {
                let _ = attempt.make();
            }
            let before = mappings();
            for attempt in Attempt::ALL.iter().filter(|attempt| **attempt != Attempt::Seal) {
                let _ = attempt.make();
            }
            assert_eq!(mappings(), before);
        });
    }

    #[test]
    fn a_lock_that_the_limit_forbids_is_an_error_and_not_a_success() {
        const RLIMIT_MEMLOCK: usize = 8;
        const CAP_IPC_LOCK: u64 = 1 << 14;
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .map(String::from);
        let capable =
            effective.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & CAP_IPC_LOCK != 0);
        in_child(|| {
            let none = [0_u64; 2];
            // SAFETY: (1) reads two u64 and limits the child only.
            unsafe {
                syscall4(
                    Call::PRLIMIT64,
                    0,
                    RLIMIT_MEMLOCK,
                    none.as_ptr().expose_provenance(),
                    0,
                )
                .unwrap();
            }
            let expected = if capable { Ok(()) } else { Err(Errno::EPERM) };
            assert_eq!(Attempt::Lock.make(), expected);
        });
    }

    #[test]
    fn names_are_unique() {
        for (index, attempt) in Attempt::ALL.iter().enumerate() {
            assert!(
                Attempt::ALL[..index]
                    .iter()
                    .all(|other| other.name() != attempt.name())
            );
        }
    }
}
