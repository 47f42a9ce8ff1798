//! neap-preload: libneap.so, the C and C++ face of the heap.
//!
//! Owns argument checks, errno, C names, and the start and end of the process; every decision about
//! memory is `neap-heap`'s. The functions are thin leaves on purpose: LLVM knows the names malloc,
//! calloc and free and rewrites code around them, so nothing inside the project calls them.
//!
//! Never unwinds, never allocates through Rust, imports a handful of C functions (`xtask tidy` holds
//! the list).
// A test build unwinds and then needs std; the shipped library is always built with panic=abort.
#![cfg_attr(panic = "abort", no_std)]
#![deny(unsafe_code)]
#![allow(unreachable_pub)] // The linker is the caller.
#![allow(clippy::missing_safety_doc)] // The contracts are those of the C functions of the same name.

mod errno;

mod fast;

mod malloc;

mod operator;

mod tune;

mod report;

mod credentials;

mod sandbox;

mod bare;

mod process;

/// A panic is a bug of ours: say where and stop. Nothing allocates on the way.
#[cfg(panic = "abort")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut line = neap_os::out::Line::new();
    line.text("neap: internal error");
    if let Some(place) = info.location() {
        line.text(" at ")
            .text(place.file())
            .text(":")
            .dec(u64::from(place.line()));
    }
    line.text("\n").emit(2);
    neap_os::out::abort()
}
