//! The copy routine and the interrupted registers, for each architecture.
//!
//! The routine is a naked function, so that its instructions lie where they are written: the handler
//! recognises them by their distance from its first.
#![allow(unsafe_code)]

use crate::env::page_size;
use core::ffi::c_void;

/// What [`copy_bytes`] returns, in two registers.
#[repr(C)]
pub(super) struct Outcome {
    /// Bytes not copied.
    pub(super) left: usize,
    /// 0, or the fault: signal number << 32 | si_code.
    pub(super) cause: u64,
}

/// Whether the fault's `address` lies in the `left` bytes from `first`, in whole pages: for some faults
/// the kernel knows the page only.
fn is_ahead(address: usize, first: usize, left: usize) -> bool {
    let page = |a: usize| a & !(page_size() - 1);
    page(address) >= page(first) && address < first.saturating_add(left)
}

/// Copies `len` bytes, lowest first.
///
/// # Safety
/// 1. As [`super::copy`].
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn copy_bytes(to: *mut u8, from: *const u8, len: usize) -> Outcome {
    // `rep movsb` keeps rdi, rsi and rcx right at a fault, and is as fast as memcpy for a page or more.
    core::arch::naked_asm!(
        "mov rcx, rdx", // 0
        "xor edx, edx", // 3
        "rep movsb",    // 5: MOVES
        "mov rax, rcx", // 7: DONE
        "ret",
    )
}

#[cfg(target_arch = "x86_64")]
pub(super) const MOVES: usize = 5;
#[cfg(target_arch = "x86_64")]
pub(super) const DONE: usize = 7;

/// Copies `len` bytes, lowest first.
///
/// # Safety
/// 1. As [`super::copy`].
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn copy_bytes(to: *mut u8, from: *const u8, len: usize) -> Outcome {
    // Addresses and length change only after a step has succeeded. The handler sends a fault in the
    // wide loop to the narrow one, which finds the exact byte.
    core::arch::naked_asm!(
        "mov x3, xzr", // 0
        "2:",
        "cmp x2, #16",      // 4
        "b.lo 3f",          // 8
        "ldp x5, x6, [x1]", // 12: WIDE_LOAD
        "stp x5, x6, [x0]", // 16: WIDE_STORE
        "add x1, x1, #16",  // 20
        "add x0, x0, #16",  // 24
        "sub x2, x2, #16",  // 28
        "b 2b",             // 32
        "3:",
        "cbz x2, 4f",     // 36: NARROW
        "ldrb w5, [x1]",  // 40: NARROW_LOAD
        "strb w5, [x0]",  // 44: NARROW_STORE
        "add x1, x1, #1", // 48
        "add x0, x0, #1", // 52
        "sub x2, x2, #1", // 56
        "b 3b",           // 60
        "4:",
        "mov x0, x2", // 64: DONE
        "mov x1, x3", // 68
        "ret",
    )
}

#[cfg(target_arch = "aarch64")]
const WIDE_LOAD: usize = 12;
#[cfg(target_arch = "aarch64")]
const WIDE_STORE: usize = 16;
#[cfg(target_arch = "aarch64")]
const NARROW: usize = 36;
#[cfg(target_arch = "aarch64")]
const NARROW_LOAD: usize = 40;
#[cfg(target_arch = "aarch64")]
const NARROW_STORE: usize = 44;
#[cfg(target_arch = "aarch64")]
const DONE: usize = 64;

/// The registers that interrupted code resumes with, in the kernel's ucontext.
pub(super) struct Registers(*mut usize);

/// Words from the ucontext's start to its first general register. x86_64: flags, link, the stack's
/// three. aarch64: those, 128 bytes of signal set, alignment to 16, the fault's address.
#[cfg(target_arch = "x86_64")]
const FIRST_REGISTER: usize = 5;
#[cfg(target_arch = "aarch64")]
const FIRST_REGISTER: usize = 23;

impl Registers {
    /// # Safety
    /// 1. `context` is the third argument of a signal handler, and the handler has not returned.
    pub(super) unsafe fn of(context: *mut c_void) -> Registers {
        // SAFETY: the registers lie inside the ucontext (1).
        Registers(unsafe { context.cast::<usize>().add(FIRST_REGISTER) })
    }

    /// # Safety
    /// 1. `index` is one of the constants below.
    unsafe fn get(&self, index: usize) -> usize {
        // SAFETY: inside the ucontext's registers (1), by the condition of `of`.
        unsafe { self.0.add(index).read() }
    }

    /// # Safety
    /// 1. As [`Registers::get`].
    /// 2. The interrupted code may resume with this value.
    unsafe fn set(&mut self, index: usize, value: usize) {
        // SAFETY: as in `get`.
        unsafe { self.0.add(index).write(value) }
    }

    /// If the interrupted instruction is one of the copy routine's that may fault, and `address` one it
    /// may have touched, has the routine return `cause`. Says whether it was.
    ///
    /// # Safety
    /// 1. The registers are those of code that a fault interrupted.
    #[cfg(target_arch = "x86_64")]
    pub(super) unsafe fn leave_copy(mut self, address: usize, cause: u64) -> bool {
        const RDI: usize = 8;
        const RSI: usize = 9;
        const RDX: usize = 12;
        const RCX: usize = 14;
        const RIP: usize = 16;
        let routine = (copy_bytes as *const ()).addr();
        // SAFETY: the indices are those of the kernel's sigcontext. What is written lets the routine
        // return as if it had ended with `rcx` bytes left (1).
        unsafe {
            if self.get(RIP) != routine + MOVES {
                return false;
            }
            let left = self.get(RCX);
            if !is_ahead(address, self.get(RSI), left) && !is_ahead(address, self.get(RDI), left) {
                return false;
            }
            self.set(RDX, cause as usize);
            self.set(RIP, routine + DONE);
        }
        true
    }

    /// As on x86_64.
    ///
    /// # Safety
    /// 1. As on x86_64.
    #[cfg(target_arch = "aarch64")]
    pub(super) unsafe fn leave_copy(mut self, address: usize, cause: u64) -> bool {
        const TO: usize = 0;
        const FROM: usize = 1;
        const LEFT: usize = 2;
        const CAUSE: usize = 3;
        const PC: usize = 32;
        let routine = (copy_bytes as *const ()).addr();
        // SAFETY: x0 to x30, sp and pc follow each other in the kernel's sigcontext. What is written
        // lets the routine go on with its narrow loop, or return as if it had ended (1).
        unsafe {
            let left = self.get(LEFT);
            if !is_ahead(address, self.get(FROM), left) && !is_ahead(address, self.get(TO), left) {
                return false;
            }
            match self.get(PC).wrapping_sub(routine) {
                WIDE_LOAD | WIDE_STORE => self.set(PC, routine + NARROW),
                NARROW_LOAD | NARROW_STORE => {
                    self.set(CAUSE, cause as usize);
                    self.set(PC, routine + DONE);
                }
                _ => return false,
            }
        }
        true
    }
}
