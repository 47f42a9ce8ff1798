//! mallinfo(3), mallinfo2(3), malloc_stats(3), malloc_info(3).
//!
//! Owns the translation of the heap's census into glibc's terms. "Arena" is the window, "mmapped"
//! are blocks that are mappings of their own. Blocks in threads' hands count as in use.
#![allow(unsafe_code)]

use core::ffi::{c_int, c_void};
use neap_heap::Census;
use neap_os::errno::Errno;
use neap_os::out::Line;

unsafe extern "C" {
    fn fwrite(data: *const c_void, size: usize, count: usize, stream: *mut c_void) -> usize;
}

/// `struct mallinfo` and `struct mallinfo2`: the same fields, of `int` and of `size_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Info<T> {
    /// Bytes of the window.
    pub arena: T,
    /// Free pieces: not counted, 1 when anything is free.
    pub ordblks: T,
    /// Always 0: there are no fastbins.
    pub smblks: T,
    /// Own mappings.
    pub hblks: T,
    /// Their bytes.
    pub hblkhd: T,
    /// Always 0.
    pub usmblks: T,
    /// Always 0.
    pub fsmblks: T,
    /// Bytes of the window in use.
    pub uordblks: T,
    /// Bytes of the window not in use.
    pub fordblks: T,
    /// Bytes a trim would give back.
    pub keepcost: T,
}

fn info(census: &Census) -> Info<u64> {
    let arena = census.held_bytes.saturating_sub(census.direct_bytes);
    let used = census.live_bytes().saturating_sub(census.direct_bytes);
    let free = arena.saturating_sub(used);
    Info {
        arena,
        ordblks: u64::from(free != 0),
        smblks: 0,
        hblks: census.direct_blocks,
        hblkhd: census.direct_bytes,
        usmblks: 0,
        fsmblks: 0,
        uordblks: used,
        fordblks: free,
        keepcost: census.dirty_bytes,
    }
}

impl<T> Info<T> {
    fn map<U>(self, each: impl Fn(T) -> U) -> Info<U> {
        Info {
            arena: each(self.arena),
            ordblks: each(self.ordblks),
            smblks: each(self.smblks),
            hblks: each(self.hblks),
            hblkhd: each(self.hblkhd),
            usmblks: each(self.usmblks),
            fsmblks: each(self.fsmblks),
            uordblks: each(self.uordblks),
            fordblks: each(self.fordblks),
            keepcost: each(self.keepcost),
        }
    }
}

/// mallinfo2(3).
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> Info<usize> {
    info(&neap_heap::global::census()).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
}

/// mallinfo(3): what does not fit an int is shown as the largest int.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> Info<c_int> {
    info(&neap_heap::global::census()).map(|n| c_int::try_from(n).unwrap_or(c_int::MAX))
}

/// malloc_stats(3): to standard error.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    let census = neap_heap::global::census();
    let mut line = Line::new();
    line.text("neap: held ")
        .dec(census.held_bytes)
        .text(" bytes, in use ")
        .dec(census.live_bytes());
    line.text(" bytes in ")
        .dec(census.live_blocks())
        .text(" blocks, own mappings ")
        .dec(census.direct_blocks);
    line.text(" of ")
        .dec(census.direct_bytes)
        .text(" bytes, not yet given back ")
        .dec(census.dirty_bytes);
    line.text(" bytes\n").emit(2);
    for (size, blocks) in census.classes() {
        let mut line = Line::new();
        line.text("neap: size class ")
            .dec(size as u64)
            .text(": ")
            .dec(blocks)
            .text(" blocks\n");
        line.emit(2);
    }
}

/// malloc_info(3): XML to a stream. `options` must be 0; otherwise EINVAL is returned, as in glibc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut c_void) -> c_int {
    if options != 0 {
        return Errno::EINVAL.0;
    }
    let census = neap_heap::global::census();
    let put = |build: &dyn Fn(&mut Line)| {
        let mut line = Line::new();
        build(&mut line);
        let text = line.text("\n").as_bytes();
        // SAFETY: that many bytes; the caller gave a stream open for writing. A stream that fails
        // keeps its own error mark.
        unsafe { fwrite(text.as_ptr().cast(), 1, text.len(), stream) };
    };
    put(&|line| {
        line.text("<malloc version=\"neap-1\">");
    });
    put(&|line| {
        line.text("<heap nr=\"0\">\n<sizes>");
    });
    for (size, blocks) in census.classes() {
        put(&|line| {
            line.text("<size from=\"")
                .dec(size as u64)
                .text("\" to=\"")
                .dec(size as u64);
            line.text("\" total=\"")
                .dec(size as u64 * blocks)
                .text("\" count=\"")
                .dec(blocks)
                .text("\"/>");
        });
    }
    put(&|line| {
        line.text("</sizes>\n</heap>");
    });
    let rows = [
        ("total type=\"live\"", census.live_blocks(), census.live_bytes()),
        ("total type=\"mmap\"", census.direct_blocks, census.direct_bytes),
    ];
    for (name, count, bytes) in rows {
        put(&|line| {
            line.text("<")
                .text(name)
                .text(" count=\"")
                .dec(count)
                .text("\" size=\"")
                .dec(bytes)
                .text("\"/>");
        });
    }
    for (name, bytes) in [("current", census.held_bytes), ("dirty", census.dirty_bytes)] {
        put(&|line| {
            line.text("<system type=\"")
                .text(name)
                .text("\" size=\"")
                .dec(bytes)
                .text("\"/>");
        });
    }
    put(&|line| {
        line.text("</malloc>");
    });
    0
}
