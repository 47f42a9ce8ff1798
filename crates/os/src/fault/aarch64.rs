//! The guarded copy on aarch64, and what the handler must know of the machine.
//!
//! The copy keeps x0, x1 and x2 at what is still to be copied, and advances them only over bytes that have
//! been stored, in ascending order. A fault among the wide accesses goes on with the narrow loop, which
//! finds the exact byte.
#![allow(unsafe_code)]

use super::site::site;
use core::arch::{asm, naked_asm};

/// Words from the ucontext's start to x0: flags, link, the stack's three, 128 bytes of signal set,
/// alignment to 16, the fault's address.
pub(super) const FIRST_REGISTER: usize = 23;
/// x3. The kernel's sigcontext has x0 to x30, sp, pc.
pub(super) const CAUSE: usize = 3;
/// pc.
pub(super) const PC: usize = 32;
/// The machine numbers no traps: any register will do.
pub(super) const TRAP: usize = PC;
/// An address that is none is not mapped.
pub(super) const ADDRESS_TRAPS: [usize; 0] = [];

/// The section's bounds. Adds an entry of no instructions, so that the section exists.
pub(super) fn table() -> (usize, usize) {
    let (start, end): (usize, usize);
    // SAFETY: takes two addresses that the linker defines.
    unsafe {
        asm!(
            ".hidden __start_neap_fixups",
            ".hidden __stop_neap_fixups",
            "adrp {start}, __start_neap_fixups",
            "add {start}, {start}, :lo12:__start_neap_fixups",
            "adrp {end}, __stop_neap_fixups",
            "add {end}, {end}, :lo12:__stop_neap_fixups",
            "2:",
            site!("2b", "2b", "2b"),
            start = out(reg) start,
            end = out(reg) end,
            options(nomem, nostack, preserves_flags),
        );
    }
    (start, end)
}

/// What [`copy_bytes`] returns, in x0 and x1.
#[repr(C)]
pub(super) struct Outcome {
    /// Bytes not copied.
    pub(super) left: usize,
    /// 0, or the fault: signal number << 32 | si_code.
    pub(super) cause: u64,
}

/// Nothing to find out: every aarch64 has the vectors that copies use.
pub(super) fn measure() {}

/// Copies `len` bytes, lowest first.
///
/// # Safety
/// 1. As [`super::copy`].
#[unsafe(naked)]
pub(super) unsafe extern "C" fn copy_bytes(to: *mut u8, from: *const u8, len: usize) -> Outcome {
    // x4 and x5 are the ends. A fault from 20 to 29 goes on at 30, one in the narrow loop at 31.
    naked_asm!(
        ".p2align 6",
        "20:",
        "add x4, x1, x2",
        "add x5, x0, x2",
        "cmp x2, #16",
        "b.lo 22f",
        "cmp x2, #32",
        "b.hi 21f",
        "ldr q0, [x1]",
        "ldr q1, [x4, #-16]",
        "str q0, [x0]",
        "str q1, [x5, #-16]",
        "b 28f",
        "21:",
        "cmp x2, #64",
        "b.hi 25f",
        "ldp q0, q1, [x1]",
        "ldp q2, q3, [x4, #-32]",
        "stp q0, q1, [x0]",
        "stp q2, q3, [x5, #-32]",
        "b 28f",
        "22:",
        "tbz x2, #3, 23f",
        "ldr x6, [x1]",
        "ldr x7, [x4, #-8]",
        "str x6, [x0]",
        "str x7, [x5, #-8]",
        "b 28f",
        "23:",
        "tbz x2, #2, 24f",
        "ldr w6, [x1]",
        "ldr w7, [x4, #-4]",
        "str w6, [x0]",
        "str w7, [x5, #-4]",
        "b 28f",
        // One to three bytes: the first, the middle one and the last, any of which may be the same.
        "24:",
        "cbz x2, 28f",
        "lsr x8, x2, #1",
        "ldrb w6, [x1]",
        "ldrb w7, [x1, x8]",
        "ldrb w9, [x4, #-1]",
        "strb w6, [x0]",
        "strb w7, [x0, x8]",
        "strb w9, [x5, #-1]",
        "b 28f",
        // More than 64: one vector, then on to the next multiple of 16 in the destination.
        "25:",
        "ldr q0, [x1]",
        "str q0, [x0]",
        "and x8, x0, #15",
        "sub x8, x8, #16",
        "sub x0, x0, x8",
        "sub x1, x1, x8",
        "add x2, x2, x8",
        "26:",
        "cmp x2, #64",
        "b.ls 27f",
        "ldp q0, q1, [x1]",
        "ldp q2, q3, [x1, #32]",
        "stp q0, q1, [x0]",
        "stp q2, q3, [x0, #32]",
        "add x1, x1, #64",
        "add x0, x0, #64",
        "sub x2, x2, #64",
        "b 26b",
        // The last 64, which may overlap what has been copied.
        "27:",
        "ldp q0, q1, [x4, #-64]",
        "ldp q2, q3, [x4, #-32]",
        "stp q0, q1, [x5, #-64]",
        "stp q2, q3, [x5, #-32]",
        "29:",
        "28:",
        "mov x0, xzr",
        "mov x1, xzr",
        "ret",
        site!("20b", "29b", "30f", of "{whole}"),
        "30:",
        "mov x3, xzr",
        "32:",
        "cbz x2, 31f",
        "ldrb w6, [x1]",
        "strb w6, [x0]",
        "add x1, x1, #1",
        "add x0, x0, #1",
        "sub x2, x2, #1",
        "b 32b",
        "31:",
        "mov x0, x2",
        "mov x1, x3",
        "ret",
        site!("32b", "31b", "31b", of "{whole}"),
        whole = sym copy_bytes,
    )
}
