//! The state of each page of a process, by /proc/PID/pagemap: [`Word`]s for all, or [`Region`]s of those
//! in a state (PAGEMAP_SCAN, 6.7).
//!
//! [`Pagemap::open`] shows the process that opened it: a child of fork that reads the parent's descriptor reads
//! of the parent. What it says is history by the time it is read. Not to be had without procfs. The numbers
//! are those of Documentation/admin-guide/mm/pagemap.rst and include/uapi/linux/fs.h. It changes no page:
//! neither soft-dirty bits nor write protection are reset here.
#![allow(unsafe_code)]

use crate::env::page_size;
use crate::errno::Errno;
use crate::fd::{Fd, close};
use crate::syscall::{Call, syscall3, syscall4};
use crate::unit::Span;
use core::ffi::CStr;
use core::mem::{size_of, size_of_val};
use core::ops::BitOr;

/// What the kernel says of one page.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Word(u64);

/// Where a page is in physical memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame {
    /// Nowhere.
    Absent,
    /// In a frame whose number the kernel keeps from those without CAP_SYS_ADMIN (4.2).
    Denied,
    /// In this frame, counted in the kernel's pages.
    Number(u64),
}

impl Word {
    /// A word that was read elsewhere, as from another process's pagemap or a copy of one.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Word {
        Word(bits)
    }
    /// The kernel's word as it is.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
    const fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 != 0
    }
    /// Whether it is in memory and in this process's page table. The zero page counts.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.has(63)
    }
    /// Whether it is in swap. The kernel marks guards so, too; before 6.15 they cannot be told apart.
    #[must_use]
    pub const fn is_swapped(self) -> bool {
        self.has(62) && !self.is_guard()
    }
    /// Whether it is a page of a file, or of shared anonymous memory (3.5). Neither, if it is not there.
    #[must_use]
    pub const fn is_file_or_shared(self) -> bool {
        self.has(61)
    }
    /// Whether it is a guard (6.15).
    #[must_use]
    pub const fn is_guard(self) -> bool {
        self.has(58)
    }
    /// Whether userfaultfd has it write-protected (5.13).
    #[must_use]
    pub const fn is_write_protected(self) -> bool {
        self.has(57)
    }
    /// Whether no other process, and no other mapping, has it (4.2).
    #[must_use]
    pub const fn is_exclusive(self) -> bool {
        self.has(56)
    }
    /// Whether it was written since its soft-dirty bit was cleared (3.11, with CONFIG_MEM_SOFT_DIRTY; not on
    /// aarch64).
    #[must_use]
    pub const fn is_soft_dirty(self) -> bool {
        self.has(55)
    }
    /// Where it is. Frame 0 is the machine's own and no process's, so the kernel says it for "denied".
    #[must_use]
    pub const fn frame(self) -> Frame {
        match self.0 & ((1 << 55) - 1) {
            _ if !self.is_present() => Frame::Absent,
            0 => Frame::Denied,
            number => Frame::Number(number),
        }
    }
}

/// States of pages: a set. The values are the kernel's (PAGE_IS_*).
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Categories(u64);

impl Categories {
    /// None.
    pub const NONE: Categories = Categories(0);
    /// In memory that is registered with userfaultfd for asynchronous write protection.
    pub const WP_ALLOWED: Categories = Categories(1);
    /// Written since it was write-protected; also where nothing is registered.
    pub const WRITTEN: Categories = Categories(1 << 1);
    /// Of a file, or of shared anonymous memory.
    pub const FILE: Categories = Categories(1 << 2);
    /// In memory.
    pub const PRESENT: Categories = Categories(1 << 3);
    /// In swap, or a guard.
    pub const SWAPPED: Categories = Categories(1 << 4);
    /// The zero page.
    pub const ZERO: Categories = Categories(1 << 5);
    /// Part of a huge page that the page table maps as one.
    pub const HUGE: Categories = Categories(1 << 6);
    /// Soft-dirty.
    pub const SOFT_DIRTY: Categories = Categories(1 << 7);
    /// A guard (6.16).
    pub const GUARD: Categories = Categories(1 << 8);

    /// Whether every state of `other` is here.
    #[must_use]
    pub const fn contains(self, other: Categories) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Categories {
    type Output = Categories;
    fn bitor(self, other: Categories) -> Categories {
        Categories(self.0 | other.0)
    }
}

/// Which pages [`Pagemap::scan`] finds, and what it says of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Query {
    /// States a page must have, all of them.
    pub all: Categories,
    /// Those of `all` and `any` that count when they are absent.
    pub inverted: Categories,
    /// States of which a page must have one, unless this is none.
    pub any: Categories,
    /// States that regions show: pages that differ in others are in one region.
    pub shown: Categories,
}

impl Query {
    /// The pages in all of `states`, shown as such.
    #[must_use]
    pub const fn all_of(states: Categories) -> Query {
        Query {
            all: states,
            inverted: Categories::NONE,
            any: Categories::NONE,
            shown: states,
        }
    }
}

/// Pages side by side in the same states: the kernel's struct page_region.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Region {
    start: u64,
    end: u64,
    categories: Categories,
}

impl Region {
    /// Where they are. Empty for a region that no scan has filled.
    #[must_use]
    pub fn span(self) -> Span {
        let len = self.end.saturating_sub(self.start);
        // The sum is `start` or `end`.
        Span::new(self.start as usize, len as usize).expect("a region wraps around")
    }
    /// What they are, of the states that were to be shown.
    #[must_use]
    pub const fn categories(self) -> Categories {
        self.categories
    }
}

/// What a scan has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scanned {
    /// How many regions it has filled.
    pub regions: usize,
    /// What it has not looked at for want of regions: empty, or the span for the next scan.
    pub rest: Span,
}

/// The kernel's struct pm_scan_arg.
#[repr(C)]
struct ScanArguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    inverted: Categories,
    mask: Categories,
    anyof: Categories,
    shown: Categories,
}

const _: () = assert!(size_of::<ScanArguments>() == 96 && size_of::<Region>() == 24);

/// /proc/PID/pagemap, open. Like [`Fd`] it has no owner: it stays open until [`Pagemap::close`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pagemap(Fd);

impl Pagemap {
    /// Opens this process's, closed on exec.
    ///
    /// # Errors
    /// openat(2)'s: `ENOENT` without procfs, `EACCES` (not dumpable, or a sandbox), `EMFILE`, `ENFILE`.
    pub fn open() -> Result<Pagemap, Errno> {
        Pagemap::open_path(c"/proc/self/pagemap")
    }

    /// Opens that of another process, closed on exec. It goes on showing the process that had the pid.
    ///
    /// # Errors
    /// As [`Pagemap::open`]; `ENOENT` also without such a process, `EACCES` also for one that this process may
    /// not trace (PTRACE_MODE_READ, ptrace(2)), `ESRCH` for one without memory.
    pub fn open_process(pid: u32) -> Result<Pagemap, Errno> {
        // Two texts around ten digits at most, and the end.
        let mut path = [0; 32];
        let (before, after) = (b"/proc/", b"/pagemap");
        let digits = pid.checked_ilog10().unwrap_or(0) as usize + 1;
        path[..before.len()].copy_from_slice(before);
        let mut rest = pid;
        for digit in path[before.len()..][..digits].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        path[before.len() + digits..][..after.len()].copy_from_slice(after);
        Pagemap::open_path(CStr::from_bytes_until_nul(&path).map_err(|_| Errno::EINVAL)?)
    }

    fn open_path(path: &CStr) -> Result<Pagemap, Errno> {
        const AT_FDCWD: usize = (-100_i32).cast_unsigned() as usize;
        const O_CLOEXEC: usize = 0o2_000_000;
        let path = path.as_ptr().expose_provenance();
        // SAFETY: (1) reads the C string and opens a descriptor.
        let fd = unsafe { syscall4(Call::OPENAT, AT_FDCWD, path, O_CLOEXEC, 0)? };
        Fd::answered(fd).map(Pagemap)
    }

    /// Closes it.
    pub fn close(self) {
        close(self.0);
    }

    /// Writes one word for each page that `span` touches to `words`, and says how many: fewer only where the
    /// address space ends. What is not mapped is a word of zeros.
    ///
    /// # Errors
    /// - `EINVAL`: `words` is too short.
    /// - `EBADF`: closed. `ENOMEM`: the kernel is short of memory.
    pub fn words(self, span: Span, words: &mut [Word]) -> Result<usize, Errno> {
        let first = span.base() / page_size();
        let count = match span.len() {
            0 => 0,
            _ => (span.end() - 1) / page_size() - first + 1,
        };
        let wanted = words.get_mut(..count).ok_or(Errno::EINVAL)?;
        let mut done = 0;
        while done < count {
            let rest = &mut wanted[done..];
            let (buffer, len) = (rest.as_mut_ptr().expose_provenance(), size_of_val(rest));
            let offset = (first + done) * size_of::<Word>();
            // SAFETY: (1) writes at most `len` bytes to `rest`, where every word is one.
            let read = unsafe { syscall4(Call::PREAD64, self.0.argument(), buffer, len, offset) };
            match read {
                Ok(0) => break,
                Ok(bytes) => done += bytes / size_of::<Word>(),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(done)
    }

    /// Finds the pages of `span` that `query` asks for, from the lowest address on, until `regions` are full
    /// (PAGEMAP_SCAN). Of what is not mapped it says nothing.
    ///
    /// # Errors
    /// - `EINVAL`: `span` does not start on a page; `regions` is empty; a state that this kernel does not
    ///   know.
    /// - `EFAULT`: `span` is not all in user space.
    /// - `ENOTTY`: before 6.7. `EBADF`: closed. `ENOMEM`: the kernel is short of memory. `EINTR`: a fatal
    ///   signal.
    pub fn scan(self, span: Span, query: &Query, regions: &mut [Region]) -> Result<Scanned, Errno> {
        /// `_IOWR('f', 16, struct pm_scan_arg)`.
        const PAGEMAP_SCAN: usize = 0xc060_6610;
        if regions.is_empty() {
            return Err(Errno::EINVAL);
        }
        let mut arguments = ScanArguments {
            size: size_of::<ScanArguments>() as u64,
            flags: 0,
            start: span.base() as u64,
            end: span.end() as u64,
            walk_end: 0,
            vec: regions.as_mut_ptr().expose_provenance() as u64,
            vec_len: regions.len() as u64,
            max_pages: 0,
            inverted: query.inverted,
            mask: query.all,
            anyof: query.any,
            shown: query.shown,
        };
        let address = (&raw mut arguments).expose_provenance();
        // SAFETY: (1) reads and writes the 96 bytes of `arguments`, whose size it is told, and at most
        // `vec_len` regions from `vec` on. Without PM_SCAN_WP_MATCHING no page is write-protected.
        let filled = unsafe { syscall3(Call::IOCTL, self.0.argument(), PAGEMAP_SCAN, address)? };
        let seen = (arguments.walk_end as usize).clamp(span.base(), span.end());
        Ok(Scanned {
            regions: filled.min(regions.len()),
            rest: Span::new(seen, span.end() - seen).ok_or(Errno::EOVERFLOW)?,
        })
    }
}

#[cfg(test)]
mod tests;
