//! neap-abi: what libneap.so publishes about itself and what readers read.
//!
//! Owns the layout of the *board*: a file of 4 KiB pages, page 0 a [`Directory`], every later page
//! the [`Page`] of one process. `neap run` makes the board (a memfd), names it in
//! [`ENV_BOARD`], and reads it with pread(2); libneap.so maps its page and stores counters there.
//! Without a board a process keeps its page in its own memory.
//!
//! Never allocates, never makes a system call, holds no unsafe code. Every field is a 64-bit word
//! at a fixed offset, stored with relaxed atomics, so a reader can never see a torn number; two
//! fields read together may be some microseconds apart. A change of layout bumps [`VERSION`].
#![no_std]
#![forbid(unsafe_code)]

pub mod anatomy;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// `b"neapabi1"` little-endian: the first word of a page in use.
pub const MAGIC: u64 = u64::from_le_bytes(*b"neapabi1");
/// Layout version; readers refuse any other.
pub const VERSION: u64 = 1;
/// Bytes of one page of the board.
pub const PAGE_BYTES: usize = 4096;
/// Most processes one board can hold; later ones keep their counters to themselves.
pub const PAGES_MAX: usize = 4095;
/// The variable that names the board, e.g. `/proc/1234/fd/5`.
pub const ENV_BOARD: &str = "NEAP_BOARD";
/// Size classes a page has room for.
pub const CLASSES: usize = 80;

/// A memory call of the kernel, as counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// brk(2).
    Brk = 0,
    /// mmap(2).
    Mmap = 1,
    /// munmap(2).
    Munmap = 2,
    /// mremap(2).
    Mremap = 3,
    /// madvise(2) and process_madvise(2).
    Madvise = 4,
    /// mprotect(2).
    Mprotect = 5,
}

impl Call {
    /// Every call, in the order of their numbers.
    pub const ALL: [Call; 6] = [
        Call::Brk,
        Call::Mmap,
        Call::Munmap,
        Call::Mremap,
        Call::Madvise,
        Call::Mprotect,
    ];
    /// The call's name in the manual.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Call::Brk => "brk",
            Call::Mmap => "mmap",
            Call::Munmap => "munmap",
            Call::Mremap => "mremap",
            Call::Madvise => "madvise",
            Call::Mprotect => "mprotect",
        }
    }
}

/// One kind of call: how often, how many bytes, how many failures.
#[repr(C)]
#[derive(Debug)]
pub struct CallCount {
    /// Calls that succeeded.
    pub calls: AtomicU64,
    /// Bytes those calls were about.
    pub bytes: AtomicU64,
    /// Calls that failed.
    pub failed: AtomicU64,
}

/// One size class.
#[repr(C)]
#[derive(Debug)]
pub struct ClassCount {
    /// Block size in bytes; 0: the class does not exist.
    pub block_bytes: AtomicU64,
    /// Blocks that the program holds or a thread has ready to hand out.
    pub live_blocks: AtomicU64,
}

/// The page of one process. Gauges are values now; peaks and totals never fall.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Page {
    /// [`MAGIC`] once every other field is valid.
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU64,
    /// Process id in the namespace of the process itself.
    pub pid: AtomicU64,
    /// CLOCK_MONOTONIC nanoseconds when the page was taken.
    pub start_ns: AtomicU64,
    /// [`Backend`] as a number.
    pub backend: AtomicU64,
    /// 1 once the process has run its exit handlers: the figures are final.
    pub finished: AtomicU64,
    /// Gauge: bytes in live blocks, class sizes (not requested sizes), caches of threads included.
    pub live_bytes: AtomicU64,
    /// Gauge: live blocks.
    pub live_blocks: AtomicU64,
    /// Gauge: bytes of address space the heap has from the kernel for blocks.
    pub held_bytes: AtomicU64,
    /// Gauge: bytes of free pages not yet given back.
    pub dirty_bytes: AtomicU64,
    /// Gauge: bytes mapped for the heap's own records.
    pub meta_bytes: AtomicU64,
    /// Gauge: threads that have a heap.
    pub threads: AtomicU64,
    /// Peak of `live_bytes`, as seen at publishing.
    pub live_peak_bytes: AtomicU64,
    /// Peak of `held_bytes`.
    pub held_peak_bytes: AtomicU64,
    /// Peak of `threads`.
    pub threads_peak: AtomicU64,
    /// Total bytes given back to the kernel: discarded pages, and mappings of their own that were
    /// unmapped. A page counts each time it goes.
    pub given_back_bytes: AtomicU64,
    /// Times a give-back pass found something.
    pub purges: AtomicU64,
    /// Times the helper thread was started.
    pub helper_starts: AtomicU64,
    /// Gauge: 1 while a helper thread lives.
    pub helper_alive: AtomicU64,
    /// Bytes of purged pages that were wanted again within a second.
    pub regret_bytes: AtomicU64,
    /// Gauge: live blocks above the size classes: runs of pages, extents, own mappings.
    pub large_blocks: AtomicU64,
    /// Gauge: their bytes.
    pub large_bytes: AtomicU64,
    /// Gauge: own mappings (malloc's "mmapped chunks").
    pub direct_blocks: AtomicU64,
    /// Gauge: their bytes.
    pub direct_bytes: AtomicU64,
    /// One row for each [`Call`].
    pub calls: [CallCount; 6],
    /// One row for each size class.
    pub classes: [ClassCount; CLASSES],
}

/// Page 0 of a board.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Directory {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU64,
    /// Pages handed out so far; the next process takes page `taken + 1`. May pass [`PAGES_MAX`].
    pub taken: AtomicU64,
}

const _: () = assert!(size_of::<Page>() <= PAGE_BYTES);
const _: () = assert!(size_of::<Directory>() <= PAGE_BYTES);
const _: () = assert!(core::mem::offset_of!(Page, calls) == 24 * 8);
const _: () = assert!(core::mem::offset_of!(Page, classes) == (24 + 18) * 8);

/// Where the heap gets its memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// mmap(2).
    Mmap = 0,
    /// brk(2), mmap where the break is blocked.
    Brk = 1,
}

impl CallCount {
    const fn zero() -> CallCount {
        CallCount {
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }
}

impl Page {
    /// A page of zeros.
    #[must_use]
    pub const fn zero() -> Page {
        const fn z() -> AtomicU64 {
            AtomicU64::new(0)
        }
        Page {
            magic: z(),
            version: z(),
            pid: z(),
            start_ns: z(),
            backend: z(),
            finished: z(),
            live_bytes: z(),
            live_blocks: z(),
            held_bytes: z(),
            dirty_bytes: z(),
            meta_bytes: z(),
            threads: z(),
            live_peak_bytes: z(),
            held_peak_bytes: z(),
            threads_peak: z(),
            given_back_bytes: z(),
            purges: z(),
            helper_starts: z(),
            helper_alive: z(),
            regret_bytes: z(),
            large_blocks: z(),
            large_bytes: z(),
            direct_blocks: z(),
            direct_bytes: z(),
            calls: [const { CallCount::zero() }; 6],
            classes: [const {
                ClassCount {
                    block_bytes: AtomicU64::new(0),
                    live_blocks: AtomicU64::new(0),
                }
            }; CLASSES],
        }
    }

    /// The row of one call.
    #[must_use]
    pub fn call(&self, call: Call) -> &CallCount {
        // A `Call` is 0..=5 and the array has six rows, so the lookup cannot fail.
        match call {
            Call::Brk => &self.calls[0],
            Call::Mmap => &self.calls[1],
            Call::Munmap => &self.calls[2],
            Call::Mremap => &self.calls[3],
            Call::Madvise => &self.calls[4],
            Call::Mprotect => &self.calls[5],
        }
    }
}

/// A page as read at one moment: plain numbers. Field meanings as in [`Page`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Snapshot {
    pub pid: u64,
    pub start_ns: u64,
    pub backend: Backend,
    pub finished: bool,
    pub live_bytes: u64,
    pub live_blocks: u64,
    pub held_bytes: u64,
    pub dirty_bytes: u64,
    pub meta_bytes: u64,
    pub threads: u64,
    pub live_peak_bytes: u64,
    pub held_peak_bytes: u64,
    pub threads_peak: u64,
    pub given_back_bytes: u64,
    pub purges: u64,
    pub helper_starts: u64,
    pub helper_alive: bool,
    pub regret_bytes: u64,
    pub large_blocks: u64,
    pub large_bytes: u64,
    pub direct_blocks: u64,
    pub direct_bytes: u64,
    /// calls, bytes, failed for each [`Call`] in the order of [`Call::ALL`].
    pub calls: [[u64; 3]; 6],
    /// block bytes and live blocks for each size class; block bytes 0: no such class.
    pub classes: [[u64; 2]; CLASSES],
}

/// Why bytes are not a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAPage {
    /// Fewer bytes than a page.
    Short,
    /// No process has filled this page (yet).
    Empty,
    /// Written by a libneap.so with another layout; holds its version.
    Version(u64),
}

impl core::fmt::Display for NotAPage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            NotAPage::Short => f.write_str("fewer bytes than a page"),
            NotAPage::Empty => f.write_str("no process has filled this page"),
            NotAPage::Version(v) => write!(f, "layout version {v}, this reader knows {VERSION}"),
        }
    }
}

fn word(bytes: &[u8], index: usize) -> u64 {
    match bytes
        .get(index * 8..index * 8 + 8)
        .and_then(|b| <[u8; 8]>::try_from(b).ok())
    {
        Some(b) => u64::from_ne_bytes(b),
        None => 0,
    }
}

/// How many processes have taken a page of the board whose page 0 is `bytes`; at most [`PAGES_MAX`].
///
/// # Errors
/// [`NotAPage`] when `bytes` is not a directory.
pub fn pages_taken(bytes: &[u8]) -> Result<usize, NotAPage> {
    check(bytes)?;
    Ok(usize::try_from(word(bytes, 2))
        .unwrap_or(PAGES_MAX)
        .min(PAGES_MAX))
}

fn check(bytes: &[u8]) -> Result<(), NotAPage> {
    if bytes.len() < size_of::<Page>() {
        return Err(NotAPage::Short);
    }
    match (word(bytes, 0), word(bytes, 1)) {
        (MAGIC, VERSION) => Ok(()),
        (MAGIC, other) => Err(NotAPage::Version(other)),
        _ => Err(NotAPage::Empty),
    }
}

impl Snapshot {
    /// Reads a page from its bytes.
    ///
    /// # Errors
    /// [`NotAPage`] when they are not one.
    pub fn parse(bytes: &[u8]) -> Result<Snapshot, NotAPage> {
        check(bytes)?;
        let w = |i| word(bytes, i);
        Ok(Snapshot {
            pid: w(2),
            start_ns: w(3),
            backend: if w(4) == 1 { Backend::Brk } else { Backend::Mmap },
            finished: w(5) != 0,
            live_bytes: w(6),
            live_blocks: w(7),
            held_bytes: w(8),
            dirty_bytes: w(9),
            meta_bytes: w(10),
            threads: w(11),
            live_peak_bytes: w(12),
            held_peak_bytes: w(13),
            threads_peak: w(14),
            given_back_bytes: w(15),
            purges: w(16),
            helper_starts: w(17),
            helper_alive: w(18) != 0,
            regret_bytes: w(19),
            large_blocks: w(20),
            large_bytes: w(21),
            direct_blocks: w(22),
            direct_bytes: w(23),
            calls: core::array::from_fn(|i| core::array::from_fn(|j| w(24 + i * 3 + j))),
            classes: core::array::from_fn(|i| core::array::from_fn(|j| w(42 + i * 2 + j))),
        })
    }
}

/// Bytes of the directory of a new board, to be written at its start.
#[must_use]
pub fn new_directory() -> [u8; 24] {
    let mut out = [0; 24];
    for (chunk, value) in out.chunks_exact_mut(8).zip([MAGIC, VERSION, 0]) {
        chunk.copy_from_slice(&value.to_ne_bytes());
    }
    out
}

/// Takes a page number from the directory, or `None` when the board is full or of another version.
#[must_use]
pub fn take_page(directory: &Directory) -> Option<usize> {
    if directory.magic.load(Relaxed) != MAGIC || directory.version.load(Relaxed) != VERSION {
        return None;
    }
    let page = usize::try_from(directory.taken.fetch_add(1, Relaxed))
        .ok()?
        .checked_add(1)?;
    (page <= PAGES_MAX).then_some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_with(words: &[(usize, u64)]) -> [u8; PAGE_BYTES] {
        let mut b = [0; PAGE_BYTES];
        for &(i, v) in words {
            b[i * 8..i * 8 + 8].copy_from_slice(&v.to_ne_bytes());
        }
        b
    }

    #[test]
    fn parse_reads_every_field_at_the_offset_the_page_has() {
        let off = |o: usize| o / 8;
        let b = bytes_with(&[
            (0, MAGIC),
            (1, VERSION),
            (off(core::mem::offset_of!(Page, live_bytes)), 77),
            (off(core::mem::offset_of!(Page, regret_bytes)), 78),
            (off(core::mem::offset_of!(Page, direct_bytes)), 79),
            (off(core::mem::offset_of!(Page, calls)) + 3 * 4 + 1, 80),
            (off(core::mem::offset_of!(Page, classes)) + 2 * 79 + 1, 81),
        ]);
        let s = Snapshot::parse(&b).unwrap();
        assert_eq!((s.live_bytes, s.regret_bytes, s.direct_bytes), (77, 78, 79));
        assert_eq!((s.calls[Call::Madvise as usize][1], s.classes[79][1]), (80, 81));
    }

    #[test]
    fn what_is_not_a_page_is_refused_by_name() {
        assert_eq!(Snapshot::parse(&[0; 8]), Err(NotAPage::Short));
        assert_eq!(Snapshot::parse(&[0; PAGE_BYTES]), Err(NotAPage::Empty));
        assert_eq!(
            Snapshot::parse(&bytes_with(&[(0, MAGIC), (1, 9)])),
            Err(NotAPage::Version(9))
        );
    }

    #[test]
    fn a_directory_hands_out_pages_until_it_is_full() {
        let d = Directory {
            magic: AtomicU64::new(MAGIC),
            version: AtomicU64::new(VERSION),
            taken: AtomicU64::new(0),
        };
        assert_eq!(take_page(&d), Some(1));
        assert_eq!(take_page(&d), Some(2));
        d.taken.store(PAGES_MAX as u64, Relaxed);
        assert_eq!(take_page(&d), None);
    }
}
