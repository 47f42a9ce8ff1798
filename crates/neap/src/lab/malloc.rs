//! The C library's malloc by its C names, and what of its state the kernel sees: the program break.
//!
//! Owns [`Block`], memory that goes back by free(3) when it is dropped, and [`Malloc`], whose malloc
//! serves the process. Nothing here but [`Hand::malloc`] allocates except by the call that it is named
//! after. Rust's own allocations in an experiment's process go through the same malloc: an experiment
//! calls [`trim`] first, so that what it starts from is known, and keeps away from `Vec` and `format!`
//! until it has looked.
#![allow(unsafe_code, reason = "malloc, free and sbrk by hand")]

use std::ffi::{CStr, c_int};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr::NonNull;

use neap_os::env::page_size;
use neap_os::errno::Errno;

use super::hand::{Hand, Stop, cannot};

/// Whose malloc serves this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Malloc {
    /// The C library's.
    Glibc,
    /// libneap.so's, which is in front of it.
    Neap,
}

impl Hand {
    /// Whose malloc serves this process. Stops where it is a third one's, or has been tuned.
    pub(crate) fn malloc(&self) -> Result<Malloc, Stop> {
        let tuned = ["GLIBC_TUNABLES", "MALLOC_TOP_PAD_", "MALLOC_TRIM_THRESHOLD_"]
            .into_iter()
            .chain(["MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_ARENA_MAX"])
            .find(|name| std::env::var_os(name).is_some());
        if let Some(name) = tuned {
            return Err(cannot(
                format!("{name} is set, which changes malloc's defaults"),
                format!("run it with env -u {name}"),
            ));
        }
        let file = file_of_malloc();
        let preloaded = std::env::var_os("LD_PRELOAD");
        if preloaded.as_deref().map(Path::new) == Some(&file) {
            return Ok(Malloc::Neap);
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("libc.so") || name.starts_with("libc-") {
            return Ok(Malloc::Glibc);
        }
        Err(cannot(
            format!("malloc is that of {}", file.display()),
            "look into /etc/ld.so.preload",
        ))
    }
}

/// The file that the malloc of this process lies in.
fn file_of_malloc() -> std::path::PathBuf {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the name is a C string; dladdr fills the structure, of which all bytes zero are a value,
    // too, and whose names live as long as the libraries, which nothing unloads here.
    let name = unsafe {
        let malloc = libc::dlsym(libc::RTLD_DEFAULT, c"malloc".as_ptr());
        libc::dladdr(malloc, info.as_mut_ptr());
        let name = info.assume_init().dli_fname;
        if name.is_null() { c"" } else { CStr::from_ptr(name) }
    };
    name.to_string_lossy().into_owned().into()
}

/// Memory that malloc gave; free takes it back when this is dropped.
#[derive(Debug)]
pub(crate) struct Block {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: a block is memory that nothing else refers to, and free may be called by any thread.
unsafe impl Send for Block {}

impl Block {
    /// malloc of `len` bytes; `None` where it answers with null.
    pub(crate) fn new(len: usize) -> Option<Block> {
        // SAFETY: malloc has no condition. The compiler knows it, and would leave out a pair of malloc
        // and free without black_box.
        let at = black_box(unsafe { libc::malloc(black_box(len)) });
        NonNull::new(at.cast()).map(|at| Block { at, len })
    }

    /// As [`Block::new`], for an experiment that cannot go on without it.
    pub(crate) fn get(len: usize) -> Result<Block, Stop> {
        Block::new(len).ok_or_else(|| cannot("malloc answered with null", "free some memory"))
    }

    /// Its first address.
    pub(crate) fn address(&self) -> usize {
        self.at.addr().get()
    }

    /// What malloc_usable_size says: what was asked for and what came with it.
    pub(crate) fn usable(&self) -> usize {
        // SAFETY: malloc gave `at`, and it was not freed: only drop does.
        unsafe { libc::malloc_usable_size(self.at.as_ptr().cast()) }
    }

    /// The byte at `offset`, which must have been written; `None` behind the end.
    pub(crate) fn byte(&self, offset: usize) -> Option<u8> {
        // SAFETY: malloc gave `len` bytes at `at`, not freed since; offset is below.
        (offset < self.len).then(|| unsafe { self.at.as_ptr().add(offset).read_volatile() })
    }

    /// Writes 1 to the first byte of each page's length, and to its last one.
    pub(crate) fn touch(&self) {
        for offset in (0..self.len).step_by(page_size()).chain(self.len.checked_sub(1)) {
            // SAFETY: malloc gave `len` bytes at `at`, not freed since, and nobody else has a reference
            // to them.
            unsafe { self.at.as_ptr().add(offset).write_volatile(1) };
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: malloc gave `at`, and it is freed only here.
        unsafe { libc::free(black_box(self.at.as_ptr()).cast()) };
    }
}

/// malloc_trim: gives back what is free but `pad` bytes at the top.
pub(crate) fn trim(pad: usize) -> bool {
    // SAFETY: malloc_trim has no condition.
    unsafe { libc::malloc_trim(pad) == 1 }
}

/// A parameter of mallopt(3).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parameter {
    /// M_MMAP_THRESHOLD: from this size on mmap is asked. Setting it ends its moving.
    MmapThreshold,
}

/// mallopt: whether it was accepted.
pub(crate) fn tune(parameter: Parameter, value: c_int) -> bool {
    let parameter = match parameter {
        Parameter::MmapThreshold => libc::M_MMAP_THRESHOLD,
    };
    // SAFETY: mallopt has no condition: values it does not like are refused.
    unsafe { libc::mallopt(parameter, value) == 1 }
}

/// Numbers of mallinfo(3) that experiments need, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Info {
    /// uordblks: in use, with the headers.
    pub(crate) in_use: usize,
    /// keepcost: the free chunk at the top of the heap.
    pub(crate) top: usize,
}

/// mallinfo. Allocates nothing.
pub(crate) fn info() -> Info {
    // SAFETY: mallinfo has no condition.
    let info = unsafe { libc::mallinfo() };
    let bytes = |number: c_int| usize::try_from(number).unwrap_or(0);
    Info {
        in_use: bytes(info.uordblks),
        top: bytes(info.keepcost),
    }
}

/// No huge pages for this process: they would come and go 512 at a time.
pub(crate) fn small_pages_only() -> Result<(), Stop> {
    // SAFETY: it changes how faults are served from now on, and nothing else.
    if unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(cannot(
        format!("prctl(PR_SET_THP_DISABLE): {error}"),
        "a sandbox that allows it",
    ))
}

/// The program break, as the C library knows it. Allocates nothing.
pub(crate) fn program_break() -> usize {
    // SAFETY: sbrk(0) moves nothing.
    unsafe { libc::sbrk(0).addr() }
}

/// sbrk: the break as it was. Allocates nothing.
///
/// # Safety
///
/// 1. Where the break is lowered, nothing that lies between the new one and the old one is used any more,
///    malloc's own records among them, unless a fault is what is wanted, in a child.
/// 2. Where it is raised, it comes back to where it was, or nothing is expected of what malloc does with
///    the break afterwards: glibc's takes it for somebody else's.
pub(crate) unsafe fn move_break(increment: isize) -> Result<usize, Errno> {
    // SAFETY: sbrk's only conditions are (1) and (2), which are the caller's.
    let old = unsafe { libc::sbrk(increment) }.addr();
    if old == usize::MAX {
        let error = std::io::Error::last_os_error();
        return Err(Errno(error.raw_os_error().unwrap_or(0)));
    }
    Ok(old)
}

/// Allocates until the break moves, as a program does that prints something: answers with the blocks'
/// bytes. The blocks are not freed.
pub(crate) fn outgrow(request: usize) -> usize {
    const TRIES: usize = 1000;
    let start = program_break();
    for tried in 1..=TRIES {
        std::mem::forget(Block::new(request));
        if program_break() != start {
            return tried * request;
        }
    }
    TRIES * request
}

/// glibc's heap as its source has it (malloc/malloc.c, sysmalloc and systrim): the break and the free
/// chunk below it, reckoned along without asking. Defaults since glibc 2.4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Top {
    /// Bytes of the free chunk at the top.
    pub(crate) free: usize,
    /// How far the break is above where it began.
    pub(crate) risen: isize,
}

/// M_TOP_PAD's default: how much more is taken, and kept.
pub(crate) const TOP_PAD: usize = 128 << 10;
/// M_MMAP_THRESHOLD's and M_TRIM_THRESHOLD's, where they begin.
pub(crate) const THRESHOLD: usize = 128 << 10;
/// The least chunk, which always stays at the top.
pub(crate) const CHUNK_MIN: usize = 32;

/// Bytes of the chunk for a request: with its header of 8, in steps of 16.
pub(crate) const fn chunk(request: usize) -> usize {
    let size = (request + 8).next_multiple_of(16);
    if size < CHUNK_MIN { CHUNK_MIN } else { size }
}

impl Top {
    /// From the heap as it is now, which must be glibc's.
    pub(crate) fn now() -> Top {
        Top {
            free: info().top,
            risen: 0,
        }
    }

    /// A chunk is taken from the top, which is extended where it is too small.
    pub(crate) fn take(&mut self, chunk: usize) {
        if self.free < chunk + CHUNK_MIN {
            let grown = (chunk + TOP_PAD + CHUNK_MIN - self.free).next_multiple_of(page_size());
            self.risen += grown.cast_signed();
            self.free += grown;
        }
        self.free -= chunk;
    }

    /// Chunks next to the top are freed, and the top trimmed if it has come to `threshold`.
    pub(crate) fn give(&mut self, chunk: usize, threshold: usize) {
        self.free += chunk;
        if self.free >= threshold {
            self.trim(TOP_PAD);
        }
    }

    /// What malloc_trim(pad) leaves.
    pub(crate) fn trim(&mut self, pad: usize) {
        let spare = (self.free - CHUNK_MIN - 1).saturating_sub(pad);
        let whole = spare / page_size() * page_size();
        self.free -= whole;
        self.risen -= whole.cast_signed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_of_a_fresh_process() {
        // The thread's cache; A = 30 K, B = 40 K, D = 100 K, and C, which is mapped, held.
        let mut top = Top { free: 0, risen: 0 };
        top.take(0x290);
        top.take(chunk(30 << 10));
        assert_eq!(top.risen, 0x21000);
        top.take(chunk(40 << 10));
        top.take(chunk(100 << 10));
        assert_eq!(top.risen, 0x4b000);
        top.give(chunk(40 << 10) + chunk(100 << 10), THRESHOLD);
        assert_eq!(top.risen, 0x28000);
        top.trim(0);
        assert_eq!(top.risen, 0x8000);
        // The first extension for anything small.
        let mut top = Top { free: 0, risen: 0 };
        top.take(chunk(128));
        assert_eq!(top.risen, 0x21000);
    }

    #[test]
    fn blocks_are_memory() {
        let block = Block::new(10_000).unwrap();
        block.touch();
        assert!(block.usable() >= 10_000 && block.address().is_multiple_of(16));
        assert!(Block::new(usize::MAX / 2).is_none());
    }
}
